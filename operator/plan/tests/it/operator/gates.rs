//! Each gate by itself: an observation in which one pod may go, and what must keep it.

use rmq_operator_api::meta;
use rmq_operator_plan::control::{Phase, Unreachable};
use rmq_operator_plan::steps::Why;
use rmq_operator_plan::{Observed, Step, plan};

use super::{MASTERS, PAIRS};
use crate::sim::Sim;

/// A rollout just before it deletes `pod`.
fn about_to_delete(spec: &str, pod: &str) -> Sim {
    let mut sim = Sim::settled(spec);
    sim.edit(|cluster| cluster.spec.brokers.image.tag = Some("2".to_owned()));
    for _ in 0..500 {
        if disruption(&sim, &sim.observe()).as_deref() == Some(pod) {
            return sim;
        }
        sim.round();
    }
    unreachable!("{pod} never came first");
}

/// The pod that the decision takes something from.
fn disruption(sim: &Sim, observed: &Observed) -> Option<String> {
    let decision = plan(&sim.cluster, observed, &sim.context);
    let step = decision.steps.iter().find(|step| step.is_disruptive())?;
    let pod = if let Step::DeletePod { name, .. } = step { Some(name.clone()) } else { None };
    Some(pod.unwrap_or_else(|| step.to_string()))
}

type Change = fn(&mut Observed);

/// What keeps a slave, and a master as well.
const GATES: [(&str, Change); 14] = [
    ("the budget lets no pod go", |seen| {
        seen.budgets.get_mut("demo-broker-a").expect("there").disruptions_allowed = 0;
    }),
    ("there is no budget yet", |seen| {
        seen.budgets.remove("demo-broker-a");
    }),
    ("a pod of another group is not ready", |seen| {
        let pod = seen.pods.get_mut("demo-broker-b-1").expect("there");
        (pod.ready_for_ms, pod.unready_for_ms) = (None, Some(1_000));
    }),
    ("a pod of another group has just become ready", |seen| {
        seen.pods.get_mut("demo-broker-b-0").expect("there").ready_for_ms = Some(9_999);
    }),
    ("a pod of another group stops", |seen| {
        seen.pods.get_mut("demo-broker-b-0").expect("there").deleting_for_ms = Some(1_000);
    }),
    ("a pod of another group is gone", |seen| {
        seen.pods.remove("demo-broker-b-1");
    }),
    ("a name server is not ready", |seen| {
        let pod = seen.pods.get_mut("demo-namesrv-0").expect("there");
        (pod.ready_for_ms, pod.unready_for_ms) = (None, Some(1_000));
    }),
    ("a name server does not know all brokers yet", |seen| {
        let view = seen.name_servers.get_mut("demo-namesrv-0").expect("there");
        let view = view.as_mut().expect("an answer");
        view.started_ms_ago = 29_999;
        view.brokers.clear();
    }),
    ("the broker does not answer", |seen| {
        for pod in ["demo-broker-a-0", "demo-broker-a-1"] {
            seen.brokers.insert(pod.to_owned(), Err(Unreachable("timed out".to_owned())));
        }
    }),
    ("the answer is one of an earlier pod", |seen| {
        for pod in ["demo-broker-a-0", "demo-broker-a-1"] {
            let view = seen.brokers.get_mut(pod).expect("there").as_mut().expect("an answer");
            view.pod_uid = "another".to_owned();
        }
    }),
    ("another replica still reads its store", |seen| {
        let view = seen.brokers.get_mut("demo-broker-b-1").expect("there");
        view.as_mut().expect("an answer").phase = Phase::Recovering;
    }),
    ("another broker is not registered everywhere", |seen| {
        let view = seen.brokers.get_mut("demo-broker-b-0").expect("there");
        view.as_mut().expect("an answer").registrations.pop();
    }),
    ("a slave elsewhere is behind", |seen| {
        let view = seen.brokers.get_mut("demo-broker-b-0").expect("there");
        view.as_mut().expect("an answer").replicas[0].lag_bytes = (1 << 20) + 1;
    }),
    ("a slave elsewhere is not in sync", |seen| {
        let view = seen.brokers.get_mut("demo-broker-b-0").expect("there");
        view.as_mut().expect("an answer").in_sync.remove(&1);
    }),
];

