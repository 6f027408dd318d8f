//! What probes and the control API see of a broker, from the first moment of its start.

use crate::config::Config;
use crate::pod::Mounts;
use crate::registration::Registrar;
use crate::reload::Follower;
use crate::service::{Broker, Phase};
use parking_lot::Mutex;
use rmq_host::http::{Health, Readiness};
use rmq_host::ids::random_id;
use rmq_model::Clock;
use rmq_store::RecoveryProgress;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How the broker was asked to stop by the control API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopMode {
    /// As by a signal.
    Orderly,
    /// Without sending clients elsewhere first: the whole cluster is going.
    Fast,
}

/// What there is once the store is open.
#[derive(Debug)]
pub(crate) struct Serving {
    pub(crate) broker: Arc<Broker>,
    pub(crate) registrar: Arc<Registrar>,
    /// `host:port` that clients are told.
    pub(crate) advertised: Arc<str>,
    /// Follows the mounted files, in a pod.
    pub(crate) follower: Option<Arc<Follower>>,
}

/// A broker as seen from outside.
pub(crate) struct Presence {
    pub(crate) clock: Arc<dyn Clock>,
    began: Duration,
    pub(crate) config: Config,
    pub(crate) incarnation: String,
    store_id: OnceLock<String>,
    pub(crate) readiness: Readiness,
    pub(crate) recovery: Arc<RecoveryProgress>,
    serving: OnceLock<Serving>,
    stuck: Mutex<Option<String>>,
    asked: CancellationToken,
    mode: OnceLock<StopMode>,
}

impl std::fmt::Debug for Presence {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Presence").field("incarnation", &self.incarnation).finish_non_exhaustive()
    }
}

impl Presence {
    pub(crate) fn new(config: Config, clock: Arc<dyn Clock>) -> Self {
        Self {
            began: clock.monotonic(),
            clock,
            config,
            incarnation: random_id(),
            store_id: OnceLock::new(),
            readiness: Readiness::default(),
            recovery: Arc::default(),
            serving: OnceLock::new(),
            stuck: Mutex::default(),
            asked: CancellationToken::new(),
            mode: OnceLock::new(),
        }
    }

    /// The store is the one of this id.
    pub(crate) fn set_store_id(&self, id: String) {
        // Set once by the start.
        self.store_id.set(id).ok();
    }

    /// Of the store; empty for brokers outside of pods, and before it is known.
    pub(crate) fn store_id(&self) -> &str {
        self.store_id.get().map_or("", String::as_str)
    }

    /// The start is over.
    pub(crate) fn set_serving(&self, serving: Serving) {
        // Set once by the start.
        self.serving.set(serving).ok();
    }

    pub(crate) fn serving(&self) -> Option<&Serving> {
        self.serving.get()
    }

    pub(crate) fn pod(&self) -> Option<&Mounts> {
        self.config.pod.as_deref()
    }

    /// Since the start of the broker.
    pub(crate) fn uptime(&self) -> Duration {
        self.clock.monotonic().saturating_sub(self.began)
    }

    /// The watchdog's verdict.
    pub(crate) fn set_stuck(&self, stuck: Option<String>) {
        let mut known = self.stuck.lock();
        if known.is_none()
            && let Some(why) = &stuck
        {
            tracing::error!(why, "the broker is stuck and should be restarted");
        }
        *known = stuck;
    }

    /// Asks the program to stop; the first one decides how.
    pub(crate) fn ask_to_stop(&self, mode: StopMode) {
        self.mode.set(mode).ok();
        self.asked.cancel();
    }

    /// Waits until it was asked to stop.
    pub(crate) async fn asked_to_stop(&self) -> StopMode {
        self.asked.cancelled().await;
        self.mode.get().copied().unwrap_or(StopMode::Orderly)
    }

    /// Text of `/metrics`.
    pub(crate) fn metrics(&self) -> String {
        self.serving().map(|serving| serving.broker.traffic.registry.render()).unwrap_or_default()
    }
}

impl Health for Presence {
    fn starting(&self) -> Option<String> {
        if self.serving().is_some() {
            return None;
        }
        Some(match self.recovery.bytes() {
            (_, 0) => "store: opening".to_owned(),
            (done, total) => format!("store: recovering, {done} of {total} bytes"),
        })
    }

    fn dead(&self) -> Vec<String> {
        let mut why: Vec<String> = self.stuck.lock().iter().cloned().collect();
        if let Some(serving) = self.serving()
            && let Some(error @ rmq_store::PutError::Failed { .. }) = serving.broker.store.refusal()
        {
            // Only opening the store anew tells what reached the disk.
            why.push(format!("store: {error}"));
        }
        why
    }

    fn conditions(&self) -> Vec<(&'static str, Option<String>)> {
        let starting = self.starting();
        let mut all = self.readiness.conditions();
        if let Some(serving) = self.serving() {
            let unknown = || "not registered at any of them yet".to_owned();
            all.push(("name servers", (!serving.registrar.is_known()).then(unknown)));
            let leaving = serving.broker.phase() != Phase::Serving;
            all.push(("phase", leaving.then(|| "asked to stop".to_owned())));
        }
        all.push(("start", starting));
        all
    }
}
