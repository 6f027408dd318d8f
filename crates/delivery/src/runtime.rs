//! Where groups stand and how far they are behind, computed over readers of the store.
//!
//! Source: RocketMQ 5.3 `AdminBrokerProcessor` (`getConsumeStats`, `getTopicStatsInfo`,
//! `queryConsumeTimeSpan`, `queryCorrectionOffset`).

use crate::clients::ConsumerGroup;
use crate::offsets::{GroupOffsets, Offsets};
use rmq_model::Millis;
use rmq_model::topic::TopicConfig;
use std::collections::BTreeMap;

/// What the computations read from the store.
pub trait QueueReader {
    /// First offset of a queue; 0 or less for a queue that does not exist.
    fn min_offset(&self, topic: &str, queue: u32) -> i64;
    /// Offset after the last message of a queue; 0 or less for a queue that does not exist.
    fn max_offset(&self, topic: &str, queue: u32) -> i64;
    /// Store time of a message; `None` if it is not there.
    fn store_time(&self, topic: &str, queue: u32, offset: i64) -> Option<Millis>;
}

/// Queue numbers as requests carry them.
fn numbers(queues: u32) -> impl Iterator<Item = (u32, i32)> {
    (0..queues).zip(0_i32..)
}

/// A queue of a topic (request 202).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueStats {
    /// Number of the queue.
    pub queue: i32,
    /// First offset, at least 0.
    pub min: i64,
    /// Offset after the last message, at least 0.
    pub max: i64,
    /// Store time of the last message; 0 if there is none.
    pub last_update: Millis,
}

/// All queues of a topic, also those that are only read or only written.
pub fn topic_stats(store: &impl QueueReader, topic: &TopicConfig) -> Vec<QueueStats> {
    let name = &*topic.topic_name;
    let stats = |(id, queue): (u32, i32)| {
        let min = store.min_offset(name, id).max(0);
        let max = store.max_offset(name, id).max(0);
        let last = (0 < max).then(|| store.store_time(name, id, max - 1)).flatten();
        QueueStats { queue, min, max, last_update: last.unwrap_or(0) }
    };
    numbers(topic.read_queue_nums.max(topic.write_queue_nums)).map(stats).collect()
}

/// A queue of a topic as a group sees it (request 208).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueProgress {
    /// Number of the queue.
    pub queue: i32,
    /// Offset after the last message.
    pub broker_offset: i64,
    /// Next offset to consume; 0 if the group has none.
    pub consumer_offset: i64,
    /// Where the newest pull ended, at least the consumer offset.
    pub pull_offset: i64,
    /// Store time of the last message consumed; 0 if there is none.
    pub last_timestamp: Millis,
}

impl QueueProgress {
    /// Messages not consumed yet.
    pub fn lag(&self) -> i64 {
        self.broker_offset.saturating_sub(self.consumer_offset).max(0)
    }

    /// Messages given out and not committed yet.
    pub fn in_flight(&self) -> i64 {
        self.pull_offset.saturating_sub(self.consumer_offset).max(0)
    }
}

/// Whether request 208 reports a topic: a group that is online and subscribes to anything reports
/// only what it subscribes to.
pub fn reports_topic(online: Option<&ConsumerGroup>, topic: &str) -> bool {
    online
        .is_none_or(|group| group.subscriptions().len() == 0 || group.subscription(topic).is_some())
}

/// How far a group is in the read queues of a topic; `offsets` are its own there.
pub fn consume_stats(
    store: &impl QueueReader,
    offsets: &GroupOffsets,
    topic: &TopicConfig,
) -> Vec<QueueProgress> {
    let name = &*topic.topic_name;
    let progress = |(id, queue): (u32, i32)| {
        let consumer_offset = offsets.query(queue).unwrap_or(0).max(0);
        let pulled = offsets.pull_end(queue).unwrap_or(0);
        let last = consumer_offset.checked_sub(1).filter(|last| 0 <= *last);
        QueueProgress {
            queue,
            broker_offset: store.max_offset(name, id).max(0),
            consumer_offset,
            pull_offset: pulled.max(consumer_offset),
            last_timestamp: last.and_then(|last| store.store_time(name, id, last)).unwrap_or(0),
        }
    };
    numbers(topic.read_queue_nums).map(progress).collect()
}

