//! Sending: may this message be stored, where, and with which properties.
//!
//! A send is checked in two halves, because between them the topic is looked up or made:
//! [`check_arrival`], then `Topics::for_send`, then [`check_topic`]. [`classify`] finds what kind
//! of message it is, [`check_retry`] redirects resends of consumers, `properties` writes the
//! text that is stored.
//!
//! Source: RocketMQ 5.3 `SendMessageProcessor`, `AbstractSendMessageProcessor#msgCheck`.

mod properties;
#[cfg(test)]
mod tests;

pub use properties::{BrokerProperties, NewProperties, PropertyFacts};

use rmq_model::group::SubscriptionGroupConfig;
use rmq_model::limits::{BODY_BYTES_MAX, PROPERTIES_BYTES_MAX, TOPIC_CHARS_MAX};
use rmq_model::name::{self, RETRY_PREFIX};
use rmq_model::peer::ProtocolVersion;
use rmq_model::topic::{TopicConfig, TopicFilterType};
use rmq_model::{Millis, NameError, Permission, TopicName, sysflag};
use std::sync::Arc;

/// Why a message is not stored. The text is the remark of the answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SendRefusal {
    /// Response code 14: this broker is a slave.
    #[error("this broker is a replica, only its master stores messages")]
    NotMaster,
    /// Response code 1: `startAcceptSendRequestTimeStamp` lies ahead.
    #[error("broker unable to service, until {until}")]
    NotYet {
        /// Epoch ms.
        until: Millis,
    },
    /// Response code 16: the broker is not writable and the topic is ordered.
    #[error("the broker sending message is forbidden")]
    BrokerNotWritable,
    /// Response code 29.
    #[error(transparent)]
    Name(#[from] NameError),
    /// Response code 16.
    #[error("sending message to topic[{topic}] is forbidden")]
    NotSendable {
        /// As asked.
        topic: String,
    },
    /// Response code 29.
    #[error("request queueId[{queue}] is illegal, topic[{topic}] has {queues} queues")]
    Queue {
        /// As asked.
        topic: String,
        /// As asked.
        queue: i32,
        /// The larger of its numbers of queues.
        queues: u32,
    },
    /// Response code 1: the topic was made with no queue.
    #[error("topic[{topic}] has no queue to write to")]
    NoQueue {
        /// As asked.
        topic: String,
    },
    /// Response code 13: a compacted topic needs a key.
    #[error("required message key is missing")]
    KeyMissing,
    /// Response code 13, for a batch 1.
    #[error("the message body size {bytes} is over the limit {max}")]
    BodyTooLarge {
        /// As sent.
        bytes: usize,
        /// `maxMessageSize`
        max: usize,
    },
    /// Response code 1.
    #[error("the message body is empty")]
    BodyEmpty,
    /// Response code 13.
    #[error("the message properties length {bytes} is over the limit {PROPERTIES_BYTES_MAX}")]
    PropertiesTooLong {
        /// As sent.
        bytes: usize,
    },
    /// Response code 13: the topic of a batch.
    #[error("batch request does not support topic {topic}: retry topic or name too long")]
    BatchTopic {
        /// As asked.
        topic: String,
    },
    /// Response code 13: a batch whose messages wait or belong to a transaction.
    #[error("batch request does not support delayed, timer or transaction messages")]
    BatchKind,
    /// Response code 16: as a broker with `rejectTransactionMessage` says it.
    #[error("the broker sending transaction message is forbidden: not supported by this broker")]
    Transaction,
    /// Response code 1: as a broker with `timerWheelEnable=false` says it.
    #[error(
        "accurate timer message is not enabled on this broker (timerWheelEnable is false), \
         use a delay level instead"
    )]
    Timer,
    /// Response code 26: a resend of a group that does not exist.
    #[error("subscription group not exist, {group}")]
    GroupNotExist {
        /// From the retry topic's name.
        group: String,
    },
}

/// What of the broker a send depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SendFacts {
    /// The broker is a slave.
    pub slave: bool,
    /// `startAcceptSendRequestTimeStamp`, epoch ms.
    pub accept_from: Millis,
    /// `brokerPermission`
    pub broker: Permission,
    /// `maxMessageSize`
    pub body_bytes_max: usize,
}

impl Default for SendFacts {
    fn default() -> Self {
        Self {
            slave: false,
            accept_from: 0,
            broker: Permission::READ_WRITE,
            body_bytes_max: BODY_BYTES_MAX,
        }
    }
}

/// Checks 1 to 5. `known` is the topic as it is, if it is; a known topic's name is not looked at
/// again.
///
/// # Errors
/// [`SendRefusal`] of the first condition that is not met.
pub fn check_arrival(
    now: Millis,
    facts: &SendFacts,
    topic: &str,
    known: Option<&TopicConfig>,
) -> Result<(), SendRefusal> {
    if facts.slave {
        return Err(SendRefusal::NotMaster);
    }
    if now < facts.accept_from {
        return Err(SendRefusal::NotYet { until: facts.accept_from });
    }
    if !facts.broker.writable() && known.is_some_and(|topic| topic.order) {
        return Err(SendRefusal::BrokerNotWritable);
    }
    if known.is_none() {
        TopicName::parse(topic)?;
    }
    if name::is_not_sendable(topic) {
        return Err(SendRefusal::NotSendable { topic: topic.to_owned() });
    }
    Ok(())
}

