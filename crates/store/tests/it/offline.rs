//! Stores that nobody runs on: checked, shown, repaired.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use crate::support::*;
use rmq_model::Clock;
use rmq_store::offline::{
    Access, Dump, DumpFilter, LogChoice, Offline, RepairError, Repaired, Report, Tail, Verdict,
    sizes_from_files,
};
use rmq_store::{Disk, OpenError, OsDisk, Retention, StoreConfig};
use rmq_testkit::clock::FakeClock;
use rmq_testkit::disk::FaultDisk;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

const TOPICS: [(&str, u32); 3] = [("T", 0), ("T", 1), ("U", 0)];

fn small() -> StoreConfig {
    config(root())
}

/// 90 messages with two keys each in three queues and several files of every kind.
fn filled() -> FaultDisk {
    let disk = FaultDisk::default();
    let store = open_on(&disk, small());
    for n in 0..90 {
        let (topic, queue) = TOPICS[n % 3];
        let (id, keys) = (format!("id{n}"), format!("k{n} k{}", n % 7));
        let properties = [("UNIQ_KEY", id.as_str()), ("KEYS", keys.as_str()), ("TAGS", "a")];
        put(&store, &with_properties(topic, queue, &format!("{n:0>80}"), &properties)).unwrap();
    }
    store.close().unwrap();
    disk
}

fn check(disk: &FaultDisk) -> Report {
    let store = Offline::open(small(), disk.clone(), Access::Look).unwrap();
    store.check(&|_| true, &mut |_, _| {}).unwrap()
}

fn repair(disk: &FaultDisk, choice: LogChoice) -> Result<Repaired, RepairError> {
    let clock: Arc<dyn Clock> = Arc::new(FakeClock::default());
    Offline::open(small(), disk.clone(), Access::Change).unwrap().repair(choice, clock, &|_| true)
}

fn all_bodies(disk: &FaultDisk) -> Vec<Vec<String>> {
    let store = open_on(disk, small());
    TOPICS.iter().map(|(topic, queue)| bodies(&store, topic, *queue)).collect()
}

fn all_wanted() -> Vec<Vec<String>> {
    let of = |rest| (0..90).filter(|n| n % 3 == rest).map(|n| format!("{n:0>80}")).collect();
    (0..3).map(of).collect()
}

fn segment(at: u64) -> PathBuf {
    root().join(format!("commitlog/{at:020}"))
}

fn queue_file(topic: &str, queue: u32, number: u64) -> PathBuf {
    root().join(format!("consumequeue/{topic}/{queue}/{:020}", number * 320))
}

fn index_file(disk: &FaultDisk, number: usize) -> PathBuf {
    let mut names: Vec<_> = disk.list(&root().join("index")).unwrap();
    names.sort_by(|a, b| a.name.cmp(&b.name));
    root().join("index").join(&names[number].name)
}

#[test]
fn a_closed_store_is_sound_and_counted() {
    let report = check(&filled());
    assert_eq!(report.verdict(), Verdict::Sound, "{report:?}");
    assert!(!report.unclean && report.log.tail == Tail::Clean);
    assert_eq!((report.log.records, report.index.entries), (90, 3 * 90));
    assert_eq!(report.segments.iter().map(|segment| segment.records).sum::<u64>(), 90);
    let queues: Vec<_> = report.queues.iter().map(|q| (&*q.topic, q.queue, q.range)).collect();
    let range = Some((0, 30));
    assert_eq!(queues, [("T", 0, range), ("T", 1, range), ("U", 0, range)]);
}

#[test]
fn after_a_kill_the_next_start_completes_the_store() {
    let disk = FaultDisk::default();
    let mut config = small();
    config.upkeep.queues_every = Duration::from_secs(600);
    let store = open_on(&disk, config);
    for n in 0..40 {
        put(&store, &message("T", 0, &n.to_string())).unwrap();
        if n == 20 {
            store.flush().unwrap();
        }
    }
    let killed = disk.process_kill();
    let report = check(&killed);
    assert_eq!(report.verdict(), Verdict::Unfinished, "{report:?}");
    let queue = &report.queues[0];
    assert_eq!((queue.records, queue.missing, queue.missing_at_end), (40, 19, 19));
    drop(store);
    assert_eq!(bodies(&open_on(&killed, small()), "T", 0).len(), 40);
}

