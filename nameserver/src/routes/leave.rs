//! How addresses go: asked to, by silence, or because their connection closed.

use super::{ConnId, Effects, MASTER_ID, MinIdNotice, Routes};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// One address that is to go.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Leaving {
    /// Cluster.
    pub cluster: Arc<str>,
    /// Broker name.
    pub broker: Arc<str>,
    /// Address.
    pub addr: Arc<str>,
}

impl Routes {
    /// Removes addresses, and with the last address of a broker its topics.
    ///
    /// As long as another address of the broker is there its topics stay: a slave without master
    /// can still be read.
    pub fn leave(&mut self, leaving: &[Leaving], out: &mut Effects) {
        // Broker, its smallest id before, the address that was lost last.
        let mut reduced: BTreeMap<&Arc<str>, (Option<i64>, &Arc<str>)> = BTreeMap::new();
        for one in leaving {
            self.remove_live(&one.cluster, &one.addr);
            let Some(broker) = self.brokers.get_mut(&one.broker) else { continue };
            let min = broker.min_id();
            let before = broker.addrs.len();
            broker.addrs.retain(|_, addr| *addr != one.addr);
            if broker.addrs.len() == before {
                continue;
            }
            broker.generation += 1;
            out.all_routes = true;
            if self.drop_if_empty(&one.broker) {
                reduced.remove(&one.broker);
            } else {
                reduced.entry(&one.broker).or_insert((min, &one.addr)).1 = &one.addr;
            }
        }
        for (broker, (min, gone)) in reduced {
            self.strip_write_without_master(broker);
            out.notices.extend(self.loss_notice(broker, gone, min));
        }
    }

    /// Removes every address whose last registration came on this connection.
    pub fn closed(&mut self, conn: ConnId, out: &mut Effects) -> Vec<Leaving> {
        let leaving = self.leaving(|live| live.conn == conn);
        self.leave(&leaving, out);
        leaving
    }

    /// Removes every address that was silent for longer than its time.
    pub fn expire(&mut self, now: Duration, out: &mut Effects) -> Vec<Leaving> {
        let over = |live: &super::Live| live.timeout < now.saturating_sub(live.last);
        let conns = self.live.values().flat_map(|of| of.values());
        out.close.extend(conns.filter(|live| over(live)).map(|live| live.conn));
        let leaving = self.leaving(over);
        self.leave(&leaving, out);
        leaving
    }

    /// Live addresses that `which` picks, with the broker that has them now. An address that no
    /// broker has any more only loses its live entry.
    fn leaving(&mut self, which: impl Fn(&super::Live) -> bool) -> Vec<Leaving> {
        let mut leaving = Vec::new();
        let mut orphans = Vec::new();
        for (cluster, addrs) in &self.live {
            for (addr, _) in addrs.iter().filter(|(_, live)| which(live)) {
                let of_cluster = self.clusters.get(cluster).into_iter().flatten();
                let holder = of_cluster
                    .filter_map(|name| self.brokers.get_key_value(name))
                    .find(|(_, broker)| broker.addrs.values().any(|held| held == addr));
                let (cluster, addr) = (Arc::clone(cluster), Arc::clone(addr));
                match holder {
                    Some((broker, _)) => {
                        leaving.push(Leaving { cluster, broker: Arc::clone(broker), addr });
                    }
                    None => orphans.push((cluster, addr)),
                }
            }
        }
        for (cluster, addr) in orphans {
            self.remove_live(&cluster, &addr);
        }
        leaving.sort();
        leaving
    }

    /// Removes a broker without addresses from all tables; `true` when it was one.
    pub(super) fn drop_if_empty(&mut self, name: &str) -> bool {
        if self.brokers.get(name).is_none_or(|broker| !broker.addrs.is_empty()) {
            return false;
        }
        let Some(broker) = self.brokers.remove(name) else { return false };
        for topic in &broker.topics {
            self.remove_queue_entry(topic, name);
        }
        self.mappings.retain(|_, by_broker| {
            by_broker.remove(name);
            !by_broker.is_empty()
        });
        self.clusters.retain(|_, names| {
            names.remove(name);
            !names.is_empty()
        });
        true
    }

    /// Without master the topics of an acting-master group are read-only.
    fn strip_write_without_master(&mut self, name: &str) {
        let Some(broker) = self.brokers.get(name) else { return };
        if !broker.acting_master || broker.addrs.contains_key(&MASTER_ID) {
            return;
        }
        for topic in &broker.topics {
            let entry = self.topics.get_mut(topic).and_then(|entries| entries.get_mut(name));
            if let Some(entry) = entry {
                entry.perm = entry.perm.without_write();
            }
        }
    }

    fn loss_notice(&self, name: &str, gone: &Arc<str>, min: Option<i64>) -> Option<MinIdNotice> {
        let broker = self.brokers.get(name)?;
        let (min_id, min_addr) = broker.addrs.iter().next()?;
        let wanted = self.rules.notify_min_broker_id_changed && broker.acting_master;
        if !wanted || min == Some(*min_id) {
            return None;
        }
        Some(MinIdNotice {
            min_id: *min_id,
            min_addr: Arc::clone(min_addr),
            offline_addr: Some(Arc::clone(gone)),
            ha_addr: None,
            recipients: broker.addrs.values().cloned().collect(),
        })
    }
}
