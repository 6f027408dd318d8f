//! What the API server and the processes do when a step is taken; and what must hold then.

use rmq_operator_plan::steps::{PermissionReason, Why};
use rmq_operator_plan::{Expansion, Kind, Object, Step, names};
use serde_json::Value;

use super::{Kept, Sim, UID};

impl Sim {
    pub(crate) fn act(&mut self, step: &Step) {
        self.check(step);
        self.log.push(format!("{}s {step}", (self.now_ms - 1_800_000_000_000) / 1000));
        match step {
            Step::Apply(object) | Step::ScaleDown { object, .. } => self.apply(object),
            Step::CreateToken { secret, .. } => self.apply(secret),
            Step::Delete { kind, name, uid } => {
                let key = (*kind, name.clone());
                let kept = self.objects.get(&key).expect("what is deleted is there");
                assert_eq!(kept.uid, *uid);
                self.objects.remove(&key);
                if *kind == Kind::StatefulSet {
                    self.pods.retain(|_, pod| pod.set != *name);
                }
            }
            Step::RecreateStatefulSet { uid, object } => {
                let key = (Kind::StatefulSet, object.name().to_owned());
                let old = self.objects.remove(&key).expect("there is one to make anew");
                assert_eq!(old.uid, *uid);
                assert_eq!(
                    template(&old.body),
                    template(&object.to_json()),
                    "pods are adopted, not restarted"
                );
                self.apply(object);
            }
            Step::ResizeClaim { name, uid, size } => {
                let now_ms = self.now_ms;
                let claim = self.claims.get_mut(name).expect("the claim is there");
                assert_eq!(claim.uid, *uid);
                assert_eq!(self.expansion, Expansion::Allowed, "the class does not allow it");
                let bytes = size.parse::<rmq_operator_api::Quantity>().expect("a size").units();
                assert!(claim.request_bytes < bytes, "claims only grow");
                claim.request_bytes = bytes;
                claim.grows_at_ms = now_ms + 20_000;
            }
            Step::MarkClaim { name, uid, labels, .. } => {
                let claim = self.claims.get_mut(name).expect("the claim is there");
                assert_eq!(claim.uid, *uid);
                for (key, value) in labels {
                    match value {
                        Some(value) => claim.labels.insert(key.clone(), value.clone()),
                        None => claim.labels.remove(key),
                    };
                }
            }
            Step::LabelPod { name, uid, labels } => {
                let pod = self.pod(name);
                assert_eq!(pod.uid, *uid);
                for (key, value) in labels {
                    pod.labels.insert(key.clone(), value.clone().expect("only set"));
                }
            }
            Step::Reload { pod, target } => {
                let map = self.projected(pod);
                let now_ms = self.now_ms;
                let broker = self.pod(pod).broker.as_mut().expect("a broker");
                assert_eq!(broker.incarnation, target.incarnation);
                if let Some(map) = map {
                    broker.read(&map, now_ms);
                }
            }
            Step::CopyMetadata { from, to } => {
                assert!(self.pod(from).ready && self.pod(to).ready, "both must answer");
                assert!(!self.pod(to).broker.as_ref().expect("a broker").writable());
                self.copies.push((from.clone(), to.clone()));
            }
            Step::SetPermission { pod, target, perm, reason } => {
                let now_ms = self.now_ms;
                let broker = self.pod(pod).broker.as_mut().expect("a broker");
                assert_eq!(broker.incarnation, target.incarnation);
                assert_eq!(broker.store_id, target.store_id);
                broker.permit(*perm, reason.text(), now_ms);
            }
            Step::ClearAnnotation { name, value } => {
                let all = self.cluster.metadata.annotations.get_or_insert_default();
                assert_eq!(all.remove(*name).as_deref(), Some(value.as_str()));
            }
            Step::DeletePod { name, uid, .. } => {
                assert_eq!(self.pod(name).uid, *uid);
                self.stop_pod(name);
            }
        }
    }

    fn apply(&mut self, object: &Object) {
        assert_sound(&object.to_json());
        let key = (object.kind(), object.name().to_owned());
        let mut body = object.to_json();
        let known = self.objects.get(&key);
        if object.kind() == Kind::Service {
            let old = known.and_then(|kept| kept.body.pointer("/spec/clusterIP").cloned());
            let given = body.pointer("/spec/clusterIP").cloned();
            if let (Some(old), Some(given)) = (&old, &given) {
                assert_eq!(old, given, "the address of a Service cannot be changed");
            }
            let ip = given.or(old).unwrap_or_else(|| {
                self.serial += 1;
                Value::from(format!("10.96.0.{}", self.serial))
            });
            set(&mut body, "/spec", "clusterIP", ip);
        }
        let known = self.objects.get(&key);
        if let Some(kept) = known {
            let immutable = ["/spec/selector", "/spec/serviceName", "/spec/volumeClaimTemplates"];
            for path in immutable.iter().filter(|_| object.kind() == Kind::StatefulSet) {
                assert_eq!(kept.body.pointer(path), body.pointer(path), "{path} is immutable");
            }
        }
        let generation = known.map_or(1, |kept| {
            kept.generation + i64::from(kept.body.get("spec") != body.get("spec"))
        });
        let uid = known.map(|kept| kept.uid.clone());
        let uid = uid.unwrap_or_else(|| self.fresh("object"));
        set(&mut body, "/metadata", "uid", Value::from(uid.clone()));
        let kept = Kept { uid, body, applied_ms: self.now_ms, generation };
        self.objects.insert(key, kept);
    }

