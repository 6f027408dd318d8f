//! A stand-in for the kubelets: pods get an address and are Ready at once.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use anyhow::Context as _;
use futures_util::StreamExt as _;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Service};
use kube::api::{ListParams, Patch, PatchParams, WatchEvent, WatchParams};
use kube::{Api, Resource, ResourceExt as _};
use parking_lot::Mutex;
use rmq_host::Tasks;
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::kube::space::Space;

/// What the control ports need to know. Clones share it.
#[derive(Clone, Default)]
pub(super) struct Pods(Arc<Mutex<Known>>);

#[derive(Default)]
struct Known {
    pods: HashMap<IpAddr, Pod>,
    services: HashMap<String, String>,
    maps: HashMap<String, ConfigMap>,
}

impl Pods {
    /// Follows the namespace: whatever pod is made there is Ready a moment later.
    pub(super) fn follow(tasks: &Tasks, space: &Space) -> anyhow::Result<Self> {
        let pods = Self::default();
        let known = pods.clone();
        follow(tasks, "services", space.api::<Service>(), move |service| {
            let ip = service.spec.as_ref().and_then(|spec| spec.cluster_ip.clone());
            known.0.lock().services.insert(service.name_any(), ip.unwrap_or_default());
        });
        let known = pods.clone();
        follow(tasks, "maps", space.api::<ConfigMap>(), move |map| {
            known.0.lock().maps.insert(map.name_any(), map);
        });
        let (known, api) = (pods.clone(), space.api::<Pod>());
        let (count, starting) = (AtomicU16::new(0), tasks.clone());
        follow(tasks, "pods", space.api::<Pod>(), move |pod| {
            let address = pod.status.as_ref().and_then(|status| status.pod_ip.as_ref());
            if let Some(address) = address.and_then(|address| address.parse().ok()) {
                known.0.lock().pods.insert(address, pod);
                return;
            }
            let [high, low] = count.fetch_add(1, Ordering::Relaxed).to_be_bytes();
            let address = Ipv4Addr::new(127, 77, high, low);
            let api = api.clone();
            starting
                .spawn("start a pod", move |_stop| async move { start(&api, &pod, address).await });
        });
        Ok(pods)
    }

    pub(super) fn at(&self, address: IpAddr) -> Option<Pod> {
        self.0.lock().pods.get(&address).cloned()
    }

    /// Address of a Service.
    pub(super) fn service(&self, name: &str) -> Option<String> {
        self.0.lock().services.get(name).cloned()
    }

    /// A file that is mounted from the ConfigMap `map`.
    pub(super) fn file(&self, map: &str, file: &str) -> Option<String> {
        self.0.lock().maps.get(map)?.data.as_ref()?.get(file).cloned()
    }
}

async fn start(api: &Api<Pod>, pod: &Pod, address: Ipv4Addr) -> anyhow::Result<()> {
    let time = pod.metadata.creation_timestamp.clone();
    let container = pod.spec.as_ref().and_then(|spec| spec.containers.first()).context("empty")?;
    let condition =
        |kind: &str| json!({"type": kind, "status": "True", "lastTransitionTime": time});
    let status = json!({"status": {
        "phase": "Running",
        "podIP": address.to_string(),
        "podIPs": [{"ip": address.to_string()}],
        "conditions": [condition("PodScheduled"), condition("Ready")],
        "containerStatuses": [{
            "name": container.name, "image": container.image, "imageID": "", "ready": true,
            "started": true, "restartCount": 0, "state": {"running": {"startedAt": time}},
        }],
    }});
    let params = PatchParams::default();
    let patched = api.patch_status(&pod.name_any(), &params, &Patch::Strategic(&status)).await;
    match patched {
        // It is gone already.
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        patched => patched.map(drop).context("a pod cannot be started"),
    }
}

/// Calls `seen` with each object, and again whenever it changes.
fn follow<K>(
    tasks: &Tasks,
    name: &'static str,
    api: Api<K>,
    seen: impl Fn(K) + Send + Sync + 'static,
) where
    K: Resource<Scope = NamespaceResourceScope> + Clone + DeserializeOwned + std::fmt::Debug,
    K: Send + Sync + 'static,
    K::DynamicType: Default,
{
    tasks.spawn(name, move |stop| async move {
        let endless = async {
            loop {
                let list = api.list(&ListParams::default()).await?;
                let version = list.metadata.resource_version.clone().unwrap_or_default();
                list.items.into_iter().for_each(&seen);
                let mut events = Box::pin(api.watch(&WatchParams::default(), &version).await?);
                while let Some(Ok(event)) = events.next().await {
                    match event {
                        WatchEvent::Added(object) | WatchEvent::Modified(object) => seen(object),
                        WatchEvent::Deleted(_) | WatchEvent::Bookmark(_) => {}
                        // Listed anew.
                        WatchEvent::Error(_) => break,
                    }
                }
            }
        };
        tokio::select! {
            ended = endless => ended,
            () = stop.cancelled() => Ok(()),
        }
    });
}
