//! Labels and annotations for people.

use rmq_operator_api::meta;

use super::Draft;
use crate::control::BrokerRole;
use crate::staging::is_claim_of;
use crate::steps::Step;
use crate::world::World;

/// Labels pods with what they do. Nothing selects by it.
pub(super) fn roles(world: &World<'_>, draft: &mut Draft) {
    for group in world.groups() {
        for ordinal in group.ordinals() {
            let (Some(pod), Some(broker)) = (group.pod(ordinal), group.broker(ordinal)) else {
                continue;
            };
            let role = match broker.role {
                BrokerRole::Master => meta::MASTER,
                BrokerRole::Slave => meta::SLAVE,
            };
            let known = pod.labels.get(meta::ROLE).map(String::as_str);
            if known != Some(role) && pod.deleting_for_ms.is_none() {
                draft.push(Step::LabelPod {
                    name: pod.name.clone(),
                    uid: pod.uid.clone(),
                    labels: [(meta::ROLE.to_owned(), Some(role.to_owned()))].into(),
                });
            }
        }
    }
}

/// Removes marks whose time is over.
pub(super) fn clear(world: &World<'_>, draft: &mut Draft) {
    for group in world.active() {
        let set = group.set_name();
        let marked = world.observed.claims.iter().filter(|(name, claim)| {
            is_claim_of(name, &set)
                && !claim.deleting
                && claim.labels.contains_key(meta::ORPHANED_GROUP)
        });
        for (name, claim) in marked {
            draft.push(Step::MarkClaim {
                name: name.clone(),
                uid: claim.uid.clone(),
                labels: [(meta::ORPHANED_GROUP.to_owned(), None)].into(),
                annotations: [].into(),
            });
        }
    }
    let forced = world.intent.cluster.annotation(meta::FORCE_SCALE_IN);
    if let Some(group) = forced
        && world.group(group).is_none()
    {
        draft.push(Step::ClearAnnotation { name: meta::FORCE_SCALE_IN, value: group.to_owned() });
    }
}
