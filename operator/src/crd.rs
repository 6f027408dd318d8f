//! Whether the installed definition of the resource knows what this operator needs.

use crate::apiserver::{bounded, found};
use crate::error::Error;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{Api, Client, ResourceExt as _};
use rmq_operator_api::crd;
use serde_json::Value;

/// How the installed definition compares with the operator's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Installed {
    /// It knows every field.
    Current,
    /// It is older: the API server silently drops these fields from resources.
    Outdated { missing: Vec<String> },
    /// There is none.
    Missing,
}

/// Reads the installed definition and compares.
///
/// # Errors
/// When it cannot be read, as a role for single namespaces may not.
pub(crate) async fn check(client: &Client) -> Result<Installed, Error> {
    let own = crd::definition();
    let name = own.name_any();
    let api: Api<CustomResourceDefinition> = Api::all(client.clone());
    let read = bounded(format!("read CustomResourceDefinition {name}"), api.get(&name)).await;
    Ok(found(read)?.map_or(Installed::Missing, |installed| compare(&own, &installed)))
}

fn compare(own: &CustomResourceDefinition, installed: &CustomResourceDefinition) -> Installed {
    let mut missing = Vec::new();
    for version in &own.spec.versions {
        let known = installed.spec.versions.iter().find(|one| one.name == version.name);
        match known {
            Some(known) => lacking(&schema(version), &schema(known), &version.name, &mut missing),
            None => missing.push(version.name.clone()),
        }
    }
    if missing.is_empty() { Installed::Current } else { Installed::Outdated { missing } }
}

type Version =
    k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinitionVersion;

fn schema(version: &Version) -> Value {
    let schema = version.schema.as_ref().and_then(|one| one.open_api_v3_schema.as_ref());
    schema.and_then(|schema| serde_json::to_value(schema).ok()).unwrap_or_default()
}

/// Adds the paths of the properties that `wanted` has and `known` lacks.
fn lacking(wanted: &Value, known: &Value, path: &str, missing: &mut Vec<String>) {
    for inner in ["items", "additionalProperties"] {
        if let (Some(wanted), Some(known)) = (wanted.get(inner), known.get(inner)) {
            lacking(wanted, known, &format!("{path}[]"), missing);
        }
    }
    let Some(properties) = wanted.get("properties").and_then(Value::as_object) else { return };
    // A part that is kept whatever is in it needs no list of fields.
    if known.get("x-kubernetes-preserve-unknown-fields") == Some(&Value::Bool(true)) {
        return;
    }
    for (name, wanted) in properties {
        let path = format!("{path}.{name}");
        match known.get("properties").and_then(|known| known.get(name)) {
            Some(known) => lacking(wanted, known, &path, missing),
            None => missing.push(path),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mock::{Server, on_runtime};

    const PATH: &str =
        "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/rocketmqclusters.rocketmq.rs";

    #[test]
    fn the_own_definition_is_current_an_older_one_is_not() {
        on_runtime(async {
            let own = serde_json::to_value(crd::definition()).expect("JSON");
            let mut old = own.clone();
            let properties = old
                .pointer_mut("/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties")
                .and_then(Value::as_object_mut)
                .expect("it has a spec");
            properties.remove("hibernated").expect("it has this field");
            let (client, mut server) = Server::new();
            let script = async {
                server.expect("GET", PATH).reply(own).await;
                server.expect("GET", PATH).reply(old).await;
                server.expect("GET", PATH).not_found().await;
                server.expect("GET", PATH).status(403, "Forbidden", "no").await;
            };
            let work = async {
                assert_eq!(check(&client).await.expect("answered"), Installed::Current);
                let missing = vec!["v1alpha1.spec.hibernated".to_owned()];
                assert_eq!(
                    check(&client).await.expect("answered"),
                    Installed::Outdated { missing }
                );
                assert_eq!(check(&client).await.expect("answered"), Installed::Missing);
                assert_eq!(check(&client).await.expect_err("refused").code(), Some(403));
            };
            tokio::join!(script, work);
        });
    }
}
