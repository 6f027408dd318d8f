//! The rules a cluster must keep, as the API server will check them too.

use std::fmt;

use crate::brokers::GroupOverride;
use crate::cluster::Cluster;
use crate::config::{self, Component};
use crate::image::Image;
use crate::layout::Layout;
use crate::nameserver::NameServer;
use crate::pod::{Pod, Resources, is_reserved_env};
use crate::quantity::Quantity;

mod brokers;

/// One broken rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Path of the field, such as `spec.brokers.groups`.
    pub path: String,
    /// The value as written; none where a value is missing.
    pub value: Option<String>,
    /// What the value must be, worded to follow it.
    pub rule: String,
}

impl Violation {
    pub(crate) fn new(
        path: impl Into<String>,
        value: impl fmt::Display,
        rule: impl Into<String>,
    ) -> Self {
        let value = value.to_string().chars().take(128).collect();
        Self { path: path.into(), value: Some(value), rule: rule.into() }
    }

    pub(crate) fn missing(path: impl Into<String>, rule: impl Into<String>) -> Self {
        Self { path: path.into(), value: None, rule: rule.into() }
    }

    /// Value and rule without the path.
    pub fn message(&self) -> String {
        match &self.value {
            Some(value) => format!("`{value}` {}", self.rule),
            None => self.rule.clone(),
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.message())
    }
}

/// Everything about `cluster` that breaks a rule; nothing if it may be planned.
pub fn validate(cluster: &Cluster) -> Vec<Violation> {
    let mut found = Vec::new();
    name_rules(cluster, &mut found);
    let spec = &cluster.spec;
    if let Some(version) = &spec.version {
        tag_rule("spec.version", version, 64, &mut found);
    }
    image_rules("spec.image", &spec.image, &mut found);
    metrics_rules(cluster, &mut found);
    at_most("spec.logging.filters", spec.logging.filters.len(), 64, &mut found);
    for target in spec.logging.filters.keys() {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b':' | b'-');
        if !(1..=128).contains(&target.len()) || !target.bytes().all(plain) {
            found.push(Violation::new(
                "spec.logging.filters",
                target,
                "must be the target of log events, such as rmq_store",
            ));
        }
    }
    pod_rules("spec.podDefaults", &spec.pod_defaults, &mut found);
    let clients = &spec.security.network_policy.clients;
    at_most("spec.security.networkPolicy.clients", clients.len(), 64, &mut found);
    name_server_rules(&spec.nameserver, &mut found);
    layout_rules(cluster, &mut found);
    brokers::rules(cluster, &mut found);
    found
}

fn name_rules(cluster: &Cluster, found: &mut Vec<Violation>) {
    let name = cluster.name();
    if name.is_empty() {
        found.push(Violation::missing("metadata.name", "is required"));
    } else if !is_cluster_name(name) || name.starts_with(|first: char| first.is_ascii_digit()) {
        found.push(Violation::new(
            "metadata.name",
            name,
            "must be 1 to 40 lower-case letters, digits and `-`, beginning with a letter and not \
             ending with `-`",
        ));
    }
    if let Some(cluster_name) = &cluster.spec.cluster_name {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
        if !(1..=63).contains(&cluster_name.len()) || !cluster_name.bytes().all(plain) {
            found.push(Violation::new(
                "spec.clusterName",
                cluster_name,
                "must be 1 to 63 letters, digits, `_` and `-`",
            ));
        }
    }
}

