//! The RocketMQ name server.
#![warn(missing_docs)]

pub mod routes;
