//! What goes wrong, and what people do about it.

use super::{Event, World};
use crate::check;
use crate::node::{Node, Role, address};
use crate::{Mutant, Promise};
use rmq_replica::SlaveInput;

impl World {
    pub(super) fn fault(&mut self) -> Result<(), String> {
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

    pub(super) fn crash(&mut self, at: usize, power: bool) -> Result<(), String> {
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

    pub(super) fn restart(&mut self, at: usize) -> Result<(), String> {
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
    pub(super) fn follow(&mut self, at: usize) -> Result<(), String> {
        let Some(node) = self.nodes.get(at) else { return Ok(()) };
        let address = (node.master != at).then(|| address(node.master));
        match node.role {
            Role::Slave(_) => self.step_slave(at, SlaveInput::Master { address }, &[]),
            Role::Master(_) | Role::Down => Ok(()),
        }
    }

    pub(super) fn told(&mut self, at: usize, master: usize) -> Result<(), String> {
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
    pub(super) fn promote(&mut self) -> Result<(), String> {
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
