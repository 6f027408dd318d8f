//! Counting what passes through the broker.
//!
//! [`Stats`] holds the items that request 315 asks for, [`Rates`] the numbers of request 28. Both
//! are added to once per batch, not per message, and sampled by the shell's clock.
//!
//! Source: RocketMQ 5.3 `BrokerStatsManager`, `StatsItem`, `StoreStatsService`.

mod item;
pub mod rates;
#[cfg(test)]
mod tests;

pub use item::{StatsData, Window};
pub use rates::{Rate, Rates, Totals};

use item::Item;
use rmq_model::Millis;
use rmq_model::name::is_system_topic;
use std::collections::HashMap;
use std::sync::Arc;

/// Most items kept, over all names.
pub const ITEMS_MAX: usize = 250_000;
/// Call [`Stats::sample`] this often.
pub const SAMPLE_MS: Millis = 10_000;

/// What happened to messages of a queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Messages.
    pub messages: u64,
    /// Bytes of their records.
    pub bytes: u64,
    /// Time it took, in milliseconds.
    pub elapsed_ms: u64,
}

/// Kinds of items of a topic alone. The order is that of the array they lie in.
#[derive(Clone, Copy)]
enum TopicStat {
    PutNums,
    PutSize,
}

/// Kinds of items of a queue: what was put into it.
#[derive(Clone, Copy)]
enum QueueStat {
    Nums,
    Size,
    Latency,
}

/// Kinds of items of a group and topic.
#[derive(Clone, Copy)]
enum GroupStat {
    GetNums,
    GetSize,
    SendBackNums,
    AckNums,
    CkNums,
    DiskNums,
    DiskSize,
}

/// Kinds of items of a group and queue: what was got out of it.
#[derive(Clone, Copy)]
enum GroupQueueStat {
    Nums,
    Size,
    Latency,
}

/// Kinds of items of the whole broker.
#[derive(Clone, Copy)]
enum BrokerStat {
    PutNums,
    GetNums,
    PutNumsNoSystem,
    GetNumsNoSystem,
    AckNums,
    CkNums,
    DiskNums,
    DiskSize,
}

/// Where an item lies, by the `statsName` of request 315.
#[derive(Clone, Copy)]
enum Place {
    Topic(TopicStat),
    Queue(QueueStat),
    /// Key `queueId@topic` instead of `topic@queueId`.
    QueueFirst(QueueStat),
    Group(GroupStat),
    GroupQueue(GroupQueueStat),
    /// Key `queueId@topic@group` instead of `topic@queueId@group`.
    GroupQueueFirst(GroupQueueStat),
    Broker(BrokerStat),
}

fn place(name: &str) -> Option<Place> {
    Some(match name {
        "TOPIC_PUT_NUMS" => Place::Topic(TopicStat::PutNums),
        "TOPIC_PUT_SIZE" => Place::Topic(TopicStat::PutSize),
        "QUEUE_PUT_NUMS" => Place::Queue(QueueStat::Nums),
        "QUEUE_PUT_SIZE" => Place::Queue(QueueStat::Size),
        "TOPIC_PUT_LATENCY" => Place::QueueFirst(QueueStat::Latency),
        "GROUP_GET_NUMS" => Place::Group(GroupStat::GetNums),
        "GROUP_GET_SIZE" => Place::Group(GroupStat::GetSize),
        "SNDBCK_PUT_NUMS" => Place::Group(GroupStat::SendBackNums),
        "GROUP_ACK_NUMS" => Place::Group(GroupStat::AckNums),
        "GROUP_CK_NUMS" => Place::Group(GroupStat::CkNums),
        "GROUP_GET_FROM_DISK_NUMS" => Place::Group(GroupStat::DiskNums),
        "GROUP_GET_FROM_DISK_SIZE" => Place::Group(GroupStat::DiskSize),
        "QUEUE_GET_NUMS" => Place::GroupQueue(GroupQueueStat::Nums),
        "QUEUE_GET_SIZE" => Place::GroupQueue(GroupQueueStat::Size),
        "GROUP_GET_LATENCY" => Place::GroupQueueFirst(GroupQueueStat::Latency),
        "BROKER_PUT_NUMS" => Place::Broker(BrokerStat::PutNums),
        "BROKER_GET_NUMS" => Place::Broker(BrokerStat::GetNums),
        "BROKER_PUT_NUMS_WITHOUT_SYSTEM_TOPIC" => Place::Broker(BrokerStat::PutNumsNoSystem),
        "BROKER_GET_NUMS_WITHOUT_SYSTEM_TOPIC" => Place::Broker(BrokerStat::GetNumsNoSystem),
        "BROKER_ACK_NUMS" => Place::Broker(BrokerStat::AckNums),
        "BROKER_CK_NUMS" => Place::Broker(BrokerStat::CkNums),
        "BROKER_GET_FROM_DISK_NUMS" => Place::Broker(BrokerStat::DiskNums),
        "BROKER_GET_FROM_DISK_SIZE" => Place::Broker(BrokerStat::DiskSize),
        _ => return None,
    })
}

