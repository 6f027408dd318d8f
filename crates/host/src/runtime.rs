//! The tokio runtime of a program.

use std::io;
use tokio::runtime::{Builder, Runtime};

/// Size of a runtime.
#[derive(Clone, Debug)]
pub struct RuntimeConfig {
    /// Worker threads; 0 runs everything on the thread that calls `block_on`.
    pub workers: usize,
    /// Stack of a worker, in bytes.
    pub stack_bytes: usize,
    /// Most threads for blocking work (name resolution, small files).
    pub blocking_threads_max: usize,
    /// Name of the threads.
    pub thread_name: &'static str,
}

impl Default for RuntimeConfig {
    /// Two workers with stacks of 512 KiB, eight blocking threads.
    fn default() -> Self {
        Self {
            workers: 2,
            stack_bytes: 512 * 1024,
            blocking_threads_max: 8,
            thread_name: "rmq-worker",
        }
    }
}

/// Makes a runtime with network and timers.
///
/// # Errors
/// When the machine refuses the threads or the poller.
pub fn build(config: &RuntimeConfig) -> io::Result<Runtime> {
    let mut builder = if config.workers == 0 {
        Builder::new_current_thread()
    } else {
        let mut builder = Builder::new_multi_thread();
        builder.worker_threads(config.workers);
        builder
    };
    builder
        .enable_all()
        .thread_stack_size(config.stack_bytes)
        .max_blocking_threads(config.blocking_threads_max)
        .thread_name(config.thread_name)
        .build()
}
