//! All queues of a store by topic and number.

use crate::config::StoreConfig;
use crate::queue::{Queue, QueueContext};
use parking_lot::RwLock;
use std::collections::{BTreeMap, HashMap};
use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use crate::disk::Disk;

type ByTopic = HashMap<Arc<str>, BTreeMap<u32, Arc<Queue>>>;

/// Finds queues; makes them on first use.
pub(crate) struct QueueTable {
    config: StoreConfig,
    context: Arc<QueueContext>,
    by_topic: RwLock<ByTopic>,
}

impl QueueTable {
    pub(crate) fn new(config: StoreConfig, disk: Arc<dyn Disk>) -> Self {
        let units_per_file = config.units_per_file();
        let open_files = AtomicUsize::new(0);
        let context = Arc::new(QueueContext { disk, units_per_file, open_files });
        Self { config, context, by_topic: RwLock::default() }
    }

    pub(crate) fn get(&self, topic: &str, id: u32) -> Option<Arc<Queue>> {
        self.by_topic.read().get(topic)?.get(&id).cloned()
    }

    pub(crate) fn get_or_make(&self, topic: &Arc<str>, id: u32) -> Arc<Queue> {
        if let Some(queue) = self.get(topic, id) {
            return queue;
        }
        let mut by_topic = self.by_topic.write();
        let queues = by_topic.entry(Arc::clone(topic)).or_default();
        let make = || {
            let dir = self.config.queue_dir(topic, id);
            Arc::new(Queue::new(Arc::clone(topic), id, dir, Arc::clone(&self.context)))
        };
        Arc::clone(queues.entry(id).or_insert_with(make))
    }

    /// Numbers of a topic's queues, ascending.
    pub(crate) fn ids(&self, topic: &str) -> Vec<u32> {
        self.by_topic.read().get(topic).map(|q| q.keys().copied().collect()).unwrap_or_default()
    }

    pub(crate) fn topics(&self) -> Vec<Arc<str>> {
        self.by_topic.read().keys().cloned().collect()
    }

    pub(crate) fn all(&self) -> Vec<Arc<Queue>> {
        self.by_topic.read().values().flat_map(|queues| queues.values().cloned()).collect()
    }

    /// Forgets a topic and removes its files: all that can be removed, before an error is told.
    pub(crate) fn delete(&self, topic: &str) -> io::Result<bool> {
        let Some((_, queues)) = self.by_topic.write().remove_entry(topic) else {
            return Ok(false);
        };
        let mut outcome = Ok(());
        for queue in queues.values() {
            outcome = outcome.and(queue.delete());
        }
        outcome?;
        let dir = self.config.queues_dir().join(topic);
        match self.context.disk.remove_dir(&dir) {
            // Something of somebody else's may be in it; a queue of the name made meanwhile too.
            Ok(()) | Err(_) => {}
        }
        match self.context.disk.sync_dir(&self.config.queues_dir()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(true),
        }
    }
}
