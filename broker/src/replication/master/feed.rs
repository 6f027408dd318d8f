//! What is sent to a replica: the log, and in its pauses how things stand.

use super::{MasterSide, Order, STATE_EVERY, Versions};
use crate::replication::meter::Meter;
use crate::replication::{behind, ends};
use bytes::{BufMut as _, Bytes, BytesMut};
use rmq_model::LogOffset;
use rmq_remoting::ha::{self, DataFrame, FromMaster, StateFrame, WelcomeFrame, WireEpoch};
use rmq_replica::{Chunk, ConnId, LogEnds, Next, Sender};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;
use tokio::net::tcp::OwnedWriteHalf;
use tokio::sync::mpsc;

/// Bytes of the log per frame to a replica of ours.
const CHUNK_BYTES: usize = 256 * 1024;
/// A part of the log so near its end is in memory: it is read where it is needed.
const NEAR_BYTES: u64 = 32 * 1024 * 1024;
/// Time that a refusal gets to reach the replica.
const REFUSE_TIMEOUT: Duration = Duration::from_secs(2);

enum Sent {
    Data { chunk: Chunk, bytes: Bytes, confirmed: LogOffset },
    Beat { next: LogOffset, confirmed: LogOffset, end: LogOffset },
    Gone,
}

impl MasterSide {
    /// Sends what the core orders, until the connection ends.
    pub(super) async fn write(
        &self,
        conn: ConnId,
        addr: SocketAddr,
        mut write: OwnedWriteHalf,
        mut orders: mpsc::Receiver<Order>,
        versions: &dyn Versions,
    ) -> String {
        let from = match orders.recv().await {
            Some(Order::Serve(from)) => from,
            Some(Order::Refuse(why)) => return self.refuse(conn, addr, write, why).await,
            None => return "closed".into(),
        };
        let link = self.links.lock().get(&conn).map(|link| (link.native, Arc::clone(&link.sent)));
        let Some((native, meter)) = link else { return "closed".into() };
        tracing::info!(%addr, %from, java = !native, "a replica copies the log");
        let sent = if native {
            self.write_native(&mut write, from, &meter, versions).await
        } else {
            self.write_java(&mut write, from, &meter).await
        };
        match sent {
            Ok(why) => {
                tracing::warn!(%addr, why, "a replica is left behind");
                why.into()
            }
            Err(error) => error.to_string(),
        }
    }

    async fn refuse(
        &self,
        conn: ConnId,
        addr: SocketAddr,
        mut write: OwnedWriteHalf,
        why: String,
    ) -> String {
        tracing::warn!(%addr, why, "a replica is refused");
        let native = self.links.lock().get(&conn).is_some_and(|link| link.native);
        if native {
            let mut frame = BytesMut::new();
            FromMaster::Refused(why.clone()).encode(&mut frame);
            // It finds out by the end of the connection, too.
            tokio::time::timeout(REFUSE_TIMEOUT, write.write_all(&frame)).await.ok();
        }
        why
    }

    /// What replicas may have of the log.
    fn sendable(&self) -> LogEnds {
        let log = ends(self.store.log_range());
        // With synchronous flushes nothing is sent that this disk might still lose.
        if self.store.config().flush.is_sync() { LogEnds { end: log.synced, ..log } } else { log }
    }

    /// What to send next, with the bytes; waits for the log to grow as long as it may.
    async fn next(&self, sender: &Sender) -> std::io::Result<Sent> {
        loop {
            // Before the look at the log, so that nothing is missed in between.
            let grown = self.growth.wait();
            tokio::pin!(grown);
            grown.as_mut().enable();
            let now = self.clock.monotonic();
            let log = self.sendable();
            let (next, confirmed) = {
                let core = self.core.lock();
                (sender.next(now, log, core.epochs()), core.confirmed(now, log))
            };
            match next {
                Next::Data(chunk) => {
                    let bytes = self.bytes(chunk, log).await?;
                    if bytes.is_empty() {
                        return Ok(Sent::Gone);
                    }
                    return Ok(Sent::Data { chunk, bytes, confirmed });
                }
                Next::Heartbeat(next) => return Ok(Sent::Beat { next, confirmed, end: log.end }),
                Next::Gone => return Ok(Sent::Gone),
                Next::Wait(time) => {
                    tokio::select! {
                        () = &mut grown => {}
                        () = tokio::time::sleep(time) => {}
                    }
                }
            }
        }
    }

