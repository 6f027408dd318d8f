//! Properties text: `name ⟨01⟩ value ⟨02⟩`, repeated; the last ⟨02⟩ may be missing.
//!
//! A segment shorter than three bytes, without ⟨01⟩, or with an empty name or value does not count.
//! Of two segments with one name the later counts.
//!
//! Source: RocketMQ 5.3 `MessageDecoder#string2messageProperties`.

use rmq_model::message::{
    DELAY, KEYS, NAME_VALUE_SEPARATOR, PROPERTY_SEPARATOR, TAGS, UNIQ_KEY, WAIT,
};

/// Name and value of each property, in the order of the text; duplicates are not merged.
pub fn parse(text: &str) -> impl Iterator<Item = (&str, &str)> {
    iter(text.as_bytes()).filter_map(|(name, value)| {
        Some((std::str::from_utf8(name).ok()?, std::str::from_utf8(value).ok()?))
    })
}

/// Like [`parse`] for bytes of which nothing is known.
pub fn iter(text: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    text.split(|byte| *byte == PROPERTY_SEPARATOR).filter_map(split_segment)
}

fn split_segment(segment: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = segment.iter().position(|byte| *byte == NAME_VALUE_SEPARATOR)?;
    let (name, rest) = segment.split_at_checked(at)?;
    let value = rest.get(1..)?;
    (!name.is_empty() && !value.is_empty()).then_some((name, value))
}

/// Value of one property; `None` if absent or not UTF-8.
pub fn get<'a>(text: &'a [u8], name: &str) -> Option<&'a str> {
    let (_, value) = iter(text).filter(|(n, _)| *n == name.as_bytes()).last()?;
    std::str::from_utf8(value).ok()
}

/// The properties that storing a message depends on, found in one pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Known<'a> {
    /// `TAGS`
    pub tags: Option<&'a str>,
    /// `KEYS`
    pub keys: Option<&'a str>,
    /// `UNIQ_KEY`
    pub uniq_key: Option<&'a str>,
    /// `WAIT`
    pub wait: Option<&'a str>,
    /// `DELAY`
    pub delay: Option<&'a str>,
}

impl<'a> Known<'a> {
    /// Reads `text` once.
    pub fn of(text: &'a [u8]) -> Self {
        let mut known = Self::default();
        for (name, value) in iter(text) {
            let slot = match name.len() {
                4 if name == TAGS.as_bytes() => &mut known.tags,
                4 if name == KEYS.as_bytes() => &mut known.keys,
                4 if name == WAIT.as_bytes() => &mut known.wait,
                5 if name == DELAY.as_bytes() => &mut known.delay,
                8 if name == UNIQ_KEY.as_bytes() => &mut known.uniq_key,
                _ => continue,
            };
            *slot = std::str::from_utf8(value).ok();
        }
        known
    }

    /// Non-empty keys of `KEYS`, which a single space separates.
    pub fn key_list(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        self.keys.unwrap_or("").split(' ').filter(|key| !key.is_empty())
    }

    /// Delay level; 0 when absent or not a positive number.
    pub fn delay_level(&self) -> u32 {
        self.delay.and_then(|level| level.parse().ok()).unwrap_or(0)
    }
}

/// Changes a properties text.
///
/// ```
/// use rmq_record::properties::TextBuilder;
/// let mut text = TextBuilder::from_text(b"TAGS\x01a\x02WAIT\x01true");
/// text.set("TAGS", "b");
/// text.remove("WAIT");
/// assert_eq!(text.as_bytes(), b"TAGS\x01b\x02");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TextBuilder {
    text: Vec<u8>,
}

impl TextBuilder {
    /// No properties, with room for `bytes` of text.
    pub fn with_capacity(bytes: usize) -> Self {
        Self { text: Vec::with_capacity(bytes) }
    }

    /// Begins with an existing text; adds the last separator if it is missing.
    pub fn from_text(text: &[u8]) -> Self {
        let mut own = Vec::with_capacity(text.len() + 128);
        own.extend_from_slice(text);
        if !own.is_empty() && own.last() != Some(&PROPERTY_SEPARATOR) {
            own.push(PROPERTY_SEPARATOR);
        }
        Self { text: own }
    }

    /// Adds a property that the text is known not to have.
    ///
    /// Returns false, and changes nothing, if the name or value is empty or contains a separator.
    pub fn push(&mut self, name: &str, value: &str) -> bool {
        if !is_clean(name) || !is_clean(value) {
            return false;
        }
        self.text.extend_from_slice(name.as_bytes());
        self.text.push(NAME_VALUE_SEPARATOR);
        self.text.extend_from_slice(value.as_bytes());
        self.text.push(PROPERTY_SEPARATOR);
        true
    }

    /// Replaces all values of `name` by one. Returns false, and changes nothing, for a name or
    /// value that cannot be written; use [`TextBuilder::remove`] to take a property away.
    pub fn set(&mut self, name: &str, value: &str) -> bool {
        if !is_clean(name) || !is_clean(value) {
            return false;
        }
        self.remove(name);
        self.push(name, value)
    }

