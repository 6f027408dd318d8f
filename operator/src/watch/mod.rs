//! The watches: they fill the caches and say which clusters to look at.

mod trim;

pub(crate) use trim::{Compact, Watched, reduce};

use crate::cache::{Cache, ClusterKey, Entry};
use futures_util::{Stream, StreamExt as _};
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Pod, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::core::DeserializeGuard;
use kube::runtime::reflector::store::Writer;
use kube::runtime::watcher::{self, Event};
use kube::runtime::{WatchStreamExt as _, watcher as watch_kind};
use kube::{Api, Client, Resource as _};
use rmq_host::Tasks;
use rmq_operator_api::{Cluster, meta};
use rmq_operator_plan::Kind;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::pin::pin;
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

/// Clusters that wait to be looked at; a full queue slows the watches down.
pub(crate) const WAKES_MAX: usize = 1024;

/// A cluster resource, or why it does not parse.
pub(crate) type Guarded = DeserializeGuard<Cluster>;

/// What the API server has of everything that belongs to clusters.
#[derive(Debug, Default)]
pub(crate) struct Caches {
    /// Of the resources themselves only what is acted on, as a hash.
    clusters: Cache<u64>,
    pub(crate) pods: Cache<Compact>,
    pub(crate) claims: Cache<Compact>,
    sets: Cache<Compact>,
    budgets: Cache<Compact>,
    services: Cache<Compact>,
    config_maps: Cache<Compact>,
    policies: Cache<Compact>,
    accounts: Cache<Compact>,
}

impl Caches {
    /// Objects of a kind that plans make. `None` for Secrets, which are never listed.
    pub(crate) fn objects(&self, kind: Kind) -> Option<&Cache<Compact>> {
        match kind {
            Kind::ServiceAccount => Some(&self.accounts),
            Kind::Service => Some(&self.services),
            Kind::ConfigMap => Some(&self.config_maps),
            Kind::Secret => None,
            Kind::PodDisruptionBudget => Some(&self.budgets),
            Kind::NetworkPolicy => Some(&self.policies),
            Kind::StatefulSet => Some(&self.sets),
        }
    }

    /// Names of caches that have not seen a complete list yet.
    pub(crate) fn missing(&self) -> Vec<&'static str> {
        let all = [("clusters", self.clusters.is_filled())];
        let rest = self.each().map(|(name, cache)| (name, cache.is_filled()));
        let missing = all.into_iter().chain(rest).filter(|(_, filled)| !filled);
        missing.map(|(name, _)| name).collect()
    }

    /// Waits until every cache has seen a complete list.
    pub(crate) async fn filled(&self) {
        self.clusters.filled().await;
        for (_, cache) in self.each() {
            cache.filled().await;
        }
    }

    /// As if everything had been listed just now.
    #[cfg(test)]
    pub(crate) fn list(&self, objects: &crate::mock::store::Store) {
        fn all<K: Watched>(cache: &Cache<Compact>, objects: Vec<serde_json::Value>) {
            cache.apply(Event::Init, reduce::<K>);
            for object in objects {
                let object = serde_json::from_value(object).expect("objects are of their kind");
                cache.apply(Event::InitApply(object), reduce::<K>);
            }
            cache.apply(Event::InitDone, reduce::<K>);
        }
        all::<Pod>(&self.pods, objects.all("pods"));
        all::<PersistentVolumeClaim>(&self.claims, objects.all("persistentvolumeclaims"));
        all::<StatefulSet>(&self.sets, objects.all("statefulsets"));
        all::<PodDisruptionBudget>(&self.budgets, objects.all("poddisruptionbudgets"));
        all::<Service>(&self.services, objects.all("services"));
        all::<ConfigMap>(&self.config_maps, objects.all("configmaps"));
        all::<NetworkPolicy>(&self.policies, objects.all("networkpolicies"));
        all::<ServiceAccount>(&self.accounts, objects.all("serviceaccounts"));
    }

    fn each(&self) -> [(&'static str, &Cache<Compact>); 8] {
        [
            ("pods", &self.pods),
            ("persistentvolumeclaims", &self.claims),
            ("statefulsets", &self.sets),
            ("poddisruptionbudgets", &self.budgets),
            ("services", &self.services),
            ("configmaps", &self.config_maps),
            ("networkpolicies", &self.policies),
            ("serviceaccounts", &self.accounts),
        ]
    }
}

