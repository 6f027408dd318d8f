//! RocketMQCluster: the resource types and their rules.
//!
//! The types derive the custom resource definition ([`crd::definition`]) with the rules that the
//! API server checks, and are what manifests are read into. A manifest is read in three steps, all
//! in [`manifest::read`]: YAML with duplicate keys refused, known fields only, then the rules of
//! [`validate`]. What comes out is safe to plan with.
#![warn(missing_docs)]

pub mod addressing;
pub mod advice;
pub mod brokers;
#[cfg(test)]
mod cel;
pub mod cluster;
pub mod config;
pub mod crd;
pub mod duration;
mod fields;
pub mod image;
pub mod layout;
pub mod manifest;
pub mod meta;
pub mod nameserver;
pub mod operations;
pub mod pod;
pub mod quantity;
mod schema;
pub mod security;
pub mod status;
pub mod storage;
pub mod validate;

pub use addressing::{Addressing, Advertise, External, ExternalPod, ExternalType};
pub use brokers::{Brokers, GroupOverride, SyncReplication};
pub use cluster::{Cluster, Spec};
pub use config::{Class, ConfigKey};
pub use duration::Duration;
pub use image::{Image, PullPolicy};
pub use layout::{Layout, Replication, Shape};
pub use manifest::ManifestError;
pub use nameserver::NameServer;
pub use operations::{Drain, Pdb, Placement, Probes, Scaling, Shutdown, Update, UpdateStrategy};
pub use pod::{BrokerPod, Pod, Resources};
pub use quantity::Quantity;
pub use security::{NetworkPolicy, Security};
pub use status::ClusterStatus;
pub use storage::{AccessMode, NameServerStorage, Storage, StorageType};
pub use validate::Violation;

/// API group of the resources; prefix of labels and annotations.
pub const GROUP: &str = "rocketmq.rs";
/// `apiVersion` of the resources.
pub const API_VERSION: &str = "rocketmq.rs/v1alpha1";
/// `kind` of a cluster.
pub const KIND: &str = "RocketMQCluster";
