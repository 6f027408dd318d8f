//! Pulls that wait for messages: the shell around [`Hold`].
//!
//! The log's writer only moves who is woken into a list and wakes one task, once per batch of the
//! log; that task repeats the pulls.

use crate::service::pull::Parked;
use parking_lot::Mutex;
use rmq_delivery::hold::{Hold, Park, Parked as Place};
use rmq_delivery::{ConnId, filter::Matcher};
use rmq_model::Millis;
use rmq_model::name::SCHEDULE_TOPIC;
use rmq_store::{Arrival, Arrivals};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::Notify;

/// Waiting pulls, and those that are to be repeated.
pub struct Waiting {
    hold: Mutex<Hold<Parked>>,
    /// As many as `hold` has, for the log's writer to see without the lock.
    count: AtomicUsize,
    ready: Mutex<Vec<Parked>>,
    wake: Notify,
    /// Levels whose queue got a message, with the time the first of them is due.
    delayed: Mutex<BTreeMap<u32, Millis>>,
    delayed_wake: Notify,
}

impl fmt::Debug for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Waiting").field("count", &self.len()).finish_non_exhaustive()
    }
}

impl Waiting {
    /// At most `max` wait.
    pub fn new(max: usize) -> Self {
        Self {
            hold: Mutex::new(Hold::new(max)),
            count: AtomicUsize::new(0),
            ready: Mutex::default(),
            wake: Notify::new(),
            delayed: Mutex::default(),
            delayed_wake: Notify::new(),
        }
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Lets a pull wait. `max_offset` reads the end of its queue; it is called under the lock that
    /// arrivals take too, so that no message falls in between.
    pub fn park(
        &self,
        conn: ConnId,
        deadline: Millis,
        matcher: &Arc<Matcher>,
        parked: Parked,
        max_offset: impl FnOnce() -> i64,
    ) -> Park<Parked> {
        let topic = Arc::clone(parked.topic_name());
        let (queue, offset) = (parked.queue, parked.offset);
        let place = Place { conn, offset, deadline, matcher: Arc::clone(matcher), payload: parked };
        let mut hold = self.hold.lock();
        // Counted before the end is read: an arrival after that sees the count.
        self.count.store(hold.len().saturating_add(1), Ordering::SeqCst);
        let result = hold.park(&topic, queue, max_offset(), place);
        self.count.store(hold.len(), Ordering::SeqCst);
        result
    }

    /// Waits until [`Waiting::take_ready`] has something.
    pub async fn woken(&self) {
        self.wake.notified().await;
    }

    /// Waits until a message for the delay levels arrived.
    pub async fn delayed(&self) {
        self.delayed_wake.notified().await;
    }

    /// Levels whose queue got a message since the last call, with the earliest time due.
    pub fn take_delayed(&self) -> BTreeMap<u32, Millis> {
        std::mem::take(&mut self.delayed.lock())
    }

    fn note_delayed(&self, batch: &[Arrival]) {
        let is_delayed = |arrival: &&Arrival| &**arrival.queue.topic() == SCHEDULE_TOPIC;
        let mut any = false;
        for arrival in batch.iter().filter(is_delayed) {
            let level = arrival.queue.id().saturating_add(1);
            let mut delayed = self.delayed.lock();
            let due = delayed.entry(level).or_insert(Millis::MAX);
            *due = arrival.tags_code.min(*due);
            any = true;
        }
        if any {
            self.delayed_wake.notify_one();
        }
    }

    /// Those to be repeated, in the order of their queues.
    pub fn take_ready(&self) -> Vec<Parked> {
        std::mem::take(&mut self.ready.lock())
    }

    /// Those whose time is over.
    pub fn take_expired(&self, now: Millis) -> Vec<Parked> {
        let mut over = Vec::new();
        if !self.is_empty() {
            let mut hold = self.hold.lock();
            hold.expire(now, &mut over);
            self.count.store(hold.len(), Ordering::SeqCst);
        }
        over
    }

    /// Those whose queue has grown though nothing in it is for them.
    pub fn take_grown(&self, max_offset: impl FnMut(&str, u32) -> i64) -> Vec<Parked> {
        let mut grown = Vec::new();
        if !self.is_empty() {
            let mut hold = self.hold.lock();
            hold.recheck(max_offset, &mut grown);
            self.count.store(hold.len(), Ordering::SeqCst);
        }
        grown
    }

    /// Forgets the pulls of a closed connection.
    pub fn closed(&self, conn: ConnId) {
        if !self.is_empty() {
            let mut hold = self.hold.lock();
            let gone = hold.closed(conn);
            self.count.store(hold.len(), Ordering::SeqCst);
            drop(hold);
            drop(gone);
        }
    }

    /// Ends all waiting.
    pub fn drain(&self) -> Vec<Parked> {
        let mut hold = self.hold.lock();
        let all = hold.drain();
        self.count.store(0, Ordering::SeqCst);
        all
    }
}

impl Arrivals for Waiting {
    fn arrived(&self, batch: &[Arrival]) {
        self.note_delayed(batch);
        if self.count.load(Ordering::SeqCst) == 0 {
            return;
        }
        let mut woken = Vec::new();
        let mut hold = self.hold.lock();
        for arrival in batch.iter().filter(|arrival| arrival.queued) {
            let max = i64::try_from(arrival.next_offset()).unwrap_or(i64::MAX);
            hold.arrived(
                arrival.queue.topic(),
                arrival.queue.id(),
                max,
                arrival.tags_code,
                arrival.properties(),
                &mut woken,
            );
        }
        self.count.store(hold.len(), Ordering::SeqCst);
        drop(hold);
        if !woken.is_empty() {
            self.ready.lock().append(&mut woken);
            self.wake.notify_one();
        }
    }
}
