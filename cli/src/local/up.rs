//! `rmq up`: from a manifest to a running cluster.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Args;
use rmq_host::SystemClock;
use rmq_model::Clock as _;
use rmq_operator_api::validate::validate_update;
use rmq_operator_api::{Cluster, manifest};
use rmq_operator_plan::diff::diff;
use rmq_operator_plan::{Plan, resolve};

use super::Place;
use super::address::{Addressing, Block, LocalEnvironment, many_loopbacks, sockets};
use super::dirs::{ClusterDir, DataDir, Lock};
use super::ports::{Conflict, conflict};
use super::record::{Identity, State, end_left_overs};
use super::show;
use super::supervise::{self, Outcome};
use crate::output::Output;

/// Run the cluster that a manifest describes.
#[derive(Debug, Args)]
pub struct Up {
    /// Manifest of the cluster, YAML or JSON; `-` is the standard input
    #[arg(short, long, value_name = "FILE")]
    file: PathBuf,
    /// Which cluster, if the manifest describes several
    name: Option<String>,
    /// Return as soon as the cluster is ready and leave it running
    #[arg(short, long)]
    detach: bool,
    /// Show what would run and what would change, and start nothing
    #[arg(long)]
    dry_run: bool,
    /// How pods are told apart; by default an address each where the system allows it
    #[arg(long)]
    addressing: Option<Addressing>,
    /// Seconds until the start counts as slow
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    timeout: u64,
    #[command(flatten)]
    place: Place,
}

pub(super) fn run(args: &Up, output: &mut Output) -> anyhow::Result<ExitCode> {
    let clock = SystemClock::new();
    let cluster = choose(read(&args.file)?, args.name.as_deref(), &args.file)?;
    refuse_what_is_missing(&cluster)?;
    let data = args.place.locate()?;
    let dir = data.cluster(cluster.name())?;
    if args.dry_run {
        let old = earlier(&dir, &cluster)?;
        let Prepared { identity, note, .. } = prepare(args, &data, &dir, old.as_ref(), &cluster)?;
        tell_changes(old.as_ref(), &identity.plan, output)?;
        if let Some(note) = note {
            output.line(format_args!("warning: {note}"))?;
        }
        output.bytes(identity.plan.to_string().as_bytes())?;
        return Ok(ExitCode::SUCCESS);
    }

    dir.create()?;
    let Some(lock) = dir.lock()? else {
        let holder =
            dir.lock_holder().map(|pid| format!(" (supervisor {pid})")).unwrap_or_default();
        bail!(
            "cluster {0} is running already{holder}: see `rmq status {0}`, stop it with `rmq down {0}`",
            dir.name()
        );
    };
    let old = earlier(&dir, &cluster)?;
    end_left_overs(&dir)?;
    let Prepared { identity, taken, note } = prepare(args, &data, &dir, old.as_ref(), &cluster)?;
    if let Some(taken) = taken {
        bail!("cluster {} cannot start: {taken}", dir.name());
    }
    tell_changes(old.as_ref(), &identity.plan, output)?;
    for warning in identity.plan.warnings.iter().chain(&note) {
        output.line(format_args!("warning: {warning}"))?;
    }
    supervise::remove_ephemeral(&identity).context("cannot remove ephemeral data")?;
    write_settings(&dir, &identity.plan)?;
    identity.save(&dir)?;
    if args.detach {
        return detach(args, &dir, lock, &identity, &clock, output);
    }
    let timeout = Duration::from_secs(args.timeout);
    let plan = identity.plan.clone();
    let settings = supervise::Settings { dir, identity, lock, timeout, foreground: true };
    supervise::run(settings, |outcome, state| match outcome {
        Outcome::Ready => {
            tell_ready(&plan, state, &clock, output)?;
            output.line("press Ctrl-C to stop")?;
            Ok(())
        }
        Outcome::Failed(_) | Outcome::Slow(_) => {
            output.table(&show::started(&plan, state))?;
            Ok(())
        }
        Outcome::Stopped => Ok(()),
    })
}

/// The text of a manifest, at most a little more than may be read.
pub(super) fn read_text(path: &Path) -> anyhow::Result<String> {
    let mut text = String::new();
    let limit = u64::try_from(manifest::MANIFEST_BYTES_MAX + 1)?;
    let context = || format!("cannot read {}", path.display());
    if path == Path::new("-") {
        io::stdin().take(limit).read_to_string(&mut text).context("cannot read the manifest")?;
    } else {
        let file = File::open(path).with_context(context)?;
        file.take(limit).read_to_string(&mut text).with_context(context)?;
    }
    Ok(text)
}

