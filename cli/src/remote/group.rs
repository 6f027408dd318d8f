//! `rmq group`.

use std::collections::BTreeMap;
use std::process::ExitCode;

use anyhow::{bail, ensure};
use clap::{Args, Subcommand};
use rmq_client::Client;
use rmq_client::admin::{QueueProgress, ResetTo};
use rmq_model::group::SubscriptionGroupConfig;
use rmq_model::{GroupName, name};
use serde::Serialize;

use super::connect::{Family, Masters};
use super::time::{When, stamp, when};
use crate::output::{Output, table};

#[derive(Debug, Subcommand)]
pub enum Action {
    /// List consumer groups
    List {
        /// Groups of the system too
        #[arg(short, long)]
        all: bool,
    },
    /// Make or change a consumer group; what is not said stays as it is
    Create {
        /// Name of the group
        group: String,
        #[command(flatten)]
        settings: Settings,
    },
    /// Delete a group, its offsets, and its retry and dead-letter topics
    Delete {
        /// Name of the group
        group: String,
        /// Only in this cluster
        #[arg(long, value_name = "NAME")]
        cluster: Option<String>,
    },
    /// Show how far a group is in each queue, and how many messages wait for it
    Progress {
        /// Name of the group
        group: String,
        /// Only of this topic
        #[arg(short, long)]
        topic: Option<String>,
    },
    /// Move a group to another place in a topic
    ResetOffset {
        /// Name of the group
        group: String,
        /// Topic
        #[arg(short, long)]
        topic: String,
        /// Where to: first, last, or a time (10m, 2026-03-01T12:00:00Z, …)
        #[arg(long, value_name = "WHERE", value_parser = target)]
        to: Target,
    },
    /// Show who consumes for a group
    Clients {
        /// Name of the group
        group: String,
    },
}

#[derive(Debug, Args)]
pub struct Settings {
    #[command(flatten)]
    masters: Masters,
    /// Whether members may read
    #[arg(long, value_name = "BOOL")]
    enabled: Option<bool>,
    /// Whether members may read in broadcasting mode
    #[arg(long, value_name = "BOOL")]
    broadcast: Option<bool>,
    /// Whether messages of a queue are handed out in order (pop consumers)
    #[arg(long, value_name = "BOOL")]
    in_order: Option<bool>,
    /// Deliveries of a message that fails before it becomes a dead letter
    #[arg(long, value_name = "N")]
    retries_max: Option<i32>,
    /// Queues of the retry topic on each broker
    #[arg(long, value_name = "N")]
    retry_queues: Option<i32>,
}

#[derive(Clone, Copy, Debug)]
pub enum Target {
    First,
    Last,
    Time(When),
}

fn target(text: &str) -> Result<Target, String> {
    match text {
        "first" => Ok(Target::First),
        "last" => Ok(Target::Last),
        _ => when(text).map(Target::Time),
    }
}

