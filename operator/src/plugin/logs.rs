//! `kubectl rmq logs`.

use std::io::Write;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::Args;
use futures_util::io::AsyncBufReadExt as _;
use futures_util::stream::{self, StreamExt as _};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{ListParams, LogParams};
use kube::{Api, ResourceExt as _};
use rmq_operator_api::meta;

use super::Session;

/// Most pods whose logs are read at the same time.
const PODS_MAX: usize = 64;

#[derive(Debug, Args)]
pub(super) struct Logs {
    /// The cluster
    name: String,
    /// Only this broker group, such as broker-a, or `namesrv`
    group: Option<String>,
    /// Go on as lines are written
    #[arg(short, long)]
    follow: bool,
    /// Lines of each pod to begin with
    #[arg(long, value_name = "LINES", default_value_t = 100)]
    tail: u32,
    /// Logs of the containers that ran before the present ones
    #[arg(short, long, conflicts_with = "follow")]
    previous: bool,
}

pub(super) async fn run(
    session: &Session,
    args: &Logs,
    out: &mut dyn Write,
) -> anyhow::Result<ExitCode> {
    let mut selector = Session::selector(&args.name);
    match args.group.as_deref() {
        Some(meta::NAMESRV) => {
            selector.push_str(&format!(",{}={}", meta::COMPONENT, meta::NAMESRV));
        }
        Some(group) => selector.push_str(&format!(",{}={group}", meta::BROKER_NAME)),
        None => {}
    }
    let api: Api<Pod> = Api::namespaced(session.client.clone(), &session.namespace);
    let pods = api
        .list(&ListParams::default().labels(&selector))
        .await
        .with_context(|| format!("cannot list the pods of {}", args.name))?;
    let mut names: Vec<(String, String)> = pods.iter().map(container).collect();
    names.sort();
    if names.is_empty() {
        bail!("there are no pods with {selector} in namespace {}", session.namespace);
    }
    if PODS_MAX < names.len() {
        bail!("{} pods are too many at once: name a broker group", names.len());
    }
    let prefix = 1 < names.len();
    let mut streams = Vec::new();
    for (pod, container) in names {
        let params = LogParams {
            container: Some(container),
            follow: args.follow,
            previous: args.previous,
            tail_lines: Some(args.tail.into()),
            ..LogParams::default()
        };
        match api.log_stream(&pod, &params).await {
            Ok(log) => {
                let label = if prefix { format!("[{pod}] ") } else { String::new() };
                streams.push(log.lines().map(move |line| (label.clone(), line)).boxed());
            }
            // One pod that has not started yet must not hide the others.
            Err(error) => writeln!(out, "[{pod}] no log: {error}")?,
        }
    }
    let readable = !streams.is_empty();
    if args.follow {
        let mut lines = stream::select_all(streams);
        while let Some((label, line)) = lines.next().await {
            writeln!(out, "{label}{}", line.context("the log broke off")?)?;
        }
    } else {
        let mut lines = stream::iter(streams).flatten();
        while let Some((label, line)) = lines.next().await {
            writeln!(out, "{label}{}", line.context("the log broke off")?)?;
        }
    }
    Ok(if readable { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A pod and its container that runs the name server or broker; others are sidecars.
fn container(pod: &Pod) -> (String, String) {
    let component = pod.labels().get(meta::COMPONENT).map_or(meta::BROKER, String::as_str);
    let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
    let mut names = containers.map(|container| container.name.as_str());
    let own = names.clone().find(|name| *name == component).or_else(|| names.next());
    (pod.name_any(), own.unwrap_or(component).to_owned())
}
