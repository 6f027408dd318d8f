//! `rmq down`.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Args;
use rustix::process::Signal;

use super::Place;
use super::dirs::ClusterDir;
use super::process::wait_until;
use super::record::{Identity, State, end_left_overs};
use crate::output::Output;

/// What stopping takes besides the brokers' grace period.
const EXTRA: Duration = Duration::from_secs(30);
/// Longest time between taking the lock and naming the supervisor.
const STARTING: Duration = Duration::from_secs(3);

/// Stop a cluster and keep its data.
#[derive(Debug, Args)]
pub struct Down {
    /// Cluster; may be left out if there is only one
    name: Option<String>,
    /// Remove all its data as well
    #[arg(long)]
    volumes: bool,
    /// Kill the pods instead of waiting until they have stopped
    #[arg(long)]
    now: bool,
    #[command(flatten)]
    place: Place,
}

pub(super) fn run(args: &Down, output: &mut Output) -> anyhow::Result<ExitCode> {
    let dir = args.place.locate()?.choose(args.name.as_deref())?;
    let name = dir.name().to_owned();
    if dir.is_locked()? {
        stop(&dir, args.now)?;
        output.line(format_args!("cluster {name} is stopped"))?;
    } else {
        end_left_overs(&dir)?;
        output.line(format_args!("cluster {name} is not running"))?;
    }
    if args.volumes {
        let Some(_lock) = dir.lock()? else {
            bail!("cluster {name} was started again meanwhile, its data stays");
        };
        let context = || format!("cannot remove {}", dir.path().display());
        std::fs::remove_dir_all(dir.path()).with_context(context)?;
        output.line(format_args!("its data in {} is removed", dir.path().display()))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn stop(dir: &ClusterDir, now: bool) -> anyhow::Result<()> {
    let name = dir.name();
    let grace = Identity::load(dir)?
        .map_or(120, |identity| identity.manifest.spec.brokers.shutdown.grace_period_seconds);
    // Who is just starting the cluster has not said so yet; who is just stopping it is gone.
    let mut told = Ok(false);
    wait_until(STARTING, || {
        told = tell_supervisor(dir, now);
        !matches!((&told, dir.is_locked()), (Ok(false), Ok(true)))
    });
    if !told? && dir.is_locked()? {
        bail!("cluster {name} is just starting: try again");
    }
    // Name servers stop after the brokers, each with the grace period.
    let limit = 2 * Duration::from_secs(grace.into()) + EXTRA;
    if !wait_until(limit, || dir.is_locked().is_ok_and(|locked| !locked)) {
        bail!("cluster {name} has not stopped within {} s", limit.as_secs());
    }
    Ok(())
}

/// Whether there was a supervisor to tell.
fn tell_supervisor(dir: &ClusterDir, now: bool) -> anyhow::Result<bool> {
    let Some(state) = State::load(dir)? else { return Ok(false) };
    let context = || format!("cannot stop supervisor {}", state.supervisor.pid);
    let reached = state.supervisor.signal(Signal::TERM).with_context(context)?;
    if reached && now {
        // The second signal means to hurry; another one than the first, so that they cannot merge.
        state.supervisor.signal(Signal::INT).with_context(context)?;
    }
    Ok(reached)
}
