use crate::support::*;
use rmq_record::RecordView;
use rmq_record::layout::Check;
use rmq_store::{Boundary, OpenError, OsDisk, PutError, ReadLimits, ReadStatus, Store};
use rmq_testkit::clock::FakeClock;
use std::sync::Arc;
use std::time::Duration;

#[test]
fn what_was_put_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(config(dir.path()));
    let ok = put(&store, &message("T", 1, "hello")).unwrap();
    assert_eq!((ok.log_offset.0, ok.queue_offset, ok.store_time), (0, 0, START));
    let result = read(&store, "T", 1, 0);
    assert_eq!((result.status, result.next_offset, result.count), (ReadStatus::Found, 1, 1));
    let record = RecordView::decode(&result.records, Check::full(ok.log_offset)).unwrap();
    assert_eq!((record.topic, record.body), ("T", &b"hello"[..]));
    assert_eq!(ok.end.0, record.bytes.len() as u64);
    store.close().unwrap();
}

#[test]
fn messages_cross_many_segments_and_queue_files() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(config(dir.path()));
    let want: Vec<String> = (0..100).map(|n| format!("{n:0>200}")).collect();
    for chunk in want.chunks(7) {
        let messages: Vec<_> = chunk.iter().map(|body| message("T", 0, body)).collect();
        assert!(put_all(&store, &messages).iter().all(Result::is_ok));
    }
    assert_eq!(bodies(&store, "T", 0), want);
    store.flush().unwrap();
    assert_eq!(bodies(&store, "T", 0), want);
    assert!(store.status().segments > 5);
    store.close().unwrap();
    let store = open(config(dir.path()));
    assert_eq!(bodies(&store, "T", 0), want);
    assert_eq!(put(&store, &message("T", 0, "next")).unwrap().queue_offset, 100);
}

#[test]
fn a_store_that_was_only_dropped_has_everything() {
    let dir = tempfile::tempdir().unwrap();
    let mut want = Vec::new();
    for round in 0..5 {
        let store = open(config(dir.path()));
        for n in 0..20 {
            let body = format!("{round}-{n}");
            put(&store, &message("T", 0, &body)).unwrap();
            want.push(body);
        }
        assert_eq!(bodies(&store, "T", 0), want);
        drop(store);
        assert!(dir.path().join("abort").exists());
    }
    open(config(dir.path())).close().unwrap();
    assert!(!dir.path().join("abort").exists());
}

#[test]
fn a_batch_is_contiguous_and_in_one_file() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(config(dir.path()));
    put(&store, &with_properties("T", 0, &"x".repeat(2000), &[])).unwrap();
    let batch: Vec<_> = (0..10).map(|n| message("T", 0, &format!("{n:0>100}"))).collect();
    let ok = put_batch(&store, &batch).unwrap();
    assert_eq!((ok.log_offset.0, ok.queue_offset), (4096, 1), "it did not fit behind the first");
    assert_eq!(ok.log_offsets.len(), 10);
    let too_long: Vec<_> = (0..30).map(|n| message("T", 0, &format!("{n:0>100}"))).collect();
    assert!(matches!(put_batch(&store, &too_long), Err(PutError::IllegalMessage { .. })));
    assert_eq!(store.max_offset("T", 0), 11);
}

#[test]
fn messages_that_can_never_be_stored_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(config(dir.path()));
    for (message, retry_topic_ok) in [
        (message("T", 0, &"x".repeat(2049)), false),
        (message(&"t".repeat(128), 0, "x"), false),
        (message(&format!("%RETRY%{}", "g".repeat(248)), 0, "x"), true),
        (message(&format!("%RETRY%{}", "g".repeat(249)), 0, "x"), false),
        (message("T", 1 << 31, "x"), false),
    ] {
        assert_eq!(store.prepare(&message).is_ok(), retry_topic_ok, "{:?}", message.topic);
    }
    let mut long = message("T", 0, "x");
    long.properties = vec![b'p'; 32_768].into();
    assert_eq!(store.prepare(&long).err(), Some(PutError::PropertiesTooLong { bytes: 32_768 }));
}

