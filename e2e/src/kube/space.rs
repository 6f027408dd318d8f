//! A namespace of a scenario's own, and the clusters in it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::{Event, Namespace, PersistentVolumeClaim, Pod, Service};
use kube::api::{ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams};
use kube::api::{GroupVersionKind, LogParams};
use kube::{Api, Client, Resource};
use serde_json::{Value, json};

use super::until;

/// Who applies what scenarios apply: a person, as far as the operator can see.
pub const PERSON: &str = "e2e";
/// Label of a scenario's namespaces.
pub const SCENARIO: &str = "rmq.test/scenario";
const GROUP: &str = "rocketmq.rs";
const VERSION: &str = "v1alpha1";
const KIND: &str = "RocketMQCluster";
const GONE: Duration = Duration::from_secs(90);
const REACHABLE: Duration = Duration::from_secs(30);
const LOG_LINES: i64 = 40;

/// A namespace with the strictest pod security.
#[derive(Clone)]
pub struct Space {
    name: String,
    client: Client,
}

/// A pod as scenarios compare it: what it is, and how often its process began.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Life {
    /// UID of the pod.
    pub uid: String,
    /// Starts of its container after the first.
    pub restarts: i32,
}

/// The resource type of clusters.
pub fn cluster_type() -> ApiResource {
    ApiResource::from_gvk_with_plural(
        &GroupVersionKind::gvk(GROUP, VERSION, KIND),
        "rocketmqclusters",
    )
}

impl std::fmt::Debug for Space {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Space").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Space {
    /// A namespace that is there.
    pub fn of(client: &Client, name: &str) -> Self {
        Self { name: name.to_owned(), client: client.clone() }
    }

