//! The side that others copy: who may copy from where, who has what, and who waits for that.

mod words;

pub use words::{
    AckOn, Hello, MasterConfig, MasterInput, MasterOutput, NotEnough, Outcome, PEERS_MAX, PeerView,
    Policy, Refusal, Shut, WAITERS_MAX, WaitToken,
};

use crate::epoch::Epochs;
use crate::{ConnId, LogEnds, StoreId};
use rmq_model::LogOffset;
use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

/// A copy, however it is connected. Java replicas do not say who they are: those of one host count
/// as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Copy {
    Store(StoreId),
    Host(IpAddr),
}

#[derive(Clone, Debug)]
struct Peer {
    host: IpAddr,
    /// `None` until it has said who it is and is served.
    copy: Option<Copy>,
    received: LogOffset,
    synced: LogOffset,
    /// End of the log when it last reported: with that it has caught up.
    mark: LogOffset,
    caught_up: Option<Duration>,
    heard: Duration,
}

#[derive(Clone, Copy, Debug)]
struct Waiter {
    end: LogOffset,
    token: WaitToken,
    deadline: Duration,
}

/// See the module.
#[derive(Clone, Debug)]
pub struct Master {
    config: MasterConfig,
    epochs: Epochs,
    peers: BTreeMap<ConnId, Peer>,
    /// Ascending by end.
    waiters: VecDeque<Waiter>,
}

impl Master {
    /// A master whose present term is the last of `epochs`.
    pub fn new(config: MasterConfig, epochs: Epochs) -> Self {
        Self { config, epochs, peers: BTreeMap::new(), waiters: VecDeque::new() }
    }

    /// Its terms.
    pub fn epochs(&self) -> &Epochs {
        &self.epochs
    }

    /// Forgets terms whose bytes were deleted. Says whether any were.
    pub fn trim(&mut self, min: LogOffset) -> bool {
        self.epochs.trim(min)
    }

    /// Takes one event and adds to `out` what the shell must do, in that order.
    pub fn step(
        &mut self,
        now: Duration,
        log: LogEnds,
        input: MasterInput,
        out: &mut Vec<MasterOutput>,
    ) {
        match input {
            MasterInput::Opened { conn, host } => self.opened(now, conn, host, out),
            MasterInput::Hello { conn, hello } => self.hello(now, log, conn, &hello, out),
            MasterInput::JavaReport { conn, end } => self.java(now, log, conn, end, out),
            MasterInput::Report { conn, received, synced } => {
                if self.peers.get(&conn).is_some_and(|peer| peer.copy.is_none()) {
                    self.shut(conn, Shut::OutOfTurn, out);
                } else {
                    self.report(now, log, conn, received, synced, out);
                }
            }
            MasterInput::Closed { conn } => {
                self.peers.remove(&conn);
            }
            MasterInput::Wait { puts } => {
                for (token, end) in puts {
                    self.wait(now, token, end, out);
                }
            }
            MasterInput::Tick => self.close_silent(now, out),
        }
        self.complete(now, log, out);
    }

    fn opened(&mut self, now: Duration, conn: ConnId, host: IpAddr, out: &mut Vec<MasterOutput>) {
        if PEERS_MAX <= self.peers.len() {
            out.push(MasterOutput::Refuse { conn, refusal: Refusal::TooMany });
            return;
        }
        let zero = LogOffset::ZERO;
        let peer = Peer {
            host,
            copy: None,
            received: zero,
            synced: zero,
            mark: zero,
            caught_up: None,
            heard: now,
        };
        self.peers.insert(conn, peer);
    }

    fn hello(
        &mut self,
        now: Duration,
        log: LogEnds,
        conn: ConnId,
        hello: &Hello,
        out: &mut Vec<MasterOutput>,
    ) {
        let Some(peer) = self.peers.get_mut(&conn) else { return };
        if peer.copy.is_some() {
            return self.shut(conn, Shut::OutOfTurn, out);
        }
        let from = match start_of(&self.config, &self.epochs, log, hello) {
            Ok(from) => from,
            Err(refusal) => {
                self.peers.remove(&conn);
                out.push(MasterOutput::Refuse { conn, refusal });
                return;
            }
        };
        let copy = Copy::Store(hello.store);
        peer.copy = Some(copy);
        peer.heard = now;
        peer.mark = log.end;
        let stale: Vec<ConnId> = self
            .peers
            .iter()
            .filter(|(id, peer)| **id != conn && peer.copy == Some(copy))
            .map(|(id, _)| *id)
            .collect();
        for stale in stale {
            self.shut(stale, Shut::Superseded, out);
        }
        out.push(MasterOutput::Serve { conn, from });
    }

