//! Clusters that are changed at random while pods die at random and the operator is killed between
//! any two of its steps. What must hold at each step is checked where steps are taken
//! (`sim/act.rs`); here, that every change arrives in the end.

use rmq_operator_plan::{Kind, Step};

use crate::sim::{Sim, holds};

/// Seeds to run. `SIM_SEEDS=1000` runs more than the few that fit a hurried run, `SIM_SEED=7` just one.
fn seeds() -> Vec<u64> {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    match number("SIM_SEED") {
        Some(seed) => vec![seed],
        None => (0..number("SIM_SEEDS").unwrap_or(4)).collect(),
    }
}

const SPECS: [&str; 4] = [
    "{layout: 2m-noslave, brokers: {storage: {size: 1Gi}}}",
    "{layout: 2m-2s-sync, brokers: {storage: {size: 1Gi}}}",
    "{layout: Custom, brokers: {groups: 3, replicasPerGroup: 3, replication: Async, \
      storage: {size: 1Gi, commitLog: {size: 1Gi}}}}",
    "{layout: single, brokers: {storage: {size: 1Gi}}}",
];

/// Something that a person does to the manifest.
fn edit(sim: &mut Sim) {
    let what = sim.chance(12);
    let number = sim.chance(4);
    let small = u32::try_from(number).expect("small");
    match what {
        0 => sim.edit(|cluster| cluster.spec.image.tag = Some(format!("{number}"))),
        1 => sim.edit(|cluster| cluster.spec.brokers.groups = Some(small + 1)),
        2 => sim.edit(|cluster| cluster.spec.nameserver.replicas = Some(small + 1)),
        3 => sim.edit(|cluster| {
            let value = ["ASYNC_FLUSH", "SYNC_FLUSH"][usize::from(number.is_multiple_of(2))];
            let config = &mut cluster.spec.brokers.config;
            config.insert("flushDiskType".to_owned(), value.to_owned());
        }),
        4 => sim.edit(|cluster| {
            let config = &mut cluster.spec.brokers.config;
            config.insert("fileReservedTime".to_owned(), format!("{number}"));
        }),
        5 => sim.edit(|cluster| cluster.spec.hibernated = number == 0),
        6 => sim.edit(|cluster| cluster.spec.paused = number == 0),
        7 => sim.annotate("rocketmq.rs/restart", &format!("{number}")),
        8 => sim.edit(|cluster| {
            let size = &mut cluster.spec.brokers.storage.size;
            let now = size.as_ref().map_or(0, rmq_operator_api::Quantity::units);
            *size = Some(format!("{}", now + (1 << 30)).parse().expect("a size"));
        }),
        9 => sim.edit(|cluster| {
            if cluster.spec.brokers.replicas_per_group.is_some() {
                cluster.spec.brokers.replicas_per_group = Some(small + 1);
            }
        }),
        10 => sim.edit(|cluster| cluster.spec.image.tag = Some("bad".to_owned())),
        _ => sim.edit(|cluster| cluster.spec.image.tag = None),
    }
}

/// Something that happens to a pod.
fn fault(sim: &mut Sim) {
    let count = u64::try_from(sim.pods.len()).expect("small");
    let index = usize::try_from(sim.chance(count)).expect("small");
    let Some(name) = sim.pods.keys().nth(index).cloned() else { return };
    let now_ms = sim.now_ms;
    match sim.chance(3) {
        0 => sim.crash(&name),
        1 => sim.stop_pod(&name),
        _ => sim.pod(&name).silent_until_ms = now_ms + 40_000,
    }
}

