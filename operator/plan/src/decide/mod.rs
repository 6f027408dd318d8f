//! From what is wanted and what was seen to the next safe steps.

mod apply;
mod config;
mod draft;
mod drain;
mod gates;
mod hibernate;
mod join;
mod labels;
mod name_servers;
mod replicas;
mod rollout;
mod storage;
mod stuck;

use rmq_operator_api::{Cluster, ClusterStatus};

pub(crate) use draft::{Draft, Progress, StorageState};
pub use rollout::{QUIET_MS, ROUTES_MS};

use crate::build::build;
use crate::context::Context;
use crate::intent::Intent;
use crate::object::Object;
use crate::observed::Observed;
use crate::status;
use crate::steps::{Event, Step};
use crate::world::World;

/// When to look again if nothing happens before: a settled cluster.
pub const SETTLED_REQUEUE_MS: u64 = 300_000;
/// While something waits for people or for messages to be consumed.
pub const BLOCKED_REQUEUE_MS: u64 = 30_000;
/// While a change is under way.
pub const BUSY_REQUEUE_MS: u64 = 5_000;

/// What to do now, and what to say.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// What to do, in this order; see [`Step`] for what the order promises.
    pub steps: Vec<Step>,
    /// What to report. Write it only if it differs from what is there.
    pub status: ClusterStatus,
    /// What to tell people, after the steps are done.
    pub events: Vec<Event>,
    /// When to look again even if nothing is heard, in milliseconds.
    pub requeue_ms: u64,
}

/// The next safe steps towards what `cluster` asks for.
///
/// Reads no clock and remembers nothing: all that waits reads an age from `observed`. A settled
/// cluster gets no step, and the same observation always the same decision. `cluster` is as the API
/// server has it, with its status.
pub fn plan(cluster: &Cluster, observed: &Observed, context: &Context) -> Decision {
    let mut draft = Draft::default();
    if cluster.metadata.deletion_timestamp.is_some() {
        // Owner references take everything along, in whatever order.
        return Decision {
            steps: Vec::new(),
            status: cluster.status.clone().unwrap_or_default(),
            events: Vec::new(),
            requeue_ms: SETTLED_REQUEUE_MS,
        };
    }
    let intent = match Intent::of(cluster, context) {
        Ok(intent) => intent.with_running(observed),
        Err(invalid) => return status::invalid(cluster, observed, "InvalidSpec", &invalid.0),
    };
    let world = World::new(&intent, observed);
    let objects = build(&intent, &world.stage);
    if let Some(taken) = apply::taken(&world, &objects) {
        return status::invalid(cluster, observed, "NameTaken", &taken);
    }
    decide(&world, objects, &mut draft);
    if cluster.is_paused() {
        draft = draft.withhold();
    }
    status::report(&world, draft)
}

fn decide(world: &World<'_>, objects: Vec<Object>, draft: &mut Draft) {
    apply::apply(world, objects, draft);
    storage::grow(world, draft);
    config::reload(world, draft);
    labels::roles(world, draft);
    labels::clear(world, draft);
    hibernate::hibernate(world, draft);
    name_servers::shrink(world, draft);
    replicas::shrink(world, draft);
    drain::drain(world, draft);
    rollout::rollout(world, draft);
    join::join(world, draft);
}

/// Pods of brokers whose `DrainStatus` is worth asking for: masters of groups that the manifest no
/// longer has.
pub fn draining(cluster: &Cluster, observed: &Observed, context: &Context) -> Vec<String> {
    let Ok(intent) = Intent::of(cluster, context) else { return Vec::new() };
    let intent = intent.with_running(observed);
    let world = World::new(&intent, observed);
    let leaving = world.groups().filter(|group| group.stage.leaving && !group.stage.removing);
    leaving.map(|group| group.pod_name(0)).collect()
}
