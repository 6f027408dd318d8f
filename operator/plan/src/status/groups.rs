//! What is reported about groups and replicas.

use std::collections::BTreeMap;

use rmq_operator_api::ClusterStatus;
use rmq_operator_api::status::{Group as Report, GroupPhase, Replica, Role};

use crate::control::BrokerRole;
use crate::decide::Draft;
use crate::pods::PodView;
use crate::world::{Group, LAG_BYTES_MAX, World};

/// An offset is reported anew once it has moved by this much, or by a sixteenth.
const OFFSET_STEP_BYTES: u64 = 64 << 20;

/// Whether all pods of a group are ready and its master serves.
pub(super) fn is_ready(group: &Group<'_>) -> bool {
    0 < group.stage.replicas
        && group.stage.replicas == group.stage.shape.replicas_per_group
        && group.ordinals().all(|one| group.pod(one).is_some_and(PodView::is_ready))
        && group.master().is_some()
}

pub(super) fn report(group: &Group<'_>, draft: &Draft, before: &ClusterStatus) -> Report {
    let name = &group.stage.name;
    let known = before.groups.iter().find(|one| one.name == *name);
    let master = group.master();
    let phase = draft.phases.get(name).copied();
    Report {
        name: name.clone(),
        phase: phase.unwrap_or(GroupPhase::Active),
        master: master.map(|_| group.pod_name(0)),
        epoch: master.and_then(|one| i64::try_from(one.epoch).ok()).filter(|epoch| 0 < *epoch),
        in_sync: master.map(|one| one.in_sync.iter().copied().collect()).unwrap_or_default(),
        writable: master.map(|_| group.is_writable()),
        replicas: group
            .ordinals()
            .map(|ordinal| {
                let known =
                    known.and_then(|one| one.replicas.iter().find(|one| one.ordinal == ordinal));
                replica(group, ordinal, known)
            })
            .collect(),
    }
}

fn replica(group: &Group<'_>, ordinal: u32, known: Option<&Replica>) -> Replica {
    let pod = group.pod(ordinal);
    let broker = group.broker(ordinal);
    let lag = group.master().and_then(|master| {
        let own = master.replicas.iter().find(|one| one.ordinal == ordinal)?;
        Some(if own.lag_bytes <= LAG_BYTES_MAX { 0 } else { own.lag_bytes })
    });
    let coarse = |new: u64, known: Option<&String>| {
        let old = known.and_then(|text| text.parse::<u64>().ok());
        match old {
            Some(old) if new != 0 && new.abs_diff(old) < OFFSET_STEP_BYTES.max(old / 16) => old,
            Some(_) | None => new,
        }
        .to_string()
    };
    Replica {
        ordinal,
        pod: group.pod_name(ordinal),
        role: broker.map(|one| match one.role {
            BrokerRole::Master => Role::Master,
            BrokerRole::Slave => Role::Slave,
        }),
        broker_id: broker.and_then(|one| i64::try_from(one.broker_id).ok()),
        address: broker.map(|one| one.advertised.clone()),
        ready: pod.is_some_and(PodView::is_ready),
        revision: pod.map(|one| one.revision.clone()),
        config_hash: broker.map(|one| one.config.applied_hash.clone()),
        max_offset: broker
            .map(|one| coarse(one.max_offset, known.and_then(|one| one.max_offset.as_ref()))),
        lag: match (ordinal, broker) {
            (0, _) | (_, None) => None,
            (_, Some(_)) => lag.map(|lag| coarse(lag, known.and_then(|one| one.lag.as_ref()))),
        },
    }
}

/// Addresses of Services that the cluster still has a use for.
pub(super) fn cluster_ips(world: &World<'_>) -> BTreeMap<String, String> {
    let mut all = world.stage.cluster_ips.clone();
    let mut names: Vec<String> = vec![world.intent.names.name_servers()];
    for group in &world.stage.groups {
        names.extend(group.pods(world.intent).map(|(_, pod)| pod));
    }
    all.retain(|name, _| names.contains(name));
    all
}
