//! The way back to who asked.

use crate::connection::Connection;
use bytes::Bytes;
use rmq_remoting::{Command, Encoding, code};
use std::sync::Arc;

/// Permit of one request in flight and the way to answer it.
///
/// Answers may be given from any thread and in any order. A reply that is dropped unanswered answers
/// code 1, so that no peer waits in vain for a request that got lost here.
#[derive(Debug)]
pub struct Reply {
    conn: Arc<Connection>,
    opaque: i32,
    encoding: Encoding,
    open: bool,
    /// Bytes this request counts for while it is in flight.
    charge: usize,
}

impl Reply {
    pub(crate) fn new(conn: Arc<Connection>, command: &Command, charge: usize) -> Self {
        conn.begin(charge);
        Self {
            conn,
            opaque: command.opaque,
            encoding: command.encoding,
            open: !command.is_oneway(),
            charge,
        }
    }

    /// Answers. `opaque` and encoding are those of the request. Does nothing for a one-way request.
    pub fn send(mut self, mut response: Command) {
        if self.finish(&mut response) {
            self.conn.write(&response);
        }
    }

    /// Answers with a body of several parts, which are sent as they are instead of being copied
    /// together; the body of `response` is not looked at.
    pub fn send_parts(mut self, mut response: Command, body: &[Bytes]) {
        if self.finish(&mut response) {
            self.conn.write_parts(&response, body);
        }
    }

    /// Nobody waits for an answer.
    pub fn is_oneway(&self) -> bool {
        // Closed replies are consumed, so a reply that somebody still holds is open or one-way.
        !self.open
    }

    /// Where the request came from.
    pub fn conn(&self) -> &Arc<Connection> {
        &self.conn
    }

    fn finish(&mut self, response: &mut Command) -> bool {
        response.opaque = self.opaque;
        response.encoding = self.encoding;
        std::mem::replace(&mut self.open, false)
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        if self.open {
            let mut response = Command::response(code::response::SYSTEM_ERROR)
                .with_remark("the request was dropped before it was answered");
            self.finish(&mut response);
            self.conn.write(&response);
        }
        self.conn.end(self.charge);
    }
}
