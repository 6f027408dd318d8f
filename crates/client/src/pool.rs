//! One connection per address, opened when it is needed.

use crate::error::CallError;
use crate::incoming::Incoming;
use parking_lot::Mutex;
use rmq_net::{ClientConfig, Connection, Connector};
use std::collections::HashMap;
use std::sync::Arc;

/// Most addresses that are remembered; beyond it closed connections are forgotten first.
const ADDRESSES_MAX: usize = 1024;

/// The lock is held while connecting, so that callers who want the same peer wait for one
/// connection instead of opening one each.
type Slot = Arc<tokio::sync::Mutex<Option<Arc<Connection>>>>;

#[derive(Debug)]
pub(crate) struct Pool {
    connector: Connector,
    incoming: Arc<Incoming>,
    slots: Mutex<HashMap<String, Slot>>,
}

impl Pool {
    pub(crate) fn new(config: ClientConfig, incoming: Arc<Incoming>) -> Self {
        Self { connector: Connector::new(config), incoming, slots: Mutex::new(HashMap::new()) }
    }

    /// The connection to `addr`, a new one if there is none or it is closed.
    pub(crate) async fn connection(&self, addr: &str) -> Result<Arc<Connection>, CallError> {
        let slot = self.slot(addr)?;
        let mut slot = slot.lock().await;
        if let Some(open) = slot.as_ref().filter(|connection| !connection.is_closed()) {
            return Ok(open.clone());
        }
        let connection = self.connector.connect(addr, self.incoming.clone()).await?;
        *slot = Some(connection.clone());
        Ok(connection)
    }

    /// Closes the connection to `addr`, if there is one; the next call opens another.
    pub(crate) async fn close(&self, addr: &str) {
        let slot = self.slots.lock().remove(addr);
        if let Some(slot) = slot
            && let Some(connection) = slot.lock().await.take()
        {
            connection.close();
        }
    }

    fn slot(&self, addr: &str) -> Result<Slot, CallError> {
        let mut slots = self.slots.lock();
        if let Some(slot) = slots.get(addr) {
            return Ok(slot.clone());
        }
        if ADDRESSES_MAX <= slots.len() {
            slots.retain(|_, slot| {
                slot.try_lock().map_or(true, |open| open.as_ref().is_some_and(|c| !c.is_closed()))
            });
        }
        if ADDRESSES_MAX <= slots.len() {
            let reason = format!("more than {ADDRESSES_MAX} brokers are connected");
            return Err(CallError::Argument(reason));
        }
        Ok(slots.entry(addr.to_owned()).or_default().clone())
    }
}
