//! The loop: takes the next event, lets the cores decide, carries out what they say.

use crate::check::{self, Acknowledged, Broken};
use crate::log::{Log, Record};
use crate::node::{Node, Role, Served, Wire, address, ms};
use crate::random::Random;
use crate::{Mutant, Plan, Promise};
use rmq_model::LogOffset;
use rmq_replica::{
    ConnId, Dialect, Epoch, Frame, Hello, MasterInput, MasterOutput, Next, Outcome, Refusal,
    Sender, SlaveInput, SlaveOutput, StoreId, WaitToken, Welcome,
};
use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

const QUEUES: u64 = 3;
const TICK_MS: u64 = 10;
/// After the faults: time to heal, and then to get a message through.
const HEAL_MS: u64 = 5_000;
const PUTS_MS: u64 = 200;
const LAST_MS: u64 = 2_000;

/// What a run came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    /// Events handled.
    pub events: u64,
    /// Messages acknowledged.
    pub acknowledged: usize,
    /// Processes ended by faults.
    pub crashes: u64,
    /// Masters made by hand.
    pub promotions: u64,
    /// All events folded into a number: equal for equal runs.
    pub trace: u64,
}

#[derive(Clone, Debug)]
enum Event {
    Deliver { from: usize, to: usize, session: ConnId, wire: Wire },
    Tick { node: usize, incarnation: u64 },
    Sync { node: usize, incarnation: u64, end: LogOffset },
    Restart { node: usize },
    Told { node: usize, master: usize },
    Put,
    Fault,
}

struct World {
    plan: Plan,
    random: Random,
    now: u64,
    next_event: u64,
    events: BTreeMap<(u64, u64), Event>,
    nodes: Vec<Node>,
    /// Until when two nodes cannot talk.
    cut_off: BTreeMap<(usize, usize), u64>,
    /// Who should be the master, and the latest term it was granted.
    master: usize,
    epoch: Epoch,
    faults_end: u64,
    messages: u32,
    acknowledged: Acknowledged,
    report: Report,
}

/// Runs one group from one seed.
///
/// # Errors
/// [`Broken`] names the promise that was not kept.
pub fn run(seed: u64, plan: Plan) -> Result<Report, Broken> {
    World::new(seed, plan).run().map_err(|what| Broken { seed, what })
}

impl World {
    fn new(seed: u64, plan: Plan) -> Self {
        let mut random = Random::new(seed);
        let faults_end = random.between(1_000, 4_000);
        let mut world = Self {
            plan,
            random,
            now: 0,
            next_event: 0,
            events: BTreeMap::new(),
            nodes: (0..plan.nodes).map(Node::new).collect(),
            cut_off: BTreeMap::new(),
            master: 0,
            epoch: Epoch::NONE,
            faults_end,
            messages: 0,
            acknowledged: Acknowledged::default(),
            report: Report { events: 0, acknowledged: 0, crashes: 0, promotions: 0, trace: 0 },
        };
        for node in 0..plan.nodes {
            world.at(0, Event::Restart { node });
        }
        world.at(1, Event::Put);
        world.at(100, Event::Fault);
        world
    }

    fn at(&mut self, after: u64, event: Event) {
        self.next_event += 1;
        self.events.insert((self.now + after, self.next_event), event);
    }

    fn clock(&self) -> Duration {
        ms(self.now)
    }

    fn run(mut self) -> Result<Report, String> {
        let end = self.faults_end + HEAL_MS + LAST_MS;
        let mut healed = false;
        let mut last = 0;
        while let Some(((now, _), event)) = self.events.pop_first() {
            if end < now {
                break;
            }
            self.now = now;
            if !healed && self.faults_end <= now {
                healed = true;
                self.cut_off.clear();
            }
            if last == 0 && self.faults_end + HEAL_MS <= now {
                last = self.messages + 1;
            }
            self.fold(&event);
            self.handle(event)?;
        }
        self.report.acknowledged = self.acknowledged.len();
        let master = self.nodes.get(self.master).ok_or("no master")?;
        for node in &self.nodes {
            self.acknowledged.are_in(&node.log, node.index)?;
            check::in_order(&node.log, node.index)?;
            check::same(&master.log, &node.log, node.index)?;
        }
        if !self.acknowledged.contains(last) {
            return Err(format!("message {last}, sent after all faults, was not acknowledged"));
        }
        Ok(self.report)
    }

