//! The token of the control API.

use k8s_openapi::api::core::v1::Secret;

use super::labels::{Of, metadata};
use crate::intent::Intent;
use crate::object::Object;

/// Key of the token in its Secret, and name of the file in pods.
pub const TOKEN_KEY: &str = "token";

/// The Secret without its data, which is generated once where it is created.
pub(super) fn build(intent: &Intent<'_>, objects: &mut Vec<Object>) {
    objects.push(Object::Secret(Box::new(Secret {
        metadata: metadata(intent, intent.names.control_token(), Of::Cluster),
        type_: Some("Opaque".to_owned()),
        ..Secret::default()
    })));
}
