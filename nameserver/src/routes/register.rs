//! Registration: a broker says who it is and which topics it has.

use super::{
    Broker, ConnId, DELETED_FOR, Deleted, Effects, LIVE_TIMEOUT, Live, MASTER_ID, MinIdNotice,
    QueueEntry, Routes,
};
use rmq_model::limits::DERIVED_TOPIC_CHARS_MAX;
use rmq_model::{DataVersion, Permission};
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;
use std::time::Duration;

/// Who registers.
#[derive(Clone, Copy, Debug)]
pub struct Head<'a> {
    /// Cluster.
    pub cluster: &'a str,
    /// Broker name, the same for a master and its slaves.
    pub broker: &'a str,
    /// Address for clients.
    pub addr: &'a str,
    /// Replication address.
    pub ha_addr: &'a str,
    /// 0 is the master.
    pub id: i64,
    /// How long the address lives without news.
    pub timeout: Option<Duration>,
    /// `None`: a broker from before acting masters.
    pub acting_master: Option<bool>,
    /// Zone, if it has one.
    pub zone: Option<&'a str>,
    /// The connection it came on.
    pub conn: ConnId,
}

/// What a registration body says.
#[derive(Debug, Default)]
pub struct Table {
    /// Version of the topic table.
    pub version: DataVersion,
    /// Topics: all of them, or those that changed.
    pub topics: Vec<(Arc<str>, QueueEntry)>,
    /// Static mapping: topic, the broker it is of, the mapping.
    pub mappings: Vec<(Arc<str>, Arc<str>, Arc<serde_json::Value>)>,
    /// `None` keeps what is known.
    pub filter_servers: Option<Vec<String>>,
}

/// The answer to a registration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Registered {
    /// For a slave whose master is alive: the master's address and replication address.
    pub master: Option<(Arc<str>, Arc<str>)>,
}

/// Why a registration was refused. Nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RegisterError {
    /// A table is full.
    #[error("register broker failed: this name server takes no more than {limit} {what}")]
    Full {
        /// What there is too much of.
        what: &'static str,
        /// The bound.
        limit: usize,
    },
    /// A name is missing or too long.
    #[error("register broker failed: {what} must have 1 to {limit} bytes")]
    Name {
        /// Which.
        what: &'static str,
        /// The bound.
        limit: usize,
    },
}

impl Routes {
    /// Registers once more what is known already. `None` when anything might be different: then
    /// [`Routes::register`] has to look at the whole body.
    ///
    /// `fingerprint` stands for the body: equal ones are taken for equal bodies.
    pub fn repeat(
        &mut self,
        now: Duration,
        head: Head<'_>,
        fingerprint: u64,
    ) -> Option<Registered> {
        let broker = self.brokers.get(head.broker)?;
        let same = broker.addrs.get(&head.id).is_some_and(|addr| **addr == *head.addr)
            && broker.acting_master == head.acting_master.unwrap_or(false)
            && broker.zone.as_deref() == head.zone
            && self.clusters.get(head.cluster)?.contains(head.broker);
        let seen = Some((fingerprint, broker.generation));
        let live = self.live_mut(head.cluster, head.addr)?;
        if !same || live.seen != seen || &*live.ha_addr != head.ha_addr {
            return None;
        }
        live.last = now;
        live.timeout = head.timeout.unwrap_or(LIVE_TIMEOUT);
        live.conn = head.conn;
        Some(self.registered(head))
    }

