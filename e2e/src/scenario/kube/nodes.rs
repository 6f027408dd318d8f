//! Nodes.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::Api;
use serde_json::{Value, json};

use super::{LONG, SHORT, two_groups};
use crate::kube::load::Load;
use crate::kube::space::{Space, is_ready, name_of};
use crate::kube::{program, until};
use crate::report;
use crate::scenario::suite::Stage;

/// Two groups, each on a node of its own.
async fn on_both_nodes(space: &Space) -> anyhow::Result<()> {
    let mut spec = two_groups();
    let apart = json!({"affinity": {"podAntiAffinity": {
    "requiredDuringSchedulingIgnoredDuringExecution": [{
        "topologyKey": "kubernetes.io/hostname",
        "labelSelector": {"matchLabels": {
            "app.kubernetes.io/instance": "demo", "app.kubernetes.io/component": "broker"}},
    }]}}});
    if let Some(brokers) = spec.get_mut("brokers").and_then(Value::as_object_mut) {
        brokers.insert("pod".to_owned(), apart);
    }
    if let Some(servers) = spec.get_mut("nameserver").and_then(Value::as_object_mut) {
        servers.insert("replicas".to_owned(), json!(2));
        // Back within the test's time, wherever there is room.
        servers.insert("pod".to_owned(), json!({}));
    }
    space.apply("demo", &spec).await?;
    space.ready("demo", SHORT).await
}

fn node_of(pod: &Pod) -> Option<String> {
    pod.spec.as_ref()?.node_name.clone()
}

pub(super) async fn drained(stage: Stage) -> anyhow::Result<()> {
    let space = stage.space("").await?;
    on_both_nodes(&space).await?;
    let load = Load::start(&space.name_servers("demo").await?, "orders").await?;
    let pods = space.pods("demo", Some("broker")).await?;
    let node = pods.first().and_then(node_of).context("no broker runs")?;
    let drain = [
        "drain",
        &node,
        "--ignore-daemonsets",
        "--delete-emptydir-data",
        "--timeout=120s",
        // Only the scenario's own pods: the operator may be there as well.
        "--pod-selector=app.kubernetes.io/instance=demo",
    ];
    program::run(stage.site.kubectl(&drain)).await?;
    load.flows(200, SHORT).await?;
    program::run(stage.site.kubectl(&["uncordon", &node])).await?;
    space.ready("demo", LONG).await?;
    let verdict = load.finish(LONG).await?;
    report::note(&format!("   {verdict}"));
    Ok(())
}

pub(super) async fn lost(stage: Stage) -> anyhow::Result<()> {
    if !stage.site.is_owned() {
        report::note("   skipped: the nodes of a given cluster are left alone");
        return Ok(());
    }
    let space = stage.space("").await?;
    on_both_nodes(&space).await?;
    let load = Load::start(&space.name_servers("demo").await?, "orders").await?;
    stage.site.lose(2).await?;
    let outcome = while_lost(&stage, &space, &load).await;
    stage.site.restore(2).await?;
    outcome?;
    space.ready("demo", LONG).await?;
    let verdict = load.finish(LONG).await?;
    report::note(&format!("   {verdict}"));
    Ok(())
}

async fn while_lost(stage: &Stage, space: &Space, load: &Load) -> anyhow::Result<()> {
    load.flows(200, SHORT).await?;
    let nodes: Api<Node> = Api::all(stage.site.client().clone());
    until(SHORT, "the node is not ready", || async {
        let node = nodes.get("e2e-node-2").await?;
        let conditions = node.status.and_then(|status| status.conditions).unwrap_or_default();
        Ok(conditions.iter().any(|c| c.type_ == "Ready" && c.status != "True").then_some(()))
    })
    .await?;
    space.condition("demo", "Ready", "False", SHORT).await?;
    space.condition("demo", "Available", "True", SHORT).await?;
    load.flows(200, Duration::from_secs(60)).await?;
    let pods = space.pods("demo", Some("broker")).await?;
    let ready: Vec<_> = pods.iter().filter(|pod| is_ready(pod)).filter_map(name_of).collect();
    ensure!(ready.len() == 1, "ready are {ready:?}");
    Ok(())
}
