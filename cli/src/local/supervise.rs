//! The supervisor: runs all pods of a cluster in their order, and stops them in the reverse one.

use std::io::{self, Write as _};
use std::os::fd::AsFd as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use rmq_host::runtime::{self, RuntimeConfig};
use rmq_host::signals::{self, Signals};
use rmq_host::{SystemClock, Tasks};
use rmq_model::Clock as _;
use rmq_operator_api::StorageType;
use rmq_operator_plan::{Component, Paths};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::board::Board;
use super::dirs::{ClusterDir, Lock};
use super::journal::{Journal, Printer};
use super::pod::Pod;
use super::record::{Identity, Phase, PodState, State};

/// Name servers get this long before brokers are started without them.
const NAME_SERVERS_FIRST: Duration = Duration::from_secs(2);
/// Ends in a row after which a pod that was never ready counts as failed.
const FAILED_AFTER: u32 = 3;

/// Keep the pods of a prepared cluster running.
#[derive(Debug, Args)]
pub struct Supervise {
    /// Directory of the cluster; its lock is the standard input
    dir: PathBuf,
    /// Seconds until the start counts as slow
    #[arg(long)]
    timeout: u64,
}

/// How a start went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// All pods are ready.
    Ready,
    /// A pod keeps ending before it is ready.
    Failed(String),
    /// Time is up and not all pods are ready; they still may be.
    Slow(String),
    /// It was stopped before that.
    Stopped,
}

/// What a supervisor runs with.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) dir: ClusterDir,
    pub(super) identity: Identity,
    pub(super) lock: Lock,
    /// Until the start counts as slow.
    pub(super) timeout: Duration,
    /// Whether a person watches: log lines are shown, and a failed start is tried on.
    pub(super) foreground: bool,
}

/// Runs as the supervisor that `up --detach` has started: prepared, locked, without a terminal.
///
/// The first line of the standard output tells how the start went; it is closed then.
pub(super) fn run_detached(args: &Supervise) -> anyhow::Result<ExitCode> {
    let dir = ClusterDir::at(&args.dir)?;
    let lock = Lock::inherited(&dir, io::stdin().as_fd().try_clone_to_owned()?.into())?;
    // A session of its own, so that closing the terminal does not end it.
    rustix::process::setsid().context("cannot leave the terminal")?;
    let nowhere = std::fs::File::options().read(true).write(true).open("/dev/null")?;
    rustix::stdio::dup2_stdin(&nowhere)?;
    std::env::set_current_dir(dir.path())?;
    let identity = Identity::load(&dir)?.context("the cluster has not been prepared")?;
    let timeout = Duration::from_secs(args.timeout);
    let settings = Settings { dir, identity, lock, timeout, foreground: false };
    run(settings, |outcome, _| {
        let line = match outcome {
            Outcome::Ready => "ready".to_owned(),
            Outcome::Failed(why) => format!("failed {why}"),
            Outcome::Slow(why) => format!("slow {why}"),
            Outcome::Stopped => "stopped".to_owned(),
        };
        // Whoever started us may have lost patience.
        writeln!(io::stdout(), "{line}").ok();
        rustix::stdio::dup2_stdout(&nowhere)?;
        Ok(())
    })
}

/// Runs the cluster until it is told to stop; `report` is called once, when the start is over.
///
/// # Errors
/// When the supervisor itself cannot go on; pods that fail are started again instead.
pub(super) fn run(
    mut settings: Settings,
    report: impl FnOnce(&Outcome, &State) -> anyhow::Result<()>,
) -> anyhow::Result<ExitCode> {
    settings.lock.sign().context("cannot write the lock file")?;
    let printer = settings.foreground.then(|| Printer::start(&settings.identity.plan));
    let printer = printer.transpose().context("cannot start a thread")?;
    let journal = Journal::open(&settings.dir, printer.as_ref())?;
    let board = Board::new(&settings.dir, &settings.identity.plan)?;
    let runtime = runtime::build(&RuntimeConfig { workers: 0, ..RuntimeConfig::default() })?;
    let result = runtime.block_on(supervise(&settings, &board, &journal, report));
    drop(runtime);
    drop(journal);
    if let Some(printer) = printer {
        printer.finish();
    }
    remove_ephemeral(&settings.identity).context("cannot remove ephemeral data")?;
    result
}

