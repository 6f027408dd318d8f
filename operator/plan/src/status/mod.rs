//! What the operator reports about a cluster.

mod conditions;
mod events;
mod groups;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;
use rmq_operator_api::status::{Effective, Endpoints, NameServers, Phase};
use rmq_operator_api::{Cluster, ClusterStatus, meta};

use crate::build::{TEMPLATE_GENERATION, client_address};
use crate::decide::{BLOCKED_REQUEUE_MS, Decision, Draft, Progress, SETTLED_REQUEUE_MS};
use crate::observed::Observed;
use crate::pods::PodView;
use crate::steps::{Event, Reason};
use crate::world::World;

/// The decision that `draft` has become, with what it says about the cluster.
pub(crate) fn report(world: &World<'_>, mut draft: Draft) -> Decision {
    let intent = world.intent;
    let cluster = intent.cluster;
    let before = cluster.status.clone().unwrap_or_default();
    let facts = conditions::facts(world, &draft, &before);
    let conditions = facts.conditions(cluster, &before, world.observed.now_ms);
    events::of_transitions(world, &before, &conditions, &mut draft);
    let settled_ms = if facts.settled { SETTLED_REQUEUE_MS } else { BLOCKED_REQUEUE_MS };
    let (steps, requeue_ms) = draft.finish(settled_ms);
    let ready = world.active().filter(groups::is_ready).count();
    let shape = intent.shape;
    let status = ClusterStatus {
        observed_generation: cluster.metadata.generation,
        phase: Some(phase(world, &draft, &facts, &before)),
        version: Some(intent.version.clone()),
        broker_groups: u32::try_from(world.stage.groups.len()).ok(),
        ready_groups: Some(format!("{ready}/{}", intent.groups.len())),
        selector: Some(format!(
            "{}={},{}={}",
            meta::INSTANCE,
            cluster.name(),
            meta::COMPONENT,
            meta::BROKER
        )),
        effective: Some(Effective {
            groups: shape.groups,
            replicas_per_group: shape.replicas_per_group,
            replication: shape.replication,
        }),
        endpoints: Some(Endpoints {
            namesrv: Some(client_address(intent)),
            namesrv_all: intent.name_server_list(world.stage.name_servers.listed),
        }),
        nameservers: Some(name_servers(world)),
        groups: world.groups().map(|group| groups::report(&group, &draft, &before)).collect(),
        cluster_ips: groups::cluster_ips(world),
        template_generation: Some(TEMPLATE_GENERATION),
        conditions,
    };
    Decision { steps, status, events: std::mem::take(&mut draft.events), requeue_ms }
}

/// The decision about a spec that cannot be acted upon: nothing is touched, the last good state is
/// kept.
pub(crate) fn invalid(
    cluster: &Cluster,
    observed: &Observed,
    reason: &str,
    message: &str,
) -> Decision {
    let before = cluster.status.clone().unwrap_or_default();
    let mut status = before.clone();
    status.observed_generation = cluster.metadata.generation;
    status.phase = Some(Phase::Failed);
    for (kind, state) in [(meta::condition::SPEC_VALID, "False"), (meta::condition::READY, "False")]
    {
        let new = condition(cluster, &before, observed.now_ms, kind, state, reason, message);
        status.conditions.retain(|one| one.type_ != kind);
        status.conditions.push(new);
    }
    let known = before.condition(meta::condition::SPEC_VALID);
    let told = known.is_some_and(|one| one.status == "False" && one.message == message);
    let events = if told {
        Vec::new()
    } else {
        let note = format!("nothing is changed until this is corrected: {message}");
        vec![Event { reason: Reason::InvalidSpec, note, pod: None }]
    };
    Decision { steps: Vec::new(), status, events, requeue_ms: 2 * SETTLED_REQUEUE_MS }
}

/// A condition whose time changes only with its status.
fn condition(
    cluster: &Cluster,
    before: &ClusterStatus,
    now_ms: i64,
    kind: &str,
    status: &str,
    reason: &str,
    message: &str,
) -> Condition {
    let known = before.condition(kind).filter(|one| one.status == status);
    let now = Timestamp::from_second(now_ms.div_euclid(1000)).unwrap_or(Timestamp::UNIX_EPOCH);
    Condition {
        type_: kind.to_owned(),
        status: status.to_owned(),
        reason: reason.to_owned(),
        // The API server's limit.
        message: message.chars().take(MESSAGE_CHARS_MAX).collect(),
        last_transition_time: known.map_or(Time(now), |one| one.last_transition_time.clone()),
        observed_generation: cluster.metadata.generation,
    }
}

/// Longest message of a condition.
const MESSAGE_CHARS_MAX: usize = 4096;

fn phase(
    world: &World<'_>,
    draft: &Draft,
    facts: &conditions::Facts,
    before: &ClusterStatus,
) -> Phase {
    let cluster = world.intent.cluster;
    let created = before.phase.is_some_and(|phase| phase != Phase::Creating);
    if cluster.is_paused() {
        Phase::Paused
    } else if cluster.spec.hibernated {
        Phase::Hibernated
    } else if facts.ready {
        Phase::Running
    } else if !created {
        Phase::Creating
    } else if !draft.scale_in.is_empty() {
        Phase::ScalingIn
    } else if !draft.scale_out.is_empty() {
        Phase::ScalingOut
    } else if matches!(draft.rollout, Progress::Going(_)) {
        Phase::Updating
    } else {
        Phase::Degraded
    }
}

fn name_servers(world: &World<'_>) -> NameServers {
    let pods = world.name_server_pods();
    let set = world.observed.sets.get(&world.intent.names.name_servers());
    let updated = pods.iter().filter(|(_, _, pod)| {
        let revision = pod.map(|pod| pod.revision.as_str());
        revision.is_some() && revision == set.map(|set| set.update_revision.as_str())
    });
    let ready = pods.iter().filter(|(_, _, pod)| pod.is_some_and(PodView::is_ready));
    NameServers {
        ready: u32::try_from(ready.count()).unwrap_or(0),
        desired: world.intent.name_servers,
        updated: u32::try_from(updated.count()).unwrap_or(0),
    }
}
