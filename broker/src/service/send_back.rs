//! Messages that a consumer sends back (request 36).

use crate::service::Broker;
use rmq_delivery::retry::{self, Plan, SendBack, SendBackRefusal, Target};
use rmq_delivery::send::Kind;
use rmq_delivery::topics::TopicError;
use rmq_model::{LogOffset, Permission};
use rmq_record::layout::Check;
use rmq_record::{Message, OffsetId, RecordView};
use rmq_store::{Prepared, PutError};
use std::sync::Arc;

/// A message that comes back.
#[derive(Clone, Copy, Debug)]
pub struct Back<'a> {
    /// Group that could not consume it.
    pub group: &'a str,
    /// Place of the original in the log.
    pub offset: i64,
    /// Unit mode.
    pub unit_mode: bool,
    /// How it shall be retried.
    pub ask: SendBack,
}

/// Why a message is not taken back.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackError {
    /// A rule is broken.
    #[error(transparent)]
    Refused(#[from] SendBackRefusal),
    /// The retry or dead-letter topic cannot be made.
    #[error(transparent)]
    Topic(#[from] TopicError),
    /// The store refuses it.
    #[error(transparent)]
    Store(#[from] PutError),
    /// Too much waits for the log, or for the disk.
    #[error("[OVERLOAD]system busy, start flow control for a while")]
    Busy,
}

impl Broker {
    /// Makes the copy that is to be stored; `None` when the group wants no retries. Reads the log:
    /// may block.
    ///
    /// # Errors
    /// [`BackError`] of the first rule that is broken.
    pub fn take_back(&self, back: &Back<'_>) -> Result<Option<Prepared>, BackError> {
        let now = self.now();
        let group = self.groups.find(now, back.group);
        let broker = Permission(self.settings().broker_permission);
        let target =
            retry::target(back.group, group.as_deref(), broker, back.unit_mode, self.next_turn())?;
        let (Target::Topic { topic, queues, sys_flag, queue }, Some(group)) = (target, group)
        else {
            return Ok(None);
        };
        let topic = match self.topics.get(&topic) {
            Some(known) => known,
            None => self.topics.change_one(self.outside(), |topics| {
                topics.for_send_back(now, &topic, queues, false, sys_flag)
            })?,
        };
        retry::check_topic(&topic)?;
        let missing = || SendBackRefusal::NotFound { offset: back.offset };
        let bytes = self.record_at(back.offset).ok_or_else(missing)?;
        let at = LogOffset::from_wire(back.offset);
        let original = RecordView::decode(&bytes, Check { body_crc: false, at })
            .map_err(|_fault| missing())?;
        let plan = retry::plan(back.ask, back.group, &group, original.reconsume_times);
        let id = OffsetId { host: original.store_host, offset: original.log_offset }.to_string();
        let properties = retry::properties(original.properties, original.topic, &id, &plan);
        let (topic, queue, reconsume_times, kind) = match &plan {
            Plan::Retry { level, reconsume_times } => {
                let queue = queue.checked_rem(topic.write_queue_nums).unwrap_or(0);
                (topic, queue, *reconsume_times, Kind::Delayed { level: *level })
            }
            Plan::DeadLetter { topic, reconsume_times } => {
                self.traffic.dead(original.topic, back.group);
                (self.dead_letter_topic(now, topic)?, 0, *reconsume_times, Kind::Normal)
            }
        };
        // The topics made above must be on disk before the message is acknowledged.
        if let Err(error) = self.topics.save() {
            tracing::error!(%error, "the topic table cannot be written");
        }
        self.traffic.sent_back(now, original.topic, back.group);
        let message = Message {
            topic: Arc::clone(&topic.topic_name),
            queue_id: queue,
            flag: original.flag,
            sys_flag: original.sys_flag,
            born_timestamp: original.born_timestamp,
            born_host: original.born_host,
            store_host: self.store_host(),
            reconsume_times,
            prepared_transaction_offset: 0,
            body: bytes.slice_ref(original.body),
            properties,
        };
        Ok(Some(self.prepare(message, kind)?))
    }
}