    fn java(
        &mut self,
        now: Duration,
        log: LogEnds,
        conn: ConnId,
        end: LogOffset,
        out: &mut Vec<MasterOutput>,
    ) {
        let Some(peer) = self.peers.get_mut(&conn) else { return };
        match peer.copy {
            // Java does not say when it has synced: what it has must do.
            Some(Copy::Host(_)) => self.report(now, log, conn, end, end, out),
            Some(Copy::Store(_)) => self.shut(conn, Shut::OutOfTurn, out),
            None => {
                // 0 is an empty store, which takes any place that begins a file.
                let from = if end == LogOffset::ZERO { log.min } else { end };
                if from < log.min || log.end < from {
                    let refusal = Refusal::OutOfRange { from, min: log.min, end: log.end };
                    self.peers.remove(&conn);
                    out.push(MasterOutput::Refuse { conn, refusal });
                    return;
                }
                peer.copy = Some(Copy::Host(peer.host));
                out.push(MasterOutput::Serve { conn, from });
                self.report(now, log, conn, end, end, out);
            }
        }
    }

    fn report(
        &mut self,
        now: Duration,
        log: LogEnds,
        conn: ConnId,
        received: LogOffset,
        synced: LogOffset,
        out: &mut Vec<MasterOutput>,
    ) {
        let Some(peer) = self.peers.get_mut(&conn) else { return };
        if log.end < received || received < synced {
            // What it has is not what was written here: it must not count as a copy of it.
            return self.shut(conn, Shut::Ahead, out);
        }
        peer.heard = now;
        peer.received = peer.received.max(received);
        peer.synced = peer.synced.max(synced);
        if peer.mark <= peer.received {
            peer.caught_up = Some(now);
            peer.mark = log.end;
        }
    }

    fn shut(&mut self, conn: ConnId, why: Shut, out: &mut Vec<MasterOutput>) {
        self.peers.remove(&conn);
        out.push(MasterOutput::Close { conn, why });
    }

    fn close_silent(&mut self, now: Duration, out: &mut Vec<MasterOutput>) {
        let idle = self.config.idle;
        let is_silent = |peer: &Peer| idle < now.saturating_sub(peer.heard);
        let silent: Vec<ConnId> =
            self.peers.iter().filter(|(_, peer)| is_silent(peer)).map(|(id, _)| *id).collect();
        for conn in silent {
            self.shut(conn, Shut::Silent, out);
        }
    }

    fn wait(
        &mut self,
        now: Duration,
        token: WaitToken,
        end: LogOffset,
        out: &mut Vec<MasterOutput>,
    ) {
        if WAITERS_MAX <= self.waiters.len() {
            out.push(MasterOutput::Done { token, outcome: Outcome::Timeout });
            return;
        }
        let waiter = Waiter { end, token, deadline: now.saturating_add(self.config.timeout) };
        // The log tells of puts in their order, so this is the end of the list.
        let at = self.waiters.partition_point(|waiter| waiter.end <= end);
        self.waiters.insert(at, waiter);
    }

    /// Ends the waits that are over: always a prefix.
    fn complete(&mut self, now: Duration, log: LogEnds, out: &mut Vec<MasterOutput>) {
        if self.waiters.is_empty() {
            return;
        }
        let confirmed = self.confirmed(now, log);
        while let Some(waiter) = self.waiters.front().filter(|waiter| waiter.end <= confirmed) {
            out.push(MasterOutput::Done { token: waiter.token, outcome: Outcome::Replicated });
            self.waiters.pop_front();
        }
        if self.waiters.front().is_none_or(|waiter| now < waiter.deadline) {
            return;
        }
        let enough = self.needed(now, log) <= self.copies().len().saturating_add(1);
        let outcome = if enough { Outcome::Timeout } else { Outcome::NoSlave };
        while let Some(waiter) = self.waiters.front().filter(|waiter| waiter.deadline <= now) {
            out.push(MasterOutput::Done { token: waiter.token, outcome });
            self.waiters.pop_front();
        }
    }

    /// Copies that are connected, and how far each is, whichever of its connections says so.
    fn copies(&self) -> BTreeMap<Copy, LogOffset> {
        let mut copies = BTreeMap::new();
        for peer in self.peers.values() {
            let Some(copy) = peer.copy else { continue };
            let has = match self.config.ack_on {
                AckOn::Received => peer.received,
                AckOn::Synced => peer.synced,
            };
            let known = copies.entry(copy).or_insert(has);
            *known = has.max(*known);
        }
        copies
    }

