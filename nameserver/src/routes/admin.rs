//! What administrators change in the tables.

use super::{Deleted, Effects, QueueEntry, Routes};
use rmq_model::{DataVersion, Permission};
use std::sync::Arc;
use std::time::Duration;

/// Deletions (topic and broker) that are remembered; more of them at once are not protected.
const DELETED_MAX: usize = 4_096;

impl Routes {
    /// Takes the write permission of a broker's topics away; how many topics it has.
    pub fn wipe_write(&mut self, broker: &str, out: &mut Effects) -> usize {
        self.set_perms(broker, Permission::without_write, out)
    }

    /// Gives a broker's topics read and write permission, nothing else; how many it has.
    pub fn add_write(&mut self, broker: &str, out: &mut Effects) -> usize {
        self.set_perms(broker, |_| Permission::READ_WRITE, out)
    }

    fn set_perms(
        &mut self,
        name: &str,
        change: impl Fn(Permission) -> Permission,
        out: &mut Effects,
    ) -> usize {
        let Some(broker) = self.brokers.get(name) else { return 0 };
        for topic in &broker.topics {
            let entry = self.topics.get_mut(topic).and_then(|entries| entries.get_mut(name));
            if let Some(entry) = entry {
                entry.perm = change(entry.perm);
                out.routes.push(Arc::clone(topic));
            }
        }
        broker.topics.len()
    }

    /// Forgets a topic: on the brokers of `cluster`, or everywhere.
    pub fn delete_topic(
        &mut self,
        now: Duration,
        topic: &str,
        cluster: Option<&str>,
        out: &mut Effects,
    ) {
        let Some((shared, entries)) = self.topics.get_key_value(topic) else { return };
        let shared = Arc::clone(shared);
        let of_cluster = cluster.map(|cluster| self.clusters.get(cluster));
        let names: Vec<Arc<str>> = entries
            .keys()
            .filter(|name| of_cluster.is_none_or(|of| of.is_some_and(|of| of.contains(*name))))
            .cloned()
            .collect();
        for name in &names {
            self.remove_queue_entry(topic, name);
            let Some(broker) = self.brokers.get_mut(name) else { continue };
            broker.topics.remove(topic);
            // The next whole table may bring the topic back: it must be looked at.
            broker.generation += 1;
            if self.deleted.len() == DELETED_MAX {
                self.deleted.pop_front();
            }
            let version = self.newest_version(name);
            let (topic, broker) = (Arc::clone(&shared), Arc::clone(name));
            self.deleted.push_back(Deleted { at: now, topic, broker, version });
        }
        if !names.is_empty() {
            out.routes.push(shared);
        }
    }

    /// Of all addresses of the broker.
    fn newest_version(&self, name: &str) -> DataVersion {
        let Some(broker) = self.brokers.get(name) else { return DataVersion::default() };
        let addrs = broker.addrs.values().filter_map(|addr| self.version(&broker.cluster, addr));
        addrs.max_by_key(|v| (v.state_version, v.counter, v.timestamp)).unwrap_or_default()
    }

    /// Replaces the queue entries of a topic on the named brokers. Brokers that are not
    /// registered are passed over; the number of entries taken.
    pub fn put_topic(
        &mut self,
        topic: &str,
        entries: impl IntoIterator<Item = (Arc<str>, QueueEntry)>,
        out: &mut Effects,
    ) -> usize {
        let known = self.topics.get_key_value(topic).map(|(topic, _)| Arc::clone(topic));
        if known.is_none() && self.limits.topics <= self.topics.len() {
            return 0;
        }
        let topic: Arc<str> = known.unwrap_or_else(|| topic.into());
        let mut taken = 0;
        for (name, entry) in entries {
            let Some((name, _)) = self.brokers.get_key_value(&name) else { continue };
            let name = Arc::clone(name);
            if let Some(broker) = self.brokers.get_mut(&name) {
                broker.topics.insert(Arc::clone(&topic));
            }
            self.topics.entry(Arc::clone(&topic)).or_default().insert(name, entry);
            taken += 1;
        }
        if 0 < taken {
            // Named on purpose: no longer a topic that was deleted a moment ago.
            self.deleted.retain(|deleted| deleted.topic != topic);
            out.routes.push(topic);
        }
        taken
    }
}
