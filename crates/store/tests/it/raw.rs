//! The log of a replica: the same bytes, in pieces of any size, cut and copied again.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use crate::support::{Random, bodies, config, eventually, message, open_on, put, read, root};
use rmq_model::LogOffset;
use rmq_store::{CloseError, CutError, FlushMode, Observers, RawError, RawLog, Store, StoreConfig};
use rmq_testkit::clock::FakeClock;
use rmq_testkit::disk::{FaultDisk, Faults};
use std::sync::Arc;

fn replica_config() -> StoreConfig {
    let mut config = config(root());
    config.flush = FlushMode::SYNC;
    config
}

fn open_replica(disk: &FaultDisk) -> (Store, RawLog) {
    let clock = Arc::new(FakeClock::default());
    Store::open_replica(replica_config(), disk.clone(), clock, Observers::none()).unwrap()
}

/// Puts messages of several topics, some longer than others, so that files end in fillers.
fn fill(store: &Store, random: &mut Random, from: usize, count: usize) {
    for number in from..from + count {
        let len = usize::try_from(random.below(700)).unwrap();
        let body = format!("{number}:{}", "x".repeat(len));
        let topic = ["A", "B"][number % 2];
        put(store, &message(topic, 0, &body)).unwrap();
    }
}

/// Copies what the replica lacks, in pieces of at most `piece` bytes.
fn copy(master: &Store, raw: &mut RawLog, piece: usize) -> Result<(), RawError> {
    loop {
        let range = raw.range();
        let from = if range.min == range.end { master.log_range().min } else { range.end };
        let bytes = master.raw_log(from, piece).unwrap();
        if bytes.is_empty() {
            return Ok(());
        }
        raw.append(from, &bytes)?;
    }
}

fn segments(disk: &FaultDisk, count: usize) -> Vec<Option<Vec<u8>>> {
    (0..count).map(|n| disk.content(&root().join(format!("commitlog/{:020}", n * 4096)))).collect()
}

#[test]
fn a_copy_is_the_same_and_can_be_read() {
    for piece in [1, 7, 100, 4096, 100_000] {
        let (there, here) = (FaultDisk::default(), FaultDisk::default());
        let master = open_on(&there, config(root()));
        let (replica, mut raw) = open_replica(&here);
        let mut random = Random(5);
        for round in 0..4 {
            fill(&master, &mut random, round * 10, 10);
            copy(&master, &mut raw, piece).unwrap();
            raw.sync().unwrap();
            for topic in ["A", "B"] {
                assert_eq!(bodies(&replica, topic, 0), bodies(&master, topic, 0), "piece {piece}");
            }
        }
        let end = master.log_range().end;
        assert_eq!((raw.range().end, raw.range().flushed), (end, end));
        assert_eq!(replica.tail_check(end).unwrap(), master.tail_check(end).unwrap());
        assert!(replica.tail_check(end).unwrap().is_some());
        let found = replica.query("A", "missing", 10, 0, i64::MAX).unwrap();
        assert_eq!(found.records.len(), 0);
        drop(raw);
        replica.close().unwrap();
        master.flush().unwrap();
        assert_eq!(segments(&here, 3), segments(&there, 3));
        // The copy can become a master: it goes on where the log ends.
        let promoted = open_on(&here, config(root()));
        let next = promoted.max_offset("A", 0);
        let ok = put(&promoted, &message("A", 0, "on")).unwrap();
        assert_eq!((ok.log_offset, ok.queue_offset), (end, u64::try_from(next).unwrap()));
    }
}

#[test]
fn an_empty_replica_begins_at_the_masters_first_file() {
    let (there, here) = (FaultDisk::default(), FaultDisk::default());
    let master = open_on(&there, config(root()));
    fill(&master, &mut Random(5), 0, 40);
    let from = LogOffset(2 * 4096);
    let (replica, mut raw) = open_replica(&here);
    let bytes = master.raw_log(from, 4096).unwrap();
    let wrong = raw.append(LogOffset(from.0 + 1), &bytes).unwrap_err();
    assert!(matches!(wrong, RawError::NotAFile { segment_bytes: 4096, .. }), "{wrong}");
    raw.append(from, &bytes).unwrap();
    copy(&master, &mut raw, 1000).unwrap();
    assert_eq!(raw.range().min, from);
    let theirs = bodies(&master, "B", 0);
    let ours = bodies(&replica, "B", 0);
    assert!(!ours.is_empty() && theirs.ends_with(&ours));
    assert!(matches!(raw.append(from, &bytes), Err(RawError::Gap { .. })));
    // Nothing is left of the files that an empty store makes ahead.
    drop(raw);
    replica.close().unwrap();
    assert_eq!(segments(&here, 2), [None, None]);
    let again = open_on(&here, config(root()));
    assert_eq!(bodies(&again, "B", 0), ours);
}

#[test]
fn a_record_that_is_not_whole_waits_and_is_cut_off_at_the_end() {
    let (there, here) = (FaultDisk::default(), FaultDisk::default());
    let master = open_on(&there, config(root()));
    put(&master, &message("A", 0, "first")).unwrap();
    let whole = master.log_range().end;
    put(&master, &message("A", 0, "second")).unwrap();
    let (replica, mut raw) = open_replica(&here);
    let bytes = master.raw_log(LogOffset(0), 4096).unwrap();
    raw.append(LogOffset(0), &bytes[..bytes.len() - 1]).unwrap();
    assert_eq!(bodies(&replica, "A", 0), ["first"]);
    assert_eq!(raw.range().end.0, master.log_range().end.0 - 1);
    assert!(matches!(replica.clone().close(), Err(CloseError::Copying)));
    drop((raw, replica));
    let (replica, raw) = open_replica(&here);
    assert_eq!(raw.range().end, whole);
    assert_eq!(bodies(&replica, "A", 0), ["first"]);
}

