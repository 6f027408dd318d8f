//! What happens by itself: the StatefulSet controller, the kubelet, brokers, clients, volumes.

use std::collections::BTreeMap;

use rmq_operator_plan::{Kind, names};
use serde_json::Value;

use super::act::revision;
use super::broker::Broker;
use super::{Claim, Pod, Sim};

/// A changed ConfigMap reaches pods after this long.
const PROJECTION_MS: i64 = 40_000;
/// Clients stop sending this long after a broker takes no writes.
const CLIENTS_MS: i64 = 35_000;

impl Sim {
    /// One second.
    pub(super) fn tick(&mut self) {
        self.controller();
        self.kubelet();
        self.brokers();
        for claim in self.claims.values_mut() {
            if claim.capacity_bytes < claim.request_bytes && claim.grows_at_ms <= self.now_ms {
                if self.grows_offline {
                    claim.pending = true;
                } else {
                    claim.capacity_bytes = claim.request_bytes;
                }
            }
        }
    }

    fn controller(&mut self) {
        let sets: Vec<String> = self
            .objects
            .keys()
            .filter(|(kind, _)| *kind == Kind::StatefulSet)
            .map(|(_, name)| name.clone())
            .collect();
        for set in sets {
            let replicas = self.replicas(&set);
            for ordinal in 0..replicas {
                let name = names::pod(&set, ordinal);
                if !self.pods.contains_key(&name) {
                    let body = self.objects[&(Kind::StatefulSet, set.clone())].body.clone();
                    self.create(&set, &name, &body);
                }
            }
            let beyond: Vec<String> = self
                .pods
                .iter()
                .filter(|(name, pod)| {
                    let ordinal = names::ordinal(&set, name);
                    pod.deleting_ms.is_none() && ordinal.is_some_and(|one| replicas <= one)
                })
                .map(|(name, _)| name.clone())
                .collect();
            for name in beyond {
                self.stop_pod(&name);
            }
        }
    }

    fn create(&mut self, set: &str, name: &str, body: &Value) {
        let template = body.pointer("/spec/template").cloned().unwrap_or_default();
        for claim in body
            .pointer("/spec/volumeClaimTemplates")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
        {
            let volume = claim.pointer("/metadata/name").and_then(Value::as_str).expect("a name");
            let size = claim.pointer("/spec/resources/requests/storage").and_then(Value::as_str);
            let size: rmq_operator_api::Quantity =
                size.expect("a size").parse().expect("a quantity");
            let (uid, bytes) = (self.fresh("claim"), size.units());
            let entry = self.claims.entry(names::claim(volume, name)).or_insert(Claim {
                uid,
                request_bytes: bytes,
                capacity_bytes: bytes,
                grows_at_ms: 0,
                pending: false,
                labels: BTreeMap::new(),
            });
            if entry.pending {
                entry.pending = false;
                entry.capacity_bytes = entry.request_bytes;
            }
        }
        let uid = self.fresh("pod");
        let delay = 8_000 + i64::try_from(self.chance(30)).expect("small") * 1000;
        let is_broker = template.pointer("/metadata/labels/rocketmq.rs~1broker-name").is_some();
        let now_ms = self.now_ms;
        let broker = is_broker.then(|| self.broker(set, name));
        let pod = Pod {
            uid,
            set: set.to_owned(),
            revision: revision(body),
            template,
            labels: BTreeMap::new(),
            annotations: BTreeMap::new(),
            created_ms: now_ms,
            changed_ms: now_ms,
            ready: false,
            ready_at_ms: now_ms + delay,
            deleting_ms: None,
            gone_at_ms: i64::MAX,
            silent_until_ms: 0,
            broker,
            started_ms: now_ms,
        };
        self.pods.insert(name.to_owned(), pod);
    }