/// The parts of a send that are checked against its topic.
#[derive(Clone, Copy, Debug)]
pub struct SendParts<'a> {
    /// `queueId`; negative is any.
    pub queue: i32,
    /// Length of the body.
    pub body_bytes: usize,
    /// Properties text of the header.
    pub properties: &'a [u8],
    /// Has the property KEYS.
    pub has_keys: bool,
    /// Request 320, or the header's batch flag.
    pub batch: bool,
}

/// Checks 7 to 10 and chooses the queue. `random` may be any number.
///
/// # Errors
/// [`SendRefusal`] of the first condition that is not met.
pub fn check_topic(
    facts: &SendFacts,
    topic: &TopicConfig,
    parts: &SendParts<'_>,
    random: u32,
) -> Result<u32, SendRefusal> {
    let name = || topic.topic_name.to_string();
    let queues = topic.read_queue_nums.max(topic.write_queue_nums);
    let queue = match u32::try_from(parts.queue) {
        Ok(queue) if queue < queues => queue,
        Ok(_) => return Err(SendRefusal::Queue { topic: name(), queue: parts.queue, queues }),
        Err(_negative) => match random.checked_rem(topic.write_queue_nums) {
            Some(queue) => queue,
            None => return Err(SendRefusal::NoQueue { topic: name() }),
        },
    };
    if parts.batch {
        let long = TOPIC_CHARS_MAX < topic.topic_name.len();
        if long || name::is_retry_topic(&topic.topic_name) {
            return Err(SendRefusal::BatchTopic { topic: name() });
        }
    }
    let compacted = || topic.attributes.get("cleanup.policy").is_some_and(|p| p == "COMPACTION");
    if !parts.has_keys && !topic.attributes.is_empty() && compacted() {
        return Err(SendRefusal::KeyMissing);
    }
    if parts.body_bytes == 0 {
        return Err(SendRefusal::BodyEmpty);
    }
    let max = facts.body_bytes_max;
    if max < parts.body_bytes {
        return Err(SendRefusal::BodyTooLarge { bytes: parts.body_bytes, max });
    }
    if PROPERTIES_BYTES_MAX < parts.properties.len() {
        return Err(SendRefusal::PropertiesTooLong { bytes: parts.properties.len() });
    }
    Ok(queue)
}

/// What kind of message it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Goes to its topic.
    Normal,
    /// Waits in the delay topic first.
    Delayed {
        /// At least 1; not yet limited to the levels there are.
        level: u32,
    },
}

/// Finds out what kind of message it is by its properties.
///
/// A delay level takes precedence over a delivery time. Transaction and timer messages are not
/// supported yet: they are refused, never stored as if they were normal.
///
/// # Errors
/// [`SendRefusal::Transaction`], [`SendRefusal::Timer`], [`SendRefusal::BatchKind`].
pub fn classify(
    facts: &PropertyFacts<'_>,
    reconsume_times: i32,
    batch: bool,
) -> Result<Kind, SendRefusal> {
    let level = facts.delay_level();
    if batch && (facts.half || facts.timer || 0 < level) {
        return Err(SendRefusal::BatchKind);
    }
    if facts.half && !(0 < reconsume_times && 0 < level) {
        return Err(SendRefusal::Transaction);
    }
    if 0 < level {
        return Ok(Kind::Delayed { level });
    }
    if facts.timer {
        return Err(SendRefusal::Timer);
    }
    Ok(Kind::Normal)
}

/// `sysFlag` as it is stored: the topic may have several tags a message.
pub fn sys_flag(sent: i32, topic: &TopicConfig) -> i32 {
    match topic.topic_filter_type {
        TopicFilterType::SingleTag => sent,
        TopicFilterType::MultiTag => sent | sysflag::MULTI_TAGS,
    }
}

/// The group of a retry topic; `None` for other topics.
pub fn retry_group(topic: &str) -> Option<&str> {
    topic.strip_prefix(RETRY_PREFIX)
}

/// Where a message goes that a consumer published to its retry topic itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resend {
    /// On to the retry topic.
    Retry,
    /// To this dead-letter topic (one queue, read and write), without delay.
    DeadLetter {
        /// `%DLQ%group`
        topic: Arc<str>,
    },
}

/// Decides on a send to the retry topic of `group_name`.
///
/// `max_from_header` counts from clients of 3.4.9 on. `holds_locks`: the group holds any unexpired
/// queue lock, so it consumes in order and does not retry through the topic.
///
/// # Errors
/// [`SendRefusal::GroupNotExist`].
pub fn check_retry(
    group_name: &str,
    group: Option<&SubscriptionGroupConfig>,
    reconsume_times: i32,
    max_from_header: Option<i32>,
    version: ProtocolVersion,
    holds_locks: bool,
) -> Result<Resend, SendRefusal> {
    let Some(group) = group else {
        return Err(SendRefusal::GroupNotExist { group: group_name.to_owned() });
    };
    let from_header = max_from_header.filter(|_| ProtocolVersion::V3_4_9 <= version);
    let max = from_header.unwrap_or(group.retry_max_times);
    Ok(if max < reconsume_times || holds_locks {
        Resend::DeadLetter { topic: name::dlq_topic(group_name).into() }
    } else {
        Resend::Retry
    })
}
