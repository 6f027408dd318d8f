//! Objects, compared with files that people have read.
//!
//! `UPDATE_GOLDEN=1 cargo test -p rmq-operator-plan` writes the files anew.

use std::fmt::Write as _;
use std::path::Path;

use rmq_operator_api::{Cluster, manifest};
use rmq_operator_plan::{Context, Intent, Kind, Object, Stage, build};
use serde_json::Value;

use crate::sim::UID;

fn context() -> Context {
    let mut context = Context::new("1.0.0", "registry.example.org");
    context.operator_namespace = Some("rocketmq-system".to_owned());
    context
}

pub(super) fn read(text: &str) -> Cluster {
    let mut cluster = manifest::read(text).expect(text).pop().expect("one");
    cluster.metadata.namespace.get_or_insert_with(|| "mq".to_owned());
    cluster.metadata.uid = Some(UID.to_owned());
    cluster
}

pub(super) fn objects(cluster: &Cluster, replicates: bool) -> Vec<Object> {
    let context = Context { replicates, ..context() };
    let intent = Intent::of(cluster, &context).expect("valid");
    build(&intent, &Stage::fresh(&intent))
}

fn file(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    std::fs::read_to_string(&path).expect("the file is part of the source tree")
}

fn yaml(objects: &[Object]) -> String {
    let mut text = String::new();
    for object in objects {
        let body = serde_yaml::to_string(&object.to_json()).expect("plain data");
        write!(text, "---\n{body}").expect("memory");
    }
    text
}

#[expect(clippy::disallowed_methods, reason = "a file of the source tree, written on request")]
fn compare(name: &str, found: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/k8s/{name}.yaml"));
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, found).expect("the source tree is writable");
    }
    let wanted = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(found == wanted, "{} differs: UPDATE_GOLDEN=1 shows how", path.display());
}

const SAMPLES: [&str; 5] = ["2m-2s-async", "2m-2s-sync", "2m-noslave", "custom", "single"];

fn sample(name: &str) -> Cluster {
    read(&file(&format!("../../deploy/clusters/{name}.yaml")))
}

#[test]
fn the_samples_give_the_objects_on_file() {
    for name in SAMPLES {
        compare(name, &yaml(&objects(&sample(name), false)));
    }
}

#[test]
fn every_field_ends_up_where_it_should() {
    compare("everything", &yaml(&objects(&read(&file("tests/manifests/everything.yaml")), true)));
}

#[test]
fn bodies_have_no_null_and_are_made_the_same_way_each_time() {
    for name in SAMPLES {
        let cluster = sample(name);
        let (one, two) = (objects(&cluster, true), objects(&cluster, true));
        assert_eq!(yaml(&one), yaml(&two));
        for object in &one {
            assert!(!has_null(&object.to_json()), "{name}: {} {}", object.kind(), object.name());
        }
    }
}

