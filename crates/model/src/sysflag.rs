//! Bits of a message's `sysFlag` and of a pull request's `sysFlag`.

/// Body is compressed.
pub const COMPRESSED: i32 = 0x1;
/// The topic's filter type is `MULTI_TAG`.
pub const MULTI_TAGS: i32 = 0x2;
/// Mask of the transaction type.
pub const TRANSACTION_MASK: i32 = 0xC;
/// Half message.
pub const TRANSACTION_PREPARED: i32 = 0x4;
/// Committed message.
pub const TRANSACTION_COMMIT: i32 = 0x8;
/// Rolled back message.
pub const TRANSACTION_ROLLBACK: i32 = 0xC;
/// Born host is IPv6.
pub const BORN_HOST_V6: i32 = 0x10;
/// Store host is IPv6.
pub const STORE_HOST_V6: i32 = 0x20;
/// Record holds an inner batch that must be unwrapped.
pub const NEED_UNWRAP: i32 = 0x40;
/// Inner batch.
pub const INNER_BATCH: i32 = 0x80;
/// Mask of the compression type.
pub const COMPRESSION_MASK: i32 = 0x700;

/// Pull: `commitOffset` is valid.
pub const PULL_COMMIT_OFFSET: i32 = 0x1;
/// Pull: the broker may park the request.
pub const PULL_SUSPEND: i32 = 0x2;
/// Pull: the request carries its subscription.
pub const PULL_SUBSCRIPTION: i32 = 0x4;
/// Pull: obsolete class filter.
pub const PULL_CLASS_FILTER: i32 = 0x8;
/// Pull: lite pull consumer.
pub const PULL_LITE: i32 = 0x10;

/// Topic: unit topic.
pub const TOPIC_UNIT: i32 = 0x1;
/// Topic: has unit subscription.
pub const TOPIC_UNIT_SUB: i32 = 0x2;
