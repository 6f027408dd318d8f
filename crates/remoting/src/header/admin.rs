//! Administration of a broker and its replicas: 26, 315, 905 to 908, 2004.

use crate::header::fields::headers;
use crate::text::ByteStr;

headers! {
    /// Answer to 26.
    GetBrokerConfigResponse {
        /// Version of the configuration, JSON.
        version: Option<ByteStr> = "version",
    }

    /// 315.
    ViewBrokerStats {
        /// Such as `TOPIC_PUT_NUMS`.
        stats_name: ByteStr = "statsName",
        /// Such as a topic.
        stats_key: ByteStr = "statsKey",
    }

    /// 905, name server to broker.
    NotifyMinBrokerIdChange {
        /// Smallest id now.
        min_broker_id: Option<i64> = "minBrokerId",
        /// Broker name; the reference implementation leaves it out.
        broker_name: Option<ByteStr> = "brokerName",
        /// Address of the smallest id.
        min_broker_addr: Option<ByteStr> = "minBrokerAddr",
        /// Who went.
        offline_broker_addr: Option<ByteStr> = "offlineBrokerAddr",
        /// Replication address of who came.
        ha_broker_addr: Option<ByteStr> = "haBrokerAddr",
    }
}
