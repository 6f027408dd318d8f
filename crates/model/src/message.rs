//! Names of message properties.

/// Separates a property's name from its value.
pub const NAME_VALUE_SEPARATOR: u8 = 1;
/// Ends a property.
pub const PROPERTY_SEPARATOR: u8 = 2;

macro_rules! properties {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)*) => {
        $($(#[$doc])* pub const $name: &str = $text;)*
    };
}

properties! {
    /// Index keys, separated by a space.
    KEYS = "KEYS";
    /// One tag.
    TAGS = "TAGS";
    /// `false`: answer without waiting for disk or replica.
    WAIT = "WAIT";
    /// Delay level, 1 to 18.
    DELAY = "DELAY";
    /// Original topic of a message sent back.
    RETRY_TOPIC = "RETRY_TOPIC";
    /// Target topic of a delayed, timer or half message.
    REAL_TOPIC = "REAL_TOPIC";
    /// Target queue of a delayed, timer or half message.
    REAL_QID = "REAL_QID";
    /// `true`: half message.
    TRAN_MSG = "TRAN_MSG";
    /// Producer group, for transaction checks.
    PGROUP = "PGROUP";
    /// Id of the first copy in a chain of retries.
    ORIGIN_MESSAGE_ID = "ORIGIN_MESSAGE_ID";
    /// Retries so far, when a consumer resends by itself.
    RECONSUME_TIME = "RECONSUME_TIME";
    /// Most retries, when a consumer resends by itself.
    MAX_RECONSUME_TIMES = "MAX_RECONSUME_TIMES";
    /// Region id.
    MSG_REGION = "MSG_REGION";
    /// Trace switch.
    TRACE_ON = "TRACE_ON";
    /// Client's message id.
    UNIQ_KEY = "UNIQ_KEY";
    /// Messages in an inner batch.
    INNER_NUM = "INNER_NUM";
    /// First queue offset of an inner batch.
    INNER_BASE = "INNER_BASE";
    /// Transaction id.
    TRANSACTION_ID = "__transactionId__";
    /// Namespace.
    INSTANCE_ID = "INSTANCE_ID";
    /// Request and reply: which request.
    CORRELATION_ID = "CORRELATION_ID";
    /// Request and reply: client id of the requester.
    REPLY_TO_CLIENT = "REPLY_TO_CLIENT";
    /// Request and reply: time to live, milliseconds.
    TTL = "TTL";
    /// Request and reply: `reply`.
    MSG_TYPE = "MSG_TYPE";
    /// Broker cluster, added by the broker.
    CLUSTER = "CLUSTER";
    /// Request and reply: when the reply came in.
    ARRIVE_TIME = "ARRIVE_TIME";
    /// Request and reply: when the reply was pushed.
    PUSH_REPLY_TIME = "PUSH_REPLY_TIME";
    /// POP receipt.
    POP_CK = "POP_CK";
    /// Order key.
    SHARDING_KEY = "__SHARDINGKEY";
    /// Timer: delay in seconds.
    TIMER_DELAY_SEC = "TIMER_DELAY_SEC";
    /// Timer: delay in milliseconds.
    TIMER_DELAY_MS = "TIMER_DELAY_MS";
    /// Timer: delivery time.
    TIMER_DELIVER_MS = "TIMER_DELIVER_MS";
    /// Check value over the whole record.
    CRC32 = "__CRC32#";
    /// Light queues a message also goes to.
    INNER_MULTI_DISPATCH = "INNER_MULTI_DISPATCH";
}
