//! Progress, lag and times over queues in memory.

use super::*;
use crate::clients::{ClientInfo, Clients, ConnId, ConsumerEntry, HeartbeatForm};
use crate::filter::PropertyFilter;
use crate::offsets::OffsetTable;
use rmq_model::client::{ConsumeFromWhere, ConsumeType, MessageModel, SubscriptionData};
use rmq_model::peer::{Language, ProtocolVersion};
use rmq_model::{DataVersion, Permission};
use std::sync::Arc;

/// Queues of the topic `T`: first offset and end; message n was stored at n seconds.
struct Queues(Vec<(i64, i64)>);

impl Queues {
    fn get(&self, topic: &str, queue: u32) -> Option<(i64, i64)> {
        assert_eq!(topic, "T");
        self.0.get(usize::try_from(queue).unwrap()).copied()
    }
}

impl QueueReader for Queues {
    fn min_offset(&self, topic: &str, queue: u32) -> i64 {
        self.get(topic, queue).map_or(-1, |(min, _)| min)
    }

    fn max_offset(&self, topic: &str, queue: u32) -> i64 {
        self.get(topic, queue).map_or(-1, |(_, max)| max)
    }

    fn store_time(&self, topic: &str, queue: u32, offset: i64) -> Option<Millis> {
        let (min, max) = self.get(topic, queue)?;
        (min <= offset && offset < max).then_some(offset * 1_000)
    }
}

fn topic(read: u32, write: u32) -> TopicConfig {
    TopicConfig {
        read_queue_nums: read,
        write_queue_nums: write,
        ..TopicConfig::new("T", 1, Permission::READ_WRITE)
    }
}

fn offsets(committed: &[(i32, i64)]) -> Offsets {
    let table: OffsetTable = [("T@G".to_owned(), committed.iter().copied().collect())].into();
    Offsets::from_table(&table, DataVersion::default()).0
}

fn of_group(offsets: &Offsets) -> GroupOffsets {
    offsets.of("G", "T")
}

#[test]
fn stats_of_a_topic_cover_all_its_queues() {
    let store = Queues(vec![(2, 10), (0, 0)]);
    let stats = |queue, min, max, last_update| QueueStats { queue, min, max, last_update };
    let want = [stats(0, 2, 10, 9_000), stats(1, 0, 0, 0), stats(2, 0, 0, 0)];
    assert_eq!(topic_stats(&store, &topic(2, 3)), want);
    assert_eq!(topic_stats(&store, &topic(3, 1)), want);
}

#[test]
fn progress_of_a_group() {
    let store = Queues(vec![(0, 10), (5, 10), (0, 0)]);
    let mut offsets = offsets(&[(0, 4), (1, 3)]);
    offsets.pulled("G", "T", 0, 6);
    let got = consume_stats(&store, &of_group(&offsets), &topic(3, 1));
    let progress = |queue, broker_offset, consumer_offset, pull_offset, last_timestamp| {
        QueueProgress { queue, broker_offset, consumer_offset, pull_offset, last_timestamp }
    };
    // The message before offset 3 of queue 1 is no longer there.
    let want = [progress(0, 10, 4, 6, 3_000), progress(1, 10, 3, 3, 0), progress(2, 0, 0, 0, 0)];
    assert_eq!(got, want);
    let numbers: Vec<_> = got.iter().map(|one| (one.lag(), one.in_flight())).collect();
    assert_eq!(numbers, [(6, 2), (7, 0), (0, 0)]);
}

#[test]
fn a_consumer_ahead_of_the_queue_has_no_lag() {
    let store = Queues(vec![(0, 10)]);
    let got = consume_stats(&store, &of_group(&offsets(&[(0, 99)])), &topic(1, 1));
    assert_eq!(got.first().map(QueueProgress::lag), Some(0));
    assert_eq!(lag(&store, &of_group(&offsets(&[(0, 99)])), &topic(1, 1)), Lag::default());
}

