//! Programs that run beside the cluster.

use std::process::{Command, Stdio};

use anyhow::{Context as _, ensure};

/// Runs `command` to its end, off the runtime's threads, and answers what it printed.
///
/// # Errors
/// When it cannot be started or fails; with what it said.
pub async fn run(mut command: Command) -> anyhow::Result<String> {
    let shown = format!("{command:?}");
    let output = tokio::task::spawn_blocking(move || command.stdin(Stdio::null()).output())
        .await
        .context("the thread of a program ended")?
        .with_context(|| format!("cannot start {shown}"))?;
    let (out, errors) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    ensure!(output.status.success(), "{shown}: {}: {out}{errors}", output.status);
    Ok(out.into_owned())
}
