//! How much one operator needs for many clusters, and how quick it is: before a real API server,
//! with a stand-in for the kubelet and for everything that would run in the pods.

mod control;
mod page;
mod pods;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use rmq_host::{SystemClock, Tasks};
use rmq_model::clock::Clock as _;
use serde_json::{Value, json};

use crate::kube::operator::Outside;
use crate::kube::site::Site;
use crate::kube::space::{Space, condition_of};
use crate::kube::until;
use crate::process::Process;
use crate::report;
use crate::scenario::api::define;

/// What the operator may have in memory.
const MEMORY_KIB_MAX: u64 = 50 * 1024;
/// Within this a change has to reach the object it is for.
const REACTION_MAX: Duration = Duration::from_secs(1);
/// Changes that are timed.
const CHANGES: usize = 20;
/// Without a change for this long the operator has come to rest.
const STILL: Duration = Duration::from_secs(15);
/// How long a fleet at rest is looked at.
const REST: Duration = Duration::from_secs(60);
/// All clusters are made within this.
const LIMIT: Duration = Duration::from_secs(600);
/// Clusters that are made or looked at together.
const BESIDE: usize = 10;

/// What to measure.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Clusters of one operator
    #[arg(long, default_value_t = 100)]
    clusters: usize,
    /// Write the page here
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// What was measured.
#[derive(Clone, Debug)]
struct Figures {
    clusters: usize,
    pods: usize,
    /// From the first resource that was applied until all clusters were Ready.
    made: Duration,
    /// At rest.
    memory_kib: u64,
    /// At the worst moment.
    memory_peak_kib: u64,
    /// Calls to the API server while nothing happened, watches that began anew included.
    calls_at_rest: usize,
    /// CPU time while nothing happened.
    cpu_at_rest: Duration,
    /// Reconciles of settled clusters, and the changes they asked for.
    looks: usize,
    changes: usize,
    /// From a change of a resource until the object it is for has it, sorted.
    reactions: Vec<Duration>,
}

/// Measures and prints, or writes the page.
///
/// # Errors
/// When a limit is broken, or the API server cannot be started.
pub async fn run(args: &Args, directory: &Path) -> anyhow::Result<()> {
    let site = Site::up(0).await?;
    let tasks = Tasks::new("fleet");
    let measured = async {
        define(&site).await?;
        let space = Space::make(site.client(), "fleet", "fleet").await?;
        let pods = pods::Pods::follow(&tasks, &space)?;
        control::serve(&tasks, &pods)?;
        measure(args, &site, &space, directory).await
    };
    let measured = measured.await;
    tasks.shutdown(Duration::from_secs(5)).await;
    site.down().await?;
    let figures = measured?;
    let page = page::write(&figures);
    report::note(&page);
    if let Some(out) = &args.out {
        use std::io::Write as _;
        let mut file = std::fs::File::create(out).with_context(|| out.display().to_string())?;
        file.write_all(page.as_bytes())?;
    }
    judge(&figures)
}

/// Whether the figures keep their limits.
fn judge(figures: &Figures) -> anyhow::Result<()> {
    ensure!(
        figures.memory_kib <= MEMORY_KIB_MAX,
        "the operator has {} KiB in memory, more than {MEMORY_KIB_MAX}",
        figures.memory_kib
    );
    ensure!(
        figures.changes == 0,
        "{} changes were asked for by looks at settled clusters",
        figures.changes
    );
    let slowest = figures.reactions.last().copied().unwrap_or_default();
    ensure!(slowest <= REACTION_MAX, "a change took {slowest:?} to be acted upon");
    Ok(())
}

fn spec(reserved_hours: usize) -> Value {
    json!({
        "layout": "2m-noslave",
        "nameserver": {"replicas": 1},
        "brokers": {
            "storage": {"size": "1Gi"},
            "config": {"fileReservedTime": reserved_hours.to_string()},
        },
    })
}

fn name(number: usize) -> String {
    format!("c{number}")
}

