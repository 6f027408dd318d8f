//! How brokers are updated, scaled, placed, probed and stopped.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::duration::Duration;

/// How changes reach running brokers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Update {
    /// Which pods the operator restarts by itself.
    #[serde(default)]
    pub strategy: UpdateStrategy,
    /// Groups that may be updated at the same time.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 64))]
    pub max_unavailable_groups: u32,
    /// How long a restarted replica may take to be in sync again before the update stops.
    #[serde(default = "thirty_minutes")]
    pub in_sync_timeout: Duration,
    /// How long any other step may take before the update stops.
    #[serde(default = "fifteen_minutes")]
    pub step_timeout: Duration,
}

impl Default for Update {
    fn default() -> Self {
        Self {
            strategy: UpdateStrategy::default(),
            max_unavailable_groups: one(),
            in_sync_timeout: thirty_minutes(),
            step_timeout: fifteen_minutes(),
        }
    }
}

/// Which pods the operator restarts by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum UpdateStrategy {
    /// All, one after the other, masters last.
    #[default]
    Automatic,
    /// Slaves; masters wait for a restart annotation.
    SlavesOnly,
    /// None: pods take the new form when somebody deletes them.
    OnDelete,
}

/// How a group is emptied before it goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Drain {
    /// Wait until its messages have been consumed.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// Go on without them after this time; without it the operator waits for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Duration>,
    /// Consumer groups that may be left behind.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256), inner(length(max = 255)))]
    pub ignore_groups: Vec<String>,
    /// Topics whose messages may be left behind.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256), inner(length(max = 255)))]
    pub ignore_topics: Vec<String>,
}

impl Default for Drain {
    fn default() -> Self {
        Self { enabled: true, timeout: None, ignore_groups: Vec::new(), ignore_topics: Vec::new() }
    }
}

/// What new groups get.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Scaling {
    /// Copy topics and subscription groups to new broker groups.
    #[serde(default = "yes")]
    pub copy_metadata: bool,
}

impl Default for Scaling {
    fn default() -> Self {
        Self { copy_metadata: true }
    }
}

/// How a broker stops.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Shutdown {
    /// Seconds until it is killed.
    #[serde(default = "grace_period")]
    #[schemars(range(min = 1, max = 86400))]
    pub grace_period_seconds: u32,
    /// Seconds that it goes on serving reads after it has stopped taking messages; less than
    /// `gracePeriodSeconds`.
    #[serde(default = "drain_seconds")]
    #[schemars(range(min = 0, max = 3600))]
    pub drain_seconds: u32,
}

impl Default for Shutdown {
    fn default() -> Self {
        Self { grace_period_seconds: grace_period(), drain_seconds: drain_seconds() }
    }
}

/// Thresholds of the probes; what they ask is fixed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Probes {
    /// While the store is recovered: 5 s apart, 720 failures.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub startup: Option<Probe>,
    /// Whether the process must be restarted: 10 s apart, 3 failures.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub liveness: Option<Probe>,
    /// Whether it serves: 5 s apart, 3 failures.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub readiness: Option<Probe>,
}

/// Thresholds of a probe.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Probe {
    /// Seconds before the first one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 3600))]
    pub initial_delay_seconds: Option<u32>,
    /// Seconds between two.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 3600))]
    pub period_seconds: Option<u32>,
    /// Seconds one may take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 3600))]
    pub timeout_seconds: Option<u32>,
    /// Failures in a row that count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100000))]
    pub failure_threshold: Option<u32>,
}

/// How many pods voluntary disruptions, such as draining a node, may take away.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Pdb {
    /// Make a PodDisruptionBudget where there are two or more replicas.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// Pods that may be away at a time.
    #[serde(default = "one")]
    #[schemars(range(min = 0, max = 9))]
    pub max_unavailable: u32,
}

impl Default for Pdb {
    fn default() -> Self {
        Self { enabled: true, max_unavailable: one() }
    }
}

/// How strictly replicas of one group are kept apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Placement {
    /// A pod that cannot be apart from the others waits.
    Required,
    /// Apart where that is possible.
    #[default]
    Preferred,
    /// Anywhere.
    None,
}

fn yes() -> bool {
    true
}

fn one() -> u32 {
    1
}

fn grace_period() -> u32 {
    120
}

fn drain_seconds() -> u32 {
    5
}

fn thirty_minutes() -> Duration {
    Duration::minutes(30)
}

fn fifteen_minutes() -> Duration {
    Duration::minutes(15)
}
