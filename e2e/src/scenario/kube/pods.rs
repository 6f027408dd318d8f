//! Pods that are deleted.

use std::time::Duration;

use anyhow::ensure;

use super::{LONG, SHORT, two_groups};
use crate::kube::load::Load;
use crate::kube::space::name_of;
use crate::report;
use crate::scenario::suite::Stage;

/// With another group to send to, clients are never without a broker for longer than it takes to
/// try the next one a few times.
const GAP: Duration = Duration::from_secs(35);

pub(super) async fn deleted(stage: Stage) -> anyhow::Result<()> {
    let space = stage.space("").await?;
    space.apply("demo", &two_groups()).await?;
    space.ready("demo", SHORT).await?;
    let load = Load::start(&space.name_servers("demo").await?, "orders").await?;
    let pods: Vec<String> = space.pods("demo", None).await?.iter().filter_map(name_of).collect();
    ensure!(pods.len() == 3, "pods are {pods:?}");
    for pod in &pods {
        space.replace_pod(pod, SHORT).await?;
        load.flows(100, SHORT).await?;
    }
    space.ready("demo", SHORT).await?;
    ensure!(load.brokers() == ["broker-a", "broker-b"], "sent to {:?}", load.brokers());
    let verdict = load.finish(LONG).await?;
    report::note(&format!("   {verdict}"));
    ensure!(verdict.longest_gap < GAP, "clients were stopped for {:?}", verdict.longest_gap);
    Ok(())
}