#[test]
fn what_a_power_cut_tore_is_no_damage() {
    let disk = FaultDisk::default();
    let store = open_on(&disk, small());
    for n in 0..5 {
        put(&store, &message("T", 0, &n.to_string())).unwrap();
    }
    let end = store.status().log_max.0;
    let cut = disk.process_kill();
    drop(store);
    cut.damage(&segment(0), usize::try_from(end).unwrap() + 3, b"torn");
    let report = check(&cut);
    assert_eq!((report.log.end.0, report.log.tail), (end, Tail::Torn { bytes: 7 }));
    assert_eq!(report.verdict(), Verdict::Unfinished, "{report:?}");
}

/// A damaged store, and whether a report says what is wrong with it.
type Case = (&'static str, FaultDisk, fn(&Report) -> bool);

/// Damages that cost no message.
fn derived() -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    let mut case = |name, damage: &dyn Fn(&FaultDisk), says| {
        let disk = filled();
        damage(&disk);
        cases.push((name, disk, says));
    };
    let first = || queue_file("T", 0, 0);
    case("a unit is zero", &|disk| disk.damage(&first(), 5 * 20, &[0; 20]), |report| {
        let queue = &report.queues[0];
        (queue.missing, queue.wrong, queue.first_fault) == (1, 0, Some(5))
    });
    case("a unit points elsewhere", &|disk| disk.damage(&first(), 7 * 20 + 7, &[9]), |report| {
        let queue = &report.queues[0];
        (queue.missing, queue.wrong, queue.first_fault) == (0, 1, Some(7))
    });
    case("a tags code is wrong", &|disk| disk.damage(&first(), 19, &[9]), |report| {
        report.queues[0].wrong == 1
    });
    case("a queue file is missing", &|disk| disk.remove_file(&first()).unwrap(), |report| {
        (report.queues[0].missing, report.queues[0].files) == (16, 1)
    });
    case(
        "a queue file is short",
        &|disk| {
            let file = disk.open(&first(), rmq_store::disk::OpenMode::Existing).unwrap();
            file.set_len(100).unwrap();
        },
        |report| report.foreign.len() == 1 && report.queues[0].missing == 16,
    );
    case(
        "an index entry is wrong",
        &|disk| {
            let entries = 40 + 4 * 97 + 20 * 5;
            disk.damage(&index_file(disk, 0), entries, &[1, 2, 3, 4]);
        },
        |report| (report.index.wrong, report.index.missing) == (1, 1),
    );
    case(
        "an index slot is wrong",
        &|disk| {
            let file = index_file(disk, 0);
            let slots = &disk.content(&file).unwrap()[40..40 + 4 * 97];
            let used = slots.chunks(4).position(|slot| slot != [0; 4]).unwrap();
            disk.damage(&file, 40 + used * 4, &[0; 4]);
        },
        |report| report.index.broken_links == 1 && report.index.missing == 0,
    );
    case(
        "an index file is missing",
        &|disk| {
            disk.remove_file(&index_file(disk, 1)).unwrap();
        },
        |report| report.index.missing == 63,
    );
    cases
}

#[test]
fn what_costs_no_message_is_named_and_repaired() {
    for (name, disk, says) in derived() {
        let report = check(&disk);
        assert_eq!(report.verdict(), Verdict::Rebuild, "{name}: {report:?}");
        assert!(says(&report), "{name}: {report:?}");
        let done = repair(&disk, LogChoice::Keep).unwrap();
        assert_eq!((done.records, done.queues, done.cut), (90, 3, None), "{name}");
        assert_eq!(done.set_aside.len(), report.foreign.len(), "{name}");
        let report = check(&disk);
        assert_eq!(report.verdict(), Verdict::Sound, "{name}: {report:?}");
        assert_eq!(all_bodies(&disk), all_wanted(), "{name}");
        let store = open_on(&disk, small());
        assert_eq!(store.query("T", "k3", 64, 0, i64::MAX).unwrap().records.len(), 9, "{name}");
    }
}

