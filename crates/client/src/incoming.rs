//! What brokers ask of a client.

use parking_lot::Mutex;
use rmq_net::{Connection, Request, Service};
use rmq_remoting::{Command, code};
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::Notify;

/// Most groups of one client.
const GROUPS_MAX: usize = 1024;

/// Requests that come in on the client's connections.
///
/// A change of a group's members wakes the group's consumer. Everything else is answered with
/// "not supported", so that no broker waits in vain.
#[derive(Debug, Default)]
pub struct Incoming {
    groups: Mutex<HashMap<String, Arc<Notify>>>,
}

impl Incoming {
    /// What is notified when the members of `group` change. `None` if there are too many groups.
    pub(crate) fn listen(&self, group: &str) -> Option<Arc<Notify>> {
        let mut groups = self.groups.lock();
        if GROUPS_MAX <= groups.len() && !groups.contains_key(group) {
            return None;
        }
        Some(groups.entry(group.to_owned()).or_default().clone())
    }

    /// Nobody listens for `group` any more.
    pub(crate) fn forget(&self, group: &str) {
        self.groups.lock().remove(group);
    }

    fn take(&self, request: Request) {
        match request.command.code {
            code::request::NOTIFY_CONSUMER_IDS_CHANGED => {
                let group = request.command.ext.get("consumerGroup");
                let listener = group.and_then(|group| self.groups.lock().get(group).cloned());
                if let Some(listener) = listener {
                    listener.notify_one();
                }
                if !request.reply.is_oneway() {
                    request.reply.send(Command::response(code::response::SUCCESS));
                }
            }
            other => {
                let remark = format!(" request type {other} not supported");
                let answer = Command::response(code::response::REQUEST_CODE_NOT_SUPPORTED);
                request.reply.send(answer.with_remark(remark));
            }
        }
    }
}

impl Service for Incoming {
    fn requests(&self, _conn: &Arc<Connection>, batch: &mut Vec<Request>) {
        for request in batch.drain(..) {
            self.take(request);
        }
    }
}
