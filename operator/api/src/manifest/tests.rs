use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;

use k8s_openapi::api::core::v1::EnvVar;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::*;
use crate::addressing::{Addressing, Advertise, External, ExternalType};
use crate::brokers::{Brokers, GroupOverride};
use crate::cluster::{DeletionPolicy, LogFormat, LogLevel, Logging, Metrics, Spec, VolumePolicy};
use crate::layout::{Layout, Replication};
use crate::nameserver::NameServer;
use crate::operations::{Drain, Shutdown};
use crate::pod::{Pod, Resources, ServiceAccount};
use crate::storage::{AccessMode, NameServerStorage, Storage, StorageType, Volume};
use crate::{Duration, Image, Quantity, Security, SyncReplication};

const SMALLEST: &str = "\
apiVersion: rocketmq.rs/v1alpha1
kind: RocketMQCluster
metadata: {name: demo}
spec:
  layout: 2m-2s-sync
  brokers:
    storage: {size: 20Gi}
";

fn faults(text: &str) -> Vec<String> {
    match read(text) {
        Ok(clusters) => panic!("accepted: {clusters:?}"),
        Err(errors) => errors.iter().map(ToString::to_string).collect(),
    }
}

#[test]
fn the_smallest_manifest_gets_every_default() {
    let clusters = read(SMALLEST).expect("valid");
    let [cluster] = clusters.as_slice() else { panic!("{clusters:?}") };
    assert_eq!(cluster.cluster_name(), "demo");
    assert_eq!(cluster.spec.layout, Layout::TwoGroupsSync);
    assert_eq!(cluster.name_server_replicas(), 2);
    assert_eq!(cluster.spec.brokers.listen_port, 10911);
    assert_eq!(cluster.spec.metrics, Metrics { enabled: true, port: 5557 });
    assert_eq!(cluster.spec.logging.directives(), "info");
}

#[test]
fn several_documents_and_empty_ones() {
    let other = SMALLEST.replace("demo", "other");
    let clusters = read(&format!("---\n{SMALLEST}---\n---\n# nothing\n---\n{other}---\n"));
    let names: Vec<_> =
        clusters.expect("valid").into_iter().map(|cluster| cluster.name().to_owned()).collect();
    assert_eq!(names, ["demo", "other"]);
    assert_eq!(
        faults(&format!("{SMALLEST}---\n{SMALLEST}")),
        ["line 11, column 18: metadata.name: `demo` is used twice in this manifest"]
    );
    assert_eq!(read("").expect("valid"), []);
}

