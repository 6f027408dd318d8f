//! A connection as everybody but its own task sees it.

use crate::budget::Budget;
use crate::config::Limits;
use crate::outbox::{Outbox, Put};
use bytes::Bytes;
use parking_lot::Mutex;
use rmq_remoting::Command;
use std::collections::HashMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::{Notify, oneshot};
use tokio_util::sync::CancellationToken;

/// Number of a connection, unique in the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnId(pub u64);

/// How long a connection that is being closed waits for the peer to take what was written before.
pub(crate) const CLOSE_FLUSH: Duration = Duration::from_secs(1);

static NEXT_ID: AtomicU64 = AtomicU64::new(1);

/// Why a request of ours has no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// The peer may or may not have seen the request.
    #[error("connection to {peer} closed before the answer came")]
    Closed {
        /// Whom we asked.
        peer: SocketAddr,
    },
    /// The peer may or may not have seen the request.
    #[error("{peer} did not answer within {} ms", after.as_millis())]
    Timeout {
        /// Whom we asked.
        peer: SocketAddr,
        /// How long we waited.
        after: Duration,
    },
    /// Nothing was sent.
    #[error("{max} requests to {peer} wait for an answer already")]
    Busy {
        /// Whom we asked.
        peer: SocketAddr,
        /// Bound.
        max: usize,
    },
}

/// One TCP connection, in either direction. Closed when [`Connection::close`] is called, the peer
/// closes, a bound is broken, or the server or connector it belongs to goes – not when the last handle
/// is dropped.
pub struct Connection {
    id: ConnId,
    peer: SocketAddr,
    local: SocketAddr,
    pub(crate) limits: Limits,
    budget: Arc<Budget>,
    outbox: Mutex<Outbox>,
    /// Wakes the task: the outbox has something, a paused reader may go on, or it was poked.
    pub(crate) wake: Notify,
    pub(crate) stop: CancellationToken,
    poked: AtomicBool,
    /// The task has stopped reading because of requests in flight.
    pub(crate) paused: AtomicBool,
    /// It is in the budget's list of those to wake.
    awaits_budget: AtomicBool,
    in_flight: AtomicUsize,
    in_flight_bytes: AtomicUsize,
    next_opaque: AtomicI32,
    /// Requests of ours by `opaque`; `None` once closed.
    pending: Mutex<Option<HashMap<i32, oneshot::Sender<Command>>>>,
}

impl Connection {
    pub(crate) fn new(
        peer: SocketAddr,
        local: SocketAddr,
        limits: Limits,
        budget: Arc<Budget>,
        stop: CancellationToken,
    ) -> Arc<Self> {
        Arc::new(Self {
            id: ConnId(NEXT_ID.fetch_add(1, Ordering::Relaxed)),
            peer: canonical(peer),
            local: canonical(local),
            limits,
            budget,
            outbox: Mutex::default(),
            wake: Notify::new(),
            stop,
            poked: AtomicBool::new(false),
            paused: AtomicBool::new(false),
            awaits_budget: AtomicBool::new(false),
            in_flight: AtomicUsize::new(0),
            in_flight_bytes: AtomicUsize::new(0),
            next_opaque: AtomicI32::new(0),
            pending: Mutex::new(Some(HashMap::new())),
        })
    }

    /// Number of this connection.
    pub fn id(&self) -> ConnId {
        self.id
    }

    /// Address of the other end, or what a PROXY protocol header gave as such.
    pub fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// Address of this end; its port tells which listener accepted the connection.
    pub fn local(&self) -> SocketAddr {
        self.local
    }

    /// Requests of the peer that are not answered yet.
    pub fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Sends a request that wants no answer. It is lost without notice if the connection closes.
    pub fn oneway(&self, mut request: Command) {
        request.flag |= rmq_remoting::command::FLAG_ONEWAY;
        request.opaque = self.next_opaque.fetch_add(1, Ordering::Relaxed);
        self.write(&request);
    }

