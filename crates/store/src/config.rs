//! What the store is told when it is opened.

use rmq_model::{Millis, limits};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Length of a consume queue unit in bytes.
pub(crate) const UNIT_BYTES: u64 = 20;

/// Settings of one store. [`StoreConfig::new`] gives the defaults of the reference implementation;
/// sizes must be those the files on disk were made with.
#[derive(Clone, Debug)]
pub struct StoreConfig {
    /// `storePathRootDir`
    pub root: PathBuf,
    /// `storePathCommitLog`
    pub commit_log: PathBuf,
    /// `mappedFileSizeCommitLog`: length of a segment file, at least 4096.
    pub segment_bytes: u64,
    /// `mappedFileSizeConsumeQueue`: length of a queue file; rounded up to whole units.
    pub consume_queue_file_bytes: u64,
    /// `flushDiskType` and its intervals.
    pub flush: FlushMode,
    /// `maxMessageSize`: most bytes of a body.
    pub body_bytes_max: usize,
    /// `enabledAppendPropCRC`: each record carries a check value over all of it.
    pub property_crc: bool,
    /// The key index; `None` when `messageIndexEnable` is false.
    pub index: Option<IndexConfig>,
    /// `messageDelayLevel`: waiting time of levels 1, 2, …
    pub delay_levels: Vec<Millis>,
    /// What is deleted when.
    pub retention: Retention,
    /// Bounds of what waits for the log.
    pub inbox: InboxConfig,
    /// Records this close to the end of the log count as in memory for [`crate::ReadLimits`].
    pub memory_bytes: u64,
    /// Times of what follows the log.
    pub upkeep: UpkeepConfig,
    /// What to do about a damaged record that is not the torn end of the log.
    pub on_damage: OnDamage,
}

/// When written bytes are made durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlushMode {
    /// `ASYNC_FLUSH`: a put is answered once written; a thread syncs behind.
    Async {
        /// `flushIntervalCommitLog`
        interval: Duration,
        /// `flushCommitLogLeastPages`, in bytes: less than this waits for `thorough`.
        least_bytes: u64,
        /// `flushCommitLogThoroughInterval`
        thorough: Duration,
    },
    /// `SYNC_FLUSH`: a put is answered once durable.
    Sync {
        /// `syncFlushTimeout`: puts that wait for longer are told so, though they are stored.
        timeout: Duration,
    },
}

impl FlushMode {
    /// `ASYNC_FLUSH` with its defaults.
    pub const ASYNC: Self = Self::Async {
        interval: Duration::from_millis(500),
        least_bytes: 4 * 4096,
        thorough: Duration::from_secs(10),
    };
    /// `SYNC_FLUSH` with its defaults.
    pub const SYNC: Self = Self::Sync { timeout: Duration::from_secs(5) };

    /// Whether puts wait for the disk.
    pub fn is_sync(self) -> bool {
        matches!(self, Self::Sync { .. })
    }
}

/// Sizes of index files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IndexConfig {
    /// `maxHashSlotNum`
    pub slots: u32,
    /// `maxIndexNum`; entry 0 is never used.
    pub entries: u32,
}

impl Default for IndexConfig {
    fn default() -> Self {
        Self { slots: 5_000_000, entries: 20_000_000 }
    }
}

/// What is deleted when, and when puts are refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retention {
    /// `fileReservedTime`: a segment last written longer ago is expired.
    pub keep: Duration,
    /// `deleteWhen`: local hours in which expired segments are deleted.
    pub delete_hours: Vec<u8>,
    /// `diskMaxUsedSpaceRatio`, percent (10 to 95): above it expired segments are deleted at once.
    pub max_used_percent: u8,
    /// `diskSpaceCleanForciblyRatio`, percent (30 to 85): above it the oldest go whatever their age.
    pub force_percent: u8,
    /// `cleanFileForciblyEnable`
    pub force: bool,
    /// `diskSpaceWarningLevelRatio`, percent (35 to 90): above it puts are refused.
    pub warning_percent: u8,
    /// `deleteFileBatchMax`: most segments per round.
    pub batch_max: usize,
    /// `cleanResourceInterval`: time between rounds.
    pub every: Duration,
    /// Time between looks at the space.
    pub check_space_every: Duration,
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            keep: Duration::from_secs(72 * 3600),
            delete_hours: vec![4],
            max_used_percent: 75,
            force_percent: 85,
            force: true,
            warning_percent: 90,
            batch_max: 10,
            every: Duration::from_secs(10),
            check_space_every: Duration::from_secs(1),
        }
    }
}

