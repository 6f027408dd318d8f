//! A message on its way into the log.

use bytes::Bytes;
use rmq_model::Millis;
use std::net::SocketAddr;
use std::sync::Arc;

/// What a client sent, before it has a place in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Topic it is stored under.
    pub topic: Arc<str>,
    /// Queue of that topic.
    pub queue_id: u32,
    /// The application's own flag.
    pub flag: i32,
    /// Bits of [`rmq_model::sysflag`]. The two host bits are set by the encoder.
    pub sys_flag: i32,
    /// When the client made it, by the client's clock.
    pub born_timestamp: Millis,
    /// Where it came from.
    pub born_host: SocketAddr,
    /// The broker's address that clients can reach.
    pub store_host: SocketAddr,
    /// Deliveries that failed before.
    pub reconsume_times: i32,
    /// Log position of the half message on a commit record, else 0.
    pub prepared_transaction_offset: i64,
    /// Body as sent, perhaps compressed.
    pub body: Bytes,
    /// Properties text, see [`crate::properties`].
    pub properties: Bytes,
}
