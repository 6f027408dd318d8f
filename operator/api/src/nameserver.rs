//! `spec.nameserver`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config;
use crate::image::Image;
use crate::operations::Pdb;
use crate::pod::{Pod, Resources};
use crate::schema;
use crate::storage::NameServerStorage;

/// The name servers of a cluster.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("x-kubernetes-validations" = [
        schema::rule(
            "!has(self.replicas) || !has(self.externalAddresses) || self.externalAddresses.size() == 0",
            "replicas and externalAddresses exclude each other: give one of the two",
        ),
    ]))]
#[serde(rename_all = "camelCase")]
pub struct NameServer {
    /// How many; 2 if it is not given, 1 with layout `single`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 9))]
    pub replicas: Option<u32>,
    /// `host:port` of name servers that exist already; excludes `replicas`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 16),
        inner(length(max = 259), regex(pattern = r"^[!-+\-.-:<>-~]+:[0-9]{1,5}$"))
    )]
    pub external_addresses: Vec<String>,
    /// Listening port; the control port is two above it.
    #[serde(default = "port")]
    #[schemars(range(min = 1, max = 65533))]
    pub port: u16,
    /// Settings of the name server, by the names of the original.
    #[serde(
        default,
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "config::deserialize"
    )]
    #[schemars(schema_with = "config::schema")]
    pub config: BTreeMap<String, String>,
    /// Where key-value settings live.
    #[serde(default)]
    pub storage: NameServerStorage,
    /// Compute resources.
    #[serde(default)]
    pub resources: Resources,
    /// Image; what it leaves out comes from `spec.image`.
    #[serde(default)]
    pub image: Image,
    /// What the pods are like; wins over `podDefaults`.
    #[serde(default)]
    pub pod: Pod,
    /// Voluntary disruptions.
    #[serde(default)]
    pub pdb: Pdb,
    /// The Service for clients.
    #[serde(default)]
    pub service: Service,
}

impl Default for NameServer {
    fn default() -> Self {
        Self {
            replicas: None,
            external_addresses: Vec::new(),
            port: port(),
            config: BTreeMap::new(),
            storage: NameServerStorage::default(),
            resources: Resources::default(),
            image: Image::default(),
            pod: Pod::default(),
            pdb: Pdb::default(),
            service: Service::default(),
        }
    }
}

/// The Service for clients.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Service {
    /// Its type.
    #[serde(default, rename = "type")]
    pub kind: ServiceType,
    /// Its annotations.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 64))]
    pub annotations: BTreeMap<String, String>,
    /// Port of the nodes, with `NodePort` and `LoadBalancer`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub node_port: Option<u16>,
    /// Which load balancer, with `LoadBalancer`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub load_balancer_class: Option<String>,
}

/// Type of a Service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ServiceType {
    /// Reachable from pods.
    #[default]
    ClusterIP,
    /// Reachable through a port of every node.
    NodePort,
    /// Reachable through a load balancer.
    LoadBalancer,
}

impl ServiceType {
    /// As Kubernetes writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::ClusterIP => "ClusterIP",
            Self::NodePort => "NodePort",
            Self::LoadBalancer => "LoadBalancer",
        }
    }
}

fn port() -> u16 {
    9876
}
