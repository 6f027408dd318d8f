//! Who stores: the caller, or the log's thread.
#![expect(clippy::unwrap_used, reason = "tests")]

use crate::support::{config, message, open, open_with};
use parking_lot::{Condvar, Mutex};
use rmq_store::{FlushMode, OneOrMany, Put, PutDone, PutGroup, PutResult, Store};
use rmq_testkit::clock::FakeClock;
use std::sync::Arc;
use std::thread::ThreadId;
use std::time::Duration;

/// Notes the thread that gives results; meanwhile so much time passes on the store's clock.
#[derive(Default)]
struct Where {
    at: Mutex<Option<ThreadId>>,
    wake: Condvar,
    passes: Option<(Arc<FakeClock>, Duration)>,
}

impl PutDone for Where {
    fn done(&self, results: &mut Vec<PutResult>) {
        for (_, result) in results.drain(..) {
            result.unwrap();
        }
        if let Some((clock, time)) = &self.passes {
            clock.advance(*time);
        }
        *self.at.lock() = Some(std::thread::current().id());
        self.wake.notify_all();
    }
}

/// Whether the caller of a put stored it.
fn by_caller(store: &Store, passes: Option<(Arc<FakeClock>, Duration)>) -> bool {
    let place = Arc::new(Where { passes, ..Where::default() });
    let messages = OneOrMany::One(store.prepare(&message("T", 0, "x")).unwrap());
    let puts = vec![Put { token: 0, messages, wait: true }];
    store.put(PutGroup { puts, done: place.clone() }).unwrap();
    let mut at = place.at.lock();
    place.wake.wait_while(&mut at, |at| at.is_none());
    *at == Some(std::thread::current().id())
}

#[test]
fn a_caller_that_need_not_wait_for_the_disk_stores_itself() {
    let dir = tempfile::tempdir().unwrap();
    for (flush, want) in [(FlushMode::ASYNC, true), (FlushMode::SYNC, false)] {
        let mut config = config(dir.path());
        config.flush = flush;
        let store = open(config);
        assert_eq!(by_caller(&store, None), want, "{flush:?}");
        store.close().unwrap();
    }
}

#[test]
fn while_batches_are_slow_the_thread_of_the_log_stores() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(FakeClock::default());
    let store = open_with(config(dir.path()), &clock);
    let slow = || Some((Arc::clone(&clock), Duration::from_millis(6)));
    assert!(by_caller(&store, slow()), "the first does not know");
    assert!(!by_caller(&store, slow()));
    assert!(!by_caller(&store, None));
    // The thread tells how its batch went only after it gave the results.
    crate::support::eventually("callers store again", || by_caller(&store, None));
    assert_eq!(clock_time(&clock), Duration::from_millis(12));
    store.close().unwrap();
}

fn clock_time(clock: &FakeClock) -> Duration {
    rmq_model::Clock::monotonic(clock)
}

#[test]
fn many_callers_lose_nothing_and_repeat_no_offset() {
    const CALLERS: usize = 6;
    const PUTS: usize = 300;
    #[derive(Default)]
    struct All(Mutex<Vec<u64>>, Condvar);
    impl PutDone for All {
        fn done(&self, results: &mut Vec<PutResult>) {
            let offsets = results.drain(..).map(|(_, result)| result.unwrap().queue_offset);
            self.0.lock().extend(offsets);
            self.1.notify_all();
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let store = open(config(dir.path()));
    let all = Arc::new(All::default());
    std::thread::scope(|scope| {
        for _ in 0..CALLERS {
            scope.spawn(|| {
                for token in 0..PUTS {
                    let messages = OneOrMany::One(store.prepare(&message("T", 0, "x")).unwrap());
                    let token = u64::try_from(token).unwrap();
                    let puts = vec![Put { token, messages, wait: true }];
                    store.put(PutGroup { puts, done: all.clone() }).unwrap();
                }
            });
        }
    });
    let mut offsets = all.0.lock();
    all.1.wait_while(&mut offsets, |offsets| offsets.len() < CALLERS * PUTS);
    offsets.sort_unstable();
    let want: Vec<u64> = (0..).take(CALLERS * PUTS).collect();
    assert_eq!(*offsets, want);
    drop(offsets);
    assert_eq!(store.max_offset("T", 0), i64::try_from(CALLERS * PUTS).unwrap());
    store.close().unwrap();
}