    /// Registers an address and its topics.
    ///
    /// The steps and their numbers are those of the reference implementation, with two
    /// differences: a first registration with exactly one topic is taken, and a topic that was
    /// deleted a moment ago is not brought back by a whole table that was under way.
    ///
    /// # Errors
    /// When a table is full or a name is malformed.
    pub fn register(
        &mut self,
        now: Duration,
        head: Head<'_>,
        table: Table,
        fingerprint: Option<u64>,
        out: &mut Effects,
    ) -> Result<Registered, RegisterError> {
        self.check_head(head)?;
        self.check_topics(&table)?;

        // 1, 2, 3: cluster, address data, its marks.
        let mut first = self.ensure_broker(head, out);
        let Some(broker) = self.brokers.get_mut(head.broker) else {
            return Ok(Registered::default());
        };
        let name = broker_name(&self.clusters, head);
        let acting_master = head.acting_master.unwrap_or(false);
        if broker.acting_master != acting_master || broker.zone.as_deref() != head.zone {
            broker.acting_master = acting_master;
            broker.zone = head.zone.map(Arc::from);
            broker.generation += 1;
            out.all_routes = true;
        }

        // 4: an empty group counts as one whose smallest id is 0.
        let lowers_min = head.id < broker.min_id().unwrap_or(0);

        // 5: a process that changed its role keeps its address.
        let before = broker.addrs.len();
        broker.addrs.retain(|id, addr| *id == head.id || **addr != *head.addr);
        let role_changed = broker.addrs.len() != before;

        // 6: another address claims the id.
        let holder = broker.addrs.get(&head.id).filter(|addr| ***addr != *head.addr).cloned();
        let newer_holder = holder
            .and_then(|addr| self.live(head.cluster, &addr))
            .is_some_and(|live| table.version.state_version < live.version.state_version);
        if newer_holder {
            self.remove_live(head.cluster, head.addr);
            if role_changed {
                out.all_routes = true;
                self.touch(head.broker);
            }
            self.drop_if_empty(head.broker);
            return Ok(Registered::default());
        }

        // 8: the id is this address from now on.
        let addr: Arc<str> = head.addr.into();
        let Some(broker) = self.brokers.get_mut(head.broker) else {
            return Ok(Registered::default());
        };
        let old = broker.addrs.insert(head.id, Arc::clone(&addr));
        first |= old.is_none();
        if role_changed || old.is_none_or(|old| old != addr) {
            broker.generation += 1;
            out.all_routes = true;
        }

        // 9: the master's topics count, or those of the smallest slave that knows of acting
        // masters.
        let is_master = head.id == MASTER_ID;
        let prime_slave =
            !is_master && head.acting_master.is_some() && broker.min_id() == Some(head.id);
        let strip_write = prime_slave && broker.acting_master;
        let mut complete = true;
        if is_master || prime_slave {
            let changed = first
                || self.live(head.cluster, head.addr).is_none_or(|l| l.version != table.version);
            if self.rules.delete_topic_with_registration && table.mappings.is_empty() {
                self.remove_absent(&name, &table, out);
            }
            complete = self.take_topics(now, &name, &table, changed, strip_write, out);
            if changed {
                self.take_mappings(&table, out);
            }
        }

        // 10, 11.
        let filter_servers = match table.filter_servers {
            Some(servers) => servers,
            None => self
                .live(head.cluster, head.addr)
                .map_or_else(Vec::new, |live| live.filter_servers.clone()),
        };
        let old = self.live(head.cluster, head.addr).map(|live| &live.filter_servers);
        if old.map_or(!filter_servers.is_empty(), |old| *old != filter_servers) {
            out.all_routes = true;
        }
        let generation = self.brokers.get(head.broker).map_or(0, |broker| broker.generation);
        let live = Live {
            last: now,
            timeout: head.timeout.unwrap_or(LIVE_TIMEOUT),
            version: table.version,
            conn: head.conn,
            ha_addr: head.ha_addr.into(),
            filter_servers,
            seen: fingerprint.filter(|_| complete).map(|print| (print, generation)),
        };
        self.put_live(head.cluster, &addr, live);

        // 13.
        if lowers_min && self.rules.notify_min_broker_id_changed {
            out.notices.extend(self.newcomer_notice(head));
        }
        // 12.
        Ok(self.registered(head))
    }

    /// A sign of life; `false` when the address is not known.
    pub fn refresh(&mut self, now: Duration, cluster: &str, addr: &str) -> bool {
        let live = self.live_mut(cluster, addr);
        live.map(|live| live.last = now).is_some()
    }

