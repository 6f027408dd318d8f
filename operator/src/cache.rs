//! What the API server has, kept as small as plans need it and grouped by cluster.
//!
//! A watch fills a [`Cache`] and is told which clusters an event concerns. Objects whose reduced form
//! did not change concern nobody: renewed leases and moved heartbeats end here.

use kube::runtime::watcher::Event;
use parking_lot::RwLock;
use std::collections::{BTreeMap, BTreeSet};
use tokio::sync::watch;

/// Namespace and name of a cluster.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ClusterKey {
    pub(crate) namespace: String,
    pub(crate) name: String,
}

impl ClusterKey {
    pub(crate) fn new(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }
}

impl std::fmt::Display for ClusterKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// An object, reduced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry<V> {
    /// The cluster it is part of.
    pub(crate) cluster: ClusterKey,
    /// Its own name; its namespace is the cluster's.
    pub(crate) name: String,
    /// What is kept of it.
    pub(crate) view: V,
}

/// Objects of one kind by cluster.
#[derive(Debug)]
pub(crate) struct Cache<V> {
    state: RwLock<State<V>>,
    filled: watch::Sender<bool>,
}

#[derive(Debug)]
struct State<V> {
    by_cluster: BTreeMap<ClusterKey, BTreeMap<String, V>>,
    /// Where an object is filed, by namespace and name: its label may change.
    cluster_of: BTreeMap<(String, String), ClusterKey>,
    /// A list that is not complete yet; what was there before stays in use until it is.
    loading: Option<Vec<Entry<V>>>,
}

impl<V> Default for Cache<V> {
    fn default() -> Self {
        let state =
            State { by_cluster: BTreeMap::new(), cluster_of: BTreeMap::new(), loading: None };
        Self { state: RwLock::new(state), filled: watch::Sender::new(false) }
    }
}

impl<V: Clone + PartialEq> Cache<V> {
    /// Takes one event of the watch; the clusters for which something changed.
    ///
    /// `reduce` gives `None` for objects that belong to no cluster.
    pub(crate) fn apply<K>(
        &self,
        event: Event<K>,
        reduce: impl Fn(K) -> Option<Entry<V>>,
    ) -> BTreeSet<ClusterKey> {
        let mut state = self.state.write();
        let mut changed = BTreeSet::new();
        match event {
            Event::Apply(object) => {
                if let Some(entry) = reduce(object) {
                    state.put(entry, &mut changed);
                }
            }
            Event::Delete(object) => {
                if let Some(entry) = reduce(object) {
                    let key = (entry.cluster.namespace, entry.name);
                    state.remove(&key, &mut changed);
                }
            }
            Event::Init => state.loading = Some(Vec::new()),
            Event::InitApply(object) => {
                let entry = reduce(object);
                state.loading.get_or_insert_default().extend(entry);
            }
            Event::InitDone => {
                let entries = state.loading.take().unwrap_or_default();
                let mut gone: BTreeSet<_> = state.cluster_of.keys().cloned().collect();
                for entry in entries {
                    gone.remove(&(entry.cluster.namespace.clone(), entry.name.clone()));
                    state.put(entry, &mut changed);
                }
                for key in gone {
                    state.remove(&key, &mut changed);
                }
                self.filled.send_replace(true);
            }
        }
        changed
    }

    /// Everything of `cluster`, by name.
    pub(crate) fn of(&self, cluster: &ClusterKey) -> BTreeMap<String, V> {
        self.state.read().by_cluster.get(cluster).cloned().unwrap_or_default()
    }

    /// Waits until the first list is complete.
    pub(crate) async fn filled(&self) {
        // The sender lives as long as `self`: the channel cannot close meanwhile.
        self.filled.subscribe().wait_for(|filled| *filled).await.ok();
    }

    /// Whether the first list is complete.
    pub(crate) fn is_filled(&self) -> bool {
        *self.filled.borrow()
    }
}

