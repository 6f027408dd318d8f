//! The resource as users write it.

use std::collections::BTreeMap;

use kube::CustomResource;
use kube::core::Reason;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::brokers::Brokers;
use crate::image::Image;
use crate::layout::{Layout, Replication, Shape};
use crate::nameserver::NameServer;
use crate::pod::Pod;
use crate::schema;
use crate::security::Security;
use crate::status::ClusterStatus;

/// What is wanted of a cluster.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, CustomResource, JsonSchema)]
#[kube(
    group = "rocketmq.rs",
    version = "v1alpha1",
    kind = "RocketMQCluster",
    root = "Cluster",
    plural = "rocketmqclusters",
    singular = "rocketmqcluster",
    shortname = "rmq",
    category = "rocketmq",
    namespaced,
    status = "ClusterStatus",
    derive = "PartialEq",
    doc = "A cluster of RocketMQ name servers and brokers.",
    scale(
        spec_replicas_path = ".spec.brokers.groups",
        status_replicas_path = ".status.brokerGroups",
        label_selector_path = ".status.selector"
    ),
    printcolumn = r#"{"name": "Layout", "type": "string", "jsonPath": ".spec.layout"}"#,
    printcolumn = r#"{"name": "Groups", "type": "string", "jsonPath": ".status.readyGroups"}"#,
    printcolumn = r#"{"name": "Phase", "type": "string", "jsonPath": ".status.phase"}"#,
    printcolumn = r#"{"name": "Ready", "type": "string", "jsonPath": ".status.conditions[?(@.type=='Ready')].status"}"#,
    printcolumn = r#"{"name": "Version", "type": "string", "jsonPath": ".status.version"}"#,
    printcolumn = r#"{"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}"#,
    printcolumn = r#"{"name": "Namesrv", "type": "string", "jsonPath": ".status.endpoints.namesrv", "priority": 1}"#,
    printcolumn = r#"{"name": "Message", "type": "string", "jsonPath": ".status.conditions[?(@.type=='Ready')].message", "priority": 1}"#,
    selectable = ".spec.layout",
    selectable = ".status.phase"
)]
#[schemars(extend("x-kubernetes-validations" = [
        schema::kept("clusterName", "clusterName"),
        schema::rule(
            "self.layout != 'Custom' || (has(self.brokers.groups) && has(self.brokers.replicasPerGroup) && has(self.brokers.replication))",
            "layout Custom needs brokers.groups, brokers.replicasPerGroup and brokers.replication",
        ).reason(Reason::FieldValueRequired),
        schema::rule(
            "self.layout == 'Custom' || (!has(self.brokers.replicasPerGroup) && !has(self.brokers.replication))",
            "brokers.replicasPerGroup and brokers.replication are allowed only with layout Custom",
        ).reason(Reason::FieldValueForbidden),
        schema::rule(
            "self.brokers.sync.minInSync <= (self.layout == 'Custom' ? (has(self.brokers.replicasPerGroup) ? self.brokers.replicasPerGroup : 1) : (self.layout in ['2m-2s-sync', '2m-2s-async'] ? 2 : 1))",
            "brokers.sync.minInSync is more than the replicas of a group",
        ),
        schema::rule(
            "!self.metrics.enabled || ((self.metrics.port < self.brokers.listenPort - 2 || self.metrics.port > self.brokers.listenPort + 2) && self.metrics.port != self.nameserver.port && self.metrics.port != self.nameserver.port + 2)",
            "metrics.port is a port of the brokers or name servers: every process needs one more",
        ),
    ]))]
#[serde(rename_all = "camelCase")]
pub struct Spec {
    /// Preset for the cluster's shape.
    pub layout: Layout,
    /// `brokerClusterName` as clients and admin tools see it; `metadata.name` if it is not given;
    /// immutable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63), regex(pattern = r"^[A-Za-z0-9_-]+$"))]
    pub cluster_name: Option<String>,
    /// Release whose images are used; the operator's own if it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64), regex(pattern = r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$"))]
    pub version: Option<String>,
    /// Where images come from.
    #[serde(default)]
    pub image: Image,
    /// Name servers.
    #[serde(default)]
    pub nameserver: NameServer,
    /// Brokers.
    pub brokers: Brokers,
    /// Who may connect.
    #[serde(default)]
    pub security: Security,
    /// What the processes log.
    #[serde(default)]
    pub logging: Logging,
    /// The health and metrics endpoint.
    #[serde(default)]
    pub metrics: Metrics,
    /// What all pods are like.
    #[serde(default)]
    pub pod_defaults: Pod,
    /// What becomes of the data when the resource is deleted.
    #[serde(default)]
    pub deletion_policy: DeletionPolicy,
    /// Leave everything as it is until this is false again; the status is kept up to date.
    #[serde(default)]
    pub paused: bool,
    /// Run no process but keep all data.
    #[serde(default)]
    pub hibernated: bool,
}

/// What the processes log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Logging {
    /// Least severe level that is logged.
    #[serde(default)]
    pub level: LogLevel,
    /// Levels of single modules, by target.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend(
        "maxProperties" = 64,
        "x-kubernetes-validations" = [{
            "rule": "self.all(k, k.matches('^[A-Za-z0-9_:-]{1,128}$'))",
            "message": "logging.filters must name targets of log events, such as rmq_store"
        }]
    ))]
    pub filters: BTreeMap<String, LogLevel>,
    /// Default `json` in Kubernetes, `text` for local processes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<LogFormat>,
}

impl Logging {
    /// The filter directives, such as `info,rmq_store=debug`.
    pub fn directives(&self) -> String {
        let mut text = self.level.name().to_owned();
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// One JSON object per event.
    Json,
    /// One line for people per event.
    Text,
}

/// The health and metrics endpoint of every process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Metrics {
    /// Whether it listens at all.
    #[serde(default = "enabled")]
    pub enabled: bool,
    /// Its port.
    #[serde(default = "metrics_port")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: u16,
}

impl Default for Metrics {
    fn default() -> Self {
        Self { enabled: enabled(), port: metrics_port() }
    }
}

/// What becomes of the data when the resource is deleted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeletionPolicy {
    /// Whether volumes outlive the resource.
    #[serde(default)]
    pub volumes: VolumePolicy,
}

/// Whether volumes outlive their cluster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum VolumePolicy {
    /// They stay.
    #[default]
    Retain,
    /// They go with it.
    Delete,
}

impl Cluster {
    /// `metadata.name`; empty if there is none, which [`crate::manifest::read`] refuses.
    pub fn name(&self) -> &str {
        self.metadata.name.as_deref().unwrap_or_default()
    }

    /// `metadata.namespace`, if it says one.
    pub fn namespace(&self) -> Option<&str> {
        self.metadata.namespace.as_deref()
    }

    /// The value of an annotation.
    pub fn annotation(&self, name: &str) -> Option<&str> {
        self.metadata.annotations.as_ref()?.get(name).map(String::as_str)
    }

    /// Whether nothing may be changed, by the spec or by annotation.
    pub fn is_paused(&self) -> bool {
        self.spec.paused || self.annotation(crate::meta::PAUSE) == Some("true")
    }

    /// `brokerClusterName`.
    pub fn cluster_name(&self) -> &str {
        self.spec.cluster_name.as_deref().unwrap_or(self.name())
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

fn enabled() -> bool {
    true
}

fn metrics_port() -> u16 {
    5557
}
