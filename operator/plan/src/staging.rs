//! How far a change has got, read from what runs.

use std::collections::BTreeMap;

use rmq_operator_api::{Advertise, ClusterStatus, Shape, meta};

use crate::build::{JOINING, REMOVING};
use crate::intent::{Intent, Start};
use crate::names;
use crate::object::Kind;
use crate::observed::{Observed, SetView};
use crate::stage::{ExternalAddress, GroupStage, NameServerStage, Stage};

/// What the objects should look like now.
pub(crate) fn stage(intent: &Intent<'_>, observed: &Observed) -> Stage {
    let before = intent.cluster.status.clone().unwrap_or_default();
    Stage {
        name_servers: name_servers(intent, observed),
        groups: groups(intent, observed),
        cluster_ips: cluster_ips(intent, observed, &before),
        external: external(observed),
    }
}

/// Replicas never shrink here: that is a step of its own.
fn name_servers(intent: &Intent<'_>, observed: &Observed) -> NameServerStage {
    let set = observed.sets.get(&intent.names.name_servers());
    let now = set.map(|set| set.replicas);
    let wanted = if intent.cluster.spec.hibernated { 0 } else { intent.name_servers };
    let has_pods =
        observed.pods.keys().any(|pod| names::ordinal(&intent.names.name_servers(), pod).is_some());
    let replicas = match (intent.name_servers, now) {
        // Somebody else's name servers are used and ours are gone.
        (0, None) => None,
        (0, Some(0)) if !has_pods => None,
        (_, now) => Some(wanted.max(now.unwrap_or(0))),
    };
    NameServerStage {
        replicas,
        listed: intent.name_servers,
        restart: restart(intent, set),
        claims: claim_sizes(intent.name_server_claims(), set),
    }
}

fn groups(intent: &Intent<'_>, observed: &Observed) -> Vec<GroupStage> {
    let mut all: Vec<GroupStage> =
        intent.groups.iter().map(|name| wanted(intent, observed, name)).collect();
    let mut leaving: Vec<(&String, &SetView)> = observed
        .sets
        .values()
        .filter(|set| !set.deleting)
        .filter_map(|set| Some((set.labels.get(meta::BROKER_NAME)?, set)))
        .filter(|(name, _)| !intent.groups.contains(name))
        .collect();
    // Names count up by length, then by letters.
    leaving.sort_by_key(|(name, _)| (name.len(), (*name).clone()));
    all.extend(leaving.into_iter().filter_map(|(name, set)| gone(intent, observed, name, set)));
    all
}

fn wanted(intent: &Intent<'_>, observed: &Observed, name: &str) -> GroupStage {
    let set_name = intent.names.group(name);
    let set = observed.sets.get(&set_name);
    let now = set.map_or(0, |set| set.replicas);
    let (shape, replicas) = match intent.start() {
        Start::AsAsked => (intent.shape, intent.shape.replicas_per_group),
        // What runs or has run goes on as it is; what is new does not begin.
        Start::WithoutReplication if 0 < now || has_run(observed, &set_name) => {
            (intent.unreplicated(), 1)
        }
        Start::WithoutReplication => (intent.shape, 0),
    };
    let replicas = if intent.cluster.spec.hibernated { 0 } else { replicas };
    let replicas = if is_reachable(intent, observed, &set_name, shape) { replicas } else { now };
    let own = observed.objects.get(&(Kind::ConfigMap, set_name));
    let joining = match own {
        Some(own) => own.annotation(JOINING).is_some(),
        None => others_work(intent, observed, name),
    };
    GroupStage {
        name: name.to_owned(),
        replicas: replicas.max(now),
        services: shape.replicas_per_group.max(now),
        shape,
        joining,
        leaving: false,
        removing: false,
        restart: restart(intent, set),
        claims: claim_sizes(intent.broker_claims(), set),
    }
}

/// A group that the manifest no longer has; `None` once nothing of it is left but its volumes.
fn gone(intent: &Intent<'_>, observed: &Observed, name: &str, set: &SetView) -> Option<GroupStage> {
    let set_name = intent.names.group(name);
    let removing = set.annotations.contains_key(REMOVING);
    let has_pods = observed.pods.keys().any(|pod| names::ordinal(&set_name, pod).is_some());
    let marked = observed.claims.iter().all(|(claim, view)| {
        !is_claim_of(claim, &set_name) || view.labels.contains_key(meta::ORPHANED_GROUP)
    });
    let stopped = set.replicas == 0 && !has_pods;
    // One that never ran has nothing to drain.
    if stopped && ((removing && marked) || !has_run(observed, &set_name)) {
        return None;
    }
    let replicas = set.replicas.max(1);
    let shape = Shape { replicas_per_group: replicas, ..intent.shape };
    let shape = if replicas == 1 { intent.unreplicated() } else { shape };
    let joining = observed
        .objects
        .get(&(Kind::ConfigMap, set_name))
        .is_some_and(|map| map.annotation(JOINING).is_some());
    // One that hibernated has to wake to be drained.
    let asleep = set.replicas == 0 && !removing && !intent.cluster.spec.hibernated;
    Some(GroupStage {
        name: name.to_owned(),
        replicas: if asleep { replicas } else { set.replicas },
        services: replicas,
        shape,
        joining,
        leaving: true,
        removing,
        restart: restart(intent, Some(set)),
        claims: claim_sizes(intent.broker_claims(), Some(set)),
    })
}

