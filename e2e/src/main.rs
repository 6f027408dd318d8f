//! Runs the end-to-end scenarios.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::ensure;
use clap::{Parser, Subcommand};
use rmq_e2e::peers::Peers;
use rmq_e2e::scenario::drivers::Driver;
use rmq_e2e::scenario::{api, cli, crash, failover, kube, mixed, oracle, replicas};
use rmq_e2e::scenario::{rounds, stores, trouble};
use rmq_e2e::system::{Makers, System};
use rmq_e2e::{fleet, record, report};
use rmq_host::runtime::{self, RuntimeConfig};

/// Official clients, original servers and ours.
#[derive(Debug, Parser)]
struct Args {
    /// Keep logs and stores here; else they are removed when all went well
    #[arg(long, global = true, value_name = "DIR")]
    keep: Option<PathBuf>,
    #[command(subcommand)]
    scenario: Scenario,
}

#[derive(Debug, Subcommand)]
enum Scenario {
    /// Run a client against one system and print what it saw
    Client {
        /// Which client
        driver: Driver,
        /// Whose system: java, rmq, or NAMESERVER/BROKER
        #[arg(long, default_value = "rmq")]
        system: Makers,
        /// Names of scenarios, or their beginnings
        patterns: Vec<String>,
    },
    /// Run clients against the original and ours and compare what they saw
    Oracle {
        /// Left side: java, rmq, or NAMESERVER/BROKER
        #[arg(long, default_value = "java")]
        left: Makers,
        /// Right side
        #[arg(long, default_value = "rmq")]
        right: Makers,
        /// Which clients
        #[arg(long, value_delimiter = ',', default_value = "cpp,java5,java5-binary,java4,go")]
        drivers: Vec<Driver>,
        /// List equal cases too
        #[arg(long)]
        verbose: bool,
        /// Names of scenarios, or their beginnings
        patterns: Vec<String>,
    },
    /// Run, use, kill and stop a cluster with the shipped program alone
    Cli,
    /// Put our servers into one cluster with the original ones
    Mixed,
    /// Copy the log of a master of one maker to a replica of the other
    Replicas {
        /// How many for each pair
        #[arg(long, default_value_t = 100_000)]
        messages: usize,
    },
    /// Kill and stop masters and slaves under load and look for what was acknowledged
    Failover {
        /// Which layout
        layout: failover::Layout,
        /// How many faults, one after the other
        #[arg(long, default_value_t = 12)]
        rounds: u32,
    },
    /// Kill the broker under load and look for what it had acknowledged
    Crash {
        /// Whose broker
        #[arg(long, default_value = "rmq")]
        system: Makers,
    },
    /// Kill the broker at random moments under load, again and again on one store
    Rounds {
        /// How often
        #[arg(long, default_value_t = 12)]
        rounds: u32,
        /// Of the moments
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
    /// Hand stores from the original broker to ours and back, stopped cleanly and killed
    Stores {
        /// Names of scenarios, or their beginnings
        names: Vec<String>,
    },
    /// Stop the broker's process for a while, fill its disk, take its disk away (needs root)
    Trouble {
        /// Names of scenarios, or their beginnings
        names: Vec<String>,
        /// How long the process is stopped
        #[arg(long, value_name = "SECONDS", default_value_t = 20)]
        stopped: u64,
    },
    /// Check the resource and the operator before a real API server, without nodes
    Api {
        /// Names of scenarios, or their beginnings
        names: Vec<String>,
        /// Leave the API server running
        #[arg(long)]
        stay: bool,
    },
    /// Run the images on a real Kubernetes with two nodes and break things while clients work
    Kube(kube::Args),
    /// Measure one operator with many clusters before a real API server, without nodes
    Fleet(fleet::Args),
    /// Stand between official programs and write the frames they exchange to files
    Record(record::Args),
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report::note(&format!("rmq-e2e: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// Runs what waits for many things at once.
fn on_runtime(work: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    let config = RuntimeConfig { stack_bytes: 2 * 1024 * 1024, ..RuntimeConfig::default() };
    runtime::build(&config)?.block_on(work)
}

fn run(args: &Args) -> anyhow::Result<()> {
    let peers = Peers::locate();
    let scratch = tempfile::Builder::new().prefix("rmq-e2e-").tempdir()?;
    let directory = args.keep.clone().unwrap_or_else(|| scratch.path().to_owned());
    std::fs::create_dir_all(&directory)?;
    let done = match &args.scenario {
        Scenario::Client { driver, system, patterns } => {
            let running = System::start(&peers, *system, &directory, &[])?;
            let seen = driver.run(&peers, &running, &directory, patterns)?;
            for (case, facts) in &seen.facts {
                report::note(&format!("{case} {facts}"));
            }
            running.stop()?;
            let broken = seen.facts.keys().filter(|case| case.ends_with(".broken")).count();
            ensure!(broken == 0, "{broken} scenarios broke");
            Ok(())
        }
        Scenario::Oracle { left, right, drivers, verbose, patterns } => {
            let plan = oracle::Plan {
                sides: [*left, *right],
                drivers: drivers.clone(),
                patterns: patterns.clone(),
                verbose: *verbose,
            };
            let fine = oracle::run(&peers, &plan, &directory)?;
            ensure!(fine, "there are differences that docs/compatibility.md does not explain");
            Ok(())
        }
        Scenario::Cli => cli::run(&directory),
        Scenario::Mixed => mixed::run(&peers, &directory),
        Scenario::Replicas { messages } => replicas::run(&peers, *messages, &directory),
        Scenario::Failover { layout, rounds } => failover::run(*layout, *rounds, &directory),
        Scenario::Crash { system } => crash::run(&peers, *system, &directory),
        Scenario::Rounds { rounds, seed } => {
            rounds::run(&peers, &directory, rounds::Plan { rounds: *rounds, seed: *seed })
        }
        Scenario::Stores { names } => stores::run(&peers, &directory, names),
        Scenario::Trouble { names, stopped } => {
            trouble::run(&peers, &directory, names, Duration::from_secs(*stopped))
        }
        Scenario::Api { names, stay } => on_runtime(api::run(&peers, names, &directory, *stay)),
        Scenario::Kube(args) => on_runtime(kube::run(&peers, args, &directory)),
        Scenario::Fleet(args) => on_runtime(fleet::run(args, &directory)),
        Scenario::Record(args) => record::run(args, &peers, &directory),
    };
    if done.is_err() && args.keep.is_none() {
        let kept = scratch.keep();
        report::note(&format!("logs and stores are in {}", kept.display()));
    }
    done
}
