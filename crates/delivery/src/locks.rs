//! Which client of a group holds which queue, for consumption in order.
//!
//! Source: RocketMQ 5.3 `RebalanceLockManager`.

use rmq_model::{MessageQueue, Millis};
use std::collections::HashMap;
use std::sync::Arc;

/// A lock older than this is free (`rocketmq.broker.rebalance.lockMaxLiveTime`).
pub const LOCK_LIVE_MS: Millis = 60_000;
/// Most queues held, over all groups.
pub const LOCKS_MAX: usize = 1_000_000;

#[derive(Debug)]
struct Held {
    client: Arc<str>,
    at: Millis,
}

impl Held {
    fn expired(&self, now: Millis) -> bool {
        LOCK_LIVE_MS < now.saturating_sub(self.at)
    }
}

/// The locks of all groups. Times are of one clock that does not step backwards.
#[derive(Debug, Default)]
pub struct Locks {
    groups: HashMap<Arc<str>, HashMap<MessageQueue, Held>>,
    held: usize,
}

impl Locks {
    /// Takes or renews queues for a client; returns those that are its own now, in the order
    /// asked (request 41).
    pub fn lock(
        &mut self,
        now: Millis,
        group: &str,
        client: &str,
        queues: Vec<MessageQueue>,
    ) -> Vec<MessageQueue> {
        if queues.is_empty() {
            return queues;
        }
        if !self.groups.contains_key(group) {
            self.groups.insert(group.into(), HashMap::new());
        }
        let Some(table) = self.groups.get_mut(group) else { return Vec::new() };
        let client: Arc<str> = client.into();
        let mut granted = queues;
        granted.retain(|queue| match table.get_mut(queue) {
            Some(held) if held.client == client || held.expired(now) => {
                *held = Held { client: Arc::clone(&client), at: now };
                true
            }
            Some(_) => false,
            None if LOCKS_MAX <= self.held => false,
            None => {
                table.insert(queue.clone(), Held { client: Arc::clone(&client), at: now });
                self.held += 1;
                true
            }
        });
        if table.is_empty() {
            self.groups.remove(group);
        }
        granted
    }

    /// Gives up queues; those of other clients stay as they are (request 42).
    pub fn unlock(&mut self, group: &str, client: &str, queues: &[MessageQueue]) {
        let Some(table) = self.groups.get_mut(group) else { return };
        for queue in queues {
            if table.get(queue).is_some_and(|held| &*held.client == client) {
                table.remove(queue);
                self.held -= 1;
            }
        }
        if table.is_empty() {
            self.groups.remove(group);
        }
    }

    /// Whether a client holds the queue.
    pub fn is_held_by(&self, now: Millis, group: &str, client: &str, queue: &MessageQueue) -> bool {
        self.groups
            .get(group)
            .and_then(|table| table.get(queue))
            .is_some_and(|held| &*held.client == client && !held.expired(now))
    }

    /// Whether the group holds any lock that has not expired: its retries then go straight to the
    /// dead letters.
    pub fn holds_any(&self, now: Millis, group: &str) -> bool {
        self.groups.get(group).is_some_and(|table| table.values().any(|held| !held.expired(now)))
    }

    /// Forgets locks that have expired; call now and then.
    pub fn sweep(&mut self, now: Millis) {
        self.groups.retain(|_, table| {
            table.retain(|_, held| !held.expired(now));
            !table.is_empty()
        });
        self.held = self.groups.values().map(HashMap::len).sum();
    }

    /// Number of queues held, expired ones included.
    pub fn len(&self) -> usize {
        self.held
    }

    /// Whether no queue is held.
    pub fn is_empty(&self) -> bool {
        self.held == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(queue_id: i32) -> MessageQueue {
        MessageQueue { broker_name: "b".into(), queue_id, topic: "T".into() }
    }

    fn ids(queues: &[MessageQueue]) -> Vec<i32> {
        queues.iter().map(|queue| queue.queue_id).collect()
    }

    #[test]
    fn a_queue_has_one_holder_for_sixty_seconds() {
        let mut locks = Locks::default();
        assert_eq!(ids(&locks.lock(0, "G", "a", vec![queue(0), queue(1)])), [0, 1]);
        assert_eq!(ids(&locks.lock(60_000, "G", "b", vec![queue(0), queue(2)])), [2]);
        assert!(locks.is_held_by(60_000, "G", "a", &queue(0)));
        assert!(!locks.is_held_by(60_001, "G", "a", &queue(0)));
        assert_eq!(ids(&locks.lock(60_001, "G", "b", vec![queue(0)])), [0]);
        assert_eq!(ids(&locks.lock(60_001, "H", "c", vec![queue(0)])), [0], "groups are apart");
        assert_eq!(locks.len(), 4);
    }

    #[test]
    fn renewing_extends() {
        let mut locks = Locks::default();
        locks.lock(0, "G", "a", vec![queue(0)]);
        assert_eq!(ids(&locks.lock(50_000, "G", "a", vec![queue(0)])), [0]);
        assert!(locks.lock(110_000, "G", "b", vec![queue(0)]).is_empty());
        assert_eq!(ids(&locks.lock(110_001, "G", "b", vec![queue(0)])), [0]);
    }

    #[test]
    fn only_the_holder_unlocks() {
        let mut locks = Locks::default();
        locks.lock(0, "G", "a", vec![queue(0)]);
        locks.unlock("G", "b", &[queue(0)]);
        assert!(locks.is_held_by(0, "G", "a", &queue(0)));
        locks.unlock("G", "a", &[queue(0), queue(7)]);
        assert!(locks.is_empty());
        assert_eq!(ids(&locks.lock(1, "G", "b", vec![queue(0)])), [0]);
    }

    #[test]
    fn a_group_holds_something_until_all_has_expired() {
        let mut locks = Locks::default();
        assert!(!locks.holds_any(0, "G"));
        locks.lock(0, "G", "a", vec![queue(0)]);
        locks.lock(10_000, "G", "a", vec![queue(1)]);
        assert!(locks.holds_any(70_000, "G"));
        assert!(!locks.holds_any(70_001, "G"));
        locks.sweep(70_000);
        assert_eq!(locks.len(), 1);
        locks.sweep(70_001);
        assert!(locks.is_empty());
    }
}