/// What may not change from `old` to `new`, which have the same name.
pub fn validate_update(old: &Cluster, new: &Cluster) -> Vec<Violation> {
    let mut kept = Kept(Vec::new());
    kept.value("spec.clusterName", &old.cluster_name(), &new.cluster_name());
    let (was, is) = (&old.spec.brokers, &new.spec.brokers);
    kept.value("spec.brokers.namePrefix", &was.name_prefix, &is.name_prefix);
    let path = |field: &str| format!("spec.brokers.storage.{field}");
    let (before, after) = (&was.storage, &is.storage);
    kept.value(&path("type"), &before.kind, &after.kind);
    kept.value(&path("className"), &text(&before.class_name), &text(&after.class_name));
    kept.value(&path("accessMode"), &before.access_mode, &after.access_mode);
    if let (Some(before), Some(after)) = (&before.size, &after.size) {
        kept.size(&path("size"), before, after);
    }
    match (&before.commit_log, &after.commit_log) {
        (Some(before), Some(after)) => {
            let class = path("commitLog.className");
            kept.value(&class, &text(&before.class_name), &text(&after.class_name));
            kept.size(&path("commitLog.size"), &before.size, &after.size);
        }
        (None, None) => {}
        (before, _) => {
            let volume = |there| if there { "a volume" } else { "none" };
            kept.value(&path("commitLog"), &volume(before.is_some()), &volume(before.is_none()));
        }
    }
    for (index, one) in is.group_overrides.iter().enumerate() {
        let class = |one: &GroupOverride| {
            one.storage.as_ref().map(|storage| text(&storage.class_name).to_owned())
        };
        if let Some(before) = was.group_overrides.iter().find(|other| other.name == one.name) {
            let path = format!("spec.brokers.groupOverrides[{index}].storage.className");
            let (before, after) = (class(before), class(one));
            kept.value(&path, &text(&before), &text(&after));
        }
    }
    let path = |field: &str| format!("spec.nameserver.storage.{field}");
    let (before, after) = (&old.spec.nameserver.storage, &new.spec.nameserver.storage);
    kept.value(&path("type"), &before.kind, &after.kind);
    kept.value(&path("className"), &text(&before.class_name), &text(&after.class_name));
    kept.size(&path("size"), &before.size, &after.size);
    kept.0
}

/// Collects what was not kept.
struct Kept(Vec<Violation>);

impl Kept {
    fn value(&mut self, path: &str, old: &dyn fmt::Display, new: &dyn fmt::Display) {
        let (old, new) = (old.to_string(), new.to_string());
        if old != new {
            let rule = format!("cannot replace `{old}`: it is immutable");
            self.0.push(Violation::new(path, new, rule));
        }
    }

    fn size(&mut self, path: &str, old: &Quantity, new: &Quantity) {
        if new.milli() < old.milli() {
            let rule = format!("is less than before (`{old}`): volumes cannot shrink");
            self.0.push(Violation::new(path, new, rule));
        }
    }
}

fn text(value: &Option<String>) -> &str {
    value.as_deref().unwrap_or_default()
}

/// Whether `text` can be the name of a cluster: a DNS label of at most 40 characters, which is
/// also safe as the name of a directory.
pub fn is_cluster_name(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    text.len() <= 40
        && text.bytes().all(|byte| plain(byte) || byte == b'-')
        && text.bytes().next().is_some_and(plain)
        && text.bytes().last().is_some_and(plain)
}

fn in_range(
    path: &str,
    value: u32,
    range: std::ops::RangeInclusive<u32>,
    found: &mut Vec<Violation>,
) {
    if !range.contains(&value) {
        let rule = format!("must be {} to {}", range.start(), range.end());
        found.push(Violation::new(path, value, rule));
    }
}

fn metrics_rules(cluster: &Cluster, found: &mut Vec<Violation>) {
    let port = cluster.spec.metrics.port;
    let listen = cluster.spec.brokers.listen_port;
    if port == 0 {
        found.push(Violation::new("spec.metrics.port", 0, "must be 1 to 65535"));
    } else if cluster.spec.metrics.enabled
        && (matches!(i32::from(port) - i32::from(cluster.spec.nameserver.port), 0 | 2)
            || port.abs_diff(listen) <= 2)
    {
        let rule = "is a port of the brokers or name servers: every process needs one more";
        found.push(Violation::new("spec.metrics.port", port, rule));
    }
}

