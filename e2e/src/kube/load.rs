//! Producers and a consumer that work while something is done to the cluster.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use parking_lot::{Mutex, MutexGuard};
use rmq_client::consumer::{Consumer, ConsumerConfig, StartFrom, Verdict as Consumed};
use rmq_client::producer::SendStatus;
use rmq_client::{Client, Config, NameServers, Outgoing, Producer, admin::TopicSpec};
use rmq_host::{SystemClock, Tasks};
use rmq_model::Permission;
use rmq_model::clock::Clock as _;
use rmq_model::topic::TopicConfig;
use tokio_util::sync::CancellationToken;

use super::history::{History, Verdict};
use super::until;

/// Sends a second of each producer; enough to hit every moment of a restart.
const RATE: u32 = 100;
const PRODUCERS: u32 = 2;
const QUEUES: u32 = 4;
/// Between a send that failed and the next.
const REST: Duration = Duration::from_millis(50);
/// A consumer that lost its brokers joins again after this.
const JOIN_AGAIN: Duration = Duration::from_secs(1);
const GRACE: Duration = Duration::from_secs(20);

/// A running load on one topic.
#[derive(Debug)]
pub struct Load {
    client: Client,
    topic: String,
    history: Arc<Mutex<History>>,
    /// Times in the history are its.
    clock: Arc<SystemClock>,
    /// Whether queues are locked and read in order.
    in_order: bool,
    producers: Tasks,
    consumers: Tasks,
}

/// A client of the cluster whose name servers these are (`host:port;host:port`).
///
/// # Errors
/// When the list is none.
pub fn client(name_servers: &str) -> anyhow::Result<Client> {
    let name_servers: NameServers =
        name_servers.parse().with_context(|| format!("name servers {name_servers:?}"))?;
    Ok(Client::new(Config::new(name_servers, Arc::new(SystemClock::new()))))
}

/// Makes `topic` on every master of the cluster.
///
/// # Errors
/// When a broker refuses it or none is known.
pub async fn make_topic(client: &Client, topic: &str) -> anyhow::Result<()> {
    let masters = client.admin().cluster_info().await?.masters(None)?;
    let config = TopicConfig::new(topic, QUEUES, Permission::READ_WRITE);
    for (_, addr) in masters {
        let spec = TopicSpec { config: config.clone(), attribute_changes: String::new() };
        client.admin().put_topic(&addr, &spec).await?;
    }
    Ok(())
}

impl Load {
    /// Makes `topic` and begins to send to it and to read it, until the first message came through.
    ///
    /// # Errors
    /// When the topic cannot be made or nothing comes through.
    pub async fn start(name_servers: &str, topic: &str) -> anyhow::Result<Self> {
        Self::begin(name_servers, topic, false).await
    }

    /// The same with a consumer that locks its queues.
    ///
    /// # Errors
    /// As [`Load::start`].
    pub async fn start_in_order(name_servers: &str, topic: &str) -> anyhow::Result<Self> {
        Self::begin(name_servers, topic, true).await
    }

    async fn begin(name_servers: &str, topic: &str, in_order: bool) -> anyhow::Result<Self> {
        let client = client(name_servers)?;
        make_topic(&client, topic).await?;
        let load = Self {
            client,
            topic: topic.to_owned(),
            history: Arc::default(),
            clock: Arc::new(SystemClock::new()),
            in_order,
            producers: Tasks::new("producers"),
            consumers: Tasks::new("consumers"),
        };
        load.consume();
        for number in 0..PRODUCERS {
            let producer = Producer::new(load.client.clone(), &format!("{topic}-producer"));
            let (topic, history) = (load.topic.clone(), Arc::clone(&load.history));
            let clock = Arc::clone(&load.clock);
            load.producers.spawn("producer", move |stop| async move {
                produce(&producer, &topic, number, &history, &clock, &stop).await;
                Ok(())
            });
        }
        until(Duration::from_secs(60), "the first message comes through", || async {
            Ok((0 < load.history.lock().delivered_count()).then_some(()))
        })
        .await?;
        Ok(load)
    }

