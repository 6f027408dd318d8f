//! The thread that owns the log and the connection to the master.

use super::ask::{ask, open};
use super::{SlaveSide, TICK};
use crate::replication::{ends, files};
use bytes::BytesMut;
use rmq_model::LogOffset;
use rmq_remoting::ha::{self, FromMaster, FromSlave, HelloFrame, WireEpoch};
use rmq_replica::{
    ConnId, Dialect, Entry, Epoch, Fault, Frame, Hello, LogEnds, Phase, Slave, SlaveInput,
    SlaveOutput, StoreId, Welcome,
};
use rmq_store::{RawLog, Store, TailCheck};
use std::collections::VecDeque;
use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

const READ_BYTES: usize = 512 * 1024;

/// A connection to the master.
pub(super) struct Link {
    conn: ConnId,
    stream: TcpStream,
    dialect: Dialect,
    buf: BytesMut,
}

pub(super) struct Follower {
    pub(super) side: Arc<SlaveSide>,
    pub(super) core: Slave,
    pub(super) raw: RawLog,
    pub(super) store: Store,
    pub(super) id: StoreId,
    pub(super) root: PathBuf,
    pub(super) broker_id: i64,
    pub(super) cluster: String,
    pub(super) broker: String,
    pub(super) sync_flush: bool,
    pub(super) link: Option<Link>,
    pub(super) fault: Option<String>,
}

impl Follower {
    pub(super) fn run(mut self, stop: &CancellationToken) -> anyhow::Result<()> {
        let runtime = tokio::runtime::Handle::current();
        while !stop.is_cancelled() {
            let address = self.side.master().ha_address;
            self.step(SlaveInput::Master { address }, &[])?;
            self.step(SlaveInput::Tick, &[])?;
            self.publish();
            if self.link.is_some() {
                self.read()?;
            } else {
                // Nothing to read: wait a moment, or for the end.
                let wait = tokio::time::sleep(TICK);
                runtime.block_on(async {
                    tokio::select! {
                        () = stop.cancelled() => {}
                        () = wait => {}
                    }
                });
            }
        }
        self.link = None;
        self.publish();
        Ok(())
    }

    fn ends(&self) -> LogEnds {
        ends(self.raw.range())
    }

