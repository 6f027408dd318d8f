//! Order and gates of a rollout, end to end.

use rmq_operator_api::meta;

use super::{MASTERS, PAIRS, SINGLE};
use crate::sim::{Sim, holds, reason};

fn new_image(sim: &mut Sim, tag: &str) {
    sim.edit(|cluster| cluster.spec.image.tag = Some(tag.to_owned()));
}

/// The pods deleted since entry `from` of the log, in order.
fn deleted(sim: &Sim, from: usize) -> Vec<&str> {
    let steps = sim.steps_since(from);
    steps
        .into_iter()
        .filter_map(|step| step.strip_prefix("delete pod "))
        .filter_map(|rest| rest.split(' ').next())
        .collect()
}

#[test]
fn a_cluster_is_made_in_one_go_and_then_left_alone() {
    for spec in [MASTERS, PAIRS, SINGLE] {
        let mut sim = Sim::settled(spec);
        assert_eq!(deleted(&sim, 0), [""; 0]);
        let known = sim.log.len();
        for _ in 0..20 {
            let decision = sim.round();
            assert_eq!(decision.steps, []);
            assert_eq!(decision.events, []);
            assert_eq!(decision.requeue_ms, 300_000);
        }
        assert_eq!(sim.log.len(), known);
    }
}

#[test]
fn name_servers_go_first_then_groups_slaves_before_masters() {
    let mut sim = Sim::settled(PAIRS);
    let from = sim.log.len();
    new_image(&mut sim, "2");
    sim.settle();
    assert_eq!(
        sim.steps_since(from),
        [
            "apply StatefulSet demo-namesrv",
            "apply StatefulSet demo-broker-a",
            "apply StatefulSet demo-broker-b",
            "delete pod demo-namesrv-1 (RevisionChanged)",
            "delete pod demo-namesrv-0 (RevisionChanged)",
            "delete pod demo-broker-a-1 (RevisionChanged)",
            "permission 4 of demo-broker-a-0 (operator: before a restart)",
            "delete pod demo-broker-a-0 (RevisionChanged)",
            "delete pod demo-broker-b-1 (RevisionChanged)",
            "permission 4 of demo-broker-b-0 (operator: before a restart)",
            "delete pod demo-broker-b-0 (RevisionChanged)",
        ]
    );
    assert!(sim.pods.values().all(|pod| pod.broker.as_ref().is_none_or(|one| one.perm == 6)));
}

#[test]
fn one_group_is_restarted_without_asking_clients_to_go_elsewhere() {
    let mut sim = Sim::settled(SINGLE);
    let from = sim.log.len();
    new_image(&mut sim, "2");
    sim.settle();
    assert_eq!(
        sim.steps_since(from),
        [
            "apply StatefulSet demo-namesrv",
            "apply StatefulSet demo-broker-a",
            "delete pod demo-namesrv-0 (RevisionChanged)",
            "delete pod demo-broker-a-0 (RevisionChanged)",
        ]
    );
}

#[test]
fn a_bad_image_stops_at_the_first_pod_and_a_good_one_goes_on_by_itself() {
    let mut sim = Sim::settled(MASTERS);
    let from = sim.log.len();
    new_image(&mut sim, "bad");
    let stuck =
        sim.until("it is stuck", |decision| reason(decision, "Progressing") == "RolloutStuck");
    assert_eq!(deleted(&sim, from), ["demo-namesrv-1"]);
    let message = &stuck.status.condition("Progressing").expect("there").message;
    assert!(message.starts_with("demo-namesrv-1 has not been ready"), "{message}");
    assert!(message.contains("ImagePullBackOff"), "{message}");
    assert!(holds(&stuck, "Available"), "the others serve");
    assert!(!holds(&stuck, "Ready"));

    let from = sim.log.len();
    new_image(&mut sim, "1.0.0");
    sim.settle();
    assert_eq!(
        deleted(&sim, from),
        ["demo-namesrv-1"],
        "only the stuck one: the others never changed"
    );
}