/// Lag of a group on a topic, summed over its queues.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lag {
    /// Messages not consumed yet.
    pub messages: i64,
    /// Messages given out and not committed yet.
    pub in_flight: i64,
    /// Messages not given out yet.
    pub ready: i64,
    /// Store time of the oldest message not consumed yet; `None` if nothing is left.
    pub oldest: Option<Millis>,
    /// Store time of the oldest message not given out yet; `None` if nothing waits.
    pub oldest_ready: Option<Millis>,
}

/// Sums up how far a group is behind (requests 317, metrics).
pub fn lag(store: &impl QueueReader, offsets: &GroupOffsets, topic: &TopicConfig) -> Lag {
    let name = &*topic.topic_name;
    let mut lag = Lag::default();
    for (id, progress) in (0..).zip(consume_stats(store, offsets, topic)) {
        // What retention took away is not waiting any more.
        let first = progress.consumer_offset.max(store.min_offset(name, id));
        let messages = progress.broker_offset.saturating_sub(first).max(0);
        lag.messages += messages;
        lag.in_flight += progress.in_flight().min(messages);
        let next = progress.pull_offset.max(first);
        let ready = progress.broker_offset.saturating_sub(next).max(0);
        lag.ready += ready;
        let stored = |waiting: i64, offset| {
            (0 < waiting).then(|| store.store_time(name, id, offset)).flatten()
        };
        let oldest = stored(messages, first);
        lag.oldest = earlier(lag.oldest, oldest);
        let oldest_ready = if next == first { oldest } else { stored(ready, next) };
        lag.oldest_ready = earlier(lag.oldest_ready, oldest_ready);
    }
    lag
}

fn earlier(one: Option<Millis>, other: Option<Millis>) -> Option<Millis> {
    one.into_iter().chain(other).min()
}

/// Times of a queue as a group sees it (request 303).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeSpan {
    /// Number of the queue.
    pub queue: i32,
    /// Store time of the first message; −1 if there is none.
    pub min: Millis,
    /// Store time of the last message; −1 if there is none.
    pub max: Millis,
    /// Store time of the last message consumed; of the first message if none was.
    pub consumed: Millis,
    /// Age of the oldest message not consumed; 0 if nothing is left.
    pub delay_ms: Millis,
}

/// Times of all write queues of a topic.
pub fn time_spans(
    now: Millis,
    store: &impl QueueReader,
    offsets: &GroupOffsets,
    topic: &TopicConfig,
) -> Vec<TimeSpan> {
    let name = &*topic.topic_name;
    let span = |(id, queue): (u32, i32)| {
        let (first, end) = (store.min_offset(name, id).max(0), store.max_offset(name, id).max(0));
        let time = |offset: i64| store.store_time(name, id, offset);
        let min = if first < end { time(first) } else { None }.unwrap_or(-1);
        let max = if first < end { time(end - 1) } else { None }.unwrap_or(-1);
        let next = offsets.query(queue).unwrap_or(0).max(0);
        let consumed = (0 < next).then(|| time(next - 1)).flatten().unwrap_or(min);
        let waiting = (next < end).then(|| time(next.max(first))).flatten();
        let delay_ms = waiting.map_or(0, |stored| now.saturating_sub(stored).max(0));
        TimeSpan { queue, min, max, consumed, delay_ms }
    };
    numbers(topic.write_queue_nums).map(span).collect()
}

/// Where a group may be corrected to, by queue (request 308): the smallest offset that any group
/// but the `excluded` ones has there, or `i64::MAX` where `compare` is not as far as that.
pub fn correction_offsets(
    offsets: &Offsets,
    topic: &str,
    excluded: &[&str],
    compare: Option<&str>,
) -> BTreeMap<i32, i64> {
    let mut smallest: BTreeMap<i32, i64> = BTreeMap::new();
    for group in offsets.groups_of_topic(topic) {
        if excluded.contains(&&*group) {
            continue;
        }
        for (queue, offset) in offsets.queues(&group, topic) {
            let known = smallest.entry(queue).or_insert(offset);
            *known = offset.min(*known);
        }
    }
    for (queue, offset) in compare.into_iter().flat_map(|group| offsets.queues(group, topic)) {
        if let Some(known) = smallest.get_mut(&queue).filter(|known| offset < **known) {
            *known = i64::MAX;
        }
    }
    smallest
}

#[cfg(test)]
mod tests;
