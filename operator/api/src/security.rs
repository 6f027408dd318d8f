//! `security`: who may connect.

use k8s_openapi::api::networking::v1::NetworkPolicyPeer;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::schema;

/// Who may connect.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Security {
    /// Network policies of the cluster's pods.
    #[serde(default)]
    pub network_policy: NetworkPolicy,
}

/// Network policies: replication and control only among the cluster's own pods and the operator.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NetworkPolicy {
    /// Make them.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// Who may use the client ports; everybody if it is empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::embedded::<Vec<NetworkPolicyPeer>>", extend("maxItems" = 64))]
    pub clients: Vec<NetworkPolicyPeer>,
}

impl Default for NetworkPolicy {
    fn default() -> Self {
        Self { enabled: true, clients: Vec::new() }
    }
}

fn yes() -> bool {
    true
}
