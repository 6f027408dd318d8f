//! What a run found.

use std::collections::BTreeMap;

use serde::Serialize;

use super::engine::{Driven, Window};
use super::histogram::Histogram;
use super::server::Usage;
use super::tally::Tally;

/// Result of a run, as `-o json` prints it.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) load: &'static str,
    pub(crate) broker: String,
    pub(crate) topic: String,
    pub(crate) seconds: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) send: Option<SendReport>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) read: Option<ReadReport>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) server: Option<ServerReport>,
    /// Cores the generator used: if it is near 1, the generator was the limit.
    pub(crate) generator_cores: f64,
}

#[derive(Debug, Serialize)]
pub(crate) struct SendReport {
    pub(crate) connections: usize,
    pub(crate) in_flight: usize,
    pub(crate) body_bytes: usize,
    pub(crate) batch: u64,
    pub(crate) rate: Option<f64>,
    pub(crate) messages: u64,
    pub(crate) messages_per_second: f64,
    pub(crate) mib_per_second: f64,
    pub(crate) latency: Latency,
    /// Refused requests by response code.
    pub(crate) refused: BTreeMap<i32, u64>,
    pub(crate) first_refusal: Option<String>,
    /// Messages without an answer at the end.
    pub(crate) unanswered: u64,
    /// Requests that were due and never went out: the broker did not keep up.
    pub(crate) unsent: u64,
}

#[derive(Debug, Serialize)]
pub(crate) struct ReadReport {
    pub(crate) connections: usize,
    pub(crate) groups: usize,
    pub(crate) messages: u64,
    pub(crate) messages_per_second: f64,
    pub(crate) pulls_per_second: f64,
    /// From the send of a message until its delivery, or of a pull until its answer.
    pub(crate) latency: Latency,
    pub(crate) refused: BTreeMap<i32, u64>,
    pub(crate) first_refusal: Option<String>,
}

/// Microseconds.
#[derive(Debug, Serialize)]
pub(crate) struct Latency {
    pub(crate) mean_us: f64,
    pub(crate) p50_us: f64,
    pub(crate) p90_us: f64,
    pub(crate) p99_us: f64,
    pub(crate) p999_us: f64,
    pub(crate) max_us: f64,
}

#[derive(Debug, Serialize)]
pub(crate) struct ServerReport {
    pub(crate) pid: u32,
    /// CPU time of all threads for each message sent, or read if none was sent.
    pub(crate) cpu_us_per_message: f64,
    pub(crate) cores: f64,
    pub(crate) rss_bytes: u64,
    pub(crate) rss_peak_bytes: u64,
}

impl Latency {
    pub(crate) fn of(histogram: &Histogram) -> Self {
        let us = |nanos: u64| nanos as f64 / 1000.0;
        Self {
            mean_us: us(histogram.mean()),
            p50_us: us(histogram.percentile(500)),
            p90_us: us(histogram.percentile(900)),
            p99_us: us(histogram.percentile(990)),
            p999_us: us(histogram.percentile(999)),
            max_us: us(histogram.max()),
        }
    }
}

impl ServerReport {
    /// `usage` before and after `seconds`, in which it did `per_second` messages a second.
    pub(crate) fn new(pid: u32, usage: (Usage, Usage), seconds: f64, per_second: f64) -> Self {
        let cores = cores(usage, seconds);
        let (_, after) = usage;
        Self {
            pid,
            cpu_us_per_message: if 0.0 < per_second { cores * 1e6 / per_second } else { 0.0 },
            cores,
            rss_bytes: after.rss_bytes,
            rss_peak_bytes: after.rss_peak_bytes,
        }
    }
}

/// Cores a process used from one moment to another, `seconds` later.
fn cores((before, after): (Usage, Usage), seconds: f64) -> f64 {
    after.cpu_us.saturating_sub(before.cpu_us) as f64 / 1e6 / seconds
}

