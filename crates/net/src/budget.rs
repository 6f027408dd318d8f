//! Bytes of requests in flight on all connections of a server.

use std::sync::atomic::{AtomicUsize, Ordering};

/// A sum with a bound. Charging never fails: the bound only says when to stop reading, so the sum can
/// exceed it by what each connection had read already.
#[derive(Debug)]
pub(crate) struct Budget {
    used: AtomicUsize,
    max: usize,
}

impl Budget {
    pub(crate) fn new(max: usize) -> Self {
        Self { used: AtomicUsize::new(0), max }
    }

    pub(crate) fn charge(&self, bytes: usize) {
        self.used.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn release(&self, bytes: usize) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
    }

    pub(crate) fn is_exhausted(&self) -> bool {
        self.max <= self.used.load(Ordering::Relaxed)
    }
}
