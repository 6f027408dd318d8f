//! One queue of a topic: 20-byte units that say where the n-th message is in the log.
//!
//! | offset | width | field |
//! | --- | --- | --- |
//! | 0 | 8 | physical offset of the record |
//! | 8 | 4 | record size |
//! | 12 | 8 | tags code |
//!
//! New units are kept in memory, where readers see them at once, and written in whole spans later:
//! the log can make them again.

mod load;

use crate::config::{UNIT_BYTES, file_at};
use crate::disk::{Disk, DiskFile, OpenMode};
pub(crate) use load::LoadError;
use parking_lot::{Mutex, RwLock};
use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering};

/// Size of a unit that stands for a place whose message was never here.
const PRE_BLANK_SIZE: u32 = 0x7FFF_FFFF;
/// Written units a busy queue keeps in memory for consumers that wait at its end.
const UNITS_KEPT: usize = 64;
/// Most queue files that stay open.
const OPEN_FILES_MAX: usize = 256;

/// One unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unit {
    pub(crate) log_offset: u64,
    pub(crate) size: u32,
    pub(crate) tags_code: i64,
}

impl Unit {
    pub(crate) const PRE_BLANK: Self = Self { log_offset: 0, size: PRE_BLANK_SIZE, tags_code: 0 };

    pub(crate) fn end(self) -> u64 {
        self.log_offset.saturating_add(u64::from(self.size))
    }

    pub(crate) fn is_pre_blank(self) -> bool {
        self == Self::PRE_BLANK
    }

    fn encode(self) -> [u8; 20] {
        let mut bytes = [0; 20];
        let (offset, rest) = bytes.split_at_mut(8);
        let (size, tags) = rest.split_at_mut(4);
        offset.copy_from_slice(&self.log_offset.to_be_bytes());
        size.copy_from_slice(&self.size.to_be_bytes());
        tags.copy_from_slice(&self.tags_code.to_be_bytes());
        bytes
    }

    /// `None` for bytes that are no unit; all zero is one such.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let (offset, rest) = bytes.split_first_chunk::<8>()?;
        let (size, rest) = rest.split_first_chunk::<4>()?;
        let tags = rest.first_chunk::<8>()?;
        let (offset, size) = (i64::from_be_bytes(*offset), i32::from_be_bytes(*size));
        Some(Self {
            log_offset: u64::try_from(offset).ok()?,
            size: u32::try_from(size).ok().filter(|size| *size > 0)?,
            tags_code: i64::from_be_bytes(*tags),
        })
    }
}

/// What all queues of a store share.
pub(crate) struct QueueContext {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) units_per_file: u64,
    pub(crate) open_files: AtomicUsize,
}

/// A queue of a topic, as arrivals and reads name it.
pub struct Queue {
    topic: Arc<str>,
    id: u32,
    dir: PathBuf,
    context: Arc<QueueContext>,
    /// Offset of the next message. Only the log's writer changes it.
    pub(crate) next: AtomicU64,
    /// One past the last message that readers may see.
    max: AtomicU64,
    /// First message still in the log.
    min: AtomicU64,
    tail: RwLock<Tail>,
    files: Mutex<Files>,
    /// Held while files are written, made or removed, so that a deleted queue leaves none behind.
    io: Mutex<()>,
    /// In the list of queues to be written.
    pub(crate) dirty: AtomicBool,
    /// The topic was deleted; a new queue of the name is another object.
    deleted: AtomicBool,
    /// When the last message came, for the broker's own use.
    last_store_time: AtomicI64,
}

/// Units `first..first + units.len()`; those below `written` are in the files too.
#[derive(Default)]
struct Tail {
    first: u64,
    written: u64,
    units: VecDeque<Unit>,
}

#[derive(Default)]
struct Files {
    /// First unit of each file there is, ascending.
    bases: Vec<u64>,
    open: Vec<(u64, Arc<dyn DiskFile>)>,
    /// Files written since the last sync.
    unsynced: Vec<u64>,
    dir_unsynced: bool,
    /// Found after a stop that was not clean: whoever made them may not have come to syncing their
    /// names.
    names_unsure: bool,
}

impl std::fmt::Debug for Queue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Queue").field("topic", &self.topic).field("id", &self.id).finish()
    }
}

