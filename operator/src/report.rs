//! Tells people: the status, events, and the condition metric.

use crate::apiserver::{bounded, found};
use crate::cache::ClusterKey;
use crate::context::Context;
use crate::error::{Class, Error};
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;
use kube::Api;
use kube::api::{Patch, PatchParams};
use kube::runtime::events::{Event as Publish, EventType};
use parking_lot::Mutex;
use rmq_operator_api::status::ClusterStatus;
use rmq_operator_api::{API_VERSION, Cluster, KIND, meta};
use rmq_operator_plan::Event;
use rmq_operator_plan::pods::PodView;
use serde_json::json;
use std::collections::{BTreeMap, HashMap};
use tracing::{debug, info, warn};

/// The API server takes notes of up to 1024 bytes.
const NOTE_BYTES_MAX: usize = 1000;

/// Writes `status` if it is not what the resource has.
///
/// # Errors
/// When the API server refuses or does not answer. That the resource has gone is none.
pub(crate) async fn status(
    context: &Context,
    cluster: &Cluster,
    key: &ClusterKey,
    status: &ClusterStatus,
) -> Result<(), Error> {
    let shown = status.conditions.iter().map(|one| (one.type_.as_str(), one.status.as_str()));
    context.metrics.conditions(key, shown);
    if cluster.status.as_ref() == Some(status) {
        return Ok(());
    }
    let body = json!({
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {"name": key.name, "namespace": key.namespace},
        "status": status,
    });
    let api: Api<Cluster> = Api::namespaced(context.client.clone(), &key.namespace);
    let params = PatchParams::apply(meta::MANAGER).force();
    let patch = Patch::Apply(body);
    let call = api.patch_status(&key.name, &params, &patch);
    found(bounded(format!("write the status of {key}"), call).await)?;
    context.metrics.acted("status");
    Ok(())
}

/// Adds to `status` that the operator is stuck with `error`. Errors that pass by themselves are not
/// worth a change of the status. A condition that the resource has already keeps its time.
pub(crate) fn mark_error(
    status: &mut ClusterStatus,
    error: &Error,
    before: Option<&ClusterStatus>,
    now_ms: i64,
) {
    let reason = match error.class() {
        Class::Transient => return,
        Class::Invalid => "Refused",
        Class::Permission => "Forbidden",
        Class::Bug => "InternalError",
    };
    let now = Time(Timestamp::from_millisecond(now_ms).unwrap_or(Timestamp::UNIX_EPOCH));
    for kind in [meta::condition::READY, meta::condition::PROGRESSING] {
        let known = before.and_then(|before| before.condition(kind));
        let known = known.filter(|one| one.status == "False");
        let condition = Condition {
            type_: kind.to_owned(),
            status: "False".to_owned(),
            reason: reason.to_owned(),
            message: error.to_string(),
            observed_generation: status.observed_generation,
            last_transition_time: known
                .map_or_else(|| now.clone(), |one| one.last_transition_time.clone()),
        };
        match status.conditions.iter_mut().find(|one| one.type_ == kind) {
            Some(one) => *one = condition,
            None => status.conditions.push(condition),
        }
    }
}

/// What was said about each cluster last time: the same again is no news.
#[derive(Debug, Default)]
pub(crate) struct Reported {
    said: Mutex<HashMap<ClusterKey, Vec<Event>>>,
}

impl Reported {
    /// Those of `events` that were not said last time. They count as said from now on.
    fn news(&self, cluster: &ClusterKey, events: &[Event]) -> Vec<Event> {
        let mut said = self.said.lock();
        let before = if events.is_empty() {
            said.remove(cluster)
        } else {
            said.insert(cluster.clone(), events.to_vec())
        };
        let before = before.unwrap_or_default();
        events.iter().filter(|event| !before.contains(event)).cloned().collect()
    }

    pub(crate) fn forget(&self, cluster: &ClusterKey) {
        self.said.lock().remove(cluster);
    }
}

