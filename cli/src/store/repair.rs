//! `rmq store repair`.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::bail;
use clap::Args;
use rmq_host::SystemClock;
use rmq_store::offline::{Access, LogChoice, RepairError};
use serde_json::json;

use super::{Found, Place, known_topics};
use crate::output::Output;
use crate::remote::connect::Format;

#[derive(Debug, Args)]
pub(super) struct Repair {
    #[command(flatten)]
    place: Place,
    /// If the log is damaged, end it before the first damaged place: all later messages are lost
    #[arg(long)]
    cut_log: bool,
    /// How to print
    #[arg(short, long, value_enum, default_value_t = Format::Table)]
    output: Format,
}

pub(super) fn run(args: &Repair, output: &mut Output) -> anyhow::Result<ExitCode> {
    let store = args.place.open(Access::Change)?;
    let config = store.config();
    if config.index.is_none() && args.place.config.is_none() {
        bail!(
            "{} has files of sizes that are not the defaults: give the broker's file with -c",
            config.root.join("index").display()
        );
    }
    let topics = known_topics(&config.root);
    let is_known = |topic: &str| topics.as_ref().is_none_or(|topics| topics.contains(topic));
    let choice = if args.cut_log { LogChoice::CutAtDamage } else { LogChoice::Keep };
    let clock = Arc::new(SystemClock::new());
    let done = match store.repair(choice, clock, &is_known) {
        Ok(done) => done,
        Err(error @ (RepairError::Damaged { .. } | RepairError::Gap { .. })) => {
            return Err(Found::LogDamaged.error(format!(
                "{error}; nothing was changed (docs/operate/damaged-store.md says what can be done)"
            )));
        }
        Err(error) => return Err(error.into()),
    };
    match args.output {
        Format::Json => output.line(json!({
            "end": done.end.0, "records": done.records, "queues": done.queues,
            "cutAt": done.cut.map(|cut| cut.0.0), "recordsLost": done.cut.map(|cut| cut.1),
            "setAside": done.set_aside,
        }))?,
        Format::Table => {
            if let Some((at, records)) = done.cut {
                output.line(format_args!(
                    "the log was cut at {}: {records} records behind it are lost",
                    at.0
                ))?;
            }
            for path in &done.set_aside {
                output.line(format_args!("set aside: {}", path.display()))?;
            }
            output.line(format_args!(
                "made {} queues from {} records; the log ends at {}",
                done.queues, done.records, done.end.0
            ))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