#[derive(Debug, Serialize)]
struct Changed<'a> {
    group: &'a str,
    brokers: &'a [String],
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ProgressShape {
    group: String,
    lag: i64,
    in_flight: i64,
    queues: Vec<QueueShape>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct QueueShape {
    topic: String,
    broker: String,
    queue: i32,
    broker_offset: i64,
    consumer_offset: i64,
    lag: i64,
    in_flight: i64,
    last_consumed: String,
}

#[derive(Debug, Serialize)]
struct MovedShape {
    topic: String,
    broker: String,
    queue: i32,
    offset: i64,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ClientsShape {
    group: String,
    consume_type: String,
    message_model: String,
    from_where: String,
    subscriptions: BTreeMap<String, String>,
    clients: Vec<ClientShape>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ClientShape {
    client_id: String,
    address: String,
    language: String,
    version: i32,
}

pub(crate) fn run(command: &Family<Action>, output: &mut Output) -> anyhow::Result<ExitCode> {
    command.connect.run(async |client| act(command, &client, output).await)?;
    Ok(ExitCode::SUCCESS)
}

async fn act(command: &Family<Action>, client: &Client, output: &mut Output) -> anyhow::Result<()> {
    let connect = &command.connect;
    let admin = client.admin();
    match &command.action {
        Action::List { all } => {
            let mut groups = admin.groups(None).await?;
            groups.retain(|group, _| *all || !name::is_system_group(group));
            connect.show(output, &groups, |groups| {
                let mut rows = table(["group", "enabled", "broadcast", "in order", "retries max"]);
                for (group, config) in groups {
                    rows.add_row([
                        group.clone(),
                        config.consume_enable.to_string(),
                        config.consume_broadcast_enable.to_string(),
                        config.consume_message_orderly.to_string(),
                        config.retry_max_times.to_string(),
                    ]);
                }
                rows
            })
        }
        Action::Create { group, settings } => {
            let group = GroupName::parse(group)?;
            let brokers = put(client, group.as_str(), settings).await?;
            let sentence = format!("group {group} is on {}", brokers.join(", "));
            connect.tell(output, &Changed { group: group.as_str(), brokers: &brokers }, &sentence)
        }
        Action::Delete { group, cluster } => {
            let known = admin.groups(cluster.as_deref()).await?;
            ensure!(known.contains_key(group), "there is no group {group}");
            let brokers = admin.delete_group(group, cluster.as_deref()).await?;
            let sentence = format!("deleted group {group} on {}", brokers.join(", "));
            connect.tell(output, &Changed { group, brokers: &brokers }, &sentence)
        }
        Action::Progress { group, topic } => {
            let rows = admin.progress(group, topic.as_deref()).await?;
            if rows.is_empty() {
                let known = admin.groups(None).await?;
                ensure!(known.contains_key(group), "there is no group {group}");
            }
            connect.show(output, &progress_shape(group, &rows), progress_table)
        }
        Action::ResetOffset { group, topic, to } => {
            let to = match to {
                Target::First => ResetTo::First,
                Target::Last => ResetTo::Last,
                Target::Time(time) => ResetTo::Time(time.millis(client.clock().now())),
            };
            let moved = admin.reset_offsets(group, topic, to).await?;
            let moved: Vec<_> = moved
                .into_iter()
                .map(|(queue, offset)| MovedShape {
                    topic: queue.topic.to_string(),
                    broker: queue.broker_name.to_string(),
                    queue: queue.queue_id,
                    offset,
                })
                .collect();
            connect.show(output, &moved, |moved| {
                let mut rows = table(["topic", "broker", "queue", "offset"]);
                for row in moved {
                    let (queue, offset) = (row.queue.to_string(), row.offset.to_string());
                    rows.add_row([&row.topic, &row.broker, &queue, &offset]);
                }
                rows
            })
        }
        Action::Clients { group } => {
            let Some(clients) = admin.group_clients(group).await? else {
                bail!("nobody consumes for group {group} at the moment");
            };
            let shape = ClientsShape {
                group: group.clone(),
                consume_type: clients.consume_type,
                message_model: clients.message_model,
                from_where: clients.from_where,
                subscriptions: clients.subscriptions,
                clients: clients
                    .members
                    .into_iter()
                    .map(|member| ClientShape {
                        client_id: member.client_id,
                        address: member.address,
                        language: member.language,
                        version: member.version,
                    })
                    .collect(),
            };
            connect.show(output, &shape, |shape| {
                let mut rows = table(["client", "address", "language", "version", "subscriptions"]);
                let subscriptions: Vec<_> =
                    shape.subscriptions.iter().map(|(t, e)| format!("{t}({e})")).collect();
                for client in &shape.clients {
                    rows.add_row([
                        client.client_id.clone(),
                        client.address.clone(),
                        client.language.clone(),
                        client.version.to_string(),
                        subscriptions.join(" "),
                    ]);
                }
                rows
            })
        }
    }
}

async fn put(client: &Client, group: &str, settings: &Settings) -> anyhow::Result<Vec<String>> {
    let admin = client.admin();
    let info = admin.cluster_info().await?;
    let mut done = Vec::new();
    for (broker, addr) in settings.masters.of(&info)? {
        let present = admin.group(&addr, group).await?;
        let config = present.unwrap_or_else(|| SubscriptionGroupConfig::new(group));
        admin.put_group(&addr, &settings.apply(config)).await?;
        done.push(broker);
    }
    Ok(done)
}

impl Settings {
    fn apply(&self, config: SubscriptionGroupConfig) -> SubscriptionGroupConfig {
        SubscriptionGroupConfig {
            consume_enable: self.enabled.unwrap_or(config.consume_enable),
            consume_broadcast_enable: self.broadcast.unwrap_or(config.consume_broadcast_enable),
            consume_message_orderly: self.in_order.unwrap_or(config.consume_message_orderly),
            retry_max_times: self.retries_max.unwrap_or(config.retry_max_times),
            retry_queue_nums: self.retry_queues.unwrap_or(config.retry_queue_nums),
            ..config
        }
    }
}

fn progress_shape(group: &str, rows: &[QueueProgress]) -> ProgressShape {
    ProgressShape {
        group: group.to_owned(),
        lag: rows.iter().map(QueueProgress::lag).sum(),
        in_flight: rows.iter().map(QueueProgress::in_flight).sum(),
        queues: rows
            .iter()
            .map(|row| QueueShape {
                topic: row.queue.topic.to_string(),
                broker: row.queue.broker_name.to_string(),
                queue: row.queue.queue_id,
                broker_offset: row.broker_offset,
                consumer_offset: row.consumer_offset,
                lag: row.lag(),
                in_flight: row.in_flight(),
                last_consumed: stamp(row.last_timestamp),
            })
            .collect(),
    }
}

fn progress_table(shape: &ProgressShape) -> comfy_table::Table {
    let mut rows = table(["topic", "broker", "queue", "end", "consumed", "lag", "last consumed"]);
    for queue in &shape.queues {
        rows.add_row([
            queue.topic.clone(),
            queue.broker.clone(),
            queue.queue.to_string(),
            queue.broker_offset.to_string(),
            queue.consumer_offset.to_string(),
            queue.lag.to_string(),
            queue.last_consumed.clone(),
        ]);
    }
    let blank = String::new;
    let total = shape.lag.to_string();
    rows.add_row(["total".to_owned(), blank(), blank(), blank(), blank(), total, blank()]);
    rows
}