async fn supervise(
    settings: &Settings,
    board: &Board,
    journal: &Journal,
    report: impl FnOnce(&Outcome, &State) -> anyhow::Result<()>,
) -> anyhow::Result<ExitCode> {
    let own = Tasks::new("supervisor");
    let Signals { stop, hurry } = signals::listen(&own).context("cannot listen to signals")?;
    let servers = Tasks::new("name servers");
    let brokers = Tasks::new("brokers");
    let clock = SystemClock::new();
    journal.note("rmq", "starting");

    start(settings, Component::Namesrv, &servers, board, journal, &hurry);
    let others = board.changes();
    tokio::select! {
        () = until(others, || board.is_ready(&settings.identity.plan, Component::Namesrv)) => {}
        () = tokio::time::sleep(NAME_SERVERS_FIRST) => {}
        () = stop.cancelled() => {}
    }
    if !stop.is_cancelled() {
        start(settings, Component::Broker, &brokers, board, journal, &hurry);
    }

    let outcome = tokio::select! {
        outcome = started(settings, board) => outcome,
        () = stop.cancelled() => Outcome::Stopped,
    };
    let took = clock.monotonic();
    match &outcome {
        Outcome::Ready => journal.note("rmq", &format!("ready after {} ms", took.as_millis())),
        Outcome::Failed(why) | Outcome::Slow(why) => journal.note("rmq", why),
        Outcome::Stopped => {}
    }
    let failed = matches!(outcome, Outcome::Failed(_)) && !settings.foreground;
    let reported = report(&outcome, &board.state());
    if !failed && reported.is_ok() {
        stop.cancelled().await;
    }

    journal.note("rmq", "stopping: brokers first, then name servers");
    // Pods end by themselves within their grace period, or are killed.
    let grace = grace(settings) + Duration::from_secs(10);
    let in_time = brokers.shutdown(grace).await & servers.shutdown(grace).await;
    journal.note("rmq", if in_time { "stopped" } else { "stopped, leaving processes behind" });
    own.shutdown(Duration::from_secs(1)).await;
    reported?;
    Ok(if failed || !in_time { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn grace(settings: &Settings) -> Duration {
    let seconds = settings.identity.manifest.spec.brokers.shutdown.grace_period_seconds;
    Duration::from_secs(seconds.into())
}

fn start(
    settings: &Settings,
    component: Component,
    tasks: &Tasks,
    board: &Board,
    journal: &Journal,
    hurry: &CancellationToken,
) {
    for (index, process) in settings.identity.plan.processes.iter().enumerate() {
        if process.component == component {
            let pod = Pod {
                index,
                process: process.clone(),
                dir: settings.dir.clone(),
                board: board.clone(),
                journal: journal.clone(),
                grace: grace(settings),
                hurry: hurry.clone(),
            };
            tasks.spawn("pod", |stop| async move {
                pod.keep(stop).await;
                Ok(())
            });
        }
    }
}

/// Waits until the start is over, one way or another.
async fn started(settings: &Settings, board: &Board) -> Outcome {
    let over = || {
        let state = board.state();
        if state.pods.iter().all(|pod| pod.phase == Phase::Ready) {
            return Some(Outcome::Ready);
        }
        let failed = |pod: &&PodState| {
            pod.phase == Phase::Restarting && !pod.was_ready && FAILED_AFTER <= pod.restarts + 1
        };
        let pod = state.pods.iter().find(failed).filter(|_| !settings.foreground)?;
        let why = pod.last_exit.as_deref().unwrap_or("it ended");
        Some(Outcome::Failed(format!("{} does not start: {why}", pod.name)))
    };
    tokio::select! {
        () = until(board.changes(), || over().is_some()) => over().unwrap_or(Outcome::Ready),
        () = tokio::time::sleep(settings.timeout) => {
            let state = board.state();
            let late: Vec<String> = state
                .pods
                .iter()
                .filter(|pod| pod.phase != Phase::Ready)
                .map(|pod| format!("{} is {}", pod.name, super::show::phase(pod, true, true)))
                .collect();
            let seconds = settings.timeout.as_secs();
            Outcome::Slow(format!("not ready after {seconds} s: {}", late.join(", ")))
        }
    }
}

/// Waits until `is_so` holds, looking again at every change.
async fn until(mut changes: watch::Receiver<()>, mut is_so: impl FnMut() -> bool) {
    while !is_so() {
        if changes.changed().await.is_err() {
            return std::future::pending().await;
        }
    }
}

/// Removes what must not outlive its pod.
///
/// # Errors
/// Those of the file system.
pub(super) fn remove_ephemeral(identity: &Identity) -> io::Result<()> {
    let spec = &identity.manifest.spec;
    for process in &identity.plan.processes {
        let (path, kind) = match &process.paths {
            Paths::Namesrv { kv_config } => (kv_config, spec.nameserver.storage.kind),
            Paths::Broker(store) => (&store.root, spec.brokers.storage.kind),
        };
        if kind == StorageType::PersistentVolumeClaim {
            continue;
        }
        let removed = match process.component {
            Component::Namesrv => std::fs::remove_file(path),
            Component::Broker => std::fs::remove_dir_all(path),
        };
        match removed {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
    }
    Ok(())
}
