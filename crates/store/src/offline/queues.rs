//! Comparing queue files with the log.

use super::layout::{queue_dirs, queue_files};
use super::report::{Foreign, QueueReport};
use crate::config::{StoreConfig, UNIT_BYTES, file_at};
use crate::disk::{Disk, OpenMode};
use crate::queue::Unit;
use rmq_record::layout::RecordView;
use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

/// Units of a queue that are kept in memory: a multiple of nothing, small because queues are many.
const PAGE_UNITS: u64 = 128;

/// All queues, while the log is read.
pub(super) struct Queues<'a> {
    disk: &'a dyn Disk,
    config: &'a StoreConfig,
    by_name: BTreeMap<(Arc<str>, u32), OneQueue>,
    pub(super) foreign: Vec<Foreign>,
}

struct OneQueue {
    dir: PathBuf,
    /// First unit of each file.
    bases: Vec<u64>,
    page_at: u64,
    page: Vec<Option<Unit>>,
    /// Queue offset of the next record.
    next: Option<u64>,
    report: QueueReport,
}

impl<'a> Queues<'a> {
    /// Finds the queues that have files.
    pub(super) fn find(disk: &'a dyn Disk, config: &'a StoreConfig) -> io::Result<Self> {
        let (mut by_name, mut foreign) = (BTreeMap::new(), Vec::new());
        for (topic, queue, dir) in queue_dirs(disk, config)? {
            let bases = queue_files(disk, config, &dir, &mut foreign)?;
            let one = OneQueue::new(Arc::clone(&topic), queue, dir, bases);
            by_name.insert((topic, queue), one);
        }
        Ok(Self { disk, config, by_name, foreign })
    }

    /// Takes the next record of the log. Without a tags code that of the unit is not looked at.
    pub(super) fn record(
        &mut self,
        record: &RecordView<'_>,
        tags_code: Option<i64>,
    ) -> io::Result<()> {
        let topic: Arc<str> = record.topic.into();
        let config = self.config;
        let queue = record.queue_id;
        let one = self.by_name.entry((Arc::clone(&topic), queue)).or_insert_with(|| {
            let dir = config.queue_dir(&topic, queue);
            OneQueue::new(topic, queue, dir, Vec::new())
        });
        let size = u32::try_from(record.bytes.len()).unwrap_or(u32::MAX);
        let want = |stored: Unit| {
            (stored.log_offset, stored.size) == (record.log_offset.0, size)
                && tags_code.is_none_or(|tags_code| tags_code == stored.tags_code)
        };
        one.record(self.disk, config, record.queue_offset, want)
    }

    /// The log was read to its end.
    pub(super) fn finish(self, log_end: u64) -> io::Result<Vec<QueueReport>> {
        let mut reports = Vec::new();
        for (_, mut one) in self.by_name {
            one.finish(self.disk, self.config, log_end)?;
            reports.push(one.report);
        }
        Ok(reports)
    }
}

impl OneQueue {
    fn new(topic: Arc<str>, queue: u32, dir: PathBuf, bases: Vec<u64>) -> Self {
        let files = bases.len();
        let report = QueueReport { topic, queue, files, ..QueueReport::default() };
        Self { dir, bases, page_at: 0, page: Vec::new(), next: None, report }
    }

    fn record(
        &mut self,
        disk: &dyn Disk,
        config: &StoreConfig,
        offset: u64,
        is_right: impl Fn(Unit) -> bool,
    ) -> io::Result<()> {
        match self.next {
            Some(next) if offset < next => {
                // The topic was deleted and made again: only the later records count.
                let restarts = self.report.restarts + 1;
                let (topic, queue) = (Arc::clone(&self.report.topic), self.report.queue);
                let files = self.report.files;
                self.report =
                    QueueReport { topic, queue, files, restarts, ..QueueReport::default() };
            }
            Some(next) => self.report.gaps += offset - next,
            None => {}
        }
        self.next = Some(offset.saturating_add(1));
        let stored = self.unit(disk, config, offset)?;
        let report = &mut self.report;
        report.records += 1;
        let first = report.range.map_or(offset, |(first, _)| first);
        report.range = Some((first, offset.saturating_add(1)));
        if stored.is_some_and(is_right) {
            report.missing_at_end = 0;
            return Ok(());
        }
        report.first_fault.get_or_insert(offset);
        match stored {
            Some(_) => {
                report.wrong += 1;
                report.missing_at_end = 0;
            }
            None => {
                report.missing += 1;
                report.missing_at_end += 1;
            }
        }
        Ok(())
    }

    /// Counts units that name what the log does not have.
    fn finish(&mut self, disk: &dyn Disk, config: &StoreConfig, log_end: u64) -> io::Result<()> {
        let last_file = self.bases.last().copied().unwrap_or(0);
        let behind = self.next.unwrap_or(last_file);
        let end = last_file + config.units_per_file();
        for offset in behind..end.max(behind) {
            let Some(unit) = self.unit(disk, config, offset)? else { break };
            if !unit.is_pre_blank() && log_end <= unit.log_offset {
                self.report.ahead += 1;
                self.report.first_fault.get_or_insert(offset);
            }
        }
        Ok(())
    }

    /// What the files say; `None` where they have no unit.
    fn unit(
        &mut self,
        disk: &dyn Disk,
        config: &StoreConfig,
        offset: u64,
    ) -> io::Result<Option<Unit>> {
        let within = offset.checked_sub(self.page_at).and_then(|n| usize::try_from(n).ok());
        if let Some(unit) = within.and_then(|n| self.page.get(n)) {
            return Ok(*unit);
        }
        let per_file = config.units_per_file();
        let base = offset - offset % per_file;
        if self.bases.binary_search(&base).is_err() {
            return Ok(None);
        }
        let count = (base + per_file - offset).min(PAGE_UNITS);
        let mut bytes = vec![0; usize::try_from(count * UNIT_BYTES).unwrap_or(0)];
        let file = disk.open(&file_at(&self.dir, base * UNIT_BYTES), OpenMode::ReadOnly)?;
        file.read_exact_at((offset - base) * UNIT_BYTES, &mut bytes)?;
        self.page_at = offset;
        self.page = bytes.chunks_exact(20).map(Unit::decode).collect();
        Ok(self.page.first().copied().flatten())
    }
}
