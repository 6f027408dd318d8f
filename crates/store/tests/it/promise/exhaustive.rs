//! Every operation of a small history, and every way to fail there.

use super::history::{End, History, Shape, Step};
use super::mutants::Bug;
use crate::support::Random;
use rmq_store::FlushMode;
use rmq_testkit::disk::{Failure, FaultDisk, Faults};

/// Fills two segments and a queue file, with a checkpoint in the middle and a clean stop.
const STEPS: [Step; 19] = [
    Step::Upkeep,
    Step::Put { count: 1, batch: false },
    Step::Put { count: 2, batch: false },
    Step::Follow,
    Step::Put { count: 3, batch: true },
    Step::SyncLog,
    Step::Wait,
    Step::Follow,
    Step::Upkeep,
    Step::Put { count: 4, batch: false },
    Step::Follow,
    Step::Reopen,
    Step::Upkeep,
    Step::Put { count: 3, batch: false },
    Step::Wait,
    Step::Follow,
    Step::Put { count: 2, batch: true },
    Step::SyncLog,
    Step::Put { count: 2, batch: false },
];

/// With and without waiting for the disk, and with records of one length.
pub(super) const SHAPES: [Shape; 4] = [
    Shape { flush: FlushMode::SYNC, body_bytes: None },
    Shape { flush: FlushMode::ASYNC, body_bytes: None },
    Shape { flush: FlushMode::SYNC, body_bytes: Some(700) },
    Shape { flush: FlushMode::ASYNC, body_bytes: Some(300) },
];

/// How many operations the history has.
pub(super) fn operations(shape: Shape) -> u64 {
    let disk = FaultDisk::default();
    History::new(shape).live(&disk, &STEPS, None);
    disk.operations()
}

/// The power fails in operation `at`. Nothing, all and some of what was not durable is found.
pub(super) fn power_cut(shape: Shape, at: u64, bug: Option<Bug>) -> Result<(), String> {
    let disk = FaultDisk::default();
    disk.power_off_at(at);
    let mut history = History::new(shape);
    history.live(&disk, &STEPS, bug);
    let mut random = Random(at * 4 + 1);
    for share in [0, 4, 1, 2, 3] {
        let found = disk.power_cut(|| random.below(4) < share);
        let recovered = history.clone().recover(&found, End::PowerCut, bug);
        recovered.map_err(|broken| {
            format!("{shape:?}: power failed in operation {at}, {share} of 4 kept: {broken}")
        })?;
    }
    Ok(())
}

/// The process is killed in operation `at`.
pub(super) fn kill(shape: Shape, at: u64, bug: Option<Bug>) -> Result<(), String> {
    let disk = FaultDisk::default();
    disk.power_off_at(at);
    let mut history = History::new(shape);
    history.live(&disk, &STEPS, bug);
    let recovered = history.recover(&disk.process_kill(), End::Kill, bug);
    recovered.map_err(|broken| format!("{shape:?}: killed in operation {at}: {broken}"))
}

/// Operation `at` fails, later ones do not; then the process is killed, or power fails.
pub(super) fn failure(
    shape: Shape,
    at: u64,
    failure: Failure,
    bug: Option<Bug>,
) -> Result<(), String> {
    let disk = FaultDisk::default();
    disk.set_faults(Faults { fail_at: Some((at, failure)), ..Faults::default() });
    let mut history = History::new(shape);
    history.live(&disk, &STEPS, bug);
    let mut random = Random(at * 4 + 3);
    for end in [End::Kill, End::PowerCut] {
        let found = match end {
            End::Kill => disk.process_kill(),
            End::PowerCut => disk.power_cut(|| random.below(2) == 0),
        };
        let recovered = history.clone().recover(&found, end, bug);
        recovered.map_err(|broken| {
            format!("{shape:?}: operation {at} failed with {failure:?}, then {end:?}: {broken}")
        })?;
    }
    Ok(())
}

#[test]
fn a_power_cut_in_any_operation_keeps_the_promise() {
    for shape in SHAPES {
        let count = operations(shape);
        assert!(count > 60, "{count} operations");
        for at in 0..=count {
            power_cut(shape, at, None).unwrap_or_else(|broken| panic_with(&broken));
        }
    }
}

#[test]
fn a_kill_in_any_operation_loses_nothing_acknowledged() {
    for shape in SHAPES {
        for at in 0..=operations(shape) {
            kill(shape, at, None).unwrap_or_else(|broken| panic_with(&broken));
        }
    }
}

#[test]
fn a_failure_of_any_operation_keeps_the_promise() {
    for shape in SHAPES {
        for at in 0..=operations(shape) {
            for how in [Failure::Io, Failure::Short, Failure::NoSpace] {
                failure(shape, at, how, None).unwrap_or_else(|broken| panic_with(&broken));
            }
        }
    }
}

#[expect(clippy::panic, reason = "a test's end")]
pub(super) fn panic_with(broken: &str) {
    panic!("{broken}");
}
