//! The rules of the schema, evaluated as the API server does: they and the validator must agree.

use std::collections::BTreeSet;

use kube::core::cel::{ValidationErrors, Validator};
use serde_json::Value;

use crate::validate::{validate, validate_update};
use crate::{Cluster, crd};

impl Cluster {
    fn validate_cel(&self) -> Result<(), ValidationErrors> {
        let object = serde_json::to_value(self).expect("a resource is JSON");
        Validator::new().validate(crd::schema(), &object, None)
    }

    fn validate_cel_update(&self, old: &Self) -> Result<(), ValidationErrors> {
        let object = serde_json::to_value(self).expect("a resource is JSON");
        let old = serde_json::to_value(old).expect("a resource is JSON");
        Validator::new().validate(crd::schema(), &object, Some(&old))
    }
}

fn named(name: &str, spec: &str) -> Cluster {
    let yaml = format!(
        "{{apiVersion: rocketmq.rs/v1alpha1, kind: RocketMQCluster, \
          metadata: {{name: {name}}}, spec: {spec}}}"
    );
    serde_yaml::from_str(&yaml).expect(&yaml)
}

/// A cluster of one broker with `more` in its `spec.brokers` and `rest` in its `spec`.
fn single(more: &str, rest: &str) -> Cluster {
    let storage = if more.contains("storage: {size") { "" } else { "storage: {size: 20Gi}," };
    named("demo", &format!("{{layout: single, {rest} brokers: {{{storage} {more}}}}}"))
}

fn messages(result: Result<(), ValidationErrors>) -> Vec<String> {
    let errors = result.map_err(ValidationErrors::into_vec).err().unwrap_or_default();
    errors.into_iter().map(|error| error.message).collect()
}

/// Clusters that break a rule, and a part of its message.
fn bad() -> Vec<(Cluster, &'static str)> {
    let settings = |key: &str| format!("config: {{{key}: v}}");
    let long = "k".repeat(65);
    vec![
        (
            named(&"a".repeat(41), "{layout: single, brokers: {storage: {size: 1}}}"),
            "longer than 40",
        ),
        (named("0a", "{layout: single, brokers: {storage: {size: 1}}}"), "beginning with a letter"),
        (
            named("a.b", "{layout: single, brokers: {storage: {size: 1}}}"),
            "beginning with a letter",
        ),
        (named("a-", "{layout: single, brokers: {storage: {size: 1}}}"), "beginning with a letter"),
        (named("demo", "{layout: Custom, brokers: {storage: {size: 1}}}"), "layout Custom needs"),
        (
            named(
                "demo",
                "{layout: Custom, brokers: {groups: 1, replicasPerGroup: 1, storage: {size: 1}}}",
            ),
            "layout Custom needs",
        ),
        (single("replicasPerGroup: 2", ""), "allowed only with layout Custom"),
        (single("replication: Sync", ""), "allowed only with layout Custom"),
        (single("sync: {minInSync: 2}", ""), "minInSync is more"),
        (
            named(
                "demo",
                "{layout: 2m-2s-sync, brokers: {sync: {minInSync: 3}, storage: {size: 1}}}",
            ),
            "minInSync is more",
        ),
        (
            named(
                "demo",
                "{layout: Custom, brokers: {groups: 1, replicasPerGroup: 3, replication: Sync, \
                 sync: {minInSync: 4}, storage: {size: 1}}}",
            ),
            "minInSync is more",
        ),
        (single("", "metrics: {port: 10909},"), "metrics.port is a port"),
        (single("", "metrics: {port: 10913},"), "metrics.port is a port"),
        (single("", "metrics: {port: 9876},"), "metrics.port is a port"),
        (single("", "metrics: {port: 9878},"), "metrics.port is a port"),
        (single("", "logging: {filters: {'a=b': info}},"), "logging.filters must name"),
        (
            single("", "nameserver: {replicas: 1, externalAddresses: ['a:1']},"),
            "exclude each other",
        ),
        (single("", &format!("nameserver: {{{}}},", settings("kvConfigPath"))), "are derived"),
        (single("", &format!("nameserver: {{{}}},", settings("a b"))), "names of settings"),
        (single(&settings("brokerId"), ""), "are derived"),
        (single(&settings("storePathAnything"), ""), "are derived"),
        (single(&settings("a b"), ""), "names of settings"),
        (single(&settings(&long), ""), "names of settings"),
        (
            single(
                &format!("groupOverrides: [{{name: broker-a, {}}}]", settings("brokerName")),
                "",
            ),
            "are derived",
        ),
        (single("groupOverrides: [{name: other-a}]", ""), "must name groups"),
        (single("namePrefix: x, groupOverrides: [{name: x-abc}]", ""), "must name groups"),
        (named("demo", "{layout: single, brokers: {}}"), "storage.size is required"),
        (
            named("demo", "{layout: single, brokers: {storage: {className: x}}}"),
            "storage.size is required",
        ),
        (single("addressing: {advertise: External}", ""), "need each other"),
        (single("addressing: {external: {type: NodePort}}", ""), "need each other"),
        (
            single("antiAffinity: Required, addressing: {hostNetwork: true}", ""),
            "hostNetwork needs",
        ),
        (single("addressing: {hostNetwork: true, advertise: HostIP}", ""), "hostNetwork needs"),
        (
            single("shutdown: {gracePeriodSeconds: 5, drainSeconds: 5}", ""),
            "must be less than gracePeriodSeconds",
        ),
        (single("pod: {env: [{name: RMQ_X}]}", ""), "env cannot set"),
        (single("", "podDefaults: {env: [{name: A}, {name: POD_IP}]},"), "env cannot set"),
        (single("", "nameserver: {pod: {env: [{name: HOST_IP}]}},"), "env cannot set"),
    ]
}

