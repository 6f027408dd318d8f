//! The RocketMQ name server.
#![warn(missing_docs)]

pub mod cache;
pub mod config;
pub mod encode;
pub mod kv;
pub mod routes;
