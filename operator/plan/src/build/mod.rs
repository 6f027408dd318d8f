//! From what is wanted to Kubernetes objects.
//!
//! The same intent and stage give the same bytes: no time, no randomness, no order that depends on
//! anything but names.

mod accounts;
mod config_maps;
mod labels;
mod network_policies;
mod pdb;
mod placement;
mod pod;
mod secret;
mod services;
mod sets;

pub use config_maps::JOINING;
pub(crate) use config_maps::client_address;
pub(crate) use config_maps::of_group as group_config_map;
pub use labels::REMOVING;
pub use secret::TOKEN_KEY;

use crate::intent::Intent;
use crate::object::Object;
use crate::stage::Stage;

/// Form of the pod templates made here. A later operator that makes another form must keep making
/// this one for clusters that have not accepted it, or it would restart them all when it is
/// installed.
pub const TEMPLATE_GENERATION: u32 = 1;

/// Every object of the cluster at `stage`, sealed and in the order to apply them.
pub fn build(intent: &Intent<'_>, stage: &Stage) -> Vec<Object> {
    let mut objects = Vec::new();
    accounts::build(intent, stage, &mut objects);
    services::build(intent, stage, &mut objects);
    config_maps::build(intent, stage, &mut objects);
    secret::build(intent, &mut objects);
    pdb::build(intent, stage, &mut objects);
    network_policies::build(intent, stage, &mut objects);
    sets::build(intent, stage, &mut objects);
    // Stable: within a kind as they were made, name servers first, then groups in their order.
    objects.sort_by_key(Object::kind);
    objects.into_iter().map(Object::sealed).collect()
}
