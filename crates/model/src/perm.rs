//! Permission bits of a topic or a broker.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Permission bits: 8 priority, 4 read, 2 write, 1 inherit.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Permission(pub u32);

impl Permission {
    /// Neither read nor write.
    pub const NONE: Self = Self(0);
    /// Read and write.
    pub const READ_WRITE: Self = Self(6);
    /// Read, write, and new topics may be made after this one.
    pub const READ_WRITE_INHERIT: Self = Self(7);

    const INHERIT: u32 = 1;
    const WRITE: u32 = 2;
    const READ: u32 = 4;

    /// Consumers may read.
    pub fn readable(self) -> bool {
        self.0 & Self::READ != 0
    }

    /// Producers may write.
    pub fn writable(self) -> bool {
        self.0 & Self::WRITE != 0
    }

    /// New topics may be made after this one.
    pub fn inherited(self) -> bool {
        self.0 & Self::INHERIT != 0
    }

    /// Without the write bit.
    #[must_use]
    pub fn without_write(self) -> Self {
        Self(self.0 & !Self::WRITE)
    }

    /// Without the inherit bit.
    #[must_use]
    pub fn without_inherit(self) -> Self {
        Self(self.0 & !Self::INHERIT)
    }

    /// Only the bits set in both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

impl fmt::Debug for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// As the reference implementation prints it: `RW-`, `R--`, `RWX`.
impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bit = |on, c| if on { c } else { '-' };
        write!(
            f,
            "{}{}{}",
            bit(self.readable(), 'R'),
            bit(self.writable(), 'W'),
            bit(self.inherited(), 'X')
        )
    }
}

impl Default for Permission {
    fn default() -> Self {
        Self::READ_WRITE
    }
}
