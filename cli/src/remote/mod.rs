//! Commands that talk to a running cluster, wherever it runs.

use std::process::ExitCode;

use clap::Subcommand;

use crate::output::Output;
use connect::Family;

mod bench;
mod broker_config;
mod cluster;
pub(crate) mod connect;
mod consume;
mod group;
mod kv;
mod message;
mod send;
pub(crate) mod shape;
pub(crate) mod time;
mod topic;

/// The commands of this family.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Send messages to a topic
    Send(Box<send::Send>),
    /// Read messages of a topic as a member of a consumer group
    Consume(Box<consume::Consume>),
    /// List, make, change and delete topics
    Topic(Family<topic::Action>),
    /// List, make and delete consumer groups, see and move their offsets
    Group(Family<group::Action>),
    /// Find messages by id or key
    Message(Family<message::Action>),
    /// Show the brokers of a cluster
    Cluster(Family<cluster::Action>),
    /// Show and change the settings of a running broker
    BrokerConfig(Family<broker_config::Action>),
    /// Show and change the key-value entries of the name servers
    Kv(Family<kv::Action>),
    /// Measure a broker: throughput, latency, and what its process uses
    Bench(Box<bench::Bench>),
}

/// Runs one of them.
///
/// # Errors
/// Whatever the user must be told; the chain is printed as one line.
pub fn run(command: Command, output: &mut Output) -> anyhow::Result<ExitCode> {
    match command {
        Command::Send(command) => send::run(&command, output),
        Command::Consume(command) => consume::run(&command, output),
        Command::Topic(command) => topic::run(&command, output),
        Command::Group(command) => group::run(&command, output),
        Command::Message(command) => message::run(&command, output),
        Command::Cluster(command) => cluster::run(&command, output),
        Command::BrokerConfig(command) => broker_config::run(&command, output),
        Command::Kv(command) => kv::run(&command, output),
        Command::Bench(command) => bench::run(&command, output),
    }
}
