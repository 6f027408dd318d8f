//! The command line, with the flags of the Java name server.

use crate::config::Config;
use crate::mounted::Mounts;
use crate::{Running, start};
use clap::Parser;
use rmq_host::exit::{self, Exit};
use rmq_host::runtime::{self, RuntimeConfig};
use rmq_host::telemetry::{self, TelemetryConfig};
use rmq_host::{Origin, Settings, Tasks, signals};
use rmq_pod::NameServerPod;
use std::ffi::OsString;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use tracing::{info, warn};

/// For requests under way when the process is asked to stop.
const GRACE: Duration = Duration::from_secs(5);

/// What the command line says.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Options {
    /// Properties file, in the form of RocketMQ's namesrv.conf
    #[arg(short = 'c', long = "configFile", value_name = "FILE")]
    pub config_file: Option<PathBuf>,
    /// Taken for the sake of old scripts; a name server needs no name servers
    #[arg(short = 'n', long = "namesrvAddr", value_name = "LIST")]
    pub namesrv_addr: Option<String>,
    /// Print every setting as it would be in use
    #[arg(short = 'p', long = "printConfigItem")]
    pub print_config_item: bool,
    /// Set one key; wins over the file. May be given several times
    #[arg(short = 'D', value_name = "KEY=VALUE", value_parser = pair)]
    pub set: Vec<(String, String)>,
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("must be KEY=VALUE")?;
    Ok((key.trim().to_owned(), value.trim().to_owned()))
}

#[derive(Debug, Parser)]
#[command(name = "rmq-nameserver", about = "The RocketMQ name server", version)]
struct CommandLine {
    #[command(flatten)]
    options: Options,
}

/// The whole program.
pub fn main() -> ExitCode {
    match parse(std::env::args_os()) {
        Ok(options) => exit::report("rmq-nameserver", run(&options)),
        Err(code) => code,
    }
}

fn parse(args: impl Iterator<Item = OsString>) -> Result<Options, ExitCode> {
    match CommandLine::try_parse_from(args) {
        Ok(line) => Ok(line.options),
        Err(error) => {
            // A closed output is no reason to end differently.
            error.print().ok();
            let code = if error.use_stderr() { exit::FAILURE } else { exit::OK };
            Err(ExitCode::from(code))
        }
    }
}

/// Reads the configuration and runs until a signal, or prints it.
///
/// # Errors
/// When the configuration is bad or the server cannot start or go on.
pub fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let pod = NameServerPod::read(|name| std::env::var(name).ok()).map_err(refuse)?;
    let mounts = pod.map(Mounts::new);
    let settings = match &mounts {
        Some(mounts) => mounted(options, mounts)?,
        None => settings(options)?,
    };
    let config = Config { mounts, ..Config::from_settings(&settings).map_err(refuse)? };
    let telemetry = TelemetryConfig::from_settings(&settings).map_err(refuse)?;
    if options.print_config_item {
        let mut out = std::io::stdout().lock();
        for (key, value) in &config.in_use {
            writeln!(out, "{key}={value}")?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    telemetry::init(&telemetry)?;
    exit::log_panics();
    for warning in settings.warnings().iter().chain(&config.warnings) {
        warn!("{warning}");
    }
    for (key, origin) in settings.unknown() {
        warn!(key, %origin, "unknown key, ignored");
    }
    let workers = std::thread::available_parallelism().map_or(2, usize::from).min(2);
    runtime::run(&RuntimeConfig { workers, ..RuntimeConfig::default() }, serve(config))?
}

fn refuse(error: impl std::fmt::Display) -> Exit {
    Exit { code: exit::FAILURE, message: error.to_string() }
}

/// Those of a pod, which decides much by itself.
fn mounted(options: &Options, mounts: &Mounts) -> anyhow::Result<Settings> {
    if options.config_file.is_some() || !options.set.is_empty() {
        let variable = rmq_pod::env::CLUSTER_NAME;
        let text = format!("-c and -D do not go with {variable}: a pod has its own directory");
        return Err(refuse(text).into());
    }
    mounts.settings()
}

/// Defaults < file < environment < flags.
fn settings(options: &Options) -> anyhow::Result<Settings> {
    let mut settings = Settings::new();
    if let Some(file) = &options.config_file {
        Config::add_file(&mut settings, file)?;
    }
    settings.add_environment("ROCKETMQ_HOME", "rocketmqHome");
    settings.add_environment("RMQ_LOG", "logLevel");
    settings.add_environment("RMQ_LOG_FORMAT", "logFormat");
    for (key, value) in &options.set {
        settings.set(key, value, Origin::Flag("-D"));
    }
    Ok(settings)
}

async fn serve(config: Config) -> anyhow::Result<ExitCode> {
    let signal_tasks = Tasks::new("signals");
    let signals = signals::listen(&signal_tasks)?;
    let running: Running = start(config).await?;
    tokio::select! {
        () = signals.stop.cancelled() => {}
        () = running.asked_to_stop() => {}
        failure = running.failed() => {
            running.shutdown(Duration::ZERO).await;
            return Err(anyhow::anyhow!(failure));
        }
    }
    let clean = tokio::select! {
        clean = running.shutdown(GRACE) => clean,
        () = signals.hurry.cancelled() => false,
    };
    info!(clean, "stopped");
    signal_tasks.shutdown(Duration::from_secs(1)).await;
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(args: &[&str]) -> Result<Options, ExitCode> {
        parse(["rmq-nameserver"].iter().chain(args).map(OsString::from))
    }

    #[test]
    fn the_flags_of_the_java_program_are_taken() {
        let given =
            options(&["-c", "n.conf", "-n", "a:1", "-p", "-D", "listenPort=1"]).expect("good");
        assert_eq!(given.config_file, Some(PathBuf::from("n.conf")));
        assert!(given.print_config_item);
        assert_eq!(given.set, [("listenPort".to_owned(), "1".to_owned())]);
        let long = options(&["--configFile", "n.conf", "--printConfigItem"]).expect("good");
        assert_eq!(long.config_file, Some(PathBuf::from("n.conf")));
        for bad in [&["-x"][..], &["-D", "novalue"], &["rest"]] {
            assert!(options(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn flags_win_over_the_file_and_errors_are_one_line() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("namesrv.conf");
        let path_text = path.display().to_string();
        rmq_host::durable::replace(&path, b"listenPort=1\nbindAddress=127.0.0.1\n")
            .expect("writable");
        let given = options(&["-c", &path_text, "-D", "listenPort=2"]).expect("good");
        let config = Config::from_settings(&settings(&given).expect("readable")).expect("good");
        assert_eq!(config.listen.to_string(), "127.0.0.1:2");
        rmq_host::durable::replace(&path, b"\nlistenPort=many\n").expect("writable");
        let error = run(&options(&["-c", &path_text]).expect("good")).expect_err("no number");
        let want =
            format!("{path_text}, line 2: listenPort = \"many\": must be a port from 0 to 65535");
        assert_eq!(format!("{error:#}"), want);
        let error = run(&options(&["-c", "/no/such.conf"]).expect("good")).expect_err("missing");
        assert!(format!("{error:#}").starts_with("cannot read /no/such.conf: "), "{error:#}");
    }
}
