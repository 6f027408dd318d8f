//! Control messages as the planner's values. Senders one version older may leave out what they do not
//! know: then the careful value is taken.

use rmq_control::v1;
use rmq_operator_plan::control::{
    Behind, BrokerRole, BrokerView, ConfigView, Disk, DrainView, NameServerView, Permission, Phase,
    Recovery, Registration, Rejected, ReplicaView, Target, Unreachable,
};

pub(super) fn target(target: &Target) -> v1::Target {
    v1::Target { store_id: target.store_id.clone(), incarnation: target.incarnation.clone() }
}

pub(super) fn broker(status: v1::BrokerStatus) -> Result<BrokerView, Unreachable> {
    let identity = status.identity.ok_or_else(|| lacks("identity"))?;
    let role = match v1::Role::try_from(status.role) {
        Ok(v1::Role::AsyncMaster | v1::Role::SyncMaster) => BrokerRole::Master,
        Ok(v1::Role::Slave) => BrokerRole::Slave,
        Ok(v1::Role::Unspecified) | Err(_) => return Err(lacks("role")),
    };
    let permission = status.permission.ok_or_else(|| lacks("permission"))?;
    let disk = status.disk.ok_or_else(|| lacks("disk"))?;
    let registrations = status.registrations.into_iter().map(|one| Registration {
        address: one.address,
        ok: one.ok,
        age_ms: one.age_ms,
    });
    let replicas = status
        .replicas
        .iter()
        .map(|one| ReplicaView { ordinal: one.ordinal, lag_bytes: one.lag_bytes });
    let recovery = status.recovery.filter(|one| !one.done).map(|one| Recovery {
        step: one.step,
        bytes_done: one.bytes_done,
        bytes_total: one.bytes_total,
    });
    Ok(BrokerView {
        target: Target { store_id: identity.store_id, incarnation: identity.incarnation },
        pod_uid: identity.pod_uid,
        phase: phase(status.phase)?,
        role,
        broker_id: natural(status.broker_id),
        epoch: status.epoch,
        in_sync: status.in_sync.into_iter().collect(),
        max_offset: natural(status.max_offset),
        replicas: replicas.collect(),
        registrations: registrations.collect(),
        name_servers_hash: status.name_servers.map(|list| list.hash).unwrap_or_default(),
        config: config(status.config),
        permission: Permission {
            perm: permission.perm,
            reason: permission.reason,
            since_ms: permission.since_ms,
        },
        last_send_ms_ago: status.traffic.and_then(|traffic| traffic.last_send_ms_ago),
        disk: Disk { used_ratio: disk.used_ratio, writable: disk.writable, reason: disk.reason },
        recovery,
        advertised: status.advertised,
        started_ms_ago: status.started_ms_ago,
    })
}

pub(super) fn name_server(status: v1::NameServerStatus) -> Result<NameServerView, Unreachable> {
    let identity = status.identity.ok_or_else(|| lacks("identity"))?;
    let brokers = status.brokers.into_iter().map(|one| (one.name, natural(one.id)));
    Ok(NameServerView {
        pod_uid: identity.pod_uid,
        phase: phase(status.phase)?,
        started_ms_ago: status.started_ms_ago,
        brokers: brokers.collect(),
        config: config(status.config),
    })
}

pub(super) fn drain(status: v1::DrainStatus) -> DrainView {
    let behind = status.behind.into_iter().map(|one| Behind {
        topic: one.topic,
        group: one.group,
        messages: one.messages,
    });
    DrainView {
        empty: status.empty,
        empty_for_ms: status.empty_for_ms,
        behind: behind.collect(),
        behind_messages: status.behind_messages,
        unconsumed_topics: status.unconsumed_topics,
        unconsumed_total: status.unconsumed_total,
        delayed_messages: status.delayed_messages,
        half_messages: status.half_messages,
        pop_messages: status.pop_messages,
    }
}

fn config(status: Option<v1::ConfigStatus>) -> ConfigView {
    let status = status.unwrap_or_default();
    let rejected = status.rejected.map(|one| Rejected { key: one.key, reason: one.reason });
    ConfigView { file_hash: status.file_hash, applied_hash: status.applied_hash, rejected }
}

fn phase(value: i32) -> Result<Phase, Unreachable> {
    match v1::Phase::try_from(value) {
        Ok(v1::Phase::Recovering) => Ok(Phase::Recovering),
        Ok(v1::Phase::Serving) => Ok(Phase::Serving),
        Ok(v1::Phase::Draining) => Ok(Phase::Draining),
        Ok(v1::Phase::Stopping) => Ok(Phase::Stopping),
        Ok(v1::Phase::Unspecified) | Err(_) => Err(lacks("phase")),
    }
}

/// Offsets and ids are signed on the wire and never negative.
fn natural(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

fn lacks(what: &str) -> Unreachable {
    Unreachable(format!("the answer lacks its {what}, or has one this operator does not know"))
}
