//! How much goes over a connection of replication.

use parking_lot::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Over so long the rate is an average.
const WINDOW: Duration = Duration::from_secs(1);

/// Counts bytes, and says how many there were lately.
#[derive(Debug, Default)]
pub(super) struct Meter {
    total: AtomicU64,
    window: Mutex<Window>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Window {
    began: Duration,
    /// Total at its beginning.
    from: u64,
    /// Bytes a second in the one before.
    rate: u64,
}

impl Meter {
    pub(super) fn add(&self, bytes: usize) {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        self.total.fetch_add(bytes, Ordering::Relaxed);
    }

    /// All bytes so far.
    pub(super) fn total(&self) -> u64 {
        self.total.load(Ordering::Relaxed)
    }

    /// Bytes a second between the last two questions that were a window or more apart.
    pub(super) fn rate(&self, now: Duration) -> u64 {
        let total = self.total();
        let mut window = self.window.lock();
        let passed = now.saturating_sub(window.began);
        if WINDOW <= passed {
            let bytes = u128::from(total.saturating_sub(window.from));
            let rate = bytes.saturating_mul(1_000).checked_div(passed.as_millis()).unwrap_or(0);
            let rate = u64::try_from(rate).unwrap_or(u64::MAX);
            *window = Window { began: now, from: total, rate };
        }
        window.rate
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_that_of_whole_windows() {
        let meter = Meter::default();
        let at = Duration::from_millis;
        meter.add(500);
        assert_eq!(meter.rate(at(400)), 0, "nothing is known yet");
        meter.add(1_500);
        assert_eq!(meter.rate(at(2_000)), 1_000);
        meter.add(9_000);
        assert_eq!(meter.rate(at(2_900)), 1_000, "not a whole window");
        assert_eq!(meter.rate(at(3_500)), 6_000);
        assert_eq!((meter.rate(at(5_000)), meter.total()), (0, 11_000));
    }
}
