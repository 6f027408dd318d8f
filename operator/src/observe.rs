//! Looks at a cluster: what the API server has, and what its processes say.

use crate::apiserver::{bounded, found};
use crate::cache::ClusterKey;
use crate::context::{Context, Scope};
use crate::control::Peer;
use crate::error::Error;
use crate::token::Known;
use crate::watch::{Compact, Watched, reduce};
use futures_util::StreamExt as _;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::api::storage::v1::StorageClass;
use kube::Api;
use kube::api::ListParams;
use rmq_control::{Bearer, control_port, v1};
use rmq_operator_api::{Cluster, meta};
use rmq_operator_plan::build::TOKEN_KEY;
use rmq_operator_plan::claims::ClaimView;
use rmq_operator_plan::control::Unreachable;
use rmq_operator_plan::pods::PodView;
use rmq_operator_plan::{Expansion, Kind, Names, Observed};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use tracing::debug;

/// Control calls of one cluster at a time.
const CALLS_MAX: usize = 32;
/// What is known of a storage class is asked again after this long.
const CLASS_AGE_MAX: Duration = Duration::from_mins(10);
/// The same when it could not be read.
const UNKNOWN_CLASS_AGE_MAX: Duration = Duration::from_mins(1);
/// Name of the control port in pods.
const CONTROL_PORT: &str = "control";

/// Where objects that change by themselves are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Freshness {
    /// From the caches: may be a moment old.
    Cached,
    /// From the API server: for what must not be decided on old news.
    Fresh,
}

/// What was seen, and how to reach those who were asked.
#[derive(Debug)]
pub(crate) struct Sight {
    pub(crate) observed: Observed,
    /// Who can be called, by pod.
    pub(crate) peers: BTreeMap<String, Peer>,
    pub(crate) bearer: Option<Bearer>,
}

/// Looks at `cluster`. What its processes do not answer is part of what was seen.
///
/// # Errors
/// When the API server does not answer.
pub(crate) async fn observe(
    context: &Context,
    scope: &Scope,
    cluster: &Cluster,
    key: &ClusterKey,
    freshness: Freshness,
) -> Result<Sight, Error> {
    let secret = Names::new(&key.name).control_token();
    let Known { secret, bearer } =
        context.tokens.of(&context.client, key, &secret, TOKEN_KEY).await?;
    let mut observed = Observed::at(context.clock.now());
    let uid = cluster.metadata.uid.as_deref().unwrap_or_default();
    for kind in Kind::ALL {
        let Some(cache) = scope.caches.objects(kind) else { continue };
        let fresh = freshness == Freshness::Fresh;
        if fresh && matches!(kind, Kind::StatefulSet | Kind::PodDisruptionBudget) {
            continue;
        }
        for object in cache.of(key).values() {
            add(&mut observed, kind, object, uid);
        }
    }
    if let Some(secret) = secret {
        observed.add(Kind::Secret, &*secret, uid);
    }
    let (pods, claims) = match freshness {
        Freshness::Cached => (scope.caches.pods.of(key), scope.caches.claims.of(key)),
        Freshness::Fresh => {
            for object in list::<StatefulSet>(context, key, "StatefulSets").await?.values() {
                add(&mut observed, Kind::StatefulSet, object, uid);
            }
            let budgets = list::<PodDisruptionBudget>(context, key, "PodDisruptionBudgets").await?;
            for object in budgets.values() {
                add(&mut observed, Kind::PodDisruptionBudget, object, uid);
            }
            let pods = list::<Pod>(context, key, "Pods").await?;
            let claims = list::<PersistentVolumeClaim>(context, key, "PersistentVolumeClaims");
            (pods, claims.await?)
        }
    };
    let mut peers = BTreeMap::new();
    for (name, pod) in &pods {
        let Some(pod) = pod.parse::<Pod>() else { continue };
        if let Some(peer) = peer(cluster, key, &pod) {
            peers.insert(name.clone(), peer);
        }
        observed.pods.insert(name.clone(), PodView::of(&pod, observed.now_ms));
    }
    for (name, claim) in &claims {
        let Some(claim) = claim.parse::<PersistentVolumeClaim>() else { continue };
        observed.claims.insert(name.clone(), ClaimView::of(&claim));
    }
    classes(context, &mut observed).await;
    let live: BTreeSet<&str> = observed.pods.values().map(|pod| pod.uid.as_str()).collect();
    context.controls.keep_only(key, &live);
    ask(context, &mut observed, &peers, bearer.as_ref()).await;
    drains(context, cluster, &mut observed, &peers, bearer.as_ref()).await;
    Ok(Sight { observed, peers, bearer })
}

