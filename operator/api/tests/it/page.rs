//! The reference page of the manifest. Its tables of fields are written from the schema.

use std::fmt::Write as _;

use rmq_operator_api::{Layout, config, crd};
use serde_json::Value;

use super::tree;

const BEGIN: &str =
    "<!-- from the schema: RMQ_WRITE_DOCS=1 cargo test -p rmq-operator-api writes it anew -->\n";
const END: &str = "<!-- end -->\n";

/// What local processes look at. All else is for Kubernetes.
const LOCAL: [&str; 27] = [
    "layout",
    "clusterName",
    "nameserver.replicas",
    "nameserver.externalAddresses",
    "nameserver.port",
    "nameserver.config",
    "nameserver.storage.type",
    "brokers.groups",
    "brokers.replicasPerGroup",
    "brokers.replication",
    "brokers.sync.minInSync",
    "brokers.namePrefix",
    "brokers.groupOverrides[].name",
    "brokers.groupOverrides[].config",
    "brokers.listenPort",
    "brokers.storage.type",
    "brokers.config",
    "brokers.slaveRead",
    "brokers.actingMaster",
    "brokers.shutdown.gracePeriodSeconds",
    "logging.level",
    "logging.filters",
    "logging.format",
    "metrics.enabled",
    "metrics.port",
    "paused",
    "hibernated",
];

/// One line of a table.
struct Row {
    path: String,
    default: String,
    rule: String,
    meaning: String,
}

fn text<'a>(schema: &'a Value, key: &str) -> &'a str {
    schema.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// Whether what is below `schema` is of Kubernetes' making: its fields are not explained here.
fn is_embedded(schema: &Value) -> bool {
    let properties = schema.get("properties").and_then(Value::as_object);
    properties.is_some_and(|properties| {
        properties.values().any(|property| property.get("description").is_none())
    })
}

/// The fields below `schema`, which stands at `path`.
fn rows(path: &str, schema: &Value, found: &mut Vec<Row>) {
    let required: Vec<&str> = schema
        .get("required")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let rules = schema.get("x-kubernetes-validations").and_then(Value::as_array);
    let fixed: Vec<&str> = rules
        .into_iter()
        .flatten()
        .map(|rule| text(rule, "message"))
        .filter_map(|message| message.strip_suffix(" cannot be changed"))
        .filter_map(|path| path.rsplit('.').next())
        .collect();
    for (name, property) in
        schema.get("properties").and_then(Value::as_object).into_iter().flatten()
    {
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        let items = property.get("items");
        let (inner, path) = match items {
            Some(items) if items.get("properties").is_some() && !is_embedded(items) => {
                (items, format!("{path}[]"))
            }
            Some(_) | None => (property, path),
        };
        if inner.get("properties").is_some() && !is_embedded(inner) {
            rows(&path, inner, found);
            continue;
        }
        let embedded = is_embedded(property) || items.is_some_and(is_embedded);
        let mut parts = bounds(property);
        if embedded {
            parts.push("as in Kubernetes".to_owned());
        }
        if fixed.contains(&name.as_str()) {
            parts.push("fixed".to_owned());
        }
        if !LOCAL.contains(&path.as_str()) {
            parts.push("*k8s*".to_owned());
        }
        let default = match property.get("default") {
            Some(Value::String(text)) => format!("`{text}`"),
            Some(value) => format!("`{value}`"),
            None if required.contains(&name.as_str()) => "required".to_owned(),
            None => String::new(),
        };
        let meaning = text(property, "description").replace('|', "\\|");
        found.push(Row { path, default, rule: parts.join("; "), meaning });
    }
}

