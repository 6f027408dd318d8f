//! The side that copies: finds the master, cuts off what the master does not have, appends,
//! reports, and begins again when something is wrong.

use crate::epoch::{Entry, Epoch, Epochs};
use crate::master::{AckOn, Hello};
use crate::{ConnId, LogEnds, StoreId};
use rmq_model::LogOffset;
use std::sync::Arc;
use std::time::Duration;

/// How a master is talked to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// Ours: hello, welcome, terms, check values.
    Native,
    /// Java's: positions only.
    Java,
}

/// Rules of one replica.
#[derive(Clone, Copy, Debug)]
pub struct SlaveConfig {
    /// Its own copy.
    pub store: StoreId,
    /// When bytes are acknowledged.
    pub ack_on: AckOn,
    /// First wait after a failure; doubles.
    pub retry_min: Duration,
    /// Longest wait after a failure.
    pub retry_max: Duration,
    /// `haSendHeartbeatInterval`: a report is repeated when nothing was sent for so long.
    pub report_every: Duration,
    /// `haHousekeepingInterval`: a silent master is left.
    pub idle: Duration,
}

/// The master's answer to a hello.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Welcome {
    /// The master's copy.
    pub store: StoreId,
    /// The master's present term.
    pub epoch: Epoch,
    /// Both logs are the same up to here; the master sends from here on.
    pub from: LogOffset,
    /// The bytes before `from` were compared, as far as both have them, and are the same.
    pub proven: bool,
}

/// A frame of a master: a piece of the log, or a sign of life without one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Its first byte, or the byte that comes next.
    pub offset: LogOffset,
    /// How many.
    pub bytes: usize,
    /// The term they were written in; `None` from Java.
    pub term: Option<Entry>,
    /// Up to here the master has the copies it wants.
    pub confirmed: LogOffset,
}

/// What happened. Of connections that are not the present one nothing counts.
#[derive(Clone, Debug)]
pub enum SlaveInput {
    /// This is the master now; `None` if there is none to be found.
    Master {
        /// Where it is.
        address: Option<Arc<str>>,
    },
    /// The connection stands.
    Connected {
        /// Which.
        conn: ConnId,
        /// How this master is talked to.
        dialect: Dialect,
        /// Of a Java master: where it began, if bytes of ours behind that are not its own.
        cut: Option<LogOffset>,
    },
    /// The master answered the hello.
    Welcome {
        /// On which connection.
        conn: ConnId,
        /// The answer.
        welcome: Welcome,
    },
    /// The master will not have us.
    Refused {
        /// On which connection.
        conn: ConnId,
    },
    /// [`SlaveOutput::Cut`] was done, or failed.
    Cut {
        /// On which connection.
        conn: ConnId,
        /// Whether it was done.
        done: bool,
    },
    /// The master sent a frame.
    Frame {
        /// On which connection.
        conn: ConnId,
        /// What.
        frame: Frame,
    },
    /// No master of an earlier term may be followed any more.
    Fence {
        /// The term.
        epoch: Epoch,
    },
    /// The connection failed or ended.
    Closed {
        /// Which.
        conn: ConnId,
    },
    /// The own log was appended to or synced, or time passed.
    Tick,
}

/// What the shell does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SlaveOutput {
    /// Connect and find out what kind of master it is.
    Connect {
        /// Names the attempt.
        conn: ConnId,
        /// Where to.
        address: Arc<str>,
    },
    /// Introduce ourselves.
    Hello {
        /// On which connection.
        conn: ConnId,
        /// As what.
        hello: Hello,
    },
    /// Make these the terms of the log, durably, before anything that follows.
    Epochs {
        /// All of them.
        epochs: Epochs,
    },
    /// Cut the log off here, at the end of a record, and say how it went.
    Cut {
        /// On which connection.
        conn: ConnId,
        /// First byte that goes.
        to: LogOffset,
    },
    /// Append the bytes of the frame just given. An empty log begins at `offset`.
    Append {
        /// First byte.
        offset: LogOffset,
    },
    /// Say how far we are.
    Report {
        /// On which connection.
        conn: ConnId,
        /// One past the last byte.
        received: LogOffset,
        /// One past the last byte that would survive a power cut.
        synced: LogOffset,
    },
    /// Close the connection.
    Close {
        /// Which.
        conn: ConnId,
        /// Why.
        fault: Fault,
    },
}

