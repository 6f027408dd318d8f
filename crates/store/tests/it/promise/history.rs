//! A history of puts on a disk that fails, and what must be found afterwards.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use super::mutants::{Bug, Flawed};
use crate::support::*;
use rmq_record::layout;
use rmq_store::{
    FlushMode, Observers, OneOrMany, Put, PutGroup, ReadLimits, Steps, Store, StoreConfig,
};
use rmq_testkit::clock::FakeClock;
use rmq_testkit::disk::FaultDisk;
use std::sync::Arc;
use std::time::Duration;

const QUEUES: [(&str, u32); 3] = [("T", 0), ("T", 1), ("U", 0)];

/// One thing that happens to a store.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    /// So many messages arrive together; with `batch` they are one put.
    Put { count: u64, batch: bool },
    /// The thread that syncs an asynchronous log has its turn.
    SyncLog,
    /// The thread that writes queues has its turn.
    Follow,
    /// So has the one that makes segments.
    Upkeep,
    /// Time goes by: the next turn of [`Step::Follow`] writes the checkpoint.
    Wait,
    /// Stopped cleanly and opened again.
    Reopen,
}

/// The store's settings and how long bodies are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    pub(super) flush: FlushMode,
    /// Records of one length line up: what was cut off may fit exactly behind what came later.
    pub(super) body_bytes: Option<u64>,
}

fn config_of(shape: Shape) -> StoreConfig {
    StoreConfig { flush: shape.flush, ..config(root()) }
}

/// A message, in the order of the log.
#[derive(Clone, Debug)]
struct Sent {
    queue: usize,
    key: String,
    body: String,
}

/// What was done to a store, in the order of the log, over all its lives.
#[derive(Clone, Debug)]
pub(super) struct History {
    shape: Shape,
    sent: Vec<Sent>,
    /// So many of them were acknowledged.
    acknowledged: usize,
    /// So many would survive a power cut.
    durable: usize,
    serial: u64,
    clock_ms: u64,
}

/// What ended a life of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The process was killed.
    Kill,
    /// Power failed.
    PowerCut,
}

impl History {
    pub(super) fn new(shape: Shape) -> Self {
        Self { shape, sent: Vec::new(), acknowledged: 0, durable: 0, serial: 0, clock_ms: 0 }
    }

    /// Opens the store and lets things happen to it, until they are done or the log is shut.
    pub(super) fn live(&mut self, disk: &FaultDisk, steps: &[Step], bug: Option<Bug>) {
        let Ok((mut store, mut work, mut clock)) = self.open(disk, bug) else { return };
        for step in steps {
            if disk.is_off() {
                return;
            }
            match *step {
                Step::Put { count, batch } => {
                    if !self.put(&store, &mut work, count, batch) {
                        return;
                    }
                }
                Step::SyncLog => {
                    if work.sync_log().is_err() {
                        return;
                    }
                    self.durable = self.acknowledged;
                }
                // What is behind the log is tried again when it failed.
                Step::Follow => work.follow().unwrap_or_default(),
                Step::Upkeep => work.upkeep(),
                Step::Wait => {
                    clock.advance(Duration::from_secs(20));
                    self.clock_ms += 20_000;
                }
                Step::Reopen => {
                    drop(work);
                    if store.close().is_err() {
                        return;
                    }
                    self.durable = self.acknowledged;
                    let Ok(opened) = self.open(disk, bug) else { return };
                    (store, work, clock) = opened;
                }
            }
        }
    }

    fn open(
        &self,
        disk: &FaultDisk,
        bug: Option<Bug>,
    ) -> Result<(Store, Steps, Arc<FakeClock>), String> {
        let clock = Arc::new(FakeClock::default());
        clock.advance(Duration::from_millis(self.clock_ms));
        let disk = Flawed::new(disk.clone(), bug);
        let opened =
            Store::open_stepped(config_of(self.shape), disk, clock.clone(), Observers::none());
        let (store, steps) = opened.map_err(|error| {
            let source = std::error::Error::source(&error).map(ToString::to_string);
            format!("cannot be opened: {error} {}", source.unwrap_or_default())
        })?;
        Ok((store, steps, clock))
    }

