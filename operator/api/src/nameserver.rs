//! `spec.nameserver`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::brokers::{Resources, Storage};
use crate::cluster::is_default;
use crate::config;

/// The name servers of a cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NameServer {
    /// How many, 1 to 9; default 2, with layout `single` 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replicas: Option<u32>,
    /// `host:port` of name servers that exist already; excludes `replicas`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub external_addresses: Vec<String>,
    /// Listening port; default 9876.
    #[serde(default = "port")]
    pub port: u16,
    /// Settings of the name server, by the names of the original.
    #[serde(
        default,
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "config::deserialize"
    )]
    pub config: BTreeMap<String, String>,
    /// Where the key-value settings live; default `Ephemeral`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub storage: Storage,
    /// Compute resources; unused by local processes.
    #[serde(default, skip_serializing_if = "is_default")]
    pub resources: Resources,
}

impl Default for NameServer {
    fn default() -> Self {
        Self {
            replicas: None,
            external_addresses: Vec::new(),
            port: port(),
            config: BTreeMap::new(),
            storage: Storage::default(),
            resources: Resources::default(),
        }
    }
}

fn port() -> u16 {
    9876
}
