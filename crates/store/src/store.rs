//! The store's face: opening, closing, and the calls of its users.

use crate::appender::{self, Appender};
use crate::checkpoint::{CheckpointFile, Progress, ProgressFile};
use crate::config::{Retention, StoreConfig};
use crate::damage::Damage;
use crate::disk::{Disk, DiskFile, OpenMode};
use crate::follow;
use crate::index::Index;
use crate::log::Log;
use crate::prepare;
use crate::put::{Observers, Prepared, PutError, PutGroup};
use crate::query::{self, QueryResult};
use crate::queue::Queue;
use crate::queues::QueueTable;
use crate::raw::{LogRange, RawLog, TailCheck};
use crate::read::{self, Boundary, ReadLimits, ReadResult, RecordFilter};
use crate::recovery::{self, Evidence, OpenError, Recovered, Recovery};
use crate::retention;
use crate::shared::{Dispatched, Following, Gate, Inbox, Shared, Signal};
use crate::status::{self, StoreStatus};
use crate::steps::Steps;
use crate::syncing::Syncing;
use arc_swap::ArcSwap;
use bytes::Bytes;
use parking_lot::Mutex;
use rmq_model::{Clock, LogOffset, Millis};
use rmq_record::Message;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;

/// An open store. Clones are handles to the same.
///
/// [`Store::close`] ends it cleanly. Dropping the last handle without that stops the threads and
/// leaves the store as a crash would: nothing acknowledged is lost, the next opening recovers.
#[derive(Clone)]
pub struct Store {
    shared: Arc<Shared>,
    /// `None` while the log belongs to a [`RawLog`] or to [`Steps`].
    appender: Option<Arc<Mutex<Appender>>>,
    threads: Arc<Threads>,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("root", &self.shared.config.root).finish_non_exhaustive()
    }
}

/// Why a store was not closed cleanly. The next opening recovers it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CloseError {
    /// The log had stopped after a failed write or sync.
    #[error("the log had stopped: {reason}")]
    Failed {
        /// What failed.
        reason: String,
    },
    /// Something could not be written.
    #[error("cannot complete the store's files")]
    Io(#[source] io::Error),
    /// A thread of the store panicked.
    #[error("a thread of the store died")]
    Thread,
    /// The [`RawLog`] is still there and may append.
    #[error("the log is still being copied into")]
    Copying,
}

/// A store nobody else uses as long as `lock` is open.
pub(crate) struct Locked {
    pub(crate) config: StoreConfig,
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) lock: Box<dyn DiskFile>,
}

/// What one of the threads runs until it is stopped.
type Body = fn(&Shared);

struct Threads {
    shared: Arc<Shared>,
    appender: Mutex<Option<JoinHandle<()>>>,
    others: Mutex<Vec<JoinHandle<()>>>,
}

impl Threads {
    fn start(shared: &Arc<Shared>, appender: Option<Arc<Mutex<Appender>>>) -> io::Result<Self> {
        let spawn = |name: &str, work: Box<dyn FnOnce() + Send>| {
            std::thread::Builder::new().name(name.into()).spawn(work)
        };
        let mut others = Vec::new();
        let bodies: [(&str, Body); 3] = [
            ("rmq-behind", follow::run_behind),
            ("rmq-flush", follow::run_flusher),
            ("rmq-upkeep", retention::run_upkeep),
        ];
        for (name, body) in bodies {
            let shared = Arc::clone(shared);
            others.push(spawn(name, Box::new(move || body(&shared)))?);
        }
        let appender = appender.map(|appender| {
            let shared = Arc::clone(shared);
            spawn("rmq-log", Box::new(move || appender::run(&shared, &appender)))
        });
        Ok(Self {
            shared: Arc::clone(shared),
            appender: Mutex::new(appender.transpose()?),
            others: Mutex::new(others),
        })
    }

