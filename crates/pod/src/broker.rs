//! A broker in a pod.

use crate::advertise::{Advertise, AdvertisedHost};
use crate::env;
use crate::files::ReplicationConf;
use crate::place::{Place, Shared, present};
use crate::read::{PodError, Variables};
use std::collections::BTreeMap;
use std::fmt::Display;
use std::net::IpAddr;

/// How a master confirms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Replication {
    /// By itself.
    #[default]
    Async,
    /// Together with its replicas.
    Sync,
}

impl Replication {
    const WORDS: [(&'static str, Self); 2] = [("Async", Self::Async), ("Sync", Self::Sync)];

    /// As it is written in the environment and in manifests.
    pub fn word(self) -> &'static str {
        match self {
            Self::Async => "Async",
            Self::Sync => "Sync",
        }
    }
}

/// What all brokers of a group are told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerTemplate {
    /// What name servers are told as well.
    pub shared: Shared,
    /// `brokerName`, the name of the group.
    pub broker_name: String,
    /// Replicas of the group, the master included.
    pub replicas: u32,
    /// How the master confirms.
    pub replication: Replication,
    /// Whether replicas elect the master. Else ordinal 0 is the master.
    pub automatic_failover: bool,
    /// Which address clients are told.
    pub advertise: Advertise,
    /// For [`Advertise::External`].
    pub advertised_host: Option<AdvertisedHost>,
    /// Lease of the group.
    pub lease: Option<String>,
    /// DNS domain of the pods' own names.
    pub service_domain: Option<String>,
    /// How long reads are served after the broker was asked to stop.
    pub drain_seconds: u32,
}

impl BrokerTemplate {
    /// For a group of one replica that clients reach by its Service.
    pub fn new(shared: Shared, broker_name: &str) -> Self {
        Self {
            shared,
            broker_name: broker_name.to_owned(),
            replicas: 1,
            replication: Replication::Async,
            automatic_failover: false,
            advertise: Advertise::ServiceIp,
            advertised_host: None,
            lease: None,
            service_domain: None,
            drain_seconds: 0,
        }
    }

    /// The variables that say this: those of a pod template that Kubernetes does not fill in.
    pub fn variables(&self) -> Vec<(&'static str, String)> {
        let failover = if self.automatic_failover { "Automatic" } else { "Disabled" };
        let hosts = self.advertised_host.as_ref().map(AdvertisedHost::text);
        let mut all = self.shared.variables();
        all.extend(present(vec![
            (env::BROKER_NAME, self.broker_name.clone()),
            (env::REPLICAS, self.replicas.to_string()),
            (env::REPLICATION, self.replication.word().to_owned()),
            (env::FAILOVER, failover.to_owned()),
            (env::ADVERTISE, self.advertise.word().to_owned()),
            (env::ADVERTISED_HOST, hosts.unwrap_or_default()),
            (env::LEASE, self.lease.clone().unwrap_or_default()),
            (env::SERVICE_DOMAIN, self.service_domain.clone().unwrap_or_default()),
            (env::DRAIN_SECONDS, self.drain_seconds.to_string()),
        ]));
        all
    }
}

/// A broker that was started as a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerPod {
    /// Which one it is.
    pub place: Place,
    /// What it has in common with its group.
    pub template: BrokerTemplate,
}

/// What a broker must find out before its settings can be derived.
#[derive(Clone, Debug, Default)]
pub struct Facts<'a> {
    /// Address of [`BrokerPod::service`]; needed if it has one.
    pub service_ip: Option<IpAddr>,
    /// Whether [`BrokerPod::commit_log_volume`] is there.
    pub commit_log_volume: bool,
    /// Content of `namesrv.addrs`.
    pub name_servers: &'a [String],
    /// Content of `replication.conf`; without it the template decides.
    pub replication: Option<ReplicationConf>,
}

/// Settings that win over the user's.
#[derive(Debug, Default)]
pub(crate) struct Derived(BTreeMap<String, String>);

