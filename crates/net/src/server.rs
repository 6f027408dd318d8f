//! Listeners.

use crate::budget::Budget;
use crate::config::ServerConfig;
use crate::connection::Connection;
use crate::drive;
use crate::owner::port_owner;
use crate::rarely::Rarely;
use crate::service::Service;
use crate::sniff::{Refused, sniff};
use crate::spawn::spawn;
use bytes::BytesMut;
use parking_lot::Mutex;
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

const BACKLOG: i32 = 1024;
/// First and longest wait after an accept failed for want of file descriptors or memory.
const ACCEPT_WAIT_MIN: Duration = Duration::from_millis(10);
const ACCEPT_WAIT_MAX: Duration = Duration::from_secs(1);

/// Why a server cannot listen.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// Somebody else has the port.
    #[error("{addr} is in use{}", owner.as_ref().map(|o| format!(" by {o}")).unwrap_or_default())]
    InUse {
        /// What was asked for.
        addr: SocketAddr,
        /// Who has it, as `name (pid N)`, where that can be known.
        owner: Option<String>,
    },
    /// The address is not of this machine, the port is reserved, …
    #[error("cannot listen on {addr}")]
    Io {
        /// What was asked for.
        addr: SocketAddr,
        /// Why.
        source: io::Error,
    },
}

/// Accepts connections on one or more addresses and serves them until it is shut down or dropped.
#[derive(Debug)]
pub struct Server {
    addrs: Vec<SocketAddr>,
    /// No more connections, no more requests; what is in flight is finished.
    drain: CancellationToken,
    /// Everything ends now.
    stop: CancellationToken,
    tasks: TaskTracker,
}

struct Shared {
    config: ServerConfig,
    service: Arc<dyn Service>,
    budget: Arc<Budget>,
    permits: Arc<Semaphore>,
    /// Connections refused because there are too many.
    refused: Mutex<Rarely>,
    drain: CancellationToken,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Server {
    /// Listens on all addresses of `config`, or on none.
    ///
    /// # Errors
    /// [`BindError`] of the first address that cannot be had.
    pub fn bind(config: ServerConfig, service: Arc<dyn Service>) -> Result<Self, BindError> {
        let listeners =
            config.addrs.iter().map(|addr| listen(*addr)).collect::<Result<Vec<_>, _>>()?;
        let stop = CancellationToken::new();
        let shared = Arc::new(Shared {
            budget: Arc::new(Budget::new(config.in_flight_bytes_total_max)),
            permits: Arc::new(Semaphore::new(config.connections_max.min(Semaphore::MAX_PERMITS))),
            refused: Mutex::default(),
            drain: CancellationToken::new(),
            stop: stop.clone(),
            tasks: TaskTracker::new(),
            service,
            config,
        });
        let server = Self {
            addrs: listeners.iter().map(|(addr, _)| *addr).collect(),
            drain: shared.drain.clone(),
            stop,
            tasks: shared.tasks.clone(),
        };
        for (_, listener) in listeners {
            spawn(&shared.tasks, accept(listener, shared.clone()));
        }
        Ok(server)
    }

    /// The addresses listened on, in the order of the configuration, with ports given by the system
    /// in place of 0.
    pub fn local_addrs(&self) -> &[SocketAddr] {
        &self.addrs
    }

    /// Accepts and reads no more, waits up to `grace` until all requests are answered, then closes all
    /// connections. `true` if nothing was cut off.
    pub async fn shutdown(&self, grace: Duration) -> bool {
        self.drain.cancel();
        self.tasks.close();
        let drained = tokio::time::timeout(grace, self.tasks.wait()).await.is_ok();
        self.stop.cancel();
        if !drained {
            self.tasks.wait().await;
        }
        drained
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

fn listen(addr: SocketAddr) -> Result<(SocketAddr, TcpListener), BindError> {
    let open = || -> io::Result<_> {
        let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&addr.into())?;
        socket.listen(BACKLOG)?;
        let listener = TcpListener::from_std(socket.into())?;
        Ok((listener.local_addr()?, listener))
    };
    open().map_err(|source| {
        if source.kind() == io::ErrorKind::AddrInUse {
            BindError::InUse { addr, owner: port_owner(addr) }
        } else {
            BindError::Io { addr, source }
        }
    })
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut failed = Rarely::default();
    let mut wait = ACCEPT_WAIT_MIN;
    loop {
        let accepted = tokio::select! {
            () = shared.stop.cancelled() => return,
            () = shared.drain.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, from)) => {
                wait = ACCEPT_WAIT_MIN;
                admit(stream, from, &shared);
            }
            Err(error) if is_of_the_peer(&error) => {
                tracing::debug!(%error, "a connection ended before it was accepted");
            }
            Err(error) => {
                if let Some(times) = failed.happened(Instant::now()) {
                    tracing::warn!(%error, times, "cannot accept connections, trying again");
                }
                tokio::select! {
                    () = shared.stop.cancelled() => return,
                    () = shared.drain.cancelled() => return,
                    () = tokio::time::sleep(wait) => wait = (wait * 2).min(ACCEPT_WAIT_MAX),
                }
            }
        }
    }
}

