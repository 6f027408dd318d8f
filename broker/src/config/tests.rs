use super::*;
use rmq_host::properties;

fn machine() -> Surroundings {
    Surroundings {
        host_name: "node-7".into(),
        address: Some(IpAddr::from([10, 0, 0, 7])),
        home: Some("/home/mq".into()),
    }
}

fn check(text: &str) -> Result<Config, Vec<ConfigError>> {
    let mut layers = Layers::new();
    let properties = properties::parse(text.as_bytes()).expect("well-formed");
    layers.add_properties("broker.conf", &properties);
    Config::check(&layers, Some(Path::new("broker.conf")), &machine())
}

fn errors(text: &str) -> Vec<String> {
    check(text).expect_err("refused").iter().map(ToString::to_string).collect()
}

#[test]
fn an_empty_file_gives_the_defaults_of_this_machine() {
    let config = check("").expect("the defaults are valid");
    let settings = &config.settings;
    assert_eq!(&*settings.broker_name, "node-7");
    assert_eq!(&*settings.broker_ip1, "10.0.0.7");
    assert_eq!(&*settings.broker_ip2, "10.0.0.7");
    assert_eq!(&*settings.store_path_root_dir, "/home/mq/store");
    assert_eq!(&*settings.store_path_commit_log, "/home/mq/store/commitlog");
    assert_eq!(config.listen, SocketAddr::from(([0, 0, 0, 0], 10_911)));
    assert_eq!(config.delay_levels_ms.len(), 18);
    assert_eq!(config.metrics, None);
    assert!(config.warnings.is_empty() && config.name_servers.is_empty());
}

#[test]
fn the_files_in_common_use_are_taken() {
    let one = "brokerClusterName = DefaultCluster\nbrokerName = broker-a\nbrokerId = 0\n\
               brokerIP1 = 10.29.181.16\ndeleteWhen = 04\nfileReservedTime = 48\n\
               brokerRole = ASYNC_MASTER\nflushDiskType = ASYNC_FLUSH\n\
               namesrvAddr = 10.29.181.16:9876\nautoCreateTopicEnable = true";
    let config = check(one).expect("valid");
    assert_eq!(config.name_servers, ["10.29.181.16:9876"]);
    assert_eq!(
        (&*config.advertised, config.store_ip),
        ("10.29.181.16", IpAddr::from([10, 29, 181, 16]))
    );

    let old = "mapedFileSizeCommitLog=1048576\nmapedFileSizeConsumeQueue=300000\n\
               maxMessageSize=65536\nbrokerRole=SYNC_MASTER\nflushDiskType=SYNC_FLUSH\n\
               storePathRootDir=/s\nstorePathIndex=/s/index\nabortFile=/s/abort\n\
               sendMessageThreadPoolNums=128\nnamesrvAddr=a:9876;b:9876\n\
               messageDelayLevel=1s 2s 3s";
    let config = check(old).expect("valid");
    assert_eq!(config.settings.mapped_file_size_commit_log, 1_048_576);
    assert_eq!(config.settings.mapped_file_size_consume_queue, 300_000);
    assert_eq!(config.delay_levels_ms, [1_000, 2_000, 3_000]);
    assert!(config.warnings.is_empty(), "{:?}", config.warnings);
    assert_eq!(config.others, [("sendMessageThreadPoolNums".to_owned(), "128".to_owned())]);
}

#[test]
fn a_value_that_breaks_its_rule_is_named_with_key_line_and_rule() {
    let text = "listenPort=70000\n\nflushDiskType=LATER\nnamesrvAddr=nowhere\ndeleteWhen=25";
    assert_eq!(
        errors(text),
        [
            "broker.conf, line 1: listenPort = \"70000\": must be whole number, 0 to 65535",
            "broker.conf, line 4: namesrvAddr = \"nowhere\": must be `host:port`, several separated by `;`",
            "broker.conf, line 3: flushDiskType = \"LATER\": must be one of ASYNC_FLUSH, SYNC_FLUSH",
            "broker.conf, line 5: deleteWhen = \"25\": must be hours 0 to 23, separated by `;`",
        ]
    );
}

#[test]
fn what_is_not_available_is_refused_in_words() {
    for (text, want) in [
        ("brokerRole=SLAVE", "brokerId = \"0\": a replica has an id above 0".to_owned()),
        (
            "brokerRole=SYNC_MASTER\nminInSyncReplicas=2",
            "minInSyncReplicas = \"2\": sends would not wait for as many copies: raise inSyncReplicas"
                .to_owned(),
        ),
        (
            "enableControllerMode=true",
            "enableControllerMode = \"true\": automatic failover is not available yet".to_owned(),
        ),
        (
            "authenticationEnabled=true",
            "authenticationEnabled = \"true\": access control is not available yet".into(),
        ),
        (
            "storeType=defaultRocksDB",
            "storeType = \"defaultRocksDB\": RocksDB queue stores are not available".into(),
        ),
        ("listenPort=2", "listenPort = \"2\": the fast port is two below it".into()),
    ] {
        assert_eq!(errors(text), [want], "{text}");
    }
    assert!(check("enableControllerMode=false\nauthenticationEnabled=false").is_ok());
}