fn good() -> Vec<Cluster> {
    vec![
        named(&"a".repeat(40), "{layout: single, brokers: {storage: {type: Ephemeral}}}"),
        single("", ""),
        single("groups: 64", "clusterName: x_Y, metrics: {port: 9877},"),
        single("", "metrics: {port: 9876, enabled: false},"),
        single("", "nameserver: {externalAddresses: ['a:1', '[::1]:9876']},"),
        named("demo", "{layout: 2m-2s-async, brokers: {sync: {minInSync: 2}, storage: {size: 1}}}"),
        named(
            "demo",
            "{layout: Custom, brokers: {groups: 1, replicasPerGroup: 3, replication: Sync, \
             sync: {minInSync: 3}, storage: {size: 1}}}",
        ),
        single("namePrefix: x, groupOverrides: [{name: x-a}, {name: x-bl}]", ""),
        single("config: {fileReservedTime: '72', a.b_c-d: ''}", ""),
        single("addressing: {advertise: External, external: {type: LoadBalancer}}", ""),
        single("antiAffinity: Required, addressing: {hostNetwork: true, advertise: HostIP}", ""),
        single("shutdown: {gracePeriodSeconds: 6, drainSeconds: 5}", ""),
        single("pod: {env: [{name: JAVA_OPT}]}", "podDefaults: {env: [{name: rmq_x}]},"),
    ]
}

