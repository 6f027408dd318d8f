//! When to start a pod again.

use std::time::Duration;

/// Wait before the first restart.
const FIRST: Duration = Duration::from_millis(100);
/// Longest wait.
const LONGEST: Duration = Duration::from_secs(30);
/// A pod that ran this long was fine: counting begins anew.
const FINE: Duration = Duration::from_secs(60);

/// Waits between the restarts of one pod: doubled each time, up to half a minute. They never end,
/// because a pod may be waiting for something that people repair.
#[derive(Clone, Debug, Default)]
pub(super) struct Backoff {
    /// Ends in a row, each soon after its start.
    in_a_row: u32,
}

impl Backoff {
    /// The pod ended after it had run for `ran`; the wait before it is started again.
    pub(super) fn next(&mut self, ran: Duration) -> Duration {
        if FINE <= ran {
            self.in_a_row = 0;
        }
        let wait = FIRST.saturating_mul(1 << self.in_a_row.min(16)).min(LONGEST);
        self.in_a_row = self.in_a_row.saturating_add(1);
        wait
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
        let waits: Vec<u128> = (0..12).map(|_| backoff.next(Duration::ZERO).as_millis()).collect();
        assert_eq!(
            waits,
            [100, 200, 400, 800, 1600, 3200, 6400, 12800, 25600, 30000, 30000, 30000]
        );
        assert_eq!(backoff.in_a_row(), 12);
        assert_eq!(backoff.next(Duration::from_secs(59)), LONGEST);
        assert_eq!(backoff.next(FINE), FIRST);
        assert_eq!(backoff.next(Duration::ZERO), FIRST * 2);
        let mut long = Backoff { in_a_row: u32::MAX };
        assert_eq!(long.next(Duration::ZERO), LONGEST);
    }
}
