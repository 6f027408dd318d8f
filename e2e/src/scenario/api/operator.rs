//! The operator with the chart's role.

use std::time::Duration;

use anyhow::ensure;
use axum::http::StatusCode;
use k8s_openapi::api::core::v1::{Event, Pod};
use kube::api::ListParams;
use serde_json::{Value, json};

use crate::kube::operator::Outside;
use crate::kube::owned::versions;
use crate::kube::space::Space;
use crate::kube::until;
use crate::report;
use crate::scenario::suite::Stage;

/// Long enough for whatever an event of the last change brings.
const STILL: Duration = Duration::from_secs(6);
const LIMIT: Duration = Duration::from_secs(60);

/// A cluster with something of every kind.
pub(super) fn spec() -> Value {
    json!({
        "layout": "2m-noslave",
        "brokers": {"storage": {"size": "1Gi"}, "config": {"fileReservedTime": "72"}},
        "security": {"networkPolicy": {"enabled": true}},
    })
}

/// Waits until the pods of both components were made.
async fn pods_are_made(space: &Space) -> anyhow::Result<()> {
    until(LIMIT, "four pods are made", || async {
        let pods = space.api::<Pod>().list(&ListParams::default()).await?.items.len();
        anyhow::ensure!(pods == 4, "there are {pods}");
        Ok(Some(()))
    })
    .await
}

pub(super) async fn again(stage: Stage) -> anyhow::Result<()> {
    let space = stage.space("").await?;
    let outside = Outside::prepare(&stage.site, space.name(), &stage.directory).await?;
    space.apply("demo", &spec()).await?;
    let first = outside.start().await?;
    // Pod Security is asked for each pod: templates that break `restricted` make none.
    pods_are_made(&space).await?;
    outside.rests(STILL, LIMIT).await?;
    let before = versions(&space).await?;
    let cluster = space.clusters().get("demo").await?;
    ensure!(first.stop(Duration::from_secs(20))?, "the operator did not stop when asked to");

    outside.proxy.plan(Vec::new(), None);
    let second = outside.start().await?;
    outside.rests(STILL, LIMIT).await?;
    let after = versions(&space).await?;
    let changed: Vec<_> = before.iter().filter(|(name, v)| after.get(*name) != Some(v)).collect();
    ensure!(changed.is_empty(), "written again: {changed:?}");
    ensure!(after.len() == before.len(), "more objects than before: {after:?}");
    let now = space.clusters().get("demo").await?;
    ensure!(
        now.metadata.resource_version == cluster.metadata.resource_version,
        "the resource was written again: {} after {}",
        now.data,
        cluster.data
    );
    drop(second);

    let refused: Vec<_> = outside
        .proxy
        .calls()
        .into_iter()
        .filter(|call| call.status == Some(StatusCode::FORBIDDEN))
        .collect();
    ensure!(refused.is_empty(), "the chart's role lacks {refused:?}");
    let events = space.api::<Event>().list(&ListParams::default()).await?.items;
    let failed: Vec<_> = events
        .into_iter()
        .filter(|event| event.reason.as_deref() == Some("FailedCreate"))
        .filter_map(|event| event.message)
        .collect();
    ensure!(failed.is_empty(), "pods were refused: {failed:?}");
    report::note(&format!("   {} objects, {} calls", after.len(), outside.proxy.calls().len()));
    outside.proxy.stop();
    Ok(())
}
