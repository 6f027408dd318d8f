//! Spans of time as Kubernetes writes them: `90s`, `1h30m`.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserialize, Deserializer};
use serde::{Serialize, Serializer};

/// Longest text taken for a duration.
const TEXT_BYTES_MAX: usize = 24;
/// Longest duration: a year.
const MILLIS_MAX: u64 = 366 * 24 * 3_600_000;

/// A span of time with the spelling it was given in: longer than nothing, at most a year.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Duration {
    text: String,
    millis: u64,
}

/// Why a text is not a duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// No numbers with units.
    #[error(
        "`{0}` is not a duration: expected whole numbers with units h, m, s or ms, such as 90s or 1h30m"
    )]
    Malformed(String),
    /// Nothing, or more than a year.
    #[error("`{0}` must be longer than nothing and at most 8784h")]
    OutOfRange(String),
}

impl Duration {
    /// `minutes`, at least one.
    pub(crate) fn minutes(minutes: u16) -> Self {
        Self { text: format!("{minutes}m"), millis: u64::from(minutes) * 60_000 }
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The span in milliseconds.
    pub fn millis(&self) -> u64 {
        self.millis
    }
}

impl FromStr for Duration {
    type Err = DurationError;

    fn from_str(text: &str) -> Result<Self, DurationError> {
        let shown = || text.chars().take(TEXT_BYTES_MAX).collect::<String>();
        let malformed = || DurationError::Malformed(shown());
        if text.is_empty() || TEXT_BYTES_MAX < text.len() {
            return Err(malformed());
        }
        let mut rest = text;
        let mut millis = 0_u64;
        while !rest.is_empty() {
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            let (number, tail) = rest.split_at(digits); // ASCII up to here: a boundary
            let units = tail.bytes().take_while(u8::is_ascii_alphabetic).count();
            let (unit, tail) = tail.split_at(units);
            let scale = match unit {
                "h" => 3_600_000,
                "m" => 60_000,
                "s" => 1_000,
                "ms" => 1,
                _ => return Err(malformed()),
            };
            if number.is_empty() {
                return Err(malformed());
            }
            let part = number.parse::<u64>().ok().and_then(|number| number.checked_mul(scale));
            let sum = part.and_then(|part| millis.checked_add(part));
            millis = sum.ok_or_else(|| DurationError::OutOfRange(shown()))?;
            rest = tail;
        }
        if millis == 0 || MILLIS_MAX < millis {
            return Err(DurationError::OutOfRange(shown()));
        }
        Ok(Self { text: text.to_owned(), millis })
    }
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Serialize for Duration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for Duration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl de::Visitor<'_> for Text {
            type Value = Duration;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a duration such as 90s")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Duration, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Text)
    }
}

impl JsonSchema for Duration {
    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^([0-9]+(h|ms|m|s))+$",
            "maxLength": TEXT_BYTES_MAX,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn spans_in_milliseconds() {
        for (text, millis) in [
            ("1ms", 1),
            ("90s", 90_000),
            ("15m", 900_000),
            ("1h30m", 5_400_000),
            ("1h1m1s1ms", 3_661_001),
            ("0h5s", 5_000),
            ("8784h", MILLIS_MAX),
        ] {
            assert_eq!(text.parse::<Duration>().map(|span| span.millis()), Ok(millis), "{text}");
        }
        assert_eq!("15m".parse(), Ok(Duration::minutes(15)));
    }

    #[test]
    fn what_is_refused() {
        for text in ["", "5", "s", "1.5h", "-1s", "1d", "1 s", "1sm", "∞", "1h 5m"] {
            let error = text.parse::<Duration>();
            assert!(matches!(error, Err(DurationError::Malformed(_))), "{text:?}");
        }
        for text in ["0s", "0h0ms", "8785h", "99999999999999999999h", "18446744073709551615h"] {
            let error = text.parse::<Duration>();
            assert!(matches!(error, Err(DurationError::OutOfRange(_))), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn noise_never_panics(text in "\\PC*") {
            if let Ok(span) = text.parse::<Duration>() {
                prop_assert_eq!(span.as_str(), text);
            }
        }

        #[test]
        fn digits_and_units_never_panic(text in "([0-9]{0,20}[hms]{0,2}){0,4}") {
            text.parse::<Duration>().ok();
        }
    }
}
