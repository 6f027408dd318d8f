//! Which response code an error becomes: one exhaustive match per error, and a table test.

use super::refusal::Refusal;
use crate::service::admin::{AdminGroupError, AdminTopicError, SettingChangeError};
use crate::service::clients::ModeError;
use crate::service::offsets::CommitError;
use crate::service::pull::PullError;
use crate::service::reset::ResetError;
use crate::service::send::SendError;
use crate::service::send_back::BackError;
use rmq_delivery::clients::RegisterError;
use rmq_delivery::filter::FilterError;
use rmq_delivery::groups::GroupError;
use rmq_delivery::pull::PullRefusal;
use rmq_delivery::retry::SendBackRefusal;
use rmq_delivery::send::SendRefusal;
use rmq_delivery::topics::{AutoCreateError, TopicError};
use rmq_remoting::code::response;
use rmq_store::PutError;

/// Implements `From<$error> for Refusal` by a function that gives the code.
macro_rules! refusals {
    ($($error:ty => $code:ident;)*) => {$(
        impl From<$error> for Refusal {
            fn from(error: $error) -> Self {
                Self::new($code(&error), error.to_string())
            }
        }
    )*};
}

refusals! {
    SendError => send;
    PutError => put;
    BackError => back;
    CommitError => commit;
    ResetError => reset;
    RegisterError => register;
    FilterError => filter;
    AdminTopicError => admin_topic;
    AdminGroupError => admin_group;
    SettingChangeError => setting;
    ModeError => mode;
}

impl From<PullError> for Refusal {
    fn from(error: PullError) -> Self {
        let mut refusal = Self::new(pull(&error), error.to_string());
        if let PullError::Refused(refused) = &error
            && let Some(forbidden) = refused.forbidden()
        {
            refusal.ext.push_number("forbiddenType", i64::from(forbidden.code()));
        }
        refusal
    }
}

fn send(error: &SendError) -> i32 {
    match error {
        SendError::Refused(refused) => send_refusal(refused),
        SendError::Topic { source: AutoCreateError::NoTemplate, .. } => response::TOPIC_NOT_EXIST,
        SendError::DeadLetterTopic(error) => topic(error),
        SendError::Batch(_) => response::MESSAGE_ILLEGAL,
        SendError::Store(error) => put(error),
        SendError::Busy => response::SYSTEM_BUSY,
        SendError::Stopping => response::SERVICE_NOT_AVAILABLE,
        SendError::Topic { .. } | SendError::DelayLevel { .. } => response::SYSTEM_ERROR,
    }
}

fn send_refusal(error: &SendRefusal) -> i32 {
    match error {
        SendRefusal::NotMaster => response::SERVICE_NOT_AVAILABLE,
        SendRefusal::BrokerNotWritable
        | SendRefusal::NotSendable { .. }
        | SendRefusal::Transaction => response::NO_PERMISSION,
        SendRefusal::Name(_) | SendRefusal::Queue { .. } => response::INVALID_PARAMETER,
        SendRefusal::KeyMissing
        | SendRefusal::BodyTooLarge { .. }
        | SendRefusal::PropertiesTooLong { .. }
        | SendRefusal::BatchTopic { .. }
        | SendRefusal::BatchKind => response::MESSAGE_ILLEGAL,
        SendRefusal::GroupNotExist { .. } => response::SUBSCRIPTION_GROUP_NOT_EXIST,
        SendRefusal::NotYet { .. }
        | SendRefusal::NoQueue { .. }
        | SendRefusal::BodyEmpty
        | SendRefusal::Timer
        | _ => response::SYSTEM_ERROR,
    }
}

/// Code of a put that failed; the four codes of stored messages are the answer's own.
pub(super) fn put(error: &PutError) -> i32 {
    match error {
        PutError::DiskFull { .. }
        | PutError::NoSpace
        | PutError::Closed
        | PutError::Failed { .. } => response::SERVICE_NOT_AVAILABLE,
        PutError::QueuesBehind => response::SYSTEM_BUSY,
        PutError::IllegalMessage { .. } | PutError::PropertiesTooLong { .. } => {
            response::MESSAGE_ILLEGAL
        }
        _ => response::SYSTEM_ERROR,
    }
}

