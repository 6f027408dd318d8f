//! Arithmetic that must agree with the Java runtime bit for bit.

/// `String.hashCode`: over UTF-16 code units, multiplier 31, 32-bit wrap.
///
/// Tags codes in consume queues and key hashes in the index are made of it.
pub fn hash_code(text: &str) -> i32 {
    hash_code_from(0, text)
}

/// Continues a [`hash_code`] begun over a prefix: `hash(a + b) == hash_code_from(hash(a), b)`.
pub fn hash_code_from(start: i32, text: &str) -> i32 {
    if text.is_ascii() {
        return text.bytes().fold(start, |h, b| h.wrapping_mul(31).wrapping_add(i32::from(b)));
    }
    text.encode_utf16().fold(start, |h, unit| h.wrapping_mul(31).wrapping_add(i32::from(unit)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn agrees_with_values_taken_from_a_java_runtime() {
        for (text, hash) in [
            ("TagA", 2_598_919),
            ("TagB", 2_598_920),
            ("*", 42),
            ("", 0),
            ("订单", 1_129_459),
            ("polygenelubricants", i32::MIN),
            ("TopicTest#KeyA", -1_656_937_756),
            ("TopicTest#7F000001ABCD18B4AAC27F5C6E8A0000", -1_924_703_631),
        ] {
            assert_eq!(hash_code(text), hash, "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_prefix_can_be_hashed_ahead(a in ".*", b in ".*") {
            prop_assert_eq!(hash_code_from(hash_code(&a), &b), hash_code(&format!("{a}{b}")));
        }
    }
}
