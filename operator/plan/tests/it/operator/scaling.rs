//! More and fewer groups, replicas and name servers; sleep.

use rmq_operator_api::meta;
use rmq_operator_api::status::GroupPhase;
use rmq_operator_plan::{Kind, Step};

use super::{MASTERS, PAIRS};
use crate::sim::{Sim, holds, reason};

fn groups(sim: &mut Sim, groups: u32) {
    sim.edit(|cluster| cluster.spec.brokers.groups = Some(groups));
}

#[test]
fn a_new_group_takes_no_messages_before_it_has_the_topics() {
    let mut sim = Sim::settled(MASTERS);
    let from = sim.log.len();
    groups(&mut sim, 3);
    let mut seen = false;
    sim.until("the topics are copied", |decision| {
        seen |= decision.steps.iter().any(|step| matches!(step, Step::CopyMetadata { .. }));
        seen
    });
    assert_eq!(sim.copies, [("demo-broker-a-0".to_owned(), "demo-broker-c-0".to_owned())]);
    sim.settle();
    let tail: Vec<&str> = sim.steps_since(from);
    let position = |what: &str| tail.iter().position(|step| *step == what).expect(what);
    let copy = position("copy metadata demo-broker-a-0 -> demo-broker-c-0");
    let opened = position("permission 6 of demo-broker-c-0 (operator: as the manifest says)");
    assert!(copy < opened);
    assert!(tail.iter().all(|step| !step.starts_with("delete pod")), "{tail:?}");
    assert_eq!(sim.copies.len(), 1);
    // It would come back with writes.
    sim.crash("demo-broker-c-0");
    assert_eq!(sim.pod("demo-broker-c-0").broker.as_ref().expect("a broker").perm, 6);
}

#[test]
fn a_new_cluster_copies_nothing() {
    let sim = Sim::settled(PAIRS);
    assert_eq!(sim.copies, []);
}

#[test]
fn a_new_cluster_whose_making_was_interrupted_between_two_groups_copies_nothing() {
    let mut sim = Sim::new(MASTERS);
    let decision = sim.decide();
    let first = "apply ConfigMap demo-broker-a";
    for step in &decision.steps {
        sim.act(step);
        if step.to_string() == first {
            break;
        }
    }
    assert!(sim.log.last().is_some_and(|line| line.ends_with(first)), "{:?}", sim.log.last());
    sim.settle();
    assert_eq!(sim.copies, []);
    assert!(sim.log.iter().all(|line| !line.contains("permission")), "{:?}", sim.log);
}

#[test]
fn a_group_leaves_once_it_is_empty_and_its_volumes_stay() {
    let mut sim = Sim::settled(MASTERS);
    groups(&mut sim, 3);
    sim.settle();
    let from = sim.log.len();
    groups(&mut sim, 2);
    let mut phases = Vec::new();
    sim.until("it is gone", |decision| {
        let group = decision.status.groups.iter().find(|group| group.name == "broker-c");
        phases.extend(group.map(|group| group.phase));
        decision.steps.is_empty() && holds(decision, "Ready")
    });
    phases.dedup();
    assert_eq!(
        phases,
        [GroupPhase::Fencing, GroupPhase::Draining, GroupPhase::Empty, GroupPhase::Removing]
    );
    assert!(sim.claims.contains_key("store-demo-broker-c-0"));
    assert_eq!(
        sim.claims["store-demo-broker-c-0"].labels.get(meta::ORPHANED_GROUP).map(String::as_str),
        Some("broker-c")
    );
    assert!(sim.objects.keys().all(|(_, name)| !name.contains("broker-c")), "nothing else stays");
    let steps = sim.steps_since(from);
    let position = |what: &str| steps.iter().position(|step| *step == what).expect(what);
    assert!(
        position("permission 4 of demo-broker-c-0 (operator: before the group is removed)")
            < position("scale demo-broker-c 1 -> 0")
    );
    assert!(position("scale demo-broker-c 1 -> 0") < position("delete StatefulSet demo-broker-c"));
}

