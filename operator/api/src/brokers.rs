//! `spec.brokers`.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Toleration;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::addressing::Addressing;
use crate::config;
use crate::image::Image;
use crate::layout::Replication;
use crate::operations::{Drain, Pdb, Placement, Probes, Scaling, Shutdown, Update};
use crate::pod::{BrokerPod, Resources};
use crate::schema;
use crate::storage::Storage;

/// The brokers of a cluster.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("x-kubernetes-validations" = [
        schema::kept("namePrefix", "brokers.namePrefix"),
        schema::rule(
            "has(self.storage) && (has(self.storage.size) || self.storage.type == 'Ephemeral')",
            "brokers.storage.size is required unless storage.type is Ephemeral",
        ),
        schema::rule(
            "!has(self.groupOverrides) || self.groupOverrides.all(o, o.name.startsWith(self.namePrefix + '-') && o.name.size() <= self.namePrefix.size() + 3)",
            "brokers.groupOverrides must name groups of this cluster: the prefix, a dash and one or two letters",
        ),
        schema::rule(
            "(self.addressing.advertise == 'External') == has(self.addressing.external)",
            "brokers.addressing: advertise External and the field external need each other",
        ),
        schema::rule(
            "!self.addressing.hostNetwork || (self.addressing.advertise in ['HostIP', 'External'] && self.antiAffinity == 'Required')",
            "brokers.addressing.hostNetwork needs advertise HostIP or External, and antiAffinity Required",
        ),
        schema::rule(
            "self.shutdown.drainSeconds < self.shutdown.gracePeriodSeconds",
            "brokers.shutdown.drainSeconds must be less than gracePeriodSeconds",
        ),
    ]))]
#[serde(rename_all = "camelCase")]
pub struct Brokers {
    /// Broker groups, that is masters; overrides the layout's number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 64))]
    pub groups: Option<u32>,
    /// Replicas of one group, the master included; only with layout `Custom`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 7))]
    pub replicas_per_group: Option<u32>,
    /// When a master confirms a send; only with layout `Custom`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replication: Option<Replication>,
    /// Details of synchronous replication.
    #[serde(default)]
    pub sync: SyncReplication,
    /// Groups are named `<prefix>-a`, `<prefix>-b`, ...; immutable.
    #[serde(default = "name_prefix")]
    #[schemars(length(max = 16), regex(pattern = r"^[a-z][a-z0-9-]*$"))]
    pub name_prefix: String,
    /// Deviations of single groups.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 64),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"])
    )]
    pub group_overrides: Vec<GroupOverride>,
    /// Listening port; two below it the fast port, one above the replication port, two above the
    /// control port.
    #[serde(default = "listen_port")]
    #[schemars(range(min = 3, max = 65533))]
    pub listen_port: u16,
    /// Where clients find the brokers.
    #[serde(default)]
    pub addressing: Addressing,
    /// Where messages live.
    #[serde(default, skip_serializing_if = "is_default")]
    pub storage: Storage,
    /// Settings of the broker, by the names of the original.
    #[serde(
        default,
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "config::deserialize"
    )]
    #[schemars(schema_with = "config::schema")]
    pub config: BTreeMap<String, String>,
    /// Compute resources.
    #[serde(default = "Resources::broker")]
    pub resources: Resources,
    /// Image; what it leaves out comes from `spec.image`.
    #[serde(default)]
    pub image: Image,
    /// Whether slaves serve reads when their master is far ahead of a consumer.
    #[serde(default)]
    pub slave_read: bool,
    /// Whether a slave serves reads, locks and timers while its master is away.
    #[serde(default = "yes")]
    pub acting_master: bool,
    /// How changes reach running brokers.
    #[serde(default)]
    pub update: Update,
    /// How a group is emptied before it goes.
    #[serde(default)]
    pub drain: Drain,
    /// What new groups get.
    #[serde(default)]
    pub scaling: Scaling,
    /// How a broker stops.
    #[serde(default)]
    pub shutdown: Shutdown,
    /// Thresholds of the probes.
    #[serde(default)]
    pub probes: Probes,
    /// Voluntary disruptions, per group.
    #[serde(default)]
    pub pdb: Pdb,
    /// Whether replicas of one group share a node.
    #[serde(default)]
    pub anti_affinity: Placement,
    /// Whether replicas of one group share a zone.
    #[serde(default)]
    pub zone_spread: Placement,
    /// What the pods are like; wins over `podDefaults`.
    #[serde(default)]
    pub pod: BrokerPod,
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
            addressing: Addressing::default(),
            storage: Storage::default(),
            config: BTreeMap::new(),
            resources: Resources::broker(),
            image: Image::default(),
            slave_read: false,
            acting_master: yes(),
            update: Update::default(),
            drain: Drain::default(),
            scaling: Scaling::default(),
            shutdown: Shutdown::default(),
            probes: Probes::default(),
            pdb: Pdb::default(),
            anti_affinity: Placement::default(),
            zone_spread: Placement::default(),
            pod: BrokerPod::default(),
        }
    }
}

/// Details of synchronous replication.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SyncReplication {
    /// Fewest in-sync replicas, the master included, that may confirm a write.
    #[serde(default = "min_in_sync")]
    #[schemars(range(min = 1, max = 7))]
    pub min_in_sync: u32,
}

impl Default for SyncReplication {
    fn default() -> Self {
        Self { min_in_sync: min_in_sync() }
    }
}

/// How one group differs from the others.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("x-kubernetes-validations" = [
        schema::rule(
            "has(self.storage) == has(oldSelf.storage)",
            "groupOverrides[].storage cannot be added or removed",
        ),
    ]))]
#[serde(rename_all = "camelCase")]
pub struct GroupOverride {
    /// The group, such as `broker-a`.
    #[schemars(length(max = 19), regex(pattern = r"^[a-z][a-z0-9-]*-[a-z]{1,2}$"))]
    pub name: String,
    /// Zone that its replicas must be in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub zone: Option<String>,
    /// Labels that a node must have, besides those of the pod.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 64))]
    pub node_selector: BTreeMap<String, String>,
    /// Taints of nodes that do not keep its pods away, besides those of the pod.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::embedded::<Vec<Toleration>>", extend("maxItems" = 64))]
    pub tolerations: Vec<Toleration>,
    /// Its volumes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage: Option<GroupStorage>,
    /// Compute resources; replace those of `brokers`.
    #[serde(default, skip_serializing_if = "Resources::is_empty")]
    pub resources: Resources,
    /// Settings that win over `brokers.config`.
    #[serde(
        default,
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "config::deserialize"
    )]
    #[schemars(schema_with = "config::schema")]
    pub config: BTreeMap<String, String>,
}

/// How the volumes of one group differ.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("x-kubernetes-validations" = [
        schema::kept("className", "groupOverrides[].storage.className"),
    ]))]
#[serde(rename_all = "camelCase")]
pub struct GroupStorage {
    /// Storage class; immutable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub class_name: Option<String>,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

fn yes() -> bool {
    true
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
