//! The consumer groups of this broker: one owner behind a lock, a snapshot for everybody else.

use crate::persist::TableFile;
use arc_swap::ArcSwap;
use parking_lot::Mutex;
use rmq_delivery::Groups;
use rmq_delivery::groups::GroupSnapshot;
use rmq_model::Millis;
use rmq_model::group::SubscriptionGroupConfig;
use std::io;
use std::sync::Arc;

/// The group table of a running broker.
#[derive(Debug)]
pub struct GroupTable {
    core: Mutex<Groups>,
    snapshot: ArcSwap<GroupSnapshot>,
    file: TableFile,
}

impl GroupTable {
    /// Takes over a table whose picture is in `file`, or is not: then it is written soon.
    pub fn new(core: Groups, file: TableFile) -> Self {
        let snapshot = ArcSwap::new(core.snapshot());
        file.touch();
        Self { core: Mutex::new(core), snapshot, file }
    }

    /// A group, if it exists.
    pub fn get(&self, group: &str) -> Option<Arc<SubscriptionGroupConfig>> {
        self.snapshot.load().get(group).cloned()
    }

    /// A group, made with defaults where that is allowed.
    pub fn find(&self, now: Millis, group: &str) -> Option<Arc<SubscriptionGroupConfig>> {
        if let Some(config) = self.snapshot.load().get(group) {
            return Some(Arc::clone(config));
        }
        self.change(|groups| groups.find(now, group)).map(|change| Arc::clone(change.config()))
    }

    /// Whether the group must not read the topic.
    pub fn read_forbidden(&self, group: &str, topic: &str) -> bool {
        self.snapshot.load().read_forbidden(group, topic)
    }

    /// All of them at this moment.
    pub fn all(&self) -> Arc<GroupSnapshot> {
        self.snapshot.load_full()
    }

    /// Changes the table; readers see the change before this returns.
    pub fn change<R>(&self, change: impl FnOnce(&mut Groups) -> R) -> R {
        let mut core = self.core.lock();
        let before = core.version();
        let result = change(&mut core);
        if core.version() != before {
            self.snapshot.store(core.snapshot());
            drop(core);
            self.file.touch();
        }
        result
    }

    /// Brings the file up to date.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn save(&self) -> io::Result<bool> {
        self.file.save(|| super::tables::groups_json(&self.all()))
    }
}