    /// False when the log is shut.
    fn put(&mut self, store: &Store, work: &mut Steps, count: u64, batch: bool) -> bool {
        let first = self.sent.len();
        let mut prepared = Vec::new();
        for number in 0..count {
            let bytes = self.shape.body_bytes.unwrap_or(20 + self.serial * 397 % 800);
            let width = usize::try_from(bytes).unwrap();
            let of = if batch { self.serial - number } else { self.serial };
            let queue = usize::try_from(of % 3).unwrap();
            let (key, body) = (format!("k{}", self.serial), format!("{:0>width$}", self.serial));
            let (topic, id) = QUEUES[queue];
            let message = with_properties(topic, id, &body, &[("UNIQ_KEY", &key)]);
            prepared.push(store.prepare(&message).unwrap());
            self.sent.push(Sent { queue, key, body });
            self.serial += 1;
        }
        let puts = if batch {
            vec![Put { token: 0, messages: OneOrMany::Many(prepared), wait: true }]
        } else {
            let puts = prepared.into_iter().zip(0..);
            puts.map(|(one, token)| Put { token, messages: OneOrMany::One(one), wait: true })
                .collect()
        };
        let expected = puts.len();
        let results = Arc::new(Results::default());
        assert!(store.put(PutGroup { puts, done: results.clone() }).is_ok(), "busy");
        work.append();
        let results = results.wait(expected);
        let is_stored = |number: usize| match batch {
            true => results[0].1.is_ok(),
            false => results[number].1.is_ok(),
        };
        let stored: Vec<bool> = (0..usize::try_from(count).unwrap()).map(is_stored).collect();
        let is_shut = store.refusal().is_some();
        if is_shut {
            // What was refused may be in the log, behind what was not.
            let good = stored.iter().take_while(|stored| **stored).count();
            assert!(!stored.iter().skip(good).any(|stored| *stored), "{results:?}");
            if 0 < good {
                self.acknowledged = first + good;
            }
        } else {
            // Refused means not stored: somebody may try again.
            let new = self.sent.split_off(first);
            self.sent.extend(new.into_iter().zip(&stored).filter(|(_, s)| **s).map(|(new, _)| new));
            if first < self.sent.len() {
                self.acknowledged = self.sent.len();
            }
        }
        if self.shape.flush.is_sync() {
            self.durable = self.acknowledged;
        }
        !is_shut
    }

    /// What is found on `disk` after `end`; the history goes on from it.
    ///
    /// # Errors
    /// The promise that was broken.
    pub(super) fn recover(
        &mut self,
        disk: &FaultDisk,
        end: End,
        bug: Option<Bug>,
    ) -> Result<(), String> {
        let (store, mut work, _clock) = self.open(disk, bug)?;
        let mut found: Vec<Vec<String>> = Vec::new();
        for (topic, queue) in QUEUES {
            found.push(read_all(&store, topic, queue)?);
        }
        let count = found.iter().map(Vec::len).sum();
        let least = match end {
            End::Kill => self.acknowledged,
            End::PowerCut => self.durable,
        };
        if count < least {
            let lens: Vec<_> = found.iter().map(Vec::len).collect();
            let sent = |queue| self.sent.iter().take(least).filter(|s| s.queue == queue).count();
            let want = [0, 1, 2].map(sent);
            return Err(format!(
                "{least} messages were promised ({want:?}), {count} are there ({lens:?})"
            ));
        }
        if self.sent.len() < count {
            return Err(format!("{count} messages are there, {} were sent", self.sent.len()));
        }
        self.sent.truncate(count);
        for (queue, found) in found.iter().enumerate() {
            let want = self.sent.iter().filter(|sent| sent.queue == queue).map(|sent| &sent.body);
            if !found.iter().eq(want) {
                return Err(format!("queue {:?} does not hold what was sent", QUEUES[queue]));
            }
        }
        for sent in &self.sent {
            let (topic, _) = QUEUES[sent.queue];
            let found = store.query(topic, &sent.key, 9, 0, i64::MAX).map_err(|e| e.to_string())?;
            if found.records.len() != 1 {
                let count = found.records.len();
                return Err(format!("key {} finds {count} messages", sent.key));
            }
        }
        // Offsets go on without a gap, and the store takes messages again.
        (self.acknowledged, self.durable) = (count, count);
        let before: Vec<i64> = QUEUES.iter().map(|(t, q)| store.max_offset(t, *q)).collect();
        if !self.put(&store, &mut work, 3, false) {
            return Err("puts are refused after recovery".into());
        }
        for (number, (topic, queue)) in QUEUES.iter().enumerate() {
            let after = store.max_offset(topic, *queue);
            let want = self.sent.iter().filter(|sent| sent.queue == number).count();
            if i64::try_from(want) != Ok(after) || after < before[number] {
                return Err(format!("{topic}-{queue} ends at {after}, {want} messages are in it"));
            }
        }
        Ok(())
    }
}

fn read_all(store: &Store, topic: &str, queue: u32) -> Result<Vec<String>, String> {
    let mut bodies = Vec::new();
    let mut from = store.min_offset(topic, queue);
    if from != 0 {
        return Err(format!("{topic}-{queue} begins at {from}"));
    }
    while from < store.max_offset(topic, queue) {
        let got = store
            .read(topic, queue, from, ReadLimits::default(), &mut |_| true)
            .map_err(|error| error.to_string())?;
        if got.next_offset <= from {
            return Err(format!("{topic}-{queue} cannot be read at {from}: {:?}", got.status));
        }
        for record in layout::records(&got.records) {
            let record = record.map_err(|fault| fault.to_string())?;
            if record.topic != topic || record.queue_id != queue {
                return Err(format!("{topic}-{queue} holds a message of {}", record.topic));
            }
            if record.queue_offset != bodies.len() as u64 {
                let offset = record.queue_offset;
                return Err(format!("{topic}-{queue} has {offset} at place {}", bodies.len()));
            }
            bodies.push(String::from_utf8_lossy(record.body).into_owned());
        }
        from = got.next_offset;
    }
    Ok(bodies)
}
