//! From a properties file, the environment and flags to a configuration that holds what it says.
//!
//! Every value is checked before anything is opened; an error names key, value, place and rule.

mod address;
mod other;
mod page;
mod rule;
mod settings;

pub use address::first_address;
pub use other::{Other, other};
pub use page::reference_page;
pub use rule::{Rule, delay_levels, hours, labels, name_servers};
pub use settings::{Change, KEYS, Key, Settings, key};

use crate::pod::Mounts;
use rmq_host::grpc::ControlConfig;
use rmq_host::{Origin, SettingError, Settings as Layers};
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Why a broker cannot start with what it was given.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A value breaks the rule of its key.
    #[error(transparent)]
    Setting(#[from] SettingError),
    /// A value asks for something this broker does not have.
    #[error("{key} = {value:?}: {why}")]
    NotAvailable {
        /// Key.
        key: String,
        /// Value as given.
        value: String,
        /// What is missing.
        why: String,
    },
    /// Two values do not go together.
    #[error("{0}")]
    Conflict(String),
    /// The name server list is no list of `host:port`.
    #[error("{origin}: {key} = {value:?}: must be `host:port`, several separated by `;`")]
    NameServers {
        /// Key.
        key: String,
        /// Value as given.
        value: String,
        /// Where it was given.
        origin: Origin,
    },
}

impl ConfigError {
    /// The key to blame, if it is a single one.
    pub fn key(&self) -> Option<&str> {
        match self {
            Self::Setting(error) => Some(&error.key),
            Self::NotAvailable { key, .. } | Self::NameServers { key, .. } => Some(key),
            Self::Conflict(_) => None,
        }
    }
}

/// What the machine contributes where the file says nothing.
#[derive(Clone, Debug)]
pub struct Surroundings {
    /// Name of the host.
    pub host_name: String,
    /// First address that is not a loopback.
    pub address: Option<IpAddr>,
    /// Home directory.
    pub home: Option<PathBuf>,
}

impl Surroundings {
    /// Those of this process.
    pub fn of_this_machine() -> Self {
        let uname = rustix::system::uname();
        let host_name = uname.nodename().to_string_lossy().into_owned();
        let home = std::env::var_os("HOME").filter(|home| !home.is_empty()).map(PathBuf::from);
        Self { host_name, address: first_address(), home }
    }
}

/// A checked configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// Every setting, the derived ones filled in.
    pub settings: Settings,
    /// File that request 25 rewrites; without it changes last until the stop.
    pub file: Option<PathBuf>,
    /// Name servers, `host:port`.
    pub name_servers: Vec<String>,
    /// Address or name that clients are told.
    pub advertised: Arc<str>,
    /// Address in stored messages.
    pub store_ip: IpAddr,
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Delay of each level, ms, level 1 first.
    pub delay_levels_ms: Vec<i64>,
    /// Where metrics and health are served.
    pub metrics: Option<SocketAddr>,
    /// Where the control API is served.
    pub control: Option<ControlConfig>,
    /// Time between being asked to stop and closing the ports.
    pub drain: Duration,
    /// The pod it runs in, with the files that are mounted there.
    pub pod: Option<Arc<Mounts>>,
    /// What was given and known, but is no setting here; shown by request 26.
    pub others: Vec<(String, String)>,
    /// What a person should know before the broker runs.
    pub warnings: Vec<String>,
}

impl Config {
    /// Checks everything that was given.
    ///
    /// # Errors
    /// All that is wrong, in the order of the key table; never empty.
    pub fn check(
        layers: &Layers,
        file: Option<&Path>,
        machine: &Surroundings,
    ) -> Result<Self, Vec<ConfigError>> {
        let mut errors = Vec::new();
        let mut warnings: Vec<String> = layers.warnings().to_vec();
        let mut texts: HashMap<&'static str, String> = HashMap::new();
        for key in KEYS {
            let given = find(layers, key, &mut warnings);
            let text = match given {
                Some((_, value)) if value.trim().is_empty() && !key.default.is_empty() => {
                    key.default
                }
                Some((name, value)) => match checked(key, name, value.trim(), layers) {
                    Ok(()) => value.trim(),
                    Err(error) => {
                        errors.push(error);
                        key.default
                    }
                },
                None => key.default,
            };
            texts.insert(key.name, text.to_owned());
        }
        let others = others(layers, &mut warnings, &mut errors);
        derive(&mut texts, machine, &mut warnings, &mut errors);
        let settings = match Settings::build(|name| texts.get(name).map_or("", String::as_str)) {
            Ok(settings) => settings,
            Err(key) => {
                errors.push(ConfigError::Conflict(format!("{key} is out of range")));
                return Err(errors);
            }
        };
        refuse_what_is_missing(&settings, &mut errors);
        if !errors.is_empty() {
            return Err(errors);
        }
        Ok(Self::assemble(settings, file, others, warnings))
    }

