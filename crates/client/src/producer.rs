//! Sending messages.

use crate::client::{Client, answer_header, chain, refused};
use crate::error::CallError;
use crate::message::Outgoing;
use crate::route::Route;
use bytes::Bytes;
use rmq_model::MessageQueue;
use rmq_model::name::AUTO_CREATE_TOPIC;
use rmq_record::{UniqueIds, batch};
use rmq_remoting::header::{SendMessage, SendMessageResponse};
use rmq_remoting::{ByteStr, Command, code};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Sends of one message before giving up.
const ATTEMPTS: usize = 3;
/// Queues of a topic that the broker will make on the first send.
const NEW_TOPIC_QUEUES: i32 = 4;
/// Most messages of a batch.
const BATCH_MESSAGES_MAX: usize = 1024;

/// What the broker says of a message that it has stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendStatus {
    /// As durable as the broker is configured to make it.
    Stored,
    /// In memory; the disk took too long.
    FlushDiskTimeout,
    /// On the master; no replica has confirmed it in time.
    FlushSlaveTimeout,
    /// On the master; there is no replica.
    SlaveNotAvailable,
}

impl SendStatus {
    /// Name as RocketMQ clients print it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Stored => "SEND_OK",
            Self::FlushDiskTimeout => "FLUSH_DISK_TIMEOUT",
            Self::FlushSlaveTimeout => "FLUSH_SLAVE_TIMEOUT",
            Self::SlaveNotAvailable => "SLAVE_NOT_AVAILABLE",
        }
    }

    fn from_code(answer: i32) -> Option<Self> {
        match answer {
            code::response::SUCCESS => Some(Self::Stored),
            code::response::FLUSH_DISK_TIMEOUT => Some(Self::FlushDiskTimeout),
            code::response::FLUSH_SLAVE_TIMEOUT => Some(Self::FlushSlaveTimeout),
            code::response::SLAVE_NOT_AVAILABLE => Some(Self::SlaveNotAvailable),
            _ => None,
        }
    }
}

/// Where a message was stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// How safely.
    pub status: SendStatus,
    /// Id the client gave it (the first one's of a batch).
    pub unique_id: String,
    /// Id the broker gave it; of a batch one for each message, separated by commas.
    pub offset_id: String,
    /// Queue it is in.
    pub queue: MessageQueue,
    /// Place in that queue (the first one's of a batch).
    pub queue_offset: i64,
    /// Sends that failed before this one.
    pub retries: usize,
}

/// Sends messages of one producer group. Clones share the queue counter.
#[derive(Clone, Debug)]
pub struct Producer {
    client: Client,
    group: Arc<str>,
    ids: Arc<UniqueIds>,
    turn: Arc<AtomicUsize>,
}

impl Producer {
    /// A producer of group `group`.
    pub fn new(client: Client, group: &str) -> Self {
        let salt = client.clock().now().unsigned_abs();
        let salt = u32::try_from(salt & u64::from(u32::MAX)).unwrap_or(0);
        let ip = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let ids = UniqueIds::new(ip, std::process::id(), salt);
        Self { client, group: group.into(), ids: ids.into(), turn: Arc::default() }
    }

    /// Sends `message` to the next queue of its topic. Another broker is tried if one cannot take
    /// it at the moment.
    ///
    /// # Errors
    /// The last try's, if all failed. A message whose send ended with [`CallError::NoAnswer`] may
    /// have been stored.
    pub async fn send(&self, message: &Outgoing) -> Result<Sent, CallError> {
        let send = self.prepare(message)?;
        self.deliver(&send).await
    }

    /// Sends `message` to `queue` and nowhere else.
    ///
    /// # Errors
    /// Of the one try.
    pub async fn send_to(
        &self,
        queue: &MessageQueue,
        message: &Outgoing,
    ) -> Result<Sent, CallError> {
        let send = self.prepare(message)?;
        let route = self.route(&message.topic).await?;
        self.send_once(&send, queue, &route).await
    }

    /// Sends `message` and does not wait to hear what became of it.
    ///
    /// # Errors
    /// If there is no route or no connection.
    pub async fn send_oneway(&self, message: &Outgoing) -> Result<(), CallError> {
        let send = self.prepare(message)?;
        let route = self.route(&message.topic).await?;
        let queue = self.choose(&route, None)?;
        let addr = master_of(&route, &queue)?;
        let connection = self.client.connection(&addr).await?;
        connection.oneway(self.command(&send, &queue));
        Ok(())
    }

