//! Tables of the master, fetched when they changed: topics, groups, offsets, delay levels.
//!
//! What consumers committed here while the master was away is given back to it first, queue by
//! queue, where it is further than what the master knows.

use super::SlaveSide;
use crate::service::Broker;
use crate::service::tables::{
    RequestModes, StoredDelays, StoredOffsets, read_groups, read_plain, read_topics,
};
use anyhow::{Context as _, bail};
use rmq_delivery::offsets::OffsetTable;
use rmq_host::Tasks;
use rmq_net::{AskOnly, ClientConfig, Connection, Connector};
use rmq_remoting::Command;
use rmq_remoting::code::{request, response};
use std::sync::Arc;
use std::time::Duration;

/// Fetched at least so often, whatever the master says of changes; a Java master says nothing.
const FETCH_EVERY: Duration = Duration::from_secs(5);
/// Name servers are asked for a master that was never found after this, then after twice as long,
/// and so on up to [`FETCH_EVERY`].
const LOOK_AFTER: Duration = Duration::from_millis(250);
/// And at most so often.
const FETCH_PAUSE: Duration = Duration::from_millis(100);
const TIMEOUT: Duration = Duration::from_secs(3);
/// Most offsets given back after one absence; the rest follows with the next fetch.
const GIVEN_BACK_MAX: usize = 10_000;

/// What a master said of its tables last.
#[derive(Debug, Default)]
pub(super) struct Versioned {
    told: Option<[u64; 4]>,
}

impl Versioned {
    /// Whether this is news.
    pub(super) fn told(&mut self, versions: [u64; 4]) -> bool {
        self.told.replace(versions) != Some(versions)
    }
}

/// Keeps the tables like the master's until the tasks are stopped.
pub(crate) fn start(side: &Arc<SlaveSide>, broker: &Arc<Broker>, tasks: &Tasks) {
    let (side, broker) = (Arc::clone(side), Arc::clone(broker));
    tasks.spawn("tables of the master", move |stop| async move {
        let mut fetcher = Fetcher { side, broker, link: None, base: None, well: true };
        let mut look = LOOK_AFTER;
        loop {
            let unknown = fetcher.side.master().ha_address.is_none();
            let pause = if unknown { look } else { FETCH_EVERY };
            let due = fetcher.side.tables.notified();
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                () = due => {}
                () = tokio::time::sleep(pause) => {}
            }
            if fetcher.side.is_following() {
                let fetched = tokio::select! {
                    () = stop.cancelled() => return Ok(()),
                    fetched = fetcher.fetch() => fetched,
                };
                fetcher.note(fetched);
            } else if unknown || fetcher.side.away_for().is_some_and(|time| FETCH_EVERY < time) {
                // Name servers say where the master is in answer to a registration.
                fetcher.broker.outside().all_topics_changed();
                look = look.saturating_mul(2).min(FETCH_EVERY);
            }
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                () = tokio::time::sleep(FETCH_PAUSE) => {}
            }
        }
    });
}

struct Fetcher {
    side: Arc<SlaveSide>,
    broker: Arc<Broker>,
    link: Option<(Connector, Arc<Connection>, Arc<str>)>,
    /// Offsets as the master had them last: what is further here was committed here.
    base: Option<OffsetTable>,
    well: bool,
}

impl Fetcher {
    fn note(&mut self, fetched: anyhow::Result<()>) {
        match fetched {
            Ok(()) => self.well = true,
            Err(error) => {
                if self.well {
                    let error = format!("{error:#}");
                    tracing::warn!(error, "tables of the master cannot be fetched");
                }
                self.well = false;
                self.link = None;
            }
        }
    }

    async fn linked(&mut self) -> anyhow::Result<Arc<Connection>> {
        let address = self.side.master().address.context("the master's address is not known")?;
        if let Some((_, conn, known)) = &self.link
            && *known == address
            && !conn.is_closed()
        {
            return Ok(Arc::clone(conn));
        }
        let connector = Connector::new(ClientConfig::default());
        let conn = connector.connect(&address, Arc::new(AskOnly)).await?;
        self.link = Some((connector, Arc::clone(&conn), address));
        Ok(conn)
    }

