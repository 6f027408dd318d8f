//! Where clients are told to find brokers.

use rmq_operator_plan::Kind;
use serde_json::{Value, json};

use super::objects::objects;
use crate::sim::{self, Sim};

/// A variable of the first group's broker.
fn variable(body: &Value, name: &str) -> Option<String> {
    let all = body.pointer("/spec/template/spec/containers/0/env")?.as_array()?;
    let one = all.iter().find(|one| one["name"] == name)?;
    one.get("value")?.as_str().map(ToOwned::to_owned)
}

fn group(spec: &str) -> Value {
    let all = objects(&sim::cluster(spec), true);
    let set = all.iter().find(|one| one.kind() == Kind::StatefulSet && one.name().ends_with("-a"));
    set.expect("a group").to_json()
}

#[test]
fn every_way_reaches_the_broker() {
    for (addressing, advertise, domain) in [
        ("{}", "ServiceIP", "demo-broker-hl.mq.svc"),
        ("{advertise: PodIP}", "PodIP", "demo-broker-hl.mq.svc"),
        ("{advertise: PodDNS}", "PodDNS", "demo-broker-hl.mq.svc.cluster.local"),
        (
            "{advertise: PodDNS, clusterDomain: k8s.example}",
            "PodDNS",
            "demo-broker-hl.mq.svc.k8s.example",
        ),
    ] {
        let body = group(&format!(
            "{{layout: single, brokers: {{addressing: {addressing}, storage: {{size: 1Gi}}}}}}"
        ));
        assert_eq!(variable(&body, "RMQ_ADVERTISE").as_deref(), Some(advertise));
        assert_eq!(variable(&body, "RMQ_SERVICE_DOMAIN").as_deref(), Some(domain));
        assert_eq!(variable(&body, "RMQ_ADVERTISED_HOST"), None);
        assert_eq!(variable(&body, "RMQ_REPLICAS"), None, "it is in a file that may change");
    }
}

#[test]
fn the_nodes_network_is_used_with_its_own_dns_policy() {
    let body = group(
        "{layout: single, brokers: {antiAffinity: Required, storage: {size: 1Gi}, \
          addressing: {hostNetwork: true, advertise: HostIP}}}",
    );
    let pod = body.pointer("/spec/template/spec").expect("a pod");
    assert_eq!(pod["hostNetwork"], json!(true));
    assert_eq!(pod["dnsPolicy"], json!("ClusterFirstWithHostNet"));
    assert!(
        pod.pointer("/affinity/podAntiAffinity/requiredDuringSchedulingIgnoredDuringExecution/0")
            .is_some()
    );
}

/// Brokers of `sim` that have a pod.
fn brokers(sim: &Sim) -> Vec<&String> {
    sim.pods.iter().filter(|(_, pod)| pod.broker.is_some()).map(|(name, _)| name).collect()
}

#[test]
fn a_broker_starts_when_its_load_balancer_has_an_address() {
    let mut sim = Sim::new(
        "{layout: 2m-noslave, brokers: {storage: {size: 1Gi}, addressing: {advertise: External, \
          external: {type: LoadBalancer}}}}",
    );
    for _ in 0..30 {
        sim.round();
    }
    assert_eq!(brokers(&sim), [""; 0]);
    let balanced = json!({"loadBalancer": {"ingress": [{"ip": "203.0.113.7"}]}});
    for name in ["demo-broker-a-0-ext", "demo-broker-b-0-ext"] {
        let kept = sim.objects.get_mut(&(Kind::Service, name.to_owned())).expect("there");
        assert_eq!(kept.body["spec"]["type"], json!("LoadBalancer"));
        kept.body["status"] = balanced.clone();
    }
    sim.settle();
    assert_eq!(brokers(&sim).len(), 2);
    let kept = &sim.objects[&(Kind::StatefulSet, "demo-broker-a".to_owned())];
    assert_eq!(variable(&kept.body, "RMQ_ADVERTISED_HOST").as_deref(), Some("0=203.0.113.7"));
}

#[test]
fn a_node_port_is_told_as_it_was_given_out() {
    let mut sim = Sim::new(
        "{layout: single, brokers: {storage: {size: 1Gi}, addressing: {advertise: External, \
          external: {type: NodePort}}}}",
    );
    sim.round();
    let key = (Kind::Service, "demo-broker-a-0-ext".to_owned());
    sim.objects.get_mut(&key).expect("there").body["spec"]["ports"][0]["nodePort"] = json!(30_911);
    sim.settle();
    let kept = &sim.objects[&(Kind::StatefulSet, "demo-broker-a".to_owned())];
    let told = variable(&kept.body, "RMQ_ADVERTISED_HOST");
    assert_eq!(told.as_deref(), Some("0={nodeIP}:30911"));
}
