//! Answers of sends that wait for replicas.

use super::MasterSide;
use parking_lot::Mutex;
use rmq_host::metrics::Histogram;
use rmq_model::LogOffset;
use rmq_replica::{Outcome, WaitToken};
use rmq_store::{Put, PutDone, PutResult, PutStatus};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Bounds of waits, milliseconds.
const WAITS_MS: &[f64] =
    &[0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 250.0, 500.0, 1_000.0, 3_000.0, 10_000.0];

/// A result that is held back, whom it belongs to, and since when.
type Owned = (Arc<dyn PutDone>, PutResult, Duration);

/// All of them.
pub(super) struct Held {
    next: AtomicU64,
    results: Mutex<HashMap<WaitToken, Owned>>,
    /// How long results were held back.
    waited: Histogram,
}

impl Default for Held {
    fn default() -> Self {
        let waited = Histogram::new(WAITS_MS);
        Self { next: AtomicU64::new(0), results: Mutex::default(), waited }
    }
}

impl Held {
    /// How long results were held back, milliseconds.
    pub(super) fn waited(&self) -> &Histogram {
        &self.waited
    }

    fn add(&self, now: Duration, done: &Arc<dyn PutDone>, result: PutResult) -> WaitToken {
        let token = WaitToken(self.next.fetch_add(1, Ordering::Relaxed));
        self.results.lock().insert(token, (Arc::clone(done), result, now));
        token
    }

    /// Passes results on whose waits are over: those of one receiver together.
    pub(super) fn release(&self, now: Duration, over: &[(WaitToken, Outcome)]) {
        let mut by_receiver: Vec<(Arc<dyn PutDone>, Vec<PutResult>)> = Vec::new();
        {
            let mut results = self.results.lock();
            for (token, outcome) in over {
                let Some((done, (put, result), since)) = results.remove(token) else { continue };
                self.waited.observe(now.saturating_sub(since).as_secs_f64() * 1_000.0);
                let result = result.map(|mut ok| {
                    match outcome {
                        Outcome::Replicated => {}
                        Outcome::Timeout => ok.status = PutStatus::ReplicaTimeout,
                        Outcome::NoSlave => ok.status = PutStatus::NoReplica,
                    }
                    ok
                });
                let same = |(known, _): &&mut (Arc<dyn PutDone>, Vec<PutResult>)| {
                    std::ptr::addr_eq(Arc::as_ptr(known), Arc::as_ptr(&done))
                };
                match by_receiver.iter_mut().rev().find(same) {
                    Some((_, results)) => results.push((put, result)),
                    None => by_receiver.push((done, vec![(put, result)])),
                }
            }
        }
        for (done, mut results) in by_receiver {
            done.done(&mut results);
        }
    }
}

/// Stands between the log and who sent: results of sends that wait are held back until there are
/// copies enough.
struct Waited {
    side: Arc<MasterSide>,
    done: Arc<dyn PutDone>,
    /// By token of the put.
    waits: Vec<(u64, bool)>,
}

/// Wraps a receiver of results whose puts wait for replicas, if any does.
pub(crate) fn hold(
    side: &Arc<MasterSide>,
    puts: &[Put],
    done: Arc<dyn PutDone>,
) -> Arc<dyn PutDone> {
    if !side.waits() || puts.iter().all(|put| !put.wait) {
        return done;
    }
    let waits = puts.iter().map(|put| (put.token, put.wait)).collect();
    Arc::new(Waited { side: Arc::clone(side), done, waits })
}

impl PutDone for Waited {
    fn done(&self, results: &mut Vec<PutResult>) {
        let waits = |token: u64| self.waits.iter().any(|(known, wait)| *known == token && *wait);
        let mut puts: Vec<(WaitToken, LogOffset)> = Vec::new();
        let mut at_once = Vec::new();
        let now = self.side.now();
        for result in results.drain(..) {
            match &result {
                (token, Ok(ok)) if waits(*token) => {
                    let end = ok.end;
                    puts.push((self.side.held().add(now, &self.done, result), end));
                }
                _ => at_once.push(result),
            }
        }
        if !at_once.is_empty() {
            self.done.done(&mut at_once);
        }
        if !puts.is_empty() {
            self.side.wait(puts);
        }
    }
}
