//! Black-box scenarios against the shipped programs: official clients on our servers, our servers
//! beside the original ones, and what both answer compared line by line.
//!
//! Nothing here looks inside a server: it starts programs, talks to ports and reads what clients
//! print. Needs a JVM and the pinned peers (`e2e/interop/java/fetch.sh`).
#![warn(missing_docs)]

pub mod cases;
pub mod compare;
pub mod fleet;
pub mod kube;
pub mod ledger;
pub mod local;
pub mod peers;
pub mod probe;
pub mod process;
pub mod record;
pub mod report;
pub mod scenario;
pub mod system;
pub mod wait;
