//! Conditions: which hold, and why.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use rmq_operator_api::config::{self, Component as Owner};
use rmq_operator_api::meta::condition as kinds;
use rmq_operator_api::{Cluster, ClusterStatus, meta};

use crate::decide::{Draft, Progress, StorageState};
use crate::group_views;
use crate::intent::{Start, settings_hash};
use crate::world::World;

/// Share of a disk from which a broker cleans up, unless it is set.
const CLEAN_UP_PERCENT: f64 = 75.0;

/// What the conditions say, by type: status, reason, message.
#[derive(Debug)]
pub(super) struct Facts {
    all: Vec<(&'static str, Fact)>,
    /// Everything is as the manifest says.
    pub(super) ready: bool,
    /// Nothing is under way.
    pub(super) settled: bool,
}

/// One condition.
#[derive(Clone, Debug)]
struct Fact {
    holds: bool,
    reason: &'static str,
    message: String,
}

fn fact(holds: bool, reason: &'static str, message: impl Into<String>) -> Fact {
    Fact { holds, reason, message: message.into() }
}

impl Facts {
    pub(super) fn conditions(
        &self,
        cluster: &Cluster,
        before: &ClusterStatus,
        now_ms: i64,
    ) -> Vec<Condition> {
        let all = self.all.iter();
        all.map(|(kind, fact)| {
            let status = if fact.holds { "True" } else { "False" };
            super::condition(cluster, before, now_ms, kind, status, fact.reason, &fact.message)
        })
        .collect()
    }
}

pub(super) fn facts(world: &World<'_>, draft: &Draft, before: &ClusterStatus) -> Facts {
    let missing = missing(world);
    let available = available(world);
    let progressing = progressing(world, draft, before);
    let ready = ready(world, draft, missing.as_ref(), &available);
    let degraded = match &missing {
        Some(what) if available.holds => fact(true, "SomethingMissing", what.clone()),
        Some(_) => fact(false, "NotAvailable", "see condition Available"),
        None => fact(false, "Complete", "all pods serve"),
    };
    let mut all = vec![
        (kinds::READY, ready.clone()),
        (kinds::AVAILABLE, available),
        (kinds::PROGRESSING, progressing.clone()),
        (kinds::DEGRADED, degraded),
        (kinds::CONFIG_APPLIED, config_applied(world)),
        (kinds::SPEC_VALID, spec_valid(world)),
    ];
    let mut add = |kind, fact: Option<Fact>| all.extend(fact.map(|fact| (kind, fact)));
    add(kinds::REPLICATION_HEALTHY, replication(world));
    add(kinds::STORAGE_RESIZE, storage(draft));
    add(kinds::SCALE_IN_BLOCKED, blocked(world, draft));
    add(kinds::DISK_PRESSURE, disk_pressure(world));
    let paused = world.intent.cluster.is_paused();
    let lift = "nothing is changed until spec.paused and the annotation rocketmq.rs/pause are gone";
    add(kinds::PAUSED, paused.then(|| fact(true, "Asked", lift)));
    let settled = !progressing.holds && draft.blocked.is_empty();
    Facts { all, ready: ready.holds, settled }
}

/// What should be there and is not, for people.
fn missing(world: &World<'_>) -> Option<String> {
    if world.intent.cluster.spec.hibernated {
        return None;
    }
    let not_ready = group_views::first_not_ready(world);
    not_ready.or_else(|| {
        world.active().find_map(|group| {
            let slaves = group.ordinals().filter(|ordinal| 0 < *ordinal);
            slaves.into_iter().find_map(|ordinal| group.replica_unsettled(ordinal))
        })
    })
}

fn available(world: &World<'_>) -> Fact {
    let intent = world.intent;
    let runs_none = world.active().all(|group| group.stage.replicas == 0);
    if intent.cluster.spec.hibernated {
        return fact(false, "Hibernated", "no pod runs: set spec.hibernated to false to wake it");
    }
    if intent.start() == Start::WithoutReplication && runs_none {
        return without_replication();
    }
    if 0 < intent.name_servers && world.ready_name_servers() == 0 {
        return fact(false, "NoNameServer", "no name server is ready: see the events of its pods");
    }
    if world.active().any(|group| group.is_writable()) {
        return fact(true, "Serving", "a name server and a group that takes messages are there");
    }
    fact(false, "NoWritableGroup", "no group takes messages: see status.groups")
}

fn without_replication() -> Fact {
    fact(
        false,
        "ReplicationNotAvailable",
        "groups of two or more replicas are not started: this release does not copy messages to \
         slaves yet. Use a layout of one replica per group, or wait for a later release",
    )
}

fn ready(world: &World<'_>, draft: &Draft, missing: Option<&String>, available: &Fact) -> Fact {
    if world.intent.start() == Start::WithoutReplication {
        return without_replication();
    }
    if !available.holds {
        return available.clone();
    }
    if let Some(step) = &draft.withheld {
        return fact(false, "Paused", format!("waiting for the pause to end: {step}"));
    }
    if let Progress::Stuck(why) = &draft.rollout {
        return fact(false, "RolloutStuck", why.clone());
    }
    if let Some(what) = missing {
        return fact(false, "PodsNotReady", what.clone());
    }
    if let Some(what) = draft.scale_in.first() {
        return fact(false, "ScalingIn", what.clone());
    }
    if let Some(what) = draft.scale_out.first() {
        return fact(false, "ScalingOut", what.clone());
    }
    if let Progress::Going(what) | Progress::Recovering(what) = &draft.rollout {
        return fact(false, "Updating", what.clone());
    }
    if let Some(state) = storage(draft) {
        return fact(false, "StorageResize", state.message);
    }
    if let Some(pod) = group_views::first_outdated(world) {
        let held = draft.held.contains(&pod);
        let why =
            if held { "is held by its annotation" } else { "waits for somebody to restart it" };
        return fact(false, "PodsOutdated", format!("{pod} has an older form and {why}"));
    }
    fact(true, "AsWanted", "everything is as the manifest says")
}

fn progressing(world: &World<'_>, draft: &Draft, before: &ClusterStatus) -> Fact {
    let known = before.condition(kinds::PROGRESSING);
    let same = before.observed_generation == world.intent.cluster.metadata.generation;
    // A pod that comes back in a settled cluster is no change that is rolled out.
    let was_settled = same && known.is_some_and(|one| one.reason == "Settled");
    let held = match draft.held.as_slice() {
        [] => String::new(),
        held => format!("; held by annotation: {}", held.join(", ")),
    };
    match &draft.rollout {
        Progress::Stuck(why) if !was_settled => {
            return fact(
                false,
                "RolloutStuck",
                format!("{why}. Correct the manifest, or help the pod: nothing else is restarted"),
            );
        }
        Progress::Going(what) => return fact(true, "Updating", format!("{what}{held}")),
        Progress::Recovering(what) if !was_settled => {
            return fact(true, "WaitingForPods", what.clone());
        }
        Progress::Stuck(_) | Progress::Recovering(_) | Progress::Settled => {}
    }
    let scaling = draft.scale_in.first().or(draft.scale_out.first());
    if let Some(what) = scaling {
        return fact(true, "Scaling", what.clone());
    }
    if let Some(StorageState::Growing(what)) = &draft.storage {
        return fact(true, "StorageResize", what.clone());
    }
    fact(false, "Settled", format!("nothing is under way{held}"))
}

fn config_applied(world: &World<'_>) -> Fact {
    let mut late = None;
    for group in world.active() {
        let settings = world.intent.broker_settings(&group.stage.name, group.stage.joining);
        let hash = settings_hash(&settings);
        for ordinal in group.ordinals() {
            let pod = group.pod_name(ordinal);
            let Some(broker) = group.broker(ordinal) else {
                late.get_or_insert(pod);
                continue;
            };
            if let Some(rejected) = &broker.config.rejected {
                return fact(
                    false,
                    "ConfigRejected",
                    format!(
                        "{pod} keeps its settings: {} {}. Correct spec.brokers.config",
                        rejected.key, rejected.reason
                    ),
                );
            }
            if broker.config.applied_hash != hash {
                late.get_or_insert(pod);
            }
        }
    }
    match late {
        Some(pod) => fact(false, "Pending", format!("{pod} has not taken the settings yet")),
        None => fact(true, "Applied", "every broker has the settings of the manifest"),
    }
}

fn spec_valid(world: &World<'_>) -> Fact {
    let unknown = unknown(world.intent.cluster);
    if unknown.is_empty() {
        return fact(true, "Valid", "the manifest can be acted upon");
    }
    fact(true, "ValidWithWarnings", unknown.join("; "))
}

/// What nobody knows in a manifest, for people: typing errors are common.
pub(super) fn unknown(cluster: &Cluster) -> Vec<String> {
    let annotations = cluster.metadata.annotations.iter().flatten();
    let mut found: Vec<String> = annotations
        .map(|(name, _)| name.as_str())
        .filter(|name| name.starts_with("rocketmq.rs/") && !meta::ANNOTATIONS.contains(name))
        .map(|name| format!("annotation {name} means nothing"))
        .collect();
    let spec = &cluster.spec;
    let brokers = spec
        .brokers
        .config
        .keys()
        .chain(spec.brokers.group_overrides.iter().flat_map(|one| one.config.keys()));
    let keys = brokers
        .map(|key| ("brokers", Owner::Broker, key))
        .chain(spec.nameserver.config.keys().map(|key| ("nameserver", Owner::NameServer, key)));
    for (of, owner, key) in keys {
        if config::key(owner, key).is_none() {
            found.push(format!("setting {key} of {of} is unknown and handed on as it is"));
        }
    }
    found.dedup();
    found
}

fn replication(world: &World<'_>) -> Option<Fact> {
    if world.intent.shape.replicas_per_group < 2 {
        return None;
    }
    if world.intent.start() == Start::WithoutReplication {
        return Some(without_replication());
    }
    let behind = world.active().find_map(|group| {
        let slaves = group.ordinals().filter(|ordinal| 0 < *ordinal);
        slaves.into_iter().find_map(|ordinal| group.replica_unsettled(ordinal))
    });
    Some(match behind {
        Some(why) => fact(false, "OutOfSync", why),
        None => fact(true, "InSync", "every replica has everything that was confirmed"),
    })
}

fn storage(draft: &Draft) -> Option<Fact> {
    draft.storage.as_ref().map(|state| match state {
        StorageState::Growing(what) => fact(true, "Resizing", what.clone()),
        StorageState::NotSupported(what) => fact(false, "NotSupported", what.clone()),
    })
}

fn blocked(world: &World<'_>, draft: &Draft) -> Option<Fact> {
    if !draft.blocked.is_empty() {
        return Some(fact(true, "NotEmpty", draft.blocked.join("; ")));
    }
    let leaving = world.groups().any(|group| group.stage.leaving);
    leaving.then(|| fact(false, "GettingOn", "the groups that leave hold nothing back"))
}

fn disk_pressure(world: &World<'_>) -> Option<Fact> {
    let settings = &world.intent.cluster.spec.brokers.config;
    let limit = settings.get("diskMaxUsedSpaceRatio").and_then(|text| text.trim().parse().ok());
    let limit: f64 = limit.unwrap_or(CLEAN_UP_PERCENT);
    for group in world.groups() {
        for ordinal in group.ordinals() {
            let Some(broker) = group.broker(ordinal) else { continue };
            let pod = group.pod_name(ordinal);
            if !broker.disk.writable {
                let why = &broker.disk.reason;
                let text = format!("{pod} takes no messages: {why}. Let its volume grow");
                return Some(fact(true, "NotWritable", text));
            }
            if limit <= broker.disk.used_ratio * 100.0 {
                let text = format!(
                    "{pod} deletes its oldest messages early: its disk is filled over {limit}%. Let \
                     its volume grow, or keep messages for less time"
                );
                return Some(fact(true, "CleaningUp", text));
            }
        }
    }
    None
}
