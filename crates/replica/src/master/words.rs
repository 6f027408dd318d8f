//! What a master is told and what it says.

use crate::epoch::{Epoch, Epochs};
use crate::{ConnId, StoreId};
use rmq_model::LogOffset;
use std::net::IpAddr;
use std::time::Duration;

/// Most connections of replicas.
pub const PEERS_MAX: usize = 64;
/// Most puts that wait for replicas; more are answered without waiting.
pub const WAITERS_MAX: usize = 100_000;

/// What a replica's acknowledgement must say before it counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AckOn {
    /// It has the bytes, perhaps only in its page cache.
    Received,
    /// They would survive a power cut there.
    Synced,
}

/// How many copies a put waits for, the master's included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// `inSyncReplicas`, whoever is there.
    Fixed,
    /// `enableAutoInSyncReplicas`: `inSyncReplicas`, or as many as are in sync if those are fewer,
    /// but `minInSyncReplicas` at least.
    Auto,
    /// `allAckInSyncStateSet`: all that are in sync, `minInSyncReplicas` at least.
    All,
}

/// Rules of one master.
#[derive(Clone, Copy, Debug)]
pub struct MasterConfig {
    /// Its own copy.
    pub store: StoreId,
    /// How many copies a put waits for.
    pub policy: Policy,
    /// `inSyncReplicas`
    pub in_sync: usize,
    /// `minInSyncReplicas`: with fewer in sync nothing is stored.
    pub in_sync_min: usize,
    /// What counts as a copy.
    pub ack_on: AckOn,
    /// `slaveTimeout`
    pub timeout: Duration,
    /// `haMaxGapNotInSync`: a replica that is further behind is not in sync.
    pub lag_bytes_max: u64,
    /// `haMaxTimeSlaveNotCatchup`: nor is one that did not catch up for so long.
    pub catch_up_within: Duration,
    /// `haHousekeepingInterval`: a silent connection is closed.
    pub idle: Duration,
}

/// What a replica of ours says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// Its copy.
    pub store: StoreId,
    /// Its terms.
    pub epochs: Epochs,
    /// First byte it has.
    pub min: LogOffset,
    /// One past the last byte it has.
    pub end: LogOffset,
}

/// Names a put that waits; given by the shell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WaitToken(pub u64);

/// What happened.
#[derive(Clone, Debug)]
pub enum MasterInput {
    /// A replica connected.
    Opened {
        /// Its connection.
        conn: ConnId,
        /// Where it connects from.
        host: IpAddr,
    },
    /// A replica of ours introduced itself.
    Hello {
        /// Its connection.
        conn: ConnId,
        /// Itself.
        hello: Hello,
    },
    /// A Java replica said how much it has: the first time where it wants to begin.
    JavaReport {
        /// Its connection.
        conn: ConnId,
        /// One past the last byte it has.
        end: LogOffset,
    },
    /// A replica of ours said how much it has.
    Report {
        /// Its connection.
        conn: ConnId,
        /// One past the last byte it has.
        received: LogOffset,
        /// One past the last byte that would survive a power cut there.
        synced: LogOffset,
    },
    /// A connection ended.
    Closed {
        /// It.
        conn: ConnId,
    },
    /// Puts that were stored wait for replicas.
    Wait {
        /// Each with one past its last byte; comes back with [`MasterOutput::Done`].
        puts: Vec<(WaitToken, LogOffset)>,
    },
    /// The log grew, or time passed.
    Tick,
}

/// What the shell does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MasterOutput {
    /// Send the log from here on. To one of ours after a welcome that names the place: what it has
    /// beyond is not in this log.
    Serve {
        /// To whom.
        conn: ConnId,
        /// First byte.
        from: LogOffset,
    },
    /// Say why not, then close.
    Refuse {
        /// To whom.
        conn: ConnId,
        /// Why.
        refusal: Refusal,
    },
    /// Close.
    Close {
        /// Which.
        conn: ConnId,
        /// Why.
        why: Shut,
    },
    /// A put waits no more.
    Done {
        /// Which.
        token: WaitToken,
        /// What became of it.
        outcome: Outcome,
    },
}

/// Why a replica cannot copy this log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It is this very copy.
    #[error(
        "the replica has the master's own store id {store}: its disk is a copy of the master's"
    )]
    SameStore {
        /// Both.
        store: StoreId,
    },
    /// What it lacks was deleted here.
    #[error(
        "the replica's log ends at {end}, the master's begins at {min}: empty the replica's store"
    )]
    TooFarBehind {
        /// End of the replica's.
        end: LogOffset,
        /// Beginning of the master's.
        min: LogOffset,
    },
    /// The logs have nothing in common.
    #[error(
        "the replica's log, which ends at {end}, has nothing in common with the master's: empty the replica's store"
    )]
    Unrelated {
        /// End of the replica's.
        end: LogOffset,
    },
    /// It follows a later master.
    #[error(
        "the replica knows epoch {known}, the master is of epoch {own}: the master is out of date"
    )]
    OldMaster {
        /// Latest term the replica knows.
        known: Epoch,
        /// The master's.
        own: Epoch,
    },
    /// A Java replica wants bytes that are not there.
    #[error("the replica begins at {from}, the master has {min} to {end}")]
    OutOfRange {
        /// What it asks for.
        from: LogOffset,
        /// Beginning of the master's log.
        min: LogOffset,
        /// End of it.
        end: LogOffset,
    },
    /// Too many connections.
    #[error("the master has {PEERS_MAX} connections of replicas already")]
    TooMany,
}

/// Why a connection is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Shut {
    /// Nothing came for too long.
    #[error("nothing was heard for too long")]
    Silent,
    /// The same replica connected again.
    #[error("the replica connected again")]
    Superseded,
    /// It acknowledges what was never written.
    #[error("it acknowledged bytes that do not exist")]
    Ahead,
    /// It spoke out of turn.
    #[error("it sent something out of turn")]
    OutOfTurn,
}

/// What became of a put that waited. It is stored in all cases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// There are as many copies as were asked for.
    Replicated,
    /// Enough replicas were connected, but did not confirm in time: `FLUSH_SLAVE_TIMEOUT`.
    Timeout,
    /// When the time was over too few replicas were connected: `SLAVE_NOT_AVAILABLE`.
    NoSlave,
}

/// Why nothing may be stored now: `IN_SYNC_REPLICAS_NOT_ENOUGH`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{have} replicas are in sync, {need} are needed")]
pub struct NotEnough {
    /// In sync, the master included.
    pub have: usize,
    /// Needed.
    pub need: usize,
}

/// What is known of a replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerView {
    /// Its connection.
    pub conn: ConnId,
    /// Its store; `None` for Java.
    pub store: Option<StoreId>,
    /// One past the last byte it has.
    pub received: LogOffset,
    /// One past the last byte it has synced.
    pub synced: LogOffset,
    /// Whether it is in sync.
    pub in_sync: bool,
    /// How long ago it had all there was; `None` if never.
    pub behind_for: Option<Duration>,
}
