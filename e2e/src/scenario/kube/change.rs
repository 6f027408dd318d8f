//! Changes of what runs.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{DeleteParams, ListParams};
use serde_json::{Value, json};

use super::{LONG, OPERATOR, SHORT, two_groups};
use crate::kube::load::{self, Load};
use crate::kube::space::{Life, Space, condition_of, is_ready, name_of, same_lives};
use crate::kube::until;
use crate::report;
use crate::scenario::suite::Stage;

/// Longest time without an acknowledgement while there are two groups.
const GAP: Duration = Duration::from_secs(35);
/// Between two deaths of the operator.
const DEATH: Duration = Duration::from_secs(5);

/// A change that makes new pods: a variable that nobody reads.
fn marked(mark: &str) -> Value {
    let mut spec = two_groups();
    if let Some(fields) = spec.as_object_mut() {
        let env = json!([{"name": "E2E_MARK", "value": mark}]);
        fields.insert("podDefaults".to_owned(), json!({"env": env}));
    }
    spec
}

/// `spec` with an image tag.
fn tagged(tag: &str) -> Value {
    let mut spec = two_groups();
    if let Some(fields) = spec.as_object_mut() {
        fields.insert("image".to_owned(), json!({"tag": tag}));
    }
    spec
}

async fn running(stage: &Stage) -> anyhow::Result<(Space, Load)> {
    let space = stage.space("").await?;
    space.apply("demo", &two_groups()).await?;
    space.ready("demo", SHORT).await?;
    let load = Load::start(&space.name_servers("demo").await?, "orders").await?;
    Ok((space, load))
}

