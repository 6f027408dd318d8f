//! What a program does with requests.

use crate::connection::Connection;
use crate::reply::Reply;
use rmq_remoting::Command;
use std::sync::Arc;

/// A request and the way to answer it.
#[derive(Debug)]
pub struct Request {
    /// As it arrived.
    pub command: Command,
    /// The way back. Dropped without an answer it answers code 1.
    pub reply: Reply,
}

/// Serves nothing: for connections on which only we ask.
#[derive(Clone, Copy, Debug)]
pub struct AskOnly;

impl Service for AskOnly {
    fn requests(&self, _conn: &Arc<Connection>, batch: &mut Vec<Request>) {
        for Request { command, reply } in batch.drain(..) {
            reply.send(Command::not_supported(command.code));
        }
    }
}

/// A program behind a server or at the end of a client connection.
///
/// All methods are called on the connection's task: they must neither block nor take long. Work that
/// waits keeps the [`Reply`] and answers later, from any thread.
pub trait Service: Send + Sync + 'static {
    /// All requests that arrived together on one connection, in their order. What is left in `batch`
    /// is dropped, and with it answered code 1.
    fn requests(&self, conn: &Arc<Connection>, batch: &mut Vec<Request>);

    /// A connection is ready; called before its first request.
    fn connected(&self, _conn: &Arc<Connection>) {}

    /// A connection is closed; called once, after its last request.
    fn closed(&self, _conn: &Arc<Connection>) {}

    /// [`Connection::poke`] was called since the last time.
    fn poked(&self, _conn: &Arc<Connection>) {}
}