/// Changes that are refused, and a part of the message.
fn bad_changes() -> Vec<(Cluster, Cluster, &'static str)> {
    let storage = |fields: &str| {
        named(
            "demo",
            &format!("{{layout: single, brokers: {{storage: {{size: 20Gi, {fields}}}}}}}"),
        )
    };
    let name_server = |fields: &str| single("", &format!("nameserver: {{storage: {{{fields}}}}},"));
    let both = |a: Cluster, b: Cluster, text| [(a.clone(), b.clone(), text), (b, a, text)];
    let mut all = Vec::new();
    // Taking a value away, and giving one, is a change as well: two such would make any change.
    for (with, text) in [
        (single("", "clusterName: x,"), "clusterName cannot be changed"),
        (storage("className: x"), "storage.className cannot be changed"),
        (storage("type: Ephemeral"), "storage.type cannot be changed"),
        (storage("accessMode: ReadWriteOncePod"), "storage.accessMode cannot be changed"),
        (storage("commitLog: {size: 1Gi}"), "storage.commitLog cannot be added or removed"),
        (single("namePrefix: x", ""), "namePrefix cannot be changed"),
        (name_server("type: PersistentVolumeClaim"), "storage.type cannot be changed"),
        (name_server("className: x"), "storage.className cannot be changed"),
    ] {
        all.extend(both(single("", ""), with, text));
    }
    all.extend(both(
        storage("commitLog: {size: 1Gi}"),
        storage("commitLog: {size: 1Gi, className: x}"),
        "storage.commitLog.className cannot be changed",
    ));
    let group =
        |storage: &str| single(&format!("groupOverrides: [{{name: broker-a, {storage}}}]"), "");
    all.extend(both(
        group("storage: {className: x}"),
        group("storage: {className: y}"),
        "groupOverrides[].storage.className cannot be changed",
    ));
    all.extend(both(
        group(""),
        group("storage: {className: x}"),
        "groupOverrides[].storage cannot be added or removed",
    ));
    all.push((
        storage("commitLog: {size: 2Gi}"),
        storage("commitLog: {size: 2047Mi}"),
        "storage.commitLog.size cannot shrink",
    ));
    all.push((single("", ""), single("storage: {size: 19.9Gi}", ""), "storage.size cannot shrink"));
    all.push((name_server("size: 2Gi"), name_server("size: 1Gi"), "storage.size cannot shrink"));
    all
}

#[test]
fn what_breaks_a_rule_is_refused_by_schema_and_validator_alike() {
    for (cluster, text) in bad() {
        let found = messages(cluster.validate_cel());
        assert!(found.iter().any(|message| message.contains(text)), "{text}: {found:?}");
        assert_ne!(validate(&cluster), [], "{text}");
    }
    for cluster in good() {
        let yaml = serde_yaml::to_string(&cluster).expect("YAML");
        assert_eq!(messages(cluster.validate_cel()), Vec::<String>::new(), "{yaml}");
        assert_eq!(validate(&cluster), [], "{yaml}");
    }
}

#[test]
fn forbidden_changes_are_refused_by_schema_and_validator_alike() {
    for (old, new, text) in bad_changes() {
        let found = messages(new.validate_cel_update(&old));
        assert!(found.iter().any(|message| message.contains(text)), "{text}: {found:?}");
        assert_ne!(validate_update(&old, &new), [], "{text}");
    }
    for (old, new) in [
        (single("", ""), single("", "")),
        (single("", ""), single("storage: {size: 20480Mi}, groups: 3", "paused: true,")),
        (single("storage: {size: 1}", ""), single("storage: {size: 1.5Ti}", "")),
        (single("", ""), single("groupOverrides: [{name: broker-a}]", "")),
    ] {
        assert_eq!(messages(new.validate_cel_update(&old)), Vec::<String>::new());
        assert_eq!(validate_update(&old, &new), []);
    }
}

/// The messages of all rules in `schema`.
fn all_messages(schema: &Value, found: &mut BTreeSet<String>) {
    match schema {
        Value::Object(fields) => {
            let rules = fields.get("x-kubernetes-validations").and_then(Value::as_array);
            for rule in rules.into_iter().flatten() {
                let message = rule.get("message").and_then(Value::as_str);
                found.extend(message.map(str::to_owned));
            }
            fields.values().for_each(|inner| all_messages(inner, found));
        }
        Value::Array(items) => items.iter().for_each(|inner| all_messages(inner, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[test]
fn every_rule_of_the_schema_has_a_case() {
    let mut rules = BTreeSet::new();
    all_messages(crd::schema(), &mut rules);
    let seen: BTreeSet<String> = bad()
        .iter()
        .flat_map(|(cluster, _)| messages(cluster.validate_cel()))
        .chain(
            bad_changes().iter().flat_map(|(old, new, _)| messages(new.validate_cel_update(old))),
        )
        .collect();
    assert_eq!(rules.difference(&seen).collect::<Vec<_>>(), Vec::<&String>::new());
}
