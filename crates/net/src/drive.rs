//! The task of a connection.

use crate::connection::{CLOSE_FLUSH, Connection};
use crate::reply::Reply;
use crate::service::{Request, Service};
use bytes::{Buf, Bytes, BytesMut};
use rmq_remoting::frame::{FrameError, frame_len};
use rmq_remoting::take_frame;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

/// Least and most room made for one read. A connection that fills its room gets twice as much.
const READ_BYTES_MIN: usize = 4 * 1024;
const READ_BYTES_MAX: usize = 256 * 1024;
/// Most slices handed to the kernel in one write.
const SLICES_MAX: usize = 64;
/// Most requests handed on in one call: what they put into the outbox is looked at in between.
const BATCH_MAX: usize = 128;
/// What a request in flight counts for besides its frame.
const REQUEST_OVERHEAD_BYTES: usize = 512;

/// Serves one connection until it closes. `buf` holds what was read already. After `drain` nothing
/// more is read, and the connection closes when all its requests are answered.
pub(crate) async fn run(
    stream: TcpStream,
    conn: Arc<Connection>,
    service: Arc<dyn Service>,
    buf: BytesMut,
    drain: CancellationToken,
) {
    let mut task = Task {
        stream,
        service,
        buf,
        room: READ_BYTES_MIN,
        batch: Vec::new(),
        writing: VecDeque::new(),
        writing_bytes: 0,
        conn,
    };
    task.service.connected(&task.conn);
    match task.serve(&drain).await {
        Ok(()) => task.flush().await,
        Err(End::Frame(error)) => {
            tracing::warn!(peer = %task.conn.peer(), %error, "not a remoting peer, closing");
            task.flush().await;
        }
        Err(End::Io(error)) => {
            tracing::debug!(peer = %task.conn.peer(), %error, "connection lost");
        }
    }
}

/// However the task ends, also by a panic of the service or together with the runtime.
impl Drop for Task {
    fn drop(&mut self) {
        self.conn.shut();
        self.service.closed(&self.conn);
    }
}

/// Why a connection ends, apart from being asked to.
enum End {
    Frame(FrameError),
    Io(io::Error),
}

impl From<io::Error> for End {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

struct Task {
    stream: TcpStream,
    conn: Arc<Connection>,
    service: Arc<dyn Service>,
    buf: BytesMut,
    /// Room for the next read.
    room: usize,
    batch: Vec<Request>,
    writing: VecDeque<Bytes>,
    writing_bytes: usize,
}

impl Task {
    async fn serve(&mut self, drain: &CancellationToken) -> Result<(), End> {
        let conn = self.conn.clone();
        let mut active = Instant::now();
        let mut idle = pin!(sleep_until(active + conn.limits.idle));
        // What was read while the kind of the connection was found out.
        let mut buffered = !self.buf.is_empty();
        loop {
            if buffered && !self.is_loaded() {
                buffered = self.split()?;
            }
            // After the requests: some are completed while they are handed over.
            if conn.take_poked() {
                self.service.poked(&conn);
            }
            let draining = drain.is_cancelled();
            let wrote = self.write()?;
            let reading = !self.is_paused(draining);
            if draining && conn.in_flight() == 0 && self.writing.is_empty() {
                return Ok(());
            }
            if buffered && reading {
                continue;
            }
            if wrote {
                active = Instant::now();
            }
            let unwritten = !self.writing.is_empty();
            tokio::select! {
                biased;
                () = conn.stop.cancelled() => return Ok(()),
                event = poll_fn(|cx| self.poll_socket(cx, reading, unwritten)) => {
                    match event? {
                        Event::End => return Ok(()),
                        Event::Writable => {}
                        Event::Read => {
                            active = Instant::now();
                            buffered = true;
                        }
                    }
                }
                () = conn.wake.notified() => {}
                () = drain.cancelled(), if reading => {}
                () = &mut idle => {
                    let until = active + conn.limits.idle;
                    if until <= Instant::now() && !unwritten {
                        tracing::debug!(peer = %conn.peer(), "connection idle, closing");
                        return Ok(());
                    }
                    idle.as_mut().reset(until.max(Instant::now() + conn.limits.idle / 8));
                }
            }
        }
    }

    /// Nothing may be read: the server drains, too many requests are in flight or too much is
    /// unwritten. Whoever finishes a request wakes the task then.
    fn is_paused(&self, draining: bool) -> bool {
        if draining {
            self.conn.paused.store(true, Ordering::SeqCst);
            return true;
        }
        if self.is_loaded() {
            return true;
        }
        if !self.conn.is_full() {
            self.conn.paused.store(false, Ordering::SeqCst);
            return false;
        }
        // Set first, look again then: a request that ends in between either sees the flag or is seen.
        self.conn.paused.store(true, Ordering::SeqCst);
        self.conn.await_budget();
        self.conn.is_full()
    }

    /// The peer has much to read before it may ask for more.
    fn is_loaded(&self) -> bool {
        self.conn.limits.outbox_bytes_max / 8 <= self.writing_bytes
    }

