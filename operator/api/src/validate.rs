//! The rules a cluster must keep, as the API server will check them too.

use std::fmt;

use crate::brokers::{Brokers, Storage, StorageType};
use crate::cluster::Cluster;
use crate::config;
use crate::layout::Layout;
use crate::nameserver::NameServer;

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

    fn missing(path: impl Into<String>, rule: impl Into<String>) -> Self {
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
    let name = &cluster.metadata.name;
    if !is_cluster_name(name) {
        found.push(Violation::new(
            "metadata.name",
            name,
            "must be 1 to 40 lower-case letters, digits and `-`, a letter or digit at both ends",
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
    metrics_rules(cluster, &mut found);
    for target in cluster.spec.logging.filters.keys() {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b':' | b'-');
        if target.is_empty() || !target.bytes().all(plain) {
            found.push(Violation::new(
                "spec.logging.filters",
                target,
                "must be the target of log events, such as rmq_store",
            ));
        }
    }
    name_server_rules(&cluster.spec.nameserver, &mut found);
    layout_rules(cluster, &mut found);
    broker_rules(cluster, &mut found);
    found
}

/// What may not change from `old` to `new`, which have the same name.
pub fn validate_update(old: &Cluster, new: &Cluster) -> Vec<Violation> {
    let mut found = Vec::new();
    let mut keep = |path: &str, old: &dyn fmt::Display, new: &dyn fmt::Display| {
        let (old, new) = (old.to_string(), new.to_string());
        if old != new {
            found.push(Violation::new(
                path,
                new,
                format!("cannot replace `{old}`: it is immutable"),
            ));
        }
    };
    keep("spec.clusterName", &old.cluster_name(), &new.cluster_name());
    let (old_brokers, new_brokers) = (&old.spec.brokers, &new.spec.brokers);
    keep("spec.brokers.namePrefix", &old_brokers.name_prefix, &new_brokers.name_prefix);
    let (old_volume, new_volume) = (&old_brokers.storage, &new_brokers.storage);
    keep("spec.brokers.storage.type", &old_volume.broker_kind(), &new_volume.broker_kind());
    let class = |storage: &Storage| storage.class_name.clone().unwrap_or_default();
    keep("spec.brokers.storage.className", &class(old_volume), &class(new_volume));
    let (old_state, new_state) = (&old.spec.nameserver.storage, &new.spec.nameserver.storage);
    keep(
        "spec.nameserver.storage.type",
        &old_state.name_server_kind(),
        &new_state.name_server_kind(),
    );
    if let (Some(old_size), Some(new_size)) = (&old_volume.size, &new_volume.size)
        && new_size.milli() < old_size.milli()
    {
        found.push(Violation::new(
            "spec.brokers.storage.size",
            new_size,
            format!("is less than before (`{old_size}`): volumes cannot shrink"),
        ));
    }
    found
}

impl Storage {
    /// Kind of a broker's volume.
    pub fn broker_kind(&self) -> StorageType {
        self.kind.unwrap_or(StorageType::PersistentVolumeClaim)
    }

    /// Kind of a name server's volume.
    pub fn name_server_kind(&self) -> StorageType {
        self.kind.unwrap_or(StorageType::Ephemeral)
    }
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
        && (port == cluster.spec.nameserver.port || port.abs_diff(listen) <= 2)
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
    if name_server.port == 0 {
        found.push(Violation::new("spec.nameserver.port", 0, "must be 1 to 65535"));
    }
    settings_rules("spec.nameserver.config", &name_server.config, found);
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

fn broker_rules(cluster: &Cluster, found: &mut Vec<Violation>) {
    let brokers = &cluster.spec.brokers;
    if let Some(groups) = brokers.groups {
        in_range("spec.brokers.groups", groups, 1..=64, found);
    }
    if let Some(replicas) = brokers.replicas_per_group {
        in_range("spec.brokers.replicasPerGroup", replicas, 1..=7, found);
    }
    let replicas = cluster.shape().replicas_per_group;
    let in_sync = brokers.sync.min_in_sync;
    if in_sync == 0 || replicas < in_sync {
        let rule = format!("must be 1 to {replicas}, the replicas of a group");
        found.push(Violation::new("spec.brokers.sync.minInSync", in_sync, rule));
    }
    let prefix = &brokers.name_prefix;
    let tail = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if !prefix.starts_with(|first: char| first.is_ascii_lowercase())
        || 16 < prefix.len()
        || !prefix.bytes().all(tail)
    {
        found.push(Violation::new(
            "spec.brokers.namePrefix",
            prefix,
            "must be 1 to 16 lower-case letters, digits and `-`, beginning with a letter",
        ));
    }
    // Two ports below and two above it belong to the broker as well.
    in_range("spec.brokers.listenPort", brokers.listen_port.into(), 3..=65533, found);
    if brokers.storage.size.is_none() && brokers.storage.broker_kind() != StorageType::Ephemeral {
        found.push(Violation::missing(
            "spec.brokers.storage.size",
            "is required unless storage.type is Ephemeral",
        ));
    }
    in_range(
        "spec.brokers.shutdown.gracePeriodSeconds",
        brokers.shutdown.grace_period_seconds,
        1..=86400,
        found,
    );
    settings_rules("spec.brokers.config", &brokers.config, found);
    override_rules(brokers, found);
}

fn override_rules(brokers: &Brokers, found: &mut Vec<Violation>) {
    const OVERRIDES: &str = "spec.brokers.groupOverrides";
    if 64 < brokers.group_overrides.len() {
        let count = format!("{} entries", brokers.group_overrides.len());
        found.push(Violation::new(OVERRIDES, count, "are more than 64"));
        return;
    }
    for (index, one) in brokers.group_overrides.iter().enumerate() {
        let path = format!("{OVERRIDES}[{index}]");
        let suffix = one.name.strip_prefix(&*brokers.name_prefix).and_then(|s| s.strip_prefix('-'));
        let is_group = suffix.is_some_and(|letters| {
            (1..=2).contains(&letters.len())
                && letters.bytes().all(|byte| byte.is_ascii_lowercase())
        });
        if !is_group {
            let rule = format!("must be the name of a group, such as {}-a", brokers.name_prefix);
            found.push(Violation::new(format!("{path}.name"), &one.name, rule));
        }
        if brokers.group_overrides.iter().take(index).any(|other| other.name == one.name) {
            found.push(Violation::new(format!("{path}.name"), &one.name, "is given twice"));
        }
        settings_rules(&format!("{path}.config"), &one.config, found);
    }
}

fn settings_rules(
    path: &str,
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
        }
    }
}

#[cfg(test)]
mod tests;