#[test]
fn bytes_that_are_no_record_are_taken_back() {
    let (there, here) = (FaultDisk::default(), FaultDisk::default());
    let master = open_on(&there, config(root()));
    put(&master, &message("A", 0, "first")).unwrap();
    let whole = master.log_range().end;
    put(&master, &message("A", 0, "second")).unwrap();
    let (replica, mut raw) = open_replica(&here);
    let good = master.raw_log(LogOffset(0), 4096).unwrap();
    let at = usize::try_from(whole.0).unwrap();
    // Of the record: its size, its magic, its place, its body.
    for (byte, value) in [(0, 0x7F), (4, 0), (35, 9), (90, 0)] {
        let mut bytes = good.to_vec();
        bytes[at + byte] = value;
        let from = usize::try_from(raw.range().end.0).unwrap();
        let error = raw.append(raw.range().end, &bytes[from..]).unwrap_err();
        assert!(matches!(error, RawError::Damaged { at, .. } if at == whole), "{byte}: {error}");
        assert_eq!(raw.range().end, whole);
        assert_eq!(bodies(&replica, "A", 0), ["first"]);
    }
    copy(&master, &mut raw, 10).unwrap();
    assert_eq!(bodies(&replica, "A", 0), ["first", "second"]);
}

#[test]
fn what_is_cut_is_gone_from_queues_and_files() {
    let (there, here) = (FaultDisk::default(), FaultDisk::default());
    let master = open_on(&there, config(root()));
    let mut random = Random(9);
    let mut ends = vec![LogOffset(0)];
    for number in 0..40 {
        fill(&master, &mut random, number, 1);
        ends.push(master.log_range().end);
    }
    let (replica, mut raw) = open_replica(&here);
    for kept in [39, 30, 31, 7, 1, 0] {
        copy(&master, &mut raw, 333).unwrap();
        let to = ends[kept];
        assert!(matches!(raw.cut(LogOffset(ends[40].0 - 5)), Err(CutError::NotARecord { .. })));
        assert!(matches!(raw.cut(LogOffset(ends[40].0 + 5)), Err(CutError::Outside { .. })));
        raw.cut(to).unwrap();
        assert_eq!(raw.range().end, to);
        let count = replica.max_offset("A", 0) + replica.max_offset("B", 0);
        assert_eq!(count, i64::try_from(kept).unwrap());
        let left = here.content(&root().join(format!("commitlog/{:020}", to.0 - to.0 % 4096)));
        let at = usize::try_from(to.0 % 4096).unwrap();
        assert!(left.is_none_or(|left| left[at..].iter().all(|byte| *byte == 0)));
    }
    copy(&master, &mut raw, 333).unwrap();
    assert_eq!(bodies(&replica, "A", 0), bodies(&master, "A", 0));
    assert_eq!(read(&replica, "B", 0, 0).records, read(&master, "B", 0, 0).records);
}

#[test]
fn a_power_cut_leaves_a_part_of_the_masters_log() {
    for seed in 1..60 {
        let mut random = Random(seed);
        let there = FaultDisk::default();
        let master = open_on(&there, config(root()));
        fill(&master, &mut random, 0, 30);
        let mut here = FaultDisk::default();
        let mut synced = LogOffset(0);
        for _ in 0..4 {
            let (replica, mut raw) = open_replica(&here);
            assert!(synced <= raw.range().end, "seed {seed}: what was synced is lost");
            let end = raw.range().end;
            let shown = bodies(&replica, "A", 0);
            assert!(bodies(&master, "A", 0).starts_with(&shown), "seed {seed}");
            for _ in 0..random.below(30) {
                let from = raw.range().end;
                let piece = 1 + usize::try_from(random.below(900)).unwrap();
                let bytes = master.raw_log(from, piece).unwrap();
                raw.append(from, &bytes).unwrap();
                if random.below(4) == 0 {
                    raw.sync().unwrap();
                    // Only whole records are found again.
                    synced = replica.log_range().end;
                }
            }
            if random.below(3) == 0 && end < raw.range().end {
                raw.cut(end).unwrap();
                synced = synced.min(end);
            }
            here = here.power_cut(|| random.below(2) == 0);
            drop((raw, replica));
        }
        let (replica, mut raw) = open_replica(&here);
        copy(&master, &mut raw, 500).unwrap();
        for topic in ["A", "B"] {
            assert_eq!(bodies(&replica, topic, 0), bodies(&master, topic, 0), "seed {seed}");
        }
    }
}

#[test]
fn a_full_disk_and_a_failed_sync() {
    let (there, here) = (FaultDisk::default(), FaultDisk::default());
    let master = open_on(&there, config(root()));
    fill(&master, &mut Random(3), 0, 5);
    let (replica, mut raw) = open_replica(&here);
    eventually("the first file is made ahead", || segments(&here, 1)[0].is_some());
    here.set_faults(Faults { space_left: Some(100), ..Faults::default() });
    let bytes = master.raw_log(LogOffset(0), 4096).unwrap();
    assert!(matches!(raw.append(LogOffset(0), &bytes), Err(RawError::NoSpace)));
    assert_eq!(raw.range().end, LogOffset(0));
    here.set_faults(Faults::default());
    copy(&master, &mut raw, 4096).unwrap();
    assert_eq!(bodies(&replica, "A", 0), bodies(&master, "A", 0));
    here.set_faults(Faults { sync_fails: true, ..Faults::default() });
    assert!(matches!(raw.sync(), Err(RawError::Failed { .. })));
    here.set_faults(Faults::default());
    assert!(matches!(raw.append(raw.range().end, b"x"), Err(RawError::Failed { .. })));
}
