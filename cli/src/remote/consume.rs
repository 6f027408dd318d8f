//! `rmq consume`.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use rmq_client::consumer::{Batch, Consumer, ConsumerConfig, StartFrom, Verdict};
use rmq_client::{Client, Delivered};
use rmq_model::client::{MessageModel, SubscriptionData};
use tokio::signal::unix::{SignalKind, signal};

use super::connect::{Connect, Format};
use super::shape::MessageShape;
use super::time::{When, duration, when};
use crate::output::Output;

#[derive(Debug, Args)]
pub struct Consume {
    /// Topic to read
    #[arg(short, long)]
    topic: String,
    /// Consumer group; its members share the messages, and it remembers how far it is
    #[arg(short, long)]
    group: String,
    /// Where a new group begins: first, last, or a time (10m, 2026-03-01T12:00:00Z, …)
    #[arg(long, value_name = "WHERE", default_value = "last", value_parser = from)]
    from: From,
    /// Tags to take, separated by '||'
    #[arg(long, value_name = "EXPRESSION", default_value = "*")]
    tag: String,
    /// SQL92 condition on the properties, if the broker allows it
    #[arg(long, value_name = "CONDITION", conflicts_with = "tag")]
    sql: Option<String>,
    /// Stop after this many messages
    #[arg(long, value_name = "N")]
    count: Option<u64>,
    /// Stop when nothing has come for this long
    #[arg(long, value_name = "TIME", value_parser = duration)]
    idle: Option<Duration>,
    /// Read every message, whatever other members read; the group remembers nothing
    #[arg(long)]
    broadcast: bool,
    /// Lock the queues, so that each is read by one member in strict order
    #[arg(long, conflicts_with = "broadcast")]
    in_order: bool,
    /// Print bodies only, one a line
    #[arg(long, conflicts_with = "output")]
    bodies: bool,
    #[command(flatten)]
    connect: Connect,
}

#[derive(Clone, Copy, Debug)]
enum From {
    First,
    Last,
    Time(When),
}

fn from(text: &str) -> Result<From, String> {
    match text {
        "first" => Ok(From::First),
        "last" => Ok(From::Last),
        _ => when(text).map(From::Time),
    }
}

pub(crate) fn run(command: &Consume, output: &mut Output) -> anyhow::Result<ExitCode> {
    command.connect.run(async |client| consume(command, client, output).await)
}

async fn consume(
    command: &Consume,
    client: Client,
    output: &mut Output,
) -> anyhow::Result<ExitCode> {
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot wait for Ctrl-C")?;
    let mut terminate = signal(SignalKind::terminate()).context("cannot wait for SIGTERM")?;
    let config = config(command, client.clock().now());
    let mut consumer = Consumer::start(client, config).await?;
    let mut left = command.count.unwrap_or(u64::MAX);
    let patience = command.idle.unwrap_or(Duration::MAX);
    let outcome = loop {
        if left == 0 {
            break Ok(());
        }
        let batch = tokio::select! {
            batch = consumer.next() => batch,
            () = tokio::time::sleep(patience) => break Ok(()),
            _ = interrupt.recv() => break Ok(()),
            _ = terminate.recv() => break Ok(()),
        };
        let batch = match batch {
            Ok(batch) => batch,
            Err(error) => break Err(error.into()),
        };
        let (shown, whole) = within(batch, left);
        if let Err(error) = show(command, &shown, output) {
            break Err(error);
        }
        left -= u64::try_from(shown.messages.len()).unwrap_or(left).min(left);
        // What is beyond --count was not shown: the group must get it again.
        if whole && let Err(error) = consumer.done(&shown, Verdict::Consumed).await {
            break Err(error.into());
        }
        if !whole {
            consumer.done_until(&shown);
        }
    };
    consumer.close().await;
    outcome.map(|()| ExitCode::SUCCESS)
}

/// At most `left` messages of `batch`; says whether these are all.
fn within(mut batch: Batch, left: u64) -> (Batch, bool) {
    let keep = usize::try_from(left).unwrap_or(usize::MAX);
    let whole = batch.messages.len() <= keep;
    batch.messages.truncate(keep);
    (batch, whole)
}

fn config(command: &Consume, now: i64) -> ConsumerConfig {
    let base = ConsumerConfig::new(command.group.clone(), command.topic.clone());
    let (kind, expression) = match &command.sql {
        Some(condition) => (SubscriptionData::SQL92, condition.clone()),
        None => (SubscriptionData::TAG, command.tag.clone()),
    };
    ConsumerConfig {
        expression_type: kind.to_owned(),
        expression,
        model: if command.broadcast {
            MessageModel::Broadcasting
        } else {
            MessageModel::Clustering
        },
        from: match command.from {
            From::First => StartFrom::First,
            From::Last => StartFrom::Last,
            From::Time(time) => StartFrom::Time(time.millis(now)),
        },
        in_order: command.in_order,
        ..base
    }
}

fn show(command: &Consume, batch: &Batch, output: &mut Output) -> anyhow::Result<()> {
    for message in &batch.messages {
        let shape = MessageShape::new(message, Some(&batch.queue.broker_name));
        match command.connect.format() {
            _ if command.bodies => output.line(shape.body.printable())?,
            Format::Json => output.line(serde_json::to_string(&shape)?)?,
            Format::Table => {
                output.line(headline(message, &shape))?;
                output.line(shape.body.printable())?;
            }
        }
    }
    output.flush()?;
    Ok(())
}

fn headline(message: &Delivered, shape: &MessageShape) -> String {
    let mut line = format!(
        "-- {} {} {}/{}@{}",
        shape.stored,
        shape.id,
        shape.broker.as_deref().unwrap_or_default(),
        shape.queue,
        shape.offset
    );
    if let Some(tag) = &shape.tag {
        line.push_str(&format!(" tag={}", tag.escape_debug()));
    }
    if !shape.keys.is_empty() {
        line.push_str(&format!(" keys={}", shape.keys.join(",").escape_debug()));
    }
    if 0 < message.reconsume_times {
        line.push_str(&format!(" retry={}", message.reconsume_times));
    }
    line
}
