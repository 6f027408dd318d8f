//! Long random histories of several lives. `RMQ_CRASH_SEED` runs one seed alone; `RMQ_CRASH_SEEDS`
//! says how many are run.

use super::exhaustive::{SHAPES, panic_with};
use super::history::{End, History, Step};
use super::mutants::Bug;
use crate::support::Random;
use rmq_testkit::disk::{Failure, FaultDisk, Faults};

const SEEDS: u64 = 2_000;

fn steps(random: &mut Random) -> Vec<Step> {
    let mut step = |_| match random.below(16) {
        0..8 => Step::Put { count: 1 + random.below(4), batch: random.below(4) == 0 },
        8 | 9 => Step::SyncLog,
        10..13 => Step::Follow,
        13 => Step::Upkeep,
        14 => Step::Wait,
        _ => Step::Reopen,
    };
    (0..25).map(&mut step).collect()
}

/// One seed: up to five lives, each ended by a kill or a power cut, some after a failure.
pub(super) fn run(seed: u64, bug: Option<Bug>) -> Result<(), String> {
    let mut random = Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    let shape = SHAPES[usize::try_from(random.below(4)).unwrap_or(0)];
    let mut history = History::new(shape);
    let mut disk = FaultDisk::default();
    for life in 0..1 + random.below(5) {
        let steps = steps(&mut random);
        let at = disk.operations() + random.below(120);
        if random.below(4) == 0 {
            let how = [Failure::Io, Failure::Short, Failure::NoSpace];
            let how = how[usize::try_from(random.below(3)).unwrap_or(0)];
            disk.set_faults(Faults { fail_at: Some((at, how)), ..Faults::default() });
        } else {
            disk.power_off_at(at);
        }
        history.live(&disk, &steps, bug);
        let share = random.below(5);
        let (end, found) = match random.below(3) {
            0 => (End::Kill, disk.process_kill()),
            _ => (End::PowerCut, disk.power_cut(|| random.below(4) < share)),
        };
        history
            .recover(&found, end, bug)
            .map_err(|broken| format!("seed {seed}, life {life}, {shape:?}, {end:?}: {broken}"))?;
        // The recovered store is dropped like a killed one; the next life begins there.
        disk = found.process_kill();
    }
    Ok(())
}

#[test]
fn random_histories_keep_the_promise() {
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let seeds = match number("RMQ_CRASH_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("RMQ_CRASH_SEEDS").unwrap_or(SEEDS),
    };
    for seed in seeds {
        run(seed, None).unwrap_or_else(|broken| panic_with(&broken));
    }
}

#[test]
fn a_seed_leads_to_the_same_bytes_each_time() {
    for seed in 0..20 {
        let contents = [0, 1].map(|_| {
            let mut random = Random(seed * 2 + 1);
            let disk = FaultDisk::default();
            let shape = SHAPES[usize::try_from(seed % 4).unwrap_or(0)];
            History::new(shape).live(&disk, &steps(&mut random), None);
            (disk.operations(), disk.contents())
        });
        assert_eq!(contents[0], contents[1], "seed {seed}");
    }
}
