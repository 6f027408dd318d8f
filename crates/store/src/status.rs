//! What the store looks like from outside.

use crate::retention;
use crate::shared::Shared;
use rmq_model::LogOffset;

/// Figures for administrators and metrics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreStatus {
    /// First byte of the log still there.
    pub log_min: LogOffset,
    /// One past the last byte of the log.
    pub log_max: LogOffset,
    /// One past the last byte that would survive a power cut.
    pub log_flushed: LogOffset,
    /// Bytes written but not durable.
    pub flush_behind_bytes: u64,
    /// Bytes written but not yet visible in queues. 0 but for the moment of a batch.
    pub dispatch_behind_bytes: u64,
    /// Bytes whose queue units or index entries are not in files yet; they can be read all the same.
    pub files_behind_bytes: u64,
    /// Queue units that are only in memory.
    pub units_pending: usize,
    /// Index entries that are only in memory.
    pub entries_pending: usize,
    /// Puts that wait for the log.
    pub inbox_puts: usize,
    /// Bytes of them.
    pub inbox_bytes: usize,
    /// Used share of the log's file system, percent.
    pub log_disk_percent: u8,
    /// Used share of the queues' file system, percent.
    pub queue_disk_percent: u8,
    /// Bytes in use on the queues' file system, by whatever.
    pub disk_used_bytes: u64,
    /// Segment files.
    pub segments: usize,
    /// Topics that have queues.
    pub topics: usize,
    /// Places of the log where reads found no record; 256 stands for all above.
    pub damaged_places: usize,
    /// Why puts are refused now.
    pub refused: Option<String>,
}

pub(crate) fn status(shared: &Shared) -> StoreStatus {
    let (written, flushed) = (shared.log.written(), shared.log.flushed());
    let dispatched = shared.dispatched.lock().end;
    let through = shared
        .following
        .try_lock()
        .map_or(dispatched, |following| following.queues_through.end.min(following.index_through));
    let (inbox_puts, inbox_bytes) = shared.inbox.depth();
    let (log_disk_percent, queue_disk_percent) =
        retention::used_percent(shared).unwrap_or_default();
    let space = shared.disk.space(&shared.config.root);
    let refusal = shared.gate.refusal(shared.retention.load().warning_percent);
    StoreStatus {
        log_min: LogOffset(shared.log.min()),
        log_max: LogOffset(written),
        log_flushed: LogOffset(flushed.min(written)),
        flush_behind_bytes: written.saturating_sub(flushed),
        dispatch_behind_bytes: written.saturating_sub(dispatched),
        files_behind_bytes: dispatched.saturating_sub(through),
        units_pending: shared.units_pending.load(std::sync::atomic::Ordering::Relaxed),
        entries_pending: shared.index.as_ref().map_or(0, crate::index::Index::pending_len),
        inbox_puts,
        inbox_bytes,
        log_disk_percent,
        queue_disk_percent,
        disk_used_bytes: space.map_or(0, |space| space.used),
        segments: shared.log.segments().len(),
        topics: shared.queues.topics().len(),
        damaged_places: shared.damage.places(),
        refused: refusal.map(|refusal| refusal.to_string()),
    }
}
