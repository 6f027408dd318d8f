//! `rmq store dump`.

use std::io;
use std::ops::ControlFlow;
use std::process::ExitCode;

use clap::Args;
use rmq_host::SystemClock;
use rmq_model::Clock as _;
use rmq_record::{OffsetId, RecordView, properties};
use rmq_store::offline::{Access, Dump as Shown, DumpFilter, LogDamage};
use serde_json::{Map, Value, json};

use super::{Found, Place};
use crate::output::Output;
use crate::remote::connect::Format;
use crate::remote::shape::BodyShape;
use crate::remote::time::{When, stamp, when};

#[derive(Debug, Args)]
pub(super) struct Dump {
    #[command(flatten)]
    place: Place,
    /// Log offset to begin at; inside a record it counts as damage up to the next
    #[arg(long, value_name = "OFFSET", default_value_t = 0)]
    from: u64,
    /// Log offset to end before
    #[arg(long, value_name = "OFFSET")]
    to: Option<u64>,
    /// Only this topic
    #[arg(short, long)]
    topic: Option<String>,
    /// Only this queue
    #[arg(short, long)]
    queue: Option<u32>,
    /// Only messages with this key or unique id
    #[arg(short, long)]
    key: Option<String>,
    /// Stored at this time or later (10m, 2026-03-01T12:00:00Z, …)
    #[arg(long, value_name = "TIME", value_parser = when)]
    since: Option<When>,
    /// Stored at this time or earlier
    #[arg(long, value_name = "TIME", value_parser = when)]
    until: Option<When>,
    /// At most this many
    #[arg(short = 'n', long, value_name = "N", default_value_t = 1000)]
    max: u64,
    /// Print bodies and all properties too
    #[arg(long)]
    body: bool,
    /// How to print; JSON is one object per line
    #[arg(short, long, value_enum, default_value_t = Format::Table)]
    output: Format,
}

pub(super) fn run(args: &Dump, output: &mut Output) -> anyhow::Result<ExitCode> {
    let store = args.place.open(Access::Look)?;
    let now = SystemClock::new().now();
    let filter = DumpFilter {
        from: args.from,
        to: args.to,
        topic: args.topic.clone(),
        queue: args.queue,
        key: args.key.clone(),
        since: args.since.map(|time| time.millis(now)),
        until: args.until.map(|time| time.millis(now)),
    };
    let (mut shown, mut damaged) = (0, false);
    if 0 < args.max {
        store.dump(&filter, &mut |what| {
            match what {
                Shown::Record(record) => {
                    show(args, record, output)?;
                    shown += 1;
                }
                Shown::Damage(damage) => {
                    damaged = true;
                    show_damage(args.output, damage, output)?;
                }
            }
            Ok(if shown < args.max { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
        })?;
    }
    output.flush()?;
    Ok(if damaged { Found::LogDamaged.exit() } else { ExitCode::SUCCESS })
}

fn show(args: &Dump, record: &RecordView<'_>, output: &mut Output) -> io::Result<()> {
    let known = properties::Known::of(record.properties);
    let id = OffsetId { host: record.store_host, offset: record.log_offset }.to_string();
    let keys: Vec<&str> = known.key_list().collect();
    let body = || BodyShape::of(record.body, record.sys_flag & rmq_model::sysflag::COMPRESSED != 0);
    match args.output {
        Format::Json => {
            let mut line = json!({
                "logOffset": record.log_offset.0, "bytes": record.bytes.len(),
                "topic": record.topic, "queue": record.queue_id, "offset": record.queue_offset,
                "stored": stamp(record.store_timestamp), "born": stamp(record.born_timestamp),
                "offsetId": id, "id": known.uniq_key, "tag": known.tags, "keys": keys,
                "sysFlag": record.sys_flag, "reconsumeTimes": record.reconsume_times,
            });
            if args.body {
                let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                let all: Map<String, Value> = properties::iter(record.properties)
                    .map(|(name, value)| (text(name), Value::String(text(value))))
                    .collect();
                let (name, value) = match body() {
                    BodyShape::Body(text) => ("body", text),
                    BodyShape::BodyHex(hex) => ("bodyHex", hex),
                };
                line["properties"] = Value::Object(all);
                line[name] = Value::String(value);
            }
            output.line(line)
        }
        Format::Table => {
            output.line(format_args!(
                "{} {} bytes  {}[{}]@{}  stored {}  id {}  tag {}  keys {}",
                record.log_offset.0,
                record.bytes.len(),
                record.topic.escape_debug(),
                record.queue_id,
                record.queue_offset,
                stamp(record.store_timestamp),
                known.uniq_key.unwrap_or(&id).escape_debug(),
                known.tags.unwrap_or("-").escape_debug(),
                keys.join(" ").escape_debug(),
            ))?;
            if args.body {
                output.line(format_args!("    {}", body().printable()))?;
            }
            Ok(())
        }
    }
}

fn show_damage(format: Format, damage: &LogDamage, output: &mut Output) -> io::Result<()> {
    match format {
        Format::Json => output.line(json!({ "damage": {
            "logOffset": damage.offset.0, "file": damage.path, "at": damage.at,
            "resumes": damage.resumes.0, "fault": damage.fault,
        }})),
        Format::Table => output.line(format_args!(
            "{} damaged up to {} ({} at byte {}): {}",
            damage.offset.0,
            damage.resumes.0,
            damage.path.display(),
            damage.at,
            damage.fault
        )),
    }
}
