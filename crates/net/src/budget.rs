//! Bytes of requests in flight on all connections of a server.

use crate::connection::Connection;
use parking_lot::Mutex;
use std::sync::Weak;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// A sum with a bound. Charging never fails: the bound only says when to stop reading, so the sum can
/// exceed it by what each connection had read already.
#[derive(Debug)]
pub(crate) struct Budget {
    used: AtomicUsize,
    max: usize,
    /// Connections that do not read until there is room; at most one entry of each.
    waiting: Mutex<Vec<Weak<Connection>>>,
    /// `waiting` has entries: a release looks at nothing else while nobody waits.
    some_wait: AtomicBool,
}

impl Budget {
    pub(crate) fn new(max: usize) -> Self {
        Self {
            used: AtomicUsize::new(0),
            max,
            waiting: Mutex::default(),
            some_wait: AtomicBool::new(false),
        }
    }

    pub(crate) fn charge(&self, bytes: usize) {
        self.used.fetch_add(bytes, Ordering::SeqCst);
    }

    pub(crate) fn release(&self, bytes: usize) {
        self.used.fetch_sub(bytes, Ordering::SeqCst);
        if self.some_wait.load(Ordering::SeqCst) && !self.is_exhausted() {
            let waiting = {
                let mut waiting = self.waiting.lock();
                self.some_wait.store(false, Ordering::SeqCst);
                std::mem::take(&mut *waiting)
            };
            waiting.iter().filter_map(Weak::upgrade).for_each(|conn| conn.budget_has_room());
        }
    }

    pub(crate) fn is_exhausted(&self) -> bool {
        self.max <= self.used.load(Ordering::SeqCst)
    }

    /// Wakes `conn` at the first release that makes room. The caller looks at the bound once more
    /// afterwards: a release just before this has woken nobody.
    pub(crate) fn wake_later(&self, conn: Weak<Connection>) {
        let mut waiting = self.waiting.lock();
        waiting.push(conn);
        self.some_wait.store(true, Ordering::SeqCst);
    }
}
