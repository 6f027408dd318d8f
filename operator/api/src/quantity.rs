//! Amounts as Kubernetes writes them: `20Gi`, `500m`, `1e3`.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserialize, Deserializer, Visitor};
use serde::{Serialize, Serializer};

/// Longest text taken for a quantity.
const TEXT_BYTES_MAX: usize = 48;

/// An amount with the spelling it was given in. Never negative, at most 2^63-1 units.
///
/// Equality and hashing go by spelling; compare amounts with [`Quantity::milli`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Quantity {
    text: String,
    milli: u128,
}

/// Why a text is not a quantity.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QuantityError {
    /// Not a number with a known suffix.
    #[error(
        "`{0}` is not a quantity: expected a number with an optional suffix, such as 20Gi, 500M or 250m"
    )]
    Malformed(String),
    /// Amounts of storage and compute cannot be below zero.
    #[error("`{0}` is negative")]
    Negative(String),
    /// Above 2^63-1 units.
    #[error("`{0}` is too large")]
    TooLarge(String),
}

impl Quantity {
    /// `count` GiB.
    pub(crate) fn gibibytes(count: u16) -> Self {
        Self { text: format!("{count}Gi"), milli: (u128::from(count) << 30) * 1000 }
    }

    /// `count` thousandths.
    pub(crate) fn millis(count: u16) -> Self {
        Self { text: format!("{count}m"), milli: count.into() }
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The amount in thousandths of a unit, rounded up as the API server does.
    pub fn milli(&self) -> u128 {
        self.milli
    }

    /// The amount in whole units (bytes, for storage), rounded up.
    pub fn units(&self) -> u64 {
        u64::try_from(self.milli.div_ceil(1000)).unwrap_or(u64::MAX)
    }
}

impl FromStr for Quantity {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, QuantityError> {
        let shown = || text.chars().take(TEXT_BYTES_MAX).collect::<String>();
        if text.is_empty() || TEXT_BYTES_MAX < text.len() {
            return Err(QuantityError::Malformed(shown()));
        }
        if text.starts_with('-') {
            return Err(QuantityError::Negative(shown()));
        }
        let body = text.strip_prefix('+').unwrap_or(text);
        let number_bytes =
            body.bytes().take_while(|byte| byte.is_ascii_digit() || *byte == b'.').count();
        let (number, suffix) = body.split_at(number_bytes); // ASCII up to here: a boundary
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
            return Err(QuantityError::Malformed(shown()));
        }
        let (binary_power, decimal_power) =
            suffix_powers(suffix).ok_or_else(|| QuantityError::Malformed(shown()))?;
        let milli = scale(whole, fraction, binary_power, decimal_power)
            .filter(|milli| *milli <= u128::from(i64::MAX.unsigned_abs()) * 1000)
            .ok_or_else(|| QuantityError::TooLarge(shown()))?;
        Ok(Self { text: text.to_owned(), milli })
    }
}

/// Powers of 1024 and of ten a suffix stands for.
fn suffix_powers(suffix: &str) -> Option<(u32, i32)> {
    Some(match suffix {
        "" => (0, 0),
        "n" => (0, -9),
        "u" => (0, -6),
        "m" => (0, -3),
        "k" => (0, 3),
        "M" => (0, 6),
        "G" => (0, 9),
        "T" => (0, 12),
        "P" => (0, 15),
        "E" => (0, 18),
        "Ki" => (1, 0),
        "Mi" => (2, 0),
        "Gi" => (3, 0),
        "Ti" => (4, 0),
        "Pi" => (5, 0),
        "Ei" => (6, 0),
        exponent => {
            let digits = exponent.strip_prefix(['e', 'E'])?;
            let unsigned = digits.strip_prefix(['+', '-']).unwrap_or(digits);
            if unsigned.is_empty() || !unsigned.bytes().all(|byte| byte.is_ascii_digit()) {
                return None;
            }
            // Beyond these every number is nothing or too much.
            let power: i32 = digits.parse().ok()?;
            (0, power.clamp(-100, 100))
        }
    })
}

