//! What a master is told, and what it does.

use super::{Event, QUEUES, World};
use crate::Mutant;
use crate::log::Record;
use crate::node::{Node, Role, Served, Wire, ms};
use rmq_model::LogOffset;
use rmq_replica::{
    ConnId, Frame, Hello, MasterInput, MasterOutput, Next, Outcome, Sender, StoreId, WaitToken,
    Welcome,
};
use std::net::{IpAddr, Ipv4Addr};

impl World {
    pub(super) fn at_master(
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

    pub(super) fn step_master(&mut self, at: usize, input: MasterInput) -> Result<(), String> {
        self.step_master_trusting(at, input, None)
    }

    pub(super) fn step_master_trusting(
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

    pub(super) fn master_does(
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
    pub(super) fn pump(&mut self, at: usize) {
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

    pub(super) fn put(&mut self) -> Result<(), String> {
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
}
