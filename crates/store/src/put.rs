//! What goes into the log and what comes back.

use crate::queue::Queue;
use rmq_model::{LogOffset, Millis};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A record with holes: encoded, checked and hashed beforehand; whoever stores it only fills in
/// places and times. Made by [`crate::Store::prepare`].
#[derive(Debug)]
pub struct Prepared {
    pub(crate) queue: Arc<Queue>,
    pub(crate) record: Vec<u8>,
    pub(crate) properties_at: usize,
    pub(crate) tags_code: i64,
    /// Of a delayed message: its tags code is the store time plus this.
    pub(crate) delay: Option<Millis>,
    /// Consumers see it. False for half and rollback records.
    pub(crate) queued: bool,
    pub(crate) keys: KeyHashes,
}

impl Prepared {
    /// Length of the record in bytes.
    pub fn bytes(&self) -> usize {
        self.record.len()
    }
}

/// Key hashes of one message; up to four of them without an allocation.
#[derive(Debug, Default)]
pub(crate) struct KeyHashes {
    few: [i32; 4],
    count: usize,
    more: Vec<i32>,
}

impl KeyHashes {
    pub(crate) fn push(&mut self, hash: i32) {
        match self.few.get_mut(self.count) {
            Some(slot) => *slot = hash,
            None => self.more.push(hash),
        }
        self.count += 1;
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = i32> {
        self.few.iter().take(self.count).chain(&self.more).copied()
    }
}

/// One message, or several that are stored wholly, contiguously and in one file, or not at all.
#[derive(Debug)]
pub enum OneOrMany {
    /// A single message.
    One(Prepared),
    /// A batch: one topic and queue.
    Many(Vec<Prepared>),
}

impl OneOrMany {
    pub(crate) fn as_slice(&self) -> &[Prepared] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Many(many) => many,
        }
    }

    pub(crate) fn bytes(&self) -> usize {
        self.as_slice().iter().map(Prepared::bytes).sum()
    }
}

/// One request to store.
#[derive(Debug)]
pub struct Put {
    /// Comes back with the result.
    pub token: u64,
    /// What to store.
    pub messages: OneOrMany,
    /// False (`WAIT=false`): the result does not wait for the disk.
    pub wait: bool,
}

/// Puts that arrived together and are answered together.
pub struct PutGroup {
    /// In the order in which they are stored.
    pub puts: Vec<Put>,
    /// Where results go.
    pub done: Arc<dyn PutDone>,
}

impl std::fmt::Debug for PutGroup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PutGroup").field("puts", &self.puts.len()).finish_non_exhaustive()
    }
}

/// Token of a put and what became of it.
pub type PutResult = (u64, Result<PutOk, PutError>);

/// Takes the results of puts. Called on the log's thread, on that of any [`crate::Store::put`], or
/// on another while a sync takes too long: must be quick and must not block.
pub trait PutDone: Send + Sync {
    /// Called at most twice per batch of the log: once for puts that do not wait for the disk, once
    /// for the others. Every put of an accepted group is reported exactly once. Drain `results`.
    fn done(&self, results: &mut Vec<PutResult>);
}

/// Where a put was stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PutOk {
    /// Of the first message.
    pub log_offset: LogOffset,
    /// Of each message of a batch; empty for a single message.
    pub log_offsets: Vec<LogOffset>,
    /// Place of the first message in its queue.
    pub queue_offset: u64,
    /// The time the records carry.
    pub store_time: Millis,
    /// First byte after the put: durable or replicated up to here means stored.
    pub end: LogOffset,
    /// How safe it is.
    pub status: PutStatus,
}

/// How safe a stored message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PutStatus {
    /// As safe as was asked for.
    Stored,
    /// Stored, but not durable within the time allowed; its sync may still go on.
    FlushDiskTimeout,
    /// Stored, but the replicas did not confirm it within the time allowed. Said by who waits for
    /// replicas, not by the store.
    ReplicaTimeout,
    /// Stored, but within the time allowed there were too few replicas. Said by who waits for
    /// replicas, not by the store.
    NoReplica,
}

/// Why a put was not stored.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PutError {
    /// Try another broker at once.
    #[error("disk is {percent}% full, writes stop at {limit}%")]
    DiskFull {
        /// Used share.
        percent: u8,
        /// Share at which puts are refused.
        limit: u8,
    },
    /// No room for the next segment, or the file system said it is full. Try another broker.
    #[error("no space left on the disk of the log")]
    NoSpace,
    /// The store is closed or closing.
    #[error("the store is closed")]
    Closed,
    /// A write or sync failed: what reached the disk is unknown until the store is reopened.
    #[error("the log stopped after a failed write: {reason}")]
    Failed {
        /// What failed.
        reason: Arc<str>,
    },
    /// What follows the log cannot keep up; try again later.
    #[error("consume queues cannot be written")]
    QueuesBehind,
    /// The message can never be stored.
    #[error("{reason}")]
    IllegalMessage {
        /// Which rule it breaks.
        reason: String,
    },
    /// The properties are longer than their length field.
    #[error("properties have {bytes} bytes, at most 32767 are possible")]
    PropertiesTooLong {
        /// Their length.
        bytes: usize,
    },
}

