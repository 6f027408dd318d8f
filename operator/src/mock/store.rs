//! For tests: an API server that keeps objects, as far as the operator could tell the difference.
//!
//! It gives UIDs, versions, generations and cluster IPs, does server-side apply for one manager, and
//! plays the StatefulSet controller: revisions by template, pods by ordinal. It can die: from a
//! chosen write on, that write takes effect, its caller never learns, and nothing else does.

use super::{answer, read, refusal};
use http::{Request, Response};
use kube::client::Body;
use parking_lot::Mutex;
use rmq_control::tonic::codegen::Service;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// Time of everything that is created.
const CREATED: &str = "2023-11-14T22:00:00Z";

/// The objects of one namespace. Clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Store(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// By resource and name.
    objects: BTreeMap<(String, String), Value>,
    /// Counts up; also makes UIDs and addresses.
    version: u64,
    /// Writes so far, as `METHOD resource/name`.
    writes: Vec<String>,
    reads: usize,
    /// Dies with this write, counted from 0.
    dies_at: Option<usize>,
    /// Resources whose names are here are refused with 403.
    forbidden: BTreeSet<String>,
}

/// What a path names.
struct Place {
    resource: String,
    name: Option<String>,
    status: bool,
}

impl Store {
    /// Everything of a resource.
    pub(crate) fn all(&self, resource: &str) -> Vec<Value> {
        let state = self.0.lock();
        let found = state.objects.iter().filter(|((of, _), _)| of == resource);
        found.map(|(_, object)| object.clone()).collect()
    }

    pub(crate) fn get(&self, resource: &str, name: &str) -> Option<Value> {
        self.0.lock().objects.get(&(resource.to_owned(), name.to_owned())).cloned()
    }

    /// Puts an object there as somebody else would.
    pub(crate) fn put(&self, resource: &str, object: Value) {
        let mut state = self.0.lock();
        let name = object["metadata"]["name"].as_str().expect("it has a name").to_owned();
        state.store(resource, &name, object);
        state.control();
    }

    /// Changes an object as somebody else would.
    pub(crate) fn change(&self, resource: &str, name: &str, change: impl FnOnce(&mut Value)) {
        let mut object = self.get(resource, name).expect("it is there");
        change(&mut object);
        self.put(resource, object);
    }

    pub(crate) fn remove(&self, resource: &str, name: &str) {
        let mut state = self.0.lock();
        state.objects.remove(&(resource.to_owned(), name.to_owned()));
        state.control();
    }

    /// Writes since the last time this was asked.
    pub(crate) fn take_writes(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().writes)
    }

    /// Reads since the last time this was asked.
    pub(crate) fn take_reads(&self) -> usize {
        std::mem::take(&mut self.0.lock().reads)
    }

    /// Dies with the write that is `number` from now, or never.
    pub(crate) fn dies_at(&self, number: Option<usize>) {
        let mut state = self.0.lock();
        state.writes.clear();
        state.dies_at = number;
    }

    /// Refuses writes to a resource from now on.
    pub(crate) fn forbid(&self, resource: &str) {
        self.0.lock().forbidden.insert(resource.to_owned());
    }

    /// Everything without what differs from run to run.
    pub(crate) fn essence(&self) -> BTreeMap<(String, String), Value> {
        let mut objects = self.0.lock().objects.clone();
        objects.retain(|(resource, _), _| resource != "events");
        for ((resource, _), object) in &mut objects {
            if resource == "secrets" {
                object["data"] = Value::Null;
            }
            erase(object);
        }
        objects
    }
}

/// UIDs, versions, generations and addresses depend on how often something was written.
fn erase(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for name in ["uid", "resourceVersion", "generation", "observedGeneration"] {
                fields.remove(name);
            }
            fields.values_mut().for_each(erase);
        }
        Value::Array(items) => items.iter_mut().for_each(erase),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

impl State {
    fn next(&mut self) -> u64 {
        self.version += 1;
        self.version
    }