    /// Takes away all values of `name`; says whether there were any.
    pub fn remove(&mut self, name: &str) -> bool {
        let is_it = |segment: &[u8]| {
            segment
                .strip_prefix(name.as_bytes())
                .is_some_and(|rest| rest.first() == Some(&NAME_VALUE_SEPARATOR))
        };
        let mut segments = self.text.split(|byte| *byte == PROPERTY_SEPARATOR);
        if name.is_empty() || !segments.any(is_it) {
            return false;
        }
        let mut kept = Vec::with_capacity(self.text.capacity());
        for segment in self.text.split_inclusive(|byte| *byte == PROPERTY_SEPARATOR) {
            if !is_it(segment) {
                kept.extend_from_slice(segment);
            }
        }
        self.text = kept;
        true
    }

    /// Value of a property as it is now.
    pub fn get(&self, name: &str) -> Option<&str> {
        get(&self.text, name)
    }

    /// The text so far.
    pub fn as_bytes(&self) -> &[u8] {
        &self.text
    }

    /// The finished text.
    pub fn into_bytes(self) -> bytes::Bytes {
        self.text.into()
    }
}

fn is_clean(text: &str) -> bool {
    !text.is_empty() && !text.bytes().any(|b| b == NAME_VALUE_SEPARATOR || b == PROPERTY_SEPARATOR)
}

/// Text of the given properties, in their order.
pub fn text<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> bytes::Bytes {
    let mut builder = TextBuilder::default();
    for (name, value) in pairs {
        builder.push(name, value);
    }
    builder.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    #[test]
    fn odd_segments_do_not_count() {
        for (text, want) in [
            ("", vec![]),
            ("a\u{1}b", vec![("a", "b")]),
            ("a\u{1}b\u{2}", vec![("a", "b")]),
            ("a\u{1}b\u{2}c\u{1}d", vec![("a", "b"), ("c", "d")]),
            ("\u{1}b\u{2}a\u{1}\u{2}ab\u{2}\u{2}c\u{1}d\u{2}", vec![("c", "d")]),
            ("a\u{1}b\u{1}c\u{2}", vec![("a", "b\u{1}c")]),
        ] {
            assert_eq!(parse(text).collect::<Vec<_>>(), want, "{text:?}");
        }
    }

    #[test]
    fn the_later_value_counts() {
        assert_eq!(get(b"a\x01b\x02a\x01c\x02", "a"), Some("c"));
        assert_eq!(get(b"ab\x01c\x02", "a"), None);
    }

    #[test]
    fn known_properties_are_found_in_one_pass() {
        let text = text([
            ("TAGS", "T"),
            ("KEYS", "k1  k2"),
            ("UNIQ_KEY", "U"),
            ("WAIT", "false"),
            ("DELAY", "3"),
            ("other", "x"),
        ]);
        let known = Known::of(&text);
        assert_eq!(known.tags, Some("T"));
        assert_eq!(known.key_list().collect::<Vec<_>>(), ["k1", "k2"]);
        assert_eq!(known.uniq_key, Some("U"));
        assert_eq!(known.wait, Some("false"));
        assert_eq!(known.delay_level(), 3);
        assert_eq!(Known::of(b"DELAY\x01-1\x02").delay_level(), 0);
        assert_eq!(Known::of(b"DELAY\x01x\x02").delay_level(), 0);
    }

    #[test]
    fn what_cannot_be_written_is_refused() {
        let mut builder = TextBuilder::from_text(b"a\x01b");
        for (name, value) in [("", "x"), ("x", ""), ("x\u{1}", "y"), ("x", "y\u{2}z\u{1}w")] {
            assert!(!builder.set(name, value), "{name:?} {value:?}");
        }
        assert_eq!(builder.as_bytes(), b"a\x01b\x02");
        assert!(!builder.remove("b"));
    }

    fn word() -> impl Strategy<Value = String> {
        "[a-c]{1,2}"
    }

    proptest! {
        #[test]
        fn the_builder_is_a_map(
            start in prop::collection::vec((word(), word()), 0..6),
            edits in prop::collection::vec((word(), prop::option::of(word())), 0..12),
        ) {
            let first = text(start.iter().map(|(n, v)| (n.as_str(), v.as_str())));
            let mut builder = TextBuilder::from_text(&first);
            let mut model: BTreeMap<String, String> = start.into_iter().collect();
            for (name, value) in edits {
                match value {
                    Some(value) => {
                        prop_assert!(builder.set(&name, &value));
                        model.insert(name, value);
                    }
                    None => prop_assert_eq!(builder.remove(&name), model.remove(&name).is_some()),
                }
            }
            let got: BTreeMap<String, String> = iter(builder.as_bytes())
                .map(|(n, v)| (String::from_utf8_lossy(n).into(), String::from_utf8_lossy(v).into()))
                .collect();
            prop_assert_eq!(got, model);
        }

        #[test]
        fn noise_never_panics(noise in prop::collection::vec(0u8..5, 0..64), name in ".{0,3}") {
            let _ = iter(&noise).count();
            let _ = get(&noise, &name);
            let _ = Known::of(&noise).key_list().count();
            let mut builder = TextBuilder::from_text(&noise);
            builder.remove(&name);
            prop_assert_eq!(builder.get(&name), None);
        }
    }
}
