//! The stored message: layout, properties, CRC, ids and batches.
//!
//! Layouts are described in `docs/formats/record.md`. All integers are big-endian. Decoders borrow
//! from the buffer they are given and accept any bytes without panicking.
#![warn(missing_docs)]

pub mod batch;
mod bytes_at;
pub mod id;
pub mod layout;
pub mod message;
pub mod properties;
pub mod property_crc;
pub mod tags;

pub use id::{OffsetId, UniqueId, UniqueIds};
pub use layout::{EncodeError, Fault, Parsed, RecordView};
pub use message::Message;
pub use tags::tags_code;

/// CRC-32 (IEEE 802.3) with the top bit cleared, so that it fits a positive Java `int`.
pub fn body_crc(body: &[u8]) -> u32 {
    crc32fast::hash(body) & 0x7FFF_FFFF
}

#[cfg(test)]
mod tests {
    #[test]
    fn body_crc_agrees_with_java() {
        for (text, crc) in [("hello", 0x3610_A686), ("Hello RocketMQ 0", 613_185_359), ("", 0)] {
            assert_eq!(super::body_crc(text.as_bytes()), crc, "{text}");
        }
    }
}
