//! What clients sent, what was acknowledged, and what a broker that was killed must still have.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use rmq_client::Client;
use rmq_client::pull::PullRequest;
use rmq_model::MessageQueue;

/// A queue of the one broker.
pub type QueueName = (String, i32);

/// Longest answer a reader is given for one queue.
const BATCH: i32 = 32;

/// Everything that happened to one broker, over all its lives. Ids are `PRODUCER-NUMBER`, ascending.
#[derive(Debug, Default)]
pub struct Ledger {
    /// Ids that were ever handed to a send.
    attempted: BTreeSet<String>,
    /// Acknowledged since the last look, and where.
    fresh: Vec<(String, QueueName, i64)>,
    acknowledged: usize,
    failed: usize,
    /// Acknowledged delayed messages that were not found yet.
    delayed: BTreeSet<String>,
    /// Topics whose making was acknowledged.
    topics: BTreeSet<String>,
    /// Commits of one group and queue that were acknowledged in this life: when, and which.
    commits: Vec<(Duration, i64)>,
    /// The highest offset that a commit was tried with.
    commit_tried: i64,
    /// What each queue held when it was last looked at: ids by offset.
    found: BTreeMap<QueueName, Vec<String>>,
}

impl Ledger {
    /// A send begins.
    pub fn attempted(&mut self, id: &str) {
        self.attempted.insert(id.to_owned());
    }

    /// A send was answered `SEND_OK` for this place.
    pub fn acknowledged(&mut self, id: String, queue: QueueName, offset: i64) {
        self.acknowledged += 1;
        self.fresh.push((id, queue, offset));
    }

    /// A delayed message was accepted.
    pub fn delayed(&mut self, id: String) {
        self.acknowledged += 1;
        self.delayed.insert(id);
    }

    /// A send failed, whatever became of it.
    pub fn failed(&mut self) {
        self.failed += 1;
    }

    /// A topic was made.
    pub fn made(&mut self, topic: String) {
        self.topics.insert(topic);
    }

    /// The next offset to commit; it counts as tried.
    pub fn next_commit(&mut self) -> i64 {
        self.commit_tried += 1;
        self.commit_tried
    }

    /// A commit was answered.
    pub fn committed(&mut self, at: Duration, offset: i64) {
        self.commits.push((at, offset));
    }

    /// How many sends were acknowledged, and how many failed.
    pub fn counts(&self) -> (usize, usize) {
        (self.acknowledged, self.failed)
    }

    /// Delayed messages that were not found yet.
    pub fn waiting(&self) -> usize {
        self.delayed.len()
    }

    /// Topics that must be there.
    pub fn topics(&self) -> &BTreeSet<String> {
        &self.topics
    }

    /// Messages that were found in a topic, each once.
    pub fn found(&self, topic: &str) -> BTreeSet<String> {
        let rows = self.found.iter().filter(|((other, _), _)| other == topic);
        rows.flat_map(|(_, row)| row.iter().cloned()).collect()
    }

    /// What a broker that was killed at `killed` may give as committed: what was acknowledged
    /// `window` before that is there, and nothing that nobody tried.
    ///
    /// # Errors
    /// When `found` is neither.
    pub fn check_commit(
        &mut self,
        killed: Duration,
        window: Duration,
        found: Option<i64>,
    ) -> anyhow::Result<()> {
        let safe = killed.saturating_sub(window);
        let least = self.commits.iter().filter(|(at, _)| *at <= safe).map(|(_, offset)| *offset);
        let least = least.max().unwrap_or(0);
        let found = found.unwrap_or(0);
        ensure!(
            least <= found && found <= self.commit_tried,
            "committed offset {found}: {least} was acknowledged {window:?} before the kill, {} \
             was the last one tried",
            self.commit_tried
        );
        // From here on it must not go below what was seen.
        self.commits = vec![(Duration::ZERO, found)];
        Ok(())
    }

    /// Takes the next message of a queue.
    ///
    /// # Errors
    /// When it does not follow the one before, or nobody sent it.
    fn take(&mut self, queue: &QueueName, offset: i64, id: String) -> anyhow::Result<()> {
        let row = self.found.entry(queue.clone()).or_default();
        let next = i64::try_from(row.len()).unwrap_or(i64::MAX);
        ensure!(offset == next, "{queue:?} has offset {offset} where {next} is expected");
        ensure!(self.attempted.contains(&id), "{queue:?} at {offset}: nobody sent {id}");
        self.delayed.remove(&id);
        row.push(id);
        Ok(())
    }