#[test]
fn every_gate_keeps_every_pod() {
    for pod in ["demo-broker-a-1", "demo-broker-a-0"] {
        let sim = about_to_delete(PAIRS, pod);
        for (gate, change) in GATES {
            let mut observed = sim.observe();
            change(&mut observed);
            assert_eq!(disruption(&sim, &observed), None, "{pod}: {gate}");
        }
        for change in [
            |seen: &mut Observed| {
                seen.sets.get_mut("demo-broker-a").expect("there").current = false;
            },
            |seen: &mut Observed| {
                for pod in ["demo-broker-a-0", "demo-broker-a-1"] {
                    let pod = seen.pods.get_mut(pod).expect("there");
                    pod.annotations.insert(meta::HOLD.to_owned(), "true".to_owned());
                }
            },
        ] {
            let mut observed = sim.observe();
            change(&mut observed);
            let next = disruption(&sim, &observed);
            assert!(next.is_none_or(|next| !next.contains("broker-a")), "{pod}");
        }
    }
}

#[test]
fn a_slave_that_its_master_needs_goes_only_while_another_group_writes() {
    let spec = "{layout: 2m-2s-sync, brokers: {sync: {minInSync: 2}, storage: {size: 1Gi}}}";
    let sim = about_to_delete(spec, "demo-broker-a-1");
    let mut observed = sim.observe();
    let view = observed.brokers.get_mut("demo-broker-b-0").expect("there");
    view.as_mut().expect("an answer").disk.writable = false;
    assert_eq!(disruption(&sim, &observed), None);
}

#[test]
fn a_master_goes_when_clients_have_gone_or_have_had_their_time() {
    let sim = about_to_delete(MASTERS, "demo-broker-a-0");
    for (since_ms, last_send_ms_ago, goes) in [
        (9_999, Some(60_000), false),
        (10_000, Some(10_000), true),
        (10_000, None, true),
        (10_000, Some(9_999), false),
        (59_999, Some(1), false),
        (60_000, Some(1), true),
    ] {
        let mut observed = sim.observe();
        let view = observed.brokers.get_mut("demo-broker-a-0").expect("there");
        let view = view.as_mut().expect("an answer");
        view.permission.since_ms = since_ms;
        view.last_send_ms_ago = last_send_ms_ago;
        let found = disruption(&sim, &observed);
        assert_eq!(found.is_some(), goes, "{since_ms} {last_send_ms_ago:?}");
    }
}

#[test]
fn a_fenced_master_gets_its_writes_back_when_nobody_else_has_them() {
    let sim = about_to_delete(MASTERS, "demo-broker-a-0");
    let mut observed = sim.observe();
    observed.brokers.insert("demo-broker-b-0".to_owned(), Err(Unreachable("gone".to_owned())));
    let pod = observed.pods.get_mut("demo-broker-b-0").expect("there");
    (pod.ready_for_ms, pod.unready_for_ms) = (None, Some(1_000));
    let decision = plan(&sim.cluster, &observed, &sim.context);
    let steps: Vec<String> = decision.steps.iter().map(Step::to_string).collect();
    assert_eq!(steps, ["permission 6 of demo-broker-a-0 (operator: as the manifest says)"]);
}

#[test]
fn with_two_groups_away_at_once_allowed_the_second_does_not_wait() {
    let sim = about_to_delete(
        "{layout: Custom, brokers: {groups: 3, replicasPerGroup: 2, replication: Async, \
          update: {maxUnavailableGroups: 2}, storage: {size: 1Gi}}}",
        "demo-broker-a-1",
    );
    let mut observed = sim.observe();
    observed.pods.remove("demo-broker-b-1");
    assert_eq!(disruption(&sim, &observed).as_deref(), Some("demo-broker-a-1"));
    observed.pods.remove("demo-broker-c-1");
    assert_eq!(disruption(&sim, &observed), None);
}

/// The checks of the cluster in memory, which the other tests lean on, see what they are for.
#[test]
fn a_planner_without_gates_would_be_caught() {
    let delete = |sim: &Sim, name: &str| Step::DeletePod {
        name: name.to_owned(),
        uid: sim.pods[name].uid.clone(),
        why: Why::RevisionChanged,
    };
    let caught = |sim: &Sim, step: Step| {
        let mut sim = sim.clone();
        let run = std::panic::AssertUnwindSafe(move || sim.act(&step));
        std::panic::catch_unwind(run).is_err()
    };
    let sim = about_to_delete(PAIRS, "demo-broker-a-1");
    assert!(!caught(&sim, delete(&sim, "demo-broker-a-1")));
    assert!(caught(&sim, delete(&sim, "demo-broker-a-0")), "a master before its slave");
    let mut second = sim.clone();
    second.act(&delete(&sim, "demo-broker-a-1"));
    assert!(caught(&second, delete(&sim, "demo-broker-b-1")), "two at once");
    let sim = about_to_delete(MASTERS, "demo-broker-a-0");
    assert!(caught(&sim, delete(&sim, "demo-broker-b-0")), "a master that still takes messages");
}
