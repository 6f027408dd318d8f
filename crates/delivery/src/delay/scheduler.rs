//! Delivery of waiting messages as a step machine.
//!
//! Each level is a queue whose entries become due in the order they were stored. The shell asks
//! [`Scheduler::orders`] what to read, hands in what it read, stores what it is told to deliver,
//! and reports each as done or failed. The progress of a level is the offset below which
//! everything was delivered: it never passes a message that is still on its way, so that a crash
//! delivers again but never loses.

use super::Levels;
use rmq_model::{DataVersion, Millis};
use std::collections::{BTreeMap, VecDeque};

/// Messages of one level on their way at one time.
pub const IN_FLIGHT_MAX: usize = 512;
/// Entries read at one time.
pub const READ_MAX: u32 = 128;
/// A level without entries is looked at this often, in case an arrival was not reported.
pub const IDLE_POLL_MS: Millis = 1_000;
/// Wait before a failed delivery is tried again.
pub const RETRY_MS: Millis = 500;
/// The version rises with every so many deliveries (`delayOffsetUpdateVersionStep`).
pub const VERSION_STEP: u64 = 200;

/// Please read up to `max` entries of a level from `from` on, and hand them in with
/// [`Scheduler::read`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadOrder {
    /// Level, from 1; the queue is one less.
    pub level: u32,
    /// Queue offset.
    pub from: i64,
    /// Number of entries.
    pub max: u32,
}

/// An entry of a level's queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its queue offset.
    pub offset: i64,
    /// When it becomes due: its tags code, or its store time and the delay of its level.
    pub due: Millis,
}

/// What was read for a [`ReadOrder`].
#[derive(Clone, Copy, Debug)]
pub struct LevelRead<'a> {
    /// As ordered.
    pub order: ReadOrder,
    /// Entries in ascending order; those that could not be read are left out.
    pub entries: &'a [Entry],
    /// Offset after the last entry examined, readable or not; `order.from` if none was.
    pub next: i64,
    /// Beginning of the queue.
    pub min: i64,
    /// End of the queue.
    pub max: i64,
}

/// Please store this message where it belongs, and report it with [`Scheduler::delivered`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deliver {
    /// Level.
    pub level: u32,
    /// Queue offset of its entry.
    pub offset: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    OnItsWay,
    Delivered,
    Failed,
}

#[derive(Debug)]
struct Level {
    delay_ms: Millis,
    /// First offset not examined yet.
    next: i64,
    /// Examined and not known to be delivered from the first on, ascending.
    flights: VecDeque<(i64, State)>,
    failed: usize,
    /// When to read next.
    wake: Millis,
    /// Earliest due time of what arrived since the last read was ordered.
    arrived: Millis,
    /// A read was ordered and not handed in yet.
    reading: bool,
}

impl Level {
    /// Everything below was delivered.
    fn progress(&self) -> i64 {
        self.flights.front().map_or(self.next, |(offset, _)| *offset)
    }
}

/// Delivery of all levels.
#[derive(Debug)]
pub struct Scheduler {
    levels: Vec<Level>,
    deliveries: u64,
    version: DataVersion,
    state_version: i64,
    dirty: bool,
}

impl Scheduler {
    /// Goes on from the stored progress (`delayOffset.json`: level → offset); levels without begin
    /// at 0.
    pub fn new(levels: &Levels, progress: &BTreeMap<i32, i64>, version: DataVersion) -> Self {
        let make = |(level, delay_ms): (i32, &Millis)| Level {
            delay_ms: *delay_ms,
            next: progress.get(&level).copied().unwrap_or(0).max(0),
            flights: VecDeque::new(),
            failed: 0,
            wake: Millis::MIN,
            arrived: Millis::MAX,
            reading: false,
        };
        let levels = (1..).zip(levels.delays_ms()).map(make).collect();
        Self { levels, deliveries: 0, version, state_version: 0, dirty: false }
    }

    /// The progress to store: level → offset.
    pub fn progress(&self) -> BTreeMap<i32, i64> {
        (1..).zip(&self.levels).map(|(level, state)| (level, state.progress())).collect()
    }

    /// Version of the progress.
    pub fn version(&self) -> DataVersion {
        self.version
    }

    /// From now on changes carry this epoch.
    pub fn set_state_version(&mut self, state_version: i64) {
        self.state_version = state_version;
    }

    /// Whether the progress changed since the last call: then the file must be written.
    pub fn take_dirty(&mut self) -> bool {
        std::mem::take(&mut self.dirty)
    }

    fn level(&mut self, level: u32) -> Option<&mut Level> {
        self.levels.get_mut(usize::try_from(level).ok()?.checked_sub(1)?)
    }

    /// Adds what should be read now.
    pub fn orders(&mut self, now: Millis, orders: &mut Vec<ReadOrder>) {
        for (level, state) in (1..).zip(&mut self.levels) {
            if state.reading || now < state.wake {
                continue;
            }
            if state.failed != 0 {
                // Nothing new goes out before what failed has gone again.
                let first = state.flights.iter().find(|(_, flight)| *flight == State::Failed);
                if let Some((from, _)) = first {
                    orders.push(ReadOrder { level, from: *from, max: READ_MAX });
                    state.reading = true;
                }
                continue;
            }
            let room = IN_FLIGHT_MAX.saturating_sub(state.flights.len());
            let max = READ_MAX.min(u32::try_from(room).unwrap_or(READ_MAX));
            if max == 0 {
                continue; // a completion makes room and wakes
            }
            orders.push(ReadOrder { level, from: state.next, max });
            state.reading = true;
            state.arrived = Millis::MAX;
        }
    }

