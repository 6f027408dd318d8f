//! The log of a replica: bytes of another log, appended where they were there.
//!
//! What arrives may end within a record. Readers see whole records only; the rest waits, and is cut
//! off when the copying ends, so that a store is always closed at the end of a record.

use crate::checkpoint::Checkpoint;
use crate::config::RECORD_EXTRA_BYTES_MAX;
use crate::disk;
use crate::follow;
use crate::index::Entry;
use crate::log::{Log, Segment};
use crate::put::{Arrival, KeyHashes};
use crate::recovery::scan::{add_entries, add_unit, tags_code_of};
use crate::shared::{Dispatched, Shared};
use rmq_model::{LogOffset, Millis};
use rmq_record::layout::{Check, Fault, Parsed, RecordView};
use rmq_record::{layout, properties};
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Bytes that [`crate::Store::tail_check`] looks at.
const TAIL_BYTES_MAX: u64 = 64 * 1024;
/// Largest record that is waited for, if the settings allow no larger one.
const RECORD_BYTES_MAX: usize = 32 * 1024 * 1024;

/// How far a log goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogRange {
    /// First byte still there; equal to `end` when there is none.
    pub min: LogOffset,
    /// One past the last byte.
    pub end: LogOffset,
    /// One past the last byte that would survive a power cut.
    pub flushed: LogOffset,
}

/// What the bytes before some place are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TailCheck {
    /// How many.
    pub bytes: u32,
    /// Their CRC-32.
    pub crc: u32,
}

/// Why bytes were not appended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RawError {
    /// They do not follow those that are there.
    #[error("the bytes begin at {at}, the log ends at {end}")]
    Gap {
        /// Where they begin.
        at: LogOffset,
        /// Where they should.
        end: LogOffset,
    },
    /// An empty log begins with a file, and the files of both logs have the same length.
    #[error(
        "the log begins at {at}, files have {segment_bytes} bytes: mappedFileSizeCommitLog must be the master's"
    )]
    NotAFile {
        /// Where they begin.
        at: LogOffset,
        /// Length of a file here.
        segment_bytes: u64,
    },
    /// They are no records. What came since the last whole record was cut off: copy it again.
    #[error("no valid record at {at}: {fault}")]
    Damaged {
        /// Place of the record.
        at: LogOffset,
        /// What is wrong.
        fault: Fault,
    },
    /// No space. What could not be written was cut off.
    #[error("no space left on the disk of the log")]
    NoSpace,
    /// The log is closed until it is opened anew.
    #[error("the log stopped: {reason}")]
    Failed {
        /// Why.
        reason: Arc<str>,
    },
}

/// Why a log was not cut. Nothing was changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CutError {
    /// No record ends there.
    #[error("no record begins at {at}")]
    NotARecord {
        /// The place.
        at: LogOffset,
    },
    /// The place is not in the log.
    #[error("{at} is not within {min} to {end}")]
    Outside {
        /// The place.
        at: LogOffset,
        /// First byte.
        min: LogOffset,
        /// One past the last byte.
        end: LogOffset,
    },
    /// The file system failed: the log is closed until it is opened anew.
    #[error("cannot cut the log")]
    Io(#[from] io::Error),
}

/// Owns the end of a replica's log. Drop it before [`crate::Store::close`].
pub struct RawLog {
    shared: Arc<Shared>,
    /// One past the last byte that arrived.
    end: u64,
    /// End of the last whole record: from here on bytes wait in `rest`.
    whole: u64,
    rest: Vec<u8>,
    arrivals: Vec<Arrival>,
    entries: Vec<Entry>,
    time: Millis,
}

impl std::fmt::Debug for RawLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RawLog").field("end", &self.end).finish_non_exhaustive()
    }
}

impl RawLog {
    pub(crate) fn new(shared: Arc<Shared>, end: u64) -> Self {
        shared.copying.store(true, Ordering::Release);
        let time = shared.dispatched.lock().time;
        let (rest, arrivals, entries) = (Vec::new(), Vec::new(), Vec::new());
        Self { shared, end, whole: end, rest, arrivals, entries, time }
    }

    /// How far it goes, bytes of a record that is not whole included.
    pub fn range(&self) -> LogRange {
        let log = &self.shared.log;
        let end = self.end;
        LogRange {
            min: LogOffset(log.min().min(end)),
            end: LogOffset(end),
            flushed: LogOffset(log.flushed().min(end)),
        }
    }