/// Why a replica leaves its master.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// It is somewhere else now.
    #[error("the master has another address")]
    Moved,
    /// It said nothing for too long.
    #[error("nothing was heard from the master for too long")]
    Silent,
    /// It refused us.
    #[error("the master refuses this replica")]
    Refused,
    /// It is of an older term than one that is known.
    #[error("the master is of epoch {epoch}, epoch {known} is known")]
    OldMaster {
        /// Its term.
        epoch: Epoch,
        /// The latest known.
        known: Epoch,
    },
    /// The bytes before the place to begin are not the same: the logs are not of one group.
    #[error("the log differs from the master's before {from}: empty this replica's store")]
    Differs {
        /// The place.
        from: LogOffset,
    },
    /// The log could not be cut.
    #[error("the log could not be cut")]
    NotCut,
    /// The bytes do not follow those that are there.
    #[error("the master sends from {offset}, the log ends at {end}")]
    Gap {
        /// What it sends.
        offset: LogOffset,
        /// What was expected.
        end: LogOffset,
    },
    /// The term of the bytes does not fit the terms known.
    #[error("the master's epochs contradict those of this log")]
    Epochs,
    /// It spoke out of turn.
    #[error("the master sent something out of turn")]
    OutOfTurn,
}

/// How a replica is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// No master is known.
    NoMaster,
    /// Waits before the next attempt.
    Resting,
    /// Connects.
    Connecting,
    /// Has introduced itself.
    Greeting,
    /// Cuts off what the master does not have.
    Cutting,
    /// Copies.
    Following,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Resting { until: Duration },
    Connecting { since: Duration },
    Greeting { since: Duration },
    Cutting,
    Following,
}

/// See the module.
#[derive(Clone, Debug)]
pub struct Slave {
    config: SlaveConfig,
    epochs: Epochs,
    /// No master of an earlier term is followed.
    floor: Epoch,
    master: Option<Arc<str>>,
    dialect: Dialect,
    state: State,
    conn: ConnId,
    retry: Duration,
    heard: Duration,
    reported: Option<(LogOffset, LogOffset)>,
    reported_at: Duration,
    confirmed: LogOffset,
    /// Where an empty log begins; `None` where the master says it with its first bytes.
    begin: Option<LogOffset>,
    /// The last frame's end: the master has at least so much.
    seen: LogOffset,
}

impl Slave {
    /// A replica whose log was written in `epochs`, of the term `floor` or later.
    pub fn new(config: SlaveConfig, epochs: Epochs, floor: Epoch) -> Self {
        Self {
            config,
            floor: floor.max(epochs.last_epoch()),
            epochs,
            master: None,
            dialect: Dialect::Native,
            state: State::Resting { until: Duration::ZERO },
            conn: ConnId(0),
            retry: config.retry_min,
            heard: Duration::ZERO,
            reported: None,
            reported_at: Duration::ZERO,
            confirmed: LogOffset::ZERO,
            begin: None,
            seen: LogOffset::ZERO,
        }
    }

    /// Its terms.
    pub fn epochs(&self) -> &Epochs {
        &self.epochs
    }

    /// How it is.
    pub fn phase(&self) -> Phase {
        match self.state {
            State::Resting { .. } if self.master.is_none() => Phase::NoMaster,
            State::Resting { .. } => Phase::Resting,
            State::Connecting { .. } => Phase::Connecting,
            State::Greeting { .. } => Phase::Greeting,
            State::Cutting => Phase::Cutting,
            State::Following => Phase::Following,
        }
    }

    /// Up to here the master has the copies it wants, as far as this log goes.
    pub fn confirmed(&self, log: LogEnds) -> LogOffset {
        self.confirmed.min(log.end)
    }

    /// How far the master is at least.
    pub fn master_end(&self) -> LogOffset {
        self.seen
    }

    /// The connection in use, or the last one.
    pub fn conn(&self) -> ConnId {
        self.conn
    }

