//! Offsets: 14, 15, 29, 30, 31, 32.

use crate::header::fields::headers;
use crate::text::ByteStr;

headers! {
    /// 14.
    QueryConsumerOffset {
        /// Consumer group.
        consumer_group: ByteStr = "consumerGroup",
        /// Topic.
        topic: ByteStr = "topic",
        /// Queue.
        queue_id: i32 = "queueId",
        /// `false`: never answer 0 for "none".
        set_zero_if_not_found: Option<bool> = "setZeroIfNotFound",
        /// Broker the client believes it talks to.
        broker_name: Option<ByteStr> = "bname",
        /// `false`: the queue is physical already.
        logical: Option<bool> = "lo",
    }

    /// 15. Queue and offset are mandatory to the client but answered with code 29 when absent.
    UpdateConsumerOffset {
        /// Consumer group.
        consumer_group: ByteStr = "consumerGroup",
        /// Topic.
        topic: ByteStr = "topic",
        /// Queue.
        queue_id: Option<i32> = "queueId",
        /// Next offset to consume.
        commit_offset: Option<i64> = "commitOffset",
        /// Broker the client believes it talks to.
        broker_name: Option<ByteStr> = "bname",
        /// `false`: the queue is physical already.
        logical: Option<bool> = "lo",
    }

    /// 29.
    SearchOffset {
        /// Topic.
        topic: ByteStr = "topic",
        /// Queue.
        queue_id: i32 = "queueId",
        /// Milliseconds.
        timestamp: i64 = "timestamp",
        /// `LOWER` or `UPPER`; absent is `LOWER`.
        boundary_type: Option<ByteStr> = "boundaryType",
        /// Broker the client believes it talks to.
        broker_name: Option<ByteStr> = "bname",
    }

    /// 30.
    GetMaxOffset {
        /// Topic.
        topic: ByteStr = "topic",
        /// Queue.
        queue_id: i32 = "queueId",
        /// Only what consumers can read.
        committed: bool = "committed" or true,
        /// Broker the client believes it talks to.
        broker_name: Option<ByteStr> = "bname",
    }

    /// 31, 32: which queue.
    OfQueue {
        /// Topic.
        topic: ByteStr = "topic",
        /// Queue.
        queue_id: i32 = "queueId",
        /// Broker the client believes it talks to.
        broker_name: Option<ByteStr> = "bname",
    }

    /// Answer to 14, 29, 30, 31.
    OffsetResponse {
        /// The offset.
        offset: i64 = "offset",
    }

    /// Answer to 32.
    TimestampResponse {
        /// Milliseconds; -1 of an empty queue.
        timestamp: i64 = "timestamp",
    }
}