/// Bounds in words.
fn bounds(schema: &Value) -> Vec<String> {
    let number = |key: &str| schema.get(key).and_then(Value::as_f64);
    let mut parts = Vec::new();
    if let Some(words) = schema.get("enum").and_then(Value::as_array) {
        let words: Vec<String> =
            words.iter().filter_map(Value::as_str).map(|word| format!("`{word}`")).collect();
        parts.push(words.join(" "));
    } else if schema.get("x-kubernetes-int-or-string").is_some() {
        parts.push("quantity".to_owned());
    } else if text(schema, "pattern").contains("(h|ms|m|s)") {
        parts.push("duration".to_owned());
    } else {
        match text(schema, "type") {
            "boolean" => parts.push("`true` `false`".to_owned()),
            "integer" => parts.push(match (number("minimum"), number("maximum")) {
                (Some(min), Some(max)) => format!("{min} to {max}"),
                _ => "whole number".to_owned(),
            }),
            "array" => parts.push(match number("maxItems") {
                Some(max) => format!("list, at most {max}"),
                None => "list".to_owned(),
            }),
            "object" if schema.get("additionalProperties").is_some() => {
                parts.push(match number("maxProperties") {
                    Some(max) => format!("map, at most {max}"),
                    None => "map".to_owned(),
                });
            }
            "string" => {
                if let Some(max) = number("maxLength") {
                    parts.push(format!("at most {max} characters"));
                }
                if !text(schema, "pattern").is_empty() {
                    parts.push(format!("`{}`", text(schema, "pattern").replace('|', "\\|")));
                }
            }
            _ => {}
        }
    }
    parts
}

fn tables() -> String {
    let spec = crd::schema().pointer("/properties/spec").expect("there is a spec");
    let mut all = Vec::new();
    rows("", spec, &mut all);
    for path in LOCAL {
        assert!(all.iter().any(|row| row.path == path), "there is no field {path}");
    }
    let mut page = String::new();
    for (heading, prefix) in [
        ("spec", ""),
        ("spec.nameserver", "nameserver."),
        ("spec.brokers", "brokers."),
        ("spec.podDefaults", "podDefaults."),
    ] {
        writeln!(
            page,
            "\n### {heading}\n\n| field | default | rule | meaning |\n| --- | --- | --- | --- |"
        )
        .expect("a String takes everything");
        for row in &all {
            let elsewhere = ["nameserver.", "brokers.", "podDefaults."];
            let Some(name) = row.path.strip_prefix(prefix) else { continue };
            if prefix.is_empty() && elsewhere.iter().any(|other| row.path.starts_with(other)) {
                continue;
            }
            // What pods are like is told once.
            if name.starts_with("pod.") && !is_own_pod_field(name) {
                continue;
            }
            let Row { default, rule, meaning, .. } = row;
            writeln!(page, "| `{name}` | {default} | {rule} | {meaning} |")
                .expect("a String takes everything");
        }
    }
    page.push('\n');
    page
}

/// Fields that only brokers' pods have.
fn is_own_pod_field(name: &str) -> bool {
    ["pod.sidecars", "pod.initContainers", "pod.extraVolumes", "pod.extraVolumeMounts"]
        .contains(&name)
}

#[test]
fn the_tables_of_fields_are_those_of_the_schema() {
    let path = tree("docs/operate/manifest.md");
    let page = std::fs::read_to_string(&path).expect("the page is there");
    let (head, rest) = page.split_once(BEGIN).expect("the mark is there");
    let (_, tail) = rest.split_once(END).expect("the second mark is there");
    super::compare(&path, &format!("{head}{BEGIN}{}{END}{tail}", tables()));
}

#[test]
fn every_refused_setting_and_layout_is_on_the_page() {
    let page = std::fs::read_to_string(tree("docs/operate/manifest.md"));
    let page = page.expect("the page is there");
    for name in config::IDENTITY {
        assert!(page.contains(&format!("`{name}`")), "{name}");
    }
    for layout in Layout::ALL {
        assert!(page.contains(&format!("| `{layout}` |")), "{layout}");
    }
}

#[test]
fn every_annotation_is_on_the_page() {
    let page = std::fs::read_to_string(tree("docs/operate/manifest.md"));
    let page = page.expect("the page is there");
    for name in rmq_operator_api::meta::ANNOTATIONS {
        assert!(page.contains(&format!("| `{name}")), "{name}");
    }
}