/// What the loop saw of the two processes, in relation to the messages of the window.
pub(crate) fn processes(
    driven: &Driven,
    pid: Option<u32>,
    messages: u64,
    window: Window,
) -> (Option<ServerReport>, f64) {
    // Looking at a process takes place a little after the window's edges, hence rates, not sums.
    let seconds = driven.measured as f64 / 1e9;
    let per_second = messages as f64 / window.seconds();
    let server = pid.zip(driven.server);
    let server = server.map(|(pid, usage)| ServerReport::new(pid, usage, seconds, per_second));
    (server, cores(driven.generator, seconds))
}

/// The remark of the first refusal, out of the whole header.
pub(crate) fn first_refusal(tally: &Tally) -> Option<String> {
    let header = tally.first_remark.as_deref()?;
    let remark = serde_json::from_str::<serde_json::Value>(header).ok();
    let remark = remark.and_then(|header| header.get("remark")?.as_str().map(str::to_owned));
    Some(remark.unwrap_or_else(|| "(no remark)".to_owned()))
}

impl Report {
    /// Name and value of every figure, for people.
    pub(crate) fn rows(&self) -> Vec<(&'static str, String)> {
        let mut rows = vec![
            ("broker", self.broker.clone()),
            ("topic", self.topic.clone()),
            ("measured", format!("{:.1} s", self.seconds)),
        ];
        if let Some(send) = &self.send {
            let shape = format!("{} x {}", send.connections, send.in_flight);
            let batch = if 1 < send.batch {
                format!(" in batches of {}", send.batch)
            } else {
                String::new()
            };
            let rate = send.rate.map(|rate| format!(", {rate:.0}/s asked")).unwrap_or_default();
            rows.push(("sending", format!("{shape}, {} bytes{batch}{rate}", send.body_bytes)));
            rows.push(("sent", rate_text(send.messages_per_second)));
            rows.push(("bodies", format!("{:.1} MiB/s", send.mib_per_second)));
            rows.push(("answer after", send.latency.text()));
            if !send.refused.is_empty() {
                rows.push(("refused", refused_text(&send.refused, send.first_refusal.as_deref())));
            }
            if 0 < send.unanswered {
                rows.push(("unanswered", send.unanswered.to_string()));
            }
            if 0 < send.unsent {
                rows.push(("not kept up with", format!("{} requests", send.unsent)));
            }
        }
        if let Some(read) = &self.read {
            let of =
                if 1 < read.groups { format!(" by {} groups", read.groups) } else { String::new() };
            rows.push(("read", format!("{}{of}", rate_text(read.messages_per_second))));
            rows.push(("pulls", format!("{:.0}/s", read.pulls_per_second)));
            let name = if self.send.is_some() { "delivered after" } else { "answer after" };
            rows.push((name, read.latency.text()));
            if !read.refused.is_empty() {
                rows.push(("refused", refused_text(&read.refused, read.first_refusal.as_deref())));
            }
        }
        if let Some(server) = &self.server {
            rows.push(("server process", server.pid.to_string()));
            rows.push((
                "server CPU",
                format!("{:.2} µs/message, {:.2} cores", server.cpu_us_per_message, server.cores),
            ));
            rows.push((
                "server memory",
                format!(
                    "{:.1} MiB, peak {:.1} MiB",
                    mib(server.rss_bytes),
                    mib(server.rss_peak_bytes)
                ),
            ));
        }
        rows.push(("generator CPU", format!("{:.2} cores", self.generator_cores)));
        rows
    }
}

impl Latency {
    fn text(&self) -> String {
        let ms = |us: f64| format!("{:.3}", us / 1000.0);
        format!(
            "p50 {} ms, p90 {}, p99 {}, p99.9 {}, max {}",
            ms(self.p50_us),
            ms(self.p90_us),
            ms(self.p99_us),
            ms(self.p999_us),
            ms(self.max_us)
        )
    }
}

fn rate_text(rate: f64) -> String {
    format!("{rate:.0} messages/s")
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / 1024.0 / 1024.0
}

fn refused_text(refused: &BTreeMap<i32, u64>, remark: Option<&str>) -> String {
    let codes: Vec<_> = refused.iter().map(|(code, n)| format!("{n} x code {code}")).collect();
    format!("{} ({})", codes.join(", "), remark.unwrap_or("no remark"))
}
