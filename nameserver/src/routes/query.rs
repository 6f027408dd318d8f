//! What clients, brokers and administrators ask for.

use super::{Broker, MASTER_ID, QueueEntry, Routes, SYNC_MEMBER_PREFIX};
use rmq_model::sysflag::{TOPIC_UNIT, TOPIC_UNIT_SUB};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The addresses of one broker name, as routes show them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerView {
    /// Broker name.
    pub name: Arc<str>,
    /// Cluster.
    pub cluster: Arc<str>,
    /// Id to address; 0 is the master.
    pub addrs: BTreeMap<i64, Arc<str>>,
    /// Zone, if it registered one.
    pub zone: Option<Arc<str>>,
    /// Whether the smallest slave stands in for a lost master.
    pub acting_master: bool,
}

/// Everything about one topic.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RouteView {
    /// Brokers with the topic that have an address.
    pub brokers: Vec<BrokerView>,
    /// Queues by broker.
    pub queues: Vec<(Arc<str>, QueueEntry)>,
    /// Address to filter servers.
    pub filter_servers: BTreeMap<Arc<str>, Vec<String>>,
    /// Static mapping by broker; empty for usual topics.
    pub mappings: BTreeMap<Arc<str>, Arc<serde_json::Value>>,
}

impl RouteView {
    /// Keeps the brokers of `zone` and those without master: who lost its master may be read
    /// from anywhere.
    #[must_use]
    pub fn in_zone(mut self, zone: &str) -> Self {
        let (kept, removed): (Vec<_>, Vec<_>) = self.brokers.into_iter().partition(|broker| {
            let same = broker.zone.as_ref().is_some_and(|z| z.eq_ignore_ascii_case(zone));
            same || !broker.addrs.contains_key(&MASTER_ID)
        });
        let names: BTreeSet<&str> = removed.iter().map(|broker| &*broker.name).collect();
        self.queues.retain(|(name, _)| !names.contains(&**name));
        for addr in removed.iter().flat_map(|broker| broker.addrs.values()) {
            self.filter_servers.remove(addr);
        }
        self.brokers = kept;
        self
    }
}

/// Which topics a list of unit topics has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnitTopics {
    /// Unit topics.
    Unit,
    /// Topics with unit subscriptions.
    UnitSub,
    /// Those of them that are no unit topics.
    UnitSubNotUnit,
}

impl Routes {
    /// The route of a topic; `None` when it has none.
    pub fn route(&self, topic: &str) -> Option<RouteView> {
        let entries = self.topics.get(topic)?;
        let mut view = RouteView {
            queues: entries.iter().map(|(name, entry)| (Arc::clone(name), *entry)).collect(),
            mappings: self.mappings.get(topic).cloned().unwrap_or_default(),
            ..RouteView::default()
        };
        for (name, entry) in entries {
            let Some(broker) = self.brokers.get(name) else { continue };
            let mut shown = show(name, broker);
            for addr in shown.addrs.values() {
                let live = self.live(&broker.cluster, addr);
                if let Some(live) = live.filter(|live| !live.filter_servers.is_empty()) {
                    view.filter_servers.insert(Arc::clone(addr), live.filter_servers.clone());
                }
            }
            let acting = self.rules.support_acting_master
                && broker.acting_master
                && !entry.perm.writable()
                && !topic.starts_with(SYNC_MEMBER_PREFIX);
            if acting
                && !shown.addrs.contains_key(&MASTER_ID)
                && let Some((_, addr)) = shown.addrs.pop_first()
            {
                shown.addrs.insert(MASTER_ID, addr);
            }
            view.brokers.push(shown);
        }
        (!view.brokers.is_empty()).then_some(view)
    }

    /// All brokers, by name.
    pub fn brokers(&self) -> BTreeMap<Arc<str>, BrokerView> {
        self.brokers.iter().map(|(name, broker)| (Arc::clone(name), show(name, broker))).collect()
    }

    /// Broker names by cluster.
    pub fn clusters(&self) -> &BTreeMap<Arc<str>, BTreeSet<Arc<str>>> {
        &self.clusters
    }

    /// The addresses under one broker name.
    pub fn members(&self, broker: &str) -> Option<BrokerView> {
        let (name, broker) = self.brokers.get_key_value(broker)?;
        Some(show(name, broker))
    }

    /// All topics, sorted.
    pub fn topics(&self) -> Vec<Arc<str>> {
        self.topics_where(|_| true)
    }

    /// Topics that a broker of the cluster has, sorted.
    pub fn topics_of_cluster(&self, cluster: &str) -> Vec<Arc<str>> {
        let Some(names) = self.clusters.get(cluster) else { return Vec::new() };
        let brokers = names.iter().filter_map(|name| self.brokers.get(name));
        let topics: BTreeSet<&Arc<str>> = brokers.flat_map(|broker| &broker.topics).collect();
        topics.into_iter().cloned().collect()
    }

    /// Topics by the unit bits of their first queue entry, sorted.
    pub fn unit_topics(&self, which: UnitTopics) -> Vec<Arc<str>> {
        self.topics_where(|entries| {
            let flag = entries.values().next().map_or(0, |entry| entry.topic_sys_flag);
            let (unit, sub) = (flag & TOPIC_UNIT != 0, flag & TOPIC_UNIT_SUB != 0);
            match which {
                UnitTopics::Unit => unit,
                UnitTopics::UnitSub => sub,
                UnitTopics::UnitSubNotUnit => sub && !unit,
            }
        })
    }

    /// Names of clusters and brokers, which are topics of the system, and the address of some
    /// broker, a master if there is one.
    pub fn system_topics(&self) -> (Vec<Arc<str>>, Option<Arc<str>>) {
        let mut topics = BTreeSet::new();
        for (cluster, names) in &self.clusters {
            topics.insert(Arc::clone(cluster));
            topics.extend(names.iter().cloned());
        }
        let first =
            |broker: &Broker| broker.addrs.iter().next().map(|(id, addr)| (*id, Arc::clone(addr)));
        let addr = self.brokers.values().filter_map(first).min().map(|(_, addr)| addr);
        (topics.into_iter().collect(), addr)
    }

    fn topics_where(
        &self,
        keep: impl Fn(&BTreeMap<Arc<str>, QueueEntry>) -> bool,
    ) -> Vec<Arc<str>> {
        let kept = self.topics.iter().filter(|(_, entries)| keep(entries));
        let mut names: Vec<Arc<str>> = kept.map(|(topic, _)| Arc::clone(topic)).collect();
        names.sort_unstable();
        names
    }
}

fn show(name: &Arc<str>, broker: &Broker) -> BrokerView {
    BrokerView {
        name: Arc::clone(name),
        cluster: Arc::clone(&broker.cluster),
        addrs: broker.addrs.clone(),
        zone: broker.zone.clone(),
        acting_master: broker.acting_master,
    }
}
