//! The shipped images on a real Kubernetes with two nodes: the operator is installed by its chart,
//! clients run beside the cluster, and what they were promised is checked while things happen.

mod change;
mod clients;
mod cluster;
mod layouts;
mod nodes;
mod packaging;
mod plugin;
mod pods;
mod scale;
mod storage;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};

use crate::kube::chart::Release;
use crate::kube::site::Site;
use crate::peers::Peers;
use crate::report;
use crate::scenario::api;
use crate::scenario::suite::{self, Choice, Scenario, Stage};

/// Where the operator is.
const OPERATOR: &str = "rocketmq-system";
const RELEASE: &str = "rocketmq-operator";
/// A rollout or a removal takes several of the clients' route refreshes.
const LONG: Duration = Duration::from_secs(300);
/// A cluster that is made, or a pod that is replaced.
const SHORT: Duration = Duration::from_secs(90);

const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "layouts",
        shows: "each layout without slaves becomes Ready, with the names, ids and roles it promises",
        beside_others: false,
        on_request: None,
        work: |stage| Box::pin(layouts::run(stage)),
    },
    Scenario {
        name: "clients",
        shows: "the Java and the Go client work with a cluster of pods",
        beside_others: true,
        on_request: None,
        work: |stage| Box::pin(clients::run(stage)),
    },
    Scenario {
        name: "pods",
        shows: "each pod is deleted in turn under load, and nothing acknowledged is lost",
        beside_others: true,
        on_request: None,
        work: |stage| Box::pin(pods::deleted(stage)),
    },
    Scenario {
        name: "image",
        shows: "a new image reaches every pod in order while clients send",
        beside_others: true,
        on_request: None,
        work: |stage| Box::pin(change::image(stage)),
    },
    Scenario {
        name: "mistake",
        shows: "an image that does not exist stops one pod, and taking it back is all it needs",
        beside_others: true,
        on_request: Some("it waits a minute for a pod to count as stuck"),
        work: |stage| Box::pin(change::mistake(stage)),
    },
    Scenario {
        name: "config",
        shows: "hot settings restart nothing, others restart in order, bad ones change nothing",
        beside_others: true,
        on_request: None,
        work: |stage| Box::pin(change::config(stage)),
    },
    Scenario {
        name: "namesrv",
        shows: "name servers go from one to three to one without a broker's restart",
        beside_others: true,
        on_request: None,
        work: |stage| Box::pin(scale::name_servers(stage)),
    },
    Scenario {
        name: "groups",
        shows: "a group comes with the topics of the others and goes when it is empty",
        beside_others: true,
        on_request: None,
        work: |stage| Box::pin(scale::groups(stage)),
    },
    Scenario {
        name: "storage",
        shows: "volumes grow without a restart, and a class that cannot grow is told",
        beside_others: true,
        on_request: None,
        work: |stage| Box::pin(storage::grow(stage)),
    },
    Scenario {
        name: "sleep",
        shows: "a hibernated cluster has no pods and wakes with its messages; a paused one is left alone",
        beside_others: true,
        on_request: None,
        work: |stage| Box::pin(cluster::sleep(stage)),
    },
    Scenario {
        name: "twins",
        shows: "two clusters of one name in two namespaces know nothing of each other",
        beside_others: true,
        on_request: None,
        work: |stage| Box::pin(cluster::twins(stage)),
    },
    Scenario {
        name: "chaos",
        shows: "an operator that is killed every few seconds still carries a rollout to its end",
        beside_others: false,
        on_request: Some("it takes three minutes of its own"),
        work: |stage| Box::pin(change::chaos(stage)),
    },
    Scenario {
        name: "gone",
        shows: "a namespace is deleted with its cluster, also while no operator runs",
        beside_others: false,
        on_request: Some("it waits two minutes for namespaces"),
        work: |stage| Box::pin(cluster::gone(stage)),
    },
    Scenario {
        name: "drain",
        shows: "a node is drained and used again under load",
        beside_others: false,
        on_request: None,
        work: |stage| Box::pin(nodes::drained(stage)),
    },
    Scenario {
        name: "lost",
        shows: "a node is lost and comes back; the other group serves meanwhile and nothing is missing",
        beside_others: false,
        on_request: None,
        work: |stage| Box::pin(nodes::lost(stage)),
    },
    Scenario {
        name: "chart",
        shows: "the chart is upgraded, removed and installed again over running clusters",
        beside_others: false,
        on_request: None,
        work: |stage| Box::pin(packaging::chart(stage)),
    },
    Scenario {
        name: "plugin",
        shows: "kubectl rmq says what is so, pauses, resumes and restarts",
        beside_others: true,
        on_request: None,
        work: |stage| Box::pin(plugin::run(stage)),
    },
    Scenario {
        name: "page",
        shows: "the commands of docs/operate/kubernetes.md do what the page says",
        beside_others: false,
        on_request: None,
        work: |stage| Box::pin(packaging::page(stage)),
    },
];