    /// Takes one event and adds to `out` what the shell must do, in that order.
    pub fn step(
        &mut self,
        now: Duration,
        log: LogEnds,
        input: SlaveInput,
        out: &mut Vec<SlaveOutput>,
    ) {
        match input {
            SlaveInput::Master { address } => self.found(now, address, out),
            SlaveInput::Connected { conn, dialect, cut } if conn == self.conn => {
                self.connected(now, log, dialect, cut, out);
            }
            SlaveInput::Welcome { conn, welcome } if conn == self.conn => {
                self.welcome(now, log, &welcome, out);
            }
            SlaveInput::Refused { conn } if conn == self.conn => {
                self.retry = self.config.retry_max; // a person must act
                self.leave(now, Fault::Refused, out);
            }
            SlaveInput::Cut { conn, done } if conn == self.conn => {
                self.was_cut(now, log, done, out);
            }
            SlaveInput::Frame { conn, frame } if conn == self.conn => {
                self.frame(now, log, &frame, out);
            }
            SlaveInput::Closed { conn } if conn == self.conn => self.rest(now),
            SlaveInput::Connected { .. }
            | SlaveInput::Welcome { .. }
            | SlaveInput::Refused { .. }
            | SlaveInput::Cut { .. }
            | SlaveInput::Frame { .. }
            | SlaveInput::Closed { .. } => {}
            SlaveInput::Fence { epoch } => self.fence(now, epoch, out),
            SlaveInput::Tick => self.tick(now, log, out),
        }
    }

    fn fence(&mut self, now: Duration, epoch: Epoch, out: &mut Vec<SlaveOutput>) {
        let known = self.floor.max(epoch);
        if known == self.floor {
            return;
        }
        let epoch = std::mem::replace(&mut self.floor, known);
        if self.is_connected() {
            self.leave(now, Fault::OldMaster { epoch, known }, out);
        }
    }

    fn is_connected(&self) -> bool {
        !matches!(self.state, State::Resting { .. })
    }

    fn found(&mut self, now: Duration, address: Option<Arc<str>>, out: &mut Vec<SlaveOutput>) {
        if address == self.master {
            return;
        }
        self.master = address;
        if self.is_connected() {
            self.leave(now, Fault::Moved, out);
        }
        self.retry = self.config.retry_min;
        self.state = State::Resting { until: now };
        self.connect(now, out);
    }

    fn connect(&mut self, now: Duration, out: &mut Vec<SlaveOutput>) {
        let (Some(address), State::Resting { until }) = (&self.master, self.state) else { return };
        if now < until {
            return;
        }
        self.conn = ConnId(self.conn.0.saturating_add(1));
        self.state = State::Connecting { since: now };
        out.push(SlaveOutput::Connect { conn: self.conn, address: Arc::clone(address) });
    }

    fn leave(&mut self, now: Duration, fault: Fault, out: &mut Vec<SlaveOutput>) {
        out.push(SlaveOutput::Close { conn: self.conn, fault });
        self.rest(now);
    }

    fn rest(&mut self, now: Duration) {
        if self.is_connected() {
            self.state = State::Resting { until: now.saturating_add(self.retry) };
            self.retry = self.retry.saturating_mul(2).min(self.config.retry_max);
        }
    }

    fn connected(
        &mut self,
        now: Duration,
        log: LogEnds,
        dialect: Dialect,
        cut: Option<LogOffset>,
        out: &mut Vec<SlaveOutput>,
    ) {
        if !matches!(self.state, State::Connecting { .. }) {
            return;
        }
        self.dialect = dialect;
        self.begin = None;
        self.reported = None;
        self.heard = now;
        match dialect {
            Dialect::Native => {
                self.state = State::Greeting { since: now };
                let hello = Hello {
                    store: self.config.store,
                    epochs: self.epochs.clone(),
                    min: log.min,
                    end: log.end,
                };
                out.push(SlaveOutput::Hello { conn: self.conn, hello });
            }
            Dialect::Java => {
                // Who wrote what is not known from here on.
                if !self.epochs.entries().is_empty() {
                    self.epochs = Epochs::default();
                    out.push(SlaveOutput::Epochs { epochs: Epochs::default() });
                }
                match cut.filter(|to| *to < log.end) {
                    Some(to) => self.cut(to, out),
                    None => self.follow(now, log, out),
                }
            }
        }
    }

    fn welcome(
        &mut self,
        now: Duration,
        log: LogEnds,
        welcome: &Welcome,
        out: &mut Vec<SlaveOutput>,
    ) {
        if !matches!(self.state, State::Greeting { .. }) {
            return self.leave(now, Fault::OutOfTurn, out);
        }
        let Welcome { epoch, from, proven, .. } = *welcome;
        if epoch < self.floor {
            return self.leave(now, Fault::OldMaster { epoch, known: self.floor }, out);
        }
        let empty = log.min == log.end;
        if !empty && (!proven || from < log.min || log.end < from) {
            self.retry = self.config.retry_max; // a person must act
            return self.leave(now, Fault::Differs { from }, out);
        }
        self.floor = epoch;
        self.heard = now;
        self.begin = Some(from);
        if !empty && from < log.end {
            // First the log: a term whose bytes are gone does no harm, bytes whose term is
            // forgotten would be taken for those of the term before.
            self.cut(from, out);
        } else {
            self.follow(now, log, out);
        }
    }

