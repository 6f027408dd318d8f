//! Chores of this repository: `cargo xtask <chore>`.

mod bench;
mod layers;
mod picture;
mod test;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

#[derive(Debug, Parser)]
#[command(name = "cargo xtask", about = "Chores of this repository")]
struct Args {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Debug, Subcommand)]
enum Chore {
    /// Check that packages depend only downwards in the layer picture
    Layers,
    /// Measure this broker and the Java one in turns and write docs/benchmarks.md
    BenchVsJava(bench::Args),
    /// Draw a terminal's text from standard input as the README's picture
    Picture(picture::Args),
    /// Run the tests
    Test(test::Args),
}

fn main() -> ExitCode {
    let done = match Args::parse().chore {
        Chore::Layers => layers::run(),
        Chore::BenchVsJava(args) => bench::run(&args),
        Chore::Picture(args) => picture::run(&args),
        Chore::Test(args) => test::run(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&error);
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stderr, reason = "a chore talks to the person who runs it")]
fn complain(error: &anyhow::Error) {
    eprintln!("xtask: {error:#}");
}
