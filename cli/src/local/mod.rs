//! Clusters as processes of this machine.

use std::process::ExitCode;

use clap::Subcommand;

use crate::output::Output;

/// The commands of this family.
#[derive(Debug, Subcommand)]
pub enum Command {}

/// Runs one of them.
///
/// # Errors
/// Whatever the user must be told; the chain is printed as one line.
#[expect(clippy::needless_pass_by_value, reason = "variants will carry what they need")]
pub fn run(command: Command, _output: &mut Output) -> anyhow::Result<ExitCode> {
    match command {}
}
