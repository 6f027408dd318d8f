//! Configuration: the keys of the reference implementation, checked.

use crate::mounted::Mounts;
use crate::routes::Rules;
use rmq_host::grpc::ControlConfig;
use rmq_host::telemetry::TelemetryConfig;
use rmq_host::{SettingError, Settings};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Port of a name server when none is given.
pub const LISTEN_PORT: u16 = 9876;

/// Everything a name server needs to know before it starts.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where it listens (`bindAddress`, `listenPort`); port 0 takes a free one.
    pub listen: SocketAddr,
    /// Connections at a time.
    pub connections_max: usize,
    /// A connection without traffic for this long is closed.
    pub idle: Duration,
    /// Where health and metrics are served, if they are.
    pub http: Option<SocketAddr>,
    /// The KV file.
    pub kv_path: PathBuf,
    /// Where settings that are changed over the network are written.
    pub store_path: PathBuf,
    /// Keys that cannot be changed over the network.
    pub black_list: BTreeSet<String>,
    /// Where the control API is served.
    pub control: Option<ControlConfig>,
    /// The pod it runs in, with its mounted files.
    pub mounts: Option<Mounts>,
    /// What can be changed while running.
    pub switches: Switches,
    /// What is not as it may have been meant.
    pub warnings: Vec<String>,
    /// What is logged; can be changed while running.
    pub log_filter: String,
    /// Every known key with the value in use.
    pub in_use: BTreeMap<String, String>,
    /// What it was made of; changes over the network go on from here.
    pub settings: Settings,
}

/// The part of the configuration that takes effect at once when it is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Switches {
    /// Rules of the route tables.
    pub rules: Rules,
    /// Routes carry the order configuration of their topic.
    pub order_message: bool,
    /// Brokers are told the order configuration of all topics.
    pub return_order_config: bool,
    /// The list of all topics is given out.
    pub all_topic_list: bool,
    /// The lists of a cluster's and of unit topics are given out.
    pub topic_list: bool,
    /// Routes are refused for this long after the start.
    pub wait_for_service: Option<Duration>,
    /// Time between two looks for silent brokers.
    pub scan_interval: Duration,
}

/// Keys of the reference implementation that mean nothing here, with its defaults: they are taken,
/// and shown to administrators, without effect.
const WITHOUT_EFFECT: [(&str, &str); 20] = [
    ("clientRequestThreadPoolNums", "8"),
    ("clientRequestThreadPoolQueueCapacity", "50000"),
    ("clusterTest", "false"),
    ("defaultThreadPoolNums", "16"),
    ("defaultThreadPoolQueueCapacity", "10000"),
    ("productEnvName", "center"),
    ("serverAsyncSemaphoreValue", "64"),
    ("serverCallbackExecutorThreads", "0"),
    ("serverNettyWorkerGroupEnable", "true"),
    ("serverOnewaySemaphoreValue", "256"),
    ("serverPooledByteBufAllocatorEnable", "true"),
    ("serverSelectorThreads", "3"),
    ("serverSocketBacklog", "1024"),
    ("serverSocketRcvBufSize", "0"),
    ("serverSocketSndBufSize", "0"),
    ("serverWorkerThreads", "8"),
    ("unRegisterBrokerQueueCapacity", "3000"),
    ("useEpollNativeSelector", "false"),
    ("writeBufferHighWaterMark", "0"),
    ("writeBufferLowWaterMark", "0"),
];

const BLACK_LIST: &str = "configBlackList;configStorePath;kvConfigPath";

impl Config {
    /// Takes the keys it knows.
    ///
    /// # Errors
    /// The first value that breaks its rule.
    pub fn from_settings(settings: &Settings) -> Result<Self, SettingError> {
        let any = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        let bind = settings.ip("bindAddress", any)?;
        let listen = SocketAddr::new(bind, settings.port("listenPort", LISTEN_PORT)?);
        let http_host = match settings.optional_text("metricsPromExporterHost") {
            Some(_) => settings.ip("metricsPromExporterHost", bind)?,
            None => bind,
        };
        let http_port = settings.port("metricsPromExporterPort", 0)?;
        let home = std::env::var_os("HOME").map_or_else(|| PathBuf::from("."), PathBuf::from);
        let folder = home.join("namesrv");
        for (key, default) in WITHOUT_EFFECT {
            settings.text(key, default);
        }
        settings.text("rocketmqHome", "");
        no_controller(settings)?;
        let black_list = settings.text("configBlackList", BLACK_LIST);
        let fixed = ["configBlackList", "configStorePath", "kvConfigPath", "rocketmqHome"];
        let black_list = black_list.split(';').map(str::trim).filter(|key| !key.is_empty());
        let mut warnings = Vec::new();
        let mut config = Self {
            listen,
            connections_max: settings.integer("connectionsMax", 20_000, 1..=1_000_000)?,
            idle: seconds(settings, "serverChannelMaxIdleTimeSeconds", 120, 1)?,
            http: (http_port != 0).then(|| SocketAddr::new(http_host, http_port)),
            kv_path: settings.path("kvConfigPath", &folder.join("kvConfig.json")),
            store_path: settings.path("configStorePath", &folder.join("namesrv.properties")),
            black_list: black_list.chain(fixed).map(str::to_owned).collect(),
            control: control(settings, bind, &mut warnings)?,
            mounts: None,
            switches: Switches::from_settings(settings)?,
            warnings,
            log_filter: TelemetryConfig::from_settings(settings)?.filter,
            in_use: BTreeMap::new(),
            settings: Settings::new(),
        };
        config.in_use = settings.in_use();
        config.settings = settings.clone();
        Ok(config)
    }

