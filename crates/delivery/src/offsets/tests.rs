//! Commits, queries, resets and the table of the file.

use super::*;
use proptest::prelude::*;

const NOW: Millis = 1_700_000_000_000;

fn table(entries: &[(&str, &[(i32, i64)])]) -> OffsetTable {
    entries
        .iter()
        .map(|(key, queues)| ((*key).to_owned(), queues.iter().copied().collect()))
        .collect()
}

#[test]
fn commits_may_go_down() {
    let mut offsets = Offsets::default();
    let stored = |previous| Commit::Stored { previous };
    for (offset, want) in
        [(5, stored(None)), (9, stored(Some(5))), (2, stored(Some(9))), (2, stored(Some(2)))]
    {
        assert_eq!(offsets.commit(NOW, "G", "T", 0, offset), want);
        assert_eq!(offsets.query("G", "T", 0), Some(offset));
    }
    for (group, topic, queue) in [("G", "T", 1), ("G", "U", 0), ("H", "T", 0)] {
        assert_eq!(offsets.query(group, topic, queue), None, "{group} {topic} {queue}");
    }
}

#[test]
fn impossible_commits_are_refused() {
    let mut offsets = Offsets::default();
    for (queue, offset) in [(-1, 0), (65_536, 0), (i32::MAX, 0), (0, -1), (0, i64::MIN)] {
        assert_eq!(
            offsets.commit(NOW, "G", "T", queue, offset),
            Commit::Invalid,
            "{queue} {offset}"
        );
    }
    assert_eq!(offsets.commit(NOW, "", "T", 0, 0), Commit::Full, "there is no such group");
    assert!(offsets.table().is_empty() && !offsets.take_dirty());
}

#[test]
fn the_rule_for_groups_without_offset() {
    use OffsetAnswer::{At, NotFound};
    for (known, set_zero, min, in_memory, want) in [
        (Some(7), None, 100, false, At(7)),
        (Some(0), Some(false), 0, false, At(0)),
        (None, None, 0, true, At(0)),
        (None, Some(true), 0, true, At(0)),
        (None, Some(true), -1, true, At(0)),
        (None, Some(false), 0, true, NotFound),
        (None, None, 0, false, NotFound),
        (None, None, 1, true, NotFound),
    ] {
        assert_eq!(answer(known, set_zero, min, in_memory), want, "{known:?} {set_zero:?} {min}");
    }
}

#[test]
fn a_reset_stands_until_it_is_taken_up() {
    let mut offsets = Offsets::default();
    offsets.commit(NOW, "G", "T", 0, 50);
    offsets.take_dirty();
    assert_eq!(offsets.pending_reset("G", "T", 0), None);
    assert!(offsets.reset(NOW, "G", "T", 0, 10));
    assert!(offsets.take_dirty(), "it is stored at once");
    assert_eq!(offsets.query("G", "T", 0), Some(10));
    assert_eq!(offsets.commit(NOW, "G", "T", 0, 51), Commit::ResetPending { offset: 10 });
    assert_eq!(offsets.query("G", "T", 0), Some(10));
    assert_eq!(offsets.commit(NOW, "G", "T", 1, 3), Commit::Stored { previous: None });
    assert!(offsets.reset(NOW, "G", "T", 0, 12), "set again");
    assert_eq!(offsets.pending_reset("G", "T", 0), Some(12));
    assert_eq!(offsets.take_reset("G", "T", 0), Some(12));
    assert_eq!(offsets.take_reset("G", "T", 0), None);
    assert_eq!(offsets.pending_reset("G", "T", 0), None);
    assert_eq!(offsets.query("G", "T", 0), Some(12));
    assert_eq!(offsets.commit(NOW, "G", "T", 0, 51), Commit::Stored { previous: Some(12) });
    assert!(!offsets.reset(NOW, "G", "T", -1, 0) && !offsets.reset(NOW, "G", "T", 0, -1));
}

