//! The command line, with the flags of the Java broker.

use crate::config::{Config, ConfigError, KEYS, Surroundings};
use crate::pod::{MountError, Mounts, SERVICE_PATIENCE, service_address};
use clap::Parser;
use rmq_host::exit::Exit;
use rmq_host::telemetry::TelemetryConfig;
use rmq_host::{Origin, Settings as Layers};
use rmq_pod::BrokerPod;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

/// Exit code for a bad command line, a bad configuration, or a start that fails.
pub const EXIT_START: u8 = 255;
/// Exit code for a bad name server list and for a store that cannot be loaded.
pub const EXIT_STORE: u8 = 253;

/// What the command line says.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Options {
    /// Properties file, in the form of RocketMQ's broker.conf
    #[arg(short = 'c', long = "configFile", value_name = "FILE")]
    pub config_file: Option<PathBuf>,
    /// Name servers, host:port;host:port; wins over the file
    #[arg(short = 'n', long = "namesrvAddr", value_name = "LIST")]
    pub namesrv_addr: Option<String>,
    /// Print every setting as it would be in use
    #[arg(short = 'p', long = "printConfigItem")]
    pub print_config_item: bool,
    /// Print who the broker is and where its data lies
    #[arg(short = 'm', long = "printImportantConfig")]
    pub print_important_config: bool,
}

#[derive(Debug, Parser)]
#[command(name = "rmq-broker", about = "The RocketMQ broker", version)]
struct CommandLine {
    #[command(flatten)]
    options: Options,
}

/// Everything that was given; the settings are not checked yet.
#[derive(Debug)]
pub struct Gathered {
    /// How to log.
    pub telemetry: TelemetryConfig,
    source: Source,
}

#[derive(Debug)]
enum Source {
    /// A file, variables and flags.
    CommandLine { layers: Layers, file: Option<PathBuf> },
    /// A pod's environment and mounted files.
    Pod(Box<BrokerPod>),
}

/// Reads the command line; `Err` is the exit code of a command line that asks for nothing else.
pub(crate) fn parse(args: impl Iterator<Item = OsString>) -> Result<Options, ExitCode> {
    match CommandLine::try_parse_from(args) {
        Ok(line) => Ok(line.options),
        Err(error) => {
            // A closed output is no reason to end differently.
            error.print().ok();
            Err(if error.use_stderr() { ExitCode::from(EXIT_START) } else { ExitCode::SUCCESS })
        }
    }
}

/// Reads the environment, the file and the flags.
///
/// # Errors
/// One line with what is wrong, and the exit code, as [`Exit`].
pub fn gather(options: &Options) -> anyhow::Result<Gathered> {
    gather_from(options, |name| std::env::var(name).ok())
}

fn gather_from(
    options: &Options,
    lookup: impl Fn(&str) -> Option<String>,
) -> anyhow::Result<Gathered> {
    if let Some(pod) = BrokerPod::read(lookup).map_err(|error| stop(&error))? {
        if options.config_file.is_some() || options.namesrv_addr.is_some() {
            let dir = &pod.template.shared.config_dir;
            return Err(stop(&format!(
                "-c and -n do not go with {}: the settings of a pod come from {dir}",
                rmq_pod::env::CLUSTER_NAME
            ))
            .into());
        }
        let mounts = Mounts::new(pod.clone(), None);
        let given =
            mounts.read().map_err(|error| stop(&format!("{:#}", anyhow::Error::from(error))))?;
        let telemetry = telemetry(&mounts.layers(&given))?;
        return Ok(Gathered { telemetry, source: Source::Pod(Box::new(pod)) });
    }
    let mut layers = Layers::new();
    if let Some(file) = &options.config_file {
        layers.add_file(file).map_err(|error| {
            let error = anyhow::Error::from(error);
            stop(&format!("{error:#}"))
        })?;
    }
    // As with the Java broker the variable is a default: the file wins over it.
    if layers.origin("namesrvAddr").is_none() {
        layers.add_environment("NAMESRV_ADDR", "namesrvAddr");
    }
    if let Some(list) = &options.namesrv_addr {
        layers.set("namesrvAddr", list, Origin::Flag("-n"));
    }
    let telemetry = telemetry(&layers)?;
    let file = options.config_file.clone();
    Ok(Gathered { telemetry, source: Source::CommandLine { layers, file } })
}

impl Gathered {
    /// Checks everything. A pod waits for its Service to be known to DNS.
    ///
    /// # Errors
    /// One line with everything that is wrong, and the exit code, as [`Exit`].
    pub async fn config(self) -> anyhow::Result<Config> {
        let pod = match self.source {
            Source::CommandLine { layers, file } => {
                let machine = Surroundings::of_this_machine();
                let checked = Config::check(&layers, file.as_deref(), &machine);
                return Ok(checked.map_err(|errors| refuse(&errors))?);
            }
            Source::Pod(pod) => *pod,
        };
        let service_ip = match pod.service() {
            Some(service) => {
                let found = service_address(&service, pod.place.ip, SERVICE_PATIENCE).await;
                Some(found.map_err(|error| stop(&error))?)
            }
            None => None,
        };
        let mounts = Mounts::new(pod, service_ip);
        let checked = mounts.read().and_then(|given| {
            let name_servers = mounts.read_name_servers()?;
            mounts.config(&given, &name_servers)
        });
        let mut config = checked.map_err(|error| {
            if let MountError::Config(errors) = &error {
                return refuse(errors);
            }
            stop(&format!("{:#}", anyhow::Error::from(error)))
        })?;
        config.pod = Some(Arc::new(mounts));
        Ok(config)
    }
}

