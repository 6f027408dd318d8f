//! docs/benchmarks.md.

use super::cases::Table;
use super::figures::{Figures, Sample};
use super::machine::Facts;
use super::side::Kind;
use std::fmt::Write as _;

const HEAD: &str = "\
# Benchmarks

Written by `cargo xtask bench-vs-java`; do not edit. This broker and the Java one were measured in
turns on the same machine by the same generator (`rmq bench`), which shared the machine with them.
Each figure is the median of the rounds. Absolute figures of a shared machine move by tens of
percent: what counts is the ratio, and above 1 always means that rmq does better.

`CPU` is user and system time of all threads of the broker for each message sent (for each message
read, where nothing is sent). `NxM` are connections and requests in flight on each. Both brokers run
with their defaults; the Java broker has a heap of 2 GiB, touched before the start.
";

/// The whole page.
pub(super) fn write(facts: &Facts, figures: &Figures) -> String {
    let mut page = HEAD.to_owned();
    line(&mut page, "\n| | |\n| --- | --- |");
    for (name, value) in &facts.rows {
        line(&mut page, &format!("| {name} | {} |", value.replace('|', "/")));
    }
    for table in Table::ALL {
        write_table(&mut page, table, figures);
    }
    line(&mut page, "\n## Footprint and life cycle\n");
    line(&mut page, "| | Java | rmq | ratio |\n| --- | --- | --- | --- |");
    for (name, unit) in figures.lives() {
        let get = |kind| figures.life_median(name, kind);
        let (Some(java), Some(rmq)) = (get(Kind::Java), get(Kind::Rmq)) else { continue };
        let ratio = less_is_better(java, rmq);
        line(&mut page, &format!("| {name} | {java:.2} {unit} | {rmq:.2} {unit} | {ratio} |"));
    }
    page
}

fn write_table(page: &mut String, table: Table, figures: &Figures) {
    if figures.of_table(table).next().is_none() {
        return;
    }
    line(page, &format!("\n## {}\n", table.title()));
    line(
        page,
        "| | | messages/s | CPU, µs | p50, ms | p99, ms | p99.9, ms | memory, MiB |\n\
         | --- | --- | --- | --- | --- | --- | --- | --- |",
    );
    for name in figures.of_table(table) {
        let row = |kind| Row::of(figures, name, kind);
        let (java, rmq) = (row(Kind::Java), row(Kind::Rmq));
        for (kind, row) in [("Java", &java), ("rmq", &rmq)] {
            if let Some(row) = row {
                let title = if kind == "Java" { name } else { "" };
                line(page, &format!("| {title} | {kind} | {} |", row.text()));
            }
        }
        if let (Some(java), Some(rmq)) = (java, rmq) {
            line(page, &format!("| | ratio | {} |", rmq.against(&java)));
        }
    }
}

struct Row {
    per_second: f64,
    cpu_us: f64,
    p50: f64,
    p99: f64,
    p999: f64,
    rss: f64,
    failed: f64,
}

impl Row {
    fn of(figures: &Figures, name: &str, kind: Kind) -> Option<Self> {
        let get = |figure: fn(&Sample) -> f64| figures.median(name, kind, figure);
        Some(Self {
            per_second: get(|s| s.per_second)?,
            cpu_us: get(|s| s.cpu_us)?,
            p50: get(|s| s.p50_ms)?,
            p99: get(|s| s.p99_ms)?,
            p999: get(|s| s.p999_ms)?,
            rss: get(|s| s.rss_mib)?,
            failed: get(|s| s.failed)?,
        })
    }

    fn text(&self) -> String {
        let failed =
            if 0.0 < self.failed { format!(" ({:.0} failed)", self.failed) } else { String::new() };
        format!(
            "{:.0}{failed} | {:.2} | {:.3} | {:.3} | {:.3} | {:.0}",
            self.per_second, self.cpu_us, self.p50, self.p99, self.p999, self.rss
        )
    }

    fn against(&self, java: &Self) -> String {
        [
            less_is_better(self.per_second, java.per_second),
            less_is_better(java.cpu_us, self.cpu_us),
            less_is_better(java.p50, self.p50),
            less_is_better(java.p99, self.p99),
            less_is_better(java.p999, self.p999),
            less_is_better(java.rss, self.rss),
        ]
        .join(" | ")
    }
}

/// How many times as much the first is.
fn less_is_better(theirs: f64, ours: f64) -> String {
    if ours <= 0.0 { "–".to_owned() } else { format!("**{:.1}**", theirs / ours) }
}

fn line(page: &mut String, text: &str) {
    // Writing to a string cannot fail.
    writeln!(page, "{text}").ok();
}
