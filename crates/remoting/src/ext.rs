//! The string map of a header.

use crate::digits;
use crate::text::ByteStr;
use bytes::Bytes;
use std::fmt;
use std::ops::Range;

/// Longest text kept inside an entry, without an allocation; fits an offset id of IPv4 (32).
const INLINE_MAX: usize = 38;
/// Entries made room for at once: a send request has 13 and what its client adds.
const ENTRIES: usize = 16;

/// Key or value of an entry that was put in here.
#[derive(Clone)]
enum Part {
    Static(&'static str),
    Shared(ByteStr),
    Inline { len: u8, bytes: [u8; INLINE_MAX] },
}

impl Part {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Static(text) => text.as_bytes(),
            Self::Shared(text) => text.as_bytes(),
            Self::Inline { len, bytes } => &bytes[..usize::from(*len)],
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

/// Where a text is that a decoder has found and checked: in the header, or among the texts that had escapes.
/// A header is shorter than 16 MiB, so 31 bits do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    start: u32,
    end: u32,
}

impl Span {
    const UNESCAPED: u32 = 1 << 31;

    fn new(range: &Range<usize>) -> Self {
        let position = |at| u32::try_from(at).unwrap_or(u32::MAX) & !Self::UNESCAPED;
        Self { start: position(range.start), end: position(range.end) }
    }

    pub(crate) fn in_header(range: &Range<usize>) -> Self {
        Self::new(range)
    }

    pub(crate) fn unescaped(range: &Range<usize>) -> Self {
        let Self { start, end } = Self::new(range);
        Self { start: start | Self::UNESCAPED, end }
    }

    pub(crate) fn is_unescaped(self) -> bool {
        self.start & Self::UNESCAPED != 0
    }

    pub(crate) fn range(self) -> Range<usize> {
        let position = |at| usize::try_from(at).unwrap_or(usize::MAX);
        position(self.start & !Self::UNESCAPED)..position(self.end)
    }
}

/// One value, borrowed.
#[derive(Clone, Copy)]
pub struct Value<'a> {
    bytes: &'a [u8],
    source: Source<'a>,
}

#[derive(Clone, Copy)]
enum Source<'a> {
    /// The bytes are a part of these.
    Decoded(&'a Bytes),
    Part(&'a Part),
}

impl<'a> Value<'a> {
    /// The bytes of the text.
    pub fn as_bytes(self) -> &'a [u8] {
        self.bytes
    }

    /// The text.
    pub fn as_str(self) -> &'a str {
        text(self.bytes)
    }

    /// The text on its own; shares the frame or the unescaped copy instead of copying.
    pub fn to_text(self) -> ByteStr {
        match self.source {
            Source::Decoded(all) => {
                ByteStr::from_utf8(all.slice_ref(self.bytes)).unwrap_or_default()
            }
            Source::Part(Part::Static(text)) => ByteStr::from_static(text),
            Source::Part(Part::Shared(text)) => text.clone(),
            Source::Part(Part::Inline { .. }) => ByteStr::copy(self.as_str()),
        }
    }
}

impl fmt::Debug for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

/// Whoever put the bytes in has checked them, so the fallback is never taken.
fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap_or_default()
}

/// Header fields of a request or an answer: text by text, in the order of the wire.
///
/// What was decoded points into the frame's bytes; what is inserted is kept inline when it is short.
/// A key may occur twice (a header object plus a generic map): the last one wins.
#[derive(Clone, Default)]
pub struct ExtFields {
    header: Bytes,
    unescaped: Bytes,
    /// What was decoded. Comes before `own`.
    spans: Vec<(Span, Span)>,
    own: Vec<(Part, Part)>,
}

impl ExtFields {
    /// No fields.
    pub const fn new() -> Self {
        Self { header: Bytes::new(), unescaped: Bytes::new(), spans: Vec::new(), own: Vec::new() }
    }

    /// For decoders: all spans are within `header` or `unescaped`, and UTF-8.
    pub(crate) fn decoded(header: Bytes, unescaped: Bytes, spans: Vec<(Span, Span)>) -> Self {
        Self { header, unescaped, spans, own: Vec::new() }
    }