    fn fold(&mut self, event: &Event) {
        let (kind, node, more) = match event {
            Event::Deliver { from, to, session, wire } => {
                let bytes = match wire {
                    Wire::Data(frame, bytes) => frame.offset.0 ^ hash(bytes),
                    Wire::Report { received, synced } => received.0.rotate_left(32) ^ synced.0,
                    Wire::Open
                    | Wire::Opened
                    | Wire::Hello(_)
                    | Wire::Welcome(..)
                    | Wire::Refused(_)
                    | Wire::Close => 0,
                };
                (1, from * 64 + to, session.0 ^ bytes)
            }
            Event::Tick { node, incarnation } => (2, *node, *incarnation),
            Event::Sync { node, end, .. } => (3, *node, end.0),
            Event::Restart { node } => (4, *node, 0),
            Event::Told { node, master } => (5, *node, u64::try_from(*master).unwrap_or(0)),
            Event::Put => (6, 0, u64::from(self.messages)),
            Event::Fault => (7, 0, 0),
        };
        let node = u64::try_from(node).unwrap_or(0);
        let word = self.now ^ (more << 8) ^ (node << 3) ^ kind;
        self.report.trace = (self.report.trace.rotate_left(5) ^ word).wrapping_mul(0x100_0000_01B3);
        self.report.events += 1;
    }

    fn handle(&mut self, event: Event) -> Result<(), String> {
        match event {
            Event::Deliver { from, to, session, wire } => self.deliver(from, to, session, wire)?,
            Event::Tick { node, incarnation } => {
                if self.is(node, incarnation) {
                    self.at(TICK_MS, Event::Tick { node, incarnation });
                    self.tick(node)?;
                }
            }
            Event::Sync { node, incarnation, end } => {
                if self.is(node, incarnation) {
                    self.sync(node, end)?;
                }
            }
            Event::Restart { node } => self.restart(node)?,
            Event::Told { node, master } => self.told(node, master)?,
            Event::Put => {
                let pause = self.random.between(3, 25);
                // What is sent last has the time to get everywhere.
                if self.now < self.faults_end + HEAL_MS + PUTS_MS {
                    self.at(pause, Event::Put);
                }
                self.put()?;
            }
            Event::Fault => {
                let pause = self.random.between(20, 300);
                if self.now + pause < self.faults_end {
                    self.at(pause, Event::Fault);
                }
                self.fault()?;
            }
        }
        Ok(())
    }

    fn is(&self, node: usize, incarnation: u64) -> bool {
        self.nodes.get(node).is_some_and(|node| node.incarnation == incarnation && node.is_up())
    }

    // The network.

    fn send(&mut self, from: usize, to: usize, session: ConnId, wire: Wire) {
        let pair = (from.min(to), from.max(to));
        let faulty = self.now < self.faults_end;
        if faulty && self.cut_off.get(&pair).is_some_and(|until| self.now < *until) {
            return;
        }
        if faulty && self.random.chance(5) {
            return;
        }
        let slow = faulty && self.random.chance(10);
        let delay = if slow { self.random.between(20, 600) } else { 1 };
        if faulty && self.random.chance(10) {
            let delay = self.random.between(1, 50);
            self.at(delay, Event::Deliver { from, to, session, wire: wire.clone() });
        }
        self.at(delay, Event::Deliver { from, to, session, wire });
    }

    fn deliver(
        &mut self,
        from: usize,
        to: usize,
        session: ConnId,
        wire: Wire,
    ) -> Result<(), String> {
        let Some(node) = self.nodes.get(to) else { return Ok(()) };
        match &node.role {
            // Nobody there: the connection is reset.
            Role::Down if matches!(wire, Wire::Open) => self.send(to, from, session, Wire::Close),
            Role::Slave(_) if matches!(wire, Wire::Open) => {
                self.send(to, from, session, Wire::Close);
            }
            Role::Down => {}
            Role::Master(_) => return self.at_master(to, from, session, wire),
            Role::Slave(_) => {
                if let Some(conn) = node.conn_of(session) {
                    return self.at_slave(to, from, conn, wire);
                }
            }
        }
        Ok(())
    }

