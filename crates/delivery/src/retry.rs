//! Messages that a consumer sends back (request 36).
//!
//! [`target`] is decided before the original is read from the log, [`plan`] after.
//!
//! Source: RocketMQ 5.3 `AbstractSendMessageProcessor#consumerSendMsgBack`.

use bytes::Bytes;
use rmq_model::Permission;
use rmq_model::group::SubscriptionGroupConfig;
use rmq_model::limits::TOPIC_QUEUES_MAX;
use rmq_model::message::{DELAY, ORIGIN_MESSAGE_ID, RETRY_TOPIC, WAIT};
use rmq_model::name::{dlq_topic, retry_topic};
use rmq_model::peer::ProtocolVersion;
use rmq_model::sysflag;
use rmq_model::topic::TopicConfig;
use rmq_record::properties::TextBuilder;

/// Queues of a dead-letter topic.
pub const DLQ_QUEUES: u32 = 1;
/// Added to the number of retries for the delay level when the consumer leaves it to the broker.
pub const FIRST_RETRY_LEVEL: i32 = 3;

/// Why a message is not taken back. The text is the remark of the answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SendBackRefusal {
    /// Response code 26.
    #[error("subscription group not exist, {group}")]
    GroupNotExist {
        /// As asked.
        group: String,
    },
    /// Response code 16.
    #[error("the broker sending message is forbidden")]
    BrokerNotWritable,
    /// Response code 16.
    #[error("the topic[{topic}] sending message is forbidden")]
    TopicNotWritable {
        /// Retry or dead-letter topic.
        topic: String,
    },
    /// Response code 1.
    #[error("look message by offset failed, {offset}")]
    NotFound {
        /// Log offset as asked.
        offset: i64,
    },
}

/// Where a message that came back would wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// The group wants no retries: answer 0 and do nothing.
    Drop,
    /// Find or make this topic, then read the original.
    Topic {
        /// `%RETRY%group`
        topic: String,
        /// Queues it is made with.
        queues: u32,
        /// Unit bits it is made with.
        sys_flag: i32,
        /// Queue to store in.
        queue: u32,
    },
}

/// Decides before the original is read. `random` may be any number.
///
/// # Errors
/// [`SendBackRefusal::GroupNotExist`], [`SendBackRefusal::BrokerNotWritable`].
pub fn target(
    group_name: &str,
    group: Option<&SubscriptionGroupConfig>,
    broker: Permission,
    unit: bool,
    random: u32,
) -> Result<Target, SendBackRefusal> {
    let Some(group) = group else {
        return Err(SendBackRefusal::GroupNotExist { group: group_name.to_owned() });
    };
    if !broker.writable() {
        return Err(SendBackRefusal::BrokerNotWritable);
    }
    let queues = u32::try_from(group.retry_queue_nums).unwrap_or(0).min(TOPIC_QUEUES_MAX);
    let Some(queue) = random.checked_rem(queues) else { return Ok(Target::Drop) };
    let sys_flag = if unit { sysflag::TOPIC_UNIT_SUB } else { 0 };
    Ok(Target::Topic { topic: retry_topic(group_name), queues, sys_flag, queue })
}

/// Whether the topic found for a [`Target`] takes messages.
///
/// # Errors
/// [`SendBackRefusal::TopicNotWritable`].
pub fn check_topic(topic: &TopicConfig) -> Result<(), SendBackRefusal> {
    if topic.perm.writable() {
        return Ok(());
    }
    Err(SendBackRefusal::TopicNotWritable { topic: topic.topic_name.to_string() })
}

/// What a consumer asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SendBack {
    /// `delayLevel`: negative to the dead letters, 0 by the broker's choice.
    pub delay_level: i32,
    /// `maxReconsumeTimes`
    pub max_reconsume_times: Option<i32>,
    /// Of the client: the field above counts from 3.4.9 on.
    pub version: ProtocolVersion,
}

/// What becomes of a message that came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Plan {
    /// Stored in the retry topic after a delay.
    Retry {
        /// Delay level, at least 1; not yet limited to the levels there are.
        level: u32,
        /// Retries of the new copy.
        reconsume_times: i32,
    },
    /// Stored in this topic (made with [`DLQ_QUEUES`] queues) at once.
    DeadLetter {
        /// `%DLQ%group`
        topic: String,
        /// Retries of the new copy.
        reconsume_times: i32,
    },
}

/// Decides after the original is read. `reconsume_times` are the original's.
pub fn plan(
    ask: SendBack,
    group_name: &str,
    group: &SubscriptionGroupConfig,
    reconsume_times: i32,
) -> Plan {
    let from_header = ask.max_reconsume_times.filter(|_| ProtocolVersion::V3_4_9 <= ask.version);
    let max = from_header.unwrap_or(group.retry_max_times);
    let next = reconsume_times.saturating_add(1);
    let level = match ask.delay_level {
        0 => FIRST_RETRY_LEVEL.saturating_add(reconsume_times).max(1),
        level => level,
    };
    match u32::try_from(level) {
        Ok(level) if reconsume_times < max => Plan::Retry { level, reconsume_times: next },
        _ => Plan::DeadLetter { topic: dlq_topic(group_name), reconsume_times: next },
    }
}

