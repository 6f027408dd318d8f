//! Heartbeats and what hangs on them: who is connected, locks, assignments.

use crate::config::Settings;
use crate::service::tables::{RequestMode, RequestModes};
use crate::service::{Broker, Peer};
use rmq_delivery::clients::{
    ClientInfo, ClientLimits, ConsumerEntry, HeartbeatForm, Member, Notice, RegisterError,
};
use rmq_delivery::filter::{self, FilterError, Matcher, PropertyFilter};
use rmq_delivery::{Clients, ConnId};
use rmq_model::client::SubscriptionData;
use rmq_model::name::{is_retry_topic, retry_topic};
use rmq_model::{MessageQueue, Millis, sysflag};
use std::sync::Arc;

/// A heartbeat (request 34).
#[derive(Clone, Debug)]
pub struct Heartbeat {
    /// Client.
    pub client_id: Arc<str>,
    /// Full or short.
    pub form: HeartbeatForm,
    /// Producer groups.
    pub producers: Vec<Arc<str>>,
    /// Consumer groups, and whether each is in unit mode.
    pub consumers: Vec<(ConsumerEntry, bool)>,
}

/// How queues are divided among consumers (request 400).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strategy {
    /// Consecutive queues to each.
    Average,
    /// One to each in turn.
    Circle,
}

/// Why a mode is not set (request 401).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ModeError {
    /// Response code 16.
    #[error("retry topic {topic} is not allowed to set mode")]
    RetryTopic {
        /// As asked.
        topic: String,
    },
    /// Response code 17.
    #[error("topic[{topic}] not exist")]
    TopicNotExist {
        /// As asked.
        topic: String,
    },
    /// Response code 26.
    #[error("subscription group [{group}] does not exist")]
    GroupNotExist {
        /// As asked.
        group: String,
    },
    /// Response code 1.
    #[error("mode {mode:?} is not available, only PULL")]
    Mode {
        /// As asked.
        mode: String,
    },
    /// Response code 1.
    #[error("modes are set for {max} topics already")]
    Full {
        /// The bound.
        max: usize,
    },
}

const MODES_MAX: usize = 100_000;

pub(super) fn table(settings: &Settings) -> Clients {
    let expire_ms = i64::try_from(settings.channel_expired_timeout).unwrap_or(i64::MAX);
    Clients::new(ClientLimits { expire_ms, ..ClientLimits::default() })
}

impl Broker {
    /// Milliseconds on a clock that never steps back, for locks.
    pub(crate) fn uptime(&self) -> Millis {
        Millis::try_from(self.clock.monotonic().as_millis()).unwrap_or(Millis::MAX)
    }

    /// Takes a heartbeat; says whether the client must send its full form again.
    ///
    /// # Errors
    /// [`RegisterError`] when a table is full.
    pub fn heartbeat(&self, peer: &Peer, heartbeat: &Heartbeat) -> Result<bool, RegisterError> {
        let now = self.now();
        let client = Arc::new(ClientInfo {
            client_id: Arc::clone(&heartbeat.client_id),
            language: peer.language,
            version: peer.version,
            addr: peer.addr,
        });
        let mut notices = Vec::new();
        let changed = self.register(peer, heartbeat, now, &client, &mut notices);
        // What was registered before a refusal concerns the other members all the same.
        self.notify(&notices);
        changed
    }

    fn register(
        &self,
        peer: &Peer,
        heartbeat: &Heartbeat,
        now: Millis,
        client: &Arc<ClientInfo>,
        notices: &mut Vec<Notice>,
    ) -> Result<bool, RegisterError> {
        let mut changed = matches!(heartbeat.form, HeartbeatForm::V1);
        for (entry, unit_mode) in &heartbeat.consumers {
            let Some(config) = self.groups.find(now, &entry.group) else { continue };
            self.retry_topic_of(now, entry, *unit_mode, config.retry_queue_nums);
            let notify = config.notify_consumer_ids_changed_enable
                && self.settings().notify_consumer_ids_changed_enable;
            changed |= self.clients.write().register_consumer(
                now,
                peer.conn,
                client,
                entry,
                heartbeat.form,
                notify,
                PropertyFilter::Off,
                notices,
            )?;
        }
        if !heartbeat.producers.is_empty() {
            let mut clients = self.clients.write();
            for group in &heartbeat.producers {
                clients.register_producer(now, peer.conn, client, group)?;
            }
        }
        Ok(changed)
    }