#[test]
fn a_broker_that_cannot_start_does_not_wait_for_name_servers_that_wait_for_it() {
    let mut sim = Sim::settled(MASTERS);
    sim.edit(|cluster| cluster.spec.brokers.image.tag = Some("bad".to_owned()));
    sim.until("it is stuck", |decision| reason(decision, "Progressing") == "RolloutStuck");
    let from = sim.log.len();
    // The correction changes name servers, too.
    sim.edit(|cluster| {
        cluster.spec.brokers.image.tag = None;
        cluster.spec.image.tag = Some("2".to_owned());
    });
    sim.settle();
    assert_eq!(
        deleted(&sim, from),
        ["demo-broker-a-0", "demo-namesrv-1", "demo-namesrv-0", "demo-broker-b-0"]
    );
}

#[test]
fn a_new_cluster_is_ready_as_soon_as_it_serves() {
    let mut sim = Sim::new(MASTERS);
    sim.until("it is ready", |decision| {
        let ready = decision.status.condition("Ready").expect("there");
        assert!(!ready.message.contains("just become"), "{}", ready.message);
        ready.status == "True"
    });
}

#[test]
fn taking_a_change_back_gives_writes_back() {
    let mut sim = Sim::settled(MASTERS);
    let first = "demo-broker-a-0";
    sim.edit(|cluster| cluster.spec.brokers.image.tag = Some("2".to_owned()));
    while sim.pod(first).broker.as_ref().is_none_or(|one| one.perm == 6) {
        sim.round();
    }
    let from = sim.log.len();
    sim.edit(|cluster| cluster.spec.brokers.image.tag = None);
    sim.settle();
    assert_eq!(deleted(&sim, from), [""; 0]);
    let broker = sim.pod(first).broker.clone().expect("a broker");
    assert_eq!(broker.perm, 6);
    assert_eq!(broker.reason, "operator: as the manifest says");
}

#[test]
fn a_held_pod_stays_and_everything_else_goes_on() {
    let mut sim = Sim::settled(PAIRS);
    let hold = |sim: &mut Sim, value: Option<&str>| {
        let annotations = &mut sim.pod("demo-broker-a-1").annotations;
        annotations.remove(meta::HOLD);
        annotations.extend(value.map(|value| (meta::HOLD.to_owned(), value.to_owned())));
    };
    hold(&mut sim, Some("true"));
    let from = sim.log.len();
    new_image(&mut sim, "2");
    let decision =
        sim.until("all others are new", |decision| reason(decision, "Ready") == "PodsOutdated");
    assert_eq!(deleted(&sim, from).len(), 5);
    assert!(!deleted(&sim, from).contains(&"demo-broker-a-1"));
    for kind in ["Ready", "Progressing"] {
        let message = &decision.status.condition(kind).expect("there").message;
        assert!(message.contains("demo-broker-a-1"), "{message}");
    }
    hold(&mut sim, None);
    sim.settle();
    assert_eq!(deleted(&sim, from).last(), Some(&"demo-broker-a-1"));
}

#[test]
fn a_new_operator_restarts_nothing_until_the_manifest_names_its_release() {
    let mut sim = Sim::settled(MASTERS);
    let replicates = sim.context.replicates;
    sim.context = rmq_operator_plan::Context::new("2.0.0", "registry.example.org");
    sim.context.replicates = replicates;
    for _ in 0..20 {
        assert_eq!(sim.round().steps, []);
    }
    let version = |sim: &Sim| sim.cluster.status.as_ref().and_then(|one| one.version.clone());
    assert_eq!(version(&sim).as_deref(), Some("1.0.0"));
    sim.edit(|cluster| cluster.spec.version = Some("2.0.0".to_owned()));
    sim.settle();
    assert_eq!(version(&sim).as_deref(), Some("2.0.0"));
    let image = "/spec/containers/0/image";
    for pod in sim.pods.values() {
        let found = pod.template.pointer(image).and_then(serde_json::Value::as_str);
        assert!(found.is_some_and(|image| image.ends_with(":2.0.0")), "{found:?}");
    }
}