    /// Deletes a pod as the API does: it stops, and is gone some seconds later.
    pub(crate) fn stop_pod(&mut self, name: &str) {
        let (now_ms, extra) = (self.now_ms, self.chance(20));
        let pod = self.pod(name);
        pod.deleting_ms.get_or_insert(now_ms);
        pod.gone_at_ms = now_ms + 5_000 + i64::try_from(extra).expect("small") * 1000;
        pod.ready = false;
        pod.changed_ms = now_ms;
    }

    /// What must hold whenever something is taken away, whatever led there.
    fn check(&self, step: &Step) {
        match step {
            Step::DeletePod { name, why, .. } => self.check_deletion(name, *why),
            Step::SetPermission { pod, perm, reason, .. } if perm & 2 == 0 => {
                assert_ne!(*reason, PermissionReason::Manifest);
                assert!(self.another_writes(pod), "{pod} is the last one that takes messages");
            }
            Step::ScaleDown { object, to, .. } => {
                let set = object.name();
                let asleep = self.cluster.spec.hibernated;
                let wanted = self.wanted_groups().iter().any(|one| *one == set);
                if wanted && !asleep {
                    assert!(0 < *to, "{set} belongs to the cluster");
                }
            }
            Step::Apply(_)
            | Step::CreateToken { .. }
            | Step::Delete { .. }
            | Step::RecreateStatefulSet { .. }
            | Step::ResizeClaim { .. }
            | Step::MarkClaim { .. }
            | Step::LabelPod { .. }
            | Step::Reload { .. }
            | Step::CopyMetadata { .. }
            | Step::SetPermission { .. }
            | Step::ClearAnnotation { .. } => {}
        }
    }

    fn check_deletion(&self, name: &str, why: Why) {
        let pod = self.pods.get(name).expect("the pod is there");
        assert!(!pod.annotations.contains_key("rocketmq.rs/hold"), "{name} is held");
        if why == Why::StuckPod {
            assert!(!pod.ready, "{name} serves");
            return;
        }
        let sets = self.wanted_groups();
        for (other, one) in self.pods.iter().filter(|(other, _)| *other != name) {
            let counts = sets.contains(&one.set) || one.set.ends_with("-namesrv");
            assert!(!counts || one.ready, "{name} is deleted while {other} is not ready");
        }
        let slaves = self.pods.iter().filter(|(_, one)| one.set == pod.set && one.broker.is_some());
        if name.ends_with("-0") && why == Why::RevisionChanged && pod.broker.is_some() {
            for (slave, one) in slaves.filter(|(slave, _)| *slave != name) {
                let held = one.annotations.contains_key("rocketmq.rs/hold");
                let current = one.revision == self.revision(&one.set);
                assert!(held || current, "master {name} goes before {slave}");
            }
        }
        let is_master = name.ends_with("-0") && pod.broker.is_some();
        if is_master && 1 < sets.len() {
            assert!(self.another_writes(name), "nobody would take messages without {name}");
            let broker = pod.broker.as_ref().expect("a broker");
            assert!(!broker.writable(), "{name} still takes messages");
        }
    }

    fn another_writes(&self, name: &str) -> bool {
        let sets = self.wanted_groups();
        self.pods.iter().any(|(other, pod)| {
            let writes = pod.broker.as_ref().is_some_and(super::Broker::writable);
            let master = other.ends_with("-0") && sets.contains(&pod.set);
            other != name && master && pod.ready && writes
        })
    }

    /// StatefulSets of the groups that the manifest has.
    pub(crate) fn wanted_groups(&self) -> Vec<String> {
        let prefix = &self.cluster.spec.brokers.name_prefix;
        (0..self.cluster.shape().groups)
            .map(|index| format!("demo-{}", rmq_operator_plan::group_name(prefix, index)))
            .collect()
    }

    /// Revision that the pods of `set` should have.
    pub(crate) fn revision(&self, set: &str) -> String {
        let kept = self.objects.get(&(Kind::StatefulSet, set.to_owned()));
        kept.map(|kept| revision(&kept.body)).unwrap_or_default()
    }
}

pub(super) fn template(body: &Value) -> Option<&Value> {
    body.pointer("/spec/template")
}

/// As the StatefulSet controller does: of the template, nothing else.
pub(super) fn revision(body: &Value) -> String {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    template(body).map(Value::to_string).hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

pub(super) fn set(body: &mut Value, path: &str, key: &str, value: Value) {
    let part = body.pointer_mut(path).and_then(Value::as_object_mut).expect(path);
    part.insert(key.to_owned(), value);
}

/// What holds for every body: owned, sealed, no null.
fn assert_sound(body: &Value) {
    assert!(!body.to_string().contains(":null"), "{body}");
    let owner = body.pointer("/metadata/ownerReferences/0/uid").and_then(Value::as_str);
    assert_eq!(owner, Some(UID), "{body}");
    let name = body.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
    assert!(!name.is_empty() && name.len() < 64, "{name}");
    assert!(names::ordinal("x", name).is_none());
}
