//! The words every other crate speaks: names, offsets, ids, permissions, limits and clocks.
//!
//! Nothing here reads a clock, a file or a socket. Types that the reference implementation writes
//! as JSON (topic and group configuration, subscriptions) carry the member names it uses.
#![warn(missing_docs)]

pub mod client;
pub mod clock;
pub mod group;
pub mod java;
pub mod limits;
pub mod message;
pub mod name;
pub mod offset;
pub mod peer;
pub mod perm;
pub mod queue;
pub mod read;
pub mod sysflag;
pub mod topic;
pub mod version;

pub use clock::{Clock, Millis};
pub use name::{GroupName, NameError, TopicName};
pub use offset::LogOffset;
pub use perm::Permission;
pub use queue::MessageQueue;
pub use read::ReadStatus;
pub use version::DataVersion;
