//! The only writer of the log: run by the log's thread, or by a caller that finds it idle.
//!
//! Per message one copy into the batch buffer and 20 bytes into a queue's tail; per batch one write
//! for each mebibyte, in `SYNC_FLUSH` mode one sync, one call to each receiver of results and one
//! to the observer.

use crate::config::FlushMode;
use crate::disk;
use crate::index::Entry;
use crate::log::Segment;
use crate::put::{Answers, Arrival, Prepared, Put, PutError, PutGroup, PutOk, PutStatus};
use crate::queue::Unit;
use crate::shared::{Dispatched, Shared};
use parking_lot::Mutex;
use rmq_model::{LogOffset, Millis};
use rmq_record::{layout, property_crc};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// The buffer is written when it is this long: larger gains nothing and leaves the CPU's cache.
const CHUNK_BYTES: usize = 1024 * 1024;
/// A clock that steps back less than this is waited out, so that store times ascend in the log.
const STEP_BACK_MS: Millis = 10_000;
/// A batch that took longer met a slow disk: the next ones are stored by the log's thread.
const SLOW_BATCH: Duration = Duration::from_millis(5);
/// So many batches a caller stores before the log's thread takes over: its own connection waits.
const CALLER_BATCHES: usize = 4;

/// Owns the end of the log.
pub(crate) struct Appender {
    shared: Arc<Shared>,
    /// Where the next record goes; `None` until the first put after the last segment's end.
    segment: Option<Arc<Segment>>,
    /// Next byte of the log, the buffer included.
    end: u64,
    /// Place of the buffer's first byte.
    chunk_at: u64,
    chunk: Vec<u8>,
    last_time: Millis,
    /// This batch's messages and puts, in the order of the log.
    arrivals: Vec<Arrival>,
    placed: Vec<Placed>,
    /// How many of them are written.
    arrivals_written: usize,
    placed_written: usize,
    answers: Answers,
    entries: Vec<Entry>,
    /// Kept for its capacity.
    callers_groups: Vec<PutGroup>,
}

struct Placed {
    receiver: usize,
    token: u64,
    wait: bool,
    /// Its messages: this one and `count - 1` after it.
    first: usize,
    count: usize,
    end: u64,
}

/// Body of the log's thread: until the inbox is closed and empty.
pub(crate) fn run(shared: &Shared, appender: &Mutex<Appender>) {
    let mut groups = Vec::new();
    let mut slow = false;
    while shared.inbox.next_of_thread(&mut groups, slow) {
        slow = appender.lock().timed_batch(&mut groups);
    }
}

/// What a caller does when it is its turn: its own batch, and a few that came meanwhile.
pub(crate) fn run_as_caller(shared: &Shared, appender: &Mutex<Appender>) {
    let mut appender = appender.lock();
    let mut groups = std::mem::take(&mut appender.callers_groups);
    let mut slow = false;
    let mut batches = 0;
    while shared.inbox.next_of_caller(&mut groups, slow, batches == CALLER_BATCHES) {
        slow = appender.timed_batch(&mut groups);
        batches += 1;
    }
    appender.callers_groups = groups;
}

impl Appender {
    pub(crate) fn new(shared: Arc<Shared>, end: u64, last_time: Millis) -> Self {
        let segment = shared.log.segment_of(end);
        Self {
            shared,
            segment,
            end,
            chunk_at: end,
            chunk: Vec::new(),
            last_time,
            arrivals: Vec::new(),
            placed: Vec::new(),
            arrivals_written: 0,
            placed_written: 0,
            answers: Answers::default(),
            entries: Vec::new(),
            callers_groups: Vec::new(),
        }
    }

    /// Stores a batch. Returns whether that took so long that it should not happen on a thread which
    /// has other work.
    fn timed_batch(&mut self, groups: &mut Vec<PutGroup>) -> bool {
        let began = self.shared.clock.monotonic();
        self.batch(groups);
        SLOW_BATCH < self.shared.clock.monotonic().saturating_sub(began)
    }

