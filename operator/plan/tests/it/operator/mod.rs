//! The operator's decisions, on clusters in memory.

mod addressing;
mod chaos;
mod config;
mod gates;
mod objects;
mod restricted;
mod rollout;
mod scaling;
mod status;
mod storage;

/// Two groups of one master each.
const MASTERS: &str = "{layout: 2m-noslave, brokers: {storage: {size: 20Gi}}}";
/// Two groups of a master and a slave each.
const PAIRS: &str = "{layout: 2m-2s-sync, brokers: {storage: {size: 20Gi}}}";
/// One of everything.
const SINGLE: &str = "{layout: single, brokers: {storage: {size: 20Gi}}}";
