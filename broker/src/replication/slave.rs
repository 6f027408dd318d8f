//! The side that copies, as the rest of the broker sees it.

mod ask;
mod follower;

use super::meter::Meter;
use super::tables::Versioned;
use super::{FilesError, ends, files};
use crate::config::Settings;
use follower::Follower;
use parking_lot::Mutex;
use rmq_host::Tasks;
use rmq_model::{Clock, LogOffset};
use rmq_replica::{AckOn, Epoch, Phase, Slave, SlaveConfig};
use rmq_store::{RawLog, Store};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

/// Longest time without a look at the clock.
const TICK: Duration = Duration::from_millis(100);
/// Wait after a failure: doubles from the first to the second.
const RETRY_MIN: Duration = Duration::from_millis(200);
const RETRY_MAX: Duration = Duration::from_secs(5);

/// Where the master is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MasterAt {
    /// For requests.
    pub address: Option<Arc<str>>,
    /// For its log.
    pub ha_address: Option<Arc<str>>,
}

/// How a replica stands.
#[derive(Clone, Debug)]
pub struct SlaveView {
    /// What it does.
    pub phase: Phase,
    /// Where its master is.
    pub master: MasterAt,
    /// One past the last byte it has.
    pub end: LogOffset,
    /// One past the last byte it has synced.
    pub synced: LogOffset,
    /// How far the master is at least.
    pub master_end: LogOffset,
    /// When something came last, since some fixed point.
    pub heard: Duration,
    /// When something was sent last, since some fixed point.
    pub told: Duration,
    /// Since when the master has been away; `None` while it is followed.
    pub away_since: Option<Duration>,
    /// The present term.
    pub epoch: u32,
    /// Why the latest connection ended.
    pub fault: Option<String>,
}

/// A replica's side of replication.
pub struct SlaveSide {
    clock: Arc<dyn Clock>,
    /// Set by hand; the name servers' word does not count then.
    fixed: Option<Arc<str>>,
    master: Mutex<MasterAt>,
    view: Mutex<SlaveView>,
    /// Changed tables are to be fetched.
    pub(super) tables: Notify,
    pub(super) versions: Mutex<Versioned>,
    received: Meter,
}

impl std::fmt::Debug for SlaveSide {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SlaveSide").field("view", &*self.view.lock()).finish_non_exhaustive()
    }
}

impl SlaveSide {
    /// A replica that has not looked for its master yet.
    pub fn new(settings: &Settings, clock: Arc<dyn Clock>) -> Self {
        let fixed = Some(&settings.ha_master_address).filter(|address| !address.is_empty());
        let master = MasterAt { address: None, ha_address: fixed.cloned() };
        let view = SlaveView {
            phase: Phase::NoMaster,
            master: master.clone(),
            end: LogOffset::ZERO,
            synced: LogOffset::ZERO,
            master_end: LogOffset::ZERO,
            heard: Duration::ZERO,
            told: Duration::ZERO,
            away_since: Some(clock.monotonic()),
            epoch: 0,
            fault: None,
        };
        Self {
            clock,
            fixed: fixed.cloned(),
            master: Mutex::new(master),
            view: Mutex::new(view),
            tables: Notify::new(),
            versions: Mutex::default(),
            received: Meter::default(),
        }
    }

    /// A name server said where the master is; nothing if it does not know.
    pub fn learned(&self, address: Option<&str>, ha_address: Option<&str>) {
        let known = |text: Option<&str>| text.filter(|text| !text.is_empty()).map(Arc::from);
        let mut master = self.master.lock();
        if let Some(address) = known(address) {
            master.address = Some(address);
        }
        match known(ha_address) {
            Some(address) if self.fixed.is_none() => master.ha_address = Some(address),
            _ => {}
        }
    }

    /// Where the master is, as far as is known.
    pub fn master(&self) -> MasterAt {
        self.master.lock().clone()
    }

    /// How it stands.
    pub fn view(&self) -> SlaveView {
        self.view.lock().clone()
    }

    /// Bytes of the log that were received.
    pub fn received(&self) -> u64 {
        self.received.total()
    }

    /// Bytes of the log that are received, a second.
    pub fn rate(&self) -> u64 {
        self.received.rate(self.clock.monotonic())
    }

    /// Whether the log of the master is being copied.
    pub fn is_following(&self) -> bool {
        self.view.lock().phase == Phase::Following
    }

    /// How long the master has been away; `None` while it is followed.
    pub fn away_for(&self) -> Option<Duration> {
        let since = self.view.lock().away_since?;
        Some(self.clock.monotonic().saturating_sub(since))
    }

    /// Follows the master until the tasks are stopped.
    ///
    /// # Errors
    /// [`FilesError`] when the files beside the log cannot be used.
    pub fn start(
        self: &Arc<Self>,
        settings: &Settings,
        root: PathBuf,
        raw: RawLog,
        store: Store,
        tasks: &Tasks,
    ) -> Result<(), FilesError> {
        let id = files::store_id(&root)?;
        let epochs = files::load_epochs(&root, ends(raw.range()))?;
        let sync_flush = settings.flush_disk_type.eq_ignore_ascii_case("SYNC_FLUSH");
        let ms = Duration::from_millis;
        let config = SlaveConfig {
            store: id,
            ack_on: if sync_flush { AckOn::Synced } else { AckOn::Received },
            retry_min: RETRY_MIN,
            retry_max: RETRY_MAX,
            report_every: ms(settings.ha_send_heartbeat_interval),
            idle: ms(settings.ha_housekeeping_interval),
        };
        let follower = Follower {
            side: Arc::clone(self),
            core: Slave::new(config, epochs, Epoch::NONE),
            raw,
            store,
            id,
            root,
            broker_id: settings.broker_id,
            cluster: settings.broker_cluster_name.to_string(),
            broker: settings.broker_name.to_string(),
            sync_flush,
            link: None,
            fault: None,
        };
        tasks.spawn_blocking("replica", |stop| follower.run(&stop));
        Ok(())
    }
}