    /// Takes all that waits now; false if nothing does.
    pub(crate) fn step(&mut self) -> bool {
        let shared = Arc::clone(&self.shared);
        let mut groups = Vec::new();
        let some = shared.inbox.take_now(&mut groups);
        if some {
            self.batch(&mut groups);
        }
        some
    }

    fn batch(&mut self, groups: &mut Vec<PutGroup>) {
        let time = self.store_time();
        let refusal = self.refusal();
        for group in groups.drain(..) {
            let receiver = self.answers.receiver(&group.done);
            for put in group.puts {
                let token = put.token;
                let refused = match (&refusal, self.shared.gate.failure()) {
                    (Some(refusal), _) => Err(refusal.clone()),
                    (None, Some(reason)) => Err(PutError::Failed { reason }),
                    (None, None) => self.place(put, receiver, time),
                };
                if let Err(error) = refused {
                    self.answers.push(receiver, (token, Err(error)));
                }
            }
        }
        // An error was answered to each put it concerns.
        self.write_chunk().ok();
        self.finish(time);
        self.answers.deliver();
        if !self.arrivals.is_empty() {
            self.shared.observers.arrivals.arrived(&self.arrivals);
        }
        self.answers.clear();
        self.arrivals.clear();
        self.placed.clear();
        (self.arrivals_written, self.placed_written) = (0, 0);
        if CHUNK_BYTES * 2 < self.chunk.capacity() {
            self.chunk = Vec::new(); // after a huge message
        }
    }

    fn store_time(&mut self) -> Millis {
        let now = self.shared.clock.now();
        if now < self.last_time && self.last_time - now <= STEP_BACK_MS {
            return self.last_time;
        }
        self.last_time = now;
        now
    }

    fn refusal(&self) -> Option<PutError> {
        let shared = &self.shared;
        let pending = shared.units_pending.load(Ordering::Relaxed);
        let bound = shared.config.upkeep.units_pending_max;
        if bound <= pending {
            shared.behind.hurry();
            if shared.gate.queues_failing() || bound.saturating_mul(4) <= pending {
                return Some(PutError::QueuesBehind);
            }
        }
        shared.gate.refusal(shared.retention.load().warning_percent)
    }

    /// Gives a put its place in the log and copies it into the buffer.
    fn place(&mut self, put: Put, receiver: usize, time: Millis) -> Result<(), PutError> {
        let bytes = put.messages.bytes();
        if bytes == 0 {
            return Err(PutError::IllegalMessage { reason: "the batch is empty".into() });
        }
        let segment_bytes = self.shared.log.segment_bytes;
        let needed = u64::try_from(bytes + layout::BLANK_BYTES_MIN).unwrap_or(u64::MAX);
        if segment_bytes < needed {
            let reason = format!("{bytes} bytes do not fit into a segment of {segment_bytes}");
            return Err(PutError::IllegalMessage { reason });
        }
        self.make_room(needed)?;
        let first = self.arrivals.len();
        match put.messages {
            crate::put::OneOrMany::One(one) => self.copy(one, time),
            crate::put::OneOrMany::Many(many) => {
                many.into_iter().for_each(|one| self.copy(one, time));
            }
        }
        let count = self.arrivals.len() - first;
        let (token, wait) = (put.token, put.wait);
        self.placed.push(Placed { receiver, token, wait, first, count, end: self.end });
        if CHUNK_BYTES <= self.chunk.len() {
            // The put has been answered already if this fails.
            self.write_chunk().ok();
        }
        Ok(())
    }

