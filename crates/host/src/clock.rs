//! The real clock.

use rmq_model::{Clock, Millis};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The machine's clocks. Monotonic time counts from when the value was made.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock {
    origin: Instant,
}

impl SystemClock {
    /// Monotonic time starts at zero here.
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the real clock")]
    pub fn new() -> Self {
        Self { origin: Instant::now() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    /// Times before 1970 are negative.
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the real clock")]
    fn now(&self) -> Millis {
        let millis = |d: Duration| Millis::try_from(d.as_millis()).unwrap_or(Millis::MAX);
        match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(since) => millis(since),
            Err(before) => -millis(before.duration()),
        }
    }

    fn monotonic(&self) -> Duration {
        self.origin.elapsed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wall_clock_is_past_2023_and_monotonic_never_steps_back() {
        let clock = SystemClock::new();
        assert!(1_700_000_000_000 < clock.now());
        let first = clock.monotonic();
        assert!(first <= clock.monotonic());
    }
}
