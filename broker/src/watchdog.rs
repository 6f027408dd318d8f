//! Whether the threads of the store still get on with what waits for them.

use rmq_store::StoreStatus;
use std::time::Duration;

/// Work that waits this long without any of it being done: the thread that does it is stuck.
/// A disk may be slow for seconds; nothing takes this long by itself.
pub(crate) const STUCK_AFTER: Duration = Duration::from_secs(60);

/// Work of one thread.
#[derive(Clone, Copy, Debug, Default)]
struct Stall {
    /// Since when work waits and the mark stands, and the mark.
    since: Option<(Duration, u64)>,
}

impl Stall {
    /// Looks once: `waiting` says whether there is work, `mark` grows when some is done. Gives how
    /// long there has been work and none was done.
    fn look(&mut self, now: Duration, waiting: bool, mark: u64) -> Duration {
        let since = match self.since {
            Some((since, old)) if waiting && old == mark => since,
            _ => now,
        };
        self.since = waiting.then_some((since, mark));
        now.saturating_sub(since)
    }
}

/// Looks at the store once a second.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Watchdog {
    append: Stall,
    dispatch: Stall,
}

impl Watchdog {
    /// Why the process should be restarted; `None` when the store gets on.
    pub(crate) fn look(&mut self, now: Duration, status: &StoreStatus) -> Option<String> {
        self.look_at(now, status.log_max.0, status.inbox_puts, status.dispatch_behind_bytes)
    }

    /// The log ends at `end`, `waiting` puts wait for it, and what follows it is `behind` bytes
    /// behind.
    fn look_at(&mut self, now: Duration, end: u64, waiting: usize, behind: u64) -> Option<String> {
        let append = self.append.look(now, 0 < waiting, end);
        let dispatch = self.dispatch.look(now, 0 < behind, end.saturating_sub(behind));
        for (what, stalled) in [("appended", append), ("dispatched", dispatch)] {
            if STUCK_AFTER <= stalled {
                let seconds = stalled.as_secs();
                return Some(format!(
                    "store: nothing was {what} for {seconds} s although work waits"
                ));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_work_that_waits_without_progress_counts() {
        let at = Duration::from_secs;
        let mut idle = Watchdog::default();
        for second in 0..200 {
            assert_eq!(idle.look_at(at(second), 7, 0, 0), None, "an idle broker is fine");
        }
        let mut slow = Watchdog::default();
        for second in 0..200 {
            let end = second / 59;
            assert_eq!(slow.look_at(at(second), end, 5, 0), None, "slow is not stuck");
        }
        for (waiting, behind, what) in [(1, 0, "appended"), (0, 9, "dispatched")] {
            let mut stuck = Watchdog::default();
            for second in 0..60 {
                assert_eq!(stuck.look_at(at(second), 100, waiting, behind), None);
            }
            let why = stuck.look_at(at(60), 100, waiting, behind).expect("a minute is over");
            assert!(why.contains(what), "{why}");
            assert_eq!(stuck.look_at(at(61), 100, 0, 0), None, "it was done after all");
        }
    }
}
