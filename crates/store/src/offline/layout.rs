//! Which files there are and how long they ought to be.

use super::report::Foreign;
use crate::config::{IndexConfig, StoreConfig, UNIT_BYTES, file_at, position_of};
use crate::disk::{Disk, OpenMode};
use crate::index;
use crate::log::Segment;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Entries of a directory; none if there is no such directory.
pub(super) fn list(disk: &dyn Disk, dir: &Path) -> io::Result<Vec<crate::disk::Entry>> {
    match disk.list(dir) {
        Ok(mut entries) => {
            entries.sort_by(|a, b| a.name.cmp(&b.name));
            Ok(entries)
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// Sets the sizes of `config` to those that the store's files have: whoever looks at a store need
/// not know its settings. The longest file of a kind counts, since one that was being made is
/// short. Sizes of an index cannot be told from its length unless they are the defaults; then they
/// become `None` and the index is passed over.
///
/// # Errors
/// When a directory cannot be read.
pub fn sizes_from_files(config: &mut StoreConfig, disk: &dyn Disk) -> io::Result<()> {
    let longest = |dir: &Path| -> io::Result<u64> {
        let entries = list(disk, dir)?;
        let ours = entries.iter().filter(|e| !e.is_dir && position_of(&e.name).is_some());
        Ok(ours.map(|entry| entry.len).max().unwrap_or(0))
    };
    let segment = longest(&config.commit_log)?;
    if 0 < segment {
        config.segment_bytes = segment;
    }
    let mut file = 0;
    for (_, _, dir) in queue_dirs(disk, config)? {
        file = file.max(longest(&dir)?);
    }
    if 0 < file {
        config.consume_queue_file_bytes = file;
    }
    let default = index::file_bytes(IndexConfig::default());
    let entries = list(disk, &config.index_dir())?;
    let known = entries.iter().all(|entry| entry.is_dir || entry.len == default);
    config.index = known.then(IndexConfig::default);
    Ok(())
}

/// Topic, number and directory of every queue that has one.
pub(super) fn queue_dirs(
    disk: &dyn Disk,
    config: &StoreConfig,
) -> io::Result<Vec<(Arc<str>, u32, PathBuf)>> {
    let mut found = Vec::new();
    for topic in list(disk, &config.queues_dir())?.into_iter().filter(|entry| entry.is_dir) {
        let dir = config.queues_dir().join(&topic.name);
        let name: Arc<str> = topic.name.into();
        for queue in list(disk, &dir)?.into_iter().filter(|entry| entry.is_dir) {
            if let Ok(id) = queue.name.parse::<u32>() {
                found.push((Arc::clone(&name), id, dir.join(&queue.name)));
            }
        }
    }
    Ok(found)
}

/// The log's files.
#[derive(Debug, Default)]
pub(super) struct Segments {
    pub(super) good: Vec<Arc<Segment>>,
    pub(super) missing: Vec<PathBuf>,
    pub(super) foreign: Vec<Foreign>,
}

/// Opens the segment files for reading. The last one may be short if it holds nothing: it was being
/// made when the broker stopped.
pub(super) fn segments(disk: &dyn Disk, config: &StoreConfig) -> io::Result<Segments> {
    let (dir, want) = (&config.commit_log, config.segment_bytes);
    let mut found = Segments::default();
    let entries: Vec<_> = list(disk, dir)?.into_iter().filter(|entry| !entry.is_dir).collect();
    for (number, entry) in entries.iter().enumerate() {
        let path = dir.join(&entry.name);
        let base = position_of(&entry.name).filter(|base| base.is_multiple_of(want));
        let Some(base) = base.filter(|_| entry.len == want) else {
            if number + 1 == entries.len() && is_unused(disk, &path, entry.len)? {
                continue;
            }
            found.foreign.push(Foreign { path, len: entry.len, want });
            continue;
        };
        if let Some(before) = found.good.last()
            && before.end() < base
        {
            found.missing.push(file_at(dir, before.end()));
        }
        let file = disk.open(&path, OpenMode::ReadOnly)?;
        found.good.push(Arc::new(Segment::new(base, want, path, file)));
    }
    Ok(found)
}

fn is_unused(disk: &dyn Disk, path: &Path, len: u64) -> io::Result<bool> {
    let mut first = [0; 8];
    if len < 8 {
        return Ok(true);
    }
    disk.open(path, OpenMode::ReadOnly)?.read_exact_at(0, &mut first)?;
    Ok(first == [0; 8])
}

/// First units of a queue's files, ascending.
pub(super) fn queue_files(
    disk: &dyn Disk,
    config: &StoreConfig,
    dir: &Path,
    foreign: &mut Vec<Foreign>,
) -> io::Result<Vec<u64>> {
    let want = config.consume_queue_file_bytes;
    let mut bases = Vec::new();
    let entries: Vec<_> = list(disk, dir)?.into_iter().filter(|entry| !entry.is_dir).collect();
    for (number, entry) in entries.iter().enumerate() {
        let base = position_of(&entry.name).filter(|base| base.is_multiple_of(want));
        match base {
            Some(base) if entry.len == want => bases.push(base / UNIT_BYTES),
            _ if entry.len == 0 && number + 1 == entries.len() => {}
            _ => foreign.push(Foreign { path: dir.join(&entry.name), len: entry.len, want }),
        }
    }
    Ok(bases)
}
