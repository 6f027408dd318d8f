//! Finds messages by key: hash files of Java's layout, written in batches.
//!
//! New entries wait in memory, where queries see them, and are applied sorted by slot, a page of
//! slots at a time: neither the 20 MB of slots nor a mapping is kept.

mod file;
#[cfg(test)]
mod tests;

use crate::config::IndexConfig;
use crate::disk::Disk;
use file::IndexFile;
pub(crate) use file::{Entries, Header, bytes as file_bytes};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;
use rmq_model::Millis;
use rmq_model::java::{hash_code, hash_code_from};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// One key of one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) hash: i32,
    pub(crate) log_offset: u64,
    pub(crate) store_time: Millis,
}

/// Hash of `TOPIC#KEY` as stored: its absolute value, and 0 for the one number without.
pub(crate) fn key_hash(topic_hash: i32, key: &str) -> i32 {
    hash_code_from(topic_hash, key).checked_abs().unwrap_or(0)
}

/// Start of [`key_hash`] for all keys of a topic.
pub(crate) fn topic_hash(topic: &str) -> i32 {
    hash_code_from(hash_code(topic), "#")
}

/// What a query looks for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Query {
    pub(crate) hash: i32,
    pub(crate) begin: Millis,
    pub(crate) end: Millis,
    pub(crate) max: usize,
}

/// All index files and what waits for them.
pub(crate) struct Index {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    config: IndexConfig,
    pending: Mutex<Vec<Entry>>,
    /// Oldest first. Held while entries are applied.
    files: Mutex<Vec<IndexFile>>,
    /// A sync failed: what the files have is not known any more.
    sync_failed: AtomicBool,
}

/// State of the newest file, as own metadata remembers it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct IndexMark {
    pub(crate) name: u64,
    pub(crate) count: u32,
    pub(crate) end_offset: u64,
    pub(crate) end_time: Millis,
}

impl std::fmt::Debug for Index {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Index").field("dir", &self.dir).finish_non_exhaustive()
    }
}

/// How much of the files on disk is believed when opening.
#[derive(Clone, Debug)]
pub(crate) enum Trust {
    /// All: the last stop was clean.
    All,
    /// What was synced: full files up to this end time, and of the newest file what the mark says.
    Synced { full_until: Millis, mark: Option<IndexMark> },
}

impl Index {
    /// Opens the files in `dir`; drops or repairs those that cannot be trusted.
    pub(crate) fn open(
        disk: Arc<dyn Disk>,
        dir: PathBuf,
        config: IndexConfig,
        trust: &Trust,
    ) -> io::Result<Self> {
        disk.create_dir_all(&dir)?;
        let mut names: Vec<(u64, String, u64)> = disk
            .list(&dir)?
            .into_iter()
            .filter(|entry| !entry.is_dir)
            .filter_map(|entry| Some((entry.name.parse().ok()?, entry.name, entry.len)))
            .collect();
        names.sort();
        let mut files = Vec::new();
        for (number, name, len) in names {
            let path = dir.join(&name);
            let file = if len == file::bytes(config) {
                IndexFile::open(&*disk, number, path.clone(), config)?
            } else {
                None
            };
            let kept = match file {
                Some(file) => file.recover(trust)?,
                None => None,
            };
            match kept {
                Some(file) => files.push(file),
                None => {
                    tracing::warn!(file = %path.display(), "index file dropped, entries are made again from the log");
                    disk.remove_file(&path)?;
                }
            }
        }
        // Whoever made the newest file may have been killed before its name was durable.
        disk.sync_dir(&dir)?;
        let (pending, files) = (Mutex::default(), Mutex::new(files));
        Ok(Self { disk, dir, config, pending, files, sync_failed: AtomicBool::new(false) })
    }

    /// Log offset of the last record indexed in the files; `None` when there is none.
    pub(crate) fn end_offset(&self) -> Option<u64> {
        self.files.lock().iter().rev().find_map(|file| file.end_offset())
    }

    /// Adds entries in the order of the log; says how many wait now.
    pub(crate) fn append(&self, entries: &mut Vec<Entry>) -> usize {
        let mut pending = self.pending.lock();
        pending.append(entries);
        pending.len()
    }

    /// Whether a sync failed, after which the files are only to be read.
    pub(crate) fn has_failed(&self) -> bool {
        self.sync_failed.load(Ordering::Acquire)
    }

    pub(crate) fn pending_len(&self) -> usize {
        self.pending.lock().len()
    }

    /// Writes what waits. Returns the end time of the last file that became full and was synced.
    ///
    /// After an error the entries not applied wait on.
    pub(crate) fn apply(&self, now: Millis) -> io::Result<Option<Millis>> {
        let mut files = self.files.lock();
        // Queries take both locks in this order, so they see an entry here or there.
        let entries = std::mem::take(&mut *self.pending.lock());
        let mut rest = &entries[..];
        let mut filled = None;
        let mut outcome = Ok(());
        while !rest.is_empty() {
            match self.apply_some(&mut files, rest, now) {
                Ok((count, full)) => {
                    rest = rest.get(count..).unwrap_or_default();
                    filled = full.or(filled);
                }
                Err(error) => {
                    outcome = Err(error);
                    break;
                }
            }
        }
        if !rest.is_empty() {
            let mut pending = self.pending.lock();
            let newer = std::mem::replace(&mut *pending, rest.to_vec());
            pending.extend(newer);
        }
        outcome.map(|()| filled)
    }

