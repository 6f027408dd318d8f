//! Metadata of objects.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use rmq_operator_api::{API_VERSION, KIND, meta};

use crate::intent::Intent;
use crate::plan::Component;

/// Annotation of a StatefulSet whose pods are going for good.
pub const REMOVING: &str = "rocketmq.rs/removing";

/// Whose object it is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Of<'a> {
    /// The whole cluster's.
    Cluster,
    /// The name servers'.
    NameServers,
    /// All brokers'.
    Brokers,
    /// One group's.
    Group(&'a str),
}

impl<'a> Of<'a> {
    pub(super) fn component(self) -> Option<Component> {
        match self {
            Self::Cluster => None,
            Self::NameServers => Some(Component::Namesrv),
            Self::Brokers | Self::Group(_) => Some(Component::Broker),
        }
    }

    pub(super) fn group(self) -> Option<&'a str> {
        match self {
            Self::Group(name) => Some(name),
            Self::Cluster | Self::NameServers | Self::Brokers => None,
        }
    }
}

/// Every label of an object or pod.
pub(super) fn labels(intent: &Intent<'_>, of: Of<'_>) -> BTreeMap<String, String> {
    let mut labels: BTreeMap<String, String> = [
        (meta::NAME, meta::NAME_VALUE),
        (meta::INSTANCE, intent.cluster.name()),
        (meta::PART_OF, meta::NAME_VALUE),
        (meta::MANAGED_BY, meta::MANAGER),
        (meta::VERSION, intent.version.as_str()),
        (meta::CLUSTER, intent.cluster.name()),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .into();
    if let Some(component) = of.component() {
        labels.extend(intent.selector(component, of.group()));
    }
    labels
}

/// Metadata of an object called `name`, controlled by the cluster resource.
pub(super) fn metadata(intent: &Intent<'_>, name: String, of: Of<'_>) -> ObjectMeta {
    ObjectMeta {
        name: Some(name),
        namespace: Some(intent.namespace.to_owned()),
        labels: Some(labels(intent, of)),
        owner_references: Some(vec![OwnerReference {
            api_version: API_VERSION.to_owned(),
            kind: KIND.to_owned(),
            name: intent.cluster.name().to_owned(),
            uid: intent.uid.to_owned(),
            controller: Some(true),
            block_owner_deletion: Some(true),
        }]),
        ..ObjectMeta::default()
    }
}

/// `map`, or nothing if it is empty: server-side apply would own an empty map.
pub(super) fn some_map(map: &BTreeMap<String, String>) -> Option<BTreeMap<String, String>> {
    (!map.is_empty()).then(|| map.clone())
}

/// `list`, or nothing if it is empty.
pub(super) fn some_list<T: Clone>(list: &[T]) -> Option<Vec<T>> {
    (!list.is_empty()).then(|| list.to_vec())
}
