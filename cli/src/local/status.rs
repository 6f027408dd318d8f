//! `rmq status`.

use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use rmq_host::SystemClock;
use rmq_model::Clock as _;
use serde::Serialize;

use super::Place;
use super::dirs::ClusterDir;
use super::record::{Identity, PodState, State};
use super::show;
use crate::output::Output;
use crate::replicas::{self, Shown, Standings};

/// Show clusters and their pods.
#[derive(Debug, Args)]
pub struct Status {
    /// Cluster; all of them by default
    name: Option<String>,
    /// Form of the answer
    #[arg(short, long, value_enum, default_value_t = Form::Table)]
    output: Form,
    #[command(flatten)]
    place: Place,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Form {
    /// For people
    Table,
    /// For programs
    Json,
}

/// One cluster for programs.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ShownCluster {
    name: String,
    cluster_name: String,
    name_servers: String,
    running: bool,
    supervisor: Option<u32>,
    pods: Vec<ShownPod>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ShownPod {
    name: String,
    component: String,
    broker: Option<rmq_operator_plan::BrokerIdentity>,
    address: String,
    data: String,
    pid: Option<u32>,
    uptime_ms: Option<i64>,
    restarts: u32,
    state: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    replication: Option<Shown>,
    last_exit: Option<String>,
}

pub(super) fn run(args: &Status, output: &mut Output) -> anyhow::Result<ExitCode> {
    let data = args.place.locate()?;
    let clusters = match &args.name {
        Some(name) => vec![data.choose(Some(name))?],
        None => data.clusters()?,
    };
    let now = SystemClock::new().now();
    match args.output {
        Form::Json => {
            let all = clusters
                .iter()
                .map(|dir| Ok(shown(&Look::at(dir)?, now)))
                .collect::<anyhow::Result<Vec<ShownCluster>>>()?;
            output.line(serde_json::to_string_pretty(&all)?)?;
        }
        Form::Table => {
            if clusters.is_empty() {
                output.line(format_args!("no cluster in {}", data.path().display()))?;
            }
            for (index, dir) in clusters.iter().enumerate() {
                if 0 < index {
                    output.line("")?;
                }
                let look = Look::at(dir)?;
                output.line(headline(&look))?;
                let plan = &look.identity.plan;
                output.table(&show::status(
                    plan,
                    &look.state,
                    &look.standings,
                    look.running,
                    now,
                ))?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// What the directory of a cluster tells.
struct Look {
    identity: Identity,
    state: State,
    running: bool,
    /// Of brokers that have others beside them and answer.
    standings: Standings,
}

impl Look {
    fn at(dir: &ClusterDir) -> anyhow::Result<Self> {
        let identity = Identity::load(dir)?
            .with_context(|| format!("cluster {} was removed meanwhile", dir.name()))?;
        let state = State::load(dir)?.unwrap_or_default();
        let running = dir.is_locked()?;
        let standings =
            if running { replicas::standings(&identity.plan)? } else { Standings::new() };
        Ok(Self { identity, state, running, standings })
    }
}

fn headline(look: &Look) -> String {
    let plan = &look.identity.plan;
    let run = if look.running {
        format!("running, supervisor {}", look.state.supervisor.pid)
    } else {
        "stopped".to_owned()
    };
    format!("{} ({}): {run}, NAMESRV_ADDR={}", plan.name, plan.cluster_name, plan.name_servers)
}

fn shown(look: &Look, now: i64) -> ShownCluster {
    let plan = &look.identity.plan;
    let unknown = PodState::default();
    let pods = plan.processes.iter().map(|process| {
        let pod = look.state.pod(&process.name).unwrap_or(&unknown);
        let running = pod.running.filter(|running| look.running || running.is_alive());
        ShownPod {
            name: process.name.clone(),
            component: process.component.to_string(),
            broker: process.broker.clone(),
            address: process.address(),
            data: process.data().to_owned(),
            pid: running.map(|running| running.pid),
            uptime_ms: running.map(|running| now - running.since),
            restarts: pod.restarts,
            state: match (look.running, running) {
                (true, _) => pod.phase.name().to_owned(),
                (false, Some(_)) => "orphaned".to_owned(),
                (false, None) => "stopped".to_owned(),
            },
            replication: look.standings.get(&process.name).cloned(),
            last_exit: pod.last_exit.clone(),
        }
    });
    ShownCluster {
        name: plan.name.clone(),
        cluster_name: plan.cluster_name.clone(),
        name_servers: plan.name_servers.clone(),
        running: look.running,
        supervisor: look.running.then_some(look.state.supervisor.pid),
        pods: pods.collect(),
    }
}