#[test]
fn statuses_and_next_offsets_are_those_of_the_reference() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(config(dir.path()));
    let status = |from| {
        let result = read(&store, "T", 0, from);
        (result.status, result.next_offset)
    };
    assert_eq!(status(0), (ReadStatus::NoMatchedLogicQueue, 0));
    assert_eq!(status(5), (ReadStatus::NoMatchedLogicQueue, 0));
    store.prepare(&message("T", 0, "x")).unwrap();
    assert_eq!(status(3), (ReadStatus::NoMessageInQueue, 0));
    for n in 0..3 {
        put(&store, &message("T", 0, &n.to_string())).unwrap();
    }
    assert_eq!(status(-1), (ReadStatus::OffsetTooSmall, 0));
    assert_eq!(status(2), (ReadStatus::Found, 3));
    assert_eq!(status(3), (ReadStatus::OffsetOverflowOne, 3));
    assert_eq!(status(4), (ReadStatus::OffsetOverflowBadly, 3));
    let nothing = store.read("T", 0, 0, ReadLimits::default(), &mut |_| false).unwrap();
    assert_eq!((nothing.status, nothing.next_offset), (ReadStatus::NoMatchedMessage, 3));
}

#[test]
fn limits_end_a_read() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(config(dir.path()));
    let messages: Vec<_> = (0..50).map(|n| message("T", 0, &format!("{n:0>100}"))).collect();
    put_all(&store, &messages);
    let size = read(&store, "T", 0, 0).sizes[0] as usize;
    let count = |limits: ReadLimits| {
        let result = store.read("T", 0, 0, limits, &mut |_| true).unwrap();
        assert_eq!(result.sizes.iter().sum::<u32>() as usize, result.records.len());
        (result.count, result.next_offset)
    };
    let all = ReadLimits { messages_max: 100, memory_messages_max: 100, ..ReadLimits::default() };
    assert_eq!(count(all), (50, 50));
    assert_eq!(count(ReadLimits::default()), (32, 32));
    assert_eq!(count(ReadLimits { messages_max: 5, ..all }), (5, 5));
    assert_eq!(count(ReadLimits { bytes_max: 1, ..all }), (1, 1));
    assert_eq!(count(ReadLimits { bytes_max: 3 * size, ..all }), (3, 3));
    assert_eq!(count(ReadLimits { memory_bytes_max: 2 * size, ..all }), (2, 2));
    drop(store);
    let mut far = config(dir.path());
    far.memory_bytes = 0;
    let store = open(far);
    let result = read(&store, "T", 0, 0);
    assert_eq!((result.count, result.in_memory), (8, false));
}

#[test]
fn a_filtered_scan_is_bounded() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(config(dir.path()));
    for chunk in 0..10 {
        let messages: Vec<_> =
            (0..100).map(|n| message("T", 0, &(chunk * 100 + n).to_string())).collect();
        put_all(&store, &messages);
    }
    let mut asked = 0;
    let result = store
        .read("T", 0, 0, ReadLimits::default(), &mut |_| {
            asked += 1;
            false
        })
        .unwrap();
    assert_eq!((asked, result.next_offset), (800, 800));
    assert_eq!(result.status, ReadStatus::NoMatchedMessage);
}

#[test]
fn filters_see_tags_and_records() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(config(dir.path()));
    for n in 0..10 {
        let tag = if n % 2 == 0 { "even" } else { "odd" };
        put(&store, &with_properties("T", 0, &n.to_string(), &[("TAGS", tag)])).unwrap();
    }
    let even = rmq_record::tags_code("even");
    let result = store.read("T", 0, 0, ReadLimits::default(), &mut |tags| tags == even).unwrap();
    assert_eq!((result.count, result.next_offset), (5, 10));
    let mut above_four =
        |record: &[u8]| RecordView::decode(record, Check::default()).unwrap().body > &b"4"[..];
    let result = store
        .read_matching("T", 0, 0, ReadLimits::default(), &mut |tags| tags == even, &mut above_four)
        .unwrap();
    assert_eq!((result.count, result.next_offset), (2, 10));
}

