//! Which cluster a command talks to, and how it prints.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand, ValueEnum};
use comfy_table::Table;
use rmq_client::admin::ClusterInfo;
use rmq_client::{CallError, Client, Config, NameServers};
use rmq_host::SystemClock;
use rmq_host::runtime::{self, RuntimeConfig};
use serde::Serialize;

use super::time::duration;
use crate::local::dirs::DataDir;
use crate::local::record::Identity;
use crate::output::Output;

/// Where a name server listens unless something else is said.
const NAME_SERVER_DEFAULT: &str = "127.0.0.1:9876";

/// Options of every command that talks to a cluster.
#[derive(Clone, Debug, Args)]
pub(crate) struct Connect {
    /// Name servers of the cluster, separated by ';' [default: those of the cluster that `rmq up`
    /// runs here, if it is one, else 127.0.0.1:9876]
    #[arg(
        short = 'n',
        long,
        value_name = "HOST:PORT",
        env = "NAMESRV_ADDR",
        global = true,
        help_heading = "Connection"
    )]
    namesrv: Option<String>,

    /// How long to wait for an answer
    #[arg(
        long,
        value_name = "TIME",
        default_value = "5s",
        value_parser = duration,
        global = true,
        help_heading = "Connection"
    )]
    timeout: Duration,

    /// How to print the result
    #[arg(
        short = 'o',
        long,
        value_name = "FORMAT",
        value_enum,
        default_value_t = Format::Table,
        global = true,
        help_heading = "Connection"
    )]
    output: Format,
}

/// A command whose actions talk to a cluster: `rmq topic list`, `rmq kv get`.
#[derive(Debug, Args)]
pub struct Family<A: Subcommand> {
    #[command(subcommand)]
    pub(crate) action: A,
    #[command(flatten)]
    pub(crate) connect: Connect,
}

/// On which brokers something is made or changed.
#[derive(Debug, Args)]
pub(crate) struct Masters {
    /// On the masters of this cluster
    #[arg(long, value_name = "NAME", conflicts_with = "broker")]
    cluster: Option<String>,
    /// On the master of this broker only (name or host:port)
    #[arg(long, value_name = "BROKER")]
    broker: Option<String>,
}

impl Masters {
    /// Whether one broker is meant, by its name.
    pub(crate) fn is_one(&self) -> bool {
        self.broker.is_some()
    }

    /// Name and address of each of them.
    ///
    /// # Errors
    /// If there is none of this name.
    pub(crate) fn of(&self, info: &ClusterInfo) -> Result<Vec<(String, String)>, CallError> {
        match &self.broker {
            Some(broker) => Ok(vec![(broker.clone(), info.broker_address(broker)?)]),
            None => info.masters(self.cluster.as_deref()),
        }
    }
}

/// Name servers of the one cluster that runs in `data`; `None` if none does.
fn running_here(data: &DataDir) -> anyhow::Result<Option<String>> {
    let mut running = Vec::new();
    for cluster in data.clusters()? {
        if cluster.is_locked()?
            && let Some(identity) = Identity::load(&cluster)?
        {
            running.push((cluster.name().to_owned(), identity.plan.name_servers));
        }
    }
    match running.as_slice() {
        [] => Ok(None),
        [(_, servers)] => Ok(Some(servers.clone())),
        several => {
            let names: Vec<_> = several.iter().map(|(name, at)| format!("{name} ({at})")).collect();
            bail!("several clusters run here, choose one with --namesrv: {}", names.join(", "))
        }
    }
}

/// How results are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people
    Table,
    /// For programs
    Json,
}

impl Connect {
    /// How to print.
    pub(crate) fn format(&self) -> Format {
        self.output
    }

    /// The cluster's name servers.
    ///
    /// # Errors
    /// If what was given is not a list of addresses, or nothing was given and several clusters
    /// run here.
    pub(crate) fn name_servers(&self) -> anyhow::Result<NameServers> {
        let given = self.namesrv.as_deref().filter(|text| !text.trim().is_empty());
        match given {
            Some(text) => text.parse().with_context(|| format!("--namesrv {text}")),
            None => {
                let place = std::env::var_os("RMQ_DATA_DIR").map(PathBuf::from);
                // Without a home there is no local cluster either.
                let data = DataDir::locate(place.as_deref()).ok();
                let found = data.map(|data| running_here(&data)).transpose()?.flatten();
                let found = found.as_deref().unwrap_or(NAME_SERVER_DEFAULT);
                found.parse().with_context(|| format!("the name servers {found}"))
            }
        }
    }

    /// A client of the cluster. Nothing is connected yet.
    ///
    /// # Errors
    /// As [`Connect::name_servers`].
    pub(crate) fn client(&self) -> anyhow::Result<Client> {
        let config = Config::new(self.name_servers()?, Arc::new(SystemClock::new()));
        Ok(Client::new(Config { timeout: self.timeout, ..config }))
    }

    /// Runs `work` with a client, on this thread.
    ///
    /// # Errors
    /// Those of `work`.
    pub(crate) fn run<T>(
        &self,
        work: impl AsyncFnOnce(Client) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        let config = RuntimeConfig { workers: 0, ..RuntimeConfig::default() };
        let client = self.client()?;
        runtime::run(&config, work(client)).context("cannot start the runtime")?
    }

    /// Prints `value` as JSON, or the table that `table` makes of it.
    ///
    /// # Errors
    /// Those of the standard output.
    pub(crate) fn show<T: Serialize>(
        &self,
        output: &mut Output,
        value: &T,
        table: impl FnOnce(&T) -> Table,
    ) -> anyhow::Result<()> {
        match self.output {
            Format::Json => output.line(serde_json::to_string_pretty(value)?)?,
            Format::Table => output.table(&table(value))?,
        }
        Ok(())
    }

    /// Prints what was done: `sentence` for people, `value` for programs.
    ///
    /// # Errors
    /// Those of the standard output.
    pub(crate) fn tell(
        &self,
        output: &mut Output,
        value: &impl Serialize,
        sentence: &str,
    ) -> anyhow::Result<()> {
        match self.output {
            Format::Json => output.line(serde_json::to_string_pretty(value)?)?,
            Format::Table => output.line(sentence)?,
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_running_cluster_there_are_no_local_name_servers() {
        let folder = tempfile::tempdir().unwrap();
        let data = DataDir::locate(Some(folder.path())).unwrap();
        assert_eq!(running_here(&data).unwrap(), None);
        let stopped = data.cluster("demo").unwrap();
        stopped.create().unwrap();
        rmq_host::durable::replace(&stopped.identity(), b"{}").unwrap();
        assert_eq!(running_here(&data).unwrap(), None, "it does not run");
        let lock = stopped.lock().unwrap();
        assert!(running_here(&data).is_err(), "it runs, but where cannot be read");
        drop(lock);
    }
}
