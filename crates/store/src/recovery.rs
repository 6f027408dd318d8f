//! Opening: finds the end of the log and makes queues and index agree with it.

pub(crate) mod scan;

use crate::checkpoint::{Checkpoint, Progress};
use crate::config::{OnDamage, StoreConfig, position_of};
use crate::disk::{Disk, OpenMode};
use crate::index::{Index, Trust};
use crate::log::{Log, Segment};
use crate::put::RecoveryProgress;
use crate::queue::LoadError;
use crate::queues::QueueTable;
use rmq_model::Millis;
use rmq_model::name::LMQ_PREFIX;
use rmq_record::layout::Fault;
use scan::{Scan, first_record_time, next_record_time};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Java writes a checkpoint up to a minute before the queue files reach the disk.
const JAVA_MARGIN_MS: Millis = 63_000;
/// Units and entries that recovery keeps in memory before it writes them.
const PENDING_MAX: usize = 200_000;
/// How far behind a damaged record another one is looked for.
const SEARCH_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Why a store cannot be opened. The log was not changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// A setting is out of range.
    #[error("{reason}")]
    Config {
        /// Which rule it breaks.
        reason: String,
    },
    /// Another broker, of ours or Java's, has the store open.
    #[error("{} is locked: another broker uses this store", path.display())]
    Locked {
        /// The lock file.
        path: PathBuf,
    },
    /// The store was made by a kind of broker whose files we do not read.
    #[error("{} belongs to a {kind} store, which is not supported", path.display())]
    Unsupported {
        /// `RocksDB` or `DLedger`.
        kind: &'static str,
        /// What tells.
        path: PathBuf,
    },
    /// Messages of these topics would seem to be missing. Delete the topics with the broker that
    /// made them, or keep using it.
    #[error("{} holds {what}, which are not supported", path.display())]
    Unread {
        /// What they are, and the setting that makes them.
        what: &'static str,
        /// Directory of a topic.
        path: PathBuf,
    },
    /// A file that does not belong here, or was made with another size setting.
    #[error("{} has {len} bytes where the settings say {want}, or is none of ours", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// Its length.
        len: u64,
        /// The length by the settings.
        want: u64,
    },
    /// A segment in the middle of the log is missing.
    #[error("{} is missing in the middle of the log", path.display())]
    Gap {
        /// The file that should be there.
        path: PathBuf,
    },
    /// A record that had been durable is damaged, and valid ones follow it. Restore the file, or
    /// cut the log there with [`OnDamage::Cut`] and lose what follows.
    #[error("{} is damaged at byte {at} (log offset {offset}): {fault}", path.display())]
    Damaged {
        /// The segment.
        path: PathBuf,
        /// Position in the file.
        at: u64,
        /// Position in the log.
        offset: u64,
        /// What is wrong.
        fault: Fault,
    },
    /// The file system failed.
    #[error("cannot open the store at {}", path.display())]
    Io {
        /// What was being read.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
}

/// What opening starts from.
pub(crate) struct Evidence {
    /// The last stop was not clean.
    pub(crate) unclean: bool,
    pub(crate) checkpoint: Checkpoint,
    /// Our own marks, if they belong to the checkpoint.
    pub(crate) progress: Option<Progress>,
    /// The kernel has not restarted since the marks were written.
    pub(crate) same_boot: bool,
}

impl Evidence {
    /// Whether queue files hold all that was written to them.
    pub(crate) fn queues_trusted(&self) -> bool {
        !self.unclean || (self.progress.is_some() && self.same_boot)
    }

    /// From here on writes may not have reached the disk whole.
    fn unsure_from(&self) -> u64 {
        match &self.progress {
            _ if !self.unclean => u64::MAX,
            Some(progress) => progress.synced,
            None => 0,
        }
    }

    pub(crate) fn index_trust(&self) -> Trust {
        match &self.progress {
            _ if !self.unclean => Trust::All,
            progress => Trust::Synced {
                full_until: self.checkpoint.index,
                mark: progress.as_ref().and_then(|progress| progress.index.clone()),
            },
        }
    }
}

/// What recovery found.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Recovered {
    /// End of the log.
    pub(crate) end: u64,
    /// Store time of the last record looked at.
    pub(crate) last_time: Millis,
    /// Records that were put into queues and index again.
    pub(crate) dispatched: u64,
}

/// What a Java broker may have beside log, queues and index, by directory: `TOPIC/QUEUE/FILE` below.
const OTHER_QUEUES: [(&str, &str); 3] = [
    ("batchconsumequeue", "queues of batches (queue.type=BatchCQ)"),
    ("consumequeue_ext", "extended queue units (enableConsumeQueueExt)"),
    ("compaction/compactionLog", "compacted topics (cleanup.policy=COMPACTION)"),
];