#[test]
fn what_is_not_consumed_blocks_and_nothing_else_waits_for_it() {
    let mut sim = Sim::settled("{layout: 2m-noslave, brokers: {groups: 3, storage: {size: 1Gi}}}");
    sim.pod("demo-broker-c-0").broker.as_mut().expect("a broker").abandoned = true;
    groups(&mut sim, 2);
    let blocked = sim.until("it is blocked", |decision| holds(decision, "ScaleInBlocked"));
    let message = &blocked.status.condition("ScaleInBlocked").expect("there").message;
    assert!(message.starts_with("broker-c: 7 messages are not consumed"), "{message}");
    let from = sim.log.len();
    sim.edit(|cluster| cluster.spec.brokers.image.tag = Some("2".to_owned()));
    sim.until("the others are new", |decision| {
        let pods: Vec<&str> = decision.steps.iter().filter_map(pod_of).collect();
        pods == ["demo-broker-b-0"]
    });
    for _ in 0..100 {
        sim.round();
    }
    let steps = sim.steps_since(from);
    assert!(steps.iter().all(|step| !step.contains("demo-broker-c-0")), "{steps:?}");
    assert!(sim.pods.contains_key("demo-broker-c-0"));

    // Changed my mind.
    groups(&mut sim, 3);
    sim.settle();
    assert_eq!(sim.pod("demo-broker-c-0").broker.as_ref().expect("a broker").perm, 6);
}

fn pod_of(step: &Step) -> Option<&str> {
    if let Step::DeletePod { name, .. } = step { Some(name) } else { None }
}

#[test]
fn force_removes_a_group_with_what_it_has() {
    let mut sim = Sim::settled("{layout: 2m-noslave, brokers: {groups: 3, storage: {size: 1Gi}}}");
    sim.pod("demo-broker-c-0").broker.as_mut().expect("a broker").abandoned = true;
    groups(&mut sim, 2);
    sim.until("it is blocked", |decision| holds(decision, "ScaleInBlocked"));
    sim.annotate(meta::FORCE_SCALE_IN, "broker-c");
    let mut warned = false;
    sim.until("it is gone", |decision| {
        warned |= decision.events.iter().any(|event| event.reason.name() == "ScaleInForced");
        decision.steps.is_empty() && holds(decision, "Ready")
    });
    assert!(warned);
    assert_eq!(sim.cluster.annotation(meta::FORCE_SCALE_IN), None, "it is done");
    assert!(sim.claims.contains_key("store-demo-broker-c-0"));
}

#[test]
fn a_timeout_ends_the_waiting() {
    let mut sim = Sim::settled(
        "{layout: 2m-noslave, brokers: {groups: 2, storage: {size: 1Gi}, drain: {timeout: 10m}}}",
    );
    sim.pod("demo-broker-b-0").broker.as_mut().expect("a broker").abandoned = true;
    let start = sim.now_ms;
    groups(&mut sim, 1);
    sim.until("it is gone", |decision| decision.steps.is_empty() && holds(decision, "Ready"));
    assert!(600_000 <= sim.now_ms - start);
}

#[test]
fn volumes_of_a_leaving_group_stay_even_if_the_clusters_volumes_would_not() {
    let mut sim = Sim::settled(
        "{layout: 2m-noslave, deletionPolicy: {volumes: Delete}, \
          brokers: {groups: 2, storage: {size: 1Gi}}}",
    );
    let policy = |sim: &Sim| {
        let key = (Kind::StatefulSet, "demo-broker-b".to_owned());
        let path = "/spec/persistentVolumeClaimRetentionPolicy/whenDeleted";
        let kept = sim.objects.get(&key);
        kept.and_then(|kept| Some(kept.body.pointer(path)?.as_str()?.to_owned()))
    };
    assert_eq!(policy(&sim).as_deref(), Some("Delete"));
    groups(&mut sim, 1);
    sim.round();
    assert_eq!(policy(&sim).as_deref(), Some("Retain"), "while it still has pods");
}

#[test]
fn a_removed_group_that_comes_back_has_its_data_and_learns_the_topics() {
    let mut sim = Sim::settled("{layout: 2m-noslave, brokers: {groups: 3, storage: {size: 1Gi}}}");
    let uid = sim.claims["store-demo-broker-c-0"].uid.clone();
    groups(&mut sim, 2);
    sim.settle();
    groups(&mut sim, 3);
    sim.settle();
    assert_eq!(sim.claims["store-demo-broker-c-0"].uid, uid);
    assert_eq!(sim.claims["store-demo-broker-c-0"].labels.get(meta::ORPHANED_GROUP), None);
    assert_eq!(sim.copies.len(), 1);
}

