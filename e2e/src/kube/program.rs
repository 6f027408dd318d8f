//! Programs that run beside the cluster.

use std::process::{Command, Stdio};

use anyhow::{Context as _, ensure};

/// What a program that came to its end has said.
#[derive(Clone, Debug)]
pub struct Said {
    /// Its exit status; `None` if a signal ended it.
    pub code: Option<i32>,
    /// On its standard output.
    pub out: String,
    /// On its standard error.
    pub errors: String,
}

/// Runs `command` to its end, however that is, off the runtime's threads.
///
/// # Errors
/// When it cannot be started.
pub async fn said(mut command: Command) -> anyhow::Result<Said> {
    let shown = format!("{command:?}");
    let output = tokio::task::spawn_blocking(move || command.stdin(Stdio::null()).output())
        .await
        .context("the thread of a program ended")?
        .with_context(|| format!("cannot start {shown}"))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, errors) = (text(&output.stdout), text(&output.stderr));
    Ok(Said { code: output.status.code(), out, errors })
}

/// Runs `command` to its end, off the runtime's threads, and answers what it printed.
///
/// # Errors
/// When it cannot be started or fails; with what it said.
pub async fn run(command: Command) -> anyhow::Result<String> {
    let shown = format!("{command:?}");
    let Said { code, out, errors } = said(command).await?;
    ensure!(code == Some(0), "{shown}: status {code:?}: {out}{errors}");
    Ok(out)
}
