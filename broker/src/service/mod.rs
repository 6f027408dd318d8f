//! What the broker does, in the words of `rmq-model`; no protocol and no socket.

pub mod admin;
pub mod clients;
pub mod delay;
pub mod drain;
pub mod groups;
pub mod inspect;
pub mod live;
pub mod offsets;
pub mod pull;
pub mod reply;
pub mod reset;
pub mod send;
pub mod send_back;
pub mod tables;
pub mod topics;
pub mod traffic;
pub mod waiting;

use crate::config::{Config, KEYS, Settings};
use crate::persist::TableFile;
use crate::replication::{self, Side, Versions};
use arc_swap::{ArcSwap, Guard};
use groups::GroupTable;
use parking_lot::{Mutex, RwLock};
use rmq_delivery::clients::Notice;
use rmq_delivery::delay::{Levels, Scheduler};
use rmq_delivery::filter::Matcher;
use rmq_delivery::pull::ReadRole;
use rmq_delivery::{Clients, ConnId, Groups, Locks, Offsets, Topics};
use rmq_model::peer::{Language, ProtocolVersion};
use rmq_model::{Clock, DataVersion, LogOffset, Millis};
use rmq_record::UniqueIds;
use rmq_store::Store;
use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tables::{LoadError, RequestModes, StoredDelays, StoredGroups, StoredOffsets, StoredTopics};
use tokio_util::sync::CancellationToken;
use topics::TopicTable;
use traffic::Traffic;
use waiting::Waiting;

/// So long a replica waits for its master to come back before it serves in its place.
const MASTER_AWAY: Duration = Duration::from_secs(2);
/// How often replicas fetch consumer offsets.
const OFFSETS_EVERY_MS: u64 = 2_000;

/// Work that may block. Called with false when too much of it waits already.
pub type Job = Box<dyn FnOnce(bool) + Send>;

/// What the service asks of the world around it.
pub trait Outside: Send + Sync + 'static {
    /// These topics were made or changed: name servers want to know.
    fn topics_changed(&self, topics: &[Arc<str>]);
    /// All topics look different to name servers.
    fn all_topics_changed(&self);
    /// The members of a consumer group want to know that it changed.
    fn group_changed(&self, notice: &Notice);
    /// The client behind this connection is gone.
    fn close(&self, conn: ConnId);
    /// Runs work on a thread that may block.
    fn run_blocking(&self, job: Job);
}

/// Who sends a request.
#[derive(Clone, Copy, Debug)]
pub struct Peer {
    /// Its connection.
    pub conn: ConnId,
    /// Its address.
    pub addr: SocketAddr,
    /// Language of its program.
    pub language: Language,
    /// Release of its program.
    pub version: ProtocolVersion,
}

/// How far a broker is on its way out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Phase {
    /// It serves everything.
    Serving = 0,
    /// It sends producers elsewhere.
    Draining = 1,
    /// It finishes what is under way.
    Stopping = 2,
}

/// Since when the broker permits what it permits, and why.
#[derive(Clone, Debug)]
struct PermissionState {
    reason: String,
    since: Duration,
    /// It is not the configured one: it lasts until the next start.
    overridden: bool,
}

/// A broker without its sockets.
pub struct Broker {
    /// As it was started.
    pub config: Config,
    settings: ArcSwap<Settings>,
    settings_version: Mutex<DataVersion>,
    /// Held by whoever reads the settings in order to change them.
    changing: Mutex<()>,
    permission: Mutex<PermissionState>,
    phase: AtomicU8,
    /// Cancelled when nothing is waited for any more.
    stopping: CancellationToken,
    drained: Mutex<Option<drain::Empty>>,
    pub(crate) clock: Arc<dyn Clock>,
    /// The messages.
    pub store: Store,
    /// The topics.
    pub topics: TopicTable,
    /// The consumer groups.
    pub groups: GroupTable,
    pub(crate) offsets: Mutex<Offsets>,
    offsets_file: TableFile,
    pub(crate) clients: RwLock<Clients>,
    pub(crate) locks: Mutex<Locks>,
    pub(crate) waiting: Arc<Waiting>,
    pub(crate) levels: Levels,
    pub(crate) scheduler: Mutex<Scheduler>,
    delays_file: TableFile,
    pub(crate) modes: Mutex<RequestModes>,
    modes_file: TableFile,
    /// What went in and out.
    pub traffic: Traffic,
    pub(crate) match_all: Arc<Matcher>,
    ids: UniqueIds,
    turn: AtomicU32,
    /// Address that clients reach this broker at, once the port is known.
    store_host: OnceLock<SocketAddr>,
    outside: OnceLock<Arc<dyn Outside>>,
    side: OnceLock<Side>,
    started: Millis,
}

