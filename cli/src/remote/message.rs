//! `rmq message`.

use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::Subcommand;
use rmq_client::{Client, Delivered};
use rmq_record::OffsetId;

use super::connect::{Connect, Family, Format};
use super::shape::MessageShape;
use super::time::{When, when};
use crate::output::{Output, table};

#[derive(Debug, Subcommand)]
pub enum Action {
    /// Show the message with an id
    Get {
        /// The id that `send` printed, or the offset id that a broker gave
        id: String,
        /// Topic of the message; without it the id must be an offset id
        #[arg(short, long)]
        topic: Option<String>,
    },
    /// List the messages with a key, newest first
    ByKey {
        /// The key
        key: String,
        /// Topic
        #[arg(short, long)]
        topic: String,
        /// Stored at this time or later (10m, 2026-03-01T12:00:00Z, …)
        #[arg(long, value_name = "TIME", value_parser = when)]
        since: Option<When>,
        /// Stored at this time or earlier
        #[arg(long, value_name = "TIME", value_parser = when)]
        until: Option<When>,
        /// At most this many
        #[arg(long, value_name = "N", default_value_t = 64)]
        max: u32,
    },
}

pub(crate) fn run(command: &Family<Action>, output: &mut Output) -> anyhow::Result<ExitCode> {
    command.connect.run(async |client| act(command, &client, output).await)?;
    Ok(ExitCode::SUCCESS)
}

async fn act(command: &Family<Action>, client: &Client, output: &mut Output) -> anyhow::Result<()> {
    match &command.action {
        Action::Get { id, topic } => {
            for message in get(client, id, topic.as_deref()).await? {
                show_whole(&command.connect, &message, output)?;
            }
            Ok(())
        }
        Action::ByKey { key, topic, since, until, max } => {
            let now = client.clock().now();
            let times = (
                since.map_or(0, |time| time.millis(now)),
                until.map_or(i64::MAX, |time| time.millis(now)),
            );
            let found = client.admin().messages_by_key(topic, key, *max, times).await?;
            if found.is_empty() {
                bail!("topic {topic} has no message with key {key}");
            }
            let shapes: Vec<_> = found.iter().map(|m| MessageShape::new(m, None)).collect();
            command.connect.show(output, &shapes, |shapes| {
                let mut rows = table(["id", "queue", "offset", "stored", "store host", "tag"]);
                for shape in shapes {
                    rows.add_row([
                        shape.id.clone(),
                        shape.queue.to_string(),
                        shape.offset.to_string(),
                        shape.stored.clone(),
                        shape.store_host.clone(),
                        shape.tag.clone().unwrap_or_default(),
                    ]);
                }
                rows
            })
        }
    }
}

/// A unique id and an offset id look alike, so the topic's index is asked first.
async fn get(client: &Client, id: &str, topic: Option<&str>) -> anyhow::Result<Vec<Delivered>> {
    let admin = client.admin();
    if let Some(topic) = topic {
        let found = admin.messages_by_unique_id(topic, id).await?;
        if !found.is_empty() {
            return Ok(found);
        }
    }
    let not_found = || match topic {
        Some(topic) => format!("topic {topic} has no message with id {id}"),
        None => format!("{id} is no offset id: with --topic it may be any id"),
    };
    let parsed: OffsetId = id.parse().with_context(not_found)?;
    Ok(vec![admin.message_at(parsed).await.with_context(not_found)?])
}

fn show_whole(connect: &Connect, message: &Delivered, output: &mut Output) -> anyhow::Result<()> {
    let shape = MessageShape::new(message, None);
    if connect.format() == Format::Json {
        output.line(serde_json::to_string_pretty(&shape)?)?;
        return Ok(());
    }
    let mut rows = table(["field", "value"]);
    let mut add = |name: &str, value: String| {
        rows.add_row([name.to_owned(), value]);
    };
    add("id", shape.id.clone());
    add("offset id", shape.offset_id.clone());
    add("topic", shape.topic.clone());
    add("queue", shape.queue.to_string());
    add("offset", shape.offset.to_string());
    add("tag", shape.tag.clone().unwrap_or_default());
    add("keys", shape.keys.join(" "));
    add("born", format!("{} by {}", shape.born, shape.born_host));
    add("stored", format!("{} by {}", shape.stored, shape.store_host));
    add("reconsume times", shape.reconsume_times.to_string());
    add("stored bytes", shape.stored_bytes.to_string());
    for (name, value) in &shape.properties {
        add(&format!("property {}", name.escape_debug()), value.escape_debug().to_string());
    }
    output.table(&rows)?;
    output.line("")?;
    output.line(shape.body.printable())?;
    Ok(())
}
