use super::*;

fn store(number: u8) -> StoreId {
    StoreId([number; 16])
}

fn ms(number: u64) -> Duration {
    Duration::from_millis(number)
}

fn epoch(number: u32) -> Epoch {
    Epoch::new(number).unwrap()
}

fn entry(number: u32, start: u64) -> Entry {
    Entry { epoch: epoch(number), start: LogOffset(start) }
}

fn config() -> SlaveConfig {
    SlaveConfig {
        store: store(1),
        ack_on: AckOn::Received,
        retry_min: ms(100),
        retry_max: ms(800),
        report_every: ms(5_000),
        idle: ms(20_000),
    }
}

struct World {
    slave: Slave,
    now: Duration,
    log: LogEnds,
}

impl World {
    /// A replica with a log from 0 to `end` of terms 1 and 2.
    fn new(end: u64) -> Self {
        let entries = if end == 0 { vec![] } else { vec![entry(1, 0), entry(2, 50)] };
        let epochs = Epochs::of(entries).unwrap();
        let end = LogOffset(end);
        let log = LogEnds { min: LogOffset(0), end, synced: end };
        Self { slave: Slave::new(config(), epochs, Epoch::NONE), now: ms(0), log }
    }

    fn step(&mut self, input: SlaveInput) -> Vec<SlaveOutput> {
        let mut out = Vec::new();
        self.slave.step(self.now, self.log, input, &mut out);
        out
    }

    fn connect(&mut self, dialect: Dialect, cut: Option<u64>) -> Vec<SlaveOutput> {
        let address: Arc<str> = "m:1".into();
        let out = self.step(SlaveInput::Master { address: Some(Arc::clone(&address)) });
        let conn = self.slave.conn();
        assert_eq!(out, [SlaveOutput::Connect { conn, address }]);
        let cut = cut.map(LogOffset);
        self.step(SlaveInput::Connected { conn, dialect, cut })
    }

    fn welcome(&mut self, number: u32, from: u64, proven: bool) -> Vec<SlaveOutput> {
        let welcome =
            Welcome { store: store(0), epoch: epoch(number), from: LogOffset(from), proven };
        let conn = self.slave.conn();
        self.step(SlaveInput::Welcome { conn, welcome })
    }

    fn frame(&mut self, offset: u64, bytes: usize, term: Option<Entry>) -> Vec<SlaveOutput> {
        let offset = LogOffset(offset);
        let frame = Frame { offset, bytes, term, confirmed: offset };
        let out = self.step(SlaveInput::Frame { conn: self.slave.conn(), frame });
        if out.contains(&SlaveOutput::Append { offset }) {
            if self.log.min == self.log.end {
                self.log.min = offset;
            }
            self.log.end = LogOffset(offset.0 + u64::try_from(bytes).unwrap());
        }
        out
    }

    fn report(&self) -> SlaveOutput {
        let LogEnds { end, synced, .. } = self.log;
        SlaveOutput::Report { conn: self.slave.conn(), received: end, synced }
    }

    fn closed(&self, fault: Fault) -> [SlaveOutput; 1] {
        [SlaveOutput::Close { conn: self.slave.conn(), fault }]
    }
}

#[test]
fn it_cuts_what_the_master_does_not_have_then_appends_and_reports() {
    let mut world = World::new(100);
    let out = world.connect(Dialect::Native, None);
    assert!(matches!(&out[..], [SlaveOutput::Hello { hello, .. }] if hello.end.0 == 100));
    let conn = world.slave.conn();
    assert_eq!(world.welcome(3, 40, true), [SlaveOutput::Cut { conn, to: LogOffset(40) }]);
    world.log.end = LogOffset(40);
    world.log.synced = LogOffset(40);
    let first = Epochs::of([entry(1, 0)]).unwrap();
    let out = world.step(SlaveInput::Cut { conn, done: true });
    assert_eq!(out, [SlaveOutput::Epochs { epochs: first }, world.report()]);
    assert_eq!(world.slave.phase(), Phase::Following);
    let both = Epochs::of([entry(1, 0), entry(3, 40)]).unwrap();
    assert_eq!(
        world.frame(40, 10, Some(entry(3, 40))),
        [SlaveOutput::Epochs { epochs: both }, SlaveOutput::Append { offset: LogOffset(40) }]
    );
    assert_eq!(world.step(SlaveInput::Tick), [world.report()]);
    assert_eq!(world.step(SlaveInput::Tick), []);
    world.log.synced = LogOffset(50);
    assert_eq!(world.step(SlaveInput::Tick), [world.report()]);
    world.now = ms(5_000);
    assert_eq!(world.frame(50, 0, None), []);
    assert_eq!(world.step(SlaveInput::Tick), [world.report()]);
    assert_eq!(world.slave.confirmed(world.log), LogOffset(50));
}

#[test]
fn an_empty_log_begins_where_the_master_begins() {
    let mut world = World::new(0);
    world.connect(Dialect::Native, None);
    assert_eq!(world.welcome(2, 4096, false), [world.report()]);
    assert_eq!(world.frame(4096, 0, None), []);
    let out = world.frame(4096, 10, Some(entry(1, 0)));
    assert!(out.contains(&SlaveOutput::Append { offset: LogOffset(4096) }), "{out:?}");
    assert_eq!((world.log.min.0, world.log.end.0), (4096, 4106));
    // And nowhere else.
    let mut world = World::new(0);
    world.connect(Dialect::Native, None);
    world.welcome(2, 4096, false);
    let gap = Fault::Gap { offset: LogOffset(4100), end: LogOffset(0) };
    assert_eq!(world.frame(4100, 10, Some(entry(1, 0))), world.closed(gap));
}

