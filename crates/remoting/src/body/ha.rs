//! Replication state, as tools see it.

use super::bodies;
use std::sync::Arc;

bodies! {
    /// Answer to 907.
    HaRuntimeInfo {
        /// Of a replica.
        ha_client_runtime_info: HaClientRuntimeInfo,
        /// Of a master: its replicas.
        ha_connection_info: Vec<HaConnectionInfo>,
        /// Replicas in sync, the master not counted.
        in_sync_slave_nums: i32,
        /// This is a master.
        master: bool,
        /// End of its log.
        master_commit_log_max_offset: i64,
    }

    /// A replica seen from itself.
    HaClientRuntimeInfo {
        /// Whether it copies at present. Ours only.
        #[serde(skip_serializing_if = "Option::is_none")]
        following: Option<bool>,
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
        /// Its id. Ours only, and of replicas of ours.
        #[serde(skip_serializing_if = "Option::is_none")]
        broker_id: Option<i64>,
        /// Bytes behind.
        diff: i64,
        /// Counts for acknowledgements.
        in_sync: bool,
        /// Milliseconds since it had everything. Ours only; not if it never had.
        #[serde(skip_serializing_if = "Option::is_none")]
        lag_ms: Option<i64>,
        /// What it has.
        slave_ack_offset: i64,
        /// What it is sent.
        transfer_from_where: i64,
        /// Rate.
        transferred_byte_in_second: i64,
    }
}