    /// Sends a request and waits for its answer, whatever code that has.
    ///
    /// # Errors
    /// [`RequestError`].
    pub async fn request(
        &self,
        mut request: Command,
        timeout: Duration,
    ) -> Result<Command, RequestError> {
        let opaque = self.next_opaque.fetch_add(1, Ordering::Relaxed);
        request.opaque = opaque;
        let answer = self.expect(opaque)?;
        // Forgets the request when the caller is dropped in the middle of waiting, too.
        let _forget = Forget { conn: self, opaque };
        self.write(&request);
        match tokio::time::timeout(timeout, answer).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(_closed)) => Err(RequestError::Closed { peer: self.peer }),
            Err(_elapsed) => Err(RequestError::Timeout { peer: self.peer, after: timeout }),
        }
    }

    /// Has the connection's task call [`crate::Service::poked`] soon; several calls before that
    /// count as one. For completions from other threads that are best worked off together.
    pub fn poke(&self) {
        if !self.poked.swap(true, Ordering::AcqRel) {
            self.wake.notify_one();
        }
    }

    /// Closes soon: nothing more is read, and what waits to be written goes out if the peer takes it
    /// within a second.
    pub fn close(&self) {
        self.stop.cancel();
    }

    /// Closes at once; what waits to be written is dropped.
    pub(crate) fn cut(&self) {
        self.outbox.lock().close();
        self.stop.cancel();
    }

    /// Closed or about to be.
    pub fn is_closed(&self) -> bool {
        self.stop.is_cancelled()
    }

    fn expect(&self, opaque: i32) -> Result<oneshot::Receiver<Command>, RequestError> {
        let (answered, answer) = oneshot::channel();
        let mut pending = self.pending.lock();
        let Some(pending) = pending.as_mut() else {
            return Err(RequestError::Closed { peer: self.peer });
        };
        if self.limits.pending_max <= pending.len() {
            return Err(RequestError::Busy { peer: self.peer, max: self.limits.pending_max });
        }
        pending.insert(opaque, answered);
        Ok(answer)
    }

    /// Gives an answer to who waits for it; `false` if nobody does.
    pub(crate) fn answered(&self, answer: Command) -> bool {
        let waiting = self.pending.lock().as_mut().and_then(|p| p.remove(&answer.opaque));
        waiting.is_some_and(|waiting| waiting.send(answer).is_ok())
    }

    pub(crate) fn write(&self, command: &Command) {
        let (put, bytes) = {
            let mut outbox = self.outbox.lock();
            (outbox.put(command), outbox.bytes())
        };
        self.written(put, bytes);
    }

    pub(crate) fn write_parts(&self, command: &Command, body: &[Bytes]) {
        let (put, bytes) = {
            let mut outbox = self.outbox.lock();
            (outbox.put_parts(command, body), outbox.bytes())
        };
        self.written(put, bytes);
    }

    fn written(&self, put: Put, bytes: usize) {
        if self.limits.outbox_bytes_max < bytes {
            tracing::warn!(peer = %self.peer, bytes, "peer does not read its answers, closing");
            self.cut();
        }
        if put == Put::Wake {
            self.wake.notify_one();
        }
    }

    pub(crate) fn outbox(&self) -> &Mutex<Outbox> {
        &self.outbox
    }

    pub(crate) fn take_poked(&self) -> bool {
        // A load first: this runs at every turn of the task and is nearly always false.
        self.poked.load(Ordering::Relaxed) && self.poked.swap(false, Ordering::AcqRel)
    }

    pub(crate) fn begin(&self, charge: usize) {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        self.in_flight_bytes.fetch_add(charge, Ordering::Relaxed);
        self.budget.charge(charge);
    }

    pub(crate) fn end(&self, charge: usize) {
        self.budget.release(charge);
        self.in_flight_bytes.fetch_sub(charge, Ordering::SeqCst);
        self.in_flight.fetch_sub(1, Ordering::SeqCst);
        if self.paused.load(Ordering::SeqCst) && !self.is_full() {
            self.wake.notify_one();
        }
    }

    /// Has the task woken once the common budget has room again: that others used it up shows in no
    /// request of this connection.
    pub(crate) fn await_budget(self: &Arc<Self>) {
        if self.budget.is_exhausted() && !self.awaits_budget.swap(true, Ordering::SeqCst) {
            self.budget.wake_later(Arc::downgrade(self));
        }
    }

    /// The budget has room again.
    pub(crate) fn budget_has_room(&self) {
        self.awaits_budget.store(false, Ordering::SeqCst);
        self.wake.notify_one();
    }

    /// No more requests may be taken on. With nothing in flight a connection is never full, so each
    /// one goes on even while others use up the common budget.
    pub(crate) fn is_full(&self) -> bool {
        let count = self.in_flight.load(Ordering::SeqCst);
        self.limits.in_flight_max <= count
            || self.limits.in_flight_bytes_max <= self.in_flight_bytes.load(Ordering::SeqCst)
            || (0 < count && self.budget.is_exhausted())
    }

    /// After the last write: nobody gets an answer any more.
    pub(crate) fn shut(&self) {
        self.stop.cancel();
        self.outbox.lock().close();
        drop(self.pending.lock().take());
    }
}

/// An IPv4 address as such, also when the socket is one for both versions.
fn canonical(addr: SocketAddr) -> SocketAddr {
    SocketAddr::new(addr.ip().to_canonical(), addr.port())
}

struct Forget<'a> {
    conn: &'a Connection,
    opaque: i32,
}

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        if let Some(pending) = self.conn.pending.lock().as_mut() {
            pending.remove(&self.opaque);
        }
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("id", &self.id.0)
            .field("peer", &self.peer)
            .field("in_flight", &self.in_flight())
            .field("closed", &self.is_closed())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mapped_addresses_are_shown_as_ipv4() {
        let made = |peer: &str| {
            let (peer, local) = (peer.parse().unwrap(), "[::ffff:10.0.0.1]:10911".parse().unwrap());
            let budget = Arc::new(Budget::new(1));
            Connection::new(peer, local, Limits::default(), budget, CancellationToken::new())
        };
        for (peer, want) in [
            ("[::ffff:10.0.0.2]:5000", "10.0.0.2:5000"),
            ("10.0.0.2:5000", "10.0.0.2:5000"),
            ("[2001:db8::1]:5000", "[2001:db8::1]:5000"),
        ] {
            let conn = made(peer);
            assert_eq!(conn.peer().to_string(), want);
            assert_eq!(conn.local().to_string(), "10.0.0.1:10911");
        }
    }
}
