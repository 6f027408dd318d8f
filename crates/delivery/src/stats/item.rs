//! One counted thing and its windows.

use rmq_model::Millis;
use std::collections::VecDeque;

const MINUTE_MS: Millis = 60_000;
const HOUR_MS: Millis = 60 * MINUTE_MS;
const DAY_MS: Millis = 24 * HOUR_MS;

/// Sums over a window of time.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Window {
    /// Sum of the values.
    pub sum: u64,
    /// Sum per second.
    pub tps: f64,
    /// Sum per event.
    pub avgpt: f64,
}

/// An item as request 315 shows it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct StatsData {
    /// The last 60 seconds.
    pub minute: Window,
    /// The last hour.
    pub hour: Window,
    /// The last day.
    pub day: Window,
}

#[derive(Clone, Copy, Debug)]
struct Mark {
    at: Millis,
    value: u64,
    times: u64,
}

/// Where the counters stood: the last sample of each step in which they moved, and the beginning.
#[derive(Debug)]
struct Marks {
    window_ms: Millis,
    step_ms: Millis,
    marks: VecDeque<Mark>,
}

impl Marks {
    fn new(window_ms: Millis, step_ms: Millis, first: Mark) -> Self {
        Self { window_ms, step_ms, marks: VecDeque::from([first]) }
    }

    fn step_of(&self, mark: Mark) -> i64 {
        mark.at.div_euclid(self.step_ms)
    }

    fn sample(&mut self, now: Mark) {
        match self.marks.back().copied() {
            // The clock stepped back: what was counted since then counts for now.
            Some(last) if now.at < last.at => {
                self.marks.clear();
                self.marks.push_back(Mark { at: now.at, ..last });
            }
            // Nothing moved: the last mark holds until something does.
            Some(last) if (now.value, now.times) == (last.value, last.times) => return,
            Some(last) if 1 < self.marks.len() && self.step_of(last) == self.step_of(now) => {
                self.marks.pop_back();
            }
            Some(_) | None => {}
        }
        self.marks.push_back(now);
        let begin = now.at - self.window_ms;
        while self.marks.get(1).is_some_and(|second| second.at <= begin) {
            self.marks.pop_front();
        }
    }

    /// What came since the last mark at or before the window's beginning.
    fn window(&self, now: Mark) -> Window {
        let begin = now.at - self.window_ms;
        let before = self.marks.iter().rev().find(|mark| mark.at <= begin);
        let ahead = self.marks.back().filter(|last| now.at < last.at);
        let Some(first) = ahead.or(before).or(self.marks.front()) else {
            return Window::default();
        };
        let sum = now.value.saturating_sub(first.value);
        let times = now.times.saturating_sub(first.times);
        // Something that just happened for the first time did not happen at a rate of thousands,
        // and what happened after a long silence did not happen during it.
        let elapsed_ms = (now.at - first.at).clamp(1_000, self.window_ms + self.step_ms);
        Window {
            sum,
            tps: ratio(sum, elapsed_ms.unsigned_abs()) * 1_000.0,
            avgpt: if times == 0 { 0.0 } else { ratio(sum, times) },
        }
    }
}

/// `a / b` with the precision of a report.
#[expect(clippy::cast_precision_loss, reason = "numbers to be looked at, far below 2^53")]
fn ratio(a: u64, b: u64) -> f64 {
    a as f64 / b as f64
}

/// A counter with its windows.
#[derive(Debug)]
pub(super) struct Item {
    value: u64,
    times: u64,
    minute: Marks,
    hour: Marks,
    day: Marks,
}

impl Item {
    pub(super) fn new(now: Millis) -> Self {
        let zero = Mark { at: now, value: 0, times: 0 };
        Self {
            value: 0,
            times: 0,
            minute: Marks::new(MINUTE_MS, 10_000, zero),
            hour: Marks::new(HOUR_MS, 10 * MINUTE_MS, zero),
            day: Marks::new(DAY_MS, HOUR_MS, zero),
        }
    }

    pub(super) fn add(&mut self, value: u64, times: u64) {
        self.value = self.value.wrapping_add(value);
        self.times = self.times.wrapping_add(times);
    }

    fn mark(&self, at: Millis) -> Mark {
        Mark { at, value: self.value, times: self.times }
    }

    pub(super) fn sample(&mut self, now: Millis) {
        let mark = self.mark(now);
        self.minute.sample(mark);
        self.hour.sample(mark);
        self.day.sample(mark);
    }

    pub(super) fn data(&self, now: Millis) -> StatsData {
        let mark = self.mark(now);
        StatsData {
            minute: self.minute.window(mark),
            hour: self.hour.window(mark),
            day: self.day.window(mark),
        }
    }
}

#[cfg(test)]
impl Item {
    /// Number of marks kept for each window.
    pub(super) fn marks(&self) -> [usize; 3] {
        [&self.minute, &self.hour, &self.day].map(|marks| marks.marks.len())
    }
}
