//! The topics of this broker: one owner behind a lock, a snapshot for everybody else.

use crate::persist::TableFile;
use crate::service::Outside;
use arc_swap::ArcSwap;
use parking_lot::Mutex;
use rmq_delivery::Topics;
use rmq_delivery::topics::{TopicChange, TopicSnapshot};
use rmq_model::topic::TopicConfig;
use std::io;
use std::sync::Arc;

/// The topic table of a running broker.
#[derive(Debug)]
pub struct TopicTable {
    core: Mutex<Topics>,
    snapshot: ArcSwap<TopicSnapshot>,
    file: TableFile,
}

impl TopicTable {
    /// Takes over a table whose picture is in `file`, or is not: then it is written soon.
    pub fn new(core: Topics, file: TableFile) -> Self {
        let snapshot = ArcSwap::new(core.snapshot());
        file.touch();
        Self { core: Mutex::new(core), snapshot, file }
    }

    /// A topic.
    pub fn get(&self, topic: &str) -> Option<Arc<TopicConfig>> {
        self.snapshot.load().get(topic).cloned()
    }

    /// All of them at this moment.
    pub fn all(&self) -> Arc<TopicSnapshot> {
        self.snapshot.load_full()
    }

    /// Belongs to the system: administrators cannot change it.
    pub fn is_system(&self, topic: &str) -> bool {
        self.core.lock().is_system(topic)
    }

    /// Names of the system's topics that are here.
    pub fn system_topics(&self) -> Vec<Arc<str>> {
        self.core.lock().system_topics().cloned().collect()
    }

    /// Changes the table; what `change` says was changed is seen by readers, marked for the file
    /// and announced before this returns.
    pub fn change<R>(
        &self,
        outside: &dyn Outside,
        change: impl FnOnce(&mut Topics) -> R,
        changed: impl FnOnce(&R) -> Vec<Arc<str>>,
    ) -> R {
        let mut core = self.core.lock();
        let before = core.version();
        let result = change(&mut core);
        if core.version() != before {
            self.snapshot.store(core.snapshot());
            drop(core);
            self.file.touch();
            outside.topics_changed(&changed(&result));
        }
        result
    }

    /// As [`TopicTable::change`] for one topic.
    pub fn change_one<E>(
        &self,
        outside: &dyn Outside,
        change: impl FnOnce(&mut Topics) -> Result<TopicChange, E>,
    ) -> Result<Arc<TopicConfig>, E> {
        let result = self.change(outside, change, |result| {
            let changed = result.as_ref().ok().and_then(TopicChange::changed);
            changed.map(|config| Arc::clone(&config.topic_name)).into_iter().collect()
        });
        result.map(|change| Arc::clone(change.config()))
    }

    /// Brings the file up to date.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn save(&self) -> io::Result<bool> {
        self.file.save(|| super::tables::topics_json(&self.all()))
    }
}
