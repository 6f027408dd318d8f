//! Fewer replicas in a group: the last ones go, one after the other. The first one is the master.

use super::Draft;
use super::gates::{budget_allows, scale_down, unsettled};
use crate::world::World;

/// Removes the last replica of the first group that has more than the manifest asks for.
pub(super) fn shrink(world: &World<'_>, draft: &mut Draft) {
    if world.intent.cluster.spec.hibernated {
        return;
    }
    for group in world.active() {
        let (now, wanted) = (group.stage.replicas, group.stage.shape.replicas_per_group);
        if now <= wanted || wanted == 0 {
            continue;
        }
        let set = group.set_name();
        let last = now - 1;
        let others = unsettled(world, Some(&group.stage.name));
        let why = others.or_else(|| group.unsettled(Some(last)));
        if let Some(why) = why {
            draft.busy();
            draft.scale_in.push(format!("{set} shrinks to {wanted}: {why}"));
            return;
        }
        let pdb = &world.intent.cluster.spec.brokers.pdb;
        let is_ready = group.pod(last).is_some_and(crate::pods::PodView::is_ready);
        if is_ready && !budget_allows(world, &set, pdb, wanted) {
            draft.busy();
            draft.scale_in.push(format!("{set} shrinks to {wanted}: its budget lets no pod go"));
            return;
        }
        draft.scale_in.push(format!("{set} shrinks from {now} to {wanted}"));
        let name = group.stage.name.clone();
        scale_down(world, draft, &set, last, |stage| {
            if let Some(group) = stage.group_mut(&name) {
                group.replicas = last;
            }
        });
        return;
    }
}
