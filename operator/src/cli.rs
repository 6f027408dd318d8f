//! The command line.

use crate::run::{self, Images};
use anyhow::Context as _;
use clap::{Args, Parser, Subcommand, ValueEnum};
use rmq_host::exit::{self, Exit};
use rmq_host::runtime::{self, RuntimeConfig};
use rmq_host::telemetry::{self, Format, TelemetryConfig};
use std::ffi::OsString;
use std::io::Write as _;
use std::net::SocketAddr;
use std::process::ExitCode;

#[derive(Debug, Parser)]
#[command(
    name = "rmq-operator",
    about = "Runs RocketMQClusters in Kubernetes",
    version,
    args_conflicts_with_subcommands = true
)]
struct CommandLine {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    run: RunOptions,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run clusters until asked to stop; what happens without a command, too
    Run(Box<RunOptions>),
    /// Print the definition of the resource, for `kubectl apply --server-side -f -`
    Crds,
}

/// How to run.
#[derive(Clone, Debug, Args)]
pub(crate) struct RunOptions {
    /// Namespace whose clusters to run; may be given several times. All if it is not given
    #[arg(long, value_name = "NAMESPACE", env = "RMQ_WATCH_NAMESPACES", value_delimiter = ',')]
    pub(crate) watch_namespace: Vec<String>,
    /// Take part in an election and only work as long as it is won; for two or more replicas
    #[arg(long, env = "RMQ_LEADER_ELECT")]
    pub(crate) leader_elect: bool,
    /// Namespace of the election's Lease; the operator's own if it is not given
    #[arg(long, value_name = "NAMESPACE", env = "POD_NAMESPACE")]
    pub(crate) lease_namespace: Option<String>,
    /// Name of this process in the election and in events; must differ between replicas
    #[arg(long, value_name = "NAME", env = "POD_NAME")]
    pub(crate) identity: Option<String>,
    /// Where /metrics, /healthz and /readyz are served; all addresses of this machine if it is
    /// not given
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(crate) metrics_address: Option<SocketAddr>,
    /// Port of /metrics, /healthz and /readyz where --metrics-address is not given
    #[arg(long, value_name = "PORT", env = "RMQ_HTTP_PORT", default_value_t = 8080)]
    pub(crate) http_port: u16,
    /// Image of brokers of clusters that name none
    #[arg(long, value_name = "IMAGE", env = "RMQ_BROKER_IMAGE")]
    pub(crate) broker_image: Option<String>,
    /// Image of name servers of clusters that name none
    #[arg(long, value_name = "IMAGE", env = "RMQ_NAMESERVER_IMAGE")]
    pub(crate) nameserver_image: Option<String>,
    /// Namespace that may read the metrics of clusters; may be given several times
    #[arg(long, value_name = "NAMESPACE", env = "RMQ_METRICS_NAMESPACES", value_delimiter = ',')]
    pub(crate) metrics_namespace: Vec<String>,
    /// Context of the kubeconfig; the current one, or the pod's account, if it is not given
    #[arg(long, value_name = "NAME")]
    pub(crate) context: Option<String>,
    /// Form of log lines
    #[arg(long, value_name = "FORMAT", env = "RMQ_LOG_FORMAT", value_enum, default_value_t)]
    log_format: LogFormat,
    /// Level, or levels by target: info,rmq_operator=debug
    #[arg(long, value_name = "LEVEL", env = "RMQ_LOG", default_value = "info")]
    log_level: String,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum LogFormat {
    /// For people
    #[default]
    Text,
    /// One object per line
    Json,
}

/// The whole program.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let line = match CommandLine::try_parse_from(args) {
        Ok(line) => line,
        Err(error) => {
            // A closed output is no reason to end differently.
            error.print().ok();
            let code = if error.use_stderr() { exit::USAGE } else { exit::OK };
            return ExitCode::from(code);
        }
    };
    exit::report("rmq-operator", dispatch(line))
}

fn dispatch(line: CommandLine) -> anyhow::Result<ExitCode> {
    match line.command {
        None => work(line.run),
        Some(Command::Run(options)) => work(*options),
        Some(Command::Crds) => {
            std::io::stdout().lock().write_all(rmq_operator_api::crd::yaml().as_bytes())?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn work(options: RunOptions) -> anyhow::Result<ExitCode> {
    let images = Images::of(options.nameserver_image.as_deref(), options.broker_image.as_deref())
        .map_err(|message| Exit { code: exit::USAGE, message })?;
    let format = match options.log_format {
        LogFormat::Text => Format::Text,
        LogFormat::Json => Format::Json,
    };
    let filter = filter(&options.log_level);
    let telemetry = TelemetryConfig { format, filter, ..TelemetryConfig::default() };
    telemetry::init(&telemetry)
        .with_context(|| format!("--log-level {:?} is not understood", options.log_level))?;
    exit::log_panics();
    // Definitions of resources are parsed recursively; stacks only take what is used of them.
    let config =
        RuntimeConfig { workers: 2, stack_bytes: 4 * 1024 * 1024, ..RuntimeConfig::default() };
    runtime::build(&config)?.block_on(run::run(options, images))
}

/// The runtime's spans repeat in every line what our own fields say.
fn filter(level: &str) -> String {
    if level.contains("kube_runtime") {
        level.to_owned()
    } else {
        format!("{level},kube_runtime=warn")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(args: &[&str]) -> Result<CommandLine, clap::Error> {
        CommandLine::try_parse_from(["rmq-operator"].iter().chain(args))
    }

    fn run_options(args: &[&str]) -> RunOptions {
        let line = parse(args).expect("understood");
        match line.command {
            Some(Command::Run(options)) => *options,
            None => line.run,
            Some(other) => panic!("{other:?}"),
        }
    }

    #[test]
    fn running_is_what_happens_without_a_command() {
        let flags =
            ["--watch-namespace=a", "--watch-namespace=b", "--leader-elect", "--log-format=json"];
        for args in [&flags[..], &[&["run"][..], &flags[..]].concat()] {
            let options = run_options(args);
            assert_eq!(options.watch_namespace, ["a", "b"]);
            assert!(options.leader_elect);
            assert_eq!(options.log_format, LogFormat::Json);
        }
        assert!(run_options(&[]).watch_namespace.is_empty());
    }

    #[test]
    fn bad_lines_are_refused() {
        for bad in [
            &["walk"][..],
            &["run", "--metrics-address", "8080"],
            &["run", "--log-format", "xml"],
            &["run", "rest"],
            &["--leader-elect", "crds"],
        ] {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
    }
}
