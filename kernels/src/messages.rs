//! Messages of 1 KiB on their way into the log and out of it.

use anyhow::{Context as _, anyhow, ensure};
use bytes::Bytes;
use rmq_host::clock::SystemClock;
use rmq_record::layout::Check;
use rmq_record::{Message, RecordView, properties};
use rmq_store::{
    Observers, OneOrMany, OsDisk, Put, PutDone, PutGroup, PutResult, ReadLimits, Store, StoreConfig,
};
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

const GROUP: u32 = 32;

fn open(root: &std::path::Path) -> anyhow::Result<Store> {
    let mut config = StoreConfig::new(root);
    config.segment_bytes = 64 * 1024 * 1024;
    Ok(Store::open(config, OsDisk, Arc::new(SystemClock::new()), Observers::none())?)
}

fn message() -> Message {
    Message {
        topic: "TopicTest".into(),
        queue_id: 0,
        flag: 0,
        sys_flag: 0,
        born_timestamp: 1,
        born_host: ([127, 0, 0, 1], 50_000).into(),
        store_host: ([127, 0, 0, 1], 10_911).into(),
        reconsume_times: 0,
        prepared_transaction_offset: 0,
        body: Bytes::from(vec![b'x'; 1024]),
        properties: properties::text([
            ("UNIQ_KEY", "7F000001ABCD18B4AAC2000000000001"),
            ("WAIT", "true"),
            ("TAGS", "TagA"),
            ("CLUSTER", "DefaultCluster"),
        ]),
    }
}

/// Counts what was stored.
#[derive(Default)]
struct Stored {
    well: AtomicU32,
}

impl PutDone for Stored {
    fn done(&self, results: &mut Vec<PutResult>) {
        for (_, result) in results.drain(..) {
            if result.is_ok() {
                self.well.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

fn put(store: &Store, done: &Arc<Stored>) -> anyhow::Result<()> {
    let mut puts = Vec::new();
    for _ in 0..GROUP {
        let messages = OneOrMany::One(store.prepare(&message())?);
        puts.push(Put { token: 0, messages, wait: true });
    }
    let done: Arc<dyn PutDone> = done.clone();
    store.put(PutGroup { puts, done }).map_err(|_group| anyhow!("the inbox is full"))
}

/// The record with its holes, made on the connection's task.
pub(crate) fn prepare(times: u32) -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let store = open(dir.path())?;
    let message = message();
    for _ in 0..times {
        black_box(store.prepare(black_box(&message))?);
    }
    Ok(())
}

/// 32 messages of one queue: prepared, stored and answered.
pub(crate) fn append(times: u32) -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let store = open(dir.path())?;
    let done = Arc::new(Stored::default());
    for _ in 0..times {
        put(&store, &done)?;
    }
    store.close()?;
    let well = done.well.load(Ordering::Relaxed);
    ensure!(well == times * GROUP, "{well} messages are stored of {}", times * GROUP);
    Ok(())
}

/// A pull's 32 messages.
pub(crate) fn read(times: u32) -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let store = open(dir.path())?;
    let done = Arc::new(Stored::default());
    for _ in 0..8 {
        put(&store, &done)?;
    }
    while done.well.load(Ordering::Relaxed) < 8 * GROUP {
        std::thread::yield_now();
    }
    for _ in 0..times {
        let read = store.read("TopicTest", 0, 0, ReadLimits::default(), &mut |_| true)?;
        ensure!(read.count == 32, "{} messages were read", read.count);
        black_box(read);
    }
    Ok(())
}

/// Decoding a stored record and checking its body.
pub(crate) fn check(times: u32) -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let store = open(dir.path())?;
    let done = Arc::new(Stored::default());
    put(&store, &done)?;
    while done.well.load(Ordering::Relaxed) < GROUP {
        std::thread::yield_now();
    }
    let record = store.record_at(store.log_range().min)?.context("the log is empty")?;
    for _ in 0..times {
        let view = RecordView::decode(black_box(&record), Check { body_crc: true, at: None })
            .map_err(|fault| anyhow!("{fault:?}"))?;
        black_box(view);
    }
    Ok(())
}
