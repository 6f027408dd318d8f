//! What the API server makes of a resource.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use super::definitions;
use crate::kube::{program, until};
use crate::scenario::suite::Stage;

/// `kubectl apply` keeps the whole object, as JSON, in an annotation of this size at most.
const APPLY_BYTES_MAX: usize = 262_144;

pub(super) async fn run(stage: Stage) -> anyhow::Result<()> {
    let space = stage.space("").await?;
    let spec = json!({"layout": "2m-noslave", "brokers": {"storage": {"size": "1Gi"}}});
    space.apply("demo", &spec).await?;
    let clusters = space.clusters();

    let made = clusters.get("demo").await?;
    let field = |path: &str| made.data.pointer(path).cloned().unwrap_or_default();
    for (path, value) in [
        ("/spec/brokers/listenPort", json!(10911)),
        ("/spec/brokers/namePrefix", json!("broker")),
        ("/spec/brokers/addressing/advertise", json!("ServiceIP")),
        ("/spec/nameserver/port", json!(9876)),
        ("/spec/metrics/port", json!(5557)),
        ("/spec/paused", json!(false)),
        // Presets are not defaults: the operator resolves them.
        ("/spec/brokers/groups", Value::Null),
    ] {
        ensure!(field(path) == value, "{path} is {} and not {value}", field(path));
    }

    let unknown = json!({"spec": {"unheardOf": 1}});
    clusters.patch("demo", &PatchParams::default(), &Patch::Merge(&unknown)).await?;
    let pruned = clusters.get("demo").await?;
    ensure!(pruned.data.pointer("/spec/unheardOf").is_none(), "an unknown field is kept");

    // A status changes nothing else, and a spec with a status changes the spec alone.
    let status = json!({"status": {"phase": "Running", "brokerGroups": 2,
        "selector": "app.kubernetes.io/instance=demo"}, "spec": {"paused": true}});
    let params = PatchParams::default();
    let after = clusters.patch_status("demo", &params, &Patch::Merge(&status)).await?;
    ensure!(after.metadata.generation == pruned.metadata.generation, "a status made a generation");
    ensure!(after.data.pointer("/spec/paused") == Some(&json!(false)), "a status changed the spec");
    clusters.patch("demo", &params, &Patch::Merge(json!({"status": {"phase": "Failed"}}))).await?;
    let phase = clusters.get("demo").await?.data.pointer("/status/phase").cloned();
    ensure!(phase == Some(json!("Running")), "the main resource changed the status: {phase:?}");

    let name = space.name();
    let kubectl = |args: &[&str]| {
        let mut command = stage.site.kubectl(args);
        command.args(["-n", name]);
        program::run(command)
    };
    kubectl(&["scale", "rmq/demo", "--replicas=3"]).await?;
    let scaled = clusters.get("demo").await?;
    ensure!(
        scaled.data.pointer("/spec/brokers/groups") == Some(&json!(3)),
        "scale wrote no groups"
    );
    let scale: Value = serde_json::from_str(
        &kubectl(&["get", "rmq/demo", "--subresource=scale", "-o", "json"]).await?,
    )?;
    ensure!(scale.pointer("/spec/replicas") == Some(&json!(3)), "scale reads {scale}");
    ensure!(scale.pointer("/status/replicas") == Some(&json!(2)), "scale reads {scale}");
    let selector = scale.pointer("/status/selector").cloned().unwrap_or_default();
    ensure!(selector == "app.kubernetes.io/instance=demo", "scale selects {selector}");

    let table = kubectl(&["get", "rmq"]).await?;
    for column in ["NAME", "LAYOUT", "GROUPS", "PHASE", "READY", "VERSION", "AGE"] {
        ensure!(table.contains(column), "no column {column} in {table}");
    }
    ensure!(
        table.contains("Running") && table.contains("2m-noslave"),
        "columns are empty: {table}"
    );
    let wide = kubectl(&["get", "rocketmq", "-o", "wide"]).await?;
    ensure!(wide.contains("NAMESRV"), "no column NAMESRV in {wide}");
    for fields in ["spec.layout=2m-noslave", "status.phase=Running"] {
        let found = kubectl(&["get", "rmq", "--field-selector", fields, "-o", "name"]).await?;
        ensure!(found.contains("demo"), "{fields} does not select it");
    }
    // The API server publishes a new definition a moment after it is established.
    let told = until(Duration::from_secs(30), "kubectl explains the fields", || async {
        let text = kubectl(&["explain", "rmq.spec.brokers.storage.size"]).await?;
        Ok(Some(text))
    })
    .await?;
    ensure!(told.contains("DESCRIPTION"), "kubectl explains nothing: {told}");

    // A person's fields survive when somebody else applies theirs.
    let other = json!({"apiVersion": "rocketmq.rs/v1alpha1", "kind": "RocketMQCluster",
        "metadata": {"name": "demo"}, "spec": {"layout": "2m-noslave", "paused": true,
        "brokers": {"storage": {"size": "1Gi"}}}});
    clusters.patch("demo", &PatchParams::apply("other"), &Patch::Apply(&other)).await?;
    space.apply("demo", &spec).await?;
    let both = clusters.get("demo").await?;
    ensure!(both.data.pointer("/spec/paused") == Some(&json!(true)), "another's field is gone");
    ensure!(both.data.pointer("/spec/brokers/groups") == Some(&json!(3)), "the scale is gone");

    for file in definitions()? {
        let text = std::fs::read_to_string(&file).with_context(|| file.display().to_string())?;
        let definition: Value = serde_yaml::from_str(&text)?;
        let bytes = definition.to_string().len();
        ensure!(bytes < APPLY_BYTES_MAX, "{} has {bytes} bytes", file.display());
    }
    Ok(())
}
