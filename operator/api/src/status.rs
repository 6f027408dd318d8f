//! `status`: what the operator reports.

use std::collections::BTreeMap;
use std::fmt;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::layout::Replication;
use crate::schema;

/// What the operator saw last. Nothing in it decides anything: it may be lost at any time.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClusterStatus {
    /// Generation of the spec that this is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Where the cluster stands, in a word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<Phase>,
    /// Release that runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Broker groups there are, for the scale subresource.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub broker_groups: Option<u32>,
    /// Ready groups of all, such as `2/2`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready_groups: Option<String>,
    /// Label selector of the brokers' pods, for the scale subresource.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<String>,
    /// The shape after presets and overrides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effective: Option<Effective>,
    /// Where clients connect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoints: Option<Endpoints>,
    /// The name servers in numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nameservers: Option<NameServers>,
    /// The broker groups.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub groups: Vec<Group>,
    /// Addresses of the Services that clients were told, by name: one that is made anew gets its
    /// old address.
    #[serde(default, rename = "clusterIPs", skip_serializing_if = "BTreeMap::is_empty")]
    pub cluster_ips: BTreeMap<String, String>,
    /// Form of the pod templates; a new operator keeps the old form until it is accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template_generation: Option<u32>,
    /// Conditions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        schema_with = "schema::embedded::<Vec<Condition>>",
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"])
    )]
    pub conditions: Vec<Condition>,
}

impl ClusterStatus {
    /// The condition of this type.
    pub fn condition(&self, kind: &str) -> Option<&Condition> {
        self.conditions.iter().find(|condition| condition.type_ == kind)
    }
}

/// Where a cluster stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Phase {
    /// It has not been ready yet.
    Creating,
    /// It is as it should be.
    Running,
    /// Pods are being replaced.
    Updating,
    /// Groups or replicas are being added.
    ScalingOut,
    /// Groups or replicas are being removed.
    ScalingIn,
    /// Something is missing.
    Degraded,
    /// Nothing is changed until somebody lifts the pause.
    Paused,
    /// No pod runs, data is kept.
    Hibernated,
    /// The operator cannot act on the spec.
    Failed,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// The shape after presets and overrides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Effective {
    /// Broker groups.
    pub groups: u32,
    /// Replicas of one group, the master included.
    pub replicas_per_group: u32,
    /// When a master confirms a send.
    pub replication: Replication,
}

/// Where clients connect.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Endpoints {
    /// One address for all name servers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namesrv: Option<String>,
    /// The address of each name server.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub namesrv_all: Vec<String>,
}

/// The name servers in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NameServers {
    /// Serving.
    pub ready: u32,
    /// Wanted.
    pub desired: u32,
    /// In the wanted form.
    pub updated: u32,
}

/// A broker group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Group {
    /// `brokerName`.
    pub name: String,
    /// Where it stands.
    pub phase: GroupPhase,
    /// Pod of the master.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub master: Option<String>,
    /// Master epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<i64>,
    /// Ordinals of the replicas that have all confirmed messages.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub in_sync: Vec<u32>,
    /// Whether it takes messages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub writable: Option<bool>,
    /// Its replicas.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["ordinal"]))]
    pub replicas: Vec<Replica>,
}

/// Where a broker group stands. It leaves through all of these, in this order.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
pub enum GroupPhase {
    /// It belongs to the cluster.
    Active,
    /// It stops taking messages.
    Fencing,
    /// Its messages are being consumed.
    Draining,
    /// It has none left.
    Empty,
    /// Its pods go.
    Removing,
}

impl fmt::Display for GroupPhase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// One replica of a group. Offsets are text: they do not fit the numbers of every JSON reader.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Replica {
    /// Its place in the group.
    pub ordinal: u32,
    /// Its pod.
    pub pod: String,
    /// What it does; nothing if it cannot be asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    /// `brokerId`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub broker_id: Option<i64>,
    /// What it has registered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// Whether its pod is ready.
    pub ready: bool,
    /// Revision of its pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// Hash of the settings it uses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_hash: Option<String>,
    /// End of its log, rounded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_offset: Option<String>,
    /// Bytes that it is behind its master, rounded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lag: Option<String>,
}

/// What a replica does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Role {
    /// It takes messages.
    Master,
    /// It copies the master.
    Slave,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}
