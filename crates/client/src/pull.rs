//! Reading one queue from a place that the caller keeps.

use crate::client::{Client, answer_header, not_understood, refused};
use crate::error::CallError;
use crate::message::Delivered;
use rmq_model::client::SubscriptionData;
use rmq_model::{MessageQueue, sysflag};
use rmq_remoting::header::{PullMessage, PullMessageResponse};
use rmq_remoting::{Command, code};
use std::time::Duration;

/// What a pull asks for besides queue and offset.
#[derive(Clone, Debug)]
pub struct PullRequest {
    /// Consumer group; need not have members.
    pub group: String,
    /// `TAG` or `SQL92`.
    pub expression_type: String,
    /// Which messages; `*` is all.
    pub expression: String,
    /// Most messages of an answer.
    pub messages_max: i32,
    /// How long the broker may keep the request when there is nothing new; zero is not at all.
    pub suspend: Duration,
    /// Version of the subscription, the one the heartbeats carry; 0 outside of a group.
    pub sub_version: i64,
    /// Broker id to read from; 0 is the master.
    pub broker_id: i64,
    /// Committed together with the pull, if given.
    pub commit: Option<i64>,
}

impl PullRequest {
    /// Asks for everything, up to 32 messages, and does not wait.
    pub fn new(group: impl Into<String>) -> Self {
        Self {
            group: group.into(),
            expression_type: SubscriptionData::TAG.to_owned(),
            expression: SubscriptionData::ALL.to_owned(),
            messages_max: 32,
            suspend: Duration::ZERO,
            sub_version: 0,
            broker_id: 0,
            commit: None,
        }
    }
}

/// What a pull brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PullStatus {
    /// Messages.
    Found,
    /// Nothing, the end of the queue is reached.
    NothingNew,
    /// There were messages, none of them matched.
    NoneMatched,
    /// The offset is outside of the queue; go on at the answer's next offset.
    OffsetMoved,
}

/// Answer to a pull.
#[derive(Clone, Debug)]
pub struct Pulled {
    /// What it brought.
    pub status: PullStatus,
    /// Offset to ask for next.
    pub next: i64,
    /// Offsets the queue has: the first, and the one after the last.
    pub min: i64,
    /// See `min`.
    pub max: i64,
    /// Broker id to ask next time.
    pub suggested_broker: i64,
    /// Messages, in order.
    pub messages: Vec<Delivered>,
}

impl Client {
    /// Reads `queue` from `offset`.
    ///
    /// # Errors
    /// As [`Client::route`] and [`Client::ask`]; [`CallError::Answer`] for broken records.
    pub async fn pull(
        &self,
        queue: &MessageQueue,
        offset: i64,
        pull: &PullRequest,
    ) -> Result<Pulled, CallError> {
        let route = self.route(&queue.topic).await?;
        let addr = route.reader(&queue.broker_name, pull.broker_id);
        let addr = addr.map(str::to_owned).ok_or_else(|| CallError::Unknown {
            what: "broker",
            name: queue.broker_name.to_string(),
            known: route.brokers.keys().map(ToString::to_string).collect(),
        })?;
        let command = pull_command(queue, offset, pull);
        let timeout = self.timeout().saturating_add(pull.suspend).saturating_add(GRACE);
        let answer = self.call(&addr, command, timeout).await?;
        read(&addr, &answer)
    }
}

/// A broker under load may answer a parked pull this much late.
const GRACE: Duration = Duration::from_secs(7);

const REQUEST: i32 = code::request::PULL_MESSAGE;

