//! Waking, expiry, closing; and the index against a plain list.

use super::*;
use proptest::prelude::*;
use rmq_model::java::hash_code;

type Name = &'static str;

fn matcher(expression: &str) -> Arc<Matcher> {
    let off = crate::filter::PropertyFilter::Off;
    Arc::new(crate::filter::compile_expression(Some(expression), None, off).unwrap())
}

fn parked(name: Name, conn: u64, offset: i64, deadline: Millis, wants: &str) -> Parked<Name> {
    Parked { conn: ConnId(conn), offset, deadline, matcher: matcher(wants), payload: name }
}

fn code(tag: &str) -> i64 {
    i64::from(hash_code(tag))
}

struct World {
    hold: Hold<Name>,
    topic: Arc<str>,
}

impl World {
    fn new() -> Self {
        Self { hold: Hold::new(100), topic: "T".into() }
    }

    fn park(&mut self, queue: u32, parked: Parked<Name>) {
        let max = parked.offset;
        assert!(matches!(self.hold.park(&self.topic, queue, max, parked), Park::Parked));
    }

    fn arrive(&mut self, queue: u32, max: i64, tag: &str) -> Vec<Name> {
        let mut woken = Vec::new();
        self.hold.arrived("T", queue, max, code(tag), b"", &mut woken);
        woken.sort_unstable();
        woken
    }
}

#[test]
fn an_arrival_wakes_those_who_want_it() {
    let mut world = World::new();
    world.park(0, parked("all", 1, 10, 99, "*"));
    world.park(0, parked("a", 1, 10, 99, "a"));
    world.park(0, parked("ab", 2, 10, 99, "a||b"));
    world.park(0, parked("later", 2, 11, 99, "*"));
    world.park(1, parked("elsewhere", 2, 10, 99, "*"));
    assert!(world.hold.waits_for("T", 0) && !world.hold.waits_for("U", 0));
    assert_eq!(world.arrive(2, 11, "a"), [] as [Name; 0]);
    assert_eq!(world.arrive(0, 11, "b"), ["ab", "all"]);
    assert_eq!(world.arrive(0, 12, "c"), ["later"]);
    assert_eq!(world.arrive(0, 13, "a"), ["a"]);
    assert!(!world.hold.waits_for("T", 0));
    assert_eq!(world.hold.len(), 1);
    assert_eq!(world.arrive(1, 11, ""), ["elsewhere"]);
    assert!(world.hold.is_empty());
}

#[test]
fn a_message_that_came_before_the_parking_is_not_missed() {
    let mut world = World::new();
    let parking = parked("x", 1, 10, 99, "*");
    assert!(matches!(world.hold.park(&world.topic, 0, 11, parking), Park::Ready("x")));
    assert!(world.hold.is_empty());
}

#[test]
fn there_is_a_bound() {
    let mut world = World::new();
    world.hold = Hold::new(1);
    world.park(0, parked("x", 1, 10, 99, "*"));
    let parking = parked("y", 1, 10, 99, "*");
    assert!(matches!(world.hold.park(&world.topic, 0, 10, parking), Park::Full("y")));
    assert_eq!(world.arrive(0, 11, ""), ["x"]);
    world.park(0, parked("y", 1, 11, 99, "*"));
}

#[test]
fn the_time_of_a_pull_ends_at_its_deadline() {
    let mut world = World::new();
    world.park(0, parked("second", 1, 10, 200, "*"));
    world.park(0, parked("first", 1, 10, 100, "*"));
    world.park(1, parked("also", 1, 10, 100, "a"));
    assert_eq!(world.hold.next_deadline(), Some(100));
    let mut over = Vec::new();
    world.hold.expire(99, &mut over);
    assert!(over.is_empty());
    world.hold.expire(100, &mut over);
    assert_eq!(over, ["first", "also"]);
    assert_eq!(world.hold.next_deadline(), Some(200));
    assert_eq!(world.arrive(0, 11, ""), ["second"]);
    assert_eq!(world.hold.next_deadline(), None);
}

#[test]
fn the_periodic_check_wakes_whoever_is_behind() {
    let mut world = World::new();
    world.park(0, parked("grown", 1, 10, 99, "a||b"));
    world.park(0, parked("at the end", 1, 12, 99, "*"));
    world.park(1, parked("same", 1, 10, 99, "*"));
    let mut woken = Vec::new();
    world.hold.recheck(|_, queue| if queue == 0 { 12 } else { 10 }, &mut woken);
    assert_eq!(woken, ["grown"], "though its tags may not have come, and once");
    assert_eq!(world.hold.len(), 2);
    assert_eq!(world.arrive(0, 13, "z"), ["at the end"]);
    world.hold.recheck(|_, _| 10, &mut woken);
    assert!(!world.hold.topics.get("T").unwrap().contains_key(&0), "empty queues are forgotten");
}

