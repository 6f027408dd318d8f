//! Whole clusters.

use std::time::Duration;

use anyhow::ensure;
use k8s_openapi::api::apps::v1::Deployment;
use kube::Api;
use kube::api::{Patch, PatchParams};
use rmq_client::{Outgoing, Producer};
use serde_json::{Value, json};

use super::{LONG, OPERATOR, RELEASE, SHORT, two_groups};
use crate::kube::load::{self, Load};
use crate::kube::space::same_lives;
use crate::kube::until;
use crate::scenario::suite::Stage;

fn with(name: &str, value: bool) -> Value {
    let mut spec = two_groups();
    if let Some(fields) = spec.as_object_mut() {
        fields.insert(name.to_owned(), json!(value));
    }
    spec
}

pub(super) async fn sleep(stage: Stage) -> anyhow::Result<()> {
    let space = stage.space("").await?;
    space.apply("demo", &two_groups()).await?;
    space.ready("demo", SHORT).await?;
    let client = load::client(&space.name_servers("demo").await?)?;
    load::make_topic(&client, "kept").await?;
    let sent = Producer::new(client, "e2e").send(&Outgoing::new("kept", "a message")).await?;

    space.apply("demo", &with("hibernated", true)).await?;
    until(LONG, "no pod is left", || async {
        let pods = space.pods("demo", None).await?.len();
        ensure!(pods == 0, "there are {pods}");
        let phase = space.status("demo").await?.get("phase").cloned();
        Ok((phase == Some(json!("Hibernated"))).then_some(()))
    })
    .await?;
    ensure!(space.volumes().await?.len() == 2, "volumes went with the pods");
    space.apply("demo", &two_groups()).await?;
    space.ready("demo", SHORT).await?;
    let client = load::client(&space.name_servers("demo").await?)?;
    let queue = sent.queue.clone();
    let pull = rmq_client::pull::PullRequest::new("e2e-readers");
    let got = client.pull(&queue, sent.queue_offset, &pull).await?;
    ensure!(got.messages.len() == 1, "the message is gone");

    let before = space.lives("demo", None).await?;
    let mut paused = with("paused", true);
    if let Some(config) = paused.pointer_mut("/brokers/config").and_then(Value::as_object_mut) {
        config.insert("flushDiskType".to_owned(), json!("SYNC_FLUSH"));
    }
    space.apply("demo", &paused).await?;
    space.condition("demo", "Paused", "True", SHORT).await?;
    // Several times the delay of anything that would follow a change.
    tokio::time::sleep(Duration::from_secs(10)).await;
    same_lives(&before, &space.lives("demo", None).await?)
}

pub(super) async fn twins(stage: Stage) -> anyhow::Result<()> {
    let (left, right) = (stage.space("-left").await?, stage.space("-right").await?);
    for space in [&left, &right] {
        space.apply("demo", &two_groups()).await?;
    }
    for space in [&left, &right] {
        space.ready("demo", SHORT).await?;
    }
    let mut addresses = Vec::new();
    for space in [&left, &right] {
        let client = load::client(&space.name_servers("demo").await?)?;
        let info = client.admin().cluster_info().await?;
        ensure!(info.brokers.len() == 2, "{} knows {:?}", space.name(), info.brokers);
        let of = |broker: &rmq_client::route::Broker| broker.addresses.values().cloned().collect();
        let own: Vec<Vec<String>> = info.brokers.values().map(of).collect();
        addresses.extend(own.into_iter().flatten());
    }
    let count = addresses.len();
    addresses.sort();
    addresses.dedup();
    ensure!(addresses.len() == count, "they share an address: {addresses:?}");

    let load = Load::start(&left.name_servers("demo").await?, "orders").await?;
    let before = left.lives("demo", None).await?;
    right.clusters().delete("demo", &kube::api::DeleteParams::default()).await?;
    until(SHORT, "the right one's pods are gone", || async {
        let pods = right.pods("demo", None).await?.len();
        ensure!(pods == 0, "there are {pods}");
        Ok(Some(()))
    })
    .await?;
    ensure!(right.volumes().await?.len() == 2, "a deleted cluster's volumes are kept by default");
    load.flows(200, SHORT).await?;
    same_lives(&before, &left.lives("demo", None).await?)?;
    let verdict = load.finish(SHORT).await?;
    ensure!(verdict.failed == 0, "the other one was disturbed: {verdict}");
    Ok(())
}

pub(super) async fn gone(stage: Stage) -> anyhow::Result<()> {
    let with = stage.space("-with").await?;
    let without = stage.space("-without").await?;
    for space in [&with, &without] {
        space.apply("demo", &two_groups()).await?;
    }
    for space in [&with, &without] {
        space.ready("demo", SHORT).await?;
    }
    with.remove().await?;
    let operators: Api<Deployment> = Api::namespaced(stage.site.client().clone(), OPERATOR);
    let scale = |replicas: u32| {
        let patch = json!({"spec": {"replicas": replicas}});
        let operators = operators.clone();
        async move {
            let params = PatchParams::default();
            operators.patch_scale(RELEASE, &params, &Patch::Merge(&patch)).await
        }
    };
    scale(0).await?;
    let removed = without.remove().await;
    scale(1).await?;
    removed
}
