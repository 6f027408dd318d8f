//! What the store's threads share.

use crate::checkpoint::{Checkpoint, CheckpointFile, ProgressFile};
use crate::config::{Retention, StoreConfig};
use crate::damage::Damage;
use crate::disk::{Disk, DiskFile};
use crate::index::{Index, IndexMark};
use crate::log::Log;
use crate::put::{Observers, PutDone, PutError, PutGroup};
use crate::queue::Queue;
use crate::queues::QueueTable;
use crate::syncing::Syncing;
use arc_swap::ArcSwap;
use parking_lot::{Condvar, Mutex, MutexGuard};
use rmq_model::{Clock, Millis};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use std::time::Duration;

pub(crate) struct Shared {
    pub(crate) config: StoreConfig,
    /// In force at present; `config` has that of the start.
    pub(crate) retention: ArcSwap<Retention>,
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) observers: Observers,
    pub(crate) log: Log,
    pub(crate) queues: QueueTable,
    pub(crate) index: Option<Index>,
    pub(crate) inbox: Inbox,
    /// A [`crate::RawLog`] owns the end of the log.
    pub(crate) copying: AtomicBool,
    pub(crate) gate: Gate,
    pub(crate) damage: Damage,
    /// Everything below `end` can be read from queues and index.
    pub(crate) dispatched: Mutex<Dispatched>,
    /// Queues with units that are only in memory.
    pub(crate) dirty: Mutex<Vec<Arc<Queue>>>,
    /// Units that are only in memory, in all queues.
    pub(crate) units_pending: AtomicUsize,
    /// Wakes the thread that writes queues and index.
    pub(crate) behind: Signal,
    /// Wakes the thread that makes segments and deletes.
    pub(crate) upkeep: Signal,
    /// Puts that wait for a sync of the log.
    pub(crate) syncing: Syncing,
    /// Wakes the thread that syncs the log in asynchronous mode, and watches syncs in the other.
    pub(crate) flusher: Signal,
    /// Held by whoever writes queues and index.
    pub(crate) following: Mutex<Following>,
    /// Held while the store is open; its lock keeps other brokers out.
    pub(crate) _lock: Box<dyn DiskFile>,
}

/// How far readers see.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Dispatched {
    pub(crate) end: u64,
    pub(crate) time: Millis,
}

/// How far the files behind the log are.
pub(crate) struct Following {
    pub(crate) checkpoint: CheckpointFile,
    pub(crate) progress: ProgressFile,
    pub(crate) boot_id: String,
    /// Queues were written up to here, with the store time of that place.
    pub(crate) queues_through: Dispatched,
    pub(crate) index_through: u64,
    /// Durable up to here.
    pub(crate) synced: u64,
    /// What queues and index have beyond that is not known any more.
    pub(crate) sync_failed: bool,
    pub(crate) index_mark: Option<IndexMark>,
    pub(crate) index_full_until: Millis,
    /// Written since the last sync.
    pub(crate) unsynced: Vec<Arc<Queue>>,
    /// Synced the last time; they rest if nothing new came.
    pub(crate) resting: Vec<Arc<Queue>>,
    pub(crate) last_index: Duration,
    pub(crate) last_checkpoint: Duration,
}

impl Following {
    pub(crate) fn checkpoint_value(&self) -> Checkpoint {
        self.checkpoint.value
    }
}

/// A thread's bell: rung by others, and by the stop.
#[derive(Default)]
pub(crate) struct Signal {
    state: Mutex<SignalState>,
    wake: Condvar,
    /// Rung since the thread last looked, so that ringing again costs nothing.
    rung: AtomicBool,
}

#[derive(Clone, Copy, Default)]
struct SignalState {
    rung: bool,
    hurry: bool,
    stop: bool,
}

/// Why a waiting thread goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wake {
    Rung,
    Hurry,
    Timeout,
    Stop,
}

impl Signal {
    /// There is something to do, at leisure.
    pub(crate) fn ring(&self) {
        if !self.rung.swap(true, Ordering::AcqRel) {
            self.state.lock().rung = true;
            self.wake.notify_one();
        }
    }