/// One stored message, as the log reports it.
#[derive(Debug)]
pub struct Arrival {
    /// Its queue.
    pub queue: Arc<Queue>,
    /// Its place in the queue.
    pub queue_offset: u64,
    /// Its place in the log.
    pub log_offset: LogOffset,
    /// What consume queues filter by.
    pub tags_code: i64,
    /// The broker's time.
    pub store_time: Millis,
    /// The record as stored.
    pub record: Vec<u8>,
    pub(crate) properties_at: usize,
    /// Consumers see it. False for half and rollback records.
    pub queued: bool,
    pub(crate) keys: KeyHashes,
}

impl Arrival {
    /// The queue's new maximum: one past this message.
    pub fn next_offset(&self) -> u64 {
        self.queue_offset.saturating_add(1)
    }

    /// Properties text.
    pub fn properties(&self) -> &[u8] {
        self.record.get(self.properties_at..).unwrap_or_default()
    }
}

/// Told of stored messages. Called where [`PutDone`] is, once per batch, in the order of the log and
/// after they can be read: must be quick and must not block.
pub trait Arrivals: Send + Sync {
    /// All messages of one batch of the log.
    fn arrived(&self, batch: &[Arrival]);
}

/// How far the reading of the log at the opening is, for those who wait for it.
#[derive(Debug, Default)]
pub struct RecoveryProgress {
    done: AtomicU64,
    total: AtomicU64,
}

impl RecoveryProgress {
    /// Bytes of the log that were read, and that are to be read; 0 and 0 before it begins.
    pub fn bytes(&self) -> (u64, u64) {
        (self.done.load(Ordering::Relaxed), self.total.load(Ordering::Relaxed))
    }

    pub(crate) fn begin(&self, total: u64) {
        self.total.store(total, Ordering::Relaxed);
    }

    pub(crate) fn reached(&self, done: u64) {
        self.done.store(done, Ordering::Relaxed);
    }
}

/// Who is told what the store does.
#[derive(Clone)]
pub struct Observers {
    /// New messages.
    pub arrivals: Arc<dyn Arrivals>,
    /// How far the opening is.
    pub recovery: Arc<RecoveryProgress>,
}

impl Observers {
    /// Tells nobody.
    pub fn none() -> Self {
        struct Nobody;
        impl Arrivals for Nobody {
            fn arrived(&self, _batch: &[Arrival]) {}
        }
        Self { arrivals: Arc::new(Nobody), recovery: Arc::default() }
    }
}

impl std::fmt::Debug for Observers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Observers").finish_non_exhaustive()
    }
}

/// Collects results for [`PutDone::done`] calls: one per receiver.
#[derive(Default)]
pub(crate) struct Answers {
    by_receiver: Vec<(Arc<dyn PutDone>, Vec<PutResult>)>,
}

impl Answers {
    /// Place of a receiver. Batches have few receivers, mostly the same as the last.
    pub(crate) fn receiver(&mut self, done: &Arc<dyn PutDone>) -> usize {
        let same = |(known, _): &(Arc<dyn PutDone>, _)| {
            std::ptr::addr_eq(Arc::as_ptr(known), Arc::as_ptr(done))
        };
        match self.by_receiver.iter().rposition(same) {
            Some(at) => at,
            None => {
                self.by_receiver.push((Arc::clone(done), Vec::new()));
                self.by_receiver.len() - 1
            }
        }
    }

    pub(crate) fn push(&mut self, receiver: usize, result: PutResult) {
        if let Some((_, results)) = self.by_receiver.get_mut(receiver) {
            results.push(result);
        }
    }

    /// Calls each receiver that has results. Receivers stay known until [`Answers::clear`].
    pub(crate) fn deliver(&mut self) {
        for (done, results) in &mut self.by_receiver {
            if !results.is_empty() {
                done.done(results);
                results.clear();
            }
        }
    }

    /// Nobody is told that something is stored.
    pub(crate) fn fail(&mut self, reason: &Arc<str>) {
        for result in self.results() {
            if result.is_ok() {
                *result = Err(PutError::Failed { reason: Arc::clone(reason) });
            }
        }
    }

    /// What is stored was not durable in time.
    pub(crate) fn delay(&mut self) {
        for ok in self.results().flatten() {
            ok.status = PutStatus::FlushDiskTimeout;
        }
    }

    fn results(&mut self) -> impl Iterator<Item = &mut Result<PutOk, PutError>> {
        self.by_receiver.iter_mut().flat_map(|(_, results)| results).map(|(_, result)| result)
    }

    pub(crate) fn clear(&mut self) {
        self.by_receiver.clear();
    }
}