    /// Sends all of `messages` in one request: they are stored together in one queue or not at
    /// all. They must have the same topic and neither a delay nor a retry topic.
    ///
    /// # Errors
    /// As [`Producer::send`], and [`CallError::Argument`] for messages that cannot go together.
    pub async fn send_batch(&self, messages: &[Outgoing]) -> Result<Sent, CallError> {
        let first = messages.first().ok_or_else(|| argument("a batch needs a message"))?;
        if BATCH_MESSAGES_MAX < messages.len() {
            return Err(argument(format!("a batch has at most {BATCH_MESSAGES_MAX} messages")));
        }
        let mut body = Vec::new();
        let mut first_id = None;
        for message in messages {
            if message.topic != first.topic || message.no_wait != first.no_wait {
                return Err(argument("the messages of a batch share topic and waiting"));
            }
            if message.delay_level.is_some() || rmq_model::name::is_retry_topic(&message.topic) {
                return Err(argument("a batch is neither delayed nor sent to a retry topic"));
            }
            let id = self.ids.next(self.client.clock().now()).to_string();
            let properties = properties_text(message, &id)?;
            first_id.get_or_insert(id);
            let element = batch::Element {
                flag: message.flag,
                body: &message.body,
                properties: properties.as_bytes(),
            };
            if !batch::encode(&mut body, &element) {
                return Err(argument("the properties of a message are too long"));
            }
        }
        let unique_id = first_id.unwrap_or_default();
        let send = Send {
            topic: &first.topic,
            request: code::request::SEND_BATCH_MESSAGE,
            flag: 0,
            properties: properties_text(
                &Outgoing { body: Bytes::new(), ..first.clone() },
                &unique_id,
            )?,
            body: body.into(),
            unique_id,
        };
        self.deliver(&send).await
    }

    fn prepare<'a>(&self, message: &'a Outgoing) -> Result<Send<'a>, CallError> {
        let unique_id = self.ids.next(self.client.clock().now()).to_string();
        Ok(Send {
            topic: &message.topic,
            request: code::request::SEND_MESSAGE_V2,
            flag: message.flag,
            properties: properties_text(message, &unique_id)?,
            body: message.body.clone(),
            unique_id,
        })
    }

    /// Route of the topic, or that of a topic which the broker will make on the first send.
    async fn route(&self, topic: &str) -> Result<Arc<Route>, CallError> {
        let missing = match self.client.route(topic).await {
            Err(error @ CallError::NoRoute { .. }) => error,
            result => return result,
        };
        let Ok(template) = self.client.route(AUTO_CREATE_TOPIC).await else { return Err(missing) };
        let mut route = Route { topic: topic.into(), order_conf: None, ..(*template).clone() };
        for queues in &mut route.queues {
            queues.write = queues.write.min(NEW_TOPIC_QUEUES);
            queues.read = queues.read.min(NEW_TOPIC_QUEUES);
        }
        Ok(Arc::new(route))
    }

    async fn deliver(&self, send: &Send<'_>) -> Result<Sent, CallError> {
        let mut avoid: Option<Arc<str>> = None;
        let mut attempt = 1;
        loop {
            let route = self.route(send.topic).await?;
            let queue = self.choose(&route, avoid.as_deref())?;
            match self.send_once(send, &queue, &route).await {
                Ok(sent) => return Ok(Sent { retries: attempt - 1, ..sent }),
                Err(error) if attempt < ATTEMPTS && is_worth_another_try(&error) => {
                    let reason = chain(&error);
                    tracing::debug!(topic = send.topic, broker = %queue.broker_name, reason, "send again");
                    self.client.forget_route(send.topic);
                    avoid = Some(queue.broker_name);
                    attempt += 1;
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn choose(&self, route: &Route, avoid: Option<&str>) -> Result<MessageQueue, CallError> {
        let queues = route.write_queues();
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        pick(&queues, turn, avoid)
            .cloned()
            .ok_or_else(|| CallError::NoQueue { topic: route.topic.to_string(), what: "writable" })
    }

    async fn send_once(
        &self,
        send: &Send<'_>,
        queue: &MessageQueue,
        route: &Route,
    ) -> Result<Sent, CallError> {
        let addr = master_of(route, queue)?;
        let command = self.command(send, queue);
        let answer = self.client.call(&addr, command, self.client.timeout()).await?;
        let Some(status) = SendStatus::from_code(answer.code) else {
            return Err(refused(&addr, send.request, &answer));
        };
        let stored: SendMessageResponse = answer_header(&addr, send.request, &answer)?;
        Ok(Sent {
            status,
            unique_id: send.unique_id.clone(),
            offset_id: stored.msg_id.as_str().to_owned(),
            queue: MessageQueue { queue_id: stored.queue_id, ..queue.clone() },
            queue_offset: stored.queue_offset,
            retries: 0,
        })
    }

    fn command(&self, send: &Send<'_>, queue: &MessageQueue) -> Command {
        let batch = send.request == code::request::SEND_BATCH_MESSAGE;
        let header = SendMessage {
            producer_group: (&self.group).into(),
            topic: ByteStr::copy(send.topic),
            default_topic: AUTO_CREATE_TOPIC.into(),
            default_topic_queue_nums: NEW_TOPIC_QUEUES,
            queue_id: queue.queue_id,
            sys_flag: 0,
            born_timestamp: self.client.clock().now(),
            flag: send.flag,
            properties: Some((&send.properties).into()),
            reconsume_times: Some(0),
            unit_mode: false,
            batch,
            max_reconsume_times: None,
            broker_name: Some((&queue.broker_name).into()),
        };
        let mut command = Command::request(send.request).with_body(send.body.clone());
        header.to_v2(&mut command.ext);
        command
    }
}

/// What stays the same when a send is tried again.
struct Send<'a> {
    topic: &'a str,
    request: i32,
    flag: i32,
    properties: String,
    body: Bytes,
    unique_id: String,
}

fn argument(text: impl Into<String>) -> CallError {
    CallError::Argument(text.into())
}

fn properties_text(message: &Outgoing, id: &str) -> Result<String, CallError> {
    let text = message.properties_text(id);
    text.ok_or_else(|| argument("a property has no name or holds a byte 1 or 2"))
}

fn master_of(route: &Route, queue: &MessageQueue) -> Result<String, CallError> {
    let addr = route.master(&queue.broker_name).map(str::to_owned);
    addr.ok_or_else(|| CallError::Unknown {
        what: "broker",
        name: queue.broker_name.to_string(),
        known: route.masters().iter().map(|(name, _)| (*name).to_owned()).collect(),
    })
}

/// The queue whose turn it is, if possible not on broker `avoid`.
fn pick<'a>(
    queues: &'a [MessageQueue],
    turn: usize,
    avoid: Option<&str>,
) -> Option<&'a MessageQueue> {
    let start = turn.checked_rem(queues.len())?;
    let in_turn = || queues.iter().cycle().skip(start).take(queues.len());
    in_turn().find(|queue| Some(&*queue.broker_name) != avoid).or_else(|| in_turn().next())
}