    /// What was acknowledged must be where that said, and each producer's messages in order.
    ///
    /// # Errors
    /// What is missing or out of place.
    fn settle(&mut self, in_order: impl Fn(&str) -> bool) -> anyhow::Result<()> {
        for (id, queue, offset) in std::mem::take(&mut self.fresh) {
            let row = self.found.get(&queue).map(Vec::as_slice).unwrap_or_default();
            match usize::try_from(offset).ok().and_then(|at| row.get(at)) {
                Some(found) if *found == id => {}
                Some(found) => bail!("{queue:?} at {offset} holds {found}, {id} was acknowledged"),
                None => bail!("{id} was acknowledged for {queue:?} at {offset} and is missing"),
            }
        }
        for ((topic, queue), row) in self.found.iter().filter(|((topic, _), _)| in_order(topic)) {
            let mut last: BTreeMap<&str, u64> = BTreeMap::new();
            for id in row {
                let (producer, number) = id.split_once('-').context("an id without a number")?;
                let number: u64 = number.parse().context("an id without a number")?;
                let before = last.insert(producer, number);
                // The same one again is a repeated send.
                ensure!(
                    before.is_none_or(|before| before <= number),
                    "{topic}-{queue}: {id} stands behind {before:?}"
                );
            }
        }
        Ok(())
    }

    /// Reads what is new in the queues and checks everything. With `again` all of it is read once
    /// more, and must be what it was.
    ///
    /// # Errors
    /// What is missing, moved, out of order, or was never sent.
    pub async fn look(
        &mut self,
        client: &Client,
        queues: &[MessageQueue],
        again: bool,
        in_order: impl Fn(&str) -> bool,
    ) -> anyhow::Result<()> {
        let before = if again { std::mem::take(&mut self.found) } else { BTreeMap::new() };
        for queue in queues {
            let name = (queue.topic.to_string(), queue.queue_id);
            let from = self.found.get(&name).map_or(0, Vec::len);
            let mut offset = i64::try_from(from).context("a long queue")?;
            let end = client.max_offset(queue).await?;
            ensure!(offset <= end, "{name:?} ends at {end}, {offset} messages were there before");
            ensure!(client.min_offset(queue).await? == 0, "{name:?} does not begin at 0");
            let ask = PullRequest { messages_max: BATCH, ..PullRequest::new("ledger") };
            while offset < end {
                let pulled = client.pull(queue, offset, &ask).await?;
                ensure!(!pulled.messages.is_empty(), "{name:?} has nothing at {offset} of {end}");
                for message in pulled.messages {
                    let id: String =
                        String::from_utf8_lossy(&message.body).trim_start_matches('.').to_owned();
                    self.take(&name, message.queue_offset, id)?;
                }
                ensure!(offset < pulled.next, "{name:?}: no progress at {offset}");
                offset = pulled.next;
            }
        }
        for (queue, row) in before {
            let now = self.found.get(&queue).map(Vec::as_slice).unwrap_or_default();
            let same = now.get(..row.len()).is_some_and(|now| *now == row[..]);
            ensure!(same, "{queue:?} does not hold what it held before");
        }
        self.settle(in_order)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue() -> QueueName {
        ("t".to_owned(), 0)
    }

    fn ledger(ids: &[&str]) -> Ledger {
        let mut ledger = Ledger::default();
        for (id, at) in ids.iter().zip(0..) {
            ledger.attempted(id);
            ledger.acknowledged((*id).to_owned(), queue(), at);
        }
        ledger
    }

    fn text(result: anyhow::Result<()>) -> String {
        result.expect_err("a broken promise").to_string()
    }

    #[test]
    fn what_was_acknowledged_is_found_in_its_place_and_in_order() {
        let mut ledger = ledger(&["a-0", "b-7", "a-1"]);
        for (id, at) in ["a-0", "b-7", "a-1", "a-1"].into_iter().zip(0..) {
            ledger.take(&queue(), at, id.to_owned()).expect("sent");
        }
        ledger.settle(|_| true).expect("sound");
        assert_eq!(ledger.counts(), (3, 0));
    }

    #[test]
    fn each_broken_promise_is_named() {
        let mut gap = ledger(&["a-0"]);
        assert!(text(gap.take(&queue(), 1, "a-0".into())).contains("where 0 is expected"));

        let mut unknown = ledger(&["a-0"]);
        assert!(text(unknown.take(&queue(), 0, "x-9".into())).contains("nobody sent"));

        assert!(text(ledger(&["a-0"]).settle(|_| true)).contains("is missing"));

        let mut moved = ledger(&["a-0"]);
        moved.attempted("a-1");
        moved.take(&queue(), 0, "a-1".into()).expect("sent");
        assert!(text(moved.settle(|_| true)).contains("holds a-1"));

        let mut disorder = ledger(&["a-1", "a-0"]);
        for (id, at) in ["a-1", "a-0"].into_iter().zip(0..) {
            disorder.take(&queue(), at, id.to_owned()).expect("sent");
        }
        assert!(text(disorder.settle(|_| true)).contains("stands behind"));
    }

    #[test]
    fn commits_may_go_back_by_the_window_and_no_more() {
        let second = Duration::from_secs(1);
        let mut ledger = Ledger::default();
        for number in 1..=10 {
            let offset = ledger.next_commit();
            ledger.committed(second * number, offset);
        }
        let killed = second * 10;
        assert!(ledger.check_commit(killed, second * 3, Some(6)).is_err());
        assert!(ledger.check_commit(killed, second * 3, Some(11)).is_err());
        assert!(ledger.check_commit(killed, second * 3, None).is_err());
        ledger.check_commit(killed, second * 3, Some(7)).expect("within the window");
        assert!(ledger.check_commit(second, second, Some(6)).is_err(), "it was seen as 7");
    }
}
