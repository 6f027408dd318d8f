//! The connections, by number.

use super::send::Completed;
use parking_lot::{Mutex, RwLock};
use rmq_delivery::ConnId;
use rmq_net::Connection;
use std::collections::HashMap;
use std::sync::Arc;

/// An open connection.
#[derive(Debug)]
pub(crate) struct PeerConn {
    pub(crate) conn: Arc<Connection>,
    /// Sends that the log is done with; the connection's own task answers them.
    completed: Mutex<Vec<Completed>>,
}

impl PeerConn {
    /// Hands over finished sends from whoever stored them.
    pub(super) fn complete(&self, completed: Completed) {
        self.completed.lock().push(completed);
        self.conn.poke();
    }

    /// All that were handed over since the last call.
    pub(super) fn take_completed(&self) -> Vec<Completed> {
        std::mem::take(&mut self.completed.lock())
    }
}

/// All open connections of the broker's ports.
#[derive(Debug, Default)]
pub(crate) struct Peers {
    open: RwLock<HashMap<ConnId, Arc<PeerConn>>>,
}

/// Number of a connection as the service knows it.
pub(crate) fn id_of(conn: &Connection) -> ConnId {
    ConnId(conn.id().0)
}

impl Peers {
    pub(crate) fn add(&self, conn: &Arc<Connection>) {
        let peer = PeerConn { conn: Arc::clone(conn), completed: Mutex::default() };
        self.open.write().insert(id_of(conn), Arc::new(peer));
    }

    pub(crate) fn remove(&self, conn: &Connection) {
        self.open.write().remove(&id_of(conn));
    }

    pub(crate) fn get(&self, id: ConnId) -> Option<Arc<Connection>> {
        self.open.read().get(&id).map(|peer| Arc::clone(&peer.conn))
    }

    pub(super) fn peer(&self, id: ConnId) -> Option<Arc<PeerConn>> {
        self.open.read().get(&id).cloned()
    }
}