fn name_server_rules(name_server: &NameServer, found: &mut Vec<Violation>) {
    const ADDRESSES: &str = "spec.nameserver.externalAddresses";
    if let Some(replicas) = name_server.replicas {
        in_range("spec.nameserver.replicas", replicas, 1..=9, found);
        if !name_server.external_addresses.is_empty() {
            found.push(Violation::new(
                "spec.nameserver.replicas",
                replicas,
                "excludes externalAddresses: give one of the two",
            ));
        }
    }
    if 16 < name_server.external_addresses.len() {
        let count = format!("{} addresses", name_server.external_addresses.len());
        found.push(Violation::new(ADDRESSES, count, "are more than 16"));
    }
    for (index, address) in name_server.external_addresses.iter().enumerate() {
        let valid = address.rsplit_once(':').is_some_and(|(host, port)| {
            let plain = |char: char| char.is_ascii_graphic() && !matches!(char, ';' | ',' | '=');
            !host.is_empty()
                && host.len() <= 253
                && host.chars().all(plain)
                && port.parse::<u16>().is_ok_and(|port| port != 0)
        });
        if !valid {
            found.push(Violation::new(
                format!("{ADDRESSES}[{index}]"),
                address,
                "must be host:port",
            ));
        }
    }
    // The control port is two above it.
    in_range("spec.nameserver.port", name_server.port.into(), 1..=65533, found);
    if name_server.service.node_port == Some(0) {
        found.push(Violation::new("spec.nameserver.service.nodePort", 0, "must be 1 to 65535"));
    }
    in_range("spec.nameserver.pdb.maxUnavailable", name_server.pdb.max_unavailable, 0..=9, found);
    resources_rules("spec.nameserver.resources", &name_server.resources, found);
    image_rules("spec.nameserver.image", &name_server.image, found);
    pod_rules("spec.nameserver.pod", &name_server.pod, found);
    settings_rules("spec.nameserver.config", Component::NameServer, &name_server.config, found);
}

fn layout_rules(cluster: &Cluster, found: &mut Vec<Violation>) {
    let brokers = &cluster.spec.brokers;
    let layout = cluster.spec.layout;
    let given = [
        ("groups", brokers.groups.map(|groups| groups.to_string())),
        ("replicasPerGroup", brokers.replicas_per_group.map(|replicas| replicas.to_string())),
        ("replication", brokers.replication.map(|replication| replication.to_string())),
    ];
    for (field, value) in given {
        let path = format!("spec.brokers.{field}");
        match value {
            None if layout == Layout::Custom => {
                found.push(Violation::missing(path, "is required with layout Custom"));
            }
            Some(value) if layout != Layout::Custom && field != "groups" => {
                let rule = format!("is allowed only with layout Custom, not with {layout}");
                found.push(Violation::new(path, value, rule));
            }
            Some(_) | None => {}
        }
    }
}

fn at_most(path: &str, count: usize, max: usize, found: &mut Vec<Violation>) {
    if max < count {
        let rule = format!("are more than {max}");
        found.push(Violation::new(path, format!("{count} entries"), rule));
    }
}

fn tag_rule(path: &str, tag: &str, max: usize, found: &mut Vec<Violation>) {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    if !(1..=max).contains(&tag.len()) || !tag.bytes().all(plain) || tag.starts_with(['.', '-']) {
        let rule = format!(
            "must be 1 to {max} letters, digits, `_`, `.` and `-`, beginning with none of the last two"
        );
        found.push(Violation::new(path, tag, rule));
    }
}

