//! Scenarios on a Kubernetes: each in namespaces of its own, told with its time.

use std::path::PathBuf;
use std::pin::Pin;

use anyhow::{Context as _, ensure};
use futures_util::stream::{self, StreamExt as _};
use k8s_openapi::api::core::v1::Namespace;
use kube::Api;
use kube::api::ListParams;
use rmq_host::SystemClock;
use rmq_model::clock::Clock as _;

use crate::kube::site::Site;
use crate::kube::space::{SCENARIO, Space};
use crate::peers::Peers;
use crate::report;

/// What a scenario works with.
#[derive(Clone, Debug)]
pub struct Stage {
    /// The Kubernetes.
    pub site: Site,
    /// Clients of other makers.
    pub peers: Peers,
    /// For files.
    pub directory: PathBuf,
    /// Of the scenario; namespaces are called after it.
    pub name: &'static str,
}

impl Stage {
    /// A namespace of the scenario's own; `suffix` tells several apart.
    ///
    /// # Errors
    /// When it cannot be made.
    pub async fn space(&self, suffix: &str) -> anyhow::Result<Space> {
        let name = format!("e2e-{}{suffix}", self.name);
        Space::make(self.site.client(), &name, self.name).await
    }
}

/// A scenario's run.
pub type Work = Pin<Box<dyn Future<Output = anyhow::Result<()>> + Send>>;

/// One scenario.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    /// A word.
    pub name: &'static str,
    /// What holds when it passes.
    pub shows: &'static str,
    /// Whether others may run at the same time: they wait more than they work.
    pub beside_others: bool,
    /// Whether it has been seen to pass. One that has not is only run by its name.
    pub proven: bool,
    /// Runs it.
    pub work: fn(Stage) -> Work,
}

/// Scenarios that run at the same time.
const BESIDE: usize = 3;

/// Runs the chosen ones (all that are proven, if `names` is empty): some at a time where they allow
/// it, then the others. One that fails does not keep the others from being run.
///
/// # Errors
/// When one fails, or a name is none.
pub async fn run(all: &[Scenario], names: &[String], stage: &Stage) -> anyhow::Result<()> {
    for name in names {
        ensure!(all.iter().any(|s| s.name.starts_with(name.as_str())), "no scenario {name}");
    }
    let is_chosen = |scenario: &&Scenario| {
        let is_named = names.iter().any(|name| scenario.name.starts_with(name.as_str()));
        is_named || (names.is_empty() && scenario.proven)
    };
    for scenario in all.iter().filter(|scenario| names.is_empty() && !scenario.proven) {
        report::note(&format!("skipped {}: not seen to pass yet, say its name", scenario.name));
    }
    let chosen: Vec<Scenario> = all.iter().filter(is_chosen).copied().collect();
    let (beside, alone): (Vec<_>, Vec<_>) = chosen.into_iter().partition(|s| s.beside_others);
    let mut failed: Vec<&str> = Vec::new();
    for (group, width) in [(beside, BESIDE), (alone, 1)] {
        let runs = group.into_iter().map(|scenario| one(scenario, stage));
        let outcomes: Vec<anyhow::Result<Option<&str>>> =
            stream::iter(runs).buffer_unordered(width).collect().await;
        for outcome in outcomes {
            failed.extend(outcome?);
        }
    }
    ensure!(failed.is_empty(), "failed: {}", failed.join(", "));
    Ok(())
}

/// Runs one; answers its name if it failed.
async fn one(scenario: Scenario, stage: &Stage) -> anyhow::Result<Option<&'static str>> {
    report::note(&format!("-- {}: {}", scenario.name, scenario.shows));
    let own = Stage { name: scenario.name, ..stage.clone() };
    clear(&own).await?;
    let clock = SystemClock::new();
    let outcome = (scenario.work)(own.clone()).await;
    let took = clock.monotonic().as_secs_f64();
    let failed = match outcome {
        Ok(()) => {
            report::note(&format!("ok {} {took:.1} s", scenario.name));
            None
        }
        Err(error) => {
            report::note(&format!("FAILED {} {took:.1} s: {error:#}", scenario.name));
            keep(&own).await?;
            Some(scenario.name)
        }
    };
    clear(&own).await?;
    Ok(failed)
}

async fn spaces(stage: &Stage) -> anyhow::Result<Vec<Space>> {
    let namespaces: Api<Namespace> = Api::all(stage.site.client().clone());
    let of_scenario = ListParams::default().labels(&format!("{SCENARIO}={}", stage.name));
    let found = namespaces.list(&of_scenario).await?.items;
    let named = found.into_iter().filter_map(|namespace| namespace.metadata.name);
    Ok(named.map(|name| Space::of(stage.site.client(), &name)).collect())
}

/// Removes what the scenario, or an earlier run of it, left.
async fn clear(stage: &Stage) -> anyhow::Result<()> {
    for space in spaces(stage).await? {
        space.remove().await?;
    }
    Ok(())
}

/// Writes down what the scenario's namespaces hold.
async fn keep(stage: &Stage) -> anyhow::Result<()> {
    use std::io::Write as _;
    let path = stage.directory.join(format!("{}.txt", stage.name));
    let mut file = std::fs::File::create(&path).with_context(|| path.display().to_string())?;
    for space in spaces(stage).await? {
        writeln!(file, "namespace {}\n{}", space.name(), space.describe().await)?;
    }
    report::note(&format!("   its clusters, events and logs are in {}", path.display()));
    Ok(())
}
