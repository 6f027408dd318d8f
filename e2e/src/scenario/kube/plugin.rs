//! `kubectl rmq`.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, ensure};
use serde_json::Value;

use super::{LONG, SHORT, two_groups};
use crate::kube::program::{self, Said};
use crate::kube::space::{Space, same_lives};
use crate::kube::until;
use crate::peers::our_program;
use crate::report;
use crate::scenario::suite::Stage;

/// Where `kubectl` finds itself and its plugin.
fn search_path(stage: &Stage) -> anyhow::Result<std::ffi::OsString> {
    let plugin = our_program("kubectl-rmq")?;
    let mut folders: Vec<PathBuf> = plugin.parent().map(Path::to_path_buf).into_iter().collect();
    folders.extend(stage.site.root().map(|root| root.join("bin")));
    folders.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
    Ok(std::env::join_paths(folders)?)
}

/// A person with `kubectl rmq`, in a namespace.
struct Person<'a> {
    stage: &'a Stage,
    space: &'a Space,
    path: std::ffi::OsString,
}

impl Person<'_> {
    async fn asks(&self, args: &[&str]) -> anyhow::Result<Said> {
        let mut command = Command::new("kubectl");
        command.arg("rmq").args(args).args(["-n", self.space.name()]);
        command.env("KUBECONFIG", self.stage.site.kubeconfig()).env("PATH", &self.path);
        program::said(command).await
    }

    /// What it prints when all goes well; with each of `wanted` in it.
    async fn is_told(&self, args: &[&str], wanted: &[&str]) -> anyhow::Result<String> {
        let Said { code, out, errors } = self.asks(args).await?;
        ensure!(code == Some(0), "{args:?}: status {code:?}: {out}{errors}");
        for part in wanted {
            ensure!(out.contains(part), "{args:?} does not say {part:?}: {out}");
        }
        Ok(out)
    }

    /// The same for what ends with status 1.
    async fn is_refused(&self, args: &[&str], wanted: &[&str]) -> anyhow::Result<()> {
        let Said { code, out, errors } = self.asks(args).await?;
        let text = format!("{out}{errors}");
        ensure!(code == Some(1), "{args:?}: status {code:?}: {text}");
        for part in wanted {
            ensure!(text.contains(part), "{args:?} does not say {part:?}: {text}");
        }
        Ok(())
    }
}

pub(super) async fn run(stage: Stage) -> anyhow::Result<()> {
    let space = stage.space("").await?;
    space.apply("demo", &two_groups()).await?;
    space.ready("demo", SHORT).await?;
    let person = Person { stage: &stage, space: &space, path: search_path(&stage)? };
    looks(&person).await?;
    pauses(&person).await?;
    restarts(&person).await?;
    report::note("   status, logs, drift, pause, resume, restart and drain-status say what is so");
    Ok(())
}

async fn looks(person: &Person<'_>) -> anyhow::Result<()> {
    let wanted = ["cluster      demo (demo)", "2m-noslave: 2 x 1, Async", "Running", "1/1 ready"];
    let text = person.is_told(&["status", "demo"], &wanted).await?;
    for pod in ["demo-broker-a-0", "demo-broker-b-0"] {
        let line = text.lines().find(|line| line.contains(pod)).context("a broker is missing")?;
        ensure!(line.contains("Active") && line.contains("Master"), "{line}");
    }
    let ready = text.lines().find(|line| line.starts_with("Ready ")).context("no Ready")?;
    ensure!(ready.contains(" True "), "{ready}");
    person.is_told(&["status"], &["demo", "Running", "2/2", "True"]).await?;
    person.is_refused(&["status", "nobody"], &["no RocketMQCluster nobody"]).await?;
    person
        .is_told(
            &["logs", "demo", "--tail", "3"],
            &["[demo-broker-a-0] {", "[demo-broker-b-0] {", "[demo-namesrv-0] {"],
        )
        .await?;
    let lines = person.is_told(&["logs", "demo", "broker-b", "--tail", "2"], &["{"]).await?;
    ensure!(lines.lines().count() == 2 && !lines.contains("[demo-"), "{lines}");
    let nothing = ["every broker of cluster demo uses what its manifest says"];
    person.is_told(&["drift", "demo"], &nothing).await?;
    person.is_told(&["drain-status", "demo"], &["no group of cluster demo is about to go"]).await?;
    Ok(())
}

async fn pauses(person: &Person<'_>) -> anyhow::Result<()> {
    let space = person.space;
    let before = space.lives("demo", None).await?;
    person.is_told(&["pause", "demo"], &["cluster demo is paused"]).await?;
    space.condition("demo", "Paused", "True", SHORT).await?;
    let mut changed = two_groups();
    if let Some(config) = changed.pointer_mut("/brokers/config").and_then(Value::as_object_mut) {
        config.insert("flushDiskType".to_owned(), "SYNC_FLUSH".into());
    }
    space.apply("demo", &changed).await?;
    // Ready names what waits for the pause to end.
    space.condition("demo", "Ready", "False", SHORT).await?;
    person.is_told(&["status", "demo"], &["by annotation", "waiting for the pause to end"]).await?;
    let differs = "flushDiskType is ASYNC_FLUSH in the mounted file, SYNC_FLUSH in the manifest";
    person.is_refused(&["drift", "demo"], &["broker-a: ", "broker-b: ", differs]).await?;
    space.apply("demo", &two_groups()).await?;
    person.is_told(&["resume", "demo"], &["no longer paused"]).await?;
    person.is_told(&["resume", "demo"], &["was not paused"]).await?;
    space.ready("demo", SHORT).await?;
    same_lives(&before, &space.lives("demo", None).await?)
}

async fn restarts(person: &Person<'_>) -> anyhow::Result<()> {
    let space = person.space;
    let mut before = space.lives("demo", None).await?;
    let old = before.remove("demo-broker-b-0").context("no broker-b")?;
    person.is_told(&["restart", "demo-broker-b-0"], &["restarts as soon as"]).await?;
    until(LONG, "broker-b is another pod", || async {
        let now = space.lives("demo", None).await?;
        Ok(now.get("demo-broker-b-0").filter(|life| life.uid != old.uid).map(drop))
    })
    .await?;
    space.ready("demo", LONG).await?;
    same_lives(&before, &space.lives("demo", None).await?)?;
    person.is_refused(&["restart", "nobody"], &["neither a RocketMQCluster nor a pod"]).await
}
