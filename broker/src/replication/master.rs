//! The side that is copied: a port for replicas, a task per direction of each connection.

use super::files;
use super::peers::Allowed;
use super::waits::Held;
use super::{FilesError, Growth, behind, ends, is_sync_master};
use crate::config::Settings;
use bytes::{BufMut as _, Bytes, BytesMut};
use parking_lot::Mutex;
use rmq_host::Tasks;
use rmq_model::{Clock, LogOffset};
use rmq_remoting::ha::{
    self, DataFrame, FromMaster, FromSlave, HelloFrame, StateFrame, WelcomeFrame, WireEpoch,
};
use rmq_replica::{
    AckOn, Chunk, ConnId, Entry, Epoch, Epochs, Hello, LogEnds, Master, MasterConfig, MasterInput,
    MasterOutput, Next, NotEnough, Outcome, PeerView, Policy, Sender, StoreId, WaitToken,
};
use rmq_store::Store;
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Bytes of the log per frame to a replica of ours.
const CHUNK_BYTES: usize = 256 * 1024;
/// Time between signs of life to a replica of ours.
const STATE_EVERY: Duration = Duration::from_secs(1);
/// How exactly the end of a wait is kept.
const TICK: Duration = Duration::from_millis(20);
/// A part of the log so near its end is in memory: it is read where it is needed.
const NEAR_BYTES: u64 = 32 * 1024 * 1024;
/// Time that a refusal gets to reach the replica.
const REFUSE_TIMEOUT: Duration = Duration::from_secs(2);

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

    async fn accept(
        self: &Arc<Self>,
        listener: &TcpListener,
        tasks: &Tasks,
        versions: &Arc<dyn Versions>,
        stop: &CancellationToken,
    ) {
        loop {
            let accepted = tokio::select! {
                () = stop.cancelled() => return,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, addr)) if self.allowed.contains(addr.ip()) => {
                    self.open(stream, addr, tasks, versions, stop);
                }
                Ok((_, addr)) => {
                    tracing::warn!(%addr, "a replica that haAllowedPeers does not name was refused");
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept replicas");
                    tokio::select! {
                        () = stop.cancelled() => return,
                        () = tokio::time::sleep(STATE_EVERY) => {}
                    }
                }
            }
        }
    }

    fn open(
        self: &Arc<Self>,
        stream: TcpStream,
        addr: SocketAddr,
        tasks: &Tasks,
        versions: &Arc<dyn Versions>,
        stop: &CancellationToken,
    ) {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%addr, %error, "a replica's connection is gone");
            return;
        }
        let conn = ConnId(self.next_conn.fetch_add(1, Ordering::Relaxed));
        let (orders, inbox) = mpsc::channel(4);
        let stop = stop.child_token();
        let link = Link { orders, stop: stop.clone(), addr, native: false, broker_id: None };
        self.links.lock().insert(conn, link);
        let (read, write) = stream.into_split();
        let (reader, writer) = (Arc::clone(self), Arc::clone(self));
        let versions = Arc::clone(versions);
        let stopped = stop.clone();
        tasks.spawn("from replica", move |_| async move {
            tokio::select! {
                () = stopped.cancelled() => {}
                why = reader.read(conn, read) => {
                    if let Some(why) = why {
                        tracing::warn!(%addr, why, "a replica's connection is closed");
                    }
                }
            }
            reader.gone(conn);
            Ok(())
        });
        tasks.spawn("to replica", move |_| async move {
            tokio::select! {
                () = stop.cancelled() => {}
                why = writer.write(conn, addr, write, inbox, &*versions) => {
                    tracing::debug!(%addr, why, "nothing more is sent to a replica");
                }
            }
            writer.gone(conn);
            Ok(())
        });
        let host: IpAddr = addr.ip();
        self.step(MasterInput::Opened { conn, host });
    }

    fn gone(&self, conn: ConnId) {
        if let Some(link) = self.links.lock().remove(&conn) {
            link.stop.cancel();
        }
        self.step(MasterInput::Closed { conn });
    }

    /// Reads what a replica says, until it ends or says nonsense.
    async fn read(&self, conn: ConnId, mut read: OwnedReadHalf) -> Option<String> {
        let mut buf = BytesMut::with_capacity(4096);
        let mut native = None;
        loop {
            match read.read_buf(&mut buf).await {
                Ok(0) | Err(_) => return None,
                Ok(_) => {}
            }
            if native.is_none() {
                let Some(first) = buf.first_chunk::<8>() else { continue };
                let ours = *first == ha::MAGIC;
                if ours {
                    drop(buf.split_to(ha::MAGIC.len()));
                    if let Some(link) = self.links.lock().get_mut(&conn) {
                        link.native = true;
                    }
                }
                native = Some(ours);
            }
            let heard = if native == Some(true) {
                self.heard_native(conn, &mut buf)
            } else {
                ha::take_java_report(&mut buf)
                    .map(|report| {
                        if let Some(end) = report {
                            self.step(MasterInput::JavaReport { conn, end });
                        }
                    })
                    .map_err(|error| error.to_string())
            };
            if let Err(why) = heard {
                return Some(why);
            }
        }
    }

    fn heard_native(&self, conn: ConnId, buf: &mut BytesMut) -> Result<(), String> {
        while let Some(frame) = FromSlave::take(buf).map_err(|error| error.to_string())? {
            match frame {
                FromSlave::Hello(frame) => match self.check(&frame) {
                    Ok(hello) => {
                        if let Some(link) = self.links.lock().get_mut(&conn) {
                            link.broker_id = Some(frame.broker_id);
                        }
                        self.step(MasterInput::Hello { conn, hello });
                    }
                    Err(why) => self.order(conn, Order::Refuse(why)),
                },
                FromSlave::Report { received, synced } => {
                    self.step(MasterInput::Report { conn, received, synced });
                }
            }
        }
        Ok(())
    }

    fn check(&self, hello: &HelloFrame) -> Result<Hello, String> {
        if (&*self.cluster, &*self.broker) != (&*hello.cluster, &*hello.broker) {
            return Err(format!(
                "this is broker {} of cluster {}, not {} of {}",
                self.broker, self.cluster, hello.broker, hello.cluster
            ));
        }
        let entry = |known: &WireEpoch| {
            let epoch = Epoch::new(known.epoch).ok_or("an epoch has an impossible number")?;
            Ok(Entry { epoch, start: known.start })
        };
        let entries: Result<Vec<Entry>, &str> = hello.epochs.iter().map(entry).collect();
        let epochs = Epochs::of(entries?).map_err(|error| error.to_string())?;
        let (min, end) = (hello.min, hello.end);
        Ok(Hello { store: StoreId(hello.store), epochs, min, end })
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

    /// Sends what the core orders, until the connection ends.
    async fn write(
        &self,
        conn: ConnId,
        addr: SocketAddr,
        mut write: OwnedWriteHalf,
        mut orders: mpsc::Receiver<Order>,
        versions: &dyn Versions,
    ) -> String {
        let from = match orders.recv().await {
            Some(Order::Serve(from)) => from,
            Some(Order::Refuse(why)) => return self.refuse(conn, addr, write, why).await,
            None => return "closed".into(),
        };
        let native = self.links.lock().get(&conn).is_some_and(|link| link.native);
        tracing::info!(%addr, %from, java = !native, "a replica copies the log");
        let sent = if native {
            self.write_native(&mut write, from, versions).await
        } else {
            self.write_java(&mut write, from).await
        };
        match sent {
            Ok(why) => {
                tracing::warn!(%addr, why, "a replica is left behind");
                why.into()
            }
            Err(error) => error.to_string(),
        }
    }

    async fn refuse(
        &self,
        conn: ConnId,
        addr: SocketAddr,
        mut write: OwnedWriteHalf,
        why: String,
    ) -> String {
        tracing::warn!(%addr, why, "a replica is refused");
        let native = self.links.lock().get(&conn).is_some_and(|link| link.native);
        if native {
            let mut frame = BytesMut::new();
            FromMaster::Refused(why.clone()).encode(&mut frame);
            // It finds out by the end of the connection, too.
            tokio::time::timeout(REFUSE_TIMEOUT, write.write_all(&frame)).await.ok();
        }
        why
    }

    /// What replicas may have of the log.
    fn sendable(&self) -> LogEnds {
        let log = ends(self.store.log_range());
        // With synchronous flushes nothing is sent that this disk might still lose.
        if self.store.config().flush.is_sync() { LogEnds { end: log.synced, ..log } } else { log }
    }

    /// What to send next, with the bytes; waits for the log to grow as long as it may.
    async fn next(&self, sender: &Sender) -> std::io::Result<Sent> {
        loop {
            // Before the look at the log, so that nothing is missed in between.
            let grown = self.growth.wait();
            tokio::pin!(grown);
            grown.as_mut().enable();
            let now = self.clock.monotonic();
            let log = self.sendable();
            let (next, confirmed) = {
                let core = self.core.lock();
                (sender.next(now, log, core.epochs()), core.confirmed(now, log))
            };
            match next {
                Next::Data(chunk) => {
                    let bytes = self.bytes(chunk, log).await?;
                    if bytes.is_empty() {
                        return Ok(Sent::Gone);
                    }
                    return Ok(Sent::Data { chunk, bytes, confirmed });
                }
                Next::Heartbeat(next) => return Ok(Sent::Beat { next, confirmed, end: log.end }),
                Next::Gone => return Ok(Sent::Gone),
                Next::Wait(time) => {
                    tokio::select! {
                        () = &mut grown => {}
                        () = tokio::time::sleep(time) => {}
                    }
                }
            }
        }
    }

    async fn bytes(&self, chunk: Chunk, log: LogEnds) -> std::io::Result<Bytes> {
        let Chunk { offset, bytes, .. } = chunk;
        if behind(log.end, offset) <= NEAR_BYTES {
            return self.store.raw_log(offset, bytes);
        }
        let store = self.store.clone();
        let read = tokio::task::spawn_blocking(move || store.raw_log(offset, bytes)).await;
        read.map_err(std::io::Error::other)?
    }

    async fn write_native(
        &self,
        write: &mut OwnedWriteHalf,
        from: LogOffset,
        versions: &dyn Versions,
    ) -> std::io::Result<&'static str> {
        let tail = {
            let store = self.store.clone();
            let read = tokio::task::spawn_blocking(move || store.tail_check(from)).await;
            read.map_err(std::io::Error::other)??
        };
        let welcome = WelcomeFrame {
            store: self.id.0,
            epoch: self.core.lock().epochs().last_epoch().number(),
            from,
            tail_bytes: tail.map_or(0, |tail| tail.bytes),
            tail_crc: tail.map_or(0, |tail| tail.crc),
        };
        let mut out = BytesMut::new();
        FromMaster::Welcome(welcome).encode(&mut out);
        write.write_all(&out).await?;
        let now = self.clock.monotonic();
        let mut sender = Sender::new(now, from, STATE_EVERY, CHUNK_BYTES);
        let mut state_at = Duration::ZERO;
        loop {
            let sent = self.next(&sender).await?;
            let now = self.clock.monotonic();
            out.clear();
            let state = |next, confirmed, end| {
                let [topics, groups, offsets, delays] = versions.versions();
                let state = StateFrame { next, confirmed, end, topics, groups, offsets, delays };
                FromMaster::State(state)
            };
            match sent {
                Sent::Data { chunk, bytes, confirmed } => {
                    let len = bytes.len();
                    let term =
                        chunk.term.map_or(WireEpoch { epoch: 0, start: LogOffset::ZERO }, |term| {
                            WireEpoch { epoch: term.epoch.number(), start: term.start }
                        });
                    let data = DataFrame { offset: chunk.offset, term, confirmed, bytes };
                    FromMaster::Data(data).encode(&mut out);
                    sender.sent(now, len);
                    // A busy log leaves no silence in which tables could be spoken of.
                    if STATE_EVERY <= now.saturating_sub(state_at) {
                        state_at = now;
                        let end = self.store.log_range().end;
                        state(sender.position(), confirmed, end).encode(&mut out);
                    }
                }
                Sent::Beat { next, confirmed, end } => {
                    state_at = now;
                    state(next, confirmed, end).encode(&mut out);
                    sender.sent(now, 0);
                }
                Sent::Gone => return Ok("what it needs next was deleted here"),
            }
            write.write_all(&out).await?;
        }
    }

    async fn write_java(
        &self,
        write: &mut OwnedWriteHalf,
        from: LogOffset,
    ) -> std::io::Result<&'static str> {
        let now = self.clock.monotonic();
        let mut sender = Sender::new(now, from, self.heartbeat_every, self.java_chunk_bytes);
        let mut out = BytesMut::new();
        loop {
            out.clear();
            let sent = self.next(&sender).await?;
            match sent {
                Sent::Data { chunk, bytes, .. } => {
                    ha::encode_java_header(chunk.offset, bytes.len(), &mut out);
                    out.put_slice(&bytes);
                    sender.sent(self.clock.monotonic(), bytes.len());
                }
                Sent::Beat { next, .. } => {
                    ha::encode_java_header(next, 0, &mut out);
                    sender.sent(self.clock.monotonic(), 0);
                }
                Sent::Gone => return Ok("what it needs next was deleted here"),
            }
            write.write_all(&out).await?;
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
            self.held.release(&over);
        }
    }

    fn ends(&self) -> LogEnds {
        ends(self.store.log_range())
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
        let peers = self.core.lock().peers(self.clock.monotonic(), log);
        let links = self.links.lock();
        let view = |peer: PeerView| {
            let Link { addr, broker_id, .. } = *links.get(&peer.conn)?;
            Some(ReplicaView { addr, broker_id, peer, behind: behind(log.end, peer.received) })
        };
        peers.into_iter().filter_map(view).collect()
    }

    /// Copies in sync, this one included.
    pub fn in_sync(&self) -> usize {
        self.core.lock().in_sync(self.clock.monotonic(), self.ends())
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

enum Sent {
    Data { chunk: Chunk, bytes: Bytes, confirmed: LogOffset },
    Beat { next: LogOffset, confirmed: LogOffset, end: LogOffset },
    Gone,
}
