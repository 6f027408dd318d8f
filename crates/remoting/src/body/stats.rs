//! Statistics and what tools look at. Maps by queue have objects as keys on the wire.

use super::bodies;
use crate::json::or_default;
use rmq_model::MessageQueue;
use rmq_model::client::{ConsumeFromWhere, ConsumeType, MessageModel, SubscriptionData};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

bodies! {
    /// Answer to 208.
    ConsumeStats {
        /// Messages per second of the group.
        consume_tps: f64,
        /// By queue.
        offset_table: BTreeMap<MessageQueue, OffsetWrapper>,
    }

    /// A group in a queue.
    OffsetWrapper {
        /// End of the queue.
        broker_offset: i64,
        /// Committed.
        consumer_offset: i64,
        /// Store time of the last consumed message; 0 unknown.
        last_timestamp: i64,
        /// Handed out.
        pull_offset: i64,
    }

    /// Answer to 317.
    ConsumeStatsList {
        /// `ip:port` of the broker.
        broker_addr: Arc<str>,
        /// One map of one group each.
        consume_stats_list: Vec<BTreeMap<Arc<str>, Vec<ConsumeStats>>>,
        /// Messages not consumed.
        total_diff: i64,
        /// Messages handed out and not committed.
        total_inflight_diff: i64,
    }

    /// Answer to 202.
    TopicStatsTable {
        /// By queue.
        offset_table: BTreeMap<MessageQueue, TopicOffset>,
        /// Messages per second put into the topic; older brokers do not tell.
        #[serde(skip_serializing_if = "Option::is_none")]
        topic_put_tps: Option<f64>,
    }

    /// A queue.
    TopicOffset {
        /// Store time of the last message.
        last_update_timestamp: i64,
        /// End.
        max_offset: i64,
        /// Begin.
        min_offset: i64,
    }

    /// A client in a list.
    ClientConnection {
        /// `ip:port`.
        client_addr: Arc<str>,
        /// Client.
        client_id: Arc<str>,
        /// Name of its language.
        language: Arc<str>,
        /// Version ordinal.
        version: i32,
    }

    /// Answer to 203.
    ConsumerConnection {
        /// Clients of the group.
        connection_set: Vec<ClientConnection>,
        /// Where the group begins without offset.
        #[serde(deserialize_with = "or_default")]
        consume_from_where: ConsumeFromWhere,
        /// How it gets messages.
        #[serde(deserialize_with = "or_default")]
        consume_type: ConsumeType,
        /// Who of the group gets a message.
        #[serde(deserialize_with = "or_default")]
        message_model: MessageModel,
        /// By topic.
        subscription_table: BTreeMap<Arc<str>, SubscriptionData>,
    }

    /// Answer to 204.
    ProducerConnection {
        /// Clients of the group.
        connection_set: Vec<ClientConnection>,
    }

    /// Answer to 328: group to clients.
    ProducerTable {
        /// Clients by group.
        data: BTreeMap<Arc<str>, Vec<ProducerInfo>>,
    }

    /// A producer.
    ProducerInfo {
        /// Client.
        client_id: Arc<str>,
        /// Name of its language.
        language: Arc<str>,
        /// Last heartbeat.
        last_update_timestamp: i64,
        /// `ip:port`.
        #[serde(rename = "remoteIP")]
        remote_ip: Arc<str>,
        /// Version ordinal.
        version: i32,
    }

    /// Answer to 222, and 220.
    ResetOffsetBody {
        /// By queue.
        offset_table: BTreeMap<MessageQueue, i64>,
    }

    /// 220 for clients of language CPP.
    ResetOffsetListBody {
        /// Queues with their offsets.
        offset_table: Vec<QueueOffset>,
    }

    /// A queue and an offset in it.
    QueueOffset {
        /// Broker.
        broker_name: Arc<str>,
        /// The offset.
        offset: i64,
        /// Queue.
        queue_id: i32,
        /// Topic.
        topic: Arc<str>,
    }

    /// Answer to 221: of one client.
    ClientStatus {
        /// Offset by queue.
        message_queue_table: BTreeMap<MessageQueue, i64>,
    }

    /// Answer to 223: of several.
    ConsumerStatus {
        /// Client to offset by queue.
        consumer_table: BTreeMap<Arc<str>, BTreeMap<MessageQueue, i64>>,
    }

    /// Answer to 303.
    QueueTimeSpans {
        /// One per queue.
        consume_time_span_set: Vec<QueueTimeSpan>,
    }

    /// What times a queue spans.
    QueueTimeSpan {
        /// Store time of the next message to consume.
        consume_time_stamp: i64,
        /// Of now behind it; 0 when nothing waits.
        delay_time: i64,
        /// Of the last message.
        max_time_stamp: i64,
        /// The queue; `None` does not occur.
        message_queue: Option<MessageQueue>,
        /// Of the first message.
        min_time_stamp: i64,
    }

    /// Answer to 315.
    BrokerStatsData {
        /// The last day.
        stats_day: BrokerStatsItem,
        /// The last hour.
        stats_hour: BrokerStatsItem,
        /// The last minute.
        stats_minute: BrokerStatsItem,
    }

    /// One window of a figure.
    BrokerStatsItem {
        /// Sum per event.
        avgpt: f64,
        /// Sum.
        sum: i64,
        /// Per second.
        tps: f64,
    }

    /// Answer to 308: queue to offset.
    CorrectionOffsets {
        /// Offsets.
        correction_offsets: BTreeMap<i32, i64>,
    }

    /// Answer to 321.
    QueryConsumeQueueResponse {
        /// The filter that was evaluated, as text.
        #[serde(skip_serializing_if = "Option::is_none")]
        filter_data: Option<String>,
        /// End of the queue.
        max_queue_index: i64,
        /// Begin of the queue.
        min_queue_index: i64,
        /// Entries.
        queue_data: Vec<ConsumeQueueData>,
        /// Of the group that was asked for.
        #[serde(skip_serializing_if = "Option::is_none")]
        subscription_data: Option<SubscriptionData>,
    }

    /// An entry of a consume queue.
    ConsumeQueueData {
        /// Bits of the filter.
        #[serde(skip_serializing_if = "Option::is_none")]
        bit_map: Option<String>,
        /// The filter lets it through.
        eval: bool,
        /// Extension, JSON.
        #[serde(skip_serializing_if = "Option::is_none")]
        extend_data_json: Option<String>,
        /// Why it could not be evaluated.
        #[serde(skip_serializing_if = "Option::is_none")]
        msg: Option<String>,
        /// Position in the log.
        physic_offset: i64,
        /// Bytes of the record.
        physic_size: i32,
        /// Hash of the tag.
        tags_code: i64,
    }

    /// Answer to 345.
    QuerySubscriptionResponse {
        /// Group.
        group: Arc<str>,
        /// Absent when the group has none for the topic.
        #[serde(skip_serializing_if = "Option::is_none")]
        subscription_data: Option<SubscriptionData>,
        /// Topic.
        topic: Arc<str>,
    }

    /// Answer to 353.
    GroupForbiddenState {
        /// Group.
        group: Arc<str>,
        /// The group may read the topic.
        readable: bool,
        /// Topic.
        topic: Arc<str>,
    }

    /// Answer of a client to 309. The Go client sends the result's ordinal.
    ConsumeMessageDirectlyResult {
        /// Orderly only.
        auto_commit: bool,
        /// What the listener said; `None` where it is unknown.
        consume_result: Option<ConsumeResult>,
        /// Orderly.
        order: bool,
        /// Mostly the exception.
        #[serde(skip_serializing_if = "Option::is_none")]
        remark: Option<String>,
        /// Milliseconds.
        spent_time_mills: i64,
    }

    /// Answer of a client to 307. What only tools show is passed through.
    ConsumerRunningInfo {
        /// Stacks of all threads.
        #[serde(skip_serializing_if = "Option::is_none")]
        jstack: Option<String>,
        /// POP state by queue.
        mq_pop_table: BTreeMap<MessageQueue, Value>,
        /// Process queues by queue.
        mq_table: BTreeMap<MessageQueue, Value>,
        /// Settings of the consumer.
        properties: BTreeMap<String, String>,
        /// Rates by topic.
        status_table: BTreeMap<Arc<str>, Value>,
        /// Subscriptions.
        subscription_set: Vec<SubscriptionData>,
        /// Of the application.
        user_consumer_info: BTreeMap<String, Value>,
    }
}

/// What a listener made of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ConsumeResult {
    /// Consumed.
    CrSuccess,
    /// To be retried.
    CrLater,
    /// Orderly: undone.
    CrRollback,
    /// Orderly: done.
    CrCommit,
    /// An exception.
    CrThrowException,
    /// Nothing.
    CrReturnNull,
}
