//! `cargo xtask cluster`: a Kubernetes of its own on this machine (e2e/cluster).

use crate::shipped;
use std::path::PathBuf;
use std::process::Command;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Start it, or what is missing of it, and print the path of its kubeconfig
    Up {
        /// Nodes to run pods on; 0 is the control plane alone and needs no root
        #[arg(long, default_value_t = 2)]
        nodes: u8,
    },
    /// Make images known to every node
    Load {
        /// Archives as `cargo xtask images` writes them
        #[arg(required = true)]
        archives: Vec<PathBuf>,
    },
    /// End it and remove what it left
    Down,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    match &args.action {
        Action::Up { nodes } => shipped::run(script("up.sh").arg("--nodes").arg(nodes.to_string())),
        Action::Load { archives } => {
            // The scripts run in the workspace's directory.
            let archives: Result<Vec<_>, _> = archives.iter().map(std::path::absolute).collect();
            shipped::run(script("load.sh").args(archives?))
        }
        Action::Down => shipped::run(&mut script("down.sh")),
    }
}

/// A script of the cluster's.
pub(crate) fn script(name: &str) -> Command {
    let mut command = Command::new("bash");
    command.arg(shipped::root().join("e2e/cluster").join(name));
    command
}
