//! `storage`: the volumes of brokers and name servers.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::quantity::Quantity;
use crate::schema;

/// The volumes of a broker.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("x-kubernetes-validations" = [
        schema::kept("type", "storage.type"),
        schema::kept("className", "storage.className"),
        schema::kept("accessMode", "storage.accessMode"),
        schema::rule(
            "has(self.commitLog) == has(oldSelf.commitLog)",
            "storage.commitLog cannot be added or removed",
        ),
        schema::grows("size", "storage.size"),
    ]))]
#[serde(rename_all = "camelCase")]
pub struct Storage {
    /// Size of the volume; may only grow. Required unless `type` is `Ephemeral`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<Quantity>,
    /// Whether messages outlive their pod; immutable.
    #[serde(default = "persistent", rename = "type")]
    pub kind: StorageType,
    /// Storage class; the Kubernetes cluster's default if it is not given; immutable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub class_name: Option<String>,
    /// Who may mount the volume; immutable. Prefer `ReadWriteOncePod` where the driver has it.
    #[serde(default)]
    pub access_mode: AccessMode,
    /// A volume of its own for the commit log; cannot be added or removed later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit_log: Option<Volume>,
    /// Labels of the claims.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 64))]
    pub labels: BTreeMap<String, String>,
    /// Annotations of the claims.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 64))]
    pub annotations: BTreeMap<String, String>,
}

/// A further volume.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("x-kubernetes-validations" = [
        schema::kept("className", "storage.commitLog.className"),
        schema::grows("size", "storage.commitLog.size"),
    ]))]
#[serde(rename_all = "camelCase")]
pub struct Volume {
    /// Size of the volume; may only grow.
    pub size: Quantity,
    /// Storage class; the Kubernetes cluster's default if it is not given; immutable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub class_name: Option<String>,
}

/// The volume of a name server, for its key-value settings: all else it knows comes from brokers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("x-kubernetes-validations" = [
        schema::kept("type", "storage.type"),
        schema::kept("className", "storage.className"),
        schema::grows("size", "storage.size"),
    ]))]
#[serde(rename_all = "camelCase")]
pub struct NameServerStorage {
    /// Whether key-value settings outlive their pod; immutable.
    #[serde(default = "ephemeral", rename = "type")]
    pub kind: StorageType,
    /// Size of the volume; may only grow.
    #[serde(default = "name_server_size")]
    pub size: Quantity,
    /// Storage class; the Kubernetes cluster's default if it is not given; immutable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub class_name: Option<String>,
}

impl Default for NameServerStorage {
    fn default() -> Self {
        Self { kind: ephemeral(), size: name_server_size(), class_name: None }
    }
}

/// Whether a volume outlives its pod.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum StorageType {
    /// It does.
    #[default]
    PersistentVolumeClaim,
    /// It goes with the pod; restarts of the process within the pod keep it.
    Ephemeral,
}

impl fmt::Display for StorageType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PersistentVolumeClaim => "PersistentVolumeClaim",
            Self::Ephemeral => "Ephemeral",
        })
    }
}

/// Who may mount a volume.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum AccessMode {
    /// One pod at a time.
    ReadWriteOncePod,
    /// One node at a time.
    #[default]
    ReadWriteOnce,
}

impl fmt::Display for AccessMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ReadWriteOncePod => "ReadWriteOncePod",
            Self::ReadWriteOnce => "ReadWriteOnce",
        })
    }
}

fn persistent() -> StorageType {
    StorageType::PersistentVolumeClaim
}

fn ephemeral() -> StorageType {
    StorageType::Ephemeral
}

fn name_server_size() -> Quantity {
    Quantity::gibibytes(1)
}
