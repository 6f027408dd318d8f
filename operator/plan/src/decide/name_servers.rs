//! Fewer name servers: brokers leave them before they go.

use rmq_pod::files;

use super::Draft;
use super::gates::scale_down;
use crate::pods::PodView;
use crate::world::World;

/// Removes name servers that are in no list any more, once every broker has the list without them.
/// Brokers are not restarted: they follow the file.
pub(super) fn shrink(world: &World<'_>, draft: &mut Draft) {
    let intent = world.intent;
    if intent.cluster.spec.hibernated {
        return;
    }
    let set = intent.names.name_servers();
    let now = world.stage.name_servers.replicas.unwrap_or(0);
    if now <= intent.name_servers {
        return;
    }
    if let Some(why) = still_used(world) {
        draft.busy();
        draft.scale_in.push(format!("{set} shrinks to {}: {why}", intent.name_servers));
        return;
    }
    draft.scale_in.push(format!("{set} shrinks from {now} to {}", intent.name_servers));
    scale_down(world, draft, &set, intent.name_servers, |stage| {
        stage.name_servers.replicas = Some(intent.name_servers);
    });
}

/// The broker that may still use a name server that is about to go, for people.
fn still_used(world: &World<'_>) -> Option<String> {
    let addresses = world.intent.name_server_list(world.intent.name_servers);
    let wanted = files::name_servers_hash(&addresses);
    for group in world.groups() {
        for ordinal in group.ordinals() {
            // What does not run reads the new list when it starts.
            let runs = group.pod(ordinal).is_some_and(|pod: &PodView| pod.running);
            if !runs {
                continue;
            }
            let pod = group.pod_name(ordinal);
            match group.broker(ordinal) {
                None => return Some(format!("{pod} does not say which list it has")),
                Some(broker) if broker.name_servers_hash != wanted => {
                    return Some(format!("waiting for {pod} to read the new list"));
                }
                Some(_) => {}
            }
        }
    }
    None
}
