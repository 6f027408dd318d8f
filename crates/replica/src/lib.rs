//! Replication without sockets, files and clocks.
//!
//! [`Master`] and [`Slave`] are handed events, the time and how far the own log is, and say what
//! the shell must do, in order. The broker runs them over TCP and the store, the simulator over a
//! network that loses, doubles and delays. Which bytes to send next is [`Sender`]'s to say, and
//! who wrote which part of the log [`Epochs`] remember.
#![warn(missing_docs)]

mod epoch;
mod master;
mod sender;
mod slave;

pub use epoch::{ENTRIES_MAX, Entry, Epoch, EpochError, EpochFileError, Epochs};
pub use master::{
    AckOn, Hello, Master, MasterConfig, MasterInput, MasterOutput, NotEnough, Outcome, PEERS_MAX,
    PeerView, Policy, Refusal, Shut, WAITERS_MAX, WaitToken,
};
pub use sender::{Chunk, Next, Sender};
pub use slave::{
    Dialect, Fault, Frame, Phase, Slave, SlaveConfig, SlaveInput, SlaveOutput, Welcome,
};

use rmq_model::LogOffset;

/// A connection, or an attempt at one; never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnId(pub u64);

/// Names a copy of the log: made at random with the store, kept with it for life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StoreId(pub [u8; 16]);

impl StoreId {
    /// One of [`Epoch::SLOTS`] numbers by which epochs of different writers differ.
    pub fn slot(self) -> u32 {
        crc32fast::hash(&self.0) % Epoch::SLOTS
    }
}

impl std::fmt::Display for StoreId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// How far the own log is when an event is handled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogEnds {
    /// First byte still there.
    pub min: LogOffset,
    /// One past the last byte.
    pub end: LogOffset,
    /// One past the last byte that would survive a power cut.
    pub synced: LogOffset,
}
