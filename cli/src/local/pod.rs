//! Keeping one pod running.

use std::convert::Infallible;
use std::hash::BuildHasher as _;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt as _;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use parking_lot::Mutex;
use rmq_host::SystemClock;
use rmq_model::Clock as _;
use rmq_operator_plan::{Component, Process};
use rustix::process::Signal;
use tokio::io::AsyncReadExt as _;
use tokio::net::unix::pipe::Receiver;
use tokio::process::{Child, ChildStdin};
use tokio_util::sync::CancellationToken;

use super::board::Board;
use super::dirs::ClusterDir;
use super::journal::Journal;
use super::lines::{Lines, printable};
use super::orphan;
use super::probe::Probe;
use super::process::exit_reason;
use super::record::{Phase, Running};
use super::restart::Backoff;
use super::rotate::RotatingFile;
use super::show::shorten;

/// Between two looks at a pod that is ready.
const READY_PERIOD: Duration = Duration::from_secs(2);
/// Between the first looks at a pod that starts; grows up to [`STARTING_PERIOD_MAX`].
const STARTING_PERIOD: Duration = Duration::from_millis(4);
/// Longest wait between looks at a pod that starts.
const STARTING_PERIOD_MAX: Duration = Duration::from_millis(250);
/// What a pod inherits of the environment. All else must come from the manifest.
const ENVIRONMENT: [&str; 7] =
    ["PATH", "HOME", "TZ", "LANG", "LC_ALL", "RUST_BACKTRACE", "MALLOC_CONF"];

/// One pod and all it takes to run it.
#[derive(Debug)]
pub(super) struct Pod {
    pub(super) index: usize,
    pub(super) process: Process,
    pub(super) dir: ClusterDir,
    pub(super) board: Board,
    pub(super) journal: Journal,
    /// How long it may take to stop.
    pub(super) grace: Duration,
    /// Cancelled when it may not take any longer.
    pub(super) hurry: CancellationToken,
}

/// A process that runs.
struct Started {
    child: Child,
    /// Closed by the kernel when the supervisor dies: the pod's sign to stop.
    _alive: Option<ChildStdin>,
    output: Receiver,
    running: Running,
}

