//! The tasks of a component: they start here, stop together and are waited for.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{Instrument, error};

/// The tasks of one component. Clones share them.
///
/// A task that returns an error or panics stops the whole component: the token that every task was
/// handed is cancelled and [`Tasks::failure`] says what happened.
#[derive(Clone, Debug)]
pub struct Tasks {
    component: &'static str,
    stop: CancellationToken,
    running: TaskTracker,
    failure: Arc<Mutex<Option<String>>>,
}

impl Tasks {
    /// A component without tasks. `component` names it in log lines.
    pub fn new(component: &'static str) -> Self {
        Self::under(component, CancellationToken::new())
    }

    /// A component that also stops when `self` does. Its own failure does not stop `self`.
    #[must_use]
    pub fn child(&self, component: &'static str) -> Self {
        Self::under(component, self.stop.child_token())
    }

    fn under(component: &'static str, stop: CancellationToken) -> Self {
        Self { component, stop, running: TaskTracker::new(), failure: Arc::default() }
    }

    /// Starts a task. It should end soon after the token it is handed is cancelled; until then an
    /// error (or panic) of it stops the component.
    ///
    /// Must be called within a runtime.
    pub fn spawn<W, F>(&self, name: &'static str, work: W)
    where
        W: FnOnce(CancellationToken) -> F,
        F: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        let span = tracing::debug_span!("task", component = self.component, name);
        let guard = Guard { tasks: self.clone(), name, armed: true };
        let work = work(self.stop.clone());
        self.running.spawn(
            async move {
                let mut guard = guard;
                let result = work.await;
                guard.armed = false;
                if let Err(error) = result {
                    guard.tasks.fail(name, &format!("{error:#}"));
                }
            }
            .instrument(span),
        );
    }

    /// Runs blocking work on the runtime's blocking pool, as part of the component.
    ///
    /// The work cannot be interrupted: it has to look at the token between its steps.
    pub fn spawn_blocking<W>(&self, name: &'static str, work: W)
    where
        W: FnOnce(CancellationToken) -> anyhow::Result<()> + Send + 'static,
    {
        let guard = Guard { tasks: self.clone(), name, armed: true };
        let stop = self.stop.clone();
        self.running.spawn_blocking(move || {
            let mut guard = guard;
            let result = work(stop);
            guard.armed = false;
            if let Err(error) = result {
                guard.tasks.fail(name, &format!("{error:#}"));
            }
        });
    }

    /// Cancelled when the component is to stop.
    pub fn token(&self) -> &CancellationToken {
        &self.stop
    }

    /// Asks all tasks to stop, without waiting.
    pub fn stop(&self) {
        self.stop.cancel();
    }

    /// Waits until the component was asked to stop or a task of it failed.
    pub async fn stopped(&self) {
        self.stop.cancelled().await;
    }

    /// The first failure of a task: its name and error.
    pub fn failure(&self) -> Option<String> {
        self.failure.lock().clone()
    }

    /// Asks all tasks to stop and waits for them. `false` when some still ran after `grace`.
    pub async fn shutdown(&self, grace: Duration) -> bool {
        self.stop.cancel();
        self.running.close();
        tokio::time::timeout(grace, self.running.wait()).await.is_ok()
    }

    fn fail(&self, name: &'static str, reason: &str) {
        error!(component = self.component, task = name, error = reason, "task failed");
        self.failure.lock().get_or_insert_with(|| format!("{name}: {reason}"));
        self.stop.cancel();
    }
}

/// Reports a task that unwound.
struct Guard {
    tasks: Tasks,
    name: &'static str,
    armed: bool,
}

impl Drop for Guard {
    fn drop(&mut self) {
        // A runtime that is torn down drops its tasks as well; that is not a failure.
        if self.armed && std::thread::panicking() {
            self.tasks.fail(self.name, "panicked");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on_runtime<F: Future>(work: F) -> F::Output {
        crate::runtime::build(&crate::runtime::RuntimeConfig::default())
            .expect("a runtime can be made")
            .block_on(work)
    }

    const GRACE: Duration = Duration::from_secs(20);

    #[test]
    fn shutdown_cancels_and_waits() {
        on_runtime(async {
            let tasks = Tasks::new("test");
            let ended = Arc::new(Mutex::new(false));
            let seen = Arc::clone(&ended);
            tasks.spawn("waits", |stop| async move {
                stop.cancelled().await;
                *seen.lock() = true;
                Ok(())
            });
            assert!(tasks.shutdown(GRACE).await);
            assert!(*ended.lock());
            assert_eq!(tasks.failure(), None);
        });
    }

    #[test]
    fn an_error_stops_the_component_but_not_its_parent() {
        on_runtime(async {
            let parent = Tasks::new("parent");
            let tasks = parent.child("test");
            tasks.spawn("waits", |stop| async move {
                stop.cancelled().await;
                Ok(())
            });
            tasks.spawn("fails", |_| async { Err(anyhow::anyhow!("broken")) });
            tasks.stopped().await;
            assert!(tasks.shutdown(GRACE).await);
            assert_eq!(tasks.failure().as_deref(), Some("fails: broken"));
            assert!(!parent.token().is_cancelled());
        });
    }

    #[test]
    fn a_panic_stops_the_component() {
        on_runtime(async {
            let tasks = Tasks::new("test");
            tasks.spawn("panics", |_| async { panic!("on purpose") });
            tasks.stopped().await;
            assert_eq!(tasks.failure().as_deref(), Some("panics: panicked"));
            let tasks = Tasks::new("test");
            tasks.spawn_blocking("panics too", |_| panic!("on purpose"));
            tasks.stopped().await;
            assert_eq!(tasks.failure().as_deref(), Some("panics too: panicked"));
        });
    }

    #[test]
    fn stopping_the_parent_stops_the_child() {
        on_runtime(async {
            let parent = Tasks::new("parent");
            let tasks = parent.child("test");
            parent.stop();
            tasks.stopped().await;
        });
    }

    #[test]
    fn shutdown_says_when_a_task_does_not_stop() {
        on_runtime(async {
            let tasks = Tasks::new("test");
            tasks.spawn("stuck", |_| std::future::pending());
            assert!(!tasks.shutdown(Duration::from_millis(1)).await);
        });
    }
}
