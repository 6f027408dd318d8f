//! Volumes grow; nothing else about them changes.

use rmq_operator_plan::Expansion;

use super::MASTERS;
use crate::sim::{Sim, holds, reason};

const GROWN_BYTES: u64 = 40 << 30;

fn grow(sim: &mut Sim) {
    sim.edit(|cluster| {
        cluster.spec.brokers.storage.size = Some("40Gi".parse().expect("a size"));
    });
}

#[test]
fn volumes_grow_and_no_pod_is_restarted() {
    let mut sim = Sim::settled(MASTERS);
    let pods: Vec<String> = sim.pods.values().map(|pod| pod.uid.clone()).collect();
    let from = sim.log.len();
    grow(&mut sim);
    let mut resizing = false;
    sim.until("they have grown", |decision| {
        resizing |= holds(decision, "StorageResize");
        decision.steps.is_empty() && holds(decision, "Ready")
    });
    assert!(resizing);
    assert_eq!(
        sim.steps_since(from),
        [
            "resize store-demo-broker-a-0 to 40Gi",
            "recreate demo-broker-a",
            "resize store-demo-broker-b-0 to 40Gi",
            "recreate demo-broker-b",
        ]
    );
    assert!(sim.claims.values().all(|claim| claim.capacity_bytes == GROWN_BYTES));
    assert_eq!(sim.pods.values().map(|pod| pod.uid.clone()).collect::<Vec<_>>(), pods);
    // Groups added later begin with the new size.
    sim.edit(|cluster| cluster.spec.brokers.groups = Some(3));
    sim.settle();
    assert_eq!(sim.claims["store-demo-broker-c-0"].request_bytes, GROWN_BYTES);
}

#[test]
fn a_file_system_that_grows_offline_restarts_its_pod_in_turn() {
    let mut sim = Sim::settled(MASTERS);
    sim.grows_offline = true;
    let from = sim.log.len();
    grow(&mut sim);
    sim.settle();
    let steps = sim.steps_since(from);
    let restarts: Vec<&&str> = steps.iter().filter(|step| step.contains("VolumeResize")).collect();
    assert_eq!(
        restarts,
        [
            &"delete pod demo-broker-a-0 (VolumeResize)",
            &"delete pod demo-broker-b-0 (VolumeResize)"
        ]
    );
    assert!(sim.claims.values().all(|claim| claim.capacity_bytes == GROWN_BYTES));
}

#[test]
fn a_class_that_cannot_be_judged_is_named_with_the_reason() {
    for (expansion, wanted) in [
        (Expansion::NoClass, "storage class standard is not there"),
        (
            Expansion::Unknown("storageclasses is forbidden".to_owned()),
            "storage class standard cannot be read: storageclasses is forbidden",
        ),
    ] {
        let mut sim = Sim::settled(MASTERS);
        sim.expansion = expansion;
        grow(&mut sim);
        let decision = sim.round();
        assert_eq!(reason(&decision, "StorageResize"), "NotSupported");
        let message = &decision.status.condition("StorageResize").expect("there").message;
        assert!(message.contains(wanted), "{message}");
    }
}

#[test]
fn a_class_that_does_not_allow_it_is_named_and_nothing_is_touched() {
    let mut sim = Sim::settled(MASTERS);
    sim.expansion = Expansion::NotAllowed;
    let from = sim.log.len();
    grow(&mut sim);
    let decision =
        sim.until("it is refused", |decision| reason(decision, "StorageResize") == "NotSupported");
    assert!(!holds(&decision, "Ready"));
    let message = &decision.status.condition("StorageResize").expect("there").message;
    assert!(message.contains("storage class standard does not allow expansion"), "{message}");
    for _ in 0..20 {
        assert_eq!(sim.round().steps, []);
    }
    assert_eq!(sim.steps_since(from), [""; 0]);
    // Everything else goes on.
    sim.edit(|cluster| cluster.spec.brokers.image.tag = Some("2".to_owned()));
    sim.until("pods are replaced", |decision| {
        decision.steps.is_empty() && reason(decision, "Progressing") == "Settled"
    });
    assert!(sim.steps_since(from).contains(&"delete pod demo-broker-b-0 (RevisionChanged)"));
}
