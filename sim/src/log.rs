//! A log with a page cache: bytes, and how many of them would survive a power cut.

use crate::random::Random;
use rmq_model::LogOffset;
use rmq_replica::{Epochs, LogEnds};

/// Length, check value, place, queue, place in the queue, message: 24 bytes and some more.
const HEAD_BYTES: usize = 24;

/// One message, as found in a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) queue: u32,
    pub(crate) queue_offset: u32,
    pub(crate) message: u32,
}

/// What survives the end of the process, and the last of it perhaps not the end of power.
#[derive(Clone, Debug, Default)]
pub(crate) struct Log {
    bytes: Vec<u8>,
    synced: usize,
    /// Durable on their own.
    pub(crate) epochs: Epochs,
}

fn offset(at: usize) -> LogOffset {
    LogOffset(u64::try_from(at).unwrap_or(u64::MAX))
}

fn index(at: LogOffset) -> usize {
    usize::try_from(at.0).unwrap_or(usize::MAX)
}

impl Log {
    pub(crate) fn ends(&self) -> LogEnds {
        LogEnds { min: offset(0), end: offset(self.bytes.len()), synced: offset(self.synced) }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Adds a message and returns the new end.
    pub(crate) fn put(&mut self, record: Record, padding: usize) -> LogOffset {
        let at = u32::try_from(self.bytes.len()).unwrap_or(u32::MAX);
        let len = u32::try_from(HEAD_BYTES + padding).unwrap_or(u32::MAX);
        let mut body = Vec::with_capacity(HEAD_BYTES + padding);
        for word in [at, record.queue, record.queue_offset, record.message] {
            body.extend_from_slice(&word.to_be_bytes());
        }
        body.resize(body.len() + padding, 7);
        self.bytes.extend_from_slice(&len.to_be_bytes());
        self.bytes.extend_from_slice(&crc32fast::hash(&body).to_be_bytes());
        self.bytes.extend_from_slice(&body);
        offset(self.bytes.len())
    }

    /// Bytes a master sends.
    pub(crate) fn read(&self, from: LogOffset, bytes: usize) -> Vec<u8> {
        let from = index(from);
        self.bytes.get(from..from.saturating_add(bytes)).unwrap_or_default().to_vec()
    }

    /// Bytes from a master.
    pub(crate) fn append(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    pub(crate) fn sync(&mut self, end: LogOffset) {
        self.synced = self.synced.max(index(end).min(self.bytes.len()));
    }

    /// Cuts durably. False unless a record ends there.
    pub(crate) fn cut(&mut self, to: LogOffset) -> bool {
        let to = index(to);
        let ends = to == 0 || self.records().iter().any(|(end, _)| *end == to);
        if ends {
            self.bytes.truncate(to);
            self.synced = self.synced.min(to);
        }
        ends
    }

    /// The last bytes before `to`, by which another log shows that it is the same.
    pub(crate) fn tail(&self, to: LogOffset) -> &[u8] {
        const PROOF_BYTES: usize = 64;
        let to = index(to);
        self.bytes.get(to.saturating_sub(PROOF_BYTES)..to).unwrap_or_default()
    }

    /// The power fails: any part of what was not synced is gone, from some byte on.
    pub(crate) fn lose(&mut self, random: &mut Random) {
        let unsynced = self.bytes.len() - self.synced;
        self.bytes.truncate(self.synced + random.below(unsynced + 1));
    }

    /// Opens it: what is no whole record at the end goes, and what is left is made durable.
    pub(crate) fn recover(&mut self) {
        let end = self.records().last().map_or(0, |(end, _)| *end);
        self.bytes.truncate(end);
        self.synced = end;
        self.epochs.cut(offset(end));
    }

    /// All whole records, each with its end.
    pub(crate) fn records(&self) -> Vec<(usize, Record)> {
        let mut records = Vec::new();
        let mut at = 0;
        while let Some(record) = self.bytes.get(at..).and_then(|rest| parse(rest, at)) {
            let (len, record) = record;
            at += len;
            records.push((at, record));
        }
        records
    }
}

fn parse(rest: &[u8], at: usize) -> Option<(usize, Record)> {
    let word = |index: usize| {
        let bytes = rest.get(index * 4..)?.first_chunk::<4>()?;
        Some(u32::from_be_bytes(*bytes))
    };
    let len = usize::try_from(word(0)?).ok()?;
    let body = rest.get(8..len)?;
    let fits = word(1)? == crc32fast::hash(body) && usize::try_from(word(2)?) == Ok(at);
    let record = Record { queue: word(3)?, queue_offset: word(4)?, message: word(5)? };
    fits.then_some((len, record))
}
