//! Big-endian numbers at a position of a slice; `None` where the slice is too short.

pub(crate) fn array<const N: usize>(buf: &[u8], at: usize) -> Option<[u8; N]> {
    buf.get(at..at.checked_add(N)?)?.try_into().ok()
}

pub(crate) fn i16_at(buf: &[u8], at: usize) -> Option<i16> {
    array(buf, at).map(i16::from_be_bytes)
}

pub(crate) fn u32_at(buf: &[u8], at: usize) -> Option<u32> {
    array(buf, at).map(u32::from_be_bytes)
}

pub(crate) fn i32_at(buf: &[u8], at: usize) -> Option<i32> {
    array(buf, at).map(i32::from_be_bytes)
}

pub(crate) fn i64_at(buf: &[u8], at: usize) -> Option<i64> {
    array(buf, at).map(i64::from_be_bytes)
}

/// A length that precedes its bytes, as a Java `int`; `None` if short or negative.
pub(crate) fn len_at(buf: &[u8], at: usize) -> Option<usize> {
    usize::try_from(i32_at(buf, at)?).ok()
}
