//! The number by which consume queues filter.

use crate::properties;
use rmq_model::java::hash_code;
use rmq_model::message::TAGS;

/// Java hash code of the tags text, sign-extended.
pub fn tags_code(tags: &str) -> i64 {
    i64::from(hash_code(tags))
}

/// Tags code of a properties text; 0 without tags.
pub fn tags_code_of(properties: &[u8]) -> i64 {
    properties::get(properties, TAGS).map_or(0, tags_code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_negative_hash_keeps_its_sign() {
        assert_eq!(tags_code("polygenelubricants"), i64::from(i32::MIN));
    }

    #[test]
    fn tags_are_found_in_the_properties() {
        assert_eq!(tags_code_of(b"KEYS\x01k\x02TAGS\x01TagA\x02"), 2_598_919);
        assert_eq!(tags_code_of(b"KEYS\x01k\x02"), 0);
    }
}
