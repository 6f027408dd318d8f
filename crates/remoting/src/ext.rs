//! The string map of a header.

use crate::digits;
use crate::text::ByteStr;
use bytes::Bytes;
use std::fmt;
use std::ops::Range;

/// Longest text kept inside an entry, without an allocation; fits an offset id of IPv4 (32).
const INLINE_MAX: usize = 38;

/// Key or value of an entry, by where its text is.
#[derive(Clone)]
enum Part {
    /// Bytes `start..end` of the frame's header.
    Frame {
        start: u32,
        end: u32,
    },
    Static(&'static str),
    Shared(ByteStr),
    Inline {
        len: u8,
        bytes: [u8; INLINE_MAX],
    },
}

impl Part {
    fn bytes<'a>(&'a self, frame: &'a [u8]) -> &'a [u8] {
        match self {
            Self::Frame { start, end } => frame.get(range(*start, *end)).unwrap_or_default(),
            Self::Static(text) => text.as_bytes(),
            Self::Shared(text) => text.as_bytes(),
            Self::Inline { len, bytes } => &bytes[..usize::from(*len)],
        }
    }

    /// Decoders have checked what they push, so the fallback is never taken.
    fn text<'a>(&'a self, frame: &'a [u8]) -> &'a str {
        match self {
            Self::Static(text) => text,
            Self::Shared(text) => text,
            Self::Frame { .. } | Self::Inline { .. } => {
                std::str::from_utf8(self.bytes(frame)).unwrap_or_default()
            }
        }
    }

    fn of(text: &str) -> Self {
        let mut bytes = [0; INLINE_MAX];
        match (u8::try_from(text.len()), bytes.get_mut(..text.len())) {
            (Ok(len), Some(place)) => {
                place.copy_from_slice(text.as_bytes());
                Self::Inline { len, bytes }
            }
            _ => Self::Shared(ByteStr::copy(text)),
        }
    }

    fn number(value: i64) -> Self {
        digits::with(value, |digits| {
            let mut bytes = [0; INLINE_MAX];
            bytes[..digits.len()].copy_from_slice(digits);
            Self::Inline { len: u8::try_from(digits.len()).unwrap_or(0), bytes }
        })
    }
}

fn range(start: u32, end: u32) -> Range<usize> {
    usize::try_from(start).unwrap_or(usize::MAX)..usize::try_from(end).unwrap_or(usize::MAX)
}

/// One value, borrowed.
#[derive(Clone, Copy)]
pub struct Value<'a> {
    frame: &'a Bytes,
    part: &'a Part,
}

impl<'a> Value<'a> {
    /// The text.
    pub fn as_str(self) -> &'a str {
        self.part.text(self.frame)
    }

    /// The text on its own; shares the frame or the unescaped copy instead of copying.
    pub fn to_text(self) -> ByteStr {
        match self.part {
            Part::Frame { .. } => {
                let bytes = self.frame.slice_ref(self.part.bytes(self.frame));
                ByteStr::from_utf8(bytes).unwrap_or_default()
            }
            Part::Static(text) => ByteStr::from_static(text),
            Part::Shared(text) => text.clone(),
            Part::Inline { .. } => ByteStr::copy(self.as_str()),
        }
    }
}

impl fmt::Debug for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

/// Header fields of a request or an answer: text by text, in the order of the wire.
///
/// What was decoded points into the frame's bytes; what is inserted is kept inline when it is short.
/// A key may occur twice (a header object plus a generic map): the last one wins.
#[derive(Clone, Default)]
pub struct ExtFields {
    frame: Bytes,
    entries: Vec<(Part, Part)>,
}

impl ExtFields {
    /// No fields.
    pub const fn new() -> Self {
        Self { frame: Bytes::new(), entries: Vec::new() }
    }

    /// For decoders: positions pushed later count in `frame`.
    pub(crate) fn over(frame: Bytes) -> Self {
        Self { frame, entries: Vec::new() }
    }

    /// Both texts must be UTF-8.
    pub(crate) fn push_scanned(&mut self, key: Scanned, value: Scanned) {
        if self.entries.capacity() == 0 {
            self.entries.reserve(16); // a send request has 13 and what its client adds
        }
        self.entries.push((key.into(), value.into()));
    }