    /// A configuration from pairs alone, as a test or an embedding program gives them.
    ///
    /// # Errors
    /// As [`Config::check`].
    pub fn from_pairs(pairs: &[(&str, &str)]) -> Result<Self, Vec<ConfigError>> {
        let mut layers = Layers::new();
        for (key, value) in pairs {
            layers.set(key, value, Origin::Flag("embedded"));
        }
        Self::check(&layers, None, &Surroundings::of_this_machine())
    }

    fn assemble(
        settings: Settings,
        file: Option<&Path>,
        others: Vec<(String, String)>,
        mut warnings: Vec<String>,
    ) -> Self {
        let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let any = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        let bind = settings.bind_address.parse().unwrap_or(any);
        let metrics_port =
            match (settings.metrics_prom_exporter_port, &*settings.metrics_exporter_type) {
                (0, kind) if kind.eq_ignore_ascii_case("PROM") || kind == "2" => 5_557,
                (port, _) => port,
            };
        let metrics_ip = settings.metrics_prom_exporter_host.parse().unwrap_or(bind);
        Self {
            name_servers: name_servers(&settings.namesrv_addr).unwrap_or_default(),
            advertised: Arc::clone(&settings.broker_ip1),
            store_ip: settings.store_host.parse().unwrap_or(loopback),
            listen: SocketAddr::new(bind, settings.listen_port),
            delay_levels_ms: delay_levels(&settings.message_delay_level).unwrap_or_default(),
            metrics: (0 < metrics_port).then(|| SocketAddr::new(metrics_ip, metrics_port)),
            control: control(&settings, bind, &mut warnings),
            drain: Duration::from_secs(settings.shutdown_drain_seconds.into()),
            pod: None,
            file: file.map(Path::to_path_buf),
            settings,
            others,
            warnings,
        }
    }

    /// Directory of all data.
    pub fn root(&self) -> PathBuf {
        PathBuf::from(&*self.settings.store_path_root_dir)
    }

    /// `config/<name>` in the root.
    pub fn table_path(&self, name: &str) -> PathBuf {
        self.root().join("config").join(name)
    }
}

impl Settings {
    /// These settings with one changed, for request 25.
    ///
    /// # Errors
    /// The rule that the value breaks.
    pub fn with(&self, key: &'static Key, value: &str) -> Result<Self, ConfigError> {
        let value = value.trim();
        if !key.rule.accepts(value) {
            return Err(broken(key, key.name, value, Origin::Admin));
        }
        let texts: HashMap<&'static str, String> = KEYS
            .iter()
            .map(|k| {
                let text =
                    if k.name == key.name { Some(value.to_owned()) } else { self.text(k.name) };
                (k.name, text.unwrap_or_default())
            })
            .collect();
        Self::build(|name| texts.get(name).map_or("", String::as_str))
            .map_err(|name| ConfigError::Conflict(format!("{name} is out of range")))
    }
}

/// The given text of `key` under its name or an older spelling.
fn find<'a>(
    layers: &'a Layers,
    key: &'static Key,
    warnings: &mut Vec<String>,
) -> Option<(&'static str, &'a str)> {
    let under = |name: &'static str| {
        layers.given().find_map(|(given, value)| (given == name).then_some((name, value)))
    };
    let old = key.aliases.iter().find_map(|alias| under(alias));
    match (under(key.name), old) {
        (Some(now), Some((alias, value))) if value != now.1 => {
            warnings.push(format!("{alias} is the older spelling of {}, which wins", key.name));
            Some(now)
        }
        (Some(now), _) => Some(now),
        (None, old) => old,
    }
}

fn checked(key: &'static Key, name: &str, value: &str, layers: &Layers) -> Result<(), ConfigError> {
    if key.rule.accepts(value) {
        return Ok(());
    }
    let origin = layers.origin(name).cloned().unwrap_or(Origin::Admin);
    Err(broken(key, name, value, origin))
}

fn broken(key: &'static Key, name: &str, value: &str, origin: Origin) -> ConfigError {
    let value: String = value.chars().take(128).collect();
    if key.rule == Rule::NameServers {
        return ConfigError::NameServers { key: name.to_owned(), value, origin };
    }
    let rule = format!("must be {}", key.rule.words());
    ConfigError::Setting(SettingError { key: name.to_owned(), value, origin, rule })
}

/// Sorts out what is no setting: known without meaning, missing here, or unknown.
fn others(
    layers: &Layers,
    warnings: &mut Vec<String>,
    errors: &mut Vec<ConfigError>,
) -> Vec<(String, String)> {
    let mut kept = Vec::new();
    for (name, value) in layers.given() {
        if key(name).is_some() {
            continue;
        }
        let on = value.trim().eq_ignore_ascii_case("true");
        match other(name) {
            Some(Other::Tuning) => {}
            Some(Other::Missing(why)) if on => {
                warnings.push(format!("{name} has no effect: {why}"))
            }
            Some(Other::Refused(why)) if on => errors.push(ConfigError::NotAvailable {
                key: name.to_owned(),
                value: value.to_owned(),
                why: why.to_owned(),
            }),
            Some(Other::Missing(_) | Other::Refused(_)) => {}
            None => {
                let place = layers.origin(name).map(ToString::to_string).unwrap_or_default();
                warnings.push(format!("{place}: {name} is not known and has no effect"));
            }
        }
        kept.push((name.to_owned(), value.to_owned()));
    }
    kept
}

