//! What was found, and its medians.

use super::cases::{Case, Table};
use super::side::Kind;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// One run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Sample {
    /// Messages a second: sent, or read where that is what counts.
    pub(super) per_second: f64,
    /// CPU time of the server for each message sent (each read, if none was sent).
    pub(super) cpu_us: f64,
    pub(super) p50_ms: f64,
    pub(super) p99_ms: f64,
    pub(super) p999_ms: f64,
    pub(super) rss_mib: f64,
    /// Requests that were refused, unanswered or never sent.
    pub(super) failed: f64,
}

impl Sample {
    /// From the JSON of `rmq bench`; `reads` takes the figures of the readers.
    pub(super) fn from_report(report: &Value, reads: bool) -> Option<Self> {
        let part = report.get(if reads { "read" } else { "send" })?;
        let latency = part.get("latency")?;
        let server = report.get("server")?;
        let ms = |name: &str| latency.get(name).and_then(Value::as_f64).map(|us| us / 1000.0);
        let failed = ["send", "read"].iter().filter_map(|name| report.get(name)).map(failures);
        Some(Self {
            per_second: part.get("messages_per_second")?.as_f64()?,
            cpu_us: server.get("cpu_us_per_message")?.as_f64()?,
            p50_ms: ms("p50_us")?,
            p99_ms: ms("p99_us")?,
            p999_ms: ms("p999_us")?,
            rss_mib: server.get("rss_bytes")?.as_f64()? / 1024.0 / 1024.0,
            failed: failed.sum(),
        })
    }

    /// One line for the person who waits.
    pub(super) fn plain(&self) -> String {
        let failed =
            if 0.0 < self.failed { format!(", {} failed", self.failed) } else { String::new() };
        format!(
            "{:>9.0}/s  {:>7.2} us  p50 {:.3} p99 {:.3} p99.9 {:.3} ms  {:.0} MiB{failed}",
            self.per_second, self.cpu_us, self.p50_ms, self.p99_ms, self.p999_ms, self.rss_mib
        )
    }
}

fn failures(part: &Value) -> f64 {
    let refused = part.get("refused").and_then(Value::as_object);
    let refused: f64 = refused.into_iter().flat_map(|r| r.values()).filter_map(Value::as_f64).sum();
    let count = |name: &str| part.get(name).and_then(Value::as_f64).unwrap_or(0.0);
    refused + count("unanswered") + count("unsent")
}

/// Samples of both sides, in the order the cases first came.
#[derive(Debug, Default)]
pub(super) struct Figures {
    cases: Vec<(Table, String)>,
    samples: BTreeMap<(String, Kind), Vec<Sample>>,
    lives: Vec<(String, &'static str)>,
    life: BTreeMap<(String, Kind), Vec<f64>>,
}

impl Figures {
    pub(super) fn add(&mut self, kind: Kind, case: &Case, sample: Sample) {
        if !self.cases.iter().any(|(_, name)| *name == case.name) {
            self.cases.push((case.table, case.name.clone()));
        }
        self.samples.entry((case.name.clone(), kind)).or_default().push(sample);
    }

    /// Adds a figure of the servers' life that is not of a load.
    pub(super) fn life(&mut self, kind: Kind, name: &str, unit: &'static str, value: f64) {
        if !self.lives.iter().any(|(known, _)| known == name) {
            self.lives.push((name.to_owned(), unit));
        }
        self.life.entry((name.to_owned(), kind)).or_default().push(value);
    }

    /// Names of the cases of a table.
    pub(super) fn of_table(&self, table: Table) -> impl Iterator<Item = &str> {
        self.cases.iter().filter(move |(t, _)| *t == table).map(|(_, name)| name.as_str())
    }

    /// Names and units of the other figures.
    pub(super) fn lives(&self) -> &[(String, &'static str)] {
        &self.lives
    }

    /// Median of `figure` over the rounds.
    pub(super) fn median(
        &self,
        name: &str,
        kind: Kind,
        figure: impl Fn(&Sample) -> f64,
    ) -> Option<f64> {
        let samples = self.samples.get(&(name.to_owned(), kind))?;
        median(samples.iter().map(figure).collect())
    }

    /// Median of a figure of the servers' life.
    pub(super) fn life_median(&self, name: &str, kind: Kind) -> Option<f64> {
        median(self.life.get(&(name.to_owned(), kind))?.clone())
    }

    /// All medians, for the person who waited.
    pub(super) fn plain(&self) -> String {
        let mut text = String::from("medians\n");
        for (_, name) in &self.cases {
            for kind in [Kind::Java, Kind::Rmq] {
                let get = |figure: fn(&Sample) -> f64| self.median(name, kind, figure);
                let Some(per_second) = get(|s| s.per_second) else { continue };
                let median = Sample {
                    per_second,
                    cpu_us: get(|s| s.cpu_us).unwrap_or(0.0),
                    p50_ms: get(|s| s.p50_ms).unwrap_or(0.0),
                    p99_ms: get(|s| s.p99_ms).unwrap_or(0.0),
                    p999_ms: get(|s| s.p999_ms).unwrap_or(0.0),
                    rss_mib: get(|s| s.rss_mib).unwrap_or(0.0),
                    failed: get(|s| s.failed).unwrap_or(0.0),
                };
                // Writing to a string cannot fail.
                writeln!(text, "  {name:<44} {kind:<4} {}", median.plain()).ok();
            }
        }
        for (name, unit) in &self.lives {
            for kind in [Kind::Java, Kind::Rmq] {
                if let Some(value) = self.life_median(name, kind) {
                    writeln!(text, "  {name:<60} {kind:<4} {value:.2} {unit}").ok();
                }
            }
        }
        text
    }
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    let upper = *values.get(middle)?;
    if values.len() % 2 == 1 {
        return Some(upper);
    }
    values.get(middle - 1).map(|lower| f64::midpoint(*lower, upper))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn medians() {
        assert_eq!(median(vec![]), None);
        assert_eq!(median(vec![3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(vec![4.0, 1.0]), Some(2.5));
    }

    #[test]
    fn reports_are_read() {
        let report = json!({
            "send": {
                "messages_per_second": 10.0, "refused": {"2": 3}, "unanswered": 1, "unsent": 2,
                "latency": {"p50_us": 1000.0, "p99_us": 2000.0, "p999_us": 3000.0},
            },
            "server": {"cpu_us_per_message": 5.0, "rss_bytes": 1_048_576},
        });
        let sample = Sample::from_report(&report, false).unwrap();
        assert_eq!((sample.per_second, sample.p999_ms, sample.failed), (10.0, 3.0, 6.0));
        assert_eq!(sample.rss_mib, 1.0);
        assert_eq!(Sample::from_report(&report, true), None);
    }
}
