//! The steps of `cargo xtask test`.
//!
//! Three profiles are compiled, each once: clippy's check, tests in dev, the shipped program and
//! its scenarios in release. A step that would need a fourth one belongs into one of these.

use std::process::Command;

use anyhow::{Context as _, ensure};

use super::{NotHere, background};
use crate::shipped::{self, cargo_command, run};
use crate::{charts, images};

/// One thing to be shown.
pub(crate) struct Step {
    /// One word.
    pub(crate) name: &'static str,
    /// What holds when it passes.
    pub(crate) shows: &'static str,
    /// Steps without which it cannot be run.
    pub(crate) needs: &'static [&'static str],
    /// Programs without which it cannot be run.
    pub(crate) tools: &'static [&'static str],
    pub(crate) work: fn() -> anyhow::Result<()>,
}

/// All of them, in their order.
pub(crate) const STEPS: &[Step] = &[
    Step {
        name: "fmt",
        shows: "the code is formatted",
        needs: &[],
        tools: &[],
        work: || cargo(&["fmt", "--all", "--check"]),
    },
    Step {
        name: "layers",
        shows: "packages depend downwards only",
        needs: &[],
        tools: &[],
        work: crate::layers::run,
    },
    Step {
        name: "clippy",
        shows: "no warning in any target",
        needs: &[],
        tools: &[],
        work: || {
            cargo(&["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"])
        },
    },
    Step {
        name: "unit",
        shows: "unit, property, vector and crash tests; generated pages are current",
        needs: &[],
        tools: &[],
        work: || {
            let all = ["--workspace", "--locked", "--lib", "--bins", "--tests", "--no-fail-fast"];
            cargo(&[&["test"][..], &all[..]].concat())
        },
    },
    Step {
        name: "doctest",
        shows: "examples in the documentation work",
        needs: &[],
        tools: &[],
        work: || cargo(&["test", "--workspace", "--locked", "--doc"]),
    },
    Step {
        name: "rustdoc",
        shows: "the documentation builds without a warning",
        needs: &[],
        tools: &[],
        work: || {
            let mut command = cargo_command(&["doc", "--workspace", "--locked", "--no-deps"]);
            command.env("RUSTDOCFLAGS", "-D warnings");
            run(&mut command)
        },
    },
    Step {
        name: "release",
        shows: "the shipped programs build",
        needs: &[],
        tools: &[],
        work: || {
            let mut packages = vec!["rmq-cli", "rmq-e2e", "rmq-kernels", "rmq-sim"];
            packages.extend(images::packages());
            shipped::build(&packages).map(drop)
        },
    },
    Step {
        name: "sim",
        shows: "1,000 seeds of simulated broker groups lose nothing that was acknowledged",
        needs: &["release"],
        tools: &[],
        work: || run(&mut Command::new(shipped::directory()?.join("rmq-sim"))),
    },
    Step {
        name: "kernels",
        shows: "no inner loop of the servers needs more instructions than its budget",
        needs: &["release"],
        tools: &["valgrind"],
        work: super::kernels::run,
    },
    Step {
        name: "cli",
        shows: "rmq runs, uses and stops a cluster of its own",
        needs: &["release"],
        tools: &[],
        work: || scenario(&["cli"]),
    },
    Step {
        name: "java",
        shows: "the pinned Java peers are here and the driver compiles",
        needs: &[],
        tools: &["bash", "java", "javac", "mvn"],
        work: || fetch("java"),
    },
    Step {
        name: "go",
        shows: "the pinned Go client is here and the driver compiles",
        needs: &[],
        tools: &["bash", "go"],
        work: || fetch("go"),
    },
    Step {
        name: "crash",
        shows: "kill -9 under load loses nothing that was acknowledged",
        needs: &["release", "java"],
        tools: &["java"],
        work: || scenario(&["crash"]),
    },
    Step {
        name: "rounds",
        shows: "a dozen kills at random moments lose, move and invent nothing",
        needs: &["release"],
        tools: &[],
        work: || scenario(&["rounds"]),
    },
    Step {
        name: "trouble",
        shows: "a stopped process, a full disk and a failed one lose nothing acknowledged",
        needs: &["release"],
        tools: &["mount", "umount", "mkfs.ext4", "e2fsck"],
        work: || {
            if !rustix::process::geteuid().is_root() {
                return Err(NotHere("file systems are mounted by root".to_owned()).into());
            }
            scenario(&["trouble", "--stopped", "5"])
        },
    },
    Step {
        name: "mixed",
        shows: "our servers work in one cluster with the original ones",
        needs: &["release", "java"],
        tools: &["java"],
        work: || scenario(&["mixed"]),
    },
    Step {
        name: "replicas",
        shows: "logs and queues of masters and replicas, ours and Java's, are equal byte by byte",
        needs: &["release", "java"],
        tools: &["java"],
        work: || scenario(&["replicas", "--messages", "20000"]),
    },
    Step {
        name: "oracle",
        shows: "Java 5.3 and 4.9, mqadmin and C++-like frames meet no unexplained difference",
        needs: &["release", "java"],
        tools: &["java"],
        work: || scenario(&["oracle", "--drivers", "cpp,java5,java5-binary,java4"]),
    },
    Step {
        name: "oracle-go",
        shows: "Go meets no unexplained difference to the original",
        needs: &["release", "java", "go"],
        tools: &["java", "go"],
        work: || scenario(&["oracle", "--drivers", "go"]),
    },
    Step {
        name: "images",
        shows: "the images are small and need nothing of the system",
        needs: &["release"],
        tools: &["strip"],
        work: || {
            let out = shipped::target_directory()?.join("images");
            images::run(&images::Args::of_programs(out, shipped::directory()?))
        },
    },
    Step {
        name: "kubernetes",
        shows: "the pinned Kubernetes and helm are built",
        needs: &[],
        tools: &["bash", "go"],
        work: background::wait,
    },
    Step {
        name: "charts",
        shows: "the charts render, refuse mistakes, and deploy/install.yaml is theirs",
        needs: &["kubernetes"],
        tools: &["bash", "go"],
        work: || charts::check(false),
    },
    Step {
        name: "api",
        shows: "a real API server takes the resource and refuses what its rules are for",
        needs: &["release", "kubernetes"],
        tools: &["bash", "go", "openssl", "curl"],
        work: || scenario(&["api"]),
    },
    Step {
        name: "cluster",
        shows: "the images, installed by the chart on two nodes, keep what clients were promised",
        needs: &["images", "charts", "java", "go"],
        tools: &["bash", "go", "java", "openssl", "curl"],
        work: || {
            let given = std::env::var_os("KUBECONFIG").is_some();
            if !given && !rustix::process::geteuid().is_root() {
                return Err(NotHere("nodes need root; or set KUBECONFIG".to_owned()).into());
            }
            let images = shipped::target_directory()?.join("images");
            let images = images.to_str().context("the target directory has no readable name")?;
            scenario(&["kube", "--images", images])
        },
    },
];

/// Whether `tool` can be found in the search path.
pub(crate) fn is_installed(tool: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|directory| directory.join(tool).is_file())
}

fn cargo(args: &[&str]) -> anyhow::Result<()> {
    run(&mut cargo_command(args))
}

fn fetch(peer: &str) -> anyhow::Result<()> {
    let script = shipped::root().join("e2e/interop").join(peer).join("fetch.sh");
    run(Command::new("bash").arg(script))
}

/// Runs the scenarios' program as it was built by the step `release`: through `cargo run` its
/// dependencies could be built again with other features.
fn scenario(args: &[&str]) -> anyhow::Result<()> {
    let program = shipped::directory()?.join("rmq-e2e");
    ensure!(program.exists(), "{} is missing: run the step release", program.display());
    run(Command::new(program).args(args))
}