#[test]
fn a_reset_of_a_group_that_is_offline_outlives_a_restart() {
    let mut offsets = Offsets::default();
    offsets.commit(NOW, "G", "T", 0, 50);
    offsets.reset(NOW, "G", "T", 0, 10);
    let (restarted, _) = Offsets::from_table(&offsets.table(), offsets.version());
    assert_eq!(restarted.query("G", "T", 0), Some(10));
}

#[test]
fn deleting_forgets_pending_resets_too() {
    let mut offsets = Offsets::default();
    offsets.reset(NOW, "G", "T", 0, 10);
    offsets.delete_topic(NOW, "T");
    assert_eq!(offsets.pending_reset("G", "T", 0), None);
    offsets.commit(NOW, "G", "T", 0, 1);
    assert_eq!(offsets.query("G", "T", 0), Some(1));
}

#[test]
fn the_end_of_pulls_is_noted_but_not_stored() {
    let mut offsets = Offsets::default();
    offsets.pulled("G", "T", 0, 9);
    assert_eq!(offsets.of("G", "T").pull_end(0), None, "a group that never commits");
    offsets.commit(NOW, "G", "T", 0, 5);
    assert_eq!(offsets.of("G", "T").pull_end(0), Some(5));
    offsets.pulled("G", "T", 0, 9);
    assert_eq!(offsets.of("G", "T").pull_end(0), Some(9));
    offsets.commit(NOW, "G", "T", 0, 20);
    assert_eq!(offsets.of("G", "T").pull_end(0), Some(20));
    assert_eq!(offsets.table(), table(&[("T@G", &[(0, 20)])]));
}

#[test]
fn the_table_is_as_in_the_file() {
    let entries = table(&[
        ("%RETRY%G@G", &[(0, 4)]),
        ("T@G", &[(0, 120), (1, 118), (2, 0)]),
        ("T@H", &[(0, 1)]),
    ]);
    let version = DataVersion { counter: 3, state_version: 0, timestamp: 9 };
    let (offsets, skipped) = Offsets::from_table(&entries, version);
    assert_eq!(skipped, 0);
    assert_eq!(offsets.table(), entries);
    assert_eq!(offsets.version(), version);
    assert_eq!(offsets.query("G", "%RETRY%G", 0), Some(4));
}

#[test]
fn broken_entries_of_a_file_are_left_out_and_counted() {
    let entries = table(&[
        ("nothing", &[(0, 1)]),
        ("@", &[(0, 1)]),
        ("T@G", &[(-1, 1), (0, -5), (1, 7), (70_000, 1)]),
        ("U@", &[]),
    ]);
    let (offsets, skipped) = Offsets::from_table(&entries, DataVersion::default());
    assert_eq!(skipped, 5);
    assert_eq!(offsets.table(), table(&[("T@G", &[(1, 7)])]));
}

#[test]
fn the_version_rises_every_five_hundred_commits() {
    let mut offsets = Offsets::default();
    for n in 0..VERSION_STEP - 1 {
        offsets.commit(NOW, "G", "T", 0, i64::try_from(n).unwrap());
    }
    assert_eq!(offsets.version().counter, 0);
    offsets.set_state_version(2);
    offsets.commit(NOW, "G", "T", 0, 0);
    let version = DataVersion { counter: 1, state_version: 2, timestamp: NOW };
    assert_eq!(offsets.version(), version);
}

#[test]
fn the_file_is_written_only_after_changes() {
    let mut offsets = Offsets::default();
    assert!(!offsets.take_dirty());
    offsets.commit(NOW, "G", "T", 0, 1);
    assert!(offsets.take_dirty() && !offsets.take_dirty());
    offsets.commit(NOW, "G", "T", 0, 1);
    assert!(!offsets.take_dirty(), "the same again");
    offsets.commit(NOW, "G", "T", 0, 2);
    assert!(offsets.take_dirty());
}

