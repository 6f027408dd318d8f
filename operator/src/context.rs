//! What all reconciles share.

use crate::backoff::Backoff;
use crate::cache::ClusterKey;
use crate::control::Controls;
use crate::metrics::Metrics;
use crate::report::Reported;
use crate::token::Tokens;
use crate::watch::Caches;
use kube::Client;
use kube::runtime::events::{Recorder, Reporter};
use parking_lot::Mutex;
use rmq_model::Clock;
use rmq_operator_plan::Expansion;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

/// Reconciles at a time, of all namespaces together.
pub(crate) const RECONCILES_MAX: usize = 16;

/// Whether volumes of a class can grow, by name, and when that was asked.
type Classes = Mutex<HashMap<String, (Duration, Expansion)>>;

/// What all reconciles of the process share.
pub(crate) struct Context {
    pub(crate) client: Client,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) controls: Controls,
    pub(crate) tokens: Tokens,
    pub(crate) classes: Classes,
    pub(crate) recorder: Recorder,
    pub(crate) reported: Reported,
    pub(crate) metrics: Metrics,
    pub(crate) backoff: Backoff,
    pub(crate) places: Semaphore,
    /// What plans get told of the operator itself.
    pub(crate) plan: rmq_operator_plan::Context,
}

impl std::fmt::Debug for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context").field("plan", &self.plan).finish_non_exhaustive()
    }
}

impl Context {
    pub(crate) fn new(
        client: Client,
        clock: Arc<dyn Clock>,
        metrics: Metrics,
        plan: rmq_operator_plan::Context,
        instance: String,
    ) -> Self {
        let reporter = Reporter {
            controller: rmq_operator_api::meta::MANAGER.to_owned(),
            instance: Some(instance),
        };
        Self {
            controls: Controls::new(Arc::clone(&clock), metrics.clone()),
            tokens: Tokens::new(Arc::clone(&clock)),
            classes: Mutex::default(),
            recorder: Recorder::new(client.clone(), reporter),
            reported: Reported::default(),
            backoff: Backoff::default(),
            places: Semaphore::new(RECONCILES_MAX),
            client,
            clock,
            metrics,
            plan,
        }
    }

    /// The cluster has gone: nothing about it is kept.
    pub(crate) fn forget(&self, cluster: &ClusterKey) {
        self.backoff.forget(&cluster.to_string());
        self.tokens.forget(cluster);
        self.reported.forget(cluster);
        self.controls.keep_only(cluster, &std::collections::BTreeSet::new());
        self.metrics.conditions(cluster, std::iter::empty());
    }
}

/// What the reconciles of one watched namespace share, or of all namespaces.
#[derive(Debug)]
pub(crate) struct Scope {
    pub(crate) context: Arc<Context>,
    pub(crate) caches: Arc<Caches>,
}
