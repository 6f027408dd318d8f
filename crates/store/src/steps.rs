//! The work of the store's threads, done by the caller.

use crate::appender::Appender;
use crate::follow;
use crate::retention::Upkeep;
use crate::shared::Shared;
use std::io;
use std::sync::Arc;

/// What the threads of a store that [`crate::Store::open_stepped`] opened would do. Drop it before
/// [`crate::Store::close`]; puts that were not taken by then get no answer.
pub struct Steps {
    shared: Arc<Shared>,
    appender: Appender,
    upkeep: Upkeep,
}

impl std::fmt::Debug for Steps {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Steps").finish_non_exhaustive()
    }
}

impl Steps {
    pub(crate) fn new(shared: Arc<Shared>, appender: Appender) -> Self {
        let upkeep = Upkeep::new(&shared);
        Self { shared, appender, upkeep }
    }

    /// The log's thread: writes all puts that wait, syncs if the store does, and answers. False if
    /// none waited.
    pub fn append(&mut self) -> bool {
        self.appender.step()
    }

    /// The thread that syncs the log in `ASYNC_FLUSH` mode: syncs what is written.
    ///
    /// # Errors
    /// When the log was shut.
    pub fn sync_log(&mut self) -> io::Result<()> {
        follow::sync_log_to(&self.shared, self.shared.log.written())
    }

    /// The thread that writes queues, index and checkpoint: one round. The checkpoint is written
    /// when it is time for it by the clock.
    ///
    /// # Errors
    /// When something could not be written; the next round tries again.
    pub fn follow(&mut self) -> io::Result<()> {
        follow::follow(&self.shared)
    }

    /// The thread that makes segments ahead, looks at the space, and deletes: one round.
    pub fn upkeep(&mut self) {
        self.upkeep.look(&self.shared);
    }
}
