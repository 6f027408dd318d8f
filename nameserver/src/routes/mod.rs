//! The name server's tables and all rules about them.
//!
//! Plain values: `&mut self`, the time as an argument, no I/O. What others must be told or forget
//! because of a change is collected in [`Effects`].

mod admin;
mod leave;
mod query;
mod register;
#[cfg(test)]
mod tests;

pub use leave::Leaving;
pub use query::{BrokerView, RouteView, UnitTopics};
pub use register::{Head, RegisterError, Registered, Table};

use rmq_model::{DataVersion, Permission};
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// Identity of a connection; never used again after it was closed.
pub type ConnId = u64;

/// Broker id of a master.
pub const MASTER_ID: i64 = 0;
/// How long an address lives without news when its registration does not say.
pub const LIVE_TIMEOUT: Duration = Duration::from_secs(120);
/// For this long after a topic was deleted, a whole table that is no newer than the one known then
/// does not bring it back: it may have been on its way meanwhile.
pub const DELETED_FOR: Duration = Duration::from_secs(10);
/// Topics whose name begins like this show real broker ids, acting master or not.
pub const SYNC_MEMBER_PREFIX: &str = "rmq_sys_SYNC_BROKER_MEMBER_";

/// Rules that the configuration switches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// Present the smallest id as master while there is none.
    pub support_acting_master: bool,
    /// Tell brokers when the smallest id of their group changes.
    pub notify_min_broker_id_changed: bool,
    /// A registration removes the broker's topics that it does not name.
    pub delete_topic_with_registration: bool,
}

/// Bounds of the tables. A registration beyond them is refused.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Broker names.
    pub brokers: usize,
    /// Addresses with a live entry, over all clusters.
    pub addresses: usize,
    /// Topics over all brokers.
    pub topics: usize,
    /// Characters of a cluster, broker or zone name or an address.
    pub name_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { brokers: 4_096, addresses: 16_384, topics: 1_000_000, name_bytes: 1_024 }
    }
}

/// Queues of a topic on one broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueEntry {
    /// Permission.
    pub perm: Permission,
    /// Queues that consumers see.
    pub read_queue_nums: u32,
    /// Unit bits.
    pub topic_sys_flag: i32,
    /// Queues that producers see.
    pub write_queue_nums: u32,
}

/// What must happen outside because the tables changed.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Effects {
    /// Every encoded route may be out of date.
    pub all_routes: bool,
    /// The encoded routes of these topics are out of date.
    pub routes: Vec<Arc<str>>,
    /// Brokers to be told that their smallest id changed.
    pub notices: Vec<MinIdNotice>,
    /// Connections of addresses that expired.
    pub close: Vec<ConnId>,
}

/// The smallest broker id of a group changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MinIdNotice {
    /// The smallest id now.
    pub min_id: i64,
    /// Its address.
    pub min_addr: Arc<str>,
    /// The address that was lost, if one was.
    pub offline_addr: Option<Arc<str>>,
    /// Replication address of the newcomer, if there is one.
    pub ha_addr: Option<Arc<str>>,
    /// Whom to tell.
    pub recipients: Vec<Arc<str>>,
}

/// A broker group: the addresses under one broker name.
#[derive(Debug)]
struct Broker {
    /// The first cluster that registered the name.
    cluster: Arc<str>,
    addrs: BTreeMap<i64, Arc<str>>,
    zone: Option<Arc<str>>,
    acting_master: bool,
    /// Topics with a queue entry of this broker: exactly those in the topic table.
    topics: BTreeSet<Arc<str>>,
    /// Grows with every change that a repeated registration might have to undo.
    generation: u64,
}

impl Broker {
    fn min_id(&self) -> Option<i64> {
        self.addrs.keys().next().copied()
    }
}

/// One address that is alive.
#[derive(Debug)]
struct Live {
    /// Monotonic.
    last: Duration,
    timeout: Duration,
    version: DataVersion,
    conn: ConnId,
    ha_addr: Arc<str>,
    filter_servers: Vec<String>,
    /// Of the last registration body, and the broker's generation once it was applied.
    seen: Option<(u64, u64)>,
}

/// Static mapping of a topic, by broker; passed through as it came.
type Mappings = BTreeMap<Arc<str>, Arc<serde_json::Value>>;

