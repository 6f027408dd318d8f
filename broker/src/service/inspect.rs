//! What administrators ask about topics, groups and queues. All of it may read the disk.

use crate::service::Broker;
use crate::service::pull::queue_number;
use rmq_delivery::clients::{ConsumerGroup, Member, Subscription};
use rmq_delivery::offsets::GroupOffsets;
use rmq_delivery::runtime::{self, Lag, QueueProgress, QueueReader, QueueStats, TimeSpan};
use rmq_delivery::stats::StatsData;
use rmq_model::Millis;
use rmq_model::client::SubscriptionData;
use rmq_model::topic::TopicConfig;
use rmq_store::UnitView;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The store, as the computations read it.
pub(crate) struct Reader<'a>(pub(crate) &'a Broker);

impl QueueReader for Reader<'_> {
    fn min_offset(&self, topic: &str, queue: u32) -> i64 {
        self.0.min_offset(topic, queue)
    }
    fn max_offset(&self, topic: &str, queue: u32) -> i64 {
        self.0.max_offset(topic, queue)
    }
    fn store_time(&self, topic: &str, queue: u32, offset: i64) -> Option<Millis> {
        self.0.store_time(topic, queue, offset)
    }
}

/// How far a group is in one topic.
#[derive(Clone, Debug)]
pub struct TopicProgress {
    /// Topic.
    pub topic: Arc<str>,
    /// Its read queues.
    pub queues: Vec<QueueProgress>,
    /// Messages per second over the last minute.
    pub tps: f64,
}

/// A group as its members describe it.
#[derive(Clone, Debug)]
pub struct GroupView {
    /// Members.
    pub members: Vec<Member>,
    /// Subscriptions.
    pub subscriptions: Vec<SubscriptionData>,
    /// How they take messages.
    pub consume_type: rmq_model::client::ConsumeType,
    /// Who gets a message.
    pub model: rmq_model::client::MessageModel,
    /// Where they begin without offset.
    pub from_where: rmq_model::client::ConsumeFromWhere,
}

/// A queue entry (request 321).
#[derive(Clone, Debug)]
pub struct QueueEntry {
    /// Place in the log.
    pub log_offset: u64,
    /// Length of the record.
    pub size: u32,
    /// What the queue filters by.
    pub tags_code: i64,
    /// Whether the filter of the group that was named wants it.
    pub wanted: bool,
}

impl Broker {
    /// Queues of a topic; `None` for an unknown topic (request 202).
    pub fn topic_stats(&self, topic: &str) -> Option<(Vec<QueueStats>, f64)> {
        let config = self.topics.get(topic)?;
        let queues = runtime::topic_stats(&Reader(self), &config);
        let tps = self.traffic.stats().topic_put_tps(self.now(), topic);
        Some((queues, tps))
    }

    /// Progress of a group on the topics asked for, or on all it has offsets on (request 208).
    pub fn consume_stats(&self, group: &str, topics: &[&str]) -> Vec<TopicProgress> {
        let names: BTreeSet<Arc<str>> = if topics.is_empty() {
            self.offsets.lock().topics_of_group(group)
        } else {
            topics.iter().map(|topic| Arc::from(*topic)).collect()
        };
        let names: Vec<_> = {
            let clients = self.clients.read();
            let online = clients.consumer_group(group);
            let reported = |topic: &Arc<str>| runtime::reports_topic(online, topic);
            names.into_iter().filter(reported).collect()
        };
        let mut progress = Vec::new();
        for name in names {
            let Some(config) = self.topics.get(&name) else { continue };
            progress.push(self.progress_of(group, &config));
        }
        progress
    }

    fn progress_of(&self, group: &str, topic: &Arc<TopicConfig>) -> TopicProgress {
        let offsets = self.offsets_of(group, &topic.topic_name);
        let queues = runtime::consume_stats(&Reader(self), &offsets, topic);
        let tps = self.traffic.stats().group_get_tps(self.now(), &topic.topic_name, group);
        TopicProgress { topic: Arc::clone(&topic.topic_name), queues, tps }
    }

    /// Progress of every group on every topic it has offsets on, order topics or the others
    /// (request 317).
    pub fn all_consume_stats(&self, ordered: bool) -> BTreeMap<Arc<str>, Vec<TopicProgress>> {
        let pairs: Vec<(Arc<str>, Arc<str>)> = {
            let offsets = self.offsets.lock();
            offsets.pairs().map(|(group, topic)| (Arc::clone(group), Arc::clone(topic))).collect()
        };
        let mut all: BTreeMap<Arc<str>, Vec<TopicProgress>> = BTreeMap::new();
        for (group, topic) in pairs {
            if self.groups.get(&group).is_none() {
                continue;
            }
            let Some(config) = self.topics.get(&topic).filter(|config| config.order == ordered)
            else {
                continue;
            };
            let subscribed = {
                let clients = self.clients.read();
                runtime::reports_topic(clients.consumer_group(&group), &topic)
            };
            if subscribed {
                let progress = self.progress_of(&group, &config);
                all.entry(group).or_default().push(progress);
            }
        }
        all
    }

    /// How far a group is behind on a topic.
    pub(crate) fn lag_of(&self, group: &str, topic: &TopicConfig) -> Lag {
        let offsets = self.offsets_of(group, &topic.topic_name);
        runtime::lag(&Reader(self), &offsets, topic)
    }

