//! From the manifest to the plan.

use std::collections::BTreeMap;
use std::net::IpAddr;

use rmq_operator_api::cluster::{LogFormat, Logging};
use rmq_operator_api::{Cluster, Replication, Shape};
use rmq_pod::files::{
    BROKER_CONF, NAMESRV_ADDRS, NAMESRV_CONF, REPLICATION_CONF, ReplicationConf, name_servers_text,
    settings_text,
};
use rmq_pod::{
    Advertise, AdvertisedHost, BrokerPod, BrokerTemplate, Facts, NameServerPod, NameServerTemplate,
    Place as PodPlace, Shared,
};

use crate::group::group_name;
use crate::plan::{
    BrokerIdentity, Component, Dirs, Endpoint, Paths, Plan, PodId, Process, Role, StorePaths,
};

/// Where pods live: everything about a pod that is not in the manifest.
///
/// The answers must depend on nothing but the arguments, or the same manifest would give different
/// plans.
pub trait Environment {
    /// How the pod is reached. Its ports follow the manifest where the place allows it.
    fn endpoint(&self, cluster: &Cluster, pod: PodId) -> Endpoint;
    /// Where it keeps everything; `name` is the pod's name.
    fn dirs(&self, name: &str) -> Dirs;
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
    let name_servers: Vec<String> = if cluster.spec.nameserver.external_addresses.is_empty() {
        processes.iter().map(Process::address).collect()
    } else {
        cluster.spec.nameserver.external_addresses.clone()
    };
    for process in &mut processes {
        let list = name_servers_text(&name_servers);
        process.files.insert(NAMESRV_ADDRS.to_owned(), list);
    }
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
        name_servers: name_servers.join(";"),
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
    name_servers: &'a [String],
}

fn name_server(
    cluster: &Cluster,
    environment: &impl Environment,
    ordinal: u32,
    warnings: &mut Vec<String>,
) -> Process {
    let name = format!("{}-namesrv-{ordinal}", cluster.name());
    let endpoint = environment.endpoint(cluster, PodId::Namesrv { ordinal });
    let dirs = environment.dirs(&name);
    let template = NameServerTemplate { shared: shared(cluster, &endpoint, &dirs) };
    let place = PodPlace { name: name.clone(), ordinal, ..PodPlace::default() };
    let pod = NameServerPod { place, template };
    let mut wanted = BTreeMap::new();
    if 1 < cluster.shape().replicas_per_group && cluster.spec.brokers.acting_master {
        // Where the master is gone clients take the slave for it, read-only.
        set(&mut wanted, "supportActingMaster", true);
    }
    wanted.extend(cluster.spec.nameserver.config.clone());
    logging(cluster, environment, &name, &mut wanted, warnings);
    let files = [(NAMESRV_CONF.to_owned(), settings_text(&wanted))].into();
    Process {
        component: Component::Namesrv,
        broker: None,
        paths: Paths::Namesrv { kv_config: format!("{}/kvConfig.json", dirs.data) },
        settings: merge(&name, wanted, pod.derive(), warnings),
        environment: variables(pod.variables()),
        files,
        name,
        endpoint,
    }
}

fn broker(
    cluster: &Cluster,
    environment: &impl Environment,
    place: &Place<'_>,
    warnings: &mut Vec<String>,
) -> Process {
    let Place { shape, ordinal, .. } = *place;
    let brokers = &cluster.spec.brokers;
    let group = group_name(&brokers.name_prefix, place.group);
    let name = format!("{}-{group}-{ordinal}", cluster.name());
    let endpoint = environment.endpoint(cluster, PodId::Broker { group: place.group, ordinal });
    let dirs = environment.dirs(&name);
    let role = match (ordinal, shape.replication) {
        (0, Replication::Sync) => Role::SyncMaster,
        (0, Replication::Async) => Role::AsyncMaster,
        _ => Role::Slave,
    };
    let replication = match shape.replication {
        Replication::Async => rmq_pod::Replication::Async,
        Replication::Sync => rmq_pod::Replication::Sync,
    };
    let pod = BrokerPod {
        place: PodPlace { name: name.clone(), ordinal, ..PodPlace::default() },
        template: BrokerTemplate {
            replicas: shape.replicas_per_group,
            replication,
            advertise: Advertise::External,
            advertised_host: Some(AdvertisedHost::default().for_all(&endpoint.host, None)),
            ..BrokerTemplate::new(shared(cluster, &endpoint, &dirs), &group)
        },
    };
    let replication_conf =
        ReplicationConf::of(shape.replicas_per_group, replication, brokers.sync.min_in_sync);

    // As the example configurations of the original have them; users may change these.
    let mut wanted: BTreeMap<String, String> =
        [("flushDiskType", "ASYNC_FLUSH"), ("deleteWhen", "04"), ("fileReservedTime", "48")]
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect();
    if 1 < shape.replicas_per_group && brokers.acting_master {
        set(&mut wanted, "enableSlaveActingMaster", true);
    }
    wanted.extend(brokers.config.clone());
    for one in brokers.group_overrides.iter().filter(|one| one.name == group) {
        wanted.extend(one.config.clone());
    }
    if brokers.slave_read {
        set(&mut wanted, "slaveReadEnable", true);
    }
    logging(cluster, environment, &name, &mut wanted, warnings);
    let files = [
        (BROKER_CONF.to_owned(), settings_text(&wanted)),
        (NAMESRV_ADDRS.to_owned(), name_servers_text(place.name_servers)),
        (REPLICATION_CONF.to_owned(), replication_conf.text()),
    ];
    let facts = Facts {
        name_servers: place.name_servers,
        replication: Some(replication_conf),
        ..Facts::default()
    };
    let derived = pod.derive(&facts).unwrap_or_else(|error| {
        warnings.push(format!("{name}: {error}"));
        BTreeMap::new()
    });
    let root = format!("{}/store", dirs.data);
    Process {
        component: Component::Broker,
        broker: Some(BrokerIdentity { name: group, id: ordinal, role }),
        paths: Paths::Broker(StorePaths { commit_log: format!("{root}/commitlog"), root }),
        settings: merge(&name, wanted, derived, warnings),
        environment: variables(pod.variables()),
        files: files.into(),
        name,
        endpoint,
    }
}

/// What every pod of the cluster is told.
fn shared(cluster: &Cluster, endpoint: &Endpoint, dirs: &Dirs) -> Shared {
    let bind: Option<IpAddr> = endpoint.bind.parse().ok();
    Shared {
        http_port: cluster.spec.metrics.enabled.then_some(endpoint.ports.http),
        config_dir: dirs.config.clone(),
        data_dir: dirs.data.clone(),
        bind: bind.filter(|ip| !ip.is_unspecified()),
        ..Shared::new(cluster.cluster_name(), "", endpoint.ports.listen)
    }
}

fn variables(all: Vec<(&'static str, String)>) -> BTreeMap<String, String> {
    all.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// `spec.logging` over what `config` says about it.
fn logging(
    cluster: &Cluster,
    environment: &impl Environment,
    pod: &str,
    wanted: &mut BTreeMap<String, String>,
    warnings: &mut Vec<String>,
) {
    let logging: &Logging = &cluster.spec.logging;
    let mut settings = BTreeMap::new();
    set(&mut settings, "logLevel", logging.directives());
    let format = match logging.format.unwrap_or(environment.log_format()) {
        LogFormat::Json => "json",
        LogFormat::Text => "text",
    };
    set(&mut settings, "logFormat", format);
    *wanted = merge(pod, std::mem::take(wanted), settings, warnings);
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
