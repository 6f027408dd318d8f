//! The shipped program alone: it runs a cluster, uses it, kills a part of it, stops it, and finds
//! everything again.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::Value;

use crate::local::{Local, of_pod, pid, pids, pods, text};
use crate::{report, wait};

const MANIFEST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/clusters/2m-noslave.yaml");
/// Two name servers and two brokers.
const PODS: usize = 4;
const RESTART: Duration = Duration::from_secs(60);

/// Runs it.
///
/// # Errors
/// When a command fails or a message is missing.
pub fn run(directory: &Path) -> anyhow::Result<()> {
    let cluster = Cluster(Local::up(Path::new(MANIFEST), directory)?);
    let used = cluster.use_it();
    // Whatever happened, nothing is left running.
    let stopped = cluster.remove();
    used?;
    stopped
}

struct Cluster(Local);

impl std::ops::Deref for Cluster {
    type Target = Local;

    fn deref(&self) -> &Local {
        &self.0
    }
}

impl Cluster {
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
        self.up_again()?;
        ensure!(text(&self.status()?, "nameServers")? == self.name_servers(), "other addresses");
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
}

fn first_broker(status: &Value) -> anyhow::Result<String> {
    let found = pods(status).find(|pod| pod.get("broker").is_some_and(|broker| !broker.is_null()));
    let name = found.and_then(|pod| pod.get("name")).and_then(Value::as_str);
    name.map(str::to_owned).context("no broker among the pods")
}
