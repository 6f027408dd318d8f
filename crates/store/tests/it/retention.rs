//! What is deleted when.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use crate::support::*;
use rmq_model::Clock;
use rmq_store::{Disk, Observers, OsDisk, ReadStatus, Retention, Steps, Store, StoreConfig};
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

/// Ten segments with two messages each on a store whose rounds the test does.
fn stepped(retention: Retention) -> (FaultDisk, Arc<FakeClock>, Store, Steps) {
    let Fixture { disk, store, clock } = fixture(quiet());
    store.close().unwrap();
    let config = StoreConfig { retention, ..config(root()) };
    let dyn_clock: Arc<dyn Clock> = clock.clone();
    let (store, steps) =
        Store::open_stepped(config, disk.clone(), dyn_clock, Observers::none()).unwrap();
    (disk, clock, store, steps)
}

#[test]
fn expired_segments_go_in_one_hour_of_the_day() {
    let mut hours = Vec::new();
    for hour in 0..24 {
        let retention =
            Retention { delete_hours: vec![hour], every: Duration::ZERO, ..Retention::default() };
        let (_, clock, store, mut steps) = stepped(retention);
        clock.advance(HOUR * 67 + Duration::from_secs(1));
        steps.upkeep();
        if store.status().log_min.0 > 0 {
            assert_eq!(store.status().log_min.0, 5 * 4096, "the expired ones and no other");
            hours.push(hour);
        }
    }
    assert_eq!(hours.len(), 1, "{hours:?}");
}

#[test]
fn above_the_first_level_of_use_expired_segments_go_at_any_hour() {
    let retention = Retention { every: Duration::ZERO, ..quiet() };
    let (disk, clock, store, mut steps) = stepped(retention);
    clock.advance(HOUR * 67 + Duration::from_secs(1));
    disk.set_faults(Faults { used_percent: 75, ..Faults::default() });
    steps.upkeep();
    assert_eq!(store.status().log_min.0, 0);
    disk.set_faults(Faults { used_percent: 76, ..Faults::default() });
    steps.upkeep();
    assert_eq!(store.status().log_min.0, 5 * 4096, "none that is younger");
}

#[test]
fn a_clock_that_steps_back_keeps_segments_and_takes_messages() {
    let every_hour = Retention { delete_hours: (0..24).collect(), ..Retention::default() };
    let (_, clock, store, mut steps) =
        stepped(Retention { every: Duration::from_secs(10), ..every_hour });
    let now = clock.now();
    clock.advance(Duration::from_secs(11));
    clock.step_wall(now - 365 * 24 * 3_600_000);
    steps.upkeep();
    assert_eq!(store.status().log_min.0, 0);
    // Rounds go by the other clock: they are not put off for a year.
    clock.step_wall(now + 67 * 3_600_000 + 1000);
    clock.advance(Duration::from_secs(11));
    steps.upkeep();
    assert_eq!(store.status().log_min.0, 5 * 4096);
    clock.step_wall(now - 365 * 24 * 3_600_000);
    let results = Arc::new(Results::default());
    let one = store.prepare(&message("T", 0, "late")).unwrap();
    let put = rmq_store::Put { token: 0, messages: rmq_store::OneOrMany::One(one), wait: true };
    let group = rmq_store::PutGroup { puts: vec![put], done: results.clone() };
    assert!(store.put(group).is_ok() && steps.append());
    assert_eq!(results.wait(1).remove(0).1.unwrap().queue_offset, 20);
}

#[test]
fn a_clock_far_ahead_leaves_the_last_segment_and_its_messages() {
    let every_hour = Retention { delete_hours: (0..24).collect(), ..Retention::default() };
    let (_, clock, store, mut steps) = stepped(Retention { every: Duration::ZERO, ..every_hour });
    clock.step_wall(clock.now() + 365 * 24 * 3_600_000);
    steps.upkeep();
    assert_eq!((store.status().segments, store.min_offset("T", 0)), (1, 18));
    assert_eq!(bodies(&store, "T", 0).len(), 2);
}

#[test]
fn files_removed_by_others_do_not_stop_retention() {
    let Fixture { clock, store, disk } = fixture(quiet());
    let segment = |n: u64| root().join(format!("commitlog/{:020}", n * 4096));
    disk.remove_file(&segment(0)).unwrap();
    disk.remove_file(&root().join("consumequeue/T/0/00000000000000000000")).unwrap();
    let index = disk.list(&root().join("index")).unwrap();
    for entry in &index {
        disk.remove_file(&root().join("index").join(&entry.name)).unwrap();
    }
    // An open file can be read as long as it is open.
    assert_eq!(read(&store, "T", 0, 0).status, ReadStatus::Found);
    clock.advance(HOUR * 67 + Duration::from_secs(1));
    assert_eq!(store.clean_expired().unwrap(), 5);
    // The lost file had the units of the first sixteen.
    assert_eq!((store.min_offset("T", 0), store.max_offset("T", 0)), (16, 20));
    let result = read(&store, "T", 0, 3);
    assert_eq!((result.status, result.next_offset), (ReadStatus::OffsetTooSmall, 16));
    assert_eq!(bodies(&store, "T", 0).len(), 4);
}

#[test]
fn what_was_read_from_the_oldest_segment_stays_valid_when_it_goes() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(FakeClock::default());
    let store = open_with(StoreConfig { retention: quiet(), ..config(dir.path()) }, &clock);
    for n in 0..20 {
        put(&store, &message("T", 0, &format!("{n:0>1900}"))).unwrap();
    }
    let first = read(&store, "T", 0, 0);
    // Files carry the machine's time: all of them are old in a thousand hours from then.
    let newest = OsDisk.list(&dir.path().join("commitlog")).unwrap();
    let newest = newest.iter().map(|entry| entry.modified).max().unwrap();
    clock.step_wall(newest + 1000 * 3_600_000);
    let removed = store.clean_expired().unwrap();
    assert!(removed >= 8, "{removed}");
    let body = rmq_record::RecordView::decode(&first.records, rmq_record::layout::Check::default());
    assert_eq!(body.unwrap().body, format!("{:0>1900}", 0).as_bytes());
    assert_eq!(read(&store, "T", 0, 0).status, ReadStatus::OffsetTooSmall);
}
