//! What is reported, and how often.

use rmq_operator_plan::Kind;
use serde_json::json;

use super::{MASTERS, PAIRS};
use crate::sim::{Sim, holds, reason};

#[test]
fn a_settled_cluster_says_so() {
    let mut sim = Sim::settled(PAIRS);
    let status = sim.round().status;
    let text = serde_json::to_value(&status).expect("plain data");
    for (path, wanted) in [
        ("/phase", json!("Running")),
        ("/version", json!("1.0.0")),
        ("/brokerGroups", json!(2)),
        ("/readyGroups", json!("2/2")),
        ("/selector", json!("app.kubernetes.io/instance=demo,app.kubernetes.io/component=broker")),
        ("/effective/replication", json!("Sync")),
        ("/endpoints/namesrv", json!("demo-namesrv.mq.svc:9876")),
        ("/endpoints/namesrvAll/1", json!("demo-namesrv-1.demo-namesrv-hl.mq.svc:9876")),
        ("/nameservers", json!({"ready": 2, "desired": 2, "updated": 2})),
        ("/groups/0/name", json!("broker-a")),
        ("/groups/0/phase", json!("Active")),
        ("/groups/0/master", json!("demo-broker-a-0")),
        ("/groups/0/inSync", json!([0, 1])),
        ("/groups/0/writable", json!(true)),
        ("/groups/1/replicas/1/role", json!("Slave")),
        ("/groups/1/replicas/1/maxOffset", json!("4096")),
        ("/groups/1/replicas/1/lag", json!("0")),
    ] {
        assert_eq!(text.pointer(path), Some(&wanted), "{path}");
    }
    for (kind, wanted) in [
        ("Ready", "True"),
        ("Available", "True"),
        ("Progressing", "False"),
        ("Degraded", "False"),
        ("ConfigApplied", "True"),
        ("SpecValid", "True"),
        ("ReplicationHealthy", "True"),
    ] {
        assert_eq!(status.condition(kind).map(|one| one.status.as_str()), Some(wanted), "{kind}");
    }
}

#[test]
fn what_does_not_change_is_not_written() {
    let mut sim = Sim::settled(MASTERS);
    let before = sim.round().status;
    sim.pass(600_000);
    assert_eq!(sim.round().status, before);
}

#[test]
fn offsets_are_reported_in_coarse_steps() {
    // The view of a broker is made by the observation; here it is changed on the way.
    let sim = Sim::settled(MASTERS);
    let mut observed = sim.observe();
    let mut report = |offset: u64, status: Option<rmq_operator_api::ClusterStatus>| {
        let mut cluster = sim.cluster.clone();
        cluster.status = status;
        for view in observed.brokers.values_mut().flatten() {
            view.max_offset = offset;
        }
        let decision = rmq_operator_plan::plan(&cluster, &observed, &sim.context);
        (decision.status.groups[0].replicas[0].max_offset.clone(), decision.status)
    };
    let (text, status) = report(1 << 40, None);
    assert_eq!(text.as_deref(), Some("1099511627776"));
    let (text, status) = report((1 << 40) + (1 << 30), Some(status));
    assert_eq!(text.as_deref(), Some("1099511627776"), "within a sixteenth");
    let (text, _) = report((1 << 40) + (1 << 37), Some(status));
    assert_eq!(text.as_deref(), Some("1236950581248"));
}

#[test]
fn the_time_of_a_condition_is_when_its_status_changed() {
    let mut sim = Sim::settled(MASTERS);
    let ready = |sim: &Sim| {
        let status = sim.cluster.status.clone().expect("reported");
        let one = status.condition("Ready").expect("there").clone();
        (one.status, one.last_transition_time.0)
    };
    let (_, first) = ready(&sim);
    sim.crash("demo-broker-a-0");
    sim.round();
    let (state, second) = ready(&sim);
    assert_eq!(state, "False");
    assert!(first < second);
    sim.round();
    assert_eq!(ready(&sim), (state, second));
}

#[test]
fn a_pod_that_dies_by_itself_is_no_rollout() {
    let mut sim = Sim::settled(PAIRS);
    sim.crash("demo-broker-a-1");
    sim.pass(1_000);
    let decision = sim.round();
    assert!(holds(&decision, "Degraded") && holds(&decision, "Available"));
    assert!(!holds(&decision, "Ready"));
    assert_eq!(reason(&decision, "Progressing"), "Settled");
    assert_eq!(reason(&decision, "ReplicationHealthy"), "OutOfSync");
    assert_eq!(decision.status.phase.expect("a phase").to_string(), "Degraded");
    assert!(decision.steps.is_empty());
    sim.settle();
}

#[test]
fn layouts_with_slaves_say_that_they_cannot_run_yet() {
    let mut sim = Sim::new(PAIRS);
    sim.context.replicates = false;
    let decision = sim.until("nothing is left to do", |decision| decision.steps.is_empty());
    for kind in ["Ready", "Available", "ReplicationHealthy"] {
        assert_eq!(reason(&decision, kind), "ReplicationNotAvailable", "{kind}");
        assert!(!holds(&decision, kind));
    }
    assert!(holds(&decision, "SpecValid"));
    assert!(sim.objects.contains_key(&(Kind::StatefulSet, "demo-broker-a".to_owned())));
    assert!(sim.pods.keys().all(|name| name.contains("namesrv")), "no broker runs");
}

