//! What brokers ask of a client.

use parking_lot::Mutex;
use rmq_model::MessageQueue;
use rmq_net::{Connection, Request, Service};
use rmq_remoting::body::{ClientStatus, ConsumerRunningInfo, ResetOffsetBody};
use rmq_remoting::header::{
    ConsumeMessageDirectly, ConsumerGroup, GetClientStatus, GetConsumerRunningInfo,
    ResetClientOffset,
};
use rmq_remoting::{Command, HeaderError, code, json};
use serde_json::{Value, json as value};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use tokio::sync::Notify;

/// Most groups of one client.
const GROUPS_MAX: usize = 1024;

/// Requests that come in on the client's connections.
///
/// What concerns a group is noted for its consumer, or answered from what the consumer has noted.
/// Refusals have the codes and remarks of the Java client; everything else is answered with "not
/// supported", so that no broker waits in vain.
#[derive(Debug, Default)]
pub struct Incoming {
    groups: Mutex<HashMap<String, Arc<Listener>>>,
}

/// What a group's consumer and the brokers have to tell each other.
#[derive(Debug)]
pub(crate) struct Listener {
    /// Something is to be taken with [`Listener::take`].
    pub(crate) news: Notify,
    /// What does not change while the consumer runs.
    about: ConsumerRunningInfo,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    heard: Heard,
    /// Where the consumer stands in its queues.
    stands: BTreeMap<MessageQueue, i64>,
}

/// What brokers have said since the consumer last asked.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    /// The members of the group are others now.
    pub(crate) members_changed: bool,
    /// Go on from these offsets; only queues that the consumer has.
    pub(crate) resets: BTreeMap<MessageQueue, i64>,
}

impl Listener {
    pub(crate) fn take(&self) -> Heard {
        std::mem::take(&mut self.state.lock().heard)
    }

    /// These are the consumer's queues now.
    pub(crate) fn stands_at(&self, queues: impl Iterator<Item = (MessageQueue, i64)>) {
        self.state.lock().stands = queues.collect();
    }

    /// The consumer has moved on in one of its queues.
    pub(crate) fn moved(&self, queue: &MessageQueue, offset: i64) {
        if let Some(known) = self.state.lock().stands.get_mut(queue) {
            *known = offset;
        }
    }

    fn members_changed(&self) {
        self.state.lock().heard.members_changed = true;
        self.news.notify_one();
    }

    fn reset(&self, offsets: BTreeMap<MessageQueue, i64>) {
        let mut state = self.state.lock();
        for (queue, offset) in offsets {
            if let Some(known) = state.stands.get_mut(&queue) {
                *known = offset;
                state.heard.resets.insert(queue, offset);
            }
        }
        drop(state);
        self.news.notify_one();
    }

    fn status(&self, topic: &str) -> ClientStatus {
        let state = self.state.lock();
        let of_topic = state.stands.iter().filter(|(queue, _)| &*queue.topic == topic);
        ClientStatus { message_queue_table: of_topic.map(|(q, at)| (q.clone(), *at)).collect() }
    }

    fn running(&self) -> ConsumerRunningInfo {
        let shown = |at: i64| -> Value { value!({"commitOffset": at, "droped": false}) };
        let state = self.state.lock();
        let queues = state.stands.iter().map(|(queue, at)| (queue.clone(), shown(*at)));
        ConsumerRunningInfo { mq_table: queues.collect(), ..self.about.clone() }
    }
}

impl Incoming {
    /// What is noted for the consumer of `group`, which shows itself as `about`. `None` if there are
    /// too many groups.
    pub(crate) fn listen(&self, group: &str, about: ConsumerRunningInfo) -> Option<Arc<Listener>> {
        let mut groups = self.groups.lock();
        if GROUPS_MAX <= groups.len() && !groups.contains_key(group) {
            return None;
        }
        let listener = Arc::new(Listener { news: Notify::new(), about, state: Mutex::default() });
        groups.insert(group.to_owned(), Arc::clone(&listener));
        Some(listener)
    }

    /// Nobody listens for `group` any more.
    pub(crate) fn forget(&self, group: &str) {
        self.groups.lock().remove(group);
    }

    fn group(&self, name: &str) -> Option<Arc<Listener>> {
        self.groups.lock().get(name).cloned()
    }

    /// The answer, if the broker waits for one.
    fn answer(&self, command: &Command) -> Result<Option<Command>, HeaderError> {
        let success = || Command::response(code::response::SUCCESS);
        Ok(match command.code {
            code::request::NOTIFY_CONSUMER_IDS_CHANGED => {
                let header: ConsumerGroup = command.decode()?;
                if let Some(group) = self.group(&header.consumer_group) {
                    group.members_changed();
                }
                Some(success())
            }
            code::request::RESET_CONSUMER_CLIENT_OFFSET => {
                let header: ResetClientOffset = command.decode()?;
                match (
                    self.group(&header.group),
                    json::from_slice::<ResetOffsetBody>(&command.body),
                ) {
                    (Some(group), Ok(body)) => group.reset(body.offset_table),
                    (Some(_), Err(error)) => {
                        tracing::warn!(%error, group = &*header.group, "offsets are not reset");
                    }
                    (None, _) => {}
                }
                None
            }
            code::request::GET_CONSUMER_STATUS_FROM_CLIENT => {
                let header: GetClientStatus = command.decode()?;
                let group = self.group(&header.group);
                let status = group.map(|group| group.status(&header.topic)).unwrap_or_default();
                Some(success().with_body(json::to_vec(&status)))
            }
            code::request::GET_CONSUMER_RUNNING_INFO => {
                let header: GetConsumerRunningInfo = command.decode()?;
                Some(match self.group(&header.consumer_group) {
                    Some(group) => success().with_body(json::to_vec(&group.running())),
                    None => no_such_group(&header.consumer_group),
                })
            }
            code::request::CONSUME_MESSAGE_DIRECTLY => {
                // Messages are fetched by the application, nothing can be pushed to it: the Java
                // client has the same answer for its pulling consumers.
                let header: ConsumeMessageDirectly = command.decode()?;
                Some(no_such_group(&header.consumer_group))
            }
            // No group of producers with transactions, no requests that wait for a reply: the Java
            // client passes over what it has no use for.
            code::request::CHECK_TRANSACTION_STATE => None,
            code::request::PUSH_REPLY_MESSAGE_TO_CLIENT => Some(success()),
            other => Some(Command::not_supported(other)),
        })
    }
}

fn no_such_group(group: &str) -> Command {
    let remark = format!("The Consumer Group <{group}> not exist in this consumer");
    Command::response(code::response::SYSTEM_ERROR).with_remark(remark)
}

impl Service for Incoming {
    fn requests(&self, _conn: &Arc<Connection>, batch: &mut Vec<Request>) {
        for Request { command, reply } in batch.drain(..) {
            let answer = self.answer(&command).unwrap_or_else(|error| {
                let answer = Command::response(code::response::SYSTEM_ERROR);
                Some(answer.with_remark(error.to_string()))
            });
            match answer {
                Some(answer) => reply.send(answer),
                // 39 and 220 are one-way; who wants an answer all the same gets one.
                None if reply.is_oneway() => {}
                None => reply.send(Command::response(code::response::SUCCESS)),
            }
        }
    }
}
