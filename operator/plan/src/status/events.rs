//! Events about conditions that have just changed. What is reported already is not said again.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use rmq_operator_api::ClusterStatus;
use rmq_operator_api::meta::condition as kinds;

use super::conditions::unknown;
use crate::decide::Draft;
use crate::steps::Reason;
use crate::world::World;

pub(super) fn of_transitions(
    world: &World<'_>,
    before: &ClusterStatus,
    conditions: &[Condition],
    draft: &mut Draft,
) {
    for new in conditions {
        let old = before.condition(&new.type_);
        // A condition that was not there did not hold.
        let was = old.map(|one| (one.status.as_str(), one.reason.as_str()));
        let is = (new.status.as_str(), new.reason.as_str());
        if was == Some(is) {
            continue;
        }
        if let Some(reason) = of(&new.type_, is, was) {
            draft.event(reason, None, new.message.clone());
        }
    }
    let gone = |kind: &str| {
        before.condition(kind).is_some_and(|one| one.status == "True")
            && conditions.iter().all(|one| one.type_ != kind)
    };
    if gone(kinds::STORAGE_RESIZE) {
        let note = "all volumes have the size the manifest asks for".to_owned();
        draft.event(Reason::StorageResizeFinished, None, note);
    }
    warn_once(world, before, draft);
}

/// The event that a condition's change is worth.
fn of(kind: &str, is: (&str, &str), was: Option<(&str, &str)>) -> Option<Reason> {
    match (kind, is) {
        (kinds::PROGRESSING, ("True", "Updating")) => Some(Reason::RolloutStarted),
        (kinds::PROGRESSING, ("False", "RolloutStuck")) => Some(Reason::RolloutStuck),
        (kinds::PROGRESSING, ("False", "Settled")) if was.is_some_and(|(old, _)| old == "True") => {
            Some(Reason::RolloutFinished)
        }
        (kinds::SCALE_IN_BLOCKED, ("True", _)) => Some(Reason::ScaleInBlocked),
        (kinds::CONFIG_APPLIED, ("False", "ConfigRejected")) => Some(Reason::ConfigRejected),
        (kinds::STORAGE_RESIZE, ("True", _)) => Some(Reason::StorageResizeStarted),
        (kinds::STORAGE_RESIZE, ("False", _)) => Some(Reason::StorageResizeNotSupported),
        (kinds::DISK_PRESSURE, ("True", _)) => Some(Reason::DiskPressure),
        (kinds::REPLICATION_HEALTHY, ("False", "OutOfSync")) => Some(Reason::ReplicaOutOfSync),
        (kinds::READY, ("False", "ReplicationNotAvailable")) => {
            Some(Reason::ReplicationNotAvailable)
        }
        (_, _) => None,
    }
}

/// Typing errors, when they are first seen.
fn warn_once(world: &World<'_>, before: &ClusterStatus, draft: &mut Draft) {
    let known = before.condition(kinds::SPEC_VALID).map(|one| one.message.clone());
    let known = known.unwrap_or_default();
    for text in unknown(world.intent.cluster) {
        if !known.contains(&text) {
            let reason = if text.starts_with("annotation") {
                Reason::UnknownAnnotation
            } else {
                Reason::UnknownConfigKey
            };
            draft.event(reason, None, text);
        }
    }
}