    /// Room for the spans of a usual request.
    pub(crate) fn span_list() -> Vec<(Span, Span)> {
        Vec::with_capacity(ENTRIES)
    }

    fn decoded_bytes(&self, span: Span) -> (&Bytes, &[u8]) {
        let all = if span.is_unescaped() { &self.unescaped } else { &self.header };
        (all, all.get(span.range()).unwrap_or_default())
    }

    fn push_parts(&mut self, key: Part, value: Part) {
        if self.own.capacity() == 0 {
            self.own.reserve(ENTRIES / 2);
        }
        self.own.push((key, value));
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
        let own = self.own.iter().rev().find(|(k, _)| k.bytes() == key.as_bytes());
        if let Some((_, part)) = own {
            return Some(Value { bytes: part.bytes(), source: Source::Part(part) });
        }
        let decoded = self.spans.iter().rev();
        let mut decoded = decoded.filter(|(k, _)| self.decoded_bytes(*k).1 == key.as_bytes());
        decoded.next().map(|(_, span)| self.decoded_value(*span))
    }

    fn decoded_value(&self, span: Span) -> Value<'_> {
        let (all, bytes) = self.decoded_bytes(span);
        Value { bytes, source: Source::Decoded(all) }
    }

    /// `key` is there.
    pub fn contains(&self, key: &str) -> bool {
        self.value(key).is_some()
    }

    /// Sets `key`, in place of all values it had.
    pub fn insert(&mut self, key: impl Into<ByteStr>, value: impl Into<ByteStr>) {
        let key = key.into();
        self.remove(&key);
        self.push_parts(Part::Shared(key), Part::Shared(value.into()));
    }

    /// Adds a field without looking whether the key is there; the later one wins.
    pub fn push(&mut self, key: &'static str, value: impl Into<ByteStr>) {
        self.push_parts(Part::Static(key), Part::Shared(value.into()));
    }

    /// As [`ExtFields::push`], copying `value`: without allocation up to 38 bytes.
    pub fn push_str(&mut self, key: &'static str, value: &str) {
        self.push_parts(Part::Static(key), Part::of(value));
    }

    /// As [`ExtFields::push`], for a constant: without allocation.
    pub fn push_static(&mut self, key: &'static str, value: &'static str) {
        self.push_parts(Part::Static(key), Part::Static(value));
    }

    /// As [`ExtFields::push`], for a number: without allocation.
    pub fn push_number(&mut self, key: &'static str, value: i64) {
        self.push_parts(Part::Static(key), Part::number(value));
    }

    /// Removes all values of `key`.
    pub fn remove(&mut self, key: &str) {
        self.own.retain(|(k, _)| k.bytes() != key.as_bytes());
        if self.spans.iter().any(|(k, _)| self.decoded_bytes(*k).1 == key.as_bytes()) {
            let mut spans = std::mem::take(&mut self.spans);
            spans.retain(|(k, _)| self.decoded_bytes(*k).1 != key.as_bytes());
            self.spans = spans;
        }
    }

    /// Keys and values in the order of the wire, repeated keys included.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.values().map(|(key, value)| (text(key), value.as_str()))
    }

    /// As [`ExtFields::iter`], with values that can be kept cheaply, and keys as bytes.
    pub fn values(&self) -> impl Iterator<Item = (&[u8], Value<'_>)> {
        let decoded = self.spans.iter();
        let decoded = decoded.map(|(k, v)| (self.decoded_bytes(*k).1, self.decoded_value(*v)));
        let own = self.own.iter().map(|(k, part)| {
            (k.bytes(), Value { bytes: part.bytes(), source: Source::Part(part) })
        });
        decoded.chain(own)
    }

    /// Bytes of all keys and values together.
    pub fn text_len(&self) -> usize {
        self.values().map(|(key, value)| key.len() + value.bytes.len()).sum()
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.spans.len() + self.own.len()
    }

    /// No entries.
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty() && self.own.is_empty()
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
        let own = iter.into_iter().map(|(k, v)| (Part::Shared(k.into()), Part::Shared(v.into())));
        Self { own: own.collect(), ..Self::new() }
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
