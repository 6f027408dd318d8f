//! Bounds of the protocol and the store, with the values of the reference implementation.

/// Longest topic name accepted in a request, in characters (all of them ASCII).
pub const TOPIC_CHARS_MAX: usize = 127;
/// Longest `%RETRY%` or `%DLQ%` topic name.
pub const DERIVED_TOPIC_CHARS_MAX: usize = 255;
/// Longest group name accepted in a request.
pub const GROUP_CHARS_MAX: usize = 120;
/// Longest properties text of a message, in bytes.
pub const PROPERTIES_BYTES_MAX: usize = 32_767;
/// Default of `maxMessageSize`, in bytes of body.
pub const BODY_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Longest remoting frame after its length word, in bytes.
pub const FRAME_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Most queues of one topic on one broker that an administrator may ask for.
pub const TOPIC_QUEUES_MAX: u32 = 65_536;
/// A connection without traffic for this long is closed, in milliseconds.
pub const CONNECTION_IDLE_MS: u64 = 120_000;