fn read(path: &Path) -> anyhow::Result<Vec<Cluster>> {
    manifest::read(&read_text(path)?).map_err(|errors| {
        let errors: Vec<String> =
            errors.iter().map(|error| format!("{}: {error}", path.display())).collect();
        anyhow::anyhow!(errors.join("\n"))
    })
}

fn choose(clusters: Vec<Cluster>, name: Option<&str>, path: &Path) -> anyhow::Result<Cluster> {
    let names: Vec<String> = clusters.iter().map(|one| one.name().to_owned()).collect();
    let all = names.join(", ");
    let mut wanted = clusters.into_iter().filter(|one| name.is_none_or(|n| n == one.name()));
    match (wanted.next(), wanted.next()) {
        (Some(only), None) => Ok(only),
        (Some(_), Some(_)) => {
            bail!("{} describes several clusters, name one of them: {all}", path.display())
        }
        (None, _) if names.is_empty() => bail!("{} describes no cluster", path.display()),
        (None, _) => bail!("{} does not describe that cluster, only {all}", path.display()),
    }
}

/// What the manifest may say and this program cannot do.
fn refuse_what_is_missing(cluster: &Cluster) -> anyhow::Result<()> {
    let name = cluster.name();
    if cluster.spec.paused {
        bail!("{name}: spec.paused is true, so nothing is started or changed");
    }
    if cluster.spec.hibernated {
        bail!("{name}: spec.hibernated is true, so nothing is started; its data stays");
    }
    Ok(())
}

/// What the cluster was so far, unless `new` may not replace that.
fn earlier(dir: &ClusterDir, new: &Cluster) -> anyhow::Result<Option<Identity>> {
    let old = Identity::load(dir)?;
    old.as_ref().map_or(Ok(()), |old| refuse_immutable(old, new))?;
    Ok(old)
}

fn refuse_immutable(old: &Identity, new: &Cluster) -> anyhow::Result<()> {
    let before = old.manifest.namespace().unwrap_or("default");
    let after = new.namespace().unwrap_or("default");
    let name = new.name();
    if before != after {
        bail!(
            "{name}: its data belongs to the cluster of that name in namespace {before}, not \
             {after}: use another --data-dir or another name"
        );
    }
    let violations = validate_update(&old.manifest, new);
    if !violations.is_empty() {
        let rules: Vec<String> = violations.iter().map(ToString::to_string).collect();
        bail!("{name}: {}; `rmq down --volumes {name}` starts over", rules.join("; "));
    }
    Ok(())
}

/// A cluster that may be started, or could be but for one thing.
struct Prepared {
    identity: Identity,
    /// The first socket that somebody else has.
    taken: Option<Conflict>,
    /// Why pods have ports of their own although nobody asked for them.
    note: Option<String>,
}

/// Resolves the manifest with the addresses that the cluster has, or with the first free ones.
fn prepare(
    args: &Up,
    data: &DataDir,
    dir: &ClusterDir,
    old: Option<&Identity>,
    cluster: &Cluster,
) -> anyhow::Result<Prepared> {
    let identity = |block: Block| {
        let plan = resolve(cluster, &LocalEnvironment { block, dir });
        Identity { format: Identity::FORMAT, block, manifest: cluster.clone(), plan }
    };
    let wanted = |block: &Block| args.addressing.is_none_or(|kind| kind == block.addressing());
    if let Some(block) = old.map(|old| old.block).filter(wanted) {
        let identity = identity(block);
        let taken = conflict(all_sockets(&identity.plan))?;
        return Ok(Prepared { identity, taken, note: None });
    }
    let others = other_blocks(data, dir)?;
    let mut first_taken: Option<Prepared> = None;
    for addressing in addressings(args.addressing) {
        for block in Block::candidates(dir.name(), addressing) {
            if others.iter().any(|other| other.overlaps(block)) {
                continue;
            }
            let identity = identity(block);
            let taken = conflict(all_sockets(&identity.plan))?;
            if taken.is_none() {
                let why = first_taken.and_then(|other| other.taken);
                let note = why
                    .filter(|_| addressing != Addressing::Addresses)
                    .map(|why| format!("{why}: pods get ports of their own at 127.0.0.1 instead"));
                return Ok(Prepared { identity, taken: None, note });
            }
            first_taken.get_or_insert(Prepared { identity, taken, note: None });
        }
    }
    match first_taken {
        Some(prepared) => Ok(prepared),
        None => bail!("other clusters in {} use all addresses", data.path().display()),
    }
}

