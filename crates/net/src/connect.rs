//! Connections to others.

use crate::budget::Budget;
use crate::config::ClientConfig;
use crate::connection::Connection;
use crate::drive;
use crate::service::Service;
use crate::spawn::spawn;
use bytes::BytesMut;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The name has no address, the peer refused, or the network failed.
    #[error("cannot connect to {addr}")]
    Io {
        /// As asked for.
        addr: String,
        /// Of the last address tried.
        source: io::Error,
    },
    /// Neither refused nor accepted in time.
    #[error("cannot connect to {addr} within {} ms", after.as_millis())]
    Timeout {
        /// As asked for.
        addr: String,
        /// How long we waited.
        after: Duration,
    },
}

/// Opens connections and owns their tasks: dropping it closes them all.
#[derive(Debug)]
pub struct Connector {
    config: ClientConfig,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Connector {
    /// Without connections yet.
    pub fn new(config: ClientConfig) -> Self {
        Self { config, stop: CancellationToken::new(), tasks: TaskTracker::new() }
    }

    /// Connects to `addr`, a `host:port`; all addresses of a name are tried in turn. `service` serves
    /// what the peer asks of us.
    ///
    /// # Errors
    /// [`ConnectError`].
    pub async fn connect(
        &self,
        addr: &str,
        service: Arc<dyn Service>,
    ) -> Result<Arc<Connection>, ConnectError> {
        let failed = |source| ConnectError::Io { addr: addr.to_owned(), source };
        let after = self.config.connect_timeout;
        let stream = tokio::time::timeout(after, TcpStream::connect(addr))
            .await
            .map_err(|_elapsed| ConnectError::Timeout { addr: addr.to_owned(), after })?
            .map_err(failed)?;
        stream.set_nodelay(true).map_err(failed)?;
        let peer = stream.peer_addr().map_err(failed)?;
        let local = stream.local_addr().map_err(failed)?;
        let budget = Arc::new(Budget::new(usize::MAX));
        let limits = self.config.limits.clone();
        let conn = Connection::new(peer, local, limits, budget, self.stop.child_token());
        let never = CancellationToken::new();
        let task = drive::run(stream, conn.clone(), service, BytesMut::new(), never);
        spawn(&self.tasks, task);
        Ok(conn)
    }

    /// Closes all connections and waits up to `grace` until their tasks have ended. `true` if they
    /// have.
    pub async fn shutdown(&self, grace: Duration) -> bool {
        self.stop.cancel();
        self.tasks.close();
        tokio::time::timeout(grace, self.tasks.wait()).await.is_ok()
    }
}

impl Drop for Connector {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