    /// There is something to do at once.
    pub(crate) fn hurry(&self) {
        let mut state = self.state.lock();
        if !state.hurry {
            state.hurry = true;
            self.wake.notify_one();
        }
    }

    pub(crate) fn stop(&self) {
        self.state.lock().stop = true;
        self.wake.notify_all();
    }

    /// Waits for the first ring, hurry or stop; `None` waits for ever.
    pub(crate) fn wait(&self, at_most: Option<Duration>) -> Wake {
        self.wait_until(at_most, |state| state.rung)
    }

    /// Like [`Signal::wait`], but a mere ring does not end it.
    pub(crate) fn pause(&self, time: Duration) -> Wake {
        self.wait_until(Some(time), |_| false)
    }

    fn wait_until(&self, at_most: Option<Duration>, enough: fn(&SignalState) -> bool) -> Wake {
        let mut state = self.state.lock();
        let done = |state: &SignalState| state.stop || state.hurry || enough(state);
        match at_most {
            Some(time) => {
                self.wake.wait_while_for(&mut state, |state| !done(state), time);
            }
            None => self.wake.wait_while(&mut state, |state| !done(state)),
        }
        let wake = match *state {
            SignalState { stop: true, .. } => Wake::Stop,
            SignalState { hurry: true, .. } => Wake::Hurry,
            SignalState { rung: true, .. } if enough(&state) => Wake::Rung,
            SignalState { .. } => Wake::Timeout,
        };
        state.hurry = false;
        if wake == Wake::Rung || wake == Wake::Hurry {
            state.rung = false;
            self.rung.store(false, Ordering::Release);
        }
        wake
    }
}

/// Puts that wait for the log, and whose turn it is to store them. Bounded; a full inbox means
/// busy, at once.
///
/// Where puts need not wait for the disk, whoever finds the log idle stores its own: waking a
/// thread takes longer than that. The log's thread takes over when more keeps coming, and while
/// the disk is slow, so that at most one caller meets a write that hangs.
pub(crate) struct Inbox {
    puts_max: usize,
    bytes_max: usize,
    callers_store: bool,
    state: Mutex<InboxState>,
    wake: Condvar,
}

#[derive(Default)]
struct InboxState {
    groups: Vec<PutGroup>,
    puts: usize,
    bytes: usize,
    closed: bool,
    turn: Turn,
    /// The last batch took long.
    slow: bool,
}

/// Who stores what is in the inbox. Whenever something is in it, it is somebody's turn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Turn {
    #[default]
    Nobody,
    Caller,
    Thread,
}

impl InboxState {
    fn give(&mut self, groups: &mut Vec<PutGroup>) {
        std::mem::swap(groups, &mut self.groups);
        self.puts = 0;
        self.bytes = 0;
    }
}

impl Inbox {
    pub(crate) fn new(puts_max: usize, bytes_max: usize, callers_store: bool) -> Self {
        let (state, wake) = (Mutex::default(), Condvar::new());
        Self { puts_max, bytes_max, callers_store, state, wake }
    }

    /// Takes a group; gives it back when there is no room. `true`: it is the caller's turn, who must
    /// call [`Inbox::next_of_caller`] until that is over.
    pub(crate) fn put(&self, group: PutGroup) -> Result<bool, PutGroup> {
        let bytes: usize = group.puts.iter().map(|put| put.messages.bytes()).sum();
        let mut state = self.state.lock();
        if state.closed {
            drop(state);
            refuse(group, &PutError::Closed);
            return Ok(false);
        }
        let puts = state.puts.saturating_add(group.puts.len());
        // A group that alone is too large still gets through an empty inbox.
        let over = self.puts_max < puts || self.bytes_max < state.bytes.saturating_add(bytes);
        if over && !state.groups.is_empty() {
            return Err(group);
        }
        state.puts = puts;
        state.bytes = state.bytes.saturating_add(bytes);
        state.groups.push(group);
        match state.turn {
            Turn::Nobody if self.callers_store && !state.slow => {
                state.turn = Turn::Caller;
                Ok(true)
            }
            Turn::Nobody => {
                self.to_thread(state);
                Ok(false)
            }
            Turn::Caller | Turn::Thread => Ok(false),
        }
    }