/// Fills in what the machine decides.
fn derive(
    texts: &mut HashMap<&'static str, String>,
    machine: &Surroundings,
    warnings: &mut Vec<String>,
    errors: &mut Vec<ConfigError>,
) {
    let get = |texts: &HashMap<_, String>, name| texts.get(name).cloned().unwrap_or_default();
    if get(texts, "brokerName").is_empty() {
        texts.insert("brokerName", machine.host_name.clone());
    }
    let own: Option<IpAddr> = {
        let bind: Option<IpAddr> = get(texts, "bindAddress").parse().ok();
        bind.filter(|ip| !ip.is_unspecified()).or(machine.address)
    };
    let mut address = |key: &str| {
        own.unwrap_or_else(|| {
            warnings.push(format!(
                "no address besides loopback was found: only clients of this machine can use \
                 {key} = 127.0.0.1"
            ));
            IpAddr::V4(Ipv4Addr::LOCALHOST)
        })
    };
    if get(texts, "brokerIP1").is_empty() {
        texts.insert("brokerIP1", address("brokerIP1").to_string());
    }
    if get(texts, "storeHost").is_empty() {
        let advertised: Option<IpAddr> = get(texts, "brokerIP1").parse().ok();
        let ip = advertised.unwrap_or_else(|| address("storeHost"));
        texts.insert("storeHost", ip.to_string());
    }
    if get(texts, "brokerIP2").is_empty() {
        texts.insert("brokerIP2", get(texts, "brokerIP1"));
    }
    if get(texts, "storePathRootDir").is_empty() {
        match &machine.home {
            Some(home) => {
                texts.insert("storePathRootDir", home.join("store").display().to_string());
            }
            None => errors.push(ConfigError::Conflict(
                "storePathRootDir is not set and there is no HOME to put the store under".into(),
            )),
        }
    }
    let is_slave = get(texts, "brokerRole").trim().eq_ignore_ascii_case("SLAVE");
    let id = get(texts, "brokerId");
    if !is_slave && id.trim().parse::<i64>().is_ok_and(|id| 0 < id) {
        warnings.push(format!("brokerId = {id} has no effect: a master has 0"));
        texts.insert("brokerId", "0".into());
    }
    let root = PathBuf::from(get(texts, "storePathRootDir"));
    for (key, name) in [
        ("storePathCommitLog", "commitlog"),
        ("storePathConsumeQueue", "consumequeue"),
        ("storePathIndex", "index"),
        ("storeCheckpoint", "checkpoint"),
        ("abortFile", "abort"),
    ] {
        if get(texts, key).is_empty() {
            texts.insert(key, root.join(name).display().to_string());
        }
    }
}

fn control(settings: &Settings, bind: IpAddr, warnings: &mut Vec<String>) -> Option<ControlConfig> {
    let file = Some(&*settings.control_token_file).filter(|file| !file.is_empty());
    let config = ControlConfig::at(bind, settings.control_listen_port, file.map(PathBuf::from));
    config.unwrap_or_else(|off| {
        warnings.push(off.to_string());
        None
    })
}

fn refuse_what_is_missing(settings: &Settings, errors: &mut Vec<ConfigError>) {
    let mut refuse = |key: &str, value: String, why: &str| {
        errors.push(ConfigError::NotAvailable { key: key.into(), value, why: why.into() });
    };
    if settings.broker_role.eq_ignore_ascii_case("SLAVE") && settings.broker_id < 1 {
        refuse("brokerId", settings.broker_id.to_string(), "a replica has an id above 0");
    }
    let in_sync = settings.in_sync_replicas;
    if settings.broker_role.eq_ignore_ascii_case("SYNC_MASTER")
        && in_sync < settings.min_in_sync_replicas
        && !settings.all_ack_in_sync_state_set
    {
        let why = "sends would not wait for as many copies: raise inSyncReplicas";
        refuse("minInSyncReplicas", settings.min_in_sync_replicas.to_string(), why);
    }
    if settings.store_type.eq_ignore_ascii_case("defaultRocksDB") {
        let why = "RocksDB queue stores are not available";
        refuse("storeType", settings.store_type.to_string(), why);
    }
    if settings.enable_property_filter {
        refuse("enablePropertyFilter", "true".into(), "SQL92 filters are not available yet");
    }
    if settings.default_message_request_mode.eq_ignore_ascii_case("POP") {
        refuse("defaultMessageRequestMode", "POP".into(), "POP consumption is not available yet");
    }
    if settings.store_path_commit_log.contains(',') {
        let why = "several commit log directories are not available yet";
        refuse("storePathCommitLog", settings.store_path_commit_log.to_string(), why);
    }
    if matches!(settings.listen_port, 1 | 2) {
        refuse("listenPort", settings.listen_port.to_string(), "the fast port is two below it");
    }
}

#[cfg(test)]
mod tests;
