//! Producing: 10, 310, 320, 324, 325, 326, 36, 37, 39, 370.

use crate::code::request;
use crate::ext::ExtFields;
use crate::header::fields::{finish, headers};
use crate::header::{Field, Header, HeaderError};
use crate::text::ByteStr;

headers! {
    /// 10, 324 under these names; 310, 320 and 325 under one-letter names, see
    /// [`SendMessage::from_v2`].
    SendMessage {
        /// Group of the producer.
        producer_group: ByteStr = "producerGroup",
        /// Topic.
        topic: ByteStr = "topic",
        /// Template for a topic that has to be created.
        default_topic: ByteStr = "defaultTopic",
        /// Queues of a topic that has to be created.
        default_topic_queue_nums: i32 = "defaultTopicQueueNums",
        /// Queue; negative: any.
        queue_id: i32 = "queueId",
        /// Bits of `rmq_model::sysflag`.
        sys_flag: i32 = "sysFlag",
        /// Milliseconds, clock of the client.
        born_timestamp: i64 = "bornTimestamp",
        /// The application's own number.
        flag: i32 = "flag",
        /// Properties text.
        properties: Option<ByteStr> = "properties",
        /// Retries so far, of a consumer that resends by itself.
        reconsume_times: Option<i32> = "reconsumeTimes",
        /// Unit mode.
        unit_mode: bool = "unitMode" or false,
        /// The body is a batch.
        batch: bool = "batch" or false,
        /// Most retries, of a consumer that resends by itself.
        max_reconsume_times: Option<i32> = "maxReconsumeTimes",
        /// Broker the client believes it talks to.
        broker_name: Option<ByteStr> = "bname",
    }

    /// Answer to 10, 310, 320, with codes 0, 10, 11 and 12; to 324 and 325 always.
    SendMessageResponse {
        /// Offset id; of a batch all of them, joined by commas.
        msg_id: ByteStr = "msgId",
        /// Queue it was stored in.
        queue_id: i32 = "queueId",
        /// Position in the queue; of a batch that of the first.
        queue_offset: i64 = "queueOffset",
        /// The client's unique id.
        transaction_id: Option<ByteStr> = "transactionId",
        /// Id of an inner batch.
        batch_uniq_id: Option<ByteStr> = "batchUniqId",
        /// Handle to recall a timer message by.
        recall_handle: Option<ByteStr> = "recallHandle",
    }

    /// 36.
    ConsumerSendMsgBack {
        /// Position in the commit log.
        offset: i64 = "offset",
        /// Consumer group.
        group: ByteStr = "group",
        /// Delay level; 0: by the number of retries; negative: dead letter.
        delay_level: i32 = "delayLevel",
        /// Id of the message.
        origin_msg_id: Option<ByteStr> = "originMsgId",
        /// Its topic.
        origin_topic: Option<ByteStr> = "originTopic",
        /// Unit mode.
        unit_mode: bool = "unitMode" or false,
        /// Most retries, honoured from version 121 on.
        max_reconsume_times: Option<i32> = "maxReconsumeTimes",
        /// Broker the client believes it talks to.
        broker_name: Option<ByteStr> = "bname",
    }

    /// 326, broker to client.
    PushReplyMessage {
        /// Group of the replying producer.
        producer_group: ByteStr = "producerGroup",
        /// Reply topic.
        topic: ByteStr = "topic",
        /// As sent by the replier.
        default_topic: ByteStr = "defaultTopic",
        /// As sent by the replier.
        default_topic_queue_nums: i32 = "defaultTopicQueueNums",
        /// Queue.
        queue_id: i32 = "queueId",
        /// Bits of `rmq_model::sysflag`.
        sys_flag: i32 = "sysFlag",
        /// Milliseconds, clock of the replier.
        born_timestamp: i64 = "bornTimestamp",
        /// The application's own number.
        flag: i32 = "flag",
        /// Properties text.
        properties: Option<ByteStr> = "properties",
        /// Retries so far.
        reconsume_times: Option<i32> = "reconsumeTimes",
        /// Unit mode.
        unit_mode: bool = "unitMode" or false,
        /// `ip:port` of the replier.
        born_host: Option<ByteStr> = "bornHost",
        /// `ip:port` of the broker.
        store_host: Option<ByteStr> = "storeHost",
        /// Milliseconds, clock of the broker.
        store_timestamp: i64 = "storeTimestamp" or 0,
    }
}

impl SendMessage {
    /// The fields of `code`: one-letter names for 310, 320 and 325, long names otherwise.
    ///
    /// # Errors
    /// [`HeaderError`] as [`Header::from_ext`].
    pub fn from_code(code: i32, ext: &ExtFields) -> Result<Self, HeaderError> {
        match code {
            request::SEND_MESSAGE_V2
            | request::SEND_BATCH_MESSAGE
            | request::SEND_REPLY_MESSAGE_V2 => Self::from_v2(ext),
            _ => Self::from_ext(ext),
        }
    }

    /// The fields of 310, 320 and 325. Errors give the long names.
    ///
    /// # Errors
    /// [`HeaderError`] as [`Header::from_ext`].
    pub fn from_v2(ext: &ExtFields) -> Result<Self, HeaderError> {
        let mut found = [None; 14];
        for (key, value) in ext.values() {
            let &[letter @ b'a'..=b'n'] = key else { continue };
            found[usize::from(letter - b'a')] = Some(value);
        }
        let [a, b, c, d, e, f, g, h, i, j, k, l, m, n] = found;
        Ok(Self {
            producer_group: finish!(ByteStr, "producerGroup", a),
            topic: finish!(ByteStr, "topic", b),
            default_topic: finish!(ByteStr, "defaultTopic", c),
            default_topic_queue_nums: finish!(i32, "defaultTopicQueueNums", d),
            queue_id: finish!(i32, "queueId", e),
            sys_flag: finish!(i32, "sysFlag", f),
            born_timestamp: finish!(i64, "bornTimestamp", g),
            flag: finish!(i32, "flag", h),
            properties: finish!(Option<ByteStr>, "properties", i),
            reconsume_times: finish!(Option<i32>, "reconsumeTimes", j),
            unit_mode: finish!(bool, "unitMode", k, false),
            max_reconsume_times: finish!(Option<i32>, "maxReconsumeTimes", l),
            batch: finish!(bool, "batch", m, false),
            broker_name: finish!(Option<ByteStr>, "bname", n),
        })
    }

    /// Appends the fields under one-letter names.
    pub fn to_v2(&self, ext: &mut ExtFields) {
        self.producer_group.write("a", ext);
        self.topic.write("b", ext);
        self.default_topic.write("c", ext);
        self.default_topic_queue_nums.write("d", ext);
        self.queue_id.write("e", ext);
        self.sys_flag.write("f", ext);
        self.born_timestamp.write("g", ext);
        self.flag.write("h", ext);
        self.properties.write("i", ext);
        self.reconsume_times.write("j", ext);
        self.unit_mode.write("k", ext);
        self.max_reconsume_times.write("l", ext);
        self.batch.write("m", ext);
        self.broker_name.write("n", ext);
    }
}