#[test]
fn replicas_come_and_go_without_restarting_the_others() {
    let spec = |replicas: u32| {
        format!(
            "{{layout: Custom, brokers: {{groups: 2, replicasPerGroup: {replicas}, \
              replication: Sync, storage: {{size: 1Gi}}}}}}"
        )
    };
    let mut sim = Sim::settled(&spec(2));
    let uids = |sim: &Sim| -> Vec<String> {
        let two = ["demo-broker-a-0", "demo-broker-a-1", "demo-broker-b-0", "demo-broker-b-1"];
        two.iter().map(|name| sim.pods[*name].uid.clone()).collect()
    };
    let before = uids(&sim);
    sim.edit(|cluster| cluster.spec.brokers.replicas_per_group = Some(3));
    sim.settle();
    assert!(sim.pods.contains_key("demo-broker-b-2"));
    let from = sim.log.len();
    sim.edit(|cluster| cluster.spec.brokers.replicas_per_group = Some(2));
    sim.settle();
    assert!(!sim.pods.contains_key("demo-broker-a-2") && !sim.pods.contains_key("demo-broker-b-2"));
    assert_eq!(uids(&sim), before);
    let steps = sim.steps_since(from);
    let downs = steps.iter().filter(|step| step.starts_with("scale")).count();
    assert_eq!(downs, 2, "{steps:?}");
}

#[test]
fn name_servers_leave_the_list_before_they_leave() {
    let mut sim = Sim::settled(MASTERS);
    let brokers = |sim: &Sim| -> Vec<String> {
        sim.pods.values().filter(|pod| pod.broker.is_some()).map(|pod| pod.uid.clone()).collect()
    };
    let before = brokers(&sim);
    sim.edit(|cluster| cluster.spec.nameserver.replicas = Some(3));
    sim.settle();
    assert!(sim.pods.contains_key("demo-namesrv-2"));
    sim.edit(|cluster| cluster.spec.nameserver.replicas = Some(1));
    sim.until("it shrinks", |decision| {
        decision.steps.iter().any(|step| matches!(step, Step::ScaleDown { .. }))
    });
    for (name, pod) in sim.pods.iter().filter(|(_, pod)| pod.broker.is_some()) {
        let list = &pod.broker.as_ref().expect("a broker").name_servers;
        assert_eq!(list.len(), 1, "{name} has read the new list");
    }
    sim.settle();
    assert_eq!(brokers(&sim), before, "no broker was restarted");
    assert_eq!(sim.replicas("demo-namesrv"), 1);
}

#[test]
fn existing_name_servers_take_over() {
    let mut sim = Sim::settled(MASTERS);
    sim.edit(|cluster| {
        cluster.spec.nameserver.replicas = None;
        cluster.spec.nameserver.external_addresses = vec!["ns.example.org:9876".to_owned()];
    });
    sim.until("ours are gone", |decision| {
        decision.steps.is_empty() && decision.status.nameservers.is_some_and(|one| one.desired == 0)
    });
    for _ in 0..200 {
        sim.round();
    }
    assert!(sim.objects.keys().all(|(_, name)| !name.contains("namesrv")));
    assert!(sim.pods.keys().all(|name| !name.contains("namesrv")));
}

#[test]
fn sleep_stops_brokers_before_name_servers_and_keeps_everything() {
    let mut sim = Sim::settled(PAIRS);
    let claims: Vec<String> = sim.claims.keys().cloned().collect();
    let services: Vec<_> =
        sim.objects.keys().filter(|(kind, _)| *kind == Kind::Service).cloned().collect();
    let from = sim.log.len();
    sim.edit(|cluster| cluster.spec.hibernated = true);
    let asleep = sim
        .until("it sleeps", |decision| decision.steps.is_empty() && decision.requeue_ms == 300_000);
    assert_eq!(
        sim.steps_since(from),
        ["scale demo-broker-a 2 -> 0", "scale demo-broker-b 2 -> 0", "scale demo-namesrv 2 -> 0"]
    );
    assert!(sim.pods.is_empty());
    assert_eq!(sim.claims.keys().cloned().collect::<Vec<_>>(), claims);
    assert!(services.iter().all(|key| sim.objects.contains_key(key)));
    assert_eq!(reason(&asleep, "Available"), "Hibernated");
    assert_eq!(asleep.status.phase.expect("a phase").to_string(), "Hibernated");

    // A group that goes while all sleep is not lost: it is drained once they are awake.
    groups(&mut sim, 1);
    for _ in 0..50 {
        sim.round();
    }
    assert!(sim.objects.contains_key(&(Kind::StatefulSet, "demo-broker-b".to_owned())));
    sim.edit(|cluster| cluster.spec.hibernated = false);
    sim.settle();
    assert!(!sim.objects.contains_key(&(Kind::StatefulSet, "demo-broker-b".to_owned())));
    assert_eq!(sim.claims.keys().cloned().collect::<Vec<_>>(), claims);
}
