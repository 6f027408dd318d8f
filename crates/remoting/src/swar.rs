//! Looking for bytes, eight at a time.
//!
//! Source of the tricks: "Bit Twiddling Hacks", S. E. Anderson, "Determine if a word has a zero byte" and
//! "… a byte less than n". A mark above the lowest one may be false, the lowest is right.

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = 0x8080_8080_8080_8080;

#[inline]
fn splat(byte: u8) -> u64 {
    u64::from(byte) * ONES
}

/// Marks the bytes that are zero.
#[inline]
fn zeros(word: u64) -> u64 {
    word.wrapping_sub(ONES) & !word & HIGHS
}

/// Position of the first byte for which `one` holds; `word` marks all such in eight bytes.
#[inline]
fn find(bytes: &[u8], word: impl Fn(u64) -> u64, one: impl Fn(u8) -> bool) -> Option<usize> {
    let mut at = 0;
    let mut rest = bytes;
    while let Some((chunk, after)) = rest.split_first_chunk::<8>() {
        let marks = word(u64::from_le_bytes(*chunk));
        if marks != 0 {
            return usize::try_from(marks.trailing_zeros() / 8).ok().map(|in_chunk| at + in_chunk);
        }
        at += 8;
        rest = after;
    }
    rest.iter().position(|byte| one(*byte)).map(|in_rest| at + in_rest)
}

/// The first `a` or `b`.
#[inline]
pub(crate) fn find_either(bytes: &[u8], a: u8, b: u8) -> Option<usize> {
    let (all_a, all_b) = (splat(a), splat(b));
    find(bytes, |word| zeros(word ^ all_a) | zeros(word ^ all_b), |byte| byte == a || byte == b)
}

/// The first byte that JSON strings cannot hold as it is: a quote, a backslash, a control character.
#[inline]
pub(crate) fn find_escaped(bytes: &[u8]) -> Option<usize> {
    let controls = |word: u64| word.wrapping_sub(splat(0x20)) & !word & HIGHS;
    find(
        bytes,
        |word| zeros(word ^ splat(b'"')) | zeros(word ^ splat(b'\\')) | controls(word),
        |byte| matches!(byte, b'"' | b'\\' | 0..0x20),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_same_as_byte_by_byte(
            bytes in prop::collection::vec(prop_oneof![any::<u8>(), Just(b'"'), Just(b'a'), Just(0x1f)], 0..40),
            a: u8,
            b: u8,
        ) {
            let either = bytes.iter().position(|x| *x == a || *x == b);
            prop_assert_eq!(find_either(&bytes, a, b), either);
            let escaped = bytes.iter().position(|x| matches!(x, b'"' | b'\\' | 0..0x20));
            prop_assert_eq!(find_escaped(&bytes), escaped);
        }
    }
}