    fn apply_some(
        &self,
        files: &mut Vec<IndexFile>,
        entries: &[Entry],
        now: Millis,
    ) -> io::Result<(usize, Option<Millis>)> {
        if files.last().is_none_or(|file| file.room() == 0) {
            let before = files.last().map(|file| file.header());
            let newest = files.last().map_or(0, |file| file.number);
            files.push(self.create(before, newest, now)?);
        }
        let Some(file) = files.last_mut() else { return Ok((0, None)) };
        let count = file.room().min(entries.len());
        file.append(entries.get(..count).unwrap_or_default())?;
        let mut full = None;
        if file.room() == 0 {
            file.sync().inspect_err(|_| self.sync_failed.store(true, Ordering::Release))?;
            full = Some(file.header().end_time);
        }
        Ok((count, full))
    }

    fn create(&self, before: Option<Header>, newest: u64, now: Millis) -> io::Result<IndexFile> {
        let number = name_of(now).max(newest.saturating_add(1));
        let path = self.dir.join(format!("{number:017}"));
        let file = IndexFile::create(&*self.disk, number, path, self.config, before)?;
        self.disk.sync_dir(&self.dir)?;
        Ok(file)
    }

    /// Makes what was applied durable, and says what that is.
    pub(crate) fn sync(&self) -> io::Result<Option<IndexMark>> {
        let mut files = self.files.lock();
        let Some(file) = files.last_mut() else { return Ok(None) };
        file.sync().inspect_err(|_| self.sync_failed.store(true, Ordering::Release))?;
        let header = file.header();
        Ok(Some(IndexMark {
            name: file.number,
            count: header.count,
            end_offset: header.end_offset,
            end_time: header.end_time,
        }))
    }

    /// Log offsets of entries that may be the wanted key, newest first, each once.
    pub(crate) fn query(&self, query: &Query) -> io::Result<Found> {
        let mut files = self.files.lock();
        let mut found = Found::default();
        {
            let pending = self.pending.lock();
            if let Some(last) = pending.last() {
                found.last_time = last.store_time;
                found.last_offset = last.log_offset;
            }
            for entry in pending.iter().rev() {
                if query.max <= found.offsets.len() {
                    break;
                }
                if entry.hash == query.hash && (query.begin..=query.end).contains(&entry.store_time)
                {
                    found.add(entry.log_offset);
                }
            }
        }
        if found.last_time == 0
            && let Some(file) = files.last()
        {
            let header = file.header();
            (found.last_time, found.last_offset) = (header.end_time, header.end_offset);
        }
        for file in files.iter_mut().rev() {
            if query.max <= found.offsets.len() {
                break;
            }
            file.query(query, &mut found)?;
        }
        Ok(found)
    }

    /// Removes files that only name records below `log_min`, never the newest.
    pub(crate) fn trim(&self, log_min: u64) -> io::Result<usize> {
        let mut files = self.files.lock();
        let expired = files.iter().take_while(|file| file.header().end_offset < log_min).count();
        let expired = expired.min(files.len().saturating_sub(1));
        for file in files.drain(..expired) {
            crate::durable::remove_if_there(&*self.disk, &file.path)?;
        }
        Ok(expired)
    }

    /// Forgets everything: the log is empty.
    pub(crate) fn clear(&self) -> io::Result<()> {
        self.pending.lock().clear();
        for file in self.files.lock().drain(..) {
            self.disk.remove_file(&file.path)?;
        }
        Ok(())
    }

    /// Drops entries of records at or behind `log_end`, which were cut off.
    pub(crate) fn cut(&self, log_end: u64) -> io::Result<()> {
        let mut files = self.files.lock();
        while let Some(file) = files.last_mut() {
            if file.cut(log_end)? {
                break;
            }
            if let Some(file) = files.pop() {
                self.disk.remove_file(&file.path)?;
            }
        }
        Ok(())
    }
}

/// What a query found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) offsets: Vec<u64>,
    pub(crate) last_time: Millis,
    pub(crate) last_offset: u64,
}

impl Found {
    fn add(&mut self, offset: u64) {
        if !self.offsets.contains(&offset) {
            self.offsets.push(offset);
        }
    }
}

/// `yyyyMMddHHmmssSSS` of the local time.
fn name_of(now: Millis) -> u64 {
    let time = Timestamp::UNIX_EPOCH
        .checked_add(SignedDuration::from_millis(now))
        .unwrap_or(Timestamp::UNIX_EPOCH)
        .to_zoned(TimeZone::system());
    let digits = time.strftime("%Y%m%d%H%M%S%3f").to_string();
    digits.parse().unwrap_or(0)
}
