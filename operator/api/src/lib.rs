//! RocketMQCluster: the resource types and their rules.
//!
//! A manifest is read in three steps, all in [`manifest::read`]: YAML with duplicate keys refused,
//! typed fields with unknown ones refused, then the rules of [`validate`]. What comes out is safe
//! to plan with. The same types will derive the custom resource definition.
#![warn(missing_docs)]

pub mod brokers;
pub mod cluster;
pub mod config;
pub mod layout;
pub mod manifest;
pub mod nameserver;
pub mod quantity;
pub mod validate;

pub use brokers::{Brokers, GroupOverride, Shutdown, Storage, StorageType, SyncReplication};
pub use cluster::{Cluster, Metadata, Spec};
pub use layout::{Layout, Replication, Shape};
pub use manifest::ManifestError;
pub use nameserver::NameServer;
pub use quantity::Quantity;
pub use validate::Violation;

/// API group of the resources; prefix of labels and annotations.
pub const GROUP: &str = "rocketmq.rs";
/// `apiVersion` of the resources.
pub const API_VERSION: &str = "rocketmq.rs/v1alpha1";
/// `kind` of a cluster.
pub const KIND: &str = "RocketMQCluster";