#[test]
fn offsets_are_found_by_time() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(FakeClock::default());
    let store = open_with(config(dir.path()), &clock);
    for second in [10, 20, 20, 20, 30] {
        clock.step_wall(START + second * 1000);
        put(&store, &message("T", 0, "x")).unwrap();
    }
    for (second, lower, upper) in
        [(0, 0, 0), (10, 0, 0), (15, 1, 0), (20, 1, 3), (25, 4, 3), (30, 4, 4), (31, 5, 4)]
    {
        let at = |boundary| store.offset_by_time("T", 0, START + second * 1000, boundary).unwrap();
        assert_eq!((at(Boundary::Lower), at(Boundary::Upper)), (lower, upper), "{second} s");
    }
    assert_eq!(store.store_time_at("T", 0, 4).unwrap(), Some(START + 30_000));
    assert_eq!(store.store_time_at("T", 0, 5).unwrap(), None);
    assert_eq!(store.earliest_store_time("T", 0).unwrap(), Some(START + 10_000));
}

#[test]
fn messages_are_found_by_key() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(FakeClock::default());
    let mut store = open_with(config(dir.path()), &clock);
    for n in 0..100 {
        clock.advance(Duration::from_secs(1));
        let (id, key) = (format!("id{n}"), format!("all key{}", n % 10));
        let message = with_properties("T", 0, &n.to_string(), &[("UNIQ_KEY", &id), ("KEYS", &key)]);
        put(&store, &message).unwrap();
    }
    // From memory, from the files, and after each way to stop.
    for step in 0..4 {
        let bodies = |key: &str, max, begin: i64, end: i64| -> Vec<i32> {
            let found = store.query("T", key, max, START + begin, START + end).unwrap();
            let body = |record: &bytes::Bytes| {
                let view = RecordView::decode(record, Check::default()).unwrap();
                std::str::from_utf8(view.body).unwrap().parse().unwrap()
            };
            found.records.iter().map(body).collect()
        };
        assert_eq!(bodies("id7", 10, 0, i64::MAX - START), [7], "step {step}");
        assert_eq!(bodies("key3", 3, 0, 200_000), [93, 83, 73]);
        assert_eq!(bodies("key3", 64, 0, 200_000).len(), 10);
        assert_eq!(bodies("key3", 64, 30_000, 60_000), [53, 43, 33]);
        assert_eq!(bodies("all", 1000, 0, 200_000).len(), 64);
        assert!(bodies("none", 64, 0, 200_000).is_empty());
        assert!(store.query("U", "id7", 64, 0, i64::MAX).unwrap().records.is_empty());
        match step {
            0 => store.flush().unwrap(),
            1 => drop(std::mem::replace(&mut store, open(config(&dir.path().join("other"))))),
            _ => std::mem::replace(&mut store, open(config(&dir.path().join("other"))))
                .close()
                .unwrap(),
        }
        if step > 0 {
            store.close().unwrap();
            store = open_with(config(dir.path()), &clock);
        }
    }
}

#[test]
fn delayed_messages_carry_their_delivery_time_as_tags_code() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(config(dir.path()));
    let delayed = |level: &str| {
        with_properties("SCHEDULE_TOPIC_XXXX", 2, level, &[("DELAY", level), ("TAGS", "t")])
    };
    put_all(&store, &[delayed("3"), delayed("99")]);
    let codes = |store: &Store| -> Vec<i64> {
        let units = store.tags_codes("SCHEDULE_TOPIC_XXXX", 2, 0, 10).unwrap();
        units.iter().map(|unit| unit.tags_code - START).collect()
    };
    assert_eq!(codes(&store), [10_000, 7_200_000]);
    drop(store);
    assert_eq!(codes(&open(config(dir.path()))), [10_000, 7_200_000]);
}

#[test]
fn half_messages_get_no_place_in_a_queue() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(config(dir.path()));
    for (sys_flag, next) in [(0, 1), (0x4, 1), (0x8, 2), (0xC, 2)] {
        let mut message = message("T", 0, "x");
        message.sys_flag = sys_flag;
        put(&store, &message).unwrap();
        assert_eq!(store.max_offset("T", 0), next, "{sys_flag:x}");
    }
    drop(store);
    assert_eq!(open(config(dir.path())).max_offset("T", 0), 2);
}

