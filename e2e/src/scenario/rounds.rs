//! `kill -9` at random moments under load, again and again on one store.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use parking_lot::Mutex;
use rmq_client::admin::TopicSpec;
use rmq_client::producer::SendStatus;
use rmq_client::{Client, Outgoing, Producer};
use rmq_host::runtime::{self, RuntimeConfig};
use rmq_host::{SystemClock, Tasks};
use rmq_model::clock::Clock as _;
use rmq_model::topic::TopicConfig;
use rmq_model::{MessageQueue, Permission};
use tokio_util::sync::CancellationToken;

use crate::kube::load;
use crate::ledger::Ledger;
use crate::peers::{Peers, our_program};
use crate::report;
use crate::system::{Maker, Makers, System};
use crate::wait;

pub(super) const SINGLE: &str = "single";
const BATCH: &str = "batch";
const DELAY: &str = "delay";
const QUEUES: u32 = 4;
/// How often the broker writes offsets, and how late that may be on a busy machine.
const FLUSH_OFFSETS: Duration = Duration::from_millis(100);
const LATE: Duration = Duration::from_millis(1400);
const REST: Duration = Duration::from_millis(20);
pub(super) const GRACE: Duration = Duration::from_secs(20);
const COMMITTER: &str = "committer";

/// What is done, and in which order.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Kills.
    pub rounds: u32,
    /// Of the moments.
    pub seed: u64,
}

/// Runs the rounds.
///
/// # Errors
/// The first promise that was broken, with the round.
pub fn run(peers: &Peers, directory: &Path, plan: Plan) -> anyhow::Result<()> {
    report::note(&format!("{} kills, seed {}", plan.rounds, plan.seed));
    let interval = FLUSH_OFFSETS.as_millis().to_string();
    let settings = [
        ("flushConsumerOffsetInterval", interval.as_str()),
        ("mappedFileSizeCommitLog", "1048576"),
        ("mappedFileSizeConsumeQueue", "20000"),
        ("maxHashSlotNum", "1000"),
        ("maxIndexNum", "5000"),
    ];
    let makers = Makers { namesrv: Maker::Rmq, broker: Maker::Rmq };
    let mut system = System::start(peers, makers, directory, &settings)?;
    let runtime = runtime::build(&RuntimeConfig::default())?;
    let ledger = Arc::new(Mutex::new(Ledger::default()));
    let mut random = plan.seed | 1;
    let clock = SystemClock::new();
    for round in 0..plan.rounds {
        let of_round = || format!("round {round} of {}, seed {}", plan.rounds, plan.seed);
        let load = {
            let _inside = runtime.enter();
            begin(&system, &ledger, round, clock)?
        };
        wait::pause(Duration::from_millis(200 + below(&mut random, 1800)));
        let killed = clock.monotonic();
        system.kill_broker()?;
        runtime.block_on(load.shutdown(GRACE));
        if round % 10 == 9 {
            check_files(directory).with_context(of_round)?;
        }
        // The same store with the other promise.
        system.set("flushDiskType", if round % 2 == 0 { "SYNC_FLUSH" } else { "ASYNC_FLUSH" });
        system.start_broker().with_context(of_round)?;
        // Nobody else is at work: the guard is in nobody's way.
        let mut ledger = ledger.lock();
        let again = round % 20 == 19;
        runtime.block_on(look(&system, &mut ledger, killed, again)).with_context(of_round)?;
    }
    let client = load::client(&system.namesrv().to_string())?;
    let mut ledger = ledger.lock();
    let delivered = wait::until(Duration::from_secs(60), || {
        match runtime.block_on(ledger.look(&client, &queues(), false, in_order)) {
            Ok(()) => (ledger.waiting() == 0).then_some(Ok(())),
            Err(error) => Some(Err(error)),
        }
    });
    delivered.with_context(|| format!("{} delayed messages are lost", ledger.waiting()))??;
    runtime.block_on(ledger.look(&client, &queues(), true, in_order))?;
    let (acknowledged, failed) = ledger.counts();
    let topics = ledger.topics().len();
    system.stop()?;
    check_files(directory)?;
    ensure!(acknowledged > 0, "nothing was sent");
    report::note(&format!(
        "{} kills: {acknowledged} messages and {topics} topics acknowledged, {failed} sends \
         failed, none missing, moved, out of order or unknown",
        plan.rounds
    ));
    Ok(())
}

/// Delayed messages come in the order of their delays, and again after a kill.
pub(super) fn in_order(topic: &str) -> bool {
    topic != DELAY
}

pub(super) fn queues() -> Vec<MessageQueue> {
    let of = |topic: &str| {
        let topic: Arc<str> = topic.into();
        (0..i32::try_from(QUEUES).unwrap_or(0)).map(move |queue_id| MessageQueue {
            broker_name: "broker-a".into(),
            queue_id,
            topic: Arc::clone(&topic),
        })
    };
    [SINGLE, BATCH, DELAY].into_iter().flat_map(of).collect()
}

fn below(random: &mut u64, bound: u64) -> u64 {
    *random ^= *random << 13;
    *random ^= *random >> 7;
    *random ^= *random << 17;
    (random.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 33) % bound
}

/// The shipped program must find nothing that the next start does not put right.
pub(super) fn check_files(directory: &Path) -> anyhow::Result<()> {
    let mut command = Command::new(our_program("rmq")?);
    let done =
        command.args(["store", "check", "-c"]).arg(directory.join("broker.conf")).output()?;
    let text = String::from_utf8_lossy(&done.stdout).into_owned();
    let wrong = String::from_utf8_lossy(&done.stderr).into_owned();
    ensure!(done.status.success(), "rmq store check: {}\n{text}{wrong}", done.status);
    Ok(())
}