    /// Reads if `reading`, waits for room in the socket if `unwritten`; pending if neither.
    ///
    /// A read that does not fill its room has emptied the socket: tokio then waits for the next event
    /// without asking the kernel once more, which `try_read` would.
    fn poll_socket(
        &mut self,
        cx: &mut Context<'_>,
        reading: bool,
        unwritten: bool,
    ) -> Poll<Result<Event, End>> {
        if reading {
            match self.stream.poll_read_ready(cx) {
                Poll::Ready(Ok(())) => {
                    let room = self.make_room()?;
                    let read = pin!(self.stream.read_buf(&mut self.buf)).poll(cx);
                    if let Poll::Ready(read) = read {
                        return Poll::Ready(Ok(self.event_of(read?, room)));
                    }
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error.into())),
                Poll::Pending => {}
            }
        }
        if unwritten {
            return self
                .stream
                .poll_write_ready(cx)
                .map(|ready| Ok(ready.map(|()| Event::Writable)?));
        }
        Poll::Pending
    }

    /// Room for the next read, and for the whole of a large frame as soon as its length is known.
    fn make_room(&mut self) -> Result<usize, End> {
        let missing = frame_len(&self.buf, self.conn.limits.frame_bytes_max)
            .map_err(End::Frame)?
            .map_or(0, |len| (len + 4).saturating_sub(self.buf.len()));
        let room = self.room.max(missing.min(READ_BYTES_MAX * 4));
        self.buf.reserve(room);
        Ok(self.buf.capacity() - self.buf.len())
    }

    fn event_of(&mut self, read: usize, room: usize) -> Event {
        if read == 0 {
            return Event::End;
        }
        if room <= read {
            self.room = (self.room * 2).min(READ_BYTES_MAX);
        } else if read < self.room / 8 {
            self.room = (self.room / 2).max(READ_BYTES_MIN);
        }
        Event::Read
    }

    /// Takes frames off the buffer and hands on what they are. `true` if it stopped at a bound and
    /// frames may be left.
    fn split(&mut self) -> Result<bool, End> {
        let mut full = self.conn.is_full();
        let mut broken = None;
        while !full {
            let before = self.buf.len();
            let command = match take_frame(&mut self.buf, self.conn.limits.frame_bytes_max) {
                Ok(Some(command)) => command,
                Ok(None) => break,
                Err(error) => {
                    // What came before it is good and is served.
                    broken = Some(error);
                    break;
                }
            };
            if command.is_response() {
                let opaque = command.opaque;
                if !self.conn.answered(command) {
                    tracing::debug!(peer = %self.conn.peer(), opaque, "answer nobody waits for");
                }
                continue;
            }
            let charge = before - self.buf.len() + REQUEST_OVERHEAD_BYTES;
            let reply = Reply::new(self.conn.clone(), &command, charge);
            self.batch.push(Request { command, reply });
            full = BATCH_MAX <= self.batch.len() || self.conn.is_full();
        }
        if self.buf.is_empty() {
            // An idle connection holds no buffer; the requests may still hold this one.
            self.buf = BytesMut::new();
        }
        if !self.batch.is_empty() {
            self.service.requests(&self.conn, &mut self.batch);
            self.batch.clear();
        }
        match broken {
            Some(error) => Err(End::Frame(error)),
            None => Ok(full && !self.buf.is_empty()),
        }
    }

    /// Writes what was answered before the end, as far as the peer takes it in time.
    async fn flush(&mut self) {
        if self.conn.outbox().lock().is_closed() {
            return;
        }
        let all = async {
            loop {
                self.write()?;
                if self.writing.is_empty() {
                    return Ok::<_, End>(());
                }
                self.stream.writable().await?;
            }
        };
        match tokio::time::timeout(CLOSE_FLUSH, all).await {
            Ok(Ok(()) | Err(End::Frame(_))) => {}
            Ok(Err(End::Io(error))) => {
                tracing::debug!(peer = %self.conn.peer(), %error, "connection lost");
            }
            Err(_elapsed) => {
                let bytes = self.writing_bytes;
                tracing::debug!(peer = %self.conn.peer(), bytes, "closed before all was written");
            }
        }
    }

    /// Writes what waits, as far as the socket takes it. `true` if it took something.
    fn write(&mut self) -> Result<bool, End> {
        self.writing_bytes += self.conn.outbox().lock().take(&mut self.writing);
        let mut wrote = false;
        while !self.writing.is_empty() {
            let mut slices = [IoSlice::new(&[]); SLICES_MAX];
            let mut count = 0;
            for (slice, bytes) in slices.iter_mut().zip(&self.writing) {
                *slice = IoSlice::new(bytes);
                count += 1;
            }
            match self.stream.try_write_vectored(&slices[..count]) {
                Ok(n) => {
                    wrote = true;
                    self.written(n);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error.into()),
            }
        }
        if self.conn.limits.outbox_bytes_max < self.writing_bytes {
            let bytes = self.writing_bytes;
            tracing::warn!(peer = %self.conn.peer(), bytes, "peer does not read its answers, closing");
            self.conn.cut();
        }
        Ok(wrote)
    }

    fn written(&mut self, mut n: usize) {
        self.writing_bytes = self.writing_bytes.saturating_sub(n);
        while let Some(first) = self.writing.front_mut() {
            if n < first.len() {
                first.advance(n);
                return;
            }
            n -= first.len();
            self.writing.pop_front();
        }
    }
}

/// What the socket did.
enum Event {
    /// The peer has closed.
    End,
    Read,
    Writable,
}