/// `N` items side by side; one lookup finds them all.
#[derive(Debug)]
struct Items<const N: usize>([Option<Box<Item>>; N]);

impl<const N: usize> Default for Items<N> {
    fn default() -> Self {
        Self([const { None }; N])
    }
}

impl<const N: usize> Items<N> {
    fn add(&mut self, now: Millis, index: usize, value: u64, times: u64) {
        if value == 0 && times == 0 {
            return;
        }
        if let Some(slot) = self.0.get_mut(index) {
            slot.get_or_insert_with(|| Box::new(Item::new(now))).add(value, times);
        }
    }

    fn get(&self, index: usize) -> Option<&Item> {
        self.0.get(index)?.as_deref()
    }

    fn sample(&mut self, now: Millis) {
        for item in self.0.iter_mut().flatten() {
            item.sample(now);
        }
    }
}

#[derive(Debug, Default)]
struct GroupItems {
    items: Items<7>,
    queues: HashMap<u32, Items<3>>,
}

#[derive(Debug, Default)]
struct TopicItems {
    /// Something was counted since the last sample.
    touched: bool,
    items: Items<2>,
    queues: HashMap<u32, Items<3>>,
    groups: HashMap<Arc<str>, GroupItems>,
}

/// Finds or makes the items of a queue, and says how many places that took.
fn with_queue(
    queues: &mut HashMap<u32, Items<3>>,
    queue: u32,
    full: bool,
    add: impl FnOnce(&mut Items<3>),
) -> usize {
    match queues.get_mut(&queue) {
        Some(items) => {
            add(items);
            0
        }
        None if full => 0,
        None => {
            add(queues.entry(queue).or_default());
            1
        }
    }
}

/// Items by topic, queue and group, and of the broker.
#[derive(Debug)]
pub struct Stats {
    cluster: Arc<str>,
    broker: Items<8>,
    topics: HashMap<Arc<str>, TopicItems>,
    /// Topics, queues, groups and queues of groups.
    places: usize,
}

impl Stats {
    /// Nothing has happened. `cluster` is the key of the broker's own items.
    pub fn new(cluster: &str) -> Self {
        Self {
            cluster: cluster.into(),
            broker: Items::default(),
            topics: HashMap::new(),
            places: 0,
        }
    }

    /// Finds or makes the items of a topic and lets `add` count; `add` returns how many places it
    /// made, and makes none if it is told that there is no more room.
    fn with_topic(&mut self, topic: &str, add: impl FnOnce(&mut TopicItems, bool) -> usize) {
        let full = ITEMS_MAX <= self.places;
        self.places += match self.topics.get_mut(topic) {
            Some(items) => {
                items.touched = true;
                add(items, full)
            }
            None if full => 0,
            None => {
                let items = self.topics.entry(topic.into()).or_default();
                items.touched = true;
                1 + add(items, full)
            }
        };
    }

