//! rmq: run and administer RocketMQ clusters.
//!
//! Two families of commands share one program. [`local`] runs clusters as processes of this
//! machine (`up`, `down`, `status`, ... and the servers themselves); [`remote`] talks to a cluster
//! that runs anywhere. [`lint`] only reads.
#![warn(missing_docs)]

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use rmq_host::exit::{self, Exit};

pub mod lint;
pub mod local;
pub mod output;
pub mod remote;

use output::Output;

/// Run and administer RocketMQ clusters.
#[derive(Debug, Parser)]
#[command(name = "rmq", version, about, propagate_version = true, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

/// Everything `rmq` can do. Each family lists its own commands.
#[derive(Debug, Subcommand)]
enum Command {
    #[command(flatten)]
    Local(local::Command),
    /// Check manifests without running or asking anything
    Lint(lint::Lint),
    #[command(flatten)]
    Remote(remote::Command),
}

/// Runs the command line `args` (the first one is the program's name).
///
/// A failure is one line on the standard error and a status that is not zero: 2 for a command
/// line that cannot be understood, 1 for anything else but the servers, which have their own. A
/// reader that went away (`rmq status | head -1`) is not a failure.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(help) => {
            let status = ExitCode::from(u8::try_from(help.exit_code()).unwrap_or(2));
            return if help.print().is_ok() { status } else { ExitCode::FAILURE };
        }
    };
    let mut output = Output::stdout();
    let result = match cli.command {
        Command::Local(command) => local::run(command, &mut output),
        Command::Lint(lint) => lint::run(&lint, &mut output),
        Command::Remote(command) => remote::run(command, &mut output),
    };
    match result {
        Ok(status) => status,
        Err(error) if is_reader_gone(&error) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody is left to tell when the standard error is closed as well.
            writeln!(io::stderr().lock(), "rmq: {error:#}").ok();
            let own = error.downcast_ref::<Exit>().map(|exit| exit.code);
            ExitCode::from(own.unwrap_or(exit::FAILURE))
        }
    }
}

fn is_reader_gone(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<io::Error>()
        .is_some_and(|source| source.kind() == io::ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_tree_is_consistent() {
        Cli::command().debug_assert();
    }
}
