//! `cargo xtask bench-vs-java`.

use anyhow::bail;
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Shorter runs and fewer rounds, to see that everything works
    #[arg(long)]
    quick: bool,
    /// Directory with the jars of the Java name server and broker
    #[arg(long, value_name = "DIR")]
    java: Option<PathBuf>,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let _ = args.quick;
    match &args.java {
        None => bail!("where are the Java broker's jars? say --java DIR"),
        Some(dir) => {
            bail!("{} cannot be measured yet: the load generator is missing", dir.display())
        }
    }
}
