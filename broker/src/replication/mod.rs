//! Replication over TCP: the shell around `rmq-replica`.
//!
//! A master listens for replicas, sends them its log, and holds back the answers of sends that wait
//! for copies. A replica follows its master: the log over a connection of its own, tables by
//! ordinary requests.

mod files;
mod master;
mod meter;
mod peers;
mod slave;
mod start;
mod tables;
mod waits;

pub use files::FilesError;
pub use master::{MasterSide, ReplicaView, Versions};
pub use peers::Allowed;
pub use slave::{MasterAt, SlaveSide, SlaveView};
pub(crate) use start::{StartSideError, open_store, prepare, start};
pub(crate) use waits::hold;

use crate::config::Settings;
use rmq_model::LogOffset;
use rmq_replica::LogEnds;
use rmq_store::{Arrival, Arrivals, LogRange};
use std::sync::Arc;
use tokio::sync::Notify;
use tokio::sync::futures::Notified;

/// Field of request 906 by which brokers of ours know each other; Java's ignore it.
pub const OURS: &str = "rmqReplica";

/// What the broker is in its group.
#[derive(Clone, Debug)]
pub enum Side {
    /// Others copy its log.
    Master(Arc<MasterSide>),
    /// It copies another's.
    Slave(Arc<SlaveSide>),
}

/// Whether the settings make the broker a replica.
pub fn is_slave(settings: &Settings) -> bool {
    settings.broker_role.eq_ignore_ascii_case("SLAVE")
}

/// Whether sends wait for replicas.
pub fn is_sync_master(settings: &Settings) -> bool {
    settings.broker_role.eq_ignore_ascii_case("SYNC_MASTER")
}

fn ends(range: LogRange) -> LogEnds {
    let LogRange { min, end, flushed } = range;
    LogEnds { min, end, synced: flushed }
}

/// Tells senders to replicas that the log grew, and passes the news on.
pub struct Growth {
    grown: Notify,
    next: Arc<dyn Arrivals>,
}

impl std::fmt::Debug for Growth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Growth").finish_non_exhaustive()
    }
}

impl Growth {
    /// Tells `next` too.
    pub fn new(next: Arc<dyn Arrivals>) -> Self {
        Self { grown: Notify::new(), next }
    }

    pub(crate) fn wait(&self) -> Notified<'_> {
        self.grown.notified()
    }

    fn notify(&self) {
        self.grown.notify_waiters();
    }
}

impl Arrivals for Growth {
    fn arrived(&self, batch: &[Arrival]) {
        self.notify();
        self.next.arrived(batch);
    }
}

/// One past the last byte, as figures show it.
fn behind(end: LogOffset, has: LogOffset) -> u64 {
    end.bytes_since(has).unwrap_or(0)
}
