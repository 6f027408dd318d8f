//! Rules of `spec.brokers`.

use crate::addressing::{Advertise, External};
use crate::brokers::Brokers;
use crate::cluster::Cluster;
use crate::config::Component;
use crate::operations::{Placement, Probe};
use crate::storage::StorageType;

use super::{
    Violation, at_most, image_rules, in_range, pod_rules, resources_rules, settings_rules,
};

pub(super) fn rules(cluster: &Cluster, found: &mut Vec<Violation>) {
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
    if brokers.storage.size.is_none() && brokers.storage.kind != StorageType::Ephemeral {
        found.push(Violation::missing(
            "spec.brokers.storage.size",
            "is required unless storage.type is Ephemeral",
        ));
    }
    at_most("spec.brokers.storage.labels", brokers.storage.labels.len(), 64, found);
    at_most("spec.brokers.storage.annotations", brokers.storage.annotations.len(), 64, found);
    resources_rules("spec.brokers.resources", &brokers.resources, found);
    image_rules("spec.brokers.image", &brokers.image, found);
    settings_rules("spec.brokers.config", Component::Broker, &brokers.config, found);
    addressing_rules(brokers, found);
    operation_rules(brokers, found);
    pod_rules("spec.brokers.pod", &brokers.pod.common(), found);
    for (field, count, max) in [
        ("sidecars", brokers.pod.sidecars.len(), 16),
        ("initContainers", brokers.pod.init_containers.len(), 16),
        ("extraVolumes", brokers.pod.extra_volumes.len(), 32),
        ("extraVolumeMounts", brokers.pod.extra_volume_mounts.len(), 32),
    ] {
        at_most(&format!("spec.brokers.pod.{field}"), count, max, found);
    }
    override_rules(brokers, found);
}

fn addressing_rules(brokers: &Brokers, found: &mut Vec<Violation>) {
    const PATH: &str = "spec.brokers.addressing";
    let addressing = &brokers.addressing;
    let advertise = addressing.advertise;
    match (&addressing.external, advertise) {
        (None, Advertise::External) => {
            let rule = "is required with advertise External";
            found.push(Violation::missing(format!("{PATH}.external"), rule));
        }
        (Some(_), other) if other != Advertise::External => {
            let rule = "must be External where external is given";
            found.push(Violation::new(format!("{PATH}.advertise"), other, rule));
        }
        (Some(external), _) => external_rules(brokers, external, found),
        (None, _) => {}
    }
    if addressing.host_network && !matches!(advertise, Advertise::HostIP | Advertise::External) {
        let rule = "must be HostIP or External with hostNetwork";
        found.push(Violation::new(format!("{PATH}.advertise"), advertise, rule));
    }
    if addressing.host_network && brokers.anti_affinity != Placement::Required {
        let rule = "needs antiAffinity Required: two brokers of a node would want the same ports";
        found.push(Violation::new(format!("{PATH}.hostNetwork"), true, rule));
    }
    let domain = &addressing.cluster_domain;
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let inner = |byte: u8| plain(byte) || matches!(byte, b'-' | b'.');
    if 253 < domain.len()
        || !domain.bytes().all(inner)
        || !domain.bytes().next().is_some_and(plain)
        || !domain.bytes().last().is_some_and(plain)
    {
        let rule = "must be the name of a domain, such as cluster.local";
        found.push(Violation::new(format!("{PATH}.clusterDomain"), domain, rule));
    }
}

fn external_rules(brokers: &Brokers, external: &External, found: &mut Vec<Violation>) {
    const PATH: &str = "spec.brokers.addressing.external";
    if let Some(template) = &external.host_template
        && let Err(rule) = host_template(template)
    {
        found.push(Violation::new(format!("{PATH}.hostTemplate"), template, rule));
    }
    at_most(&format!("{PATH}.perPod"), external.per_pod.len(), 448, found);
    for (index, one) in external.per_pod.iter().enumerate() {
        let path = format!("{PATH}.perPod[{index}]");
        let is_broker = one.ordinal_of.split_once('/').is_some_and(|(group, ordinal)| {
            is_group(&brokers.name_prefix, group)
                && ordinal.len() == 1
                && ordinal.parse::<u32>().is_ok_and(|ordinal| ordinal < 7)
        });
        if !is_broker {
            let rule =
                format!("must be a group and an ordinal, such as {}-a/0", brokers.name_prefix);
            found.push(Violation::new(format!("{path}.ordinalOf"), &one.ordinal_of, rule));
        }
        if external.per_pod.iter().take(index).any(|other| other.ordinal_of == one.ordinal_of) {
            let path = format!("{path}.ordinalOf");
            found.push(Violation::new(path, &one.ordinal_of, "is given twice"));
        }
        for (field, port) in [("port", one.port), ("nodePort", one.node_port)] {
            if port == Some(0) {
                found.push(Violation::new(format!("{path}.{field}"), 0, "must be 1 to 65535"));
            }
        }
    }
}