impl Queue {
    pub(crate) fn new(topic: Arc<str>, id: u32, dir: PathBuf, context: Arc<QueueContext>) -> Self {
        Self {
            topic,
            id,
            dir,
            context,
            next: AtomicU64::new(0),
            max: AtomicU64::new(0),
            min: AtomicU64::new(0),
            tail: RwLock::default(),
            files: Mutex::default(),
            io: Mutex::default(),
            dirty: AtomicBool::new(false),
            deleted: AtomicBool::new(false),
            last_store_time: AtomicI64::new(0),
        }
    }

    /// The topic it belongs to.
    pub fn topic(&self) -> &Arc<str> {
        &self.topic
    }

    /// Its number within the topic.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// One past the last message that can be read.
    pub fn max_offset(&self) -> u64 {
        self.max.load(Ordering::Acquire)
    }

    /// First message still in the log; equal to the maximum when there is none.
    pub fn min_offset(&self) -> u64 {
        self.min.load(Ordering::Acquire).min(self.max_offset())
    }

    /// Store time of the last message put since the store was opened; 0 before.
    pub fn last_store_time(&self) -> i64 {
        self.last_store_time.load(Ordering::Relaxed)
    }

    pub(crate) fn is_deleted(&self) -> bool {
        self.deleted.load(Ordering::Acquire)
    }

    pub(crate) fn set_min(&self, min: u64) {
        self.min.store(min, Ordering::Release);
    }

    /// Makes one more message readable. `offset` must be the queue's maximum; only the log's writer
    /// and recovery call this.
    pub(crate) fn append(&self, offset: u64, unit: Unit, store_time: i64) {
        let mut tail = self.tail.write();
        if tail.units.is_empty() {
            tail.first = offset;
            tail.written = offset;
        }
        tail.units.push_back(unit);
        drop(tail);
        self.last_store_time.store(store_time, Ordering::Relaxed);
        self.max.store(offset.saturating_add(1), Ordering::Release);
    }

    /// Starts an empty queue at `offset`: its earlier part was never here or is gone.
    pub(crate) fn start_at(&self, offset: u64) {
        *self.tail.write() = Tail { first: offset, written: offset, units: VecDeque::new() };
        self.next.store(offset, Ordering::Release);
        self.max.store(offset, Ordering::Release);
        self.min.store(offset, Ordering::Release);
    }

    /// Adds units from `from` on to `out`, at most `count` and none past the maximum. Fewer may
    /// come: ask again. None means that the file has no unit there.
    pub(crate) fn units(&self, from: u64, count: usize, out: &mut Vec<Unit>) -> io::Result<()> {
        let max = self.max_offset();
        let wanted = usize::try_from(max.saturating_sub(from)).unwrap_or(usize::MAX).min(count);
        if wanted == 0 {
            return Ok(());
        }
        let in_files = {
            let tail = self.tail.read();
            match from.checked_sub(tail.first) {
                Some(skip) if !tail.units.is_empty() => {
                    let skip = usize::try_from(skip).unwrap_or(usize::MAX);
                    out.extend(tail.units.iter().skip(skip).take(wanted));
                    return Ok(());
                }
                Some(_) => max - from,
                None => tail.first.saturating_sub(from),
            }
        };
        let wanted = usize::try_from(in_files).unwrap_or(usize::MAX).min(wanted);
        self.units_from_file(from, wanted, out)
    }

    fn units_from_file(&self, from: u64, count: usize, out: &mut Vec<Unit>) -> io::Result<()> {
        let base = self.base_of(from);
        let Some(file) = self.file(base)? else { return Ok(()) };
        let left = self.context.units_per_file - (from - base);
        let count = usize::try_from(left).unwrap_or(usize::MAX).min(count);
        let mut bytes = vec![0; count * 20];
        file.read_exact_at((from - base) * UNIT_BYTES, &mut bytes)?;
        for unit in bytes.chunks_exact(20) {
            let Some(unit) = Unit::decode(unit) else { break };
            out.push(unit);
        }
        Ok(())
    }

    pub(crate) fn unit_at(&self, offset: u64) -> io::Result<Option<Unit>> {
        let mut one = Vec::with_capacity(1);
        self.units(offset, 1, &mut one)?;
        Ok(one.first().copied())
    }

    fn base_of(&self, offset: u64) -> u64 {
        offset - offset % self.context.units_per_file
    }

    /// First unit of the file after the one that `offset` belongs to.
    pub(crate) fn next_file(&self, offset: u64) -> u64 {
        self.base_of(offset).saturating_add(self.context.units_per_file)
    }