impl fmt::Debug for Broker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Broker")
            .field("name", &self.config.settings.broker_name)
            .finish_non_exhaustive()
    }
}

/// The tables of `config/`, as read.
#[derive(Debug, Default)]
pub struct StoredTables {
    topics: StoredTopics,
    groups: StoredGroups,
    offsets: StoredOffsets,
    delays: StoredDelays,
    modes: RequestModes,
}

impl StoredTables {
    /// Reads all of them; missing ones are empty.
    ///
    /// # Errors
    /// [`LoadError`] of the first that is there and cannot be read.
    pub fn load(config: &Config) -> Result<Self, LoadError> {
        use tables::{load, read_groups, read_plain, read_topics};
        Ok(Self {
            topics: load(&config.table_path("topics.json"), read_topics)?.unwrap_or_default(),
            groups: load(&config.table_path("subscriptionGroup.json"), read_groups)?
                .unwrap_or_default(),
            offsets: load(&config.table_path("consumerOffset.json"), read_plain)?
                .unwrap_or_default(),
            delays: load(&config.table_path("delayOffset.json"), read_plain)?.unwrap_or_default(),
            modes: load(&config.table_path("messageRequestMode.json"), read_plain)?
                .unwrap_or_default(),
        })
    }
}

impl Broker {
    /// Puts the parts together. `waiting` must be who `store` tells of arrivals.
    pub fn new(
        config: Config,
        clock: Arc<dyn Clock>,
        store: Store,
        waiting: Arc<Waiting>,
        stored: StoredTables,
    ) -> Self {
        let settings = &config.settings;
        let levels = Levels::parse(&settings.message_delay_level).unwrap_or_default();
        let built_in = admin::built_in(settings, &levels);
        let topics = Topics::new(built_in, stored.topics.topics, stored.topics.version);
        let StoredGroups { groups, forbidden, version } = stored.groups;
        let groups =
            Groups::new(settings.auto_create_subscription_group, groups, forbidden, version);
        let (offsets, skipped) =
            Offsets::from_table(&stored.offsets.offset_table, stored.offsets.data_version);
        if 0 < skipped {
            tracing::warn!(skipped, "left out consumer offsets that cannot be");
        }
        let progress: BTreeMap<i32, i64> = stored
            .delays
            .offset_table
            .iter()
            .filter_map(|(level, offset)| Some((i32::try_from(*level).ok()?, *offset)))
            .collect();
        let scheduler = Scheduler::new(&levels, &progress, stored.delays.data_version);
        let now = clock.now();
        let salt = u32::try_from(now.rem_euclid(1 << 32)).unwrap_or(0);
        Self {
            settings: ArcSwap::from_pointee(settings.clone()),
            settings_version: Mutex::new(DataVersion::default().next(0, now)),
            changing: Mutex::default(),
            permission: Mutex::new(PermissionState {
                reason: String::new(),
                since: clock.monotonic(),
                overridden: false,
            }),
            phase: AtomicU8::new(Phase::Serving as u8),
            stopping: CancellationToken::new(),
            drained: Mutex::default(),
            topics: TopicTable::new(topics, TableFile::new(config.table_path("topics.json"))),
            groups: GroupTable::new(
                groups,
                TableFile::new(config.table_path("subscriptionGroup.json")),
            ),
            offsets: Mutex::new(offsets),
            offsets_file: TableFile::new(config.table_path("consumerOffset.json")),
            clients: RwLock::new(clients::table(settings)),
            locks: Mutex::default(),
            waiting,
            scheduler: Mutex::new(scheduler),
            delays_file: TableFile::new(config.table_path("delayOffset.json")),
            modes: Mutex::new(stored.modes),
            modes_file: TableFile::new(config.table_path("messageRequestMode.json")),
            traffic: Traffic::new(settings, now),
            match_all: Arc::new(Matcher::All),
            ids: UniqueIds::new(config.store_ip, std::process::id(), salt),
            turn: AtomicU32::new(salt),
            store_host: OnceLock::new(),
            outside: OnceLock::new(),
            side: OnceLock::new(),
            started: now,
            levels,
            clock,
            store,
            config,
        }
    }