fn back(error: &BackError) -> i32 {
    match error {
        BackError::Refused(refused) => match refused {
            SendBackRefusal::GroupNotExist { .. } => response::SUBSCRIPTION_GROUP_NOT_EXIST,
            SendBackRefusal::BrokerNotWritable | SendBackRefusal::TopicNotWritable { .. } => {
                response::NO_PERMISSION
            }
            SendBackRefusal::NotFound { .. } | _ => response::SYSTEM_ERROR,
        },
        BackError::Topic(error) => topic(error),
        BackError::Store(error) => put(error),
        BackError::Busy => response::SYSTEM_BUSY,
    }
}

fn pull(error: &PullError) -> i32 {
    match error {
        PullError::Busy => response::SYSTEM_BUSY,
        PullError::Store(_) => response::SYSTEM_ERROR,
        PullError::Refused(refused) => match refused {
            PullRefusal::BrokerNotReadable
            | PullRefusal::LitePullDisabled
            | PullRefusal::GroupDisabled { .. }
            | PullRefusal::TopicNotReadable { .. }
            | PullRefusal::BroadcastDisabled { .. }
            | PullRefusal::SubscriptionForbidden { .. } => response::NO_PERMISSION,
            PullRefusal::GroupNotExist { .. } => response::SUBSCRIPTION_GROUP_NOT_EXIST,
            PullRefusal::TopicNotExist { .. } => response::TOPIC_NOT_EXIST,
            PullRefusal::Queue { .. } => response::INVALID_PARAMETER,
            PullRefusal::Filter(error) => filter(error),
            PullRefusal::NotRegistered { .. } | PullRefusal::NotSubscribed { .. } => {
                response::SUBSCRIPTION_NOT_EXIST
            }
            PullRefusal::SubscriptionNotLatest { .. } => response::SUBSCRIPTION_NOT_LATEST,
            _ => response::SYSTEM_ERROR,
        },
    }
}

fn filter(error: &FilterError) -> i32 {
    match error {
        FilterError::Parse { .. } => response::SUBSCRIPTION_PARSE_FAILED,
        FilterError::Unsupported { .. } | _ => response::SYSTEM_ERROR,
    }
}

fn commit(error: &CommitError) -> i32 {
    match error {
        CommitError::GroupNotExist { .. } => response::SUBSCRIPTION_GROUP_NOT_EXIST,
        CommitError::TopicNotExist { .. } => response::TOPIC_NOT_EXIST,
        CommitError::Invalid => response::INVALID_PARAMETER,
        CommitError::Full => response::SYSTEM_ERROR,
    }
}

fn reset(error: &ResetError) -> i32 {
    match error {
        ResetError::TopicNotExist { .. } => response::TOPIC_NOT_EXIST,
        ResetError::GroupNotExist { .. } => response::SUBSCRIPTION_GROUP_NOT_EXIST,
        ResetError::Queue { .. } | ResetError::Range { .. } | ResetError::Search { .. } => {
            response::SYSTEM_ERROR
        }
    }
}

fn register(error: &RegisterError) -> i32 {
    match error {
        RegisterError::Groups { .. }
        | RegisterError::Members { .. }
        | RegisterError::Subscriptions { .. }
        | RegisterError::GroupsPerConnection { .. } => response::SYSTEM_ERROR,
        _ => response::SYSTEM_ERROR,
    }
}

fn topic(error: &TopicError) -> i32 {
    match error {
        TopicError::Name(_) | TopicError::System { .. } | TopicError::OutOfRange { .. } => {
            response::INVALID_PARAMETER
        }
        TopicError::Attribute(_) | TopicError::Full { .. } | _ => response::SYSTEM_ERROR,
    }
}

fn admin_topic(error: &AdminTopicError) -> i32 {
    match error {
        AdminTopicError::Rule(error) => topic(error),
        AdminTopicError::BatchQueues | AdminTopicError::Save(_) => response::SYSTEM_ERROR,
    }
}

fn admin_group(error: &AdminGroupError) -> i32 {
    match error {
        AdminGroupError::Rule(GroupError::Name(_) | GroupError::RetryQueues { .. }) => {
            response::INVALID_PARAMETER
        }
        AdminGroupError::Rule(_) | AdminGroupError::Save(_) => response::SYSTEM_ERROR,
    }
}

