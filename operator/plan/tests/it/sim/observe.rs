//! What the shell would see.

use std::collections::BTreeSet;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use rmq_operator_plan::claims::ClaimView;
use rmq_operator_plan::control::{
    BrokerRole, BrokerView, ConfigView, Disk, DrainView, NameServerView, Permission, Phase,
    Recovery, Registration, Rejected, ReplicaView, Target, Unreachable,
};
use rmq_operator_plan::pods::{PodView, Trouble};
use rmq_operator_plan::{Kind, Observed, draining, names};
use rmq_pod::files;
use serde_json::{Value, json};

use super::act::set;
use super::broker::{Broker, hash};
use super::{Pod, Sim, UID};

/// A new name server has heard from the brokers after this long.
const REGISTERED_MS: u64 = 20_000;

impl Sim {
    /// Everything, as it is now.
    pub(crate) fn observe(&self) -> Observed {
        let mut seen = Observed::at(self.now_ms);
        for ((kind, name), kept) in &self.objects {
            let mut body = kept.body.clone();
            set(&mut body, "/metadata", "generation", json!(kept.generation));
            let root = body.as_object_mut().expect("an object");
            match kind {
                Kind::StatefulSet => {
                    root.insert(
                        "status".to_owned(),
                        json!({"observedGeneration": kept.generation, "replicas": 0,
                            "updateRevision": self.revision(name)}),
                    );
                    let one: StatefulSet = serde_json::from_value(body).expect("a set");
                    seen.add_set(&one, UID);
                }
                Kind::PodDisruptionBudget => {
                    root.insert("status".to_owned(), self.budget(name, kept.generation));
                    let one: PodDisruptionBudget = serde_json::from_value(body).expect("a budget");
                    seen.add_budget(&one, UID);
                }
                Kind::ServiceAccount
                | Kind::Service
                | Kind::ConfigMap
                | Kind::Secret
                | Kind::NetworkPolicy => seen.add(*kind, &body, UID),
            }
        }
        for (name, claim) in &self.claims {
            seen.claims.insert(
                name.clone(),
                ClaimView {
                    uid: claim.uid.clone(),
                    request_bytes: claim.request_bytes,
                    capacity_bytes: claim.capacity_bytes,
                    class: Some("standard".to_owned()),
                    file_system_resize_pending: claim.pending,
                    labels: claim.labels.clone(),
                    ..ClaimView::default()
                },
            );
        }
        seen.storage_classes.insert("standard".to_owned(), self.expansion.clone());
        for (name, pod) in &self.pods {
            seen.pods.insert(name.clone(), self.pod_view(name, pod));
            let silent = self.now_ms < pod.silent_until_ms || pod.is_broken();
            let answers = !silent && pod.deleting_ms.is_none();
            if let Some(broker) = &pod.broker {
                let answer = if answers {
                    Ok(self.broker_view(name, pod, broker))
                } else {
                    Err(Unreachable("connection refused".to_owned()))
                };
                seen.brokers.insert(name.clone(), answer);
            } else {
                let answer = if answers && pod.ready {
                    Ok(self.name_server_view(pod))
                } else {
                    Err(Unreachable("connection refused".to_owned()))
                };
                seen.name_servers.insert(name.clone(), answer);
            }
        }
        for pod in draining(&self.cluster, &seen, &self.context) {
            let Some(Broker { empty_at_ms, abandoned, .. }) =
                self.pods.get(&pod).and_then(|pod| pod.broker.as_ref())
            else {
                continue;
            };
            let since = empty_at_ms.filter(|at| *at <= self.now_ms && !abandoned);
            let empty_for_ms = since.map_or(0, |at| age(self.now_ms, at));
            let view = DrainView {
                empty: since.is_some(),
                empty_for_ms,
                behind_messages: u64::from(since.is_none()) * 7,
                ..DrainView::default()
            };
            seen.drains.insert(pod, Ok(view));
        }
        seen
    }

    fn budget(&self, name: &str, generation: i64) -> Value {
        let all = self.pods.iter().filter(|(pod, _)| names::ordinal(name, pod).is_some());
        let ready = all.filter(|(_, pod)| pod.ready).count();
        let wanted = usize::try_from(self.replicas(name)).expect("small");
        let allowed = (ready + 1).saturating_sub(wanted);
        json!({"observedGeneration": generation, "disruptionsAllowed": allowed,
            "currentHealthy": ready, "desiredHealthy": wanted.saturating_sub(1),
            "expectedPods": wanted})
    }

