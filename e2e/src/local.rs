//! A cluster that `rmq up` runs on this machine, seen through the shipped program alone.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use serde_json::Value;

use crate::peers::our_program;
use crate::wait;

/// Longest time for one command.
const COMMAND: Duration = Duration::from_secs(90);

/// A data directory with one running cluster.
#[derive(Debug)]
pub struct Local {
    program: PathBuf,
    data: PathBuf,
    /// For what commands read and write.
    scratch: PathBuf,
    manifest: PathBuf,
    name_servers: String,
}

impl Local {
    /// Starts the cluster of `manifest` in the background, with all its files below `directory`.
    ///
    /// # Errors
    /// When it does not start.
    pub fn up(manifest: &Path, directory: &Path) -> anyhow::Result<Self> {
        let data = directory.join("data");
        std::fs::create_dir_all(&data)?;
        let mut local = Self {
            program: our_program("rmq")?,
            data,
            scratch: directory.to_owned(),
            manifest: manifest.to_owned(),
            name_servers: String::new(),
        };
        local.up_again()?;
        local.name_servers = text(&local.status()?, "nameServers")?;
        Ok(local)
    }

    /// Starts it again after [`Local::rmq`] `down`.
    ///
    /// # Errors
    /// When it does not start.
    pub fn up_again(&self) -> anyhow::Result<()> {
        self.rmq(&["up", "-f", &self.manifest.display().to_string(), "-d"]).map(drop)
    }

    /// Stops it, removes its data, and requires that nothing of it is left.
    ///
    /// # Errors
    /// When it does not stop or leaves something.
    pub fn remove(&self) -> anyhow::Result<()> {
        self.rmq(&["down", "--volumes"])?;
        let left: Vec<PathBuf> = std::fs::read_dir(&self.data)?
            .filter_map(|entry| entry.ok().map(|entry| entry.path()))
            .filter(|path| path.is_dir())
            .collect();
        ensure!(left.is_empty(), "down --volumes left {left:?}");
        Ok(())
    }

    /// Its name servers, as clients take them.
    pub fn name_servers(&self) -> &str {
        &self.name_servers
    }

    /// What `rmq status` says of it.
    ///
    /// # Errors
    /// When the command fails.
    pub fn status(&self) -> anyhow::Result<Value> {
        let all: Value = serde_json::from_str(&self.rmq(&["status", "-o", "json"])?)?;
        all.get(0).cloned().context("no cluster in the status")
    }

    /// Runs one command to its end and answers what it printed.
    ///
    /// # Errors
    /// When it fails or does not end in time.
    pub fn rmq(&self, args: &[&str]) -> anyhow::Result<String> {
        self.rmq_with(args, "")
    }

    /// The same with something on its standard input.
    ///
    /// # Errors
    /// As [`Local::rmq`].
    pub fn rmq_with(&self, args: &[&str], input: &str) -> anyhow::Result<String> {
        // Files, not pipes: neither side ever waits for the other.
        let file = |name: &str| self.scratch.join(name);
        let (input_file, out_file) = (file("input.txt"), file("output.txt"));
        let errors_file = file("errors.txt");
        put(&input_file, input)?;
        let mut child = Command::new(&self.program)
            .args(args)
            .env("RMQ_DATA_DIR", &self.data)
            .env("NAMESRV_ADDR", &self.name_servers)
            .stdin(Stdio::from(std::fs::File::open(&input_file)?))
            .stdout(Stdio::from(std::fs::File::create(&out_file)?))
            .stderr(Stdio::from(std::fs::File::create(&errors_file)?))
            .spawn()
            .context("cannot start rmq")?;
        let Some(status) = wait::until(COMMAND, || child.try_wait().ok().flatten()) else {
            child.kill()?;
            child.wait()?;
            bail!("rmq {} did not end within {COMMAND:?}", args.join(" "));
        };
        let (out, errors) =
            (std::fs::read_to_string(&out_file)?, std::fs::read_to_string(&errors_file)?);
        ensure!(status.success(), "rmq {}: {status}: {out}{errors}", args.join(" "));
        Ok(out)
    }
}

fn put(file: &Path, text: &str) -> anyhow::Result<()> {
    use std::io::Write as _;
    std::fs::File::create(file)?.write_all(text.as_bytes())?;
    Ok(())
}

/// The text member `name` of a status or a pod.
///
/// # Errors
/// When there is none.
pub fn text(status: &Value, name: &str) -> anyhow::Result<String> {
    let found = status.get(name).and_then(Value::as_str);
    found.map(str::to_owned).with_context(|| format!("no {name} in {status}"))
}

/// The pods of a status.
pub fn pods(status: &Value) -> impl Iterator<Item = &Value> {
    status.get("pods").and_then(Value::as_array).into_iter().flatten()
}

/// Process ids of its pods.
pub fn pids(status: &Value) -> Vec<u64> {
    pods(status).filter_map(|pod| pod.get("pid")?.as_u64()).collect()
}

/// The pod called `name`.
pub fn of_pod<'a>(status: &'a Value, name: &str) -> Option<&'a Value> {
    pods(status).find(|pod| pod.get("name").and_then(Value::as_str) == Some(name))
}

/// Process id of the pod called `name`.
///
/// # Errors
/// When it has no process.
pub fn pid(status: &Value, name: &str) -> anyhow::Result<u64> {
    let pod = of_pod(status, name).with_context(|| format!("no pod {name}"))?;
    pod.get("pid").and_then(Value::as_u64).with_context(|| format!("{name} has no process"))
}
