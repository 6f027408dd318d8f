//! What a pod is told – environment and mounted files – and the settings it derives from that.
//!
//! A pod is one process of a cluster, in Kubernetes or started by `rmq up`. Whoever starts it gives
//! it a [`Place`] (who it is) and a template (what all pods of its kind have in common) as
//! environment variables, and a directory of [`files`] that may change while it runs. The process
//! reads both back ([`BrokerPod::read`], [`NameServerPod::read`]) and [derives](BrokerPod::derive)
//! settings, which win over those of the user. Both directions stand here, so that they cannot
//! come to disagree.
#![warn(missing_docs)]

mod advertise;
mod broker;
pub mod env;
pub mod files;
pub mod identity;
mod name_server;
mod place;
pub mod properties;
mod read;

pub use advertise::{Advertise, AdvertisedHost};
pub use broker::{BrokerPod, BrokerTemplate, Facts, Replication};
pub use name_server::{NameServerPod, NameServerTemplate};
pub use place::{Place, Shared};
pub use read::PodError;
