//! `kubectl rmq drain-status`.

use std::io::Write;
use std::process::ExitCode;

use clap::Args;
use rmq_operator_api::meta;
use rmq_operator_api::status::{Group, GroupPhase};

use super::Session;
use super::columns::table;

#[derive(Debug, Args)]
pub(super) struct DrainStatus {
    /// The cluster
    name: String,
}

pub(super) async fn run(
    session: &Session,
    args: &DrainStatus,
    out: &mut dyn Write,
) -> anyhow::Result<ExitCode> {
    let cluster = session.cluster(&args.name).await?;
    let status = cluster.status.clone().unwrap_or_default();
    let leaving: Vec<&Group> =
        status.groups.iter().filter(|group| group.phase != GroupPhase::Active).collect();
    if leaving.is_empty() {
        writeln!(out, "no group of cluster {} is about to go", args.name)?;
        return Ok(ExitCode::SUCCESS);
    }
    let rows: Vec<_> = leaving
        .iter()
        .map(|group| [group.name.clone(), group.phase.to_string(), words(group.phase).to_owned()])
        .collect();
    out.write_all(table(["GROUP", "PHASE", "MEANING"], &rows).as_bytes())?;
    let blocked = status.condition(meta::condition::SCALE_IN_BLOCKED);
    if let Some(blocked) = blocked.filter(|blocked| blocked.status == "True") {
        writeln!(out, "\n{}: {}", blocked.reason, blocked.message)?;
        let force = cluster.annotation(meta::FORCE_SCALE_IN);
        for group in leaving.iter().filter(|group| force != Some(group.name.as_str())) {
            writeln!(
                out,
                "to let {0} go with what it still has: kubectl -n {1} annotate rmq/{2} {3}={0}",
                group.name,
                session.namespace,
                args.name,
                meta::FORCE_SCALE_IN
            )?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn words(phase: GroupPhase) -> &'static str {
    match phase {
        GroupPhase::Active => "belongs to the cluster",
        GroupPhase::Fencing => "stops taking messages",
        GroupPhase::Draining => "its messages are being consumed",
        GroupPhase::Empty => "everything is consumed, which is looked at once more",
        GroupPhase::Removing => "its pods go, its volumes stay",
    }
}
