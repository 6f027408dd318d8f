//! The operator: runs RocketMQCluster resources in Kubernetes.
//!
//! Watches fill the caches; each change of a cluster, and each cluster now and then, is
//! reconciled in four steps: look (the `observe` module), decide (`rmq-operator-plan`, which is pure), act, report.
//! Nothing that matters is remembered from one reconcile to the next: one may end anywhere, and the
//! next begins from what is there by then.
#![warn(missing_docs)]

mod act;
mod apiserver;
mod backoff;
mod cache;
mod cli;
mod context;
mod control;
mod crd;
mod error;
mod health;
mod images;
mod kinds;
mod leader;
mod metrics;
#[cfg(test)]
mod mock;
mod observe;
pub mod plugin;
mod reconcile;
mod report;
mod run;
mod token;
mod watch;

pub use cli::main;
