//! Who is connected: producers, consumers, their groups and what the groups subscribe to.
//!
//! A client is known by the connection its heartbeats arrive on. Producer and consumer groups are
//! apart; one connection can be in many of both.
//!
//! Source: RocketMQ 5.3 `ProducerManager`, `ConsumerManager`, `ConsumerGroupInfo`.

mod consumers;
mod producers;
#[cfg(test)]
mod tests;

pub use consumers::{ConsumerEntry, ConsumerGroup, Subscription};
pub use producers::ProducerGroup;

use crate::filter::PropertyFilter;
use consumers::Consumers;
use producers::Producers;
use rmq_model::Millis;
use rmq_model::peer::{Language, ProtocolVersion};
use std::net::SocketAddr;
use std::sync::Arc;

/// One connection, for as long as the program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnId(pub u64);

/// What a client says about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientInfo {
    /// `ip@instance`, chosen by the client.
    pub client_id: Arc<str>,
    /// Language of the client, from the frame.
    pub language: Language,
    /// Version of the client, from the frame.
    pub version: ProtocolVersion,
    /// Peer address of the connection.
    pub addr: SocketAddr,
}

/// A client in a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its connection.
    pub conn: ConnId,
    /// Itself.
    pub client: Arc<ClientInfo>,
    /// When its last heartbeat came.
    pub last_seen: Millis,
}

/// Bounds of the tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientLimits {
    /// Groups, producers and consumers each.
    pub groups_max: usize,
    /// Connections of one group.
    pub members_max: usize,
    /// Topics one group subscribes to.
    pub subscriptions_max: usize,
    /// Groups one connection is in, producers and consumers each.
    pub groups_per_connection_max: usize,
    /// Without heartbeat for this long a client is forgotten (`channelExpiredTimeout`).
    pub expire_ms: Millis,
}

impl Default for ClientLimits {
    fn default() -> Self {
        Self {
            groups_max: 100_000,
            members_max: 20_000,
            subscriptions_max: 10_000,
            groups_per_connection_max: 10_000,
            expire_ms: 120_000,
        }
    }
}

/// A table is full; the registration did not happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RegisterError {
    /// [`ClientLimits::groups_max`]
    #[error("the broker serves {max} groups already")]
    Groups {
        /// The bound.
        max: usize,
    },
    /// [`ClientLimits::members_max`]
    #[error("the group has {max} clients already")]
    Members {
        /// The bound.
        max: usize,
    },
    /// [`ClientLimits::subscriptions_max`]
    #[error("a group subscribes to at most {max} topics")]
    Subscriptions {
        /// The bound.
        max: usize,
    },
    /// [`ClientLimits::groups_per_connection_max`]
    #[error("a connection is in at most {max} groups")]
    GroupsPerConnection {
        /// The bound.
        max: usize,
    },
}

/// The connections of a group that must hear of a change (request 40).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// The consumer group.
    pub group: Arc<str>,
    /// All its connections.
    pub conns: Vec<ConnId>,
}

/// Says of a heartbeat (request 34) which form it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeartbeatForm {
    /// Fingerprint 0: carries everything, every time.
    V1,
    /// Carries everything, and the fingerprint of it.
    Full {
        /// Not 0.
        fingerprint: i32,
    },
    /// Carries the groups without their subscriptions.
    WithoutSubscriptions {
        /// Of the last full heartbeat.
        fingerprint: i32,
    },
}

impl HeartbeatForm {
    /// From the members `heartbeatFingerprint` and `withoutSub`.
    pub fn of(fingerprint: i32, without_sub: bool) -> Self {
        match (fingerprint, without_sub) {
            (0, _) => Self::V1,
            (fingerprint, false) => Self::Full { fingerprint },
            (fingerprint, true) => Self::WithoutSubscriptions { fingerprint },
        }
    }
}

/// All clients of a broker.
#[derive(Debug)]
pub struct Clients {
    limits: ClientLimits,
    /// When [`Clients::expire`] was called last.
    swept: Option<Millis>,
    consumers: Consumers,
    producers: Producers,
}

impl Clients {
    /// Nobody connected.
    pub fn new(limits: ClientLimits) -> Self {
        let (consumers, producers) = (Consumers::default(), Producers::default());
        Self { limits, swept: None, consumers, producers }
    }

    /// `channelExpiredTimeout` was changed.
    pub fn set_expire_ms(&mut self, expire_ms: Millis) {
        self.limits.expire_ms = expire_ms;
    }

    /// Registers or refreshes a producer.
    ///
    /// # Errors
    /// [`RegisterError`] names the bound that was reached.
    pub fn register_producer(
        &mut self,
        now: Millis,
        conn: ConnId,
        client: &Arc<ClientInfo>,
        group: &str,
    ) -> Result<(), RegisterError> {
        self.producers.register(&self.limits, now, conn, client, group)
    }

