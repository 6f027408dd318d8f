//! The resource as users write it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::brokers::Brokers;
use crate::layout::{Layout, Replication, Shape};
use crate::nameserver::NameServer;

/// A `RocketMQCluster`. `apiVersion` and `kind` are checked when it is read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Cluster {
    /// [`crate::API_VERSION`].
    pub api_version: String,
    /// [`crate::KIND`].
    pub kind: String,
    /// Name and labels.
    pub metadata: Metadata,
    /// What is wanted.
    pub spec: Spec,
}

/// The part of Kubernetes' object metadata that people write.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Metadata {
    /// Name of the resource: a DNS label of at most 40 characters, first part of every pod's name.
    pub name: String,
    /// Kubernetes namespace; unused by local processes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Unused by local processes.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Unused by local processes.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// What is wanted of a cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Spec {
    /// Preset for the cluster's shape.
    pub layout: Layout,
    /// `brokerClusterName` as clients and admin tools see it; default `metadata.name`; immutable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster_name: Option<String>,
    /// Release whose images are used; local processes are always those of the running program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Name servers.
    #[serde(default, skip_serializing_if = "is_default")]
    pub nameserver: NameServer,
    /// Brokers.
    #[serde(default, skip_serializing_if = "is_default")]
    pub brokers: Brokers,
    /// What the processes log.
    #[serde(default, skip_serializing_if = "is_default")]
    pub logging: Logging,
    /// The health and metrics endpoint.
    #[serde(default, skip_serializing_if = "is_default")]
    pub metrics: Metrics,
    /// What becomes of the data when the resource is deleted.
    #[serde(default, skip_serializing_if = "is_default")]
    pub deletion_policy: DeletionPolicy,
    /// Leave everything as it is until this is false again.
    #[serde(default, skip_serializing_if = "is_default")]
    pub paused: bool,
    /// Run no process but keep all data.
    #[serde(default, skip_serializing_if = "is_default")]
    pub hibernated: bool,
}

/// What the processes log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Logging {
    /// Least severe level that is logged; default `info`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level: Option<LogLevel>,
    /// Levels of single modules, by target.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub filters: BTreeMap<String, LogLevel>,
    /// Default `json` in Kubernetes, `text` for local processes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<LogFormat>,
}

impl Logging {
    /// The filter directives, such as `info,rmq_store=debug`.
    pub fn directives(&self) -> String {
        let mut text = self.level.unwrap_or_default().name().to_owned();
        for (target, level) in &self.filters {
            text.push(',');
            text.push_str(target);
            text.push('=');
            text.push_str(level.name());
        }
        text
    }
}

/// Severity of a log event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// A person must act.
    Error,
    /// Something went wrong and was coped with.
    Warn,
    /// Lifecycle.
    #[default]
    Info,
    /// Requests.
    Debug,
    /// Records.
    Trace,
}

impl LogLevel {
    /// As manifests write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

/// Form of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// One JSON object per event.
    Json,
    /// One line for people per event.
    Text,
}

/// The health and metrics endpoint of every process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Metrics {
    /// Whether it listens at all.
    #[serde(default = "enabled")]
    pub enabled: bool,
    /// Its port; default 5557.
    #[serde(default = "metrics_port")]
    pub port: u16,
}

impl Default for Metrics {
    fn default() -> Self {
        Self { enabled: enabled(), port: metrics_port() }
    }
}

/// What becomes of the data when the resource is deleted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DeletionPolicy {
    /// Default `Retain`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volumes: Option<VolumePolicy>,
}

/// Whether volumes outlive their cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum VolumePolicy {
    /// They stay.
    Retain,
    /// They go with it.
    Delete,
}

impl Cluster {
    /// `brokerClusterName`.
    pub fn cluster_name(&self) -> &str {
        self.spec.cluster_name.as_deref().unwrap_or(&self.metadata.name)
    }

    /// Groups, replicas and replication after presets and overrides.
    ///
    /// What a `Custom` layout leaves out, which [`crate::validate`] refuses, counts as one master.
    pub fn shape(&self) -> Shape {
        let brokers = &self.spec.brokers;
        let preset = self.spec.layout.preset();
        let base = preset.unwrap_or(Shape {
            groups: 1,
            replicas_per_group: brokers.replicas_per_group.unwrap_or(1),
            replication: brokers.replication.unwrap_or(Replication::Async),
        });
        Shape { groups: brokers.groups.unwrap_or(base.groups), ..base }
    }

    /// How many name servers the cluster runs itself; none if it uses existing ones.
    pub fn name_server_replicas(&self) -> u32 {
        let name_server = &self.spec.nameserver;
        if !name_server.external_addresses.is_empty() {
            return 0;
        }
        name_server.replicas.unwrap_or(if self.spec.layout == Layout::Single { 1 } else { 2 })
    }
}

pub(crate) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

fn enabled() -> bool {
    true
}

fn metrics_port() -> u16 {
    5557
}
