//! What a cluster's directory remembers.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use rmq_host::durable;
use rmq_model::Millis;
use rmq_operator_api::Cluster;
use rmq_operator_plan::Plan;
use rustix::process::Signal;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::address::Block;
use super::dirs::ClusterDir;
use super::process::wait_until;

/// Longest of these files that is read, in bytes.
const FILE_BYTES_MAX: u64 = 32 * 1024 * 1024;
/// How long pods of a supervisor that died may take to end.
const LEFT_OVER_GRACE: Duration = Duration::from_secs(35);

/// `cluster.json`: who the cluster is. Written by `up` before anything is started.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Identity {
    /// Version of this file's form.
    pub format: u32,
    /// Addresses or ports that are the cluster's own.
    pub block: Block,
    /// The manifest in force.
    pub manifest: Cluster,
    /// What it resolved to.
    pub plan: Plan,
}

impl Identity {
    /// The form this program writes.
    pub const FORMAT: u32 = 1;

    /// Reads it; `None` if the cluster was never started.
    ///
    /// # Errors
    /// When it cannot be read or was written by a later program.
    pub fn load(dir: &ClusterDir) -> anyhow::Result<Option<Self>> {
        #[derive(Deserialize)]
        struct Head {
            format: u32,
        }
        let path = dir.identity();
        let context = || format!("cannot read {}", path.display());
        let Some(bytes) = read(&path).with_context(context)? else { return Ok(None) };
        let head: Head = serde_json::from_slice(&bytes).with_context(context)?;
        if head.format != Self::FORMAT {
            anyhow::bail!(
                "{} has form {}, this program knows form {}",
                path.display(),
                head.format,
                Self::FORMAT
            );
        }
        serde_json::from_slice(&bytes).map(Some).with_context(context)
    }

    /// Writes it, so that it survives a power cut.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn save(&self, dir: &ClusterDir) -> anyhow::Result<()> {
        let path = dir.identity();
        let bytes = serde_json::to_vec_pretty(self)?;
        durable::replace(&path, &bytes).with_context(|| format!("cannot write {}", path.display()))
    }
}

/// `state.json`: what the supervisor sees. It means nothing once nobody holds the lock.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct State {
    /// The supervisor.
    pub supervisor: Running,
    /// The pods, in the plan's order.
    pub pods: Vec<PodState>,
}

/// A process that may be gone by now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Running {
    /// Process id.
    pub pid: u32,
    /// When it started, in the kernel's ticks: tells it from a later process with the same id.
    pub start_ticks: u64,
    /// When it started.
    pub since: Millis,
}

/// One pod as the supervisor sees it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PodState {
    /// Its name.
    pub name: String,
    /// Its process, while there is one.
    pub running: Option<Running>,
    /// Where it stands.
    pub phase: Phase,
    /// More about the phase, for people.
    pub detail: Option<String>,
    /// Starts after the first one.
    pub restarts: u32,
    /// Whether it has been ready at least once.
    #[serde(default)]
    pub was_ready: bool,
    /// Why it ended the last time.
    pub last_exit: Option<String>,
}

/// Where a pod stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Its turn has not come.
    #[default]
    Waiting,
    /// It runs but has not been ready since.
    Starting,
    /// It serves.
    Ready,
    /// It runs, was ready, and is not now.
    Unready,
    /// It ended by itself and will be started again.
    Restarting,
    /// It was asked to stop.
    Stopping,
    /// It has ended.
    Stopped,
}

impl Phase {
    /// As people read it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Unready => "unready",
            Self::Restarting => "restarting",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
        }
    }
}

impl State {
    /// Reads it; `None` if the cluster was never started.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn load(dir: &ClusterDir) -> anyhow::Result<Option<Self>> {
        load(&dir.state())
    }

    /// Replaces it. Readers see the old one or the new one; a power cut may lose it, and nobody
    /// would miss it then.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn save(&self, dir: &ClusterDir) -> io::Result<()> {
        let path = dir.state();
        let temporary = path.with_extension("json.tmp");
        File::create(&temporary)?.write_all(&serde_json::to_vec_pretty(self)?)?;
        Ok(rustix::fs::rename(&temporary, &path)?)
    }

    /// Processes of pods that still run.
    pub fn alive(&self) -> impl Iterator<Item = Running> {
        self.pods.iter().filter_map(|pod| pod.running).filter(|running| running.is_alive())
    }

    /// The pod called `name`.
    pub fn pod(&self, name: &str) -> Option<&PodState> {
        self.pods.iter().find(|pod| pod.name == name)
    }
}

/// Waits for pods whose supervisor was killed: they stop by themselves, or are made to.
///
/// # Errors
/// When one does not.
pub(super) fn end_left_overs(dir: &ClusterDir) -> anyhow::Result<()> {
    let Some(state) = State::load(dir)? else { return Ok(()) };
    let over = || state.alive().next().is_none();
    if wait_until(LEFT_OVER_GRACE, over) {
        return Ok(());
    }
    for running in state.alive() {
        running.signal(Signal::KILL).context("a pod of an earlier start does not end")?;
    }
    if !wait_until(LEFT_OVER_GRACE, over) {
        anyhow::bail!("pods of an earlier start do not end");
    }
    Ok(())
}

fn load<T: DeserializeOwned>(path: &Path) -> anyhow::Result<Option<T>> {
    let context = || format!("cannot read {}", path.display());
    let Some(bytes) = read(path).with_context(context)? else { return Ok(None) };
    serde_json::from_slice(&bytes).map(Some).with_context(context)
}

fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if FILE_BYTES_MAX < u64::try_from(bytes.len()).unwrap_or(u64::MAX) {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "the file is too long"));
    }
    Ok(Some(bytes))
}
