use super::*;
use crate::manifest;

fn cluster(spec: &str) -> Cluster {
    let text = format!(
        "{{apiVersion: {}, kind: {}, metadata: {{name: demo}}, spec: {spec}}}",
        crate::API_VERSION,
        crate::KIND
    );
    serde_yaml::from_str(&text).expect("well formed")
}

fn paths(spec: &str) -> Vec<String> {
    validate(&cluster(spec)).into_iter().map(|violation| violation.path).collect()
}

#[test]
fn each_rule() {
    let long = "x".repeat(2049);
    let settings: String = (0..129).map(|index| format!("k{index}: v, ")).collect();
    for (spec, expected) in [
        ("{layout: single, brokers: {storage: {type: Ephemeral}}}", ""),
        ("{layout: single, brokers: {}}", "spec.brokers.storage.size"),
        ("{layout: single, clusterName: 'a b', brokers: {storage: {size: 1}}}", "spec.clusterName"),
        ("{layout: single, clusterName: '', brokers: {storage: {size: 1}}}", "spec.clusterName"),
        (
            "{layout: single, metrics: {port: 0}, brokers: {storage: {size: 1}}}",
            "spec.metrics.port",
        ),
        (
            "{layout: single, metrics: {port: 9876}, brokers: {storage: {size: 1}}}",
            "spec.metrics.port",
        ),
        (
            "{layout: single, metrics: {port: 5555}, brokers: {listenPort: 5557, storage: {size: 1}}}",
            "spec.metrics.port",
        ),
        (
            "{layout: single, metrics: {port: 9876, enabled: false}, brokers: {storage: {size: 1}}}",
            "",
        ),
        (
            "{layout: single, logging: {filters: {'a=b': info}}, brokers: {storage: {size: 1}}}",
            "spec.logging.filters",
        ),
        (
            "{layout: single, nameserver: {replicas: 10}, brokers: {storage: {size: 1}}}",
            "spec.nameserver.replicas",
        ),
        (
            "{layout: single, nameserver: {port: 0}, brokers: {storage: {size: 1}}}",
            "spec.nameserver.port",
        ),
        (
            "{layout: single, nameserver: {replicas: 1, externalAddresses: ['a:1']}, \
             brokers: {storage: {size: 1}}}",
            "spec.nameserver.replicas",
        ),
        (
            "{layout: single, nameserver: {externalAddresses: ['a:1', 'a:0', ':1', 'a', 'a;b:1']}, \
             brokers: {storage: {size: 1}}}",
            "spec.nameserver.externalAddresses[1] spec.nameserver.externalAddresses[2] \
             spec.nameserver.externalAddresses[3] spec.nameserver.externalAddresses[4]",
        ),
        (
            "{layout: Custom, brokers: {storage: {size: 1}}}",
            "spec.brokers.groups spec.brokers.replicasPerGroup spec.brokers.replication",
        ),
        (
            "{layout: single, brokers: {groups: 3, replicasPerGroup: 2, replication: Sync, \
             storage: {size: 1}}}",
            "spec.brokers.replicasPerGroup spec.brokers.replication",
        ),
        (
            "{layout: Custom, brokers: {groups: 0, replicasPerGroup: 8, replication: Sync, \
             storage: {size: 1}}}",
            "spec.brokers.groups spec.brokers.replicasPerGroup",
        ),
        (
            "{layout: 2m-2s-sync, brokers: {sync: {minInSync: 3}, storage: {size: 1}}}",
            "spec.brokers.sync.minInSync",
        ),
        ("{layout: 2m-2s-sync, brokers: {sync: {minInSync: 2}, storage: {size: 1}}}", ""),
        (
            "{layout: single, brokers: {namePrefix: 1a, storage: {size: 1}}}",
            "spec.brokers.namePrefix",
        ),
        (
            "{layout: single, brokers: {namePrefix: '', storage: {size: 1}}}",
            "spec.brokers.namePrefix",
        ),
        (
            "{layout: single, brokers: {listenPort: 2, storage: {size: 1}}}",
            "spec.brokers.listenPort",
        ),
        (
            "{layout: single, brokers: {listenPort: 65534, storage: {size: 1}}}",
            "spec.brokers.listenPort",
        ),
        (
            "{layout: single, brokers: {shutdown: {gracePeriodSeconds: 0}, storage: {size: 1}}}",
            "spec.brokers.shutdown.gracePeriodSeconds",
        ),
        (
            "{layout: single, brokers: {storage: {size: 1}, \
             groupOverrides: [{name: broker-a}, {name: broker-a}, {name: broker-}, {name: x-a}]}}",
            "spec.brokers.groupOverrides[1].name spec.brokers.groupOverrides[2].name \
             spec.brokers.groupOverrides[3].name",
        ),
        (
            &format!(
                "{{layout: single, brokers: {{storage: {{size: 1}}, config: {{ok: {long}}}}}}}"
            ),
            "spec.brokers.config.ok",
        ),
        (
            "{layout: single, brokers: {storage: {size: 1}, config: {a b: '', x: \"a\\nb\"}}}",
            "spec.brokers.config spec.brokers.config.x",
        ),
        (
            &format!(
                "{{layout: single, brokers: {{storage: {{size: 1}}, config: {{{settings}}}}}}}"
            ),
            "spec.brokers.config",
        ),
        (
            "{layout: single, nameserver: {config: {listenPort: '1', storePathRootDir: x}}, \
             brokers: {storage: {size: 1}}}",
            "spec.nameserver.config.listenPort spec.nameserver.config.storePathRootDir",
        ),
    ] {
        assert_eq!(paths(spec).join(" "), expected, "{spec}");
    }
}