    /// Tells the broker its address and whom to ask for what it cannot do itself. Once, before
    /// the first request.
    pub fn connect(&self, store_host: SocketAddr, outside: Arc<dyn Outside>) {
        // Set once by the start; a second call would be a fault there and changes nothing.
        self.store_host.set(store_host).ok();
        self.outside.set(outside).ok();
    }

    /// What the broker is in its group of replicas. Once, before the first request.
    pub(crate) fn set_side(&self, side: Side) {
        self.side.set(side).ok();
    }

    /// What the broker is in its group of replicas.
    pub fn side(&self) -> Option<&Side> {
        self.side.get()
    }

    /// The broker copies another's log: nothing is stored here.
    pub fn is_slave(&self) -> bool {
        replication::is_slave(&self.config.settings)
    }

    /// How reads are served.
    pub(crate) fn read_role(&self) -> ReadRole {
        let settings = self.settings();
        let slave_read = settings.slave_read_enable;
        let offset_check_in_slave = settings.offset_check_in_slave;
        match self.side.get() {
            Some(Side::Slave(side)) => {
                let broker_id = settings.broker_id;
                let away = side.away_for().is_some_and(|time| MASTER_AWAY < time);
                let acts = settings.enable_slave_acting_master && away;
                ReadRole {
                    broker_id,
                    min_broker_id: if away { broker_id } else { 0 },
                    slave_read: slave_read || acts,
                    offset_check_in_slave,
                }
            }
            Some(Side::Master(_)) | None => ReadRole { slave_read, ..ReadRole::MASTER },
        }
    }

    /// Replaces tables by the master's.
    pub(crate) fn take_tables(
        &self,
        topics: StoredTopics,
        groups: StoredGroups,
        delays: &StoredDelays,
    ) {
        let StoredTopics { topics, version } = topics;
        if self.topics.all().version() != version {
            let names: Vec<Arc<str>> =
                topics.iter().map(|topic| Arc::clone(&topic.topic_name)).collect();
            self.topics.change(self.outside(), |table| table.replace(topics, version), |()| names);
        }
        let StoredGroups { groups, forbidden, version } = groups;
        if self.groups.all().version() != version {
            self.groups.change(|table| table.replace(groups, forbidden, version));
        }
        let progress: BTreeMap<i32, i64> = delays
            .offset_table
            .iter()
            .filter_map(|(level, offset)| Some((i32::try_from(*level).ok()?, *offset)))
            .collect();
        let mut scheduler = self.scheduler.lock();
        if scheduler.progress() != progress {
            *scheduler = Scheduler::new(&self.levels, &progress, delays.data_version);
            drop(scheduler);
            self.delays_file.touch();
        }
    }

    /// Replaces consumer offsets by the master's.
    pub(crate) fn take_offsets(&self, offsets: &StoredOffsets) {
        let skipped = self.offsets.lock().replace(&offsets.offset_table, offsets.data_version);
        if 0 < skipped {
            tracing::warn!(skipped, "left out consumer offsets that cannot be");
        }
    }

    pub(crate) fn outside(&self) -> &dyn Outside {
        self.outside.get().map_or(&Nowhere, |outside| &**outside)
    }

    /// The settings in force.
    pub fn settings(&self) -> Guard<Arc<Settings>> {
        self.settings.load()
    }

    /// Grows with every change of the settings.
    pub fn settings_version(&self) -> DataVersion {
        *self.settings_version.lock()
    }

    /// All settings in force as `key=value` lines, with what was given besides (request 26).
    pub fn settings_text(&self) -> String {
        let settings = self.settings();
        let mut lines: BTreeMap<&str, String> = KEYS
            .iter()
            .map(|key| (key.name, settings.text(key.name).unwrap_or_default()))
            .collect();
        for (name, value) in &self.config.others {
            lines.insert(name, value.clone());
        }
        let lines = lines.iter().map(|(name, value)| format!("{name}={value}\n"));
        lines.collect()
    }

    /// Wall-clock time.
    pub fn now(&self) -> Millis {
        self.clock.now()
    }

    /// From now on sends are answered with a code that clients repeat elsewhere.
    pub fn begin_drain(&self) {
        self.phase.store(Phase::Draining as u8, Ordering::SeqCst);
    }

    /// From now on no pull is parked either.
    pub fn begin_stop(&self) {
        self.phase.store(Phase::Stopping as u8, Ordering::SeqCst);
        self.stopping.cancel();
    }

    /// Waits for [`Broker::begin_stop`]: whoever waits for others should give up then.
    pub async fn stopping(&self) {
        self.stopping.cancelled().await;
    }

