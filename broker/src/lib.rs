//! The RocketMQ broker: remoting requests in front, a Java-compatible store behind.
//!
//! [`run`] is the program; [`start`] embeds a broker in another one.

pub mod cli;
pub mod config;
mod control;
pub mod identity;
mod metrics;
pub mod persist;
pub mod pod;
mod presence;
pub mod registration;
pub mod reload;
mod remoting;
pub mod replication;
pub mod service;
mod start;
mod upkeep;
mod watchdog;

pub use cli::Options;
pub use presence::StopMode;
pub use start::{Running, StartError, StopError, start, store_config};

use cli::{EXIT_START, EXIT_STORE};
use rmq_host::exit::{self, Exit};
use rmq_host::runtime::{self, RuntimeConfig};
use rmq_host::{Tasks, signals, telemetry};
use std::ffi::OsString;
use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

/// Longest time requests under way get at a stop.
const GRACE: Duration = Duration::from_secs(5);

/// The program: reads the command line, runs until it is asked to stop, gives the exit code.
pub fn main(args: impl Iterator<Item = OsString>) -> ExitCode {
    match cli::parse(args) {
        Ok(options) => exit::report("rmq-broker", run(&options)),
        Err(code) => code,
    }
}

/// Runs a broker until a signal asks it to stop, or prints its settings.
///
/// # Errors
/// [`Exit`] with the code and the one line that says why.
pub fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let gathered = cli::gather(options)?;
    let printing = options.print_config_item || options.print_important_config;
    if !printing {
        telemetry::init(&gathered.telemetry)?;
        exit::log_panics();
    }
    let workers = std::thread::available_parallelism().map_or(2, usize::from);
    let runtime = RuntimeConfig {
        workers,
        blocking_threads_max: 16,
        thread_name: "rmq-broker",
        ..RuntimeConfig::default()
    };
    if printing {
        let config = runtime::run(&runtime, gathered.config())??;
        let text = cli::printed(&config, !options.print_config_item);
        std::io::stdout().write_all(text.as_bytes())?;
        return Ok(ExitCode::SUCCESS);
    }
    // A recovery that was asked to stop goes on on its thread until the process ends.
    runtime::run(&runtime, until_stopped(gathered))??;
    Ok(ExitCode::SUCCESS)
}

async fn until_stopped(gathered: cli::Gathered) -> anyhow::Result<()> {
    let tasks = Tasks::new("program");
    let signals = signals::listen(&tasks)?;
    let starting = async {
        let config = gathered.config().await?;
        Ok::<_, anyhow::Error>(start(config).await.map_err(refused)?)
    };
    let running = tokio::select! {
        running = starting => running?,
        () = signals.stop.cancelled() => {
            tracing::info!("stopped while starting");
            return Ok(());
        }
    };
    let mode = tokio::select! {
        () = signals.stop.cancelled() => StopMode::Orderly,
        mode = running.asked_to_stop() => mode,
        () = running.failed() => StopMode::Fast,
    };
    let failure = running.failure();
    let hurried = mode == StopMode::Orderly && running.drain(&signals.hurry).await;
    let stopped = if hurried {
        running.shutdown(GRACE).await
    } else {
        tokio::select! {
            stopped = running.shutdown(GRACE) => stopped,
            () = signals.hurry.cancelled() => {
                let message =
                    "stopped at once: the store will be recovered at the next start".into();
                return Err(Exit { code: EXIT_START, message }.into());
            }
        }
    };
    tasks.shutdown(Duration::from_secs(1)).await;
    stopped?;
    match failure {
        Some(message) => Err(Exit { code: EXIT_START, message }.into()),
        None => Ok(()),
    }
}

/// The exit code and line of a start that failed.
fn refused(error: StartError) -> Exit {
    let code = match &error {
        StartError::Store(_) | StartError::Tables(_) | StartError::Identity(_) => EXIT_STORE,
        StartError::Path { .. }
        | StartError::Replication(_)
        | StartError::Bind(_)
        | StartError::Http(_)
        | StartError::Interrupted(_) => EXIT_START,
    };
    Exit { code, message: format!("{:#}", anyhow::Error::from(error)) }
}
