//! `kubectl rmq status`.

use std::io::Write;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;
use kube::Api;
use kube::api::ListParams;
use rmq_operator_api::status::{ClusterStatus, Group, Replica};
use rmq_operator_api::{Cluster, Shape, meta};

use super::Session;
use super::columns::table;

#[derive(Debug, Args)]
pub(super) struct Status {
    /// The cluster; all of the namespace if it is not given
    name: Option<String>,
    /// Clusters of all namespaces
    #[arg(short = 'A', long, conflicts_with = "name")]
    all_namespaces: bool,
}

pub(super) async fn run(
    session: &Session,
    args: &Status,
    out: &mut dyn Write,
) -> anyhow::Result<ExitCode> {
    let text = match &args.name {
        Some(name) => one(&session.cluster(name).await?),
        None => {
            let api: Api<Cluster> = if args.all_namespaces {
                Api::all(session.client.clone())
            } else {
                session.clusters()
            };
            let list = api.list(&ListParams::default()).await.context("cannot list clusters")?;
            if list.items.is_empty() {
                let place = if args.all_namespaces {
                    "any namespace".to_owned()
                } else {
                    format!("namespace {}", session.namespace)
                };
                format!("there is no RocketMQCluster in {place}\n")
            } else {
                all(&list.items)
            }
        }
    };
    out.write_all(text.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

fn all(clusters: &[Cluster]) -> String {
    let rows: Vec<_> = clusters
        .iter()
        .map(|cluster| {
            let status = cluster.status.clone().unwrap_or_default();
            let ready = status.condition(meta::condition::READY);
            [
                cluster.namespace().unwrap_or_default().to_owned(),
                cluster.name().to_owned(),
                cluster.spec.layout.to_string(),
                status.phase.map(|phase| phase.to_string()).unwrap_or_default(),
                status.ready_groups.clone().unwrap_or_default(),
                ready.map(|ready| ready.status.clone()).unwrap_or_default(),
                ready.map(|ready| ready.message.clone()).unwrap_or_default(),
            ]
        })
        .collect();
    table(["NAMESPACE", "NAME", "LAYOUT", "PHASE", "GROUPS", "READY", "MESSAGE"], &rows)
}

/// Everything that the status of one cluster says.
fn one(cluster: &Cluster) -> String {
    let Shape { groups, replicas_per_group, replication } = cluster.shape();
    let mut text = format!(
        "cluster      {} ({})\nlayout       {}: {groups} x {replicas_per_group}, {replication}\n",
        cluster.name(),
        cluster.cluster_name(),
        cluster.spec.layout
    );
    let mut line = |name: &str, value: &str| {
        if !value.is_empty() {
            text.push_str(&format!("{name:<12} {value}\n"));
        }
    };
    let Some(status) = &cluster.status else {
        line("phase", "unknown: no operator has reported yet, is one running?");
        return text;
    };
    line("phase", &status.phase.map(|phase| phase.to_string()).unwrap_or_default());
    if status.observed_generation != cluster.metadata.generation {
        line("note", "the operator has not seen the latest change yet");
    }
    if let Some(pause) = pause(cluster) {
        line("paused", pause);
    }
    line("version", status.version.as_deref().unwrap_or_default());
    if let Some(endpoints) = &status.endpoints {
        line("clients", endpoints.namesrv.as_deref().unwrap_or_default());
    }
    if let Some(servers) = &status.nameservers {
        let counts = format!(
            "{}/{} ready, {} in the wanted form",
            servers.ready, servers.desired, servers.updated
        );
        line("name servers", &counts);
    }
    if !status.groups.is_empty() {
        text.push('\n');
        text.push_str(&replicas(status));
    }
    if !status.conditions.is_empty() {
        text.push('\n');
        text.push_str(&conditions(status));
    }
    text
}

/// Why nothing is changed, if that is so.
fn pause(cluster: &Cluster) -> Option<&'static str> {
    if cluster.spec.paused {
        Some("by spec.paused")
    } else if cluster.is_paused() {
        Some("by annotation: `kubectl rmq resume` ends it")
    } else {
        None
    }
}

fn replicas(status: &ClusterStatus) -> String {
    let row = |group: &Group, replica: &Replica| {
        let yes = |yes: bool| if yes { "yes" } else { "no" }.to_owned();
        [
            group.name.clone(),
            group.phase.to_string(),
            group.writable.map(yes).unwrap_or_default(),
            replica.pod.clone(),
            replica.role.map(|role| role.to_string()).unwrap_or_default(),
            replica.broker_id.map(|id| id.to_string()).unwrap_or_default(),
            yes(replica.ready),
            yes(group.in_sync.contains(&replica.ordinal)),
            replica.lag.clone().unwrap_or_default(),
            replica.address.clone().unwrap_or_default(),
        ]
    };
    let rows: Vec<_> = status
        .groups
        .iter()
        .flat_map(|group| group.replicas.iter().map(move |replica| row(group, replica)))
        .collect();
    let head =
        ["GROUP", "PHASE", "WRITABLE", "POD", "ROLE", "ID", "READY", "IN-SYNC", "LAG", "ADDRESS"];
    table(head, &rows)
}

fn conditions(status: &ClusterStatus) -> String {
    let rows: Vec<_> = status
        .conditions
        .iter()
        .map(|one| {
            [
                one.type_.clone(),
                one.status.clone(),
                one.last_transition_time.0.to_string(),
                one.reason.clone(),
                one.message.clone(),
            ]
        })
        .collect();
    table(["CONDITION", "STATUS", "SINCE", "REASON", "MESSAGE"], &rows)
}
