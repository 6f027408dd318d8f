//! What an operator has made in a namespace.

use std::collections::BTreeMap;

use anyhow::Context as _;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ConfigMap, Secret, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::Api;
use kube::api::{ApiResource, DynamicObject, ListParams};
use serde_json::Value;

use super::space::Space;

const OURS: &str = "app.kubernetes.io/managed-by=rocketmq.rs-operator";

/// Annotation by which the operator knows what it has applied.
const APPLIED: &str = "rocketmq.rs/applied-hash";

fn kinds() -> [ApiResource; 7] {
    [
        ApiResource::erase::<ServiceAccount>(&()),
        ApiResource::erase::<Service>(&()),
        ApiResource::erase::<ConfigMap>(&()),
        ApiResource::erase::<Secret>(&()),
        ApiResource::erase::<PodDisruptionBudget>(&()),
        ApiResource::erase::<NetworkPolicy>(&()),
        ApiResource::erase::<StatefulSet>(&()),
    ]
}

/// Everything the operator has made in the namespace, by kind and name.
///
/// # Errors
/// The API server's.
pub async fn objects(space: &Space) -> anyhow::Result<BTreeMap<String, DynamicObject>> {
    let mut found = BTreeMap::new();
    for kind in kinds() {
        let api: Api<DynamicObject> =
            Api::namespaced_with(space.client().clone(), space.name(), &kind);
        let list = api.list(&ListParams::default().labels(OURS)).await;
        for object in list.with_context(|| format!("cannot list {}", kind.plural))?.items {
            let name = object.metadata.name.clone().unwrap_or_default();
            found.insert(format!("{} {name}", kind.kind), object);
        }
    }
    Ok(found)
}

/// Versions of all objects: equal ones mean that nothing was written in between.
///
/// # Errors
/// The API server's.
pub async fn versions(space: &Space) -> anyhow::Result<BTreeMap<String, String>> {
    let objects = objects(space).await?;
    let version = |object: DynamicObject| object.metadata.resource_version.unwrap_or_default();
    Ok(objects.into_iter().map(|(name, object)| (name, version(object))).collect())
}

/// All objects without what differs between two that were made alike: ids, times, addresses, tokens
/// and the name of the namespace.
///
/// # Errors
/// The API server's.
pub async fn shapes(space: &Space, cluster: &str) -> anyhow::Result<BTreeMap<String, String>> {
    let uid = space.clusters().get(cluster).await?.metadata.uid.context("a cluster without UID")?;
    let mut shapes = BTreeMap::new();
    for (name, mut object) in objects(space).await? {
        let metadata = &mut object.metadata;
        metadata.uid = None;
        metadata.resource_version = None;
        metadata.creation_timestamp = None;
        metadata.managed_fields = None;
        metadata.generation = None;
        // Of the whole object, with all that is left out here.
        if let Some(annotations) = &mut metadata.annotations {
            annotations.remove(APPLIED);
        }
        if let Some(data) = object.data.as_object_mut() {
            data.remove("status");
            if let Some(Value::Object(secret)) = data.get_mut("data")
                && name.starts_with("Secret")
            {
                secret.values_mut().for_each(|value| *value = Value::Null);
            }
            if let Some(Value::Object(spec)) = data.get_mut("spec") {
                for field in ["clusterIP", "clusterIPs"] {
                    if spec.get(field).is_some_and(|value| value != "None") {
                        spec.remove(field);
                    }
                }
            }
        }
        let text = serde_json::to_string_pretty(&object)?;
        shapes.insert(name, text.replace(&uid, "UID").replace(space.name(), "SPACE"));
    }
    Ok(shapes)
}

/// What differs between two sets of shapes, for people; empty if nothing does.
pub fn difference(left: &BTreeMap<String, String>, right: &BTreeMap<String, String>) -> String {
    let mut lines = Vec::new();
    for name in left.keys().chain(right.keys().filter(|name| !left.contains_key(*name))) {
        match (left.get(name), right.get(name)) {
            (Some(a), Some(b)) if a == b => {}
            (Some(a), Some(b)) => {
                let pairs = a.lines().zip(b.lines()).find(|(a, b)| a != b);
                lines.push(format!("{name}: {pairs:?}"));
            }
            (Some(_), None) => lines.push(format!("{name} is missing")),
            (None, _) => lines.push(format!("{name} is too many")),
        }
    }
    lines.join("; ")
}
