//! Topic and group names and the names derived from them.

use crate::limits::{DERIVED_TOPIC_CHARS_MAX, GROUP_CHARS_MAX, TOPIC_CHARS_MAX};
use std::borrow::Borrow;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

/// Prefix of the retry topic of a group.
pub const RETRY_PREFIX: &str = "%RETRY%";
/// Prefix of the dead-letter topic of a group.
pub const DLQ_PREFIX: &str = "%DLQ%";
/// Prefix of light queues, which have no topic of their own.
pub const LMQ_PREFIX: &str = "%LMQ%";
/// Prefix of system topics besides the fixed ones.
pub const SYSTEM_PREFIX: &str = "rmq_sys_";

/// Template of automatically created topics.
pub const AUTO_CREATE_TOPIC: &str = "TBW102";
/// Where delayed messages wait.
pub const SCHEDULE_TOPIC: &str = "SCHEDULE_TOPIC_XXXX";
/// Where half messages wait.
pub const HALF_TOPIC: &str = "RMQ_SYS_TRANS_HALF_TOPIC";
/// Where removal marks of half messages are.
pub const OP_HALF_TOPIC: &str = "RMQ_SYS_TRANS_OP_HALF_TOPIC";
/// Where half messages that were never ended go.
pub const TRANS_CHECK_MAX_TOPIC: &str = "TRANS_CHECK_MAX_TIME_TOPIC";
/// Self test of the reference implementation.
pub const SELF_TEST_TOPIC: &str = "SELF_TEST_TOPIC";
/// Of the reference implementation's benchmark.
pub const BENCHMARK_TOPIC: &str = "BenchmarkTest";
/// Events about consumers whose offset was out of range.
pub const OFFSET_MOVED_TOPIC: &str = "OFFSET_MOVED_EVENT";
/// Default topic of the message trace.
pub const TRACE_TOPIC: &str = "RMQ_SYS_TRACE_TOPIC";
/// Where timer messages wait.
pub const TIMER_TOPIC: &str = "rmq_sys_wheel_timer";

const SYSTEM_TOPICS: [&str; 10] = [
    AUTO_CREATE_TOPIC,
    SCHEDULE_TOPIC,
    BENCHMARK_TOPIC,
    HALF_TOPIC,
    TRACE_TOPIC,
    OP_HALF_TOPIC,
    TRANS_CHECK_MAX_TOPIC,
    SELF_TEST_TOPIC,
    OFFSET_MOVED_TOPIC,
    "CHECKPOINT_TOPIC",
];

const NOT_SENDABLE: [&str; 6] = [
    SCHEDULE_TOPIC,
    HALF_TOPIC,
    OP_HALF_TOPIC,
    TRANS_CHECK_MAX_TOPIC,
    SELF_TEST_TOPIC,
    OFFSET_MOVED_TOPIC,
];

/// Groups that exist on every broker.
pub const BUILT_IN_GROUPS: [&str; 8] = [
    "TOOLS_CONSUMER",
    "FILTERSRV_CONSUMER",
    "SELF_TEST_C_GROUP",
    "CID_ONS-HTTP-PROXY",
    "CID_ONSAPI_PULL",
    "CID_ONSAPI_PERMISSION",
    "CID_ONSAPI_OWNER",
    "CID_RMQ_SYS_TRANS",
];

/// Topics that administrators can neither make nor change.
pub fn is_system_topic(topic: &str) -> bool {
    SYSTEM_TOPICS.contains(&topic) || topic.starts_with(SYSTEM_PREFIX)
}

/// Topics that clients must not send to.
pub fn is_not_sendable(topic: &str) -> bool {
    NOT_SENDABLE.contains(&topic)
}

/// Groups of the system, not of an application.
pub fn is_system_group(group: &str) -> bool {
    group.starts_with("CID_RMQ_SYS_") || BUILT_IN_GROUPS.contains(&group)
}

/// A retry topic of some group.
pub fn is_retry_topic(topic: &str) -> bool {
    topic.starts_with(RETRY_PREFIX)
}

/// A dead-letter topic of some group.
pub fn is_dlq_topic(topic: &str) -> bool {
    topic.starts_with(DLQ_PREFIX)
}

/// `%RETRY%group`
pub fn retry_topic(group: &str) -> String {
    format!("{RETRY_PREFIX}{group}")
}

/// `%DLQ%group`
pub fn dlq_topic(group: &str) -> String {
    format!("{DLQ_PREFIX}{group}")
}

/// Why a text is not a topic or group name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing but white space.
    #[error("the specified {what} is blank")]
    Blank {
        /// `topic` or `group`
        what: &'static str,
    },
    /// A character outside the allowed set.
    #[error(
        "the specified {what} contains illegal characters: {found:?}, allowing only ^[%|a-zA-Z0-9_-]+$"
    )]
    Character {
        /// `topic` or `group`
        what: &'static str,
        /// The first character that is not allowed.
        found: char,
    },
    /// Too long.
    #[error("the specified {what} is longer than {what} max length {max}, it has {len} characters")]
    TooLong {
        /// `topic` or `group`
        what: &'static str,
        /// Longest allowed.
        max: usize,
        /// As given.
        len: usize,
    },
}

fn check(what: &'static str, text: &str, max: usize) -> Result<(), NameError> {
    if text.trim().is_empty() {
        return Err(NameError::Blank { what });
    }
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '%' | '|' | '_' | '-');
    if let Some(found) = text.chars().find(|c| !legal(*c)) {
        return Err(NameError::Character { what, found });
    }
    if max < text.len() {
        return Err(NameError::TooLong { what, max, len: text.len() });
    }
    Ok(())
}

macro_rules! name_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// Shares the text.
            pub fn to_arc(&self) -> Arc<str> {
                Arc::clone(&self.0)
            }
        }

        impl Deref for $name {
            type Target = str;
            fn deref(&self) -> &str {
                &self.0
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&*self.0, f)
            }
        }
    };
}

name_type!(
    /// A topic name that has passed the rules: `[%|a-zA-Z0-9_-]`, at most 127 characters, 255 for
    /// retry and dead-letter topics.
    TopicName
);
name_type!(
    /// A group name that has passed the rules: `[%|a-zA-Z0-9_-]`, at most 120 characters.
    GroupName
);

impl TopicName {
    /// Checks the rules for names in requests.
    ///
    /// # Errors
    /// [`NameError`] names the rule that is broken.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let derived = is_retry_topic(text) || is_dlq_topic(text);
        check("topic", text, if derived { DERIVED_TOPIC_CHARS_MAX } else { TOPIC_CHARS_MAX })?;
        Ok(Self(text.into()))
    }
}

impl GroupName {
    /// Checks the rules for names in requests.
    ///
    /// # Errors
    /// [`NameError`] names the rule that is broken.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        check("group", text, GROUP_CHARS_MAX)?;
        Ok(Self(text.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_rules() {
        let long = "t".repeat(128);
        let retry = format!("{RETRY_PREFIX}{}", "g".repeat(120));
        for (text, topic, group) in [
            ("TopicTest", true, true),
            ("%RETRY%g", true, true),
            ("a|b_c-d%e", true, true),
            ("", false, false),
            (" ", false, false),
            ("a b", false, false),
            ("名", false, false),
            ("a.b", false, false),
            (long.as_str(), false, false),
            (retry.as_str(), true, false),
        ] {
            assert_eq!(TopicName::parse(text).is_ok(), topic, "topic {text:?}");
            assert_eq!(GroupName::parse(text).is_ok(), group, "group {text:?}");
        }
    }
}