fn telemetry(layers: &Layers) -> Result<TelemetryConfig, Exit> {
    TelemetryConfig::from_settings(layers).map_err(|error| refuse(&[ConfigError::Setting(error)]))
}

fn stop(why: &impl ToString) -> Exit {
    Exit { code: EXIT_START, message: why.to_string() }
}

fn refuse(errors: &[ConfigError]) -> Exit {
    let only_name_servers = !errors.is_empty()
        && errors.iter().all(|error| matches!(error, ConfigError::NameServers { .. }));
    let code = if only_name_servers { EXIT_STORE } else { EXIT_START };
    let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
    Exit { code, message: lines.join("; ") }
}

/// `key = value` lines for `-p`, or the important ones for `-m`.
pub fn printed(config: &Config, important_only: bool) -> String {
    let mut text = String::new();
    for key in KEYS.iter().filter(|key| !important_only || key.is_important()) {
        let value = config.settings.text(key.name).unwrap_or_default();
        writeln!(text, "{}={value}", key.name).ok();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use rmq_host::runtime::{self, RuntimeConfig};

    fn options(args: &[&str]) -> Options {
        let all = ["rmq-broker"].iter().chain(args).map(OsString::from);
        parse(all).expect("a good command line")
    }

    fn prepare(options: &Options) -> anyhow::Result<Config> {
        let runtime = RuntimeConfig { workers: 0, ..RuntimeConfig::default() };
        let gathered = gather_from(options, |_| None)?;
        runtime::build(&runtime)?.block_on(gathered.config())
    }

    #[test]
    fn a_pod_takes_its_settings_from_its_directory() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let dir = folder.path().display().to_string();
        let lookup = |name: &str| match name {
            "POD_NAME" => Some("demo-broker-a-0".to_owned()),
            "RMQ_CLUSTER_NAME" => Some("demo".to_owned()),
            "RMQ_BROKER_NAME" => Some("broker-a".to_owned()),
            "RMQ_ADVERTISE" => Some("PodIP".to_owned()),
            "POD_IP" => Some("10.1.0.7".to_owned()),
            "RMQ_CONFIG_DIR" | "RMQ_DATA_DIR" => Some(dir.clone()),
            _ => None,
        };
        rmq_host::durable::replace(&folder.path().join("broker.conf"), b"logFormat=json")
            .expect("writable");
        let gathered = gather_from(&Options::default(), lookup).expect("good");
        assert_eq!(gathered.telemetry.format, rmq_host::telemetry::Format::Json);
        let runtime = RuntimeConfig { workers: 0, ..RuntimeConfig::default() };
        let config = runtime::build(&runtime).expect("made").block_on(gathered.config());
        let config = config.expect("valid");
        assert_eq!(&*config.settings.broker_ip1, "10.1.0.7");
        assert!(config.pod.is_some() && config.file.is_none());
        let line = Options { namesrv_addr: Some("a:1".into()), ..Options::default() };
        let error = gather_from(&line, lookup).expect_err("both").to_string();
        assert!(error.contains("-c and -n do not go with RMQ_CLUSTER_NAME"), "{error}");
    }

    #[test]
    fn both_spellings_of_the_flags() {
        let short = options(&["-c", "b.conf", "-n", "a:1", "-p"]);
        let long =
            options(&["--configFile", "b.conf", "--namesrvAddr", "a:1", "--printConfigItem"]);
        for line in [short, long] {
            assert_eq!(line.config_file, Some(PathBuf::from("b.conf")));
            assert_eq!(line.namesrv_addr.as_deref(), Some("a:1"));
            assert!(line.print_config_item && !line.print_important_config);
        }
    }

    #[test]
    fn exit_codes_tell_what_was_wrong() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("b.conf");
        for (text, code) in [
            ("namesrvAddr=nowhere", EXIT_STORE),
            ("listenPort=x", EXIT_START),
            ("brokerRole=SLAVE\nbrokerId=0", EXIT_START),
        ] {
            rmq_host::durable::replace(&path, text.as_bytes()).expect("writable");
            let line = Options { config_file: Some(path.clone()), ..Options::default() };
            let error = prepare(&line).expect_err("refused");
            assert_eq!(error.downcast_ref::<Exit>().map(|e| e.code), Some(code), "{text}");
        }
    }

    #[test]
    fn the_flag_wins_over_the_file() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("b.conf");
        rmq_host::durable::replace(&path, b"namesrvAddr=a:1\nstorePathRootDir=/s")
            .expect("writable");
        let mut line = Options { config_file: Some(path), ..Options::default() };
        assert_eq!(prepare(&line).expect("valid").name_servers, ["a:1"]);
        line.namesrv_addr = Some("b:2;c:3".into());
        assert_eq!(prepare(&line).expect("valid").name_servers, ["b:2", "c:3"]);
    }

    #[test]
    fn important_settings_are_a_part_of_all() {
        let config = Config::from_pairs(&[("brokerName", "b-1")]).expect("valid");
        let all = printed(&config, false);
        let important = printed(&config, true);
        assert_eq!(all.lines().count(), KEYS.len());
        assert!(important.contains("brokerName=b-1\n"));
        assert!(important.lines().count() < all.lines().count());
        assert!(important.lines().all(|line| all.lines().any(|other| other == line)));
    }
}