    /// Makes the namespace, for the scenario of that name.
    ///
    /// # Errors
    /// When it is there or cannot be made.
    pub async fn make(client: &Client, name: &str, scenario: &str) -> anyhow::Result<Self> {
        let namespace: Namespace = serde_json::from_value(json!({
            "metadata": {"name": name, "labels": {
                SCENARIO: scenario,
                "pod-security.kubernetes.io/enforce": "restricted",
                "pod-security.kubernetes.io/warn": "restricted",
            }},
        }))?;
        let spaces: Api<Namespace> = Api::all(client.clone());
        spaces
            .create(&kube::api::PostParams::default(), &namespace)
            .await
            .with_context(|| format!("cannot make the namespace {name}"))?;
        Ok(Self::of(client, name))
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The client it was made with.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Objects of one type in it.
    pub fn api<K>(&self) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.client.clone(), &self.name)
    }

    /// The clusters in it.
    pub fn clusters(&self) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), &self.name, &cluster_type())
    }

    /// Applies the whole of a cluster, as `kubectl apply --server-side` does.
    ///
    /// # Errors
    /// The API server's refusal.
    pub async fn apply(&self, name: &str, spec: &Value) -> anyhow::Result<DynamicObject> {
        let manifest = json!({
            "apiVersion": format!("{GROUP}/{VERSION}"),
            "kind": KIND,
            "metadata": {"name": name, "namespace": self.name},
            "spec": spec,
        });
        let params = PatchParams::apply(PERSON).force();
        let applied = self.clusters().patch(name, &params, &Patch::Apply(&manifest)).await;
        applied.with_context(|| format!("cannot apply the cluster {name}"))
    }

    /// Sets annotations of a cluster; null takes one away.
    ///
    /// # Errors
    /// The API server's refusal.
    pub async fn annotate(&self, name: &str, annotations: &Value) -> anyhow::Result<()> {
        let patch = json!({"metadata": {"annotations": annotations}});
        self.clusters().patch(name, &PatchParams::default(), &Patch::Merge(&patch)).await?;
        Ok(())
    }

    /// Status of a cluster; null before the operator wrote one.
    ///
    /// # Errors
    /// When it is not there.
    pub async fn status(&self, name: &str) -> anyhow::Result<Value> {
        let cluster = self.clusters().get(name).await?;
        Ok(cluster.data.get("status").cloned().unwrap_or_default())
    }

    /// Waits until the operator has seen the newest spec and says of condition `kind` that it is
    /// `wanted` (`True`, `False`).
    ///
    /// # Errors
    /// When it does not say so within `limit`; with what it says.
    pub async fn condition(
        &self,
        name: &str,
        kind: &str,
        wanted: &str,
        limit: Duration,
    ) -> anyhow::Result<Value> {
        until(limit, &format!("{name} has {kind}={wanted}"), || async {
            let cluster = self.clusters().get(name).await?;
            let status = cluster.data.get("status").cloned().unwrap_or_default();
            let condition = condition_of(&status, kind).cloned().unwrap_or_default();
            let seen = condition.get("observedGeneration").and_then(Value::as_i64);
            let current = cluster.metadata.generation <= seen;
            if current && condition.get("status").and_then(Value::as_str) == Some(wanted) {
                return Ok(Some(condition));
            }
            bail!("conditions are {}", brief(&status))
        })
        .await
    }

    /// Waits until the cluster is Ready as it is wanted now.
    ///
    /// # Errors
    /// When it is not within `limit`.
    pub async fn ready(&self, name: &str, limit: Duration) -> anyhow::Result<()> {
        self.condition(name, "Ready", "True", limit).await.map(drop)
    }

    /// The name servers of a cluster as clients beside the cluster are given them: an address, as
    /// names of the cluster mean nothing there. Waits until it leads somewhere: the nodes' rules
    /// follow a moment after the pods are Ready.
    ///
    /// # Errors
    /// When there is none.
    pub async fn name_servers(&self, cluster: &str) -> anyhow::Result<String> {
        let service: Service = self.api().get(&format!("{cluster}-namesrv")).await?;
        let spec = service.spec.context("a service without spec")?;
        let ip = spec.cluster_ip.context("the name servers' service has no address")?;
        let port = spec.ports.unwrap_or_default().first().map(|port| port.port);
        let address = format!("{ip}:{}", port.context("the name servers' service has no port")?);
        until(REACHABLE, &format!("{address} leads to a name server"), || async {
            let connect = tokio::net::TcpStream::connect(&address);
            // What was sent before there was a rule stays unanswered.
            tokio::time::timeout(Duration::from_millis(500), connect).await??;
            Ok(Some(()))
        })
        .await?;
        Ok(address)
    }

    /// Pods of a cluster by name; of one component (`broker`, `namesrv`) or of all.
    ///
    /// # Errors
    /// The API server's.
    pub async fn pods(&self, cluster: &str, component: Option<&str>) -> anyhow::Result<Vec<Pod>> {
        let mut labels = format!("app.kubernetes.io/instance={cluster}");
        if let Some(component) = component {
            write!(labels, ",app.kubernetes.io/component={component}")?;
        }
        let mut pods = self.api::<Pod>().list(&ListParams::default().labels(&labels)).await?.items;
        pods.sort_by(|a, b| a.metadata.name.cmp(&b.metadata.name));
        Ok(pods)
    }

    /// Which pods there are and how often each began.
    ///
    /// # Errors
    /// The API server's.
    pub async fn lives(
        &self,
        cluster: &str,
        component: Option<&str>,
    ) -> anyhow::Result<BTreeMap<String, Life>> {
        let pods = self.pods(cluster, component).await?;
        Ok(pods.iter().filter_map(|pod| Some((name_of(pod)?, life(pod)?))).collect())
    }

    /// Deletes a pod and waits until another one of its name is Ready.
    ///
    /// # Errors
    /// When none is within `limit`.
    pub async fn replace_pod(&self, pod: &str, limit: Duration) -> anyhow::Result<()> {
        let pods = self.api::<Pod>();
        let before = pods.get(pod).await?.metadata.uid;
        pods.delete(pod, &DeleteParams::default()).await?;
        until(limit, &format!("{pod} is replaced and Ready"), || async {
            let now = pods.get_opt(pod).await?;
            Ok(now.filter(|now| now.metadata.uid != before && is_ready(now)).map(drop))
        })
        .await
    }

    /// Claims of a cluster's pods by name with the size they have.
    ///
    /// # Errors
    /// The API server's.
    pub async fn volumes(&self) -> anyhow::Result<BTreeMap<String, String>> {
        let claims = self.api::<PersistentVolumeClaim>().list(&ListParams::default()).await?;
        let size = |claim: &PersistentVolumeClaim| {
            let capacity = claim.status.as_ref()?.capacity.as_ref()?;
            Some(capacity.get("storage")?.0.clone())
        };
        let named = |claim: &PersistentVolumeClaim| {
            Some((claim.metadata.name.clone()?, size(claim).unwrap_or_default()))
        };
        Ok(claims.items.iter().filter_map(named).collect())
    }

    /// Reasons of the events about a cluster, with how often each was seen.
    ///
    /// # Errors
    /// The API server's.
    pub async fn events(&self, cluster: &str) -> anyhow::Result<BTreeMap<String, u32>> {
        let fields = format!("involvedObject.kind={KIND},involvedObject.name={cluster}");
        let events = self.api::<Event>().list(&ListParams::default().fields(&fields)).await?;
        let mut counts = BTreeMap::new();
        for event in events.items {
            *counts.entry(event.reason.unwrap_or_default()).or_insert(0) += 1;
        }
        Ok(counts)
    }

    /// Deletes the clusters, waits until their pods have stopped, and then removes the namespace:
    /// one with pods is looked at again only after half of the time that they may take to stop.
    ///
    /// # Errors
    /// As [`Space::remove`].
    pub async fn clean(self) -> anyhow::Result<()> {
        for cluster in self.clusters().list(&ListParams::default()).await?.items {
            let name = cluster.metadata.name.unwrap_or_default();
            self.clusters().delete(&name, &DeleteParams::default()).await?;
        }
        until(GONE, &format!("all pods of {} have stopped", self.name), || async {
            let pods = self.api::<Pod>().list(&ListParams::default()).await?.items.len();
            ensure!(pods == 0, "there are {pods}");
            Ok(Some(()))
        })
        .await
        // Those that nobody stops go with the namespace.
        .ok();
        self.remove().await
    }

    /// Deletes the namespace and waits until it is gone.
    ///
    /// # Errors
    /// When something in it does not go.
    pub async fn remove(self) -> anyhow::Result<()> {
        let spaces: Api<Namespace> = Api::all(self.client.clone());
        spaces.delete(&self.name, &DeleteParams::default()).await?;
        until(GONE, &format!("the namespace {} is gone", self.name), || async {
            match spaces.get_opt(&self.name).await? {
                None => Ok(Some(())),
                Some(space) => {
                    let status = serde_json::to_value(space.status)?;
                    bail!("it still says {status}")
                }
            }
        })
        .await
    }

    /// All that helps to understand a failure: clusters, pods, events and the ends of logs.
    pub async fn describe(&self) -> String {
        let mut text = String::new();
        self.describe_into(&mut text).await.ok();
        text
    }

    async fn describe_into(&self, text: &mut String) -> anyhow::Result<()> {
        for cluster in self.clusters().list(&ListParams::default()).await?.items {
            let name = cluster.metadata.name.unwrap_or_default();
            let status = cluster.data.get("status").cloned().unwrap_or_default();
            writeln!(text, "cluster {name}: {}", serde_json::to_string_pretty(&status)?)?;
        }
        for event in self.api::<Event>().list(&ListParams::default()).await?.items {
            let about = event.involved_object.name.unwrap_or_default();
            let (reason, message) = (event.reason.unwrap_or_default(), event.message);
            writeln!(text, "event {about} {reason}: {}", message.unwrap_or_default())?;
        }
        for pod in self.api::<Pod>().list(&ListParams::default()).await?.items {
            let name = name_of(&pod).unwrap_or_default();
            let status = serde_json::to_string(&pod.status)?;
            writeln!(text, "pod {name}: {status}")?;
            for previous in [true, false] {
                let logs =
                    LogParams { previous, tail_lines: Some(LOG_LINES), ..LogParams::default() };
                if let Ok(lines) = self.api::<Pod>().logs(&name, &logs).await {
                    writeln!(text, "log of {name}, previous={previous}:\n{lines}")?;
                }
            }
        }
        Ok(())
    }
}

