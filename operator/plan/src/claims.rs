//! What matters of a claim of a volume.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use rmq_operator_api::Quantity;

/// What matters of a PersistentVolumeClaim.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClaimView {
    /// Its UID.
    pub uid: String,
    /// Size asked for, in bytes.
    pub request_bytes: u64,
    /// Size it has, in bytes; 0 before it is bound.
    pub capacity_bytes: u64,
    /// Its storage class.
    pub class: Option<String>,
    /// The volume has grown and its file system waits for the pod to be started anew.
    pub file_system_resize_pending: bool,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its annotations.
    pub annotations: BTreeMap<String, String>,
    /// Whether it is being deleted.
    pub deleting: bool,
}

impl ClaimView {
    /// What matters of `claim`.
    pub fn of(claim: &PersistentVolumeClaim) -> Self {
        let spec = claim.spec.as_ref();
        let status = claim.status.as_ref();
        let requests = spec.and_then(|spec| spec.resources.as_ref()?.requests.as_ref());
        let conditions = status.and_then(|status| status.conditions.as_ref());
        Self {
            uid: claim.metadata.uid.clone().unwrap_or_default(),
            request_bytes: bytes(requests.and_then(|all| all.get("storage"))),
            capacity_bytes: bytes(status.and_then(|one| one.capacity.as_ref()?.get("storage"))),
            class: spec.and_then(|spec| spec.storage_class_name.clone()),
            file_system_resize_pending: conditions.into_iter().flatten().any(|condition| {
                condition.type_ == "FileSystemResizePending" && condition.status == "True"
            }),
            labels: claim.metadata.labels.clone().unwrap_or_default(),
            annotations: claim.metadata.annotations.clone().unwrap_or_default(),
            deleting: claim.metadata.deletion_timestamp.is_some(),
        }
    }
}

/// A quantity in whole bytes; 0 for none and for one that does not parse, which the API server
/// does not let through.
fn bytes(quantity: Option<&k8s_openapi::apimachinery::pkg::api::resource::Quantity>) -> u64 {
    quantity.and_then(|one| one.0.parse::<Quantity>().ok()).map_or(0, |one| one.units())
}
