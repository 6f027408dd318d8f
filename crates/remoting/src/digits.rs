//! Decimal digits of numbers without the formatting machinery.

/// Longest decimal text of an `i64`: sign and 19 digits.
pub(crate) const LEN_MAX: usize = 20;

const PAIRS: &[u8; 200] = b"0001020304050607080910111213141516171819\
2021222324252627282930313233343536373839\
4041424344454647484950515253545556575859\
6061626364656667686970717273747576777879\
8081828384858687888990919293949596979899";

/// Calls `f` with the decimal text of `value`.
pub(crate) fn with<T>(value: i64, f: impl FnOnce(&[u8]) -> T) -> T {
    let mut buf = [0_u8; LEN_MAX];
    let mut at = buf.len();
    let mut rest = value.unsigned_abs();
    while 100 <= rest {
        let pair = usize::try_from(rest % 100).unwrap_or(0) * 2;
        rest /= 100;
        at -= 2;
        buf[at..at + 2].copy_from_slice(&PAIRS[pair..pair + 2]);
    }
    let pair = usize::try_from(rest).unwrap_or(0) * 2;
    if 10 <= rest {
        at -= 2;
        buf[at..at + 2].copy_from_slice(&PAIRS[pair..pair + 2]);
    } else {
        at -= 1;
        buf[at] = PAIRS[pair + 1];
    }
    if value < 0 {
        at -= 1;
        buf[at] = b'-';
    }
    f(&buf[at..])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn edges() {
        for value in [0, 9, 10, 99, 100, 101, 999, 1000, -1, -10, -100, i64::MAX, i64::MIN] {
            with(value, |text| assert_eq!(text, value.to_string().as_bytes()));
        }
    }

    proptest! {
        #[test]
        fn the_same_as_formatting(value: i64) {
            with(value, |text| assert_eq!(text, value.to_string().as_bytes()));
        }
    }
}
