//! Comparing the index with the log.

use super::layout::list;
use super::report::{Foreign, IndexReport};
use crate::config::StoreConfig;
use crate::disk::Disk;
use crate::index::{Entries, Entry, file_bytes};
use std::io;
use std::path::PathBuf;

/// The index, while the log is read. Entries stand in the order of the log, so both are read once.
pub(super) struct IndexCheck<'a> {
    disk: &'a dyn Disk,
    config: &'a StoreConfig,
    /// Files that were not begun yet, the oldest last.
    files: Vec<PathBuf>,
    open: Option<Entries>,
    /// The entry that was read last.
    next: Option<(i32, u64)>,
    /// An entry was met: from here on every key has one.
    begun: bool,
    report: IndexReport,
}

impl<'a> IndexCheck<'a> {
    pub(super) fn find(
        disk: &'a dyn Disk,
        config: &'a StoreConfig,
        foreign: &mut Vec<Foreign>,
    ) -> io::Result<Self> {
        let dir = config.index_dir();
        let mut names: Vec<(u64, String, u64)> = list(disk, &dir)?
            .into_iter()
            .filter(|entry| !entry.is_dir)
            .filter_map(|entry| Some((entry.name.parse().ok()?, entry.name, entry.len)))
            .collect();
        names.sort();
        let mut report = IndexReport::default();
        let mut files = Vec::new();
        for (_, name, len) in names.into_iter().rev() {
            let path = dir.join(name);
            report.files += 1;
            match config.index.map(file_bytes) {
                None => report.unknown.push(path),
                Some(want) if want == len => files.push(path),
                Some(want) => foreign.push(Foreign { path, len, want }),
            }
        }
        let mut check = Self { disk, config, files, open: None, next: None, begun: false, report };
        check.advance()?;
        Ok(check)
    }

    /// Takes the keys of the next record of the log.
    pub(super) fn record(&mut self, log_offset: u64, mut keys: Vec<Entry>) -> io::Result<()> {
        while let Some((_, at)) = self.next.filter(|(_, at)| *at < log_offset) {
            // What names records that retention deleted is none of the log's business.
            self.report.wrong += u64::from(self.begun || at == u64::MAX);
            self.advance()?;
        }
        while let Some((hash, _)) = self.next.filter(|(_, at)| *at == log_offset) {
            self.begun = true;
            self.report.missing_at_end = 0;
            match keys.iter().position(|key| key.hash == hash) {
                Some(place) => {
                    keys.swap_remove(place);
                }
                None => self.report.wrong += 1,
            }
            self.advance()?;
        }
        if self.begun {
            let missing = u64::try_from(keys.len()).unwrap_or(0);
            self.report.missing += missing;
            self.report.missing_at_end += missing;
        }
        Ok(())
    }

    pub(super) fn finish(mut self) -> io::Result<IndexReport> {
        while self.next.is_some() {
            self.report.wrong += 1;
            self.advance()?;
        }
        Ok(self.report)
    }

    /// Reads the next entry, of this file or the next.
    fn advance(&mut self) -> io::Result<()> {
        loop {
            if let Some(open) = &mut self.open {
                self.next = open.next()?;
                if self.next.is_some() {
                    self.report.entries += 1;
                    return Ok(());
                }
                self.report.broken_links += open.broken_links;
                self.open = None;
            }
            let (Some(path), Some(sizes)) = (self.files.pop(), self.config.index) else {
                self.next = None;
                return Ok(());
            };
            self.open = Entries::open(self.disk, &path, sizes)?;
            // A header without sense: none of its entries can be found.
            self.report.broken_links += u64::from(self.open.is_none());
        }
    }
}
