//! Names of the environment variables that make a process a pod.

/// Name of the pod (`metadata.name`).
pub const POD_NAME: &str = "POD_NAME";
/// Its namespace (`metadata.namespace`).
pub const POD_NAMESPACE: &str = "POD_NAMESPACE";
/// Its UID (`metadata.uid`): another one each time a pod of this name is made.
pub const POD_UID: &str = "POD_UID";
/// Its first address (`status.podIP`).
pub const POD_IP: &str = "POD_IP";
/// All its addresses, separated by `,` (`status.podIPs`).
pub const POD_IPS: &str = "POD_IPS";
/// Node it runs on (`spec.nodeName`).
pub const NODE_NAME: &str = "NODE_NAME";
/// Address of that node (`status.hostIP`).
pub const HOST_IP: &str = "HOST_IP";
/// Number of the pod in its set; the digits that end [`POD_NAME`] when empty.
pub const ORDINAL: &str = "RMQ_ORDINAL";

/// `brokerClusterName`. A process without it is no pod.
pub const CLUSTER_NAME: &str = "RMQ_CLUSTER_NAME";
/// UID of the cluster resource.
pub const CLUSTER_UID: &str = "RMQ_CLUSTER_UID";
/// `brokerName`; only brokers have it.
pub const BROKER_NAME: &str = "RMQ_BROKER_NAME";
/// Replicas of a group, the master included.
pub const REPLICAS: &str = "RMQ_REPLICAS";
/// `Async` or `Sync`.
pub const REPLICATION: &str = "RMQ_REPLICATION";
/// `Disabled` or `Automatic`.
pub const FAILOVER: &str = "RMQ_FAILOVER";
/// Which address clients are told: `ServiceIP`, `PodDNS`, `PodIP`, `HostIP` or `External`.
pub const ADVERTISE: &str = "RMQ_ADVERTISE";
/// Addresses for `External`: `host[:port]` for all pods, with `{pod}`, `{group}`, `{ordinal}` and
/// `{nodeIP}` replaced, or `<ordinal>=host[:port]` for one; several separated by `;`.
pub const ADVERTISED_HOST: &str = "RMQ_ADVERTISED_HOST";
/// Name of the Lease of the group, with automatic failover.
pub const LEASE: &str = "RMQ_LEASE";
/// DNS domain of the pods' own names: `<POD_NAME>.<this>` is the pod.
pub const SERVICE_DOMAIN: &str = "RMQ_SERVICE_DOMAIN";
/// Port of all requests.
pub const LISTEN_PORT: &str = "RMQ_LISTEN_PORT";
/// Port of probes and metrics; 0 is none.
pub const HTTP_PORT: &str = "RMQ_HTTP_PORT";
/// Directory of the mounted files.
pub const CONFIG_DIR: &str = "RMQ_CONFIG_DIR";
/// Directory of the data.
pub const DATA_DIR: &str = "RMQ_DATA_DIR";
/// File with the token of the control API; without one it is only served on loopback addresses.
pub const CONTROL_TOKEN_FILE: &str = "RMQ_CONTROL_TOKEN_FILE";
/// How long a broker that is asked to stop goes on serving reads, seconds.
pub const DRAIN_SECONDS: &str = "RMQ_DRAIN_SECONDS";
/// Address to listen on; all when empty.
pub const BIND: &str = "RMQ_BIND";

/// [`CONFIG_DIR`] when it is not set.
pub const CONFIG_DIR_DEFAULT: &str = "/etc/rocketmq";
/// [`DATA_DIR`] when it is not set.
pub const DATA_DIR_DEFAULT: &str = "/var/lib/rocketmq";
/// [`HTTP_PORT`] when it is not set.
pub const HTTP_PORT_DEFAULT: u16 = 5557;
/// [`LISTEN_PORT`] of a broker when it is not set.
pub const BROKER_PORT_DEFAULT: u16 = 10_911;
/// [`LISTEN_PORT`] of a name server when it is not set.
pub const NAME_SERVER_PORT_DEFAULT: u16 = 9_876;

/// The variables that Kubernetes fills in, with the field they come from. All others of a pod are
/// the same for every pod of a set.
pub const DOWNWARD: [(&str, &str); 8] = [
    (POD_NAME, "metadata.name"),
    (POD_NAMESPACE, "metadata.namespace"),
    (POD_UID, "metadata.uid"),
    (POD_IP, "status.podIP"),
    (POD_IPS, "status.podIPs"),
    (NODE_NAME, "spec.nodeName"),
    (HOST_IP, "status.hostIP"),
    (ORDINAL, "metadata.labels['apps.kubernetes.io/pod-index']"),
];
