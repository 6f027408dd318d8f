//! `brokers.addressing`: where clients find the brokers.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where clients find the brokers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Addressing {
    /// What a broker registers at the name servers.
    #[serde(default)]
    pub advertise: Advertise,
    /// Domain of the Kubernetes cluster, for `PodDNS`.
    #[serde(default = "cluster_domain")]
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"))]
    pub cluster_domain: String,
    /// Use the node's network. Needs `advertise` `HostIP` or `External` and `antiAffinity`
    /// `Required`; breaks the restricted and baseline pod security levels.
    #[serde(default)]
    pub host_network: bool,
    /// How brokers are reached from outside; with `advertise: External`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external: Option<External>,
}

impl Default for Addressing {
    fn default() -> Self {
        Self {
            advertise: Advertise::default(),
            cluster_domain: cluster_domain(),
            host_network: false,
            external: None,
        }
    }
}

/// What a broker registers at the name servers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Advertise {
    /// The address of a Service of its own: stays the same, reachable from pods.
    #[default]
    ServiceIP,
    /// The pod's name: stays the same, needs cluster DNS at the clients.
    PodDNS,
    /// The pod's address: changes with every restart.
    PodIP,
    /// The node's address: for `hostNetwork`.
    HostIP,
    /// What `external` says: reachable from outside.
    External,
}

impl Advertise {
    /// As manifests write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::ServiceIP => "ServiceIP",
            Self::PodDNS => "PodDNS",
            Self::PodIP => "PodIP",
            Self::HostIP => "HostIP",
            Self::External => "External",
        }
    }
}

impl fmt::Display for Advertise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How brokers are reached from outside: one Service per broker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct External {
    /// Type of the Services.
    #[serde(rename = "type")]
    pub kind: ExternalType,
    /// Host names, such as `{pod}.mq.example.org`; knows `{pod}`, `{group}`, `{ordinal}` and
    /// `{nodeIP}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub host_template: Option<String>,
    /// Details of single brokers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 448),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["ordinalOf"])
    )]
    pub per_pod: Vec<ExternalPod>,
}

/// Type of an external Service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ExternalType {
    /// A port of every node.
    NodePort,
    /// A load balancer of the cloud.
    LoadBalancer,
}

/// How one broker is reached from outside.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExternalPod {
    /// Which broker: `<group>/<ordinal>`, such as `broker-a/0`.
    #[schemars(length(max = 32), regex(pattern = r"^[a-z][a-z0-9-]*-[a-z]{1,2}/[0-6]$"))]
    pub ordinal_of: String,
    /// Host that clients are told; wins over `hostTemplate`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub host: Option<String>,
    /// Port that clients are told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: Option<u16>,
    /// Port of the nodes, with `NodePort`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub node_port: Option<u16>,
    /// Address of the load balancer, where the cloud lets one choose.
    #[serde(default, rename = "loadBalancerIP", skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub load_balancer_ip: Option<String>,
    /// Annotations of the Service.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 64))]
    pub annotations: BTreeMap<String, String>,
}

fn cluster_domain() -> String {
    "cluster.local".to_owned()
}
