//! The optional check value over a whole record (`enabledAppendPropCRC`).
//!
//! The last 20 bytes of the properties are `__CRC32#` ⟨01⟩, ten decimal digits, least significant
//! first and zero-filled, ⟨02⟩. The value is CRC-32 without its top bit over all bytes before.

use crate::bytes_at::len_at;
use crate::properties::TextBuilder;
use rmq_model::message::{CRC32, NAME_VALUE_SEPARATOR, PROPERTY_SEPARATOR};

/// Bytes of the property with both separators.
pub const PROPERTY_BYTES: usize = 20;
const DIGITS: usize = 10;

/// `properties` without a check value of the client's, followed by room for ours.
pub(crate) fn make_room(properties: &[u8]) -> Vec<u8> {
    let mut text = TextBuilder::from_text(properties);
    text.remove(CRC32);
    let mut text = Vec::from(text.into_bytes());
    text.extend_from_slice(CRC32.as_bytes());
    text.push(NAME_VALUE_SEPARATOR);
    text.extend_from_slice(&[b'0'; DIGITS]);
    text.push(PROPERTY_SEPARATOR);
    text
}

/// Fills in the check value of a record that is otherwise complete and has room for one.
pub fn seal(record: &mut [u8]) {
    let Some(covered) = record.len().checked_sub(PROPERTY_BYTES) else { return };
    let Some((head, property)) = record.split_at_mut_checked(covered) else { return };
    let digits = digits(crc32fast::hash(head) & 0x7FFF_FFFF);
    if let Some(slot) = property.get_mut(CRC32.len() + 1..PROPERTY_BYTES - 1) {
        slot.copy_from_slice(&digits);
    }
}

/// Whether the check value is right; `None` if the record has none.
pub fn verify(record: &[u8]) -> Option<bool> {
    let record = record.get(..len_at(record, 0)?)?;
    let (head, property) = record.split_at_checked(record.len().checked_sub(PROPERTY_BYTES)?)?;
    let value = property
        .strip_prefix(CRC32.as_bytes())?
        .strip_prefix(&[NAME_VALUE_SEPARATOR])?
        .strip_suffix(&[PROPERTY_SEPARATOR])?;
    Some(value == digits(crc32fast::hash(head) & 0x7FFF_FFFF))
}

fn digits(mut value: u32) -> [u8; DIGITS] {
    let mut digits = [b'0'; DIGITS];
    for digit in &mut digits {
        *digit += u8::try_from(value % 10).unwrap_or(0);
        value /= 10;
    }
    digits
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_least_significant_digit_comes_first() {
        assert_eq!(&super::digits(835_907_466), b"6647095380");
    }
}
