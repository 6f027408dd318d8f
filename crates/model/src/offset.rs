//! Positions in the log.

use std::fmt;

/// Byte position from the start of the whole commit log, not of a segment file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogOffset(pub u64);

impl LogOffset {
    /// The first byte of the log.
    pub const ZERO: Self = Self(0);

    /// Bytes from `start` up to `self`; `None` if `start` is later.
    pub fn bytes_since(self, start: Self) -> Option<u64> {
        self.0.checked_sub(start.0)
    }

    /// The position `bytes` further on; `None` past the end of the number range.
    pub fn checked_add(self, bytes: u64) -> Option<Self> {
        self.0.checked_add(bytes).map(Self)
    }

    /// As the signed 64-bit number that the wire and the files carry; saturates at `i64::MAX`.
    pub fn to_wire(self) -> i64 {
        i64::try_from(self.0).unwrap_or(i64::MAX)
    }

    /// From the wire; `None` if negative.
    pub fn from_wire(value: i64) -> Option<Self> {
        u64::try_from(value).ok().map(Self)
    }
}

impl fmt::Display for LogOffset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
