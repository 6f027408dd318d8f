//! What is left after power cuts, full disks and failed writes.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use crate::support::*;
use rmq_model::Clock;
use rmq_store::{
    FlushMode, Observers, OnDamage, OpenError, PutError, Retention, Store, StoreConfig,
};
use rmq_testkit::clock::FakeClock;
use rmq_testkit::disk::{FaultDisk, Faults};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

fn sync() -> StoreConfig {
    let mut config = config(root());
    config.flush = FlushMode::SYNC;
    config
}

fn hasty(mut config: StoreConfig) -> StoreConfig {
    config.upkeep.queues_every = Duration::from_millis(1);
    config.retention =
        Retention { check_space_every: Duration::from_millis(2), ..Retention::default() };
    config
}

type Sent = BTreeMap<(&'static str, u32), Vec<String>>;

/// Puts a few messages to random queues; all must be stored.
fn put_some(store: &rmq_store::Store, random: &mut Random, sent: &mut Sent, serial: &mut u64) {
    const QUEUES: [(&str, u32); 3] = [("T", 0), ("T", 1), ("U", 0)];
    let mut messages = Vec::new();
    for _ in 0..=random.below(6) {
        let (topic, queue) = QUEUES[usize::try_from(random.below(3)).unwrap()];
        let width = usize::try_from(random.below(700)).unwrap();
        let body = format!("{serial:0>width$}");
        *serial += 1;
        messages.push(message(topic, queue, &body));
        sent.entry((topic, queue)).or_default().push(body);
    }
    for result in put_all(store, &messages) {
        result.unwrap();
    }
}

#[test]
fn in_sync_mode_a_power_cut_loses_nothing_acknowledged() {
    for seed in 1..60 {
        let mut random = Random(seed);
        let (mut disk, mut sent, mut serial) = (FaultDisk::default(), Sent::new(), 0);
        for round in 0..4 {
            let store = open_on(&disk, hasty(sync()));
            for ((topic, queue), want) in &sent {
                assert_eq!(bodies(&store, topic, *queue), *want, "seed {seed} round {round}");
            }
            for _ in 0..random.below(15) {
                put_some(&store, &mut random, &mut sent, &mut serial);
                if random.below(8) == 0 {
                    store.flush().unwrap();
                }
            }
            // Taken while the store's threads run; nothing is in flight.
            let mut kept = random.clone();
            let share = random.below(4);
            let cut = disk.power_cut(|| kept.below(3) < share);
            drop(store);
            disk = cut;
        }
    }
}

#[test]
fn in_async_mode_a_power_cut_leaves_a_beginning() {
    for seed in 1..60 {
        let mut random = Random(seed);
        let (mut disk, mut sent, mut serial) = (FaultDisk::default(), Sent::new(), 0);
        for round in 0..4 {
            let store = open_on(&disk, hasty(config(root())));
            for ((topic, queue), want) in &mut sent {
                let got = bodies(&store, topic, *queue);
                assert_eq!(got[..], want[..got.len()], "seed {seed} round {round}");
                want.truncate(got.len());
            }
            let mut durable = sent.clone();
            for _ in 0..random.below(15) {
                put_some(&store, &mut random, &mut sent, &mut serial);
                if random.below(8) == 0 {
                    store.flush().unwrap();
                    durable = sent.clone();
                }
            }
            let mut kept = random.clone();
            let share = random.below(4);
            let cut = disk.power_cut(|| kept.below(3) < share);
            drop(store);
            disk = cut;
            let store = open_on(&disk, hasty(config(root())));
            for ((topic, queue), want) in &durable {
                let got = bodies(&store, topic, *queue);
                assert!(got.len() >= want.len(), "seed {seed} round {round}: flushed, yet lost");
            }
        }
    }
}

#[test]
fn after_a_failed_sync_the_log_is_closed_until_reopened() {
    let disk = FaultDisk::default();
    let store = open_on(&disk, sync());
    put(&store, &message("T", 0, "before")).unwrap();
    disk.set_faults(Faults { sync_fails: true, ..Faults::default() });
    let failed = put(&store, &message("T", 0, "during")).unwrap_err();
    assert!(matches!(failed, PutError::Failed { .. }), "{failed}");
    disk.set_faults(Faults::default());
    let failed = put(&store, &message("T", 0, "after")).unwrap_err();
    assert!(matches!(failed, PutError::Failed { .. }), "no retry: {failed}");
    assert_eq!(bodies(&store, "T", 0), ["before"]);
    assert!(store.status().refused.is_some());
    store.close().unwrap_err();
    assert!(disk.content(&root().join("abort")).is_some());
    let store = open_on(&disk.power_cut(|| false), sync());
    assert_eq!(bodies(&store, "T", 0), ["before"]);
    put(&store, &message("T", 0, "again")).unwrap();
}

#[test]
fn in_async_mode_a_failed_sync_closes_the_log_too() {
    let disk = FaultDisk::default();
    let mut config = config(root());
    config.flush = FlushMode::Async {
        interval: Duration::from_millis(1),
        least_bytes: 1,
        thorough: Duration::from_secs(1),
    };
    let store = open_on(&disk, config);
    put(&store, &message("T", 0, "w")).unwrap();
    disk.set_faults(Faults { sync_fails: true, ..Faults::default() });
    put(&store, &message("T", 0, "x")).unwrap();
    eventually("the flusher shuts the log", || store.refusal().is_some());
    let failed = put(&store, &message("T", 0, "y")).unwrap_err();
    assert!(matches!(failed, PutError::Failed { .. }), "{failed}");
}

#[test]
fn a_write_that_stops_half_way_closes_the_log() {
    let disk = FaultDisk::default();
    let store = open_on(&disk, sync());
    put(&store, &message("T", 0, "before")).unwrap();
    // Whichever file is written next, it must not be the progress of a queue.
    disk.set_faults(Faults { short_write: true, ..Faults::default() });
    let during = put(&store, &message("T", 0, "during"));
    let acknowledged = 1 + usize::from(during.is_ok());
    drop(store);
    let store = open_on(&disk, sync());
    let got = bodies(&store, "T", 0);
    assert!(got.len() >= acknowledged, "{got:?}");
    assert_eq!(got[..], ["before", "during"][..got.len()]);
}

#[test]
fn a_full_disk_refuses_cleanly_and_recovers() {
    for left in [0, 1, 8, 100, 150, 400] {
        let disk = FaultDisk::default();
        let mut config = sync();
        // Queue files are on the same full disk; keep them out of the way.
        config.upkeep.queues_every = Duration::from_secs(600);
        let store = open_on(&disk, config.clone());
        put(&store, &message("T", 0, "before")).unwrap();
        disk.set_faults(Faults { space_left: Some(left), ..Faults::default() });
        let refused = put_all(&store, &[message("T", 0, &"r".repeat(300)), message("T", 0, "s")]);
        assert_eq!(refused, [Err(PutError::NoSpace), Err(PutError::NoSpace)], "{left} bytes left");
        disk.set_faults(Faults::default());
        let ok = put(&store, &message("T", 0, "after")).unwrap();
        assert_eq!(ok.queue_offset, 1);
        assert_eq!(bodies(&store, "T", 0), ["before", "after"]);
        let cut = disk.power_cut(|| true);
        drop(store);
        assert_eq!(bodies(&open_on(&cut, config), "T", 0), ["before", "after"]);
    }
}

#[test]
fn without_room_for_a_segment_puts_are_refused_until_there_is() {
    let disk = FaultDisk::default();
    let store = open_on(&disk, sync());
    let body = "x".repeat(1900);
    put(&store, &with_properties("T", 0, &body, &[])).unwrap();
    eventually("a spare segment is made", || {
        disk.content(&root().join("commitlog/00000000000000004096")).is_some()
    });
    disk.set_faults(Faults { no_new_files: true, ..Faults::default() });
    let results: Vec<_> =
        (0..6).map(|_| put(&store, &with_properties("T", 0, &body, &[])).is_ok()).collect();
    assert_eq!(results, [true, true, true, false, false, false], "the spare segment was used up");
    let refused = put(&store, &with_properties("T", 0, &body, &[]));
    assert_eq!(refused, Err(PutError::NoSpace));
    disk.set_faults(Faults::default());
    put(&store, &with_properties("T", 0, &body, &[])).unwrap();
    assert_eq!(bodies(&store, "T", 0).len(), 5);
    drop(store);
    assert_eq!(bodies(&open_on(&disk, sync()), "T", 0).len(), 5);
}

#[test]
fn above_the_warning_level_puts_are_refused() {
    let disk = FaultDisk::default();
    disk.set_faults(Faults { used_percent: 91, ..Faults::default() });
    let store = open_on(&disk, hasty(sync()));
    let refused = put(&store, &message("T", 0, "x"));
    assert_eq!(refused, Err(PutError::DiskFull { percent: 91, limit: 90 }));
    disk.set_faults(Faults { used_percent: 90, ..Faults::default() });
    eventually("puts are accepted again", || store.refusal().is_none());
    put(&store, &message("T", 0, "x")).unwrap();
    disk.set_faults(Faults { used_percent: 95, ..Faults::default() });
    eventually("puts are refused again", || store.refusal().is_some());
}

#[test]
fn queue_files_that_cannot_be_written_stop_puts_before_memory_runs_out() {
    let disk = FaultDisk::default();
    let mut config = hasty(sync());
    config.upkeep.units_pending_max = 40;
    config.segment_bytes = 1024 * 1024;
    let store = open_on(&disk, config);
    put(&store, &message("T", 0, "0")).unwrap();
    store.flush().unwrap();
    // The log's segment is counted too: leave it enough for all that fits into memory.
    disk.set_faults(Faults { space_left: Some(0), ..Faults::default() });
    let refused = put(&store, &message("T", 0, "x")).unwrap_err();
    assert_eq!(refused, PutError::NoSpace);
    disk.set_faults(Faults::default());
    for n in 1..200 {
        put(&store, &message("T", 0, &n.to_string())).unwrap();
    }
    assert_eq!(bodies(&store, "T", 0).len(), 200);
}

#[test]
fn units_written_before_a_failure_are_counted_once() {
    let disk = FaultDisk::default();
    let mut config = sync();
    config.upkeep.queues_every = Duration::from_secs(600);
    config.segment_bytes = 1024 * 1024;
    let store = open_on(&disk, config);
    for n in 0..40 {
        put(&store, &message("T", 0, &n.to_string())).unwrap();
    }
    // Two of the three files of 16 units fit.
    disk.set_faults(Faults { space_left: Some(2 * 16 * 20), ..Faults::default() });
    store.flush().unwrap_err();
    assert_eq!(store.status().units_pending, 8);
    disk.set_faults(Faults::default());
    store.flush().unwrap();
    assert_eq!(store.status().units_pending, 0);
}

#[test]
fn a_deleted_topic_stays_away_after_an_unclean_stop() {
    let disk = FaultDisk::default();
    let mut config = sync();
    config.upkeep.queues_every = Duration::from_secs(600);
    let store = open_on(&disk, config.clone());
    for n in 0..20 {
        put(&store, &message("T", n % 2, &n.to_string())).unwrap();
        put(&store, &message("U", 0, &n.to_string())).unwrap();
    }
    assert!(store.delete_topic("T").unwrap());
    put(&store, &message("U", 0, "last")).unwrap();
    let powerless = disk.power_cut(|| false);
    drop(store);
    for disk in [disk, powerless] {
        let store = open_on(&disk, config.clone());
        assert_eq!(store.topics(), ["U".into()]);
        assert_eq!(bodies(&store, "U", 0).len(), 21);
    }
}

#[test]
fn damage_met_by_reads_is_passed_over_and_noted_once_per_place() {
    let disk = FaultDisk::default();
    let mut config = sync();
    config.segment_bytes = 1024 * 1024;
    let store = open_on(&disk, config);
    let at: Vec<_> = (0..5)
        .map(|n| put(&store, &message("T", 0, &n.to_string())).unwrap().log_offset.0)
        .collect();
    for place in [at[1], at[3]] {
        disk.damage(&segment(0), usize::try_from(place).unwrap() + 4, &[0; 4]);
    }
    for _ in 0..3 {
        assert_eq!(bodies(&store, "T", 0), ["0", "2", "4"]);
        assert_eq!(store.status().damaged_places, 2);
    }
}

fn filled(disk: &FaultDisk) -> Vec<String> {
    let store = open_on(disk, sync());
    let want: Vec<String> = (0..60).map(|n| format!("{n:0>100}")).collect();
    for body in &want {
        put(&store, &message("T", 0, body)).unwrap();
    }
    store.flush().unwrap();
    drop(store);
    want
}

fn segment(at: u64) -> PathBuf {
    root().join(format!("commitlog/{at:020}"))
}

/// As a Java broker leaves it: no file of ours, and a checkpoint that says nothing.
fn without_marks(disk: &FaultDisk) {
    disk.damage(&root().join("rmq/progress"), 0, b"???");
    disk.damage(&root().join("checkpoint"), 0, &[0; 40]);
}

#[test]
fn without_marks_everything_is_found_again() {
    let disk = FaultDisk::default();
    let want = filled(&disk);
    without_marks(&disk);
    let store = open_on(&disk, sync());
    assert_eq!(bodies(&store, "T", 0), want);
    assert_eq!(store.query("T", &want[7], 9, 0, i64::MAX).unwrap().records.len(), 1);
}

#[test]
fn keys_are_found_again_in_a_store_that_java_left_without_a_clean_stop() {
    let (disk, clock) = (FaultDisk::default(), Arc::new(FakeClock::default()));
    let dyn_clock: Arc<dyn Clock> = clock.clone();
    let store = Store::open(sync(), disk.clone(), dyn_clock, Observers::none()).unwrap();
    for n in 0..40 {
        put(&store, &message("T", 0, &format!("{n:0>300}"))).unwrap();
        clock.advance(Duration::from_secs(60));
    }
    store.flush().unwrap();
    let killed = disk.process_kill();
    drop(store);
    // The checkpoint says that log and queues are durable but for the last minute, and that no
    // index file was ever full.
    killed.damage(&root().join("rmq/progress"), 0, b"???");
    let store = open_on(&killed, sync());
    for n in 0..40 {
        let key = format!("{n:0>300}");
        assert_eq!(store.query("T", &key, 9, 0, i64::MAX).unwrap().records.len(), 1, "{n}");
    }
}

#[test]
fn damage_before_valid_segments_is_named_and_not_cut() {
    let disk = FaultDisk::default();
    let want = filled(&disk);
    without_marks(&disk);
    // The body of the first record of the second segment.
    disk.damage(&segment(4096), 120, b"!");
    match try_open_on(&disk, sync()) {
        Err(OpenError::Damaged { path, at: 0, offset: 4096, .. }) => {
            assert_eq!(path, segment(4096));
        }
        other => panic!("{other:?}"),
    }
    let store = open_on(&disk, StoreConfig { on_damage: OnDamage::Cut, ..sync() });
    let got = bodies(&store, "T", 0);
    assert!(!got.is_empty() && got.len() < want.len());
    assert_eq!(got[..], want[..got.len()]);
    let behind = disk.content(&segment(8192)).unwrap_or_default();
    assert!(behind.iter().all(|byte| *byte == 0), "segments behind the cut are gone");
}

#[test]
fn old_bytes_behind_the_end_do_not_come_back() {
    let disk = FaultDisk::default();
    let store = open_on(&disk, sync());
    for n in 0..4 {
        put(&store, &message("T", 0, &n.to_string())).unwrap();
    }
    let log = disk.content(&segment(0)).unwrap();
    let end = usize::try_from(store.status().log_max.0).unwrap();
    let size = end / 4;
    drop(store);
    // The third record is torn, the fourth whole and in its right place.
    disk.damage(&segment(0), 2 * size + 88, b"!");
    without_marks(&disk);
    let mut store = open_on(&disk, sync());
    assert_eq!(bodies(&store, "T", 0), ["0", "1"]);
    put(&store, &message("T", 0, "x")).unwrap();
    drop(store);
    without_marks(&disk);
    store = open_on(&disk, sync());
    assert_eq!(bodies(&store, "T", 0), ["0", "1", "x"], "the fourth did not come back");
    assert_ne!(disk.content(&segment(0)).unwrap(), log);
}

#[test]
fn a_hole_in_a_queue_file_is_filled_from_the_log() {
    let disk = FaultDisk::default();
    let want = filled(&disk);
    disk.damage(&root().join("rmq/progress"), 0, b"???");
    let queue_file = |unit: u64| root().join(format!("consumequeue/T/0/{:020}", unit / 16 * 320));
    // Units 37 to 39; the checkpoint says all is well, the units behind are there.
    disk.damage(&queue_file(37), 5 * 20, &[0; 60]);
    let store = open_on(&disk, sync());
    assert_eq!(bodies(&store, "T", 0), want);
    store.close().unwrap();
    assert_eq!(bodies(&open_on(&disk, sync()), "T", 0), want);
}

#[test]
fn a_segment_missing_in_the_middle_is_named() {
    use rmq_store::Disk;
    let disk = FaultDisk::default();
    filled(&disk);
    disk.remove_file(&segment(4096)).unwrap();
    match try_open_on(&disk, sync()) {
        Err(OpenError::Gap { path }) => assert_eq!(path, segment(4096)),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_segment_that_was_being_made_is_dropped() {
    use rmq_store::{Disk, disk::OpenMode};
    for len in [0, 5, 1000] {
        let disk = FaultDisk::default();
        let want = filled(&disk);
        let last = (0..).map(|n| segment(n * 4096)).find(|p| disk.content(p).is_none()).unwrap();
        disk.open(&last, OpenMode::Create).unwrap().set_len(len).unwrap();
        assert_eq!(bodies(&open_on(&disk, sync()), "T", 0), want);
    }
}

#[test]
fn in_sync_mode_one_sync_covers_a_batch() {
    let disk = FaultDisk::default();
    let mut config = sync();
    config.segment_bytes = 1024 * 1024;
    let clock: Arc<dyn Clock> = Arc::new(FakeClock::default());
    let (store, mut work) =
        Store::open_stepped(config, disk.clone(), clock, Observers::none()).unwrap();
    work.upkeep();
    let before = disk.syncs();
    let results = Arc::new(Results::default());
    let puts = (0..500).map(|token| {
        let one = store.prepare(&message("T", u32::try_from(token % 4).unwrap(), "x")).unwrap();
        rmq_store::Put { token, messages: rmq_store::OneOrMany::One(one), wait: true }
    });
    let group = rmq_store::PutGroup { puts: puts.collect(), done: results.clone() };
    assert!(store.put(group).is_ok() && work.append());
    assert!(results.wait(500).iter().all(|(_, result)| result.is_ok()));
    assert_eq!(disk.syncs() - before, 1);
}