    // A master.

    fn at_master(
        &mut self,
        at: usize,
        from: usize,
        session: ConnId,
        wire: Wire,
    ) -> Result<(), String> {
        let conn = session;
        let input = match wire {
            Wire::Open => {
                if let Some(Node { role: Role::Master(master), .. }) = self.nodes.get_mut(at) {
                    master.served.insert(conn, Served { node: from, sender: None });
                }
                self.step_master(
                    at,
                    MasterInput::Opened { conn, host: IpAddr::V4(Ipv4Addr::LOCALHOST) },
                )?;
                self.send(at, from, session, Wire::Opened);
                return Ok(());
            }
            Wire::Hello(hello) => {
                let count_twice = self.plan.has(Mutant::CountTwice);
                let mut store = hello.store;
                if count_twice {
                    store = StoreId(u128::from(session.0).to_be_bytes());
                }
                MasterInput::Hello { conn, hello: Hello { store, ..hello } }
            }
            Wire::Report { mut received, mut synced } => {
                if self.plan.has(Mutant::TrustAhead) {
                    let end = self.nodes.get(at).map_or(LogOffset::ZERO, |n| n.log.ends().end);
                    (received, synced) = (received.min(end), synced.min(end));
                }
                MasterInput::Report { conn, received, synced }
            }
            Wire::Close => MasterInput::Closed { conn },
            Wire::Opened | Wire::Welcome(..) | Wire::Refused(_) | Wire::Data(..) => return Ok(()),
        };
        let hello_end =
            if let MasterInput::Hello { hello, .. } = &input { Some(hello.end) } else { None };
        if matches!(input, MasterInput::Closed { .. })
            && let Some(Node { role: Role::Master(master), .. }) = self.nodes.get_mut(at)
        {
            master.served.remove(&conn);
        }
        self.step_master_trusting(at, input, hello_end)
    }

    fn step_master(&mut self, at: usize, input: MasterInput) -> Result<(), String> {
        self.step_master_trusting(at, input, None)
    }

    fn step_master_trusting(
        &mut self,
        at: usize,
        input: MasterInput,
        hello_end: Option<LogOffset>,
    ) -> Result<(), String> {
        let now = self.clock();
        let plan = self.plan;
        let Some(node) = self.nodes.get_mut(at) else { return Ok(()) };
        let log = node.ends(&plan);
        let Role::Master(master) = &mut node.role else { return Ok(()) };
        let mut out = Vec::new();
        master.core.step(now, log, input, &mut out);
        for output in out {
            self.master_does(at, output, hello_end)?;
        }
        self.pump(at);
        Ok(())
    }

    fn master_does(
        &mut self,
        at: usize,
        output: MasterOutput,
        hello_end: Option<LogOffset>,
    ) -> Result<(), String> {
        let now = self.clock();
        let bytes_max = 1 + self.random.below(90);
        let trust = self.plan.has(Mutant::TrustAhead);
        let on_timeout = self.plan.has(Mutant::AckOnTimeout);
        let Some(node) = self.nodes.get_mut(at) else { return Ok(()) };
        let Role::Master(master) = &mut node.role else { return Ok(()) };
        match output {
            MasterOutput::Serve { conn, mut from } => {
                let Some(served) = master.served.get_mut(&conn) else { return Ok(()) };
                if trust {
                    from = hello_end.unwrap_or(from);
                }
                served.sender = Some(Sender::new(now, from, ms(50), bytes_max));
                let to = served.node;
                let welcome = Welcome {
                    store: StoreId([0; 16]),
                    epoch: master.core.epochs().last_epoch(),
                    from,
                    proven: false,
                };
                let tail = node.log.tail(from).to_vec();
                self.send(at, to, conn, Wire::Welcome(welcome, tail));
            }
            MasterOutput::Refuse { conn, refusal } => {
                if let Some(served) = master.served.remove(&conn) {
                    self.send(at, served.node, conn, Wire::Refused(refusal));
                }
            }
            MasterOutput::Close { conn, .. } => {
                if let Some(served) = master.served.remove(&conn) {
                    self.send(at, served.node, conn, Wire::Close);
                }
            }
            MasterOutput::Done { token, outcome } => {
                let record = master.waiting.remove(&token);
                let record = record.filter(|_| match outcome {
                    Outcome::Replicated => true,
                    Outcome::Timeout | Outcome::NoSlave => on_timeout,
                });
                if let Some(record) = record {
                    self.acknowledged.add(record)?;
                }
            }
        }
        Ok(())
    }

