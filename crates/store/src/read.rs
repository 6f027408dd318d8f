//! Reading messages of a queue.

use crate::queue::{Queue, Unit};
use crate::shared::Shared;
use bytes::Bytes;
use rmq_model::{LogOffset, Millis, ReadStatus};
use rmq_record::layout::{self, MAGIC_V1, MAGIC_V2};
use std::io;

/// How much one read returns. [`ReadLimits::default`] has the reference implementation's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadLimits {
    /// Most messages, as the request says.
    pub messages_max: usize,
    /// Most bytes, as the request says. One message is returned even if it is longer.
    pub bytes_max: usize,
    /// Most messages while they are near the log's end.
    pub memory_messages_max: usize,
    /// Most bytes while they are near the log's end.
    pub memory_bytes_max: usize,
    /// Most messages from further back.
    pub disk_messages_max: usize,
    /// Most bytes from further back.
    pub disk_bytes_max: usize,
    /// `maxFilterMessageSize`: bytes of units that are looked at, at least 20 for each message
    /// asked for.
    pub scan_bytes_max: usize,
}

impl Default for ReadLimits {
    fn default() -> Self {
        Self {
            messages_max: 32,
            bytes_max: usize::MAX,
            memory_messages_max: 32,
            memory_bytes_max: 256 * 1024,
            disk_messages_max: 8,
            disk_bytes_max: 64 * 1024,
            scan_bytes_max: 16_000,
        }
    }
}

/// Messages of a queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadResult {
    /// What became of it.
    pub status: ReadStatus,
    /// Where to read next.
    pub next_offset: i64,
    /// First message still there.
    pub min_offset: i64,
    /// One past the last message.
    pub max_offset: i64,
    /// Records as stored, one after the other.
    pub records: Bytes,
    /// How many.
    pub count: usize,
    /// Length of each record in `records`.
    pub sizes: Vec<u32>,
    /// All of them are near the log's end.
    pub in_memory: bool,
    /// Distance of the last record looked at from the log's end, in bytes.
    pub behind_bytes: u64,
}

/// Which edge [`crate::Store::offset_by_time`] looks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Boundary {
    /// First message stored at or after the time.
    Lower,
    /// Last message stored at or before the time.
    Upper,
}

/// Looks at the record itself, after the tags code matched.
pub type RecordFilter<'a> = dyn FnMut(&[u8]) -> bool + 'a;

pub(crate) fn to_wire(offset: u64) -> i64 {
    LogOffset(offset).to_wire()
}

struct Gathered {
    records: Vec<u8>,
    sizes: Vec<u32>,
    /// Adjacent matched records not copied yet.
    run: Option<(u64, usize)>,
    bytes: usize,
    /// Sizes within `run`.
    run_sizes: Vec<u32>,
}

impl Gathered {
    /// Copies the run; returns how many of its records are not there, because their segment is gone
    /// or the place holds something else.
    fn flush(&mut self, shared: &Shared, queue: &Queue) -> io::Result<usize> {
        let Some((at, len)) = self.run.take() else { return Ok(0) };
        let sizes = std::mem::take(&mut self.run_sizes);
        if self.copy(shared, at, len, &sizes)? {
            self.sizes.extend(sizes);
            return Ok(0);
        }
        // One bad record must not hide its neighbours.
        let (mut missing, mut at) = (0, at);
        for size in sizes {
            let len = usize::try_from(size).unwrap_or(0);
            if self.copy(shared, at, len, &[size])? {
                self.sizes.push(size);
            } else {
                self.bytes -= len;
                missing += 1;
                if shared.log.min() <= at {
                    shared.damage.passed(queue, at);
                }
            }
            at = at.saturating_add(u64::from(size));
        }
        Ok(missing)
    }

    fn copy(&mut self, shared: &Shared, at: u64, len: usize, sizes: &[u32]) -> io::Result<bool> {
        let start = self.records.len();
        let copied = shared.log.read(at, len, &mut self.records)?;
        let good = copied && are_records(self.records.get(start..).unwrap_or_default(), sizes);
        if !good {
            self.records.truncate(start);
        }
        Ok(good)
    }
}

/// A unit could point to anything if a queue file is damaged: never hand out what is no record.
fn are_records(mut bytes: &[u8], sizes: &[u32]) -> bool {
    for size in sizes {
        let Some((record, rest)) =
            usize::try_from(*size).ok().and_then(|size| bytes.split_at_checked(size))
        else {
            return false;
        };
        if !is_record(record) {
            return false;
        }
        bytes = rest;
    }
    bytes.is_empty()
}

fn is_record(bytes: &[u8]) -> bool {
    let magic =
        bytes.get(4..8).and_then(|magic| magic.first_chunk()).map(|m| u32::from_be_bytes(*m));
    layout::next_size(bytes) == Some(bytes.len()) && matches!(magic, Some(MAGIC_V1 | MAGIC_V2))
}

