//! The reference page of the manifest knows every field there is.

use std::path::Path;

/// The fields that are allowed at `path`, out of the message that refuses another one.
fn fields(nest: &str) -> Vec<String> {
    let spec = nest.replace('#', "surelyUnknown: 1");
    let text = format!("{{apiVersion: rocketmq.rs/v1alpha1, kind: RocketMQCluster, {spec}}}");
    let errors = rmq_operator_api::manifest::read(&text).expect_err("an unknown field");
    let message = errors.first().map(ToString::to_string).unwrap_or_default();
    let (_, list) = message.split_once("expected ").unwrap_or(("", ""));
    let names: Vec<String> = list.split('`').skip(1).step_by(2).map(str::to_owned).collect();
    assert!(!names.is_empty(), "{nest}: {message}");
    names
}

#[test]
fn every_field_is_on_the_page() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/operate/manifest.md");
    let page = std::fs::read_to_string(page).expect("the page is there");
    let sections: [(&str, &str, &str); 13] = [
        ("### metadata", "", "metadata: {#}"),
        ("### spec", "", "metadata: {name: a}, spec: {#}"),
        ("### spec", "logging.", "metadata: {name: a}, spec: {logging: {#}}"),
        ("### spec", "metrics.", "metadata: {name: a}, spec: {metrics: {#}}"),
        ("### spec", "deletionPolicy.", "metadata: {name: a}, spec: {deletionPolicy: {#}}"),
        ("### spec.nameserver", "", "metadata: {name: a}, spec: {nameserver: {#}}"),
        (
            "### spec.nameserver",
            "storage.",
            "metadata: {name: a}, spec: {nameserver: {storage: {#}}}",
        ),
        ("### spec.brokers", "", "metadata: {name: a}, spec: {brokers: {#}}"),
        ("### spec.brokers", "sync.", "metadata: {name: a}, spec: {brokers: {sync: {#}}}"),
        ("### spec.brokers", "storage.", "metadata: {name: a}, spec: {brokers: {storage: {#}}}"),
        ("### spec.brokers", "shutdown.", "metadata: {name: a}, spec: {brokers: {shutdown: {#}}}"),
        (
            "### spec.brokers",
            "resources.",
            "metadata: {name: a}, spec: {brokers: {resources: {#}}}",
        ),
        (
            "### spec.brokers",
            "groupOverrides[].",
            "metadata: {name: a}, spec: {brokers: {groupOverrides: [{#}]}}",
        ),
    ];
    for (heading, prefix, nest) in sections {
        let (_, rest) = page.split_once(&format!("{heading}\n")).expect(heading);
        let section = rest.split("\n#").next().unwrap_or_default();
        for field in fields(nest) {
            let name = format!("{prefix}{field}");
            // A field with fields of its own is described through them.
            let known = [format!("`{name}`"), format!("`{name}."), format!("`{name}[].")];
            assert!(known.iter().any(|known| section.contains(known)), "{heading}: {name}");
        }
    }
}

#[test]
fn every_refused_setting_and_layout_is_on_the_page() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/operate/manifest.md");
    let page = std::fs::read_to_string(page).expect("the page is there");
    for name in rmq_operator_api::config::IDENTITY {
        assert!(page.contains(&format!("`{name}`")), "{name}");
    }
    for layout in rmq_operator_api::Layout::ALL {
        assert!(page.contains(&format!("| `{layout}` |")), "{layout}");
    }
}
