//! What brokers and name servers say about themselves, as the planner sees it.
//!
//! Times are ages in milliseconds, so that every gate can be judged from one observation.

use std::collections::BTreeSet;
use std::fmt;

/// A process did not answer its control API, with the reason for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreachable(pub String);

impl fmt::Display for Unreachable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Which process a changing call is meant for; another one at the same address refuses it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Identity of its data.
    pub store_id: String,
    /// Identity of its run.
    pub incarnation: String,
}

/// Where a process is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Reads its store; serves nothing yet.
    Recovering,
    /// Serves.
    Serving,
    /// Was asked to stop and still serves reads.
    Draining,
    /// Serves nothing any more.
    Stopping,
}

/// `brokerRole`, as far as planning cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BrokerRole {
    /// Takes writes.
    Master,
    /// Copies a master.
    Slave,
}

/// What a broker answers.
#[derive(Clone, Debug, PartialEq)]
pub struct BrokerView {
    /// For calls that change something.
    pub target: Target,
    /// UID of the pod it runs in: an answer of a predecessor is not one of this pod.
    pub pod_uid: String,
    /// Where it is in its life.
    pub phase: Phase,
    /// Whether it takes writes.
    pub role: BrokerRole,
    /// `brokerId`; 0 is the master.
    pub broker_id: u64,
    /// Epoch of the master; 0 where the master is fixed.
    pub epoch: u64,
    /// Ordinals of the replicas that have everything confirmed, itself included.
    pub in_sync: BTreeSet<u32>,
    /// End of its log.
    pub max_offset: u64,
    /// The other replicas, as a master sees them.
    pub replicas: Vec<ReplicaView>,
    /// One for each name server it keeps told.
    pub registrations: Vec<Registration>,
    /// Hash of the name server list in force.
    pub name_servers_hash: String,
    /// Its settings.
    pub config: ConfigView,
    /// What clients may do.
    pub permission: Permission,
    /// Since the latest send was accepted; `None` without one since the start.
    pub last_send_ms_ago: Option<u64>,
    /// Its disks.
    pub disk: Disk,
    /// What recovery does; `None` once it is done.
    pub recovery: Option<Recovery>,
    /// `host:port` that clients are told.
    pub advertised: String,
    /// Since it started.
    pub started_ms_ago: u64,
}

/// Another replica, as the master sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplicaView {
    /// Its ordinal.
    pub ordinal: u32,
    /// What it lacks.
    pub lag_bytes: u64,
}

/// How a broker stands with one name server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registration {
    /// Of the name server.
    pub address: String,
    /// Whether the latest attempt succeeded.
    pub ok: bool,
    /// Since the latest success; `None` before the first.
    pub age_ms: Option<u64>,
}

/// Settings of a process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConfigView {
    /// Hash of the mounted file.
    pub file_hash: String,
    /// Hash of the settings accepted last.
    pub applied_hash: String,
    /// Why the mounted file was refused.
    pub rejected: Option<Rejected>,
}

/// Why a file of settings was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejected {
    /// The setting to blame, or the file.
    pub key: String,
    /// What is wrong with it.
    pub reason: String,
}

/// What clients may do with a broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Permission {
    /// Bits as clients see them: 4 read, 2 write.
    pub perm: u32,
    /// As given by who set it; empty for the configured one.
    pub reason: String,
    /// Since it became this.
    pub since_ms: u64,
}

impl Permission {
    /// Whether clients may send.
    pub fn writable(&self) -> bool {
        self.perm & 2 != 0
    }
}

/// The disks of a broker.
#[derive(Clone, Debug, PartialEq)]
pub struct Disk {
    /// Of the fuller one, 0 to 1.
    pub used_ratio: f64,
    /// Whether sends are accepted.
    pub writable: bool,
    /// Why not; empty when writable.
    pub reason: String,
}

/// What a starting broker reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovery {
    /// In words.
    pub step: String,
    /// Bytes read.
    pub bytes_done: u64,
    /// Bytes in all; 0 when not known yet.
    pub bytes_total: u64,
}

/// Whether everything a broker stores has been consumed, not counting what the manifest lets be
/// left behind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DrainView {
    /// Nothing is left.
    pub empty: bool,
    /// For how long; 0 when it is not empty.
    pub empty_for_ms: u64,
    /// The furthest behind, at most ten.
    pub behind: Vec<Behind>,
    /// Messages in all that groups have not consumed.
    pub behind_messages: u64,
    /// Topics with messages that nobody ever consumed, at most ten.
    pub unconsumed_topics: Vec<String>,
    /// How many such topics there are.
    pub unconsumed_total: u64,
    /// Messages that wait for their time.
    pub delayed_messages: u64,
    /// Prepared messages of open transactions.
    pub half_messages: u64,
    /// Messages that pop consumers have not acknowledged.
    pub pop_messages: u64,
}

/// A consumer group that has not consumed all of a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Behind {
    /// The topic.
    pub topic: String,
    /// The group.
    pub group: String,
    /// How many messages.
    pub messages: u64,
}

/// What a name server answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameServerView {
    /// UID of the pod it runs in.
    pub pod_uid: String,
    /// Where it is in its life.
    pub phase: Phase,
    /// Since it started.
    pub started_ms_ago: u64,
    /// Brokers it knows: `brokerName` and id.
    pub brokers: BTreeSet<(String, u64)>,
    /// Its settings.
    pub config: ConfigView,
}
