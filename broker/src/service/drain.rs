//! Whether everything stored here has been consumed, so that the broker can go.

use super::Broker;
use rmq_model::name::{RETRY_PREFIX, is_system_group, is_system_topic};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// Most topics and groups that are named.
pub const NAMED_MAX: usize = 10;

/// What may be left behind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ignored {
    /// Consumer groups.
    pub groups: BTreeSet<String>,
    /// Topics.
    pub topics: BTreeSet<String>,
}

/// A group that has not consumed all of a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Behind {
    /// Topic.
    pub topic: Arc<str>,
    /// Group.
    pub group: Arc<str>,
    /// Messages that are left.
    pub messages: u64,
}

/// What is left to consume.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Left {
    /// The furthest behind, at most [`NAMED_MAX`].
    pub behind: Vec<Behind>,
    /// How many there are.
    pub behind_pairs: u64,
    /// Messages that they have left.
    pub behind_messages: u64,
    /// Topics with messages that nobody ever consumed, at most [`NAMED_MAX`].
    pub unconsumed: Vec<Arc<str>>,
    /// How many there are.
    pub unconsumed_total: u64,
    /// Messages that wait for their time.
    pub delayed: u64,
    /// For how long nothing has been left.
    pub empty_for: Option<Duration>,
}

/// Since when nothing was seen to be left.
#[derive(Clone, Debug)]
pub(super) struct Empty {
    ignored: Ignored,
    since: Duration,
    /// End of the log then: what was stored after that begins the time anew.
    log_end: u64,
}

/// Topics with the messages of their queues.
type Queues = Vec<(Arc<str>, Vec<(u32, Span)>)>;

/// Messages of one queue: its first offset and the one after its last.
#[derive(Clone, Copy, Debug)]
struct Span {
    min: i64,
    max: i64,
}

impl Span {
    /// How many are left to who has come to `offset`; what was deleted is not.
    fn left(self, offset: i64) -> u64 {
        let from = offset.max(self.min).max(0);
        u64::try_from(self.max.saturating_sub(from)).unwrap_or(0)
    }
}

/// Counts over the topics of a store: `committed` gives the offset of a group on a queue.
fn count<'a>(
    topics: impl Iterator<Item = (&'a Arc<str>, &'a [(u32, Span)])>,
    consumers: &BTreeMap<Arc<str>, BTreeSet<Arc<str>>>,
    ignored: &Ignored,
    committed: impl Fn(&str, &str, u32) -> Option<i64>,
) -> Left {
    let mut left = Left::default();
    let mut behind = Vec::new();
    for (topic, queues) in topics {
        let stored: u64 = queues.iter().map(|(_, span)| span.left(0)).sum();
        let retry_of = topic.strip_prefix(RETRY_PREFIX);
        let skip = stored == 0
            || is_system_topic(topic)
            || ignored.topics.contains(&**topic)
            || retry_of.is_some_and(|group| ignored.groups.contains(group));
        if skip {
            continue;
        }
        let groups = consumers.get(topic).map(|groups| groups.iter()).into_iter().flatten();
        let groups: Vec<&Arc<str>> = groups.filter(|group| !is_system_group(group)).collect();
        if groups.is_empty() {
            left.unconsumed_total = left.unconsumed_total.saturating_add(1);
            if left.unconsumed.len() < NAMED_MAX {
                left.unconsumed.push(Arc::clone(topic));
            }
        }
        for group in groups.into_iter().filter(|group| !ignored.groups.contains(&***group)) {
            let of = |(queue, span): &(u32, Span)| {
                span.left(committed(group, topic, *queue).unwrap_or(0))
            };
            let messages: u64 = queues.iter().map(of).sum();
            if 0 < messages {
                let (topic, group) = (Arc::clone(topic), Arc::clone(group));
                behind.push(Behind { topic, group, messages });
            }
        }
    }
    left.behind_pairs = u64::try_from(behind.len()).unwrap_or(u64::MAX);
    left.behind_messages = behind.iter().map(|one| one.messages).sum();
    behind.sort_by(|one, other| {
        let by_name = || (&one.topic, &one.group).cmp(&(&other.topic, &other.group));
        other.messages.cmp(&one.messages).then_with(by_name)
    });
    behind.truncate(NAMED_MAX);
    left.behind = behind;
    left
}

impl Broker {
    /// What is left to consume. Looks at every queue: may take a while.
    pub fn left_to_consume(&self, ignored: &Ignored) -> Left {
        let log_end = self.store.status().log_max.0;
        let mut topics: Queues = Vec::new();
        for topic in self.store.topics() {
            // The queues of a deleted topic cannot be consumed any more.
            if self.topics.get(&topic).is_none() {
                continue;
            }
            let span = |queue| {
                let (min, max) = (self.min_offset(&topic, queue), self.max_offset(&topic, queue));
                (queue, Span { min, max })
            };
            let queues = self.store.queues(&topic).into_iter().map(span).collect();
            topics.push((topic, queues));
        }
        topics.sort_by(|one, other| one.0.cmp(&other.0));
        let mut consumers: BTreeMap<Arc<str>, BTreeSet<Arc<str>>> = BTreeMap::new();
        for (group, topic) in self.consuming_pairs() {
            consumers.entry(topic).or_default().insert(group);
        }
        let committed = |group: &str, topic: &str, queue: u32| {
            let queue = i32::try_from(queue).ok()?;
            self.offsets.lock().query(group, topic, queue)
        };
        let all = topics.iter().map(|(topic, queues)| (topic, queues.as_slice()));
        let mut left = count(all, &consumers, ignored, committed);
        left.delayed = self
            .delay_queues()
            .into_iter()
            .map(|(_, delivered, end)| u64::try_from(end.saturating_sub(delivered)).unwrap_or(0))
            .sum();
        left.empty_for = self.empty_for(&left, ignored, log_end);
        left
    }

