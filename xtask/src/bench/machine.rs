//! What the figures depend on.

use super::jar_version;
use anyhow::Context;
use std::fs;
use std::path::Path;
use std::process::Command;

/// Versions and machine, as the page shows them.
#[derive(Debug)]
pub(super) struct Facts {
    pub(super) rows: Vec<(&'static str, String)>,
}

impl Facts {
    pub(super) fn gather(
        root: &Path,
        programs: &Path,
        java: &Path,
        rounds: usize,
        quick: bool,
    ) -> anyhow::Result<Self> {
        let commit =
            output(Command::new("git").current_dir(root).args(["rev-parse", "--short", "HEAD"]))?;
        let runtime = output(Command::new("java").arg("-version"))?;
        let compiler = output(Command::new("rustc").current_dir(root).arg("--version"))?;
        let command = format!("cargo xtask bench-vs-java{}", if quick { " --quick" } else { "" });
        let jars = jar_version(java).unwrap_or_default();
        Ok(Self {
            rows: vec![
                ("command", format!("`{command}`")),
                ("rounds", rounds.to_string()),
                ("rmq", format!("{commit}, release build, {compiler}")),
                (
                    "Java",
                    format!("RocketMQ {jars}, {}", runtime.lines().next().unwrap_or_default()),
                ),
                ("processor", processor()),
                ("memory", memory()),
                ("kernel", read("/proc/sys/kernel/osrelease")),
                ("file system", file_system(programs)),
            ],
        })
    }
}

/// The first output of a program; `java` writes its version to the standard error.
fn output(command: &mut Command) -> anyhow::Result<String> {
    let output = command.output().with_context(|| format!("cannot run {command:?}"))?;
    let text = if output.stdout.is_empty() { output.stderr } else { output.stdout };
    Ok(String::from_utf8_lossy(&text).trim().to_owned())
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default().trim().to_owned()
}

fn processor() -> String {
    let info = read("/proc/cpuinfo");
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let cores = info.lines().filter(|line| line.starts_with("processor")).count();
    format!("{cores} x {}", model.map_or("unknown", |(_, model)| model))
}

fn memory() -> String {
    let info = read("/proc/meminfo");
    let kib = info.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kib = kib.and_then(|kib| kib.split_ascii_whitespace().next()?.parse::<f64>().ok());
    format!("{:.0} GiB", kib.unwrap_or(0.0) / 1024.0 / 1024.0)
}

/// Type of the file system that `path` is on: that of the longest mount point above it.
fn file_system(path: &Path) -> String {
    let mounts = read("/proc/mounts");
    let above = mounts.lines().filter_map(|line| {
        let mut columns = line.split(' ').skip(1);
        let (point, kind) = (columns.next()?, columns.next()?);
        path.starts_with(point).then_some((point.len(), kind))
    });
    above.max().map_or("unknown", |(_, kind)| kind).to_owned()
}