/// See [`crate::Store::read`].
pub(crate) fn read(
    shared: &Shared,
    queue: Option<&Queue>,
    from: i64,
    limits: &ReadLimits,
    want: &mut dyn FnMut(i64) -> bool,
    mut want_record: Option<&mut RecordFilter<'_>>,
) -> io::Result<ReadResult> {
    let mut result = ReadResult {
        status: ReadStatus::NoMatchedLogicQueue,
        next_offset: 0,
        min_offset: 0,
        max_offset: 0,
        records: Bytes::new(),
        count: 0,
        sizes: Vec::new(),
        in_memory: true,
        behind_bytes: 0,
    };
    let Some(queue) = queue else { return Ok(result) };
    let (min, max) = (queue.min_offset(), queue.max_offset());
    (result.min_offset, result.max_offset) = (to_wire(min), to_wire(max));
    let offset = u64::try_from(from).unwrap_or(0);
    (result.status, result.next_offset) = if max == 0 {
        (ReadStatus::NoMessageInQueue, 0)
    } else if from < result.min_offset {
        (ReadStatus::OffsetTooSmall, result.min_offset)
    } else if offset == max {
        (ReadStatus::OffsetOverflowOne, from)
    } else if max < offset {
        (ReadStatus::OffsetOverflowBadly, result.max_offset)
    } else {
        (ReadStatus::NoMatchedMessage, from)
    };
    if result.status != ReadStatus::NoMatchedMessage {
        return Ok(result);
    }

    let log_end = shared.log.written();
    let scan_units = (limits.scan_bytes_max / 20).max(limits.messages_max).max(1);
    let mut looked_at = 0;
    let mut next = offset;
    let mut units: Vec<Unit> = Vec::new();
    let mut got = Gathered {
        records: Vec::new(),
        sizes: Vec::new(),
        run: None,
        bytes: 0,
        run_sizes: Vec::new(),
    };
    let mut count = 0;
    // Records below were deleted with their segment.
    let mut gone_below = 0;
    'scan: while next < max && looked_at < scan_units {
        units.clear();
        // Unfiltered reads need no more units than messages.
        let ask = if looked_at == 0 { limits.messages_max.max(1) } else { scan_units };
        queue.units(next, ask.min(scan_units - looked_at), &mut units)?;
        if units.is_empty() {
            if count == 0 {
                result.status = ReadStatus::OffsetFoundNull;
                next = queue.next_file(next).min(max);
            }
            break;
        }
        for unit in &units {
            let size = usize::try_from(unit.size).unwrap_or(usize::MAX);
            let behind = log_end.saturating_sub(unit.log_offset);
            let in_memory = behind <= shared.config.memory_bytes;
            if is_full(limits, count, got.bytes, size, in_memory) {
                break 'scan;
            }
            looked_at += 1;
            next += 1;
            result.behind_bytes = behind;
            if unit.is_pre_blank() || unit.log_offset < gone_below {
                continue;
            }
            if !want(unit.tags_code) {
                continue;
            }
            let adjacent =
                got.run.is_some_and(|(at, len)| at.saturating_add(len as u64) == unit.log_offset);
            if !adjacent || want_record.is_some() {
                let missing = got.flush(shared, queue)?;
                if missing > 0 {
                    count -= missing;
                    gone_below = shared.log.min();
                }
            }
            // A damaged unit must not make us read gigabytes.
            if log_end < unit.end() {
                shared.damage.passed(queue, unit.log_offset);
                continue;
            }
            let (at, len) = got.run.unwrap_or((unit.log_offset, 0));
            got.run = Some((at, len + size));
            got.run_sizes.push(unit.size);
            got.bytes += size;
            count += 1;
            if let Some(want_record) = &mut want_record {
                let before = got.records.len();
                if got.flush(shared, queue)? > 0 {
                    count -= 1;
                    gone_below = shared.log.min();
                } else if !want_record(got.records.get(before..).unwrap_or_default()) {
                    got.records.truncate(before);
                    got.sizes.pop();
                    got.bytes -= size;
                    count -= 1;
                    continue;
                }
            }
            result.in_memory &= in_memory;
        }
    }
    let missing = got.flush(shared, queue)?;
    count -= missing;
    let gone = missing > 0 || gone_below > 0;
    result.count = count;
    result.sizes = got.sizes;
    result.records = got.records.into();
    result.next_offset = to_wire(next);
    if count > 0 {
        result.status = ReadStatus::Found;
    } else if gone && result.status == ReadStatus::NoMatchedMessage {
        result.status = ReadStatus::MessageWasRemoving;
    }
    Ok(result)
}

/// The rule of the reference: at least one message, then the first limit that is reached.
fn is_full(limits: &ReadLimits, count: usize, bytes: usize, next: usize, in_memory: bool) -> bool {
    if count == 0 {
        return false;
    }
    let (messages_max, bytes_max) = if in_memory {
        (limits.memory_messages_max, limits.memory_bytes_max)
    } else {
        (limits.disk_messages_max, limits.disk_bytes_max)
    };
    limits.messages_max.min(messages_max) <= count
        || limits.bytes_max.min(bytes_max) < bytes.saturating_add(next)
}

/// Store time of the record at `unit`; `None` if it is not there.
pub(crate) fn store_time(shared: &Shared, unit: Unit) -> io::Result<Option<Millis>> {
    if unit.is_pre_blank() {
        return Ok(None);
    }
    let mut head = Vec::with_capacity(80);
    let size = usize::try_from(unit.size).unwrap_or(0).min(80);
    if !shared.log.read(unit.log_offset, size, &mut head)? {
        return Ok(None);
    }
    Ok(layout::store_time_of(&head))
}

/// See [`crate::Store::offset_by_time`].
pub(crate) fn offset_by_time(
    shared: &Shared,
    queue: &Queue,
    time: Millis,
    boundary: Boundary,
) -> io::Result<u64> {
    let (min, max) = (queue.min_offset(), queue.max_offset());
    // First message with a store time of at least (lower) or above (upper) the given.
    let (mut low, mut high) = (min, max);
    while low < high {
        let middle = low + (high - low) / 2;
        let stored = match queue.unit_at(middle)? {
            Some(unit) => store_time(shared, unit)?,
            None => None,
        };
        let before = match (stored, boundary) {
            (Some(stored), Boundary::Lower) => stored < time,
            (Some(stored), Boundary::Upper) => stored <= time,
            (None, _) => true,
        };
        if before {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    Ok(match boundary {
        Boundary::Lower => low,
        Boundary::Upper if low == min => 0,
        Boundary::Upper => low - 1,
    })
}
