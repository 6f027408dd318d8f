//! From the manifest to the plan.

use std::collections::BTreeMap;

use rmq_operator_api::cluster::{LogFormat, Logging};
use rmq_operator_api::{Cluster, Replication, Shape};

use crate::group::group_name;
use crate::plan::{
    BrokerIdentity, Component, Endpoint, Paths, Plan, PodId, Process, Role, StorePaths,
};

/// Where pods live: everything about a pod that is not in the manifest.
///
/// The answers must depend on nothing but the arguments, or the same manifest would give different
/// plans.
pub trait Environment {
    /// How the pod is reached. Its ports follow the manifest where the place allows it.
    fn endpoint(&self, cluster: &Cluster, pod: PodId) -> Endpoint;
    /// Where it keeps its files; `name` is the pod's name.
    fn paths(&self, name: &str, pod: PodId) -> Paths;
    /// Form of log lines when the manifest does not say.
    fn log_format(&self) -> LogFormat;
}

/// The processes that `cluster`, which must be valid, stands for.
///
/// Replaying it gives the same plan. Settings come from the layout, then `config`, then the group's
/// override; those that say who a pod is come last and always win.
pub fn resolve(cluster: &Cluster, environment: &impl Environment) -> Plan {
    let shape = cluster.shape();
    let mut warnings = Vec::new();
    let mut processes = Vec::new();
    for ordinal in 0..cluster.name_server_replicas() {
        processes.push(name_server(cluster, environment, ordinal, &mut warnings));
    }
    let name_servers = if cluster.spec.nameserver.external_addresses.is_empty() {
        let own: Vec<String> = processes.iter().map(Process::address).collect();
        own.join(";")
    } else {
        cluster.spec.nameserver.external_addresses.join(";")
    };
    for group in 0..shape.groups {
        for ordinal in 0..shape.replicas_per_group {
            let place = Place { shape, group, ordinal, name_servers: &name_servers };
            processes.push(broker(cluster, environment, &place, &mut warnings));
        }
    }
    for one in &cluster.spec.brokers.group_overrides {
        let prefix = &cluster.spec.brokers.name_prefix;
        if !(0..shape.groups).any(|group| group_name(prefix, group) == one.name) {
            warnings.push(format!(
                "spec.brokers.groupOverrides: there is no group {} among {} groups",
                one.name, shape.groups
            ));
        }
    }
    Plan {
        name: cluster.name().to_owned(),
        cluster_name: cluster.cluster_name().to_owned(),
        name_servers,
        replicas_per_group: shape.replicas_per_group,
        processes,
        warnings,
    }
}

/// One broker among the others.
struct Place<'a> {
    shape: Shape,
    group: u32,
    ordinal: u32,
    name_servers: &'a str,
}

fn name_server(
    cluster: &Cluster,
    environment: &impl Environment,
    ordinal: u32,
    warnings: &mut Vec<String>,
) -> Process {
    let pod = PodId::Namesrv { ordinal };
    let name = format!("{}-namesrv-{ordinal}", cluster.name());
    let endpoint = environment.endpoint(cluster, pod);
    let paths = environment.paths(&name, pod);
    let mut derived = shared_settings(cluster, environment, &endpoint);
    set(&mut derived, "listenPort", endpoint.ports.listen);
    if let Paths::Namesrv { kv_config } = &paths {
        set(&mut derived, "kvConfigPath", kv_config);
    }
    let settings = merge(&name, cluster.spec.nameserver.config.clone(), derived, warnings);
    Process { name, component: Component::Namesrv, broker: None, endpoint, paths, settings }
}

