//! `kubectl rmq restart`, `pause` and `resume`: what people ask for through annotations.

use std::io::Write;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::Args;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Patch, PatchParams};
use kube::{Api, ResourceExt as _};
use rmq_operator_api::{Cluster, meta};
use serde_json::{Value, json};

use super::Session;

/// Field manager of what this program writes.
const MANAGER: &str = "kubectl-rmq";

#[derive(Debug, Args)]
pub(super) struct Restart {
    /// A cluster, or one of its pods
    name: String,
}

#[derive(Debug, Args)]
pub(super) struct Pause {
    /// The cluster
    name: String,
}

#[derive(Debug, Args)]
pub(super) struct Resume {
    /// The cluster
    name: String,
}

pub(super) async fn restart(
    session: &Session,
    args: &Restart,
    token: &str,
    out: &mut dyn Write,
) -> anyhow::Result<ExitCode> {
    let name = args.name.as_str();
    let clusters = session.clusters();
    let found = clusters.get_opt(name).await.with_context(|| format!("cannot read {name}"))?;
    if let Some(cluster) = found {
        annotate(&clusters, name, meta::RESTART, &json!(token)).await?;
        writeln!(
            out,
            "cluster {name} restarts pod by pod; `kubectl rmq status {name}` shows how far"
        )?;
        tell_pause(&cluster, out)?;
        return Ok(ExitCode::SUCCESS);
    }
    let pods: Api<Pod> = Api::namespaced(session.client.clone(), &session.namespace);
    let pod = pods.get_opt(name).await.with_context(|| format!("cannot read pod {name}"))?;
    let Some(pod) = pod else {
        bail!(
            "there is neither a RocketMQCluster nor a pod {name} in namespace {}",
            session.namespace
        );
    };
    let Some(cluster) = pod.labels().get(meta::CLUSTER) else {
        bail!("pod {name} belongs to no RocketMQCluster");
    };
    if pod.annotations().get(meta::HOLD).is_some_and(|hold| hold == "true") {
        bail!("pod {name} is held: remove its annotation {} first", meta::HOLD);
    }
    annotate(&pods, name, meta::RESTART, &json!(token)).await?;
    writeln!(out, "pod {name} restarts as soon as cluster {cluster} can do without it")?;
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn pause(
    session: &Session,
    args: &Pause,
    out: &mut dyn Write,
) -> anyhow::Result<ExitCode> {
    session.cluster(&args.name).await?;
    annotate(&session.clusters(), &args.name, meta::PAUSE, &json!("true")).await?;
    writeln!(out, "cluster {0} is paused: `kubectl rmq resume {0}` ends it", args.name)?;
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn resume(
    session: &Session,
    args: &Resume,
    out: &mut dyn Write,
) -> anyhow::Result<ExitCode> {
    let cluster = session.cluster(&args.name).await?;
    if cluster.annotation(meta::PAUSE).is_some() {
        annotate(&session.clusters(), &args.name, meta::PAUSE, &Value::Null).await?;
        writeln!(out, "cluster {} is no longer paused by annotation", args.name)?;
    }
    if cluster.spec.paused {
        bail!("cluster {} is paused by spec.paused: change its manifest", args.name);
    }
    if cluster.annotation(meta::PAUSE).is_none() {
        writeln!(out, "cluster {} was not paused", args.name)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn tell_pause(cluster: &Cluster, out: &mut dyn Write) -> std::io::Result<()> {
    if cluster.is_paused() {
        writeln!(out, "but it is paused: nothing happens before that ends")?;
    }
    Ok(())
}

/// Sets one annotation; null removes it. Everything else stays.
async fn annotate<K>(api: &Api<K>, name: &str, key: &str, value: &Value) -> anyhow::Result<()>
where
    K: Clone + std::fmt::Debug + serde::de::DeserializeOwned,
{
    let patch = json!({"metadata": {"annotations": {key: value}}});
    let params = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
    api.patch_metadata(name, &params, &Patch::Merge(&patch))
        .await
        .with_context(|| format!("cannot annotate {name}"))?;
    Ok(())
}