    async fn bytes(&self, chunk: Chunk, log: LogEnds) -> std::io::Result<Bytes> {
        let Chunk { offset, bytes, .. } = chunk;
        if behind(log.end, offset) <= NEAR_BYTES {
            return self.store.raw_log(offset, bytes);
        }
        let store = self.store.clone();
        let read = tokio::task::spawn_blocking(move || store.raw_log(offset, bytes)).await;
        read.map_err(std::io::Error::other)?
    }

    fn count(&self, meter: &Meter, bytes: usize) {
        meter.add(bytes);
        self.sent.add(bytes);
    }

    async fn write_native(
        &self,
        write: &mut OwnedWriteHalf,
        from: LogOffset,
        meter: &Meter,
        versions: &dyn Versions,
    ) -> std::io::Result<&'static str> {
        let tail = {
            let store = self.store.clone();
            let read = tokio::task::spawn_blocking(move || store.tail_check(from)).await;
            read.map_err(std::io::Error::other)??
        };
        let welcome = WelcomeFrame {
            store: self.id.0,
            epoch: self.core.lock().epochs().last_epoch().number(),
            from,
            tail_bytes: tail.map_or(0, |tail| tail.bytes),
            tail_crc: tail.map_or(0, |tail| tail.crc),
        };
        let mut out = BytesMut::new();
        FromMaster::Welcome(welcome).encode(&mut out);
        write.write_all(&out).await?;
        let now = self.clock.monotonic();
        let mut sender = Sender::new(now, from, STATE_EVERY, CHUNK_BYTES);
        let mut state_at = Duration::ZERO;
        loop {
            let sent = self.next(&sender).await?;
            let now = self.clock.monotonic();
            out.clear();
            let state = |next, confirmed, end| {
                let [topics, groups, offsets, delays] = versions.versions();
                let state = StateFrame { next, confirmed, end, topics, groups, offsets, delays };
                FromMaster::State(state)
            };
            match sent {
                Sent::Data { chunk, bytes, confirmed } => {
                    let len = bytes.len();
                    let term =
                        chunk.term.map_or(WireEpoch { epoch: 0, start: LogOffset::ZERO }, |term| {
                            WireEpoch { epoch: term.epoch.number(), start: term.start }
                        });
                    let data = DataFrame { offset: chunk.offset, term, confirmed, bytes };
                    FromMaster::Data(data).encode(&mut out);
                    sender.sent(now, len);
                    self.count(meter, len);
                    // A busy log leaves no silence in which tables could be spoken of.
                    if STATE_EVERY <= now.saturating_sub(state_at) {
                        state_at = now;
                        let end = self.store.log_range().end;
                        state(sender.position(), confirmed, end).encode(&mut out);
                    }
                }
                Sent::Beat { next, confirmed, end } => {
                    state_at = now;
                    state(next, confirmed, end).encode(&mut out);
                    sender.sent(now, 0);
                }
                Sent::Gone => return Ok("what it needs next was deleted here"),
            }
            write.write_all(&out).await?;
        }
    }

    async fn write_java(
        &self,
        write: &mut OwnedWriteHalf,
        from: LogOffset,
        meter: &Meter,
    ) -> std::io::Result<&'static str> {
        let now = self.clock.monotonic();
        let mut sender = Sender::new(now, from, self.heartbeat_every, self.java_chunk_bytes);
        let mut out = BytesMut::new();
        loop {
            out.clear();
            let sent = self.next(&sender).await?;
            match sent {
                Sent::Data { chunk, bytes, .. } => {
                    ha::encode_java_header(chunk.offset, bytes.len(), &mut out);
                    out.put_slice(&bytes);
                    sender.sent(self.clock.monotonic(), bytes.len());
                    self.count(meter, bytes.len());
                }
                Sent::Beat { next, .. } => {
                    ha::encode_java_header(next, 0, &mut out);
                    sender.sent(self.clock.monotonic(), 0);
                }
                Sent::Gone => return Ok("what it needs next was deleted here"),
            }
            write.write_all(&out).await?;
        }
    }
}