impl Derived {
    pub(crate) fn set(&mut self, key: &str, value: impl Display) {
        self.0.insert(key.to_owned(), value.to_string());
    }

    pub(crate) fn into_map(self) -> BTreeMap<String, String> {
        self.0
    }
}

impl BrokerPod {
    /// Reads the variables that `lookup` gives; `None` if the process was not started as a pod.
    ///
    /// # Errors
    /// The first variable that is missing or breaks its rule.
    pub fn read(lookup: impl Fn(&str) -> Option<String>) -> Result<Option<Self>, PodError> {
        let given = Variables::new(lookup);
        let name_rule = "the name of the broker's group";
        let cluster_rule = "the name of the cluster, as RMQ_BROKER_NAME is set";
        let Some(cluster_name) = given.optional(env::CLUSTER_NAME) else {
            return match given.optional(env::BROKER_NAME) {
                None => Ok(None),
                Some(_) => Err(PodError::Missing { name: env::CLUSTER_NAME, rule: cluster_rule }),
            };
        };
        let failover = [("Disabled", false), ("Automatic", true)];
        let hosts = given.optional(env::ADVERTISED_HOST);
        let template = BrokerTemplate {
            broker_name: given.required(env::BROKER_NAME, name_rule)?,
            shared: Shared::read(&given, cluster_name, env::BROKER_PORT_DEFAULT)?,
            replicas: given.parsed(env::REPLICAS, "a number of replicas")?.unwrap_or(1),
            replication: given.word(env::REPLICATION, &Replication::WORDS, Replication::Async)?,
            automatic_failover: given.word(env::FAILOVER, &failover, false)?,
            advertise: given.word(env::ADVERTISE, &Advertise::WORDS, Advertise::ServiceIp)?,
            advertised_host: hosts.map(|text| AdvertisedHost::parse(&text)).transpose()?,
            lease: given.optional(env::LEASE),
            service_domain: given.optional(env::SERVICE_DOMAIN),
            drain_seconds: given.parsed(env::DRAIN_SECONDS, "a number of seconds")?.unwrap_or(0),
        };
        Ok(Some(Self { place: Place::read(&given)?, template }))
    }

    /// The variables that [`BrokerPod::read`] reads back.
    pub fn variables(&self) -> Vec<(&'static str, String)> {
        let mut all = self.place.variables();
        all.extend(self.template.variables());
        all
    }

    /// Name of the pod's own Service, which must be resolved for [`Facts::service_ip`].
    pub fn service(&self) -> Option<String> {
        let Place { name, namespace, .. } = &self.place;
        (self.template.advertise == Advertise::ServiceIp).then(|| format!("{name}.{namespace}.svc"))
    }

    /// Directory that is there if the commit log has a volume of its own.
    pub fn commit_log_volume(&self) -> String {
        format!("{}/commitlog", self.template.shared.data_dir)
    }

    /// The settings that the pod itself decides. They win over the user's.
    ///
    /// # Errors
    /// The fact or variable that is missing.
    pub fn derive(&self, facts: &Facts<'_>) -> Result<BTreeMap<String, String>, PodError> {
        let template = &self.template;
        let shared = &template.shared;
        let mut derived = Derived::default();
        shared.derive(&mut derived);
        if shared.http_port.is_some() {
            derived.set("metricsExporterType", "PROM");
        }
        derived.set("brokerClusterName", &shared.cluster_name);
        derived.set("brokerName", &template.broker_name);
        derived.set("haListenPort", shared.listen_port.saturating_add(1));
        derived.set("namesrvAddr", facts.name_servers.join(";"));
        derived.set("shutdownDrainSeconds", template.drain_seconds);
        self.derive_role(&mut derived);
        self.derive_addresses(facts, &mut derived)?;
        self.derive_paths(facts, &mut derived);
        let replication = facts
            .replication
            .unwrap_or_else(|| ReplicationConf::of(template.replicas, template.replication, 1));
        for (key, value) in replication.settings() {
            derived.set(key, value);
        }
        Ok(derived.into_map())
    }

