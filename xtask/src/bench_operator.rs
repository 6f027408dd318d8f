//! `cargo xtask bench-operator`: one operator with many clusters, before a real API server.

use crate::shipped;
use std::path::PathBuf;
use std::process::Command;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Clusters of the operator
    #[arg(long, default_value_t = 100)]
    clusters: u32,
    /// Where the page goes
    #[arg(long, value_name = "FILE", default_value = "docs/benchmarks-operator.md")]
    out: PathBuf,
}

/// Builds what is measured as it is shipped, and measures.
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let programs = shipped::build(&["rmq-operator", "rmq-e2e"])?;
    let mut command = Command::new(programs.join("rmq-e2e"));
    command.arg("fleet").arg("--clusters").arg(args.clusters.to_string());
    command.arg("--out").arg(shipped::root().join(&args.out));
    shipped::run(&mut command)
}
