//! `rmq store check`.

use std::io::Write as _;
use std::process::ExitCode;

use clap::Args;
use rmq_store::offline::{Access, IndexReport, QueueReport, Report, Tail, Verdict};
use serde_json::{Value, json};

use super::{Found, Place, known_topics};
use crate::output::{Output, table};
use crate::remote::connect::Format;
use crate::remote::time::stamp;

/// Most faulty queues in the table; JSON has all.
const QUEUES_SHOWN: usize = 50;

#[derive(Debug, Args)]
pub(super) struct Check {
    #[command(flatten)]
    place: Place,
    /// List all segments and queues, not only those with faults
    #[arg(long)]
    all: bool,
    /// How to print
    #[arg(short, long, value_enum, default_value_t = Format::Table)]
    output: Format,
}

pub(super) fn run(args: &Check, output: &mut Output) -> anyhow::Result<ExitCode> {
    let store = args.place.open(Access::Look)?;
    let root = &store.config().root;
    let topics = known_topics(root);
    let is_known = |topic: &str| topics.as_ref().is_none_or(|topics| topics.contains(topic));
    let watched = output.is_terminal();
    let report = store.check(&is_known, &mut |done, all| {
        if watched {
            // Whether somebody sees how far it is does not matter.
            let percent = done.saturating_mul(100) / all.max(1);
            write!(std::io::stderr(), "\r{percent} % of the log read ").ok();
        }
    })?;
    if watched {
        write!(std::io::stderr(), "\r{:30}\r", "").ok();
    }
    match args.output {
        Format::Json => output.line(serde_json::to_string_pretty(&shape(&report))?)?,
        Format::Table => {
            output.line(format_args!("store {}", root.display()))?;
            show(&report, args.all, output)?;
        }
    }
    Ok(match report.verdict() {
        Verdict::Sound | Verdict::Unfinished => ExitCode::SUCCESS,
        Verdict::Rebuild => Found::Rebuild.exit(),
        Verdict::LogDamaged => Found::LogDamaged.exit(),
    })
}

fn verdict(report: &Report) -> (&'static str, &'static str) {
    match report.verdict() {
        Verdict::Sound => ("sound", "nothing is wrong"),
        Verdict::Unfinished => (
            "unfinished",
            "the broker was not stopped cleanly; its next start completes the store, nothing is lost",
        ),
        Verdict::Rebuild => (
            "rebuild",
            "the log is whole, but queues or index are not: run rmq store repair, nothing is lost",
        ),
        Verdict::LogDamaged => (
            "logDamaged",
            "messages are damaged or missing: restore the files from a replica or a backup, or see \
             docs/operate/damaged-store.md",
        ),
    }
}

fn show(report: &Report, all: bool, output: &mut Output) -> anyhow::Result<()> {
    let log = &report.log;
    output.line(format_args!(
        "log: {} records in {} files, from {} to {}{}",
        log.records,
        report.segments.len(),
        log.min.0,
        log.end.0,
        match log.tail {
            Tail::Clean => String::new(),
            Tail::Torn { bytes } =>
                format!("; {bytes} bytes behind it are no record and will be cleared"),
        }
    ))?;
    if all {
        let mut rows = table(["segment", "records", "bytes", "first stored", "last stored"]);
        for segment in &report.segments {
            rows.add_row([
                segment.path.display().to_string(),
                segment.records.to_string(),
                segment.bytes.to_string(),
                segment.first_time.map(stamp).unwrap_or_default(),
                segment.last_time.map(stamp).unwrap_or_default(),
            ]);
        }
        output.table(&rows)?;
    }
    for path in &log.missing_files {
        output.line(format_args!("missing: {}", path.display()))?;
    }
    if 0 < log.damaged_places {
        output.line(format_args!(
            "damaged: {} places, {} bytes",
            log.damaged_places, log.damaged_bytes
        ))?;
        let mut rows = table(["file", "at", "log offset", "goes on at", "what is wrong"]);
        for damage in &log.damage {
            rows.add_row([
                damage.path.display().to_string(),
                damage.at.to_string(),
                damage.offset.0.to_string(),
                damage.resumes.0.to_string(),
                damage.fault.clone(),
            ]);
        }
        output.table(&rows)?;
    }
    show_queues(report, all, output)?;
    output.line(index_line(&report.index))?;
    for file in &report.foreign {
        output.line(format_args!(
            "does not belong: {} has {} bytes where {} are expected",
            file.path.display(),
            file.len,
            file.want
        ))?;
    }
    let stop = if report.unclean { "not clean" } else { "clean" };
    output.line(format_args!("last stop: {stop}"))?;
    output.line(verdict(report).1)?;
    Ok(())
}

