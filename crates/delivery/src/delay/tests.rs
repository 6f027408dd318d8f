//! Level tables, rewriting, and the scheduler against a queue in memory.

use super::scheduler::*;
use super::*;
use proptest::prelude::*;
use rmq_model::DataVersion;
use rmq_record::properties::{get, text};
use std::collections::{BTreeMap, BTreeSet};

const NOW: Millis = 1_700_000_000_000;

#[test]
fn level_tables() {
    let levels = |text: &str| Levels::parse(text).map(|levels| levels.delays_ms().to_vec());
    assert_eq!(Levels::parse(DEFAULT_LEVELS), Ok(Levels::default()));
    assert_eq!(levels("1s"), Ok(vec![1_000]));
    assert_eq!(levels("  2m   3h\t1d "), Ok(vec![120_000, 10_800_000, 86_400_000]));
    assert_eq!(levels("0s"), Ok(vec![0]));
    assert_eq!(levels(""), Err(LevelsError::Empty));
    assert_eq!(levels(" "), Err(LevelsError::Empty));
    for bad in ["1", "s", "1S", "-1s", "+1s", "1.5s", "1 s", "1s,5s", "99999999999999999d", "1秒"]
    {
        assert!(matches!(levels(bad), Err(LevelsError::Level { .. })), "{bad}");
    }
    assert_eq!(levels(&"1s ".repeat(LEVELS_MAX + 1)), Err(LevelsError::TooMany));
}

#[test]
fn delays_of_levels() {
    let levels = Levels::default();
    assert_eq!(levels.count(), 18);
    for (level, clamped, delay_ms) in
        [(0, 0, 0), (1, 1, 1_000), (5, 5, 60_000), (18, 18, 7_200_000), (99, 18, 7_200_000)]
    {
        assert_eq!(levels.clamp(level), clamped);
        assert_eq!(levels.delay_ms(level), delay_ms, "level {level}");
        assert_eq!(levels.due(level, NOW), NOW + delay_ms);
    }
    assert_eq!(levels.due(1, i64::MAX), i64::MAX);
}

#[test]
fn a_delayed_message_knows_its_destination() {
    let levels = Levels::default();
    for (sent, level, queue, stored) in [("3", 3, 2, "3"), ("77", 77, 17, "18"), ("0", 0, 0, "1")] {
        let properties = text([("TAGS", "a"), ("DELAY", sent)]);
        let waiting = wait(&levels, level, "T", 5, &properties);
        assert_eq!((waiting.queue, waiting.level), (queue, queue + 1), "{sent}");
        assert_eq!(get(&waiting.properties, "DELAY"), Some(stored));
        assert_eq!(get(&waiting.properties, "TAGS"), Some("a"));
        let back = destination(&waiting.properties);
        assert_eq!(back, Some(Destination { topic: "T", queue: 5 }));
    }
    let again = wait(&levels, 4, "U", 6, &wait(&levels, 3, "T", 5, b"").properties);
    assert_eq!(destination(&again.properties), Some(Destination { topic: "U", queue: 6 }));
    assert_eq!(get(&again.properties, "DELAY"), Some("4"));
}

#[test]
fn a_record_that_never_waited_has_no_destination() {
    for properties in [
        vec![],
        vec![("REAL_TOPIC", "T")],
        vec![("REAL_QID", "1")],
        vec![("REAL_TOPIC", "T"), ("REAL_QID", "-1")],
        vec![("REAL_TOPIC", "T"), ("REAL_QID", "x")],
    ] {
        assert_eq!(destination(&text(properties.clone())), None, "{properties:?}");
    }
}

/// One level of one second, and its queue: due times by offset.
struct World {
    scheduler: Scheduler,
    queue: Vec<Millis>,
    min: i64,
    delivered: Vec<i64>,
}

impl World {
    fn new(progress: i64) -> Self {
        let levels = Levels::parse("1s").unwrap();
        let progress = BTreeMap::from([(1, progress)]);
        let scheduler = Scheduler::new(&levels, &progress, DataVersion::default());
        Self { scheduler, queue: Vec::new(), min: 0, delivered: Vec::new() }
    }

    fn end(&self) -> i64 {
        i64::try_from(self.queue.len()).unwrap()
    }

    fn orders(&mut self, now: Millis) -> Vec<ReadOrder> {
        let mut orders = Vec::new();
        self.scheduler.orders(now, &mut orders);
        orders
    }

