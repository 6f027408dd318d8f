//! What every step that takes something away has in common.

use rmq_operator_api::Pdb;

use super::Draft;
use crate::build::build;
use crate::object::Kind;
use crate::stage::Stage;
use crate::steps::Step;
use crate::world::World;

/// Lowers the replicas of `set` to `to`; `change` says so in the stage. Says whether it will be
/// done now.
pub(super) fn scale_down(
    world: &World<'_>,
    draft: &mut Draft,
    set: &str,
    to: u32,
    change: impl FnOnce(&mut Stage),
) -> bool {
    // What was applied before must be seen first, or the two would undo each other.
    if draft.changes_set(set) {
        draft.busy();
        return false;
    }
    let from = world.observed.sets.get(set).map_or(0, |set| set.replicas);
    let mut stage = world.stage.clone();
    change(&mut stage);
    let object = build(world.intent, &stage)
        .into_iter()
        .find(|object| object.kind() == Kind::StatefulSet && object.name() == set);
    match object {
        Some(object) if to < from => draft.disrupt(Step::ScaleDown { object, from, to }),
        Some(_) | None => false,
    }
}

/// Whether the PodDisruptionBudget called `name` lets a pod go: somebody may be draining a node.
/// With a budget of none, people are asked to restart pods in some other way than eviction, and
/// this is one.
pub(super) fn budget_allows(world: &World<'_>, name: &str, pdb: &Pdb, replicas: u32) -> bool {
    if !pdb.enabled || replicas < 2 || pdb.max_unavailable == 0 {
        return true;
    }
    world.observed.budgets.get(name).is_some_and(|budget| 0 < budget.disruptions_allowed)
}

/// Why some pod of the cluster is not settled, for people. With `except`, that group is not looked
/// at. Groups that leave do not count: nobody depends on them.
pub(super) fn unsettled(world: &World<'_>, except: Option<&str>) -> Option<String> {
    world.name_servers_unsettled(None).or_else(|| {
        world
            .active()
            .filter(|group| Some(group.stage.name.as_str()) != except)
            .find_map(|group| group.unsettled(None))
    })
}
