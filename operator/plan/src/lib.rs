//! Pure planning for a RocketMQCluster.
//!
//! [`resolve`] turns what a user wants into what has to run as processes of one machine: every pod
//! with its identity, its endpoint, the files it uses and the settings it is started with.
//!
//! For Kubernetes, [`build()`] gives the objects a cluster consists of, and [`decide::plan`] the
//! [`Step`]s to take now, given what was [`Observed`].
//! Nothing is remembered between two decisions: every gate that waits reads an age from the
//! observation.
#![warn(missing_docs)]

pub mod build;
pub mod claims;
pub mod context;
pub mod control;
pub mod decide;
pub mod diff;
mod differ;
mod group;
mod group_views;
pub mod intent;
pub mod names;
pub mod object;
pub mod observed;
mod plan;
pub mod pods;
mod resolve;
pub mod stage;
mod staging;
mod status;
pub mod steps;
mod world;

pub use build::build;
pub use context::Context;
pub use decide::{Decision, draining, plan};
pub use group::group_name;
pub use intent::Intent;
pub use names::Names;
pub use object::{Kind, Object};
pub use observed::{Expansion, Live, Observed};
pub use plan::{
    BrokerIdentity, Component, Dirs, Endpoint, Paths, Plan, PodId, Ports, Process, Role, StorePaths,
};
pub use resolve::{Environment, resolve};
pub use stage::Stage;
pub use steps::{Event, Step};