#[test]
fn damaged_messages_are_named_and_the_log_is_only_cut_when_told() {
    let fault: [(&str, u64, usize, &[u8], &str); 4] = [
        ("a body", 4096, 120, b"!", "the body's CRC does not match"),
        ("a size", 8192, 0, &[0, 0, 9, 9], "the record's parts do not add up"),
        ("a magic", 4096, 4, &[0; 4], "no record begins with magic 0x00000000"),
        ("a place", 8192, 28, &[1], "the record belongs to log offset"),
    ];
    for (name, file, at, bytes, says) in fault {
        let disk = filled();
        disk.damage(&segment(file), at, bytes);
        let report = check(&disk);
        assert_eq!(report.verdict(), Verdict::LogDamaged, "{name}");
        let damage = &report.log.damage[0];
        assert_eq!((&damage.path, damage.at, damage.offset.0), (&segment(file), 0, file), "{name}");
        assert!(damage.fault.starts_with(says), "{name}: {}", damage.fault);
        assert_eq!(report.log.damaged_places, 1, "{name}");
        assert_eq!(report.log.records, 89, "{name}: the others are found");
        assert_eq!(report.queues.iter().map(|queue| queue.gaps).sum::<u64>(), 1, "{name}");

        let before = disk.contents();
        let refused = repair(&disk, LogChoice::Keep).unwrap_err();
        assert!(matches!(refused, RepairError::Damaged { .. }), "{name}: {refused}");
        assert_eq!(disk.contents(), before, "{name}: nothing was changed");

        let done = repair(&disk, LogChoice::CutAtDamage).unwrap();
        let (cut, lost) = done.cut.unwrap();
        assert_eq!((cut.0, done.records + lost), (file, 89), "{name}");
        assert_eq!(check(&disk).verdict(), Verdict::Sound, "{name}");
        for (got, want) in all_bodies(&disk).iter().zip(all_wanted()) {
            assert_eq!(got[..], want[..got.len()], "{name}");
        }
    }
}

#[test]
fn a_missing_segment_and_a_lost_end_are_damage() {
    let disk = filled();
    disk.remove_file(&segment(4096)).unwrap();
    let report = check(&disk);
    assert_eq!(report.verdict(), Verdict::LogDamaged);
    assert_eq!(report.log.missing_files, [segment(4096)]);
    assert!(matches!(repair(&disk, LogChoice::CutAtDamage), Err(RepairError::Gap { .. })));

    let disk = filled();
    let end = usize::try_from(check(&disk).log.end.0).unwrap();
    let last = end / 4096 * 4096;
    disk.damage(&segment(last as u64), end - last - 100, b"!!!!");
    let report = check(&disk);
    assert_eq!(report.verdict(), Verdict::LogDamaged, "a clean stop leaves a whole last record");
    assert_eq!(report.queues.iter().map(|queue| queue.ahead).sum::<u64>(), 1);
}

#[test]
fn bytes_that_cannot_be_read_are_damage_and_the_rest_is_shown() {
    let disk = filled();
    disk.make_unreadable(&segment(4096), 100..200);
    let report = check(&disk);
    assert_eq!(report.verdict(), Verdict::LogDamaged);
    let damage = &report.log.damage[0];
    assert!(damage.fault.contains("cannot be read"), "{damage:?}");
    assert_eq!(damage.resumes.0, 8192);
    assert!(report.log.records > 60, "{}", report.log.records);
}