#[test]
fn a_master_has_id_0_whatever_is_written() {
    let config = check("brokerId=3\nbrokerRole=SYNC_MASTER").expect("only a warning");
    assert_eq!(config.settings.broker_id, 0);
    assert_eq!(config.warnings, ["brokerId = 3 has no effect: a master has 0"]);
    assert!(check("brokerId=0").expect("valid").warnings.is_empty());
    assert_eq!(errors("brokerId=x").len(), 1);
}

#[test]
fn unknown_keys_are_named_once() {
    let config = check("\nbrokerNaem=x\nenableLmq=true").expect("only warnings");
    assert_eq!(
        config.warnings,
        [
            "broker.conf, line 2: brokerNaem is not known and has no effect",
            "enableLmq has no effect: light queues are not available yet",
        ]
    );
}

#[test]
fn a_bind_address_is_also_what_clients_are_told() {
    let config = check("bindAddress=127.0.0.3\nlistenPort=20911").expect("valid");
    assert_eq!(&*config.settings.broker_ip1, "127.0.0.3");
    assert_eq!(config.listen, SocketAddr::from(([127, 0, 0, 3], 20_911)));
}

#[test]
fn a_name_for_clients_leaves_an_address_for_messages() {
    let config = check("brokerIP1=mq.example.org\nadvertisedPort=30911").expect("valid");
    assert_eq!(&*config.advertised, "mq.example.org");
    assert_eq!(config.store_ip, IpAddr::from([10, 0, 0, 7]));
    assert_eq!(&*config.settings.broker_ip2, "mq.example.org");
    let config = check("brokerIP1=mq.example.org\nstoreHost=10.1.0.9").expect("valid");
    assert_eq!(config.store_ip, IpAddr::from([10, 1, 0, 9]));
    let want = "broker.conf, line 1: storeHost = \"mq\": must be IP address";
    assert_eq!(errors("storeHost=mq"), [want]);
}

#[test]
fn control_is_never_open_to_others_without_a_token() {
    let port = |text: &str| {
        let config = check(text).expect("valid");
        (config.control.map(|control| control.address.port()), config.warnings.len())
    };
    assert_eq!(port(""), (None, 0));
    assert_eq!(port("controlListenPort=10913"), (None, 1));
    assert_eq!(port("controlListenPort=10913\nbindAddress=127.0.0.1"), (Some(10_913), 0));
    assert_eq!(port("controlListenPort=10913\ncontrolTokenFile=/t"), (Some(10_913), 0));
}

#[test]
fn metrics_are_off_until_asked_for() {
    for (text, port) in [
        ("metricsExporterType=DISABLE", None),
        ("metricsExporterType=PROM", Some(5_557)),
        ("metricsPromExporterPort=6000", Some(6_000)),
        ("metricsExporterType=PROM\nmetricsPromExporterPort=6001", Some(6_001)),
    ] {
        let config = check(text).expect("valid");
        assert_eq!(config.metrics.map(|a| a.port()), port, "{text}");
    }
}

#[test]
fn a_live_change_keeps_the_rule() {
    let settings = check("").expect("valid").settings;
    let short = key("shortPollingTimeMills").expect("known");
    let changed = settings.with(short, " 12 ").expect("keeps the rule");
    assert_eq!(changed.short_polling_time_mills, 12);
    assert!(settings.with(short, "x").is_err());
}

/// Operators restart brokers for settings that do not change while they run, and for no others.
/// What a pod derives is no business of theirs.
#[test]
fn operators_know_which_settings_change_while_the_broker_runs() {
    use rmq_operator_api::config::{Class, Component, KEYS as KNOWN};
    use rmq_pod::{Advertise, BrokerPod, BrokerTemplate, Facts, Place, Shared};
    let place = Place { ip: Some(IpAddr::from([10, 0, 0, 1])), ..Place::default() };
    let template = BrokerTemplate::new(Shared::new("demo", "u", 10_911), "broker-a");
    let pod =
        BrokerPod { place, template: BrokerTemplate { advertise: Advertise::PodIp, ..template } };
    let derived = pod.derive(&Facts::default()).expect("nothing is missing");
    let known = |name: &str| {
        KNOWN.iter().find(|one| one.component == Component::Broker && one.name == name)
    };
    for key in KEYS {
        for name in key.aliases.iter().chain([&key.name]) {
            match known(name).map(|one| one.class) {
                Some(Class::Hot) => assert_eq!(key.change, Change::Live, "{name}"),
                Some(Class::Restart | Class::Identity) => {
                    assert_eq!(key.change, Change::Restart, "{name}");
                }
                None => assert!(derived.contains_key(*name), "operators do not know {name}"),
            }
        }
    }
    for one in KNOWN.iter().filter(|one| one.component == Component::Broker) {
        assert!(
            key(one.name).is_some() || other(one.name).is_some() || one.class == Class::Identity,
            "{} is not known here",
            one.name
        );
    }
}