/// Properties of the copy that is stored: where the chain of retries began, and no waiting for the
/// disk. `own_topic` and `own_id` are the original's.
pub fn properties(text: &[u8], own_topic: &str, own_id: &str, plan: &Plan) -> Bytes {
    let mut builder = TextBuilder::from_text(text);
    if builder.get(RETRY_TOPIC).is_none() {
        builder.set(RETRY_TOPIC, own_topic);
    }
    if builder.get(ORIGIN_MESSAGE_ID).is_none() {
        builder.set(ORIGIN_MESSAGE_ID, own_id);
    }
    match plan {
        Plan::Retry { level, .. } => builder.set(DELAY, &level.to_string()),
        Plan::DeadLetter { .. } => builder.set(DELAY, "0"),
    };
    builder.set(WAIT, "false");
    builder.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rmq_record::properties::{get, text};

    const NEW: ProtocolVersion = ProtocolVersion::CURRENT;
    const OLD: ProtocolVersion = ProtocolVersion(120);

    fn group(retry_queue_nums: i32, retry_max_times: i32) -> SubscriptionGroupConfig {
        SubscriptionGroupConfig {
            retry_queue_nums,
            retry_max_times,
            ..SubscriptionGroupConfig::new("G")
        }
    }

    #[test]
    fn what_is_decided_before_the_original_is_read() {
        let rw = Permission::READ_WRITE;
        let read_only = Permission(4);
        let topic = |queues, sys_flag, queue| {
            Ok(Target::Topic { topic: "%RETRY%G".into(), queues, sys_flag, queue })
        };
        for (config, broker, unit, random, want) in [
            (None, rw, false, 0, Err(SendBackRefusal::GroupNotExist { group: "G".into() })),
            (Some(group(1, 16)), read_only, false, 0, Err(SendBackRefusal::BrokerNotWritable)),
            (Some(group(0, 16)), rw, false, 0, Ok(Target::Drop)),
            (Some(group(-1, 16)), rw, false, 0, Ok(Target::Drop)),
            (Some(group(1, 16)), rw, false, 7, topic(1, 0, 0)),
            (Some(group(4, 16)), rw, true, 7, topic(4, sysflag::TOPIC_UNIT_SUB, 3)),
        ] {
            assert_eq!(target("G", config.as_ref(), broker, unit, random), want);
        }
    }

    #[test]
    fn a_retry_topic_without_write_permission_refuses() {
        let topic = |perm| TopicConfig::new("%RETRY%G", 1, Permission(perm));
        assert_eq!(check_topic(&topic(6)), Ok(()));
        let refused = check_topic(&topic(4));
        assert_eq!(refused, Err(SendBackRefusal::TopicNotWritable { topic: "%RETRY%G".into() }));
    }

    #[test]
    fn retry_or_dead_letter() {
        let retry = |level, reconsume_times| Plan::Retry { level, reconsume_times };
        let dead = |reconsume_times| Plan::DeadLetter { topic: "%DLQ%G".into(), reconsume_times };
        for (delay_level, max_reconsume_times, version, times, want) in [
            (0, None, NEW, 0, retry(3, 1)),
            (0, None, NEW, 15, retry(18, 16)),
            (0, None, NEW, 16, dead(17)),
            (5, None, NEW, 2, retry(5, 3)),
            (-1, None, NEW, 0, dead(1)),
            (0, Some(2), NEW, 2, dead(3)),
            (0, Some(2), NEW, 1, retry(4, 2)),
            (0, Some(-1), NEW, 0, dead(1)),
            (0, Some(2), OLD, 2, retry(5, 3)),
            (0, Some(100), NEW, 50, retry(53, 51)),
            (0, Some(i32::MAX), NEW, i32::MAX, dead(i32::MAX)),
            (0, None, NEW, -9, retry(1, -8)),
        ] {
            let ask = SendBack { delay_level, max_reconsume_times, version };
            assert_eq!(plan(ask, "G", &group(1, 16), times), want, "{ask:?} {times}");
        }
    }

    #[test]
    fn the_copy_knows_where_it_came_from() {
        let retry = Plan::Retry { level: 3, reconsume_times: 1 };
        let first = properties(&text([("KEYS", "k"), ("WAIT", "true")]), "T", "ID1", &retry);
        for (name, want) in [
            (RETRY_TOPIC, "T"),
            (ORIGIN_MESSAGE_ID, "ID1"),
            (DELAY, "3"),
            (WAIT, "false"),
            ("KEYS", "k"),
        ] {
            assert_eq!(get(&first, name), Some(want), "{name}");
        }
        let dead = Plan::DeadLetter { topic: "%DLQ%G".into(), reconsume_times: 2 };
        let second = properties(&first, "%RETRY%G", "ID2", &dead);
        assert_eq!(get(&second, RETRY_TOPIC), Some("T"));
        assert_eq!(get(&second, ORIGIN_MESSAGE_ID), Some("ID1"));
        assert_eq!(get(&second, DELAY), Some("0"));
    }
}
