//! Rates and totals of the whole broker, for request 28.

use rmq_model::Millis;
use std::collections::VecDeque;
use std::fmt;

/// Call [`Rates::sample`] this often.
pub const SAMPLE_MS: Millis = 1_000;
/// Longest span of a rate.
const SPAN_MS: Millis = 600_000;
const SAMPLES_MAX: usize = 601;

/// Events per second over the last 10, 60 and 600 seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rate(pub [f64; 3]);

/// Three decimals separated by a space, as in `putTps`.
impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [ten, sixty, six_hundred] = self.0;
        write!(f, "{ten:?} {sixty:?} {six_hundred:?}")
    }
}

/// Counters since the broker started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Messages stored.
    pub put: u64,
    /// Messages given out.
    pub transferred: u64,
    /// Reads that found something.
    pub found: u64,
    /// Reads that found nothing.
    pub missed: u64,
}

/// Rates over the last ten minutes, and totals at the last two midnights.
#[derive(Debug, Default)]
pub struct Rates {
    totals: Totals,
    samples: VecDeque<(Millis, Totals)>,
    day: Option<i64>,
    today_morning: Totals,
    yesterday_morning: Totals,
}

impl Rates {
    /// Messages were stored.
    pub fn put(&mut self, messages: u64) {
        self.totals.put = self.totals.put.wrapping_add(messages);
    }

    /// A read gave out messages; none if it found nothing.
    pub fn read(&mut self, messages: u64) {
        if messages == 0 {
            self.totals.missed = self.totals.missed.wrapping_add(1);
        } else {
            self.totals.found = self.totals.found.wrapping_add(1);
            self.totals.transferred = self.totals.transferred.wrapping_add(messages);
        }
    }

    /// Notes where the counters stand; call once a second. `day` is the number of the local day:
    /// when it changes, the totals of the morning are taken.
    pub fn sample(&mut self, now: Millis, day: i64) {
        if self.day.is_some_and(|known| known != day) {
            self.yesterday_morning = self.today_morning;
            self.today_morning = self.totals;
        }
        self.day = Some(day);
        if self.samples.back().is_some_and(|(last, _)| now < *last) {
            self.samples.clear(); // the clock stepped back: begin anew
        }
        self.samples.push_back((now, self.totals));
        while SAMPLES_MAX < self.samples.len()
            || self.samples.get(1).is_some_and(|(at, _)| SPAN_MS <= now - at)
        {
            self.samples.pop_front();
        }
    }

    fn rate(&self, now: Millis, count: impl Fn(&Totals) -> u64) -> Rate {
        Rate([10_000, 60_000, SPAN_MS].map(|span| {
            let begin = now - span;
            let Some((at, first)) = self.samples.iter().find(|(at, _)| begin <= *at) else {
                return 0.0;
            };
            let count = count(&self.totals).saturating_sub(count(first));
            let elapsed_ms = (now - at).max(1_000);
            per_second(count, elapsed_ms)
        }))
    }

    /// Messages stored per second (`putTps`).
    pub fn put_tps(&self, now: Millis) -> Rate {
        self.rate(now, |totals| totals.put)
    }

    /// Messages given out per second (`getTransferredTps`).
    pub fn transferred_tps(&self, now: Millis) -> Rate {
        self.rate(now, |totals| totals.transferred)
    }

    /// Reads that found something per second (`getFoundTps`).
    pub fn found_tps(&self, now: Millis) -> Rate {
        self.rate(now, |totals| totals.found)
    }

    /// Reads that found nothing per second (`getMissTps`).
    pub fn missed_tps(&self, now: Millis) -> Rate {
        self.rate(now, |totals| totals.missed)
    }

    /// Reads per second (`getTotalTps`).
    pub fn read_tps(&self, now: Millis) -> Rate {
        self.rate(now, |totals| totals.found.wrapping_add(totals.missed))
    }

    /// Counters as they stand (`msgPutTotalTodayNow`, `msgGetTotalTodayNow` and others).
    pub fn totals(&self) -> Totals {
        self.totals
    }

    /// Counters at the last midnight (`…TotalTodayMorning`).
    pub fn today_morning(&self) -> Totals {
        self.today_morning
    }

    /// Counters at the midnight before (`…TotalYesterdayMorning`).
    pub fn yesterday_morning(&self) -> Totals {
        self.yesterday_morning
    }
}

#[expect(clippy::cast_precision_loss, reason = "numbers to be looked at, far below 2^53")]
fn per_second(count: u64, elapsed_ms: Millis) -> f64 {
    count as f64 * 1_000.0 / elapsed_ms as f64
}