impl Pod {
    /// Starts the pod, and starts it again whenever it ends, until `stop`; then ends it.
    pub(super) async fn keep(self, stop: CancellationToken) {
        let clock = SystemClock::new();
        let mut backoff = Backoff::default();
        while !stop.is_cancelled() {
            let begun = clock.monotonic();
            let ended = match self.start() {
                Ok(started) => self.accompany(started, &stop).await,
                Err(error) => Some(format!("cannot start: {error}")),
            };
            let Some(reason) = ended else { break };
            let chance = std::hash::RandomState::new().hash_one(backoff.in_a_row());
            let wait = backoff.next(clock.monotonic().saturating_sub(begun), chance);
            let text = format!("in {:.1} s", wait.as_secs_f32());
            let again = backoff.in_a_row();
            self.journal.note(
                &self.process.name,
                &format!("{reason}; starting it again {text} ({again} in a row)"),
            );
            self.board.update(self.index, |pod| {
                pod.phase = Phase::Restarting;
                pod.detail = Some(text);
                pod.running = None;
                pod.last_exit = Some(reason);
            });
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(wait) => {
                    self.board.update(self.index, |pod| pod.restarts += 1);
                }
            }
        }
        self.board.update(self.index, |pod| {
            pod.phase = Phase::Stopped;
            pod.detail = None;
            pod.running = None;
        });
    }

    fn start(&self) -> io::Result<Started> {
        let name = &self.process.name;
        let (reader, writer) = io::pipe()?;
        let kind = match self.process.component {
            Component::Namesrv => "nameserver",
            Component::Broker => "broker",
        };
        // Not by path: an upgrade may have replaced the file since.
        let mut command = std::process::Command::new("/proc/self/exe");
        command
            .arg0("rmq")
            .arg(kind)
            .env_clear()
            .envs(ENVIRONMENT.iter().filter_map(|key| Some((key, std::env::var_os(key)?))))
            .envs(&self.process.environment)
            .env(orphan::SUPERVISED, self.dir.log(name))
            .current_dir(self.dir.pod(name))
            .stdin(Stdio::piped())
            .stdout(writer.try_clone()?)
            .stderr(writer)
            // Out of reach of the terminal's Ctrl-C: pods stop in their order.
            .process_group(0);
        let mut command = tokio::process::Command::from(command);
        let mut child = command.kill_on_drop(true).spawn()?;
        drop(command); // and with it our copy of the pipe's writing end
        let output = Receiver::from_owned_fd(OwnedFd::from(reader))?;
        let running = Running::of(child.id().unwrap_or(0));
        let alive = child.stdin.take();
        self.board.update(self.index, |pod| {
            pod.phase = Phase::Starting;
            pod.detail = None;
            pod.running = Some(running);
        });
        Ok(Started { child, _alive: alive, output, running })
    }

    /// Stays with a running pod; why it ended, or `None` if it was asked to.
    async fn accompany(&self, started: Started, stop: &CancellationToken) -> Option<String> {
        let Started { mut child, _alive, output, running } = started;
        let last_line = Mutex::new(String::new());
        let life = async {
            let copy = self.copy(output, &last_line);
            tokio::pin!(copy);
            tokio::select! {
                status = child.wait() => {
                    // What it wrote before it ended; a stranger with the pipe is not waited for.
                    tokio::time::timeout(Duration::from_secs(1), &mut copy).await.ok();
                    status
                }
                () = &mut copy => child.wait().await,
            }
        };
        tokio::pin!(life);
        let describe = |status: io::Result<ExitStatus>| match status {
            Ok(status) => exit_reason(status, &last_line.lock()),
            Err(error) => format!("lost: {error}"),
        };
        tokio::select! {
            status = &mut life => return Some(describe(status)),
            never = self.watch() => match never {},
            () = stop.cancelled() => {}
        }
        self.board.update(self.index, |pod| {
            pod.phase = Phase::Stopping;
            pod.detail = None;
        });
        self.signal(running, Signal::TERM);
        self.signal(running, Signal::CONT); // a stopped process would not see the other one
        let status = tokio::select! {
            status = &mut life => status,
            why = self.patience_ends() => {
                self.journal.note(&self.process.name, why);
                self.signal(running, Signal::KILL);
                life.await
            }
        };
        let reason = describe(status);
        self.board.update(self.index, |pod| pod.last_exit = Some(reason));
        None
    }

    async fn patience_ends(&self) -> &'static str {
        tokio::select! {
            () = self.hurry.cancelled() => "killed: asked to stop at once",
            () = tokio::time::sleep(self.grace) => "killed: it did not stop within its grace period",
        }
    }

    fn signal(&self, running: Running, signal: Signal) {
        if let Err(error) = running.signal(signal) {
            self.journal.note(&self.process.name, &format!("cannot be signalled: {error}"));
        }
    }

    /// Asks whether the pod is ready, for as long as it runs.
    async fn watch(&self) -> Infallible {
        let Some(probe) = Probe::of(&self.process) else { return std::future::pending().await };
        let mut period = STARTING_PERIOD;
        let mut was_ready = false;
        loop {
            let answer = probe.ask().await;
            let phase = match (&answer, was_ready) {
                (Ok(()), _) => Phase::Ready,
                (Err(_), true) => Phase::Unready,
                (Err(_), false) => Phase::Starting,
            };
            was_ready |= answer.is_ok();
            let detail = answer.err();
            self.board.update(self.index, |pod| {
                pod.phase = phase;
                pod.detail = detail;
                pod.was_ready |= was_ready;
            });
            if was_ready {
                period = READY_PERIOD;
            }
            tokio::time::sleep(period).await;
            period = (period * 3 / 2).min(STARTING_PERIOD_MAX.max(period));
        }
    }

    /// Takes what the pod writes, to its file and to the terminal, until it has closed its output.
    async fn copy(&self, mut output: Receiver, last_line: &Mutex<String>) {
        let name = &self.process.name;
        let mut file = match RotatingFile::open(&self.dir.log(name)) {
            Ok(file) => Some(file),
            Err(error) => {
                self.journal.note(name, &format!("its log cannot be written: {error}"));
                None
            }
        };
        let mut take = |line: &[u8]| {
            if let Some(log) = &mut file
                && let Err(error) = log.line(line)
            {
                self.journal.note(name, &format!("its log cannot be written: {error}"));
                file = None;
            }
            self.journal.show(name, line);
            if !line.is_empty() {
                *last_line.lock() = shorten(&printable(line), 300);
            }
        };
        let mut lines = Lines::default();
        let mut buffer = vec![0; 16 * 1024];
        // A failed read ends the output as well: nothing can be done about it.
        while let Ok(count @ 1..) = output.read(&mut buffer).await {
            lines.push(buffer.get(..count).unwrap_or_default(), &mut take);
        }
        lines.finish(take);
    }
}
