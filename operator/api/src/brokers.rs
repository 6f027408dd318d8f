//! `spec.brokers`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::cluster::is_default;
use crate::config;
use crate::layout::Replication;
use crate::quantity::Quantity;

/// The brokers of a cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Brokers {
    /// Broker groups, that is masters, 1 to 64; overrides the layout's number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub groups: Option<u32>,
    /// Replicas of one group, the master included, 1 to 7; only with layout `Custom`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replicas_per_group: Option<u32>,
    /// When a master confirms a send; only with layout `Custom`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replication: Option<Replication>,
    /// Details of synchronous replication.
    #[serde(default, skip_serializing_if = "is_default")]
    pub sync: SyncReplication,
    /// Groups are named `<prefix>-a`, `<prefix>-b`, ...; immutable.
    #[serde(default = "name_prefix")]
    pub name_prefix: String,
    /// Deviations of single groups.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub group_overrides: Vec<GroupOverride>,
    /// Listening port; two below it the fast port, one above the replication port, two above the
    /// control port. Default 10911.
    #[serde(default = "listen_port")]
    pub listen_port: u16,
    /// Where messages live.
    #[serde(default, skip_serializing_if = "is_default")]
    pub storage: Storage,
    /// Settings of the broker, by the names of the original.
    #[serde(
        default,
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "config::deserialize"
    )]
    pub config: BTreeMap<String, String>,
    /// Compute resources; unused by local processes.
    #[serde(default, skip_serializing_if = "is_default")]
    pub resources: Resources,
    /// Whether slaves serve reads when their master is far ahead of a consumer.
    #[serde(default, skip_serializing_if = "is_default")]
    pub slave_read: bool,
    /// How a broker stops.
    #[serde(default, skip_serializing_if = "is_default")]
    pub shutdown: Shutdown,
}

impl Default for Brokers {
    fn default() -> Self {
        Self {
            groups: None,
            replicas_per_group: None,
            replication: None,
            sync: SyncReplication::default(),
            name_prefix: name_prefix(),
            group_overrides: Vec::new(),
            listen_port: listen_port(),
            storage: Storage::default(),
            config: BTreeMap::new(),
            resources: Resources::default(),
            slave_read: false,
            shutdown: Shutdown::default(),
        }
    }
}

/// Details of synchronous replication.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SyncReplication {
    /// Fewest in-sync replicas, the master included, that may confirm a write; default 1.
    #[serde(default = "min_in_sync")]
    pub min_in_sync: u32,
}

impl Default for SyncReplication {
    fn default() -> Self {
        Self { min_in_sync: min_in_sync() }
    }
}

/// How one group differs from the others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GroupOverride {
    /// The group, such as `broker-a`.
    pub name: String,
    /// Settings that win over `spec.brokers.config`.
    #[serde(
        default,
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "config::deserialize"
    )]
    pub config: BTreeMap<String, String>,
    /// Compute resources; unused by local processes.
    #[serde(default, skip_serializing_if = "is_default")]
    pub resources: Resources,
}

/// A volume.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Storage {
    /// Size; may only grow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<Quantity>,
    /// Whether it outlives its pod; brokers' default is `PersistentVolumeClaim`, name servers'
    /// `Ephemeral`; immutable.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<StorageType>,
    /// Storage class; immutable; unused by local processes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class_name: Option<String>,
}

/// Whether a volume outlives its pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StorageType {
    /// It does.
    PersistentVolumeClaim,
    /// It goes with the pod; restarts of the process within the pod keep it.
    Ephemeral,
}

impl std::fmt::Display for StorageType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::PersistentVolumeClaim => "PersistentVolumeClaim",
            Self::Ephemeral => "Ephemeral",
        })
    }
}

/// Compute resources by name (`cpu`, `memory`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Resources {
    /// What is set aside.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub requests: BTreeMap<String, Quantity>,
    /// What may not be exceeded.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub limits: BTreeMap<String, Quantity>,
}

/// How a broker stops.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Shutdown {
    /// Seconds until it is killed; default 120.
    #[serde(default = "grace_period")]
    pub grace_period_seconds: u32,
}

impl Default for Shutdown {
    fn default() -> Self {
        Self { grace_period_seconds: grace_period() }
    }
}

fn name_prefix() -> String {
    "broker".to_owned()
}

fn listen_port() -> u16 {
    10911
}

fn min_in_sync() -> u32 {
    1
}

fn grace_period() -> u32 {
    120
}
