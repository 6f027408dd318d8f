//! A clock that only moves when told to.

use parking_lot::Mutex;
use rmq_model::{Clock, Millis};
use std::time::Duration;

/// Starts at 1,700,000,000,000 ms; clones of an `Arc` of it show the same time.
#[derive(Debug)]
pub struct FakeClock {
    state: Mutex<(Millis, Duration)>,
}

impl Default for FakeClock {
    fn default() -> Self {
        Self { state: Mutex::new((1_700_000_000_000, Duration::ZERO)) }
    }
}

impl FakeClock {
    /// Moves both times forward.
    pub fn advance(&self, by: Duration) {
        let mut state = self.state.lock();
        state.0 = state.0.saturating_add(Millis::try_from(by.as_millis()).unwrap_or(Millis::MAX));
        state.1 = state.1.saturating_add(by);
    }

    /// Steps the wall clock alone, in either direction.
    pub fn step_wall(&self, to: Millis) {
        self.state.lock().0 = to;
    }
}

impl Clock for FakeClock {
    fn now(&self) -> Millis {
        self.state.lock().0
    }

    fn monotonic(&self) -> Duration {
        self.state.lock().1
    }
}
