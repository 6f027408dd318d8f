//! Whole broker groups in one thread and no time: the cores of `rmq-replica`, which also run in the
//! broker, over logs that lose what was not synced and a network that loses, doubles, delays and
//! reorders.
//!
//! Everything follows from a seed: the same seed gives the same run, event by event. After the
//! faults end, a run must show that nothing acknowledged was lost, that queues are in order and no
//! offset was given twice, that all copies are the same, and that new messages get through.
#![warn(missing_docs)]

mod check;
mod log;
mod node;
mod random;
mod world;

pub use check::Broken;
pub use world::{Report, run};

/// Which promise the group makes, and so which faults it must survive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Promise {
    /// Copies count once received: processes die, the power stays.
    Received,
    /// Copies count once synced: the power fails too, and syncs fail.
    Synced,
}

/// A group and its faults.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Copies, the master's included.
    pub nodes: usize,
    /// Copies a message needs before it is acknowledged.
    pub needed: usize,
    /// What counts as a copy.
    pub promise: Promise,
    /// Another copy may be made the master, by hand.
    pub promotions: bool,
    /// What is broken on purpose.
    pub mutant: Option<Mutant>,
}

/// Faults put into the code around the cores, one at a time: each must be found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// A replica says it synced what it only received.
    AckEarly,
    /// A replica does not cut off what the master does not have.
    SkipCut,
    /// A replica follows any master, however old its term.
    AcceptOldEpoch,
    /// Every connection of a replica counts as another copy.
    CountTwice,
    /// The master serves a replica from where that ends, without asking who wrote it.
    TrustAhead,
    /// Terms are forgotten when a process ends.
    ForgetEpochs,
    /// A put is acknowledged by its time-out.
    AckOnTimeout,
    /// The new master is not the one that has most.
    PromoteAny,
}

impl Mutant {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::AckEarly,
        Self::SkipCut,
        Self::AcceptOldEpoch,
        Self::CountTwice,
        Self::TrustAhead,
        Self::ForgetEpochs,
        Self::AckOnTimeout,
        Self::PromoteAny,
    ];
}

impl Plan {
    /// One of the groups that every seed is tried on.
    pub const ALL: [Self; 5] = [
        Self::of(2, 2, Promise::Received, false),
        Self::of(2, 2, Promise::Synced, true),
        Self::of(3, 2, Promise::Received, true),
        Self::of(3, 2, Promise::Synced, true),
        Self::of(3, 3, Promise::Synced, true),
    ];

    const fn of(nodes: usize, needed: usize, promise: Promise, promotions: bool) -> Self {
        Self { nodes, needed, promise, promotions, mutant: None }
    }

    /// The same group with something broken.
    #[must_use]
    pub fn with(self, mutant: Mutant) -> Self {
        Self { mutant: Some(mutant), ..self }
    }

    pub(crate) fn has(&self, mutant: Mutant) -> bool {
        self.mutant == Some(mutant)
    }
}