/// Refusals that another broker, or the same one a little later, may not repeat.
fn is_worth_another_try(error: &CallError) -> bool {
    const CODES: [i32; 7] = [
        code::response::SYSTEM_ERROR,
        code::response::SYSTEM_BUSY,
        code::response::SERVICE_NOT_AVAILABLE,
        code::response::NO_PERMISSION,
        code::response::TOPIC_NOT_EXIST,
        code::response::NO_BUYER_ID,
        code::response::NOT_IN_CURRENT_UNIT,
    ];
    error.is_unreachable() || error.code().is_some_and(|code| CODES.contains(&code))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queues(names: &[(&str, i32)]) -> Vec<MessageQueue> {
        let queue = |(broker, queue_id): &(&str, i32)| MessageQueue {
            broker_name: (*broker).into(),
            queue_id: *queue_id,
            topic: "T".into(),
        };
        names.iter().map(queue).collect()
    }

    #[test]
    fn queues_take_turns_and_a_failed_broker_is_avoided() {
        let all = queues(&[("a", 0), ("a", 1), ("b", 0)]);
        let name = |turn, avoid| {
            let queue = pick(&all, turn, avoid).unwrap();
            format!("{}{}", queue.broker_name, queue.queue_id)
        };
        assert_eq!(
            [name(0, None), name(1, None), name(2, None), name(3, None)],
            ["a0", "a1", "b0", "a0"]
        );
        assert_eq!(
            [name(0, Some("a")), name(1, Some("a")), name(2, Some("b"))],
            ["b0", "b0", "a0"]
        );
        assert_eq!(pick(&all[..2], 5, Some("a")), Some(&all[1]));
        assert_eq!(pick(&[], 5, None), None);
    }

    #[test]
    fn what_is_tried_again() {
        for (code, again) in [
            (1, true),
            (2, true),
            (14, true),
            (16, true),
            (17, true),
            (204, true),
            (205, true),
            (3, false),
            (13, false),
            (29, false),
        ] {
            let error = CallError::Refused {
                peer: String::new(),
                request: String::new(),
                code,
                remark: String::new(),
            };
            assert_eq!(is_worth_another_try(&error), again, "{code}");
        }
        assert!(!is_worth_another_try(&CallError::NoRoute { topic: "T".to_owned() }));
    }

    #[test]
    fn statuses() {
        for (code, name) in [
            (0, Some("SEND_OK")),
            (10, Some("FLUSH_DISK_TIMEOUT")),
            (11, Some("SLAVE_NOT_AVAILABLE")),
            (12, Some("FLUSH_SLAVE_TIMEOUT")),
            (1, None),
        ] {
            assert_eq!(SendStatus::from_code(code).map(SendStatus::name), name, "{code}");
        }
    }
}