#[test]
fn a_running_cluster_that_asks_for_slaves_keeps_what_it_has() {
    let mut sim = Sim::new(MASTERS);
    sim.context.replicates = false;
    sim.settle();
    let pods: Vec<String> = sim.pods.values().map(|pod| pod.uid.clone()).collect();
    sim.edit(|cluster| cluster.spec.layout = rmq_operator_api::Layout::TwoGroupsAsync);
    let mut last = None;
    for _ in 0..100 {
        last = Some(sim.round());
    }
    let decision = last.expect("a round");
    assert_eq!(decision.steps, []);
    assert!(holds(&decision, "Available"), "it goes on with the masters it has");
    assert_eq!(reason(&decision, "Ready"), "ReplicationNotAvailable");
    assert_eq!(sim.pods.values().map(|pod| pod.uid.clone()).collect::<Vec<_>>(), pods);
    // The day it is there, slaves start and nothing is restarted.
    sim.context.replicates = true;
    sim.settle();
    assert!(sim.pods.contains_key("demo-broker-a-1"));
    assert!(pods.iter().all(|uid| sim.pods.values().any(|pod| pod.uid == *uid)));
}

#[test]
fn somebody_elses_object_is_not_taken_over() {
    let mut sim = Sim::settled(MASTERS);
    let key = (Kind::ConfigMap, "demo-client".to_owned());
    let kept = sim.objects.get_mut(&key).expect("there");
    kept.body["metadata"]["ownerReferences"] = json!([]);
    kept.body["metadata"]["labels"]["app.kubernetes.io/managed-by"] = json!("Helm");
    sim.edit(|cluster| cluster.spec.brokers.groups = Some(3));
    let decision = sim.round();
    assert_eq!(decision.steps, []);
    assert_eq!(reason(&decision, "SpecValid"), "NameTaken");
    let message = &decision.status.condition("SpecValid").expect("there").message;
    assert!(message.starts_with("ConfigMap demo-client exists"), "{message}");
    assert_eq!(decision.events.len(), 1);
    assert_eq!(sim.round().events, [], "said once");
}

#[test]
fn what_an_earlier_resource_of_the_name_left_behind_is_taken_over_as_it_runs() {
    let mut sim = Sim::settled(MASTERS);
    let pods: Vec<String> = sim.pods.values().map(|pod| pod.uid.clone()).collect();
    for kept in sim.objects.values_mut() {
        kept.body["metadata"]["ownerReferences"] = json!([]);
    }
    sim.cluster.status = None;
    sim.settle();
    assert_eq!(sim.pods.values().map(|pod| pod.uid.clone()).collect::<Vec<_>>(), pods);
    for ((kind, name), kept) in sim.objects.iter().filter(|((kind, _), _)| *kind != Kind::Secret) {
        let owner = kept.body.pointer("/metadata/ownerReferences/0/uid");
        assert_eq!(owner, Some(&json!(crate::sim::UID)), "{kind} {name}");
    }
}

#[test]
fn a_spec_that_breaks_a_rule_changes_nothing() {
    let mut sim = Sim::settled(MASTERS);
    sim.cluster.spec.brokers.groups = Some(0);
    let decision = sim.round();
    assert_eq!(decision.steps, []);
    assert_eq!(reason(&decision, "SpecValid"), "InvalidSpec");
    assert!(!holds(&decision, "Ready"));
    assert!(holds(&decision, "Available"), "the last good state is kept");
}

#[test]
fn drift_is_corrected_and_a_missing_service_gets_its_address_back() {
    let mut sim = Sim::settled(MASTERS);
    let key = (Kind::Service, "demo-broker-a-0".to_owned());
    let ip = sim.objects[&key].body["spec"]["clusterIP"].clone();
    sim.objects.remove(&key);
    let budget = (Kind::Service, "demo-namesrv".to_owned());
    sim.objects.get_mut(&budget).expect("there").body["spec"]["ports"][0]["port"] = json!(1);
    let from = sim.log.len();
    sim.settle();
    assert_eq!(
        sim.steps_since(from),
        ["apply Service demo-namesrv", "apply Service demo-broker-a-0"]
    );
    assert_eq!(sim.objects[&key].body["spec"]["clusterIP"], ip);
    assert_eq!(sim.objects[&budget].body["spec"]["ports"][0]["port"], json!(9876));
}

#[test]
fn typing_errors_in_annotations_are_told_once() {
    let mut sim = Sim::settled(MASTERS);
    sim.annotate("rocketmq.rs/puase", "true");
    let events = sim.round().events;
    assert_eq!(events.len(), 1);
    assert_eq!(events[0].reason.name(), "UnknownAnnotation");
    assert_eq!(sim.round().events, []);
}

#[test]
fn a_cluster_that_is_being_deleted_is_left_to_the_garbage_collector() {
    let mut sim = Sim::settled(MASTERS);
    let time = sim.cluster.status.as_ref().expect("there").conditions[0].clone();
    sim.cluster.metadata.deletion_timestamp = Some(time.last_transition_time);
    sim.edit(|cluster| cluster.spec.brokers.groups = Some(1));
    assert_eq!(sim.round().steps, []);
}
