//! Chores of this repository: `cargo xtask <chore>`.

mod bench;
mod bench_operator;
mod charts;
mod cluster;
mod images;
mod layers;
mod picture;
mod shipped;
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
    /// Check the charts with helm and that deploy/install.yaml is what they render
    Charts {
        /// Write the generated files instead of comparing them
        #[arg(long)]
        write: bool,
    },
    /// Run a Kubernetes on this machine
    Cluster(cluster::Args),
    /// Pack the container images, without a container engine
    Images(images::Args),
    /// Measure this broker and the Java one in turns and write docs/benchmarks.md
    BenchVsJava(bench::Args),
    /// Measure one operator with many clusters and write docs/benchmarks-operator.md
    BenchOperator(bench_operator::Args),
    /// Draw a terminal's text from standard input as the README's picture
    Picture(picture::Args),
    /// Run the tests
    Test(test::Args),
}

fn main() -> ExitCode {
    let done = match Args::parse().chore {
        Chore::Layers => layers::run(),
        Chore::Charts { write } => charts::check(write),
        Chore::Cluster(args) => cluster::run(&args),
        Chore::Images(args) => images::run(&args),
        Chore::BenchVsJava(args) => bench::run(&args),
        Chore::BenchOperator(args) => bench_operator::run(&args),
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
