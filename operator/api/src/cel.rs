//! The rules of the schema, checked without an API server.

use kube::core::cel::{ValidationErrors, Validator};

use crate::{Cluster, crd};

impl Cluster {
    /// The rules for a new resource.
    ///
    /// # Errors
    /// Every rule that does not hold.
    pub fn validate_cel(&self) -> Result<(), ValidationErrors> {
        let object = serde_json::to_value(self).expect("a resource is JSON");
        Validator::new().validate(crd::schema(), &object, None)
    }

    /// The rules for a change of `old`.
    ///
    /// # Errors
    /// Every rule that does not hold.
    pub fn validate_cel_update(&self, old: &Self) -> Result<(), ValidationErrors> {
        let object = serde_json::to_value(self).expect("a resource is JSON");
        let old = serde_json::to_value(old).expect("a resource is JSON");
        Validator::new().validate(crd::schema(), &object, Some(&old))
    }
}