    /// Stores an object with what the server itself adds.
    fn store(&mut self, resource: &str, name: &str, mut object: Value) -> Value {
        let key = (resource.to_owned(), name.to_owned());
        let before = self.objects.get(&key).cloned();
        if before.as_ref().is_some_and(|before| same(before, &object)) {
            return before.unwrap_or_default();
        }
        let version = self.next();
        let spec_changed = before.as_ref().map(|before| &before["spec"]) != Some(&object["spec"]);
        let old = before.as_ref().map(|before| before["metadata"].clone()).unwrap_or_default();
        let metadata = &mut object["metadata"];
        metadata["resourceVersion"] = version.to_string().into();
        if metadata["uid"].is_null() {
            metadata["uid"] = if old["uid"].is_null() {
                format!("uid-{version}").into()
            } else {
                old["uid"].clone()
            };
        }
        metadata["creationTimestamp"] = CREATED.into();
        let generation = old["generation"].as_u64().unwrap_or(0) + u64::from(spec_changed);
        metadata["generation"] = generation.into();
        if resource == "services" && object["spec"]["clusterIP"].is_null() {
            let address = before.map_or_else(
                || address_of(name).into(),
                |before| before["spec"]["clusterIP"].clone(),
            );
            object["spec"]["clusterIP"] = address;
        }
        self.objects.insert(key, object.clone());
        object
    }

    /// What the controllers of Kubernetes do.
    fn control(&mut self) {
        let sets: Vec<(String, Value)> = self
            .objects
            .iter()
            .filter(|((resource, _), _)| resource == "statefulsets")
            .map(|((_, name), set)| (name.clone(), set.clone()))
            .collect();
        for (name, mut set) in sets {
            let mut hasher = DefaultHasher::new();
            set["spec"]["template"].to_string().hash(&mut hasher);
            let revision = format!("{name}-{:x}", hasher.finish());
            set["status"] = json!({
                "observedGeneration": set["metadata"]["generation"],
                "updateRevision": revision, "replicas": set["spec"]["replicas"],
            });
            self.store("statefulsets", &name, set.clone());
            let replicas = set["spec"]["replicas"].as_u64().unwrap_or(1);
            for ordinal in 0..replicas {
                let pod = format!("{name}-{ordinal}");
                if !self.objects.contains_key(&("pods".to_owned(), pod.clone())) {
                    let made = pod_of(&set, &pod, ordinal, &revision);
                    self.store("pods", &pod, made);
                }
            }
            let extra = |pod: &str| {
                let ordinal = pod.strip_prefix(&format!("{name}-"))?.parse::<u64>().ok()?;
                (replicas <= ordinal).then_some(())
            };
            self.objects.retain(|(resource, pod), _| resource != "pods" || extra(pod).is_none());
        }
    }

    fn apply(&mut self, place: &Place, body: &Value) -> Value {
        let name = place.name.clone().unwrap_or_default();
        let key = (place.resource.clone(), name.clone());
        let mut object = self.objects.get(&key).cloned().unwrap_or_else(|| json!({}));
        if place.status {
            object["status"] = body["status"].clone();
        } else {
            merge(&mut object, body, false);
        }
        self.store(&place.resource, &name, object)
    }
}

/// The same for the same name, whatever was made before.
fn address_of(name: &str) -> String {
    let mut hasher = DefaultHasher::new();
    name.hash(&mut hasher);
    let drawn = hasher.finish();
    format!("10.96.{}.{}", drawn % 250, drawn / 250 % 250 + 1)
}

/// Equal but for the version.
fn same(before: &Value, after: &Value) -> bool {
    let mut after = after.clone();
    for name in ["resourceVersion", "uid", "generation", "creationTimestamp"] {
        after["metadata"][name] = before["metadata"][name].clone();
    }
    if after["spec"]["clusterIP"].is_null() && !before["spec"]["clusterIP"].is_null() {
        after["spec"]["clusterIP"] = before["spec"]["clusterIP"].clone();
    }
    *before == after
}

/// Fields of `patch` over those of `object`; lists are replaced. `null` removes if it is a merge.
fn merge(object: &mut Value, patch: &Value, nulls_remove: bool) {
    let Value::Object(patch) = patch else {
        *object = patch.clone();
        return;
    };
    if !object.is_object() {
        *object = Value::Object(Map::new());
    }
    for (name, value) in patch {
        if value.is_null() && nulls_remove {
            object.as_object_mut().expect("it was made one").remove(name);
        } else {
            merge(&mut object[name.as_str()], value, nulls_remove);
        }
    }
}

fn pod_of(set: &Value, name: &str, ordinal: u64, revision: &str) -> Value {
    let template = &set["spec"]["template"];
    let mut labels = template["metadata"]["labels"].clone();
    labels["controller-revision-hash"] = revision.into();
    labels["apps.kubernetes.io/pod-index"] = ordinal.to_string().into();
    labels["statefulset.kubernetes.io/pod-name"] = name.into();
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": name, "namespace": "ns", "labels": labels,
            "annotations": template["metadata"]["annotations"],
            "ownerReferences": [{
                "apiVersion": "apps/v1", "kind": "StatefulSet", "name": set["metadata"]["name"],
                "uid": set["metadata"]["uid"], "controller": true, "blockOwnerDeletion": true,
            }],
        },
        "spec": template["spec"],
        "status": {"phase": "Pending"},
    })
}