    /// The file with first unit `base`; `None` if there is none.
    fn file(&self, base: u64) -> io::Result<Option<Arc<dyn DiskFile>>> {
        let mut files = self.files.lock();
        if let Some((_, file)) = files.open.iter().find(|(b, _)| *b == base) {
            return Ok(Some(Arc::clone(file)));
        }
        if files.bases.binary_search(&base).is_err() {
            return Ok(None);
        }
        let path = file_at(&self.dir, base * UNIT_BYTES);
        let file: Arc<dyn DiskFile> = self.context.disk.open(&path, OpenMode::Existing)?.into();
        if self.context.open_files.load(Ordering::Relaxed) < OPEN_FILES_MAX {
            self.context.open_files.fetch_add(1, Ordering::Relaxed);
            files.open.push((base, Arc::clone(&file)));
        }
        Ok(Some(file))
    }

    fn close_files(&self, files: &mut Files) {
        self.context.open_files.fetch_sub(files.open.len(), Ordering::Relaxed);
        files.open.clear();
    }

    fn file_or_make(&self, base: u64, first: u64) -> io::Result<Arc<dyn DiskFile>> {
        if let Some(file) = self.file(base)? {
            return Ok(file);
        }
        let disk = &self.context.disk;
        if self.files.lock().bases.is_empty() {
            disk.create_dir_all(&self.dir)?;
        }
        let path = file_at(&self.dir, base * UNIT_BYTES);
        let file = disk.open(&path, OpenMode::Create)?;
        file.set_len(self.context.units_per_file * UNIT_BYTES)?;
        if base < first && self.files.lock().bases.is_empty() {
            let count = usize::try_from(first - base).unwrap_or(0);
            file.write_all_at(0, &Unit::PRE_BLANK.encode().repeat(count))?;
        }
        drop(file);
        let mut files = self.files.lock();
        let at = files.bases.partition_point(|b| *b < base);
        files.bases.insert(at, base);
        files.dir_unsynced = true;
        drop(files);
        self.file(base)?.ok_or_else(|| io::Error::other("the queue was deleted"))
    }

    /// Writes units that are only in memory, and forgets those of a deleted queue. Adds to `done`
    /// how many no longer wait, also when it fails half way. Only one thread calls this.
    pub(crate) fn write_out(&self, done: &mut usize) -> io::Result<()> {
        let _io = self.io.lock();
        loop {
            if self.is_deleted() {
                let gone = std::mem::take(&mut *self.tail.write());
                let written = usize::try_from(gone.written.saturating_sub(gone.first)).unwrap_or(0);
                *done += gone.units.len().saturating_sub(written);
                return Ok(());
            }
            let (from, bytes) = {
                let tail = self.tail.read();
                let from = tail.written;
                let room = self.next_file(from) - from;
                let skip = usize::try_from(from.saturating_sub(tail.first)).unwrap_or(usize::MAX);
                let take = usize::try_from(room).unwrap_or(usize::MAX);
                let units = tail.units.iter().skip(skip).take(take);
                (from, units.flat_map(|unit| unit.encode()).collect::<Vec<u8>>())
            };
            let count = bytes.len() / 20;
            if count == 0 {
                return Ok(());
            }
            let base = self.base_of(from);
            let file = self.file_or_make(base, from)?;
            file.write_all_at((from - base) * UNIT_BYTES, &bytes)?;
            {
                let mut files = self.files.lock();
                if !files.unsynced.contains(&base) {
                    files.unsynced.push(base);
                }
                files.dir_unsynced |= std::mem::take(&mut files.names_unsure);
            }
            *done += count;
            let mut tail = self.tail.write();
            if tail.written == from {
                tail.written = from.saturating_add(u64::try_from(count).unwrap_or(0));
            }
            let in_files = usize::try_from(tail.written.saturating_sub(tail.first)).unwrap_or(0);
            let drop_count = in_files.min(tail.units.len().saturating_sub(UNITS_KEPT));
            if drop_count > 0 {
                tail.units.drain(..drop_count);
                tail.first += u64::try_from(drop_count).unwrap_or(0);
                if tail.units.capacity() > 4 * UNITS_KEPT.max(tail.units.len()) {
                    tail.units.shrink_to(2 * UNITS_KEPT);
                }
            }
        }
    }

