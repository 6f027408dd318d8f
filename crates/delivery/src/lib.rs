//! Who gets which message when: clients, subscriptions, offsets, long polling, retry, delay.
//!
//! Everything here is a plain value or a pure function: it is handed events and the time and says
//! what to do. No runtime, no sockets, no files, no locks. What can be refused is an enum whose
//! text is fit to be shown to the client; the adapter chooses the response code.
#![warn(missing_docs)]

pub mod clients;
pub mod delay;
pub mod filter;
pub mod groups;
pub mod hold;
pub mod locks;
pub mod offsets;
pub mod pull;
pub mod retry;
pub mod runtime;
pub mod send;
pub mod stats;
pub mod topics;

mod attributes;

pub use attributes::AttributeError;
pub use clients::{Clients, ConnId};
pub use groups::Groups;
pub use hold::Hold;
pub use locks::Locks;
pub use offsets::Offsets;
pub use topics::Topics;