fn broker(
    cluster: &Cluster,
    environment: &impl Environment,
    place: &Place<'_>,
    warnings: &mut Vec<String>,
) -> Process {
    let brokers = &cluster.spec.brokers;
    let pod = PodId::Broker { group: place.group, ordinal: place.ordinal };
    let group = group_name(&brokers.name_prefix, place.group);
    let name = format!("{}-{group}-{}", cluster.name(), place.ordinal);
    let endpoint = environment.endpoint(cluster, pod);
    let paths = environment.paths(&name, pod);
    let role = match (place.ordinal, place.shape.replication) {
        (0, Replication::Sync) => Role::SyncMaster,
        (0, Replication::Async) => Role::AsyncMaster,
        _ => Role::Slave,
    };
    let replicas = place.shape.replicas_per_group;

    let mut derived = shared_settings(cluster, environment, &endpoint);
    if cluster.spec.metrics.enabled {
        set(&mut derived, "metricsExporterType", "PROM");
    }
    set(&mut derived, "brokerClusterName", cluster.cluster_name());
    set(&mut derived, "brokerName", &group);
    set(&mut derived, "brokerId", place.ordinal);
    set(&mut derived, "brokerRole", role);
    set(&mut derived, "brokerIP1", &endpoint.host);
    set(&mut derived, "brokerIP2", &endpoint.replication_host);
    set(&mut derived, "namesrvAddr", place.name_servers);
    set(&mut derived, "listenPort", endpoint.ports.listen);
    set(&mut derived, "haListenPort", endpoint.ports.ha);
    // Without inSyncReplicas a synchronous master would confirm alone: its default is 1.
    set(&mut derived, "totalReplicas", replicas);
    match place.shape.replication {
        Replication::Async => set(&mut derived, "inSyncReplicas", 1),
        Replication::Sync => {
            set(&mut derived, "inSyncReplicas", replicas);
            set(&mut derived, "minInSyncReplicas", brokers.sync.min_in_sync);
            set(&mut derived, "allAckInSyncStateSet", true);
        }
    }
    if let Paths::Broker(store) = &paths {
        store_settings(store, &mut derived);
    }
    if brokers.slave_read {
        set(&mut derived, "slaveReadEnable", true);
    }

    // As the example configurations of the original have them; users may change these.
    let mut wanted: BTreeMap<String, String> =
        [("flushDiskType", "ASYNC_FLUSH"), ("deleteWhen", "04"), ("fileReservedTime", "48")]
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect();
    wanted.extend(brokers.config.clone());
    for one in brokers.group_overrides.iter().filter(|one| one.name == group) {
        wanted.extend(one.config.clone());
    }
    let settings = merge(&name, wanted, derived, warnings);
    let broker = Some(BrokerIdentity { name: group, id: place.ordinal, role });
    Process { name, component: Component::Broker, broker, endpoint, paths, settings }
}

/// What every process is told about its surroundings.
fn shared_settings(
    cluster: &Cluster,
    environment: &impl Environment,
    endpoint: &Endpoint,
) -> BTreeMap<String, String> {
    let mut settings = BTreeMap::new();
    set(&mut settings, "bindAddress", &endpoint.bind);
    if cluster.spec.metrics.enabled {
        set(&mut settings, "metricsPromExporterHost", &endpoint.bind);
        set(&mut settings, "metricsPromExporterPort", endpoint.ports.http);
    }
    let logging: &Logging = &cluster.spec.logging;
    set(&mut settings, "logLevel", logging.directives());
    let format = match logging.format.unwrap_or(environment.log_format()) {
        LogFormat::Json => "json",
        LogFormat::Text => "text",
    };
    set(&mut settings, "logFormat", format);
    settings
}

fn store_settings(store: &StorePaths, settings: &mut BTreeMap<String, String>) {
    let root = &store.root;
    set(settings, "storePathRootDir", root);
    set(settings, "storePathCommitLog", &store.commit_log);
    for (key, file) in [
        ("storePathConsumeQueue", "consumequeue"),
        ("storePathIndex", "index"),
        ("storeCheckpoint", "checkpoint"),
        ("abortFile", "abort"),
    ] {
        set(settings, key, format_args!("{root}/{file}"));
    }
}

fn set(settings: &mut BTreeMap<String, String>, key: &str, value: impl std::fmt::Display) {
    settings.insert(key.to_owned(), value.to_string());
}

/// `derived` over `wanted`, with a warning for each wish that is lost.
fn merge(
    pod: &str,
    mut wanted: BTreeMap<String, String>,
    derived: BTreeMap<String, String>,
    warnings: &mut Vec<String>,
) -> BTreeMap<String, String> {
    for (key, value) in &derived {
        if let Some(lost) = wanted.get(key).filter(|wish| *wish != value) {
            warnings.push(format!("{pod}: {key}={lost} in config is replaced by {value}"));
        }
    }
    wanted.extend(derived);
    wanted
}