/// The token asked for, or the one the pods have: taking it away asks for nothing.
fn restart(intent: &Intent<'_>, set: Option<&SetView>) -> Option<String> {
    let asked = intent.cluster.annotation(meta::RESTART).map(ToOwned::to_owned);
    asked.or_else(|| set?.template_annotations.get(meta::RESTART).cloned())
}

/// Whether there is another group that clients use: then a new one has to learn its topics first.
/// One whose StatefulSet was not made yet is as new: somebody was interrupted on the way to it.
fn others_work(intent: &Intent<'_>, observed: &Observed, name: &str) -> bool {
    intent.groups.iter().filter(|other| *other != name).any(|other| {
        let set = intent.names.group(other);
        let key = (Kind::ConfigMap, set.clone());
        let told = observed.objects.get(&key).is_some_and(|map| map.annotation(JOINING).is_none());
        told && observed.sets.contains_key(&set)
    })
}

/// Whether a group has had a pod: only then it has a claim.
fn has_run(observed: &Observed, set: &str) -> bool {
    observed.claims.keys().any(|claim| is_claim_of(claim, set))
}

/// Whether `claim` was made for a pod of `set`.
pub(crate) fn is_claim_of(claim: &str, set: &str) -> bool {
    [names::STORE_VOLUME, names::COMMIT_LOG_VOLUME].iter().any(|volume| {
        let pod = claim.strip_prefix(volume).and_then(|rest| rest.strip_prefix('-'));
        pod.is_some_and(|pod| names::ordinal(set, pod).is_some())
    })
}

/// Whether the brokers' addresses are known. A load balancer gets its one after it was made, and a
/// broker that does not know its own would not start.
fn is_reachable(intent: &Intent<'_>, observed: &Observed, set: &str, shape: Shape) -> bool {
    let addressing = &intent.cluster.spec.brokers.addressing;
    let Some(outside) = addressing.external.as_ref() else { return true };
    if addressing.advertise != Advertise::External {
        return true;
    }
    let seen = external(observed);
    (0..shape.replicas_per_group).all(|ordinal| {
        let pod = names::pod(set, ordinal);
        let group = set.strip_prefix(&format!("{}-", intent.cluster.name())).unwrap_or(set);
        let key = format!("{group}/{ordinal}");
        let own = outside.per_pod.iter().find(|one| one.ordinal_of == key);
        let told = own.is_some_and(|one| one.host.is_some() || one.load_balancer_ip.is_some());
        let address = seen.get(&names::external(&pod));
        match outside.kind {
            rmq_operator_api::ExternalType::NodePort => {
                own.is_some_and(|one| one.port.is_some() || one.node_port.is_some())
                    || address.is_some_and(|one| one.node_port.is_some())
            }
            rmq_operator_api::ExternalType::LoadBalancer => {
                told || outside.host_template.is_some()
                    || address.is_some_and(|one| one.host.is_some())
            }
        }
    })
}

/// Claim templates cannot be changed: until the StatefulSet is made anew, it keeps its sizes.
fn claim_sizes(
    wanted: BTreeMap<String, String>,
    set: Option<&SetView>,
) -> BTreeMap<String, String> {
    let Some(set) = set else { return wanted };
    wanted
        .into_iter()
        .map(|(volume, size)| {
            let size = set.claim_sizes.get(&volume).cloned().unwrap_or(size);
            (volume, size)
        })
        .collect()
}

fn cluster_ips(
    intent: &Intent<'_>,
    observed: &Observed,
    before: &ClusterStatus,
) -> BTreeMap<String, String> {
    let mut all = before.cluster_ips.clone();
    let brokers = intent.cluster.spec.brokers.addressing.advertise == Advertise::ServiceIP;
    for ((kind, name), live) in &observed.objects {
        let ours = *name == intent.names.name_servers()
            || (brokers && live.label(meta::BROKER_NAME).is_some() && !name.ends_with("-ext"));
        if *kind == Kind::Service
            && ours
            && live.owned
            && let Some(ip) = live.text("/spec/clusterIP")
            && ip != "None"
            && !ip.is_empty()
        {
            all.insert(name.clone(), ip.to_owned());
        }
    }
    all
}

fn external(observed: &Observed) -> BTreeMap<String, ExternalAddress> {
    let services = observed.objects.iter().filter(|((kind, name), live)| {
        *kind == Kind::Service && name.ends_with("-ext") && live.owned
    });
    services
        .map(|((_, name), live)| {
            let port = live.body.pointer("/spec/ports/0/nodePort").and_then(|port| port.as_u64());
            let host = live
                .text("/status/loadBalancer/ingress/0/ip")
                .or_else(|| live.text("/status/loadBalancer/ingress/0/hostname"));
            let address = ExternalAddress {
                host: host.map(ToOwned::to_owned),
                node_port: port.and_then(|port| u16::try_from(port).ok()),
            };
            (name.clone(), address)
        })
        .collect()
}
