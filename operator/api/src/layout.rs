//! Shapes a cluster can have.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A preset for groups, replicas per group and replication, under the names RocketMQ's own example
/// configurations go by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Layout {
    /// Two groups of master and slave; a send is confirmed by both.
    #[serde(rename = "2m-2s-sync")]
    TwoGroupsSync,
    /// Two groups of master and slave; a send is confirmed by the master.
    #[serde(rename = "2m-2s-async")]
    TwoGroupsAsync,
    /// Two groups of one master.
    #[serde(rename = "2m-noslave")]
    TwoGroupsNoSlave,
    /// One master, one name server; for development.
    #[serde(rename = "single")]
    Single,
    /// Groups, replicas and replication as the manifest says.
    Custom,
}

impl Layout {
    /// Every layout, in the order documentation lists them.
    pub const ALL: [Self; 5] = [
        Self::TwoGroupsSync,
        Self::TwoGroupsAsync,
        Self::TwoGroupsNoSlave,
        Self::Single,
        Self::Custom,
    ];

    /// As manifests write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::TwoGroupsSync => "2m-2s-sync",
            Self::TwoGroupsAsync => "2m-2s-async",
            Self::TwoGroupsNoSlave => "2m-noslave",
            Self::Single => "single",
            Self::Custom => "Custom",
        }
    }

    /// What the layout stands for; `None` for [`Layout::Custom`].
    pub fn preset(self) -> Option<Shape> {
        let shape = |groups, replicas_per_group, replication| {
            Some(Shape { groups, replicas_per_group, replication })
        };
        match self {
            Self::TwoGroupsSync => shape(2, 2, Replication::Sync),
            Self::TwoGroupsAsync => shape(2, 2, Replication::Async),
            Self::TwoGroupsNoSlave => shape(2, 1, Replication::Async),
            Self::Single => shape(1, 1, Replication::Async),
            Self::Custom => None,
        }
    }
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// When a master confirms a send.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Replication {
    /// As soon as it has stored the message itself.
    Async,
    /// When all in-sync replicas have stored it.
    Sync,
}

impl fmt::Display for Replication {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Async => "Async",
            Self::Sync => "Sync",
        })
    }
}

/// The shape of a cluster after presets and overrides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Broker groups, that is masters; 1 to 64.
    pub groups: u32,
    /// Replicas of one group, the master included; 1 to 7.
    pub replicas_per_group: u32,
    /// When a master confirms a send.
    pub replication: Replication,
}
