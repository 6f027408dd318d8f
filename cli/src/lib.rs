//! rmq: run and administer RocketMQ clusters.
//!
//! Two families of commands share one program. [`local`] runs clusters as processes of this
//! machine (`up`, `down`, `status`, ... and the servers themselves); [`remote`] talks to a cluster
//! that runs anywhere. [`lint`] only reads; [`store`] looks after the files of a broker that does
//! not run.
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
mod replicas;
pub mod store;

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
    /// Check, show and repair the files of a broker that does not run
    Store(store::Store),
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
        Command::Store(command) => store::run(&command, &mut output),
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
    use super::*;
    use clap::CommandFactory as _;
    use std::path::{Path, PathBuf};

    /// The pages that show people what to type.
    fn pages() -> Vec<PathBuf> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let folder = std::fs::read_dir(root.join("docs/operate")).unwrap();
        let mut pages: Vec<PathBuf> = folder.map(|entry| entry.unwrap().path()).collect();
        pages.push(root.join("README.md"));
        pages
    }

    /// The words of a shell's command line without its comment. Quotes keep blanks, nothing else.
    fn words(line: &str) -> Vec<String> {
        let mut words = vec![String::new()];
        let mut quote = None;
        for c in line.chars() {
            let fresh = words.last().is_some_and(String::is_empty);
            match c {
                '#' if quote.is_none() && fresh => break,
                ' ' if quote.is_none() && fresh => {}
                ' ' if quote.is_none() => words.push(String::new()),
                '"' | '\'' if quote.is_none() => quote = Some(c),
                _ if quote == Some(c) => quote = None,
                _ => words.last_mut().unwrap().push(c),
            }
        }
        words.retain(|word| !word.is_empty());
        words
    }

    #[test]
    fn the_pages_show_commands_that_exist() {
        let mut seen = 0;
        for page in pages() {
            let text = std::fs::read_to_string(&page).unwrap();
            for line in text.lines() {
                let line = line.strip_prefix("$ ").unwrap_or(line);
                if !line.starts_with("rmq ") {
                    continue;
                }
                seen += 1;
                if let Err(error) = Cli::try_parse_from(words(line)) {
                    panic!("{}: {line}\n{error}", page.display());
                }
            }
        }
        assert!(20 < seen, "the pages have examples, {seen} were found");
    }

    #[test]
    fn the_command_tree_is_consistent() {
        Cli::command().debug_assert();
    }
}
