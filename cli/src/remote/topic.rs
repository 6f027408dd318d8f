//! `rmq topic`.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{bail, ensure};
use clap::{Args, Subcommand};
use rmq_client::admin::TopicSpec;
use rmq_client::{Admin, CallError, Client, Route};
use rmq_model::topic::TopicConfig;
use rmq_model::{Permission, TopicName, name};
use serde::Serialize;

use super::connect::{Family, Masters};
use super::shape::{perm, perm_text};
use super::time::stamp;
use crate::output::{Output, table};

/// How long a new topic may take to appear at the name server.
const ROUTE_PATIENCE: Duration = Duration::from_secs(10);
const ROUTE_LOOK_EVERY: Duration = Duration::from_millis(100);

#[derive(Debug, Subcommand)]
pub enum Action {
    /// List topics
    List {
        /// Retry, dead-letter and system topics too
        #[arg(short, long)]
        all: bool,
    },
    /// Make a topic
    Create {
        /// Name of the topic
        topic: String,
        #[command(flatten)]
        settings: Settings,
    },
    /// Change a topic; what is not said stays as it is
    Update {
        /// Name of the topic
        topic: String,
        #[command(flatten)]
        settings: Settings,
    },
    /// Delete a topic with its messages
    Delete {
        /// Name of the topic
        topic: String,
        /// Only in this cluster
        #[arg(long, value_name = "NAME")]
        cluster: Option<String>,
    },
    /// Show which brokers have a topic, and with how many queues
    Route {
        /// Name of the topic
        topic: String,
    },
    /// Show the offsets of a topic's queues
    Stats {
        /// Name of the topic
        topic: String,
    },
}