    fn retry_topic_of(&self, now: Millis, entry: &ConsumerEntry, unit: bool, queues: i32) {
        let name = retry_topic(&entry.group);
        let order = entry.subscriptions.iter().any(|subscription| {
            self.topics.get(&subscription.topic).is_some_and(|topic| topic.order)
        });
        if self.topics.get(&name).is_some_and(|topic| topic.order == order) {
            return;
        }
        let sys_flag = if unit { sysflag::TOPIC_UNIT_SUB } else { 0 };
        let queues = u32::try_from(queues).unwrap_or(0);
        let made = self.topics.change_one(self.outside(), |topics| {
            topics.for_send_back(now, &name, queues, order, sys_flag)
        });
        if let Err(error) = made {
            tracing::debug!(group = &*entry.group, %error, "no retry topic");
        }
    }

    fn notify(&self, notices: &[Notice]) {
        for notice in notices {
            self.outside().group_changed(notice);
        }
    }

    /// Takes a client out of its groups (request 35).
    pub fn unregister(&self, peer: &Peer, producer: Option<&str>, consumer: Option<&str>) {
        let mut notices = Vec::new();
        self.clients.write().unregister(peer.conn, producer, consumer, &mut notices);
        self.notify(&notices);
    }

    /// A connection was closed.
    pub fn disconnected(&self, conn: ConnId) {
        let mut notices = Vec::new();
        self.clients.write().closed(conn, &mut notices);
        self.waiting.closed(conn);
        self.notify(&notices);
    }

    /// Forgets clients without heartbeat and locks that nobody renews; every ten seconds.
    pub fn sweep_clients(&self) {
        let (mut notices, mut stale) = (Vec::new(), Vec::new());
        self.clients.write().expire(self.now(), &mut notices, &mut stale);
        self.locks.lock().sweep(self.uptime());
        self.notify(&notices);
        for conn in stale {
            self.outside().close(conn);
        }
    }

    /// Client ids of a group; `None` when it has none (request 38).
    pub fn consumer_ids(&self, group: &str) -> Option<Vec<Arc<str>>> {
        let clients = self.clients.read();
        let ids = clients.consumer_group(group)?.client_ids();
        (!ids.is_empty()).then_some(ids)
    }

    /// The connection and program of a consumer.
    pub fn consumer(&self, group: &str, client_id: &str) -> Option<Member> {
        self.clients.read().consumer(group, client_id).cloned()
    }

    /// The connections of a group.
    pub fn consumers(&self, group: &str) -> Vec<Member> {
        let clients = self.clients.read();
        let members = clients.consumer_group(group).map(|g| g.members().cloned().collect());
        members.unwrap_or_default()
    }

    /// Checks an expression (request 46).
    ///
    /// # Errors
    /// [`FilterError`] says what is wrong with it.
    pub fn check_subscription(&self, data: &SubscriptionData) -> Result<(), FilterError> {
        if data.is_tag() {
            filter::compile_expression(Some(&data.sub_string), None, PropertyFilter::Off).map(drop)
        } else {
            Matcher::compile(data, PropertyFilter::Off).map(drop)
        }
    }

    /// Takes or renews queue locks; gives those that are the client's now (request 41).
    pub fn lock_queues(
        &self,
        group: &str,
        client: &str,
        queues: Vec<MessageQueue>,
    ) -> Vec<MessageQueue> {
        self.locks.lock().lock(self.uptime(), group, client, queues)
    }

    /// Gives up queue locks (request 42).
    pub fn unlock_queues(&self, group: &str, client: &str, queues: &[MessageQueue]) {
        self.locks.lock().unlock(group, client, queues);
    }