impl Retention {
    /// With the percentages brought into the ranges that the reference implementation enforces.
    #[must_use]
    pub fn clamped(mut self) -> Self {
        self.max_used_percent = self.max_used_percent.clamp(10, 95);
        self.force_percent = self.force_percent.clamp(30, 85);
        self.warning_percent = self.warning_percent.clamp(35, 90);
        self
    }
}

/// Bounds of what waits for the log; more is refused as busy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InboxConfig {
    /// Puts.
    pub puts_max: usize,
    /// Bytes of records.
    pub bytes_max: usize,
}

impl Default for InboxConfig {
    fn default() -> Self {
        Self { puts_max: 20_000, bytes_max: 64 * 1024 * 1024 }
    }
}

/// Times and bounds of what follows the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UpkeepConfig {
    /// Longest time a queue unit is in memory only.
    pub queues_every: Duration,
    /// Longest time an index entry is in memory only.
    pub index_every: Duration,
    /// Time between syncs of queues, index and checkpoint.
    pub checkpoint_every: Duration,
    /// Units in memory only at which they are written without waiting.
    pub units_pending_max: usize,
    /// Index entries in memory only at which they are written without waiting.
    pub entries_pending_max: usize,
    /// A segment not read for this long loses its mapping.
    pub unmap_after: Duration,
}

impl Default for UpkeepConfig {
    fn default() -> Self {
        Self {
            queues_every: Duration::from_millis(250),
            index_every: Duration::from_secs(1),
            checkpoint_every: Duration::from_secs(10),
            units_pending_max: 500_000,
            entries_pending_max: 200_000,
            unmap_after: Duration::from_secs(60),
        }
    }
}

/// What opening does about a damaged record that had been durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnDamage {
    /// Fail and name file and position.
    Refuse,
    /// Cut the log there: everything behind is lost.
    Cut,
}

/// Waiting times of levels 1 to 18: 1s 5s 10s 30s 1m … 10m 20m 30m 1h 2h.
pub const DELAY_LEVELS: [Millis; 18] = [
    1_000, 5_000, 10_000, 30_000, 60_000, 120_000, 180_000, 240_000, 300_000, 360_000, 420_000,
    480_000, 540_000, 600_000, 1_200_000, 1_800_000, 3_600_000, 7_200_000,
];