    fn cut(&mut self, to: LogOffset, out: &mut Vec<SlaveOutput>) {
        self.state = State::Cutting;
        out.push(SlaveOutput::Cut { conn: self.conn, to });
    }

    fn was_cut(&mut self, now: Duration, log: LogEnds, done: bool, out: &mut Vec<SlaveOutput>) {
        if self.state != State::Cutting {
            return;
        }
        if !done {
            return self.leave(now, Fault::NotCut, out);
        }
        self.follow(now, log, out);
    }

    fn follow(&mut self, now: Duration, log: LogEnds, out: &mut Vec<SlaveOutput>) {
        if self.epochs.cut(log.end) {
            out.push(SlaveOutput::Epochs { epochs: self.epochs.clone() });
        }
        self.state = State::Following;
        self.heard = now;
        self.report(now, log, true, out);
    }

    fn frame(&mut self, now: Duration, log: LogEnds, frame: &Frame, out: &mut Vec<SlaveOutput>) {
        if self.state != State::Following {
            return self.leave(now, Fault::OutOfTurn, out);
        }
        let empty = log.min == log.end;
        let begins = empty && self.begin.is_none_or(|begin| begin == frame.offset);
        if frame.offset != log.end && !begins {
            return self.leave(now, Fault::Gap { offset: frame.offset, end: log.end }, out);
        }
        if 0 < frame.bytes {
            match (self.dialect, frame.term) {
                (Dialect::Java, None) => {}
                (Dialect::Native, Some(term)) if term.epoch < self.epochs.last_epoch() => {
                    return self.leave(now, Fault::Epochs, out);
                }
                (Dialect::Native, Some(term)) => match self.epochs.begin(term) {
                    Ok(false) => {}
                    // Durable before the bytes are: see `welcome`.
                    Ok(true) => out.push(SlaveOutput::Epochs { epochs: self.epochs.clone() }),
                    Err(_contradiction) => return self.leave(now, Fault::Epochs, out),
                },
                (Dialect::Java, Some(_)) | (Dialect::Native, None) => {
                    return self.leave(now, Fault::Epochs, out);
                }
            }
            out.push(SlaveOutput::Append { offset: frame.offset });
        }
        self.heard = now;
        self.retry = self.config.retry_min;
        self.confirmed = self.confirmed.max(frame.confirmed);
        let bytes = u64::try_from(frame.bytes).unwrap_or(u64::MAX);
        self.seen = LogOffset(frame.offset.0.saturating_add(bytes));
    }

    fn tick(&mut self, now: Duration, log: LogEnds, out: &mut Vec<SlaveOutput>) {
        let idle = self.config.idle;
        match self.state {
            State::Resting { .. } => self.connect(now, out),
            State::Connecting { since } | State::Greeting { since } => {
                if idle < now.saturating_sub(since) {
                    self.leave(now, Fault::Silent, out);
                }
            }
            State::Cutting => {}
            State::Following => {
                if idle < now.saturating_sub(self.heard) {
                    return self.leave(now, Fault::Silent, out);
                }
                self.report(now, log, false, out);
            }
        }
    }

    /// Reports if there is something new, or it is time.
    fn report(&mut self, now: Duration, log: LogEnds, must: bool, out: &mut Vec<SlaveOutput>) {
        let (received, synced) = match (self.dialect, self.config.ack_on) {
            // A Java master has one number only: first where to begin, then what it counts.
            (Dialect::Java, AckOn::Synced) if !must => (log.synced, log.synced),
            (Dialect::Java | Dialect::Native, AckOn::Received | AckOn::Synced) => {
                (log.end, log.synced)
            }
        };
        // Asked of an empty log, a Java master begins at its newest file or, ours, at the oldest.
        let empty = log.min == log.end;
        let (received, synced) =
            if empty { (LogOffset::ZERO, LogOffset::ZERO) } else { (received, synced) };
        let due = self.config.report_every <= now.saturating_sub(self.reported_at);
        if must || due || self.reported != Some((received, synced)) {
            self.reported = Some((received, synced));
            self.reported_at = now;
            out.push(SlaveOutput::Report { conn: self.conn, received, synced });
        }
    }
}

#[cfg(test)]
mod tests;