/// Starts all watches of one namespace, or of all.
pub(crate) fn start(
    tasks: &Tasks,
    client: &Client,
    namespace: Option<&str>,
    caches: &Arc<Caches>,
    writer: Writer<Guarded>,
    wake: &mpsc::Sender<ClusterKey>,
) {
    let watches = Watches { tasks, client, namespace, caches, wake };
    let managed = format!("{}={}", meta::MANAGED_BY, meta::MANAGER);
    // A claim has the labels of its StatefulSet's selector, and those say no manager.
    let named = format!("{}={}", meta::NAME, meta::NAME_VALUE);
    watches.follow::<Pod>("pods", &managed, |all| &all.pods);
    watches.follow::<PersistentVolumeClaim>("persistentvolumeclaims", &named, |all| &all.claims);
    watches.follow::<StatefulSet>("statefulsets", &managed, |all| &all.sets);
    watches.follow::<PodDisruptionBudget>("poddisruptionbudgets", &managed, |all| &all.budgets);
    watches.follow::<Service>("services", &managed, |all| &all.services);
    watches.follow::<ConfigMap>("configmaps", &managed, |all| &all.config_maps);
    watches.follow::<NetworkPolicy>("networkpolicies", &managed, |all| &all.policies);
    watches.follow::<ServiceAccount>("serviceaccounts", &managed, |all| &all.accounts);
    watches.follow_clusters(writer);
}

struct Watches<'a> {
    tasks: &'a Tasks,
    client: &'a Client,
    namespace: Option<&'a str>,
    caches: &'a Arc<Caches>,
    wake: &'a mpsc::Sender<ClusterKey>,
}

impl Watches<'_> {
    fn follow<K: Watched>(
        &self,
        name: &'static str,
        selector: &str,
        cache: fn(&Caches) -> &Cache<Compact>,
    ) {
        let api: Api<K> = scoped(self.client, self.namespace);
        let events = watch_kind(api, watcher::Config::default().labels(selector)).default_backoff();
        let (caches, wake) = (Arc::clone(self.caches), self.wake.clone());
        self.tasks.spawn(name, move |stop| async move {
            let mut events = pin!(events);
            while let Some(event) = next(name, &mut events, &stop).await {
                let changed = cache(&caches).apply(event, reduce);
                tell(&wake, changed, &stop).await;
            }
            Ok(())
        });
    }

    fn follow_clusters(&self, mut writer: Writer<Guarded>) {
        let api: Api<Guarded> = scoped(self.client, self.namespace);
        let events = watch_kind(api, watcher::Config::default()).default_backoff();
        let (caches, wake) = (Arc::clone(self.caches), self.wake.clone());
        self.tasks.spawn("clusters", move |stop| async move {
            let mut events = pin!(events);
            while let Some(event) = next("clusters", &mut events, &stop).await {
                let event = event.modify(|one| one.meta_mut().managed_fields = None);
                writer.apply_watcher_event(&event);
                let changed = caches.clusters.apply(event, |one| fingerprint(&one));
                tell(&wake, changed, &stop).await;
            }
            Ok(())
        });
    }
}

fn scoped<K>(client: &Client, namespace: Option<&str>) -> Api<K>
where
    K: kube::Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>,
{
    match namespace {
        Some(namespace) => Api::namespaced(client.clone(), namespace),
        None => Api::all(client.clone()),
    }
}

/// The next event; `None` when it is time to stop. The stream itself never ends: it begins anew
/// after errors, more slowly each time.
async fn next<K>(
    name: &'static str,
    events: &mut (impl Stream<Item = Result<Event<K>, watcher::Error>> + Unpin),
    stop: &CancellationToken,
) -> Option<Event<K>> {
    loop {
        let event = tokio::select! {
            () = stop.cancelled() => return None,
            event = events.next() => event?,
        };
        match event {
            Ok(event) => return Some(event),
            Err(error @ watcher::Error::WatchFailed(_)) => {
                debug!(kind = name, %error, "watch ended")
            }
            Err(error) => warn!(kind = name, %error, "cannot watch, trying again"),
        }
    }
}

async fn tell(
    wake: &mpsc::Sender<ClusterKey>,
    changed: impl IntoIterator<Item = ClusterKey>,
    stop: &CancellationToken,
) {
    for cluster in changed {
        tokio::select! {
            () = stop.cancelled() => return,
            // Nobody listens any more only when everything stops.
            sent = wake.send(cluster) => drop(sent),
        }
    }
}

/// Of a resource only what people change: its status is written by us.
fn fingerprint(one: &Guarded) -> Option<Entry<u64>> {
    let metadata = one.meta();
    let name = metadata.name.clone()?;
    let cluster = ClusterKey::new(metadata.namespace.as_deref()?, name.clone());
    let mut hasher = DefaultHasher::new();
    metadata.uid.hash(&mut hasher);
    metadata.generation.hash(&mut hasher);
    metadata.annotations.hash(&mut hasher);
    metadata.deletion_timestamp.is_some().hash(&mut hasher);
    Some(Entry { cluster, name, view: hasher.finish() })
}
