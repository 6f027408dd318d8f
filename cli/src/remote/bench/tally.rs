//! What a run counts.

use super::engine::Window;
use super::histogram::Histogram;
use super::link::Answer;
use std::collections::BTreeMap;

/// Counts of one kind of request or delivery.
#[derive(Debug)]
pub(crate) struct Tally {
    window: Window,
    /// Nanoseconds from start to answer, of what began within the window.
    pub(crate) latency: Histogram,
    /// Messages and requests that were done within the window.
    pub(crate) messages: u64,
    pub(crate) requests: u64,
    /// Refusals of the whole run by response code, and the first one's remark.
    pub(crate) failed: BTreeMap<i32, u64>,
    pub(crate) first_remark: Option<String>,
}

impl Tally {
    pub(crate) fn new(window: Window) -> Self {
        Self {
            window,
            latency: Histogram::default(),
            messages: 0,
            requests: 0,
            failed: BTreeMap::new(),
            first_remark: None,
        }
    }

    /// A request that started at `started` brought `messages` messages at `now`.
    pub(crate) fn done(&mut self, started: u64, now: u64, messages: u64) {
        if self.window.contains(now) {
            self.messages += messages;
            self.requests += 1;
        }
        self.waited(started, now);
    }

    /// Something that started at `started` took until `now`.
    pub(crate) fn waited(&mut self, started: u64, now: u64) {
        if self.window.contains(started) {
            self.latency.record(now.saturating_sub(started));
        }
    }

    /// The server refused.
    pub(crate) fn refused(&mut self, answer: &Answer<'_>) {
        *self.failed.entry(answer.code).or_default() += 1;
        if self.first_remark.is_none() {
            self.first_remark = Some(String::from_utf8_lossy(answer.header).into_owned());
        }
    }
}

/// When the requests of an open loop are due: at a fixed rate, whatever the server does.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    requests_per_second: f64,
    next: u64,
}

impl Pace {
    pub(crate) fn new(requests_per_second: f64) -> Self {
        Self { requests_per_second, next: 0 }
    }

    /// When the next request is due, ns.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a float cast saturates, and neither factor is negative"
    )]
    pub(crate) fn due(&self) -> u64 {
        (self.next as f64 * 1e9 / self.requests_per_second) as u64
    }

    /// The next request is under way.
    pub(crate) fn advance(&mut self) {
        self.next += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_window_counts() {
        let mut tally = Tally::new(Window { begin: 100, end: 200 });
        tally.done(90, 110, 4); // began while warming up: no latency
        tally.done(150, 160, 4);
        tally.done(190, 260, 4); // came too late: a latency, but no throughput
        assert_eq!((tally.messages, tally.requests), (8, 2));
        assert_eq!((tally.latency.count(), tally.latency.max()), (2, 70));
    }

    #[test]
    fn a_slow_server_does_not_slow_the_schedule() {
        let mut pace = Pace::new(2000.0);
        assert_eq!(pace.due(), 0);
        pace.advance();
        pace.advance();
        assert_eq!(pace.due(), 1_000_000);
    }
}
