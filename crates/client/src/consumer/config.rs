//! What a consumer wants.

use crate::message::Delivered;
use rmq_model::client::{MessageModel, SubscriptionData};
use rmq_model::{Millis, java};
use std::collections::BTreeSet;
use std::time::Duration;

/// Where a group begins that has no stored offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartFrom {
    /// Oldest message that is still there.
    First,
    /// Only what comes from now on.
    Last,
    /// First message stored at this time or later.
    Time(Millis),
}

/// Which messages a group member wants, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumerConfig {
    /// Group.
    pub group: String,
    /// Topic.
    pub topic: String,
    /// `TAG` or `SQL92`.
    pub expression_type: String,
    /// Tags separated by `||`, or an SQL92 condition; `*` is everything.
    pub expression: String,
    /// One member of the group gets a message, or every member.
    pub model: MessageModel,
    /// Where to begin.
    pub from: StartFrom,
    /// Most messages of a batch.
    pub messages_max: i32,
    /// How long a broker may keep a pull when there is nothing new.
    pub suspend: Duration,
    /// Queues are locked and a batch that was not consumed comes again before anything later.
    pub in_order: bool,
}

impl ConsumerConfig {
    /// All messages of `topic` for `group`, from now on, each to one member.
    pub fn new(group: impl Into<String>, topic: impl Into<String>) -> Self {
        Self {
            group: group.into(),
            topic: topic.into(),
            expression_type: SubscriptionData::TAG.to_owned(),
            expression: SubscriptionData::ALL.to_owned(),
            model: MessageModel::Clustering,
            from: StartFrom::Last,
            messages_max: 32,
            suspend: Duration::from_secs(15),
            in_order: false,
        }
    }

    /// Tags of a tag expression; empty is everything.
    pub(crate) fn tags(&self) -> BTreeSet<String> {
        let expression = self.expression.trim();
        if self.expression_type != SubscriptionData::TAG
            || expression.is_empty()
            || expression == SubscriptionData::ALL
        {
            return BTreeSet::new();
        }
        let tags = expression.split("||").map(str::trim).filter(|tag| !tag.is_empty());
        tags.map(str::to_owned).collect()
    }

    /// The subscription as heartbeats carry it.
    pub(crate) fn subscription(&self, sub_version: i64) -> SubscriptionData {
        let tags_set = self.tags();
        SubscriptionData {
            code_set: tags_set.iter().map(|tag| java::hash_code(tag)).collect(),
            tags_set,
            expression_type: self.expression_type.as_str().into(),
            sub_string: self.expression.as_str().into(),
            sub_version,
            topic: self.topic.as_str().into(),
            ..SubscriptionData::default()
        }
    }

    /// Drops messages whose tag only has the same hash as a wanted one: brokers compare hashes.
    pub(crate) fn keep_wanted(&self, messages: &mut Vec<Delivered>) {
        let tags = self.tags();
        if !tags.is_empty() {
            messages.retain(|message| message.tag().is_some_and(|tag| tags.contains(tag)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tag_expressions() {
        let cases: [(&str, &[&str]); 6] = [
            ("*", &[]),
            ("", &[]),
            ("a", &["a"]),
            ("a||b", &["a", "b"]),
            (" a || b ||", &["a", "b"]),
            ("a|b", &["a|b"]),
        ];
        for (expression, want) in cases {
            let mut config = ConsumerConfig::new("G", "T");
            config.expression = expression.to_owned();
            assert_eq!(config.tags().iter().collect::<Vec<_>>(), want, "{expression:?}");
            assert_eq!(config.subscription(5).code_set.len(), want.len());
            config.expression_type = SubscriptionData::SQL92.to_owned();
            assert!(config.tags().is_empty());
        }
    }
}
