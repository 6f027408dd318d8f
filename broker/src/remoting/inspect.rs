//! What administrators ask about topics, groups, queues and the broker.

use super::table::Handler;

/// Where a code of this family goes.
pub(super) fn handler(_code: i32) -> Option<Handler> {
    None
}