    /// Settings of a file given with `-c`: changes made over the network go back into it.
    ///
    /// # Errors
    /// When it cannot be read or parsed.
    pub fn add_file(
        settings: &mut Settings,
        path: &Path,
    ) -> Result<(), rmq_host::settings::FileError> {
        settings.add_file(path)?;
        if settings.origin("configStorePath").is_none() {
            let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
            let line = rmq_host::Origin::File("-c".into(), 0);
            settings.set("configStorePath", &path.display().to_string(), line);
        }
        Ok(())
    }
}

impl Switches {
    fn from_settings(settings: &Settings) -> Result<Self, SettingError> {
        let wait = settings.boolean("needWaitForService", false)?;
        let wait_time = seconds(settings, "waitSecondsForService", 45, 0)?;
        let scan = settings.integer("scanNotActiveBrokerInterval", 5_000u64, 10..=3_600_000)?;
        Ok(Self {
            rules: Rules {
                support_acting_master: settings.boolean("supportActingMaster", false)?,
                notify_min_broker_id_changed: settings
                    .boolean("notifyMinBrokerIdChanged", false)?,
                delete_topic_with_registration: settings
                    .boolean("deleteTopicWithBrokerRegistration", false)?,
            },
            order_message: settings.boolean("orderMessageEnable", false)?,
            return_order_config: settings.boolean("returnOrderTopicConfigToBroker", true)?,
            all_topic_list: settings.boolean("enableAllTopicList", true)?,
            topic_list: settings.boolean("enableTopicList", true)?,
            wait_for_service: wait.then_some(wait_time),
            scan_interval: Duration::from_millis(scan),
        })
    }
}

/// Settings whose change reaches a running name server: those of [`Switches`], and what is logged.
pub const HOT: [&str; 11] = [
    "supportActingMaster",
    "notifyMinBrokerIdChanged",
    "deleteTopicWithBrokerRegistration",
    "orderMessageEnable",
    "returnOrderTopicConfigToBroker",
    "enableAllTopicList",
    "enableTopicList",
    "needWaitForService",
    "waitSecondsForService",
    "scanNotActiveBrokerInterval",
    "logLevel",
];

/// Whether a change of this setting reaches a running name server.
pub fn is_hot(key: &str) -> bool {
    HOT.contains(&key)
}

fn control(
    settings: &Settings,
    bind: IpAddr,
    warnings: &mut Vec<String>,
) -> Result<Option<ControlConfig>, SettingError> {
    let port = settings.port("controlListenPort", 0)?;
    let token_file = settings.optional_text("controlTokenFile").map(PathBuf::from);
    Ok(ControlConfig::at(bind, port, token_file).unwrap_or_else(|off| {
        warnings.push(off.to_string());
        None
    }))
}

/// Somebody who asks for the controller must not believe to have one.
fn no_controller(settings: &Settings) -> Result<(), SettingError> {
    let rule = || "must be false: this name server has no controller".to_owned();
    let off = |text: &str| text.eq_ignore_ascii_case("false").then_some(false);
    settings.parsed("enableControllerInNamesrv", false, rule, off).map(|_| ())
}