    fn pod_view(&self, name: &str, pod: &Pod) -> PodView {
        let since = age(self.now_ms, pod.changed_ms);
        PodView {
            name: name.to_owned(),
            uid: pod.uid.clone(),
            set: Some(pod.set.clone()),
            revision: pod.revision.clone(),
            labels: pod.labels.clone(),
            annotations: pod
                .template
                .pointer("/metadata/annotations")
                .and_then(Value::as_object)
                .into_iter()
                .flatten()
                .map(|(key, value)| (key.clone(), value.as_str().unwrap_or_default().to_owned()))
                .chain(pod.annotations.clone())
                .collect(),
            ready_for_ms: pod.ready.then_some(since),
            unready_for_ms: (!pod.ready).then_some(since),
            running: !pod.is_broken(),
            deleting_for_ms: pod.deleting_ms.map(|at| age(self.now_ms, at)),
            trouble: pod.is_broken().then(|| Trouble {
                reason: "ImagePullBackOff".to_owned(),
                message: "not found".to_owned(),
                for_ms: age(self.now_ms, pod.created_ms),
            }),
        }
    }

    fn broker_view(&self, name: &str, pod: &Pod, broker: &Broker) -> BrokerView {
        let ordinal = names::ordinal(&pod.set, name).expect("a pod of its set");
        let others: Vec<(u32, &Pod)> = self
            .pods
            .iter()
            .filter_map(|(other, one)| Some((names::ordinal(&pod.set, other)?, one)))
            .filter(|(other, _)| *other != ordinal)
            .collect();
        let synced = |one: &Pod| one.broker.as_ref().is_some_and(|broker| broker.in_sync);
        let mut in_sync: BTreeSet<u32> =
            others.iter().filter(|(_, one)| synced(one)).map(|(other, _)| *other).collect();
        in_sync.insert(ordinal);
        let known = self.pods.iter().filter(|(_, one)| one.broker.is_none() && one.ready);
        let registrations = known
            .map(|(server, one)| Registration {
                address: format!("{server}:9876"),
                ok: REGISTERED_MS <= age(self.now_ms, one.started_ms),
                age_ms: Some(age(self.now_ms, broker.registered_ms)),
            })
            .collect();
        let serving = pod.ready || pod.ready_at_ms <= self.now_ms;
        BrokerView {
            target: Target {
                store_id: broker.store_id.clone(),
                incarnation: broker.incarnation.clone(),
            },
            pod_uid: pod.uid.clone(),
            phase: if serving { Phase::Serving } else { Phase::Recovering },
            role: if ordinal == 0 { BrokerRole::Master } else { BrokerRole::Slave },
            broker_id: u64::from(ordinal),
            epoch: 0,
            in_sync,
            max_offset: 4096,
            replicas: others
                .iter()
                .map(|(ordinal, one)| ReplicaView {
                    ordinal: *ordinal,
                    lag_bytes: if synced(one) { 0 } else { 1 << 30 },
                })
                .collect(),
            registrations,
            name_servers_hash: files::name_servers_hash(&broker.name_servers),
            config: ConfigView {
                file_hash: broker.file_hash.clone(),
                applied_hash: hash(&broker.settings),
                rejected: broker.rejected.then(|| Rejected {
                    key: broker.refuses.clone().unwrap_or_default(),
                    reason: "must be something else".to_owned(),
                }),
            },
            permission: Permission {
                perm: broker.perm,
                reason: broker.reason.clone(),
                since_ms: age(self.now_ms, broker.perm_ms),
            },
            last_send_ms_ago: Some(age(self.now_ms, broker.last_send_ms)),
            disk: Disk { used_ratio: 0.1, writable: true, reason: String::new() },
            recovery: (!serving).then(|| Recovery {
                step: "commit log".to_owned(),
                bytes_done: 1,
                bytes_total: 2,
            }),
            advertised: broker.advertised.clone(),
            started_ms_ago: age(self.now_ms, pod.started_ms),
        }
    }

    fn name_server_view(&self, pod: &Pod) -> NameServerView {
        let started_ms_ago = age(self.now_ms, pod.started_ms);
        let brokers = self.pods.iter().filter_map(|(name, one)| {
            one.broker.as_ref()?;
            let ordinal = names::ordinal(&one.set, name)?;
            (one.ready && REGISTERED_MS <= started_ms_ago)
                .then(|| (one.set.clone(), u64::from(ordinal)))
        });
        NameServerView {
            pod_uid: pod.uid.clone(),
            phase: Phase::Serving,
            started_ms_ago,
            brokers: brokers.collect(),
            config: ConfigView::default(),
        }
    }
}

fn age(now_ms: i64, then_ms: i64) -> u64 {
    u64::try_from(now_ms - then_ms).unwrap_or(0)
}
