//! Plans of every layout, compared with files that people have read; and what holds for any plan.
//!
//! `UPDATE_GOLDEN=1 cargo test -p rmq-operator-plan` writes the files anew.

mod operator;
mod sim;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use rmq_operator_api::cluster::LogFormat;
use rmq_operator_api::{Cluster, manifest};
use rmq_operator_plan::diff::{Change, diff};
use rmq_operator_plan::{
    Component, Dirs, Endpoint, Environment, Plan, PodId, Ports, Role, resolve,
};

/// Pods as a cluster network would have them: a name each, the same ports for all.
struct Network;

impl Environment for Network {
    fn endpoint(&self, cluster: &Cluster, pod: PodId) -> Endpoint {
        let (host, listen) = match pod {
            PodId::Namesrv { ordinal } => {
                (format!("10.0.0.{}", 1 + ordinal), cluster.spec.nameserver.port)
            }
            PodId::Broker { group, ordinal } => {
                (format!("10.0.{}.{ordinal}", 1 + group), cluster.spec.brokers.listen_port)
            }
        };
        let ports = Ports { listen, ha: listen.saturating_add(1), http: cluster.spec.metrics.port };
        Endpoint { host, bind: "0.0.0.0".to_owned(), ports }
    }

    fn dirs(&self, name: &str) -> Dirs {
        Dirs { config: format!("/etc/{name}"), data: format!("/data/{name}") }
    }

    fn log_format(&self) -> LogFormat {
        LogFormat::Json
    }
}

fn cluster(spec: &str) -> Cluster {
    let text = format!(
        "{{apiVersion: rocketmq.rs/v1alpha1, kind: RocketMQCluster, \
          metadata: {{name: demo}}, spec: {spec}}}"
    );
    only(&text)
}

fn only(text: &str) -> Cluster {
    let clusters = manifest::read(text).expect(text);
    assert_eq!(clusters.len(), 1, "{text}");
    clusters.into_iter().next().expect("one, as was just seen")
}

fn plan(spec: &str) -> Plan {
    resolve(&cluster(spec), &Network)
}

#[expect(clippy::disallowed_methods, reason = "a file of the source tree, written on request")]
fn compare(name: &str, found: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/{name}.txt"));
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, found).expect("the source tree is writable");
    }
    let wanted = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(found, wanted, "{} differs", path.display());
}

fn samples() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/clusters");
    let mut found: Vec<PathBuf> = std::fs::read_dir(folder)
        .expect("the samples are there")
        .map(|entry| entry.expect("readable").path())
        .collect();
    found.sort();
    found
}

#[test]
fn the_sample_manifests_give_the_plans_on_file() {
    let mut names = Vec::new();
    for path in samples() {
        let text = std::fs::read_to_string(&path).expect("readable");
        let name = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default().to_owned();
        compare(&name, &resolve(&only(&text), &Network).to_string());
        names.push(name);
    }
    assert_eq!(
        names,
        ["2m-2s-async", "2m-2s-sync", "2m-noslave", "custom", "production", "single"]
    );
}

#[test]
fn a_synchronous_master_waits_for_all_its_replicas() {
    let plan = plan("{layout: 2m-2s-sync, brokers: {sync: {minInSync: 2}, storage: {size: 1}}}");
    for process in plan.processes.iter().filter(|one| one.component == Component::Broker) {
        let get = |key: &str| process.settings.get(key).map(String::as_str);
        assert_eq!(get("totalReplicas"), Some("2"), "{}", process.name);
        assert_eq!(get("inSyncReplicas"), Some("2"), "{}", process.name);
        assert_eq!(get("minInSyncReplicas"), Some("2"), "{}", process.name);
    }
}

#[test]
fn one_slave_has_the_id_slow_consumers_are_sent_to() {
    let plan = plan("{layout: 2m-2s-async, brokers: {storage: {size: 1}}}");
    let ids: Vec<(String, u32, Role)> = plan
        .processes
        .into_iter()
        .filter_map(|process| process.broker)
        .map(|broker| (broker.name, broker.id, broker.role))
        .collect();
    let group = |name: &str, id, role| (name.to_owned(), id, role);
    assert_eq!(
        ids,
        [
            group("broker-a", 0, Role::AsyncMaster),
            group("broker-a", 1, Role::Slave),
            group("broker-b", 0, Role::AsyncMaster),
            group("broker-b", 1, Role::Slave),
        ]
    );
}