#[test]
fn faults_name_place_value_and_rule() {
    let cases: &[(&str, &str, &[&str])] = &[
        (
            "layout: 2m-2s-sync",
            "layout: 3m",
            &["line 5, column 11: spec.layout: unknown variant `3m`, expected one of \
               `2m-2s-sync`, `2m-2s-async`, `2m-noslave`, `single`, `Custom`"],
        ),
        (
            "storage: {size: 20Gi}",
            "storage: {size: 20Gb}",
            &["line 7, column 21: spec.brokers.storage.size: `20Gb` is not a quantity: expected \
               a number with an optional suffix, such as 20Gi, 500M or 250m"],
        ),
        (
            "storage: {size: 20Gi}",
            "storage: {size: 20Gi}\n    listenPort: 70000",
            &["line 8, column 17: spec.brokers.listenPort: invalid value: integer `70000`, \
               expected u16"],
        ),
        (
            "storage: {size: 20Gi}",
            "storage: {size: 20Gi}\n    groups: 65\n    replication: Sync",
            &[
                "line 9, column 18: spec.brokers.replication: `Sync` is allowed only with layout \
                 Custom, not with 2m-2s-sync",
                "line 8, column 13: spec.brokers.groups: `65` must be 1 to 64",
            ],
        ),
        (
            "storage: {size: 20Gi}",
            "storage: {size: 20Gi}\n    config: {fileReservedTime: 48}",
            &["line 8, column 32: spec.brokers.config.fileReservedTime: 48 must be text: write \
               \"48\" with quotes"],
        ),
        (
            "storage: {size: 20Gi}",
            "storage: {size: 20Gi}\n    config:\n      brokerId: '7'",
            &["line 9, column 17: spec.brokers.config.brokerId: `7` cannot be set: it is derived \
               from the rest of the manifest"],
        ),
        (
            "storage: {size: 20Gi}",
            "storage: {size: 20Gi}\n    groupOverrides:\n    - name: a\n",
            &["line 9, column 13: spec.brokers.groupOverrides[0].name: `a` must be the name of a \
               group, such as broker-a"],
        ),
        (
            "kind: RocketMQCluster",
            "kind: Broker",
            &["line 2, column 7: kind: `Broker` is not known, expected RocketMQCluster"],
        ),
        (
            "    storage: {size: 20Gi}\n",
            "    {}\n",
            &["line 7, column 5: spec.brokers.storage.size: is required unless storage.type is \
               Ephemeral"],
        ),
        (
            "metadata: {name: demo}",
            "metadata: {}",
            &["line 3, column 11: metadata.name: is required"],
        ),
    ];
    for (from, to, expected) in cases {
        let text = SMALLEST.replace(from, to);
        assert_ne!(text, SMALLEST);
        assert_eq!(faults(&text), *expected, "{text}");
    }
}

#[test]
fn keys_given_twice_are_refused_everywhere() {
    for (extra, key) in [
        ("  layout: single\n", "layout"),
        ("  brokers: {}\n", "brokers"),
        ("  nameserver:\n    config: {a: '1', b: '2', a: '3'}\n", "a"),
    ] {
        let found = faults(&format!("{SMALLEST}{extra}"));
        assert_eq!(found.len(), 1, "{found:?}");
        let first = found.first().map_or("", String::as_str);
        assert!(first.contains(&format!("key `{key}` is given twice")), "{first}");
        assert!(first.starts_with("line "), "{first}");
    }
}

#[test]
fn unknown_fields_are_refused_with_the_known_ones() {
    let found = faults(&format!("{SMALLEST}    listenport: 1\n"));
    let first = found.first().map_or("", String::as_str);
    assert!(first.contains("spec.brokers"), "{first}");
    assert!(first.contains("unknown field `listenport`, expected one of"), "{first}");
    assert!(first.starts_with("line 8, "), "{first}");
}

#[test]
fn what_is_no_resource_is_refused() {
    for text in ["text", "[1, 2]", "7", "true", "a: 1", "!tag {a: 1}", "*x", "{a: 1", "a:\n\tb: 1"]
    {
        assert_eq!(faults(text).len(), 1, "{text}");
    }
    assert_eq!(faults(&"#".repeat(MANIFEST_BYTES_MAX + 1)).len(), 1);
    assert_eq!(faults(&"---\n{}\n".repeat(DOCUMENTS_MAX + 1)).len(), 1);
}

#[test]
fn aliases_cannot_blow_up() {
    let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..12 {
        let below = format!("*a{}", level - 1);
        text.push_str(&format!("a{level}: &a{level} [{}]\n", [below.as_str(); 10].join(", ")));
    }
    assert_eq!(faults(&text).len(), 1);
    assert_eq!(faults(&"[".repeat(100_000)).len(), 1);
}

fn quantity() -> impl Strategy<Value = Quantity> {
    (0_u32..5000, prop::sample::select(vec!["", "m", "k", "Mi", "Gi"]))
        .prop_map(|(amount, suffix)| format!("{amount}{suffix}").parse().expect("in range"))
}

fn settings() -> impl Strategy<Value = std::collections::BTreeMap<String, String>> {
    btree_map("[a-z][A-Za-z0-9]{0,12}X", "[ -~é]{0,20}", 0..4)
}

