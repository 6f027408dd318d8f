//! Settings that brokers take while they run.

use rmq_pod::files;

use super::Draft;
use crate::control::Phase;
use crate::intent::settings_hash;
use crate::steps::Step;
use crate::world::World;

/// Asks brokers that lag behind their files to read them now. The files reach a pod about a minute
/// after they were applied, and the broker would look by itself; this only saves time.
pub(super) fn reload(world: &World<'_>, draft: &mut Draft) {
    let addresses = world.intent.name_server_list(world.stage.name_servers.listed);
    let name_servers_hash = files::name_servers_hash(&addresses);
    for group in world.groups().filter(|group| !group.stage.removing) {
        let settings = world.intent.broker_settings(&group.stage.name, group.stage.joining);
        let hash = settings_hash(&settings);
        for ordinal in group.ordinals() {
            let Some(broker) = group.broker(ordinal) else { continue };
            // A file that was refused stays refused.
            let refused = broker.config.rejected.is_some() && broker.config.file_hash == hash;
            let late = (broker.config.applied_hash != hash && !refused)
                || broker.name_servers_hash != name_servers_hash;
            if late && broker.phase == Phase::Serving {
                let pod = group.pod_name(ordinal);
                draft.push(Step::Reload { pod, target: broker.target.clone() });
            }
        }
    }
}
