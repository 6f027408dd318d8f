//! The loop: takes the next event, lets the cores decide, carries out what they say.

mod faults;
mod master;
mod slave;

use crate::check::{self, Acknowledged, Broken};
use crate::node::{Node, Role, Wire, ms};
use crate::random::Random;
use crate::{Plan, Promise};
use rmq_model::LogOffset;
use rmq_replica::{ConnId, Epoch, MasterInput, SlaveInput};
use std::collections::BTreeMap;
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
}

fn hash(bytes: &[u8]) -> u64 {
    crc32fast::hash(bytes).into()
}
