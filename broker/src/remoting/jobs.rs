//! Work that may block: reads from disk, tables that must be durable.

use crate::service::Job;
use rmq_host::Tasks;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Most jobs that run or wait; more are refused.
const JOBS_MAX: usize = 8_192;

/// A bounded queue in front of the runtime's blocking threads.
#[derive(Clone, Debug)]
pub(crate) struct Jobs {
    tasks: Tasks,
    count: Arc<AtomicUsize>,
}

/// One place in the queue.
struct Place(Arc<AtomicUsize>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Jobs {
    pub(crate) fn new(tasks: Tasks) -> Self {
        Self { tasks, count: Arc::default() }
    }

    /// Runs `job` with true on a thread that may block, or with false here when the queue is full.
    pub(crate) fn run(&self, job: Job) {
        if JOBS_MAX <= self.count.fetch_add(1, Ordering::Relaxed) {
            self.count.fetch_sub(1, Ordering::Relaxed);
            job(false);
            return;
        }
        let place = Place(Arc::clone(&self.count));
        self.tasks.spawn_blocking("job", move |_stop| {
            job(true);
            drop(place);
            Ok(())
        });
    }

    /// Jobs that run or wait.
    pub(crate) fn len(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }
}