    /// The read queues of a topic on this broker.
    pub fn own_queues(&self, topic: &str) -> Vec<MessageQueue> {
        let Some(config) = self.topics.get(topic) else { return Vec::new() };
        let name = &self.config.settings.broker_name;
        let queue = |queue: u32| {
            Some(MessageQueue {
                broker_name: Arc::clone(name),
                queue_id: i32::try_from(queue).ok()?,
                topic: Arc::clone(&config.topic_name),
            })
        };
        (0..config.read_queue_nums).filter_map(queue).collect()
    }

    /// How groups take topics (request 402).
    pub fn request_modes(&self) -> RequestModes {
        self.modes.lock().clone()
    }

    /// Replaces how groups take topics by the master's.
    pub(crate) fn take_modes(&self, modes: RequestModes) {
        let mut own = self.modes.lock();
        if *own == modes || MODES_MAX < modes.message_request_mode_map.len() {
            return;
        }
        *own = modes;
        drop(own);
        self.modes_changed();
    }

    /// Sets how a group takes a topic (request 401).
    ///
    /// # Errors
    /// [`ModeError`] says which rule is broken.
    pub fn set_request_mode(&self, mode: RequestMode) -> Result<(), ModeError> {
        let topic = mode.topic.clone();
        if is_retry_topic(&topic) {
            return Err(ModeError::RetryTopic { topic });
        }
        if self.topics.get(&topic).is_none() {
            return Err(ModeError::TopicNotExist { topic });
        }
        if self.groups.find(self.now(), &mode.consumer_group).is_none() {
            return Err(ModeError::GroupNotExist { group: mode.consumer_group });
        }
        if mode.mode != "PULL" {
            return Err(ModeError::Mode { mode: mode.mode });
        }
        let mut modes = self.modes.lock();
        let map = &mut modes.message_request_mode_map;
        if MODES_MAX <= map.len() && !map.contains_key(&topic) {
            return Err(ModeError::Full { max: MODES_MAX });
        }
        map.entry(topic).or_default().insert(mode.consumer_group.clone(), mode);
        drop(modes);
        self.modes_changed();
        Ok(())
    }
}

/// The share of `client` when `queues` are divided among `clients`, both sorted.
///
/// Source: RocketMQ 5.3 `AllocateMessageQueueAveragely`, `…AveragelyByCircle`.
pub fn share(
    queues: Vec<MessageQueue>,
    clients: &[Arc<str>],
    client: &str,
    strategy: Strategy,
) -> Vec<MessageQueue> {
    let count = clients.len();
    let Some(index) = clients.iter().position(|id| &**id == client) else { return Vec::new() };
    match strategy {
        Strategy::Circle => {
            let mine = |(at, _): &(usize, MessageQueue)| at.checked_rem(count) == Some(index);
            queues.into_iter().enumerate().filter(mine).map(|(_, queue)| queue).collect()
        }
        Strategy::Average => {
            let each = queues.len() / count;
            let more = queues.len() % count;
            let start = index * each + index.min(more);
            let len = each + usize::from(index < more);
            queues.into_iter().skip(start).take(len).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queues(count: i32) -> Vec<MessageQueue> {
        let queue =
            |queue_id| MessageQueue { broker_name: "b".into(), queue_id, topic: "T".into() };
        (0..count).map(queue).collect()
    }

    #[test]
    fn every_queue_belongs_to_exactly_one_client() {
        for (strategy, want) in [
            (Strategy::Average, [vec![0, 1, 2], vec![3, 4, 5], vec![6, 7]]),
            (Strategy::Circle, [vec![0, 3, 6], vec![1, 4, 7], vec![2, 5]]),
        ] {
            let clients: Vec<Arc<str>> = ["a", "b", "c"].map(Arc::from).to_vec();
            for (client, want) in clients.iter().zip(want) {
                let got = share(queues(8), &clients, client, strategy);
                let got: Vec<i32> = got.iter().map(|queue| queue.queue_id).collect();
                assert_eq!(got, want, "{strategy:?} {client}");
            }
            assert!(share(queues(8), &clients, "stranger", strategy).is_empty());
        }
        let many: Vec<Arc<str>> = ["a", "b", "c"].map(Arc::from).to_vec();
        assert!(share(queues(2), &many, "c", Strategy::Average).is_empty());
    }
}