    /// Moves to the next segment if `needed` bytes are not left in this one.
    fn make_room(&mut self, needed: u64) -> Result<(), PutError> {
        if let Some(segment) = &self.segment {
            let left = segment.end().saturating_sub(self.end);
            if needed <= left {
                return Ok(());
            }
            let blank = layout::blank(u32::try_from(left).unwrap_or(u32::MAX));
            let fits = usize::try_from(left).unwrap_or(blank.len()).min(blank.len());
            let next = segment.end();
            self.chunk.extend_from_slice(blank.get(..fits).unwrap_or_default());
            self.write_chunk()?;
            if self.shared.config.flush.is_sync() {
                // What is durable in the next segment must follow what is durable in this one.
                self.sync_log(next)?;
            }
            self.end = next;
            self.chunk_at = next;
            self.segment = None;
        }
        match self.shared.log.next_segment(self.end) {
            Ok(segment) => {
                self.segment = Some(segment);
                self.shared.upkeep.ring();
                Ok(())
            }
            Err(error) if disk::is_full(&error) => Err(PutError::NoSpace),
            Err(error) => {
                let reason = format!("cannot make a segment: {error}");
                self.shared.gate.fail(&reason);
                Err(PutError::Failed { reason: reason.into() })
            }
        }
    }

    fn copy(&mut self, message: Prepared, time: Millis) {
        let Prepared { queue, mut record, properties_at, tags_code, delay, queued, keys } = message;
        let queue = if queue.is_deleted() {
            self.shared.queues.get_or_make(queue.topic(), queue.id())
        } else {
            queue
        };
        let queue_offset = if queued { queue.next.load(Ordering::Relaxed) } else { 0 };
        if queued {
            queue.next.store(queue_offset.saturating_add(1), Ordering::Relaxed);
        }
        let log_offset = LogOffset(self.end);
        layout::place(&mut record, queue_offset, log_offset, time);
        if self.shared.config.property_crc {
            property_crc::seal(&mut record);
        }
        self.chunk.extend_from_slice(&record);
        self.end += u64::try_from(record.len()).unwrap_or(0);
        self.arrivals.push(Arrival {
            queue,
            queue_offset,
            log_offset,
            tags_code: delay.map_or(tags_code, |delay| time.saturating_add(delay)),
            store_time: time,
            record,
            properties_at,
            queued,
            keys,
        });
    }

    /// Writes the buffer. On an error the puts in it are answered and taken back.
    fn write_chunk(&mut self) -> Result<(), PutError> {
        if self.chunk.is_empty() {
            return Ok(());
        }
        let Some(segment) = self.segment.clone() else {
            self.chunk.clear();
            return Ok(());
        };
        let at = self.chunk_at.saturating_sub(segment.base);
        match segment.file.write_all_at(at, &self.chunk) {
            Ok(()) => {
                self.arrivals_written = self.arrivals.len();
                self.placed_written = self.placed.len();
                self.chunk_at = self.end;
                self.chunk.clear();
                Ok(())
            }
            Err(error) => Err(self.take_back(&segment, &error)),
        }
    }

    fn take_back(&mut self, segment: &Segment, error: &std::io::Error) -> PutError {
        let from = self.chunk_at.saturating_sub(segment.base);
        let to = from + u64::try_from(self.chunk.len()).unwrap_or(0);
        let outcome = if disk::is_full(error) && wipe(segment, from, to) {
            PutError::NoSpace
        } else {
            let reason = format!("cannot write {}: {error}", segment.path.display());
            self.shared.gate.fail(&reason);
            PutError::Failed { reason: reason.into() }
        };
        for arrival in self.arrivals.drain(self.arrivals_written..).rev().filter(|a| a.queued) {
            arrival.queue.next.store(arrival.queue_offset, Ordering::Relaxed);
        }
        for put in self.placed.drain(self.placed_written..) {
            self.answers.push(put.receiver, (put.token, Err(outcome.clone())));
        }
        self.chunk.clear();
        self.end = self.chunk_at;
        outcome
    }

