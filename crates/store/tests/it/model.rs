//! The store does what a few vectors do.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use crate::support::*;
use proptest::prelude::*;
use rmq_model::Clock;
use rmq_store::{Observers, ReadLimits, ReadStatus, Store};
use rmq_testkit::clock::FakeClock;
use rmq_testkit::disk::FaultDisk;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

#[derive(Clone, Debug)]
enum Step {
    Put { queues: Vec<(u8, u16)> },
    Batch { queue: u8, count: u8 },
    Read { queue: u8, from: i8, tag: Option<bool> },
    ByTime { queue: u8, seconds: u8 },
    Query { serial: u8 },
    Delete { topic: u8 },
    Flush,
    Close,
    Crash,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => prop::collection::vec((0u8..4, 0u16..600), 1..6)
            .prop_map(|queues| Step::Put { queues }),
        2 => (0u8..4, 1u8..6).prop_map(|(queue, count)| Step::Batch { queue, count }),
        4 => (0u8..5, -2i8..60, prop::option::of(any::<bool>()))
            .prop_map(|(queue, from, tag)| Step::Read { queue, from, tag }),
        2 => (0u8..4, 0u8..80).prop_map(|(queue, seconds)| Step::ByTime { queue, seconds }),
        2 => any::<u8>().prop_map(|serial| Step::Query { serial }),
        1 => (0u8..2).prop_map(|topic| Step::Delete { topic }),
        1 => Just(Step::Flush),
        1 => Just(Step::Close),
        1 => Just(Step::Crash),
    ]
}

#[derive(Clone, Debug, PartialEq)]
struct Kept {
    body: String,
    odd: bool,
    time: i64,
}

/// Two topics with two queues each.
fn name(queue: u8) -> (&'static str, u32) {
    (["T", "U", "V"][usize::from(queue / 2)], u32::from(queue % 2))
}

