//! The connections, by number.

use parking_lot::RwLock;
use rmq_delivery::ConnId;
use rmq_net::Connection;
use std::collections::HashMap;
use std::sync::Arc;

/// All open connections of the broker's ports.
#[derive(Debug, Default)]
pub(crate) struct Peers {
    open: RwLock<HashMap<ConnId, Arc<Connection>>>,
}

/// Number of a connection as the service knows it.
pub(crate) fn id_of(conn: &Connection) -> ConnId {
    ConnId(conn.id().0)
}

impl Peers {
    pub(crate) fn add(&self, conn: &Arc<Connection>) {
        self.open.write().insert(id_of(conn), Arc::clone(conn));
    }

    pub(crate) fn remove(&self, conn: &Connection) {
        self.open.write().remove(&id_of(conn));
    }

    pub(crate) fn get(&self, id: ConnId) -> Option<Arc<Connection>> {
        self.open.read().get(&id).cloned()
    }
}