    /// Lets the core decide, and does what it says. `bytes` are those of the frame, if it is one.
    fn step(&mut self, input: SlaveInput, bytes: &[u8]) -> anyhow::Result<()> {
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            let now = self.side.clock.monotonic();
            let mut out = Vec::new();
            self.core.step(now, self.ends(), input, &mut out);
            for output in out {
                if let Some(input) = self.carry_out(output, bytes)? {
                    inputs.push_back(input);
                }
            }
        }
        Ok(())
    }

    fn carry_out(
        &mut self,
        output: SlaveOutput,
        bytes: &[u8],
    ) -> anyhow::Result<Option<SlaveInput>> {
        match output {
            SlaveOutput::Connect { conn, address } => {
                return Ok(Some(self.connect(conn, &address)));
            }
            SlaveOutput::Hello { conn, hello } => return Ok(self.hello(conn, &hello)),
            SlaveOutput::Epochs { epochs } => files::save_epochs(&self.root, &epochs)?,
            SlaveOutput::Cut { conn, to } => {
                let range = self.raw.range();
                tracing::warn!(from = %to, end = %range.end, "the master does not have the rest of this log: it is cut off");
                let cut = self.raw.cut(to);
                if let Err(error) = &cut {
                    let error = anyhow::Error::msg(error.to_string());
                    tracing::error!(%to, %error, "the log cannot be cut: empty this replica's store");
                }
                return Ok(Some(SlaveInput::Cut { conn, done: cut.is_ok() }));
            }
            SlaveOutput::Append { offset } => {
                let appended = self.raw.append(offset, bytes);
                if appended.is_ok() {
                    self.side.received.add(bytes.len());
                }
                if let Err(error) = appended {
                    tracing::error!(%error, "the copy of the log cannot be continued");
                    self.fault = Some(error.to_string());
                    let conn = self.core.conn();
                    self.link = None;
                    return Ok(Some(SlaveInput::Closed { conn }));
                }
            }
            SlaveOutput::Report { conn, received, synced } => {
                return Ok(self.report(conn, received, synced));
            }
            SlaveOutput::Close { conn, fault } => self.close(conn, fault),
        }
        Ok(None)
    }

    fn close(&mut self, conn: ConnId, fault: Fault) {
        tracing::warn!(%fault, "the master's connection is closed");
        self.fault = Some(fault.to_string());
        if self.link.as_ref().is_some_and(|link| link.conn == conn) {
            self.link = None;
        }
    }

    /// Connects, after a question to the master that tells how it is talked to.
    fn connect(&mut self, conn: ConnId, address: &str) -> SlaveInput {
        let stream = match open(address) {
            Ok(stream) => stream,
            Err(error) => {
                let error = error.to_string();
                if self.fault.as_deref() != Some(&error) {
                    tracing::warn!(address, %error, "cannot connect to the master");
                }
                self.fault = Some(error);
                return SlaveInput::Closed { conn };
            }
        };
        let master = self.side.master().address;
        let info = master.and_then(|master| {
            let runtime = tokio::runtime::Handle::current();
            runtime.block_on(ask(&master))
        });
        let info = info.unwrap_or_default();
        let dialect = if info.ours { Dialect::Native } else { Dialect::Java };
        let cut = match dialect {
            Dialect::Native => None,
            Dialect::Java => self.foreign(info.start_end),
        };
        tracing::info!(address, java = !info.ours, end = %self.raw.range().end, "connected to the master");
        self.link = Some(Link { conn, stream, dialect, buf: BytesMut::new() });
        SlaveInput::Connected { conn, dialect, cut }
    }

    /// Of a Java master that began at `start_end`: from there on our bytes are of an earlier life of
    /// it, unless it is the life they were copied in.
    fn foreign(&self, start_end: Option<LogOffset>) -> Option<LogOffset> {
        let start_end = start_end?;
        let path = self.root.join("rmq").join("master-start");
        let now = start_end.to_string();
        let same = std::fs::read_to_string(&path).is_ok_and(|text| text.trim() == now);
        if same {
            return None;
        }
        if let Err(error) = rmq_store::durable::replace(&path, format!("{now}\n").as_bytes()) {
            tracing::warn!(%error, "cannot note the master's start");
        }
        Some(start_end)
    }

    fn hello(&mut self, conn: ConnId, hello: &Hello) -> Option<SlaveInput> {
        let epochs = hello.epochs.entries().iter();
        let frame = HelloFrame {
            store: self.id.0,
            broker_id: self.broker_id,
            min: hello.min,
            end: hello.end,
            cluster: self.cluster.clone(),
            broker: self.broker.clone(),
            epochs: epochs
                .map(|entry| WireEpoch { epoch: entry.epoch.number(), start: entry.start })
                .collect(),
        };
        let mut out = BytesMut::from(&ha::MAGIC[..]);
        FromSlave::Hello(frame).encode(&mut out);
        self.write(conn, &out)
    }

    fn report(
        &mut self,
        conn: ConnId,
        received: LogOffset,
        synced: LogOffset,
    ) -> Option<SlaveInput> {
        let mut out = BytesMut::with_capacity(32);
        match self.link.as_ref()?.dialect {
            Dialect::Native => FromSlave::Report { received, synced }.encode(&mut out),
            Dialect::Java => ha::encode_java_report(received, &mut out),
        }
        self.write(conn, &out)
    }

    fn write(&mut self, conn: ConnId, bytes: &[u8]) -> Option<SlaveInput> {
        let link = self.link.as_mut().filter(|link| link.conn == conn)?;
        match link.stream.write_all(bytes) {
            Ok(()) => {
                self.side.view.lock().told = self.side.clock.monotonic();
                None
            }
            Err(error) => {
                self.fault = Some(error.to_string());
                self.link = None;
                Some(SlaveInput::Closed { conn })
            }
        }
    }

    /// Reads what is there, or waits a moment for it; appends all of it, syncs once, reports once.
    fn read(&mut self) -> anyhow::Result<()> {
        let Some(link) = &mut self.link else { return Ok(()) };
        let conn = link.conn;
        let start = link.buf.len();
        link.buf.resize(start + READ_BYTES, 0);
        let read = match link.buf.get_mut(start..) {
            Some(room) => link.stream.read(room),
            None => Ok(0),
        };
        link.buf.truncate(start + read.as_ref().copied().unwrap_or(0));
        match read {
            Ok(0) => {
                tracing::warn!("the master closed the connection");
                self.fault = Some("the master closed the connection".into());
                self.link = None;
                return self.step(SlaveInput::Closed { conn }, &[]);
            }
            Ok(_) => {}
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock
                        | io::ErrorKind::TimedOut
                        | io::ErrorKind::Interrupted
                ) =>
            {
                return Ok(());
            }
            Err(error) => {
                tracing::warn!(%error, "the master's connection is lost");
                self.fault = Some(error.to_string());
                self.link = None;
                return self.step(SlaveInput::Closed { conn }, &[]);
            }
        }
        self.side.view.lock().heard = self.side.clock.monotonic();
        let before = self.raw.range().end;
        self.frames()?;
        if self.sync_flush && before < self.raw.range().end {
            self.raw.sync()?;
        }
        self.step(SlaveInput::Tick, &[])
    }

    fn frames(&mut self) -> anyhow::Result<()> {
        while let Some(link) = &mut self.link {
            let conn = link.conn;
            let frame = match link.dialect {
                Dialect::Native => FromMaster::take(&mut link.buf),
                Dialect::Java => ha::take_java_frame(&mut link.buf).map(|frame| {
                    frame.map(|frame| {
                        FromMaster::Data(ha::DataFrame {
                            offset: frame.offset,
                            term: WireEpoch { epoch: 0, start: LogOffset::ZERO },
                            confirmed: LogOffset::ZERO,
                            bytes: frame.bytes,
                        })
                    })
                }),
            };
            let java = link.dialect == Dialect::Java;
            match frame {
                Ok(None) => return Ok(()),
                Ok(Some(frame)) => self.frame(conn, frame, java)?,
                Err(error) => {
                    tracing::warn!(%error, "what the master sends is not understood");
                    self.fault = Some(error.to_string());
                    self.link = None;
                    self.step(SlaveInput::Closed { conn }, &[])?;
                }
            }
        }
        Ok(())
    }

    fn frame(&mut self, conn: ConnId, frame: FromMaster, java: bool) -> anyhow::Result<()> {
        match frame {
            FromMaster::Welcome(welcome) => {
                let proven = self.proves(&welcome)?;
                let epoch = Epoch::new(welcome.epoch).unwrap_or_default();
                let store = StoreId(welcome.store);
                let welcome = Welcome { store, epoch, from: welcome.from, proven };
                self.step(SlaveInput::Welcome { conn, welcome }, &[])
            }
            FromMaster::Refused(why) => {
                tracing::error!(why, "the master refuses this replica");
                self.step(SlaveInput::Refused { conn }, &[])?;
                self.fault = Some(why);
                Ok(())
            }
            FromMaster::Data(data) => {
                let term = Epoch::new(data.term.epoch)
                    .map(|epoch| Entry { epoch, start: data.term.start })
                    .filter(|_| !java);
                let frame = Frame {
                    offset: data.offset,
                    bytes: data.bytes.len(),
                    term,
                    confirmed: data.confirmed,
                };
                self.step(SlaveInput::Frame { conn, frame }, &data.bytes)
            }
            FromMaster::State(state) => {
                let versions = [state.topics, state.groups, state.offsets, state.delays];
                if self.side.versions.lock().told(versions) {
                    self.side.tables.notify_one();
                }
                let mut view = self.side.view.lock();
                view.master_end = view.master_end.max(state.end);
                drop(view);
                let frame =
                    Frame { offset: state.next, bytes: 0, term: None, confirmed: state.confirmed };
                self.step(SlaveInput::Frame { conn, frame }, &[])
            }
        }
    }

    /// Whether the bytes before the place to begin are the master's.
    fn proves(&self, welcome: &ha::WelcomeFrame) -> io::Result<bool> {
        let expected = TailCheck { bytes: welcome.tail_bytes, crc: welcome.tail_crc };
        // Bytes of a record that is not whole are the last of the log: they are compared with the
        // rest of it, as part of the record.
        let whole = self.store.log_range().end;
        if whole < welcome.from && welcome.from <= self.raw.range().end {
            return Ok(true);
        }
        Ok(self.store.tail_check(welcome.from)? == Some(expected))
    }

    fn publish(&self) {
        let range = self.raw.range();
        let mut view = self.side.view.lock();
        let following = self.core.phase() == Phase::Following;
        let began = following && view.phase != Phase::Following;
        view.phase = self.core.phase();
        view.master = self.side.master();
        (view.end, view.synced) = (range.end, range.flushed);
        view.master_end = view.master_end.max(self.core.master_end());
        view.epoch = self.core.epochs().last_epoch().number();
        view.fault.clone_from(&self.fault);
        view.away_since = if following {
            view.fault = None;
            None
        } else {
            view.away_since.or_else(|| Some(self.side.clock.monotonic()))
        };
        drop(view);
        if began {
            self.side.tables.notify_one();
        }
    }
}