    /// Sends a few pieces to each replica.
    fn pump(&mut self, at: usize) {
        let now = self.clock();
        let mut messages = Vec::new();
        let Some(node) = self.nodes.get_mut(at) else { return };
        let log = node.log.ends();
        let Role::Master(master) = &mut node.role else { return };
        let confirmed = master.core.confirmed(now, log);
        for (conn, served) in &mut master.served {
            let Some(sender) = &mut served.sender else { continue };
            for _ in 0..6 {
                let (offset, bytes, term) = match sender.next(now, log, master.core.epochs()) {
                    Next::Data(chunk) => {
                        (chunk.offset, node.log.read(chunk.offset, chunk.bytes), chunk.term)
                    }
                    Next::Heartbeat(offset) => (offset, Vec::new(), None),
                    Next::Wait(_) | Next::Gone => break,
                };
                sender.sent(now, bytes.len());
                let frame = Frame { offset, bytes: bytes.len(), term, confirmed };
                messages.push((served.node, *conn, Wire::Data(frame, bytes)));
            }
        }
        for (to, conn, wire) in messages {
            self.send(at, to, conn, wire);
        }
    }

    fn put(&mut self) -> Result<(), String> {
        let at = self.master;
        let now = self.clock();
        let plan = self.plan;
        self.messages += 1;
        let message = self.messages;
        let queue = u32::try_from(self.random.between(1, QUEUES)).unwrap_or(1);
        let padding = self.random.below(40);
        let Some(node) = self.nodes.get_mut(at) else { return Ok(()) };
        let log = node.ends(&plan);
        let Role::Master(master) = &mut node.role else { return Ok(()) };
        if master.core.admit(now, log).is_err() {
            return Ok(());
        }
        let next = master.next_offsets.entry(queue).or_insert(0);
        let record = Record { queue, queue_offset: *next, message };
        *next += 1;
        let end = node.log.put(record, padding);
        let token = WaitToken(message.into());
        master.waiting.insert(token, record);
        let incarnation = node.incarnation;
        let delay = self.random.between(1, 20);
        self.at(delay, Event::Sync { node: at, incarnation, end });
        self.step_master(at, MasterInput::Wait { puts: vec![(token, end)] })
    }

    // A replica.

    /// The person empties a replica whose log has nothing in common with the master's, as the
    /// refusal says: it was the master before anything was acknowledged.
    fn empty(&mut self, at: usize) -> Result<(), String> {
        if let Some(node) = self.nodes.get_mut(at) {
            node.kill();
            node.log = Log::default();
        }
        self.restart(at)
    }

    fn at_slave(&mut self, at: usize, from: usize, conn: ConnId, wire: Wire) -> Result<(), String> {
        let input = match wire {
            Wire::Opened => SlaveInput::Connected { conn, dialect: Dialect::Native, cut: None },
            Wire::Welcome(mut welcome, tail) => {
                let Some(node) = self.nodes.get(at) else { return Ok(()) };
                welcome.proven = node.log.tail(welcome.from) == tail;
                if self.plan.has(Mutant::AcceptOldEpoch) {
                    welcome.epoch = Epoch::new(u32::MAX / 2).unwrap_or_default();
                }
                SlaveInput::Welcome { conn, welcome }
            }
            Wire::Refused(Refusal::Unrelated { .. }) if from == self.master => {
                return self.empty(at);
            }
            Wire::Refused(_) => SlaveInput::Refused { conn },
            Wire::Close => SlaveInput::Closed { conn },
            Wire::Data(frame, bytes) => {
                return self.step_slave(at, SlaveInput::Frame { conn, frame }, &bytes);
            }
            Wire::Open | Wire::Hello(_) | Wire::Report { .. } => return Ok(()),
        };
        self.step_slave(at, input, &[])
    }

