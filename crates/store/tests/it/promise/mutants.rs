//! Mistakes that a store could make. Each is built into what lies between the store and its disk,
//! and must be found by the checks that the store itself passes.

use super::exhaustive::{self, SHAPES};
use super::random;
use rmq_store::disk::{Disk, DiskFile, Entry, Map, OpenMode, Space};
use rmq_testkit::disk::{Failure, FaultDisk};
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

/// A mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bug {
    /// Puts are answered before the log is synced.
    AnswerBeforeSync,
    /// A failed sync is taken for a good one.
    IgnoreFailedSync,
    /// A failed sync is tried again, and believed the second time.
    RetryFailedSync,
    /// The log's folder is not synced when a segment was made.
    ForgetLogFolder,
    /// The folder that the store is in is not synced.
    ForgetFolderAbove,
    /// Folders of queues are not synced.
    ForgetQueueFolders,
    /// Recovery does not look at the CRC of bodies.
    SkipCrc,
    /// Recovery does not see that topic and properties were written in part.
    SkipText,
    /// Queues are not synced before the checkpoint says that they are durable.
    CheckpointBeforeQueues,
    /// The index is not synced before the mark says that it is durable.
    MarkBeforeIndex,
    /// Recovery cuts off the last good record too.
    CutOneRecordTooMuch,
    /// Recovery leaves what is behind the log's end.
    LeaveOldBytes,
    /// Nothing tells that the last stop was not clean.
    ForgetAbort,
    /// A write that fails for lack of space is taken for a good one.
    IgnoreFullDisk,
    /// A small file gets its name before its content is synced.
    RenameBeforeSync,
    /// The folder of small files is not synced.
    ForgetSmallFolder,
}

/// Those of the log and what follows it.
const ALL: [Bug; 14] = [
    Bug::AnswerBeforeSync,
    Bug::IgnoreFailedSync,
    Bug::RetryFailedSync,
    Bug::ForgetLogFolder,
    Bug::ForgetFolderAbove,
    Bug::ForgetQueueFolders,
    Bug::SkipCrc,
    Bug::SkipText,
    Bug::CheckpointBeforeQueues,
    Bug::MarkBeforeIndex,
    Bug::CutOneRecordTooMuch,
    Bug::LeaveOldBytes,
    Bug::ForgetAbort,
    Bug::IgnoreFullDisk,
];

/// What finds a mistake, quickest first.
fn found(bug: Bug) -> Option<String> {
    for shape in SHAPES {
        for at in 0..=exhaustive::operations(shape) {
            let checked = exhaustive::power_cut(shape, at, Some(bug))
                .and_then(|()| exhaustive::kill(shape, at, Some(bug)))
                .and_then(|()| exhaustive::failure(shape, at, Failure::Io, Some(bug)))
                .and_then(|()| exhaustive::failure(shape, at, Failure::Short, Some(bug)))
                .and_then(|()| exhaustive::failure(shape, at, Failure::NoSpace, Some(bug)));
            if let Err(broken) = checked {
                return Some(broken);
            }
        }
    }
    (0..2_000).find_map(|seed| random::run(seed, Some(bug)).err())
}

#[test]
fn every_mistake_is_found() {
    let mut missed = Vec::new();
    for bug in ALL {
        match found(bug) {
            Some(broken) => assert!(!broken.is_empty(), "{bug:?}"),
            None => missed.push(bug),
        }
    }
    assert!(missed.is_empty(), "not found: {missed:?}");
}

/// What a path is to the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Log,
    Queue,
    Index,
    Other,
}

fn kind(path: &Path) -> Kind {
    let has = |part: &str| path.components().any(|component| component.as_os_str() == part);
    if has("commitlog") {
        Kind::Log
    } else if has("consumequeue") {
        Kind::Queue
    } else if has("index") {
        Kind::Index
    } else {
        Kind::Other
    }
}

/// A disk with a mistake before it; without one it is the disk.
pub(super) struct Flawed {
    disk: FaultDisk,
    bug: Option<Bug>,
}

impl Flawed {
    pub(super) fn new(disk: FaultDisk, bug: Option<Bug>) -> Self {
        Self { disk, bug }
    }
}

impl Disk for Flawed {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Box<dyn DiskFile>> {
        let file = self.disk.open(path, mode)?;
        let Some(bug) = self.bug else { return Ok(file) };
        let kind = kind(path);
        Ok(Box::new(FlawedFile { file, bug, kind, failed: AtomicBool::new(false) }))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>> {
        let mut entries = self.disk.list(dir)?;
        if self.bug == Some(Bug::ForgetAbort) {
            entries.retain(|entry| entry.name != "abort");
        }
        Ok(entries)
    }

    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        self.disk.create_dir_all(dir)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.disk.remove_file(path)
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        self.disk.remove_dir(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.disk.rename(from, to)
    }

    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.disk.hard_link(from, to)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let forgotten = match self.bug {
            Some(Bug::ForgetLogFolder) => kind(dir) == Kind::Log,
            Some(Bug::ForgetQueueFolders) => kind(dir) == Kind::Queue,
            Some(Bug::ForgetSmallFolder) => kind(dir) == Kind::Other,
            Some(Bug::ForgetFolderAbove) => Some(dir) == crate::support::root().parent(),
            _ => false,
        };
        if forgotten { Ok(()) } else { self.disk.sync_dir(dir) }
    }

