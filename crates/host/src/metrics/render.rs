//! Prometheus text.

use super::{Histogram, Kind};
use std::fmt::{Display, Write as _};

/// The text while it is being made. Writing to a `String` cannot fail.
#[derive(Debug)]
pub struct Samples<'a> {
    common: &'a [(String, String)],
    name: &'static str,
    text: String,
}

impl<'a> Samples<'a> {
    pub(super) fn new(common: &'a [(String, String)]) -> Self {
        Self { common, name: "", text: String::new() }
    }

    pub(super) fn into_text(self) -> String {
        self.text
    }

    /// Begins a metric; the samples that follow belong to it.
    pub fn begin(&mut self, name: &'static str, help: &'static str, kind: Kind) {
        self.name = name;
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}").ok();
    }

    /// One series of the metric begun last.
    pub fn sample(&mut self, labels: &[(&str, &str)], value: impl Display) {
        self.line("", labels, None, value);
    }

    /// One histogram of the metric begun last.
    pub fn histogram(&mut self, labels: &[(&str, &str)], histogram: &Histogram) {
        let mut below = 0u64;
        for (bound, count) in histogram.buckets() {
            below = below.saturating_add(count);
            let bound = if bound.is_infinite() { "+Inf".to_owned() } else { bound.to_string() };
            self.line("_bucket", labels, Some(&bound), below);
        }
        self.line("_sum", labels, None, histogram.sum());
        self.line("_count", labels, None, below);
    }

    fn line(
        &mut self,
        suffix: &str,
        labels: &[(&str, &str)],
        bound: Option<&str>,
        value: impl Display,
    ) {
        self.text.push_str(self.name);
        self.text.push_str(suffix);
        let common = self.common.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let all = common.chain(labels.iter().copied()).chain(bound.map(|bound| ("le", bound)));
        let mut separator = '{';
        for (name, value) in all {
            self.text.push(separator);
            separator = ',';
            self.text.push_str(name);
            self.text.push_str("=\"");
            for c in value.chars() {
                match c {
                    '\\' => self.text.push_str("\\\\"),
                    '"' => self.text.push_str("\\\""),
                    '\n' => self.text.push_str("\\n"),
                    other => self.text.push(other),
                }
            }
            self.text.push('"');
        }
        if separator == ',' {
            self.text.push('}');
        }
        writeln!(self.text, " {value}").ok();
    }
}
