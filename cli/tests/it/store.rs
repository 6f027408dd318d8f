//! `rmq store` on the files of a broker that does not run.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use parking_lot::{Condvar, Mutex};
use rmq_host::SystemClock;
use rmq_record::{Message, properties};
use rmq_store::{
    IndexConfig, Observers, OneOrMany, OsDisk, Put, PutDone, PutGroup, PutResult, Store,
    StoreConfig,
};
use serde_json::Value;

const SEGMENT: u64 = 64 * 1024;

fn config(root: &Path) -> StoreConfig {
    let mut config = StoreConfig::new(root);
    config.segment_bytes = SEGMENT;
    config.consume_queue_file_bytes = 2000;
    config.index = Some(IndexConfig { slots: 97, entries: 1000 });
    config
}

#[derive(Default)]
struct Answers {
    count: Mutex<usize>,
    more: Condvar,
}

impl PutDone for Answers {
    fn done(&self, results: &mut Vec<PutResult>) {
        assert!(results.iter().all(|(_, result)| result.is_ok()), "{results:?}");
        *self.count.lock() += results.len();
        results.clear();
        self.more.notify_all();
    }
}

/// A store with 300 messages in one queue, still open.
fn filled(root: &Path) -> Store {
    let clock = Arc::new(SystemClock::new());
    let store = Store::open(config(root), OsDisk, clock, Observers::none()).expect("a new store");
    let answers = Arc::new(Answers::default());
    let message = |n: u64| Message {
        topic: "T".into(),
        queue_id: 0,
        flag: 0,
        sys_flag: 0,
        born_timestamp: 1,
        born_host: ([127, 0, 0, 1], 50_000).into(),
        store_host: ([127, 0, 0, 1], 10_911).into(),
        reconsume_times: 0,
        prepared_transaction_offset: 0,
        body: format!("{n:0>500}").into_bytes().into(),
        properties: properties::text([("KEYS", format!("k{n}").as_str())]),
    };
    let puts = (0..300).map(|token| {
        let one = store.prepare(&message(token)).expect("a small message");
        Put { token, messages: OneOrMany::One(one), wait: true }
    });
    let group = PutGroup { puts: puts.collect(), done: answers.clone() };
    assert!(store.put(group).is_ok(), "busy");
    answers.more.wait_while(&mut answers.count.lock(), |count| *count < 300);
    store
}

/// Status, standard output and standard error.
fn rmq(args: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rmq"));
    let done = command.arg("store").args(args).output().expect("the program starts");
    let (out, err) = super::texts(&done);
    (done.status.code().unwrap_or(-1), out, err)
}

fn damage(path: &Path, at: u64, bytes: &[u8]) {
    use std::os::unix::fs::FileExt as _;
    let file = std::fs::File::options().write(true).open(path).expect("a file of the store");
    file.write_all_at(bytes, at).expect("written");
}

#[test]
fn a_store_is_checked_shown_and_repaired_and_the_status_says_what_was_found() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let root = folder.path().join("store");
    let store = filled(&root);
    let conf = folder.path().join("broker.conf");
    let text = format!(
        "storePathRootDir={0}\nstorePathCommitLog={0}/commitlog\nmappedFileSizeCommitLog={SEGMENT}\n\
         mappedFileSizeConsumeQueue=2000\nmaxHashSlotNum=97\nmaxIndexNum=1000\n",
        root.display()
    );
    rmq_host::durable::replace(&conf, text.as_bytes()).expect("writable");
    let (dir, conf) = (root.display().to_string(), conf.display().to_string());

    for action in ["check", "dump", "repair"] {
        let (status, _, err) = rmq(&[action, "-c", &conf]);
        assert_eq!(status, 5, "{action}: {err}");
        assert!(err.contains("is locked: another broker uses this store"), "{err}");
    }
    store.close().expect("a clean stop");
    let (status, out, err) = rmq(&["check", &dir]);
    assert_eq!(status, 0, "{out}{err}");
    assert!(out.contains("300 records in 3 files") && out.contains("nothing is wrong"), "{out}");

    let queue = root.join("consumequeue/T/0/00000000000000002000");
    damage(&queue, 0, &[0; 40]);
    let (status, out, err) = rmq(&["check", "-c", &conf, "-o", "json"]);
    assert_eq!(status, 3, "{out}{err}");
    let report: Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!(report["verdict"], "rebuild");
    assert_eq!(
        (&report["queues"][0]["missing"], &report["index"]["entries"]),
        (&2.into(), &300.into())
    );

    let (status, _, err) = rmq(&["repair", &dir]);
    assert_eq!(status, 1, "{err}");
    assert!(err.contains("give the broker's file with -c"), "{err}");
    let (status, out, err) = rmq(&["repair", "-c", &conf]);
    assert_eq!(status, 0, "{out}{err}");
    assert!(out.contains("made 1 queues from 300 records"), "{out}");
    let (status, out, _) = rmq(&["check", "-c", &conf]);
    assert_eq!(status, 0, "{out}");

    damage(&root.join(format!("commitlog/{SEGMENT:020}")), 200, b"!");
    let (status, out, err) = rmq(&["check", "-c", &conf]);
    assert_eq!(status, 4, "{out}{err}");
    assert!(out.contains("damaged: 1 places") && out.contains("CRC does not match"), "{out}");
    let (status, out, _) = rmq(&["dump", &dir, "--key", "k7", "--body", "-o", "json"]);
    assert_eq!(status, 4, "the damage was met: {out}");
    let lines: Vec<Value> =
        out.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(lines.len(), 2, "the message and the damage: {out}");
    assert_eq!((&lines[0]["offset"], &lines[0]["keys"][0]), (&7.into(), &"k7".into()));
    assert!(lines[1]["damage"]["fault"].is_string());
    let (status, _, err) = rmq(&["repair", "-c", &conf]);
    assert_eq!(status, 4, "{err}");
    assert!(err.contains("nothing was changed") && err.contains("valid records follow"), "{err}");
    let (status, out, err) = rmq(&["repair", "-c", &conf, "--cut-log"]);
    assert_eq!(status, 0, "{out}{err}");
    assert!(out.contains(&format!("the log was cut at {SEGMENT}")), "{out}");
    let (status, out, _) = rmq(&["check", "-c", &conf]);
    assert_eq!(status, 0, "{out}");

    let (status, _, err) = rmq(&["check", &folder.path().display().to_string()]);
    assert_eq!(status, 1, "{err}");
    assert!(err.contains("no store can be read at"), "{err}");
}
