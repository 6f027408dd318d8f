use super::*;
use crate::{NameServerPod, NameServerTemplate};
use std::collections::HashMap;

fn lookup(pairs: &[(&str, &str)]) -> impl Fn(&str) -> Option<String> {
    let map: HashMap<String, String> =
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    move |name| map.get(name).cloned()
}

const IN_KUBERNETES: [(&str, &str); 14] = [
    ("POD_NAME", "demo-broker-a-1"),
    ("POD_NAMESPACE", "mq"),
    ("POD_UID", "p-1"),
    ("POD_IP", "10.1.0.7"),
    ("POD_IPS", "10.1.0.7,fd00::7"),
    ("HOST_IP", "192.168.0.3"),
    ("RMQ_ORDINAL", ""),
    ("RMQ_CLUSTER_NAME", "demo"),
    ("RMQ_CLUSTER_UID", "c-1"),
    ("RMQ_BROKER_NAME", "broker-a"),
    ("RMQ_REPLICAS", "2"),
    ("RMQ_REPLICATION", "Sync"),
    ("RMQ_SERVICE_DOMAIN", "demo-broker-hl.mq.svc"),
    ("RMQ_CONTROL_TOKEN_FILE", "/etc/control/token"),
];

fn with(changes: &[(&str, &str)]) -> Result<Option<BrokerPod>, PodError> {
    let mut all = IN_KUBERNETES.to_vec();
    all.retain(|(name, _)| changes.iter().all(|(other, _)| other != name));
    all.extend_from_slice(changes);
    BrokerPod::read(lookup(&all))
}

fn pod(changes: &[(&str, &str)]) -> BrokerPod {
    with(changes).expect("well-formed").expect("a pod")
}

fn derived(changes: &[(&str, &str)], facts: &Facts<'_>) -> BTreeMap<String, String> {
    pod(changes).derive(facts).expect("everything is there")
}

fn value<'a>(settings: &'a BTreeMap<String, String>, key: &str) -> &'a str {
    settings.get(key).map_or("(none)", String::as_str)
}

fn service() -> Facts<'static> {
    Facts { service_ip: Some(IpAddr::from([10, 96, 3, 7])), ..Facts::default() }
}

#[test]
fn a_process_without_the_variables_is_no_pod() {
    assert_eq!(BrokerPod::read(lookup(&[])), Ok(None));
    // Tools use this one too, and pods may have names without being ours.
    let others = [("RMQ_DATA_DIR", "/d"), ("POD_NAME", "x-0")];
    assert_eq!(BrokerPod::read(lookup(&others)), Ok(None));
    assert_eq!(NameServerPod::read(lookup(&others)), Ok(None));
}

#[test]
fn a_slave_in_kubernetes_derives_all_that_it_is() {
    let names = ["n-0.n.mq.svc:9876".to_owned(), "n-1.n.mq.svc:9876".to_owned()];
    let settings = derived(&[], &Facts { name_servers: &names, ..service() });
    for (key, want) in [
        ("brokerClusterName", "demo"),
        ("brokerName", "broker-a"),
        ("brokerId", "1"),
        ("brokerRole", "SLAVE"),
        ("brokerIP1", "10.96.3.7"),
        ("storeHost", "10.96.3.7"),
        ("advertisedPort", "0"),
        ("brokerIP2", "demo-broker-a-1.demo-broker-hl.mq.svc"),
        ("namesrvAddr", "n-0.n.mq.svc:9876;n-1.n.mq.svc:9876"),
        ("bindAddress", "0.0.0.0"),
        ("listenPort", "10911"),
        ("haListenPort", "10912"),
        ("controlListenPort", "10913"),
        ("controlTokenFile", "/etc/control/token"),
        ("metricsPromExporterPort", "5557"),
        ("storePathRootDir", "/var/lib/rocketmq/store"),
        ("storePathCommitLog", "/var/lib/rocketmq/store/commitlog"),
        ("abortFile", "/var/lib/rocketmq/store/abort"),
        ("totalReplicas", "2"),
        ("inSyncReplicas", "2"),
        ("minInSyncReplicas", "1"),
        ("allAckInSyncStateSet", "true"),
        ("shutdownDrainSeconds", "0"),
    ] {
        assert_eq!(value(&settings, key), want, "{key}");
    }
}

