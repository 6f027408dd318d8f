//! `rmq-sim`: tries seeds until the time is over and says how many, or replays one.

use anyhow::bail;
use clap::Parser;
use rmq_sim::{Plan, run};
use std::io::Write as _;
use std::time::Instant;

/// Simulates broker groups whose nodes crash and whose network loses.
#[derive(Debug, Parser)]
struct Options {
    /// First seed.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many seeds; each is tried on every kind of group.
    #[arg(long, default_value_t = 1_000)]
    seeds: u64,
}

#[expect(clippy::disallowed_methods, reason = "measures the simulator; no run depends on it")]
fn now() -> Instant {
    Instant::now()
}

fn main() -> anyhow::Result<()> {
    let began = now();
    let options = Options::parse();
    let (mut runs, mut events, mut acknowledged) = (0_u64, 0_u64, 0_usize);
    for seed in options.seed..options.seed.saturating_add(options.seeds) {
        for plan in Plan::ALL {
            match run(seed, plan) {
                Ok(report) => {
                    runs += 1;
                    events += report.events;
                    acknowledged += report.acknowledged;
                }
                Err(broken) => bail!("{broken}\nwith {plan:?}"),
            }
        }
    }
    let millis = u64::try_from((now() - began).as_millis()).unwrap_or(u64::MAX).max(1);
    let rate = options.seeds.saturating_mul(1000) / millis;
    writeln!(
        std::io::stdout(),
        "{} seeds ({rate} seeds/s), {runs} runs, {events} events, {acknowledged} messages acknowledged: all promises kept",
        options.seeds
    )?;
    Ok(())
}
