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
        let ratio = times(java, rmq);
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
            times(self.per_second, java.per_second),
            times(java.cpu_us, self.cpu_us),
            times(java.p50, self.p50),
            times(java.p99, self.p99),
            times(java.p999, self.p999),
            times(java.rss, self.rss),
        ]
        .join(" | ")
    }
}

/// How many times the second goes into the first.
fn times(more: f64, less: f64) -> String {
    if less <= 0.0 { "–".to_owned() } else { format!("**{:.1}**", more / less) }
}

fn line(page: &mut String, text: &str) {
    // Writing to a string cannot fail.
    writeln!(page, "{text}").ok();
}

#[cfg(test)]
mod tests {
    use super::super::cases;
    use super::super::side::Flush;
    use super::*;

    fn sample(per_second: f64, cpu_us: f64, failed: f64) -> Sample {
        Sample {
            per_second,
            cpu_us,
            p50_ms: 1.0,
            p99_ms: 2.0,
            p999_ms: 3.0,
            rss_mib: 100.0,
            failed,
        }
    }

    #[test]
    fn ratios_above_one_are_in_our_favour() {
        let cases = cases::all(Flush::Async, true);
        let case = cases.first().unwrap();
        let mut figures = Figures::default();
        for (java, rmq) in [(10.0, 50.0), (20.0, 60.0), (15.0, 45.0)] {
            figures.add(Kind::Java, case, sample(java, 40.0, 2.0));
            figures.add(Kind::Rmq, case, sample(rmq, 5.0, 0.0));
        }
        figures.life(Kind::Java, "broker: stop", "s", 12.0);
        figures.life(Kind::Rmq, "broker: stop", "s", 0.5);
        figures.life(Kind::Rmq, "only ours", "s", 1.0);
        let facts = Facts { rows: vec![("kernel", "6|x".to_owned())] };
        let page = write(&facts, &figures);
        for line in [
            "| kernel | 6/x |",
            "| async flush, 128, 1x1 | Java | 15 (2 failed) | 40.00 | 1.000 | 2.000 | 3.000 | 100 |",
            "|  | rmq | 50 | 5.00 | 1.000 | 2.000 | 3.000 | 100 |",
            "| | ratio | **3.3** | **8.0** | **1.0** | **1.0** | **1.0** | **1.0** |",
            "| broker: stop | 12.00 s | 0.50 s | **24.0** |",
        ] {
            assert!(page.lines().any(|l| l == line), "{line}\n{page}");
        }
        assert!(!page.contains("only ours"));
        assert!(!page.contains("Reading a backlog"), "no empty tables");
    }
}