#[derive(Debug, Args)]
pub struct Settings {
    #[command(flatten)]
    masters: Masters,
    /// Queues on each broker [default for a new topic: 8]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=65536))]
    queues: Option<u32>,
    /// Queues that consumers see, if not as many as --queues
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=65536))]
    read_queues: Option<u32>,
    /// Queues that producers see, if not as many as --queues
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=65536))]
    write_queues: Option<u32>,
    /// Who may do what: rw, r or w
    #[arg(long, value_name = "PERM", value_parser = perm)]
    perm: Option<Permission>,
    /// Keep the order of all messages, also while brokers come and go
    #[arg(long, value_name = "BOOL")]
    order: Option<bool>,
    /// Attributes to set and remove: +message.type=FIFO,-reserve.time
    #[arg(
        long,
        value_name = "CHANGES",
        default_value = "",
        hide_default_value = true,
        allow_hyphen_values = true
    )]
    attributes: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct RouteShape {
    topic: String,
    brokers: Vec<RouteBroker>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct RouteBroker {
    cluster: String,
    broker: String,
    addresses: std::collections::BTreeMap<i64, String>,
    read_queues: i32,
    write_queues: i32,
    perm: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct StatsShape {
    topic: String,
    messages: i64,
    put_tps: Option<f64>,
    queues: Vec<QueueShape>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct QueueShape {
    broker: String,
    queue: i32,
    min_offset: i64,
    max_offset: i64,
    last_update: String,
}

/// What was done to which brokers.
#[derive(Debug, Serialize)]
struct Changed<'a> {
    topic: &'a str,
    brokers: &'a [String],
}

pub(crate) fn run(command: &Family<Action>, output: &mut Output) -> anyhow::Result<ExitCode> {
    command.connect.run(async |client| act(command, &client, output).await)?;
    Ok(ExitCode::SUCCESS)
}

async fn act(command: &Family<Action>, client: &Client, output: &mut Output) -> anyhow::Result<()> {
    let connect = &command.connect;
    match &command.action {
        Action::List { all } => {
            let topics = listed(&client.admin(), *all).await?;
            connect.show(output, &topics, |topics| {
                let mut rows = table(["topic"]);
                for topic in topics {
                    rows.add_row([topic]);
                }
                rows
            })
        }
        Action::Create { topic, settings } => {
            let topic = TopicName::parse(topic)?;
            let brokers = put(client, topic.as_str(), settings, true).await?;
            wait_for_route(client, topic.as_str(), &brokers).await?;
            let sentence = format!("made topic {topic} on {}", brokers.join(", "));
            connect.tell(output, &Changed { topic: topic.as_str(), brokers: &brokers }, &sentence)
        }
        Action::Update { topic, settings } => {
            let brokers = put(client, topic, settings, false).await?;
            let sentence = format!("changed topic {topic} on {}", brokers.join(", "));
            connect.tell(output, &Changed { topic, brokers: &brokers }, &sentence)
        }
        Action::Delete { topic, cluster } => {
            if client.fetch_route(topic).await.is_err() {
                let known = client.admin().topics().await?;
                ensure!(known.contains(topic), "there is no topic {topic}");
            }
            let brokers = client.admin().delete_topic(topic, cluster.as_deref()).await?;
            let sentence = format!("deleted topic {topic} on {}", brokers.join(", "));
            connect.tell(output, &Changed { topic, brokers: &brokers }, &sentence)
        }
        Action::Route { topic } => {
            let route = client.fetch_route(topic).await?;
            connect.show(output, &route_shape(&route), |shape| {
                let names = ["cluster", "broker", "addresses", "read", "write", "perm"];
                let mut rows = table(names);
                for broker in &shape.brokers {
                    let addresses: Vec<_> =
                        broker.addresses.iter().map(|(id, addr)| format!("{id}={addr}")).collect();
                    rows.add_row([
                        broker.cluster.clone(),
                        broker.broker.clone(),
                        addresses.join(" "),
                        broker.read_queues.to_string(),
                        broker.write_queues.to_string(),
                        broker.perm.clone(),
                    ]);
                }
                rows
            })
        }
        Action::Stats { topic } => {
            let shape = stats_shape(client, topic).await?;
            connect.show(output, &shape, |shape| {
                let mut rows = table(["broker", "queue", "min", "max", "messages", "last update"]);
                for queue in &shape.queues {
                    rows.add_row([
                        queue.broker.clone(),
                        queue.queue.to_string(),
                        queue.min_offset.to_string(),
                        queue.max_offset.to_string(),
                        (queue.max_offset - queue.min_offset).to_string(),
                        queue.last_update.clone(),
                    ]);
                }
                rows
            })
        }
    }
}

async fn listed(admin: &Admin, all: bool) -> anyhow::Result<Vec<String>> {
    let topics = admin.topics().await?;
    if all {
        return Ok(topics.into_iter().collect());
    }
    let system = admin.system_topics().await?;
    let is_own = |topic: &String| {
        !name::is_retry_topic(topic)
            && !name::is_dlq_topic(topic)
            && !name::is_system_topic(topic)
            && !system.contains(topic)
    };
    Ok(topics.into_iter().filter(is_own).collect())
}

/// Makes or changes the topic on every broker that is meant; returns their names.
async fn put(
    client: &Client,
    topic: &str,
    settings: &Settings,
    create: bool,
) -> anyhow::Result<Vec<String>> {
    const QUEUES_DEFAULT: u32 = 8;
    let admin = client.admin();
    let info = admin.cluster_info().await?;
    let mut work = Vec::new();
    for (broker, addr) in settings.masters.of(&info)? {
        match admin.topic_config(&addr, topic).await? {
            Some(_) if create => {
                bail!("topic {topic} is on {broker} already: change it with `rmq topic update`")
            }
            // An update that names no broker means those that have the topic.
            None if !create && !settings.masters.is_one() => {}
            None if !create => bail!("there is no topic {topic} on {broker}"),
            Some(config) => work.push((broker, addr, config)),
            None => {
                let config = TopicConfig::new(topic, QUEUES_DEFAULT, Permission::READ_WRITE);
                work.push((broker, addr, config));
            }
        }
    }
    ensure!(!work.is_empty(), "there is no topic {topic}: make it with `rmq topic create`");
    let mut done = Vec::new();
    for (broker, addr, config) in work {
        let spec = TopicSpec {
            config: settings.apply(config),
            attribute_changes: settings.attributes.clone(),
        };
        admin.put_topic(&addr, &spec).await?;
        if spec.config.order {
            done.push((broker, spec.config.write_queue_nums));
        } else {
            done.push((broker, 0));
        }
    }
    if settings.order == Some(true) {
        let conf: Vec<_> = done.iter().map(|(broker, n)| format!("{broker}:{n}")).collect();
        admin.put_order(topic, &conf.join(";")).await?;
    }
    Ok(done.into_iter().map(|(broker, _)| broker).collect())
}

impl Settings {
    fn apply(&self, mut config: TopicConfig) -> TopicConfig {
        if let Some(queues) = self.read_queues.or(self.queues) {
            config.read_queue_nums = queues;
        }
        if let Some(queues) = self.write_queues.or(self.queues) {
            config.write_queue_nums = queues;
        }
        config.perm = self.perm.unwrap_or(config.perm);
        config.order = self.order.unwrap_or(config.order);
        config
    }
}

/// Brokers register a new topic at once, but not in the same breath.
pub(crate) async fn wait_for_route(
    client: &Client,
    topic: &str,
    brokers: &[String],
) -> anyhow::Result<()> {
    let deadline = client.clock().monotonic() + ROUTE_PATIENCE;
    loop {
        match client.fetch_route(topic).await {
            Ok(route) if has_all(&route, brokers) => return Ok(()),
            Ok(_) | Err(CallError::NoRoute { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        if deadline <= client.clock().monotonic() {
            bail!("the brokers have topic {topic}, but the name server does not know it yet");
        }
        tokio::time::sleep(ROUTE_LOOK_EVERY).await;
    }
}

fn has_all(route: &Route, brokers: &[String]) -> bool {
    // A broker given as host:port is not in the route by that name.
    brokers.iter().all(|broker| {
        broker.contains(':') || route.queues.iter().any(|queues| *queues.broker == **broker)
    })
}

fn route_shape(route: &Route) -> RouteShape {
    let brokers = route.queues.iter().map(|queues| {
        let broker = route.brokers.get(&queues.broker);
        RouteBroker {
            cluster: broker.map(|b| b.cluster.clone()).unwrap_or_default(),
            broker: queues.broker.to_string(),
            addresses: broker.map(|b| b.addresses.clone()).unwrap_or_default(),
            read_queues: queues.read,
            write_queues: queues.write,
            perm: perm_text(queues.perm),
        }
    });
    RouteShape { topic: route.topic.to_string(), brokers: brokers.collect() }
}

async fn stats_shape(client: &Client, topic: &str) -> anyhow::Result<StatsShape> {
    let stats = client.admin().topic_stats(topic).await?;
    let queues: Vec<_> = stats
        .queues
        .iter()
        .map(|queue| QueueShape {
            broker: queue.queue.broker_name.to_string(),
            queue: queue.queue.queue_id,
            min_offset: queue.min,
            max_offset: queue.max,
            last_update: stamp(queue.last_update),
        })
        .collect();
    let messages = queues.iter().map(|queue| queue.max_offset - queue.min_offset).sum();
    Ok(StatsShape { topic: topic.to_owned(), messages, put_tps: stats.put_tps, queues })
}