    /// Appends bytes of the other log, which begin at `at` there, and shows whole records to
    /// readers. The first bytes of an empty log may begin at any file.
    ///
    /// # Errors
    /// [`RawError`] says what to do; after an error the log ends where [`RawLog::range`] says.
    pub fn append(&mut self, at: LogOffset, bytes: &[u8]) -> Result<(), RawError> {
        if let Some(reason) = self.shared.gate.failure() {
            return Err(RawError::Failed { reason });
        }
        if at.0 != self.end {
            let empty = self.range().min.0 == self.end;
            if !empty {
                return Err(RawError::Gap { at, end: LogOffset(self.end) });
            }
            self.begin(at)?;
        }
        if let Err(error) = self.write(bytes) {
            return Err(self.take_back(&error));
        }
        self.rest.extend_from_slice(bytes);
        let shown = self.show();
        self.tell();
        match shown {
            Ok(None) => Ok(()),
            Ok(Some((at, fault))) => {
                let whole = self.whole;
                match self.clear_from(whole) {
                    Ok(()) => Err(RawError::Damaged { at: LogOffset(at), fault }),
                    Err(error) => Err(self.fail(&error)),
                }
            }
            Err(error) => Err(self.fail(&error)),
        }
    }

    /// Returns once everything appended would survive a power cut.
    ///
    /// # Errors
    /// [`RawError::Failed`]: nothing is retried, the log is closed until it is opened anew.
    pub fn sync(&mut self) -> Result<(), RawError> {
        if let Some(reason) = self.shared.gate.failure() {
            return Err(RawError::Failed { reason });
        }
        let (log, end) = (&self.shared.log, self.end);
        let _syncing = log.syncing.lock();
        match log.sync(log.flushed(), end) {
            Ok(()) => {
                log.set_flushed(end);
                Ok(())
            }
            Err(error) => Err(self.fail(&error)),
        }
    }

    /// Cuts off everything from `to` on, durably, from log, queues and index. `to` must be the end
    /// of a record.
    ///
    /// # Errors
    /// [`CutError`]; only after [`CutError::Io`] anything was changed.
    pub fn cut(&mut self, to: LogOffset) -> Result<(), CutError> {
        let LogRange { min, end, .. } = self.range();
        if to < min || end < to {
            return Err(CutError::Outside { at: to, min, end });
        }
        if to.0 != self.whole && to != min && !self.is_record(to)? {
            return Err(CutError::NotARecord { at: to });
        }
        let cut = if to.0 < self.whole { self.cut_all(to.0) } else { self.clear_from(to.0) };
        cut.map_err(|error| {
            self.fail(&error);
            CutError::Io(error)
        })
    }

    fn fail(&self, error: &io::Error) -> RawError {
        self.shared.gate.fail(&format!("the copy of the log cannot be written: {error}"));
        let reason = self.shared.gate.failure();
        RawError::Failed { reason: reason.unwrap_or_else(|| error.to_string().into()) }
    }

    /// An empty log begins somewhere else than at its first file.
    fn begin(&mut self, at: LogOffset) -> Result<(), RawError> {
        let segment_bytes = self.shared.log.segment_bytes;
        if !at.0.is_multiple_of(segment_bytes) {
            return Err(RawError::NotAFile { at, segment_bytes });
        }
        let emptied = self.shared.log.restart_at(at.0).map_err(|error| self.fail(&error));
        emptied?;
        (self.end, self.whole) = (at.0, at.0);
        self.shared.dispatched.lock().end = at.0;
        Ok(())
    }

    fn write(&self, mut bytes: &[u8]) -> io::Result<()> {
        let log = &self.shared.log;
        let mut at = self.end;
        while !bytes.is_empty() {
            let segment = match log.segment_of(at) {
                Some(segment) => segment,
                None => {
                    if self.shared.config.flush.is_sync() {
                        // What is durable in a file follows what is durable in the one before.
                        follow::sync_log_to(&self.shared, at)?;
                    }
                    let segment = log.next_segment(at)?;
                    self.shared.upkeep.ring();
                    segment
                }
            };
            let left = usize::try_from(segment.end() - at).unwrap_or(usize::MAX);
            let (here, next) = bytes.split_at(left.min(bytes.len()));
            segment.file.write_all_at(at - segment.base, here)?;
            at += u64::try_from(here.len()).unwrap_or(0);
            bytes = next;
        }
        Ok(())
    }

