//! Pure resolution of a RocketMQCluster into processes.
//!
//! [`resolve`] turns what a user wants into what has to run: every pod with its identity, its
//! endpoint, the files it uses and the settings it is started with. Where pods live and how they
//! are reached comes in through [`Environment`], so that processes of one machine and pods of a
//! Kubernetes cluster get the same settings from the same manifest.
#![warn(missing_docs)]

pub mod diff;
mod group;
mod plan;
mod resolve;

pub use group::group_name;
pub use plan::{
    BrokerIdentity, Component, Endpoint, Paths, Plan, PodId, Ports, Process, Role, StorePaths,
};
pub use resolve::{Environment, resolve};