async fn look(
    system: &System,
    ledger: &mut Ledger,
    killed: Duration,
    again: bool,
) -> anyhow::Result<()> {
    let client = load::client(&system.namesrv().to_string())?;
    ledger.look(&client, &queues(), again, in_order).await?;
    let queue = queues().into_iter().next().context("no queues")?;
    let committed = client.committed(COMMITTER, &queue).await?;
    ledger.check_commit(killed, FLUSH_OFFSETS + LATE, committed)?;
    let broker = system.broker().to_string();
    for topic in ledger.topics() {
        let found = client.admin().topic_config(&broker, topic).await?;
        ensure!(found.is_some(), "topic {topic} was acknowledged and is missing");
    }
    Ok(())
}

/// Sets clients to work.
pub(super) fn begin(
    system: &System,
    ledger: &Arc<Mutex<Ledger>>,
    round: u32,
    clock: SystemClock,
) -> anyhow::Result<Tasks> {
    let tasks = Tasks::new("load");
    let (namesrv, broker) = (system.namesrv().to_string(), system.broker().to_string());
    for number in 0..5 {
        let client = load::client(&namesrv)?;
        let (ledger, broker) = (Arc::clone(ledger), broker.clone());
        tasks.spawn("client", move |stop| async move {
            let client = Work { client, broker, ledger, round, clock };
            for topic in [SINGLE, BATCH, DELAY] {
                // The broker may be gone already.
                client.make(topic).await.ok();
            }
            match number {
                0 | 1 => client.singles(number, &stop).await,
                2 => client.batches(&stop).await,
                3 => client.delays(&stop).await,
                _ => client.administer(&stop).await,
            }
            Ok(())
        });
    }
    Ok(tasks)
}

struct Work {
    client: Client,
    broker: String,
    ledger: Arc<Mutex<Ledger>>,
    round: u32,
    clock: SystemClock,
}

impl Work {
    async fn make(&self, topic: &str) -> anyhow::Result<()> {
        let config = TopicConfig::new(topic, QUEUES, Permission::READ_WRITE);
        let spec = TopicSpec { config, attribute_changes: String::new() };
        Ok(self.client.admin().put_topic(&self.broker, &spec).await?)
    }

    fn producer(&self) -> Producer {
        Producer::new(self.client.clone(), "rounds")
    }

    /// A new id of a producer; numbers ascend over all rounds.
    fn id(&self, producer: &str, number: u64) -> String {
        let id = format!("{producer}-{}", u64::from(self.round) * 1_000_000 + number);
        self.ledger.lock().attempted(&id);
        id
    }

    async fn failed(&self) {
        self.ledger.lock().failed();
        tokio::time::sleep(REST).await;
    }

    async fn singles(&self, number: u32, stop: &CancellationToken) {
        let (name, producer) = (format!("s{number}"), self.producer());
        for count in 0.. {
            if stop.is_cancelled() {
                return;
            }
            let id = self.id(&name, count);
            // Of all lengths up to some pages.
            let dots = usize::try_from(count * 131 % 9000).unwrap_or(0);
            let body = format!("{}{id}", ".".repeat(dots));
            let message = Outgoing { keys: vec![id.clone()], ..Outgoing::new(SINGLE, body) };
            match producer.send(&message).await {
                Ok(sent) if sent.status == SendStatus::Stored => {
                    let queue = (SINGLE.to_owned(), sent.queue.queue_id);
                    self.ledger.lock().acknowledged(id, queue, sent.queue_offset);
                }
                _ => self.failed().await,
            }
        }
    }

    async fn batches(&self, stop: &CancellationToken) {
        let producer = self.producer();
        for count in 0_u64.. {
            if stop.is_cancelled() {
                return;
            }
            let ids: Vec<String> = (0..5).map(|n| self.id("b", count * 5 + n)).collect();
            let with_key = |id: &String| Outgoing {
                keys: vec![id.clone()],
                ..Outgoing::new(BATCH, id.clone())
            };
            let messages: Vec<Outgoing> = ids.iter().map(with_key).collect();
            match producer.send_batch(&messages).await {
                Ok(sent) if sent.status == SendStatus::Stored => {
                    let queue = (BATCH.to_owned(), sent.queue.queue_id);
                    let mut ledger = self.ledger.lock();
                    for (id, offset) in ids.into_iter().zip(sent.queue_offset..) {
                        ledger.acknowledged(id, queue.clone(), offset);
                    }
                }
                _ => self.failed().await,
            }
        }
    }

    async fn delays(&self, stop: &CancellationToken) {
        let producer = self.producer();
        for count in 0.. {
            if stop.is_cancelled() {
                return;
            }
            let id = self.id("d", count);
            let level = u32::try_from(1 + count % 2).unwrap_or(1);
            let message = Outgoing { delay_level: Some(level), ..Outgoing::new(DELAY, id.clone()) };
            match producer.send(&message).await {
                Ok(sent) if sent.status == SendStatus::Stored => self.ledger.lock().delayed(id),
                _ => self.failed().await,
            }
            tokio::time::sleep(REST).await;
        }
    }

    /// Makes topics and commits offsets.
    async fn administer(&self, stop: &CancellationToken) {
        let Some(queue) = queues().into_iter().next() else { return };
        for count in 0.. {
            if stop.is_cancelled() {
                return;
            }
            let offset = self.ledger.lock().next_commit();
            let committed = self.client.commit(COMMITTER, &queue, offset).await;
            if committed.is_ok() {
                self.ledger.lock().committed(self.clock.monotonic(), offset);
            }
            if count % 20 == 0 {
                let topic = format!("made-{}-{count}", self.round);
                if self.make(&topic).await.is_ok() {
                    self.ledger.lock().made(topic);
                }
            }
            tokio::time::sleep(REST).await;
        }
    }
}
