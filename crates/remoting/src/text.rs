//! Text that shares the buffer it arrived in.

use bytes::Bytes;
use std::borrow::Borrow;
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;
use std::str::Utf8Error;
use std::sync::Arc;

/// Bytes known to be UTF-8. A clone costs one reference count.
///
/// A `ByteStr` taken off a frame keeps the whole read buffer alive that the frame arrived in. What is
/// kept for longer than a request should be copied with [`ByteStr::to_arc`].
#[derive(Clone, Default)]
pub struct ByteStr(Bytes);

impl ByteStr {
    /// Without allocation.
    pub const fn from_static(text: &'static str) -> Self {
        Self(Bytes::from_static(text.as_bytes()))
    }

    /// A copy in an allocation of its own.
    pub fn copy(text: &str) -> Self {
        Self(Bytes::copy_from_slice(text.as_bytes()))
    }

    /// Checks `bytes` once.
    ///
    /// # Errors
    /// Where the first sequence is that is not UTF-8.
    pub fn from_utf8(bytes: Bytes) -> Result<Self, Utf8Error> {
        std::str::from_utf8(&bytes)?;
        Ok(Self(bytes))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        // SAFETY: every constructor has checked the bytes or was given a `str`, and nothing changes
        // them: `Bytes` is immutable and the field is private.
        #[expect(unsafe_code, reason = "text is read many times per request, checked once")]
        unsafe {
            std::str::from_utf8_unchecked(&self.0)
        }
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &Bytes {
        &self.0
    }

    /// The bytes, without touching the reference count.
    pub fn into_bytes(self) -> Bytes {
        self.0
    }

    /// A copy that does not keep the read buffer alive.
    pub fn to_arc(&self) -> Arc<str> {
        self.as_str().into()
    }
}

impl Deref for ByteStr {
    type Target = str;
    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl AsRef<str> for ByteStr {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl Borrow<str> for ByteStr {
    fn borrow(&self) -> &str {
        self.as_str()
    }
}

impl From<&'static str> for ByteStr {
    fn from(text: &'static str) -> Self {
        Self::from_static(text)
    }
}

impl From<String> for ByteStr {
    fn from(text: String) -> Self {
        Self(Bytes::from(text))
    }
}

impl From<&String> for ByteStr {
    fn from(text: &String) -> Self {
        Self::copy(text)
    }
}

impl From<Arc<str>> for ByteStr {
    fn from(text: Arc<str>) -> Self {
        Self::copy(&text)
    }
}

impl From<&Arc<str>> for ByteStr {
    fn from(text: &Arc<str>) -> Self {
        Self::copy(text)
    }
}

impl From<&Self> for ByteStr {
    fn from(text: &Self) -> Self {
        text.clone()
    }
}

impl PartialEq for ByteStr {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl Eq for ByteStr {}

impl PartialEq<str> for ByteStr {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

impl PartialEq<&str> for ByteStr {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}

impl PartialOrd for ByteStr {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for ByteStr {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_str().cmp(other.as_str())
    }
}

impl Hash for ByteStr {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl fmt::Display for ByteStr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self.as_str(), f)
    }
}

impl fmt::Debug for ByteStr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}