    fn space(&self, dir: &Path) -> io::Result<Space> {
        self.disk.space(dir)
    }

    fn boot_id(&self) -> String {
        self.disk.boot_id()
    }
}

struct FlawedFile {
    file: Box<dyn DiskFile>,
    bug: Bug,
    kind: Kind,
    failed: AtomicBool,
}

impl FlawedFile {
    fn is(&self, bug: Bug, kind: Kind) -> bool {
        self.bug == bug && self.kind == kind
    }
}

/// A segment as those see it who do not look closely: in which every body has the CRC that its
/// record says, or no text has zeros.
fn glossed_over(mut segment: Vec<u8>, bug: Bug) -> Vec<u8> {
    let word = |bytes: &[u8], at: usize| {
        let word = bytes.get(at..)?.first_chunk::<4>()?;
        usize::try_from(u32::from_be_bytes(*word)).ok()
    };
    let mut at = 0;
    while let (Some(size), Some(0xDAA3_20A7)) = (word(&segment, at), word(&segment, at + 4)) {
        let Some(body) = word(&segment, at + 84) else { break };
        let body_end = (at + 88).saturating_add(body);
        let Some(bytes) = segment.get(at + 88..body_end) else { break };
        let crc = rmq_record::body_crc(bytes).to_be_bytes();
        let topic = segment.get(body_end).map_or(0, |len| usize::from(*len));
        // Behind the lengths of topic and properties, which have zeros of their own.
        let texts = [body_end + 1..body_end + 1 + topic, body_end + 3 + topic..at + size];
        if size < 91 {
            break;
        }
        if bug == Bug::SkipCrc
            && let Some(slot) = segment.get_mut(at + 8..at + 12)
        {
            slot.copy_from_slice(&crc);
        }
        for text in texts.into_iter().filter(|_| bug == Bug::SkipText) {
            for byte in segment.get_mut(text).unwrap_or_default().iter_mut() {
                *byte = if *byte == 0 { b'x' } else { *byte };
            }
        }
        at += size;
    }
    segment
}

impl DiskFile for FlawedFile {
    fn write_all_at(&self, at: u64, bytes: &[u8]) -> io::Result<()> {
        match self.file.write_all_at(at, bytes) {
            Err(error)
                if self.is(Bug::IgnoreFullDisk, Kind::Log)
                    && error.kind() == io::ErrorKind::StorageFull =>
            {
                Ok(())
            }
            written => written,
        }
    }

    fn read_exact_at(&self, at: u64, bytes: &mut [u8]) -> io::Result<()> {
        if !self.is(Bug::SkipCrc, Kind::Log) && !self.is(Bug::SkipText, Kind::Log) {
            return self.file.read_exact_at(at, bytes);
        }
        let mut all = vec![0; usize::try_from(self.file.size()?).unwrap_or(0)];
        self.file.read_exact_at(0, &mut all)?;
        let all = glossed_over(all, self.bug);
        let from = usize::try_from(at).unwrap_or(usize::MAX);
        let part = all.get(from..from.saturating_add(bytes.len()));
        bytes.copy_from_slice(part.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let forgotten = self.is(Bug::AnswerBeforeSync, Kind::Log)
            || self.is(Bug::CheckpointBeforeQueues, Kind::Queue)
            || self.is(Bug::MarkBeforeIndex, Kind::Index)
            || self.is(Bug::RenameBeforeSync, Kind::Other);
        if forgotten {
            return Ok(());
        }
        let synced = self.file.sync_data();
        if self.bug == Bug::IgnoreFailedSync {
            return Ok(());
        }
        let again = self.bug == Bug::RetryFailedSync && synced.is_err();
        if again && !self.failed.swap(true, Ordering::AcqRel) {
            return self.file.sync_data();
        }
        synced
    }

    fn size(&self) -> io::Result<u64> {
        self.file.size()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        self.file.allocate(len)
    }

    fn zero(&self, from: u64, to: u64) -> io::Result<()> {
        if self.is(Bug::LeaveOldBytes, Kind::Log) {
            return Ok(());
        }
        let too_much = if self.is(Bug::CutOneRecordTooMuch, Kind::Log) { 120 } else { 0 };
        self.file.zero(from.saturating_sub(too_much), to)
    }

    fn map(&self) -> io::Result<Option<Map>> {
        self.file.map()
    }

    fn lock(&self) -> io::Result<bool> {
        self.file.lock()
    }

    fn lock_shared(&self) -> io::Result<bool> {
        self.file.lock_shared()
    }
}
