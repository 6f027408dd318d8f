//! Reading the log from front to back.

use super::{PENDING_MAX, Recovered, Recovery, SEARCH_BYTES_MAX};
use crate::config::StoreConfig;
use crate::index::{self, Entry, Index};
use crate::log::Segment;
use crate::queue::{Queue, Unit};
use crate::queues::QueueTable;
use rmq_model::{LogOffset, Millis};
use rmq_record::layout::{Check, Fault, MAGIC_V1, MAGIC_V2, Parsed, RecordView};
use rmq_record::{properties, tags};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Store time of a segment's first record, if that is valid.
pub(super) fn first_record_time(segment: &Segment) -> Option<Millis> {
    let mut reader = Reader::new(segment, segment.base);
    let bytes = reader.record().ok()??;
    match RecordView::parse(bytes, Check::full(LogOffset(segment.base))) {
        Ok(Parsed::Record(record)) => Some(record.store_timestamp),
        Ok(Parsed::Blank(_)) | Err(_) => None,
    }
}

/// Store time of the next valid record behind `at` in the segment, looked for not too far.
pub(super) fn next_record_time(segment: &Segment, at: u64) -> io::Result<Option<Millis>> {
    let found = next_record(segment, at, at.saturating_add(SEARCH_BYTES_MAX))?;
    Ok(found.map(|(_, time)| time))
}

/// Place and store time of the next valid record behind `at` in the segment that begins before
/// `limit`.
pub(crate) fn next_record(
    segment: &Segment,
    at: u64,
    limit: u64,
) -> io::Result<Option<(u64, Millis)>> {
    const STEP: u64 = 1024 * 1024;
    let limit = segment.end().min(limit);
    let mut from = at + 1;
    let mut bytes = Vec::new();
    while from + 8 <= limit {
        // Windows overlap, so that a magic is never cut in two.
        let len = (limit - from).min(STEP + 7);
        bytes.resize(usize::try_from(len).unwrap_or(0), 0);
        segment.file.read_exact_at(from - segment.base, &mut bytes)?;
        from += STEP;
        if bytes.iter().all(|byte| *byte == 0) {
            continue;
        }
        for (word, place) in bytes.windows(8).zip(from - STEP..) {
            let magic = word.last_chunk().map(|magic| u32::from_be_bytes(*magic));
            if !matches!(magic, Some(MAGIC_V1 | MAGIC_V2)) {
                continue;
            }
            let mut reader = Reader::new(segment, place);
            if let Some(bytes) = reader.record()?
                && let Ok(Parsed::Record(record)) =
                    RecordView::parse(bytes, Check::full(LogOffset(place)))
            {
                return Ok(Some((place, record.store_timestamp)));
            }
        }
    }
    Ok(None)
}

/// Reads a segment from a place on, in large pieces.
pub(crate) struct Reader<'a> {
    segment: &'a Segment,
    /// Place in the log of the buffer's first byte.
    at: u64,
    buffer: Vec<u8>,
    used: usize,
}

impl<'a> Reader<'a> {
    const READ_BYTES: u64 = 1024 * 1024;

    pub(crate) fn new(segment: &'a Segment, at: u64) -> Self {
        Self { segment, at, buffer: Vec::new(), used: 0 }
    }

    pub(crate) fn place(&self) -> u64 {
        self.at + u64::try_from(self.used).unwrap_or(0)
    }

    pub(crate) fn skip(&mut self, bytes: usize) {
        self.used += bytes;
    }

    /// Bytes from the present place on: the whole record, or what is left of the segment. `None`
    /// at the segment's end.
    pub(crate) fn record(&mut self) -> io::Result<Option<&[u8]>> {
        let left = self.segment.end().saturating_sub(self.place());
        if left == 0 {
            return Ok(None);
        }
        let have = self.buffer.len() - self.used;
        if (have as u64) < left.min(8) {
            self.fill(Self::READ_BYTES)?;
        }
        let rest = self.buffer.get(self.used..).unwrap_or_default();
        let size = rmq_record::layout::next_size(rest).unwrap_or(0) as u64;
        if (rest.len() as u64) < size.min(left) && is_magic(rest) {
            self.fill(size.max(Self::READ_BYTES))?;
        }
        Ok(Some(self.buffer.get(self.used..).unwrap_or_default()))
    }

    fn fill(&mut self, bytes: u64) -> io::Result<()> {
        let place = self.place();
        let len = bytes.min(self.segment.end() - place);
        self.buffer.resize(usize::try_from(len).unwrap_or(0), 0);
        self.segment.file.read_exact_at(place - self.segment.base, &mut self.buffer)?;
        self.at = place;
        self.used = 0;
        Ok(())
    }
}