    /// Does what the shell does: reads what is ordered until nothing more is.
    fn turn(&mut self, now: Millis) -> Vec<Deliver> {
        let mut deliver = Vec::new();
        while let Some(order) = self.orders(now).pop() {
            let last = order.from.saturating_add(i64::from(order.max)).min(self.end());
            let entries: Vec<Entry> = (order.from.max(self.min)..last)
                .map(|offset| Entry { offset, due: self.queue[usize::try_from(offset).unwrap()] })
                .collect();
            let read = LevelRead {
                order,
                entries: &entries,
                next: last.max(order.from),
                min: self.min,
                max: self.end(),
            };
            self.scheduler.read(now, &read, &mut deliver);
        }
        deliver
    }

    fn report(&mut self, now: Millis, deliver: Deliver, ok: bool) {
        if ok {
            self.delivered.push(deliver.offset);
        }
        self.scheduler.delivered(now, deliver, ok);
    }

    fn progress(&self) -> i64 {
        self.scheduler.progress()[&1]
    }
}

fn offsets(deliver: &[Deliver]) -> Vec<i64> {
    deliver.iter().map(|deliver| deliver.offset).collect()
}

#[test]
fn messages_go_out_when_they_are_due() {
    let mut world = World::new(0);
    world.queue = vec![NOW, NOW + 1, NOW + 500];
    assert_eq!(world.scheduler.wake_at(), Some(Millis::MIN), "looks at once after the start");
    assert_eq!(offsets(&world.turn(NOW)), [0]);
    assert_eq!(world.scheduler.wake_at(), Some(NOW + 1));
    assert_eq!(offsets(&world.turn(NOW + 1)), [1]);
    assert_eq!(world.scheduler.wake_at(), Some(NOW + 500));
    assert_eq!(offsets(&world.turn(NOW + 499)), [] as [i64; 0]);
    assert_eq!(offsets(&world.turn(NOW + 500)), [2]);
    assert_eq!(world.scheduler.wake_at(), Some(NOW + 500 + IDLE_POLL_MS));
}

#[test]
fn progress_never_passes_a_message_on_its_way() {
    let mut world = World::new(0);
    world.queue = vec![NOW; 4];
    let deliver = world.turn(NOW);
    assert_eq!(world.progress(), 0);
    for (at, progress) in [(2, 0), (1, 0), (0, 3), (3, 4)] {
        world.report(NOW, deliver[at], true);
        assert_eq!(world.progress(), progress, "after {at}");
    }
}

#[test]
fn a_failed_delivery_is_tried_again_before_anything_new() {
    let mut world = World::new(0);
    world.queue = vec![NOW; 3];
    let deliver = world.turn(NOW);
    world.report(NOW, deliver[0], true);
    world.report(NOW, deliver[1], false);
    world.report(NOW, deliver[2], true);
    world.queue.push(NOW);
    world.scheduler.arrived(1, NOW);
    assert_eq!(world.progress(), 1);
    assert_eq!(world.scheduler.wake_at(), Some(NOW + RETRY_MS));
    assert_eq!(offsets(&world.turn(NOW + RETRY_MS - 1)), [] as [i64; 0]);
    let again = world.turn(NOW + RETRY_MS);
    assert_eq!(offsets(&again), [1, 3], "then what came meanwhile");
    world.report(NOW + RETRY_MS, again[0], true);
    assert_eq!(world.progress(), 3);
}

#[test]
fn a_failed_message_that_is_gone_does_not_block() {
    let mut world = World::new(0);
    world.queue = vec![NOW; 2];
    let deliver = world.turn(NOW);
    world.report(NOW, deliver[0], false);
    world.report(NOW, deliver[1], true);
    world.min = 1; // retention took it
    let again = world.turn(NOW + RETRY_MS);
    assert_eq!(offsets(&again), [] as [i64; 0]);
    assert_eq!(world.progress(), 2);
}

#[test]
fn a_read_that_failed_is_repeated() {
    let mut world = World::new(0);
    world.queue = vec![NOW];
    let deliver = world.turn(NOW);
    world.report(NOW, deliver[0], false);
    let now = NOW + RETRY_MS;
    let order = world.orders(now)[0];
    let nothing = LevelRead { order, entries: &[], next: order.from, min: 0, max: 1 };
    world.scheduler.read(now, &nothing, &mut Vec::new());
    assert_eq!(world.progress(), 0);
    assert_eq!(world.scheduler.wake_at(), Some(now + RETRY_MS));
    assert_eq!(offsets(&world.turn(now + RETRY_MS)), [0]);
}

