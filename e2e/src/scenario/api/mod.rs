//! The resource and the operator before a real API server, without nodes: nothing runs, but every
//! rule, permission and conflict is real.

mod faults;
mod operator;
mod resource;
mod rules;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Api;
use kube::api::{Patch, PatchParams};

use crate::kube::site::Site;
use crate::kube::until;
use crate::peers::Peers;
use crate::scenario::suite::{self, Choice, Scenario, Stage};

const DEFINITIONS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../crds");

const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "rules",
        shows: "every rule of the definition refuses what it is for, and nothing else",
        beside_others: false,
        on_request: None,
        work: |stage| Box::pin(rules::run(stage)),
    },
    Scenario {
        name: "resource",
        shows: "defaults, pruning, subresources and columns of the resource",
        beside_others: true,
        on_request: None,
        work: |stage| Box::pin(resource::run(stage)),
    },
    Scenario {
        name: "again",
        shows: "a second look changes no object, with the chart's role and nothing refused",
        beside_others: true,
        on_request: None,
        work: |stage| Box::pin(operator::again(stage)),
    },
    Scenario {
        name: "killed",
        shows: "an operator that is killed after each of its changes ends where one that lives does",
        beside_others: true,
        on_request: None,
        work: |stage| Box::pin(faults::killed(stage)),
    },
    Scenario {
        name: "faults",
        shows: "refusals, lost answers and cut connections of the API server change nothing in the end",
        beside_others: true,
        on_request: None,
        work: |stage| Box::pin(faults::refused(stage)),
    },
];

/// Runs the scenarios, and ends what it started unless it shall `stay`.
///
/// # Errors
/// When one fails or there is no API server.
pub async fn run(
    peers: &Peers,
    names: &[String],
    directory: &Path,
    stay: bool,
) -> anyhow::Result<()> {
    let site = Site::up(0).await?;
    let stage = Stage {
        site: site.clone(),
        peers: peers.clone(),
        directory: directory.to_owned(),
        name: "api",
    };
    let outcome = match define(&site).await {
        Ok(()) => suite::run(SCENARIOS, Choice::of(names, false), &stage).await,
        Err(error) => Err(error),
    };
    if !stay {
        site.down().await?;
    }
    outcome
}

/// The files of the definitions.
fn definitions() -> anyhow::Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(DEFINITIONS).context(DEFINITIONS)?;
    let mut files: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    files.sort();
    anyhow::ensure!(!files.is_empty(), "{DEFINITIONS} has no definitions");
    Ok(files)
}

/// Applies the definitions and waits until resources can be made.
///
/// # Errors
/// When the API server refuses one.
pub async fn define(site: &Site) -> anyhow::Result<()> {
    let api: Api<CustomResourceDefinition> = Api::all(site.client().clone());
    for file in definitions()? {
        let text = std::fs::read_to_string(&file)?;
        let definition: CustomResourceDefinition = serde_yaml::from_str(&text)?;
        let name = definition.metadata.name.clone().context("a definition without name")?;
        let params = PatchParams::apply("e2e").force();
        api.patch(&name, &params, &Patch::Apply(&definition))
            .await
            .with_context(|| format!("the API server refuses {}", file.display()))?;
        until(Duration::from_secs(20), &format!("{name} is established"), || async {
            let status = api.get(&name).await?.status.unwrap_or_default();
            let conditions = status.conditions.unwrap_or_default();
            let established =
                |kind: &str| conditions.iter().any(|c| c.type_ == kind && c.status == "True");
            Ok((established("Established") && established("NamesAccepted")).then_some(()))
        })
        .await?;
    }
    Ok(())
}