#[test]
fn roles_follow_the_ordinal_unless_they_are_elected() {
    for (ordinal, replication, failover, role) in [
        ("0", "Sync", "Disabled", "SYNC_MASTER"),
        ("0", "Async", "Disabled", "ASYNC_MASTER"),
        ("1", "Sync", "Disabled", "SLAVE"),
        ("0", "Sync", "Automatic", "SLAVE"),
    ] {
        let changes = [
            ("RMQ_ORDINAL", ordinal),
            ("RMQ_REPLICATION", replication),
            ("RMQ_FAILOVER", failover),
        ];
        let settings = derived(&changes, &service());
        assert_eq!(value(&settings, "brokerRole"), role);
        assert_eq!(value(&settings, "brokerId"), ordinal);
    }
}

#[test]
fn clients_are_told_the_address_that_was_chosen() {
    let dns = "demo-broker-a-1.demo-broker-hl.mq.svc";
    let external = |hosts| [("RMQ_ADVERTISE", "External"), ("RMQ_ADVERTISED_HOST", hosts)];
    for (changes, host, store_host, port) in [
        (&[("RMQ_ADVERTISE", "ServiceIP")][..], "10.96.3.7", "10.96.3.7", "0"),
        (&[("RMQ_ADVERTISE", "podip")], "10.1.0.7", "10.1.0.7", "0"),
        (&[("RMQ_ADVERTISE", "PodDNS")], dns, "10.1.0.7", "0"),
        (&[("RMQ_ADVERTISE", "HostIP")], "192.168.0.3", "192.168.0.3", "0"),
        (&external("203.0.113.9"), "203.0.113.9", "203.0.113.9", "0"),
        (&external("{nodeIP}:30911"), "192.168.0.3", "192.168.0.3", "30911"),
        (&external("0=a:1;1=b.example.org:2"), "b.example.org", "10.1.0.7", "2"),
        (&external("{pod}.{group}.{ordinal}"), "demo-broker-a-1.broker-a.1", "10.1.0.7", "0"),
    ] {
        let settings = derived(changes, &service());
        let found = ["brokerIP1", "storeHost", "advertisedPort"].map(|key| value(&settings, key));
        assert_eq!(found, [host, store_host, port], "{changes:?}");
        assert_eq!(value(&settings, "brokerIP2"), dns);
    }
    let local = [("RMQ_SERVICE_DOMAIN", ""), ("RMQ_ADVERTISE", "External")];
    let local = [&local[..], &[("RMQ_ADVERTISED_HOST", "127.16.0.16")]].concat();
    assert_eq!(value(&derived(&local, &Facts::default()), "brokerIP2"), "127.16.0.16");
}

#[test]
fn the_service_to_resolve_is_the_pods_own() {
    assert_eq!(pod(&[]).service().as_deref(), Some("demo-broker-a-1.mq.svc"));
    assert_eq!(pod(&[("RMQ_ADVERTISE", "PodIP")]).service(), None);
    let error = pod(&[]).derive(&Facts::default()).expect_err("not resolved").to_string();
    assert_eq!(error, "the Service demo-broker-a-1.mq.svc has no address");
}

#[test]
fn the_commit_log_may_have_its_own_volume() {
    assert_eq!(pod(&[]).commit_log_volume(), "/var/lib/rocketmq/commitlog");
    let settings = derived(&[], &Facts { commit_log_volume: true, ..service() });
    assert_eq!(value(&settings, "storePathCommitLog"), "/var/lib/rocketmq/commitlog/commitlog");
    assert_eq!(value(&settings, "storePathRootDir"), "/var/lib/rocketmq/store");
}

