//! What putters and observers are told.

use crate::support::*;
use rmq_store::{OsDisk, PutError, Store};
use rmq_testkit::clock::FakeClock;
use std::sync::Arc;

#[test]
fn the_observer_is_told_once_per_batch_after_messages_can_be_read() {
    use rmq_store::{Arrival, Arrivals, Observers};
    /// Topic, queue, next offset, tags code, queued.
    type Batch = Vec<(String, u32, u64, i64, bool)>;
    #[derive(Default)]
    struct Seen(parking_lot::Mutex<Vec<Batch>>);
    impl Arrivals for Seen {
        fn arrived(&self, batch: &[Arrival]) {
            let one = |arrival: &Arrival| {
                let queue = &arrival.queue;
                assert!(!arrival.queued || queue.max_offset() >= arrival.next_offset());
                let text = rmq_record::properties::get(arrival.properties(), "TAGS");
                assert_eq!(text.map_or(0, rmq_record::tags_code), arrival.tags_code);
                let topic = queue.topic().to_string();
                (topic, queue.id(), arrival.next_offset(), arrival.tags_code, arrival.queued)
            };
            self.0.lock().push(batch.iter().map(one).collect());
        }
    }
    for property_crc in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let seen = Arc::new(Seen::default());
        let clock: Arc<dyn rmq_model::Clock> = Arc::new(FakeClock::default());
        let observers = Observers { arrivals: seen.clone(), ..Observers::none() };
        let config = rmq_store::StoreConfig { property_crc, ..config(dir.path()) };
        let store = Store::open(config, OsDisk, clock, observers).unwrap();
        let mut half = message("T", 0, "half");
        half.sys_flag = 4;
        let tagged = with_properties("U", 3, "x", &[("TAGS", "TagA")]);
        put_all(&store, &[message("T", 0, "x"), half, tagged]);
        put(&store, &message("T", 0, "y")).unwrap();
        eventually("both batches arrive", || seen.0.lock().len() == 2);
        let want = [
            vec![
                ("T".to_owned(), 0, 1, 0, true),
                ("T".to_owned(), 0, 1, 0, false),
                ("U".to_owned(), 3, 1, 2_598_919, true),
            ],
            vec![("T".to_owned(), 0, 2, 0, true)],
        ];
        assert_eq!(*seen.0.lock(), want);
        let record = read(&store, "U", 3, 0).records;
        let verified = rmq_record::property_crc::verify(&record);
        assert_eq!(verified, property_crc.then_some(true));
    }
}

#[test]
fn a_full_inbox_is_busy_at_once() {
    use rmq_store::{OneOrMany, Put, PutDone, PutGroup, PutResult};
    /// Holds whoever stores until told.
    #[derive(Default)]
    struct Stuck {
        entered: parking_lot::Mutex<usize>,
        go: parking_lot::Condvar,
        open: parking_lot::Mutex<bool>,
    }
    impl PutDone for Stuck {
        fn done(&self, results: &mut Vec<PutResult>) {
            *self.entered.lock() += results.len();
            self.go.wait_while(&mut self.open.lock(), |open| !*open);
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(dir.path());
    config.inbox = rmq_store::InboxConfig { puts_max: 3, bytes_max: 1 << 20 };
    let store = open(config);
    let stuck = Arc::new(Stuck::default());
    let group = |token| {
        let messages = OneOrMany::One(store.prepare(&message("T", 0, "x")).unwrap());
        let done: Arc<dyn PutDone> = stuck.clone();
        PutGroup { puts: vec![Put { token, messages, wait: true }], done }
    };
    let first = std::thread::spawn({
        let (store, first) = (store.clone(), group(0));
        move || store.put(first).unwrap()
    });
    eventually("whoever stores is held", || *stuck.entered.lock() == 1);
    for token in 1..=3 {
        store.put(group(token)).unwrap();
    }
    let refused = store.put(group(4)).unwrap_err();
    assert_eq!(refused.puts[0].token, 4, "it comes back whole");
    *stuck.open.lock() = true;
    stuck.go.notify_all();
    eventually("what waited is stored", || *stuck.entered.lock() == 4);
    first.join().unwrap();
    store.put(group(5)).unwrap();
    eventually("there is room again", || *stuck.entered.lock() == 5);
    assert_eq!(store.max_offset("T", 0), 5);
}

#[test]
fn a_put_that_does_not_wait_is_answered_before_the_sync() {
    use rmq_store::{FlushMode, OneOrMany, Put, PutGroup};
    use rmq_testkit::disk::{FaultDisk, Faults};
    let disk = FaultDisk::default();
    let mut config = config(root());
    config.flush = FlushMode::SYNC;
    let store = open_on(&disk, config);
    put(&store, &message("T", 0, "first")).unwrap();
    disk.set_faults(Faults { sync_fails: true, ..Faults::default() });
    let results = Arc::new(Results::default());
    let one = |token, wait| {
        let messages = OneOrMany::One(store.prepare(&message("T", 0, "x")).unwrap());
        Put { token, messages, wait }
    };
    let puts = vec![one(0, false), one(1, true)];
    store.put(PutGroup { puts, done: results.clone() }).unwrap();
    let results = results.wait(2);
    assert!(results[0].1.is_ok(), "WAIT=false does not hear of the sync");
    assert!(matches!(results[1].1, Err(PutError::Failed { .. })));
}

#[test]
fn a_slow_sync_is_reported_when_its_time_is_over() {
    use rmq_store::{FlushMode, Observers, OneOrMany, Put, PutGroup, PutStatus, Store};
    use rmq_testkit::clock::FakeClock;
    use rmq_testkit::disk::FaultDisk;
    use std::time::Duration;
    let (disk, clock) = (FaultDisk::default(), Arc::new(FakeClock::default()));
    let mut config = config(root());
    config.flush = FlushMode::Sync { timeout: Duration::from_millis(2) };
    let store = Store::open(config, disk.clone(), clock.clone(), Observers::none()).unwrap();
    let first = put(&store, &message("T", 0, "first")).unwrap();
    assert_eq!(first.status, PutStatus::Stored);

    disk.hold_syncs(true);
    let results = Arc::new(Results::default());
    let messages = OneOrMany::One(store.prepare(&message("T", 0, "slow")).unwrap());
    let puts = vec![Put { token: 0, messages, wait: true }];
    store.put(PutGroup { puts, done: results.clone() }).unwrap();
    eventually("an answer comes while the sync goes on", || {
        clock.advance(Duration::from_millis(1));
        results.count() == 1
    });
    let slow = results.wait(1).remove(0).1.unwrap();
    assert_eq!((slow.status, slow.queue_offset), (PutStatus::FlushDiskTimeout, 1));
    disk.hold_syncs(false);
    eventually("it is stored", || bodies(&store, "T", 0) == ["first", "slow"]);
    assert_eq!(results.count(), 0, "nobody is answered twice");
    let next = put(&store, &message("T", 0, "next")).unwrap();
    assert_eq!((next.status, next.queue_offset), (PutStatus::Stored, 2));
}