/// Refuses stores of other kinds, and what else of a Java store would be read wrongly.
pub(crate) fn refuse_other_kinds(disk: &dyn Disk, config: &StoreConfig) -> Result<(), OpenError> {
    let at = |path: &Path, source| OpenError::Io { path: path.to_owned(), source };
    let names = |dir: &Path| match disk.list(dir) {
        Ok(entries) => Ok(entries.into_iter().map(|entry| entry.name).collect::<Vec<_>>()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        Err(source) => Err(at(dir, source)),
    };
    let queues = config.queues_dir();
    for name in names(&queues)? {
        if name == "CURRENT" || name.starts_with("MANIFEST-") {
            return Err(OpenError::Unsupported { kind: "RocksDB", path: queues.join(name) });
        }
    }
    for name in names(&config.root)? {
        if name.starts_with("dledger-") {
            return Err(OpenError::Unsupported { kind: "DLedger", path: config.root.join(name) });
        }
    }
    let refuse_topics = |dir: PathBuf, prefix: &str, what: &'static str| {
        for topic in names(&dir)?.into_iter().filter(|topic| topic.starts_with(prefix)) {
            let path = dir.join(topic);
            if has_file(disk, &path, 1).map_err(|source| at(&path, source))? {
                return Err(OpenError::Unread { what, path });
            }
        }
        Ok(())
    };
    for (dir, what) in OTHER_QUEUES {
        refuse_topics(config.root.join(dir), "", what)?;
    }
    refuse_topics(queues, LMQ_PREFIX, "light queues (enableLmq)")
}

/// Whether there is a file in `dir` or so many levels below it. Not if there is no such directory.
fn has_file(disk: &dyn Disk, dir: &Path, levels: u8) -> io::Result<bool> {
    let entries = match disk.list(dir) {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(false);
        }
        entries => entries?,
    };
    for entry in entries {
        let below = levels.checked_sub(1).filter(|_| entry.is_dir);
        let found = match below {
            Some(levels) => has_file(disk, &dir.join(&entry.name), levels)?,
            None => !entry.is_dir,
        };
        if found {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Opens the segment files, oldest first.
pub(crate) fn load_segments(
    disk: &dyn Disk,
    config: &StoreConfig,
) -> Result<Vec<Arc<Segment>>, OpenError> {
    let dir = &config.commit_log;
    let want = config.segment_bytes;
    let at_dir = |source| OpenError::Io { path: dir.clone(), source };
    let mut entries: Vec<_> =
        disk.list(dir).map_err(at_dir)?.into_iter().filter(|entry| !entry.is_dir).collect();
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    let count = entries.len();
    let mut segments: Vec<Arc<Segment>> = Vec::new();
    for (at, entry) in entries.into_iter().enumerate() {
        let path = dir.join(&entry.name);
        let failed = |source| OpenError::Io { path: path.clone(), source };
        let foreign = || OpenError::Foreign { path: path.clone(), len: entry.len, want };
        let base = position_of(&entry.name).ok_or_else(foreign)?;
        let file = disk.open(&path, OpenMode::Existing).map_err(failed)?;
        if entry.len != want {
            // A segment that was being made when the process ended is short and begins with zeros.
            let mut first = [0; 8];
            let unused = entry.len < 8
                || (entry.len < want
                    && file.read_exact_at(0, &mut first).is_ok()
                    && first == [0; 8]);
            if at + 1 == count && unused {
                drop(file);
                disk.remove_file(&path).map_err(failed)?;
                continue;
            }
            return Err(foreign());
        }
        if let Some(before) = segments.last()
            && before.end() != base
        {
            return Err(OpenError::Gap { path: crate::config::file_at(dir, before.end()) });
        }
        segments.push(Arc::new(Segment::new(base, want, path, file)));
    }
    Ok(segments)
}

/// Finds the queues on disk. Holds for each the log end of its last unit before a hole, if any.
pub(crate) fn load_queues(
    disk: &dyn Disk,
    config: &StoreConfig,
    queues: &QueueTable,
    trusted: bool,
) -> Result<LoadedQueues, OpenError> {
    let dir = config.queues_dir();
    let at = |path: PathBuf| move |source| OpenError::Io { path, source };
    disk.create_dir_all(&dir).map_err(at(dir.clone()))?;
    let mut loaded = LoadedQueues { last_end: 0, hole: None };
    for topic in disk.list(&dir).map_err(at(dir.clone()))? {
        if !topic.is_dir {
            continue;
        }
        let topic_dir = dir.join(&topic.name);
        let name: Arc<str> = topic.name.into();
        for queue in disk.list(&topic_dir).map_err(at(topic_dir.clone()))? {
            let Ok(id) = queue.name.parse::<u32>() else { continue };
            if !queue.is_dir {
                continue;
            }
            let found =
                queues.get_or_make(&name, id).load(trusted).map_err(|error| match error {
                    LoadError::Io(source) => {
                        OpenError::Io { path: topic_dir.join(&queue.name), source }
                    }
                    LoadError::Foreign { path, len, want } => {
                        OpenError::Foreign { path, len, want }
                    }
                })?;
            loaded.last_end = loaded.last_end.max(found.last_end);
            if let Some(hole) = found.hole {
                tracing::warn!(
                    topic = &*name,
                    queue = id,
                    "queue files have a hole, made again from the log"
                );
                loaded.hole = Some(loaded.hole.map_or(hole, |other| other.min(hole)));
            }
        }
    }
    Ok(loaded)
}

/// All queues together.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LoadedQueues {
    /// One past the last record any unit points to.
    pub(crate) last_end: u64,
    /// Units before this place of the log are complete in all queues.
    pub(crate) hole: Option<u64>,
}

/// Recovery of one store.
pub(crate) struct Recovery<'a> {
    pub(crate) disk: &'a dyn Disk,
    pub(crate) config: &'a StoreConfig,
    pub(crate) log: &'a Log,
    pub(crate) queues: &'a QueueTable,
    pub(crate) index: Option<&'a Index>,
    pub(crate) evidence: &'a Evidence,
    pub(crate) progress: &'a RecoveryProgress,
    pub(crate) now: Millis,
}

