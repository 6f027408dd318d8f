//! Settings: which restart pods, which do not, and which are refused.

use super::MASTERS;
use crate::sim::{Sim, holds, reason};

fn set(sim: &mut Sim, key: &str, value: &str) {
    sim.edit(|cluster| {
        cluster.spec.brokers.config.insert(key.to_owned(), value.to_owned());
    });
}

#[test]
fn a_hot_setting_reaches_brokers_without_a_restart() {
    let mut sim = Sim::settled(MASTERS);
    let from = sim.log.len();
    set(&mut sim, "fileReservedTime", "72");
    let pending = sim.round();
    assert_eq!(reason(&pending, "ConfigApplied"), "Pending");
    sim.settle();
    let steps = sim.steps_since(from);
    assert_eq!(steps, ["apply ConfigMap demo-broker-a", "apply ConfigMap demo-broker-b"]);
    for pod in sim.pods.values().filter_map(|pod| pod.broker.as_ref()) {
        assert_eq!(pod.settings.get("fileReservedTime").map(String::as_str), Some("72"));
    }
}

#[test]
fn a_restart_setting_rolls_brokers_only_and_taking_it_back_in_time_none() {
    let mut sim = Sim::settled(MASTERS);
    let from = sim.log.len();
    set(&mut sim, "flushDiskType", "SYNC_FLUSH");
    sim.round();
    sim.edit(|cluster| cluster.spec.brokers.config.clear());
    sim.settle();
    let deleted = |sim: &Sim, from| {
        sim.steps_since(from).iter().filter(|step| step.starts_with("delete pod")).count()
    };
    assert_eq!(deleted(&sim, from), 0, "the old revision is the current one again");

    set(&mut sim, "flushDiskType", "SYNC_FLUSH");
    sim.settle();
    assert_eq!(deleted(&sim, from), 2);
}

#[test]
fn a_refused_setting_is_named_and_not_pushed_again_and_again() {
    let mut sim = Sim::settled(MASTERS);
    for name in ["demo-broker-a-0", "demo-broker-b-0"] {
        let broker = sim.pod(name).broker.as_mut().expect("a broker");
        broker.refuses = Some("deleteWhenever".to_owned());
    }
    set(&mut sim, "fileReservedTime", "72");
    set(&mut sim, "deleteWhenever", "04");
    // Unknown settings count as needing a restart; this is about one that is refused at once.
    sim.edit(|cluster| {
        cluster.spec.brokers.update.strategy = rmq_operator_api::UpdateStrategy::OnDelete;
    });
    let mut warnings = Vec::new();
    let decision = sim.until("it is refused", |decision| {
        warnings.extend(decision.events.iter().map(|event| event.reason.name()));
        reason(decision, "ConfigApplied") == "ConfigRejected" && decision.steps.is_empty()
    });
    assert!(warnings.contains(&"UnknownConfigKey") && warnings.contains(&"ConfigRejected"));
    let message = &decision.status.condition("ConfigApplied").expect("there").message;
    assert!(message.contains("deleteWhenever must be something else"), "{message}");
    assert!(holds(&decision, "Available"), "the old settings stay");
    for _ in 0..20 {
        let again = sim.round();
        assert_eq!((again.steps, again.events), (Vec::new(), Vec::new()));
    }
    sim.edit(|cluster| {
        cluster.spec.brokers.config.remove("deleteWhenever");
        cluster.spec.brokers.update.strategy = rmq_operator_api::UpdateStrategy::Automatic;
    });
    sim.settle();
}
