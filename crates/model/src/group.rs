//! Configuration of a consumer group on one broker.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// How long a retried message waits.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct GroupRetryPolicy {
    /// Which of the two below counts.
    #[serde(rename = "type")]
    pub kind: GroupRetryPolicyType,
    /// Growing delays.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exponential_retry_policy: Option<ExponentialRetryPolicy>,
    /// A list of delays.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub customized_retry_policy: Option<CustomizedRetryPolicy>,
}

/// Kind of a [`GroupRetryPolicy`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum GroupRetryPolicyType {
    /// Growing delays.
    Exponential,
    /// A list of delays.
    #[default]
    Customized,
}

/// Delays that grow by a factor, in milliseconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ExponentialRetryPolicy {
    /// First delay.
    pub initial: i64,
    /// Longest delay.
    pub max: i64,
    /// Factor.
    pub multiplier: i64,
}

impl Default for ExponentialRetryPolicy {
    fn default() -> Self {
        Self { initial: 5_000, max: 7_200_000, multiplier: 2 }
    }
}

/// Delays one by one, in milliseconds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct CustomizedRetryPolicy {
    /// The n-th retry waits the n-th delay, the last one for all further ones.
    pub next: Vec<i64>,
}

/// Configuration of a consumer group, with the JSON members of `subscriptionGroup.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SubscriptionGroupConfig {
    /// Attributes without sign.
    pub attributes: BTreeMap<String, String>,
    /// Broker id to read from normally.
    pub broker_id: i64,
    /// Broadcasting consumers may pull.
    pub consume_broadcast_enable: bool,
    /// Consumers may pull.
    pub consume_enable: bool,
    /// Historical, without effect.
    pub consume_from_min_enable: bool,
    /// POP consumption keeps the order of a queue.
    pub consume_message_orderly: bool,
    /// Historical, without effect on the broker.
    pub consume_timeout_minute: i32,
    /// Name.
    pub group_name: Arc<str>,
    /// Delay of retries.
    pub group_retry_policy: GroupRetryPolicy,
    /// Unit bits.
    pub group_sys_flag: i32,
    /// Members are told of changes at once.
    pub notify_consumer_ids_changed_enable: bool,
    /// Deliveries before the dead-letter topic.
    pub retry_max_times: i32,
    /// Queues of the retry topic.
    pub retry_queue_nums: i32,
    /// Broker id to read from when far behind.
    pub which_broker_when_consume_slowly: i64,
}

impl SubscriptionGroupConfig {
    /// A group with everything at its default.
    pub fn new(group: &str) -> Self {
        Self { group_name: group.into(), ..Self::default() }
    }
}

impl Default for SubscriptionGroupConfig {
    fn default() -> Self {
        Self {
            attributes: BTreeMap::new(),
            broker_id: 0,
            consume_broadcast_enable: true,
            consume_enable: true,
            consume_from_min_enable: true,
            consume_message_orderly: false,
            consume_timeout_minute: 15,
            group_name: "".into(),
            group_retry_policy: GroupRetryPolicy::default(),
            group_sys_flag: 0,
            notify_consumer_ids_changed_enable: true,
            retry_max_times: 16,
            retry_queue_nums: 1,
            which_broker_when_consume_slowly: 1,
        }
    }
}
