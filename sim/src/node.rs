//! One copy: a log, and a process over it that is a master, a replica, or dead.

use crate::log::Log;
use crate::log::Record;
use crate::{Mutant, Plan, Promise};
use rmq_model::LogOffset;
use rmq_replica::{
    AckOn, ConnId, Entry, Epoch, Epochs, Frame, Hello, LogEnds, Master, MasterConfig, Policy,
    Refusal, Sender, Slave, SlaveConfig, StoreId, WaitToken, Welcome,
};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// What goes over the network. A session is one attempt of a replica to connect.
#[derive(Clone, Debug)]
pub(crate) enum Wire {
    Open,
    Opened,
    Hello(Hello),
    Welcome(Welcome, Vec<u8>),
    Refused(Refusal),
    Report { received: LogOffset, synced: LogOffset },
    Data(Frame, Vec<u8>),
    Close,
}

/// A process.
#[derive(Debug)]
pub(crate) enum Role {
    Down,
    Master(Box<MasterNode>),
    Slave(Box<Slave>),
}

#[derive(Debug)]
pub(crate) struct MasterNode {
    pub(crate) core: Master,
    /// Replicas that are served, with the nodes they are.
    pub(crate) served: BTreeMap<ConnId, Served>,
    pub(crate) waiting: BTreeMap<WaitToken, Record>,
    pub(crate) next_offsets: BTreeMap<u32, u32>,
}

#[derive(Debug)]
pub(crate) struct Served {
    pub(crate) node: usize,
    pub(crate) sender: Option<Sender>,
}

#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) index: usize,
    pub(crate) log: Log,
    /// Durable: no master of an earlier term.
    pub(crate) floor: Epoch,
    /// Durable: who is the master, as far as this node was told.
    pub(crate) master: usize,
    /// Counts processes.
    pub(crate) incarnation: u64,
    pub(crate) role: Role,
}

pub(crate) fn ms(number: u64) -> Duration {
    Duration::from_millis(number)
}

fn store(index: usize) -> StoreId {
    StoreId([u8::try_from(index + 1).unwrap_or(u8::MAX); 16])
}

fn ack_on(plan: &Plan) -> AckOn {
    match plan.promise {
        Promise::Received => AckOn::Received,
        Promise::Synced => AckOn::Synced,
    }
}

pub(crate) fn address(node: usize) -> Arc<str> {
    node.to_string().into()
}

impl Node {
    pub(crate) fn new(index: usize) -> Self {
        let role = Role::Down;
        let (log, floor) = (Log::default(), Epoch::NONE);
        Self { index, log, floor, master: 0, incarnation: 0, role }
    }

    pub(crate) fn is_up(&self) -> bool {
        !matches!(self.role, Role::Down)
    }

    /// The log as the core sees it.
    pub(crate) fn ends(&self, plan: &Plan) -> LogEnds {
        let ends = self.log.ends();
        let early = plan.has(Mutant::AckEarly) && matches!(self.role, Role::Slave(_));
        if early { LogEnds { synced: ends.end, ..ends } } else { ends }
    }

    fn open(&mut self, plan: &Plan) {
        self.incarnation += 1;
        self.log.recover();
        if plan.has(Mutant::ForgetEpochs) {
            self.log.epochs = Epochs::default();
        }
    }

    /// Starts a master. Without a term that was granted it begins its own next one.
    pub(crate) fn start_master(&mut self, plan: &Plan, granted: Option<Epoch>) {
        self.open(plan);
        let end = self.log.ends().end;
        let epochs = &mut self.log.epochs;
        let known = self.floor.max(epochs.last_epoch());
        let own = known.next_of(store(self.index).slot()).unwrap_or(known);
        let epoch = granted.unwrap_or(own);
        if epochs.entries().is_empty() && end != LogOffset::ZERO {
            epochs.begin(Entry { epoch: Epoch::NONE, start: LogOffset::ZERO }).ok();
        }
        // A term that was granted is later than all; if not, replicas refuse this master.
        epochs.begin(Entry { epoch, start: end }).ok();
        self.floor = self.floor.max(epoch);
        let config = MasterConfig {
            store: store(self.index),
            policy: Policy::Fixed,
            in_sync: plan.needed,
            in_sync_min: 1,
            ack_on: ack_on(plan),
            timeout: ms(300),
            lag_bytes_max: 10_000,
            catch_up_within: ms(1_000),
            idle: ms(400),
        };
        let mut next_offsets = BTreeMap::new();
        for (_, record) in self.log.records() {
            next_offsets.insert(record.queue, record.queue_offset + 1);
        }
        self.role = Role::Master(Box::new(MasterNode {
            core: Master::new(config, self.log.epochs.clone()),
            served: BTreeMap::new(),
            waiting: BTreeMap::new(),
            next_offsets,
        }));
    }

    pub(crate) fn start_slave(&mut self, plan: &Plan) {
        self.open(plan);
        let config = SlaveConfig {
            store: store(self.index),
            ack_on: ack_on(plan),
            retry_min: ms(20),
            retry_max: ms(200),
            report_every: ms(100),
            idle: ms(400),
        };
        let floor = if plan.has(Mutant::AcceptOldEpoch) { Epoch::NONE } else { self.floor };
        self.role = Role::Slave(Box::new(Slave::new(config, self.log.epochs.clone(), floor)));
    }

    /// The process ends; its log is as the page cache has it.
    pub(crate) fn kill(&mut self) {
        self.role = Role::Down;
    }

    /// Names an attempt to connect for the whole group.
    pub(crate) fn session(&self, conn: ConnId) -> ConnId {
        let node = u64::try_from(self.index).unwrap_or(u64::MAX);
        ConnId((node << 48) | (self.incarnation << 24) | conn.0)
    }

    /// The replica's own name of a session, if it is one of this process.
    pub(crate) fn conn_of(&self, session: ConnId) -> Option<ConnId> {
        let conn = ConnId(session.0 & 0xFF_FFFF);
        (self.session(conn) == session).then_some(conn)
    }
}