#[test]
fn a_closed_connection_waits_for_nothing() {
    let mut world = World::new();
    world.park(0, parked("x", 1, 10, 99, "*"));
    world.park(1, parked("y", 1, 10, 99, "a"));
    world.park(0, parked("z", 2, 10, 99, "*"));
    let mut gone = world.hold.closed(ConnId(1));
    gone.sort_unstable();
    assert_eq!(gone, ["x", "y"]);
    assert!(world.hold.closed(ConnId(1)).is_empty());
    assert_eq!(world.arrive(0, 11, ""), ["z"]);
    assert!(world.hold.conns.is_empty());
}

#[test]
fn draining_ends_all_waiting() {
    let mut world = World::new();
    world.park(0, parked("x", 1, 10, 99, "*"));
    world.park(1, parked("y", 2, 10, 50, "a"));
    assert_eq!(world.hold.drain(), ["y", "x"]);
    assert!(world.hold.is_empty() && world.hold.next_deadline().is_none());
}

#[derive(Clone, Debug)]
enum Step {
    Park { conn: u64, queue: u32, offset: i64, deadline: Millis, wants: &'static str },
    Arrive { queue: u32, max: i64, tag: &'static str },
    Expire { now: Millis },
    Recheck { max: i64 },
    Close { conn: u64 },
}

fn step() -> impl Strategy<Value = Step> {
    let wants = prop::sample::select(vec!["*", "a", "b", "a||b", "b||c||d"]);
    let tag = prop::sample::select(vec!["", "a", "b", "c"]);
    prop_oneof![
        4 => (0..3u64, 0..2u32, 0..5i64, 0..20i64, wants).prop_map(
            |(conn, queue, offset, deadline, wants)| Step::Park { conn, queue, offset, deadline, wants }
        ),
        3 => (0..2u32, 0..7i64, tag).prop_map(|(queue, max, tag)| Step::Arrive { queue, max, tag }),
        1 => (0..20i64).prop_map(|now| Step::Expire { now }),
        1 => (0..7i64).prop_map(|max| Step::Recheck { max }),
        1 => (0..3u64).prop_map(|conn| Step::Close { conn }),
    ]
}

/// Whether a waiting pull of a queue goes with a step.
type Leaves = Box<dyn Fn(u32, &Parked<usize>) -> bool>;

proptest! {
    #[test]
    fn the_index_answers_as_a_list_would(steps in prop::collection::vec(step(), 0..60)) {
        let topic: Arc<str> = "T".into();
        let mut hold: Hold<usize> = Hold::new(20);
        let mut list: Vec<(u32, Parked<usize>)> = Vec::new();
        for (turn, step) in steps.into_iter().enumerate() {
            let mut got = Vec::new();
            let leaves: Leaves = match step {
                Step::Park { conn, queue, offset, deadline, wants } => {
                    let make = || Parked {
                        conn: ConnId(conn), offset, deadline, matcher: matcher(wants), payload: turn,
                    };
                    match hold.park(&topic, queue, offset, make()) {
                        Park::Parked => list.push((queue, make())),
                        Park::Full(_) => prop_assert_eq!(list.len(), 20),
                        Park::Ready(_) => prop_assert!(false, "the queue has not grown"),
                    }
                    Box::new(|_, _| false)
                }
                Step::Arrive { queue, max, tag } => {
                    hold.arrived("T", queue, max, code(tag), b"", &mut got);
                    Box::new(move |at, parked| {
                        at == queue && parked.offset < max && parked.matcher.accepts(code(tag))
                    })
                }
                Step::Expire { now } => {
                    hold.expire(now, &mut got);
                    Box::new(move |_, parked| parked.deadline <= now)
                }
                Step::Recheck { max } => {
                    hold.recheck(|_, _| max, &mut got);
                    Box::new(move |_, parked| parked.offset < max)
                }
                Step::Close { conn } => {
                    got = hold.closed(ConnId(conn));
                    Box::new(move |_, parked| parked.conn == ConnId(conn))
                }
            };
            let mut want = Vec::new();
            list.retain(|(queue, parked)| {
                let left = leaves(*queue, parked);
                if left {
                    want.push(parked.payload);
                }
                !left
            });
            got.sort_unstable();
            prop_assert_eq!(got, want);
            prop_assert_eq!(hold.len(), list.len());
            for queue in 0..2 {
                let waits = list.iter().any(|(at, _)| *at == queue);
                prop_assert_eq!(hold.waits_for("T", queue), waits);
            }
            let next = list.iter().map(|(_, parked)| parked.deadline).min();
            prop_assert_eq!(hold.next_deadline(), next);
        }
    }
}
