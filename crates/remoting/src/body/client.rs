//! Heartbeats, locks, assignment.

use super::bodies;
use crate::json::or_default;
use rmq_model::MessageQueue;
use rmq_model::client::{ConsumeFromWhere, ConsumeType, MessageModel, SubscriptionData};
use std::sync::Arc;

bodies! {
    /// 34.
    HeartbeatData {
        /// Client.
        #[serde(rename = "clientID")]
        client_id: Arc<str>,
        /// Its consumer groups.
        consumer_data_set: Vec<ConsumerData>,
        /// Of the subscriptions; 0: the client does not know short heartbeats.
        heartbeat_fingerprint: i32,
        /// Its producer groups.
        producer_data_set: Vec<ProducerData>,
        /// The subscriptions are left out, they are those of the fingerprint.
        without_sub: bool,
    }

    /// A producer group of a client.
    ProducerData {
        /// Group.
        group_name: Arc<str>,
    }

    /// A consumer group of a client. C++ clients send ordinals for the constants.
    ConsumerData {
        /// Where it begins without offset; a name that only the client knows counts as the default.
        #[serde(deserialize_with = "or_default")]
        consume_from_where: ConsumeFromWhere,
        /// How it gets messages.
        #[serde(deserialize_with = "or_default")]
        consume_type: ConsumeType,
        /// Group.
        group_name: Arc<str>,
        /// Who of the group gets a message.
        #[serde(deserialize_with = "or_default")]
        message_model: MessageModel,
        /// Its subscriptions.
        subscription_data_set: Vec<SubscriptionData>,
        /// Unit mode.
        unit_mode: bool,
    }

    /// 41, 42.
    LockBatch {
        /// Client.
        client_id: Arc<str>,
        /// Group.
        consumer_group: Arc<str>,
        /// Queues to lock or unlock.
        mq_set: Vec<MessageQueue>,
        /// Do not ask replicas.
        only_this_broker: bool,
    }

    /// Answer to 41.
    LockBatchResponse {
        /// Queues that the client holds now.
        #[serde(rename = "lockOKMQSet")]
        lock_ok_mq_set: Vec<MessageQueue>,
    }

    /// Answer to 38.
    ConsumerIdList {
        /// Clients of the group.
        consumer_id_list: Vec<Arc<str>>,
    }

    /// 46.
    CheckClientConfig {
        /// Client.
        client_id: Arc<str>,
        /// Group.
        group: Arc<str>,
        /// Namespace.
        #[serde(skip_serializing_if = "Option::is_none")]
        namespace: Option<Arc<str>>,
        /// Subscription to check.
        subscription_data: SubscriptionData,
    }

    /// 400.
    QueryAssignment {
        /// Client.
        client_id: Arc<str>,
        /// Group.
        consumer_group: Arc<str>,
        /// Who of the group gets a message.
        #[serde(deserialize_with = "or_default")]
        message_model: MessageModel,
        /// `AVG` or `AVG_BY_CIRCLE`.
        strategy_name: Arc<str>,
        /// Topic.
        topic: Arc<str>,
    }

    /// Answer to 400; the member is absent when nothing could be computed.
    QueryAssignmentResponse {
        /// The client's share.
        message_queue_assignments: Option<Vec<Assignment>>,
    }

    /// A queue of a client.
    Assignment {
        /// Queue; `None` does not occur.
        message_queue: Option<MessageQueue>,
        /// `PULL` or `POP`.
        mode: Arc<str>,
    }
}