fn place(path: &str) -> Place {
    let mut parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let status = parts.last() == Some(&"status");
    if status {
        parts.pop();
    }
    let at = parts.iter().position(|part| *part == "namespaces").map_or(3, |at| at + 2);
    Place {
        resource: parts.get(at).copied().unwrap_or_default().to_owned(),
        name: parts.get(at + 1).map(|name| (*name).to_owned()),
        status,
    }
}

impl Service<Request<Body>> for Store {
    type Response = Response<Body>;
    type Error = std::io::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, std::io::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), std::io::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let store = self.clone();
        Box::pin(async move {
            let seen = read(request).await;
            let place = place(&seen.path);
            let mut state = store.0.lock();
            let state = &mut *state;
            if seen.method == "GET" {
                state.reads += 1;
                return Ok(get(state, &place));
            }
            if state.dies_at.is_some_and(|at| at < state.writes.len()) {
                return Err(std::io::Error::other("the operator is dead"));
            }
            let name = place.name.as_deref().or(seen.body["metadata"]["name"].as_str());
            let target = format!("{}/{}", place.resource, name.unwrap_or_default());
            let part = if place.status { "/status" } else { "" };
            state.writes.push(format!("{} {target}{part}", seen.method));
            if state.forbidden.contains(&place.resource) {
                let message = format!("cannot {} {}", seen.method, place.resource);
                return Ok(refusal(403, "Forbidden", &message));
            }
            let response = write(state, &place, &seen.method, &seen.content_type, &seen.body);
            state.control();
            if state.dies_at.is_some_and(|at| at < state.writes.len()) {
                return Err(std::io::Error::other("the operator is dead"));
            }
            Ok(response)
        })
    }
}

fn get(state: &State, place: &Place) -> Response<Body> {
    match &place.name {
        Some(name) => match state.objects.get(&(place.resource.clone(), name.clone())) {
            Some(object) => answer(200, object),
            None => refusal(404, "NotFound", "not found"),
        },
        None => {
            let of = state.objects.iter().filter(|((of, _), _)| *of == place.resource);
            let items: Vec<&Value> = of.map(|(_, object)| object).collect();
            let list = json!({
                "apiVersion": "v1", "kind": "List",
                "metadata": {"resourceVersion": state.version.to_string()}, "items": items,
            });
            answer(200, &list)
        }
    }
}

fn write(
    state: &mut State,
    place: &Place,
    method: &str,
    content_type: &str,
    body: &Value,
) -> Response<Body> {
    let name = place.name.clone().unwrap_or_default();
    let key = (place.resource.clone(), name.clone());
    let there = state.objects.get(&key).cloned();
    match (method, there) {
        ("POST", _) => {
            let name = body["metadata"]["name"].as_str().unwrap_or_default().to_owned();
            if state.objects.contains_key(&(place.resource.clone(), name.clone())) {
                return refusal(409, "AlreadyExists", "already exists");
            }
            let mut object = body.clone();
            if let Some(Value::Object(text)) =
                object.as_object_mut().and_then(|o| o.remove("stringData"))
            {
                // What a real server does with base64 matters to nobody here.
                object["data"] = text.keys().map(|key| (key.clone(), json!("c2VjcmV0"))).collect();
            }
            answer(201, &state.store(&place.resource, &name, object))
        }
        ("PATCH", None) if !content_type.contains("apply-patch") || place.status => {
            refusal(404, "NotFound", "not found")
        }
        ("PATCH", _) if content_type.contains("apply-patch") => {
            answer(200, &state.apply(place, body))
        }
        ("PATCH", Some(mut object)) => {
            let uid = &body["metadata"]["uid"];
            if !uid.is_null() && object["metadata"]["uid"] != *uid {
                return refusal(422, "Invalid", "metadata.uid: Invalid value: field is immutable");
            }
            merge(&mut object, body, true);
            answer(200, &state.store(&place.resource, &name, object))
        }
        ("DELETE", None) => refusal(404, "NotFound", "not found"),
        ("DELETE", Some(object)) => {
            let uid = &body["preconditions"]["uid"];
            if !uid.is_null() && object["metadata"]["uid"] != *uid {
                return refusal(409, "Conflict", "another UID");
            }
            state.objects.remove(&key);
            let done =
                json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"});
            answer(200, &done)
        }
        (other, _) => refusal(405, "MethodNotAllowed", other),
    }
}
