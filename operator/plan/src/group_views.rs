//! Questions about all pods of a cluster at once.

use crate::pods::PodView;
use crate::world::World;

/// The first pod that should be there and does not serve, for people.
pub(crate) fn first_not_ready(world: &World<'_>) -> Option<String> {
    let servers = world
        .name_server_pods()
        .into_iter()
        .filter(|(ordinal, _, _)| *ordinal < world.intent.name_servers)
        .map(|(_, name, pod)| (name, pod));
    let brokers = world
        .active()
        .flat_map(|group| group.ordinals().map(move |one| (group.pod_name(one), group.pod(one))));
    servers.chain(brokers).find_map(|(name, pod)| match pod {
        None => Some(format!("{name} is not there")),
        Some(pod) if pod.is_ready() => None,
        Some(pod) if pod.deleting_for_ms.is_some() => Some(format!("{name} is stopping")),
        Some(pod) => Some(match &pod.trouble {
            Some(trouble) => format!("{name} cannot start: {}", trouble.reason),
            None => format!("{name} is not ready"),
        }),
    })
}

/// The first pod whose template has changed since it was made.
pub(crate) fn first_outdated(world: &World<'_>) -> Option<String> {
    let servers = world.name_server_pods().into_iter().map(|(_, _, pod)| pod);
    let brokers = world.active().flat_map(|group| group.ordinals().map(move |one| group.pod(one)));
    let outdated = |pod: &&PodView| {
        let set = pod.set.as_ref().and_then(|set| world.observed.sets.get(set));
        set.is_some_and(|set| {
            !set.update_revision.is_empty() && set.update_revision != pod.revision
        })
    };
    servers.chain(brokers).flatten().find(outdated).map(|pod| pod.name.clone())
}
