//! Groups that the manifest no longer has: `Fencing`, `Draining`, `Empty`, `Removing`.
//!
//! Which of them a group is in is read from the group itself: what its master lets clients do and
//! since when, what it has left, and whether its StatefulSet says that its pods go for good.

use std::fmt::Write as _;

use rmq_operator_api::meta;
use rmq_operator_api::status::GroupPhase;

use super::Draft;
use super::rollout::ROUTES_MS;
use crate::control::{BrokerView, DrainView};
use crate::names::ordinal;
use crate::staging::is_claim_of;
use crate::steps::{PermissionReason, Reason, Step};
use crate::world::{Group, World};

/// A group has nothing left once that has been so for this long.
pub(super) const EMPTY_MS: u64 = 30_000;

/// Takes the next step with each group that leaves, the last one first.
pub(super) fn drain(world: &World<'_>, draft: &mut Draft) {
    let leaving: Vec<Group<'_>> = world.groups().filter(|group| group.stage.leaving).collect();
    for group in leaving.iter().rev() {
        let phase = next(world, group, draft);
        draft.phases.insert(group.stage.name.clone(), phase);
        draft.scale_in.push(format!("{} is removed: {phase}", group.stage.name));
    }
}

fn next(world: &World<'_>, group: &Group<'_>, draft: &mut Draft) -> GroupPhase {
    let name = &group.stage.name;
    if group.stage.removing {
        mark_claims(world, group, draft);
        return GroupPhase::Removing;
    }
    if world.intent.cluster.spec.hibernated {
        block(
            draft,
            name,
            "it sleeps, and only a broker that runs can be drained: wake the cluster",
        );
        return GroupPhase::Draining;
    }
    if world.intent.cluster.annotation(meta::FORCE_SCALE_IN) == Some(name) {
        let left = drain_of(world, group).map(left).unwrap_or_default();
        let note = format!("{name} is removed although {}", unless_empty(&left));
        return remove(world, group, draft, Some(note));
    }
    let Some(master) = group.master() else {
        block(
            draft,
            name,
            &format!("{} does not answer, so that what it has is not known", group.pod_name(0)),
        );
        return GroupPhase::Fencing;
    };
    if master.permission.writable() {
        fence(world, group, master, draft);
        return GroupPhase::Fencing;
    }
    if !routes_know(master) {
        draft.busy();
        return GroupPhase::Fencing;
    }
    let drain = &world.intent.cluster.spec.brokers.drain;
    if !drain.enabled {
        return remove(world, group, draft, None);
    }
    let Some(view) = drain_of(world, group) else {
        block(draft, name, &format!("{} does not say what it has", group.pod_name(0)));
        return GroupPhase::Draining;
    };
    let timeout = drain.timeout.as_ref();
    let late = timeout.filter(|timeout| timeout.millis() <= master.permission.since_ms);
    if !view.empty
        && let Some(timeout) = late
    {
        let note = format!("{name} is removed after {timeout} although {}", left(view));
        return remove(world, group, draft, Some(note));
    }
    if !view.empty {
        block(draft, name, &left(view));
        return GroupPhase::Draining;
    }
    let quiet = master.last_send_ms_ago.is_none_or(|ms| EMPTY_MS <= ms);
    if view.empty_for_ms < EMPTY_MS || !quiet {
        draft.busy();
        return GroupPhase::Empty;
    }
    remove(world, group, draft, None)
}

/// Makes clients send elsewhere.
fn fence(world: &World<'_>, group: &Group<'_>, master: &BrokerView, draft: &mut Draft) {
    let name = &group.stage.name;
    if !world.another_is_writable(name) {
        block(draft, name, "no other group takes messages");
        return;
    }
    draft.disrupt(Step::SetPermission {
        pod: group.pod_name(0),
        target: master.target.clone(),
        perm: 4,
        reason: PermissionReason::ScaleIn,
    });
}

/// Whether every name server and, through it, every client has heard that the group takes no
/// writes.
fn routes_know(master: &BrokerView) -> bool {
    let since = master.permission.since_ms;
    let told = master
        .registrations
        .iter()
        .filter(|one| one.ok)
        .all(|one| one.age_ms.is_some_and(|age_ms| age_ms <= since));
    told && ROUTES_MS <= since
}

fn drain_of<'w>(world: &'w World<'_>, group: &Group<'_>) -> Option<&'w DrainView> {
    world.observed.drains.get(&group.pod_name(0))?.as_ref().ok()
}

/// Stops the group's pods for good. `despite` says what is lost, for people.
fn remove(
    world: &World<'_>,
    group: &Group<'_>,
    draft: &mut Draft,
    despite: Option<String>,
) -> GroupPhase {
    let name = group.stage.name.clone();
    let done = super::gates::scale_down(world, draft, &group.set_name(), 0, |stage| {
        if let Some(group) = stage.group_mut(&name) {
            group.replicas = 0;
            group.removing = true;
        }
    });
    if done && let Some(note) = despite {
        let note = format!("{note}: its volumes stay, add the group again to get at them");
        draft.event(Reason::ScaleInForced, None, note);
    }
    GroupPhase::Removing
}

/// Volumes outlive their group, and say whose they were.
fn mark_claims(world: &World<'_>, group: &Group<'_>, draft: &mut Draft) {
    let set = group.set_name();
    if world.observed.pods.keys().any(|pod| ordinal(&set, pod).is_some()) {
        draft.busy();
        return;
    }
    for (name, claim) in &world.observed.claims {
        let marked = claim.labels.contains_key(meta::ORPHANED_GROUP);
        if is_claim_of(name, &set) && !marked && !claim.deleting {
            let label = (meta::ORPHANED_GROUP.to_owned(), Some(group.stage.name.clone()));
            draft.push(Step::MarkClaim {
                name: name.clone(),
                uid: claim.uid.clone(),
                labels: [label].into(),
                annotations: [].into(),
            });
        }
    }
}

fn block(draft: &mut Draft, name: &str, why: &str) {
    draft.waiting();
    draft.blocked.push(format!("{name}: {why}"));
}

fn unless_empty(left: &str) -> &str {
    if left.is_empty() { "nobody knows what it has" } else { left }
}

/// What is left to consume, for people.
fn left(view: &DrainView) -> String {
    let mut text = String::new();
    let mut add = |part: std::fmt::Arguments<'_>| {
        let separator = if text.is_empty() { "" } else { ", " };
        write!(text, "{separator}{part}").ok();
    };
    if 0 < view.behind_messages {
        let pairs: Vec<String> = view
            .behind
            .iter()
            .take(10)
            .map(|one| format!("{} of {} by {}", one.messages, one.topic, one.group))
            .collect();
        add(format_args!(
            "{} messages are not consumed ({})",
            view.behind_messages,
            pairs.join(", ")
        ));
    }
    if 0 < view.unconsumed_total {
        add(format_args!(
            "{} topics were never consumed ({}; list them in drain.ignoreTopics if they may be left)",
            view.unconsumed_total,
            view.unconsumed_topics.join(", ")
        ));
    }
    for (count, what) in [
        (view.delayed_messages, "messages wait for their time"),
        (view.half_messages, "transactions are open"),
        (view.pop_messages, "popped messages are not acknowledged"),
    ] {
        if 0 < count {
            add(format_args!("{count} {what}"));
        }
    }
    text
}
