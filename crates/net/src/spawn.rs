//! The only place of this crate that starts tasks.

use std::future::Future;
use tokio_util::task::TaskTracker;

/// Starts a connection's or a listener's task; `tasks` knows when it has ended.
#[expect(
    clippy::disallowed_methods,
    reason = "connections outlive the call that accepts or opens them; the tracker waits for them"
)]
pub(crate) fn spawn(tasks: &TaskTracker, work: impl Future<Output = ()> + Send + 'static) {
    tokio::spawn(tasks.track_future(work));
}