/// A round in which the operator may be killed after any step, and may not get to write its status.
fn rough_round(sim: &mut Sim) {
    let decision = sim.decide();
    let disruptive = decision.steps.iter().filter(|step| step.is_disruptive()).count();
    assert!(disruptive <= 1);
    let last = decision.steps.iter().position(Step::is_disruptive);
    assert!(last.is_none_or(|at| at + 1 == decision.steps.len()), "what disrupts comes last");
    if sim.chance(8) == 0 {
        assert_eq!(sim.decide(), decision, "the same observation gives the same decision");
    }
    let all = decision.steps.len();
    let done = match sim.chance(3) {
        0 => usize::try_from(sim.chance(u64::try_from(all + 1).expect("small"))).expect("small"),
        _ => all,
    };
    for step in decision.steps.iter().take(done) {
        sim.act(step);
    }
    if sim.chance(4) != 0 {
        sim.cluster.status = Some(decision.status);
    }
    let pause_ms = 1_000 + sim.chance(10) * 1_000;
    sim.pass(pause_ms);
}

fn run(seed: u64) {
    let index = usize::try_from(seed).expect("small") % SPECS.len();
    let mut sim = Sim::new(SPECS[index]).seeded(seed + 1);
    sim.grows_offline = seed.is_multiple_of(3);
    let mut claims = std::collections::BTreeSet::new();
    for _ in 0..10 {
        for _ in 0..sim.chance(60) {
            rough_round(&mut sim);
        }
        edit(&mut sim);
        if sim.chance(2) == 0 {
            fault(&mut sim);
        }
        claims.extend(sim.claims.keys().cloned());
    }
    // A quiet end: no faults, nothing that keeps the operator from working.
    sim.edit(|cluster| {
        cluster.spec.paused = false;
        cluster.spec.hibernated = false;
        if cluster.spec.image.tag.as_deref() == Some("bad") {
            cluster.spec.image.tag = None;
        }
    });
    sim.settle();
    arrived(&sim);
    assert!(claims.iter().all(|claim| sim.claims.contains_key(claim)), "no claim is ever deleted");
    // And then: nothing, for as long as one looks.
    for _ in 0..10 {
        let decision = sim.round();
        assert_eq!(decision.steps, []);
        assert!(holds(&decision, "Ready"));
    }
}

/// Everything is as the manifest says.
fn arrived(sim: &Sim) {
    let shape = sim.cluster.shape();
    let groups = sim.wanted_groups();
    for set in &groups {
        assert_eq!(sim.replicas(set), shape.replicas_per_group, "{set}");
    }
    let sets = sim.objects.keys().filter(|(kind, _)| *kind == Kind::StatefulSet).count();
    assert_eq!(sets, groups.len() + 1, "the groups and the name servers");
    let brokers = sim.pods.values().filter(|pod| pod.broker.is_some());
    assert_eq!(
        brokers.count(),
        groups.len() * usize::try_from(shape.replicas_per_group).expect("small")
    );
    let size = sim.cluster.spec.brokers.storage.size.as_ref().expect("a size").units();
    for (name, pod) in &sim.pods {
        assert!(pod.ready, "{name}");
        assert_eq!(pod.revision, sim.revision(&pod.set), "{name} has the newest form");
        let Some(broker) = &pod.broker else { continue };
        assert_eq!(broker.perm, 6, "{name} takes messages");
        for (key, value) in &sim.cluster.spec.brokers.config {
            assert_eq!(broker.settings.get(key), Some(value), "{name} {key}");
        }
        let servers = usize::try_from(sim.cluster.name_server_replicas()).expect("small");
        assert_eq!(broker.name_servers.len(), servers, "{name}");
        assert!(size <= sim.claims[&format!("store-{name}")].capacity_bytes, "{name}");
    }
}

#[test]
fn every_change_arrives_whatever_happens_on_the_way() {
    for seed in seeds() {
        let result = std::panic::catch_unwind(|| run(seed));
        assert!(result.is_ok(), "SIM_SEED={seed} shows it again");
    }
}

#[test]
fn a_seed_gives_the_same_run_twice() {
    let trace = |seed: u64| {
        let mut sim = Sim::new(SPECS[0]).seeded(seed);
        for _ in 0..5 {
            for _ in 0..20 {
                rough_round(&mut sim);
            }
            edit(&mut sim);
            fault(&mut sim);
        }
        sim.log
    };
    assert_eq!(trace(3), trace(3));
    assert_ne!(trace(3), trace(4));
}
