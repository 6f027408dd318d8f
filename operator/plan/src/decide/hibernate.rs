//! No pod runs, all data stays.

use super::Draft;
use super::gates::scale_down;
use crate::names::ordinal;
use crate::world::World;

/// Stops the brokers, then the name servers: brokers say good-bye to them.
pub(super) fn hibernate(world: &World<'_>, draft: &mut Draft) {
    if !world.intent.cluster.spec.hibernated {
        return;
    }
    let mut brokers = false;
    for group in world.groups() {
        brokers |= group.has_pods() || 0 < group.stage.replicas;
        if 0 < group.stage.replicas {
            let name = group.stage.name.clone();
            draft.scale_in.push(format!("{} goes to sleep", group.set_name()));
            scale_down(world, draft, &group.set_name(), 0, |stage| {
                if let Some(group) = stage.group_mut(&name) {
                    group.replicas = 0;
                }
            });
        }
    }
    let set = world.intent.names.name_servers();
    if brokers {
        draft.scale_in.push("the brokers stop".to_owned());
        draft.busy();
        return;
    }
    if world.stage.name_servers.replicas.is_some_and(|replicas| 0 < replicas) {
        draft.scale_in.push(format!("{set} goes to sleep"));
        scale_down(world, draft, &set, 0, |stage| stage.name_servers.replicas = Some(0));
    } else if world.observed.pods.keys().any(|pod| ordinal(&set, pod).is_some()) {
        draft.scale_in.push(format!("the pods of {set} stop"));
        draft.busy();
    }
}