/// Whether the record's text was written in part. The CRC covers the body alone: where the power or
/// the process went in the middle of a write, zeros may stand in topic and properties, at the
/// record's end or for whole sectors.
fn is_torn(record: &RecordView<'_>, segment_base: u64) -> bool {
    const SECTOR: u64 = 512;
    if record.topic.contains('\0') {
        return true;
    }
    if !record.properties.contains(&0) {
        return false;
    }
    let at = record.log_offset.0.saturating_sub(segment_base);
    let before = record.bytes.len().saturating_sub(record.properties.len());
    let start = at.saturating_add(u64::try_from(before).unwrap_or(0));
    let mut zeros = None;
    for (byte, place) in record.properties.iter().zip(start..) {
        match (*byte, zeros) {
            (0, None) => zeros = Some(place),
            (0, Some(_)) | (_, None) => {}
            (_, Some(from)) => {
                let whole = from == start || from.is_multiple_of(SECTOR);
                if whole && place.is_multiple_of(SECTOR) {
                    return true;
                }
                zeros = None;
            }
        }
    }
    zeros.is_some()
}

fn is_magic(bytes: &[u8]) -> bool {
    let magic = bytes.get(4..8).and_then(|m| m.first_chunk()).map(|m| u32::from_be_bytes(*m));
    matches!(magic, Some(MAGIC_V1 | MAGIC_V2))
}

/// Reads the log and puts what it finds into queues and index.
pub(super) struct Scan<'a> {
    recovery: &'a Recovery<'a>,
    index_end: Option<u64>,
    entries: Vec<Entry>,
    units: usize,
    dirty: Vec<Arc<Queue>>,
    pub(super) out: Recovered,
}

impl<'a> Scan<'a> {
    /// Queues and index name everything below `start`.
    pub(super) fn new(recovery: &'a Recovery<'a>, start: u64) -> Self {
        Self {
            recovery,
            index_end: recovery.index.and_then(Index::end_offset),
            entries: Vec::new(),
            units: 0,
            dirty: Vec::new(),
            out: Recovered { end: start, last_time: 0, dispatched: 0 },
        }
    }

    /// Reads on until something is no record; says what, or `None` at the end of the last file.
    pub(super) fn run(&mut self, segments: &[Arc<Segment>]) -> io::Result<Option<Fault>> {
        let start = self.out.end;
        let unsure = self.recovery.evidence.unsure_from();
        for segment in segments.iter().filter(|segment| start < segment.end()) {
            let mut reader = Reader::new(segment, start.max(segment.base));
            loop {
                let at = reader.place();
                let Some(bytes) = reader.record()? else { break };
                match RecordView::parse(bytes, Check::full(LogOffset(at))) {
                    Ok(Parsed::Record(record))
                        if unsure <= at && is_torn(&record, segment.base) =>
                    {
                        return Ok(Some(Fault::Field { field: "topic or properties" }));
                    }
                    Ok(Parsed::Record(record)) => {
                        let len = record.bytes.len();
                        self.record(&record)?;
                        self.out.end = at + len as u64;
                        self.recovery.progress.reached(self.out.end - start);
                        reader.skip(len);
                    }
                    Ok(Parsed::Blank(_)) => {
                        self.out.end = segment.end();
                        break;
                    }
                    Err(fault) => return Ok(Some(fault)),
                }
            }
        }
        Ok(None)
    }

    fn record(&mut self, record: &RecordView<'_>) -> io::Result<()> {
        self.out.last_time = record.store_timestamp;
        self.out.dispatched += 1;
        let recovery = self.recovery;
        let known = properties::Known::of(record.properties);
        if record.is_queued() {
            let tags_code = tags_code_of(recovery.config, record, &known);
            let queue = add_unit(recovery.queues, recovery.config, record, tags_code, None)?;
            self.units += 1;
            if !queue.dirty.swap(true, Ordering::AcqRel) {
                self.dirty.push(queue);
            }
        }
        let is_new = self.index_end.is_none_or(|end| end < record.log_offset.0);
        if recovery.index.is_some() && is_new {
            add_entries(record, &known, &mut self.entries);
        }
        if PENDING_MAX <= self.units.max(self.entries.len()) {
            self.write()?;
        }
        Ok(())
    }

    /// Writes units and entries that are only in memory.
    pub(super) fn write(&mut self) -> io::Result<()> {
        for queue in self.dirty.drain(..) {
            queue.dirty.store(false, Ordering::Release);
            queue.write_out(&mut 0)?;
        }
        self.units = 0;
        if let Some(index) = self.recovery.index
            && !self.entries.is_empty()
        {
            index.append(&mut self.entries);
            index.apply(self.recovery.now)?;
        }
        Ok(())
    }
}

/// What a record's unit is filtered by; of a delayed message the time it is due.
pub(crate) fn tags_code_of(
    config: &StoreConfig,
    record: &RecordView<'_>,
    known: &properties::Known<'_>,
) -> i64 {
    if record.topic == rmq_model::name::SCHEDULE_TOPIC && known.delay_level() > 0 {
        return record.store_timestamp.saturating_add(config.delay_of(known.delay_level()));
    }
    known.tags.map_or(0, tags::tags_code)
}