    /// Makes what is written durable where that was asked for, shows it to readers, and answers.
    fn finish(&mut self, time: Millis) {
        if self.arrivals.is_empty() {
            return;
        }
        let shared = Arc::clone(&self.shared);
        if let FlushMode::Sync { timeout } = shared.config.flush {
            self.answer(|put| !put.wait);
            self.answers.deliver();
            self.answer(|_| true);
            let deadline = shared.clock.monotonic().saturating_add(timeout);
            shared.syncing.begin(deadline, std::mem::take(&mut self.answers));
            shared.flusher.ring();
            // A failure shuts the gate.
            self.sync_log(self.end).ok();
            self.answers = shared.syncing.end(shared.clock.monotonic());
        } else {
            self.answer(|_| true);
        }
        if let Some(reason) = shared.gate.failure() {
            // Some of it may be on the disk: recovery decides, nobody is told it is stored.
            self.answers.fail(&reason);
            self.arrivals.clear();
            return;
        }
        self.show(time);
    }

    fn sync_log(&mut self, end: u64) -> Result<(), PutError> {
        let log = &self.shared.log;
        match log.sync(log.flushed(), end) {
            Ok(()) => {
                log.set_flushed(end);
                Ok(())
            }
            Err(error) => {
                let reason = format!("cannot sync the log: {error}");
                self.shared.gate.fail(&reason);
                Err(PutError::Failed { reason: reason.into() })
            }
        }
    }

    /// Makes the batch readable: log, queues, index, in this order.
    fn show(&mut self, time: Millis) {
        let shared = &self.shared;
        shared.log.set_written(self.end);
        // Counted before the thread that writes them out can see the first.
        let units = self.arrivals.iter().filter(|arrival| arrival.queued).count();
        shared.units_pending.fetch_add(units, Ordering::Relaxed);
        for arrival in &self.arrivals {
            if arrival.queued {
                let unit = Unit {
                    log_offset: arrival.log_offset.0,
                    size: u32::try_from(arrival.record.len()).unwrap_or(u32::MAX),
                    tags_code: arrival.tags_code,
                };
                arrival.queue.append(arrival.queue_offset, unit, time);
                if !arrival.queue.dirty.swap(true, Ordering::AcqRel) {
                    shared.dirty.lock().push(Arc::clone(&arrival.queue));
                }
            }
            let log_offset = arrival.log_offset.0;
            let entry = |hash| Entry { hash, log_offset, store_time: time };
            self.entries.extend(arrival.keys.iter().map(entry));
        }
        if let Some(index) = &shared.index
            && !self.entries.is_empty()
            && shared.config.upkeep.entries_pending_max <= index.append(&mut self.entries)
        {
            shared.behind.hurry();
        }
        self.entries.clear();
        *shared.dispatched.lock() = Dispatched { end: self.end, time };
        shared.behind.ring();
    }

    /// Makes the answers of puts that are stored as safely as they asked for.
    fn answer(&mut self, which: impl Fn(&Placed) -> bool) {
        let mut kept = Vec::new();
        for put in self.placed.drain(..) {
            if !which(&put) {
                kept.push(put);
                continue;
            }
            let messages = self.arrivals.get(put.first..put.first + put.count);
            let Some((first, rest)) = messages.and_then(|messages| messages.split_first()) else {
                continue;
            };
            let log_offsets = if rest.is_empty() {
                Vec::new()
            } else {
                std::iter::once(first).chain(rest).map(|message| message.log_offset).collect()
            };
            let ok = PutOk {
                log_offset: first.log_offset,
                log_offsets,
                queue_offset: first.queue_offset,
                store_time: first.store_time,
                end: LogOffset(put.end),
                status: PutStatus::Stored,
            };
            self.answers.push(put.receiver, (put.token, Ok(ok)));
        }
        self.placed = kept;
    }
}

/// Clears what a write left behind when the disk was full, so that recovery does not find a message
/// that was refused, also not after a power cut. False if that is not sure.
fn wipe(segment: &Segment, from: u64, to: u64) -> bool {
    // Writes go from front to back: behind the first byte without space nothing was written.
    let mut at = from;
    while at < to {
        let end = to.min(at + 4096);
        match disk::write_zeros(&*segment.file, at, end) {
            Ok(()) => at = end,
            Err(error) if disk::is_full(&error) => break,
            Err(_) => return false,
        }
    }
    segment.file.sync_data().is_ok()
}