    fn take_back(&mut self, error: &io::Error) -> RawError {
        let end = self.end;
        if disk::is_full(error) && self.zero_from(end).is_ok() {
            return RawError::NoSpace;
        }
        self.fail(error)
    }

    /// Shows whole records to readers. Some place and fault: there is no record.
    fn show(&mut self) -> io::Result<Option<(u64, Fault)>> {
        let arrived = u64::try_from(self.rest.len()).unwrap_or(0);
        let mut rest = std::mem::take(&mut self.rest);
        let (mut at, mut used) = (self.whole, 0_usize);
        self.end = self.whole.saturating_add(arrived);
        let bytes_max = self.shared.config.body_bytes_max.saturating_add(RECORD_EXTRA_BYTES_MAX);
        let mut wrong = None;
        while let Some(bytes) = rest.get(used..).filter(|bytes| !bytes.is_empty()) {
            let Some(segment) = self.shared.log.segment_of(at) else { break };
            match RecordView::parse(bytes, Check::full(LogOffset(at))) {
                Ok(Parsed::Record(record)) => {
                    let len = record.bytes.len();
                    self.place(&record)?;
                    used += len;
                    at += u64::try_from(len).unwrap_or(0);
                }
                Ok(Parsed::Blank(_)) => {
                    let left = usize::try_from(segment.end() - at).unwrap_or(usize::MAX);
                    if bytes.len() < left {
                        break;
                    }
                    used += left;
                    at = segment.end();
                }
                Err(Fault::Short) => {
                    let size = layout::next_size(bytes).unwrap_or(0);
                    let fits = u64::try_from(size).is_ok_and(|size| at + size <= segment.end());
                    if !fits || bytes_max.max(RECORD_BYTES_MAX) < size {
                        wrong = Some((at, Fault::Size { size }));
                    }
                    break;
                }
                Err(fault) => {
                    wrong = Some((at, fault));
                    break;
                }
            }
        }
        rest.drain(..used);
        self.rest = rest;
        self.whole = at;
        let shared = &self.shared;
        shared.log.set_written(at);
        if let Some(index) = &shared.index
            && !self.entries.is_empty()
            && shared.config.upkeep.entries_pending_max <= index.append(&mut self.entries)
        {
            shared.behind.hurry();
        }
        self.entries.clear();
        *shared.dispatched.lock() = Dispatched { end: at, time: self.time };
        shared.behind.ring();
        Ok(wrong)
    }

    /// Queue unit, index entries and news of one record.
    fn place(&mut self, record: &RecordView<'_>) -> io::Result<()> {
        let shared = &self.shared;
        let known = properties::Known::of(record.properties);
        let tags_code = tags_code_of(&shared.config, record, &known);
        self.time = record.store_timestamp;
        if shared.index.is_some() {
            add_entries(record, &known, &mut self.entries);
        }
        if !record.is_queued() {
            return Ok(());
        }
        // Readers follow a unit into the log.
        let end =
            record.log_offset.0.saturating_add(u64::try_from(record.bytes.len()).unwrap_or(0));
        shared.log.set_written(end);
        let expected = shared.queues.get(record.topic, record.queue_id);
        let in_order = expected.is_some_and(|queue| queue.max_offset() == record.queue_offset);
        // A queue that begins anew is cut: not while its files are written.
        let following = (!in_order).then(|| shared.following.lock());
        let pending = Some(&shared.units_pending);
        let queue = add_unit(&shared.queues, &shared.config, record, tags_code, pending)?;
        drop(following);
        queue.next.store(queue.max_offset(), Ordering::Relaxed);
        if !queue.dirty.swap(true, Ordering::AcqRel) {
            shared.dirty.lock().push(Arc::clone(&queue));
        }
        self.arrivals.push(Arrival {
            queue,
            queue_offset: record.queue_offset,
            log_offset: record.log_offset,
            tags_code,
            store_time: record.store_timestamp,
            record: record.bytes.to_vec(),
            properties_at: record.bytes.len() - record.properties.len(),
            queued: true,
            keys: KeyHashes::default(),
        });
        Ok(())
    }