#[test]
fn looking_changes_nothing() {
    for disk in [filled(), filled().process_kill(), derived().remove(4).1] {
        disk.damage(&segment(4096), 120, b"!");
        let (before, operations) = (disk.contents(), disk.operations());
        check(&disk);
        let store = Offline::open(small(), disk.clone(), Access::Look).unwrap();
        let all = DumpFilter::default();
        store.dump(&all, &mut |_| Ok(ControlFlow::Continue(()))).unwrap();
        assert_eq!((disk.contents(), disk.operations()), (before, operations));
        let choice = LogChoice::CutAtDamage;
        let refused = store.repair(choice, Arc::new(FakeClock::default()), &|_| true);
        assert!(matches!(refused, Err(RepairError::NotAllowed)));
    }
}

#[test]
fn a_store_in_use_is_refused_and_so_is_a_directory_without_one() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(config(dir.path()));
    for access in [Access::Look, Access::Change] {
        let refused = Offline::open(config(dir.path()), OsDisk, access).unwrap_err();
        assert!(matches!(refused, OpenError::Locked { .. }), "{refused}");
    }
    store.close().unwrap();
    let lookers = [0, 1].map(|_| Offline::open(config(dir.path()), OsDisk, Access::Look).unwrap());
    Offline::open(config(dir.path()), OsDisk, Access::Change).unwrap_err();
    drop(lookers);
    Offline::open(config(dir.path()), OsDisk, Access::Change).unwrap();
    let empty = tempfile::tempdir().unwrap();
    for access in [Access::Look, Access::Change] {
        let refused = Offline::open(config(empty.path()), OsDisk, access).unwrap_err();
        assert!(matches!(refused, OpenError::Io { .. }), "{refused}");
    }
    assert_eq!(std::fs::read_dir(empty.path()).unwrap().count(), 0);
}

#[test]
fn the_files_tell_their_sizes() {
    let disk = filled();
    let mut told = StoreConfig::new(root());
    sizes_from_files(&mut told, &disk).unwrap();
    assert_eq!((told.segment_bytes, told.consume_queue_file_bytes), (4096, 320));
    assert_eq!(told.index, None, "not the defaults: nobody can tell");
    let store = Offline::open(told, disk, Access::Look).unwrap();
    let report = store.check(&|_| true, &mut |_, _| {}).unwrap();
    assert_eq!((report.verdict(), report.index.unknown.len()), (Verdict::Sound, 5));
}

#[test]
fn records_are_found_by_topic_queue_key_time_and_place() {
    let disk = filled();
    let cases: [(DumpFilter, u64); 7] = [
        (DumpFilter::default(), 90),
        (DumpFilter { topic: Some("T".into()), ..DumpFilter::default() }, 60),
        (DumpFilter { topic: Some("T".into()), queue: Some(1), ..DumpFilter::default() }, 30),
        (DumpFilter { key: Some("k3".into()), ..DumpFilter::default() }, 13),
        (DumpFilter { key: Some("id3".into()), ..DumpFilter::default() }, 1),
        (DumpFilter { until: Some(START - 1), ..DumpFilter::default() }, 0),
        (DumpFilter { since: Some(START), until: Some(START), ..DumpFilter::default() }, 90),
    ];
    let store = Offline::open(small(), disk.clone(), Access::Look).unwrap();
    for (filter, want) in cases {
        let done = store.dump(&filter, &mut |_| Ok(ControlFlow::Continue(()))).unwrap();
        assert_eq!(done.shown, want, "{filter:?}");
    }
    let mut first = None;
    let within = DumpFilter { from: 4096, to: Some(8192), ..DumpFilter::default() };
    let done = store
        .dump(&within, &mut |what| {
            if let Dump::Record(record) = what {
                first.get_or_insert(record.log_offset.0);
            }
            Ok(ControlFlow::Continue(()))
        })
        .unwrap();
    assert_eq!(first, Some(4096));
    assert!(0 < done.shown && done.shown < 90);
    drop(store);

    disk.damage(&segment(4096), 120, b"!");
    let store = Offline::open(small(), disk, Access::Look).unwrap();
    let (mut damaged, mut records) = (0, 0);
    store
        .dump(&DumpFilter::default(), &mut |what| {
            match what {
                Dump::Record(_) => records += 1,
                Dump::Damage(damage) => damaged += damage.offset.0,
            }
            Ok(ControlFlow::Continue(()))
        })
        .unwrap();
    assert_eq!((damaged, records), (4096, 89));
}