    /// Like [`Stats::with_topic`] for the items of a group.
    fn with_group(
        &mut self,
        topic: &str,
        group: &str,
        add: impl FnOnce(&mut GroupItems, bool) -> usize,
    ) {
        self.with_topic(topic, |items, full| match items.groups.get_mut(group) {
            Some(items) => add(items, full),
            None if full => 0,
            None => 1 + add(items.groups.entry(group.into()).or_default(), full),
        });
    }

    /// Messages were stored in a queue.
    pub fn put(&mut self, now: Millis, topic: &str, queue: u32, count: Count) {
        let Count { messages, bytes, elapsed_ms } = count;
        self.broker.add(now, BrokerStat::PutNums as usize, messages, messages);
        if !is_system_topic(topic) {
            self.broker.add(now, BrokerStat::PutNumsNoSystem as usize, messages, messages);
        }
        self.with_topic(topic, |items, full| {
            items.items.add(now, TopicStat::PutNums as usize, messages, messages);
            items.items.add(now, TopicStat::PutSize as usize, bytes, messages);
            with_queue(&mut items.queues, queue, full, |items| {
                items.add(now, QueueStat::Nums as usize, messages, messages);
                items.add(now, QueueStat::Size as usize, bytes, messages);
                items.add(now, QueueStat::Latency as usize, elapsed_ms, messages);
            })
        });
    }

    /// Messages of a queue were given to a group.
    pub fn get(&mut self, now: Millis, topic: &str, queue: u32, group: &str, count: Count) {
        let Count { messages, bytes, elapsed_ms } = count;
        self.broker.add(now, BrokerStat::GetNums as usize, messages, 1);
        if !is_system_topic(topic) {
            self.broker.add(now, BrokerStat::GetNumsNoSystem as usize, messages, 1);
        }
        self.with_group(topic, group, |items, full| {
            items.items.add(now, GroupStat::GetNums as usize, messages, 1);
            items.items.add(now, GroupStat::GetSize as usize, bytes, 1);
            with_queue(&mut items.queues, queue, full, |items| {
                items.add(now, GroupQueueStat::Nums as usize, messages, 1);
                items.add(now, GroupQueueStat::Size as usize, bytes, 1);
                items.add(now, GroupQueueStat::Latency as usize, elapsed_ms, 1);
            })
        });
    }

    /// Of those, some had to be read from the disk.
    pub fn get_from_disk(&mut self, now: Millis, topic: &str, group: &str, count: Count) {
        self.broker.add(now, BrokerStat::DiskNums as usize, count.messages, 1);
        self.broker.add(now, BrokerStat::DiskSize as usize, count.bytes, 1);
        self.add_to_group(now, topic, group, GroupStat::DiskNums, count.messages);
        self.add_to_group(now, topic, group, GroupStat::DiskSize, count.bytes);
    }

    /// Messages of a topic came back from a group.
    pub fn sent_back(&mut self, now: Millis, topic: &str, group: &str, messages: u64) {
        self.add_to_group(now, topic, group, GroupStat::SendBackNums, messages);
    }

    /// Messages were acknowledged by a POP consumer.
    pub fn acked(&mut self, now: Millis, topic: &str, group: &str, messages: u64) {
        self.broker.add(now, BrokerStat::AckNums as usize, messages, 1);
        self.add_to_group(now, topic, group, GroupStat::AckNums, messages);
    }

    /// Check points were stored for a POP consumer.
    pub fn checkpoints(&mut self, now: Millis, topic: &str, group: &str, count: u64) {
        self.broker.add(now, BrokerStat::CkNums as usize, count, 1);
        self.add_to_group(now, topic, group, GroupStat::CkNums, count);
    }

