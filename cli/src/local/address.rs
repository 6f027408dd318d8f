//! Addresses of local pods.
//!
//! Every pod gets an address of its own out of 127.0.0.0/8, so that all of them can use the
//! standard ports, as pods of a Kubernetes cluster do. Where the system lets nobody bind any of
//! them but 127.0.0.1, pods get ports of their own instead.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};

use rmq_operator_api::Cluster;
use rmq_operator_api::cluster::LogFormat;
use rmq_operator_plan::{Dirs, Endpoint, Environment, PodId, Ports};
use serde::{Deserialize, Serialize};

use super::dirs::ClusterDir;

/// What is a cluster's own: so many addresses or ports that the largest cluster fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Block {
    /// 512 addresses from this one on, which is 127.x.y.0 with y even.
    Addresses(Ipv4Addr),
    /// [`PORTS`] ports from this one on, all at 127.0.0.1.
    Ports(u16),
}

/// How pods are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Addressing {
    /// An address for each pod, the standard ports for all
    Addresses,
    /// 127.0.0.1 for all pods, ports for each
    Ports,
}

/// Ports of one cluster: 9 name servers take two each, 64 groups of 7 brokers five each.
pub const PORTS: u16 = 2304;
/// First port given to any cluster.
const FIRST_PORT: u16 = 12_000;
/// Clusters that fit below the ports the kernel gives to outgoing connections.
const PORT_BLOCKS: u16 = 9;
/// Second byte of the first address given to any cluster. Lower ones are left to people.
const FIRST_NET: u8 = 16;
/// Blocks of addresses up to 127.254.254.0.
const ADDRESS_BLOCKS: u32 = (254 - 16 + 1) * 128;

impl Block {
    /// Whether pods of `self` and `other` could meet.
    pub fn overlaps(self, other: Self) -> bool {
        self == other
    }

    /// How it tells pods apart.
    pub fn addressing(self) -> Addressing {
        match self {
            Self::Addresses(_) => Addressing::Addresses,
            Self::Ports(_) => Addressing::Ports,
        }
    }

    /// The blocks a cluster called `name` may have, best first. The first one depends on nothing
    /// but the name, so that a cluster made anew gets the address it had.
    pub fn candidates(name: &str, addressing: Addressing) -> impl Iterator<Item = Self> {
        let start = fnv(name.as_bytes());
        let count = match addressing {
            Addressing::Addresses => 64,
            Addressing::Ports => u32::from(PORT_BLOCKS),
        };
        (0..count).map(move |step| match addressing {
            Addressing::Addresses => {
                let index = start.wrapping_add(u64::from(step)) % u64::from(ADDRESS_BLOCKS);
                let index = u32::try_from(index).unwrap_or(0);
                let base = u32::from(Ipv4Addr::new(127, FIRST_NET, 0, 0));
                Self::Addresses(Ipv4Addr::from(base + index * 512))
            }
            Addressing::Ports => {
                let index = start.wrapping_add(u64::from(step)) % u64::from(PORT_BLOCKS);
                let index = u16::try_from(index).unwrap_or(0);
                Self::Ports(FIRST_PORT + index * PORTS)
            }
        })
    }
}

/// Whether more of 127.0.0.0/8 can be bound than 127.0.0.1, as on Linux unless a sandbox forbids.
pub fn many_loopbacks() -> bool {
    TcpListener::bind((Ipv4Addr::new(127, FIRST_NET, 1, 1), 0)).is_ok()
}

/// Spreads names over blocks; the same on every machine and in every release.
fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// Pods as processes of this machine.
#[derive(Clone, Debug)]
pub struct LocalEnvironment<'a> {
    /// Addresses or ports.
    pub block: Block,
    /// Where their files are.
    pub dir: &'a ClusterDir,
}

impl Environment for LocalEnvironment<'_> {
    fn endpoint(&self, cluster: &Cluster, pod: PodId) -> Endpoint {
        let (host, ports) = match self.block {
            Block::Addresses(base) => {
                let host = Ipv4Addr::from(u32::from(base) + address_offset(pod));
                let listen = match pod {
                    PodId::Namesrv { .. } => cluster.spec.nameserver.port,
                    PodId::Broker { .. } => cluster.spec.brokers.listen_port,
                };
                (host, ports(listen, cluster.spec.metrics.port))
            }
            Block::Ports(base) => {
                let first = base + port_offset(pod);
                let ports = match pod {
                    PodId::Namesrv { .. } => ports(first, first + 1),
                    // In the order of the numbers: fast, http, listen, ha, control.
                    PodId::Broker { .. } => ports(first + 2, first + 1),
                };
                (Ipv4Addr::LOCALHOST, ports)
            }
        };
        let host = host.to_string();
        Endpoint { bind: host.clone(), host, ports }
    }

    fn dirs(&self, name: &str) -> Dirs {
        // The data directory is known to be UTF-8.
        let text = |path: std::path::PathBuf| path.to_string_lossy().into_owned();
        Dirs { config: text(self.dir.config(name)), data: text(self.dir.pod(name)) }
    }

    fn log_format(&self) -> LogFormat {
        LogFormat::Text
    }
}

