//! Time as a value.

use std::time::Duration;

/// Milliseconds since the Unix epoch, as the protocol and the store carry them.
pub type Millis = i64;

/// The only source of time for everything below the programs. `rmq-host` has the real one,
/// `rmq-testkit` one that tests move by hand.
pub trait Clock: Send + Sync + 'static {
    /// Wall-clock time. May step backwards.
    fn now(&self) -> Millis;
    /// Time since an arbitrary fixed point. Never steps backwards; use it for deadlines.
    fn monotonic(&self) -> Duration;
}
