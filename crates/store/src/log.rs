//! The commit log's segment files: an endless row of bytes in files of one length.

use crate::config::file_at;
use crate::disk::{Disk, DiskFile, Map, OpenMode};
use arc_swap::{ArcSwap, ArcSwapOption};
use parking_lot::Mutex;
use rmq_model::LogOffset;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// One file of the log.
pub(crate) struct Segment {
    pub(crate) base: u64,
    pub(crate) len: u64,
    pub(crate) path: PathBuf,
    pub(crate) file: Box<dyn DiskFile>,
    map: ArcSwapOption<Map>,
    /// The disk cannot map; read instead.
    unmappable: AtomicBool,
    /// Read since the last look at idle mappings.
    used: AtomicBool,
}

impl std::fmt::Debug for Segment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Segment").field("base", &self.base).finish_non_exhaustive()
    }
}

impl Segment {
    pub(crate) fn new(base: u64, len: u64, path: PathBuf, file: Box<dyn DiskFile>) -> Self {
        Self {
            base,
            len,
            path,
            file,
            map: ArcSwapOption::empty(),
            unmappable: AtomicBool::new(false),
            used: AtomicBool::new(false),
        }
    }

    pub(crate) fn end(&self) -> u64 {
        self.base.saturating_add(self.len)
    }

    /// The mapping, made on first use; `None` where the disk has none.
    fn map(&self) -> io::Result<Option<Arc<Map>>> {
        self.used.store(true, Ordering::Relaxed);
        if let Some(map) = self.map.load_full() {
            return Ok(Some(map));
        }
        if self.unmappable.load(Ordering::Relaxed) {
            return Ok(None);
        }
        match self.file.map()? {
            Some(map) => {
                let map = Arc::new(map);
                self.map.store(Some(Arc::clone(&map)));
                Ok(Some(map))
            }
            None => {
                self.unmappable.store(true, Ordering::Relaxed);
                Ok(None)
            }
        }
    }

    /// Lets go of the mapping, and with it of the resident pages, if nobody read since the last
    /// call.
    pub(crate) fn unmap_if_idle(&self) {
        if !self.used.swap(false, Ordering::Relaxed) {
            self.map.store(None);
        }
    }

    /// Lets go of the mapping now; the next reader makes another.
    fn unmap(&self) {
        self.map.store(None);
    }

    /// Adds bytes `at..at + len`, counted from the start of the log, to `out`. Says whether they
    /// came from a mapping.
    fn read(&self, at: u64, len: usize, out: &mut Vec<u8>) -> io::Result<bool> {
        let inside = at.checked_sub(self.base).ok_or_else(outside)?;
        if let Some(map) = self.map()? {
            out.extend_from_slice(map.get(inside, len).ok_or_else(outside)?);
            return Ok(true);
        }
        if self.len.checked_sub(inside).is_none_or(|left| left < len as u64) {
            return Err(outside());
        }
        let start = out.len();
        out.resize(start + len, 0);
        let target = out.get_mut(start..).unwrap_or_default();
        self.file.read_exact_at(inside, target).inspect_err(|_| out.truncate(start))?;
        Ok(false)
    }
}

fn outside() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "outside of the segment")
}

/// All segments, and how far the log is written and durable.
pub(crate) struct Log {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    pub(crate) segment_bytes: u64,
    /// Ascending by base.
    segments: ArcSwap<Vec<Arc<Segment>>>,
    /// Made ahead for the appender; also serialises the making of segments.
    spare: Mutex<Option<Arc<Segment>>>,
    /// One past the last byte that readers may see.
    written: AtomicU64,
    /// One past the last byte that would survive a power cut.
    flushed: AtomicU64,
    /// Held while the log is synced behind its end, and while it is cut: what was cut must not
    /// count as durable.
    pub(crate) syncing: Mutex<()>,
    /// Bytes touched through mappings since they were last dropped.
    mapped: AtomicU64,
}

/// Bytes read through mappings before these are made anew.
const MAPPED_BYTES_MAX: u64 = 48 * 1024 * 1024;
const PAGE_BYTES: u64 = 4096;

