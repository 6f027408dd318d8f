//! The name server's requests and answers.

use crate::header::fields::headers;
use crate::text::ByteStr;

headers! {
    /// 100. Absent fields are answered with code 1, as the reference does.
    PutKvConfig {
        /// Namespace.
        namespace: ByteStr = "namespace",
        /// Key.
        key: ByteStr = "key",
        /// Value.
        value: ByteStr = "value",
    }

    /// 101, 102.
    KvKey {
        /// Namespace.
        namespace: ByteStr = "namespace",
        /// Key.
        key: ByteStr = "key",
    }

    /// Answer to 101.
    GetKvConfigResponse {
        /// Value.
        value: Option<ByteStr> = "value",
    }

    /// 219.
    GetKvList {
        /// Namespace.
        namespace: ByteStr = "namespace",
    }

    /// 103.
    RegisterBroker {
        /// Name, shared by a master and its replicas.
        broker_name: ByteStr = "brokerName",
        /// `ip:port` for clients.
        broker_addr: ByteStr = "brokerAddr",
        /// Cluster.
        cluster_name: ByteStr = "clusterName",
        /// `ip:port` for replicas.
        ha_server_addr: ByteStr = "haServerAddr",
        /// 0: master.
        broker_id: i64 = "brokerId",
        /// How long the registration lasts without a sign of life.
        heartbeat_timeout_millis: Option<i64> = "heartbeatTimeoutMillis",
        /// A replica may stand in for the master.
        enable_acting_master: Option<bool> = "enableActingMaster",
        /// Says whether the body is a zlib stream, not reliably.
        compressed: bool = "compressed" or false,
        /// CRC-32 of the body, 31 bits; 0: unchecked.
        body_crc32: i32 = "bodyCrc32" or 0,
        /// Zone.
        zone_name: Option<ByteStr> = "__ZONE_NAME",
    }

    /// Answer to 103.
    RegisterBrokerResponse {
        /// Replication address of the master.
        ha_server_addr: Option<ByteStr> = "haServerAddr",
        /// Address of the master.
        master_addr: Option<ByteStr> = "masterAddr",
    }

    /// 104, 322.
    OfBroker {
        /// Name.
        broker_name: ByteStr = "brokerName",
        /// `ip:port`.
        broker_addr: ByteStr = "brokerAddr",
        /// Cluster.
        cluster_name: ByteStr = "clusterName",
        /// 0: master.
        broker_id: i64 = "brokerId",
    }

    /// Answer to 322.
    QueryDataVersionResponse {
        /// The versions differ.
        changed: bool = "changed",
    }

    /// 105.
    GetRoute {
        /// Topic.
        topic: ByteStr = "topic",
        /// Standard JSON whatever the version of the sender.
        accept_standard_json_only: bool = "acceptStandardJsonOnly" or false,
        /// Zone wanted.
        zone_name: Option<ByteStr> = "__ZONE_NAME",
        /// Only the zone wanted.
        zone_mode: bool = "__ZONE_MODE" or false,
    }

    /// 205, 327.
    BrokerName {
        /// Name.
        broker_name: ByteStr = "brokerName",
    }

    /// Answer to 205.
    WipeWritePermResponse {
        /// Topics changed.
        wipe_topic_count: i32 = "wipeTopicCount",
    }

    /// Answer to 327.
    AddWritePermResponse {
        /// Topics changed.
        add_topic_count: i32 = "addTopicCount",
    }

    /// 216.
    DeleteTopicInNameServer {
        /// Topic.
        topic: ByteStr = "topic",
        /// Only the brokers of this cluster.
        cluster_name: Option<ByteStr> = "clusterName",
    }

    /// 224.
    TopicsByCluster {
        /// Cluster.
        cluster: ByteStr = "cluster",
    }

    /// 901.
    GetBrokerMemberGroup {
        /// Cluster; echoed.
        cluster_name: ByteStr = "clusterName",
        /// Name.
        broker_name: ByteStr = "brokerName",
    }

    /// 904.
    BrokerHeartbeat {
        /// Cluster.
        cluster_name: ByteStr = "clusterName",
        /// `ip:port`.
        broker_addr: ByteStr = "brokerAddr",
        /// Name.
        broker_name: ByteStr = "brokerName",
        /// 0: master.
        broker_id: Option<i64> = "brokerId",
        /// Epoch of the controller.
        epoch: Option<i32> = "epoch",
        /// End of the log.
        max_offset: Option<i64> = "maxOffset",
        /// Confirmed end of the log.
        confirm_offset: Option<i64> = "confirmOffset",
        /// How long it lasts; the name is spelled so.
        heartbeat_timeout_millis: Option<i64> = "heartbeatTimeoutMills",
        /// Rank in elections.
        election_priority: Option<i32> = "electionPriority",
    }
}
