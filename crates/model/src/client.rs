//! What clients say about themselves and what they want to read.

use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::sync::Arc;

/// How a group takes its messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ConsumeType {
    /// Pull consumer.
    #[serde(rename = "CONSUME_ACTIVELY")]
    Actively,
    /// Push consumer.
    #[default]
    #[serde(rename = "CONSUME_PASSIVELY")]
    Passively,
    /// POP consumer.
    #[serde(rename = "CONSUME_POP")]
    Pop,
}

impl ConsumeType {
    /// As in JSON bodies.
    pub fn name(self) -> &'static str {
        match self {
            Self::Actively => "CONSUME_ACTIVELY",
            Self::Passively => "CONSUME_PASSIVELY",
            Self::Pop => "CONSUME_POP",
        }
    }
}

/// Who of a group gets a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum MessageModel {
    /// Every member.
    Broadcasting,
    /// One member.
    #[default]
    Clustering,
}

impl MessageModel {
    /// As in JSON bodies.
    pub fn name(self) -> &'static str {
        match self {
            Self::Broadcasting => "BROADCASTING",
            Self::Clustering => "CLUSTERING",
        }
    }
}

/// Where a group without stored offset begins. Decided by clients; the broker only passes it on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ConsumeFromWhere {
    /// 0
    #[default]
    ConsumeFromLastOffset,
    /// 1
    ConsumeFromLastOffsetAndFromMinWhenBootFirst,
    /// 2
    ConsumeFromMinOffset,
    /// 3
    ConsumeFromMaxOffset,
    /// 4
    ConsumeFromFirstOffset,
    /// 5
    ConsumeFromTimestamp,
}

impl ConsumeFromWhere {
    /// As in JSON bodies.
    pub fn name(self) -> &'static str {
        match self {
            Self::ConsumeFromLastOffset => "CONSUME_FROM_LAST_OFFSET",
            Self::ConsumeFromLastOffsetAndFromMinWhenBootFirst => {
                "CONSUME_FROM_LAST_OFFSET_AND_FROM_MIN_WHEN_BOOT_FIRST"
            }
            Self::ConsumeFromMinOffset => "CONSUME_FROM_MIN_OFFSET",
            Self::ConsumeFromMaxOffset => "CONSUME_FROM_MAX_OFFSET",
            Self::ConsumeFromFirstOffset => "CONSUME_FROM_FIRST_OFFSET",
            Self::ConsumeFromTimestamp => "CONSUME_FROM_TIMESTAMP",
        }
    }
}

/// What one group wants of one topic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SubscriptionData {
    /// Obsolete.
    pub class_filter_mode: bool,
    /// Java hash codes of the tags.
    pub code_set: BTreeSet<i32>,
    /// `TAG` or `SQL92`.
    pub expression_type: Arc<str>,
    /// Expression as the application wrote it; `*` is everything.
    pub sub_string: Arc<str>,
    /// Grows when the client changes the subscription.
    pub sub_version: i64,
    /// Tags of a tag expression; empty is everything.
    pub tags_set: BTreeSet<String>,
    /// Topic.
    pub topic: Arc<str>,
}

impl SubscriptionData {
    /// Expression type of tag expressions.
    pub const TAG: &'static str = "TAG";
    /// Expression type of SQL92 expressions.
    pub const SQL92: &'static str = "SQL92";
    /// Expression that matches everything.
    pub const ALL: &'static str = "*";

    /// A tag expression.
    pub fn is_tag(&self) -> bool {
        self.expression_type.is_empty() || &*self.expression_type == Self::TAG
    }
}

impl Default for SubscriptionData {
    fn default() -> Self {
        Self {
            class_filter_mode: false,
            code_set: BTreeSet::new(),
            expression_type: Self::TAG.into(),
            sub_string: Self::ALL.into(),
            sub_version: 0,
            tags_set: BTreeSet::new(),
            topic: "".into(),
        }
    }
}
