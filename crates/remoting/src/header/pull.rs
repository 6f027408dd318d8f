//! Pulling and looking up messages: 11, 361, 12, 33.

use crate::header::fields::headers;
use crate::text::ByteStr;

headers! {
    /// 11, 361.
    PullMessage {
        /// Consumer group.
        consumer_group: ByteStr = "consumerGroup",
        /// Topic.
        topic: ByteStr = "topic",
        /// Queue.
        queue_id: i32 = "queueId",
        /// First offset wanted.
        queue_offset: i64 = "queueOffset",
        /// Most messages.
        max_msg_nums: i32 = "maxMsgNums",
        /// Bits `PULL_…` of `rmq_model::sysflag`.
        sys_flag: i32 = "sysFlag",
        /// Offset to store, if its bit is set.
        commit_offset: i64 = "commitOffset",
        /// How long the broker may park the request.
        suspend_timeout_millis: i64 = "suspendTimeoutMillis",
        /// Expression, if its bit is set.
        subscription: Option<ByteStr> = "subscription",
        /// Version of the consumer's subscription.
        sub_version: i64 = "subVersion" or 0,
        /// `TAG`, `SQL92`; absent is `TAG`.
        expression_type: Option<ByteStr> = "expressionType",
        /// Most bytes.
        max_msg_bytes: Option<i32> = "maxMsgBytes",
        /// -1 client, 0 proxy in order, 1 proxy broadcast, 2 proxy stream.
        request_source: Option<i32> = "requestSource",
        /// Client behind a proxy; the name is spelled so.
        proxy_forward_client_id: Option<ByteStr> = "proxyFrowardClientId",
        /// Broker the client believes it talks to.
        broker_name: Option<ByteStr> = "bname",
        /// `false`: queue and offset are physical already.
        logical: Option<bool> = "lo",
    }

    /// Answer to 11 and 361, with codes 0, 19, 20 and 21: the first four are needed in all of them.
    PullMessageResponse {
        /// Broker id to pull from next time.
        suggest_which_broker_id: i64 = "suggestWhichBrokerId",
        /// Where to go on.
        next_begin_offset: i64 = "nextBeginOffset",
        /// First offset of the queue.
        min_offset: i64 = "minOffset",
        /// Offset after the last of the queue.
        max_offset: i64 = "maxOffset",
        /// To add to the offsets in the records, for logical queues.
        offset_delta: Option<i64> = "offsetDelta",
        /// Bits of the topic.
        topic_sys_flag: Option<i32> = "topicSysFlag",
        /// Bits of the group.
        group_sys_flag: Option<i32> = "groupSysFlag",
        /// With code 16: 1 broker, 2 group, 3 topic, 4 broadcast, 5 subscription.
        forbidden_type: Option<i32> = "forbiddenType",
    }

    /// 12.
    QueryMessage {
        /// Topic.
        topic: ByteStr = "topic",
        /// Key or unique id.
        key: ByteStr = "key",
        /// Most messages.
        max_num: i32 = "maxNum",
        /// Store time from.
        begin_timestamp: i64 = "beginTimestamp",
        /// Store time to.
        end_timestamp: i64 = "endTimestamp",
        /// `key` is a unique id.
        unique_key: bool = "_UNIQUE_KEY_QUERY" or false,
        /// `K` keys, `U` unique id, `T` tag; only newer tools send it.
        index_type: Option<ByteStr> = "indexType",
        /// Broker the client believes it talks to.
        broker_name: Option<ByteStr> = "bname",
    }

    /// Answer to 12.
    QueryMessageResponse {
        /// Store time of the last indexed message.
        index_last_update_timestamp: i64 = "indexLastUpdateTimestamp",
        /// Position of the last indexed message in the commit log.
        index_last_update_phyoffset: i64 = "indexLastUpdatePhyoffset",
    }

    /// 33.
    ViewMessage {
        /// Topic.
        topic: Option<ByteStr> = "topic",
        /// Position in the commit log.
        offset: i64 = "offset",
        /// Broker the client believes it talks to.
        broker_name: Option<ByteStr> = "bname",
    }
}