    /// Version of the topic table as last registered by the address.
    pub fn version(&self, cluster: &str, addr: &str) -> Option<DataVersion> {
        self.live(cluster, addr).map(|live| live.version)
    }

    fn check_head(&self, head: Head<'_>) -> Result<(), RegisterError> {
        let limit = self.limits.name_bytes;
        let names =
            [("clusterName", head.cluster), ("brokerName", head.broker), ("brokerAddr", head.addr)];
        for (what, text) in names {
            if text.is_empty() || limit < text.len() {
                return Err(RegisterError::Name { what, limit });
            }
        }
        for (what, text) in
            [("haServerAddr", head.ha_addr), ("the zone name", head.zone.unwrap_or(""))]
        {
            if limit < text.len() {
                return Err(RegisterError::Name { what, limit });
            }
        }
        if !self.brokers.contains_key(head.broker) && self.limits.brokers <= self.brokers.len() {
            return Err(RegisterError::Full { what: "brokers", limit: self.limits.brokers });
        }
        let known = self.live(head.cluster, head.addr).is_some();
        if !known && self.limits.addresses <= self.live_count {
            return Err(RegisterError::Full { what: "addresses", limit: self.limits.addresses });
        }
        Ok(())
    }

    fn check_topics(&self, table: &Table) -> Result<(), RegisterError> {
        let limit = self.limits.topics;
        if self.topics.len() + table.topics.len() <= limit {
            return Ok(());
        }
        let new = table.topics.iter().filter(|(topic, _)| !self.topics.contains_key(topic)).count();
        if limit < self.topics.len() + new {
            return Err(RegisterError::Full { what: "topics", limit });
        }
        Ok(())
    }

    /// Steps 1 and 2; `true` when the broker is new.
    fn ensure_broker(&mut self, head: Head<'_>, out: &mut Effects) -> bool {
        let known = self.brokers.get_key_value(head.broker).map(|(name, _)| Arc::clone(name));
        let first = known.is_none();
        let name: Arc<str> = known.unwrap_or_else(|| head.broker.into());
        let cluster = match self.clusters.get_key_value(head.cluster) {
            Some((cluster, _)) => Arc::clone(cluster),
            None => head.cluster.into(),
        };
        let names = self.clusters.entry(Arc::clone(&cluster)).or_default();
        if names.insert(Arc::clone(&name)) && !first {
            self.touch(&name);
        }
        if first {
            let broker = Broker {
                cluster,
                addrs: BTreeMap::new(),
                zone: head.zone.map(Arc::from),
                acting_master: head.acting_master.unwrap_or(false),
                topics: BTreeSet::new(),
                generation: 0,
            };
            self.brokers.insert(name, broker);
            out.all_routes = true;
        }
        first
    }

    /// What a repeated registration would not notice has changed.
    pub(super) fn touch(&mut self, broker: &str) {
        if let Some(broker) = self.brokers.get_mut(broker) {
            broker.generation += 1;
        }
    }

    /// Step 9a.
    fn remove_absent(&mut self, name: &Arc<str>, table: &Table, out: &mut Effects) {
        let named: HashSet<&str> = table.topics.iter().map(|(topic, _)| &**topic).collect();
        let Some(broker) = self.brokers.get_mut(name) else { return };
        let absent: Vec<Arc<str>> =
            broker.topics.iter().filter(|topic| !named.contains(&***topic)).cloned().collect();
        for topic in absent {
            if let Some(broker) = self.brokers.get_mut(name) {
                broker.topics.remove(&topic);
            }
            self.remove_queue_entry(&topic, name);
            out.routes.push(topic);
        }
    }

