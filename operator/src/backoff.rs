//! How long to wait before a cluster is looked at again.

use crate::error::Class;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// First wait after a transient error; doubled each time.
const FIRST: Duration = Duration::from_secs(1);
/// Longest wait after a transient error.
const LONGEST: Duration = Duration::from_mins(5);
/// A bad resource is looked at again in case a rule outside of it changed.
const INVALID: Duration = Duration::from_mins(10);
/// A role may be corrected at any time, and nothing tells us.
const PERMISSION: Duration = Duration::from_mins(1);
/// Gives whoever looks at it time, and the log room.
const BUG: Duration = Duration::from_mins(5);

/// Counts consecutive transient errors by cluster. The runtime's error callback is not told.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    failures: Mutex<HashMap<String, u32>>,
    jitter: Jitter,
}

impl Backoff {
    /// The wait after an error of `class`. Only transient errors make the next wait longer.
    pub(crate) fn failed(&self, key: &str, class: Class) -> Duration {
        match class {
            Class::Transient => {
                let mut failures = self.failures.lock();
                let count = failures.entry(key.to_owned()).or_insert(0);
                let wait = FIRST.saturating_mul(1 << (*count).min(10)).min(LONGEST);
                *count = count.saturating_add(1);
                self.jitter.around(wait)
            }
            Class::Invalid => INVALID,
            Class::Permission => self.jitter.around(PERMISSION),
            Class::Bug => self.jitter.around(BUG),
        }
    }

    /// A reconcile went through, or the cluster has gone.
    pub(crate) fn forget(&self, key: &str) {
        self.failures.lock().remove(key);
    }

    /// `wait`, give or take a fifth, so that clusters made together are not looked at together.
    pub(crate) fn spread(&self, wait: Duration) -> Duration {
        self.jitter.around(wait)
    }
}

/// Unpredictable enough to spread load; not for secrets.
#[derive(Debug, Default)]
struct Jitter {
    seed: RandomState,
    drawn: AtomicU64,
}

impl Jitter {
    fn around(&self, wait: Duration) -> Duration {
        let draw = self.seed.hash_one(self.drawn.fetch_add(1, Ordering::Relaxed));
        // 80 % to 120 %, in steps of a tenth of a percent.
        let thousandths = 800 + u32::try_from(draw % 401).unwrap_or(200);
        wait.saturating_mul(thousandths) / 1000
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn about(wait: Duration, middle: Duration) -> bool {
        let (low, high) = (middle.mul_f64(0.8), middle.mul_f64(1.2));
        let slack = Duration::from_micros(10);
        low <= wait + slack && wait <= high + slack
    }

    #[test]
    fn transient_errors_back_off_up_to_five_minutes_and_start_over_after_success() {
        let backoff = Backoff::default();
        for seconds in [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300] {
            let wait = backoff.failed("ns/a", Class::Transient);
            assert!(about(wait, Duration::from_secs(seconds)), "{wait:?} against {seconds} s");
        }
        assert!(about(backoff.failed("ns/b", Class::Transient), Duration::from_secs(1)));
        backoff.forget("ns/a");
        assert!(about(backoff.failed("ns/a", Class::Transient), Duration::from_secs(1)));
    }

    #[test]
    fn the_other_classes_wait_as_long_each_time() {
        let backoff = Backoff::default();
        for _ in 0..20 {
            assert_eq!(backoff.failed("k", Class::Invalid), INVALID);
            assert!(about(backoff.failed("k", Class::Permission), PERMISSION));
            assert!(about(backoff.failed("k", Class::Bug), BUG));
        }
        assert!(about(backoff.failed("k", Class::Transient), Duration::from_secs(1)));
    }

    #[test]
    fn waits_are_spread() {
        let backoff = Backoff::default();
        let waits: std::collections::BTreeSet<Duration> =
            (0..100).map(|_| backoff.spread(Duration::from_mins(5))).collect();
        assert!(20 < waits.len(), "{waits:?}");
        assert!(waits.iter().all(|wait| about(*wait, Duration::from_mins(5))), "{waits:?}");
    }
}