    /// Takes what was read and adds what must be delivered now, in order.
    pub fn read(&mut self, now: Millis, read: &LevelRead<'_>, deliver: &mut Vec<Deliver>) {
        let LevelRead { order, entries, next, min, max } = *read;
        let Some(state) = self.level(order.level) else { return };
        if !std::mem::take(&mut state.reading) {
            return;
        }
        if state.failed != 0 {
            self.redeliver(now, read, deliver);
            return;
        }
        if order.from != state.next {
            return; // a reset came between
        }
        state.wake = now.saturating_add(IDLE_POLL_MS).min(state.arrived);
        if order.from < min {
            state.next = min; // retention was faster
            state.wake = now;
            self.dirty = true;
            return;
        }
        if max < order.from {
            state.next = max; // the queue was cut by a recovery
            self.dirty = true;
            return;
        }
        let latest = now.saturating_add(state.delay_ms);
        let mut examined = next.max(order.from);
        let mut next_due = None;
        for entry in entries {
            if entry.offset < state.next {
                continue;
            }
            // Further ahead than the level allows: the clock stepped back, or the level became
            // shorter. The reference delivers such a message at once.
            if now < entry.due && entry.due <= latest {
                next_due = Some(entry.due);
                examined = entry.offset;
                break;
            }
            state.flights.push_back((entry.offset, State::OnItsWay));
            deliver.push(Deliver { level: order.level, offset: entry.offset });
        }
        let moved = state.next < examined;
        state.next = state.next.max(examined);
        match next_due {
            Some(due) => state.wake = due,
            None if moved => state.wake = now, // there may be more
            None => {}
        }
        if moved {
            self.dirty = true;
        }
    }

    fn redeliver(&mut self, now: Millis, read: &LevelRead<'_>, deliver: &mut Vec<Deliver>) {
        let Some(state) = self.level(read.order.level) else { return };
        state.wake = now.saturating_add(RETRY_MS);
        let mut again = 0;
        for (offset, flight) in &mut state.flights {
            if *flight != State::Failed || *offset < read.order.from {
                continue;
            }
            if read.entries.iter().any(|entry| entry.offset == *offset) {
                *flight = State::OnItsWay;
                deliver.push(Deliver { level: read.order.level, offset: *offset });
                again += 1;
            } else if *offset < read.next.max(read.min) {
                *flight = State::Delivered; // it is no longer there: nobody can deliver it
                again += 1;
            }
        }
        state.failed -= again;
        if state.failed == 0 {
            state.wake = now;
        }
        self.settle(now, read.order.level);
    }

    /// Takes the outcome of a delivery, in whatever order they come.
    pub fn delivered(&mut self, now: Millis, delivery: Deliver, ok: bool) {
        let Some(state) = self.level(delivery.level) else { return };
        let Ok(at) = state.flights.binary_search_by_key(&delivery.offset, |(offset, _)| *offset)
        else {
            return;
        };
        let Some((_, flight)) = state.flights.get_mut(at) else { return };
        if *flight != State::OnItsWay {
            return;
        }
        if ok {
            *flight = State::Delivered;
            self.deliveries += 1;
            if self.deliveries.is_multiple_of(VERSION_STEP) {
                self.version = self.version.next(self.state_version, now);
            }
        } else {
            *flight = State::Failed;
            state.failed += 1;
            state.wake = now.saturating_add(RETRY_MS);
        }
        self.settle(now, delivery.level);
    }

    /// Moves the progress past what was delivered.
    fn settle(&mut self, now: Millis, level: u32) {
        let Some(state) = self.level(level) else { return };
        let was_full = IN_FLIGHT_MAX <= state.flights.len();
        let before = state.progress();
        while state.flights.front().is_some_and(|(_, flight)| *flight == State::Delivered) {
            state.flights.pop_front();
        }
        if was_full && state.flights.len() < IN_FLIGHT_MAX && state.failed == 0 {
            state.wake = state.wake.min(now);
        }
        if before != state.progress() {
            self.dirty = true;
        }
    }

    /// A message came into a level's queue: it will be due then.
    pub fn arrived(&mut self, level: u32, due: Millis) {
        if let Some(state) = self.level(level) {
            state.arrived = state.arrived.min(due);
            if state.failed == 0 {
                state.wake = state.wake.min(due);
            }
        }
    }

    /// When [`Scheduler::orders`] has something to say next; `None` while everything waits for
    /// reads or deliveries to be reported.
    pub fn wake_at(&self) -> Option<Millis> {
        let waiting = self
            .levels
            .iter()
            .filter(|level| !level.reading)
            .filter(|level| level.failed != 0 || level.flights.len() < IN_FLIGHT_MAX);
        waiting.map(|level| level.wake).min()
    }
}
