//! Child processes that do not outlive the chore.

use anyhow::{Context, bail};
use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A server under test; killed when dropped.
#[derive(Debug)]
pub(super) struct Server {
    child: Child,
    name: &'static str,
}

impl Server {
    /// Starts `command` with its output in `log`.
    pub(super) fn start(
        name: &'static str,
        mut command: Command,
        log: &Path,
    ) -> anyhow::Result<Self> {
        let file = File::create(log).with_context(|| format!("cannot make {}", log.display()))?;
        let errors = file.try_clone().context("cannot share the log")?;
        command.stdin(Stdio::null()).stdout(file).stderr(errors);
        let child = command.spawn().with_context(|| format!("cannot start the {name}"))?;
        Ok(Self { child, name })
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// An error if it has ended by itself.
    pub(super) fn check(&mut self) -> anyhow::Result<()> {
        match self.child.try_wait().context("cannot look after a process")? {
            Some(status) => bail!("the {} ended by itself: {status}", self.name),
            None => Ok(()),
        }
    }

    /// Asks it to stop and waits; returns how long it took.
    pub(super) fn stop(mut self, patience: Duration) -> anyhow::Result<Duration> {
        let began = now();
        let pid = self.child.id().to_string();
        Command::new("kill").args(["-TERM", &pid]).status().context("cannot send SIGTERM")?;
        while began.elapsed() < patience {
            if self.child.try_wait().context("cannot wait for a process")?.is_some() {
                return Ok(began.elapsed());
            }
            pause(Duration::from_millis(10));
        }
        bail!("the {} did not stop within {} s", self.name, patience.as_secs())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both fail only if it has ended already.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// CPU time (user and system, all threads) and resident memory of a process.
#[derive(Clone, Copy, Debug)]
pub(super) struct Usage {
    pub(super) cpu_seconds: f64,
    pub(super) rss_mib: f64,
}

pub(super) fn usage(pid: u32) -> anyhow::Result<Usage> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).context("a server is gone")?;
    let status = fs::read_to_string(format!("/proc/{pid}/status")).context("a server is gone")?;
    // The kernel counts in hundredths of a second on every machine this project runs on.
    const TICKS_PER_SECOND: f64 = 100.0;
    let fields = stat.rsplit_once(')').map(|(_, rest)| rest).unwrap_or_default();
    let ticks: f64 = fields
        .split_ascii_whitespace()
        .skip(11)
        .take(2)
        .filter_map(|t| t.parse::<f64>().ok())
        .sum();
    let rss = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = rss.and_then(|rss| rss.split_ascii_whitespace().next()?.parse::<f64>().ok());
    Ok(Usage { cpu_seconds: ticks / TICKS_PER_SECOND, rss_mib: kib.unwrap_or(0.0) / 1024.0 })
}

#[expect(clippy::disallowed_methods, reason = "a chore measures real time")]
pub(super) fn now() -> Instant {
    Instant::now()
}

#[expect(clippy::disallowed_methods, reason = "a chore waits for processes it cannot await")]
pub(super) fn pause(time: Duration) {
    std::thread::sleep(time);
}

#[expect(clippy::print_stdout, reason = "a chore talks to the person who runs it")]
pub(super) fn say(line: &str) {
    println!("{line}");
}