fn pull_command(queue: &MessageQueue, offset: i64, pull: &PullRequest) -> Command {
    let mut flags = sysflag::PULL_SUBSCRIPTION;
    if !pull.suspend.is_zero() {
        flags |= sysflag::PULL_SUSPEND;
    }
    if pull.commit.is_some() {
        flags |= sysflag::PULL_COMMIT_OFFSET;
    }
    Command::request(REQUEST).with_header(&PullMessage {
        consumer_group: (&pull.group).into(),
        topic: (&queue.topic).into(),
        queue_id: queue.queue_id,
        queue_offset: offset,
        max_msg_nums: pull.messages_max,
        sys_flag: flags,
        commit_offset: pull.commit.unwrap_or(0),
        suspend_timeout_millis: i64::try_from(pull.suspend.as_millis()).unwrap_or(i64::MAX),
        subscription: Some((&pull.expression).into()),
        sub_version: pull.sub_version,
        expression_type: Some((&pull.expression_type).into()),
        max_msg_bytes: None,
        request_source: None,
        proxy_forward_client_id: None,
        broker_name: Some((&queue.broker_name).into()),
        logical: None,
    })
}

fn read(addr: &str, answer: &Command) -> Result<Pulled, CallError> {
    let status = match answer.code {
        code::response::SUCCESS => PullStatus::Found,
        code::response::PULL_NOT_FOUND => PullStatus::NothingNew,
        code::response::PULL_RETRY_IMMEDIATELY => PullStatus::NoneMatched,
        code::response::PULL_OFFSET_MOVED => PullStatus::OffsetMoved,
        _ => return Err(refused(addr, REQUEST, answer)),
    };
    let header: PullMessageResponse = answer_header(addr, REQUEST, answer)?;
    let messages = match status {
        PullStatus::Found => Delivered::decode_all(&answer.body)
            .map_err(|reason| not_understood(addr, REQUEST, reason))?,
        PullStatus::NothingNew | PullStatus::NoneMatched | PullStatus::OffsetMoved => Vec::new(),
    };
    Ok(Pulled {
        status,
        next: header.next_begin_offset,
        min: header.min_offset,
        max: header.max_offset,
        suggested_broker: header.suggest_which_broker_id,
        messages,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(code: i32) -> Command {
        Command::response(code).with_header(&PullMessageResponse {
            suggest_which_broker_id: 1,
            next_begin_offset: 7,
            min_offset: 1,
            max_offset: 9,
            offset_delta: None,
            topic_sys_flag: None,
            group_sys_flag: None,
            forbidden_type: None,
        })
    }

    #[test]
    fn answers() {
        for (code, status) in [
            (0, PullStatus::Found),
            (19, PullStatus::NothingNew),
            (20, PullStatus::NoneMatched),
            (21, PullStatus::OffsetMoved),
        ] {
            let pulled = read("a:1", &answer(code)).unwrap();
            assert_eq!((pulled.status, pulled.next, pulled.min, pulled.max), (status, 7, 1, 9));
            assert_eq!(pulled.suggested_broker, 1);
        }
        let refusal = read("a:1", &answer(24).with_remark("no subscription")).unwrap_err();
        assert_eq!(refusal.to_string(), "a:1 refuses pull_message with code 24: no subscription");
        let broken = read("a:1", &answer(0).with_body(&b"noise"[..])).unwrap_err();
        assert!(broken.to_string().contains("not understood"), "{broken}");
        let empty = read("a:1", &Command::response(19)).unwrap_err();
        assert!(empty.to_string().contains("suggestWhichBrokerId"), "{empty}");
    }

    #[test]
    fn flags_follow_what_is_asked() {
        let queue = MessageQueue { broker_name: "b".into(), queue_id: 3, topic: "T".into() };
        let flags = |pull: &PullRequest| {
            pull_command(&queue, 5, pull).ext.get("sysFlag").map(str::to_owned)
        };
        let mut pull = PullRequest::new("G");
        assert_eq!(flags(&pull).as_deref(), Some("4"));
        pull.suspend = Duration::from_secs(1);
        assert_eq!(flags(&pull).as_deref(), Some("6"));
        pull.commit = Some(3);
        assert_eq!(flags(&pull).as_deref(), Some("7"));
    }
}
