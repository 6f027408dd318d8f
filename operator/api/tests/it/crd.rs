//! The committed definition, and what an API server asks of one.

use std::path::PathBuf;

use rmq_operator_api::crd;
use serde_json::Value;

use super::tree;

fn file() -> PathBuf {
    tree("crds/rocketmq.rs_rocketmqclusters.yaml")
}

#[test]
fn the_committed_definition_is_the_generated_one() {
    super::compare(&file(), &crd::yaml());
}

#[test]
fn clients_can_apply_it() {
    // `kubectl apply` stores the whole object as JSON in an annotation of at most 262,144 bytes.
    let bytes = serde_json::to_vec(&crd::definition()).expect("JSON").len();
    assert!(bytes < 150_000, "{bytes} bytes");
}

/// Calls `look` for every schema in `schema`, with its path.
fn walk(path: &str, schema: &Value, look: &mut impl FnMut(&str, &Value)) {
    look(path, schema);
    for (name, property) in
        schema.get("properties").and_then(Value::as_object).into_iter().flatten()
    {
        walk(&format!("{path}.{name}"), property, look);
    }
    for (inner, mark) in [("items", "[]"), ("additionalProperties", "{}")] {
        if let Some(inner) = schema.get(inner) {
            walk(&format!("{path}{mark}"), inner, look);
        }
    }
}

#[test]
fn the_schema_is_structural_and_knows_no_null() {
    let mut seen = 0;
    walk("", crd::schema(), &mut |path, schema| {
        seen += 1;
        let typed = schema.get("type").and_then(Value::as_str).is_some();
        let free = ["x-kubernetes-int-or-string", "x-kubernetes-preserve-unknown-fields"]
            .iter()
            .any(|mark| schema.get(mark) == Some(&Value::Bool(true)));
        assert!(typed || free, "{path} has no type: {schema}");
        assert!(schema.get("nullable").is_none(), "{path} may be null");
        for keyword in ["$ref", "definitions", "oneOf", "anyOf", "allOf", "not", "uniqueItems"] {
            assert!(schema.get(keyword).is_none(), "{path} has {keyword}");
        }
        let format = schema.get("format").and_then(Value::as_str).unwrap_or("int32");
        assert!(
            ["int32", "int64", "double", "date-time", "byte"].contains(&format),
            "{path}: {format}"
        );
        let default = schema.get("default");
        assert!(default != Some(&Value::Null), "{path} has the default null");
    });
    assert!(500 < seen, "{seen} nodes");
}

#[test]
fn rules_within_lists_and_maps_have_bounds() {
    // Without a bound the API server takes the longest list that fits a request, and refuses the
    // definition for the cost of its rules.
    fn has_rules(schema: &Value) -> bool {
        let mut found = false;
        walk("", schema, &mut |_, inner| found |= inner.get("x-kubernetes-validations").is_some());
        found
    }
    walk("", crd::schema(), &mut |path, schema| {
        if schema.get("items").is_some_and(has_rules) {
            assert!(schema.get("maxItems").is_some(), "{path} has no maxItems");
        }
        if schema.get("additionalProperties").is_some_and(has_rules) {
            assert!(schema.get("maxProperties").is_some(), "{path} has no maxProperties");
        }
    });
}

#[test]
fn every_rule_says_in_words_what_is_wrong() {
    let mut rules = 0;
    walk("", crd::schema(), &mut |path, schema| {
        let all = schema.get("x-kubernetes-validations").and_then(Value::as_array);
        for rule in all.into_iter().flatten() {
            rules += 1;
            let message = rule.get("message").and_then(Value::as_str).unwrap_or_default();
            assert!(!message.is_empty(), "{path}: {rule}");
        }
    });
    assert!(25 < rules, "{rules} rules");
}