fn add(observed: &mut Observed, kind: Kind, object: &Compact, uid: &str) {
    match kind {
        Kind::StatefulSet => {
            if let Some(set) = object.parse::<StatefulSet>() {
                observed.add_set(&set, uid);
            }
        }
        Kind::PodDisruptionBudget => {
            if let Some(budget) = object.parse::<PodDisruptionBudget>() {
                observed.add_budget(&budget, uid);
            }
        }
        Kind::ServiceAccount
        | Kind::Service
        | Kind::ConfigMap
        | Kind::Secret
        | Kind::NetworkPolicy => {
            if let Some(body) = object.parse::<serde_json::Value>() {
                observed.add(kind, &body, uid);
            }
        }
    }
}

/// Straight from the API server, in the same form as from a cache.
async fn list<K: Watched>(
    context: &Context,
    key: &ClusterKey,
    what: &str,
) -> Result<BTreeMap<String, Compact>, Error> {
    let api: Api<K> = Api::namespaced(context.client.clone(), &key.namespace);
    let params = ListParams::default().labels(&format!(
        "{}={},{}={}",
        meta::NAME,
        meta::NAME_VALUE,
        meta::INSTANCE,
        key.name
    ));
    let tried = format!("list {what} of {key}");
    let listed = bounded(tried, api.list(&params)).await?;
    let entries = listed.items.into_iter().filter_map(reduce);
    Ok(entries.filter(|one| one.cluster == *key).map(|one| (one.name, one.view)).collect())
}

