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

/// Runs `work` and returns as soon as it has ended. A thread that still blocks then, mostly on a name
/// server of DNS that does not answer, is not waited for: what must be finished belongs to the work.
///
/// # Errors
/// As [`build`].
pub fn run<F: Future>(config: &RuntimeConfig, work: F) -> io::Result<F::Output> {
    let runtime = build(config)?;
    let output = runtime.block_on(work);
    runtime.shutdown_background();
    Ok(output)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blocked_thread_does_not_hold_up_the_end() {
        let (release, held) = std::sync::mpsc::sync_channel::<()>(1);
        let work = async {
            let blocked = tokio::task::spawn_blocking(move || held.recv());
            tokio::task::yield_now().await;
            blocked.is_finished()
        };
        assert!(!run(&RuntimeConfig::default(), work).expect("it runs"));
        drop(release);
    }
}
