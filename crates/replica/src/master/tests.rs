use super::*;
use crate::epoch::{Entry, Epoch};
use std::net::Ipv4Addr;

const HOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

fn config(policy: Policy, in_sync: usize, in_sync_min: usize) -> MasterConfig {
    MasterConfig {
        store: store(0),
        policy,
        in_sync,
        in_sync_min,
        ack_on: AckOn::Received,
        timeout: ms(3_000),
        lag_bytes_max: 500,
        catch_up_within: ms(15_000),
        idle: ms(20_000),
    }
}

fn store(number: u8) -> StoreId {
    StoreId([number; 16])
}

fn ms(number: u64) -> Duration {
    Duration::from_millis(number)
}

fn at(end: u64) -> LogOffset {
    LogOffset(end)
}

fn epochs(entries: &[(u32, u64)]) -> Epochs {
    let entry = |&(epoch, start): &(u32, u64)| Entry {
        epoch: Epoch::new(epoch).unwrap(),
        start: LogOffset(start),
    };
    Epochs::of(entries.iter().map(entry)).unwrap()
}

/// A master with a log from 100 to 1000, and a clock.
struct World {
    master: Master,
    now: Duration,
    log: LogEnds,
}

impl World {
    fn new(config: MasterConfig) -> Self {
        let master = Master::new(config, epochs(&[(1, 0), (2, 600)]));
        let log = LogEnds { min: at(100), end: at(1000), synced: at(1000) };
        Self { master, now: ms(0), log }
    }

    fn step(&mut self, input: MasterInput) -> Vec<MasterOutput> {
        let mut out = Vec::new();
        self.master.step(self.now, self.log, input, &mut out);
        out
    }

    fn open(&mut self, conn: u64) {
        assert_eq!(self.step(MasterInput::Opened { conn: ConnId(conn), host: HOST }), []);
    }

    fn hello(&mut self, conn: u64, hello: Hello) -> Vec<MasterOutput> {
        self.open(conn);
        self.step(MasterInput::Hello { conn: ConnId(conn), hello })
    }

    /// A replica of ours that has everything.
    fn follower(&mut self, conn: u64, number: u8) {
        let end = self.log.end;
        let hello =
            Hello { store: store(number), epochs: self.master.epochs().clone(), min: at(100), end };
        assert!(
            self.hello(conn, hello)
                .contains(&MasterOutput::Serve { conn: ConnId(conn), from: end })
        );
        assert_eq!(self.report(conn, end.0), []);
    }

    fn report(&mut self, conn: u64, received: u64) -> Vec<MasterOutput> {
        let (received, synced) = (at(received), at(received));
        self.step(MasterInput::Report { conn: ConnId(conn), received, synced })
    }

    /// A put of ten bytes.
    fn put(&mut self, token: u64) -> Vec<MasterOutput> {
        self.log.end.0 += 10;
        self.log.synced = self.log.end;
        self.step(MasterInput::Wait { puts: vec![(WaitToken(token), self.log.end)] })
    }

    fn later(&mut self, by: u64) -> Vec<MasterOutput> {
        self.now += ms(by);
        self.step(MasterInput::Tick)
    }
}

fn done(token: u64, outcome: Outcome) -> MasterOutput {
    MasterOutput::Done { token: WaitToken(token), outcome }
}

#[test]
fn a_replica_begins_behind_the_last_common_byte() {
    let hello = |entries: &[(u32, u64)], min, end| Hello {
        store: store(1),
        epochs: epochs(entries),
        min: at(min),
        end: at(end),
    };
    let cases = [
        ("same", hello(&[(1, 0), (2, 600)], 100, 900), Ok(900)),
        ("ahead", hello(&[(1, 0), (2, 600)], 100, 1100), Ok(1000)),
        ("behind a term", hello(&[(1, 0)], 100, 500), Ok(500)),
        ("diverged in an old term", hello(&[(1, 0)], 100, 700), Ok(600)),
        ("empty", hello(&[], 0, 0), Ok(100)),
        ("empty but knows terms", hello(&[(1, 0)], 400, 400), Ok(100)),
        ("no terms", hello(&[], 0, 700), Ok(700)),
        ("no terms and ahead", hello(&[], 0, 7000), Ok(1000)),
        ("other terms", hello(&[(2, 0)], 0, 700), Err(Refusal::Unrelated { end: at(700) })),
        ("old", hello(&[(1, 0)], 0, 90), Err(Refusal::TooFarBehind { end: at(90), min: at(100) })),
        (
            "later term",
            hello(&[(1, 0), (3, 600)], 0, 700),
            Err(Refusal::OldMaster { known: Epoch::new(3).unwrap(), own: Epoch::new(2).unwrap() }),
        ),
        (
            "itself",
            Hello { store: store(0), ..hello(&[(1, 0)], 0, 700) },
            Err(Refusal::SameStore { store: store(0) }),
        ),
    ];
    for (name, hello, want) in cases {
        let mut world = World::new(config(Policy::Fixed, 2, 1));
        let conn = ConnId(7);
        let want = match want {
            Ok(from) => MasterOutput::Serve { conn, from: at(from) },
            Err(refusal) => MasterOutput::Refuse { conn, refusal },
        };
        assert_eq!(world.hello(7, hello), [want], "{name}");
    }
}