async fn measure(
    args: &Args,
    site: &Site,
    space: &Space,
    directory: &Path,
) -> anyhow::Result<Figures> {
    let clock = SystemClock::new();
    let outside = Outside::prepare(site, space.name(), directory).await?;
    let operator = outside.start().await?;
    let began = clock.monotonic();
    let numbers = || stream::iter((0..args.clusters).map(Ok));
    numbers()
        .try_for_each_concurrent(BESIDE, |number| async move {
            space.apply(&name(number), &spec(72)).await.map(drop)
        })
        .await?;
    numbers()
        .try_for_each_concurrent(
            BESIDE,
            |number| async move { space.ready(&name(number), LIMIT).await },
        )
        .await?;
    let made = clock.monotonic().saturating_sub(began);
    report::note(&format!(
        "{} clusters are Ready after {:.1} s",
        args.clusters,
        made.as_secs_f64()
    ));
    outside.rests(STILL, LIMIT).await?;

    let (calls, cpu) = (outside.proxy.calls().len(), cpu(&operator)?);
    tokio::time::sleep(REST).await;
    let calls_at_rest = outside.proxy.calls().len() - calls;
    let cpu_at_rest = self::cpu(&operator)?.saturating_sub(cpu);
    let (memory_kib, memory_peak_kib) = memory(&operator)?;

    // Something of no meaning makes the operator look at each cluster.
    outside.proxy.plan(Vec::new(), None);
    let looks = outside.reconciles().await?;
    numbers()
        .try_for_each_concurrent(BESIDE, |number| async move {
            space.annotate(&name(number), &json!({"e2e/look": "now"})).await
        })
        .await?;
    until(LIMIT, "every cluster was looked at", || async {
        let now = outside.reconciles().await? - looks;
        ensure!(args.clusters <= now, "{now} were");
        Ok(Some(()))
    })
    .await?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let looks = outside.reconciles().await? - looks;
    let changes = outside.proxy.changes();

    let mut reactions = Vec::new();
    for number in (0..args.clusters).cycle().take(CHANGES) {
        reactions.push(reaction(&clock, space, number, 73 + reactions.len()).await?);
    }
    reactions.sort();
    let pods = space.api::<k8s_openapi::api::core::v1::Pod>().list(&Default::default()).await?;
    Ok(Figures {
        clusters: args.clusters,
        pods: pods.items.len(),
        made,
        memory_kib,
        memory_peak_kib,
        calls_at_rest,
        cpu_at_rest,
        looks,
        changes,
        reactions,
    })
}

/// From a changed setting in the resource to the changed file for the pods.
async fn reaction(
    clock: &SystemClock,
    space: &Space,
    number: usize,
    hours: usize,
) -> anyhow::Result<Duration> {
    use k8s_openapi::api::core::v1::ConfigMap;
    let wanted = format!("fileReservedTime={hours}");
    let maps = space.api::<ConfigMap>();
    let map = format!("{}-broker-a", name(number));
    let params = kube::api::WatchParams::default().fields(&format!("metadata.name={map}"));
    let version = maps.get(&map).await?.metadata.resource_version.unwrap_or_default();
    let mut events = Box::pin(maps.watch(&params, &version).await?);
    let began = clock.monotonic();
    space.apply(&name(number), &spec(hours)).await?;
    let seen = async {
        while let Some(event) = events.next().await {
            if let kube::api::WatchEvent::Modified(map) = event?
                && map.data.iter().flatten().any(|(_, text)| text.contains(&wanted))
            {
                return Ok(());
            }
        }
        anyhow::bail!("the watch ended")
    };
    tokio::time::timeout(Duration::from_secs(30), seen)
        .await
        .with_context(|| format!("{map} does not get {wanted}"))??;
    let took = clock.monotonic().saturating_sub(began);
    until(LIMIT, "it is Ready again", || async {
        let status = space.status(&name(number)).await?;
        let ready = condition_of(&status, "Ready").cloned().unwrap_or_default();
        Ok((ready.get("status") == Some(&json!("True"))).then_some(()))
    })
    .await?;
    Ok(took)
}

/// What a process has in memory, and the most it had.
fn memory(process: &Process) -> anyhow::Result<(u64, u64)> {
    let text = std::fs::read_to_string(format!("/proc/{}/status", process.id()))?;
    let field = |name: &str| -> anyhow::Result<u64> {
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        let number =
            line.and_then(|rest| rest.split_whitespace().next()).context("no such line")?;
        Ok(number.parse()?)
    };
    Ok((field("VmRSS:")?, field("VmHWM:")?))
}

/// The CPU time that a process has taken so far.
fn cpu(process: &Process) -> anyhow::Result<Duration> {
    let text = std::fs::read_to_string(format!("/proc/{}/stat", process.id()))?;
    // The name may hold blanks; it is in brackets.
    let (_, rest) = text.rsplit_once(')').context("no name")?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let ticks =
        |at: usize| -> anyhow::Result<u64> { Ok(fields.get(at).context("short")?.parse()?) };
    let per_second = rustix::param::clock_ticks_per_second();
    Ok(Duration::from_millis((ticks(11)? + ticks(12)?) * 1000 / per_second))
}
