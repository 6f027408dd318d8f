//! The side that is copied: a port for replicas, a task per direction of each connection.

mod feed;
mod links;

use super::meter::Meter;
use super::peers::Allowed;
use super::waits::Held;
use super::{FilesError, Growth, behind, ends, files, is_sync_master};
use crate::config::Settings;
use parking_lot::Mutex;
use rmq_host::Tasks;
use rmq_host::metrics::Histogram;
use rmq_model::{Clock, LogOffset};
use rmq_remoting::ha;
use rmq_replica::{
    AckOn, ConnId, LogEnds, Master, MasterConfig, MasterInput, MasterOutput, NotEnough, Outcome,
    PeerView, Policy, StoreId, WaitToken,
};
use rmq_store::Store;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Time between signs of life to a replica of ours.
const STATE_EVERY: Duration = Duration::from_secs(1);
/// How exactly the end of a wait is kept.
const TICK: Duration = Duration::from_millis(20);

/// What a connection's tasks are told.
#[derive(Debug)]
enum Order {
    Serve(LogOffset),
    Refuse(String),
}

struct Link {
    orders: mpsc::Sender<Order>,
    stop: CancellationToken,
    addr: SocketAddr,
    native: bool,
    sent: Arc<Meter>,
    /// As it says itself; `None` for Java.
    broker_id: Option<i64>,
}

/// How a replica stands.
#[derive(Clone, Debug)]
pub struct ReplicaView {
    /// Where it connects from.
    pub addr: SocketAddr,
    /// Its `brokerId`; `None` for Java.
    pub broker_id: Option<i64>,
    /// What it has and whether it is in sync.
    pub peer: PeerView,
    /// Bytes it lacks.
    pub behind: u64,
    /// Bytes of the log that it is sent, a second.
    pub rate: u64,
}

/// Numbers that change with tables.
pub trait Versions: Send + Sync {
    /// Of topics, groups, offsets and delay levels.
    fn versions(&self) -> [u64; 4];
}

/// A master's side of replication.
pub struct MasterSide {
    core: Mutex<Master>,
    held: Held,
    store: Store,
    clock: Arc<dyn Clock>,
    growth: Arc<Growth>,
    links: Mutex<HashMap<ConnId, Link>>,
    next_conn: AtomicU64,
    /// To all replicas.
    sent: Meter,
    /// Sends wait for copies.
    waits: bool,
    root: PathBuf,
    id: StoreId,
    cluster: Arc<str>,
    broker: Arc<str>,
    allowed: Allowed,
    java_chunk_bytes: usize,
    heartbeat_every: Duration,
    /// End of the log at the start, as request 906 tells it.
    start_end: LogOffset,
}

impl std::fmt::Debug for MasterSide {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MasterSide").field("id", &self.id).finish_non_exhaustive()
    }
}

impl MasterSide {
    /// Begins a term of the master, durably. Before the first put.
    ///
    /// # Errors
    /// [`FilesError`] when the files beside the log cannot be used.
    pub fn new(
        settings: &Settings,
        root: PathBuf,
        store: Store,
        clock: Arc<dyn Clock>,
        growth: Arc<Growth>,
    ) -> Result<Self, FilesError> {
        let log = ends(store.log_range());
        let id = files::store_id(&root)?;
        let epochs = files::begin_epoch(&root, log, id)?;
        let wide = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
        let ms = Duration::from_millis;
        let policy =
            match (settings.all_ack_in_sync_state_set, settings.enable_auto_in_sync_replicas) {
                (true, _) => Policy::All,
                (false, true) => Policy::Auto,
                (false, false) => Policy::Fixed,
            };
        let sync_flush = settings.flush_disk_type.eq_ignore_ascii_case("SYNC_FLUSH");
        let config = MasterConfig {
            store: id,
            policy,
            in_sync: wide(settings.in_sync_replicas),
            in_sync_min: wide(settings.min_in_sync_replicas),
            ack_on: if sync_flush { AckOn::Synced } else { AckOn::Received },
            timeout: ms(settings.slave_timeout),
            lag_bytes_max: settings.ha_max_gap_not_in_sync,
            catch_up_within: ms(settings.ha_max_time_slave_not_catchup),
            idle: ms(settings.ha_housekeeping_interval),
        };
        Ok(Self {
            core: Mutex::new(Master::new(config, epochs)),
            held: Held::default(),
            store,
            clock,
            growth,
            links: Mutex::default(),
            next_conn: AtomicU64::new(1),
            sent: Meter::default(),
            waits: is_sync_master(settings),
            root,
            id,
            cluster: Arc::clone(&settings.broker_cluster_name),
            broker: Arc::clone(&settings.broker_name),
            allowed: Allowed::parse(&settings.ha_allowed_peers).unwrap_or_default(),
            java_chunk_bytes: wide(settings.ha_transfer_batch_size).min(ha::JAVA_BODY_BYTES_MAX),
            heartbeat_every: ms(settings.ha_send_heartbeat_interval),
            start_end: log.end,
        })
    }

