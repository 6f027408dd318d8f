//! What was seen of a cluster, as plain data.
//!
//! The shell fills it from its caches and from control calls; nothing here comes from an earlier
//! observation. Ages are computed once, against [`Observed::now_ms`].

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use serde::Serialize;
use serde_json::Value;

use crate::claims::ClaimView;
use crate::control::{BrokerView, DrainView, NameServerView, Unreachable};
use crate::object::{APPLIED_HASH, Kind};
use crate::pods::PodView;

/// Whether the volumes of a storage class can grow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expansion {
    /// They can.
    Allowed,
    /// The class does not allow it.
    NotAllowed,
    /// There is no such class.
    NoClass,
    /// Why the class could not be read, for people.
    Unknown(String),
}

/// One look at a cluster.
///
/// Maps are by name. What could not be asked is missing or an error; that is data too. Only objects
/// of this cluster belong here: those with its `app.kubernetes.io/instance` label in its namespace,
/// and objects with a name the cluster needs.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    /// When, in milliseconds of Unix time.
    pub now_ms: i64,
    /// Objects of the kinds the operator makes.
    pub objects: BTreeMap<(Kind, String), Live>,
    /// StatefulSets; each is in `objects` too.
    pub sets: BTreeMap<String, SetView>,
    /// Pods, of any component.
    pub pods: BTreeMap<String, PodView>,
    /// Claims of volumes.
    pub claims: BTreeMap<String, ClaimView>,
    /// PodDisruptionBudgets; each is in `objects` too.
    pub budgets: BTreeMap<String, BudgetView>,
    /// Whether volumes of a storage class can grow, for the classes of `claims`.
    pub storage_classes: BTreeMap<String, Expansion>,
    /// Answers of brokers by pod, for pods that have an address.
    pub brokers: BTreeMap<String, Result<BrokerView, Unreachable>>,
    /// Answers of name servers by pod, for pods that have an address.
    pub name_servers: BTreeMap<String, Result<NameServerView, Unreachable>>,
    /// Answers about draining by pod: of masters whose groups [`crate::draining`] names.
    pub drains: BTreeMap<String, Result<DrainView, Unreachable>>,
}

impl Observed {
    /// Nothing seen yet, at `now_ms` of Unix time.
    pub fn at(now_ms: i64) -> Self {
        Self { now_ms, ..Self::default() }
    }

    /// Adds an object of one of the operator's kinds; `cluster_uid` tells whose it is.
    pub fn add<T: Serialize>(&mut self, kind: Kind, object: &T, cluster_uid: &str) {
        let live = Live::of(object, cluster_uid);
        self.objects.insert((kind, live.name.clone()), live);
    }

    /// Adds a StatefulSet, as an object and as a view.
    pub fn add_set(&mut self, set: &StatefulSet, cluster_uid: &str) {
        self.add(Kind::StatefulSet, set, cluster_uid);
        if let Some(name) = &set.metadata.name {
            self.sets.insert(name.clone(), SetView::of(set));
        }
    }

    /// Adds a PodDisruptionBudget, as an object and as a view.
    pub fn add_budget(&mut self, budget: &PodDisruptionBudget, cluster_uid: &str) {
        self.add(Kind::PodDisruptionBudget, budget, cluster_uid);
        if let Some(name) = &budget.metadata.name {
            self.budgets.insert(name.clone(), BudgetView::of(budget));
        }
    }

    /// The answer of the broker in `pod`, if it is one of this very pod.
    pub fn broker(&self, pod: &str) -> Option<&BrokerView> {
        let uid = &self.pods.get(pod)?.uid;
        let answer = self.brokers.get(pod)?.as_ref().ok()?;
        (answer.pod_uid == *uid).then_some(answer)
    }

    /// The answer of the name server in `pod`, if it is one of this very pod.
    pub fn name_server(&self, pod: &str) -> Option<&NameServerView> {
        let uid = &self.pods.get(pod)?.uid;
        let answer = self.name_servers.get(pod)?.as_ref().ok()?;
        (answer.pod_uid == *uid).then_some(answer)
    }
}

/// An object as the API server has it.
#[derive(Clone, Debug, PartialEq)]
pub struct Live {
    /// Its name.
    pub name: String,
    /// Its UID.
    pub uid: String,
    /// Whether the cluster resource controls it.
    pub owned: bool,
    /// Whether it is being deleted.
    pub deleting: bool,
    /// Value of [`APPLIED_HASH`]; empty without one.
    pub applied_hash: String,
    /// All of it.
    pub body: Value,
}