#[test]
fn a_put_is_done_with_enough_copies() {
    let mut world = World::new(config(Policy::Fixed, 3, 1));
    world.follower(1, 1);
    world.follower(2, 2);
    assert_eq!(world.put(10), []);
    assert_eq!(world.put(11), []);
    assert_eq!(world.report(1, 1020), []);
    assert_eq!(world.report(2, 1015), [done(10, Outcome::Replicated)]);
    assert_eq!(world.report(2, 1020), [done(11, Outcome::Replicated)]);
    assert_eq!(world.master.waiting(), 0);
}

#[test]
fn two_connections_of_a_replica_are_one_copy() {
    let mut world = World::new(config(Policy::Fixed, 3, 1));
    world.follower(1, 1);
    let end = world.log.end;
    let again = Hello { store: store(1), epochs: epochs(&[(1, 0), (2, 600)]), min: at(100), end };
    let superseded = MasterOutput::Close { conn: ConnId(1), why: Shut::Superseded };
    assert!(world.hello(2, again).contains(&superseded));
    world.put(10);
    assert_eq!(world.report(2, 1010), []);
    assert_eq!(world.report(1, 1010), []);
    // Java replicas of one host cannot be told apart.
    for conn in [3, 4] {
        world.open(conn);
        let input = MasterInput::JavaReport { conn: ConnId(conn), end: at(1010) };
        let out = world.step(input);
        let served = MasterOutput::Serve { conn: ConnId(conn), from: at(1010) };
        assert!(out.contains(&served));
        assert_eq!(out.contains(&done(10, Outcome::Replicated)), conn == 3);
    }
    world.put(11);
    for conn in [3, 4] {
        assert_eq!(world.step(MasterInput::JavaReport { conn: ConnId(conn), end: at(1020) }), []);
    }
}

#[test]
fn when_the_time_is_over_the_outcome_says_whether_a_slave_was_there() {
    let mut world = World::new(config(Policy::Fixed, 2, 1));
    world.put(10);
    assert_eq!(world.later(2_999), []);
    assert_eq!(world.later(1), [done(10, Outcome::NoSlave)]);
    world.follower(1, 1);
    world.put(11);
    assert_eq!(world.master.next_deadline(), Some(ms(6_000)));
    assert_eq!(world.later(3_000), [done(11, Outcome::Timeout)]);
}

#[test]
fn what_was_never_written_is_no_copy() {
    let mut world = World::new(config(Policy::Fixed, 2, 1));
    world.follower(1, 1);
    world.put(10);
    let ahead = [MasterOutput::Close { conn: ConnId(1), why: Shut::Ahead }];
    assert_eq!(world.report(1, 1011), ahead);
    assert_eq!(world.report(1, 1010), []);
    assert_eq!(world.master.waiting(), 1);
}

#[test]
fn copies_are_counted_by_what_they_synced_if_asked() {
    let mut world =
        World::new(MasterConfig { ack_on: AckOn::Synced, ..config(Policy::Fixed, 2, 1) });
    world.follower(1, 1);
    world.put(10);
    let report =
        |synced| MasterInput::Report { conn: ConnId(1), received: at(1010), synced: at(synced) };
    assert_eq!(world.step(report(1009)), []);
    assert_eq!(world.step(report(1010)), [done(10, Outcome::Replicated)]);
    // The master's own copy counts like the others.
    world.follower(2, 2);
    world.log.end = at(1030);
    world.step(MasterInput::Wait { puts: vec![(WaitToken(11), at(1030))] });
    assert_eq!(world.report(2, 1030), []);
    world.log.synced = at(1030);
    assert_eq!(world.step(MasterInput::Tick), [done(11, Outcome::Replicated)]);
}

