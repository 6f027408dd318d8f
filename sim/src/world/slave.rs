//! What a replica is told, and what it does.

use super::{Event, World};
use crate::Mutant;
use crate::log::Log;
use crate::node::{Role, Wire};
use rmq_replica::{ConnId, Dialect, Epoch, Refusal, SlaveInput, SlaveOutput};
use std::collections::VecDeque;

impl World {
    /// The person empties a replica whose log has nothing in common with the master's, as the
    /// refusal says: it was the master before anything was acknowledged.
    pub(super) fn empty(&mut self, at: usize) -> Result<(), String> {
        if let Some(node) = self.nodes.get_mut(at) {
            node.kill();
            node.log = Log::default();
        }
        self.restart(at)
    }

    pub(super) fn at_slave(
        &mut self,
        at: usize,
        from: usize,
        conn: ConnId,
        wire: Wire,
    ) -> Result<(), String> {
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

    pub(super) fn step_slave(
        &mut self,
        at: usize,
        input: SlaveInput,
        bytes: &[u8],
    ) -> Result<(), String> {
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

    pub(super) fn slave_does(
        &mut self,
        at: usize,
        output: SlaveOutput,
        bytes: &[u8],
    ) -> Option<SlaveInput> {
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
}
