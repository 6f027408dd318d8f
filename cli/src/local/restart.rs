//! When to start a pod again.

use std::time::Duration;

/// Wait before the first restart.
const FIRST: Duration = Duration::from_millis(100);
/// Longest wait.
const LONGEST: Duration = Duration::from_secs(30);
/// A pod that ran this long was fine: counting begins anew.
const FINE: Duration = Duration::from_secs(60);

/// Waits between the restarts of one pod: doubled each time, up to half a minute, and up to a
/// quarter longer by chance, so that pods that ended together do not start together for ever. They
/// never end, because a pod may be waiting for something that people repair.
#[derive(Clone, Debug, Default)]
pub(super) struct Backoff {
    /// Ends in a row, each soon after its start.
    in_a_row: u32,
}

impl Backoff {
    /// The pod ended after it had run for `ran`; the wait before it is started again. `chance` is
    /// any number.
    pub(super) fn next(&mut self, ran: Duration, chance: u64) -> Duration {
        if FINE <= ran {
            self.in_a_row = 0;
        }
        let wait = FIRST.saturating_mul(1 << self.in_a_row.min(16)).min(LONGEST);
        self.in_a_row = self.in_a_row.saturating_add(1);
        let quarter = u64::try_from(wait.as_millis() / 4).unwrap_or(0);
        wait.saturating_add(Duration::from_millis(chance % quarter.saturating_add(1)))
    }

    /// Ends in a row, each soon after its start.
    pub(super) fn in_a_row(&self) -> u32 {
        self.in_a_row
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_limit_and_begin_anew_after_a_good_run() {
        let mut backoff = Backoff::default();
        let waits: Vec<u128> =
            (0..12).map(|_| backoff.next(Duration::ZERO, 0).as_millis()).collect();
        assert_eq!(
            waits,
            [100, 200, 400, 800, 1600, 3200, 6400, 12800, 25600, 30000, 30000, 30000]
        );
        assert_eq!(backoff.in_a_row(), 12);
        assert_eq!(backoff.next(Duration::from_secs(59), 0), LONGEST);
        assert_eq!(backoff.next(FINE, 0), FIRST);
        assert_eq!(backoff.next(Duration::ZERO, 0), FIRST * 2);
        let mut long = Backoff { in_a_row: u32::MAX };
        assert_eq!(long.next(Duration::ZERO, 0), LONGEST);
    }

    #[test]
    fn chance_makes_a_wait_longer_by_a_quarter_at_most() {
        let waits: Vec<u128> = (0..1_000)
            .map(|chance| Backoff::default().next(Duration::ZERO, chance).as_millis())
            .collect();
        assert_eq!((waits.iter().min(), waits.iter().max()), (Some(&100), Some(&125)));
    }
}
