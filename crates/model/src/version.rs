//! Version of a table that other nodes keep a copy of.

use crate::Millis;
use serde::{Deserialize, Serialize};

/// Grows with every change of a table. Two copies are the same when all three numbers are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DataVersion {
    /// Changes since the table was made.
    pub counter: i64,
    /// Epoch of the node's mastership; 0 without failover.
    pub state_version: i64,
    /// When the last change was made.
    pub timestamp: Millis,
}

impl DataVersion {
    /// The version after one more change.
    #[must_use]
    pub fn next(self, state_version: i64, now: Millis) -> Self {
        Self { counter: self.counter.wrapping_add(1), state_version, timestamp: now }
    }
}