fn image_rules(path: &str, image: &Image, found: &mut Vec<Violation>) {
    for (field, value, max) in
        [("registry", &image.registry, 253), ("repository", &image.repository, 255)]
    {
        if let Some(value) = value
            && (!(1..=max).contains(&value.len())
                || !value.bytes().all(|byte| byte.is_ascii_graphic()))
        {
            let rule = format!("must be 1 to {max} characters without blanks");
            found.push(Violation::new(format!("{path}.{field}"), value, rule));
        }
    }
    if let Some(tag) = &image.tag {
        tag_rule(&format!("{path}.tag"), tag, 128, found);
    }
    if let Some(digest) = &image.digest {
        let hex = |byte: u8| byte.is_ascii_digit() || matches!(byte, b'a'..=b'f');
        let valid = digest
            .strip_prefix("sha256:")
            .is_some_and(|hash| hash.len() == 64 && hash.bytes().all(hex));
        if !valid {
            let rule = "must be sha256: and 64 lower-case hexadecimal digits";
            found.push(Violation::new(format!("{path}.digest"), digest, rule));
        }
    }
    at_most(&format!("{path}.pullSecrets"), image.pull_secrets.len(), 16, found);
}

fn resources_rules(path: &str, resources: &Resources, found: &mut Vec<Violation>) {
    for (name, request) in &resources.requests {
        if let Some(limit) = resources.limits.get(name)
            && limit.milli() < request.milli()
        {
            let rule = format!("is more than the limit (`{limit}`)");
            found.push(Violation::new(format!("{path}.requests.{name}"), request, rule));
        }
    }
    at_most(&format!("{path}.requests"), resources.requests.len(), 16, found);
    at_most(&format!("{path}.limits"), resources.limits.len(), 16, found);
}

fn pod_rules(path: &str, pod: &Pod, found: &mut Vec<Violation>) {
    for (index, variable) in pod.env.iter().enumerate() {
        if is_reserved_env(&variable.name) {
            found.push(Violation::new(
                format!("{path}.env[{index}].name"),
                &variable.name,
                "cannot be set: the operator gives pods RMQ_* and what describes the pod",
            ));
        }
    }
    for (field, count, max) in [
        ("labels", pod.labels.len(), 64),
        ("annotations", pod.annotations.len(), 64),
        ("nodeSelector", pod.node_selector.len(), 64),
        ("tolerations", pod.tolerations.len(), 64),
        ("topologySpreadConstraints", pod.topology_spread_constraints.len(), 16),
        ("hostAliases", pod.host_aliases.len(), 64),
        ("env", pod.env.len(), 64),
    ] {
        at_most(&format!("{path}.{field}"), count, max, found);
    }
}

fn settings_rules(
    path: &str,
    component: Component,
    settings: &std::collections::BTreeMap<String, String>,
    found: &mut Vec<Violation>,
) {
    if config::SETTINGS_MAX < settings.len() {
        let count = format!("{} settings", settings.len());
        found.push(Violation::new(path, count, format!("are more than {}", config::SETTINGS_MAX)));
    }
    for (name, value) in settings {
        let at = || format!("{path}.{name}");
        if !config::is_name(name) || config::NAME_CHARS_MAX < name.len() {
            let rule = format!(
                "must be 1 to {} letters, digits, `.`, `_` and `-`",
                config::NAME_CHARS_MAX
            );
            found.push(Violation::new(path, name, rule));
        } else if config::is_identity(name) {
            let rule = "cannot be set: it is derived from the rest of the manifest";
            found.push(Violation::new(at(), value, rule));
        } else if config::VALUE_CHARS_MAX < value.chars().count() {
            let rule = format!("is longer than {} characters", config::VALUE_CHARS_MAX);
            found.push(Violation::new(at(), value, rule));
        } else if value.chars().any(char::is_control) {
            found.push(Violation::new(
                at(),
                value.escape_debug(),
                "must not contain control characters",
            ));
        } else if let Some(key) = config::key(component, name)
            && !value.trim().is_empty()
            && !key.kind.accepts(value)
        {
            found.push(Violation::new(at(), value, format!("must be {}", key.kind.rule())));
        }
    }
}

#[cfg(test)]
mod tests;
