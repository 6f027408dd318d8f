//! Objects: what is missing, what differs, what is left over.

use std::collections::BTreeSet;

use rmq_operator_api::meta;
use serde_json::Value;

use super::Draft;
use crate::build::{REMOVING, TOKEN_KEY};
use crate::differ::{covers_claim_templates, differs};
use crate::names::ordinal;
use crate::object::{Kind, Object};
use crate::observed::Live;
use crate::steps::{Reason, Step};
use crate::world::World;

/// Objects that somebody else made under a name the cluster needs, for people.
pub(super) fn taken(world: &World<'_>, objects: &[Object]) -> Option<String> {
    let mut taken = objects.iter().filter_map(|object| {
        // The token may be anybody's: it is only read.
        let live = world.observed.objects.get(&(object.kind(), object.name().to_owned()))?;
        let foreign = !live.owned
            && !is_left_behind(live, world.intent.cluster.name())
            && object.kind() != Kind::Secret
            && !live.deleting;
        foreign.then(|| format!("{} {}", object.kind(), object.name()))
    });
    let first = taken.next()?;
    let all = taken.fold(first, |all, one| format!("{all}, {one}"));
    Some(format!(
        "{all} exists and does not belong to this cluster: delete it, or give the cluster another \
         name"
    ))
}

/// Whether an object was this cluster's before its resource was deleted without what it had: nobody
/// controls it, and its labels say so.
fn is_left_behind(live: &Live, cluster: &str) -> bool {
    let owners = live.body.pointer("/metadata/ownerReferences").and_then(Value::as_array);
    let controlled =
        owners.into_iter().flatten().any(|owner| owner.get("controller") == Some(&true.into()));
    !controlled
        && live.label(meta::MANAGED_BY) == Some(meta::MANAGER)
        && live.label(meta::INSTANCE) == Some(cluster)
}

/// Applies what differs and deletes what the manifest no longer asks for.
pub(super) fn apply(world: &World<'_>, objects: Vec<Object>, draft: &mut Draft) {
    let wanted: BTreeSet<(Kind, String)> =
        objects.iter().map(|object| (object.kind(), object.name().to_owned())).collect();
    if world.observed.objects.is_empty() {
        draft.event(
            Reason::Created,
            None,
            "the objects of the cluster are made: wait for condition Ready".to_owned(),
        );
    }
    for object in objects {
        let key = (object.kind(), object.name().to_owned());
        let step = match world.observed.objects.get(&key) {
            // It comes back once it is gone.
            Some(live) if live.deleting => continue,
            None if object.kind() == Kind::Secret => {
                Step::CreateToken { secret: object, key: TOKEN_KEY }
            }
            Some(_) if object.kind() == Kind::Secret => continue,
            None => Step::Apply(object),
            Some(live) if !differs(&object, live) => continue,
            Some(live)
                if object.kind() == Kind::StatefulSet && !covers_claim_templates(&object, live) =>
            {
                // Not worth it for one that goes.
                if world.groups().any(|one| one.stage.leaving && one.set_name() == key.1) {
                    continue;
                }
                Step::RecreateStatefulSet { uid: live.uid.clone(), object }
            }
            Some(_) => Step::Apply(object),
        };
        note_growth(world, &step, draft);
        draft.push(step);
    }
    for ((kind, name), live) in &world.observed.objects {
        let ours = live.owned && !live.deleting;
        if ours && !wanted.contains(&(*kind, name.clone())) {
            if live.annotation(REMOVING).is_some() {
                draft.event(
                    Reason::GroupRemoved,
                    None,
                    format!(
                        "{name} is gone; its volumes stay: delete them when they are not needed"
                    ),
                );
            }
            draft.push(Step::Delete { kind: *kind, name: name.clone(), uid: live.uid.clone() });
        }
    }
}

/// Says that a StatefulSet gets more pods.
fn note_growth(world: &World<'_>, step: &Step, draft: &mut Draft) {
    let Step::Apply(Object::StatefulSet(set)) = step else { return };
    let name = set.metadata.name.clone().unwrap_or_default();
    let wanted = set.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(0);
    let now = world.observed.sets.get(&name).map_or(0, |set| set.replicas);
    let pods = world.observed.pods.keys().filter(|pod| ordinal(&name, pod).is_some()).count();
    if u32::try_from(wanted).is_ok_and(|wanted| now < wanted) && !world.observed.sets.is_empty() {
        draft.scale_out.push(format!("{name} grows from {pods} to {wanted}"));
    }
}
