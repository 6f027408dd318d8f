//! Kubernetes objects as the operator writes them.

use std::fmt;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ConfigMap, Secret, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::Value;
use sha2::{Digest, Sha256};

/// Annotation on every object: hash of the body that was applied last. It tells that a field was
/// dropped, which the object itself does not show.
pub const APPLIED_HASH: &str = "rocketmq.rs/applied-hash";

/// A kind the operator makes. Ordered as objects are applied: what others refer to comes first, and
/// a ConfigMap before the StatefulSet whose pods read it, or they would start twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// `v1`
    ServiceAccount,
    /// `v1`
    Service,
    /// `v1`
    ConfigMap,
    /// `v1`
    Secret,
    /// `policy/v1`
    PodDisruptionBudget,
    /// `networking.k8s.io/v1`
    NetworkPolicy,
    /// `apps/v1`
    StatefulSet,
}

impl Kind {
    /// Every kind, in the order objects are applied.
    pub const ALL: [Self; 7] = [
        Self::ServiceAccount,
        Self::Service,
        Self::ConfigMap,
        Self::Secret,
        Self::PodDisruptionBudget,
        Self::NetworkPolicy,
        Self::StatefulSet,
    ];

    /// As manifests write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::ServiceAccount => "ServiceAccount",
            Self::Service => "Service",
            Self::ConfigMap => "ConfigMap",
            Self::Secret => "Secret",
            Self::PodDisruptionBudget => "PodDisruptionBudget",
            Self::NetworkPolicy => "NetworkPolicy",
            Self::StatefulSet => "StatefulSet",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// An object to apply: complete in what the operator means, silent about everything else.
#[derive(Clone, Debug, PartialEq)]
pub enum Object {
    /// `v1`
    ServiceAccount(Box<ServiceAccount>),
    /// `v1`
    Service(Box<Service>),
    /// `v1`
    ConfigMap(Box<ConfigMap>),
    /// `v1`; its data is generated where it is created
    Secret(Box<Secret>),
    /// `policy/v1`
    PodDisruptionBudget(Box<PodDisruptionBudget>),
    /// `networking.k8s.io/v1`
    NetworkPolicy(Box<NetworkPolicy>),
    /// `apps/v1`
    StatefulSet(Box<StatefulSet>),
}

impl Object {
    /// Its kind.
    pub fn kind(&self) -> Kind {
        match self {
            Self::ServiceAccount(_) => Kind::ServiceAccount,
            Self::Service(_) => Kind::Service,
            Self::ConfigMap(_) => Kind::ConfigMap,
            Self::Secret(_) => Kind::Secret,
            Self::PodDisruptionBudget(_) => Kind::PodDisruptionBudget,
            Self::NetworkPolicy(_) => Kind::NetworkPolicy,
            Self::StatefulSet(_) => Kind::StatefulSet,
        }
    }

    /// Its metadata.
    pub fn metadata(&self) -> &ObjectMeta {
        match self {
            Self::ServiceAccount(one) => &one.metadata,
            Self::Service(one) => &one.metadata,
            Self::ConfigMap(one) => &one.metadata,
            Self::Secret(one) => &one.metadata,
            Self::PodDisruptionBudget(one) => &one.metadata,
            Self::NetworkPolicy(one) => &one.metadata,
            Self::StatefulSet(one) => &one.metadata,
        }
    }

    fn metadata_mut(&mut self) -> &mut ObjectMeta {
        match self {
            Self::ServiceAccount(one) => &mut one.metadata,
            Self::Service(one) => &mut one.metadata,
            Self::ConfigMap(one) => &mut one.metadata,
            Self::Secret(one) => &mut one.metadata,
            Self::PodDisruptionBudget(one) => &mut one.metadata,
            Self::NetworkPolicy(one) => &mut one.metadata,
            Self::StatefulSet(one) => &mut one.metadata,
        }
    }

    /// Its name; objects that [`build()`](crate::build()) makes always have one.
    pub fn name(&self) -> &str {
        self.metadata().name.as_deref().unwrap_or_default()
    }

    /// The body for server-side apply: `apiVersion` and `kind` included, no `null` anywhere, the
    /// same bytes for the same object.
    pub fn to_json(&self) -> Value {
        let body = match self {
            Self::ServiceAccount(one) => serde_json::to_value(one),
            Self::Service(one) => serde_json::to_value(one),
            Self::ConfigMap(one) => serde_json::to_value(one),
            Self::Secret(one) => serde_json::to_value(one),
            Self::PodDisruptionBudget(one) => serde_json::to_value(one),
            Self::NetworkPolicy(one) => serde_json::to_value(one),
            Self::StatefulSet(one) => serde_json::to_value(one),
        };
        body.expect("these types have only text for keys, so that they always serialise")
    }

    /// The object with [`APPLIED_HASH`] over the rest of it. What it had before does not count.
    pub fn sealed(mut self) -> Self {
        let annotations = &mut self.metadata_mut().annotations;
        if let Some(all) = annotations {
            all.remove(APPLIED_HASH);
        }
        annotations.take_if(|all| all.is_empty());
        let hash = hash(self.to_json().to_string().as_bytes());
        self.metadata_mut()
            .annotations
            .get_or_insert_default()
            .insert(APPLIED_HASH.to_owned(), hash);
        self
    }

    /// The value of [`APPLIED_HASH`]; empty before [`Object::sealed`].
    pub fn applied_hash(&self) -> &str {
        let annotations = self.metadata().annotations.as_ref();
        annotations.and_then(|all| all.get(APPLIED_HASH)).map_or("", String::as_str)
    }
}

/// The first 16 hexadecimal digits of the SHA-256 of `bytes`.
pub(crate) fn hash(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config_map(value: &str) -> Object {
        Object::ConfigMap(Box::new(ConfigMap {
            metadata: ObjectMeta { name: Some("x".to_owned()), ..ObjectMeta::default() },
            data: Some([("key".to_owned(), value.to_owned())].into()),
            ..ConfigMap::default()
        }))
    }

    #[test]
    fn a_seal_tells_bodies_apart_and_is_not_part_of_itself() {
        let one = config_map("1").sealed();
        assert_eq!(one.applied_hash().len(), 16);
        assert_eq!(one.clone().sealed(), one);
        assert_ne!(one.applied_hash(), config_map("2").sealed().applied_hash());
    }

    #[test]
    fn a_body_names_its_version_and_kind() {
        let text = config_map("1").to_json().to_string();
        assert_eq!(
            text,
            r#"{"apiVersion":"v1","kind":"ConfigMap","data":{"key":"1"},"metadata":{"name":"x"}}"#
        );
    }

    #[test]
    fn kinds_are_applied_in_the_order_they_are_listed() {
        let mut sorted = Kind::ALL;
        sorted.sort_unstable();
        assert_eq!(sorted, Kind::ALL);
    }
}
