use super::*;
use crate::disk::OsDisk;
use proptest::prelude::*;
use std::path::Path;

const CONFIG: IndexConfig = IndexConfig { slots: 7, entries: 16 };

fn open(dir: &Path, trust: &Trust) -> Index {
    Index::open(Arc::new(OsDisk), dir.to_owned(), CONFIG, trust).unwrap()
}

fn entry(hash: i32, log_offset: u64) -> Entry {
    let store_time = 1_700_000_000_000 + i64::try_from(log_offset).unwrap() * 1000;
    Entry { hash, log_offset, store_time }
}

fn offsets(index: &Index, hash: i32) -> Vec<u64> {
    let query = Query { hash, begin: 0, end: i64::MAX, max: 1000 };
    index.query(&query).unwrap().offsets
}

fn model(entries: &[Entry], hash: i32) -> Vec<u64> {
    entries.iter().rev().filter(|e| e.hash == hash).map(|e| e.log_offset).collect()
}

#[test]
fn hashes_are_javas() {
    let topic = topic_hash("TopicTest");
    assert_eq!(key_hash(topic, "KeyA"), 1_656_937_756);
    assert_eq!(key_hash(topic, "7F000001ABCD18B4AAC27F5C6E8A0000"), 1_924_703_631);
    assert_eq!(key_hash(0, "polygenelubricants"), 0);
}

#[test]
fn names_are_seventeen_digits_of_local_time() {
    let name = name_of(1_700_000_000_123).to_string();
    assert_eq!(name.len(), 17);
    assert!(name.starts_with("202311") && name.ends_with("123"), "{name}");
}

/// Leaves the newest file as a batch does that was cut off before its header was written.
fn tear(index: &Index, hash: i32) {
    let mut files = index.files.lock();
    let file = files.last_mut().unwrap();
    let before = std::fs::read(&file.path).unwrap();
    file.append(&[entry(hash, 1_000_000)]).unwrap();
    let mut torn = std::fs::read(&file.path).unwrap();
    torn[..40].copy_from_slice(&before[..40]);
    use std::os::unix::fs::FileExt;
    let on_disk = std::fs::OpenOptions::new().write(true).open(&file.path).unwrap();
    on_disk.write_all_at(&torn, 0).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn an_index_is_a_list(
        batches in prop::collection::vec(prop::collection::vec(0..20i32, 1..12), 1..8),
        torn: bool,
        unapplied in 0usize..3,
    ) {
        let dir = tempfile::tempdir().unwrap();
        let index = open(dir.path(), &Trust::All);
        let (mut all, mut applied) = (Vec::new(), 0);
        let last = batches.len().saturating_sub(unapplied);
        for (at, batch) in batches.iter().enumerate() {
            let mut entries: Vec<Entry> =
                batch.iter().zip(all.len() as u64..).map(|(hash, at)| entry(*hash, at)).collect();
            all.extend_from_slice(&entries);
            index.append(&mut entries);
            if at < last {
                index.apply(1_700_000_000_000).unwrap();
                applied = all.len();
            }
        }
        for hash in 0..20 {
            prop_assert_eq!(offsets(&index, hash), model(&all, hash));
        }
        let trust = if torn && applied > 0 && index.files.lock().last().unwrap().room() > 0 {
            let mark = index.sync().unwrap();
            tear(&index, all[0].hash);
            Trust::Synced { full_until: 0, mark }
        } else {
            Trust::All
        };
        drop(index);
        all.truncate(applied);
        let index = open(dir.path(), &trust);
        prop_assert_eq!(index.end_offset(), all.last().map(|e| e.log_offset));
        // What is applied next must keep the old chains.
        let mut more = vec![entry(3, 500)];
        all.extend_from_slice(&more);
        index.append(&mut more);
        index.apply(1_700_000_000_000).unwrap();
        for hash in 0..20 {
            prop_assert_eq!(offsets(&index, hash), model(&all, hash));
        }
    }

    #[test]
    fn cutting_drops_what_is_behind(count in 1u64..40, cut in 0u64..45) {
        let dir = tempfile::tempdir().unwrap();
        let index = open(dir.path(), &Trust::All);
        let all: Vec<Entry> = (0..count).map(|at| entry(i32::try_from(at % 5).unwrap(), at)).collect();
        index.append(&mut all.clone());
        index.apply(1_700_000_000_000).unwrap();
        index.cut(cut).unwrap();
        let kept: Vec<Entry> = all.into_iter().filter(|e| e.log_offset < cut).collect();
        for hash in 0..5 {
            prop_assert_eq!(offsets(&index, hash), model(&kept, hash));
        }
    }
}

#[test]
fn after_a_power_cut_only_what_was_synced_is_believed() {
    let dir = tempfile::tempdir().unwrap();
    let index = open(dir.path(), &Trust::All);
    let first: Vec<Entry> = (0..5).map(|at| entry(1, at)).collect();
    index.append(&mut first.clone());
    index.apply(0).unwrap();
    let mark = index.sync().unwrap();
    index.append(&mut (5..9).map(|at| entry(1, at)).collect());
    index.apply(0).unwrap();
    drop(index);
    let index = open(dir.path(), &Trust::Synced { full_until: 0, mark });
    assert_eq!(offsets(&index, 1), model(&first, 1));
    drop(index);
    let index = open(dir.path(), &Trust::Synced { full_until: 0, mark: None });
    assert_eq!(offsets(&index, 1), [0_u64; 0]);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn a_window_selects_by_time() {
    let dir = tempfile::tempdir().unwrap();
    let index = open(dir.path(), &Trust::All);
    index.append(&mut (0..10).map(|at| entry(1, at)).collect());
    for _ in 0..2 {
        let at = |second: i64| 1_700_000_000_000 + second * 1000;
        let query = Query { hash: 1, begin: at(3), end: at(5), max: 1000 };
        assert_eq!(index.query(&query).unwrap().offsets, [5, 4, 3]);
        let newest = index.query(&Query { max: 2, begin: 0, ..query }).unwrap();
        assert_eq!((newest.offsets, newest.last_offset), (vec![5, 4], 9));
        index.apply(0).unwrap();
    }
}