    fn is_in_sync(&self, now: Duration, log: LogEnds, peer: &Peer) -> bool {
        let near = log.end.bytes_since(peer.received).unwrap_or(0) <= self.config.lag_bytes_max;
        let lately =
            peer.caught_up.is_some_and(|at| now.saturating_sub(at) <= self.config.catch_up_within);
        // With nothing new there is nothing to catch up with.
        peer.copy.is_some() && near && (lately || peer.received == log.end)
    }

    /// Copies in sync, the master's included.
    pub fn in_sync(&self, now: Duration, log: LogEnds) -> usize {
        let in_sync = self.peers.values().filter(|peer| self.is_in_sync(now, log, peer));
        let mut copies: Vec<Copy> = in_sync.filter_map(|peer| peer.copy).collect();
        copies.sort_unstable();
        copies.dedup();
        copies.len().saturating_add(1)
    }

    /// Copies that a put needs now, the master's included.
    pub fn needed(&self, now: Duration, log: LogEnds) -> usize {
        let config = &self.config;
        let needed = match config.policy {
            Policy::Fixed => config.in_sync,
            Policy::Auto => config.in_sync.min(self.in_sync(now, log)).max(config.in_sync_min),
            Policy::All => self.in_sync(now, log).max(config.in_sync_min),
        };
        needed.max(1)
    }

    /// Up to here there are as many copies as puts need now.
    pub fn confirmed(&self, now: Duration, log: LogEnds) -> LogOffset {
        let needed = self.needed(now, log);
        let own = match self.config.ack_on {
            AckOn::Received => log.end,
            AckOn::Synced => log.synced,
        };
        let mut has: Vec<LogOffset> = self.copies().into_values().collect();
        has.push(own);
        has.sort_unstable_by(|a, b| b.cmp(a));
        // What the master itself lacks nobody has.
        has.get(needed.saturating_sub(1)).copied().unwrap_or(LogOffset::ZERO).min(own)
    }

    /// Whether a put that is to wait may be stored.
    ///
    /// # Errors
    /// [`NotEnough`] when too few replicas are in sync.
    pub fn admit(&self, now: Duration, log: LogEnds) -> Result<(), NotEnough> {
        let need = self.config.in_sync_min;
        if need <= 1 {
            return Ok(());
        }
        let have = self.in_sync(now, log);
        if have < need { Err(NotEnough { have, need }) } else { Ok(()) }
    }

    /// Puts that wait.
    pub fn waiting(&self) -> usize {
        self.waiters.len()
    }

    /// When [`MasterInput::Tick`] has something to do for waits; `None` without any.
    pub fn next_deadline(&self) -> Option<Duration> {
        self.waiters.front().map(|waiter| waiter.deadline)
    }

    /// All replicas that are served.
    pub fn peers(&self, now: Duration, log: LogEnds) -> Vec<PeerView> {
        let served = self.peers.iter().filter_map(|(conn, peer)| Some((conn, peer, peer.copy?)));
        let view = |(conn, peer, copy): (&ConnId, &Peer, Copy)| PeerView {
            conn: *conn,
            store: match copy {
                Copy::Store(store) => Some(store),
                Copy::Host(_) => None,
            },
            received: peer.received,
            synced: peer.synced,
            in_sync: self.is_in_sync(now, log, peer),
            behind_for: if peer.received == log.end {
                Some(Duration::ZERO)
            } else {
                peer.caught_up.map(|at| now.saturating_sub(at))
            },
        };
        served.map(view).collect()
    }
}

/// Where a replica of ours begins: behind the last byte that both logs have in common.
fn start_of(
    config: &MasterConfig,
    epochs: &Epochs,
    log: LogEnds,
    hello: &Hello,
) -> Result<LogOffset, Refusal> {
    if hello.store == config.store {
        return Err(Refusal::SameStore { store: hello.store });
    }
    let (known, own) = (hello.epochs.last_epoch(), epochs.last_epoch());
    if own < known {
        return Err(Refusal::OldMaster { known, own });
    }
    if hello.end == hello.min {
        return Ok(log.min); // an empty log is a part of every other
    }
    let end = hello.end;
    let common = if hello.epochs.entries().is_empty() {
        // Written by Java, or before terms were counted: the proof in the welcome decides.
        Some(end.min(log.end))
    } else {
        hello.epochs.consistent_point(end, epochs, log.end)
    };
    let from = common.ok_or(Refusal::Unrelated { end })?;
    if from < hello.min {
        return Err(Refusal::Unrelated { end });
    }
    if from < log.min {
        return Err(Refusal::TooFarBehind { end: from, min: log.min });
    }
    Ok(from)
}

#[cfg(test)]
mod tests;