/// `whole.fraction * 1024^binary * 10^decimal` in thousandths, rounded up; `None` if it overflows.
fn scale(whole: &str, fraction: &str, binary: u32, decimal: i32) -> Option<u128> {
    let fraction = fraction.trim_end_matches('0');
    let digits = format!("{whole}{fraction}");
    let significant = digits.trim_start_matches('0');
    if significant.is_empty() {
        return Some(0);
    }
    let mantissa: u128 = significant.parse().ok()?;
    let shift = i32::try_from(fraction.len()).ok()?;
    let power = decimal.checked_sub(shift)?.checked_add(3)?;
    let multiplied = mantissa.checked_mul(1024_u128.checked_pow(binary)?)?;
    let ten = 10_u128.checked_pow(power.unsigned_abs());
    if 0 <= power {
        multiplied.checked_mul(ten?)
    } else {
        Some(ten.map_or(1, |divisor| multiplied.div_ceil(divisor)))
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Serialize for Quantity {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for Quantity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Quantity;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a quantity such as 20Gi")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Quantity, E> {
                text.parse().map_err(E::custom)
            }
            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Quantity, E> {
                self.visit_str(&number.to_string())
            }
            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Quantity, E> {
                self.visit_str(&number.to_string())
            }
            fn visit_f64<E: de::Error>(self, number: f64) -> Result<Quantity, E> {
                self.visit_str(&number.to_string())
            }
        }
        deserializer.deserialize_any(Text)
    }
}

impl JsonSchema for Quantity {
    fn schema_name() -> Cow<'static, str> {
        "Quantity".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "x-kubernetes-int-or-string": true,
            "pattern": r"^\+?([0-9]+\.?[0-9]*|\.[0-9]+)([numkMGTPE]|[KMGTPE]i|[eE][+-]?[0-9]+)?$",
            "maxLength": TEXT_BYTES_MAX,
            "minimum": 0,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn amounts_in_thousandths() {
        for (text, milli) in [
            ("0", 0),
            ("0Gi", 0),
            ("1", 1000),
            ("+1", 1000),
            ("1.5", 1500),
            (".5", 500),
            ("5.", 5000),
            ("250m", 250),
            ("1u", 1),
            ("1n", 1),
            ("1500u", 2),
            ("2k", 2_000_000),
            ("1Ki", 1_024_000),
            ("1.5Ki", 1_536_000),
            ("20Gi", 20 * 1024 * 1024 * 1024 * 1000),
            ("1e3", 1_000_000),
            ("12E-1", 1200),
            ("1E", 1_000_000_000_000_000_000_000),
            ("0.0000001", 1),
            ("1e-99", 1),
        ] {
            assert_eq!(text.parse::<Quantity>().map(|q| q.milli()), Ok(milli), "{text}");
        }
        assert_eq!("3Gi".parse(), Ok(Quantity::gibibytes(3)));
        assert_eq!("500m".parse(), Ok(Quantity::millis(500)));
        assert_eq!("1500m".parse::<Quantity>().map(|q| q.units()), Ok(2));
    }

    #[test]
    fn what_is_refused() {
        for text in
            ["", "abc", "20GB", "20gi", "Gi", ".", "1.2.3", "1e", "1e+", "1 Gi", " 1", "1K", "∞"]
        {
            assert!(
                matches!(text.parse::<Quantity>(), Err(QuantityError::Malformed(_))),
                "{text:?}"
            );
        }
        assert!(matches!("-1".parse::<Quantity>(), Err(QuantityError::Negative(_))));
        for text in ["1e99", "16Ei", "9223372036854775808"] {
            assert!(matches!(text.parse::<Quantity>(), Err(QuantityError::TooLarge(_))), "{text}");
        }
        assert!("9223372036854775807".parse::<Quantity>().is_ok());
    }

    proptest! {
        #[test]
        fn noise_never_panics(text in "\\PC*") {
            if let Ok(quantity) = text.parse::<Quantity>() {
                prop_assert_eq!(quantity.as_str(), text);
            }
        }

        #[test]
        fn digits_and_suffixes_never_panic(text in "[0-9.]{0,44}[eE+kMGTPimnu]{0,3}[0-9]{0,3}") {
            text.parse::<Quantity>().ok();
        }

        #[test]
        fn whole_bytes_come_back(bytes in 0_u64..=i64::MAX.unsigned_abs()) {
            prop_assert_eq!(bytes.to_string().parse::<Quantity>().map(|q| q.units()), Ok(bytes));
        }
    }
}