fn storage() -> impl Strategy<Value = Storage> {
    let kind =
        prop::sample::select(vec![StorageType::PersistentVolumeClaim, StorageType::Ephemeral]);
    let mode = prop::sample::select(vec![AccessMode::ReadWriteOnce, AccessMode::ReadWriteOncePod]);
    let volume = (quantity(), option::of("[a-z]{1,8}"))
        .prop_map(|(size, class_name)| Volume { size, class_name });
    (quantity(), kind, option::of("[a-z]{1,8}"), mode, option::of(volume), settings()).prop_map(
        |(size, kind, class_name, access_mode, commit_log, labels)| Storage {
            size: Some(size),
            kind,
            class_name,
            access_mode,
            commit_log,
            labels,
            ..Storage::default()
        },
    )
}

fn resources() -> impl Strategy<Value = Resources> {
    (quantity(), quantity()).prop_map(|(one, other)| {
        let (less, more) = if one.milli() < other.milli() { (one, other) } else { (other, one) };
        Resources {
            requests: [("cpu".to_owned(), less)].into(),
            limits: [("cpu".to_owned(), more)].into(),
        }
    })
}

fn pod() -> impl Strategy<Value = Pod> {
    (settings(), option::of("[a-z]{1,9}"), option::of("[A-Z]{1,9}"), any::<bool>()).prop_map(
        |(labels, scheduler_name, variable, create)| Pod {
            labels,
            scheduler_name,
            env: variable
                .into_iter()
                .map(|name| EnvVar { name, value: Some("1".to_owned()), value_from: None })
                .collect(),
            service_account: Some(ServiceAccount {
                create,
                name: None,
                annotations: Default::default(),
            }),
            ..Pod::default()
        },
    )
}

fn name_server() -> impl Strategy<Value = NameServer> {
    (
        prop_oneof![
            option::of(1_u32..=9).prop_map(|replicas| (replicas, Vec::new())),
            vec("[a-z]{1,9}:[1-9][0-9]{0,3}", 1..4).prop_map(|addresses| (None, addresses)),
        ],
        1_u16..=5000,
        settings(),
        quantity(),
        resources(),
        pod(),
    )
        .prop_map(|((replicas, external_addresses), port, config, size, resources, pod)| {
            let storage = NameServerStorage { size, ..NameServerStorage::default() };
            NameServer {
                replicas,
                external_addresses,
                port,
                config,
                storage,
                resources,
                pod,
                ..NameServer::default()
            }
        })
}

fn addressing() -> impl Strategy<Value = Addressing> {
    prop_oneof![
        prop::sample::select(vec![Advertise::ServiceIP, Advertise::PodDNS, Advertise::PodIP])
            .prop_map(|advertise| Addressing { advertise, ..Addressing::default() }),
        option::of("[a-z]{1,5}-\\{pod\\}").prop_map(|host_template| Addressing {
            advertise: Advertise::External,
            external: Some(External {
                kind: ExternalType::NodePort,
                host_template,
                per_pod: Vec::new(),
            }),
            ..Addressing::default()
        }),
    ]
}

