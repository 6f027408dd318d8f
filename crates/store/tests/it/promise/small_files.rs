//! Tables and offsets: files that are replaced whole.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use super::mutants::{Bug, Flawed};
use crate::support::*;
use rmq_store::Disk;
use rmq_store::durable::replace_on;
use rmq_testkit::disk::FaultDisk;

fn content(number: usize) -> Vec<u8> {
    format!("{number}{}{number}", "x".repeat(1500 - number * 100)).into_bytes()
}

/// Replaces a file four times while the power fails in each operation in turn.
fn check(bug: Option<Bug>) -> Result<(), String> {
    let dir = root().join("config");
    let (path, backup) = (dir.join("topics.json"), dir.join("topics.json.bak"));
    for at in 0.. {
        let disk = FaultDisk::default();
        disk.create_dir_all(&dir).unwrap();
        for dir in dir.ancestors() {
            disk.sync_dir(dir).unwrap();
        }
        disk.power_off_at(disk.operations() + at);
        let flawed = Flawed::new(disk.clone(), bug);
        let done = (1..5).take_while(|n| replace_on(&flawed, &path, &content(*n)).is_ok()).count();
        let mut random = Random(at + 1);
        for share in 0..5 {
            let found = disk.power_cut(|| random.below(4) < share);
            let whole = |path| {
                let bytes = found.content(path)?;
                (1..5).find(|number| content(*number) == bytes)
            };
            let loaded = whole(&path).or_else(|| whole(&backup)).unwrap_or(0);
            if loaded != done && loaded != done + 1 {
                return Err(format!("operation {at}: {done} were written, {loaded} is found"));
            }
        }
        if !disk.is_off() {
            break;
        }
    }
    Ok(())
}

#[test]
fn a_small_file_is_the_old_or_the_new_one() {
    check(None).unwrap();
}

#[test]
fn mistakes_with_small_files_are_found() {
    for bug in [Bug::RenameBeforeSync, Bug::ForgetSmallFolder] {
        check(Some(bug)).unwrap_err();
    }
}