#[test]
fn a_deleted_topic_begins_again() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(config(dir.path()));
    for n in 0..40 {
        put(&store, &message("T", 0, &n.to_string())).unwrap();
    }
    store.flush().unwrap();
    let prepared_before = store.prepare(&message("T", 0, "late")).unwrap();
    assert!(store.delete_topic("T").unwrap());
    assert!(!store.delete_topic("T").unwrap());
    assert!(!dir.path().join("consumequeue/T").exists());
    assert_eq!(store.queues("T"), [0_u32; 0]);
    drop(prepared_before);
    assert_eq!(put(&store, &message("T", 0, "new")).unwrap().queue_offset, 0);
    assert_eq!(bodies(&store, "T", 0), ["new"]);
    drop(store);
    assert_eq!(bodies(&open(config(dir.path())), "T", 0), ["new"]);
}

#[test]
fn units_of_a_deleted_topic_no_longer_wait() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(dir.path());
    config.upkeep.queues_every = Duration::from_secs(600);
    let store = open(config);
    for n in 0..40 {
        put(&store, &message("T", n % 2, &n.to_string())).unwrap();
        put(&store, &message("U", 0, &n.to_string())).unwrap();
    }
    assert_eq!(store.status().units_pending, 80);
    store.delete_topic("T").unwrap();
    store.flush().unwrap();
    assert_eq!(store.status().units_pending, 0);
    assert_eq!(bodies(&store, "U", 0).len(), 40);
}

#[test]
fn one_store_has_one_user() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(config(dir.path()));
    let clock: Arc<dyn rmq_model::Clock> = Arc::new(FakeClock::default());
    let again = Store::open(config(dir.path()), OsDisk, clock, rmq_store::Observers::none());
    assert!(matches!(again, Err(OpenError::Locked { .. })), "{again:?}");
    drop(store);
    open(config(dir.path()));
}

#[test]
fn a_closed_store_refuses() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(config(dir.path()));
    store.clone().close().unwrap();
    assert_eq!(put(&store, &message("T", 0, "x")), Err(PutError::Closed));
}

#[test]
fn foreign_files_and_other_sizes_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(config(dir.path()));
    put(&store, &message("T", 0, "x")).unwrap();
    store.close().unwrap();
    let fails = |config| {
        let clock: Arc<dyn rmq_model::Clock> = Arc::new(FakeClock::default());
        Store::open(config, OsDisk, clock, rmq_store::Observers::none()).unwrap_err()
    };
    let mut other = config(dir.path());
    other.segment_bytes = 8192;
    assert!(matches!(fails(other), OpenError::Foreign { len: 4096, want: 8192, .. }));
    let mut other = config(dir.path());
    other.consume_queue_file_bytes = 40;
    assert!(matches!(fails(other), OpenError::Foreign { len: 320, want: 40, .. }));
    let rocks = dir.path().join("consumequeue/CURRENT");
    std::fs::File::create(&rocks).unwrap();
    let error = fails(config(dir.path()));
    assert!(matches!(error, OpenError::Unsupported { kind: "RocksDB", .. }), "{error}");
}

#[test]
fn what_would_be_read_wrongly_is_refused() {
    for (queue, what) in [
        ("batchconsumequeue/T/0", "BatchCQ"),
        ("consumequeue_ext/T/0", "enableConsumeQueueExt"),
        ("compaction/compactionLog/T/0", "COMPACTION"),
        ("consumequeue/%LMQ%T/0", "enableLmq"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join(queue)).unwrap();
        open(config(dir.path())).close().unwrap();
        std::fs::create_dir_all(dir.path().join(queue)).unwrap();
        std::fs::File::create(dir.path().join(queue).join("0".repeat(20))).unwrap();
        let clock: Arc<dyn rmq_model::Clock> = Arc::new(FakeClock::default());
        let refused = Store::open(config(dir.path()), OsDisk, clock, rmq_store::Observers::none());
        let told = refused.unwrap_err().to_string();
        let topic = dir.path().join(queue).parent().unwrap().display().to_string();
        assert!(told.starts_with(&topic) && told.contains(what), "{told}");
    }
    let dir = tempfile::tempdir().unwrap();
    let light = open(config(dir.path())).prepare(&message("%LMQ%T", 0, "x"));
    assert!(matches!(light, Err(PutError::IllegalMessage { .. })), "{light:?}");
}