/// Checks the braces of a template: only known names, and each pod its own host unless hosts are
/// nodes'.
fn host_template(template: &str) -> Result<(), &'static str> {
    if !(1..=253).contains(&template.len()) {
        return Err("must be 1 to 253 characters");
    }
    let mut rest = template;
    while let Some((_, tail)) = rest.split_once('{') {
        let Some((name, tail)) = tail.split_once('}') else {
            return Err("has a brace that is not closed");
        };
        if !matches!(name, "pod" | "group" | "ordinal" | "nodeIP") {
            return Err("knows only {pod}, {group}, {ordinal} and {nodeIP}");
        }
        rest = tail;
    }
    if rest.contains('}') { Err("has a brace that is not opened") } else { Ok(()) }
}

fn operation_rules(brokers: &Brokers, found: &mut Vec<Violation>) {
    let shutdown = &brokers.shutdown;
    in_range(
        "spec.brokers.shutdown.gracePeriodSeconds",
        shutdown.grace_period_seconds,
        1..=86400,
        found,
    );
    if (1..=shutdown.drain_seconds).contains(&shutdown.grace_period_seconds) {
        let rule =
            format!("must be less than gracePeriodSeconds (`{}`)", shutdown.grace_period_seconds);
        let path = "spec.brokers.shutdown.drainSeconds";
        found.push(Violation::new(path, shutdown.drain_seconds, rule));
    } else {
        in_range("spec.brokers.shutdown.drainSeconds", shutdown.drain_seconds, 0..=3600, found);
    }
    let groups = brokers.update.max_unavailable_groups;
    in_range("spec.brokers.update.maxUnavailableGroups", groups, 1..=64, found);
    in_range("spec.brokers.pdb.maxUnavailable", brokers.pdb.max_unavailable, 0..=9, found);
    let drain = &brokers.drain;
    for (field, names) in
        [("ignoreGroups", &drain.ignore_groups), ("ignoreTopics", &drain.ignore_topics)]
    {
        let path = format!("spec.brokers.drain.{field}");
        at_most(&path, names.len(), 256, found);
        for (index, name) in names.iter().enumerate() {
            if 255 < name.chars().count() {
                let rule = "is longer than 255 characters";
                found.push(Violation::new(format!("{path}[{index}]"), name, rule));
            }
        }
    }
    let probes = &brokers.probes;
    let all = [
        ("startup", &probes.startup),
        ("liveness", &probes.liveness),
        ("readiness", &probes.readiness),
    ];
    for (name, probe) in all {
        if let Some(probe) = probe {
            probe_rules(&format!("spec.brokers.probes.{name}"), probe, found);
        }
    }
}

fn probe_rules(path: &str, probe: &Probe, found: &mut Vec<Violation>) {
    for (field, value, range) in [
        ("initialDelaySeconds", probe.initial_delay_seconds, 0..=3600),
        ("periodSeconds", probe.period_seconds, 1..=3600),
        ("timeoutSeconds", probe.timeout_seconds, 1..=3600),
        ("failureThreshold", probe.failure_threshold, 1..=100_000),
    ] {
        if let Some(value) = value {
            in_range(&format!("{path}.{field}"), value, range, found);
        }
    }
}

/// Whether `name` is that of a group: the prefix, a dash and one or two letters.
fn is_group(prefix: &str, name: &str) -> bool {
    name.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('-')).is_some_and(|letters| {
        (1..=2).contains(&letters.len()) && letters.bytes().all(|byte| byte.is_ascii_lowercase())
    })
}

fn override_rules(brokers: &Brokers, found: &mut Vec<Violation>) {
    const OVERRIDES: &str = "spec.brokers.groupOverrides";
    if 64 < brokers.group_overrides.len() {
        at_most(OVERRIDES, brokers.group_overrides.len(), 64, found);
        return;
    }
    for (index, one) in brokers.group_overrides.iter().enumerate() {
        let path = format!("{OVERRIDES}[{index}]");
        if !is_group(&brokers.name_prefix, &one.name) {
            let rule = format!("must be the name of a group, such as {}-a", brokers.name_prefix);
            found.push(Violation::new(format!("{path}.name"), &one.name, rule));
        }
        if brokers.group_overrides.iter().take(index).any(|other| other.name == one.name) {
            found.push(Violation::new(format!("{path}.name"), &one.name, "is given twice"));
        }
        if one.zone.as_deref().is_some_and(|zone| !(1..=63).contains(&zone.len())) {
            let rule = "must be 1 to 63 characters";
            found.push(Violation::new(format!("{path}.zone"), super::text(&one.zone), rule));
        }
        at_most(&format!("{path}.nodeSelector"), one.node_selector.len(), 64, found);
        at_most(&format!("{path}.tolerations"), one.tolerations.len(), 64, found);
        resources_rules(&format!("{path}.resources"), &one.resources, found);
        settings_rules(&format!("{path}.config"), Component::Broker, &one.config, found);
    }
}