#[test]
fn lag_counts_what_is_still_there() {
    let store = Queues(vec![(0, 10), (5, 10)]);
    let mut offsets = offsets(&[(0, 4), (1, 3)]);
    offsets.pulled("G", "T", 0, 6);
    let want = Lag {
        messages: 6 + 5,
        in_flight: 2,
        ready: 4 + 5,
        oldest: Some(4_000),
        oldest_ready: Some(5_000),
    };
    assert_eq!(lag(&store, &of_group(&offsets), &topic(2, 2)), want);
    offsets.pulled("G", "T", 1, 10);
    let got = lag(&store, &of_group(&offsets), &topic(2, 2));
    assert_eq!((got.oldest, got.oldest_ready), (Some(4_000), Some(6_000)));
    offsets.pulled("G", "T", 0, 10);
    assert_eq!(lag(&store, &of_group(&offsets), &topic(2, 2)).oldest_ready, None);
}

#[test]
fn an_online_group_reports_what_it_subscribes_to() {
    let mut clients = Clients::default();
    let client = Arc::new(ClientInfo {
        client_id: "c".into(),
        language: Language::Java,
        version: ProtocolVersion::CURRENT,
        addr: ([127, 0, 0, 1], 1).into(),
    });
    let mut join = |group: &str, topics: &[&str]| {
        let wants =
            |topic: &&str| SubscriptionData { topic: (*topic).into(), ..Default::default() };
        let entry = ConsumerEntry {
            group: group.into(),
            consume_type: ConsumeType::Passively,
            model: MessageModel::Clustering,
            from_where: ConsumeFromWhere::default(),
            subscriptions: topics.iter().map(wants).collect(),
        };
        let form = HeartbeatForm::V1;
        let off = PropertyFilter::Off;
        clients
            .register_consumer(0, ConnId(1), &client, &entry, form, true, off, &mut Vec::new())
            .unwrap();
    };
    join("G", &["T"]);
    join("H", &[]);
    assert!(reports_topic(None, "T"), "offline");
    assert!(reports_topic(clients.consumer_group("G"), "T"));
    assert!(!reports_topic(clients.consumer_group("G"), "U"));
    assert!(reports_topic(clients.consumer_group("H"), "U"), "subscribes to nothing");
}

#[test]
fn time_spans_of_the_write_queues() {
    let store = Queues(vec![(2, 10), (2, 10), (2, 10), (0, 0)]);
    let offsets = offsets(&[(0, 5), (1, 10)]);
    let span =
        |queue, min, max, consumed, delay_ms| TimeSpan { queue, min, max, consumed, delay_ms };
    assert_eq!(
        time_spans(20_000, &store, &of_group(&offsets), &topic(1, 4)),
        [
            span(0, 2_000, 9_000, 4_000, 15_000),
            span(1, 2_000, 9_000, 9_000, 0),
            span(2, 2_000, 9_000, 2_000, 18_000),
            span(3, -1, -1, -1, 0),
        ]
    );
}

#[test]
fn corrections_follow_the_slowest_other_group() {
    let queues = |pairs: &[(i32, i64)]| pairs.iter().copied().collect();
    let table: OffsetTable = [
        ("T@A".to_owned(), queues(&[(0, 5), (1, 9)])),
        ("T@B".to_owned(), queues(&[(0, 7), (1, 3)])),
        ("T@Slow".to_owned(), queues(&[(0, 1), (1, 1)])),
        ("T@Me".to_owned(), queues(&[(0, 6), (1, 2), (2, 4)])),
        ("U@C".to_owned(), queues(&[(0, 0)])),
    ]
    .into();
    let (offsets, _) = Offsets::from_table(&table, DataVersion::default());
    let map = |pairs: &[(i32, i64)]| pairs.iter().copied().collect::<BTreeMap<_, _>>();
    let without = |excluded: &[&str], compare| correction_offsets(&offsets, "T", excluded, compare);
    assert_eq!(without(&["Slow", "Me"], None), map(&[(0, 5), (1, 3)]));
    assert_eq!(without(&["Slow", "Me"], Some("Me")), map(&[(0, 5), (1, i64::MAX)]));
    assert_eq!(without(&["Me"], Some("absent")), map(&[(0, 1), (1, 1)]));
    assert_eq!(without(&[], None), map(&[(0, 1), (1, 1), (2, 4)]));
}