    /// Listens for replicas until the tasks are stopped.
    pub fn start(
        self: &Arc<Self>,
        listener: TcpListener,
        tasks: &Tasks,
        versions: &Arc<dyn Versions>,
    ) {
        let (side, all, versions) = (Arc::clone(self), tasks.clone(), Arc::clone(versions));
        tasks.spawn("replicas", move |stop| async move {
            side.accept(&listener, &all, &versions, &stop).await;
            Ok(())
        });
        let side = Arc::clone(self);
        tasks.spawn("waits for replicas", move |stop| async move {
            let mut turn = 0_u32;
            loop {
                tokio::select! {
                    () = stop.cancelled() => break,
                    () = tokio::time::sleep(TICK) => {}
                }
                turn = turn.wrapping_add(1);
                if side.core.lock().next_deadline().is_some() || turn.is_multiple_of(25) {
                    side.step(MasterInput::Tick);
                }
                if turn.is_multiple_of(500) {
                    side.trim_epochs()?;
                }
            }
            Ok(())
        });
    }

    fn order(&self, conn: ConnId, order: Order) {
        let mut links = self.links.lock();
        let Some(link) = links.get(&conn) else { return };
        // It is told two things at most; more is nonsense of the replica's.
        if link.orders.try_send(order).is_err()
            && let Some(link) = links.remove(&conn)
        {
            link.stop.cancel();
        }
    }

    fn trim_epochs(&self) -> Result<(), FilesError> {
        let min = self.store.log_range().min;
        let trimmed = {
            let mut core = self.core.lock();
            core.trim(min).then(|| core.epochs().clone())
        };
        trimmed.map_or(Ok(()), |epochs| files::save_epochs(&self.root, &epochs))
    }

    fn step(&self, input: MasterInput) {
        let mut out = Vec::new();
        self.core.lock().step(self.clock.monotonic(), self.ends(), input, &mut out);
        let mut over: Vec<(WaitToken, Outcome)> = Vec::new();
        for output in out {
            match output {
                MasterOutput::Serve { conn, from } => self.order(conn, Order::Serve(from)),
                MasterOutput::Refuse { conn, refusal } => {
                    self.order(conn, Order::Refuse(refusal.to_string()));
                }
                MasterOutput::Close { conn, why } => {
                    if let Some(link) = self.links.lock().remove(&conn) {
                        tracing::warn!(addr = %link.addr, %why, "a replica's connection is closed");
                        link.stop.cancel();
                    }
                }
                MasterOutput::Done { token, outcome } => over.push((token, outcome)),
            }
        }
        if !over.is_empty() {
            self.held.release(self.now(), &over);
        }
    }

    fn ends(&self) -> LogEnds {
        ends(self.store.log_range())
    }

    pub(super) fn now(&self) -> Duration {
        self.clock.monotonic()
    }

    pub(super) fn held(&self) -> &Held {
        &self.held
    }

    pub(super) fn wait(&self, puts: Vec<(WaitToken, LogOffset)>) {
        self.step(MasterInput::Wait { puts });
    }

    /// Whether sends wait for copies.
    pub fn waits(&self) -> bool {
        self.waits
    }

    /// Whether a send that is to wait may be stored.
    ///
    /// # Errors
    /// [`NotEnough`] when too few replicas are in sync.
    pub fn admit(&self) -> Result<(), NotEnough> {
        if !self.waits {
            return Ok(());
        }
        self.core.lock().admit(self.clock.monotonic(), self.ends())
    }

    /// All replicas that are served.
    pub fn replicas(&self) -> Vec<ReplicaView> {
        let log = self.ends();
        let now = self.now();
        let peers = self.core.lock().peers(now, log);
        let links = self.links.lock();
        let view = |peer: PeerView| {
            let link = links.get(&peer.conn)?;
            Some(ReplicaView {
                addr: link.addr,
                broker_id: link.broker_id,
                peer,
                behind: behind(log.end, peer.received),
                rate: link.sent.rate(now),
            })
        };
        peers.into_iter().filter_map(view).collect()
    }

    /// Copies in sync, this one included.
    pub fn in_sync(&self) -> usize {
        self.core.lock().in_sync(self.clock.monotonic(), self.ends())
    }

    /// How long sends waited for copies, milliseconds.
    pub fn waited(&self) -> &Histogram {
        self.held.waited()
    }

    /// Bytes of the log that were sent to replicas.
    pub fn sent(&self) -> u64 {
        self.sent.total()
    }

    /// Sends that wait for copies.
    pub fn waiting(&self) -> usize {
        self.core.lock().waiting()
    }

    /// Up to here there are as many copies as sends want.
    pub fn confirmed(&self) -> LogOffset {
        self.core.lock().confirmed(self.clock.monotonic(), self.ends())
    }

    /// The present term.
    pub fn epoch(&self) -> u32 {
        self.core.lock().epochs().last_epoch().number()
    }

    /// End of the log when the broker started.
    pub fn start_end(&self) -> LogOffset {
        self.start_end
    }
}
