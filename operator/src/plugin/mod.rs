//! `kubectl rmq`: clusters for people.
//!
//! It knows what the API server knows: the resource with its status and annotations, the pods and
//! their logs, the settings that were mounted. It talks to no broker and needs no operator.

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};
use rmq_host::runtime::{self, RuntimeConfig};
use rmq_host::{SystemClock, exit};
use rmq_model::Clock as _;
use rmq_operator_api::Cluster;

mod annotate;
mod columns;
mod drain;
mod drift;
mod logs;
mod status;
#[cfg(test)]
mod tests;

#[derive(Debug, Parser)]
#[command(
    name = "kubectl-rmq",
    bin_name = "kubectl rmq",
    about = "Look at RocketMQ clusters and ask the operator for things",
    version
)]
struct CommandLine {
    #[command(flatten)]
    access: Access,
    #[command(subcommand)]
    command: Command,
}

/// Which API server, as kubectl takes it.
#[derive(Debug, Args)]
struct Access {
    /// Namespace; that of the context if it is not given
    #[arg(short, long, global = true, value_name = "NAMESPACE")]
    namespace: Option<String>,
    /// Context of the kubeconfig; the current one if it is not given
    #[arg(long, global = true, value_name = "NAME")]
    context: Option<String>,
    /// The kubeconfig; $KUBECONFIG or ~/.kube/config if it is not given
    #[arg(long, global = true, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show one cluster with its groups, replicas and conditions, or all of the namespace
    Status(status::Status),
    /// Ask for an ordered restart of a cluster, or of one pod
    Restart(annotate::Restart),
    /// Show how far the groups are that shall go
    DrainStatus(drain::DrainStatus),
    /// Let the operator change nothing but the status
    Pause(annotate::Pause),
    /// End a pause
    Resume(annotate::Resume),
    /// Print the logs of a cluster's pods
    Logs(logs::Logs),
    /// Compare the settings of the manifest with what is mounted and what the brokers use
    Drift(drift::Drift),
}

/// The whole program.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let line = match CommandLine::try_parse_from(args) {
        Ok(line) => line,
        Err(error) => {
            // A closed output is no reason to end differently.
            error.print().ok();
            return ExitCode::from(if error.use_stderr() { exit::USAGE } else { exit::OK });
        }
    };
    match work(&line) {
        // `kubectl rmq logs demo | head` is no failure.
        Err(error) if is_reader_gone(&error) => ExitCode::SUCCESS,
        result => exit::report("kubectl-rmq", result),
    }
}

fn work(line: &CommandLine) -> anyhow::Result<ExitCode> {
    let config = RuntimeConfig { workers: 1, ..RuntimeConfig::default() };
    runtime::build(&config)?.block_on(async {
        let session = Session::open(&line.access).await?;
        run(&session, &line.command, &mut io::stdout()).await
    })
}

fn is_reader_gone(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<io::Error>()
        .is_some_and(|source| source.kind() == io::ErrorKind::BrokenPipe)
}

/// Runs one command; the status says what scripts want to know.
async fn run(
    session: &Session,
    command: &Command,
    out: &mut dyn Write,
) -> anyhow::Result<ExitCode> {
    match command {
        Command::Status(args) => status::run(session, args, out).await,
        Command::Restart(args) => {
            let token = SystemClock::new().now().to_string();
            annotate::restart(session, args, &token, out).await
        }
        Command::DrainStatus(args) => drain::run(session, args, out).await,
        Command::Pause(args) => annotate::pause(session, args, out).await,
        Command::Resume(args) => annotate::resume(session, args, out).await,
        Command::Logs(args) => logs::run(session, args, out).await,
        Command::Drift(args) => drift::run(session, args, out).await,
    }
}

/// An API server and the namespace to look in.
pub(crate) struct Session {
    client: Client,
    namespace: String,
}

impl Session {
    async fn open(access: &Access) -> anyhow::Result<Self> {
        let options =
            KubeConfigOptions { context: access.context.clone(), ..KubeConfigOptions::default() };
        let mut config = match &access.kubeconfig {
            Some(path) => {
                let file = Kubeconfig::read_from(path)
                    .with_context(|| format!("cannot read {}", path.display()))?;
                Config::from_custom_kubeconfig(file, &options).await?
            }
            None if access.context.is_some() => Config::from_kubeconfig(&options).await?,
            None => Config::infer().await.context("there is no API server to ask")?,
        };
        // A person would rather read an error than wait for fifteen attempts.
        config.default_retry = false;
        config.connect_timeout = Some(Duration::from_secs(10));
        let namespace =
            access.namespace.clone().unwrap_or_else(|| config.default_namespace.clone());
        Ok(Self { client: Client::try_from(config)?, namespace })
    }

    fn clusters(&self) -> Api<Cluster> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// The cluster called `name`.
    async fn cluster(&self, name: &str) -> anyhow::Result<Cluster> {
        self.clusters()
            .get_opt(name)
            .await
            .with_context(|| format!("cannot read cluster {name}"))?
            .with_context(|| {
                format!("there is no RocketMQCluster {name} in namespace {}", self.namespace)
            })
    }

    /// Selects what belongs to the cluster called `name`.
    fn selector(name: &str) -> String {
        format!("{}={name}", rmq_operator_api::meta::CLUSTER)
    }
}
