//! Names of labels, annotations, conditions and of whoever writes them.

/// Field manager of everything that the operator applies.
pub const MANAGER: &str = "rocketmq.rs-operator";

/// Label: always [`NAME_VALUE`].
pub const NAME: &str = "app.kubernetes.io/name";
/// Label: name of the cluster.
pub const INSTANCE: &str = "app.kubernetes.io/instance";
/// Label: [`NAMESRV`] or [`BROKER`].
pub const COMPONENT: &str = "app.kubernetes.io/component";
/// Label: always [`NAME_VALUE`].
pub const PART_OF: &str = "app.kubernetes.io/part-of";
/// Label: always [`MANAGER`].
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// Label: release of what runs.
pub const VERSION: &str = "app.kubernetes.io/version";
/// Label: name of the cluster.
pub const CLUSTER: &str = "rocketmq.rs/cluster";
/// Label: name of the broker group.
pub const BROKER_NAME: &str = "rocketmq.rs/broker-name";
/// Label of pods, for people and monitoring: [`MASTER`] or [`SLAVE`].
pub const ROLE: &str = "rocketmq.rs/role";
/// Label of claims whose group was scaled away: name of the group.
pub const ORPHANED_GROUP: &str = "rocketmq.rs/orphaned-group";
/// Label that the StatefulSet controller puts on its pods.
pub const POD_NAME: &str = "statefulset.kubernetes.io/pod-name";

/// Value of [`NAME`] and [`PART_OF`].
pub const NAME_VALUE: &str = "rocketmq";
/// Value of [`COMPONENT`] for name servers.
pub const NAMESRV: &str = "namesrv";
/// Value of [`COMPONENT`] for brokers.
pub const BROKER: &str = "broker";
/// Value of [`ROLE`].
pub const MASTER: &str = "master";
/// Value of [`ROLE`].
pub const SLAVE: &str = "slave";

/// Annotation of a cluster, `"true"`: its status is kept up to date, nothing else is touched.
pub const PAUSE: &str = "rocketmq.rs/pause";
/// Annotation of a pod, `"true"`: the operator does not restart it.
pub const HOLD: &str = "rocketmq.rs/hold";
/// Annotation of a cluster or pod, any token: a new one asks for an ordered restart.
pub const RESTART: &str = "rocketmq.rs/restart";
/// Annotation of a cluster, a group's name: it is scaled away without waiting for its messages.
pub const FORCE_SCALE_IN: &str = "rocketmq.rs/force-scale-in";
/// Annotation of a cluster, a number: pods may take the form that this generation of templates has.
pub const ACCEPT_TEMPLATE: &str = "rocketmq.rs/accept-template";
/// Annotation of pod templates, made by the operator: hash of the settings that need a restart.
pub const RESTART_CONFIG_HASH: &str = "rocketmq.rs/restart-config-hash";

/// Every annotation that people may set.
pub const ANNOTATIONS: [&str; 5] = [PAUSE, HOLD, RESTART, FORCE_SCALE_IN, ACCEPT_TEMPLATE];

/// Types of conditions.
pub mod condition {
    /// All desired pods are ready and updated, every group has a serving master.
    pub const READY: &str = "Ready";
    /// At least one name server and one writable group: clients can work.
    pub const AVAILABLE: &str = "Available";
    /// A change is being rolled out; false with reason `RolloutStuck` when it cannot go on.
    pub const PROGRESSING: &str = "Progressing";
    /// Something desired is missing but service goes on.
    pub const DEGRADED: &str = "Degraded";
    /// Every group's in-sync set equals its replicas.
    pub const REPLICATION_HEALTHY: &str = "ReplicationHealthy";
    /// Every broker has acknowledged its settings.
    pub const CONFIG_APPLIED: &str = "ConfigApplied";
    /// Present while volumes grow.
    pub const STORAGE_RESIZE: &str = "StorageResize";
    /// A group that shall go still has messages; the message has counts.
    pub const SCALE_IN_BLOCKED: &str = "ScaleInBlocked";
    /// Nothing is changed until somebody lifts the pause.
    pub const PAUSED: &str = "Paused";
    /// False when the operator cannot act on the spec.
    pub const SPEC_VALID: &str = "SpecValid";
    /// A broker's disk is filled beyond its clean-up ratio.
    pub const DISK_PRESSURE: &str = "DiskPressure";
}
