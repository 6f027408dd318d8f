//! Showing records one by one, for people who look for a message or at damage.

use super::report::LogDamage;
use super::walk::{Seen, walk};
use super::{Offline, layout};
use rmq_model::Millis;
use rmq_record::layout::RecordView;
use rmq_record::properties;
use std::io;
use std::ops::ControlFlow;

/// Which records are shown. Everything that is given must hold.
#[derive(Clone, Debug, Default)]
pub struct DumpFilter {
    /// Log offset to begin at. Within a record it is damage up to the next one.
    pub from: u64,
    /// Log offset to end before.
    pub to: Option<u64>,
    /// Topic.
    pub topic: Option<String>,
    /// Number of the queue.
    pub queue: Option<u32>,
    /// A key of the message, or its unique id.
    pub key: Option<String>,
    /// Stored at this time or later.
    pub since: Option<Millis>,
    /// Stored at this time or earlier.
    pub until: Option<Millis>,
}

impl DumpFilter {
    fn takes(&self, record: &RecordView<'_>) -> bool {
        let key_is = |key: &String| {
            let known = properties::Known::of(record.properties);
            known.uniq_key.into_iter().chain(known.key_list()).any(|other| other == key)
        };
        self.topic.as_ref().is_none_or(|topic| topic == record.topic)
            && self.queue.is_none_or(|queue| queue == record.queue_id)
            && self.since.is_none_or(|since| since <= record.store_timestamp)
            && self.until.is_none_or(|until| record.store_timestamp <= until)
            && self.key.as_ref().is_none_or(key_is)
    }
}

/// What is shown.
#[derive(Debug)]
pub enum Dump<'a> {
    /// A record that the filter takes.
    Record(&'a RecordView<'a>),
    /// A damaged place; shown whatever the filter says.
    Damage(&'a LogDamage),
}

/// What was looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dumped {
    /// Records shown.
    pub shown: u64,
    /// Records read.
    pub read: u64,
}

impl Offline {
    /// Shows records in the order of the log until `show` breaks off.
    ///
    /// # Errors
    /// When the log's directory cannot be read, and those of `show`.
    pub fn dump(
        &self,
        filter: &DumpFilter,
        show: &mut dyn FnMut(Dump<'_>) -> io::Result<ControlFlow<()>>,
    ) -> io::Result<Dumped> {
        let segments = layout::segments(&*self.disk, &self.config)?.good;
        let mut done = Dumped::default();
        walk(&segments, filter.from, &mut |seen| match seen {
            Seen::Record(record) => {
                if filter.to.is_some_and(|to| to <= record.log_offset.0) {
                    return Ok(ControlFlow::Break(()));
                }
                done.read += 1;
                if !filter.takes(record) {
                    return Ok(ControlFlow::Continue(()));
                }
                done.shown += 1;
                show(Dump::Record(record))
            }
            Seen::Damage(damage) if filter.to.is_some_and(|to| to <= damage.offset.0) => {
                Ok(ControlFlow::Break(()))
            }
            Seen::Damage(damage) => show(Dump::Damage(&damage)),
        })?;
        Ok(done)
    }
}