#[test]
fn the_replication_file_wins_over_the_template() {
    let conf = ReplicationConf { total: 3, in_sync: 3, min_in_sync: 2, all_in_sync: true };
    let settings = derived(&[], &Facts { replication: Some(conf), ..service() });
    assert_eq!(value(&settings, "totalReplicas"), "3");
    assert_eq!(value(&settings, "minInSyncReplicas"), "2");
}

#[test]
fn a_metrics_port_of_zero_is_none() {
    let settings = derived(&[("RMQ_HTTP_PORT", "0")], &service());
    assert_eq!(value(&settings, "metricsPromExporterPort"), "(none)");
    assert_eq!(value(&settings, "metricsExporterType"), "(none)");
}

#[test]
fn what_is_missing_or_wrong_is_named() {
    for (changes, want) in [
        (
            &[("RMQ_CLUSTER_NAME", "")][..],
            "RMQ_CLUSTER_NAME is not set: it must be the name of the cluster, as RMQ_BROKER_NAME is set",
        ),
        (
            &[("RMQ_BROKER_NAME", "")],
            "RMQ_BROKER_NAME is not set: it must be the name of the broker's group",
        ),
        (&[("POD_NAME", "")], "POD_NAME is not set: it must be the name of the pod"),
        (
            &[("POD_NAME", "broker")],
            "POD_NAME = \"broker\": must be a name that ends in `-` and a number, as RMQ_ORDINAL is not set",
        ),
        (&[("POD_IP", "here")], "POD_IP = \"here\": must be an IP address"),
        (
            &[("POD_IPS", "1.2.3.4,x")],
            "POD_IPS = \"1.2.3.4,x\": must be IP addresses separated by `,`",
        ),
        (
            &[("RMQ_LISTEN_PORT", "2")],
            "RMQ_LISTEN_PORT = \"2\": must be a port from 3 to 65533: ports two below and above it are used too",
        ),
        (&[("RMQ_LISTEN_PORT", "x")], "RMQ_LISTEN_PORT = \"x\": must be a port from 1 to 65535"),
        (&[("RMQ_REPLICATION", "semi")], "RMQ_REPLICATION = \"semi\": must be one of Async, Sync"),
        (
            &[("RMQ_ADVERTISE", "Pod")],
            "RMQ_ADVERTISE = \"Pod\": must be one of ServiceIP, PodDNS, PodIP, HostIP, External",
        ),
        (&[("RMQ_DRAIN_SECONDS", "5s")], "RMQ_DRAIN_SECONDS = \"5s\": must be a number of seconds"),
    ] {
        assert_eq!(with(changes).expect_err(want).to_string(), want);
    }
    for (changes, want) in [
        (
            &[("RMQ_ADVERTISE", "PodDNS"), ("RMQ_SERVICE_DOMAIN", "")][..],
            "RMQ_SERVICE_DOMAIN is not set: it must be the domain of the pods' names, as RMQ_ADVERTISE is PodDNS",
        ),
        (
            &[("RMQ_ADVERTISE", "PodIP"), ("POD_IP", ""), ("POD_IPS", "")],
            "POD_IP is not set: it must be the address of the pod",
        ),
        (
            &[("RMQ_ADVERTISE", "External"), ("RMQ_ADVERTISED_HOST", "0=a")],
            "RMQ_ADVERTISED_HOST is not set: it must be an address for this pod, as RMQ_ADVERTISE is External",
        ),
    ] {
        let error = pod(changes).derive(&service()).expect_err(want);
        assert_eq!(error.to_string(), want);
    }
}

