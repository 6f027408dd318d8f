//! Clients, locks and what the broker asks of clients: 34, 35, 38, 40, 220, 221, 307, 309, 401.

use crate::header::fields::headers;
use crate::text::ByteStr;

headers! {
    /// Answer to 34.
    HeartbeatResponse {
        /// Always true; a client that wants it then sends short heartbeats.
        support_v2: bool = "IS_SUPPORT_HEART_BEAT_V2" or false,
        /// The client is to send its subscriptions again.
        sub_change: bool = "IS_SUB_CHANGE" or true,
    }

    /// 35.
    UnregisterClient {
        /// Client.
        client_id: ByteStr = "clientID",
        /// Its producer group.
        producer_group: Option<ByteStr> = "producerGroup",
        /// Its consumer group.
        consumer_group: Option<ByteStr> = "consumerGroup",
    }

    /// 38, 40, 203.
    ConsumerGroup {
        /// Consumer group.
        consumer_group: ByteStr = "consumerGroup",
        /// Broker the client believes it talks to.
        broker_name: Option<ByteStr> = "bname",
    }

    /// 204.
    ProducerGroup {
        /// Producer group.
        producer_group: ByteStr = "producerGroup",
    }

    /// 220, broker to client.
    ResetClientOffset {
        /// Topic.
        topic: ByteStr = "topic",
        /// Consumer group.
        group: ByteStr = "group",
        /// Milliseconds.
        timestamp: i64 = "timestamp",
        /// Also forwards.
        is_force: bool = "isForce",
        /// Only this queue.
        queue_id: Option<i32> = "queueId",
        /// To this offset.
        offset: Option<i64> = "offset",
    }

    /// 221, broker to client.
    GetClientStatus {
        /// Topic.
        topic: ByteStr = "topic",
        /// Consumer group.
        group: ByteStr = "group",
        /// Only this client.
        client_addr: Option<ByteStr> = "clientAddr",
    }

    /// 307, tool to broker to client.
    GetConsumerRunningInfo {
        /// Consumer group.
        consumer_group: ByteStr = "consumerGroup",
        /// Client.
        client_id: ByteStr = "clientId",
        /// With the stacks of all threads.
        jstack_enable: bool = "jstackEnable" or false,
    }

    /// 309, tool to broker to client.
    ConsumeMessageDirectly {
        /// Consumer group.
        consumer_group: ByteStr = "consumerGroup",
        /// Client; absent: any.
        client_id: Option<ByteStr> = "clientId",
        /// Offset id.
        msg_id: Option<ByteStr> = "msgId",
        /// Set by the broker.
        broker_name: Option<ByteStr> = "brokerName",
        /// Topic to consume under.
        topic: Option<ByteStr> = "topic",
        /// Set by the broker.
        topic_sys_flag: Option<i32> = "topicSysFlag",
        /// Set by the broker.
        group_sys_flag: Option<i32> = "groupSysFlag",
    }
}