fn show_queues(report: &Report, all: bool, output: &mut Output) -> anyhow::Result<()> {
    let faulty = report.queues.iter().filter(|queue| !queue.is_sound() || 0 < queue.gaps);
    let faulty: Vec<&QueueReport> = faulty.collect();
    output.line(format_args!("queues: {}, {} with faults", report.queues.len(), faulty.len()))?;
    let shown = if all { report.queues.iter().collect() } else { faulty };
    if shown.is_empty() {
        return Ok(());
    }
    let mut rows = table([
        "topic",
        "queue",
        "from",
        "to",
        "records",
        "missing",
        "wrong",
        "ahead",
        "gaps",
        "first fault",
    ]);
    let most = if all { usize::MAX } else { QUEUES_SHOWN };
    for queue in shown.iter().take(most) {
        let (from, to) = queue.range.unwrap_or_default();
        rows.add_row([
            queue.topic.to_string(),
            queue.queue.to_string(),
            from.to_string(),
            to.to_string(),
            queue.records.to_string(),
            queue.missing.to_string(),
            queue.wrong.to_string(),
            queue.ahead.to_string(),
            queue.gaps.to_string(),
            queue.first_fault.map(|offset| offset.to_string()).unwrap_or_default(),
        ]);
    }
    output.table(&rows)?;
    if most < shown.len() {
        output.line(format_args!("and {} more", shown.len() - most))?;
    }
    Ok(())
}

fn index_line(index: &IndexReport) -> String {
    let mut line = format!("index: {} entries in {} files", index.entries, index.files);
    for (count, what) in [
        (index.missing, "keys without an entry"),
        (index.wrong, "entries that name no key"),
        (index.broken_links, "broken links"),
    ] {
        if 0 < count {
            line.push_str(&format!(", {count} {what}"));
        }
    }
    if !index.unknown.is_empty() {
        line.push_str(", not looked into: sizes not known, give the broker's file with -c");
    }
    line
}

/// The report for programs.
fn shape(report: &Report) -> Value {
    let log = &report.log;
    let torn = match log.tail {
        Tail::Clean => 0,
        Tail::Torn { bytes } => bytes,
    };
    let segments = report.segments.iter().map(|segment| {
        json!({
            "file": segment.path, "base": segment.base.0, "records": segment.records,
            "bytes": segment.bytes, "firstStored": segment.first_time.map(stamp),
            "lastStored": segment.last_time.map(stamp),
        })
    });
    let damage = log.damage.iter().map(|damage| {
        json!({
            "file": damage.path, "at": damage.at, "logOffset": damage.offset.0,
            "resumes": damage.resumes.0, "fault": damage.fault,
        })
    });
    let queues = report.queues.iter().map(|queue| {
        json!({
            "topic": &*queue.topic, "queue": queue.queue, "records": queue.records,
            "from": queue.range.map(|range| range.0), "to": queue.range.map(|range| range.1),
            "missing": queue.missing, "missingAtEnd": queue.missing_at_end,
            "wrong": queue.wrong, "ahead": queue.ahead, "gaps": queue.gaps,
            "restarts": queue.restarts, "firstFault": queue.first_fault,
        })
    });
    let index = &report.index;
    let foreign = report
        .foreign
        .iter()
        .map(|file| json!({ "file": file.path, "bytes": file.len, "expected": file.want }));
    json!({
        "verdict": verdict(report).0,
        "unclean": report.unclean,
        "log": {
            "min": log.min.0, "end": log.end.0, "records": log.records, "tornBytes": torn,
            "damagedPlaces": log.damaged_places, "damagedBytes": log.damaged_bytes,
            "damage": damage.collect::<Vec<_>>(), "missingFiles": log.missing_files,
        },
        "segments": segments.collect::<Vec<_>>(),
        "queues": queues.collect::<Vec<_>>(),
        "index": {
            "files": index.files, "entries": index.entries, "missing": index.missing,
            "wrong": index.wrong, "brokenLinks": index.broken_links, "unknown": index.unknown,
        },
        "foreign": foreign.collect::<Vec<_>>(),
        "checkpoint": { "log": report.checkpoint.0, "queues": report.checkpoint.1 },
    })
}