    /// Ends the log's thread after what waits, then the others. False if one of them died.
    fn stop(&self) -> bool {
        let here = std::thread::current().id();
        // A handle may be dropped by an observer, on one of these threads.
        let join = |thread: JoinHandle<()>| thread.thread().id() == here || thread.join().is_ok();
        self.shared.inbox.close();
        let appender = self.appender.lock().take();
        let mut well = appender.is_none_or(join);
        for signal in [&self.shared.behind, &self.shared.flusher, &self.shared.upkeep] {
            signal.stop();
        }
        let others = std::mem::take(&mut *self.others.lock());
        for thread in others {
            well &= join(thread);
        }
        well
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Store {
    /// Opens the store at `config.root`, making it if there is none, and recovers it if it was not
    /// closed. Blocks while it does.
    pub fn open(
        config: StoreConfig,
        disk: impl Disk,
        clock: Arc<dyn Clock>,
        observers: Observers,
    ) -> Result<Self, OpenError> {
        Self::open_locked(Self::locked(config, disk)?, clock, observers)
    }

    /// Opens the store whose lock the caller took.
    pub(crate) fn open_locked(
        locked: Locked,
        clock: Arc<dyn Clock>,
        observers: Observers,
    ) -> Result<Self, OpenError> {
        let (shared, recovered) = Self::recover(locked, clock, observers)?;
        let appender = Appender::new(Arc::clone(&shared), recovered.end, recovered.last_time);
        Self::started(shared, Some(appender))
    }

    /// Opens a store that starts no threads: the caller does their work when it likes, for
    /// simulations and crash tests in which the same calls must lead to the same writes. Puts are
    /// answered within [`Steps::append`].
    pub fn open_stepped(
        config: StoreConfig,
        disk: impl Disk,
        clock: Arc<dyn Clock>,
        observers: Observers,
    ) -> Result<(Self, Steps), OpenError> {
        let locked = Self::locked(config, disk)?;
        let (shared, recovered) = Self::recover(locked, clock, observers)?;
        let appender = Appender::new(Arc::clone(&shared), recovered.end, recovered.last_time);
        let steps = Steps::new(Arc::clone(&shared), appender);
        let threads = Threads {
            shared: Arc::clone(&shared),
            appender: Mutex::new(None),
            others: Mutex::default(),
        };
        Ok((Self { shared, appender: None, threads: Arc::new(threads) }, steps))
    }

    /// Opens a store whose log is a copy of another's: the [`RawLog`] appends to it, puts are
    /// refused as closed.
    pub fn open_replica(
        config: StoreConfig,
        disk: impl Disk,
        clock: Arc<dyn Clock>,
        observers: Observers,
    ) -> Result<(Self, RawLog), OpenError> {
        let locked = Self::locked(config, disk)?;
        let (shared, recovered) = Self::recover(locked, clock, observers)?;
        shared.inbox.close();
        let raw = RawLog::new(Arc::clone(&shared), recovered.end);
        Ok((Self::started(shared, None)?, raw))
    }

    fn started(shared: Arc<Shared>, appender: Option<Appender>) -> Result<Self, OpenError> {
        let appender = appender.map(|appender| Arc::new(Mutex::new(appender)));
        let threads = Threads::start(&shared, appender.clone())
            .map_err(|source| OpenError::Io { path: shared.config.root.clone(), source })?;
        Ok(Self { shared, appender, threads: Arc::new(threads) })
    }

    /// Checks the settings and takes the lock, before anything else is touched.
    fn locked(config: StoreConfig, disk: impl Disk) -> Result<Locked, OpenError> {
        let config = config.checked().map_err(|reason| OpenError::Config { reason })?;
        let disk: Arc<dyn Disk> = Arc::new(disk);
        crate::durable::create_dirs_on(&*disk, &config.root)
            .map_err(|source| OpenError::Io { path: config.root.clone(), source })?;
        let lock = lock(&*disk, &config)?;
        Ok(Locked { config, disk, lock })
    }

    fn recover(
        locked: Locked,
        clock: Arc<dyn Clock>,
        observers: Observers,
    ) -> Result<(Arc<Shared>, Recovered), OpenError> {
        let Locked { config, disk, lock } = locked;
        let io = |path: &Path| {
            let path = path.to_owned();
            move |source| OpenError::Io { path, source }
        };
        recovery::refuse_other_kinds(&*disk, &config)?;
        crate::durable::create_dirs_on(&*disk, &config.commit_log)
            .map_err(io(&config.commit_log))?;

        let abort = config.abort_path();
        let unclean = exists(&*disk, &config.root, "abort").map_err(io(&abort))?;
        let checkpoint = CheckpointFile::open(&*disk, &config.checkpoint_path())
            .map_err(io(&config.checkpoint_path()))?;
        let own = config.own_dir();
        let (progress_file, progress) = ProgressFile::open(&*disk, &own).map_err(io(&own))?;
        let boot_id = disk.boot_id();
        let evidence = evidence(unclean, &checkpoint, progress, &boot_id);

        let segments = recovery::load_segments(&*disk, &config)?;
        let commit_log = config.commit_log.clone();
        let log = Log::new(Arc::clone(&disk), commit_log, config.segment_bytes, segments);
        let queues = QueueTable::new(config.clone(), Arc::clone(&disk));
        let loaded = recovery::load_queues(&*disk, &config, &queues, evidence.queues_trusted())?;
        let index = match config.index {
            Some(sizes) => {
                let dir = config.index_dir();
                let opened =
                    Index::open(Arc::clone(&disk), dir.clone(), sizes, &evidence.index_trust());
                Some(opened.map_err(io(&dir))?)
            }
            None => None,
        };
        let recovered = Recovery {
            disk: &*disk,
            config: &config,
            log: &log,
            queues: &queues,
            index: index.as_ref(),
            evidence: &evidence,
            progress: &observers.recovery,
            now: clock.now(),
        }
        .run(loaded)?;
        if unclean {
            tracing::info!(end = recovered.end, records = recovered.dispatched, "store recovered");
        }

        let now = clock.monotonic();
        let dispatched = Dispatched { end: recovered.end, time: recovered.last_time };
        let following = Following {
            checkpoint,
            progress: progress_file,
            boot_id,
            queues_through: dispatched,
            index_through: recovered.end,
            synced: recovered.end,
            sync_failed: false,
            index_mark: None,
            index_full_until: 0,
            unsynced: queues.all(),
            resting: Vec::new(),
            last_index: now,
            last_checkpoint: now,
        };
        let callers_store = !config.flush.is_sync();
        let inbox = Inbox::new(config.inbox.puts_max, config.inbox.bytes_max, callers_store);
        let root = config.root.clone();
        let shared = Arc::new(Shared {
            retention: ArcSwap::from_pointee(config.retention.clone()),
            config,
            disk,
            clock,
            observers,
            log,
            queues,
            index,
            inbox,
            copying: AtomicBool::new(false),
            gate: Gate::default(),
            damage: Damage::default(),
            dispatched: Mutex::new(dispatched),
            dirty: Mutex::default(),
            units_pending: AtomicUsize::new(0),
            behind: Signal::default(),
            upkeep: Signal::default(),
            syncing: Syncing::default(),
            flusher: Signal::default(),
            following: Mutex::new(following),
            _lock: lock,
        });
        Self::settle(&shared).map_err(io(&root))?;
        Ok((shared, recovered))
    }

    /// Makes what recovery did durable and marks the store as running, before the first put.
    fn settle(shared: &Shared) -> io::Result<()> {
        let config = &shared.config;
        retention::look_at_space(shared);
        // From here on a stop is unclean, whatever the files say.
        let abort = shared.disk.open(&config.abort_path(), OpenMode::Create)?;
        abort.set_len(0)?;
        abort.write_all_at(0, std::process::id().to_string().as_bytes())?;
        abort.sync_data()?;
        let mut following = shared.following.lock();
        follow::checkpoint(shared, &mut following)?;
        retention::trim(shared)?;
        shared.disk.sync_dir(&config.root)
    }

    /// Encodes and checks a message: all of the work that needs no lock of the log.
    pub fn prepare(&self, message: &Message) -> Result<Prepared, PutError> {
        prepare::prepare(&self.shared, message)
    }

    /// Stores messages, or hands them to the log's thread; never waits for a sync. Gives the group
    /// back when there is no room, which means busy. Results come to [`PutGroup::done`], also when
    /// the store is closed, and possibly before this returns: hold no lock that `done` takes.
    pub fn put(&self, group: PutGroup) -> Result<(), PutGroup> {
        if self.shared.inbox.put(group)?
            && let Some(appender) = &self.appender
        {
            appender::run_as_caller(&self.shared, appender);
        }
        Ok(())
    }

    /// Why puts are refused now, as they would be told; `None` when they are let in.
    pub fn refusal(&self) -> Option<PutError> {
        self.shared.gate.refusal(self.shared.retention.load().warning_percent)
    }

    /// Messages of a queue from `from` on, of which `want` says by the tags code whether they are
    /// wanted. May block on the disk.
    pub fn read(
        &self,
        topic: &str,
        queue: u32,
        from: i64,
        limits: ReadLimits,
        want: &mut dyn FnMut(i64) -> bool,
    ) -> io::Result<ReadResult> {
        let queue = self.shared.queues.get(topic, queue);
        read::read(&self.shared, queue.as_deref(), from, &limits, want, None)
    }

    /// Like [`Store::read`], with a second look at the record itself.
    pub fn read_matching(
        &self,
        topic: &str,
        queue: u32,
        from: i64,
        limits: ReadLimits,
        want: &mut dyn FnMut(i64) -> bool,
        want_record: &mut RecordFilter<'_>,
    ) -> io::Result<ReadResult> {
        let queue = self.shared.queues.get(topic, queue);
        read::read(&self.shared, queue.as_deref(), from, &limits, want, Some(want_record))
    }

    /// Tags codes of at most `count` messages from `from` on, without reading the log. Fewer may
    /// come; for delayed messages a tags code is the delivery time.
    pub fn tags_codes(
        &self,
        topic: &str,
        queue: u32,
        from: u64,
        count: usize,
    ) -> io::Result<Vec<UnitView>> {
        let Some(queue) = self.shared.queues.get(topic, queue) else { return Ok(Vec::new()) };
        let mut units = Vec::new();
        queue.units(from.max(queue.min_offset()), count, &mut units)?;
        let first = from.max(queue.min_offset());
        let view = |(unit, offset): (&crate::queue::Unit, u64)| UnitView {
            queue_offset: offset,
            log_offset: LogOffset(unit.log_offset),
            bytes: unit.size,
            tags_code: unit.tags_code,
        };
        Ok(units.iter().zip(first..).filter(|(unit, _)| !unit.is_pre_blank()).map(view).collect())
    }

    /// Whether a message is so near the log's end that it is probably in memory.
    pub fn is_in_memory(&self, topic: &str, queue: u32, offset: i64) -> bool {
        let unit = u64::try_from(offset).ok().and_then(|offset| {
            self.shared.queues.get(topic, queue)?.unit_at(offset).ok().flatten()
        });
        unit.is_some_and(|unit| {
            let behind = self.shared.log.written().saturating_sub(unit.log_offset);
            behind <= self.shared.config.memory_bytes
        })
    }

    /// The queue, if anything was ever put into it.
    pub fn queue(&self, topic: &str, queue: u32) -> Option<Arc<Queue>> {
        self.shared.queues.get(topic, queue)
    }

    /// First message of a queue still there; 0 for a queue that does not exist.
    pub fn min_offset(&self, topic: &str, queue: u32) -> i64 {
        self.queue(topic, queue).map_or(0, |queue| read::to_wire(queue.min_offset()))
    }

    /// One past the last message of a queue; 0 for a queue that does not exist.
    pub fn max_offset(&self, topic: &str, queue: u32) -> i64 {
        self.queue(topic, queue).map_or(0, |queue| read::to_wire(queue.max_offset()))
    }

    /// Offset of the first message stored at or after `time` ([`Boundary::Lower`]; the maximum if
    /// there is none), or of the last one stored at or before ([`Boundary::Upper`]; 0 if none).
    pub fn offset_by_time(
        &self,
        topic: &str,
        queue: u32,
        time: Millis,
        boundary: Boundary,
    ) -> io::Result<i64> {
        match self.queue(topic, queue) {
            Some(queue) => {
                read::offset_by_time(&self.shared, &queue, time, boundary).map(read::to_wire)
            }
            None => Ok(0),
        }
    }

    /// Store time of one message; `None` if it is not there.
    pub fn store_time_at(
        &self,
        topic: &str,
        queue: u32,
        offset: i64,
    ) -> io::Result<Option<Millis>> {
        let (Some(queue), Ok(offset)) = (self.queue(topic, queue), u64::try_from(offset)) else {
            return Ok(None);
        };
        match queue.unit_at(offset)? {
            Some(unit) => read::store_time(&self.shared, unit),
            None => Ok(None),
        }
    }

    /// Store time of the first message of a queue still there.
    pub fn earliest_store_time(&self, topic: &str, queue: u32) -> io::Result<Option<Millis>> {
        self.store_time_at(topic, queue, self.min_offset(topic, queue))
    }

    /// Store time of the first record of the log.
    pub fn earliest_log_time(&self) -> io::Result<Option<Millis>> {
        let record = self.record_at(LogOffset(self.shared.log.min()))?;
        Ok(record.and_then(|record| rmq_record::layout::store_time_of(&record)))
    }

    /// The record that begins at a place of the log; `None` if none does.
    pub fn record_at(&self, at: LogOffset) -> io::Result<Option<Bytes>> {
        query::record_at(&self.shared, at)
    }

    /// Messages of a topic with a key (or unique id), stored in the window `begin..=end`, newest
    /// first, at most 64.
    pub fn query(
        &self,
        topic: &str,
        key: &str,
        max: usize,
        begin: Millis,
        end: Millis,
    ) -> io::Result<QueryResult> {
        query::query(&self.shared, topic, key, max, begin, end)
    }

    /// Topics that have queues here, in no order.
    pub fn topics(&self) -> Vec<Arc<str>> {
        self.shared.queues.topics()
    }

    /// Numbers of a topic's queues, ascending.
    pub fn queues(&self, topic: &str) -> Vec<u32> {
        self.shared.queues.ids(topic)
    }

    /// Removes a topic's queues. Its records stay in the log until they expire, so the checkpoint is
    /// moved behind them: recovery must not make the queues again. False if there were none.
    pub fn delete_topic(&self, topic: &str) -> io::Result<bool> {
        let deleted = self.shared.queues.delete(topic)?;
        if deleted {
            self.flush()?;
        }
        Ok(deleted)
    }

    /// Deletes expired segments now, whatever the hour, and what points to them; returns how many.
    pub fn clean_expired(&self) -> io::Result<usize> {
        retention::manual(&self.shared)
    }

    /// Raw bytes of the log from `at`, at most `bytes_max`, within one segment and not beyond what
    /// is durable in `SYNC_FLUSH` mode, or written in `ASYNC_FLUSH` mode.
    pub fn raw_log(&self, at: LogOffset, bytes_max: usize) -> io::Result<Bytes> {
        let log = &self.shared.log;
        let limit = if self.shared.config.flush.is_sync() { log.flushed() } else { log.written() };
        log.raw(at, limit, bytes_max).map(Bytes::from)
    }

    /// How far the log goes.
    pub fn log_range(&self) -> LogRange {
        let log = &self.shared.log;
        let end = log.written();
        LogRange {
            min: LogOffset(log.min().min(end)),
            end: LogOffset(end),
            flushed: LogOffset(log.flushed().min(end)),
        }
    }

    /// Length and check value of the last bytes before `to`; `None` when they are not there. Two
    /// logs in which these agree are the same up to `to`, or were tampered with.
    pub fn tail_check(&self, to: LogOffset) -> io::Result<Option<TailCheck>> {
        crate::raw::tail_check(&self.shared.log, to)
    }

    /// Figures for administrators and metrics.
    pub fn status(&self) -> StoreStatus {
        status::status(&self.shared)
    }

    /// From now on this is deleted when `retention` says. Percentages are brought into range.
    pub fn set_retention(&self, retention: Retention) {
        self.shared.retention.store(Arc::new(retention.clamped()));
        self.shared.upkeep.ring();
    }

    /// The settings it was opened with.
    pub fn config(&self) -> &StoreConfig {
        &self.shared.config
    }

    /// Writes and syncs log, queues, index and checkpoint now.
    pub fn flush(&self) -> io::Result<()> {
        let shared = &self.shared;
        follow::sync_log_to(shared, shared.log.written())?;
        let mut following = shared.following.lock();
        follow::write_queues(shared, &mut following)?;
        follow::checkpoint(shared, &mut following)
    }

    /// Ends the store cleanly: refuses puts, completes those that wait, syncs log, queues and index,
    /// writes the checkpoint, removes `abort`. Other handles only get refusals afterwards.
    pub fn close(self) -> Result<(), CloseError> {
        let shared = &self.shared;
        if !self.threads.stop() {
            return Err(CloseError::Thread);
        }
        if shared.copying.load(Ordering::Acquire) {
            return Err(CloseError::Copying);
        }
        if let Some(reason) = shared.gate.failure() {
            return Err(CloseError::Failed { reason: reason.to_string() });
        }
        self.flush().map_err(CloseError::Io)?;
        shared.log.drop_spare().map_err(CloseError::Io)?;
        let following = shared.following.lock();
        let end = shared.log.written();
        follow::write_progress(&following, Some(end), true).map_err(CloseError::Io)?;
        let abort = shared.config.abort_path();
        crate::durable::remove_if_there(&*shared.disk, &abort).map_err(CloseError::Io)?;
        shared.disk.sync_dir(&shared.config.root).map_err(CloseError::Io)
    }
}

/// One place of a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnitView {
    /// Place in the queue.
    pub queue_offset: u64,
    /// Place in the log.
    pub log_offset: LogOffset,
    /// Length of the record.
    pub bytes: u32,
    /// What is filtered by; the delivery time of a delayed message.
    pub tags_code: i64,
}

fn lock(disk: &dyn Disk, config: &StoreConfig) -> Result<Box<dyn DiskFile>, OpenError> {
    let path = config.lock_path();
    let failed = |source| OpenError::Io { path: path.clone(), source };
    let file = disk.open(&path, OpenMode::Create).map_err(failed)?;
    if !file.lock().map_err(failed)? {
        return Err(OpenError::Locked { path });
    }
    file.write_all_at(0, b"lock").map_err(failed)?;
    Ok(file)
}

fn exists(disk: &dyn Disk, dir: &Path, name: &str) -> io::Result<bool> {
    Ok(disk.list(dir)?.iter().any(|entry| entry.name == name))
}

/// Our own marks count only with the checkpoint they were written with: a Java broker may have run
/// in between.
fn evidence(
    unclean: bool,
    checkpoint: &CheckpointFile,
    progress: Option<Progress>,
    boot_id: &str,
) -> Evidence {
    let value = checkpoint.value;
    let progress = progress.filter(|progress| {
        let of = progress.checkpoint;
        (of.physic, of.logics, of.index) == (value.physic, value.logics, value.index)
    });
    let same_boot = progress
        .as_ref()
        .is_some_and(|progress| !boot_id.is_empty() && progress.boot_id == boot_id);
    Evidence { unclean, checkpoint: value, progress, same_boot }
}