impl std::fmt::Debug for Log {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Log").field("written", &self.written).finish_non_exhaustive()
    }
}

impl Log {
    pub(crate) fn new(
        disk: Arc<dyn Disk>,
        dir: PathBuf,
        segment_bytes: u64,
        segments: Vec<Arc<Segment>>,
    ) -> Self {
        Self {
            disk,
            dir,
            segment_bytes,
            segments: ArcSwap::from_pointee(segments),
            spare: Mutex::new(None),
            written: AtomicU64::new(0),
            flushed: AtomicU64::new(0),
            syncing: Mutex::default(),
            mapped: AtomicU64::new(0),
        }
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(crate) fn segments(&self) -> Arc<Vec<Arc<Segment>>> {
        self.segments.load_full()
    }

    pub(crate) fn set_segments(&self, segments: Vec<Arc<Segment>>) {
        self.segments.store(Arc::new(segments));
    }

    /// First byte still there.
    pub(crate) fn min(&self) -> u64 {
        self.segments.load().first().map_or_else(|| self.written(), |first| first.base)
    }

    pub(crate) fn written(&self) -> u64 {
        self.written.load(Ordering::Acquire)
    }

    pub(crate) fn flushed(&self) -> u64 {
        self.flushed.load(Ordering::Acquire)
    }

    pub(crate) fn set_written(&self, end: u64) {
        self.written.store(end, Ordering::Release);
    }

    pub(crate) fn set_flushed(&self, end: u64) {
        self.flushed.fetch_max(end, Ordering::AcqRel);
    }

    /// After recovery, which may have found the log shorter.
    pub(crate) fn reset_ends(&self, end: u64) {
        self.written.store(end, Ordering::Release);
        self.flushed.store(end, Ordering::Release);
    }

    /// The log was cut.
    pub(crate) fn lower_ends(&self, end: u64) {
        let _syncing = self.syncing.lock();
        self.written.fetch_min(end, Ordering::AcqRel);
        self.flushed.fetch_min(end, Ordering::AcqRel);
    }

    /// The segment that holds byte `at`.
    pub(crate) fn segment_of(&self, at: u64) -> Option<Arc<Segment>> {
        let segments = self.segments.load();
        let after = segments.partition_point(|segment| segment.base <= at);
        segments.get(after.checked_sub(1)?).filter(|segment| at < segment.end()).cloned()
    }

    /// Adds bytes `at..at + len` of the log, all in one segment, to `out`. `Ok(false)` if they are
    /// not there (any more, or yet).
    pub(crate) fn read(&self, at: u64, len: usize, out: &mut Vec<u8>) -> io::Result<bool> {
        let Some(end) = at.checked_add(len as u64) else { return Ok(false) };
        match self.segment_of(at) {
            Some(segment) if end <= segment.end() && end <= self.written() => {
                if segment.read(at, len, out)? {
                    self.count_mapped(len);
                }
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    /// Raw bytes from `at`, at most `bytes_max` and not beyond the segment's end or `limit`. For
    /// replicas, which copy the log as it is, fillers included.
    pub(crate) fn raw(&self, at: LogOffset, limit: u64, bytes_max: usize) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        let limit = limit.min(self.written());
        if let Some(segment) = self.segment_of(at.0) {
            let end = segment.end().min(limit);
            let len = usize::try_from(end.saturating_sub(at.0)).unwrap_or(usize::MAX);
            let len = len.min(bytes_max);
            if segment.read(at.0, len, &mut out)? {
                self.count_mapped(len);
            }
        }
        Ok(out)
    }

    /// A mapping's pages stay resident once they were touched. After so many bytes all mappings are
    /// made anew: the page cache keeps the data, this process does not grow with the log it read.
    fn count_mapped(&self, len: usize) {
        let touched = u64::try_from(len).unwrap_or(0) + PAGE_BYTES;
        let before = self.mapped.fetch_add(touched, Ordering::Relaxed);
        if MAPPED_BYTES_MAX <= before {
            self.mapped.store(0, Ordering::Relaxed);
            self.segments.load().iter().for_each(|segment| segment.unmap());
        }
    }

    /// The next segment after the last, made ahead or now. Adds it to the list.
    pub(crate) fn next_segment(&self, base: u64) -> io::Result<Arc<Segment>> {
        let mut spare = self.spare.lock();
        let segment = match spare.take().filter(|spare| spare.base == base) {
            Some(segment) => segment,
            None => self.make(base)?,
        };
        let mut segments = self.segments.load().to_vec();
        segments.push(Arc::clone(&segment));
        self.segments.store(Arc::new(segments));
        Ok(segment)
    }

    /// Makes the segment after the last one ahead of need. Space is reserved, not written.
    pub(crate) fn make_spare(&self) -> io::Result<()> {
        let mut spare = self.spare.lock();
        let base = self.segments.load().last().map_or(self.written(), |last| last.end());
        if spare.as_ref().is_none_or(|spare| spare.base != base) {
            *spare = Some(self.make(base)?);
        }
        Ok(())
    }

    /// Removes the segment that was made ahead, as Java does on a clean stop.
    pub(crate) fn drop_spare(&self) -> io::Result<()> {
        if let Some(spare) = self.spare.lock().take() {
            self.disk.remove_file(&spare.path)?;
            self.disk.sync_dir(&self.dir)?;
        }
        Ok(())
    }

    /// Removes all segments that begin at or behind `at`, the one made ahead included, the last
    /// first. What is left has no gap at any moment.
    pub(crate) fn remove_from(&self, at: u64) -> io::Result<()> {
        let mut spare = self.spare.lock();
        let mut removed = false;
        if let Some(spare) = spare.take() {
            self.disk.remove_file(&spare.path)?;
            removed = true;
        }
        let mut segments = self.segments.load().to_vec();
        while let Some(last) = segments.last().filter(|last| at <= last.base) {
            self.disk.remove_file(&last.path)?;
            segments.pop();
            removed = true;
        }
        self.segments.store(Arc::new(segments));
        if removed { self.disk.sync_dir(&self.dir) } else { Ok(()) }
    }

    /// Empties a log without bytes, so that its first segment can begin at `at`.
    pub(crate) fn restart_at(&self, at: u64) -> io::Result<()> {
        // First: the next segment made ahead begins there.
        self.reset_ends(at);
        self.remove_from(0)
    }

    fn make(&self, base: u64) -> io::Result<Arc<Segment>> {
        let path = file_at(&self.dir, base);
        let file = self.disk.open(&path, OpenMode::Create)?;
        // Its length is made durable too: a shorter file in the middle of the log would be refused.
        if let Err(error) = file.allocate(self.segment_bytes).and_then(|()| file.sync_data()) {
            drop(file);
            // A file of the wrong length would stop Java, and us, from opening the store.
            crate::durable::remove_if_there(&*self.disk, &path)?;
            return Err(error);
        }
        self.disk.sync_dir(&self.dir)?;
        Ok(Arc::new(Segment::new(base, self.segment_bytes, path, file)))
    }

    /// Takes the oldest segment out of the list and removes its file; never the last one.
    pub(crate) fn remove_oldest(&self) -> io::Result<bool> {
        let _making = self.spare.lock();
        let segments = self.segments.load();
        let (Some(oldest), 2..) = (segments.first(), segments.len()) else { return Ok(false) };
        crate::durable::remove_if_there(&*self.disk, &oldest.path)?;
        self.segments.store(Arc::new(segments.iter().skip(1).cloned().collect()));
        self.disk.sync_dir(&self.dir)?;
        Ok(true)
    }

    /// Syncs all segments with bytes in `from..to`.
    pub(crate) fn sync(&self, from: u64, to: u64) -> io::Result<()> {
        let segments = self.segments.load();
        for segment in segments.iter().filter(|s| s.base < to && from < s.end()) {
            segment.file.sync_data()?;
        }
        Ok(())
    }

    pub(crate) fn unmap_idle(&self) {
        self.segments.load().iter().for_each(|segment| segment.unmap_if_idle());
    }
}