#[test]
fn a_name_server_derives_its_ports_and_files() {
    let pod = NameServerPod {
        place: Place { name: "demo-namesrv-0".into(), ..Place::default() },
        template: NameServerTemplate { shared: Shared::new("demo", "u", 9_876) },
    };
    let settings = pod.derive();
    for (key, want) in [
        ("listenPort", "9876"),
        ("controlListenPort", "9878"),
        ("bindAddress", "0.0.0.0"),
        ("kvConfigPath", "/var/lib/rocketmq/kvConfig.json"),
        ("configStorePath", "/var/lib/rocketmq/namesrv.properties"),
        ("metricsPromExporterPort", "5557"),
    ] {
        assert_eq!(value(&settings, key), want, "{key}");
    }
    let variables = pod.variables();
    let map: HashMap<&str, String> = variables.into_iter().collect();
    assert_eq!(NameServerPod::read(|name| map.get(name).cloned()), Ok(Some(pod)));
}

mod round_trip {
    use super::*;
    use proptest::prelude::*;

    fn shared() -> impl Strategy<Value = Shared> {
        let word = "[a-z][a-z0-9-]{0,9}";
        (
            (word, word, 3..=65_533u16, prop::option::of(1..=u16::MAX)),
            (prop::option::of("/[a-z]{1,9}"), prop::option::of(any::<[u8; 4]>())),
        )
            .prop_map(|((name, uid, port, http), (token, bind))| Shared {
                http_port: http,
                control_token_file: token,
                bind: bind.map(IpAddr::from),
                ..Shared::new(&name, &uid, port)
            })
    }

    fn template() -> impl Strategy<Value = BrokerTemplate> {
        let host = prop::option::of(("[a-z{}]{1,9}", prop::option::of(1..=u16::MAX)));
        (
            (shared(), "[a-z]{1,9}", 1..8u32, any::<bool>(), any::<bool>()),
            (prop::sample::select(&Advertise::WORDS[..]), host, 0..999u32),
            (prop::option::of("[a-z]{1,9}"), prop::option::of("[a-z.]{1,9}")),
        )
            .prop_map(
                |((shared, name, replicas, sync, failover), how, (lease, domain))| {
                    let ((_, advertise), host, drain_seconds) = how;
                    BrokerTemplate {
                        replicas,
                        replication: if sync { Replication::Sync } else { Replication::Async },
                        automatic_failover: failover,
                        advertise,
                        advertised_host: host
                            .map(|(host, port)| AdvertisedHost::default().for_all(&host, port)),
                        lease,
                        service_domain: domain,
                        drain_seconds,
                        ..BrokerTemplate::new(shared, &name)
                    }
                },
            )
    }

    proptest! {
        #[test]
        fn what_a_starter_writes_the_pod_reads(
            template in template(),
            ips in prop::collection::vec(any::<[u8; 4]>(), 0..3),
            ordinal in 0..100u32,
        ) {
            let ips: Vec<IpAddr> = ips.into_iter().map(IpAddr::from).collect();
            let place = Place {
                name: format!("p-{ordinal}"),
                ip: ips.first().copied(),
                ips,
                ordinal,
                ..Place::default()
            };
            let pod = BrokerPod { place, template };
            let map: HashMap<&str, String> = pod.variables().into_iter().collect();
            prop_assert_eq!(BrokerPod::read(|name| map.get(name).cloned()), Ok(Some(pod)));
        }

        #[test]
        fn no_environment_panics(
            values in prop::collection::vec("[ -~]{0,12}", 20),
        ) {
            let names = [
                "POD_NAME", "POD_IP", "POD_IPS", "RMQ_ORDINAL", "RMQ_CLUSTER_NAME", "RMQ_BROKER_NAME",
                "RMQ_REPLICAS", "RMQ_ADVERTISED_HOST", "RMQ_LISTEN_PORT", "RMQ_BIND",
            ];
            let map: HashMap<&str, String> = names.into_iter().zip(values).collect();
            if let Ok(Some(pod)) = BrokerPod::read(|name| map.get(name).cloned()) {
                pod.derive(&Facts::default()).ok();
            }
        }
    }
}