    fn tell(&mut self) {
        if !self.arrivals.is_empty() {
            self.shared.observers.arrivals.arrived(&self.arrivals);
            self.arrivals.clear();
        }
    }

    fn is_record(&self, at: LogOffset) -> io::Result<bool> {
        let log = &self.shared.log;
        let Some(segment) = log.segment_of(at.0) else { return Ok(false) };
        if segment.base == at.0 {
            return Ok(true);
        }
        let mut bytes = Vec::new();
        let head = usize::try_from(segment.end() - at.0).unwrap_or(usize::MAX).min(8);
        if !log.read(at.0, head, &mut bytes)? {
            return Ok(false);
        }
        if matches!(RecordView::parse(&bytes, Check::default()), Ok(Parsed::Blank(_))) {
            return Ok(true);
        }
        let Some(size) = layout::next_size(&bytes) else { return Ok(false) };
        bytes.clear();
        let whole = log.read(at.0, size, &mut bytes)?;
        Ok(whole && RecordView::decode(&bytes, Check::full(at)).is_ok())
    }

    /// Cuts off bytes that are no whole record: nobody has seen them.
    fn clear_from(&mut self, to: u64) -> io::Result<()> {
        self.zero_from(to)?;
        self.end = to;
        self.whole = to.min(self.whole);
        self.rest.clear();
        self.shared.log.lower_ends(self.whole);
        Ok(())
    }

    /// Clears the log from `to` on: later files go first, so that no record of theirs can be found
    /// behind the gap.
    fn zero_from(&self, to: u64) -> io::Result<()> {
        let log = &self.shared.log;
        log.remove_from(to)?;
        if let Some(segment) = log.segment_of(to) {
            zero(&segment, to)?;
        }
        Ok(())
    }

    /// Cuts whole records off. A power cut at any point leaves a store that opens: with what is to
    /// go, or without.
    fn cut_all(&mut self, to: u64) -> io::Result<()> {
        let shared = Arc::clone(&self.shared);
        let mut following = shared.following.lock();
        // All units in files, where they can be cut.
        follow::write_queues(&shared, &mut following)?;
        follow::write_index(&shared, &mut following)?;
        // Recovery must look from here on, whatever happens next.
        following.queues_through.end = following.queues_through.end.min(to);
        following.index_through = following.index_through.min(to);
        following.synced = following.synced.min(to);
        follow::write_progress(&following, None, true)?;
        let Checkpoint { physic, logics, .. } = following.checkpoint_value();
        tracing::info!(to, end = self.end, physic, logics, "the log is cut");
        for queue in shared.queues.all() {
            queue.cut(to, false)?;
            queue.next.store(queue.max_offset(), Ordering::Release);
            following.unsynced.push(queue);
        }
        if let Some(index) = &shared.index
            && index.end_offset().is_some_and(|end| to <= end)
        {
            index.cut(to)?;
        }
        self.zero_from(to)?;
        *shared.dispatched.lock() = Dispatched { end: to, time: self.time };
        shared.log.lower_ends(to);
        (self.end, self.whole) = (to, to);
        self.rest.clear();
        follow::checkpoint(&shared, &mut following)
    }
}

impl Drop for RawLog {
    fn drop(&mut self) {
        let whole = self.whole;
        if whole < self.end
            && let Err(error) = self.clear_from(whole)
        {
            self.fail(&error);
        }
        self.shared.copying.store(false, Ordering::Release);
    }
}

fn zero(segment: &Segment, from: u64) -> io::Result<()> {
    segment.file.zero(from - segment.base, segment.len)?;
    segment.file.sync_data()
}

/// See [`crate::Store::tail_check`].
pub(crate) fn tail_check(log: &Log, to: LogOffset) -> io::Result<Option<TailCheck>> {
    let Some(segment) = to.0.checked_sub(1).and_then(|last| log.segment_of(last)) else {
        return Ok(None);
    };
    let from = to.0.saturating_sub(TAIL_BYTES_MAX).max(segment.base);
    let len = to.0 - from;
    let mut bytes = Vec::new();
    if !log.read(from, usize::try_from(len).unwrap_or(usize::MAX), &mut bytes)? {
        return Ok(None);
    }
    let bytes_read = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    Ok(Some(TailCheck { bytes: bytes_read, crc: crc32fast::hash(&bytes) }))
}