    fn step_slave(&mut self, at: usize, input: SlaveInput, bytes: &[u8]) -> Result<(), String> {
        let now = self.clock();
        let plan = self.plan;
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            let Some(node) = self.nodes.get_mut(at) else { return Ok(()) };
            let log = node.ends(&plan);
            let Role::Slave(slave) = &mut node.role else { return Ok(()) };
            let mut out = Vec::new();
            slave.step(now, log, input, &mut out);
            for output in out {
                inputs.extend(self.slave_does(at, output, bytes));
            }
        }
        Ok(())
    }

    fn slave_does(&mut self, at: usize, output: SlaveOutput, bytes: &[u8]) -> Option<SlaveInput> {
        let skip = self.plan.has(Mutant::SkipCut);
        let node = self.nodes.get_mut(at)?;
        let master = node.master;
        match output {
            SlaveOutput::Connect { conn, address } => {
                let session = node.session(conn);
                let to = address.parse().unwrap_or(usize::MAX);
                self.send(at, to, session, Wire::Open);
            }
            SlaveOutput::Hello { conn, hello } => {
                let session = node.session(conn);
                self.send(at, master, session, Wire::Hello(hello));
            }
            SlaveOutput::Epochs { epochs } => node.log.epochs = epochs,
            SlaveOutput::Cut { conn, to } => {
                let done = skip || node.log.cut(to);
                return Some(SlaveInput::Cut { conn, done });
            }
            SlaveOutput::Append { .. } => {
                node.log.append(bytes);
                let (incarnation, end) = (node.incarnation, node.log.ends().end);
                let delay = self.random.between(1, 20);
                self.at(delay, Event::Sync { node: at, incarnation, end });
                return Some(SlaveInput::Tick);
            }
            SlaveOutput::Report { conn, received, synced } => {
                let session = node.session(conn);
                self.send(at, master, session, Wire::Report { received, synced });
            }
            SlaveOutput::Close { conn, .. } => {
                let session = node.session(conn);
                self.send(at, master, session, Wire::Close);
            }
        }
        None
    }

    // Both.

    fn tick(&mut self, at: usize) -> Result<(), String> {
        match self.nodes.get(at).map(|node| &node.role) {
            Some(Role::Master(_)) => self.step_master(at, MasterInput::Tick),
            Some(Role::Slave(_)) => self.step_slave(at, SlaveInput::Tick, &[]),
            Some(Role::Down) | None => Ok(()),
        }
    }

    fn sync(&mut self, at: usize, end: LogOffset) -> Result<(), String> {
        if self.plan.promise == Promise::Synced
            && self.now < self.faults_end
            && self.random.chance(2)
        {
            // What the sync should have made durable is lost, and the process stops.
            return self.crash(at, true);
        }
        if let Some(node) = self.nodes.get_mut(at) {
            node.log.sync(end);
        }
        self.tick(at)
    }

    // Faults, and the person who repairs.

    fn fault(&mut self) -> Result<(), String> {
        let node = self.random.below(self.plan.nodes);
        match self.random.between(0, 9) {
            0..=2 => self.crash(node, false)?,
            3..=4 => self.crash(node, self.plan.promise == Promise::Synced)?,
            5..=7 => {
                let other = self.random.below(self.plan.nodes);
                let until = self.now + self.random.between(50, 1_000);
                self.cut_off.insert((node.min(other), node.max(other)), until);
            }
            _ => {
                if self.plan.promotions {
                    self.promote()?;
                }
            }
        }
        Ok(())
    }

    fn crash(&mut self, at: usize, power: bool) -> Result<(), String> {
        let Some(node) = self.nodes.get_mut(at) else { return Ok(()) };
        if !node.is_up() {
            return Ok(());
        }
        node.kill();
        if power {
            node.log.lose(&mut self.random);
        }
        self.report.crashes += 1;
        let longest = if self.random.chance(300) { 1_500 } else { 200 };
        let after = self.random.between(5, longest);
        self.at(after, Event::Restart { node: at });
        Ok(())
    }

    fn restart(&mut self, at: usize) -> Result<(), String> {
        let plan = self.plan;
        let granted = plan.promotions && at == self.master;
        if granted {
            self.epoch = self.epoch.next_of(0).unwrap_or(self.epoch);
        }
        let epoch = self.epoch;
        let Some(node) = self.nodes.get_mut(at) else { return Ok(()) };
        if node.is_up() {
            return Ok(());
        }
        if granted {
            node.master = at;
            node.start_master(&plan, Some(epoch));
        } else if !plan.promotions && at == 0 {
            node.start_master(&plan, None);
        } else {
            node.start_slave(&plan);
        }
        let incarnation = node.incarnation;
        self.at(1, Event::Tick { node: at, incarnation });
        self.follow(at)
    }

    /// Tells a replica's core who its master is, as far as the node knows.
    fn follow(&mut self, at: usize) -> Result<(), String> {
        let Some(node) = self.nodes.get(at) else { return Ok(()) };
        let address = (node.master != at).then(|| address(node.master));
        match node.role {
            Role::Slave(_) => self.step_slave(at, SlaveInput::Master { address }, &[]),
            Role::Master(_) | Role::Down => Ok(()),
        }
    }

    fn told(&mut self, at: usize, master: usize) -> Result<(), String> {
        if master != self.master {
            return Ok(()); // an order that was replaced meanwhile
        }
        let Some(node) = self.nodes.get_mut(at) else { return Ok(()) };
        node.master = master;
        if matches!(node.role, Role::Master(_)) && at != master {
            node.kill();
            return self.restart(at);
        }
        self.follow(at)
    }

    /// Makes a copy the master that has all that was acknowledged: first enough copies promise to
    /// follow no earlier master, then the one of them that has most is chosen.
    fn promote(&mut self) -> Result<(), String> {
        let plan = self.plan;
        let enough = plan.nodes - plan.needed + 1;
        let mut asked: Vec<usize> =
            (0..plan.nodes).filter(|at| self.nodes.get(*at).is_some_and(Node::is_up)).collect();
        while enough < asked.len() && self.random.chance(600) {
            let gone = self.random.below(asked.len());
            asked.remove(gone);
        }
        if asked.len() < enough {
            return Ok(());
        }
        self.epoch = self.epoch.next_of(0).unwrap_or(self.epoch);
        let epoch = self.epoch;
        for at in &asked {
            let Some(node) = self.nodes.get_mut(*at) else { continue };
            node.floor = node.floor.max(epoch);
            if matches!(node.role, Role::Master(_)) {
                node.kill();
                node.start_slave(&plan);
                let incarnation = node.incarnation;
                self.at(1, Event::Tick { node: *at, incarnation });
            } else if !plan.has(Mutant::AcceptOldEpoch) {
                self.step_slave(*at, SlaveInput::Fence { epoch }, &[])?;
            }
        }
        let has = |at: &usize| {
            let node = self.nodes.get(*at);
            node.map(|node| (node.log.epochs.last_epoch(), node.log.ends().end))
        };
        let best = if plan.has(Mutant::PromoteAny) {
            asked.get(self.random.below(asked.len())).copied()
        } else {
            asked.iter().copied().max_by_key(has)
        };
        let Some(best) = best else { return Ok(()) };
        self.master = best;
        self.report.promotions += 1;
        let Some(node) = self.nodes.get_mut(best) else { return Ok(()) };
        node.kill();
        node.master = best;
        node.start_master(&plan, Some(epoch));
        self.acknowledged.are_in(&node.log, best)?;
        check::in_order(&node.log, best)?;
        let incarnation = node.incarnation;
        self.at(1, Event::Tick { node: best, incarnation });
        for node in (0..plan.nodes).filter(|node| *node != best) {
            let delay = self.random.between(1, 1_200);
            self.at(delay, Event::Told { node, master: best });
        }
        Ok(())
    }
}

fn hash(bytes: &[u8]) -> u64 {
    crc32fast::hash(bytes).into()
}