#[test]
fn what_does_not_fit_ends_the_connection() {
    let following = || {
        let mut world = World::new(100);
        world.connect(Dialect::Native, None);
        world.welcome(2, 100, true);
        world
    };
    let mut world = following();
    let gap = Fault::Gap { offset: LogOffset(99), end: LogOffset(100) };
    assert_eq!(world.frame(99, 10, Some(entry(2, 50))), world.closed(gap));
    let mut world = following();
    let gap = Fault::Gap { offset: LogOffset(101), end: LogOffset(100) };
    assert_eq!(world.frame(101, 0, None), world.closed(gap));
    for term in [None, Some(entry(1, 0)), Some(entry(2, 51)), Some(entry(3, 40))] {
        let mut world = following();
        assert_eq!(world.frame(100, 10, term), world.closed(Fault::Epochs), "{term:?}");
    }
    let mut world = following();
    assert_eq!(world.welcome(2, 100, true), world.closed(Fault::OutOfTurn));
    let mut world = World::new(100);
    world.connect(Dialect::Native, None);
    assert_eq!(world.frame(100, 1, Some(entry(2, 50))), world.closed(Fault::OutOfTurn));
    let mut world = World::new(100);
    world.connect(Dialect::Native, None);
    let old = Fault::OldMaster { epoch: epoch(1), known: epoch(2) };
    assert_eq!(world.welcome(1, 100, true), world.closed(old));
    for (from, proven) in [(100, false), (101, true)] {
        let mut world = World::new(100);
        world.connect(Dialect::Native, None);
        let differs = Fault::Differs { from: LogOffset(from) };
        assert_eq!(world.welcome(2, from, proven), world.closed(differs));
    }
}

#[test]
fn attempts_are_repeated_less_and_less_often() {
    let mut world = World::new(100);
    world.connect(Dialect::Native, None);
    for wait in [100, 200, 400, 800, 800] {
        let conn = world.slave.conn();
        assert_eq!(world.step(SlaveInput::Closed { conn }), []);
        assert_eq!(world.slave.phase(), Phase::Resting);
        world.now += ms(wait - 1);
        assert_eq!(world.step(SlaveInput::Tick), []);
        world.now += ms(1);
        assert!(matches!(world.step(SlaveInput::Tick)[..], [SlaveOutput::Connect { .. }]));
        // What comes late from an earlier attempt is nothing to this one.
        assert_eq!(world.step(SlaveInput::Closed { conn }), []);
        assert_eq!(world.slave.phase(), Phase::Connecting);
    }
}

#[test]
fn a_silent_master_is_left() {
    let mut world = World::new(100);
    world.connect(Dialect::Native, None);
    world.welcome(2, 100, true);
    world.now = ms(20_000);
    assert_eq!(world.step(SlaveInput::Tick), [world.report()]);
    world.now = ms(20_001);
    assert_eq!(world.step(SlaveInput::Tick), world.closed(Fault::Silent));
}

#[test]
fn another_address_or_a_later_term_ends_the_connection() {
    let mut world = World::new(100);
    world.connect(Dialect::Native, None);
    let moved = SlaveOutput::Close { conn: world.slave.conn(), fault: Fault::Moved };
    let out = world.step(SlaveInput::Master { address: Some("m:2".into()) });
    assert!(matches!(&out[..], [close, SlaveOutput::Connect { .. }] if *close == moved));
    world.step(SlaveInput::Master { address: None });
    assert_eq!(world.slave.phase(), Phase::NoMaster);
    let mut world = World::new(100);
    world.connect(Dialect::Native, None);
    world.welcome(2, 100, true);
    assert_eq!(world.step(SlaveInput::Fence { epoch: epoch(2) }), []);
    let old = Fault::OldMaster { epoch: epoch(2), known: epoch(7) };
    assert_eq!(world.step(SlaveInput::Fence { epoch: epoch(7) }), world.closed(old));
}

#[test]
fn a_java_master_gets_the_end_first_and_no_terms_are_kept() {
    let mut world = World::new(100);
    let out = world.connect(Dialect::Java, None);
    assert_eq!(out, [SlaveOutput::Epochs { epochs: Epochs::default() }, world.report()]);
    assert_eq!(world.frame(100, 5, None), [SlaveOutput::Append { offset: LogOffset(100) }]);
    assert_eq!(world.frame(105, 0, None), []);
    assert_eq!(world.frame(105, 5, Some(entry(3, 0))), world.closed(Fault::Epochs));
    let mut world = World::new(100);
    let out = world.connect(Dialect::Java, Some(60));
    let conn = world.slave.conn();
    assert_eq!(out[1..], [SlaveOutput::Cut { conn, to: LogOffset(60) }]);
    world.step(SlaveInput::Cut { conn, done: false });
    assert_eq!(world.slave.phase(), Phase::Resting);
}