/// All tables.
#[derive(Debug, Default)]
pub struct Routes {
    rules: Rules,
    limits: Limits,
    /// Topic, broker name. Invariant: an entry's broker exists and names the topic.
    topics: HashMap<Arc<str>, BTreeMap<Arc<str>, QueueEntry>>,
    brokers: HashMap<Arc<str>, Broker>,
    clusters: BTreeMap<Arc<str>, BTreeSet<Arc<str>>>,
    /// Cluster, address.
    live: HashMap<Arc<str>, HashMap<Arc<str>, Live>>,
    live_count: usize,
    mappings: HashMap<Arc<str>, Mappings>,
    /// Oldest first.
    deleted: VecDeque<Deleted>,
}

/// A topic that an administrator deleted lately.
#[derive(Debug)]
struct Deleted {
    at: Duration,
    topic: Arc<str>,
    broker: Arc<str>,
    /// Newest version the broker had registered by then.
    version: DataVersion,
}

/// Sizes of the tables.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sizes {
    /// Topics.
    pub topics: usize,
    /// Broker names.
    pub brokers: usize,
    /// Clusters.
    pub clusters: usize,
    /// Live addresses.
    pub addresses: usize,
}

impl Routes {
    /// Empty tables.
    pub fn new(rules: Rules, limits: Limits) -> Self {
        Self { rules, limits, ..Self::default() }
    }

    /// Changes the rules; all routes may look different afterwards.
    pub fn set_rules(&mut self, rules: Rules, out: &mut Effects) {
        if self.rules == rules {
            return;
        }
        self.rules = rules;
        for live in self.live.values_mut().flat_map(HashMap::values_mut) {
            live.seen = None;
        }
        out.all_routes = true;
    }

    /// How much there is.
    pub fn sizes(&self) -> Sizes {
        Sizes {
            topics: self.topics.len(),
            brokers: self.brokers.len(),
            clusters: self.clusters.len(),
            addresses: self.live_count,
        }
    }

    fn live(&self, cluster: &str, addr: &str) -> Option<&Live> {
        self.live.get(cluster)?.get(addr)
    }

    fn live_mut(&mut self, cluster: &str, addr: &str) -> Option<&mut Live> {
        self.live.get_mut(cluster)?.get_mut(addr)
    }

    fn put_live(&mut self, cluster: &str, addr: &Arc<str>, live: Live) {
        let of_cluster = match self.live.get_mut(cluster) {
            Some(of_cluster) => of_cluster,
            None => self.live.entry(cluster.into()).or_default(),
        };
        if of_cluster.insert(Arc::clone(addr), live).is_none() {
            self.live_count += 1;
        }
    }

    fn remove_live(&mut self, cluster: &str, addr: &str) -> Option<Live> {
        let of_cluster = self.live.get_mut(cluster)?;
        let removed = of_cluster.remove(addr)?;
        self.live_count -= 1;
        if of_cluster.is_empty() {
            self.live.remove(cluster);
        }
        Some(removed)
    }

    /// Removes the queue entry of one broker, and the topic with its last one.
    fn remove_queue_entry(&mut self, topic: &str, broker: &str) -> bool {
        let Some(entries) = self.topics.get_mut(topic) else { return false };
        let removed = entries.remove(broker).is_some();
        if entries.is_empty() {
            self.topics.remove(topic);
        }
        removed
    }

    #[cfg(test)]
    fn check(&self) {
        let live: usize = self.live.values().map(HashMap::len).sum();
        assert_eq!(live, self.live_count, "live entries are counted");
        for (topic, entries) in &self.topics {
            assert!(!entries.is_empty(), "{topic} has no entries");
            for broker in entries.keys() {
                let known = self.brokers.get(broker).is_some_and(|b| b.topics.contains(topic));
                assert!(known, "{broker} does not know of {topic}");
            }
        }
        for (name, broker) in &self.brokers {
            assert!(!broker.addrs.is_empty(), "{name} has no address");
            for topic in &broker.topics {
                let known = self.topics.get(topic).is_some_and(|t| t.contains_key(name));
                assert!(known, "{topic} does not know of {name}");
            }
        }
        for (cluster, names) in &self.clusters {
            assert!(!names.is_empty(), "{cluster} is empty");
        }
    }
}