    fn broker(&mut self, set: &str, name: &str) -> Broker {
        let service = self.objects.get(&(Kind::Service, name.to_owned()));
        let ip = service.and_then(|kept| kept.body.pointer("/spec/clusterIP")?.as_str());
        let advertised = format!("{}:10911", ip.expect("its Service is there first"));
        let now_ms = self.now_ms;
        let mut broker = Broker {
            incarnation: self.fresh("run"),
            store_id: format!("store-of-{name}"),
            settings: BTreeMap::new(),
            name_servers: Vec::new(),
            refuses: None,
            rejected: false,
            file_hash: String::new(),
            perm: 6,
            reason: String::new(),
            perm_ms: now_ms,
            last_send_ms: now_ms,
            empty_at_ms: None,
            abandoned: false,
            in_sync: false,
            registered_ms: now_ms,
            advertised,
            read_ms: 0,
        };
        // A new pod sees the newest files.
        let key = (Kind::ConfigMap, set.to_owned());
        let map = self.objects.get(&key).expect("the files are there first").body.clone();
        broker.read(&map, now_ms);
        broker
    }

    /// The files as they are in a pod now; `None` while the newest are on their way.
    pub(super) fn projected(&self, pod: &str) -> Option<Value> {
        let set = &self.pods.get(pod)?.set;
        let kept = self.objects.get(&(Kind::ConfigMap, set.clone()))?;
        (kept.applied_ms + PROJECTION_MS <= self.now_ms).then(|| kept.body.clone())
    }

    /// The files of a pod, if they are newer than those its broker has read by itself.
    fn news(&mut self, pod: &str) -> Option<Value> {
        let set = self.pods.get(pod)?.set.clone();
        let applied_ms = self.objects.get(&(Kind::ConfigMap, set))?.applied_ms;
        let broker = self.pods.get_mut(pod)?.broker.as_mut()?;
        if broker.read_ms == applied_ms || self.now_ms < applied_ms + PROJECTION_MS {
            return None;
        }
        broker.read_ms = applied_ms;
        self.projected(pod)
    }

    fn kubelet(&mut self) {
        let now_ms = self.now_ms;
        self.pods.retain(|_, pod| pod.deleting_ms.is_none() || now_ms < pod.gone_at_ms);
        for pod in self.pods.values_mut() {
            let starts = !pod.is_broken() && pod.deleting_ms.is_none() && !pod.ready;
            if starts && pod.ready_at_ms <= now_ms {
                pod.ready = true;
                pod.changed_ms = now_ms;
                pod.started_ms = now_ms;
            }
        }
    }

    fn brokers(&mut self) {
        let names: Vec<String> = self.pods.keys().cloned().collect();
        for name in names {
            let map = self.news(&name);
            let (now_ms, backlog_ms) = (self.now_ms, self.backlog_ms);
            let pod = self.pod(&name);
            let settled = pod.ready && pod.changed_ms + 15_000 <= now_ms;
            let Some(broker) = &mut pod.broker else { continue };
            if let Some(map) = map {
                broker.read(&map, now_ms);
            }
            broker.in_sync = settled;
            let sends = broker.writable() || now_ms < broker.perm_ms + CLIENTS_MS;
            if sends && pod.ready {
                broker.last_send_ms = now_ms;
                broker.empty_at_ms = None;
            } else if broker.empty_at_ms.is_none() && !broker.abandoned {
                broker.empty_at_ms = Some(now_ms + backlog_ms);
            }
            if 30_000 <= now_ms - broker.registered_ms {
                broker.registered_ms = now_ms;
            }
        }
    }

    /// The container dies and is started again, in the same pod.
    pub(crate) fn crash(&mut self, name: &str) {
        let incarnation = self.fresh("run");
        let now_ms = self.now_ms;
        let set = self.pod(name).set.clone();
        let map = self.objects.get(&(Kind::ConfigMap, set)).expect("files").body.clone();
        let pod = self.pod(name);
        pod.ready = false;
        pod.changed_ms = now_ms;
        pod.ready_at_ms = now_ms + 20_000;
        if let Some(broker) = &mut pod.broker {
            broker.incarnation = incarnation;
            broker.settings.clear();
            broker.permit(6, "", now_ms);
            broker.read(&map, now_ms);
        }
    }
}

impl Pod {
    /// Whether its image cannot be had.
    pub(crate) fn is_broken(&self) -> bool {
        let image = self.template.pointer("/spec/containers/0/image").and_then(Value::as_str);
        image.is_some_and(|image| image.ends_with(":bad"))
    }
}