#[test]
fn a_restart_token_restarts_all_or_one() {
    let mut sim = Sim::settled(MASTERS);
    let from = sim.log.len();
    sim.annotate(meta::RESTART, "monday");
    sim.settle();
    assert_eq!(deleted(&sim, from).len(), 4);

    let from = sim.log.len();
    sim.cluster.metadata.annotations = None;
    sim.settle();
    assert_eq!(sim.steps_since(from), [""; 0], "taking the token away asks for nothing");

    sim.pod("demo-broker-b-0").annotations.insert(meta::RESTART.to_owned(), "x".to_owned());
    sim.settle();
    assert_eq!(
        sim.steps_since(from),
        [
            "permission 4 of demo-broker-b-0 (operator: before a restart)",
            "delete pod demo-broker-b-0 (RestartRequested)",
        ]
    );
}

#[test]
fn strategies_leave_pods_to_people() {
    for (strategy, by_itself) in [("SlavesOnly", 4), ("OnDelete", 2)] {
        let mut sim = Sim::settled(&format!(
            "{{layout: 2m-2s-sync, brokers: {{storage: {{size: 1Gi}}, \
              update: {{strategy: {strategy}}}}}}}"
        ));
        let from = sim.log.len();
        new_image(&mut sim, "2");
        let decision = sim.until("nothing is done any more", |decision| {
            reason(decision, "Ready") == "PodsOutdated"
        });
        assert_eq!(decision.steps, []);
        assert_eq!(deleted(&sim, from).len(), by_itself, "{strategy}");
        assert_eq!(reason(&decision, "Progressing"), "Settled");

        // Somebody asks for one, and does another.
        let from = sim.log.len();
        sim.pod("demo-broker-a-0").annotations.insert(meta::RESTART.to_owned(), "x".to_owned());
        sim.until("it is new", |decision| {
            decision.steps.is_empty() && reason(decision, "Ready") == "PodsOutdated"
        });
        assert_eq!(deleted(&sim, from), ["demo-broker-a-0"], "{strategy}");
    }
}

#[test]
fn nothing_is_touched_while_paused() {
    let mut sim = Sim::settled(MASTERS);
    let from = sim.log.len();
    sim.annotate(meta::PAUSE, "true");
    new_image(&mut sim, "2");
    for _ in 0..50 {
        let decision = sim.round();
        assert_eq!(decision.steps, []);
        assert!(holds(&decision, "Paused"));
        assert_eq!(reason(&decision, "Ready"), "Paused", "it is not as the manifest says");
    }
    assert_eq!(sim.log.len(), from);
    sim.cluster.metadata.annotations = None;
    sim.settle();
    assert_eq!(deleted(&sim, from).len(), 4);
}

#[test]
fn a_broker_that_reads_its_store_is_left_alone_however_long_that_takes() {
    let mut sim = Sim::settled(MASTERS);
    let late = sim.now_ms + 3_600_000;
    sim.crash("demo-broker-a-0");
    sim.pod("demo-broker-a-0").ready_at_ms = late;
    let from = sim.log.len();
    sim.edit(|cluster| cluster.spec.brokers.image.tag = Some("2".to_owned()));
    while sim.now_ms < late - 10_000 {
        let decision = sim.round();
        assert_ne!(reason(&decision, "Progressing"), "RolloutStuck");
    }
    assert_eq!(deleted(&sim, from), [""; 0]);
    sim.settle();
    assert_eq!(deleted(&sim, from), ["demo-broker-a-0", "demo-broker-b-0"]);
}

#[test]
fn a_broker_with_another_address_than_its_service_is_restarted() {
    let mut sim = Sim::settled(SINGLE);
    let from = sim.log.len();
    let broker = sim.pod("demo-broker-a-0").broker.as_mut().expect("a broker");
    broker.advertised = "10.1.1.1:10911".to_owned();
    sim.settle();
    assert_eq!(sim.steps_since(from), ["delete pod demo-broker-a-0 (AddressChanged)"]);
}