fn brokers() -> impl Strategy<Value = Brokers> {
    (
        (1_u32..=64, 1_u32..=7, any::<bool>(), 1_u32..=7),
        "[a-z][a-z0-9]{0,15}",
        20_000_u16..=65533,
        storage(),
        settings(),
        resources(),
        (settings(), any::<bool>(), 6_u32..999),
        (addressing(), option::of(1_u16..99)),
    )
        .prop_map(
            |(shape, name_prefix, listen_port, storage, config, resources, rest, more)| {
                let (groups, replicas, sync, in_sync) = shape;
                let (override_config, slave_read, grace_period_seconds) = rest;
                let (addressing, timeout) = more;
                let minutes = |minutes: u16| format!("{minutes}m").parse::<Duration>();
                Brokers {
                    groups: Some(groups),
                    replicas_per_group: Some(replicas),
                    replication: Some(if sync { Replication::Sync } else { Replication::Async }),
                    sync: SyncReplication { min_in_sync: in_sync.min(replicas) },
                    group_overrides: vec![GroupOverride {
                        name: format!("{name_prefix}-b"),
                        zone: Some("z".to_owned()),
                        config: override_config,
                        ..GroupOverride::default()
                    }],
                    name_prefix,
                    listen_port,
                    storage,
                    config,
                    resources,
                    slave_read,
                    shutdown: Shutdown { grace_period_seconds, ..Shutdown::default() },
                    addressing,
                    drain: Drain {
                        timeout: timeout.map(|span| minutes(span).expect("in range")),
                        ..Drain::default()
                    },
                    ..Brokers::default()
                }
            },
        )
}

fn cluster() -> impl Strategy<Value = Cluster> {
    let level = || {
        prop::sample::select(vec![
            LogLevel::Error,
            LogLevel::Warn,
            LogLevel::Debug,
            LogLevel::Trace,
        ])
    };
    let format = prop::sample::select(vec![LogFormat::Json, LogFormat::Text]);
    let logging = (level(), btree_map("[a-z_:]{1,9}", level(), 0..3), option::of(format))
        .prop_map(|(level, filters, format)| Logging { level, filters, format });
    let policy = prop::sample::select(vec![VolumePolicy::Retain, VolumePolicy::Delete]);
    (
        ("[a-z]([a-z0-9-]{0,38}[a-z0-9])?", option::of("[a-z]{1,9}"), settings()),
        option::of("[A-Za-z0-9_-]{1,63}"),
        option::of("[0-9][0-9.]{0,5}"),
        name_server(),
        brokers(),
        logging,
        (any::<bool>(), 6000_u16..7000),
        policy,
        (any::<bool>(), any::<bool>(), pod()),
    )
        .prop_map(
            |(
                metadata,
                cluster_name,
                version,
                nameserver,
                brokers,
                logging,
                rest,
                volumes,
                run,
            )| {
                let (name, namespace, labels) = metadata;
                Cluster {
                    metadata: ObjectMeta {
                        name: Some(name),
                        namespace,
                        labels: (!labels.is_empty()).then_some(labels),
                        ..ObjectMeta::default()
                    },
                    spec: Spec {
                        layout: Layout::Custom,
                        cluster_name,
                        version,
                        image: Image::default(),
                        nameserver,
                        brokers,
                        security: Security::default(),
                        logging,
                        metrics: Metrics { enabled: rest.0, port: rest.1 },
                        pod_defaults: run.2,
                        deletion_policy: DeletionPolicy { volumes },
                        paused: run.0,
                        hibernated: run.1,
                    },
                    status: None,
                }
            },
        )
}

proptest! {
    #[test]
    fn what_is_written_is_read_again(wanted in cluster()) {
        let yaml = serde_yaml::to_string(&wanted).expect("serialisable");
        prop_assert_eq!(read(&yaml), Ok(vec![wanted.clone()]), "{}", yaml);
        let json = serde_json::to_string(&wanted).expect("serialisable");
        prop_assert_eq!(read(&json), Ok(vec![wanted]), "{}", json);
    }

    #[test]
    fn noise_never_panics(text in "\\PC*") {
        read(&text).ok();
    }

    #[test]
    fn a_damaged_manifest_never_panics(
        wanted in cluster(),
        at in any::<prop::sample::Index>(),
        noise in "[\\PC\n\t:{}&*!|>'\"-]{0,4}",
    ) {
        let mut yaml: Vec<char> = serde_yaml::to_string(&wanted).expect("serialisable").chars().collect();
        let at = at.index(yaml.len());
        yaml.splice(at..=at, noise.chars());
        read(&yaml.into_iter().collect::<String>()).ok();
    }
}