impl Recovery<'_> {
    /// Scans the log from a place up to which queues and index are complete, makes them complete
    /// up to its end, and cuts off what is behind.
    pub(crate) fn run(&self, loaded: LoadedQueues) -> Result<Recovered, OpenError> {
        let segments = self.log.segments();
        let (Some(first), Some(last)) = (segments.first(), segments.last()) else {
            self.forget_all().map_err(|source| self.io(source))?;
            return Ok(Recovered::default());
        };
        self.log.reset_ends(last.end());
        let start = self.start(&segments, loaded).clamp(first.base, last.end());
        let rebuild = self.evidence.unclean || start < loaded.last_end;
        if rebuild {
            for queue in self.queues.all() {
                if self.evidence.unclean {
                    queue.doubt_names();
                }
                queue
                    .cut(start, !self.evidence.queues_trusted())
                    .map_err(|source| self.io(source))?;
            }
        }
        self.progress.begin(last.end() - start);
        let mut scan = Scan::new(self, start);
        let fault = scan.run(&segments).map_err(|source| self.io(source))?;
        scan.write().map_err(|source| self.io(source))?;
        let out = scan.out;
        if let Some(fault) = fault {
            self.judge(&segments, out.end, fault)?;
        }
        self.cut_log(&segments, out.end).map_err(|source| self.io(source))?;
        self.log.reset_ends(out.end);
        if let Some(index) = self.index
            && index.end_offset().is_some_and(|end| out.end <= end)
        {
            index.cut(out.end).map_err(|source| self.io(source))?;
        }
        let min = self.log.min();
        for queue in self.queues.all() {
            queue.next.store(queue.max_offset(), std::sync::atomic::Ordering::Release);
            queue.correct_min(min).map_err(|source| self.io(source))?;
        }
        Ok(out)
    }

    fn io(&self, source: io::Error) -> OpenError {
        OpenError::Io { path: self.config.root.clone(), source }
    }

    /// No log: what is left of queues and index points nowhere.
    fn forget_all(&self) -> io::Result<()> {
        for topic in self.queues.topics() {
            self.queues.delete(&topic)?;
        }
        self.index.map_or(Ok(()), Index::clear)
    }

    /// Everything before this place is in queues and index; a record begins here.
    fn start(&self, segments: &[Arc<Segment>], loaded: LoadedQueues) -> u64 {
        let first = segments.first().map_or(0, |segment| segment.base);
        let known = match &self.evidence.progress {
            // Without our mark the queues tell how far they are; a topic that was deleted does not.
            progress if !self.evidence.unclean => {
                let end = progress.as_ref().and_then(|progress| progress.clean_end);
                end.filter(|end| loaded.last_end <= *end).unwrap_or(loaded.last_end)
            }
            // What was written behind it may never be synced by anybody, though it can be read now.
            Some(progress) => progress.synced,
            None => {
                let by_time = self.start_by_time(segments).unwrap_or(first);
                // Java has dropped the newest index file by now, and forgets what it named.
                let indexed = |index: &Index| index.end_offset().unwrap_or(first);
                self.index.map_or(by_time, |index| by_time.min(indexed(index)))
            }
        };
        let known = loaded.hole.map_or(known, |hole| known.min(hole));
        let last = segments.last().map_or(0, |segment| segment.end());
        if last < known {
            // Queues are ahead of the log: read its last segment again.
            return segments.last().map_or(first, |segment| segment.base);
        }
        known.max(first)
    }

    /// Java's rule: the last segment whose first record is older than the checkpoint.
    fn start_by_time(&self, segments: &[Arc<Segment>]) -> Option<u64> {
        let Checkpoint { physic, logics, .. } = self.evidence.checkpoint;
        let before = physic.min(logics).saturating_sub(JAVA_MARGIN_MS).max(0);
        let is_start = |segment: &&Arc<Segment>| {
            first_record_time(segment).is_some_and(|time| 0 < time && time <= before)
        };
        segments.iter().rev().find(is_start).map(|segment| segment.base)
    }

    /// Decides whether the bytes at `end` are the end of the log or damage to it.
    fn judge(&self, segments: &[Arc<Segment>], end: u64, fault: Fault) -> Result<(), OpenError> {
        let Some(segment) = segments.iter().find(|s| s.base <= end && end < s.end()) else {
            return Ok(());
        };
        let physic = self.evidence.checkpoint.physic;
        let later = segments
            .iter()
            .filter(|later| end < later.base)
            .find_map(|later| first_record_time(later));
        let follows = match later {
            Some(time) => Some(time),
            // Only power loss tears what is behind; zeros are how a log ends.
            None if self.evidence.same_boot => None,
            None if fault == (Fault::Magic { magic: 0 }) && !self.evidence.unclean => None,
            None => next_record_time(segment, end).map_err(|source| self.io(source))?,
        };
        let Some(time) = follows else { return Ok(()) };
        // Was what follows durable before the stop? Then so was this, and it must be readable.
        let was_durable = !self.evidence.unclean
            || (later.is_some() && self.config.flush.is_sync())
            || match &self.evidence.progress {
                Some(progress) => end < progress.synced,
                None => 0 < physic && time < physic,
            };
        let damaged = OpenError::Damaged {
            path: segment.path.clone(),
            at: end - segment.base,
            offset: end,
            fault,
        };
        if was_durable && self.config.on_damage == OnDamage::Refuse {
            return Err(damaged);
        }
        tracing::warn!(error = %damaged, was_durable, "the log is cut here");
        Ok(())
    }

    /// Removes segments behind `end` and clears the rest of the one it is in, so that no old record
    /// can come back to life when a new one ends where the old one began.
    fn cut_log(&self, segments: &[Arc<Segment>], end: u64) -> io::Result<()> {
        let mut kept = segments.to_vec();
        while let Some(last) = kept.last().filter(|last| end < last.base) {
            self.disk.remove_file(&last.path)?;
            kept.pop();
        }
        // The process may have been killed before the name of a new segment was durable.
        if kept.len() < segments.len() || self.evidence.unclean {
            self.disk.sync_dir(self.log.dir())?;
        }
        if let Some(last) = kept.last().filter(|last| end < last.end()) {
            let clean = self.evidence.progress.as_ref().and_then(|p| p.clean_end) == Some(end);
            if self.evidence.unclean || !clean {
                last.file.zero(end - last.base, last.len)?;
                last.file.sync_data()?;
            }
        }
        if self.evidence.unclean {
            let synced = self.evidence.progress.as_ref().map_or(0, |progress| progress.synced);
            for segment in kept.iter().filter(|segment| synced < segment.end()) {
                if self.evidence.same_boot {
                    write_again(segment, synced.max(segment.base), end.min(segment.end()))?;
                }
                segment.file.sync_data()?;
            }
        }
        self.log.set_segments(kept);
        Ok(())
    }
}

/// Writes what can be read once more. If a sync of the killed process failed, its pages can still
/// be read but no sync will ever write them: that takes a new write.
fn write_again(segment: &Segment, from: u64, to: u64) -> io::Result<()> {
    const STEP: u64 = 1024 * 1024;
    let mut bytes = Vec::new();
    let mut at = from;
    while at < to {
        let len = (to - at).min(STEP);
        bytes.resize(usize::try_from(len).unwrap_or(0), 0);
        segment.file.read_exact_at(at - segment.base, &mut bytes)?;
        segment.file.write_all_at(at - segment.base, &bytes)?;
        at += len;
    }
    Ok(())
}
