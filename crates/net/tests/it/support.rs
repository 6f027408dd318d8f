//! A server that answers, holds or drops, and peers that write bytes.

use bytes::{Bytes, BytesMut};
use parking_lot::Mutex;
use rmq_net::{
    ClientConfig, Connection, Connector, Limits, Reply, Request, Server, ServerConfig, Service,
};
use rmq_remoting::{Command, take_frame};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

pub(crate) const ECHO: i32 = 1001;
pub(crate) const HOLD: i32 = 1002;
pub(crate) const DROP: i32 = 1003;
pub(crate) const BIG: i32 = 1004;
pub(crate) const PANIC: i32 = 1005;
pub(crate) const BIG_BYTES: usize = 128 * 1024;
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

/// Echoes bodies; holds what it is told to hold.
#[derive(Debug, Default)]
pub(crate) struct Echo {
    pub(crate) held: Mutex<Vec<Reply>>,
    pub(crate) connections: Mutex<Vec<Arc<Connection>>>,
    pub(crate) requests: AtomicUsize,
    pub(crate) closed: AtomicUsize,
    pub(crate) poked: AtomicUsize,
}

impl Service for Echo {
    fn requests(&self, _conn: &Arc<Connection>, batch: &mut Vec<Request>) {
        self.requests.fetch_add(batch.len(), Ordering::SeqCst);
        for Request { command, reply } in batch.drain(..) {
            match command.code {
                ECHO => reply.send(Command::response(0).with_body(command.body)),
                HOLD => self.held.lock().push(reply),
                BIG => {
                    let part = Bytes::from(vec![7u8; BIG_BYTES / 2]);
                    reply.send_parts(Command::response(0), &[part.clone(), part]);
                }
                PANIC => panic!("as told"),
                _ => drop(reply),
            }
        }
    }

    fn connected(&self, conn: &Arc<Connection>) {
        self.connections.lock().push(conn.clone());
    }

    fn closed(&self, _conn: &Arc<Connection>) {
        self.closed.fetch_add(1, Ordering::SeqCst);
    }

    fn poked(&self, _conn: &Arc<Connection>) {
        self.poked.fetch_add(1, Ordering::SeqCst);
    }
}

pub(crate) fn start(change: impl FnOnce(&mut ServerConfig)) -> (Server, Arc<Echo>, SocketAddr) {
    let echo = Arc::new(Echo::default());
    let mut config = ServerConfig::new(vec!["127.0.0.1:0".parse().unwrap()]);
    change(&mut config);
    let server = Server::bind(config, echo.clone()).unwrap();
    let addr = server.local_addrs()[0];
    (server, echo, addr)
}

pub(crate) fn limits(change: impl FnOnce(&mut Limits)) -> impl FnOnce(&mut ServerConfig) {
    |config| change(&mut config.limits)
}

/// A connection with what it belongs to.
pub(crate) struct Client {
    conn: Arc<Connection>,
    pub(crate) connector: Connector,
}

impl std::ops::Deref for Client {
    type Target = Arc<Connection>;

    fn deref(&self) -> &Arc<Connection> {
        &self.conn
    }
}

pub(crate) async fn client(addr: SocketAddr) -> Client {
    let connector = Connector::new(ClientConfig::default());
    let service = Arc::new(Echo::default());
    Client { conn: connector.connect(&addr.to_string(), service).await.unwrap(), connector }
}

/// Waits until `done`; fails after a deadline.
pub(crate) async fn until(what: &str, mut done: impl FnMut() -> bool) {
    let waited = tokio::time::timeout(DEADLINE, async {
        while !done() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    });
    assert!(waited.await.is_ok(), "never happened: {what}");
}

/// A peer that writes whatever bytes and decodes what comes back.
pub(crate) struct Raw {
    pub(crate) stream: TcpStream,
    buf: BytesMut,
}

impl Raw {
    pub(crate) async fn connect(addr: SocketAddr) -> Self {
        Self { stream: TcpStream::connect(addr).await.unwrap(), buf: BytesMut::new() }
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    /// The next frame, `None` when the server has closed.
    pub(crate) async fn frame(&mut self) -> Option<Command> {
        let read = tokio::time::timeout(DEADLINE, async {
            loop {
                if let Some(command) = take_frame(&mut self.buf, 64 << 20).unwrap() {
                    return Some(command);
                }
                match self.stream.read_buf(&mut self.buf).await {
                    Ok(0) | Err(_) => return None,
                    Ok(_) => {}
                }
            }
        });
        read.await.expect("neither answered nor closed")
    }
}

pub(crate) fn frame(code: i32, opaque: i32, body: &[u8]) -> BytesMut {
    let mut out = BytesMut::new();
    let mut command = Command::request(code).with_body(body.to_vec());
    command.opaque = opaque;
    command.encode(&mut out);
    out
}
