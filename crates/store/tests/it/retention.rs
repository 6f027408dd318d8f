//! What is deleted when.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use crate::support::*;
use rmq_model::Clock;
use rmq_store::{Observers, ReadStatus, Retention, Store, StoreConfig};
use rmq_testkit::clock::FakeClock;
use rmq_testkit::disk::{FaultDisk, Faults};
use std::sync::Arc;
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3600);

struct Fixture {
    disk: FaultDisk,
    clock: Arc<FakeClock>,
    store: Store,
}

/// Ten segments with two messages each, an hour between segments.
fn fixture(retention: Retention) -> Fixture {
    let (disk, clock) = (FaultDisk::default(), Arc::new(FakeClock::default()));
    let config = StoreConfig { retention, ..config(root()) };
    let dyn_clock: Arc<dyn Clock> = clock.clone();
    let store = Store::open(config, disk.clone(), dyn_clock, Observers::none()).unwrap();
    for _ in 0..10 {
        disk.set_time(clock.now());
        for _ in 0..2 {
            put(&store, &with_properties("T", 0, &"x".repeat(1900), &[("KEYS", "k")])).unwrap();
        }
        clock.advance(HOUR);
    }
    store.flush().unwrap();
    Fixture { disk, clock, store }
}

fn quiet() -> Retention {
    Retention { delete_hours: Vec::new(), ..Retention::default() }
}

#[test]
fn expired_segments_go_and_with_them_what_points_to_them() {
    let Fixture { clock, store, disk } = fixture(quiet());
    assert_eq!(store.clean_expired().unwrap(), 0);
    // The fifth segment was written 72 hours and a bit ago, the sixth was not.
    clock.advance(HOUR * 67 + Duration::from_secs(1));
    assert_eq!(store.clean_expired().unwrap(), 5);
    assert_eq!(store.status().log_min.0, 5 * 4096);
    assert_eq!((store.min_offset("T", 0), store.max_offset("T", 0)), (10, 20));
    let result = read(&store, "T", 0, 3);
    assert_eq!((result.status, result.next_offset), (ReadStatus::OffsetTooSmall, 10));
    assert_eq!(bodies(&store, "T", 0).len(), 10);
    assert_eq!(store.query("T", "k", 64, 0, i64::MAX).unwrap().records.len(), 10);
    store.close().unwrap();
    let store = open_on(&disk, config(root()));
    assert_eq!((store.min_offset("T", 0), store.max_offset("T", 0)), (10, 20));
}

#[test]
fn the_rules_can_change_while_the_store_is_open() {
    let Fixture { store, clock, .. } = fixture(quiet());
    assert_eq!(store.clean_expired().unwrap(), 0);
    // The fifth segment got its filler five hours ago, with the first message of the sixth: it is
    // as old as may be.
    store.set_retention(Retention { keep: HOUR * 5, warning_percent: 99, ..quiet() });
    clock.advance(Duration::from_secs(1));
    assert_eq!(store.clean_expired().unwrap(), 5);
    store.set_retention(quiet());
    assert_eq!(store.clean_expired().unwrap(), 0);
}

#[test]
fn the_last_segment_stays_however_old() {
    let Fixture { clock, store, .. } = fixture(quiet());
    clock.advance(HOUR * 1000);
    assert_eq!(store.clean_expired().unwrap(), 9);
    assert_eq!(store.status().segments, 1);
    assert_eq!(put(&store, &message("T", 0, "next")).unwrap().queue_offset, 20);
    assert_eq!(store.min_offset("T", 0), 18);
}

#[test]
fn queue_files_of_deleted_segments_go_but_for_the_last() {
    let (disk, clock) = (FaultDisk::default(), Arc::new(FakeClock::default()));
    let config = StoreConfig { retention: quiet(), ..config(root()) };
    let dyn_clock: Arc<dyn Clock> = clock.clone();
    let store = Store::open(config, disk.clone(), dyn_clock, Observers::none()).unwrap();
    for n in 0..40 {
        put(&store, &message("T", 0, &format!("{n:0>400}"))).unwrap();
    }
    store.flush().unwrap();
    clock.advance(HOUR * 1000);
    assert!(store.clean_expired().unwrap() > 3);
    let file = |n| root().join(format!("consumequeue/T/0/{:020}", n * 320));
    assert!(disk.content(&file(0)).is_none() && disk.content(&file(2)).is_some());
    let first = read(&store, "T", 0, store.min_offset("T", 0));
    assert_eq!(first.status, ReadStatus::Found);
}

#[test]
fn little_space_takes_the_oldest_whatever_their_age() {
    let retention =
        Retention { every: Duration::ZERO, check_space_every: Duration::from_millis(2), ..quiet() };
    let Fixture { disk, store, .. } = fixture(retention);
    disk.set_faults(Faults { used_percent: 84, ..Faults::default() });
    assert_eq!(store.status().log_min.0, 0, "nothing is expired");
    disk.set_faults(Faults { used_percent: 86, ..Faults::default() });
    eventually("a segment is deleted", || store.status().log_min.0 > 0);
    disk.set_faults(Faults::default());
    assert!(store.refusal().is_none());
    assert_eq!(read(&store, "T", 0, store.min_offset("T", 0)).status, ReadStatus::Found);
}