    /// How far the broker is on its way out.
    pub fn phase(&self) -> Phase {
        match self.phase.load(Ordering::SeqCst) {
            0 => Phase::Serving,
            1 => Phase::Draining,
            _ => Phase::Stopping,
        }
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.phase() == Phase::Stopping
    }

    /// When the broker was started.
    pub fn started(&self) -> Millis {
        self.started
    }

    /// Address in records and message ids.
    pub fn store_host(&self) -> SocketAddr {
        let unknown = || SocketAddr::new(self.config.store_ip, self.config.settings.listen_port);
        self.store_host.get().copied().unwrap_or_else(unknown)
    }

    /// Another number each time, for choosing queues in turn.
    pub(crate) fn next_turn(&self) -> u32 {
        self.turn.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn unique_id(&self) -> String {
        self.ids.next(self.now()).to_string()
    }

    /// First offset of a queue.
    pub fn min_offset(&self, topic: &str, queue: u32) -> i64 {
        self.store.min_offset(topic, queue)
    }

    /// Offset after the last of a queue.
    pub fn max_offset(&self, topic: &str, queue: u32) -> i64 {
        self.store.max_offset(topic, queue)
    }

    /// The record at a place of the log. May read the disk.
    pub fn record_at(&self, offset: i64) -> Option<bytes::Bytes> {
        let read = self.store.record_at(LogOffset::from_wire(offset)?);
        read.unwrap_or_else(|error| {
            tracing::warn!(offset, %error, "cannot read a record");
            None
        })
    }

    /// Writes every table that changed.
    ///
    /// # Errors
    /// The first failure; the other tables are tried all the same.
    pub fn save_tables(&self) -> std::io::Result<()> {
        let results = [
            self.topics.save(),
            self.groups.save(),
            self.save_offsets(),
            self.save_delays(),
            self.save_modes(),
        ];
        results.into_iter().try_for_each(|result| result.map(drop))
    }

    /// Writes `consumerOffset.json` if offsets changed.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn save_offsets(&self) -> std::io::Result<bool> {
        if self.offsets.lock().take_dirty() {
            self.offsets_file.touch();
        }
        self.offsets_file.save(|| tables::pretty(&self.stored_offsets()))
    }

    /// Offsets as they go to the file and to replicas.
    pub fn stored_offsets(&self) -> StoredOffsets {
        let offsets = self.offsets.lock();
        StoredOffsets { data_version: offsets.version(), offset_table: offsets.table() }
    }

    /// Writes `delayOffset.json` if the levels moved.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn save_delays(&self) -> std::io::Result<bool> {
        if self.scheduler.lock().take_dirty() {
            self.delays_file.touch();
        }
        self.delays_file.save(|| tables::pretty(&self.delay_progress()))
    }

    pub(crate) fn delay_progress(&self) -> StoredDelays {
        let scheduler = self.scheduler.lock();
        let offset_table = scheduler
            .progress()
            .into_iter()
            .filter_map(|(level, offset)| Some((u32::try_from(level).ok()?, offset)))
            .collect();
        StoredDelays { data_version: scheduler.version(), offset_table }
    }

    /// Writes `messageRequestMode.json` if modes changed.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn save_modes(&self) -> std::io::Result<bool> {
        self.modes_file.save(|| tables::pretty(&*self.modes.lock()))
    }

    pub(crate) fn modes_changed(&self) {
        self.modes_file.touch();
    }
}

impl Versions for Broker {
    fn versions(&self) -> [u64; 4] {
        let digest = |version: DataVersion| {
            let parts = [version.counter, version.state_version, version.timestamp];
            parts.iter().fold(0_u64, |digest, part| {
                digest.rotate_left(21) ^ part.unsigned_abs().wrapping_mul(0x9E37_79B9_7F4A_7C15)
            })
        };
        // Offsets move all the time: their version counts commits in steps, so time does.
        let now = self.now().unsigned_abs() / OFFSETS_EVERY_MS;
        let topics = digest(self.topics.all().version());
        let groups = digest(self.groups.all().version());
        [topics, groups, now, digest(self.scheduler.lock().version())]
    }
}

/// Before the broker is connected, and in tests without a world.
struct Nowhere;

impl Outside for Nowhere {
    fn topics_changed(&self, _topics: &[Arc<str>]) {}
    fn all_topics_changed(&self) {}
    fn group_changed(&self, _notice: &Notice) {}
    fn close(&self, _conn: ConnId) {}
    fn run_blocking(&self, job: Job) {
        job(true);
    }
}
