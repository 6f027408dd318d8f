//! Typed header fields, one type per request and answer.
//!
//! Each type states wire name, kind and whether the field may be absent, in one table. `Option` may be
//! absent, `or x` means `x` when absent, all others are mandatory. Numbers and booleans are text on
//! the wire. Unknown fields are ignored: clients add some freely.

mod admin;
mod client;
mod fields;
mod nameserver;
mod offset;
mod pull;
mod send;
mod topic;

pub use admin::*;
pub use client::*;
pub use fields::{Field, Header, HeaderError};
pub use nameserver::*;
pub use offset::*;
pub use pull::*;
pub use send::*;
pub use topic::*;

#[cfg(test)]
mod tests;