#[test]
fn an_arrival_wakes_a_level_that_is_idle() {
    let mut world = World::new(0);
    world.turn(NOW);
    assert_eq!(world.scheduler.wake_at(), Some(NOW + IDLE_POLL_MS));
    world.scheduler.arrived(1, NOW + 7);
    assert_eq!(world.scheduler.wake_at(), Some(NOW + 7));
    world.scheduler.arrived(2, NOW); // there is no such level
    world.scheduler.arrived(0, NOW);
    assert_eq!(world.scheduler.wake_at(), Some(NOW + 7));
}

#[test]
fn an_arrival_during_a_read_is_not_forgotten() {
    let mut world = World::new(0);
    let order = world.orders(NOW)[0];
    assert_eq!(world.scheduler.wake_at(), None, "waits for the read");
    world.scheduler.arrived(1, NOW + 3);
    let empty = LevelRead { order, entries: &[], next: 0, min: 0, max: 0 };
    world.scheduler.read(NOW, &empty, &mut Vec::new());
    assert_eq!(world.scheduler.wake_at(), Some(NOW + 3));
}

#[test]
fn a_message_further_ahead_than_its_level_goes_out_at_once() {
    let mut world = World::new(0);
    world.queue = vec![NOW + 1_000, NOW + 1_001];
    assert_eq!(offsets(&world.turn(NOW - 1)), [0, 1], "the clock was set back");
    let mut world = World::new(0);
    world.queue = vec![NOW + 1_000];
    assert_eq!(offsets(&world.turn(NOW)), [] as [i64; 0], "exactly its delay");
}

#[test]
fn progress_outside_the_queue_is_corrected() {
    let mut world = World::new(5);
    world.queue = vec![NOW; 10];
    world.min = 8;
    assert_eq!(offsets(&world.turn(NOW)), [8, 9]);
    let mut world = World::new(50);
    world.queue = vec![NOW; 2];
    assert_eq!(offsets(&world.turn(NOW)), [] as [i64; 0]);
    assert_eq!(world.progress(), 2);
    world.queue.push(NOW);
    world.scheduler.arrived(1, NOW);
    assert_eq!(offsets(&world.turn(NOW)), [2]);
    assert_eq!(World::new(-7).progress(), 0);
}

#[test]
fn entries_that_cannot_be_read_are_passed() {
    let mut world = World::new(0);
    let order = world.orders(NOW)[0];
    let entries = [Entry { offset: 0, due: NOW }, Entry { offset: 3, due: NOW }];
    let read = LevelRead { order, entries: &entries, next: 5, min: 0, max: 5 };
    let mut deliver = Vec::new();
    world.scheduler.read(NOW, &read, &mut deliver);
    assert_eq!(offsets(&deliver), [0, 3]);
    for delivery in deliver {
        world.scheduler.delivered(NOW, delivery, true);
    }
    assert_eq!(world.progress(), 5);
}

#[test]
fn there_is_a_bound_on_what_is_on_its_way() {
    let mut world = World::new(0);
    world.queue = vec![NOW; IN_FLIGHT_MAX + 10];
    let deliver = world.turn(NOW);
    assert_eq!(deliver.len(), IN_FLIGHT_MAX);
    assert_eq!(world.scheduler.wake_at(), None);
    world.report(NOW, deliver[1], true);
    assert!(world.turn(NOW).is_empty(), "the first still holds the window");
    world.report(NOW, deliver[0], true);
    assert_eq!(world.scheduler.wake_at(), Some(NOW));
    assert_eq!(world.turn(NOW).len(), 2);
}

#[test]
fn strange_reports_change_nothing() {
    let mut world = World::new(0);
    world.queue = vec![NOW];
    let deliver = world.turn(NOW)[0];
    for strange in [
        Deliver { level: 0, ..deliver },
        Deliver { level: 9, ..deliver },
        Deliver { offset: 4, ..deliver },
    ] {
        world.scheduler.delivered(NOW, strange, true);
    }
    let order = ReadOrder { level: 1, from: 0, max: 9 };
    let entries = [Entry { offset: 0, due: NOW }];
    let unordered = LevelRead { order, entries: &entries, next: 1, min: 0, max: 1 };
    let mut again = Vec::new();
    world.scheduler.read(NOW, &unordered, &mut again);
    assert!(again.is_empty());
    assert_eq!(world.progress(), 0);
    world.report(NOW, deliver, true);
    world.scheduler.delivered(NOW, deliver, false);
    assert_eq!(world.progress(), 1);
}

