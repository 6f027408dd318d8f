//! The custom resource definition.

use std::sync::LazyLock;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt as _;
use kube::core::Rule;
use serde_json::{Map, Value};

use crate::{Cluster, schema};

/// First line of the file.
const HEADER: &str = "\
# Generated from operator/api; `RMQ_WRITE_DOCS=1 cargo test -p rmq-operator-api` writes it anew.
";

/// The definition as it is installed.
pub fn definition() -> CustomResourceDefinition {
    let mut definition = Cluster::crd();
    for version in &mut definition.spec.versions {
        let schema = version.schema.as_mut().and_then(|schema| schema.open_api_v3_schema.as_mut());
        if let Some(schema) = schema {
            let mut value = serde_json::to_value(&*schema).expect("a schema is JSON");
            tidy(&mut value);
            if let Value::Object(root) = &mut value {
                let rules = serde_json::to_value(root_rules()).expect("rules are JSON");
                root.insert(schema::RULES.to_owned(), rules);
            }
            *schema = serde_json::from_value(value).expect("a tidy schema is a schema");
        }
    }
    definition
}

/// Rules of the whole resource. They hold for ever: every write runs them, those of the status too,
/// so a stricter one would lock out what exists.
fn root_rules() -> [Rule; 2] {
    [
        schema::rule(
            "self.metadata.name.size() <= 40",
            "metadata.name is longer than 40 characters: names of pods are made of it",
        ),
        schema::rule(
            "self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",
            "metadata.name must be lower-case letters, digits and `-`, beginning with a letter: \
             names of Services are made of it",
        ),
    ]
}

/// The definition as a file.
pub fn yaml() -> String {
    let mut definition = serde_json::to_value(definition()).expect("a definition is JSON");
    whole_numbers(&mut definition);
    let yaml = serde_yaml::to_string(&definition).expect("a definition is YAML");
    format!("{HEADER}{yaml}")
}

/// Writes `9.0` as `9`: bounds have a type for fractions, but none has any.
fn whole_numbers(value: &mut Value) {
    match value {
        Value::Number(number) => {
            if let Ok(whole) = number.to_string().trim_end_matches(".0").parse::<i64>() {
                *number = whole.into();
            }
        }
        Value::Array(items) => items.iter_mut().for_each(whole_numbers),
        Value::Object(fields) => fields.values_mut().for_each(whole_numbers),
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}

/// The schema of a whole resource, metadata left open.
pub fn schema() -> &'static Value {
    static SCHEMA: LazyLock<Value> = LazyLock::new(|| {
        let mut versions = definition().spec.versions;
        let schema = versions.pop().and_then(|version| version.schema?.open_api_v3_schema);
        serde_json::to_value(schema).expect("a schema is JSON")
    });
    &SCHEMA
}

/// Makes of a generated schema what an API server should have:
/// - `null` is no value: with it a field would be given and empty at the same time;
/// - descriptions lose the line breaks that they have in the source;
/// - formats that it does not know, such as `uint16`, go: bounds say the same;
/// - a default that its own fields' defaults add up to becomes `{}`, one that is empty goes.
fn tidy(schema: &mut Value) {
    let Value::Object(schema) = schema else { return };
    schema.remove("nullable");
    if let Some(Value::String(text)) = schema.get_mut("description") {
        *text = text.replace("\n\n", "\r").replace('\n', " ").replace('\r', "\n\n");
    }
    if schema.get("format").and_then(Value::as_str).is_some_and(|format| format.starts_with("uint"))
    {
        schema.remove("format");
    }
    for inner in ["items", "additionalProperties"] {
        if let Some(inner) = schema.get_mut(inner) {
            tidy(inner);
        }
    }
    let Some(Value::Object(properties)) = schema.get_mut("properties") else { return };
    for property in properties.values_mut() {
        tidy(property);
        let Value::Object(property) = property else { continue };
        let made = Value::Object(defaults(property));
        if let Some(given) = property.get_mut("default") {
            without_empty(given);
        }
        match property.get("default") {
            Some(Value::Object(given)) if given.is_empty() => {
                property.remove("default");
            }
            Some(given) if *given == made => {
                property.insert("default".to_owned(), Value::Object(Map::new()));
            }
            Some(_) | None => {}
        }
    }
}

/// Removes empty objects from a default, which say nothing.
fn without_empty(value: &mut Value) {
    let Value::Object(fields) = value else { return };
    fields.values_mut().for_each(without_empty);
    fields.retain(|_, field| !field.as_object().is_some_and(Map::is_empty));
}

/// What the API server makes of an empty object.
fn defaults(schema: &Map<String, Value>) -> Map<String, Value> {
    let Some(Value::Object(properties)) = schema.get("properties") else { return Map::new() };
    let mut made = Map::new();
    for (name, property) in properties {
        let Value::Object(property) = property else { continue };
        match property.get("default") {
            Some(Value::Object(given)) if given.is_empty() => {
                made.insert(name.clone(), Value::Object(defaults(property)));
            }
            Some(given) => {
                made.insert(name.clone(), given.clone());
            }
            None => {}
        }
    }
    made
}
