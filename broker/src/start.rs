//! From a checked configuration to a running broker, and back.

use crate::config::Config;
use crate::identity;
use crate::presence::{Presence, Serving, StopMode};
use crate::registration::{Announcement, Identity, Registrar, Tables, Timing};
use crate::reload::Follower;
use crate::remoting::{Front, Jobs, Peers, World};
use crate::replication::{self, FilesError, Growth, Side, StartSideError};
use crate::service::live::retention;
use crate::service::tables::LoadError;
use crate::service::waiting::Waiting;
use crate::service::{Broker, StoredTables};
use rmq_host::{SystemClock, Tasks};
use rmq_model::{Clock, Permission};
use rmq_net::{BindError, Limits, Server, ServerConfig};
use rmq_store::{
    CloseError, FlushMode, IndexConfig, Observers, OpenError, RawLog, Store, StoreConfig,
};
use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// Why a broker does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The store cannot be opened: another broker has it, or its files are damaged.
    #[error("cannot open the store")]
    Store(#[from] OpenError),
    /// A table under `config/` cannot be read.
    #[error(transparent)]
    Tables(#[from] LoadError),
    /// A directory cannot be made or written.
    #[error("cannot write {path}")]
    Path {
        /// Directory.
        path: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The files beside the log that replication needs cannot be used.
    #[error("replication cannot start")]
    Replication(#[from] FilesError),
    /// A port cannot be had.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The store is not that of this pod.
    #[error(transparent)]
    Identity(#[from] identity::NotOurs),
    /// The port of probes and metrics, or that of the control API, cannot be had.
    #[error(transparent)]
    Http(io::Error),
    /// A thread of the start died.
    #[error("the start was interrupted: {0}")]
    Interrupted(String),
}

/// Why a stop was not clean. The next start recovers the store.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StopError {
    /// The store could not be closed.
    #[error("the store was not closed cleanly")]
    Store(#[from] CloseError),
    /// A table could not be written.
    #[error("a table was not written")]
    Tables(#[source] io::Error),
    /// A thread of the stop died.
    #[error("the stop was interrupted: {0}")]
    Interrupted(String),
}

/// A broker that serves requests. Stop it with [`Running::shutdown`]; dropping it is like a kill.
#[derive(Debug)]
pub struct Running {
    broker: Arc<Broker>,
    tasks: Tasks,
    presence: Arc<Presence>,
    metrics: Option<SocketAddr>,
    control: Option<SocketAddr>,
    served: Served,
}

/// The store that a broker with this configuration runs on.
pub fn store_config(config: &Config) -> StoreConfig {
    let settings = &config.settings;
    let ms = |value: u64| Duration::from_millis(value);
    let mut store = StoreConfig::new(config.root());
    store.commit_log = PathBuf::from(&*settings.store_path_commit_log);
    store.segment_bytes = settings.mapped_file_size_commit_log;
    store.consume_queue_file_bytes = settings.mapped_file_size_consume_queue;
    store.flush = if settings.flush_disk_type.eq_ignore_ascii_case("SYNC_FLUSH") {
        FlushMode::Sync { timeout: ms(settings.sync_flush_timeout) }
    } else {
        match FlushMode::ASYNC {
            FlushMode::Async { least_bytes, thorough, .. } => {
                let interval = ms(settings.flush_interval_commit_log);
                FlushMode::Async { interval, least_bytes, thorough }
            }
            other @ FlushMode::Sync { .. } => other,
        }
    };
    store.body_bytes_max = usize::try_from(settings.max_message_size).unwrap_or(usize::MAX);
    store.property_crc = settings.enabled_append_prop_crc;
    store.index = settings.message_index_enable.then_some(IndexConfig {
        slots: settings.max_hash_slot_num,
        entries: settings.max_index_num,
    });
    store.delay_levels = config.delay_levels_ms.clone();
    store.retention = retention(settings);
    // The default is 40 % of the memory.
    let ratio = u64::from(settings.access_message_in_memory_max_ratio);
    store.memory_bytes = (store.memory_bytes / 40).saturating_mul(ratio);
    store
}

fn server_config(config: &Config) -> ServerConfig {
    let settings = &config.settings;
    let wide = |value: u64| usize::try_from(value).unwrap_or(usize::MAX);
    let mut fast = config.listen;
    fast.set_port(config.listen.port().saturating_sub(2));
    ServerConfig {
        connections_max: wide(settings.connections_max.into()),
        in_flight_bytes_total_max: wide(settings.in_flight_bytes_total_max),
        limits: Limits {
            in_flight_max: wide(settings.in_flight_max.into()),
            in_flight_bytes_max: wide(settings.in_flight_bytes_max),
            outbox_bytes_max: wide(settings.outbox_bytes_max),
            idle: Duration::from_secs(settings.idle_seconds),
            ..Limits::default()
        },
        ..ServerConfig::new(vec![config.listen, fast])
    }
}

/// Warns of settings that name paths the store derives itself when they ask for others: the Java
/// broker does not know these keys, so a file that has them means the derived paths.
fn check_paths(config: &Config) {
    let settings = &config.settings;
    for (key, value, name) in [
        ("storePathConsumeQueue", &settings.store_path_consume_queue, "consumequeue"),
        ("storePathIndex", &settings.store_path_index, "index"),
        ("storeCheckpoint", &settings.store_checkpoint, "checkpoint"),
        ("abortFile", &settings.abort_file, "abort"),
    ] {
        let derived = config.root().join(name);
        if derived != Path::new(&**value) {
            let used = derived.display();
            tracing::warn!(key, %value, %used, "this path follows from storePathRootDir");
        }
    }
}

/// Opens the store and the ports and serves requests. Does not wait for name servers.
///
/// Probes and the control API are served first: opening the store may take long.
///
/// # Errors
/// [`StartError`] says what is in the way; nothing is left running then.
pub async fn start(config: Config) -> Result<Running, StartError> {
    check_paths(&config);
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let presence = Arc::new(Presence::new(config, clock));
    let tasks = Tasks::new("broker");
    let started = start_all(&presence, &tasks).await;
    if started.is_err() {
        tasks.shutdown(Duration::from_secs(1)).await;
    }
    started
}

async fn start_all(presence: &Arc<Presence>, tasks: &Tasks) -> Result<Running, StartError> {
    let config = presence.config.clone();
    let metrics = crate::metrics::serve(presence, tasks).await.map_err(StartError::Http)?;
    let control = match &config.control {
        Some(control) => {
            let bound = crate::control::serve(control, presence, tasks).await;
            Some(bound.map_err(StartError::Http)?)
        }
        None => None,
    };
    let parked_max = usize::try_from(config.settings.parked_pulls_max).unwrap_or(usize::MAX);
    let waiting = Arc::new(Waiting::new(parked_max));
    let growth = Arc::new(Growth::new(Arc::<Waiting>::clone(&waiting)));
    let observers = Observers {
        arrivals: Arc::<Growth>::clone(&growth),
        recovery: Arc::clone(&presence.recovery),
    };
    let opened = {
        let (config, clock) = (config.clone(), Arc::clone(&presence.clock));
        blocking(move || open(&config, clock, observers)).await.map_err(StartError::Interrupted)?
    };
    let Opened { store, raw, stored, store_id } = opened?;
    if let Some(id) = store_id {
        presence.set_store_id(id);
    }
    let clock = Arc::clone(&presence.clock);
    let broker = Arc::new(Broker::new(config, clock, store, waiting, stored));
    let served = match replication::prepare(&broker, &growth) {
        Ok(()) => serve(&broker, raw, tasks, presence).await,
        Err(error) => Err(error.into()),
    };
    match served {
        Ok(served) => Ok(Running {
            broker,
            tasks: tasks.clone(),
            presence: Arc::clone(presence),
            metrics,
            control,
            served,
        }),
        Err(error) => {
            tasks.shutdown(Duration::from_secs(1)).await;
            let store = broker.store.clone();
            // The start failed for another reason, which is the one to be told.
            drop(blocking(move || store.close()).await);
            Err(error)
        }
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, String> {
    tokio::task::spawn_blocking(work).await.map_err(|error| error.to_string())
}

/// A store that is open, with the tables beside it.
struct Opened {
    store: Store,
    /// Of a replica.
    raw: Option<RawLog>,
    stored: StoredTables,
    /// In a pod.
    store_id: Option<String>,
}

fn open(
    config: &Config,
    clock: Arc<dyn Clock>,
    observers: Observers,
) -> Result<Opened, StartError> {
    let root = config.root();
    // Before anything is touched: the volume may be that of another broker.
    let known = match &config.pod {
        Some(mounts) => identity::check(&root, &mounts.pod)?,
        None => None,
    };
    let (store, raw) = replication::open_store(config, store_config(config), clock, observers)?;
    let folder = root.join("config");
    if let Err(source) = rmq_store::durable::create_dirs(&folder) {
        return Err(StartError::Path { path: folder.display().to_string(), source });
    }
    let stored = StoredTables::load(config)?;
    let store_id = match &config.pod {
        Some(mounts) => Some(identity::settle(&root, &mounts.pod, known)?),
        None => None,
    };
    Ok(Opened { store, raw, stored, store_id })
}

/// What runs once the broker serves.
#[derive(Debug)]
struct Served {
    server: Server,
    registrar: Arc<Registrar>,
    addr: SocketAddr,
    fast_addr: SocketAddr,
}

async fn serve(
    broker: &Arc<Broker>,
    raw: Option<RawLog>,
    tasks: &Tasks,
    presence: &Arc<Presence>,
) -> Result<Served, StartError> {
    let config = &broker.config;
    let peers = Arc::new(Peers::default());
    let jobs = Jobs::new(tasks.clone());
    let clock = Arc::clone(&presence.clock);
    let registrar = Arc::new(Registrar::new(config.name_servers.clone(), clock));
    let saver = Arc::new(Notify::new());
    let world = Arc::new(World {
        peers: Arc::clone(&peers),
        registrar: Arc::clone(&registrar),
        jobs: jobs.clone(),
        saver: Arc::clone(&saver),
    });
    if config.listen.port() != 0 {
        broker.connect(store_host(config, config.listen.port()), Arc::<World>::clone(&world));
    }
    let front = Front::new(Arc::clone(broker), peers, tasks.clone(), jobs, Arc::clone(&registrar));
    let server = Server::bind(server_config(config), Arc::new(front.clone()))?;
    let local = |at: usize| server.local_addrs().get(at).copied().unwrap_or(config.listen);
    let (addr, fast_addr) = (local(0), local(1));
    broker.connect(store_host(config, addr.port()), world);
    front.set_fast_port(fast_addr.port());

    crate::metrics::describe(broker, &front);
    crate::upkeep::start(broker, tasks, presence, saver);
    let advertised = advertised(config, addr.port());
    let ha_port =
        replication::start(broker, raw, tasks, addr.port()).await.map_err(|error| match error {
            StartSideError::Files(error) => StartError::Replication(error),
            StartSideError::Bind(error) => StartError::Bind(error),
        })?;
    register(broker, &registrar, tasks, ha_port, &advertised);
    let follower = match &config.pod {
        Some(mounts) => {
            let (mounts, broker) = (Arc::clone(mounts), Arc::clone(broker));
            let registrar = Arc::clone(&registrar);
            let made = blocking(move || Arc::new(Follower::new(mounts, broker, registrar))).await;
            let follower = made.map_err(StartError::Interrupted)?;
            let follows = Arc::clone(&follower);
            tasks.spawn("mounted files", |stop| follows.run(stop));
            Some(follower)
        }
        None => None,
    };
    tracing::info!(
        name = &*config.settings.broker_name,
        cluster = &*config.settings.broker_cluster_name,
        %addr,
        advertised = &*advertised,
        "broker accepts requests"
    );
    presence.set_serving(Serving {
        broker: Arc::clone(broker),
        registrar: Arc::clone(&registrar),
        advertised,
        follower,
    });
    Ok(Served { server, registrar, addr, fast_addr })
}

/// Port that clients are told.
fn advertised_port(config: &Config, listen: u16) -> u16 {
    match config.settings.advertised_port {
        0 => listen,
        port => port,
    }
}

/// `host:port` that clients are told; IPv6 addresses stand without brackets, as everywhere in the
/// protocol.
fn advertised(config: &Config, listen: u16) -> Arc<str> {
    format!("{}:{}", config.advertised, advertised_port(config, listen)).into()
}

/// Address in stored messages: the advertised one, where that is an address.
fn store_host(config: &Config, listen: u16) -> SocketAddr {
    let is_advertised = config.advertised.parse() == Ok(config.store_ip);
    let port = if is_advertised { advertised_port(config, listen) } else { listen };
    SocketAddr::new(config.store_ip, port)
}

fn register(
    broker: &Arc<Broker>,
    registrar: &Arc<Registrar>,
    tasks: &Tasks,
    ha_port: u16,
    advertised: &Arc<str>,
) {
    let settings = &broker.config.settings;
    let identity = Identity {
        cluster: Arc::clone(&settings.broker_cluster_name),
        broker: Arc::clone(&settings.broker_name),
        broker_id: settings.broker_id,
        address: Arc::clone(advertised),
        ha_address: format!("{}:{ha_port}", settings.broker_ip2).into(),
        acting_master: settings.enable_slave_acting_master,
    };
    let timing = Timing {
        period: Duration::from_millis(settings.register_name_server_period.clamp(10_000, 60_000)),
        timeout: Duration::from_millis(settings.register_broker_timeout_mills),
    };
    let tables: Weak<dyn Tables> = Arc::<Broker>::downgrade(broker);
    registrar.start(tasks, identity, tables, timing);
}

impl Tables for Broker {
    fn announcement(&self, only: Option<&BTreeSet<Arc<str>>>) -> Announcement {
        let topics = self.topics.all();
        let wanted = |name: &Arc<str>| only.is_none_or(|only| only.contains(name));
        Announcement {
            version: topics.version(),
            topics: topics.iter().filter(|topic| wanted(&topic.topic_name)).cloned().collect(),
            permission: Permission(self.settings().broker_permission),
        }
    }

    fn ordered(&self, topics: Vec<String>) {
        self.mark_ordered(&topics);
    }

    fn master(&self, address: Option<&str>, ha_address: Option<&str>) {
        if let Some(Side::Slave(side)) = self.side() {
            side.learned(address, ha_address);
        }
    }

    fn force(&self) -> bool {
        self.settings().force_register
    }

    fn portion(&self) -> Option<usize> {
        let settings = self.settings();
        let size = usize::try_from(settings.split_registration_size).ok();
        size.filter(|_| settings.enable_split_registration)
    }
}

impl Running {
    /// Where it serves everything.
    pub fn addr(&self) -> SocketAddr {
        self.served.addr
    }

    /// Where it serves everything but pulls.
    pub fn fast_addr(&self) -> SocketAddr {
        self.served.fast_addr
    }

    /// Where it serves metrics and health, if it does.
    pub fn metrics_addr(&self) -> Option<SocketAddr> {
        self.metrics
    }

    /// Where it serves the control API, if it does.
    pub fn control_addr(&self) -> Option<SocketAddr> {
        self.control
    }

    /// What it serves.
    pub fn broker(&self) -> &Arc<Broker> {
        &self.broker
    }

    /// Waits until a task has failed; then the broker should be stopped.
    pub async fn failed(&self) {
        self.tasks.stopped().await;
    }

    /// Why it failed, if it did.
    pub fn failure(&self) -> Option<String> {
        self.tasks.failure()
    }

    /// Waits until the control API asks it to stop.
    pub async fn asked_to_stop(&self) -> StopMode {
        self.presence.asked_to_stop().await
    }

    /// Sends clients elsewhere and goes on serving them for as long as the configuration says, or
    /// until `hurry`. Says whether it was hurried.
    ///
    /// A broker with replicas is read-only for that time, so that name servers go on sending
    /// consumers to it; one without is taken out of the name servers at once.
    pub async fn drain(&self, hurry: &CancellationToken) -> bool {
        let config = &self.broker.config;
        if config.drain.is_zero() {
            return false;
        }
        self.broker.begin_drain();
        let replicas = config.pod.as_ref().map_or(1, |mounts| mounts.pod.template.replicas);
        if 1 < replicas {
            let readable = Permission(self.broker.permission().perm).without_write().0;
            self.broker.set_permission(readable, "the broker is about to stop");
        } else {
            self.served.registrar.unregister().await;
        }
        tracing::info!(seconds = config.drain.as_secs(), "sends are refused, reads are served");
        tokio::select! {
            () = hurry.cancelled() => true,
            () = tokio::time::sleep(config.drain) => false,
        }
    }

    /// Stops in order: not ready, unregistered, no new requests, those under way finished, tables
    /// and log flushed, store closed. Requests get up to `grace` to finish.
    ///
    /// # Errors
    /// [`StopError`] when something could not be written.
    pub async fn shutdown(self, grace: Duration) -> Result<(), StopError> {
        let Self { served: Served { server, registrar, .. }, broker, tasks, .. } = &self;
        registrar.unregister().await;
        broker.begin_stop();
        let parked = broker.waiting.drain();
        broker.repeat(parked);
        if !server.shutdown(grace).await {
            tracing::warn!("requests were cut off");
        }
        if !tasks.shutdown(grace).await {
            tracing::warn!("tasks were cut off");
        }
        let broker = Arc::clone(broker);
        let closed = blocking(move || -> Result<(), StopError> {
            let saved = broker.save_tables();
            broker.store.clone().close()?;
            saved.map_err(StopError::Tables)
        });
        closed.await.map_err(StopError::Interrupted)??;
        tracing::info!("broker stopped");
        Ok(())
    }
}
