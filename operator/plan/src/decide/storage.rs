//! Volumes that grow.

use std::collections::BTreeMap;

use rmq_operator_api::Quantity;

use super::{Draft, StorageState};
use crate::build::build;
use crate::claims::ClaimView;
use crate::names;
use crate::object::Kind;
use crate::observed::Expansion;
use crate::stage::Stage;
use crate::steps::Step;
use crate::world::World;

/// What one StatefulSet's volumes should be.
struct Volumes<'a> {
    set: String,
    wanted: BTreeMap<String, String>,
    world: &'a World<'a>,
}

/// Asks for larger volumes, then makes StatefulSets anew whose claim templates are smaller.
///
/// A file system that grows only when its pod starts is the rollout's business.
pub(super) fn grow(world: &World<'_>, draft: &mut Draft) {
    let mut stage = world.stage.clone();
    let servers = Volumes {
        set: world.intent.names.name_servers(),
        wanted: world.intent.name_server_claims(),
        world,
    };
    if servers.grow(draft) {
        stage.name_servers.claims.clone_from(&servers.wanted);
        servers.recreate(&stage, draft);
    }
    for group in world.active() {
        let volumes =
            Volumes { set: group.set_name(), wanted: world.intent.broker_claims(), world };
        if volumes.grow(draft)
            && let Some(staged) = stage.group_mut(&group.stage.name)
        {
            staged.claims.clone_from(&volumes.wanted);
            volumes.recreate(&stage, draft);
        }
    }
}

impl Volumes<'_> {
    /// Grows the claims. Says whether all of them have been asked for what is wanted and only the
    /// templates are left.
    fn grow(&self, draft: &mut Draft) -> bool {
        let Some(set) = self.world.observed.sets.get(&self.set) else { return false };
        let mut asked = true;
        let mut behind = false;
        for (volume, size) in &self.wanted {
            let wanted_bytes = bytes(size);
            behind |= set.claim_sizes.get(volume).is_some_and(|now| bytes(now) < wanted_bytes);
            for (name, claim) in self.claims(volume) {
                if wanted_bytes <= claim.request_bytes {
                    if 0 < claim.capacity_bytes && claim.capacity_bytes < wanted_bytes {
                        growing(draft, format!("waiting for the volume of {name} to grow"));
                    }
                    continue;
                }
                match self.expandable(claim) {
                    Ok(()) => {
                        growing(draft, format!("{name} grows to {size}"));
                        draft.push(Step::ResizeClaim {
                            name: name.clone(),
                            uid: claim.uid.clone(),
                            size: size.clone(),
                        });
                    }
                    Err(why) => {
                        asked = false;
                        draft.waiting();
                        draft.storage = Some(StorageState::NotSupported(format!(
                            "{name} cannot grow to {size}: {why}. Use a class that allows it, or \
                             set the old size; to move to larger volumes add a group and remove \
                             this one"
                        )));
                    }
                }
            }
        }
        asked && behind
    }

    fn claims(&self, volume: &str) -> impl Iterator<Item = (&String, &ClaimView)> {
        let prefix = format!("{volume}-");
        self.world.observed.claims.iter().filter(move |(name, claim)| {
            let pod = name.strip_prefix(&prefix);
            !claim.deleting && pod.is_some_and(|pod| names::ordinal(&self.set, pod).is_some())
        })
    }

    fn expandable(&self, claim: &ClaimView) -> Result<(), String> {
        let Some(class) = &claim.class else {
            return Err("its volume has no storage class".to_owned());
        };
        match self.world.observed.storage_classes.get(class) {
            Some(Expansion::Allowed) => Ok(()),
            Some(Expansion::NotAllowed) => {
                Err(format!("storage class {class} does not allow expansion"))
            }
            Some(Expansion::NoClass) => Err(format!("storage class {class} is not there")),
            Some(Expansion::Unknown(why)) => {
                Err(format!("storage class {class} cannot be read: {why}"))
            }
            None => Err(format!("storage class {class} has not been read yet")),
        }
    }

    /// The StatefulSet with templates of the new size. The revision of its pods covers only their
    /// template, so that they stay as they are.
    fn recreate(&self, stage: &Stage, draft: &mut Draft) {
        let key = (Kind::StatefulSet, self.set.clone());
        let Some(live) = self.world.observed.objects.get(&key) else { return };
        // One change of the set at a time: what is applied first must be seen first.
        if live.deleting || draft.changes_set(&self.set) {
            return;
        }
        let objects = build(self.world.intent, stage);
        let new = objects
            .into_iter()
            .find(|object| object.kind() == Kind::StatefulSet && object.name() == self.set);
        if let Some(object) = new {
            growing(draft, format!("{} is made anew with larger claims", self.set));
            draft.push(Step::RecreateStatefulSet { uid: live.uid.clone(), object });
        }
    }
}

fn growing(draft: &mut Draft, what: String) {
    draft.busy();
    if draft.storage.is_none() {
        draft.storage = Some(StorageState::Growing(what));
    }
}

fn bytes(size: &str) -> u64 {
    size.parse::<Quantity>().map_or(0, |size| size.units())
}