    /// Makes what [`Queue::write_out`] wrote durable. Says whether there was anything.
    pub(crate) fn sync(&self) -> io::Result<bool> {
        let _io = self.io.lock();
        let (bases, dir) = {
            let mut files = self.files.lock();
            (std::mem::take(&mut files.unsynced), std::mem::take(&mut files.dir_unsynced))
        };
        let result = self.sync_files(&bases, dir);
        if result.is_err() {
            let mut files = self.files.lock();
            files.unsynced.extend(&bases);
            files.dir_unsynced |= dir;
        }
        result.map(|()| !bases.is_empty() || dir)
    }

    fn sync_files(&self, bases: &[u64], dir: bool) -> io::Result<()> {
        for base in bases {
            if let Some(file) = self.file(*base)? {
                file.sync_data()?;
            }
        }
        if dir && !self.is_deleted() {
            self.context.disk.sync_dir(&self.dir)?;
            for above in self.dir.ancestors().skip(1).take(2) {
                self.context.disk.sync_dir(above)?;
            }
        }
        Ok(())
    }

    /// Closes files that can be opened again, and lets go of units that are in them, when nothing
    /// was written since the last call.
    pub(crate) fn rest(&self) {
        let mut tail = self.tail.write();
        let end = tail.first.saturating_add(u64::try_from(tail.units.len()).unwrap_or(u64::MAX));
        if tail.written == end && !tail.units.is_empty() {
            tail.units = VecDeque::new();
            tail.first = end;
        }
        drop(tail);
        let mut files = self.files.lock();
        if files.unsynced.is_empty() {
            self.close_files(&mut files);
        }
    }

    /// Removes the queue's files and directory. Readers find nothing from here on; units that wait
    /// are forgotten by [`Queue::write_out`], which counts them.
    pub(crate) fn delete(&self) -> io::Result<()> {
        let _io = self.io.lock();
        self.deleted.store(true, Ordering::Release);
        self.max.store(0, Ordering::Release);
        let mut files = self.files.lock();
        self.close_files(&mut files);
        for base in std::mem::take(&mut files.bases) {
            let path = file_at(&self.dir, base * UNIT_BYTES);
            crate::durable::remove_if_there(&*self.context.disk, &path)?;
        }
        match self.context.disk.remove_dir(&self.dir) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Removes files whose last unit is below `log_min`, never the last file, and raises the
    /// minimum. Returns how many files went.
    pub(crate) fn trim(&self, log_min: u64) -> io::Result<usize> {
        let _io = self.io.lock();
        let bases = self.files.lock().bases.clone();
        let mut removed = 0;
        for pair in bases.windows(2) {
            let [base, next] = *pair else { break };
            let last = next.saturating_sub(1);
            let gone = match self.unit_at(last) {
                Ok(Some(unit)) => !unit.is_pre_blank() && unit.log_offset < log_min,
                Ok(None) => false,
                // Somebody else removed it.
                Err(error) if error.kind() == io::ErrorKind::NotFound => true,
                Err(error) => return Err(error),
            };
            if !gone {
                break;
            }
            let mut files = self.files.lock();
            let path = file_at(&self.dir, base * UNIT_BYTES);
            files.bases.retain(|b| *b != base);
            files.unsynced.retain(|b| *b != base);
            let before = files.open.len();
            files.open.retain(|(b, _)| *b != base);
            self.context.open_files.fetch_sub(before - files.open.len(), Ordering::Relaxed);
            files.dir_unsynced = true;
            crate::durable::remove_if_there(&*self.context.disk, &path)?;
            removed += 1;
        }
        self.correct_min(log_min)?;
        Ok(removed)
    }

    /// Finds the first unit at or behind `log_min`.
    pub(crate) fn correct_min(&self, log_min: u64) -> io::Result<()> {
        let max = self.max_offset();
        let first = match self.files.lock().bases.first() {
            Some(base) => *base,
            None => self.tail.read().first,
        };
        // Units ascend, pre-blank ones count as lowest.
        let (mut low, mut high) = (first.max(self.min.load(Ordering::Acquire)), max);
        while low < high {
            let middle = low + (high - low) / 2;
            match self.unit_at(middle)? {
                Some(unit) if !unit.is_pre_blank() && unit.log_offset >= log_min => high = middle,
                _ => low = middle + 1,
            }
        }
        self.min.fetch_max(low.min(max), Ordering::AcqRel);
        Ok(())
    }
}
