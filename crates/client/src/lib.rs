//! A RocketMQ client over the remoting protocol: routes, sending, pulling, consuming as a member
//! of a group, and the calls of administrators.
//!
//! [`Client`] owns the connections and the routes; [`Producer`], [`Consumer`] and [`Admin`] are
//! views of it. There are no background tasks except the connections' own and the pulls of a
//! [`Consumer`], which end with it: routes are refreshed when they are asked for.
#![warn(missing_docs)]

pub mod admin;
pub mod balance;
mod client;
pub mod consumer;
mod error;
pub mod incoming;
mod message;
mod name_servers;
mod offsets;
mod pool;
pub mod producer;
pub mod pull;
pub mod route;

pub use admin::Admin;
pub use client::{Client, Config};
pub use consumer::Consumer;
pub use error::CallError;
pub use message::{Delivered, Outgoing};
pub use name_servers::{NameServers, NameServersError};
pub use producer::Producer;
pub use route::Route;
