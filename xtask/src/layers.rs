//! `cargo xtask layers`: packages depend downwards only, as ARCHITECTURE.md draws them.

use anyhow::{Context, bail, ensure};
use serde::Deserialize;
use std::collections::BTreeSet;
use std::process::Command;

/// Layers from the bottom up. A package may use every layer below its own.
const LAYERS: [(&str, &[&str]); 5] = [
    ("words", &["model"]),
    ("formats", &["record", "remoting", "grpc", "pod", "control", "operator-api"]),
    ("cores", &["store", "delivery", "replica", "operator-plan"]),
    ("shells", &["host", "net", "client"]),
    ("programs", &["broker", "nameserver", "operator", "cli", "dashboard"]),
];

/// Uses within a layer: the left one uses the right one. `cli` runs whole clusters in one binary.
const SIDEWAYS: [(&str, &str); 4] =
    [("client", "net"), ("delivery", "store"), ("cli", "broker"), ("cli", "nameserver")];

/// Beside the layers: they may use anything, nothing in a layer uses them.
const BESIDE: [&str; 5] = ["sim", "e2e", "kernels", "fuzz", "xtask"];

/// Beside the layers too, but for tests: uses up to the cores, is used as a dev-dependency only.
const TESTKIT: &str = "testkit";

/// What every package's name begins with.
const PREFIX: &str = "rmq-";

#[derive(Debug, Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Debug, Deserialize)]
struct Package {
    name: String,
    dependencies: Vec<Dependency>,
}

#[derive(Debug, Deserialize)]
struct Dependency {
    name: String,
    /// `None` is a normal dependency, else `dev` or `build`.
    kind: Option<String>,
    /// Set for packages of this workspace, unset for those of a registry.
    path: Option<String>,
}

pub(crate) fn run() -> anyhow::Result<()> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--no-deps", "--format-version", "1", "--offline"])
        .output()
        .context("cannot start cargo")?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Metadata =
        serde_json::from_slice(&output.stdout).context("cargo metadata is not understood")?;
    let wrong = violations(&metadata.packages);
    if wrong.is_empty() {
        return Ok(());
    }
    bail!("packages may only depend downwards (ARCHITECTURE.md):\n  {}", wrong.join("\n  "))
}

/// A line for every edge that the picture does not have and every package that it does not show.
fn violations(packages: &[Package]) -> Vec<String> {
    let mut wrong = BTreeSet::new();
    for package in packages {
        let Some(name) = package.name.strip_prefix(PREFIX) else {
            wrong.insert(format!("{} does not begin with {PREFIX}", package.name));
            continue;
        };
        if place(name).is_none() {
            wrong.insert(format!("{name} is in no layer: say where in xtask/src/layers.rs"));
            continue;
        }
        for dependency in package.dependencies.iter().filter(|d| d.path.is_some()) {
            let used = dependency.name.strip_prefix(PREFIX).unwrap_or(&dependency.name);
            let dev = dependency.kind.as_deref() == Some("dev");
            if let Some(reason) = refusal(name, used, dev) {
                wrong.insert(format!("{name} -> {used}: {reason}"));
            }
        }
    }
    wrong.into_iter().collect()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Layer(usize),
    Testkit,
    Beside,
}

fn place(name: &str) -> Option<Place> {
    if name == TESTKIT {
        return Some(Place::Testkit);
    }
    if BESIDE.contains(&name) {
        return Some(Place::Beside);
    }
    LAYERS.iter().position(|(_, names)| names.contains(&name)).map(Place::Layer)
}

/// Why `user` may not use `used`; `None` if it may.
fn refusal(user: &str, used: &str, dev: bool) -> Option<String> {
    let cores = LAYERS.iter().position(|(name, _)| *name == "cores");
    match (place(user)?, place(used)) {
        (_, None) => Some("is in no layer".to_owned()),
        (Place::Beside, Some(_)) => None,
        (_, Some(Place::Beside)) => Some("nothing uses what stands beside the layers".to_owned()),
        (_, Some(Place::Testkit)) if dev => None,
        (_, Some(Place::Testkit)) => Some("is for tests only: make it a dev-dependency".to_owned()),
        (Place::Testkit, Some(Place::Layer(below))) => {
            (cores < Some(below)).then(|| "test support uses nothing above the cores".to_owned())
        }
        (Place::Layer(above), Some(Place::Layer(below))) => {
            if below < above || (below == above && SIDEWAYS.contains(&(user, used))) {
                return None;
            }
            let way = if above == below { "sideways" } else { "upwards" };
            Some(format!("{way}, from {} to {}", layer_name(above), layer_name(below)))
        }
    }
}

fn layer_name(index: usize) -> &'static str {
    LAYERS.get(index).map_or("?", |(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, uses: &[(&str, Option<&str>)]) -> Package {
        let dependencies = uses
            .iter()
            .map(|(name, kind)| Dependency {
                name: format!("rmq-{name}"),
                kind: kind.map(str::to_owned),
                path: Some("here".to_owned()),
            })
            .collect();
        Package { name: format!("rmq-{name}"), dependencies }
    }

    #[test]
    fn edges() {
        let cases = [
            ("broker", "store", None, true),
            ("store", "broker", None, false),
            ("store", "net", None, false),
            ("delivery", "store", None, true),
            ("store", "delivery", None, false),
            ("client", "net", None, true),
            ("net", "client", None, false),
            ("host", "net", None, false),
            ("cli", "broker", None, true),
            ("broker", "cli", None, false),
            ("store", "testkit", Some("dev"), true),
            ("store", "testkit", None, false),
            ("testkit", "store", None, true),
            ("testkit", "net", None, false),
            ("e2e", "broker", None, true),
            ("broker", "e2e", Some("dev"), false),
            ("model", "record", Some("dev"), false),
            ("broker", "unheard-of", None, false),
        ];
        for (user, used, kind, fine) in cases {
            let found = violations(&[package(user, &[(used, kind)])]);
            assert_eq!(found.is_empty(), fine, "{user} -> {used} {kind:?}: {found:?}");
        }
    }

    #[test]
    fn unknown_and_foreign_packages() {
        assert_eq!(violations(&[package("unheard-of", &[])]).len(), 1);
        let mut foreign = package("store", &[("bytes", None)]);
        foreign.dependencies[0].path = None;
        assert!(violations(&[foreign]).is_empty());
    }

    #[test]
    fn this_workspace_keeps_to_the_picture() {
        if let Err(error) = run() {
            panic!("{error:#}");
        }
    }
}
