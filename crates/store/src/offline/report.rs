//! What a check finds.

use rmq_model::{LogOffset, Millis};
use std::path::PathBuf;
use std::sync::Arc;

/// What is in a store and what is wrong with it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// The `abort` file is there: the last stop was not clean, and the next start recovers.
    pub unclean: bool,
    /// The log's files, oldest first.
    pub segments: Vec<SegmentReport>,
    /// All of the log.
    pub log: LogReport,
    /// Queues with files or with records in the log, by topic and number.
    pub queues: Vec<QueueReport>,
    /// The key index.
    pub index: IndexReport,
    /// Files where they do not belong, or of a wrong length. A broker refuses to start with them.
    pub foreign: Vec<Foreign>,
    /// Store times of the checkpoint up to which log and queues are durable.
    pub checkpoint: (Millis, Millis),
}

/// One file of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentReport {
    /// The file.
    pub path: PathBuf,
    /// Its first byte's place in the log.
    pub base: LogOffset,
    /// Valid records in it.
    pub records: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// Store time of the first.
    pub first_time: Option<Millis>,
    /// Store time of the last.
    pub last_time: Option<Millis>,
}

/// All of the log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogReport {
    /// First byte there is.
    pub min: LogOffset,
    /// One past the last valid record.
    pub end: LogOffset,
    /// Valid records.
    pub records: u64,
    /// What is behind the end.
    pub tail: Tail,
    /// Places that are damaged and have valid records behind them; the first hundred.
    pub damage: Vec<LogDamage>,
    /// How many such places there are.
    pub damaged_places: u64,
    /// Bytes of these places.
    pub damaged_bytes: u64,
    /// Files that are missing between two others.
    pub missing_files: Vec<PathBuf>,
}

/// What is behind the last record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tail {
    /// Zeros, or nothing.
    #[default]
    Clean,
    /// Bytes that are no record, this many up to the last that is not zero: a write was under way
    /// when the broker stopped, or a Java broker left what it had cut off. The next start clears
    /// them.
    Torn {
        /// How many.
        bytes: u64,
    },
}

/// A damaged place of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogDamage {
    /// The file.
    pub path: PathBuf,
    /// Place in the file.
    pub at: u64,
    /// Place in the log.
    pub offset: LogOffset,
    /// What is wrong there.
    pub fault: String,
    /// Where the next valid record begins.
    pub resumes: LogOffset,
}

/// One queue of a topic.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueueReport {
    /// Topic.
    pub topic: Arc<str>,
    /// Number within the topic.
    pub queue: u32,
    /// Records of the log that belong into it.
    pub records: u64,
    /// Queue offsets of the first of them and of the one after the last.
    pub range: Option<(u64, u64)>,
    /// Files.
    pub files: usize,
    /// Queue offsets between the first and the last whose record is not in the log.
    pub gaps: u64,
    /// Records that the queue's files do not name.
    pub missing: u64,
    /// Of these, those at the queue's end: what was in memory only when the broker was killed.
    pub missing_at_end: u64,
    /// Records for which the files name another place.
    pub wrong: u64,
    /// Units that name places at or behind the log's end.
    pub ahead: u64,
    /// The first queue offset at which any of this is so.
    pub first_fault: Option<u64>,
    /// Times that the queue began again at an earlier offset: its topic was deleted and made again.
    pub restarts: u64,
}

impl QueueReport {
    /// The files say what the log says.
    pub fn is_sound(&self) -> bool {
        self.missing == 0 && self.wrong == 0 && self.ahead == 0
    }

    /// What is wrong is what a start after a kill puts right anyway.
    pub(super) fn is_unfinished(&self) -> bool {
        self.wrong == 0 && self.missing == self.missing_at_end
    }
}

/// The key index.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IndexReport {
    /// Files.
    pub files: usize,
    /// Entries in them.
    pub entries: u64,
    /// Keys of records that have no entry. Of records before the first entry they do not count:
    /// the index may have been switched on later.
    pub missing: u64,
    /// Of these, those of records behind the last entry: what was in memory only.
    pub missing_at_end: u64,
    /// Entries that name no key of the record they point to.
    pub wrong: u64,
    /// Entries that a search does not come to, and slots that name the wrong entry.
    pub broken_links: u64,
    /// Files that were not looked into, because their sizes are not known.
    pub unknown: Vec<PathBuf>,
}

impl IndexReport {
    /// The files say what the log says.
    pub fn is_sound(&self) -> bool {
        self.missing == 0 && self.wrong == 0 && self.broken_links == 0
    }

    pub(super) fn is_unfinished(&self) -> bool {
        self.missing == self.missing_at_end
    }
}

/// A file that a broker would refuse.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Foreign {
    /// The file.
    pub path: PathBuf,
    /// Its length.
    pub len: u64,
    /// The length by the settings.
    pub want: u64,
}

/// What a report comes to, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// Nothing is wrong.
    Sound,
    /// The last stop was not clean. The next start completes what is missing; nothing is lost.
    Unfinished,
    /// The log is whole, but queues or index do not say what it says: repair makes them again.
    Rebuild,
    /// Messages are damaged or missing.
    LogDamaged,
}

impl Report {
    /// What it comes to.
    pub fn verdict(&self) -> Verdict {
        let log = &self.log;
        // After a clean stop the log ends behind all that queues name. After a power cut the end of
        // the log may be lost and queues not.
        let cut_short = !self.unclean && self.queues.iter().any(|queue| 0 < queue.ahead);
        if 0 < log.damaged_places || !log.missing_files.is_empty() || cut_short {
            return Verdict::LogDamaged;
        }
        let sound = self.queues.iter().all(QueueReport::is_sound) && self.index.is_sound();
        if sound && self.foreign.is_empty() {
            return if self.unclean { Verdict::Unfinished } else { Verdict::Sound };
        }
        let by_start = self.queues.iter().all(QueueReport::is_unfinished)
            && self.index.is_unfinished()
            && self.foreign.is_empty();
        if self.unclean && by_start { Verdict::Unfinished } else { Verdict::Rebuild }
    }
}