/// What to run.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Names of scenarios, or their beginnings
    names: Vec<String>,
    /// Directory of the archives that `cargo xtask images` wrote
    #[arg(long, value_name = "DIR")]
    images: PathBuf,
    /// Run all of them, also those that are left out for the time they take
    #[arg(long, conflicts_with = "names")]
    all: bool,
    /// Leave the cluster running
    #[arg(long)]
    stay: bool,
}

/// Starts the cluster, installs the operator and runs the scenarios; ends what it started unless
/// it shall stay.
///
/// # Errors
/// When one fails or the cluster does not come up.
pub async fn run(peers: &Peers, args: &Args, directory: &Path) -> anyhow::Result<()> {
    let site = Site::up(2).await?;
    let outcome = on(&site, peers, args, directory).await;
    if !args.stay {
        site.down().await?;
    }
    outcome
}

async fn on(site: &Site, peers: &Peers, args: &Args, directory: &Path) -> anyhow::Result<()> {
    site.load(&archives(&args.images)?).await?;
    // Helm would leave older ones as they are.
    api::define(site).await?;
    let began = audit(site)?.len();
    let release = Release::install(site, RELEASE, OPERATOR, &[]).await?;
    let stage = Stage {
        site: site.clone(),
        peers: peers.clone(),
        directory: directory.to_owned(),
        name: "kube",
    };
    let outcome = suite::run(SCENARIOS, Choice::of(&args.names, args.all), &stage).await;
    // Whatever the scenarios found: the role was enough for all of it.
    let refused = refused(&audit(site)?.split_off(began));
    release.uninstall().await?;
    ensure!(refused.is_empty(), "the chart's role lacks: {}", refused.join("; "));
    outcome
}

fn archives(directory: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(directory).with_context(|| directory.display().to_string())?;
    let mut found: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    found.retain(|path| path.extension().is_some_and(|extension| extension == "tar"));
    ensure!(!found.is_empty(), "{} has no images: cargo xtask images", directory.display());
    found.sort();
    Ok(found)
}

/// What the API server logged of who asked for what; nothing of a cluster that is not ours.
fn audit(site: &Site) -> anyhow::Result<Vec<String>> {
    let Some(root) = site.root() else {
        return Ok(Vec::new());
    };
    let text = std::fs::read_to_string(root.join("logs/audit.log")).unwrap_or_default();
    Ok(text.lines().map(str::to_owned).collect())
}

/// What the operator's role did not let it do. What is made in a namespace that is going is refused
/// with the same status, but not by the authorizer. And what was allowed at another time is not
/// missing in the role: that goes before the operator when the chart is removed.
fn refused(lines: &[String]) -> Vec<String> {
    let person = format!("system:serviceaccount:{OPERATOR}:{RELEASE}");
    let mut found = Vec::new();
    let mut allowed = BTreeSet::new();
    for line in lines {
        let Ok(event) = serde_json::from_str::<Value>(line) else { continue };
        let text = |path: &str| event.pointer(path).and_then(Value::as_str).unwrap_or_default();
        let decision = text("/annotations/authorization.k8s.io~1decision");
        if text("/user/username") != person {
            continue;
        }
        let path = text("/requestURI").split('?').next().unwrap_or_default();
        let call = format!("{} {path}", text("/verb"));
        if decision == "allow" {
            allowed.insert(call);
        } else if decision == "forbid" && !found.contains(&call) {
            found.push(call);
        }
    }
    found.retain(|call| !allowed.contains(call));
    if !found.is_empty() {
        report::note(&format!("   refused to the operator: {}", found.join("; ")));
    }
    found
}

/// Two groups of one broker each, small enough for a test machine.
fn two_groups() -> Value {
    json!({
        "layout": "2m-noslave",
        "nameserver": {"replicas": 1, "resources": small()},
        "brokers": {
            "storage": {"size": "1Gi"},
            "resources": small(),
            // The defaults are for production: a test waits for each of them.
            "config": {"mappedFileSizeCommitLog": "67108864"},
        },
    })
}

fn small() -> Value {
    json!({"requests": {"cpu": "20m", "memory": "64Mi"}, "limits": {"memory": "1Gi"}})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_operators_own_refusals_count_and_each_once() {
        let line = |user: &str, decision: &str, uri: &str| {
            json!({"user": {"username": user}, "verb": "list", "requestURI": uri,
                   "responseStatus": {"code": 403},
                   "annotations": {"authorization.k8s.io/decision": decision}})
            .to_string()
        };
        let operator = format!("system:serviceaccount:{OPERATOR}:{RELEASE}");
        // A vanishing namespace also answers 403, to a request that the role allows.
        let lines = [
            line(&operator, "allow", "/y?limit=5"),
            line("somebody", "forbid", "/x"),
            // While the chart is removed.
            line(&operator, "forbid", "/y"),
            line(&operator, "forbid", "/x?limit=5"),
            line(&operator, "forbid", "/x"),
            "noise".to_owned(),
        ];
        assert_eq!(refused(&lines), ["list /x"]);
        assert!(refused(&lines[..3]).is_empty());
    }
}
