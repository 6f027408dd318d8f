//! The programs as they are shipped: optimised, and needing nothing of the system they run on.

use anyhow::{Context as _, ensure};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Where the C library can be linked in; elsewhere programs use the system's.
const STATIC: &str = "-linux-gnu";

/// The workspace's directory.
pub(crate) fn root() -> &'static Path {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent().unwrap_or(own)
}

/// Builds the programs of `packages` and answers the directory they are in.
///
/// One build serves scenarios and images alike: with other flags, cargo would compile everything
/// once more.
pub(crate) fn build(packages: &[&str]) -> anyhow::Result<PathBuf> {
    let triple = host_triple()?;
    let mut command = cargo_command(&["build", "--release", "--locked", "--bins"]);
    command.args(["--target", &triple]);
    for package in packages {
        command.args(["-p", package]);
    }
    if triple.ends_with(STATIC) {
        // Named targets get these flags; build scripts and macros do not.
        let mut flags = std::env::var_os("RUSTFLAGS").unwrap_or_default();
        flags.push(" -C target-feature=+crt-static");
        command.env("RUSTFLAGS", flags);
    }
    run(&mut command)?;
    directory()
}

/// Where [`build`] puts programs.
pub(crate) fn directory() -> anyhow::Result<PathBuf> {
    Ok(target_directory()?.join(host_triple()?).join("release"))
}

/// Such as `x86_64-unknown-linux-gnu`.
pub(crate) fn host_triple() -> anyhow::Result<String> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let told = output(Command::new(rustc).arg("-vV"))?;
    let triple = told.lines().find_map(|line| line.strip_prefix("host: "));
    triple.map(str::to_owned).context("rustc -vV names no host")
}

pub(crate) fn target_directory() -> anyhow::Result<PathBuf> {
    let mut command =
        cargo_command(&["metadata", "--no-deps", "--format-version", "1", "--offline"]);
    let metadata: serde_json::Value = serde_json::from_str(&output(&mut command)?)?;
    let directory = metadata.get("target_directory").and_then(serde_json::Value::as_str);
    Ok(PathBuf::from(directory.context("cargo metadata names no target directory")?))
}

/// The cargo that runs this, in the workspace's directory.
pub(crate) fn cargo_command(args: &[&str]) -> Command {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let mut command = Command::new(cargo);
    command.args(args);
    command
}

/// Runs `command` in the workspace's directory until it ends well.
pub(crate) fn run(command: &mut Command) -> anyhow::Result<()> {
    let status = command
        .current_dir(root())
        .stdin(Stdio::null())
        .status()
        .with_context(|| format!("cannot start {}", command.get_program().display()))?;
    ensure!(status.success(), "{}: {status}", command.get_program().display());
    Ok(())
}

/// What `command` prints when it is run in the workspace's directory.
pub(crate) fn output(command: &mut Command) -> anyhow::Result<String> {
    let output = command
        .current_dir(root())
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot start {}", command.get_program().display()))?;
    let program = command.get_program().display();
    ensure!(
        output.status.success(),
        "{program}: {}: {}",
        output.status,
        String::from_utf8_lossy(&output.stderr).trim_end()
    );
    String::from_utf8(output.stdout).with_context(|| format!("{program} printed no text"))
}