fn seconds(
    settings: &Settings,
    key: &'static str,
    default: u64,
    min: u64,
) -> Result<Duration, SettingError> {
    Ok(Duration::from_secs(settings.integer(key, default, min..=86_400)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rmq_host::Origin;

    fn config(pairs: &[(&str, &str)]) -> Result<Config, SettingError> {
        let mut settings = Settings::new();
        for (key, value) in pairs {
            settings.set(key, value, Origin::Flag("test"));
        }
        let config = Config::from_settings(&settings)?;
        assert!(settings.unknown().is_empty());
        Ok(config)
    }

    /// Operators roll name servers for settings that are not hot, and for no others.
    #[test]
    fn operators_know_which_settings_are_hot() {
        use rmq_operator_api::config::{Class, Component, KEYS};
        let known: Vec<_> =
            KEYS.iter().filter(|key| key.component == Component::NameServer).collect();
        for key in &known {
            assert_eq!(key.class == Class::Hot, is_hot(key.name), "{}", key.name);
        }
        for name in HOT {
            assert!(known.iter().any(|key| key.name == name), "{name}");
        }
    }

    #[test]
    fn a_control_port_that_stays_closed_is_a_warning() {
        let port = ("controlListenPort", "9878");
        let open = config(&[port]).expect("good");
        assert_eq!((open.control, open.warnings.len()), (None, 1));
        let guarded = config(&[port, ("controlTokenFile", "/t")]).expect("good");
        assert_eq!(guarded.control.map(|control| control.address.port()), Some(9_878));
        assert!(guarded.warnings.is_empty());
    }

    #[test]
    fn defaults_are_those_of_the_reference() {
        let config = config(&[]).expect("defaults are good");
        assert_eq!(config.listen.to_string(), "0.0.0.0:9876");
        assert_eq!((config.http, config.idle.as_secs()), (None, 120));
        assert!(config.kv_path.ends_with("namesrv/kvConfig.json"));
        assert!(config.store_path.ends_with("namesrv/namesrv.properties"));
        let switches = Switches {
            rules: Rules::default(),
            order_message: false,
            return_order_config: true,
            all_topic_list: true,
            topic_list: true,
            wait_for_service: None,
            scan_interval: Duration::from_secs(5),
        };
        assert_eq!(config.switches, switches);
        let black_list: Vec<&str> = config.black_list.iter().map(String::as_str).collect();
        assert_eq!(
            black_list,
            ["configBlackList", "configStorePath", "kvConfigPath", "rocketmqHome"]
        );
        let in_use = |key: &str| config.in_use.get(key).map(String::as_str);
        assert_eq!(in_use("clientRequestThreadPoolNums"), Some("8"));
        assert_eq!(in_use("listenPort"), Some("9876"));
    }

    #[test]
    fn every_key_has_a_row_on_the_page() {
        let page = include_str!("../../docs/operate/nameserver.md");
        let config = config(&[]).expect("defaults are good");
        // Named in a sentence below the table.
        let silent = ["rocketmqHome", "enableControllerInNamesrv"];
        let silent = |key: &str| {
            silent.contains(&key) || WITHOUT_EFFECT.iter().any(|(name, _)| *name == key)
        };
        for key in config.in_use.keys().filter(|key| !silent(key)) {
            assert!(page.contains(&format!("| `{key}` |")), "{key} is not on the page");
        }
        for key in HOT {
            let row = page.lines().find(|line| line.starts_with(&format!("| `{key}` |")));
            assert!(row.is_some_and(|row| row.contains("| yes |")), "{key} is live");
        }
    }

    #[test]
    fn every_key_changes_something() {
        let config = config(&[
            ("bindAddress", "127.0.0.9"),
            ("listenPort", "1234"),
            ("logLevel", "debug"),
            ("metricsPromExporterPort", "5557"),
            ("serverChannelMaxIdleTimeSeconds", "7"),
            ("connectionsMax", "3"),
            ("kvConfigPath", "/k"),
            ("configStorePath", "/s"),
            ("configBlackList", "a; b;"),
            ("supportActingMaster", "true"),
            ("notifyMinBrokerIdChanged", "true"),
            ("deleteTopicWithBrokerRegistration", "true"),
            ("orderMessageEnable", "true"),
            ("returnOrderTopicConfigToBroker", "false"),
            ("enableAllTopicList", "false"),
            ("enableTopicList", "false"),
            ("needWaitForService", "true"),
            ("waitSecondsForService", "3"),
            ("scanNotActiveBrokerInterval", "100"),
        ])
        .expect("all are good");
        assert_eq!(config.listen.to_string(), "127.0.0.9:1234");
        assert_eq!(config.http.map(|a| a.to_string()).as_deref(), Some("127.0.0.9:5557"));
        assert_eq!((config.idle.as_secs(), config.connections_max), (7, 3));
        assert_eq!((config.kv_path, config.store_path), ("/k".into(), "/s".into()));
        assert!(config.black_list.contains("a") && config.black_list.contains("b"));
        let rules = Rules {
            support_acting_master: true,
            notify_min_broker_id_changed: true,
            delete_topic_with_registration: true,
        };
        let switches = Switches {
            rules,
            order_message: true,
            return_order_config: false,
            all_topic_list: false,
            topic_list: false,
            wait_for_service: Some(Duration::from_secs(3)),
            scan_interval: Duration::from_millis(100),
        };
        assert_eq!(config.switches, switches);
        assert_eq!(config.log_filter, "debug");
    }

    #[test]
    fn bad_values_are_refused_by_key() {
        for (key, value) in [
            ("bindAddress", "here"),
            ("listenPort", "-1"),
            ("metricsPromExporterPort", "x"),
            ("metricsPromExporterHost", "x"),
            ("orderMessageEnable", "1"),
            ("scanNotActiveBrokerInterval", "0"),
            ("waitSecondsForService", "-5"),
            ("enableControllerInNamesrv", "true"),
            ("logLevel", "rmq_net=loud"),
        ] {
            let error = config(&[(key, value)]).expect_err(key);
            assert_eq!((error.key.as_str(), error.value.as_str()), (key, value));
        }
    }

    #[test]
    fn a_file_is_where_changes_go() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("namesrv.conf");
        for (text, expected) in
            [("listenPort=1", path.clone()), ("configStorePath=/x", "/x".into())]
        {
            rmq_host::durable::replace(&path, text.as_bytes()).expect("writable");
            let mut settings = Settings::new();
            Config::add_file(&mut settings, &path).expect("well-formed");
            let config = Config::from_settings(&settings).expect("good");
            assert_eq!(config.store_path, expected);
        }
    }
}
