//! From what the broker is to what the control API says of it.

use crate::presence::Presence;
use crate::reload::Applied;
use crate::replication::Side;
use crate::service::{self, Broker};
use rmq_control::v1::{
    BrokerStatus, ConfigStatus, Disk, Identity, NameServerList, PermissionStatus, Phase, Recovery,
    Registration, RejectedSetting, Replica, Role, Traffic,
};
use rmq_host::http::Health as _;
use rmq_pod::files;
use rmq_store::PutError;
use std::time::Duration;

pub(super) fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

pub(super) fn identity(presence: &Presence) -> Identity {
    let settings = &presence.config.settings;
    let mut identity = Identity {
        cluster: settings.broker_cluster_name.to_string(),
        broker_name: settings.broker_name.to_string(),
        store_id: presence.store_id().to_owned(),
        incarnation: presence.incarnation.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ..Identity::default()
    };
    if let Some(mounts) = presence.pod() {
        let place = &mounts.pod.place;
        identity.cluster_uid.clone_from(&mounts.pod.template.shared.cluster_uid);
        identity.namespace.clone_from(&place.namespace);
        identity.ordinal = place.ordinal;
        identity.pod.clone_from(&place.name);
        identity.pod_uid.clone_from(&place.uid);
    }
    identity
}

fn role(text: &str) -> Role {
    match text.to_ascii_uppercase().as_str() {
        "ASYNC_MASTER" => Role::AsyncMaster,
        "SYNC_MASTER" => Role::SyncMaster,
        "SLAVE" => Role::Slave,
        _ => Role::Unspecified,
    }
}

/// Everything about the broker at this moment.
pub(super) fn broker(presence: &Presence) -> BrokerStatus {
    let identity = identity(presence);
    let settings = &presence.config.settings;
    let (bytes_done, bytes_total) = presence.recovery.bytes();
    let starting = presence.starting();
    let mut status = BrokerStatus {
        in_sync: vec![identity.ordinal],
        phase: Phase::Recovering.into(),
        role: role(&settings.broker_role).into(),
        broker_id: settings.broker_id,
        recovery: Some(Recovery {
            done: starting.is_none(),
            step: starting.unwrap_or_default(),
            bytes_done,
            bytes_total,
        }),
        started_ms_ago: ms(presence.uptime()),
        not_ready: presence.not_ready(),
        identity: Some(identity),
        ..BrokerStatus::default()
    };
    let Some(serving) = presence.serving() else { return status };
    let store = serving.broker.store.status();
    status.phase = match serving.broker.phase() {
        service::Phase::Serving => Phase::Serving,
        service::Phase::Draining => Phase::Draining,
        service::Phase::Stopping => Phase::Stopping,
    }
    .into();
    status.max_offset = store.log_max.to_wire();
    status.confirmed_offset = store.log_max.to_wire();
    match serving.broker.side() {
        Some(Side::Master(side)) => {
            status.epoch = side.epoch().into();
            status.confirmed_offset = side.confirmed().to_wire();
            let replicas = side.replicas();
            // A pod's id is its ordinal.
            let ordinal = |id: Option<i64>| id.and_then(|id| u32::try_from(id).ok());
            let in_sync = replicas.iter().filter(|replica| replica.peer.in_sync);
            status.in_sync.extend(in_sync.filter_map(|replica| ordinal(replica.broker_id)));
            status.replicas = replicas
                .iter()
                .map(|replica| Replica {
                    ordinal: ordinal(replica.broker_id).unwrap_or(u32::MAX),
                    broker_id: replica.broker_id.unwrap_or(-1),
                    address: replica.addr.to_string(),
                    max_offset: replica.peer.received.to_wire(),
                    lag_bytes: replica.behind,
                    lag_ms: replica.peer.behind_for.map_or(u64::MAX, ms),
                })
                .collect();
        }
        Some(Side::Slave(side)) => {
            status.epoch = side.view().epoch.into();
            // Who is in sync with it says the master.
            status.in_sync.clear();
        }
        None => {}
    }
    status.flushed_offset = store.log_flushed.to_wire();
    status.registrations = serving
        .registrar
        .told()
        .into_iter()
        .map(|(address, told)| Registration {
            address: address.to_string(),
            ok: told.error.is_none() && told.since.is_some(),
            age_ms: told.since.map(ms),
            error: told.error.unwrap_or_default(),
        })
        .collect();
    let names = serving.registrar.names();
    let hash = files::name_servers_hash(&names);
    status.name_servers = Some(NameServerList { addresses: names, hash });
    status.config = serving.follower.as_ref().map(|follower| config(follower.applied()));
    status.permission = Some(permission(&serving.broker));
    status.traffic = Some(traffic(&serving.broker));
    let used = store.log_disk_percent.max(store.queue_disk_percent);
    status.disk = Some(Disk {
        used_ratio: f64::from(used) / 100.0,
        writable: !serving.broker.store.refusal().as_ref().is_some_and(is_lasting),
        reason: store.refused.unwrap_or_default(),
    });
    status.advertised = serving.advertised.to_string();
    status
}

/// Whether a refusal is about the disk or the log, not about a moment's load.
fn is_lasting(refusal: &PutError) -> bool {
    match refusal {
        PutError::DiskFull { .. }
        | PutError::NoSpace
        | PutError::Closed
        | PutError::Failed { .. } => true,
        PutError::QueuesBehind
        | PutError::IllegalMessage { .. }
        | PutError::PropertiesTooLong { .. } => false,
        _ => true,
    }
}

pub(super) fn config(applied: Applied) -> ConfigStatus {
    let rejected = applied.rejected.or(applied.name_servers_rejected);
    ConfigStatus {
        file_hash: applied.file_hash,
        applied_hash: applied.applied_hash,
        restart_hash: applied.restart_hash,
        pending: applied.pending,
        rejected: rejected.map(|one| RejectedSetting { key: one.key, reason: one.reason }),
        name_servers_file_hash: applied.name_servers_file_hash,
    }
}

pub(super) fn permission(broker: &Broker) -> PermissionStatus {
    let view = broker.permission();
    PermissionStatus { perm: view.perm, reason: view.reason, since_ms: ms(view.since) }
}

fn traffic(broker: &Broker) -> Traffic {
    let now = broker.now();
    let [sends_per_second, ..] = broker.traffic.rates().put_tps(now).0;
    let last = broker.traffic.last_put();
    let ago = |at: i64| u64::try_from(now.saturating_sub(at)).unwrap_or(0);
    Traffic { sends_per_second, last_send_ms_ago: last.map(ago) }
}

/// What of a status is worth telling at once: all that does not move by itself.
pub(super) fn essence(status: &BrokerStatus) -> BrokerStatus {
    let mut essence = status.clone();
    essence.started_ms_ago = 0;
    essence.max_offset = 0;
    essence.confirmed_offset = 0;
    essence.flushed_offset = 0;
    essence.traffic = None;
    essence.recovery = None;
    for registration in &mut essence.registrations {
        registration.age_ms = None;
    }
    if let Some(permission) = &mut essence.permission {
        permission.since_ms = 0;
    }
    if let Some(disk) = &mut essence.disk {
        disk.used_ratio = 0.0;
    }
    for replica in &mut essence.replicas {
        (replica.max_offset, replica.lag_bytes, replica.lag_ms) = (0, 0, 0);
    }
    essence
}
