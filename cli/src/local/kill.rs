//! `rmq kill`.

use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::Args;
use rustix::process::Signal;

use super::Place;
use super::process::parse_signal;
use super::record::State;
use crate::output::Output;

/// Send a pod a signal.
#[derive(Debug, Args)]
pub struct Kill {
    /// Pod, such as demo-broker-a-0
    pod: String,
    /// Signal, by name or number
    #[arg(short, long, default_value = "KILL", value_parser = parse_signal)]
    signal: Signal,
    #[command(flatten)]
    place: Place,
}

pub(super) fn run(args: &Kill, output: &mut Output) -> anyhow::Result<ExitCode> {
    let mut known = Vec::new();
    for dir in args.place.locate()?.clusters()? {
        let state = State::load(&dir)?.unwrap_or_default();
        let Some(pod) = state.pod(&args.pod) else {
            known.extend(state.pods.into_iter().map(|pod| pod.name));
            continue;
        };
        let running =
            pod.running.with_context(|| format!("{} is {}", pod.name, pod.phase.name()))?;
        let sent = running
            .signal(args.signal)
            .with_context(|| format!("cannot signal process {} of {}", running.pid, pod.name))?;
        if !sent {
            bail!("process {} of {} has ended", running.pid, pod.name);
        }
        output.line(format_args!("sent to process {} of {}", running.pid, pod.name))?;
        return Ok(ExitCode::SUCCESS);
    }
    bail!("there is no pod {} (known: {})", args.pod, known.join(", "))
}
