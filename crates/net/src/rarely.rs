//! Log lines about what may happen thousands of times a second.

use std::time::Duration;
use tokio::time::Instant;

/// Least time between two lines about the same.
const EVERY: Duration = Duration::from_secs(10);

/// Lets the first event through, then one per [`EVERY`].
#[derive(Debug, Default)]
pub(crate) struct Rarely {
    last: Option<Instant>,
    untold: u64,
}

impl Rarely {
    /// How many events a line that is written now stands for; `None` if it is not to be written.
    pub(crate) fn happened(&mut self, now: Instant) -> Option<u64> {
        self.untold = self.untold.saturating_add(1);
        if self.last.is_some_and(|last| now.duration_since(last) < EVERY) {
            return None;
        }
        self.last = Some(now);
        Some(std::mem::take(&mut self.untold))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_told_once_per_period_with_its_number() {
        let start = Instant::now();
        let mut rarely = Rarely::default();
        assert_eq!(rarely.happened(start), Some(1));
        for ms in 1..1_000 {
            assert_eq!(rarely.happened(start + Duration::from_millis(ms)), None);
        }
        assert_eq!(rarely.happened(start + EVERY), Some(1_000));
        assert_eq!(rarely.happened(start + EVERY * 3), Some(1));
    }
}