impl StoreConfig {
    /// Defaults for a store under `root`.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        let root = root.into();
        Self {
            commit_log: root.join("commitlog"),
            root,
            segment_bytes: 1024 * 1024 * 1024,
            consume_queue_file_bytes: 6_000_000,
            flush: FlushMode::ASYNC,
            body_bytes_max: limits::BODY_BYTES_MAX,
            property_crc: false,
            index: Some(IndexConfig::default()),
            delay_levels: DELAY_LEVELS.to_vec(),
            retention: Retention::default(),
            inbox: InboxConfig::default(),
            memory_bytes: default_memory_bytes(),
            upkeep: UpkeepConfig::default(),
            on_damage: OnDamage::Refuse,
        }
    }

    pub(crate) fn checked(mut self) -> Result<Self, String> {
        self.retention = self.retention.clamped();
        self.consume_queue_file_bytes =
            self.consume_queue_file_bytes.max(1).next_multiple_of(UNIT_BYTES);
        let record_bytes_max = self.body_bytes_max.saturating_add(RECORD_EXTRA_BYTES_MAX);
        if self.segment_bytes < 4096 || u64::from(u32::MAX / 2) < self.segment_bytes {
            return Err("a segment has 4096 bytes to 2 GiB".into());
        }
        if i32::try_from(record_bytes_max).is_err() {
            return Err("a record must stay below 2 GiB".into());
        }
        if self.index.is_some_and(|index| index.slots == 0 || index.entries < 2) {
            return Err("an index needs a slot and two entries".into());
        }
        Ok(self)
    }

    /// Waiting time of a level: above the last it is the last; 1 s without a table.
    pub fn delay_of(&self, level: u32) -> Millis {
        let at = usize::try_from(level).unwrap_or(usize::MAX).min(self.delay_levels.len());
        at.checked_sub(1).and_then(|at| self.delay_levels.get(at)).copied().unwrap_or(1_000)
    }

    pub(crate) fn units_per_file(&self) -> u64 {
        self.consume_queue_file_bytes / UNIT_BYTES
    }

    pub(crate) fn queues_dir(&self) -> PathBuf {
        self.root.join("consumequeue")
    }

    pub(crate) fn index_dir(&self) -> PathBuf {
        self.root.join("index")
    }

    pub(crate) fn checkpoint_path(&self) -> PathBuf {
        self.root.join("checkpoint")
    }

    pub(crate) fn abort_path(&self) -> PathBuf {
        self.root.join("abort")
    }

    pub(crate) fn lock_path(&self) -> PathBuf {
        self.root.join("lock")
    }

    /// Where files of ours live that Java does not know; all of them can be done without.
    pub(crate) fn own_dir(&self) -> PathBuf {
        self.root.join("rmq")
    }

    /// Directory of a queue.
    pub(crate) fn queue_dir(&self, topic: &str, queue: u32) -> PathBuf {
        self.queues_dir().join(topic).join(queue.to_string())
    }
}

/// Bytes that a record may have beyond the largest body.
pub(crate) const RECORD_EXTRA_BYTES_MAX: usize = 65_536;

/// 40 % of the memory that the process may use, as `accessMessageInMemoryMaxRatio`.
fn default_memory_bytes() -> u64 {
    (crate::memory::available_bytes() / 10).saturating_mul(4).max(64 * 1024 * 1024)
}

/// Name of a file that begins at `position` of its sequence: 20 digits.
pub(crate) fn position_name(position: u64) -> String {
    format!("{position:020}")
}

/// Position from a file's name; `None` if it is no number of Java's.
pub(crate) fn position_of(name: &str) -> Option<u64> {
    (!name.is_empty() && name.bytes().all(|b| b.is_ascii_digit()))
        .then(|| name.parse().ok().filter(|at| i64::try_from(*at).is_ok()))
        .flatten()
}

pub(crate) fn file_at(dir: &Path, position: u64) -> PathBuf {
    dir.join(position_name(position))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_beyond_the_table_wait_as_long_as_the_last() {
        let mut config = StoreConfig::new("x");
        assert_eq!(
            [1, 3, 18, 19, u32::MAX].map(|l| config.delay_of(l)),
            [1_000, 10_000, 7_200_000, 7_200_000, 7_200_000]
        );
        config.delay_levels.clear();
        assert_eq!(config.delay_of(1), 1_000);
    }

    #[test]
    fn file_names_have_twenty_digits() {
        assert_eq!(position_name(1_073_741_824), "00000000001073741824");
        assert_eq!(position_of("00000000001073741824"), Some(1_073_741_824));
        for name in ["", "x", "0x10", "+1", "99999999999999999999", "00000000001073741824.bak"] {
            assert_eq!(position_of(name), None, "{name}");
        }
    }

    #[test]
    fn percentages_are_clamped() {
        let wild = Retention {
            max_used_percent: 99,
            force_percent: 99,
            warning_percent: 99,
            ..Retention::default()
        };
        let tame = wild.clamped();
        assert_eq!((tame.max_used_percent, tame.force_percent, tame.warning_percent), (95, 85, 90));
    }
}