impl Live {
    /// `object` as seen by the cluster with `cluster_uid`.
    pub fn of<T: Serialize>(object: &T, cluster_uid: &str) -> Self {
        let body = serde_json::to_value(object)
            .expect("objects of the API server have text for keys, so that they always serialise");
        let text = |path: &str| body.pointer(path).and_then(Value::as_str).unwrap_or_default();
        let owners = body.pointer("/metadata/ownerReferences").and_then(Value::as_array);
        let owned = owners.into_iter().flatten().any(|owner| {
            owner.get("controller") == Some(&Value::Bool(true))
                && owner.get("uid").and_then(Value::as_str) == Some(cluster_uid)
        });
        let applied_hash = body
            .pointer("/metadata/annotations")
            .and_then(|annotations| annotations.get(APPLIED_HASH))
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned();
        Self {
            name: text("/metadata/name").to_owned(),
            uid: text("/metadata/uid").to_owned(),
            owned,
            deleting: body.pointer("/metadata/deletionTimestamp").is_some(),
            applied_hash,
            body,
        }
    }

    /// A field as text, by its path.
    pub fn text(&self, pointer: &str) -> Option<&str> {
        self.body.pointer(pointer)?.as_str()
    }

    /// An annotation.
    pub fn annotation(&self, name: &str) -> Option<&str> {
        self.body.pointer("/metadata/annotations")?.get(name)?.as_str()
    }

    /// A label.
    pub fn label(&self, name: &str) -> Option<&str> {
        self.body.pointer("/metadata/labels")?.get(name)?.as_str()
    }
}

/// What matters of a StatefulSet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SetView {
    /// Its UID.
    pub uid: String,
    /// Whether its controller has seen its latest template.
    pub current: bool,
    /// Replicas it is asked for.
    pub replicas: u32,
    /// Revision of its template.
    pub update_revision: String,
    /// Its annotations.
    pub annotations: BTreeMap<String, String>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Annotations of its template.
    pub template_annotations: BTreeMap<String, String>,
    /// Size of each claim template, as written.
    pub claim_sizes: BTreeMap<String, String>,
    /// Whether it is being deleted.
    pub deleting: bool,
}

impl SetView {
    /// What matters of `set`.
    pub fn of(set: &StatefulSet) -> Self {
        let spec = set.spec.as_ref();
        let status = set.status.as_ref();
        let observed = status.and_then(|status| status.observed_generation);
        let template = spec.and_then(|spec| spec.template.metadata.as_ref());
        let claims = spec.and_then(|spec| spec.volume_claim_templates.as_ref());
        let claim_sizes = claims.into_iter().flatten().filter_map(|claim| {
            let requests = claim.spec.as_ref()?.resources.as_ref()?.requests.as_ref()?;
            Some((claim.metadata.name.clone()?, requests.get("storage")?.0.clone()))
        });
        Self {
            uid: set.metadata.uid.clone().unwrap_or_default(),
            current: observed.is_some() && observed == set.metadata.generation,
            replicas: count(spec.and_then(|spec| spec.replicas).or(Some(1))),
            update_revision: status
                .and_then(|status| status.update_revision.clone())
                .unwrap_or_default(),
            annotations: set.metadata.annotations.clone().unwrap_or_default(),
            labels: set.metadata.labels.clone().unwrap_or_default(),
            template_annotations: template
                .and_then(|template| template.annotations.clone())
                .unwrap_or_default(),
            claim_sizes: claim_sizes.collect(),
            deleting: set.metadata.deletion_timestamp.is_some(),
        }
    }
}

/// What matters of a PodDisruptionBudget.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BudgetView {
    /// How many pods it lets go now. 0 while its controller has not seen its latest version.
    pub disruptions_allowed: u32,
}

impl BudgetView {
    /// What matters of `budget`.
    pub fn of(budget: &PodDisruptionBudget) -> Self {
        let status = budget.status.as_ref();
        let current = status.is_some_and(|status| {
            status.observed_generation.is_some()
                && status.observed_generation == budget.metadata.generation
        });
        let allowed = count(status.filter(|_| current).map(|status| status.disruptions_allowed));
        Self { disruptions_allowed: allowed }
    }
}

/// A count of the API, where negative or absent ones mean none.
pub(crate) fn count(value: Option<i32>) -> u32 {
    value.and_then(|value| u32::try_from(value).ok()).unwrap_or(0)
}

/// Milliseconds from `then` to `now_ms`; 0 for times ahead of ours.
pub(crate) fn age_ms(now_ms: i64, then: &Time) -> u64 {
    u64::try_from(now_ms.saturating_sub(then.0.as_millisecond())).unwrap_or(0)
}

/// The name in `metadata`, which objects from the API server always have.
pub(crate) fn name_of(metadata: &ObjectMeta) -> String {
    metadata.name.clone().unwrap_or_default()
}
