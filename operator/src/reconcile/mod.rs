//! One look at one cluster: observe, plan, act, report.

use crate::act::{Actor, Flow};
use crate::apiserver::{bounded, found};
use crate::cache::ClusterKey;
use crate::context::Scope;
use crate::error::Error;
use crate::observe::{Freshness, Sight, observe};
use crate::report;
use crate::watch::Guarded;
use kube::api::Api;
use kube::runtime::controller::Action;
use kube::{Resource as _, ResourceExt as _};
use rmq_operator_api::Cluster;
use rmq_operator_plan::{Decision, Step};
use std::sync::Arc;
use std::time::Duration;
use tracing::{debug, info, warn};

/// Waits from here on are spread, so that clusters made together are not looked at together.
const SPREAD_FROM: Duration = Duration::from_mins(1);

/// The runtime's callback.
///
/// # Errors
/// Whatever ended it early; [`failed`] says when it is tried again.
pub(crate) async fn reconcile(
    resource: Arc<Guarded>,
    scope: Arc<Scope>,
) -> Result<Action, Arc<Error>> {
    let context = &scope.context;
    // Closed only when the process ends.
    let _place = context.places.acquire().await;
    let began = context.clock.monotonic();
    let key = key_of(&resource);
    let result = match &resource.0 {
        Ok(cluster) => Box::pin(one(&scope, cluster, &key)).await,
        Err(invalid) => {
            let note = format!("{}: correct the resource or update the operator", invalid.error);
            report::publish(context, &*resource, true, "InvalidSpec", note, None).await;
            Err(Error::Unreadable(invalid.error.clone()))
        }
    };
    let took = context.clock.monotonic().saturating_sub(began);
    context.metrics.reconciled(took, result.as_ref().err().map(|error| error.class().name()));
    match result {
        Ok(action) => {
            context.backoff.forget(&key.to_string());
            debug!(cluster = %key, took_ms = took.as_millis(), "reconciled");
            Ok(action)
        }
        Err(error) => Err(Arc::new(error)),
    }
}

/// The runtime's other callback: when to try again.
#[expect(clippy::needless_pass_by_value, reason = "the runtime's signature")]
pub(crate) fn failed(resource: Arc<Guarded>, error: &Arc<Error>, scope: Arc<Scope>) -> Action {
    let key = key_of(&resource);
    let class = error.class();
    let wait = scope.context.backoff.failed(&key.to_string(), class);
    warn!(cluster = %key, %error, class = class.name(), again_in_ms = wait.as_millis(), "failed");
    Action::requeue(wait)
}

fn key_of(resource: &Guarded) -> ClusterKey {
    let metadata = resource.meta();
    ClusterKey::new(metadata.namespace.clone().unwrap_or_default(), resource.name_any())
}

/// What a cluster was found to need, and from which look.
struct Look {
    sight: Sight,
    decision: Decision,
}

impl Look {
    async fn at(
        scope: &Scope,
        cluster: &Cluster,
        key: &ClusterKey,
        freshness: Freshness,
    ) -> Result<Self, Error> {
        let sight = observe(&scope.context, scope, cluster, key, freshness).await?;
        let decision = rmq_operator_plan::plan(cluster, &sight.observed, &scope.context.plan);
        Ok(Self { sight, decision })
    }
}

async fn one(scope: &Scope, cluster: &Cluster, key: &ClusterKey) -> Result<Action, Error> {
    let context = &*scope.context;
    if cluster.metadata.deletion_timestamp.is_some() {
        // What it owns goes with it; nothing is to be kept alive.
        return Ok(Action::await_change());
    }
    let mut look = Look::at(scope, cluster, key, Freshness::Cached).await?;
    let result = Box::pin(act(scope, key, &mut look)).await;
    let decision = &mut look.decision;
    match result {
        Ok(()) => {
            let pods = &look.sight.observed.pods;
            report::events(context, cluster, key, &decision.events, pods).await;
            report::status(context, cluster, key, &decision.status).await?;
        }
        Err(error) => {
            let (before, now_ms) = (cluster.status.as_ref(), look.sight.observed.now_ms);
            report::mark_error(&mut decision.status, &error, before, now_ms);
            // The first error is the one to tell.
            if let Err(second) = report::status(context, cluster, key, &decision.status).await {
                debug!(cluster = %key, error = %second, "the status could not be written either");
            }
            return Err(error);
        }
    }
    let wait = Duration::from_millis(decision.requeue_ms);
    let wait = if wait < SPREAD_FROM { wait } else { context.backoff.spread(wait) };
    Ok(Action::requeue(wait))
}

/// Carries out the decision's steps. What was seen before a disruptive one is replaced by a fresh
/// look, `look` included.
///
/// # Errors
/// The first one. An essential step that fails ends it; after another one the rest is done still.
async fn act(scope: &Scope, key: &ClusterKey, look: &mut Look) -> Result<(), Error> {
    let context = &*scope.context;
    let steps = std::mem::take(&mut look.decision.steps);
    let mut failed = Ok(());
    for step in &steps {
        if step.is_disruptive() {
            return failed.and(Box::pin(disrupt(scope, key, look, step)).await);
        }
        debug!(cluster = %key, %step, "acting");
        let actor = Actor { context, key, sight: &look.sight };
        match actor.step(step).await {
            Ok(Flow::Next) => {}
            Ok(Flow::Stop) => break,
            Err(error) if step.is_essential() => return failed.and(Err(error)),
            Err(error) => failed = failed.and(Err(error)),
        }
    }
    failed
}

/// Carries out `step` if everything, read anew from the API server and the processes themselves,
/// still calls for it.
async fn disrupt(
    scope: &Scope,
    key: &ClusterKey,
    look: &mut Look,
    step: &Step,
) -> Result<(), Error> {
    let context = &*scope.context;
    let api: Api<Cluster> = Api::namespaced(context.client.clone(), &key.namespace);
    let read = bounded(format!("read {key}"), api.get(&key.name)).await;
    let Some(cluster) = found(read)?.filter(|one| one.metadata.deletion_timestamp.is_none()) else {
        return Ok(());
    };
    *look = Look::at(scope, &cluster, key, Freshness::Fresh).await?;
    if !look.decision.steps.contains(step) {
        info!(cluster = %key, %step, "no longer called for");
        return Ok(());
    }
    info!(cluster = %key, %step, "acting");
    let actor = Actor { context, key, sight: &look.sight };
    actor.step(step).await.map(drop)
}

#[cfg(test)]
mod tests;