/// Publishes what is new among `events`. That an event cannot be written stops nothing.
pub(crate) async fn events(
    context: &Context,
    cluster: &Cluster,
    key: &ClusterKey,
    events: &[Event],
    pods: &BTreeMap<String, PodView>,
) {
    for event in context.reported.news(key, events) {
        let (reason, note) = (event.reason.name(), shorten(&event.note));
        let pod = event.pod.as_deref();
        if event.reason.is_warning() {
            warn!(cluster = %key, reason, pod, "{note}");
        } else {
            info!(cluster = %key, reason, pod, "{note}");
        }
        let warning = event.reason.is_warning();
        let secondary = pod.map(|name| ObjectReference {
            api_version: Some("v1".to_owned()),
            kind: Some("Pod".to_owned()),
            name: Some(name.to_owned()),
            namespace: Some(key.namespace.clone()),
            uid: pods.get(name).map(|pod| pod.uid.clone()),
            ..ObjectReference::default()
        });
        publish(context, cluster, warning, reason, note, secondary).await;
    }
}

/// Publishes one event about `cluster`.
pub(crate) async fn publish(
    context: &Context,
    cluster: &impl kube::Resource<DynamicType = ()>,
    warning: bool,
    reason: &str,
    note: String,
    secondary: Option<ObjectReference>,
) {
    let publish = Publish {
        type_: if warning { EventType::Warning } else { EventType::Normal },
        reason: reason.to_owned(),
        note: Some(note),
        action: "Reconcile".to_owned(),
        secondary,
    };
    let reference = cluster.object_ref(&());
    let call = context.recorder.publish(&publish, &reference);
    if let Err(error) = bounded("write an event", call).await {
        debug!(%error, reason, "event lost");
    }
}

/// The longest beginning that fits.
fn shorten(note: &str) -> String {
    let end = (0..=NOTE_BYTES_MAX.min(note.len())).rev().find(|at| note.is_char_boundary(*at));
    let (head, rest) = note.split_at(end.unwrap_or(0));
    if rest.is_empty() { head.to_owned() } else { format!("{head}…") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rmq_operator_plan::steps::Reason;
    use std::time::Duration;

    fn event(note: &str) -> Event {
        Event { reason: Reason::PodReplaced, note: note.to_owned(), pod: None }
    }

    #[test]
    fn what_was_said_last_time_is_not_said_again_until_it_stopped() {
        let reported = Reported::default();
        let cluster = ClusterKey::new("ns", "c");
        let (one, two) = (event("1"), event("2"));
        let news = |events: &[&Event]| {
            let events: Vec<Event> = events.iter().map(|event| (*event).clone()).collect();
            reported.news(&cluster, &events)
        };
        assert_eq!(news(&[&one]), std::slice::from_ref(&one));
        assert_eq!(news(&[&one, &two]), std::slice::from_ref(&two));
        assert!(news(&[&one, &two]).is_empty());
        assert!(news(&[]).is_empty());
        assert_eq!(news(&[&one]), std::slice::from_ref(&one));
        reported.forget(&cluster);
        assert_eq!(news(&[&one]), [one]);
    }

    #[test]
    fn notes_fit() {
        assert_eq!(shorten("short"), "short");
        let long = "ü".repeat(NOTE_BYTES_MAX);
        let short = shorten(&long);
        assert!(short.len() <= 1024 && short.ends_with("ü…"), "{}", short.len());
    }

    #[test]
    fn only_lasting_errors_show_in_the_status_and_their_time_stays() {
        let mut status = ClusterStatus::default();
        let late = Error::Timeout { tried: "apply".to_owned(), after: Duration::from_secs(10) };
        mark_error(&mut status, &late, None, 1_000);
        assert!(status.conditions.is_empty());
        let bug = Error::Bug("x".to_owned());
        mark_error(&mut status, &bug, None, 1_000);
        let ready = status.condition("Ready").expect("it was added");
        assert_eq!((ready.status.as_str(), ready.reason.as_str()), ("False", "InternalError"));
        assert_eq!(ready.message, "internal error: x");
        let mut later = ClusterStatus::default();
        mark_error(&mut later, &bug, Some(&status), 9_000);
        assert_eq!(later, status, "the same error later is no change");
    }
}
