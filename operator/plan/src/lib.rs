//! Pure planning for a RocketMQCluster.
//!
//! [`resolve`] turns what a user wants into what has to run as processes of one machine: every pod
//! with its identity, its endpoint, the files it uses and the settings it is started with.
//!
//! For Kubernetes, what runs is [`Observed`] and a decision says which [`Step`]s to take now.
//! Nothing is remembered between two decisions: every gate that waits reads an age from the
//! observation.
#![warn(missing_docs)]

pub mod claims;
pub mod control;
pub mod diff;
mod group;
pub mod names;
pub mod object;
pub mod observed;
mod plan;
pub mod pods;
mod resolve;
pub mod steps;

pub use group::group_name;
pub use names::Names;
pub use object::{Kind, Object};
pub use observed::{Live, Observed};
pub use plan::{
    BrokerIdentity, Component, Endpoint, Paths, Plan, PodId, Ports, Process, Role, StorePaths,
};
pub use resolve::{Environment, resolve};
pub use steps::{Event, Step};