fn ports(listen: u16, http: u16) -> Ports {
    Ports { listen, ha: listen.saturating_add(1), http }
}

/// The offset of a broker does not depend on how many of what there are,
/// so that no pod moves when a cluster grows.
fn address_offset(pod: PodId) -> u32 {
    match pod {
        PodId::Namesrv { ordinal } => 1 + ordinal,
        PodId::Broker { group, ordinal } => 16 + 7 * group + ordinal,
    }
}

fn port_offset(pod: PodId) -> u16 {
    let offset = match pod {
        // Listen, http and control, behind all brokers.
        PodId::Namesrv { ordinal } => 2260 + 4 * ordinal,
        PodId::Broker { group, ordinal } => 20 + 5 * (7 * group + ordinal),
    };
    u16::try_from(offset).unwrap_or(0)
}

/// The sockets a pod listens on.
pub fn sockets(process: &rmq_operator_plan::Process) -> Vec<SocketAddr> {
    let ip: IpAddr = process.endpoint.bind.parse().unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
    process.listening_ports().into_iter().map(|port| SocketAddr::new(ip, port)).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::local::dirs::DataDir;

    fn largest() -> Cluster {
        let text = "{apiVersion: rocketmq.rs/v1alpha1, kind: RocketMQCluster, \
             metadata: {name: demo}, spec: {layout: Custom, nameserver: {replicas: 9}, brokers: \
             {groups: 64, replicasPerGroup: 7, replication: Async, storage: {size: 1Gi}}}}";
        rmq_operator_api::manifest::read(text).expect("valid").remove(0)
    }

    #[test]
    fn no_two_sockets_of_the_largest_cluster_are_the_same() {
        let data = DataDir::locate(Some(std::path::Path::new("/data"))).expect("given");
        let dir = data.cluster("demo").expect("a name");
        for addressing in [Addressing::Addresses, Addressing::Ports] {
            let block = Block::candidates("demo", addressing).next().expect("one");
            let environment = LocalEnvironment { block, dir: &dir };
            let plan = rmq_operator_plan::resolve(&largest(), &environment);
            let all: Vec<SocketAddr> = plan.processes.iter().flat_map(sockets).collect();
            assert_eq!(all.len(), 9 * 3 + 64 * 7 * 5);
            assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len(), "{addressing:?}");
            for socket in all {
                assert!(socket.ip().is_loopback(), "{socket}");
                match block {
                    Block::Addresses(base) => {
                        let IpAddr::V4(ip) = socket.ip() else { panic!("{socket}") };
                        assert!((1..512).contains(&(u32::from(ip) - u32::from(base))), "{socket}");
                    }
                    Block::Ports(base) => {
                        assert!((base..base + PORTS).contains(&socket.port()), "{socket}");
                    }
                }
            }
        }
    }

    #[test]
    fn blocks_depend_on_the_name_and_stay_in_their_range() {
        for addressing in [Addressing::Addresses, Addressing::Ports] {
            let of = |name: &str| Block::candidates(name, addressing).collect::<Vec<_>>();
            assert_eq!(of("demo"), of("demo"));
            assert_ne!(of("demo"), of("other"));
            for block in (0..500).flat_map(|index| of(&format!("c{index}"))) {
                match block {
                    Block::Addresses(base) => {
                        let [first, second, third, last] = base.octets();
                        assert_eq!((first, third % 2, last), (127, 0, 0));
                        assert!((16..=254).contains(&second));
                    }
                    Block::Ports(base) => assert!((12_000..=32_767 - 2304).contains(&base)),
                }
            }
        }
        let first = Block::candidates("demo", Addressing::Addresses).next();
        assert_eq!(first, Some(Block::Addresses(Ipv4Addr::new(127, 176, 44, 0))));
    }

    #[test]
    fn a_growing_cluster_moves_no_pod() {
        let data = DataDir::locate(Some(std::path::Path::new("/data"))).expect("given");
        let dir = data.cluster("demo").expect("a name");
        let block = Block::Ports(12_000);
        let environment = LocalEnvironment { block, dir: &dir };
        let large = rmq_operator_plan::resolve(&largest(), &environment);
        let mut small = largest();
        small.spec.brokers.groups = Some(2);
        small.spec.brokers.replicas_per_group = Some(2);
        small.spec.nameserver.replicas = Some(1);
        for process in rmq_operator_plan::resolve(&small, &environment).processes {
            let same = large.processes.iter().find(|other| other.name == process.name);
            assert_eq!(same.map(|other| &other.endpoint), Some(&process.endpoint));
        }
    }
}
