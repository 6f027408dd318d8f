//! `cargo xtask test`.

use anyhow::{Context, ensure};
use std::process::Command;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Handed to `cargo test` as they are
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    rest: Vec<String>,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let status = Command::new("cargo")
        .args(["test", "--workspace"])
        .args(&args.rest)
        .status()
        .context("cannot start cargo")?;
    ensure!(status.success(), "cargo test: {status}");
    Ok(())
}