    /// Registers or refreshes a consumer, and takes over the subscriptions of its group.
    ///
    /// `notify` is the group's own flag together with the broker's. If members or subscribed
    /// topics changed, and the group is not broadcasting, a notice for the whole group is added to
    /// `notices`. The result says whether the client must send its full form again
    /// (`IS_SUB_CHANGE`).
    ///
    /// # Errors
    /// [`RegisterError`] names the bound that was reached.
    #[expect(clippy::too_many_arguments, reason = "the parts of one heartbeat")]
    pub fn register_consumer(
        &mut self,
        now: Millis,
        conn: ConnId,
        client: &Arc<ClientInfo>,
        entry: &ConsumerEntry,
        form: HeartbeatForm,
        notify: bool,
        property: PropertyFilter,
        notices: &mut Vec<Notice>,
    ) -> Result<bool, RegisterError> {
        let registration = consumers::Registration { now, conn, client, form, notify, property };
        self.consumers.register(&self.limits, registration, entry, notices)
    }

    /// Takes a client out of a producer and a consumer group (request 35).
    pub fn unregister(
        &mut self,
        conn: ConnId,
        producer_group: Option<&str>,
        consumer_group: Option<&str>,
        notices: &mut Vec<Notice>,
    ) {
        if let Some(group) = producer_group.filter(|group| !group.is_empty()) {
            self.producers.remove(conn, group);
        }
        if let Some(group) = consumer_group.filter(|group| !group.is_empty()) {
            self.consumers.remove(conn, group, notices);
        }
    }

    /// Forgets everything about a connection.
    pub fn closed(&mut self, conn: ConnId, notices: &mut Vec<Notice>) {
        self.producers.closed(conn);
        self.consumers.closed(conn, notices);
    }

    /// Forgets clients without heartbeat; call every ten seconds.
    ///
    /// Adds the connections they were on to `stale`, each once: they should be closed.
    ///
    /// If the clock jumped since the last call, or the program stood still, nobody's heartbeat
    /// could be taken in time: then all count as just seen.
    pub fn expire(&mut self, now: Millis, notices: &mut Vec<Notice>, stale: &mut Vec<ConnId>) {
        let gap = self.swept.replace(now).map_or(0, |last| now.saturating_sub(last));
        if gap < 0 || self.limits.expire_ms / 2 < gap {
            self.producers.seen(now);
            self.consumers.seen(now);
            return;
        }
        let before = now.saturating_sub(self.limits.expire_ms);
        self.producers.expire(before, stale);
        self.consumers.expire(before, notices, stale);
        stale.sort_unstable();
        stale.dedup();
    }

    /// A consumer group with at least one member.
    pub fn consumer_group(&self, group: &str) -> Option<&ConsumerGroup> {
        self.consumers.get(group)
    }

    /// All consumer groups with members, in no order.
    pub fn consumer_groups(&self) -> impl Iterator<Item = (&Arc<str>, &ConsumerGroup)> {
        self.consumers.iter()
    }

    /// What a consumer group wants of a topic.
    pub fn subscription(&self, group: &str, topic: &str) -> Option<&Arc<Subscription>> {
        self.consumers.get(group)?.subscription(topic)
    }

    /// The connection of a consumer (requests 307, 309, 221): the newest, if it has reconnected
    /// and its old connection is not known to be dead yet.
    pub fn consumer(&self, group: &str, client_id: &str) -> Option<&Member> {
        let members = self.consumers.get(group)?.members();
        members.rev().find(|member| &*member.client.client_id == client_id)
    }

    /// Consumer groups that subscribe to a topic, in no order (request 300).
    pub fn groups_of_topic<'a>(&'a self, topic: &'a str) -> impl Iterator<Item = &'a Arc<str>> {
        self.consumers
            .iter()
            .filter(move |(_, group)| group.subscription(topic).is_some())
            .map(|(name, _)| name)
    }

    /// A producer group with at least one member (request 204).
    pub fn producer_group(&self, group: &str) -> Option<&ProducerGroup> {
        self.producers.get(group)
    }

    /// All producer groups with members, in no order (request 328).
    pub fn producer_groups(&self) -> impl Iterator<Item = (&Arc<str>, &ProducerGroup)> {
        self.producers.iter()
    }

    /// The connection of a producer by client id alone (request 326).
    pub fn producer(&self, client_id: &str) -> Option<ConnId> {
        self.producers.by_client_id(client_id)
    }
}

impl Default for Clients {
    fn default() -> Self {
        Self::new(ClientLimits::default())
    }
}
