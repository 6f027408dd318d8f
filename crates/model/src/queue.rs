//! A queue of a topic on a broker.

use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Names one queue in the whole cluster. Member order is that of the reference JSON.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MessageQueue {
    /// Broker (group) that holds the queue.
    pub broker_name: Arc<str>,
    /// Number of the queue within the topic on that broker.
    pub queue_id: i32,
    /// Topic.
    pub topic: Arc<str>,
}
