//! A small store and blocking calls.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use bytes::Bytes;
use parking_lot::{Condvar, Mutex};
use rmq_model::{Clock, Millis};
use rmq_record::{Message, RecordView, layout, properties};
use rmq_store::{
    IndexConfig, Observers, OneOrMany, OpenError, OsDisk, Put, PutDone, PutError, PutGroup, PutOk,
    PutResult, ReadLimits, ReadResult, Store, StoreConfig,
};
use rmq_testkit::clock::FakeClock;
use rmq_testkit::disk::FaultDisk;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Longest time a test waits for something that should happen at once.
const DEADLINE: Duration = Duration::from_secs(20);

/// Small files, so that a few messages fill several.
pub(crate) fn config(root: &Path) -> StoreConfig {
    let mut config = StoreConfig::new(root);
    config.segment_bytes = 4096;
    config.consume_queue_file_bytes = 20 * 16;
    config.body_bytes_max = 2048;
    config.index = Some(IndexConfig { slots: 97, entries: 64 });
    config
}

/// Opens on the real disk with a clock that stands still.
pub(crate) fn open(config: StoreConfig) -> Store {
    open_with(config, &Arc::new(FakeClock::default()))
}

pub(crate) fn open_with(config: StoreConfig, clock: &Arc<FakeClock>) -> Store {
    let clock: Arc<dyn Clock> = clock.clone();
    Store::open(config, OsDisk, clock, Observers::none()).unwrap()
}

/// Opens on a disk that can fail.
pub(crate) fn try_open_on(disk: &FaultDisk, config: StoreConfig) -> Result<Store, OpenError> {
    let clock: Arc<dyn Clock> = Arc::new(FakeClock::default());
    Store::open(config, disk.clone(), clock, Observers::none())
}

pub(crate) fn open_on(disk: &FaultDisk, config: StoreConfig) -> Store {
    try_open_on(disk, config).unwrap()
}

/// Where stores on a [`FaultDisk`] are.
pub(crate) fn root() -> &'static Path {
    Path::new("/store")
}

/// Small and quick pseudo-random numbers; the seed is the whole state.
#[derive(Clone, Debug)]
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 33) % bound
    }
}

/// Waits until something is so that a thread of the store brings about.
pub(crate) fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let (lock, wake) = (Mutex::new(()), Condvar::new());
    for _ in 0..2000 {
        if is_so() {
            return;
        }
        wake.wait_for(&mut lock.lock(), Duration::from_millis(5));
    }
    assert!(is_so(), "{what}");
}

pub(crate) fn message(topic: &str, queue_id: u32, body: &str) -> Message {
    with_properties(topic, queue_id, body, &[("UNIQ_KEY", body)])
}

pub(crate) fn with_properties(
    topic: &str,
    queue_id: u32,
    body: &str,
    pairs: &[(&str, &str)],
) -> Message {
    Message {
        topic: topic.into(),
        queue_id,
        flag: 0,
        sys_flag: 0,
        born_timestamp: 1,
        born_host: ([127, 0, 0, 1], 50_000).into(),
        store_host: ([127, 0, 0, 1], 10_911).into(),
        reconsume_times: 0,
        prepared_transaction_offset: 0,
        body: Bytes::copy_from_slice(body.as_bytes()),
        properties: properties::text(pairs.iter().copied()),
    }
}

/// Collects results until all are there.
#[derive(Default)]
pub(crate) struct Results {
    state: Mutex<Vec<PutResult>>,
    wake: Condvar,
}

impl PutDone for Results {
    fn done(&self, results: &mut Vec<PutResult>) {
        self.state.lock().append(results);
        self.wake.notify_all();
    }
}

impl Results {
    pub(crate) fn count(&self) -> usize {
        self.state.lock().len()
    }

    pub(crate) fn wait(&self, count: usize) -> Vec<PutResult> {
        let mut state = self.state.lock();
        self.wake.wait_while_for(&mut state, |results| results.len() < count, DEADLINE);
        assert!(state.len() >= count, "{} of {count} results came", state.len());
        let mut results = std::mem::take(&mut *state);
        results.sort_by_key(|(token, _)| *token);
        results
    }
}

/// Puts the messages as one group, and waits.
pub(crate) fn put_all(store: &Store, messages: &[Message]) -> Vec<Result<PutOk, PutError>> {
    let results = Arc::new(Results::default());
    let mut refused = Vec::new();
    let mut puts = Vec::new();
    for (message, token) in messages.iter().zip(0..) {
        match store.prepare(message) {
            Ok(one) => puts.push(Put { token, messages: OneOrMany::One(one), wait: true }),
            Err(error) => refused.push((token, Err(error))),
        }
    }
    let count = puts.len();
    let group = PutGroup { puts, done: results.clone() };
    assert!(store.put(group).is_ok(), "busy");
    let mut all = results.wait(count);
    all.append(&mut refused);
    all.sort_by_key(|(token, _)| *token);
    all.into_iter().map(|(_, result)| result).collect()
}

pub(crate) fn put(store: &Store, message: &Message) -> Result<PutOk, PutError> {
    put_all(store, std::slice::from_ref(message)).remove(0)
}

pub(crate) fn put_batch(store: &Store, messages: &[Message]) -> Result<PutOk, PutError> {
    let results = Arc::new(Results::default());
    let many = messages.iter().map(|message| store.prepare(message)).collect::<Result<_, _>>()?;
    let put = Put { token: 0, messages: OneOrMany::Many(many), wait: true };
    let group = PutGroup { puts: vec![put], done: results.clone() };
    assert!(store.put(group).is_ok(), "busy");
    results.wait(1).remove(0).1
}

pub(crate) fn read(store: &Store, topic: &str, queue: u32, from: i64) -> ReadResult {
    store.read(topic, queue, from, ReadLimits::default(), &mut |_| true).unwrap()
}

/// Bodies of all messages of a queue, read in as many steps as it takes. Checks every record.
pub(crate) fn bodies(store: &Store, topic: &str, queue: u32) -> Vec<String> {
    let mut bodies = Vec::new();
    let mut from = store.min_offset(topic, queue);
    while from < store.max_offset(topic, queue) {
        let result = read(store, topic, queue, from);
        assert!(from < result.next_offset, "no progress: {result:?}");
        for record in layout::records(&result.records) {
            let record: RecordView<'_> = record.unwrap();
            assert_eq!((record.topic, record.queue_id), (topic, queue));
            bodies.push(String::from_utf8(record.body.to_vec()).unwrap());
        }
        from = result.next_offset;
    }
    bodies
}

pub(crate) const START: Millis = 1_700_000_000_000;
