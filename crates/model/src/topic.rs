//! Configuration of a topic on one broker.

use crate::Permission;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// How tags are matched; only `SINGLE_TAG` is in use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum TopicFilterType {
    /// A message has one tag.
    #[default]
    SingleTag,
    /// A message has several.
    MultiTag,
}

impl TopicFilterType {
    /// As in request headers.
    pub fn name(self) -> &'static str {
        match self {
            Self::SingleTag => "SINGLE_TAG",
            Self::MultiTag => "MULTI_TAG",
        }
    }
}

/// Configuration of a topic, with the JSON members of `topics.json` and of registrations.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TopicConfig {
    /// Attributes without sign: `queue.type`, `cleanup.policy`, `message.type`, `reserve.time`.
    pub attributes: BTreeMap<String, String>,
    /// Order topic.
    pub order: bool,
    /// Who may do what.
    pub perm: Permission,
    /// Queues that consumers see.
    pub read_queue_nums: u32,
    /// Tag matching.
    pub topic_filter_type: TopicFilterType,
    /// Name.
    pub topic_name: Arc<str>,
    /// Bits [`crate::sysflag::TOPIC_UNIT`] and [`crate::sysflag::TOPIC_UNIT_SUB`].
    pub topic_sys_flag: i32,
    /// Queues that producers see.
    pub write_queue_nums: u32,
}

impl TopicConfig {
    /// Number of queues the reference implementation gives a topic when nothing is said.
    pub const QUEUES_DEFAULT: u32 = 16;

    /// A topic with as many read as write queues and everything else at its default.
    pub fn new(topic: &str, queues: u32, perm: Permission) -> Self {
        Self {
            topic_name: topic.into(),
            read_queue_nums: queues,
            write_queue_nums: queues,
            perm,
            ..Self::default()
        }
    }
}

impl Default for TopicConfig {
    fn default() -> Self {
        Self {
            attributes: BTreeMap::new(),
            order: false,
            perm: Permission::READ_WRITE,
            read_queue_nums: Self::QUEUES_DEFAULT,
            topic_filter_type: TopicFilterType::SingleTag,
            topic_name: "".into(),
            topic_sys_flag: 0,
            write_queue_nums: Self::QUEUES_DEFAULT,
        }
    }
}