#[test]
fn policies() {
    // policy, inSyncReplicas, minInSyncReplicas, replicas in sync -> needed, admitted
    let cases = [
        (Policy::Fixed, 1, 1, 0, 1, true),
        (Policy::Fixed, 2, 1, 0, 2, true),
        (Policy::Fixed, 2, 2, 0, 2, false),
        (Policy::Fixed, 2, 2, 1, 2, true),
        (Policy::Fixed, 2, 1, 2, 2, true),
        (Policy::Auto, 2, 1, 0, 1, true),
        (Policy::Auto, 2, 1, 1, 2, true),
        (Policy::Auto, 3, 2, 1, 2, true),
        (Policy::Auto, 3, 2, 0, 2, false),
        (Policy::Auto, 2, 1, 2, 2, true),
        (Policy::All, 1, 1, 0, 1, true),
        (Policy::All, 1, 1, 2, 3, true),
        (Policy::All, 1, 2, 0, 2, false),
    ];
    for (policy, in_sync, min, replicas, needed, admitted) in cases {
        let mut world = World::new(config(policy, in_sync, min));
        for number in 0..replicas {
            world.follower(u64::from(number), number + 1);
        }
        let case = format!("{policy:?} {in_sync} {min} {replicas}");
        assert_eq!(world.master.needed(world.now, world.log), needed, "{case}");
        assert_eq!(world.master.admit(world.now, world.log).is_ok(), admitted, "{case}");
    }
}

#[test]
fn a_replica_that_falls_behind_is_not_in_sync() {
    let mut world = World::new(config(Policy::All, 1, 1));
    world.follower(1, 1);
    let in_sync = |world: &World| world.master.in_sync(world.now, world.log);
    assert_eq!(in_sync(&world), 2);
    world.log.end = at(1400);
    world.later(15_000);
    assert_eq!(in_sync(&world), 2);
    // Too long.
    world.later(1);
    assert_eq!(in_sync(&world), 1);
    world.report(1, 1400);
    assert_eq!(in_sync(&world), 2);
    // Too far.
    world.log.end = at(1901);
    assert_eq!(in_sync(&world), 1);
    let views = world.master.peers(world.now, world.log);
    assert_eq!((views[0].received, views[0].in_sync), (at(1400), false));
    // Away.
    world.log.end = at(1400);
    world.step(MasterInput::Closed { conn: ConnId(1) });
    assert_eq!(in_sync(&world), 1);
}

#[test]
fn java_begins_where_it_asks_if_that_is_there() {
    for (from, want) in
        [(0, Some(100)), (100, Some(100)), (1000, Some(1000)), (99, None), (1001, None)]
    {
        let mut world = World::new(config(Policy::Fixed, 2, 1));
        world.open(1);
        let conn = ConnId(1);
        let out = world.step(MasterInput::JavaReport { conn, end: at(from) });
        match want {
            Some(start) => assert_eq!(out, [MasterOutput::Serve { conn, from: at(start) }]),
            None => assert!(matches!(
                out[..],
                [MasterOutput::Refuse { refusal: Refusal::OutOfRange { .. }, .. }]
            )),
        }
    }
}

#[test]
fn silence_and_nonsense_close_the_connection() {
    let mut world = World::new(config(Policy::Fixed, 2, 1));
    world.follower(1, 1);
    world.now = ms(20_000);
    assert_eq!(world.step(MasterInput::Tick), []);
    let silent = MasterOutput::Close { conn: ConnId(1), why: Shut::Silent };
    assert_eq!(world.later(1), [silent]);
    world.open(2);
    let unasked = MasterOutput::Close { conn: ConnId(2), why: Shut::OutOfTurn };
    assert_eq!(world.report(2, 1000), [unasked]);
    for conn in 0..=PEERS_MAX {
        let conn = ConnId(100 + u64::try_from(conn).unwrap());
        let out = world.step(MasterInput::Opened { conn, host: HOST });
        let refused = out == [MasterOutput::Refuse { conn, refusal: Refusal::TooMany }];
        assert_eq!(refused, conn == ConnId(164), "{conn:?} {out:?}");
    }
}
