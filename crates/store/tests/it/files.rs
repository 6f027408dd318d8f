//! The bytes on disk, against the layout that Java reads and writes.

use crate::support::*;
use rmq_testkit::disk::FaultDisk;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn a_closed_store_has_javas_files() {
    let disk = FaultDisk::default();
    let store = open_on(&disk, config(root()));
    let first = with_properties("TopicTest", 1, &"x".repeat(1900), &[("TAGS", "TagA")]);
    let at = |n: u64| n;
    let ends: Vec<u64> = (0..3).map(|_| put(&store, &first).unwrap().end.0).collect();
    store.close().unwrap();

    let log = disk.content(&root().join("commitlog/00000000000000000000")).unwrap();
    assert_eq!(log.len(), 4096);
    assert_eq!(hex(&log[4..8]), "daa320a7");
    assert_eq!(hex(&log[20..36]), "0".repeat(32), "queue offset 0, physical offset 0");
    assert_eq!(hex(&log[56..64]), "0000018bcfe56800", "store time");
    let end = usize::try_from(ends[1]).unwrap();
    let left = u32::try_from(4096 - end).unwrap();
    assert_eq!(hex(&log[end..end + 8]), format!("{left:08x}cbd43194"), "filler");
    assert!(log[end + 8..].iter().all(|b| *b == 0));
    let second = disk.content(&root().join("commitlog/00000000000000004096")).unwrap();
    assert_eq!(hex(&second[28..36]), "0000000000001000", "physical offset");
    assert!(disk.content(&root().join("commitlog/00000000000000008192")).is_none(), "no spare");

    let queue =
        disk.content(&root().join("consumequeue/TopicTest/1/00000000000000000000")).unwrap();
    let size = at(ends[0]);
    assert_eq!(queue.len(), 320);
    assert_eq!(hex(&queue[..20]), format!("{:016x}{size:08x}000000000027a807", 0));
    assert_eq!(hex(&queue[40..60]), format!("{:016x}{size:08x}000000000027a807", 4096));
    assert!(queue[60..].iter().all(|b| *b == 0));

    let checkpoint = disk.content(&root().join("checkpoint")).unwrap();
    assert_eq!(checkpoint.len(), 4096);
    assert_eq!(hex(&checkpoint[..24]), "0000018bcfe568000000018bcfe568000000000000000000");
    assert!(disk.content(&root().join("abort")).is_none());
    assert_eq!(disk.content(&root().join("lock")).unwrap(), b"lock");
}

#[test]
fn a_running_store_has_the_abort_file() {
    let disk = FaultDisk::default();
    let _store = open_on(&disk, config(root()));
    let pid = std::process::id().to_string();
    assert_eq!(disk.content(&root().join("abort")), Some(pid.into_bytes()));
}

#[test]
fn index_files_have_javas_header_slots_and_entries() {
    use rmq_store::{Disk, IndexConfig};
    let disk = FaultDisk::default();
    let mut config = config(root());
    config.index = Some(IndexConfig { slots: 5_000, entries: 4 });
    let store = open_on(&disk, config);
    // The reference's vector: hashCode("TopicTest#KeyA") = -1656937756.
    for _ in 0..4 {
        put(&store, &with_properties("TopicTest", 0, "x", &[("KEYS", "KeyA")])).unwrap();
    }
    store.close().unwrap();
    let mut names: Vec<_> =
        disk.list(&root().join("index")).unwrap().into_iter().map(|entry| entry.name).collect();
    names.sort();
    assert_eq!(names.len(), 2, "three entries fill a file of four");
    assert!(names.iter().all(|name| name.len() == 17));
    let full = disk.content(&root().join("index").join(&names[0])).unwrap();
    assert_eq!(full.len(), 40 + 4 * 5_000 + 20 * 4);
    let size = 91 + 9 + 1 + 10;
    let time = "0000018bcfe56800";
    let want = format!("{time}{time}{:016x}{:016x}{:08x}{:08x}", 0, 2 * size, 1, 4);
    assert_eq!(hex(&full[..40]), want);
    let slot = 40 + 4 * (1_656_937_756 % 5_000);
    assert_eq!(hex(&full[slot..slot + 4]), "00000003");
    let entry = |number: usize| hex(&full[40 + 20_000 + 20 * number..][..20]);
    assert_eq!(entry(1), format!("{:08x}{:016x}{:08x}{:08x}", 1_656_937_756, 0, 0, 0));
    assert_eq!(entry(3), format!("{:08x}{:016x}{:08x}{:08x}", 1_656_937_756, 2 * size, 0, 2));
    let checkpoint = disk.content(&root().join("checkpoint")).unwrap();
    assert_eq!(hex(&checkpoint[16..24]), time, "end time of the full file");
    let newest = disk.content(&root().join("index").join(&names[1])).unwrap();
    assert_eq!(hex(&newest[32..40]), "0000000100000002");
}

#[test]
fn a_queue_that_begins_late_is_filled_with_units_that_say_so() {
    let disk = FaultDisk::default();
    let store = open_on(&disk, config(root()));
    for n in 0..40 {
        put(&store, &message("T", 0, &n.to_string())).unwrap();
    }
    drop(store);
    // The queue's files are lost, and with them the part that the log does not have any more.
    use rmq_store::Disk;
    for file in ["00000000000000000000", "00000000000000000320", "00000000000000000640"] {
        let path = root().join("consumequeue/T/0").join(file);
        if disk.content(&path).is_some() {
            disk.remove_file(&path).unwrap();
        }
    }
    let first = root().join("commitlog/00000000000000000000");
    disk.remove_file(&first).unwrap();
    disk.damage(&root().join("rmq/progress"), 0, b"???");
    let store = open_on(&disk, config(root()));
    let min = store.min_offset("T", 0);
    assert!(min > 0 && store.max_offset("T", 0) == 40, "{min}");
    let got = bodies(&store, "T", 0);
    assert_eq!(got.first(), Some(&min.to_string()));
    store.close().unwrap();
    let min = u64::try_from(min).unwrap();
    let name = format!("consumequeue/T/0/{:020}", min / 16 * 320);
    let file = disk.content(&root().join(name)).unwrap();
    if min % 16 > 0 {
        assert_eq!(hex(&file[..20]), "00000000000000007fffffff0000000000000000");
    }
    let store = open_on(&disk, config(root()));
    assert_eq!(store.min_offset("T", 0), i64::try_from(min).unwrap());
    assert_eq!(bodies(&store, "T", 0), got);
}