    /// Step 9b. `false` when a topic was left out because it was deleted a moment ago.
    fn take_topics(
        &mut self,
        now: Duration,
        name: &Arc<str>,
        table: &Table,
        changed: bool,
        strip_write: bool,
        out: &mut Effects,
    ) -> bool {
        while self.deleted.front().is_some_and(|d| DELETED_FOR <= now.saturating_sub(d.at)) {
            self.deleted.pop_front();
        }
        let order = |v: DataVersion| (v.state_version, v.counter, v.timestamp);
        let stale = |d: &&Deleted| d.broker == *name && order(table.version) <= order(d.version);
        let deleted: HashSet<Arc<str>> = match table.topics.len() {
            // One topic alone is news about that topic, not a table that was under way.
            1 => HashSet::new(),
            _ => self.deleted.iter().filter(stale).map(|d| Arc::clone(&d.topic)).collect(),
        };
        let Some(broker) = self.brokers.get_mut(name) else { return true };
        let mut complete = true;
        for (topic, entry) in &table.topics {
            if topic.is_empty() || DERIVED_TOPIC_CHARS_MAX < topic.len() {
                continue;
            }
            let known = broker.topics.contains(topic);
            if known && !changed {
                continue;
            }
            if !known && deleted.contains(topic) {
                complete = false;
                continue;
            }
            let mut entry = *entry;
            if strip_write {
                entry.perm = entry.perm.without_write();
            }
            // One allocation per name, shared by all tables.
            let topic = match self.topics.get_key_value(topic) {
                Some((topic, _)) => Arc::clone(topic),
                None => Arc::clone(topic),
            };
            let entries = self.topics.entry(Arc::clone(&topic)).or_default();
            if entries.insert(Arc::clone(name), entry) != Some(entry) {
                out.routes.push(Arc::clone(&topic));
            }
            if !known {
                broker.topics.insert(topic);
            }
        }
        complete
    }

    /// Step 9c.
    fn take_mappings(&mut self, table: &Table, out: &mut Effects) {
        for (topic, broker, mapping) in &table.mappings {
            if !self.mappings.contains_key(topic) && self.limits.topics <= self.mappings.len() {
                continue;
            }
            let by_broker = self.mappings.entry(Arc::clone(topic)).or_default();
            if !by_broker.contains_key(broker) && self.limits.brokers <= by_broker.len() {
                continue;
            }
            by_broker.insert(Arc::clone(broker), Arc::clone(mapping));
            out.routes.push(Arc::clone(topic));
        }
    }

    /// Step 12.
    fn registered(&self, head: Head<'_>) -> Registered {
        let master = || {
            let addr = self.brokers.get(head.broker)?.addrs.get(&MASTER_ID)?;
            let live = self.live(head.cluster, addr)?;
            Some((Arc::clone(addr), Arc::clone(&live.ha_addr)))
        };
        Registered { master: if head.id == MASTER_ID { None } else { master() } }
    }

    fn newcomer_notice(&self, head: Head<'_>) -> Option<MinIdNotice> {
        let broker = self.brokers.get(head.broker)?;
        let (min_id, min_addr) = broker.addrs.iter().next()?;
        let alone = broker.addrs.len() == 1;
        let others = broker.addrs.iter().filter(|(id, _)| alone || *id != min_id);
        Some(MinIdNotice {
            min_id: *min_id,
            min_addr: Arc::clone(min_addr),
            offline_addr: None,
            ha_addr: Some(head.ha_addr.into()),
            recipients: others.map(|(_, addr)| Arc::clone(addr)).collect(),
        })
    }
}

/// The shared text of the broker's name.
fn broker_name(clusters: &BTreeMap<Arc<str>, BTreeSet<Arc<str>>>, head: Head<'_>) -> Arc<str> {
    let known = clusters.get(head.cluster).and_then(|names| names.get(head.broker));
    known.map_or_else(|| head.broker.into(), Arc::clone)
}

impl QueueEntry {
    /// With as many read as write queues and no unit bits.
    pub fn new(queues: u32, perm: Permission) -> Self {
        Self { perm, read_queue_nums: queues, topic_sys_flag: 0, write_queue_nums: queues }
    }
}