    fn derive_role(&self, derived: &mut Derived) {
        let role = match (self.place.ordinal, self.template.replication) {
            // With failover the Lease says who is the master.
            _ if self.template.automatic_failover => "SLAVE",
            (0, Replication::Sync) => "SYNC_MASTER",
            (0, Replication::Async) => "ASYNC_MASTER",
            (_, Replication::Sync | Replication::Async) => "SLAVE",
        };
        derived.set("brokerRole", role);
        derived.set("brokerId", self.place.ordinal);
    }

    fn derive_addresses(&self, facts: &Facts<'_>, derived: &mut Derived) -> Result<(), PodError> {
        let dns = self.dns_name();
        let pod_ip = || {
            let rule = "the address of the pod";
            self.place.ip.ok_or(PodError::Missing { name: env::POD_IP, rule })
        };
        let (host, port) = match self.template.advertise {
            Advertise::ServiceIp => match facts.service_ip {
                Some(ip) => (ip.to_string(), None),
                None => {
                    let service = self.service().unwrap_or_default();
                    return Err(PodError::Fact(format!("the Service {service} has no address")));
                }
            },
            Advertise::PodIp => (pod_ip()?.to_string(), None),
            Advertise::PodDns => match &dns {
                Some(name) => (name.clone(), None),
                None => {
                    let rule = "the domain of the pods' names, as RMQ_ADVERTISE is PodDNS";
                    return Err(PodError::Missing { name: env::SERVICE_DOMAIN, rule });
                }
            },
            Advertise::HostIp => match self.place.host_ip {
                Some(ip) => (ip.to_string(), None),
                None => {
                    let rule = "the address of the node, as RMQ_ADVERTISE is HostIP";
                    return Err(PodError::Missing { name: env::HOST_IP, rule });
                }
            },
            Advertise::External => self.external()?,
        };
        // Records hold an address, never a name.
        match host.parse::<IpAddr>() {
            Ok(ip) => derived.set("storeHost", ip),
            Err(_) => derived.set("storeHost", pod_ip()?),
        }
        derived.set("brokerIP2", dns.as_deref().unwrap_or(&host));
        derived.set("brokerIP1", host);
        derived.set("advertisedPort", port.unwrap_or(0));
        Ok(())
    }

    fn external(&self) -> Result<(String, Option<u16>), PodError> {
        let Place { name, ordinal, host_ip, .. } = &self.place;
        let rule = "an address for this pod, as RMQ_ADVERTISE is External";
        let missing = PodError::Missing { name: env::ADVERTISED_HOST, rule };
        let Some(hosts) = &self.template.advertised_host else { return Err(missing) };
        let node_ip = host_ip.map(|ip| ip.to_string()).unwrap_or_default();
        let replace = [
            ("{pod}", name.as_str()),
            ("{group}", &self.template.broker_name),
            ("{ordinal}", &ordinal.to_string()),
            ("{nodeIP}", &node_ip),
        ];
        hosts.of(*ordinal, &replace).filter(|(host, _)| !host.is_empty()).ok_or(missing)
    }

    fn derive_paths(&self, facts: &Facts<'_>, derived: &mut Derived) {
        let root = format!("{}/store", self.template.shared.data_dir);
        let log = if facts.commit_log_volume { &self.commit_log_volume() } else { &root };
        derived.set("storePathCommitLog", format_args!("{log}/commitlog"));
        for (key, file) in [
            ("storePathConsumeQueue", "consumequeue"),
            ("storePathIndex", "index"),
            ("storeCheckpoint", "checkpoint"),
            ("abortFile", "abort"),
            ("storePathEpochFile", "epochFileCheckpoint"),
            ("storePathBrokerIdentity", "brokerIdentity"),
        ] {
            derived.set(key, format_args!("{root}/{file}"));
        }
        derived.set("storePathRootDir", root);
    }

    /// The pod's DNS name.
    fn dns_name(&self) -> Option<String> {
        let domain = self.template.service_domain.as_ref()?;
        Some(format!("{}.{domain}", self.place.name))
    }
}

#[cfg(test)]
mod tests;