#[test]
fn names_of_clusters() {
    let mut one = cluster("{layout: single, brokers: {storage: {size: 1}}}");
    for (name, valid) in [
        ("a", true),
        ("a-0", true),
        ("0-a", false),
        (&*"a".repeat(40), true),
        (&*"a".repeat(41), false),
        ("", false),
        ("A", false),
        ("a-", false),
        ("-a", false),
        ("..", false),
        ("a/b", false),
        ("a.b", false),
    ] {
        one.metadata.name = Some(name.to_owned());
        assert_eq!(validate(&one).is_empty(), valid, "{name}");
    }
}

#[test]
fn identity_settings_are_refused() {
    for key in ["brokerName", "brokerId", "namesrvAddr", "storePathCommitLog", "totalReplicas"] {
        assert!(config::is_identity(key), "{key}");
    }
    for key in ["flushDiskType", "brokername", "deleteWhen", "listenport"] {
        assert!(!config::is_identity(key), "{key}");
    }
}

#[test]
fn what_cannot_change() {
    let old = cluster("{layout: single, brokers: {storage: {size: 2Gi}}}");
    for (spec, expected) in [
        ("{layout: single, brokers: {storage: {size: 2048Mi}}}", ""),
        ("{layout: 2m-noslave, brokers: {storage: {size: 3Gi}}}", ""),
        ("{layout: single, clusterName: demo, brokers: {storage: {size: 2Gi}}}", ""),
        ("{layout: single, clusterName: x, brokers: {storage: {size: 2Gi}}}", "spec.clusterName"),
        (
            "{layout: single, brokers: {namePrefix: x, storage: {size: 1Gi}}}",
            "spec.brokers.namePrefix spec.brokers.storage.size",
        ),
        (
            "{layout: single, brokers: {storage: {type: Ephemeral, className: x}}}",
            "spec.brokers.storage.type spec.brokers.storage.className",
        ),
        (
            "{layout: single, nameserver: {storage: {type: PersistentVolumeClaim}}, \
             brokers: {storage: {size: 2Gi}}}",
            "spec.nameserver.storage.type",
        ),
    ] {
        let found: Vec<String> = validate_update(&old, &cluster(spec))
            .into_iter()
            .map(|violation| violation.path)
            .collect();
        assert_eq!(found.join(" "), expected, "{spec}");
    }
}

#[test]
fn messages_read_well() {
    let violation = Violation::new("spec.brokers.groups", 65, "must be 1 to 64");
    assert_eq!(violation.to_string(), "spec.brokers.groups: `65` must be 1 to 64");
    let errors = manifest::read("{apiVersion: x, kind: y}").expect_err("not ours");
    assert_eq!(errors.len(), 1);
}
