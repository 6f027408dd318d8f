//! `rmq send`.

use std::io::{self, BufRead as _, Read as _};
use std::process::ExitCode;

use anyhow::{Context as _, ensure};
use clap::Args;
use rmq_client::producer::{SendStatus, Sent};
use rmq_client::{Client, Outgoing, Producer};
use rmq_model::MessageQueue;
use serde::Serialize;

use super::connect::{Connect, Format};
use super::shape::pair;
use crate::output::{Output, table};

/// Longest body that brokers take by default.
const BODY_BYTES_MAX: usize = 4 * 1024 * 1024;

#[derive(Debug, Args)]
pub struct Send {
    /// Topic; the broker makes it if it may
    #[arg(short, long)]
    topic: String,
    /// Text of the message
    #[arg(short, long, value_name = "TEXT", required_unless_present_any = ["stdin", "lines"])]
    body: Option<String>,
    /// Take the whole standard input as one body
    #[arg(long, conflicts_with = "body")]
    stdin: bool,
    /// Send each line of the standard input as a message
    #[arg(long, conflicts_with_all = ["body", "stdin", "count"])]
    lines: bool,
    /// Send the message this many times
    #[arg(long, value_name = "N", default_value_t = 1)]
    count: u64,
    /// Tag that consumers can select by
    #[arg(long)]
    tag: Option<String>,
    /// Key that the message can be found by; may be repeated
    #[arg(long, value_name = "KEY")]
    key: Vec<String>,
    /// Further property; may be repeated
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
    property: Vec<(String, String)>,
    /// Deliver later: level 1 to 18 stands for 1s 5s 10s 30s 1m 2m … 10m 20m 30m 1h 2h
    #[arg(long, value_name = "LEVEL", value_parser = clap::value_parser!(u32).range(1..=18))]
    delay_level: Option<u32>,
    /// Queue to send to, with --broker; else the queues take turns
    #[arg(long, value_name = "ID", requires = "broker")]
    queue: Option<i32>,
    /// Name of the broker to send to, with --queue
    #[arg(long, value_name = "NAME", requires = "queue")]
    broker: Option<String>,
    /// Producer group
    #[arg(long, value_name = "GROUP", default_value = "rmq-cli")]
    producer_group: String,
    /// Do not wait for the broker's answer
    #[arg(long, conflicts_with = "queue")]
    oneway: bool,
    #[command(flatten)]
    connect: Connect,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct SentShape {
    status: &'static str,
    broker: String,
    queue: i32,
    offset: i64,
    id: String,
    offset_id: String,
}

pub(crate) fn run(command: &Send, output: &mut Output) -> anyhow::Result<ExitCode> {
    command.connect.run(async |client| send(command, client, output).await)
}

async fn send(command: &Send, client: Client, output: &mut Output) -> anyhow::Result<ExitCode> {
    let mut sender = Sender {
        command,
        producer: Producer::new(client, &command.producer_group),
        shown: 0,
        unsafe_sends: 0,
    };
    if command.lines {
        for line in io::stdin().lock().lines() {
            let line = line.context("cannot read the standard input")?;
            sender.send(line.into_bytes(), output).await?;
        }
    } else {
        let body = match &command.body {
            Some(body) => body.clone().into_bytes(),
            None => standard_input()?,
        };
        for _ in 0..command.count {
            sender.send(body.clone(), output).await?;
        }
    }
    ensure!(sender.unsafe_sends == 0, "{} messages are not as safe as asked", sender.unsafe_sends);
    Ok(ExitCode::SUCCESS)
}

fn standard_input() -> anyhow::Result<Vec<u8>> {
    let mut body = Vec::new();
    let limit = u64::try_from(BODY_BYTES_MAX).unwrap_or(u64::MAX);
    let mut input = io::stdin().lock().take(limit + 1);
    input.read_to_end(&mut body).context("cannot read the standard input")?;
    ensure!(
        body.len() <= BODY_BYTES_MAX,
        "the standard input is longer than {BODY_BYTES_MAX} bytes"
    );
    Ok(body)
}

struct Sender<'a> {
    command: &'a Send,
    producer: Producer,
    shown: u64,
    unsafe_sends: u64,
}

impl Sender<'_> {
    async fn send(&mut self, body: Vec<u8>, output: &mut Output) -> anyhow::Result<()> {
        let command = self.command;
        let message = Outgoing {
            tag: command.tag.clone(),
            keys: command.key.clone(),
            properties: command.property.clone(),
            delay_level: command.delay_level,
            ..Outgoing::new(command.topic.clone(), body)
        };
        if command.oneway {
            self.producer.send_oneway(&message).await?;
            return Ok(());
        }
        let sent = match (&command.broker, command.queue) {
            (Some(broker), Some(queue_id)) => {
                let queue = MessageQueue {
                    broker_name: broker.as_str().into(),
                    queue_id,
                    topic: command.topic.as_str().into(),
                };
                self.producer.send_to(&queue, &message).await
            }
            _ => self.producer.send(&message).await,
        };
        let sent = sent.with_context(|| format!("message {} was not sent", self.shown + 1))?;
        if sent.status != SendStatus::Stored {
            self.unsafe_sends += 1;
        }
        self.show(sent, output)
    }

    /// One line a message, as soon as it is sent.
    fn show(&mut self, sent: Sent, output: &mut Output) -> anyhow::Result<()> {
        let shape = SentShape {
            status: sent.status.name(),
            broker: sent.queue.broker_name.to_string(),
            queue: sent.queue.queue_id,
            offset: sent.queue_offset,
            id: sent.unique_id,
            offset_id: sent.offset_id,
        };
        match self.command.connect.format() {
            Format::Json => output.line(serde_json::to_string(&shape)?)?,
            Format::Table => {
                let mut lines = table(["id", "status", "broker", "queue", "offset"]);
                let (queue, offset) = (shape.queue.to_string(), shape.offset.to_string());
                lines.add_row([&shape.id, shape.status, &shape.broker, &queue, &offset]);
                let lines: Vec<String> = lines.lines().collect();
                // The header once; the columns of later rows line up as long as widths agree.
                for line in lines.iter().skip(usize::from(0 < self.shown)) {
                    output.line(line.trim_end())?;
                }
            }
        }
        self.shown += 1;
        Ok(())
    }
}