/// The condition of that type.
pub fn condition_of<'a>(status: &'a Value, kind: &str) -> Option<&'a Value> {
    let conditions = status.get("conditions")?.as_array()?;
    conditions.iter().find(|condition| condition.get("type").and_then(Value::as_str) == Some(kind))
}

/// Conditions in one line.
fn brief(status: &Value) -> String {
    let conditions = status.get("conditions").and_then(Value::as_array);
    let text = |condition: &Value, name: &str| {
        condition.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let one = |condition: &Value| {
        let (kind, status) = (text(condition, "type"), text(condition, "status"));
        let (reason, message) = (text(condition, "reason"), text(condition, "message"));
        format!("{kind}={status} {reason}: {message}")
    };
    conditions.into_iter().flatten().map(one).collect::<Vec<_>>().join("; ")
}

/// Name of an object.
pub fn name_of(pod: &Pod) -> Option<String> {
    pod.metadata.name.clone()
}

/// Whether a pod is Ready and not on its way out.
pub fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
    let ready = conditions.into_iter().flatten().any(|c| c.type_ == "Ready" && c.status == "True");
    ready && pod.metadata.deletion_timestamp.is_none()
}

fn life(pod: &Pod) -> Option<Life> {
    let statuses = pod.status.as_ref()?.container_statuses.as_ref();
    let restarts = statuses.into_iter().flatten().map(|status| status.restart_count).sum();
    Some(Life { uid: pod.metadata.uid.clone()?, restarts })
}

/// Requires that no pod of `before` was replaced or began again since.
///
/// # Errors
/// When one was.
pub fn same_lives(
    before: &BTreeMap<String, Life>,
    after: &BTreeMap<String, Life>,
) -> anyhow::Result<()> {
    for (name, life) in before {
        ensure!(after.get(name) == Some(life), "{name} was restarted: {:?}", after.get(name));
    }
    Ok(())
}
