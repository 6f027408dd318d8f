//! The shipped program alone: it runs a cluster, uses it, kills a part of it, stops it, and finds
//! everything again.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use serde_json::Value;

use crate::peers::our_program;
use crate::{report, wait};

const MANIFEST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/clusters/2m-noslave.yaml");
/// Two name servers and two brokers.
const PODS: usize = 4;
const COMMAND: Duration = Duration::from_secs(90);
const RESTART: Duration = Duration::from_secs(60);

/// Runs it.
///
/// # Errors
/// When a command fails or a message is missing.
pub fn run(directory: &Path) -> anyhow::Result<()> {
    let data = directory.join("data");
    std::fs::create_dir_all(&data)?;
    let cluster = Cluster::up(data, directory.to_owned())?;
    let used = cluster.use_it();
    // Whatever happened, nothing is left running.
    let stopped = cluster.rmq(&["down", "--volumes"]);
    used?;
    stopped?;
    let left: Vec<PathBuf> = std::fs::read_dir(&cluster.data)?
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| path.is_dir())
        .collect();
    ensure!(left.is_empty(), "down --volumes left {left:?}");
    Ok(())
}

struct Cluster {
    program: PathBuf,
    data: PathBuf,
    /// For what commands read and write.
    scratch: PathBuf,
    namesrv: String,
}

impl Cluster {
    fn up(data: PathBuf, scratch: PathBuf) -> anyhow::Result<Self> {
        let program = our_program("rmq")?;
        let mut cluster = Self { program, data, scratch, namesrv: String::new() };
        cluster.rmq(&["up", "-f", MANIFEST, "-d"])?;
        let status = cluster.status()?;
        cluster.namesrv = text(&status, "nameServers")?;
        Ok(cluster)
    }

    fn use_it(&self) -> anyhow::Result<()> {
        let status = self.status()?;
        ensure!(status.get("running") == Some(&Value::Bool(true)), "not running: {status}");
        ensure!(pids(&status).len() == PODS, "not every pod has a process: {status}");

        self.rmq(&["topic", "create", "orders", "--queues", "4"])?;
        ensure!(self.rmq(&["topic", "list"])?.contains("orders"), "the topic is not listed");
        self.send("a", 100)?;
        self.expect("first-group", 100)?;
        ensure!(self.rmq(&["group", "list"])?.contains("first-group"), "the group is not listed");
        report::note("a new cluster carries messages");

        let broker = first_broker(&status)?;
        let before = pid(&status, &broker)?;
        self.rmq(&["kill", &broker])?;
        let back = wait::until(RESTART, || {
            let status = self.status().ok()?;
            let restarts = of_pod(&status, &broker)?.get("restarts")?.as_u64()?;
            let ready = pids(&status).len() == PODS && pid(&status, &broker).ok()? != before;
            (ready && restarts == 1).then_some(())
        });
        back.with_context(|| format!("{broker} did not come back after SIGKILL"))?;
        // The other broker takes them if this one is not yet in the route.
        self.send("b", 100)?;
        // Not the first group: offsets of its last seconds may be lost with the broker.
        self.expect("second-group", 200)?;
        report::note("a killed broker comes back with its messages");

        self.rmq(&["down"])?;
        let status = self.status()?;
        ensure!(status.get("running") == Some(&Value::Bool(false)), "still running: {status}");
        ensure!(pids(&status).is_empty(), "processes are left: {status}");
        self.rmq(&["up", "-f", MANIFEST, "-d"])?;
        ensure!(text(&self.status()?, "nameServers")? == self.namesrv, "other addresses");
        self.expect("third-group", 200)?;
        self.expect_nothing("second-group")?;
        report::note("a stopped cluster comes back with its messages and offsets");
        Ok(())
    }

    fn send(&self, prefix: &str, count: u32) -> anyhow::Result<()> {
        let lines: String = (0..count).map(|n| format!("{prefix}{n}\n")).collect();
        self.rmq_with(&["send", "--topic", "orders", "--lines"], &lines)?;
        Ok(())
    }

    /// Reads until `count` messages came and requires them to be different ones.
    fn expect(&self, group: &str, count: usize) -> anyhow::Result<()> {
        let wanted = count.to_string();
        let out = self.rmq(&[
            "consume", "--topic", "orders", "--group", group, "--from", "first", "--count",
            &wanted, "--idle", "45s", "--bodies",
        ])?;
        let bodies: BTreeSet<&str> = out.lines().collect();
        ensure!(bodies.len() == count, "{group} got {} of {count} messages", bodies.len());
        Ok(())
    }

    /// Reads for a while and requires that the group has nothing left: its offsets survived.
    fn expect_nothing(&self, group: &str) -> anyhow::Result<()> {
        let out = self.rmq(&[
            "consume", "--topic", "orders", "--group", group, "--from", "first", "--idle", "3s",
            "--bodies",
        ])?;
        ensure!(out.is_empty(), "{group} was handed again: {out}");
        Ok(())
    }

    fn status(&self) -> anyhow::Result<Value> {
        let all: Value = serde_json::from_str(&self.rmq(&["status", "-o", "json"])?)?;
        all.get(0).cloned().context("no cluster in the status")
    }

    fn rmq(&self, args: &[&str]) -> anyhow::Result<String> {
        self.rmq_with(args, "")
    }

    /// Runs one command to its end and answers what it printed.
    fn rmq_with(&self, args: &[&str], input: &str) -> anyhow::Result<String> {
        // Files, not pipes: neither side ever waits for the other.
        let file = |name: &str| self.scratch.join(name);
        let (input_file, out_file) = (file("input.txt"), file("output.txt"));
        let errors_file = file("errors.txt");
        put(&input_file, input)?;
        let mut child = Command::new(&self.program)
            .args(args)
            .env("RMQ_DATA_DIR", &self.data)
            .env("NAMESRV_ADDR", &self.namesrv)
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

fn text(status: &Value, name: &str) -> anyhow::Result<String> {
    let found = status.get(name).and_then(Value::as_str);
    found.map(str::to_owned).with_context(|| format!("no {name} in {status}"))
}

fn pods(status: &Value) -> impl Iterator<Item = &Value> {
    status.get("pods").and_then(Value::as_array).into_iter().flatten()
}

fn pids(status: &Value) -> Vec<u64> {
    pods(status).filter_map(|pod| pod.get("pid")?.as_u64()).collect()
}

fn of_pod<'a>(status: &'a Value, name: &str) -> Option<&'a Value> {
    pods(status).find(|pod| pod.get("name").and_then(Value::as_str) == Some(name))
}

fn pid(status: &Value, name: &str) -> anyhow::Result<u64> {
    let pod = of_pod(status, name).with_context(|| format!("no pod {name}"))?;
    pod.get("pid").and_then(Value::as_u64).with_context(|| format!("{name} has no process"))
}

fn first_broker(status: &Value) -> anyhow::Result<String> {
    let found = pods(status).find(|pod| pod.get("broker").is_some_and(|broker| !broker.is_null()));
    let name = found.and_then(|pod| pod.get("name")).and_then(Value::as_str);
    name.map(str::to_owned).context("no broker among the pods")
}
