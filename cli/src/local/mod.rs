//! Clusters as processes of this machine.
//!
//! `rmq up` reads a manifest, resolves it into pods ([`rmq_operator_plan`]) and runs this very
//! program once per pod. A supervisor process keeps them alive; what it knows stands in the
//! cluster's directory ([`dirs`]), where `status`, `logs`, `kill` and `down` find it.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};

use crate::output::Output;

pub mod address;
mod board;
pub mod dirs;
mod down;
mod journal;
mod kill;
mod lines;
mod logs;
mod orphan;
mod pod;
pub mod ports;
mod probe;
pub mod process;
pub mod record;
mod restart;
mod rotate;
mod show;
mod status;
mod supervise;
mod up;

/// The commands of this family.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the cluster that a manifest describes, as processes of this machine
    Up(up::Up),
    /// Stop a cluster and keep its data
    Down(down::Down),
    /// Show clusters and their pods
    Status(status::Status),
    /// Show what pods log
    Logs(logs::Logs),
    /// Send a pod a signal, SIGKILL by default, to see how the cluster copes
    Kill(kill::Kill),
    /// Run one broker in this process
    Broker(rmq_broker::cli::Options),
    /// Run one name server in this process
    Nameserver(rmq_nameserver::Options),
    /// Keep the pods of a prepared cluster running; started by `up`
    #[command(hide = true)]
    Supervise(supervise::Supervise),
}

/// Where clusters keep their data.
#[derive(Debug, Args)]
pub struct Place {
    /// Directory of all clusters' data [default: $XDG_DATA_HOME/rmq or ~/.local/share/rmq]
    #[arg(long, value_name = "DIR", env = "RMQ_DATA_DIR")]
    data_dir: Option<PathBuf>,
}

impl Place {
    fn locate(&self) -> anyhow::Result<dirs::DataDir> {
        dirs::DataDir::locate(self.data_dir.as_deref())
    }
}

/// The text of a manifest; `-` is the standard input.
///
/// # Errors
/// When it cannot be read.
pub(crate) fn read_text(path: &std::path::Path) -> anyhow::Result<String> {
    up::read_text(path)
}

/// Runs one of them.
///
/// # Errors
/// Whatever the user must be told; the chain is printed as one line.
pub fn run(command: Command, output: &mut Output) -> anyhow::Result<ExitCode> {
    match command {
        Command::Up(up) => up::run(&up, output),
        Command::Down(down) => down::run(&down, output),
        Command::Status(status) => status::run(&status, output),
        Command::Logs(logs) => logs::run(&logs, output),
        Command::Kill(kill) => kill::run(&kill, output),
        Command::Broker(options) => {
            orphan::watch()?;
            rmq_broker::run(&options)
        }
        Command::Nameserver(options) => {
            orphan::watch()?;
            rmq_nameserver::run(&options)
        }
        Command::Supervise(supervise) => supervise::run_detached(&supervise),
    }
}