    /// A copy: commits go on while the log is read.
    fn offsets_of(&self, group: &str, topic: &str) -> GroupOffsets {
        self.offsets.lock().of(group, topic)
    }

    /// Groups and the topics they have offsets on.
    pub(crate) fn consuming_pairs(&self) -> Vec<(Arc<str>, Arc<str>)> {
        let offsets = self.offsets.lock();
        offsets.pairs().map(|(group, topic)| (Arc::clone(group), Arc::clone(topic))).collect()
    }

    /// A group's members and what they want; `None` when nobody is online (request 203).
    pub fn group_view(&self, group: &str) -> Option<GroupView> {
        let clients = self.clients.read();
        let group: &ConsumerGroup = clients.consumer_group(group)?;
        let data = |subscription: &Arc<Subscription>| subscription.data.clone();
        Some(GroupView {
            members: group.members().cloned().collect(),
            subscriptions: group.subscriptions().map(data).collect(),
            consume_type: group.consume_type,
            model: group.model,
            from_where: group.from_where,
        })
    }

    /// All groups with members.
    pub fn group_views(&self) -> Vec<(Arc<str>, GroupView)> {
        let names: Vec<Arc<str>> = {
            let clients = self.clients.read();
            clients.consumer_groups().map(|(name, _)| Arc::clone(name)).collect()
        };
        names
            .into_iter()
            .filter_map(|name| Some((Arc::clone(&name), self.group_view(&name)?)))
            .collect()
    }

    /// What a group wants of a topic (request 345).
    pub fn subscription(&self, group: &str, topic: &str) -> Option<SubscriptionData> {
        self.clients.read().subscription(group, topic).map(|found| found.data.clone())
    }

    /// Producers of a group; `None` when nobody is online (request 204).
    pub fn producers(&self, group: &str) -> Option<Vec<Member>> {
        let clients = self.clients.read();
        clients.producer_group(group).map(|group| group.members().cloned().collect())
    }

    /// All producers by group (request 328).
    pub fn all_producers(&self) -> BTreeMap<Arc<str>, Vec<Member>> {
        let clients = self.clients.read();
        let members = clients
            .producer_groups()
            .map(|(name, group)| (Arc::clone(name), group.members().cloned().collect()));
        members.collect()
    }

    /// Groups that consume a topic: those online and those with offsets (request 300).
    pub fn groups_of_topic(&self, topic: &str) -> BTreeSet<Arc<str>> {
        let mut groups = self.offsets.lock().groups_of_topic(topic);
        groups.extend(self.clients.read().groups_of_topic(topic).cloned());
        groups
    }

    /// Topics a group consumes: those it subscribes to and those it has offsets on (request 343).
    pub fn topics_of_group(&self, group: &str) -> BTreeSet<Arc<str>> {
        let mut topics = self.offsets.lock().topics_of_group(group);
        let clients = self.clients.read();
        if let Some(group) = clients.consumer_group(group) {
            topics.extend(group.subscriptions().map(|found| Arc::clone(&found.data.topic)));
        }
        topics
    }

    /// Times of the queues of a topic as a group sees them; `None` for an unknown topic
    /// (request 303).
    pub fn time_spans(&self, topic: &str, group: &str) -> Option<Vec<TimeSpan>> {
        let config = self.topics.get(topic)?;
        let offsets = self.offsets_of(group, topic);
        Some(runtime::time_spans(self.now(), &Reader(self), &offsets, &config))
    }

    /// Where groups may be corrected to (request 308).
    pub fn correction_offsets(
        &self,
        topic: &str,
        groups: &[&str],
        compare: &str,
    ) -> BTreeMap<i32, i64> {
        let offsets = self.offsets.lock();
        runtime::correction_offsets(&offsets, topic, groups, Some(compare))
    }

    /// One counted item; `None` before its first event (request 315).
    pub fn stats_item(&self, name: &str, key: &str) -> Option<StatsData> {
        self.traffic.stats().view(self.now(), name, key)
    }

    /// Entries of a queue, with what the filter of a group says to them (request 321).
    pub fn queue_entries(
        &self,
        topic: &str,
        queue: u32,
        from: i64,
        count: u32,
        group: Option<&str>,
    ) -> Vec<QueueEntry> {
        let filter = group.and_then(|group| {
            let clients = self.clients.read();
            let found = clients.subscription(group, topic).map(Arc::clone)?;
            found.matcher.clone().ok()
        });
        let from = u64::try_from(from).unwrap_or(0);
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        let units = self.store.tags_codes(topic, queue, from, count).unwrap_or_default();
        let entry = |unit: UnitView| QueueEntry {
            log_offset: unit.log_offset.0,
            size: unit.bytes,
            tags_code: unit.tags_code,
            wanted: filter.as_ref().is_some_and(|filter| filter.accepts(unit.tags_code)),
        };
        units.into_iter().map(entry).collect()
    }

    /// Delay levels: level, delivered up to, end of the level's queue.
    pub(crate) fn delay_queues(&self) -> Vec<(u32, i64, i64)> {
        let progress = self.delay_progress().offset_table;
        let end = |level: u32| {
            self.max_offset(rmq_model::name::SCHEDULE_TOPIC, level.saturating_sub(1)).max(0)
        };
        (1..=self.levels.count())
            .map(|level| (level, progress.get(&level).copied().unwrap_or(0), end(level)))
            .collect()
    }

    /// Number of a queue as requests carry it.
    pub fn number(queue: u32) -> i32 {
        queue_number(queue)
    }
}
