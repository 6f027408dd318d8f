//! Changes that need new pods: one pod after the other, each only when that is safe.
//!
//! Name servers first, then group by group; within a group slaves from the last to the first, then
//! the master.

use rmq_operator_api::{Advertise, Replication, UpdateStrategy, meta};

use super::gates::budget_allows;
use super::stuck::overdue;
use super::{Draft, Progress};
use crate::control::{BrokerView, Phase};
use crate::observed::SetView;
use crate::pods::PodView;
use crate::staging::is_claim_of;
use crate::steps::{PermissionReason, Reason, Step, Why};
use crate::world::{Group, World};

/// Clients have new routes after this long: they ask twice a minute.
pub const ROUTES_MS: u64 = 60_000;
/// Clients count as gone when nothing was sent for this long.
pub const QUIET_MS: u64 = 10_000;

/// What to do with a pod or a group.
enum Verdict {
    /// Nothing needs to be done.
    Settled,
    /// Not yet, and why. A master that takes no writes stays so if the flag is set.
    Wait(String, bool),
    /// This, now.
    Act(Step),
}

pub(super) fn rollout(world: &World<'_>, draft: &mut Draft) {
    if world.intent.cluster.spec.hibernated {
        return;
    }
    let servers = name_servers(world, draft);
    let mut fenced = Vec::new();
    match servers {
        Verdict::Act(step) => act(draft, step),
        // Name servers wait for brokers, so that one that cannot start must not wait for them.
        Verdict::Wait(why, _) => match hopeless_broker(world, draft) {
            Some(step) => act(draft, step),
            None => draft.going(why),
        },
        Verdict::Settled => fenced = groups(world, draft),
    }
    unfence(world, &fenced, draft);
    let scaling = !draft.scale_out.is_empty() || !draft.scale_in.is_empty();
    let settled = matches!(draft.rollout, Progress::Settled);
    if let Some(why) = overdue(world) {
        draft.rollout = Progress::Stuck(why);
        draft.waiting();
    } else if settled
        && !scaling
        && let Some(why) = starting(world)
    {
        draft.busy();
        draft.rollout = Progress::Recovering(why);
    }
}

/// Why some pod of the cluster does not serve yet, for people. Nobody waits for it to have done so
/// for a while: only what would be taken away next does.
fn starting(world: &World<'_>) -> Option<String> {
    world.name_servers_starting().or_else(|| world.active().find_map(|group| group.starting()))
}

fn act(draft: &mut Draft, step: Step) {
    let text = step.to_string();
    let event = match &step {
        Step::DeletePod { name, why, .. } => Some((
            Reason::PodReplaced,
            name.clone(),
            format!("{name} is replaced: {why}. Nothing is to be done"),
        )),
        Step::SetPermission { pod, .. } => Some((
            Reason::MasterFenced,
            pod.clone(),
            format!("{pod} takes no new messages before its restart: clients send to other groups"),
        )),
        Step::Apply(_)
        | Step::CreateToken { .. }
        | Step::Delete { .. }
        | Step::RecreateStatefulSet { .. }
        | Step::ResizeClaim { .. }
        | Step::MarkClaim { .. }
        | Step::LabelPod { .. }
        | Step::Reload { .. }
        | Step::CopyMetadata { .. }
        | Step::ClearAnnotation { .. }
        | Step::ScaleDown { .. } => None,
    };
    if draft.disrupt(step)
        && let Some((reason, pod, note)) = event
    {
        draft.event(reason, Some(&pod), note);
    }
    draft.going(text);
}

/// The pods of a set that should be made anew, held ones left out; `None` while the set's own
/// status is not up to date.
fn outdated<'w>(
    world: &'w World<'_>,
    draft: &mut Draft,
    set_name: &str,
    pods: impl Iterator<Item = (u32, Option<&'w PodView>, Option<&'w BrokerView>)>,
) -> Option<Vec<(u32, &'w PodView, Why)>> {
    let set = world.observed.sets.get(set_name)?;
    if !set.current || set.deleting || draft.changes_set(set_name) {
        return None;
    }
    let mut found = Vec::new();
    for (ordinal, pod, broker) in pods {
        let Some(pod) = pod else { continue };
        let Some(why) = reason(world, set, pod, broker) else { continue };
        if pod.annotations.get(meta::HOLD).map(String::as_str) == Some("true") {
            draft.held.push(pod.name.clone());
            continue;
        }
        found.push((ordinal, pod, why));
    }
    Some(found)
}

