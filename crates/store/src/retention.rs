//! Makes segments ahead of need, watches the disk's space, deletes what is too old or too much.

use crate::config::{Retention, position_of};
use crate::shared::{Shared, Wake};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use rmq_model::Millis;
use std::collections::HashMap;
use std::io;
use std::time::Duration;

/// Most expired segments that a request by hand deletes, in rounds of `deleteFileBatchMax`.
const MANUAL_ROUNDS: usize = 20;
/// Rest between two deletions (`deleteCommitLogFilesInterval`): they load the file system.
const BETWEEN_FILES: Duration = Duration::from_millis(100);

/// When things were done last.
pub(crate) struct Upkeep {
    last_round: Duration,
    last_unmap: Duration,
    spare_failed: bool,
}

impl Upkeep {
    pub(crate) fn new(shared: &Shared) -> Self {
        let now = shared.clock.monotonic();
        Self { last_round: now, last_unmap: now, spare_failed: false }
    }

    /// Makes the next segment, looks at the space, and deletes when it is time for it.
    pub(crate) fn look(&mut self, shared: &Shared) {
        match shared.log.make_spare() {
            Ok(()) => self.spare_failed = false,
            Err(error) => {
                if !self.spare_failed {
                    tracing::warn!(%error, "cannot make the next segment ahead");
                }
                self.spare_failed = true;
            }
        }
        look_at_space(shared);
        let now = shared.clock.monotonic();
        if shared.retention.load().every <= now.saturating_sub(self.last_round) {
            self.last_round = now;
            if let Err(error) = scheduled_round(shared) {
                tracing::warn!(%error, "cannot delete expired files");
            }
        }
        if shared.config.upkeep.unmap_after <= now.saturating_sub(self.last_unmap) {
            self.last_unmap = now;
            shared.log.unmap_idle();
        }
    }
}

/// Body of the thread that looks after segments and space.
pub(crate) fn run_upkeep(shared: &Shared) {
    let mut upkeep = Upkeep::new(shared);
    loop {
        upkeep.look(shared);
        let every = shared.retention.load().check_space_every;
        if shared.upkeep.wait(Some(every)) == Wake::Stop {
            return;
        }
    }
}

/// Used share of the file systems the log and the queues are on, in percent.
pub(crate) fn used_percent(shared: &Shared) -> io::Result<(u8, u8)> {
    let log = shared.disk.space(shared.log.dir())?.used_percent();
    let queues = shared.disk.space(&shared.config.root)?.used_percent();
    Ok((log, queues))
}

/// Opens or shuts the gate for puts.
pub(crate) fn look_at_space(shared: &Shared) {
    let limit = shared.retention.load().warning_percent;
    match used_percent(shared) {
        Ok((log, queues)) => {
            let used = log.max(queues);
            shared.gate.set_full((limit < used).then_some(used));
        }
        Err(error) => tracing::warn!(%error, "cannot see the disk's space"),
    }
}

/// What one round may delete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// Nothing: not the hour, and space enough.
    Nothing,
    /// Segments last written before this.
    Expired(Millis),
    /// The oldest, whatever their age.
    Any,
}

/// The rule of the reference: the hour or the space starts a round, little space takes any file.
pub(crate) fn reach(retention: &Retention, used_percent: u8, hour: u8, now: Millis) -> Reach {
    let keep = Millis::try_from(retention.keep.as_millis()).unwrap_or(Millis::MAX);
    let expired = Reach::Expired(now.saturating_sub(keep));
    let limit = retention.force_percent.min(retention.warning_percent);
    if retention.force && limit < used_percent {
        Reach::Any
    } else if retention.max_used_percent < used_percent || retention.delete_hours.contains(&hour) {
        expired
    } else {
        Reach::Nothing
    }
}

fn scheduled_round(shared: &Shared) -> io::Result<()> {
    let (log, queues) = used_percent(shared)?;
    let now = shared.clock.now();
    let reach = reach(&shared.retention.load(), log.max(queues), local_hour(now), now);
    if reach != Reach::Nothing {
        round(shared, reach)?;
    }
    Ok(())
}

/// Deletes expired segments now, whatever the hour; returns how many.
pub(crate) fn manual(shared: &Shared) -> io::Result<usize> {
    let keep = shared.retention.load().keep;
    let keep = Millis::try_from(keep.as_millis()).unwrap_or(Millis::MAX);
    let before = shared.clock.now().saturating_sub(keep);
    let mut total = 0;
    for _ in 0..MANUAL_ROUNDS {
        let removed = round(shared, Reach::Expired(before))?;
        total += removed;
        if removed == 0 {
            break;
        }
    }
    Ok(total)
}

/// Removes segments from the oldest on, then what points to them. Never the last segment.
fn round(shared: &Shared, reach: Reach) -> io::Result<usize> {
    let modified: HashMap<u64, Millis> = shared
        .disk
        .list(shared.log.dir())?
        .into_iter()
        .filter_map(|entry| Some((position_of(&entry.name)?, entry.modified)))
        .collect();
    let segments = shared.log.segments();
    let mut removed = 0;
    for segment in segments.iter().take(segments.len().saturating_sub(1)) {
        let goes = match reach {
            Reach::Nothing => false,
            Reach::Any => true,
            // The age is the file's modification time, as Java has it. One that somebody else
            // removed is gone already: it must not keep those behind it.
            Reach::Expired(before) => modified.get(&segment.base).is_none_or(|at| *at < before),
        };
        if !goes || shared.retention.load().batch_max <= removed {
            break;
        }
        if 0 < removed && shared.upkeep.pause(BETWEEN_FILES) == Wake::Stop {
            break;
        }
        if !shared.log.remove_oldest()? {
            break;
        }
        tracing::info!(segment = %segment.path.display(), ?reach, "segment deleted");
        removed += 1;
        if reach == Reach::Any {
            look_at_space(shared);
            let limit = shared.retention.load().force_percent;
            let (log, queues) = used_percent(shared)?;
            if log.max(queues) <= limit {
                break;
            }
        }
    }
    if 0 < removed {
        trim(shared)?;
    }
    Ok(removed)
}

/// Removes queue and index files that only point to deleted segments.
pub(crate) fn trim(shared: &Shared) -> io::Result<()> {
    let min = shared.log.min();
    for queue in shared.queues.all() {
        queue.trim(min)?;
    }
    if let Some(index) = &shared.index {
        index.trim(min)?;
    }
    Ok(())
}

fn local_hour(now: Millis) -> u8 {
    let time = Timestamp::UNIX_EPOCH
        .checked_add(SignedDuration::from_millis(now))
        .unwrap_or(Timestamp::UNIX_EPOCH)
        .to_zoned(TimeZone::system());
    u8::try_from(time.hour()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hour_and_space_decide_what_may_go() {
        let retention = Retention::default();
        let now = 1_000_000_000_000;
        let old = Reach::Expired(now - 72 * 3_600_000);
        for (used, hour, want) in [
            (10, 3, Reach::Nothing),
            (10, 4, old),
            (75, 3, Reach::Nothing),
            (76, 3, old),
            (85, 3, old),
            (86, 3, Reach::Any),
            (86, 4, Reach::Any),
        ] {
            assert_eq!(reach(&retention, used, hour, now), want, "{used}% at {hour}");
        }
        let gentle = Retention { force: false, ..retention };
        assert_eq!(reach(&gentle, 99, 3, now), old);
    }
}
