//! Pods that take too long.

use crate::control::Phase;
use crate::pods::PodView;
use crate::world::{Group, World};

/// The first pod that has taken longer than an update may, and why, for people.
pub(super) fn overdue(world: &World<'_>) -> Option<String> {
    let step_ms = world.intent.cluster.spec.brokers.update.step_timeout.millis();
    for (_, name, pod) in world.name_server_pods() {
        if let Some(why) = pod.and_then(|pod| pod_overdue(pod, step_ms)) {
            return Some(format!("{name} {why}"));
        }
    }
    world.active().find_map(|group| group_overdue(world, &group, step_ms))
}

fn group_overdue(world: &World<'_>, group: &Group<'_>, step_ms: u64) -> Option<String> {
    let update = &world.intent.cluster.spec.brokers.update;
    for ordinal in group.ordinals() {
        let Some(pod) = group.pod(ordinal) else { continue };
        // One that reads its store gets on, however long that takes.
        let recovers = group.broker(ordinal).is_some_and(|one| one.phase == Phase::Recovering);
        if let Some(why) = pod_overdue(pod, step_ms).filter(|_| !recovers) {
            return Some(format!("{} {why}", pod.name));
        }
        let since = pod.ready_for_ms.unwrap_or(0);
        if 0 < ordinal
            && update.in_sync_timeout.millis() <= since
            && let Some(why) = group.replica_unsettled(ordinal)
        {
            return Some(format!("{why}, {} after it became ready", minutes(since)));
        }
    }
    None
}

fn pod_overdue(pod: &PodView, step_ms: u64) -> Option<String> {
    if let Some(ms) = pod.deleting_for_ms {
        return (step_ms <= ms).then(|| format!("has been stopping for {}", minutes(ms)));
    }
    let ms = pod.unready_for_ms.filter(|ms| step_ms <= *ms)?;
    Some(match &pod.trouble {
        Some(trouble) => format!(
            "has not been ready for {}: {} {}",
            minutes(ms),
            trouble.reason,
            trouble.message
        ),
        None => format!("has not been ready for {}", minutes(ms)),
    })
}

/// In whole minutes only to the hour, then in hours: the text must not change all the time.
fn minutes(ms: u64) -> String {
    let minutes = ms / 60_000;
    match minutes {
        0..60 => format!("over {} min", minutes / 5 * 5),
        _ => format!("over {} h", minutes / 60),
    }
}