/// Where the process of `pod` answers; `None` if it cannot yet.
fn peer(cluster: &Cluster, key: &ClusterKey, pod: &Pod) -> Option<Peer> {
    let status = pod.status.as_ref()?;
    let ip: IpAddr = status.pod_ip.as_ref()?.parse().ok()?;
    let containers = &pod.spec.as_ref()?.containers;
    let named = containers
        .iter()
        .flat_map(|container| container.ports.iter().flatten())
        .find(|port| port.name.as_deref() == Some(CONTROL_PORT))
        .and_then(|port| u16::try_from(port.container_port).ok());
    let listen = match component(pod)? {
        Component::Broker => cluster.spec.brokers.listen_port,
        Component::NameServer => cluster.spec.nameserver.port,
    };
    // The pod's own port counts: that of the spec is on its way to the pods while it changes.
    let port = named.or_else(|| control_port(listen))?;
    Some(Peer {
        cluster: key.clone(),
        pod: pod.metadata.name.clone()?,
        uid: pod.metadata.uid.clone()?,
        address: SocketAddr::new(ip, port),
    })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Component {
    Broker,
    NameServer,
}

fn component(pod: &Pod) -> Option<Component> {
    component_of(pod.metadata.labels.as_ref()?)
}

fn component_of(labels: &BTreeMap<String, String>) -> Option<Component> {
    match labels.get(meta::COMPONENT)?.as_str() {
        meta::BROKER => Some(Component::Broker),
        meta::NAMESRV => Some(Component::NameServer),
        _other => None,
    }
}

/// Asks every process that runs how it does.
async fn ask(
    context: &Context,
    observed: &mut Observed,
    peers: &BTreeMap<String, Peer>,
    bearer: Option<&Bearer>,
) {
    let (mut brokers, mut name_servers) = (Vec::new(), Vec::new());
    for (name, peer) in peers {
        let Some(view) = observed.pods.get(name) else { continue };
        let why = if !view.running {
            Some("its container does not run")
        } else if bearer.is_none() {
            Some("the cluster has no control token yet")
        } else {
            None
        };
        let unasked = why.map(|why| Unreachable(format!("{name} cannot be asked: {why}")));
        match component_of(&view.labels) {
            Some(Component::Broker) => brokers.push((peer, unasked)),
            Some(Component::NameServer) => name_servers.push((peer, unasked)),
            None => {}
        }
    }
    let none = Bearer::none();
    let bearer = bearer.unwrap_or(&none);
    let mut broker_calls = Vec::new();
    for (peer, unasked) in brokers {
        broker_calls.push(answer(peer, unasked, context.controls.broker(peer, bearer)));
    }
    let mut name_server_calls = Vec::new();
    for (peer, unasked) in name_servers {
        name_server_calls.push(answer(peer, unasked, context.controls.name_server(peer, bearer)));
    }
    let (brokers, name_servers) =
        futures_util::join!(together(broker_calls), together(name_server_calls));
    for (pod, error) in brokers
        .iter()
        .filter_map(|(pod, answer)| Some((pod, answer.as_ref().err()?)))
        .chain(name_servers.iter().filter_map(|(pod, answer)| Some((pod, answer.as_ref().err()?))))
    {
        debug!(pod, %error, "no status");
    }
    observed.brokers.extend(brokers);
    observed.name_servers.extend(name_servers);
}

/// The answer of `call`, or why it is not even made, with the pod's name.
async fn answer<T>(
    peer: &Peer,
    unasked: Option<Unreachable>,
    call: impl Future<Output = Result<T, Unreachable>>,
) -> (String, Result<T, Unreachable>) {
    let answer = match unasked {
        Some(unasked) => Err(unasked),
        None => call.await,
    };
    (peer.pod.clone(), answer)
}

/// Runs `calls` side by side, [`CALLS_MAX`] at a time.
async fn together<T>(calls: Vec<impl Future<Output = T>>) -> Vec<T> {
    futures_util::stream::iter(calls).buffer_unordered(CALLS_MAX).collect().await
}

/// Asks the masters of groups on their way out what is left to consume.
async fn drains(
    context: &Context,
    cluster: &Cluster,
    observed: &mut Observed,
    peers: &BTreeMap<String, Peer>,
    bearer: Option<&Bearer>,
) {
    let Some(bearer) = bearer else { return };
    let drain = &cluster.spec.brokers.drain;
    let request = v1::DrainStatusRequest {
        ignore_groups: drain.ignore_groups.clone(),
        ignore_topics: drain.ignore_topics.clone(),
    };
    let mut calls = Vec::new();
    for pod in rmq_operator_plan::draining(cluster, observed, &context.plan) {
        if let Some(peer) = peers.get(&pod) {
            let call = context.controls.drain(peer, bearer, request.clone());
            calls.push(answer(peer, None, call));
        }
    }
    observed.drains.extend(together(calls).await);
}

/// Whether the volumes of the claims' classes can grow. Classes are the whole Kubernetes
/// cluster's: a role for single namespaces may not read them, and then that is what is known.
async fn classes(context: &Context, observed: &mut Observed) {
    let names: BTreeSet<String> =
        observed.claims.values().filter_map(|claim| claim.class.clone()).collect();
    let now = context.clock.monotonic();
    for name in names {
        let known = context.classes.lock().get(&name).cloned();
        let kept = known.filter(|(read, expansion)| {
            let most = match expansion {
                Expansion::Unknown(_) => UNKNOWN_CLASS_AGE_MAX,
                Expansion::Allowed | Expansion::NotAllowed | Expansion::NoClass => CLASS_AGE_MAX,
            };
            now.saturating_sub(*read) < most
        });
        let expansion = match kept {
            Some((_, expansion)) => expansion,
            None => {
                let read = expansion(context, &name).await;
                context.classes.lock().insert(name.clone(), (now, read.clone()));
                read
            }
        };
        observed.storage_classes.insert(name, expansion);
    }
}

async fn expansion(context: &Context, class: &str) -> Expansion {
    let api: Api<StorageClass> = Api::all(context.client.clone());
    match found(bounded(format!("read StorageClass {class}"), api.get(class)).await) {
        Ok(Some(found)) if found.allow_volume_expansion == Some(true) => Expansion::Allowed,
        Ok(Some(_)) => Expansion::NotAllowed,
        Ok(None) => Expansion::NoClass,
        Err(error) => {
            debug!(class, %error, "cannot tell whether volumes can grow");
            Expansion::Unknown(error.to_string())
        }
    }
}