/// Why a pod should be made anew.
fn reason(
    world: &World<'_>,
    set: &SetView,
    pod: &PodView,
    broker: Option<&BrokerView>,
) -> Option<Why> {
    if pod.deleting_for_ms.is_some() || pod.set.is_none() {
        return None;
    }
    let asked = pod.annotations.get(meta::RESTART);
    if asked.is_some() && asked != set.template_annotations.get(meta::RESTART) {
        return Some(Why::RestartRequested);
    }
    if !set.update_revision.is_empty() && pod.revision != set.update_revision {
        return Some(Why::RevisionChanged);
    }
    let pending = world.observed.claims.iter().any(|(name, claim)| {
        let of_pod = name.strip_suffix(pod.name.as_str()).is_some_and(|rest| rest.ends_with('-'));
        claim.file_system_resize_pending
            && of_pod
            && pod.set.as_deref().is_some_and(|set| is_claim_of(name, set))
    });
    if pending {
        return Some(Why::VolumeResize);
    }
    let addressing = &world.intent.cluster.spec.brokers.addressing;
    let ip = world.stage.cluster_ips.get(&pod.name);
    if addressing.advertise == Advertise::ServiceIP
        && let (Some(ip), Some(broker)) = (ip, broker)
        && broker.phase == Phase::Serving
        && broker.advertised != format!("{ip}:{}", world.intent.cluster.spec.brokers.listen_port)
    {
        return Some(Why::AddressChanged);
    }
    None
}

/// A pod that cannot start and would not even with time: its template has changed since.
fn hopeless(found: &[(u32, &PodView, Why)]) -> Option<Step> {
    let (_, pod, _) = found.iter().find(|(_, pod, why)| {
        matches!(why, Why::RevisionChanged | Why::RestartRequested) && pod.stuck().is_some()
    })?;
    Some(delete(pod, Why::StuckPod))
}

fn delete(pod: &PodView, why: Why) -> Step {
    Step::DeletePod { name: pod.name.clone(), uid: pod.uid.clone(), why }
}

fn name_servers(world: &World<'_>, draft: &mut Draft) -> Verdict {
    let set = world.intent.names.name_servers();
    let pods = world.name_server_pods();
    // Those that are about to go need no new form.
    let staying = pods.iter().filter(|(ordinal, _, _)| *ordinal < world.intent.name_servers);
    let views = staying.map(|(ordinal, _, pod)| (*ordinal, *pod, None));
    let Some(found) = outdated(world, draft, &set, views) else {
        return match world.stage.name_servers.replicas {
            None => Verdict::Settled,
            Some(_) => Verdict::Wait(format!("waiting for the controller of {set}"), true),
        };
    };
    if let Some(step) = hopeless(&found) {
        return Verdict::Act(step);
    }
    let Some((_, pod, why)) = found.last() else { return Verdict::Settled };
    let others = world.name_servers_unsettled(Some(&pod.name));
    let brokers = || world.active().find_map(|group| group.unsettled(None));
    if let Some(why) = others.or_else(brokers) {
        return Verdict::Wait(why, false);
    }
    let pdb = &world.intent.cluster.spec.nameserver.pdb;
    if pod.is_ready() && !budget_allows(world, &set, pdb, world.intent.name_servers) {
        return Verdict::Wait(format!("the budget of {set} lets no pod go"), false);
    }
    Verdict::Act(delete(pod, *why))
}

/// Decides about every group. Gives the groups whose masters stay without writes.
fn groups(world: &World<'_>, draft: &mut Draft) -> Vec<String> {
    let most = world.intent.cluster.spec.brokers.update.max_unavailable_groups;
    let busy: Vec<String> = world
        .active()
        .filter(|group| group.unsettled(None).is_some() || is_fenced(group))
        .map(|group| group.stage.name.clone())
        .collect();
    let mut stay = Vec::new();
    let mut begun = 0;
    for group in world.active() {
        let name = &group.stage.name;
        let others = busy.iter().filter(|other| *other != name).count();
        // A group that has to wait is not overtaken by the next one.
        let room = u32::try_from(others.max(begun)).is_ok_and(|others| others < most);
        let verdict = of_group(world, &group, room, draft);
        begun += usize::from(!matches!(verdict, Verdict::Settled));
        match verdict {
            Verdict::Settled => {}
            Verdict::Wait(why, keep) => {
                if keep {
                    stay.push(name.clone());
                }
                draft.going(why);
            }
            Verdict::Act(step) => {
                stay.push(name.clone());
                act(draft, step);
            }
        }
    }
    stay
}

/// A broker that cannot start as it is and may be made anew.
fn hopeless_broker(world: &World<'_>, draft: &mut Draft) -> Option<Step> {
    world.active().find_map(|group| hopeless(&outdated_of(world, &group, draft)?))
}

/// The pods of a group that the operator should make anew; `None` as for [`outdated`].
fn outdated_of<'w>(
    world: &'w World<'_>,
    group: &Group<'w>,
    draft: &mut Draft,
) -> Option<Vec<(u32, &'w PodView, Why)>> {
    let strategy = world.intent.cluster.spec.brokers.update.strategy;
    let staying = 0..group.stage.replicas.min(group.stage.shape.replicas_per_group);
    let pods = staying.map(|one| (one, group.pod(one), group.broker(one)));
    let mut found = outdated(world, draft, &group.set_name(), pods)?;
    found.retain(|(ordinal, _, why)| match strategy {
        UpdateStrategy::Automatic => true,
        UpdateStrategy::SlavesOnly => 0 < *ordinal || *why == Why::RestartRequested,
        UpdateStrategy::OnDelete => *why == Why::RestartRequested,
    });
    Some(found)
}