    /// The value of `key`.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.value(key).map(Value::as_str)
    }

    /// The value of `key`, sharing the frame.
    pub fn text(&self, key: &str) -> Option<ByteStr> {
        self.value(key).map(Value::to_text)
    }

    fn value(&self, key: &str) -> Option<Value<'_>> {
        self.entries
            .iter()
            .rev()
            .find(|(k, _)| k.bytes(&self.frame) == key.as_bytes())
            .map(|(_, part)| Value { frame: &self.frame, part })
    }

    /// `key` is there.
    pub fn contains(&self, key: &str) -> bool {
        self.value(key).is_some()
    }

    /// Sets `key`, in place of all values it had.
    pub fn insert(&mut self, key: impl Into<ByteStr>, value: impl Into<ByteStr>) {
        let key = key.into();
        self.remove(&key);
        self.entries.push((Part::Shared(key), Part::Shared(value.into())));
    }

    /// Adds a field without looking whether the key is there; the later one wins.
    pub fn push(&mut self, key: &'static str, value: impl Into<ByteStr>) {
        self.entries.push((Part::Static(key), Part::Shared(value.into())));
    }

    /// As [`ExtFields::push`], copying `value`: without allocation up to 38 bytes.
    pub fn push_str(&mut self, key: &'static str, value: &str) {
        self.entries.push((Part::Static(key), Part::of(value)));
    }

    /// As [`ExtFields::push`], for a constant: without allocation.
    pub fn push_static(&mut self, key: &'static str, value: &'static str) {
        self.entries.push((Part::Static(key), Part::Static(value)));
    }

    /// As [`ExtFields::push`], for a number: without allocation.
    pub fn push_number(&mut self, key: &'static str, value: i64) {
        self.entries.push((Part::Static(key), Part::number(value)));
    }

    /// Removes all values of `key`.
    pub fn remove(&mut self, key: &str) {
        let frame = &self.frame;
        self.entries.retain(|(k, _)| k.bytes(frame) != key.as_bytes());
    }

    /// Keys and values in the order of the wire, repeated keys included.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.entries.iter().map(|(k, v)| (k.text(&self.frame), v.text(&self.frame)))
    }

    /// As [`ExtFields::iter`], with values that can be kept cheaply, and keys as bytes.
    pub fn values(&self) -> impl Iterator<Item = (&[u8], Value<'_>)> {
        self.entries
            .iter()
            .map(|(k, part)| (k.bytes(&self.frame), Value { frame: &self.frame, part }))
    }

    /// Bytes of all keys and values together.
    pub fn text_len(&self) -> usize {
        let len = |part: &Part| part.bytes(&self.frame).len();
        self.entries.iter().map(|(k, v)| len(k) + len(v)).sum()
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// No entries.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

/// The same fields in the same order.
impl PartialEq for ExtFields {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for ExtFields {}

impl fmt::Debug for ExtFields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl<K: Into<ByteStr>, V: Into<ByteStr>> FromIterator<(K, V)> for ExtFields {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(iter: I) -> Self {
        let entries =
            iter.into_iter().map(|(k, v)| (Part::Shared(k.into()), Part::Shared(v.into())));
        Self { frame: Bytes::new(), entries: entries.collect() }
    }
}

/// Text that a decoder has found.
pub(crate) enum Scanned {
    /// A range of the header's bytes.
    At(Range<usize>),
    /// Had escapes.
    Unescaped(String),
}

impl From<Scanned> for Part {
    fn from(scanned: Scanned) -> Self {
        match scanned {
            // A header is shorter than 16 MiB: its length has 24 bits.
            Scanned::At(Range { start, end }) => Self::Frame {
                start: u32::try_from(start).unwrap_or(u32::MAX),
                end: u32::try_from(end).unwrap_or(u32::MAX),
            },
            Scanned::Unescaped(text) => Self::Shared(ByteStr::from(text)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_of_equal_keys_wins() {
        let mut ext = ExtFields::new();
        ext.push_static("a", "1");
        ext.push_number("a", -20);
        assert_eq!(ext.get("a"), Some("-20"));
        ext.insert("a", "3");
        assert_eq!(ext.iter().collect::<Vec<_>>(), [("a", "3")]);
        ext.remove("a");
        assert!(ext.is_empty() && ext.get("a").is_none() && !ext.contains("a"));
    }

    #[test]
    fn long_and_short_values_are_kept_whole() {
        for len in [0, 1, INLINE_MAX - 1, INLINE_MAX, INLINE_MAX + 1, 300] {
            let text = "é".repeat(len / 2) + &"x".repeat(len % 2);
            let mut ext = ExtFields::new();
            ext.push_str("k", &text);
            assert_eq!(ext.get("k"), Some(text.as_str()));
            assert_eq!(ext.text("k").as_deref(), Some(text.as_str()));
        }
    }
}
