//! A live server on loopback, well-behaved and hostile peers.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "tests: failing is the point, and tasks end with the runtime"
)]

mod both_ways;
mod bounds;
mod hostile;
mod support;