fn of_group(world: &World<'_>, group: &Group<'_>, room: bool, draft: &mut Draft) -> Verdict {
    // A master that is kept from taking messages must not be the last one that would.
    let keep = world.another_is_writable(&group.stage.name);
    let Some(found) = outdated_of(world, group, draft) else {
        return Verdict::Wait(format!("waiting for the controller of {}", group.set_name()), keep);
    };
    if let Some(step) = hopeless(&found) {
        return Verdict::Act(step);
    }
    // The last ordinal first: the master, ordinal 0, is the last one.
    let Some((ordinal, pod, why)) = found.last().copied() else { return Verdict::Settled };
    if !room {
        return Verdict::Wait(format!("{} waits for another group", pod.name), keep);
    }
    if let Some(why) = world.name_servers_unsettled(None).or_else(|| group.unsettled(Some(ordinal)))
    {
        return Verdict::Wait(why, keep);
    }
    let pdb = &world.intent.cluster.spec.brokers.pdb;
    let replicas = group.stage.shape.replicas_per_group;
    if pod.is_ready() && !budget_allows(world, &group.set_name(), pdb, replicas) {
        return Verdict::Wait(format!("the budget of {} lets no pod go", group.set_name()), keep);
    }
    let Some(broker) = group.broker(ordinal) else {
        return Verdict::Wait(format!("{} does not answer its control port", pod.name), keep);
    };
    if broker.phase != Phase::Serving {
        // Killing one that reads its store would make it begin anew.
        return Verdict::Wait(format!("{} does not serve yet", pod.name), keep);
    }
    if ordinal == 0 {
        master(world, group, pod, broker, why)
    } else {
        slave(world, group, ordinal, pod, why)
    }
}

fn slave(world: &World<'_>, group: &Group<'_>, ordinal: u32, pod: &PodView, why: Why) -> Verdict {
    let Some(master) = group.master() else {
        return Verdict::Wait(format!("{} has no master that answers", pod.name), true);
    };
    let left = master.in_sync.iter().filter(|one| **one != ordinal).count();
    let least = world.intent.cluster.spec.brokers.sync.min_in_sync;
    let enough = u32::try_from(left).is_ok_and(|left| least <= left);
    if group.stage.shape.replication == Replication::Sync
        && !enough
        && !world.another_is_writable(&group.stage.name)
    {
        return Verdict::Wait(
            format!(
                "without {} its group would refuse messages (sync.minInSync is {least}), and no \
                 other group takes them",
                pod.name
            ),
            true,
        );
    }
    Verdict::Act(delete(pod, why))
}

fn master(
    world: &World<'_>,
    group: &Group<'_>,
    pod: &PodView,
    broker: &BrokerView,
    why: Why,
) -> Verdict {
    // With one group there is nowhere else to send: to stop writes early would only add to the gap.
    if world.active().filter(|group| 0 < group.stage.replicas).count() == 1 {
        return Verdict::Act(delete(pod, why));
    }
    if !world.another_is_writable(&group.stage.name) {
        return Verdict::Wait(format!("{}: no other group takes messages", pod.name), false);
    }
    let permission = &broker.permission;
    if permission.writable() {
        return Verdict::Act(Step::SetPermission {
            pod: pod.name.clone(),
            target: broker.target.clone(),
            perm: 4,
            reason: PermissionReason::Restart,
        });
    }
    let quiet = broker.last_send_ms_ago.is_none_or(|ms| QUIET_MS <= ms);
    if ROUTES_MS <= permission.since_ms || (quiet && QUIET_MS <= permission.since_ms) {
        return Verdict::Act(delete(pod, why));
    }
    Verdict::Wait(format!("clients still send to {}", pod.name), true)
}

fn is_fenced(group: &Group<'_>) -> bool {
    group.master().is_some_and(|master| {
        !master.permission.writable()
            && PermissionReason::of(&master.permission.reason) == Some(PermissionReason::Restart)
    })
}

/// Lets clients send again to masters that the operator kept from it and that will not be restarted
/// or removed after all.
fn unfence(world: &World<'_>, stay: &[String], draft: &mut Draft) {
    for group in world.active().filter(|group| !stay.contains(&group.stage.name)) {
        let Some(master) = group.master() else { continue };
        let wanted = world.intent.permission(&group.stage.name);
        let ours = match PermissionReason::of(&master.permission.reason) {
            Some(PermissionReason::Restart | PermissionReason::ScaleIn) => true,
            Some(PermissionReason::Manifest) | None => false,
        };
        let stopping = group.pod(0).is_none_or(|pod| pod.deleting_for_ms.is_some());
        if ours && !master.permission.writable() && wanted & 2 != 0 && !stopping {
            draft.push(Step::SetPermission {
                pod: group.pod_name(0),
                target: master.target.clone(),
                perm: wanted,
                reason: PermissionReason::Manifest,
            });
        }
    }
}