    fn to_thread(&self, mut state: MutexGuard<'_, InboxState>) {
        state.turn = Turn::Thread;
        drop(state);
        self.wake.notify_one();
    }

    /// For the caller whose turn it is: takes all that waits. False when its turn is over, because
    /// nothing waits or because it does `no_more`. `slow` says how the batch before it went.
    pub(crate) fn next_of_caller(
        &self,
        groups: &mut Vec<PutGroup>,
        slow: bool,
        no_more: bool,
    ) -> bool {
        let mut state = self.state.lock();
        state.slow = slow;
        if state.groups.is_empty() {
            state.turn = Turn::Nobody;
            if state.closed {
                self.wake.notify_all();
            }
            return false;
        }
        if slow || no_more {
            self.to_thread(state);
            return false;
        }
        state.give(groups);
        true
    }

    /// For the log's thread: takes all that waits, as soon as it is its turn. False once the inbox is
    /// closed and empty. `slow` says how the batch before it went.
    pub(crate) fn next_of_thread(&self, groups: &mut Vec<PutGroup>, slow: bool) -> bool {
        let mut state = self.state.lock();
        if state.turn == Turn::Thread {
            state.slow = slow;
        }
        loop {
            if state.turn == Turn::Thread {
                if !state.groups.is_empty() {
                    state.give(groups);
                    return true;
                }
                state.turn = Turn::Nobody;
            }
            if state.closed && state.turn == Turn::Nobody {
                return false;
            }
            self.wake.wait(&mut state);
        }
    }

    /// Takes all that waits now; false if nothing does.
    pub(crate) fn take_now(&self, groups: &mut Vec<PutGroup>) -> bool {
        let mut state = self.state.lock();
        state.give(groups);
        state.turn = Turn::Nobody;
        !groups.is_empty()
    }

    pub(crate) fn close(&self) {
        self.state.lock().closed = true;
        self.wake.notify_all();
    }

    /// Puts and bytes that wait.
    pub(crate) fn depth(&self) -> (usize, usize) {
        let state = self.state.lock();
        (state.puts, state.bytes)
    }
}

fn refuse(group: PutGroup, error: &PutError) {
    let mut results: Vec<_> =
        group.puts.iter().map(|put| (put.token, Err(error.clone()))).collect();
    let done: Arc<dyn PutDone> = group.done;
    done.done(&mut results);
}

/// Whether puts are let in.
#[derive(Default)]
pub(crate) struct Gate {
    shut: AtomicBool,
    failed: Mutex<Option<Arc<str>>>,
    /// Used percent of the disk while that is too much, else 0.
    full_percent: AtomicU8,
    queues_failing: AtomicBool,
}

impl Gate {
    /// After a failed write or sync: nothing is retried, what reached the disk is unknown.
    pub(crate) fn fail(&self, reason: &str) {
        let mut failed = self.failed.lock();
        if failed.is_none() {
            tracing::error!(reason, "the log stopped; restart the broker to recover it");
            *failed = Some(reason.into());
        }
        self.shut.store(true, Ordering::Release);
    }

    pub(crate) fn failure(&self) -> Option<Arc<str>> {
        if !self.shut.load(Ordering::Acquire) {
            return None;
        }
        self.failed.lock().clone()
    }

    pub(crate) fn set_full(&self, percent: Option<u8>) {
        let before = self.full_percent.swap(percent.unwrap_or(0), Ordering::AcqRel);
        match (before, percent) {
            (0, Some(percent)) => tracing::error!(percent, "disk full, puts are refused"),
            (1.., None) => tracing::info!("disk has space again, puts are accepted"),
            _ => {}
        }
    }

    pub(crate) fn set_queues_failing(&self, failing: bool) {
        self.queues_failing.store(failing, Ordering::Release);
    }

    /// Why puts are refused now.
    pub(crate) fn refusal(&self, limit: u8) -> Option<PutError> {
        if let Some(reason) = self.failure() {
            return Some(PutError::Failed { reason });
        }
        match self.full_percent.load(Ordering::Acquire) {
            0 => None,
            percent => Some(PutError::DiskFull { percent, limit }),
        }
    }

    pub(crate) fn queues_failing(&self) -> bool {
        self.queues_failing.load(Ordering::Acquire)
    }
}