    fn empty_for(&self, left: &Left, ignored: &Ignored, log_end: u64) -> Option<Duration> {
        let mut seen = self.drained.lock();
        if 0 < left.behind_pairs || 0 < left.unconsumed_total || 0 < left.delayed {
            *seen = None;
            return None;
        }
        let now = self.clock.monotonic();
        let same = |empty: &&Empty| empty.log_end == log_end && empty.ignored == *ignored;
        let since = seen.as_ref().filter(same).map_or(now, |empty| empty.since);
        *seen = Some(Empty { ignored: ignored.clone(), since, log_end });
        Some(now.saturating_sub(since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topics(all: &[(&str, &[(i64, i64)])]) -> Queues {
        let queues = |spans: &[(i64, i64)]| {
            (0..).zip(spans).map(|(id, (min, max))| (id, Span { min: *min, max: *max })).collect()
        };
        all.iter().map(|(topic, spans)| (Arc::from(*topic), queues(spans))).collect()
    }

    fn consumers(pairs: &[(&str, &str)]) -> BTreeMap<Arc<str>, BTreeSet<Arc<str>>> {
        let mut all: BTreeMap<Arc<str>, BTreeSet<Arc<str>>> = BTreeMap::new();
        for (topic, group) in pairs {
            all.entry((*topic).into()).or_default().insert((*group).into());
        }
        all
    }

    fn left(topics: &Queues, pairs: &[(&str, &str)], ignored: &Ignored, at: &[i64]) -> Left {
        let all = topics.iter().map(|(topic, queues)| (topic, queues.as_slice()));
        let committed =
            |_: &str, _: &str, queue: u32| at.get(usize::try_from(queue).expect("small")).copied();
        count(all, &consumers(pairs), ignored, committed)
    }

    #[test]
    fn every_group_must_have_come_to_the_end_of_every_queue() {
        let topics = topics(&[("T", &[(0, 5), (3, 9)])]);
        let none = Ignored::default();
        // Offsets on queues 0 and 1, and how many messages are left; what was deleted is not left.
        for (at, messages) in
            [(&[5, 9][..], 0), (&[4, 9], 1), (&[5, 0], 6), (&[5], 6), (&[], 11), (&[9, 99], 0)]
        {
            let left = left(&topics, &[("T", "g")], &none, at);
            assert_eq!(left.behind_messages, messages, "{at:?}");
            assert_eq!(left.behind_pairs, u64::from(0 < messages));
        }
    }

    #[test]
    fn topics_that_nobody_consumes_are_left_too() {
        let topics = topics(&[
            ("%DLQ%g", &[(0, 1)]),
            ("%RETRY%g", &[(0, 0)]),
            ("A", &[(0, 1)]),
            ("B", &[(4, 4)]),
            ("SCHEDULE_TOPIC_XXXX", &[(0, 7)]),
        ]);
        let found = left(&topics, &[], &Ignored::default(), &[]);
        assert_eq!(found.unconsumed, ["%DLQ%g".into(), Arc::<str>::from("A")]);
        assert_eq!(found.unconsumed_total, 2);
        let ignored =
            Ignored { topics: ["%DLQ%g", "A"].map(str::to_owned).into(), ..Ignored::default() };
        assert_eq!(left(&topics, &[], &ignored, &[]), Left::default());
    }

    #[test]
    fn ignored_groups_may_be_left_behind_with_their_retries() {
        let topics = topics(&[("%RETRY%slow", &[(0, 2)]), ("T", &[(0, 5)])]);
        let ignored = Ignored { groups: ["slow".to_owned()].into(), ..Ignored::default() };
        let pairs = [("T", "slow"), ("%RETRY%slow", "slow")];
        assert_eq!(left(&topics, &pairs, &ignored, &[0]), Left::default());
        let all = left(&topics, &pairs, &Ignored::default(), &[0]);
        assert_eq!((all.behind_pairs, all.behind_messages), (2, 7));
    }

    #[test]
    fn the_furthest_behind_are_named() {
        let names: Vec<String> = (0..20).map(|n| format!("T{n:02}")).collect();
        let spans: Vec<[(i64, i64); 1]> = (0..20).map(|n| [(0, n)]).collect();
        let all: Vec<(&str, &[(i64, i64)])> =
            names.iter().zip(&spans).map(|(name, spans)| (name.as_str(), &spans[..])).collect();
        let pairs: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "g")).collect();
        let left = left(&topics(&all), &pairs, &Ignored::default(), &[0]);
        assert_eq!((left.behind.len(), left.behind_pairs), (NAMED_MAX, 19));
        assert_eq!(left.behind.first().map(|one| (&*one.topic, one.messages)), Some(("T19", 19)));
        assert_eq!(left.behind_messages, (1..20).sum::<u64>());
    }
}
