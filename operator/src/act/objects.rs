//! Steps that change objects of the API server.

use super::{Actor, Flow};
use crate::apiserver::{bounded, found};
use crate::error::Error;
use crate::kinds;
use crate::token;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use kube::api::{
    DeleteParams, DynamicObject, Patch, PatchParams, PostParams, Preconditions, PropagationPolicy,
};
use kube::{Api, Resource};
use rmq_operator_api::{Cluster, meta};
use rmq_operator_plan::{Kind, Object};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use tracing::info;

/// Changes to make to labels or annotations; `None` removes.
type Changes = BTreeMap<String, Option<String>>;

impl Actor<'_> {
    pub(super) async fn apply(&self, object: &Object) -> Result<Flow, Error> {
        let api = self.api(object.kind());
        let params = PatchParams::apply(meta::MANAGER).force();
        let patch = Patch::Apply(object.to_json());
        let tried = format!("apply {} {}", object.kind(), object.name());
        bounded(tried, api.patch(object.name(), &params, &patch)).await?;
        Ok(Flow::Next)
    }

    /// Only creates: a token that is there is never replaced, whoever made it.
    pub(super) async fn create_token(&self, secret: &Object, key: &str) -> Result<Flow, Error> {
        let mut body = secret.to_json();
        if let Some(body) = body.as_object_mut() {
            body.insert("stringData".to_owned(), json!({ key: token::random()? }));
        }
        let body: DynamicObject = serde_json::from_value(body)
            .map_err(|error| Error::Bug(format!("the token's Secret is no object: {error}")))?;
        let params =
            PostParams { field_manager: Some(meta::MANAGER.to_owned()), ..PostParams::default() };
        let api = self.api(Kind::Secret);
        let tried = format!("create Secret {}", secret.name());
        match bounded(tried, api.create(&params, &body)).await {
            Err(error) if error.code() == Some(409) => {}
            result => {
                result?;
            }
        }
        self.context.tokens.forget(self.key);
        Ok(Flow::Next)
    }

    pub(super) async fn delete(&self, kind: Kind, name: &str, uid: &str) -> Result<Flow, Error> {
        let params = only(uid, PropagationPolicy::Background);
        let api = self.api(kind);
        info!(cluster = %self.key, %kind, name, "deleting what is no longer wanted");
        found(bounded(format!("delete {kind} {name}"), api.delete(name, &params)).await)?;
        Ok(Flow::Next)
    }

    /// The garbage collector first lets go of the pods, then the old one disappears. Usually that
    /// takes a moment: the watch then says when, and the plan applies the new one.
    pub(super) async fn recreate(&self, uid: &str, object: &Object) -> Result<Flow, Error> {
        let name = object.name();
        let params = only(uid, PropagationPolicy::Orphan);
        let api = self.api(Kind::StatefulSet);
        info!(cluster = %self.key, name, "making the StatefulSet anew, its pods stay");
        let deleted =
            found(bounded(format!("delete StatefulSet {name}"), api.delete(name, &params)).await)?;
        // The server gives back the object while it is still there.
        if deleted.is_some_and(|answer| answer.is_left()) {
            return Ok(Flow::Stop);
        }
        self.apply(object).await
    }

    pub(super) async fn resize(&self, name: &str, uid: &str, size: &str) -> Result<Flow, Error> {
        let patch = json!({
            "metadata": {"uid": uid},
            "spec": {"resources": {"requests": {"storage": size}}},
        });
        info!(cluster = %self.key, claim = name, size, "asking for a larger volume");
        self.merge::<PersistentVolumeClaim>("resize PersistentVolumeClaim", name, patch).await
    }

    pub(super) async fn mark_claim(
        &self,
        name: &str,
        uid: &str,
        labels: &Changes,
        annotations: &Changes,
    ) -> Result<Flow, Error> {
        let patch = marks(uid, labels, annotations);
        self.merge::<PersistentVolumeClaim>("label PersistentVolumeClaim", name, patch).await
    }

    pub(super) async fn label_pod(
        &self,
        name: &str,
        uid: &str,
        labels: &Changes,
    ) -> Result<Flow, Error> {
        let patch = marks(uid, labels, &Changes::new());
        self.merge::<Pod>("label Pod", name, patch).await
    }

    pub(super) async fn delete_pod(&self, name: &str, uid: &str) -> Result<Flow, Error> {
        let params = only(uid, PropagationPolicy::Background);
        let api: Api<Pod> = self.typed();
        found(bounded(format!("delete Pod {name}"), api.delete(name, &params)).await)?;
        Ok(Flow::Stop)
    }

    /// Reads first: the annotation may have got a new value, which is a new request.
    pub(super) async fn clear_annotation(&self, name: &str, value: &str) -> Result<Flow, Error> {
        let api: Api<Cluster> = self.typed();
        let read = bounded(format!("read {}", self.key), api.get(&self.key.name)).await;
        let Some(cluster) = found(read)? else { return Ok(Flow::Stop) };
        if cluster.annotation(name) != Some(value) {
            return Ok(Flow::Stop);
        }
        let patch = json!({"metadata": {
            "uid": cluster.metadata.uid,
            "resourceVersion": cluster.metadata.resource_version,
            "annotations": {name: null},
        }});
        self.merge::<Cluster>("remove an annotation of", &self.key.name, patch).await
    }

    fn api(&self, kind: Kind) -> Api<DynamicObject> {
        kinds::api(&self.context.client, &self.key.namespace, kind)
    }

    fn typed<K>(&self) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>,
    {
        Api::namespaced(self.context.client.clone(), &self.key.namespace)
    }

    /// A merge patch. The UID within is a precondition: with another one the server refuses.
    async fn merge<K>(&self, tried: &str, name: &str, patch: Value) -> Result<Flow, Error>
    where
        K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
            + Clone
            + serde::de::DeserializeOwned
            + std::fmt::Debug,
    {
        let api: Api<K> = self.typed();
        let params =
            PatchParams { field_manager: Some(meta::MANAGER.to_owned()), ..PatchParams::default() };
        let patch = Patch::Merge(patch);
        found(bounded(format!("{tried} {name}"), api.patch(name, &params, &patch)).await)?;
        Ok(Flow::Next)
    }
}

fn only(uid: &str, propagation: PropagationPolicy) -> DeleteParams {
    DeleteParams {
        preconditions: Some(Preconditions { uid: Some(uid.to_owned()), resource_version: None }),
        propagation_policy: Some(propagation),
        ..DeleteParams::default()
    }
}

fn marks(uid: &str, labels: &Changes, annotations: &Changes) -> Value {
    let mut metadata = json!({ "uid": uid });
    if let Some(metadata) = metadata.as_object_mut() {
        for (name, changes) in [("labels", labels), ("annotations", annotations)] {
            if !changes.is_empty() {
                metadata.insert(name.to_owned(), json!(changes));
            }
        }
    }
    json!({ "metadata": metadata })
}