#[test]
fn a_group_can_be_cloned_topic_by_topic() {
    let entries =
        table(&[("T@G", &[(0, 1), (1, 2)]), ("T@H", &[(0, 9), (5, 9)]), ("U@G", &[(0, 3)])]);
    let (mut offsets, _) = Offsets::from_table(&entries, DataVersion::default());
    assert!(offsets.clone_group(NOW, "G", "H", "T"));
    assert_eq!(offsets.queues("H", "T").collect::<Vec<_>>(), [(0, 1), (1, 2)]);
    assert_eq!(offsets.query("H", "U", 0), None);
    assert!(!offsets.clone_group(NOW, "G", "G", "T"), "onto itself");
    assert_eq!(offsets.query("G", "T", 1), Some(2));
    assert!(!offsets.clone_group(NOW, "absent", "H", "T"));
    assert_eq!(offsets.queues("H", "T").count(), 2);
}

#[test]
fn topics_and_groups_are_found_and_deleted() {
    let entries = table(&[("T@G", &[(0, 1)]), ("U@G", &[(0, 1)]), ("T@H", &[(0, 1)])]);
    let (mut offsets, _) = Offsets::from_table(&entries, DataVersion::default());
    offsets.cell("I", "T", 0).unwrap(); // known, nothing committed
    let names = |set: BTreeSet<Arc<str>>| set.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(names(offsets.groups_of_topic("T")), ["G", "H"]);
    assert_eq!(names(offsets.topics_of_group("G")), ["T", "U"]);
    assert_eq!(offsets.pairs().count(), 3);
    offsets.delete_topic(NOW, "T");
    assert_eq!(names(offsets.topics_of_group("G")), ["U"]);
    assert!(offsets.groups_of_topic("T").is_empty());
    let version = offsets.version();
    offsets.delete_topic(NOW, "T");
    assert_eq!(offsets.version(), version, "nothing left to delete");
    offsets.delete_group(NOW, "G");
    assert!(offsets.table().is_empty());
    assert_eq!((offsets.cells, offsets.resets), (0, 0));
}

proptest! {
    #[test]
    fn offsets_are_a_map(
        steps in prop::collection::vec((0u8..6, 0usize..3, 0usize..3, 0i32..3, 0i64..50), 0..80)
    ) {
        const NAMES: [&str; 3] = ["a", "b", "c"];
        let mut offsets = Offsets::default();
        let mut model: BTreeMap<(&str, &str, i32), i64> = BTreeMap::new();
        let mut pending: BTreeMap<(&str, &str, i32), i64> = BTreeMap::new();
        for (step, group, topic, queue, offset) in steps {
            let (group, topic) = (NAMES[group], NAMES[topic]);
            let key = (group, topic, queue);
            match step {
                0..=2 => {
                    let commit = offsets.commit(NOW, group, topic, queue, offset);
                    match pending.get(&key) {
                        Some(offset) => prop_assert_eq!(commit, Commit::ResetPending { offset: *offset }),
                        None => { model.insert(key, offset); }
                    }
                }
                3 => {
                    offsets.reset(NOW, group, topic, queue, offset);
                    model.insert(key, offset);
                    pending.insert(key, offset);
                }
                4 => prop_assert_eq!(offsets.take_reset(group, topic, queue), pending.remove(&key)),
                _ => {
                    offsets.delete_topic(NOW, topic);
                    model.retain(|(_, known, _), _| *known != topic);
                    pending.retain(|(_, known, _), _| *known != topic);
                }
            }
        }
        let mut want = OffsetTable::new();
        for ((group, topic, queue), offset) in &model {
            want.entry(format!("{topic}@{group}")).or_default().insert(*queue, *offset);
        }
        prop_assert_eq!(offsets.table(), want);
        prop_assert_eq!(offsets.cells, model.len());
        prop_assert_eq!(offsets.resets, pending.len());
    }
}