#[test]
fn the_file_is_written_only_after_progress() {
    let mut world = World::new(0);
    world.turn(NOW);
    assert!(!world.scheduler.take_dirty());
    world.queue = vec![NOW; 2];
    world.scheduler.arrived(1, NOW);
    let deliver = world.turn(NOW);
    world.scheduler.take_dirty();
    world.report(NOW, deliver[1], true);
    assert!(!world.scheduler.take_dirty(), "the first is still on its way");
    world.report(NOW, deliver[0], true);
    assert!(world.scheduler.take_dirty() && !world.scheduler.take_dirty());
}

#[test]
fn the_version_rises_every_two_hundred_deliveries() {
    let mut world = World::new(0);
    world.queue = vec![NOW; 200];
    world.scheduler.set_state_version(3);
    let deliver = world.turn(NOW);
    let (last, rest) = deliver.split_last().unwrap();
    for delivery in rest {
        world.scheduler.delivered(NOW, *delivery, true);
    }
    assert_eq!(world.scheduler.version(), DataVersion::default());
    world.scheduler.delivered(NOW, *last, true);
    let version = DataVersion { counter: 1, state_version: 3, timestamp: NOW };
    assert_eq!(world.scheduler.version(), version);
}

#[test]
fn every_level_has_its_own_progress() {
    let levels = Levels::parse("1s 2s 3s").unwrap();
    let stored = BTreeMap::from([(1, 15), (3, 7), (9, 1)]);
    let mut scheduler = Scheduler::new(&levels, &stored, DataVersion::default());
    assert_eq!(scheduler.progress(), BTreeMap::from([(1, 15), (2, 0), (3, 7)]));
    let mut orders = Vec::new();
    scheduler.orders(NOW, &mut orders);
    let from: Vec<_> = orders.iter().map(|order| (order.level, order.from)).collect();
    assert_eq!(from, [(1, 15), (2, 0), (3, 7)]);
}

proptest! {
    /// Messages come in, deliveries end in any order and sometimes fail, and the broker restarts
    /// from its stored progress: everything is delivered in the end, nothing before its time.
    #[test]
    fn every_message_is_delivered(
        steps in prop::collection::vec((0u8..10, any::<prop::sample::Index>()), 1..120)
    ) {
        let mut world = World::new(0);
        let mut now = NOW;
        let mut on_way: Vec<Deliver> = Vec::new();
        for (step, index) in steps {
            match step {
                0..=3 => {
                    let due = now + 1_000;
                    world.queue.push(due);
                    world.scheduler.arrived(1, due);
                }
                4..=5 => now += i64::try_from(index.index(1_500)).unwrap(),
                6..=8 if !on_way.is_empty() => {
                    let delivery = on_way.swap_remove(index.index(on_way.len()));
                    world.report(now, delivery, step != 8);
                }
                9 => {
                    let progress = world.progress();
                    let mut restarted = World::new(progress);
                    restarted.queue = std::mem::take(&mut world.queue);
                    restarted.delivered = std::mem::take(&mut world.delivered);
                    world = restarted;
                    on_way.clear();
                }
                _ => {}
            }
            let deliver = world.turn(now);
            for delivery in &deliver {
                let due = world.queue[usize::try_from(delivery.offset).unwrap()];
                prop_assert!(due <= now, "{} goes out before its time", delivery.offset);
            }
            on_way.extend(deliver);
            let known: BTreeSet<i64> = world.delivered.iter().copied().collect();
            prop_assert!((0..world.progress()).all(|offset| known.contains(&offset)));
        }
        for _ in 0..1_000 {
            for delivery in std::mem::take(&mut on_way) {
                world.report(now, delivery, true);
            }
            match world.scheduler.wake_at() {
                Some(wake) if world.progress() < world.end() => now = now.max(wake),
                _ => break,
            }
            on_way = world.turn(now);
        }
        let known: BTreeSet<i64> = world.delivered.iter().copied().collect();
        prop_assert_eq!(known, (0..world.end()).collect::<BTreeSet<_>>());
        prop_assert_eq!(world.progress(), world.end());
    }
}