    fn add_to_group(&mut self, now: Millis, topic: &str, group: &str, stat: GroupStat, value: u64) {
        self.with_group(topic, group, |items, _| {
            items.items.add(now, stat as usize, value, 1);
            0
        });
    }

    /// Notes where the items stand; call every [`SAMPLE_MS`]. Costs as much as there were topics
    /// in use since the last call.
    pub fn sample(&mut self, now: Millis) {
        self.broker.sample(now);
        for topic in self.topics.values_mut().filter(|topic| topic.touched) {
            topic.touched = false;
            topic.items.sample(now);
            topic.queues.values_mut().for_each(|items| items.sample(now));
            for group in topic.groups.values_mut() {
                group.items.sample(now);
                group.queues.values_mut().for_each(|items| items.sample(now));
            }
        }
    }

    /// An item by the names of request 315; `None` (response code 1) before its first event and
    /// for names that do not exist.
    pub fn view(&self, now: Millis, name: &str, key: &str) -> Option<StatsData> {
        let item = match place(name)? {
            Place::Broker(stat) if key == &*self.cluster => self.broker.get(stat as usize),
            Place::Broker(_) => None,
            Place::Topic(stat) => self.topics.get(key)?.items.get(stat as usize),
            Place::Queue(stat) => {
                let (topic, queue) = key.rsplit_once('@')?;
                self.topics.get(topic)?.queues.get(&queue.parse().ok()?)?.get(stat as usize)
            }
            Place::QueueFirst(stat) => {
                let (queue, topic) = key.split_once('@')?;
                self.topics.get(topic)?.queues.get(&queue.parse().ok()?)?.get(stat as usize)
            }
            Place::Group(stat) => {
                let (topic, group) = key.split_once('@')?;
                self.topics.get(topic)?.groups.get(group)?.items.get(stat as usize)
            }
            Place::GroupQueue(stat) => {
                let (topic, rest) = key.split_once('@')?;
                let (queue, group) = rest.split_once('@')?;
                self.group_queue(topic, queue, group)?.get(stat as usize)
            }
            Place::GroupQueueFirst(stat) => {
                let (queue, rest) = key.split_once('@')?;
                let (topic, group) = rest.split_once('@')?;
                self.group_queue(topic, queue, group)?.get(stat as usize)
            }
        };
        Some(item?.data(now))
    }

    fn group_queue(&self, topic: &str, queue: &str, group: &str) -> Option<&Items<3>> {
        self.topics.get(topic)?.groups.get(group)?.queues.get(&queue.parse().ok()?)
    }

    /// Messages per second put into a topic, over the last minute (request 202).
    pub fn topic_put_tps(&self, now: Millis, topic: &str) -> f64 {
        self.view(now, "TOPIC_PUT_NUMS", topic).map_or(0.0, |data| data.minute.tps)
    }

    /// Messages per second a group takes from a topic, over the last minute (request 208).
    pub fn group_get_tps(&self, now: Millis, topic: &str, group: &str) -> f64 {
        let items = self.topics.get(topic).and_then(|topic| topic.groups.get(group));
        let item = items.and_then(|group| group.items.get(GroupStat::GetNums as usize));
        item.map_or(0.0, |item| item.data(now).minute.tps)
    }

    /// Forgets a deleted topic.
    pub fn delete_topic(&mut self, topic: &str) {
        self.topics.remove(topic);
        self.count_places();
    }

    /// Forgets a deleted group.
    pub fn delete_group(&mut self, group: &str) {
        for topic in self.topics.values_mut() {
            topic.groups.remove(group);
        }
        self.count_places();
    }

    fn count_places(&mut self) {
        let groups = |group: &GroupItems| 1 + group.queues.len();
        let topics = |topic: &TopicItems| {
            1 + topic.queues.len() + topic.groups.values().map(groups).sum::<usize>()
        };
        self.places = self.topics.values().map(topics).sum();
    }
}
