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
    /// Why it is left to `--all` and to those who say its name; `None` for one that always runs.
    pub on_request: Option<&'static str>,
    /// Runs it.
    pub work: fn(Stage) -> Work,
}

/// Scenarios that run at the same time.
const BESIDE: usize = 4;

/// Which of the scenarios to run.
#[derive(Clone, Copy, Debug)]
pub enum Choice<'a> {
    /// Those that always run.
    Default,
    /// All of them.
    All,
    /// Those whose names begin so.
    Named(&'a [String]),
}

impl<'a> Choice<'a> {
    /// The named ones, if there is a name.
    pub fn of(names: &'a [String], all: bool) -> Self {
        match names {
            [] if all => Self::All,
            [] => Self::Default,
            names => Self::Named(names),
        }
    }

    fn has(self, scenario: &Scenario) -> bool {
        match self {
            Self::Default => scenario.on_request.is_none(),
            Self::All => true,
            Self::Named(names) => names.iter().any(|name| scenario.name.starts_with(name.as_str())),
        }
    }
}

/// Runs the chosen ones: some at a time where they allow it, then the others. One that fails does
/// not keep the others from being run.
///
/// # Errors
/// When one fails, or a name is none.
pub async fn run(all: &[Scenario], choice: Choice<'_>, stage: &Stage) -> anyhow::Result<()> {
    if let Choice::Named(names) = choice {
        for name in names {
            ensure!(all.iter().any(|s| s.name.starts_with(name.as_str())), "no scenario {name}");
        }
    }
    let (chosen, others): (Vec<_>, Vec<_>) =
        all.iter().copied().partition(|scenario| choice.has(scenario));
    for scenario in others {
        if let (Choice::Default, Some(why)) = (choice, scenario.on_request) {
            report::note(&format!("skipped {}: {why}; --all, or its name, runs it", scenario.name));
        }
    }
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
        space.clean().await?;
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
