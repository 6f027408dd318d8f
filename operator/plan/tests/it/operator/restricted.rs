//! The `restricted` pod security level, rule by rule, on every template the operator makes.
//!
//! Source: Kubernetes, "Pod Security Standards", version 1.33.

use rmq_operator_plan::Kind;
use serde_json::{Value, json};

use super::objects::{objects, read};
use crate::sim;

/// Volume types that the level lets through.
const VOLUMES: [&str; 8] = [
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "persistentVolumeClaim",
    "projected",
    "secret",
];

/// What a pod of this spec breaks; nothing if it may run.
fn violations(pod: &Value) -> Vec<String> {
    let mut found = Vec::new();
    let at = |path: &str| pod.pointer(path);
    for field in ["/hostNetwork", "/hostPID", "/hostIPC"] {
        if at(field) == Some(&Value::Bool(true)) {
            found.push(field.to_owned());
        }
    }
    for volume in at("/volumes").and_then(Value::as_array).into_iter().flatten() {
        let kinds = volume.as_object().expect("a volume").keys().filter(|key| *key != "name");
        found.extend(kinds.filter(|kind| !VOLUMES.contains(&kind.as_str())).cloned());
    }
    let pod_level = at("/securityContext").cloned().unwrap_or_default();
    let containers = ["/containers", "/initContainers"];
    let all = containers.iter().filter_map(|path| at(path)?.as_array()).flatten();
    for container in all {
        let own = container.get("securityContext").cloned().unwrap_or_default();
        let either = |path: &str| own.pointer(path).or_else(|| pod_level.pointer(path)).cloned();
        let mut need = |holds: bool, what: &str| {
            if !holds {
                found.push(format!("{what} of {}", container["name"]));
            }
        };
        need(own["allowPrivilegeEscalation"] == json!(false), "allowPrivilegeEscalation");
        need(own.get("privileged") != Some(&json!(true)), "privileged");
        let drop = own.pointer("/capabilities/drop").and_then(Value::as_array);
        need(drop.is_some_and(|all| all.contains(&json!("ALL"))), "capabilities.drop");
        let add = own.pointer("/capabilities/add").and_then(Value::as_array).cloned();
        let added = add.unwrap_or_default();
        need(added.iter().all(|one| one == "NET_BIND_SERVICE"), "capabilities.add");
        need(either("/runAsNonRoot") == Some(json!(true)), "runAsNonRoot");
        need(either("/runAsUser") != Some(json!(0)), "runAsUser");
        let seccomp = either("/seccompProfile/type");
        need(
            seccomp == Some(json!("RuntimeDefault")) || seccomp == Some(json!("Localhost")),
            "seccompProfile",
        );
        let ports = container.get("ports").and_then(Value::as_array).cloned();
        need(
            ports.unwrap_or_default().iter().all(|port| port.get("hostPort").is_none()),
            "hostPort",
        );
    }
    found
}

fn pods(spec: &str) -> Vec<Value> {
    objects(&sim::cluster(spec), true)
        .into_iter()
        .filter(|object| object.kind() == Kind::StatefulSet)
        .map(|set| set.to_json().pointer("/spec/template/spec").cloned().expect("a pod"))
        .collect()
}

#[test]
fn our_pods_pass_as_they_are() {
    for spec in [super::MASTERS, super::PAIRS, super::SINGLE] {
        for pod in pods(spec) {
            assert_eq!(violations(&pod), [""; 0]);
            assert_eq!(pod["automountServiceAccountToken"], json!(false));
            assert_eq!(pod["enableServiceLinks"], json!(false));
            assert_eq!(
                pod.pointer("/containers/0/securityContext/readOnlyRootFilesystem"),
                Some(&json!(true))
            );
        }
    }
}

#[test]
fn the_check_sees_what_breaks_the_level() {
    let host = "{layout: single, brokers: {antiAffinity: Required, storage: {size: 1Gi}, \
                 addressing: {hostNetwork: true, advertise: HostIP}}}";
    assert_eq!(pods(host).iter().map(violations).max(), Some(vec!["/hostNetwork".to_owned()]));
    let root = "{layout: single, brokers: {storage: {size: 1Gi}, \
                 pod: {containerSecurityContext: {runAsUser: 0}}}}";
    let found = pods(root).iter().map(violations).max().expect("pods");
    assert!(found.iter().any(|one| one.starts_with("runAsUser")), "{found:?}");
    let volume = "{layout: single, brokers: {storage: {size: 1Gi}, \
                   pod: {extraVolumes: [{name: x, hostPath: {path: /}}]}}}";
    assert_eq!(pods(volume).iter().map(violations).max(), Some(vec!["hostPath".to_owned()]));
}

#[test]
fn no_secret_is_in_an_environment_or_a_config_map() {
    let text = format!(
        "apiVersion: rocketmq.rs/v1alpha1\nkind: RocketMQCluster\nmetadata: {{name: demo}}\n\
         spec: {}\n",
        super::PAIRS
    );
    for object in objects(&read(&text), true) {
        let body = object.to_json();
        assert!(!body.to_string().contains("secretKeyRef"), "{}", object.name());
        if object.kind() == Kind::Secret {
            assert_eq!(body.get("data"), None, "generated where it is created");
        }
    }
}
