//! What has to run.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// Everything a cluster consists of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// Name of the resource, first part of every pod's name.
    pub name: String,
    /// `brokerClusterName`.
    pub cluster_name: String,
    /// Addresses of all name servers, `host:port`, separated by `;`: `NAMESRV_ADDR` for clients.
    pub name_servers: String,
    /// Replicas of one group, the master included.
    pub replicas_per_group: u32,
    /// The pods, name servers first: the order to start them in; they stop in the reverse one.
    pub processes: Vec<Process>,
    /// What the user wrote and will not get, as sentences.
    pub warnings: Vec<String>,
}

/// One pod.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Process {
    /// Such as `demo-broker-a-0`.
    pub name: String,
    /// What it runs.
    pub component: Component,
    /// Who it is among the brokers; none for name servers.
    pub broker: Option<BrokerIdentity>,
    /// How it is reached.
    pub endpoint: Endpoint,
    /// Where it keeps its files.
    pub paths: Paths,
    /// The settings it comes to, by the names of the original: those of its files under those that
    /// it derives from its environment.
    pub settings: BTreeMap<String, String>,
    /// The environment variables that make it this pod.
    #[serde(default)]
    pub environment: BTreeMap<String, String>,
    /// The files of its configuration directory.
    #[serde(default)]
    pub files: BTreeMap<String, String>,
}

/// What a pod runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Component {
    /// A name server.
    Namesrv,
    /// A broker.
    Broker,
}

impl Component {
    /// Its part of names and labels.
    pub fn name(self) -> &'static str {
        match self {
            Self::Namesrv => "namesrv",
            Self::Broker => "broker",
        }
    }
}

impl fmt::Display for Component {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Which pod of a cluster, in numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PodId {
    /// A name server.
    Namesrv {
        /// From zero.
        ordinal: u32,
    },
    /// A broker.
    Broker {
        /// Index of its group, from zero.
        group: u32,
        /// Its place in the group, from zero, which starts as master.
        ordinal: u32,
    },
}

/// Who a broker is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BrokerIdentity {
    /// `brokerName`, the name of the group.
    pub name: String,
    /// `brokerId`; 0 is the master.
    pub id: u32,
    /// `brokerRole`.
    pub role: Role,
}

/// `brokerRole`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Role {
    /// Confirms sends by itself.
    AsyncMaster,
    /// Confirms sends together with its slaves.
    SyncMaster,
    /// Copies its master.
    Slave,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AsyncMaster => "ASYNC_MASTER",
            Self::SyncMaster => "SYNC_MASTER",
            Self::Slave => "SLAVE",
        })
    }
}

/// How a pod is reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Endpoint {
    /// What clients are told: `brokerIP1`, or the host part of a name server's address.
    pub host: String,
    /// Address it listens on.
    pub bind: String,
    /// Its ports.
    pub ports: Ports,
}

/// Ports of a pod. A broker's fast port is `listen - 2`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Ports {
    /// Remoting.
    pub listen: u16,
    /// Replication; only brokers use it.
    pub ha: u16,
    /// Health and metrics.
    pub http: u16,
}

impl Ports {
    /// The broker's second port for the same requests.
    pub fn fast(self) -> u16 {
        self.listen.saturating_sub(2)
    }

    /// Port of the control API.
    pub fn control(self) -> u16 {
        self.listen.saturating_add(2)
    }
}

/// Where a pod keeps everything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dirs {
    /// Its configuration files.
    pub config: String,
    /// Its data.
    pub data: String,
}

impl Process {
    /// `host:port` that others connect to.
    pub fn address(&self) -> String {
        format!("{}:{}", self.endpoint.host, self.endpoint.ports.listen)
    }

    /// The ports it listens on.
    pub fn listening_ports(&self) -> Vec<u16> {
        let ports = self.endpoint.ports;
        let mut all = match self.component {
            Component::Namesrv => vec![ports.listen, ports.control()],
            Component::Broker => vec![ports.listen, ports.fast(), ports.ha, ports.control()],
        };
        if self.serves_http() {
            all.push(ports.http);
        }
        all
    }

    /// Whether it answers on its health and metrics port.
    pub fn serves_http(&self) -> bool {
        self.settings.contains_key("metricsPromExporterPort")
    }

    /// Directory of its data.
    pub fn data(&self) -> &str {
        match &self.paths {
            Paths::Namesrv { kv_config } => kv_config,
            Paths::Broker(store) => &store.root,
        }
    }
}

/// Where a pod keeps its files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Paths {
    /// Of a name server.
    #[serde(rename_all = "camelCase")]
    Namesrv {
        /// `kvConfigPath`.
        kv_config: String,
    },
    /// Of a broker.
    Broker(StorePaths),
}

/// Where a broker keeps its store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StorePaths {
    /// `storePathRootDir`.
    pub root: String,
    /// `storePathCommitLog`; a volume of its own if it is not under the root.
    pub commit_log: String,
}

/// The plan as text, for people and for tests: the same plan always gives the same text.
impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "cluster {} ({})", self.name, self.cluster_name)?;
        writeln!(f, "NAMESRV_ADDR={}", self.name_servers)?;
        for warning in &self.warnings {
            writeln!(f, "warning: {warning}")?;
        }
        for process in &self.processes {
            write!(f, "\n{} {}", process.component, process.name)?;
            if let Some(broker) = &process.broker {
                write!(f, " {} {} {}", broker.name, broker.id, broker.role)?;
            }
            let Endpoint { bind, ports, .. } = &process.endpoint;
            writeln!(f, " {} on {bind} http {}", process.address(), ports.http)?;
            for (key, value) in &process.settings {
                writeln!(f, "  {key}={value}")?;
            }
        }
        Ok(())
    }
}