#[test]
fn settings_come_from_layout_config_override_and_identity() {
    let plan = plan(
        "{layout: single, brokers: {storage: {size: 1}, \
          config: {fileReservedTime: '72', bindAddress: 1.2.3.4, custom: x}, \
          groupOverrides: [{name: broker-a, config: {custom: y}}, {name: broker-b}]}}",
    );
    let broker = plan.processes.last().expect("a broker");
    let get = |key: &str| broker.settings.get(key).map(String::as_str);
    assert_eq!(get("deleteWhen"), Some("04"));
    assert_eq!(get("fileReservedTime"), Some("72"));
    assert_eq!(get("custom"), Some("y"));
    assert_eq!(get("bindAddress"), Some("0.0.0.0"));
    assert_eq!(
        plan.warnings,
        [
            "demo-broker-a-0: bindAddress=1.2.3.4 in config is replaced by 0.0.0.0",
            "spec.brokers.groupOverrides: there is no group broker-b among 1 groups",
        ]
    );
}

#[test]
fn existing_name_servers_are_used_as_they_are() {
    let plan = plan(
        "{layout: 2m-noslave, nameserver: {externalAddresses: ['a:1', 'b:2']}, \
          brokers: {storage: {size: 1}}}",
    );
    assert_eq!(plan.name_servers, "a:1;b:2");
    let names: Vec<_> = plan.processes.iter().map(|process| process.name.as_str()).collect();
    assert_eq!(names, ["demo-broker-a-0", "demo-broker-b-0"]);
    for process in &plan.processes {
        assert_eq!(process.settings.get("namesrvAddr").map(String::as_str), Some("a:1;b:2"));
    }
}

#[test]
fn no_endpoint_without_metrics() {
    let plan = plan("{layout: single, metrics: {enabled: false}, brokers: {storage: {size: 1}}}");
    for process in &plan.processes {
        assert!(!process.serves_http(), "{}", process.name);
        assert!(!process.listening_ports().contains(&5557));
    }
}

#[test]
fn changes_between_plans() {
    let old = plan("{layout: 2m-noslave, brokers: {storage: {size: 1}, config: {a: '1', b: '2'}}}");
    let new = plan(
        "{layout: 2m-noslave, nameserver: {replicas: 3}, \
          brokers: {groups: 1, storage: {size: 1}, config: {b: '3', c: '4'}}}",
    );
    assert_eq!(diff(&old, &old), []);
    let text: Vec<String> = diff(&old, &new).iter().map(Change::to_string).collect();
    assert_eq!(
        text,
        [
            "- demo-broker-b-0 (its data stays in /data/demo-broker-b-0/store)",
            "+ demo-namesrv-2",
            "~ demo-broker-a-0: a 1 -> unset",
            "~ demo-broker-a-0: b 2 -> 3",
            "~ demo-broker-a-0: c -> 4",
            "~ demo-broker-a-0: namesrvAddr 10.0.0.1:9876;10.0.0.2:9876 -> \
             10.0.0.1:9876;10.0.0.2:9876;10.0.0.3:9876",
        ]
    );
}

proptest! {
    #[test]
    fn every_pod_is_one_of_a_kind(groups in 1_u32..=64, replicas in 1_u32..=7, servers in 1_u32..=9) {
        let plan = plan(&format!(
            "{{layout: Custom, nameserver: {{replicas: {servers}}}, brokers: {{groups: {groups}, \
              replicasPerGroup: {replicas}, replication: Sync, storage: {{size: 1}}}}}}"
        ));
        let count = plan.processes.len();
        prop_assert_eq!(count, usize::try_from(servers + groups * replicas).expect("small"));
        let names: BTreeSet<_> = plan.processes.iter().map(|one| one.name.clone()).collect();
        prop_assert_eq!(names.len(), count);
        let data: BTreeSet<_> = plan.processes.iter().map(|one| one.data().to_owned()).collect();
        prop_assert_eq!(data.len(), count);
        let masters = plan
            .processes
            .iter()
            .filter_map(|one| one.broker.as_ref())
            .filter(|broker| broker.id == 0 && broker.role == Role::SyncMaster);
        prop_assert_eq!(masters.count(), usize::try_from(groups).expect("small"));
    }
}
