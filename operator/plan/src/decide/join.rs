//! New groups learn the topics of the others before clients may send to them.

use super::Draft;
use crate::build::group_config_map;
use crate::steps::{PermissionReason, Reason, Step};
use crate::world::{Group, World};

/// Copies metadata to groups that are ready, and lets clients send to them.
///
/// The file that keeps a group from taking writes is replaced only after the copy, in the same
/// decision: whoever is interrupted begins with the copy again, which finds nothing to do.
pub(super) fn join(world: &World<'_>, draft: &mut Draft) {
    for group in world.active().filter(|group| group.stage.joining) {
        let name = &group.stage.name;
        if world.intent.cluster.spec.hibernated {
            continue;
        }
        if let Some(why) = group.starting() {
            draft.busy();
            draft.scale_out.push(format!("{name} is added: {why}"));
            continue;
        }
        // A copy that fails must not keep other changes from being made: it has its own decisions.
        if draft.disrupts() {
            draft.scale_out.push(format!("{name} is added: it is ready"));
            continue;
        }
        let Some(master) = group.master() else { continue };
        let copy = world.intent.cluster.spec.brokers.scaling.copy_metadata;
        let source = world.active().find(|other| is_source(other));
        match source {
            Some(source) if copy => {
                let from = source.pod_name(0);
                draft.push(Step::CopyMetadata { from, to: group.pod_name(0) });
            }
            // A group that has what is needed will come back; without any there is nothing to learn.
            None if copy && world.active().any(|other| !other.stage.joining) => {
                draft.busy();
                draft.scale_out.push(format!(
                    "{name} is added: no other group can say which topics there are"
                ));
                continue;
            }
            Some(_) | None => {}
        }
        draft.scale_out.push(format!("{name} is added: it begins to take messages"));
        let mut staged = group.stage.clone();
        staged.joining = false;
        draft.push(Step::Apply(group_config_map(world.intent, &world.stage, &staged).sealed()));
        let perm = world.intent.permission(name);
        if perm & 2 != 0 {
            draft.push(Step::SetPermission {
                pod: group.pod_name(0),
                target: master.target.clone(),
                perm,
                reason: PermissionReason::Manifest,
            });
        }
        draft.event(
            Reason::ScaleOutFinished,
            None,
            format!("{name} has the topics of the other groups and takes messages"),
        );
    }
}

/// Whether a group can say which topics there are.
fn is_source(group: &Group<'_>) -> bool {
    !group.stage.joining
        && group.pod(0).is_some_and(crate::pods::PodView::is_ready)
        && group.master().is_some()
}
