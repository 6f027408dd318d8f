//! Clients of other makers, on a cluster of pods.

use anyhow::{Context as _, ensure};
use rmq_client::route::MASTER_ID;
use serde_json::json;

use super::{SHORT, small};
use crate::kube::load;
use crate::report;
use crate::scenario::drivers::Driver;
use crate::scenario::suite::Stage;

/// What shows routes, sending, both ways of reading, and sharing of queues.
const CASES: [(Driver, &[&str]); 2] = [
    (Driver::Java5, &["send.", "pull.", "consume.all", "group.rebalance"]),
    (Driver::Go, &["go.send", "go.push", "go.pull", "go.rebalance"]),
];

pub(super) async fn run(stage: Stage) -> anyhow::Result<()> {
    let space = stage.space("").await?;
    let spec = json!({"layout": "single", "nameserver": {"resources": small()},
    "brokers": {"storage": {"size": "1Gi"}, "resources": small(),
        "config": {"mappedFileSizeCommitLog": "67108864"}},
    });
    space.apply("demo", &spec).await?;
    space.ready("demo", SHORT).await?;
    let name_servers = space.name_servers("demo").await?;
    let info = load::client(&name_servers)?.admin().cluster_info().await?;
    let broker = info.brokers.get("broker-a").context("no broker-a")?;
    let broker = broker.addresses.get(&MASTER_ID).context("broker-a has no master")?.clone();
    for (driver, cases) in CASES {
        let (peers, directory) = (stage.peers.clone(), stage.directory.clone());
        let (name_servers, broker) = (name_servers.parse()?, broker.parse()?);
        let cases: Vec<String> = cases.iter().map(|&case| case.to_owned()).collect();
        let seen = tokio::task::spawn_blocking(move || {
            driver.run_at(&peers, name_servers, broker, &directory, &cases)
        })
        .await??;
        let bad: Vec<String> = seen
            .facts
            .iter()
            .filter(|(case, facts)| case.ends_with(".broken") || facts.contains("came=false"))
            .map(|(case, facts)| format!("{case} {facts}"))
            .collect();
        ensure!(bad.is_empty(), "{}: {}", driver.name(), bad.join("; "));
        report::note(&format!("   {}: {} facts, none broken", driver.name(), seen.facts.len()));
    }
    Ok(())
}