/// Adds the index entries of a record's keys.
pub(crate) fn add_entries(
    record: &RecordView<'_>,
    known: &properties::Known<'_>,
    entries: &mut Vec<Entry>,
) {
    if record.transaction() == rmq_model::sysflag::TRANSACTION_ROLLBACK {
        return;
    }
    let topic = index::topic_hash(record.topic);
    let (log_offset, store_time) = (record.log_offset.0, record.store_timestamp);
    let keys = known.uniq_key.into_iter().chain(known.key_list());
    let entry = |key| Entry { hash: index::key_hash(topic, key), log_offset, store_time };
    entries.extend(keys.map(entry));
}

/// Adds the unit of a record to its queue, wherever the record says that it belongs, and returns
/// the queue. `pending` counts units that are only in memory.
pub(crate) fn add_unit(
    queues: &QueueTable,
    config: &StoreConfig,
    record: &RecordView<'_>,
    tags_code: i64,
    pending: Option<&AtomicUsize>,
) -> io::Result<Arc<Queue>> {
    let write_out = |queue: &Queue| {
        let mut written = 0;
        let outcome = queue.write_out(&mut written);
        pending.inspect(|pending| _ = pending.fetch_sub(written, Ordering::Relaxed));
        outcome
    };
    let append = |queue: &Queue, offset, unit| {
        // Counted before the thread that writes units out can see it.
        pending.inspect(|pending| _ = pending.fetch_add(1, Ordering::Relaxed));
        queue.append(offset, unit, record.store_timestamp);
    };
    let (topic, id) = (record.topic, record.queue_id);
    let queue = match queues.get(topic, id) {
        Some(queue) => queue,
        None => queues.get_or_make(&topic.into(), id),
    };
    let next = queue.max_offset();
    let offset = record.queue_offset;
    let empty = queue.min_offset() == next;
    if offset < next {
        // The topic was deleted and made again: the later record counts.
        tracing::warn!(topic, queue = id, next, offset, "queue restarts at an earlier offset");
        write_out(&queue)?;
        queue.cut_to(offset)?;
    } else if (empty && next < offset) || next.saturating_add(config.units_per_file()) < offset {
        if !empty {
            tracing::warn!(
                topic,
                queue = id,
                next,
                offset,
                "queue restarts at a later offset, the part before is lost"
            );
        }
        write_out(&queue)?;
        queue.cut_to(0)?;
        queue.start_at(offset);
    }
    for missing in queue.max_offset()..offset {
        append(&queue, missing, Unit::PRE_BLANK);
    }
    let size = u32::try_from(record.bytes.len()).unwrap_or(u32::MAX);
    let unit = Unit { log_offset: record.log_offset.0, size, tags_code };
    append(&queue, offset, unit);
    Ok(queue)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rmq_record::{Message, layout};

    fn record(properties: &[u8]) -> Vec<u8> {
        let message = Message {
            topic: "T".into(),
            queue_id: 0,
            flag: 0,
            sys_flag: 0,
            born_timestamp: 1,
            born_host: ([127, 0, 0, 1], 1).into(),
            store_host: ([127, 0, 0, 1], 1).into(),
            reconsume_times: 0,
            prepared_transaction_offset: 0,
            body: bytes::Bytes::from_static(b"body"),
            properties: bytes::Bytes::copy_from_slice(properties),
        };
        let mut record = Vec::new();
        layout::encode(&message, false, &mut record).unwrap();
        layout::place(&mut record, 0, LogOffset(4096), 1);
        record
    }

    fn torn(record: &[u8]) -> bool {
        let view = RecordView::decode(record, Check::full(LogOffset(4096))).unwrap();
        is_torn(&view, 4096)
    }

    #[test]
    fn zeros_where_a_write_stopped_are_no_text() {
        let long = format!("a\x01{}\x02", "x".repeat(1500));
        let whole = record(long.as_bytes());
        assert!(!torn(&whole));
        let len = whole.len();
        for (from, to) in [(len - 1, len), (len - 700, len), (512, 1024), (1024, len), (512, 1536)]
        {
            let mut cut = whole.clone();
            cut[from..to].fill(0);
            assert!(torn(&cut), "{from}..{to}");
        }
        // What an application may have written.
        for (from, to) in [(200, 201), (512, 513), (300, 512), (700, 1024)] {
            let mut own = whole.clone();
            own[from..to].fill(0);
            assert!(!torn(&own), "{from}..{to}");
        }
        let mut topic = record(b"a\x01b\x02");
        let at = topic.len() - 4 - 2 - 1;
        assert_eq!(topic[at], b'T');
        topic[at] = 0;
        assert!(torn(&topic));
        assert!(!torn(&record(b"")));
    }
}