/// Watches the brokers while `work` is done: never may two groups be away at once.
async fn one_at_a_time<T>(
    space: &Space,
    work: impl Future<Output = anyhow::Result<T>>,
) -> anyhow::Result<T> {
    let watch = async {
        loop {
            let pods = space.pods("demo", Some("broker")).await?;
            let ready = pods.iter().filter(|pod| is_ready(pod)).count();
            if ready == 0 {
                bail!("no group was ready");
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    tokio::select! {
        done = work => done,
        broken = watch => broken,
    }
}

async fn all_replaced(space: &Space, before: &BTreeMap<String, Life>) -> anyhow::Result<()> {
    let after = space.lives("demo", None).await?;
    for (name, life) in before {
        let now = after.get(name).with_context(|| format!("{name} is gone"))?;
        ensure!(now.uid != life.uid, "{name} was not replaced");
        ensure!(now.restarts == 0, "{name} began {} times again", now.restarts);
    }
    Ok(())
}

pub(super) async fn image(stage: Stage) -> anyhow::Result<()> {
    let (space, load) = running(&stage).await?;
    let before = space.lives("demo", None).await?;
    // The same images by their other name.
    space.apply("demo", &tagged("next")).await?;
    one_at_a_time(&space, space.ready("demo", LONG)).await?;
    all_replaced(&space, &before).await?;
    for pod in space.pods("demo", None).await? {
        let images: Vec<String> = pod
            .spec
            .iter()
            .flat_map(|spec| &spec.containers)
            .filter_map(|container| container.image.clone())
            .collect();
        ensure!(images.iter().all(|image| image.ends_with(":next")), "{images:?}");
    }
    let verdict = load.finish(LONG).await?;
    report::note(&format!("   {verdict}"));
    ensure!(verdict.longest_gap < GAP, "clients were stopped for {:?}", verdict.longest_gap);
    Ok(())
}

pub(super) async fn mistake(stage: Stage) -> anyhow::Result<()> {
    let (space, load) = running(&stage).await?;
    let before = space.lives("demo", Some("broker")).await?;
    let mut spec = two_groups();
    if let Some(brokers) = spec.get_mut("brokers").and_then(Value::as_object_mut) {
        brokers.insert("image".to_owned(), json!({"tag": "no-such-tag"}));
    }
    space.apply("demo", &spec).await?;
    until(LONG, "the mistake is told", || async {
        let status = space.status("demo").await?;
        let ready = condition_of(&status, "Ready").cloned().unwrap_or_default();
        let pods = space.pods("demo", Some("broker")).await?;
        let waiting = |pod: &Pod| {
            let text = serde_json::to_string(&pod.status).unwrap_or_default();
            text.contains("ImagePullBackOff") || text.contains("ErrImagePull")
        };
        let told = ready.get("status") == Some(&json!("False"));
        Ok((told && pods.iter().any(waiting)).then_some(()))
    })
    .await?;
    load.flows(200, SHORT).await?;
    let now = space.lives("demo", Some("broker")).await?;
    let touched = before.iter().filter(|(name, life)| now.get(*name) != Some(life)).count();
    ensure!(touched == 1, "the mistake reached {touched} brokers");
    space.apply("demo", &two_groups()).await?;
    space.ready("demo", LONG).await?;
    let verdict = load.finish(LONG).await?;
    report::note(&format!("   {verdict}"));
    ensure!(verdict.longest_gap < GAP, "clients were stopped for {:?}", verdict.longest_gap);
    Ok(())
}

async fn with_setting(space: &Space, name: &str, value: &str) -> anyhow::Result<()> {
    let mut spec = two_groups();
    if let Some(config) = spec.pointer_mut("/brokers/config").and_then(Value::as_object_mut) {
        config.insert(name.to_owned(), value.into());
    }
    space.apply("demo", &spec).await.map(drop)
}

/// The value of a setting on every broker.
async fn in_force(space: &Space, name: &str) -> anyhow::Result<Vec<String>> {
    let admin = load::client(&space.name_servers("demo").await?)?.admin();
    let mut values = Vec::new();
    for (_, addr) in admin.cluster_info().await?.masters(None)? {
        values.push(admin.broker_config(&addr).await?.get(name).cloned().unwrap_or_default());
    }
    Ok(values)
}

async fn becomes(space: &Space, name: &str, value: &str) -> anyhow::Result<()> {
    until(SHORT, &format!("{name} is {value} on every broker"), || async {
        let values = in_force(space, name).await?;
        ensure!(values.iter().all(|found| found == value), "it is {values:?}");
        Ok(Some(()))
    })
    .await
}

pub(super) async fn config(stage: Stage) -> anyhow::Result<()> {
    let (space, load) = running(&stage).await?;
    let before = space.lives("demo", None).await?;
    with_setting(&space, "fileReservedTime", "71").await?;
    becomes(&space, "fileReservedTime", "71").await?;
    space.condition("demo", "ConfigApplied", "True", SHORT).await?;
    same_lives(&before, &space.lives("demo", None).await?)?;

    with_setting(&space, "fileReservedTime", "many").await?;
    let refused = space.condition("demo", "SpecValid", "False", SHORT).await?;
    let message = refused.get("message").and_then(Value::as_str).unwrap_or_default();
    ensure!(message.contains("fileReservedTime"), "the condition names no key: {message}");
    becomes(&space, "fileReservedTime", "71").await?;
    same_lives(&before, &space.lives("demo", None).await?)?;

    with_setting(&space, "flushDiskType", "SYNC_FLUSH").await?;
    one_at_a_time(&space, space.ready("demo", LONG)).await?;
    becomes(&space, "flushDiskType", "SYNC_FLUSH").await?;
    let after = space.lives("demo", None).await?;
    for (name, life) in &before {
        let replaced = after.get(name).is_some_and(|now| now.uid != life.uid);
        ensure!(replaced == name.contains("broker"), "{name}: replaced={replaced}");
    }
    let verdict = load.finish(LONG).await?;
    report::note(&format!("   {verdict}"));
    ensure!(verdict.longest_gap < GAP, "clients were stopped for {:?}", verdict.longest_gap);
    Ok(())
}

pub(super) async fn chaos(stage: Stage) -> anyhow::Result<()> {
    let (space, load) = running(&stage).await?;
    let before = space.lives("demo", None).await?;
    space.apply("demo", &marked("1")).await?;
    let operators: Api<Pod> = Api::namespaced(stage.site.client().clone(), OPERATOR);
    let mut deaths = 0;
    let kill = async {
        loop {
            tokio::time::sleep(DEATH).await;
            for pod in operators.list(&ListParams::default()).await?.items {
                let now = DeleteParams { grace_period_seconds: Some(0), ..DeleteParams::default() };
                operators.delete(&name_of(&pod).unwrap_or_default(), &now).await.ok();
            }
            deaths += 1;
        }
    };
    let done = async {
        space.ready("demo", LONG).await?;
        all_replaced(&space, &before).await
    };
    tokio::select! {
        done = one_at_a_time(&space, done) => done?,
        stopped = kill => return stopped,
    }
    let verdict = load.finish(LONG).await?;
    report::note(&format!("   {deaths} deaths, {verdict}"));
    ensure!(0 < deaths, "the operator was never killed");
    ensure!(verdict.longest_gap < GAP, "clients were stopped for {:?}", verdict.longest_gap);
    Ok(())
}