    fn consume(&self) {
        let (name_servers, topic) = (self.client.name_servers().clone(), self.topic.clone());
        let history = Arc::clone(&self.history);
        let (times, in_order) = (Arc::clone(&self.clock), self.in_order);
        self.consumers.spawn("consumer", move |stop| async move {
            while !stop.is_cancelled() {
                // A connection of its own: what stops the producers must not stop it.
                let clock = Arc::new(SystemClock::new());
                let client = Client::new(Config::new(name_servers.clone(), clock));
                // Whatever it was, another member of the group takes over, as applications do.
                let config = ConsumerConfig {
                    from: StartFrom::First,
                    in_order,
                    ..ConsumerConfig::new(format!("{topic}-readers"), &topic)
                };
                consume(client, config, &history, &times, &stop).await.ok();
                tokio::select! {
                    () = tokio::time::sleep(JOIN_AGAIN) => {}
                    () = stop.cancelled() => {}
                }
            }
            Ok(())
        });
    }

    /// Lets producers ask for the route at once, as they do every 30 s.
    pub fn look_again(&self) {
        self.client.forget_route(&self.topic);
    }

    /// The topic.
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// The time as the history counts it.
    pub fn now(&self) -> Duration {
        self.clock.monotonic()
    }

    /// What was done and seen so far.
    pub fn history(&self) -> MutexGuard<'_, History> {
        self.history.lock()
    }

    /// How many messages were acknowledged so far.
    pub fn acknowledged(&self) -> usize {
        self.history.lock().acknowledged_count()
    }

    /// Waits until `more` messages were acknowledged.
    ///
    /// # Errors
    /// When they are not within `limit`.
    pub async fn flows(&self, more: usize, limit: Duration) -> anyhow::Result<()> {
        let wanted = self.acknowledged() + more;
        until(limit, &format!("{more} more messages are acknowledged"), || async {
            Ok((wanted <= self.acknowledged()).then_some(()))
        })
        .await
    }

    /// Names of the brokers that acknowledged something so far.
    pub fn brokers(&self) -> Vec<String> {
        self.history.lock().brokers().into_iter().map(str::to_owned).collect()
    }

    /// Stops sending, waits until everything acknowledged was delivered, and requires that the
    /// history is sound.
    ///
    /// # Errors
    /// When something is missing after `limit`, or out of place.
    pub async fn finish(self, limit: Duration) -> anyhow::Result<Verdict> {
        self.producers.shutdown(GRACE).await;
        let all = until(limit, "everything acknowledged is delivered", || async {
            Ok(self.history.lock().missing().is_empty().then_some(()))
        })
        .await;
        self.consumers.shutdown(GRACE).await;
        let verdict = self.history.lock().verdict();
        ensure!(all.is_ok() && verdict.is_sound(), "messages: {verdict}");
        Ok(verdict)
    }
}

async fn produce(
    producer: &Producer,
    topic: &str,
    number: u32,
    history: &Mutex<History>,
    clock: &SystemClock,
    stop: &CancellationToken,
) {
    let mut turns = tokio::time::interval(Duration::from_secs(1) / RATE);
    turns.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    for count in 0_u64.. {
        tokio::select! {
            _ = turns.tick() => {}
            () = stop.cancelled() => return,
        }
        let id = format!("{number}-{count}");
        let sent = producer.send(&Outgoing::new(topic, id.clone())).await;
        let at = clock.monotonic();
        match sent {
            Ok(sent) if sent.status == SendStatus::Stored => {
                let queue = sent.queue;
                let place = (queue.broker_name.to_string(), queue.queue_id, sent.queue_offset);
                history.lock().acknowledged(at, id, place);
            }
            Ok(sent) => history.lock().failed(at, sent.status.name().to_owned()),
            Err(error) => {
                history.lock().failed(at, format!("{:#}", anyhow::Error::from(error)));
                tokio::time::sleep(REST).await;
            }
        }
    }
}

async fn consume(
    client: Client,
    config: ConsumerConfig,
    history: &Mutex<History>,
    clock: &SystemClock,
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    let mut consumer = Consumer::start(client, config).await?;
    let outcome = loop {
        let batch = tokio::select! {
            batch = consumer.next() => batch,
            () = stop.cancelled() => break Ok(()),
        };
        let batch = match batch {
            Ok(batch) => batch,
            Err(error) => break Err(error.into()),
        };
        {
            let at = clock.monotonic();
            let mut history = history.lock();
            for message in &batch.messages {
                let id = String::from_utf8_lossy(&message.body).into_owned();
                let broker = batch.queue.broker_name.to_string();
                history.delivered(at, id, (broker, message.queue_id, message.queue_offset));
            }
        }
        if let Err(error) = consumer.done(&batch, Consumed::Consumed).await {
            break Err(error.into());
        }
    };
    consumer.close().await;
    outcome
}