/// Errors of the connection that was to be accepted; the next may well be fine. All others (file
/// descriptors, memory) would come again at once.
fn is_of_the_peer(error: &io::Error) -> bool {
    use io::ErrorKind as Kind;
    matches!(
        error.kind(),
        Kind::ConnectionAborted
            | Kind::ConnectionReset
            | Kind::Interrupted
            | Kind::TimedOut
            | Kind::HostUnreachable
            | Kind::NetworkUnreachable
            | Kind::NetworkDown
    )
}

fn admit(stream: TcpStream, from: SocketAddr, shared: &Arc<Shared>) {
    let Ok(permit) = shared.permits.clone().try_acquire_owned() else {
        let times = shared.refused.lock().happened(Instant::now());
        if let Some(times) = times {
            let max = shared.config.connections_max;
            tracing::warn!(peer = %from, max, times, "too many connections, refusing");
        }
        return;
    };
    let shared = shared.clone();
    spawn(&shared.clone().tasks, async move {
        serve(stream, from, &shared).await;
        drop(permit);
    });
}

async fn serve(stream: TcpStream, from: SocketAddr, shared: &Shared) {
    let Ok(local) = stream.local_addr() else { return };
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(peer = %from, %error, "cannot set TCP_NODELAY");
    }
    let mut buf = BytesMut::new();
    let peer = tokio::select! {
        () = shared.stop.cancelled() => return,
        () = shared.drain.cancelled() => return,
        () = tokio::time::sleep(shared.config.limits.idle) => return,
        peer = sniff(&stream, from, shared.config.proxy_protocol, &mut buf) => peer,
    };
    let peer = match peer {
        Ok(peer) => peer,
        Err(Refused::Empty) => return,
        Err(Refused::Io(error)) => {
            tracing::debug!(peer = %from, %error, "connection lost");
            return;
        }
        Err(reason @ (Refused::Tls | Refused::ProxyDisabled | Refused::ProxyBroken)) => {
            tracing::warn!(peer = %from, %reason, "closing");
            return;
        }
    };
    let limits = shared.config.limits.clone();
    let stop = shared.stop.child_token();
    let conn = Connection::new(peer, local, limits, shared.budget.clone(), stop);
    drive::run(stream, conn, shared.service.clone(), buf, shared.drain.clone()).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_errors_of_a_peer_are_followed_by_an_accept_at_once() {
        const EMFILE: i32 = 24;
        const ENFILE: i32 = 23;
        const ENOBUFS: i32 = 105;
        const ENOMEM: i32 = 12;
        const ECONNABORTED: i32 = 103;
        const EHOSTUNREACH: i32 = 113;
        for (code, of_the_peer) in [
            (EMFILE, false),
            (ENFILE, false),
            (ENOBUFS, false),
            (ENOMEM, false),
            (ECONNABORTED, true),
            (EHOSTUNREACH, true),
        ] {
            assert_eq!(is_of_the_peer(&io::Error::from_raw_os_error(code)), of_the_peer, "{code}");
        }
    }
}