/// What to try. A program that listens at all addresses, as a broker does that was started by
/// hand, leaves no pod its standard ports.
fn addressings(wanted: Option<Addressing>) -> Vec<Addressing> {
    match wanted {
        Some(only) => vec![only],
        None if many_loopbacks() => vec![Addressing::Addresses, Addressing::Ports],
        None => vec![Addressing::Ports],
    }
}

/// What other clusters have, running or not: their addresses stand in messages they keep.
fn other_blocks(data: &DataDir, dir: &ClusterDir) -> anyhow::Result<Vec<Block>> {
    let mut blocks = Vec::new();
    for other in data.clusters()? {
        if other.name() != dir.name()
            && let Some(identity) = Identity::load(&other)?
        {
            blocks.push(identity.block);
        }
    }
    Ok(blocks)
}

fn all_sockets(plan: &Plan) -> Vec<SocketAddr> {
    plan.processes.iter().flat_map(sockets).collect()
}

fn tell_changes(old: Option<&Identity>, plan: &Plan, output: &mut Output) -> io::Result<()> {
    let Some(old) = old else { return Ok(()) };
    let changes = diff(&old.plan, plan);
    if !changes.is_empty() {
        output.line(format_args!("changes to cluster {}:", plan.name))?;
    }
    for change in changes {
        output.line(format_args!("  {change}"))?;
    }
    Ok(())
}

/// Each pod's directory and configuration files. They are written at every start, so a crash
/// between loses nothing.
fn write_settings(dir: &ClusterDir, plan: &Plan) -> anyhow::Result<()> {
    for process in &plan.processes {
        let config = dir.config(&process.name);
        let context = || format!("cannot write to {}", config.display());
        std::fs::create_dir_all(&config).with_context(context)?;
        for (name, text) in &process.files {
            let mut file = File::create(config.join(name)).with_context(context)?;
            file.write_all(text.as_bytes()).with_context(context)?;
        }
    }
    Ok(())
}

fn tell_ready(
    plan: &Plan,
    state: &State,
    clock: &SystemClock,
    output: &mut Output,
) -> io::Result<()> {
    output.table(&show::started(plan, state))?;
    let took = clock.monotonic().as_millis();
    output.line(format_args!("cluster {} is ready after {took} ms", plan.name))?;
    output.line(format_args!("NAMESRV_ADDR={}", quoted(&plan.name_servers)))?;
    output.flush()
}

/// As a shell takes it: several addresses are separated by `;`.
fn quoted(text: &str) -> String {
    if text.contains(';') { format!("'{text}'") } else { text.to_owned() }
}

/// Leaves the cluster to a supervisor in the background and waits until that says how the start
/// went.
fn detach(
    args: &Up,
    dir: &ClusterDir,
    lock: Lock,
    identity: &Identity,
    clock: &SystemClock,
    output: &mut Output,
) -> anyhow::Result<ExitCode> {
    let log = File::options().create(true).append(true).open(dir.supervisor_log())?;
    let mut supervisor = std::process::Command::new("/proc/self/exe")
        .arg0("rmq")
        .arg("supervise")
        .arg(dir.path())
        .args(["--timeout", &args.timeout.to_string()])
        .stdin(lock.into_file()) // from here on the supervisor holds it
        .stdout(Stdio::piped())
        .stderr(log)
        .spawn()
        .context("cannot start the supervisor")?;
    let mut said = String::new();
    if let Some(stdout) = supervisor.stdout.take() {
        BufReader::new(stdout.take(64 * 1024)).read_line(&mut said)?;
    }
    let state = State::load(dir)?.unwrap_or_default();
    let (what, why) = said.trim_end().split_once(' ').unwrap_or((said.trim_end(), ""));
    let name = dir.name();
    match what {
        "ready" => tell_ready(&identity.plan, &state, clock, output)?,
        "slow" => {
            output.table(&show::started(&identity.plan, &state))?;
            bail!("cluster {name} {why}; it goes on: see `rmq status {name}`");
        }
        "failed" => {
            supervisor.wait()?;
            bail!("cluster {name}: {why}; it was stopped, see `rmq logs {name}`");
        }
        "stopped" => bail!("cluster {name} was stopped before it was ready"),
        _ => {
            let status = supervisor.wait()?;
            let log = dir.supervisor_log();
            bail!("the supervisor of cluster {name} ended ({status}): see {}", log.display());
        }
    }
    Ok(ExitCode::SUCCESS)
}
