//! `cargo xtask bench-vs-java`: this broker and the Java one in turns, on the same machine, under
//! the same generator.
//!
//! Each round starts one side, measures it, stops it and wipes its data, then the other; the side
//! that begins alternates. What counts are ratios of medians: absolute figures of a shared machine
//! move by tens of percent.

mod cases;
mod figures;
mod machine;
mod page;
mod process;
mod side;

use anyhow::{Context, ensure};
use figures::Figures;
use side::{Flush, Kind, Side};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Shorter runs and one round, to see that everything works
    #[arg(long)]
    quick: bool,
    /// Rounds [default: 3, with --quick 1]
    #[arg(long, value_name = "N")]
    rounds: Option<usize>,
    /// Directory with the jars of the Java name server and broker; fetched if it is not given
    #[arg(long, value_name = "DIR")]
    java: Option<PathBuf>,
    /// Measure one side only and write no page
    #[arg(long, value_name = "SIDE", value_enum)]
    only: Option<Kind>,
    /// Measure only the cases whose names contain this, and write no page
    #[arg(long, value_name = "TEXT")]
    case: Option<String>,
    /// Where the page goes
    #[arg(long, value_name = "FILE", default_value = "docs/benchmarks.md")]
    out: PathBuf,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let root = root()?;
    let java = match &args.java {
        Some(dir) => dir.clone(),
        None => fetch(&root)?,
    };
    ensure!(
        jar_version(&java).is_some(),
        "{} has no rocketmq-broker jar: say --java DIR",
        java.display()
    );
    // Not after an hour of measuring.
    let out = root.join(&args.out);
    let folder = out.parent().context("--out names no file")?;
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let programs = build(&root)?;
    let work = programs.join("bench-vs-java");
    let rounds = args.rounds.unwrap_or(if args.quick { 1 } else { 3 });
    let kinds: Vec<Kind> = match args.only {
        Some(kind) => vec![kind],
        None => vec![Kind::Java, Kind::Rmq],
    };
    let mut figures = Figures::default();
    for round in 0..rounds {
        for flush in [Flush::Async, Flush::Sync] {
            let cases = cases::all(flush, args.quick);
            let cases: Vec<_> = cases
                .into_iter()
                .filter(|case| args.case.as_deref().is_none_or(|text| case.name.contains(text)))
                .collect();
            if cases.is_empty() {
                continue;
            }
            let mut order = kinds.clone();
            if round % 2 == 1 {
                order.reverse();
            }
            for kind in order {
                process::say(&format!("round {} of {rounds}, {kind}, {flush} flush", round + 1));
                wipe(&work)?;
                let side = Side { kind, flush, work: &work, programs: &programs, java: &java };
                side.measure(&cases, args.quick, &mut figures)
                    .with_context(|| format!("{kind}, {flush} flush: see {}", work.display()))?;
            }
        }
    }
    wipe(&work)?;
    process::say(&figures.plain());
    if args.only.is_some() || args.case.is_some() {
        return Ok(());
    }
    let facts = machine::Facts::gather(&root, &programs, &java, rounds, args.quick)?;
    let page = page::write(&facts, &figures);
    write_page(&out, &page)
}

/// The workspace's directory.
fn root() -> anyhow::Result<PathBuf> {
    let manifest = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().map(Path::to_path_buf).context("the workspace is not where it was built")
}

/// Fetches the pinned Java programs, unless that was done before.
fn fetch(root: &Path) -> anyhow::Result<PathBuf> {
    let script = root.join("e2e/interop/java/fetch.sh");
    let status = Command::new(&script)
        .stdout(std::process::Stdio::null())
        .status()
        .with_context(|| format!("cannot run {}: say --java DIR", script.display()))?;
    ensure!(status.success(), "the Java programs could not be fetched: {status}");
    let peers = match std::env::var_os("RMQ_PEERS") {
        Some(dir) => PathBuf::from(dir),
        None => root.join("e2e/.peers"),
    };
    Ok(peers.join("java/server-5"))
}

/// Builds what is measured and returns the directory it is in.
fn build(root: &Path) -> anyhow::Result<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let packages = ["-p", "rmq-cli", "-p", "rmq-broker", "-p", "rmq-nameserver"];
    let status = Command::new(cargo)
        .current_dir(root)
        .args(["build", "--release", "--bins"])
        .args(packages)
        .status()
        .context("cannot start cargo")?;
    ensure!(status.success(), "the release build failed");
    let target = match std::env::var_os("CARGO_TARGET_DIR") {
        Some(dir) => root.join(PathBuf::from(dir)),
        None => root.join("target"),
    };
    Ok(target.join("release"))
}

/// `5.3.3` of `rocketmq-broker-5.3.3.jar`.
fn jar_version(dir: &Path) -> Option<String> {
    let entries = fs::read_dir(dir).ok()?.flatten();
    entries.into_iter().find_map(|entry| {
        let name = entry.file_name();
        let version = name.to_str()?.strip_prefix("rocketmq-broker-")?.strip_suffix(".jar")?;
        Some(version.to_owned())
    })
}

fn wipe(dir: &Path) -> anyhow::Result<()> {
    if dir.exists() {
        fs::remove_dir_all(dir).with_context(|| format!("cannot wipe {}", dir.display()))?;
    }
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "a generated page: git has the one before")]
fn write_page(path: &Path, page: &str) -> anyhow::Result<()> {
    fs::write(path, page).with_context(|| format!("cannot write {}", path.display()))?;
    process::say(&format!("wrote {}", path.display()));
    Ok(())
}