    async fn fetch(&mut self) -> anyhow::Result<()> {
        let conn = self.linked().await?;
        let topics = ask(&conn, request::GET_ALL_TOPIC_CONFIG).await?;
        let topics = read_topics(&topics).map_err(anyhow::Error::msg)?;
        let groups = ask(&conn, request::GET_ALL_SUBSCRIPTIONGROUP_CONFIG).await?;
        let groups = read_groups(&groups).map_err(anyhow::Error::msg)?;
        let offsets = ask(&conn, request::GET_ALL_CONSUMER_OFFSET).await?;
        let offsets: StoredOffsets = read_plain(&offsets).map_err(anyhow::Error::msg)?;
        let given_back = self.give_back(&conn, &offsets.offset_table).await?;
        let delays = ask(&conn, request::GET_ALL_DELAY_OFFSET).await?;
        let delays: StoredDelays = if delays.is_empty() {
            StoredDelays::default()
        } else {
            read_plain(&delays).map_err(anyhow::Error::msg)?
        };
        self.broker.take_tables(topics, groups, &delays);
        if let Some(modes) = modes(&conn).await? {
            self.broker.take_modes(modes);
        }
        if given_back {
            // The next fetch shows whether the master took them.
            self.side.tables.notify_one();
        } else {
            self.base = Some(offsets.offset_table.clone());
            self.broker.take_offsets(&offsets);
        }
        let broker = Arc::clone(&self.broker);
        let saved = tokio::task::spawn_blocking(move || broker.save_tables()).await?;
        saved.context("tables cannot be written")
    }

    /// Commits to the master what was committed here and is further. Says whether anything was.
    async fn give_back(&self, conn: &Connection, theirs: &OffsetTable) -> anyhow::Result<bool> {
        let Some(base) = &self.base else { return Ok(false) };
        let ours = self.broker.stored_offsets().offset_table;
        let found = further(&ours, base, theirs);
        let any = !found.is_empty();
        for (topic, group, queue, offset) in found.into_iter().take(GIVEN_BACK_MAX) {
            let commit = Command::request(request::UPDATE_CONSUMER_OFFSET)
                .with_ext("consumerGroup", group)
                .with_ext("topic", topic)
                .with_ext("queueId", queue.to_string())
                .with_ext("commitOffset", offset.to_string());
            let answer = conn.request(commit, TIMEOUT).await?;
            if answer.code != response::SUCCESS {
                bail!("the master refused an offset with code {}", answer.code);
            }
        }
        if any {
            tracing::info!("offsets that were committed here are given back to the master");
        }
        Ok(any)
    }
}

/// Topic, group, queue and offset of what `ours` has further than both others.
fn further(
    ours: &OffsetTable,
    base: &OffsetTable,
    theirs: &OffsetTable,
) -> Vec<(String, String, i32, i64)> {
    let mut found = Vec::new();
    for (key, queues) in ours {
        let Some((topic, group)) = key.split_once('@') else { continue };
        for (queue, offset) in queues {
            let of = |table: &OffsetTable| {
                table.get(key).and_then(|queues| queues.get(queue)).copied().unwrap_or(-1)
            };
            if of(base).max(of(theirs)) < *offset {
                found.push((topic.to_owned(), group.to_owned(), *queue, *offset));
            }
        }
    }
    found
}

/// How groups take topics; `None` from a master of before 5.0, which does not know.
async fn modes(conn: &Connection) -> anyhow::Result<Option<RequestModes>> {
    let question = Command::request(request::GET_ALL_MESSAGE_REQUEST_MODE);
    let answer = conn.request(question, TIMEOUT).await?;
    if answer.code != response::SUCCESS || answer.body.is_empty() {
        return Ok(None);
    }
    Ok(Some(read_plain(&answer.body).map_err(anyhow::Error::msg)?))
}

async fn ask(conn: &Connection, code: i32) -> anyhow::Result<bytes::Bytes> {
    let answer = conn.request(Command::request(code), TIMEOUT).await?;
    if answer.code != response::SUCCESS {
        let remark = answer.remark.map(|text| text.to_string()).unwrap_or_default();
        bail!("the master answers request {code} with code {}: {remark}", answer.code);
    }
    Ok(answer.body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_committed_here_and_is_further_is_given_back() {
        let table = |entries: &[(&str, i32, i64)]| {
            let mut table = OffsetTable::new();
            for (key, queue, offset) in entries {
                table.entry((*key).to_owned()).or_default().insert(*queue, *offset);
            }
            table
        };
        let ours =
            table(&[("T@g", 0, 9), ("T@g", 1, 5), ("T@h", 0, 7), ("U@g", 0, 1), ("x", 0, 9)]);
        let base = table(&[("T@g", 0, 4), ("T@g", 1, 5), ("T@h", 0, 6)]);
        let theirs = table(&[("T@g", 0, 4), ("T@g", 1, 3), ("T@h", 0, 8)]);
        let want = [("T", "g", 0, 9), ("U", "g", 0, 1)];
        let want = want.map(|(t, g, q, o)| (t.to_owned(), g.to_owned(), q, o));
        assert_eq!(further(&ours, &base, &theirs), want);
    }
}
