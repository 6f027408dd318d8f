//! Seeds on every kind of group, and faults that must be found.

use rmq_sim::{Broken, Mutant, Plan, run};
use std::io::Write as _;
use std::time::Duration;

/// Reads the real clock: only how many seeds are tried depends on it, never what a seed does.
#[expect(clippy::disallowed_methods, reason = "measures the simulator itself")]
fn elapsed(since: Option<std::time::Instant>) -> (std::time::Instant, Duration) {
    let now = std::time::Instant::now();
    (now, since.map_or(Duration::ZERO, |since| now - since))
}

fn seeds() -> u64 {
    std::env::var("RMQ_SIM_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(200)
}

#[test]
fn nothing_acknowledged_is_lost_whatever_happens() {
    let (start, _) = elapsed(None);
    let (mut runs, mut crashes, mut promotions, mut acknowledged) = (0_u64, 0, 0, 0);
    for seed in 1..=seeds() {
        for plan in Plan::ALL {
            let report = run(seed, plan).unwrap_or_else(|broken| panic!("{broken}: {plan:?}"));
            runs += 1;
            crashes += report.crashes;
            promotions += report.promotions;
            acknowledged += report.acknowledged;
        }
    }
    let (_, took) = elapsed(Some(start));
    let rate = u128::from(runs) * 1000 / took.as_millis().max(1);
    let mut out = std::io::stdout();
    writeln!(
        out,
        "{runs} runs ({rate}/s): {crashes} crashes, {promotions} new masters, {acknowledged} acknowledged"
    )
    .expect("a test can print");
    // A simulation in which nothing happens would show nothing.
    assert!(runs < crashes && runs < promotions * 2 && runs * 20 < acknowledged as u64);
}

#[test]
fn a_seed_is_a_run() {
    for seed in 1..20 {
        for plan in Plan::ALL {
            assert_eq!(run(seed, plan), run(seed, plan));
            assert_ne!(
                run(seed, plan).map(|r| r.trace).ok(),
                run(seed + 1000, plan).map(|r| r.trace).ok()
            );
        }
    }
}

/// The first seed that shows the fault, on any kind of group.
fn found(mutant: Mutant, seeds: u64) -> Option<Broken> {
    (1..=seeds)
        .flat_map(|seed| Plan::ALL.map(|plan| run(seed, plan.with(mutant)).err()))
        .flatten()
        .next()
}

#[test]
fn every_fault_is_found() {
    for mutant in Mutant::ALL {
        let broken = found(mutant, 3_000);
        writeln!(std::io::stdout(), "{mutant:?}: {broken:?}").expect("a test can print");
        assert!(broken.is_some(), "{mutant:?} was not found");
    }
}
