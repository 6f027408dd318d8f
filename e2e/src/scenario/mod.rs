//! The scenarios.

pub mod api;
pub mod cli;
pub mod cpp;
pub mod crash;
pub mod drivers;
pub mod failover;
pub mod kube;
pub mod mixed;
pub mod oracle;
pub mod replicas;
pub mod rounds;
pub mod stores;
pub mod suite;
pub mod trouble;