fn setting(error: &SettingChangeError) -> i32 {
    match error {
        SettingChangeError::NotLive { .. } | SettingChangeError::Unknown { .. } => {
            response::NO_PERMISSION
        }
        SettingChangeError::Value(_) | SettingChangeError::Save(_) => response::SYSTEM_ERROR,
    }
}

fn mode(error: &ModeError) -> i32 {
    match error {
        ModeError::RetryTopic { .. } => response::NO_PERMISSION,
        ModeError::TopicNotExist { .. } => response::TOPIC_NOT_EXIST,
        ModeError::GroupNotExist { .. } => response::SUBSCRIPTION_GROUP_NOT_EXIST,
        ModeError::Mode { .. } | ModeError::Full { .. } => response::SYSTEM_ERROR,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rmq_model::NameError;
    use std::io;

    fn name() -> NameError {
        NameError::Blank { what: "topic" }
    }

    fn text() -> String {
        "x".into()
    }

    #[test]
    fn sends() {
        for (error, code) in [
            (SendRefusal::NotMaster, 14),
            (SendRefusal::NotYet { until: 1 }, 1),
            (SendRefusal::BrokerNotWritable, 16),
            (SendRefusal::Name(name()), 29),
            (SendRefusal::NotSendable { topic: text() }, 16),
            (SendRefusal::Queue { topic: text(), queue: 9, queues: 8 }, 29),
            (SendRefusal::NoQueue { topic: text() }, 1),
            (SendRefusal::KeyMissing, 13),
            (SendRefusal::BodyTooLarge { bytes: 2, max: 1 }, 13),
            (SendRefusal::BodyEmpty, 1),
            (SendRefusal::PropertiesTooLong { bytes: 2 }, 13),
            (SendRefusal::BatchTopic { topic: text() }, 13),
            (SendRefusal::BatchKind, 13),
            (SendRefusal::Transaction, 16),
            (SendRefusal::Timer, 1),
            (SendRefusal::GroupNotExist { group: text() }, 26),
        ] {
            let remark = error.to_string();
            let refusal = Refusal::from(SendError::Refused(error));
            assert_eq!((refusal.code, refusal.remark), (code, remark));
        }
        for (error, code) in [
            (SendError::Topic { topic: text(), source: AutoCreateError::NoTemplate }, 17),
            (SendError::Topic { topic: text(), source: AutoCreateError::Full { max: 1 } }, 1),
            (SendError::DeadLetterTopic(TopicError::Full { max: 1 }), 1),
            (SendError::DeadLetterTopic(TopicError::Name(name())), 29),
            (SendError::DelayLevel { text: text() }, 1),
            (SendError::Busy, 2),
            (SendError::Stopping, 14),
        ] {
            assert_eq!(Refusal::from(error).code, code);
        }
    }

    #[test]
    fn puts() {
        for (error, code) in [
            (PutError::DiskFull { percent: 91, limit: 90 }, 14),
            (PutError::NoSpace, 14),
            (PutError::Closed, 14),
            (PutError::Failed { reason: "x".into() }, 14),
            (PutError::QueuesBehind, 2),
            (PutError::IllegalMessage { reason: text() }, 13),
            (PutError::PropertiesTooLong { bytes: 40_000 }, 13),
        ] {
            assert_eq!(Refusal::from(error.clone()).code, code);
            assert_eq!(Refusal::from(SendError::Store(error.clone())).code, code);
            assert_eq!(Refusal::from(BackError::Store(error)).code, code);
        }
    }

    #[test]
    fn send_backs() {
        for (error, code) in [
            (SendBackRefusal::GroupNotExist { group: text() }, 26),
            (SendBackRefusal::BrokerNotWritable, 16),
            (SendBackRefusal::TopicNotWritable { topic: text() }, 16),
            (SendBackRefusal::NotFound { offset: 1 }, 1),
        ] {
            assert_eq!(Refusal::from(BackError::Refused(error)).code, code);
        }
        assert_eq!(Refusal::from(BackError::Busy).code, 2);
    }

    #[test]
    fn pulls() {
        let (group, topic) = (text(), text());
        let parse = FilterError::Parse { reason: "x" };
        let kind = FilterError::Unsupported { kind: "SQL92".into() };
        for (error, code, forbidden) in [
            (PullRefusal::BrokerNotReadable, 16, Some("1")),
            (PullRefusal::LitePullDisabled, 16, None),
            (PullRefusal::GroupNotExist { group: text() }, 26, None),
            (PullRefusal::GroupDisabled { group: text() }, 16, Some("2")),
            (PullRefusal::TopicNotExist { topic: text() }, 17, None),
            (PullRefusal::TopicNotReadable { topic: text() }, 16, Some("3")),
            (PullRefusal::Queue { topic: text(), queue: 9, queues: 8 }, 29, None),
            (PullRefusal::Filter(parse), 23, None),
            (PullRefusal::Filter(kind), 1, None),
            (PullRefusal::NotRegistered { group: text() }, 24, None),
            (PullRefusal::BroadcastDisabled { group: text() }, 16, Some("4")),
            (PullRefusal::SubscriptionForbidden { group: text(), topic: text() }, 16, Some("5")),
            (PullRefusal::NotSubscribed { group: text(), topic: text() }, 24, None),
            (PullRefusal::SubscriptionNotLatest { group, topic }, 25, None),
        ] {
            let refusal = Refusal::from(PullError::Refused(error));
            assert_eq!((refusal.code, refusal.ext.get("forbiddenType")), (code, forbidden));
        }
        assert_eq!(Refusal::from(PullError::Busy).code, 2);
        assert_eq!(Refusal::from(PullError::Store(text())).code, 1);
    }

    #[test]
    fn offsets_and_resets() {
        for (error, code) in [
            (CommitError::GroupNotExist { group: text() }, 26),
            (CommitError::TopicNotExist { topic: text() }, 17),
            (CommitError::Invalid, 29),
            (CommitError::Full, 1),
        ] {
            assert_eq!(Refusal::from(error).code, code);
        }
        for (error, code) in [
            (ResetError::TopicNotExist { topic: text() }, 17),
            (ResetError::GroupNotExist { group: text() }, 26),
            (ResetError::Queue { topic: text(), queue: 1 }, 1),
            (ResetError::Range { offset: 9, min: 0, max: 5 }, 1),
            (ResetError::Search { queue: 1, source: io::Error::other("x") }, 1),
        ] {
            assert_eq!(Refusal::from(error).code, code);
        }
    }

    #[test]
    fn administration() {
        let range = TopicError::OutOfRange { topic: text(), what: "perm", value: 99, max: 15 };
        for (error, code) in [
            (AdminTopicError::Rule(TopicError::Name(name())), 29),
            (AdminTopicError::Rule(TopicError::System { topic: text() }), 29),
            (AdminTopicError::Rule(range), 29),
            (AdminTopicError::Rule(TopicError::Full { max: 1 }), 1),
            (AdminTopicError::BatchQueues, 1),
            (AdminTopicError::Save(io::Error::other("x")), 1),
        ] {
            assert_eq!(Refusal::from(error).code, code);
        }
        for (error, code) in [
            (AdminGroupError::Rule(GroupError::Name(name())), 29),
            (AdminGroupError::Rule(GroupError::RetryQueues { group: "g".into(), value: 1 }), 29),
            (AdminGroupError::Rule(GroupError::Full { max: 1 }), 1),
            (AdminGroupError::Save(io::Error::other("x")), 1),
        ] {
            assert_eq!(Refusal::from(error).code, code);
        }
        for (error, code) in [
            (SettingChangeError::NotLive { key: text() }, 16),
            (SettingChangeError::Unknown { key: text() }, 16),
            (SettingChangeError::Save(io::Error::other("x")), 1),
        ] {
            assert_eq!(Refusal::from(error).code, code);
        }
        for (error, code) in [
            (ModeError::RetryTopic { topic: text() }, 16),
            (ModeError::TopicNotExist { topic: text() }, 17),
            (ModeError::GroupNotExist { group: text() }, 26),
            (ModeError::Mode { mode: text() }, 1),
            (ModeError::Full { max: 1 }, 1),
        ] {
            assert_eq!(Refusal::from(error).code, code);
        }
    }
}