fn has_null(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(all) => all.iter().any(has_null),
        Value::Object(all) => all.values().any(has_null),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

#[test]
fn names_and_labels_stay_within_their_limits() {
    let name = "n".repeat(40);
    let cluster = read(&format!(
        "{{apiVersion: rocketmq.rs/v1alpha1, kind: RocketMQCluster, \
          metadata: {{name: {name}, namespace: mq}}, spec: {{layout: Custom, brokers: {{ \
          groups: 64, replicasPerGroup: 7, replication: Async, namePrefix: p23456789012345, \
          storage: {{size: 1Gi}}}}}}}}"
    ));
    for object in objects(&cluster, true) {
        assert!(object.name().len() <= 63, "{}", object.name());
        let labels = object.metadata().labels.clone().unwrap_or_default();
        assert!(labels.values().all(|value| value.len() <= 63));
    }
}

/// The pod template of a StatefulSet.
fn templates(cluster: &Cluster) -> Vec<Value> {
    let sets = objects(cluster, true).into_iter().filter(|one| one.kind() == Kind::StatefulSet);
    sets.map(|set| set.to_json().pointer("/spec/template").cloned().expect("a template")).collect()
}

#[test]
fn only_what_a_running_pod_cannot_take_restarts_it() {
    const BASE: &str = "{layout: 2m-2s-sync, brokers: {storage: {size: 1Gi}}}";
    let base = templates(&crate::sim::cluster(BASE));
    for (spec, restarts) in [
        ("{layout: 2m-2s-sync, brokers: {storage: {size: 2Gi}}}", false),
        ("{layout: 2m-2s-sync, brokers: {storage: {size: 1Gi, labels: {a: b}}}}", false),
        ("{layout: 2m-2s-sync, brokers: {groups: 2, storage: {size: 1Gi}}}", false),
        ("{layout: 2m-2s-sync, nameserver: {replicas: 3}, brokers: {storage: {size: 1Gi}}}", false),
        ("{layout: 2m-2s-sync, brokers: {sync: {minInSync: 2}, storage: {size: 1Gi}}}", false),
        (
            "{layout: Custom, brokers: {groups: 2, replicasPerGroup: 3, replication: Sync, \
           storage: {size: 1Gi}}}",
            false,
        ),
        (
            "{layout: 2m-2s-sync, brokers: {config: {fileReservedTime: '1'}, \
           storage: {size: 1Gi}}}",
            false,
        ),
        (
            "{layout: 2m-2s-sync, deletionPolicy: {volumes: Delete}, \
           brokers: {storage: {size: 1Gi}}}",
            false,
        ),
        ("{layout: 2m-2s-sync, brokers: {pdb: {enabled: false}, storage: {size: 1Gi}}}", false),
        (
            "{layout: 2m-2s-sync, brokers: {update: {strategy: OnDelete}, \
           storage: {size: 1Gi}}}",
            false,
        ),
        (
            "{layout: 2m-2s-sync, security: {networkPolicy: {enabled: false}}, \
           brokers: {storage: {size: 1Gi}}}",
            false,
        ),
        ("{layout: 2m-2s-async, brokers: {storage: {size: 1Gi}}}", true),
        (
            "{layout: 2m-2s-sync, brokers: {config: {flushDiskType: SYNC_FLUSH}, \
           storage: {size: 1Gi}}}",
            true,
        ),
        ("{layout: 2m-2s-sync, brokers: {config: {nobodyKnows: x}, storage: {size: 1Gi}}}", true),
        ("{layout: 2m-2s-sync, version: '2', brokers: {storage: {size: 1Gi}}}", true),
        (
            "{layout: 2m-2s-sync, podDefaults: {labels: {a: b}}, \
           brokers: {storage: {size: 1Gi}}}",
            true,
        ),
    ] {
        assert_eq!(templates(&crate::sim::cluster(spec)) != base, restarts, "{spec}");
    }
}

#[test]
fn selectors_tell_all_sets_apart_and_hold_nothing_that_changes() {
    let mut seen = std::collections::BTreeSet::new();
    for object in objects(&sample("custom"), true) {
        if object.kind() != Kind::StatefulSet {
            continue;
        }
        let body = object.to_json();
        let labels = body.pointer("/spec/selector/matchLabels").expect("labels").clone();
        let version = labels.get("app.kubernetes.io/version");
        assert_eq!(version, None);
        assert!(seen.insert(labels.to_string()));
        let all = body.pointer("/spec/template/metadata/labels").expect("labels");
        for (key, value) in labels.as_object().expect("a map") {
            assert_eq!(all.get(key), Some(value), "pods have what they are selected by");
        }
    }
}

#[test]
fn groups_that_need_replication_are_shown_but_not_started() {
    let mut groups = 0;
    for object in objects(&sample("2m-2s-sync"), false) {
        let labels = object.metadata().labels.clone().unwrap_or_default();
        let of_group = labels.contains_key(rmq_operator_api::meta::BROKER_NAME);
        if object.kind() == Kind::StatefulSet && of_group {
            groups += 1;
            let body = object.to_json();
            assert_eq!(body.pointer("/spec/replicas"), Some(&Value::from(0)), "{}", object.name());
        }
    }
    assert_eq!(groups, 2);
}
