//! Replication state and access control, as tools see them.

use super::bodies;
use std::sync::Arc;

bodies! {
    /// Answer to 907.
    HaRuntimeInfo {
        /// Of a replica.
        ha_client_runtime_info: HaClientRuntimeInfo,
        /// Of a master: its replicas.
        ha_connection_info: Vec<HaConnectionInfo>,
        /// Replicas in sync, the master included.
        in_sync_slave_nums: i32,
        /// This is a master.
        master: bool,
        /// End of its log.
        master_commit_log_max_offset: i64,
    }

    /// A replica seen from itself.
    HaClientRuntimeInfo {
        /// Milliseconds.
        last_read_timestamp: i64,
        /// Milliseconds.
        last_write_timestamp: i64,
        /// `ip:port`.
        #[serde(skip_serializing_if = "Option::is_none")]
        master_addr: Option<Arc<str>>,
        /// What the master has on disk.
        master_flush_offset: i64,
        /// End of its own log.
        max_offset: i64,
        /// Rate.
        transferred_byte_in_second: i64,
    }

    /// A replica seen from its master.
    HaConnectionInfo {
        /// `ip:port`.
        addr: Arc<str>,
        /// Bytes behind.
        diff: i64,
        /// Counts for acknowledgements.
        in_sync: bool,
        /// What it has.
        slave_ack_offset: i64,
        /// What it is sent.
        transfer_from_where: i64,
        /// Rate.
        transferred_byte_in_second: i64,
    }

    /// Answer to 1007.
    EpochEntryCache {
        /// Id.
        broker_id: i64,
        /// Name.
        broker_name: Arc<str>,
        /// Cluster.
        cluster_name: Arc<str>,
        /// Epochs, oldest first.
        epoch_list: Vec<EpochEntry>,
        /// End of the log.
        max_offset: i64,
    }

    /// A time with one master.
    EpochEntry {
        /// End in the log; `i64::MAX` while it lasts.
        end_offset: i64,
        /// Number.
        epoch: i32,
        /// Begin in the log.
        start_offset: i64,
    }

    /// 3001 and following.
    UserInfo {
        /// Never answered.
        #[serde(skip_serializing_if = "Option::is_none")]
        password: Option<String>,
        /// `enable` or `disable`.
        #[serde(skip_serializing_if = "Option::is_none")]
        user_status: Option<String>,
        /// `Super` or `Normal`.
        #[serde(skip_serializing_if = "Option::is_none")]
        user_type: Option<String>,
        /// Name.
        username: String,
    }

    /// 3006 and following.
    AclInfo {
        /// Rules.
        policies: Vec<PolicyInfo>,
        /// `User:name`.
        #[serde(skip_serializing_if = "Option::is_none")]
        subject: Option<String>,
    }

    /// Rules of a kind.
    PolicyInfo {
        /// Rules.
        entries: Vec<PolicyEntryInfo>,
        /// `Custom` or `Default`.
        #[serde(skip_serializing_if = "Option::is_none")]
        policy_type: Option<String>,
    }

    /// A rule.
    PolicyEntryInfo {
        /// Such as `Pub`.
        actions: Vec<String>,
        /// `Allow` or `Deny`.
        #[serde(skip_serializing_if = "Option::is_none")]
        decision: Option<String>,
        /// Such as `Topic:abc`.
        #[serde(skip_serializing_if = "Option::is_none")]
        resource: Option<String>,
        /// Addresses and ranges.
        source_ips: Vec<String>,
    }
}