#[test]
fn a_queue_whose_messages_expired_goes_on_where_it_was() {
    let (disk, clock) = (FaultDisk::default(), Arc::new(FakeClock::default()));
    let config = StoreConfig {
        retention: Retention { delete_hours: Vec::new(), ..Retention::default() },
        ..small()
    };
    let dyn_clock: Arc<dyn Clock> = clock.clone();
    let store = rmq_store::Store::open(
        config.clone(),
        disk.clone(),
        dyn_clock,
        rmq_store::Observers::none(),
    )
    .unwrap();
    disk.set_time(clock.now());
    for n in 0..20 {
        put(&store, &message("old", 0, &n.to_string())).unwrap();
    }
    // So that none of them shares a segment with a younger one.
    for _ in 0..4 {
        put(&store, &with_properties("old", 1, &"x".repeat(1900), &[])).unwrap();
    }
    clock.advance(Duration::from_secs(100 * 3600));
    disk.set_time(clock.now());
    for n in 0..60 {
        put(&store, &message("new", 0, &format!("{n:0>200}"))).unwrap();
    }
    assert!(0 < store.clean_expired().unwrap());
    assert_eq!((store.min_offset("old", 0), store.max_offset("old", 0)), (20, 20));
    let new = bodies(&store, "new", 0);
    store.close().unwrap();
    assert_eq!(check(&disk).verdict(), Verdict::Sound);
    repair(&disk, LogChoice::Keep).unwrap();
    let report = check(&disk);
    assert_eq!(report.verdict(), Verdict::Sound, "{report:?}");
    let store = open_on(&disk, config);
    assert_eq!(bodies(&store, "new", 0), new);
    assert_eq!(put(&store, &message("old", 0, "next")).unwrap().queue_offset, 20);
}

#[test]
fn queues_of_a_deleted_topic_stay_away() {
    let disk = filled();
    let store = open_on(&disk, small());
    store.delete_topic("T").unwrap();
    store.close().unwrap();
    let is_known = |topic: &str| topic == "U";
    let looker = Offline::open(small(), disk.clone(), Access::Look).unwrap();
    let report = looker.check(&is_known, &mut |_, _| {}).unwrap();
    assert_eq!((report.verdict(), report.queues.len()), (Verdict::Sound, 1), "{report:?}");
    drop(looker);
    let store = Offline::open(small(), disk.clone(), Access::Change).unwrap();
    let clock: Arc<dyn Clock> = Arc::new(FakeClock::default());
    assert_eq!(store.repair(LogChoice::Keep, clock, &is_known).unwrap().queues, 1);
    let store = open_on(&disk, small());
    assert_eq!(store.topics(), ["U".into()]);
    assert_eq!(bodies(&store, "U", 0), all_wanted()[2]);
}

#[test]
fn a_repair_that_is_cut_off_anywhere_loses_nothing() {
    let damaged = || derived().remove(4).1;
    let whole = damaged();
    let before = whole.operations();
    repair(&whole, LogChoice::Keep).unwrap();
    let count = whole.operations() - before;
    assert!(count > 20, "{count} operations");
    let mut random = Random(7);
    for at in 0..count {
        let disk = damaged();
        disk.power_off_at(disk.operations() + at);
        repair(&disk, LogChoice::Keep).unwrap_err();
        let share = random.below(4);
        for found in [disk.process_kill(), disk.power_cut(|| random.below(3) < share)] {
            if check(&found).foreign.is_empty() {
                assert_eq!(all_bodies(&found), all_wanted(), "started after operation {at}");
            }
            repair(&found, LogChoice::Keep).unwrap();
            assert_eq!(check(&found).verdict(), Verdict::Sound, "operation {at}");
            assert_eq!(all_bodies(&found), all_wanted(), "repaired after operation {at}");
        }
    }
}