#[derive(Default)]
struct Model {
    queues: BTreeMap<(&'static str, u32), Vec<Kept>>,
    serial: usize,
}

impl Model {
    fn make(&mut self, queue: u8, width: usize, time: i64) -> rmq_record::Message {
        let (topic, id) = name(queue);
        let odd = self.serial % 2 == 1;
        let body = format!("{:0>width$}", self.serial);
        let key = format!("k{}", self.serial);
        self.serial += 1;
        let tag = if odd { "odd" } else { "even" };
        let message = with_properties(topic, id, &body, &[("TAGS", tag), ("UNIQ_KEY", &key)]);
        self.queues.entry((topic, id)).or_default().push(Kept { body, odd, time });
        message
    }
}

fn check_read(store: &Store, model: &Model, queue: u8, from: i64, tag: Option<bool>) {
    let (topic, id) = name(queue);
    let want_code = |odd| rmq_record::tags_code(if odd { "odd" } else { "even" });
    let mut want = |code| tag.is_none_or(|odd| code == want_code(odd));
    let result = store.read(topic, id, from, ReadLimits::default(), &mut want).unwrap();
    let Some(kept) = model.queues.get(&(topic, id)) else {
        assert_eq!(result.status, ReadStatus::NoMatchedLogicQueue);
        return;
    };
    let max = i64::try_from(kept.len()).unwrap();
    assert_eq!((result.min_offset, result.max_offset), (0, max));
    let status = match from {
        _ if from < 0 => ReadStatus::OffsetTooSmall,
        _ if from == max => ReadStatus::OffsetOverflowOne,
        _ if from > max => ReadStatus::OffsetOverflowBadly,
        _ => {
            let from = usize::try_from(from).unwrap();
            let wanted: Vec<(usize, &Kept)> = kept
                .iter()
                .enumerate()
                .skip(from)
                .filter(|(_, kept)| tag.is_none_or(|odd| kept.odd == odd))
                .collect();
            let full = wanted.len() > 32;
            let bodies: Vec<&str> =
                wanted.iter().take(32).map(|(_, kept)| kept.body.as_str()).collect();
            let got: Vec<String> = rmq_record::layout::records(&result.records)
                .map(|record| String::from_utf8(record.unwrap().body.to_vec()).unwrap())
                .collect();
            assert_eq!(got, bodies);
            if !full {
                assert_eq!(result.next_offset, max);
            }
            if bodies.is_empty() { ReadStatus::NoMatchedMessage } else { ReadStatus::Found }
        }
    };
    assert_eq!(result.status, status, "from {from} of {max}");
}

fn run(steps: &[Step]) {
    let clock = Arc::new(FakeClock::default());
    let disk = FaultDisk::default();
    let open = || {
        let clock: Arc<dyn Clock> = clock.clone();
        Store::open(config(root()), disk.clone(), clock, Observers::none()).unwrap()
    };
    let mut store = Some(open());
    let mut model = Model::default();
    for step in steps {
        let Some(open_store) = &store else { return };
        clock.advance(Duration::from_secs(1));
        let now = clock.now();
        match step {
            Step::Put { queues } => {
                let messages: Vec<_> = queues
                    .iter()
                    .map(|(queue, width)| model.make(*queue, usize::from(*width), now))
                    .collect();
                assert!(put_all(open_store, &messages).iter().all(Result::is_ok));
            }
            Step::Batch { queue, count } => {
                let messages: Vec<_> = (0..*count).map(|_| model.make(*queue, 50, now)).collect();
                put_batch(open_store, &messages).unwrap();
            }
            Step::Read { queue, from, tag } => {
                check_read(open_store, &model, *queue, i64::from(*from), *tag);
            }
            Step::ByTime { queue, seconds } => {
                let (topic, id) = name(*queue);
                let time = START + i64::from(*seconds) * 1000;
                let at = |boundary| open_store.offset_by_time(topic, id, time, boundary).unwrap();
                let none = Vec::new();
                let kept = model.queues.get(&(topic, id)).unwrap_or(&none);
                let lower = kept.iter().filter(|kept| kept.time < time).count();
                let upper = kept.iter().filter(|kept| kept.time <= time).count();
                assert_eq!(at(rmq_store::Boundary::Lower), i64::try_from(lower).unwrap());
                let upper = upper.saturating_sub(1);
                assert_eq!(at(rmq_store::Boundary::Upper), i64::try_from(upper).unwrap());
            }
            Step::Query { serial } => {
                let serial = usize::from(*serial) % (model.serial + 1);
                let key = format!("k{serial}");
                let mut found = 0;
                for topic in ["T", "U"] {
                    let result = open_store.query(topic, &key, 9, 0, i64::MAX).unwrap();
                    found += result.records.len();
                }
                // A deleted topic's messages are still in the log and its index.
                assert_eq!(found, usize::from(serial < model.serial), "{key}");
            }
            Step::Delete { topic } => {
                let topic = ["T", "U"][usize::from(*topic)];
                let had = model.queues.keys().any(|(other, _)| *other == topic);
                open_store.flush().unwrap();
                assert_eq!(open_store.delete_topic(topic).unwrap(), had);
                model.queues.retain(|(other, _), _| *other != topic);
            }
            Step::Flush => open_store.flush().unwrap(),
            Step::Close => {
                if let Some(store) = store.take() {
                    store.close().unwrap();
                }
                store = Some(open());
            }
            Step::Crash => {
                drop(store.take());
                store = Some(open());
            }
        }
    }
    let Some(store) = store else { return };
    for ((topic, id), kept) in &model.queues {
        let want: Vec<&str> = kept.iter().map(|kept| kept.body.as_str()).collect();
        assert_eq!(bodies(&store, topic, *id), want);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 120, ..ProptestConfig::default() })]

    #[test]
    fn the_store_is_a_few_vectors(steps in prop::collection::vec(step(), 1..40)) {
        run(&steps);
    }
}