impl<V: PartialEq> State<V> {
    fn put(&mut self, entry: Entry<V>, changed: &mut BTreeSet<ClusterKey>) {
        let Entry { cluster, name, view } = entry;
        let key = (cluster.namespace.clone(), name.clone());
        if self.cluster_of.get(&key).is_some_and(|before| *before != cluster) {
            self.remove(&key, changed);
        }
        self.cluster_of.insert(key, cluster.clone());
        let objects = self.by_cluster.entry(cluster.clone()).or_default();
        if objects.get(&name) != Some(&view) {
            objects.insert(name, view);
            changed.insert(cluster);
        }
    }

    fn remove(&mut self, key: &(String, String), changed: &mut BTreeSet<ClusterKey>) {
        let Some(cluster) = self.cluster_of.remove(key) else { return };
        if let Some(objects) = self.by_cluster.get_mut(&cluster) {
            objects.remove(&key.1);
            if objects.is_empty() {
                self.by_cluster.remove(&cluster);
            }
        }
        changed.insert(cluster);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Cluster, object, value.
    type Object = (&'static str, &'static str, u32);

    fn reduce(object: Object) -> Option<Entry<u32>> {
        let (cluster, name, view) = object;
        let cluster = ClusterKey::new("ns", cluster);
        (!cluster.name.is_empty()).then(|| Entry { cluster, name: name.to_owned(), view })
    }

    fn feed(cache: &Cache<u32>, events: Vec<Event<Object>>) -> Vec<Vec<String>> {
        let names = |changed: BTreeSet<ClusterKey>| changed.into_iter().map(|c| c.name).collect();
        events.into_iter().map(|event| names(cache.apply(event, reduce))).collect()
    }

    fn of(cache: &Cache<u32>, cluster: &str) -> Vec<(String, u32)> {
        cache.of(&ClusterKey::new("ns", cluster)).into_iter().collect()
    }

    #[test]
    fn only_changes_concern_a_cluster() {
        let cache = Cache::default();
        let told = feed(
            &cache,
            vec![
                Event::Apply(("a", "x", 1)),
                Event::Apply(("a", "x", 1)),
                Event::Apply(("a", "x", 2)),
                Event::Apply(("", "stray", 2)),
                Event::Delete(("a", "x", 2)),
                Event::Delete(("a", "x", 2)),
            ],
        );
        let none = Vec::<String>::new();
        let a = vec!["a".to_owned()];
        assert_eq!(told, [a.clone(), none.clone(), a.clone(), none.clone(), a, none]);
        assert!(of(&cache, "a").is_empty());
        assert!(cache.state.read().by_cluster.is_empty(), "nothing is left of the cluster");
    }

    #[test]
    fn a_new_list_replaces_the_old_one_when_it_is_complete() {
        let cache = Cache::default();
        feed(&cache, vec![Event::Init, Event::InitApply(("a", "x", 1))]);
        assert!(!cache.is_filled());
        assert!(of(&cache, "a").is_empty(), "half a list is not shown");
        let told = feed(&cache, vec![Event::InitApply(("b", "y", 1)), Event::InitDone]);
        assert_eq!(told, [vec![], vec!["a".to_owned(), "b".to_owned()]]);
        assert!(cache.is_filled());
        let told =
            feed(&cache, vec![Event::Init, Event::InitApply(("b", "y", 1)), Event::InitDone]);
        assert_eq!(told[2], ["a"], "what is no longer listed has gone, the rest is as it was");
        assert_eq!(of(&cache, "b"), [("y".to_owned(), 1)]);
    }

    #[test]
    fn an_object_that_changes_hands_concerns_both() {
        let cache = Cache::default();
        let told = feed(&cache, vec![Event::Apply(("a", "x", 1)), Event::Apply(("b", "x", 1))]);
        assert_eq!(told, [vec!["a".to_owned()], vec!["a".to_owned(), "b".to_owned()]]);
        assert!(of(&cache, "a").is_empty());
        assert_eq!(of(&cache, "b"), [("x".to_owned(), 1)]);
    }
}
