//! Waiting for a state of another process, with a deadline.

use std::time::Duration;

use rmq_host::SystemClock;
use rmq_model::clock::Clock as _;

/// How long one look at another process is worth waiting for.
const PAUSE: Duration = Duration::from_millis(25);

/// Asks `state` until it answers something or `limit` has passed.
pub fn until<T>(limit: Duration, mut state: impl FnMut() -> Option<T>) -> Option<T> {
    let clock = SystemClock::new();
    let end = clock.monotonic() + limit;
    loop {
        if let Some(found) = state() {
            return Some(found);
        }
        if end < clock.monotonic() {
            return None;
        }
        pause(PAUSE);
    }
}

/// Gives the others some time.
pub fn pause(time: Duration) {
    // Nobody unparks this thread: there is nothing in this process to be told by.
    std::thread::park_timeout(time);
}
