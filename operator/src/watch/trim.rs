//! What is kept of an object: a fraction of what the API server sends.

use crate::cache::{ClusterKey, Entry};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::{StatefulSet, StatefulSetStatus};
use k8s_openapi::api::core::v1::{
    ConfigMap, Container, PersistentVolumeClaim, Pod, PodSpec, PodStatus, Service, ServiceAccount,
};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetStatus};
use kube::Resource;
use rmq_operator_api::meta;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::sync::Arc;

/// An object as JSON text: a tenth of what its parsed form takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Compact(Arc<str>);

impl Compact {
    /// The object again. `None` only if it was made of another type.
    pub(crate) fn parse<K: DeserializeOwned>(&self) -> Option<K> {
        serde_json::from_str(&self.0).ok()
    }

    #[cfg(test)]
    pub(crate) fn text(&self) -> &str {
        &self.0
    }
}

/// A kind that is watched.
pub(crate) trait Watched:
    Resource<DynamicType = (), Scope = NamespaceResourceScope>
    + Clone
    + std::fmt::Debug
    + Serialize
    + DeserializeOwned
    + Send
    + Sync
    + 'static
{
    /// Drops what plans do not look at, above all what changes all the time.
    fn trim(&mut self) {}
}

impl Watched for ConfigMap {}
impl Watched for NetworkPolicy {}
impl Watched for PersistentVolumeClaim {}
impl Watched for Service {}
impl Watched for ServiceAccount {}

impl Watched for StatefulSet {
    fn trim(&mut self) {
        // The counts of pods are told by the pods themselves.
        self.status = self.status.take().map(|status| StatefulSetStatus {
            observed_generation: status.observed_generation,
            update_revision: status.update_revision,
            ..StatefulSetStatus::default()
        });
    }
}

impl Watched for PodDisruptionBudget {
    fn trim(&mut self) {
        self.status = self.status.take().map(|status| PodDisruptionBudgetStatus {
            observed_generation: status.observed_generation,
            disruptions_allowed: status.disruptions_allowed,
            ..PodDisruptionBudgetStatus::default()
        });
    }
}

impl Watched for Pod {
    fn trim(&mut self) {
        self.spec = self.spec.take().map(|spec| PodSpec {
            containers: spec.containers.into_iter().map(ports_only).collect(),
            node_name: spec.node_name,
            ..PodSpec::default()
        });
        self.status = self.status.take().map(|status| PodStatus {
            conditions: status.conditions,
            container_statuses: status.container_statuses.map(states_only),
            init_container_statuses: status.init_container_statuses.map(states_only),
            phase: status.phase,
            pod_ip: status.pod_ip,
            pod_ips: status.pod_ips,
            host_ip: status.host_ip,
            ..PodStatus::default()
        });
    }
}

fn ports_only(container: Container) -> Container {
    Container { name: container.name, ports: container.ports, ..Container::default() }
}

type ContainerStatuses = Vec<k8s_openapi::api::core::v1::ContainerStatus>;

fn states_only(statuses: ContainerStatuses) -> ContainerStatuses {
    let keep = |one: k8s_openapi::api::core::v1::ContainerStatus| {
        k8s_openapi::api::core::v1::ContainerStatus {
            name: one.name,
            ready: one.ready,
            restart_count: one.restart_count,
            started: one.started,
            state: one.state,
            ..Default::default()
        }
    };
    statuses.into_iter().map(keep).collect()
}

/// An object as the caches have it. `None` for objects of no cluster.
pub(crate) fn reduce<K: Watched>(mut object: K) -> Option<Entry<Compact>> {
    let metadata = object.meta_mut();
    metadata.managed_fields = None;
    // Moves with every heartbeat of a status; what is compared are the fields themselves.
    metadata.resource_version = None;
    let labels = metadata.labels.as_ref()?;
    // Claims have only the labels of their StatefulSet's selector.
    let cluster = labels.get(meta::CLUSTER).or_else(|| labels.get(meta::INSTANCE))?;
    let cluster = ClusterKey::new(metadata.namespace.as_deref()?, cluster);
    let name = metadata.name.clone()?;
    object.trim();
    // Keys of these types are text, so that they always serialise.
    let text = serde_json::to_string(&object).ok()?;
    Some(Entry { cluster, name, view: Compact(text.into()) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn pod() -> Value {
        json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {
                "name": "c-broker-a-0", "namespace": "ns", "uid": "u", "resourceVersion": "17",
                "labels": {"rocketmq.rs/cluster": "c"},
                "managedFields": [{"manager": "kubelet", "operation": "Update"}],
            },
            "spec": {
                "nodeName": "n", "serviceAccountName": "c-broker",
                "containers": [{
                    "name": "broker", "image": "rmq:1", "env": [{"name": "A", "value": "1"}],
                    "ports": [{"name": "control", "containerPort": 10913}],
                }],
                "volumes": [{"name": "tmp", "emptyDir": {}}],
            },
            "status": {
                "phase": "Running", "podIP": "10.0.0.1", "qosClass": "Burstable",
                "containerStatuses": [{
                    "name": "broker", "ready": true, "restartCount": 0, "image": "rmq:1",
                    "imageID": "sha256:1", "state": {"running": {"startedAt": null}},
                }],
            },
        })
    }

    #[test]
    fn pods_keep_what_plans_read() {
        let typed: Pod = serde_json::from_value(pod()).expect("a pod");
        let entry = reduce(typed).expect("it has a cluster");
        assert_eq!(entry.cluster, ClusterKey::new("ns", "c"));
        assert_eq!(entry.name, "c-broker-a-0");
        let text = entry.view.text();
        for gone in ["kubelet", "resourceVersion", "rmq:1", "emptyDir", "qosClass", "sha256"] {
            assert!(!text.contains(gone), "{gone} in {text}");
        }
        let again: Pod = entry.view.parse().expect("it is a pod");
        let port = again.spec.as_ref().and_then(|spec| spec.containers[0].ports.as_ref());
        assert_eq!(port.expect("kept")[0].container_port, 10913);
        let status = again.status.expect("kept");
        assert_eq!(status.pod_ip.as_deref(), Some("10.0.0.1"));
        assert!(status.container_statuses.expect("kept")[0].state.is_some());
    }

    #[test]
    fn what_moves_all_the_time_changes_nothing() {
        let mut moved = pod();
        moved["metadata"]["resourceVersion"] = "18".into();
        moved["metadata"]["managedFields"] = json!([]);
        let view = |value: Value| {
            let typed: Pod = serde_json::from_value(value).expect("a pod");
            reduce(typed).expect("it has a cluster").view
        };
        assert_eq!(view(pod()), view(moved));
        let mut ready = pod();
        ready["status"]["containerStatuses"][0]["ready"] = false.into();
        assert_ne!(view(pod()), view(ready));
    }

    #[test]
    fn objects_without_a_cluster_are_not_ours_and_claims_go_by_their_instance() {
        let mut stray: ConfigMap = ConfigMap::default();
        stray.metadata.name = Some("x".to_owned());
        stray.metadata.namespace = Some("ns".to_owned());
        assert_eq!(reduce(stray), None);
        let mut claim = PersistentVolumeClaim::default();
        claim.metadata.name = Some("store-c-broker-a-0".to_owned());
        claim.metadata.namespace = Some("ns".to_owned());
        claim.metadata.labels =
            Some([("app.kubernetes.io/instance".to_owned(), "c".to_owned())].into());
        assert_eq!(reduce(claim).map(|entry| entry.cluster), Some(ClusterKey::new("ns", "c")));
    }
}
