//! Finding messages by key.

use crate::index::{self, Query};
use crate::shared::Shared;
use bytes::Bytes;
use rmq_model::{LogOffset, Millis};
use rmq_record::RecordView;
use rmq_record::layout::Check;
use rmq_record::properties::Known;
use std::io;

/// Most messages one query returns (`maxMsgsNumBatch`).
const QUERY_MAX: usize = 64;

/// Messages with a key, newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueryResult {
    /// Records as stored.
    pub records: Vec<Bytes>,
    /// Store time of the last message that was indexed.
    pub last_update_time: Millis,
    /// Log offset of the last message that was indexed.
    pub last_update_offset: LogOffset,
}

/// See [`crate::Store::query`].
pub(crate) fn query(
    shared: &Shared,
    topic: &str,
    key: &str,
    max: usize,
    begin: Millis,
    end: Millis,
) -> io::Result<QueryResult> {
    let mut result = QueryResult::default();
    let Some(index) = &shared.index else { return Ok(result) };
    let hash = index::key_hash(index::topic_hash(topic), key);
    let mut wanted = Query { hash, begin, end, max: max.min(QUERY_MAX) };
    let max = wanted.max;
    // Hashes are 31 bits: a few of those found may be other keys.
    wanted.max = max.saturating_mul(2).max(8);
    let found = index.query(&wanted)?;
    result.last_update_time = found.last_time;
    result.last_update_offset = LogOffset(found.last_offset);
    for offset in found.offsets {
        if max <= result.records.len() {
            break;
        }
        let Some(record) = record_at(shared, LogOffset(offset))? else { continue };
        let fits = RecordView::decode(&record, Check::default()).is_ok_and(|view| {
            let known = Known::of(view.properties);
            view.topic == topic
                && (begin..=end).contains(&view.store_timestamp)
                && (known.uniq_key == Some(key) || known.key_list().any(|other| other == key))
        });
        if fits {
            result.records.push(record);
        }
    }
    Ok(result)
}

/// The record that begins at `at`; `None` if there is none.
pub(crate) fn record_at(shared: &Shared, at: LogOffset) -> io::Result<Option<Bytes>> {
    let mut head = Vec::with_capacity(8);
    if !shared.log.read(at.0, 8, &mut head)? {
        return Ok(None);
    }
    let size = rmq_record::layout::next_size(&head).unwrap_or(0);
    let mut bytes = Vec::with_capacity(size.min(crate::config::RECORD_EXTRA_BYTES_MAX));
    let max = shared.config.body_bytes_max.saturating_add(crate::config::RECORD_EXTRA_BYTES_MAX);
    if max < size || !shared.log.read(at.0, size, &mut bytes)? {
        return Ok(None);
    }
    let check = Check { body_crc: false, at: Some(at) };
    Ok(RecordView::decode(&bytes, check).is_ok().then(|| bytes.into()))
}