#[test]
fn our_own_fields_are_explained_and_those_of_kubernetes_are_not() {
    let schema = crd::schema();
    let at = |path: &str| schema.pointer(path).and_then(Value::as_str).unwrap_or_default();
    let brokers = "/properties/spec/properties/brokers/properties";
    assert_eq!(
        at(&format!("{brokers}/groups/description")),
        "Broker groups, that is masters; overrides the layout's number."
    );
    assert!(!at(&format!("{brokers}/pod/properties/affinity/description")).is_empty());
    assert_eq!(at(&format!("{brokers}/pod/properties/sidecars/items/description")), "");
    let mut unexplained = Vec::new();
    walk("", schema, &mut |path, schema| {
        let embedded =
            path.contains("affinity.") || path.contains("[].") || path.contains("ontext.");
        let ours = path.starts_with(".spec.") && path.matches('.').count() <= 3 && !embedded;
        if ours && !path.ends_with(['}', ']']) && schema.get("description").is_none() {
            unexplained.push(path.to_owned());
        }
    });
    assert_eq!(unexplained, Vec::<String>::new());
}

#[test]
fn static_defaults_are_in_the_schema() {
    let schema = crd::schema();
    let spec = "/properties/spec/properties";
    for (path, default) in [
        ("nameserver", "{}"),
        ("nameserver/properties/port", "9876"),
        ("nameserver/properties/storage", "{}"),
        ("nameserver/properties/storage/properties/type", "\"Ephemeral\""),
        ("brokers/properties/namePrefix", "\"broker\""),
        ("brokers/properties/update", "{}"),
        ("brokers/properties/update/properties/inSyncTimeout", "\"30m\""),
        ("brokers/properties/storage/properties/type", "\"PersistentVolumeClaim\""),
        (
            "brokers/properties/resources",
            "{\"limits\":{\"memory\":\"2Gi\"},\"requests\":{\"cpu\":\"500m\",\"memory\":\"1Gi\"}}",
        ),
        ("metrics", "{}"),
        ("metrics/properties/enabled", "true"),
        ("logging/properties/level", "\"info\""),
        ("security", "{}"),
        ("paused", "false"),
    ] {
        let found = schema.pointer(&format!("{spec}/{path}/default"));
        let default: Value = serde_json::from_str(default).expect("JSON");
        assert_eq!(found, Some(&default), "{path}");
    }
    // What depends on other fields is resolved by the operator; empty defaults say nothing.
    for path in ["brokers", "brokers/properties/groups", "image", "podDefaults", "clusterName"] {
        assert_eq!(schema.pointer(&format!("{spec}/{path}/default")), None, "{path}");
    }
}

#[test]
fn names_columns_and_subresources() {
    let definition = crd::definition();
    assert_eq!(definition.metadata.name.as_deref(), Some("rocketmqclusters.rocketmq.rs"));
    let names = &definition.spec.names;
    assert_eq!(names.kind, rmq_operator_api::KIND);
    assert_eq!(names.short_names.as_deref(), Some(["rmq".to_owned()].as_slice()));
    assert_eq!(names.categories.as_deref(), Some(["rocketmq".to_owned()].as_slice()));
    let [version] = definition.spec.versions.as_slice() else { panic!("one version") };
    assert_eq!(
        format!("{}/{}", definition.spec.group, version.name),
        rmq_operator_api::API_VERSION
    );
    let columns: Vec<&str> = version
        .additional_printer_columns
        .iter()
        .flatten()
        .map(|column| column.name.as_str())
        .collect();
    assert_eq!(
        columns,
        ["Layout", "Groups", "Phase", "Ready", "Version", "Age", "Namesrv", "Message"]
    );
    let subresources = version.subresources.as_ref().expect("subresources");
    assert!(subresources.status.is_some());
    let scale = subresources.scale.as_ref().expect("scale");
    assert_eq!(scale.spec_replicas_path, ".spec.brokers.groups");
    let selectable = version.selectable_fields.iter().flatten();
    let paths: Vec<&str> = selectable.map(|field| field.json_path.as_str()).collect();
    assert_eq!(paths, [".spec.layout", ".status.phase"]);
}
