//! How one field is read and written, and the table that makes a type of several.

use crate::ext::{ExtFields, Value};
use crate::text::ByteStr;

/// Header fields of one request or answer.
pub trait Header: Sized {
    /// Reads the fields it knows and ignores all others.
    ///
    /// # Errors
    /// [`HeaderError`] for a mandatory field that is absent and a number that is none.
    fn from_ext(ext: &ExtFields) -> Result<Self, HeaderError>;

    /// Appends all fields that have a value.
    fn to_ext(&self, ext: &mut ExtFields);
}

/// Why the fields of a request cannot be used. The request is answered with code 1 and this text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HeaderError {
    /// A mandatory field is not there.
    #[error("the custom field <{field}> is null")]
    Missing {
        /// Wire name.
        field: &'static str,
    },
    /// A number is none or does not fit.
    #[error("the custom field <{field}> is not a number in range: {text:?}")]
    Number {
        /// Wire name.
        field: &'static str,
        /// As sent, shortened.
        text: String,
    },
}

/// A type that a field can have.
pub trait Field: Sized {
    /// From the text of the wire.
    ///
    /// # Errors
    /// [`HeaderError`] names `field`.
    fn read(field: &'static str, value: Value<'_>) -> Result<Self, HeaderError>;

    /// When the field is not there.
    ///
    /// # Errors
    /// [`HeaderError::Missing`] unless it may be absent.
    fn absent(field: &'static str) -> Result<Self, HeaderError> {
        Err(HeaderError::Missing { field })
    }

    /// Appends the field, if it has a value.
    fn write(&self, field: &'static str, ext: &mut ExtFields);
}

impl Field for ByteStr {
    fn read(_: &'static str, value: Value<'_>) -> Result<Self, HeaderError> {
        Ok(value.to_text())
    }

    fn write(&self, field: &'static str, ext: &mut ExtFields) {
        ext.push(field, self.clone());
    }
}

fn not_a_number(field: &'static str, text: &str) -> HeaderError {
    HeaderError::Number { field, text: text.chars().take(40).collect() }
}

/// Most numbers, without a look at their encoding: at most 18 digits and a minus.
fn short_number(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    if digits.is_empty() || 18 < digits.len() {
        return None;
    }
    let mut value = 0;
    for digit in digits {
        let digit = digit.wrapping_sub(b'0');
        if 9 < digit {
            return None;
        }
        value = value * 10 + i64::from(digit);
    }
    Some(if negative { -value } else { value })
}

macro_rules! number {
    ($($kind:ty)*) => {$(
        impl Field for $kind {
            fn read(field: &'static str, value: Value<'_>) -> Result<Self, HeaderError> {
                if let Some(Ok(number)) = short_number(value.as_bytes()).map(Self::try_from) {
                    return Ok(number);
                }
                let text = value.as_str();
                match text.parse() {
                    Ok(number) => Ok(number),
                    // Null and the empty text are the same thing in the binary encoding.
                    Err(_) if text.is_empty() => Self::absent(field),
                    Err(_) => Err(not_a_number(field, text)),
                }
            }

            fn write(&self, field: &'static str, ext: &mut ExtFields) {
                ext.push_number(field, i64::from(*self));
            }
        }
    )*};
}

number!(i32 i64);

/// `true` in any case is true, everything else is false, as `Boolean.parseBoolean` has it.
impl Field for bool {
    fn read(_: &'static str, value: Value<'_>) -> Result<Self, HeaderError> {
        Ok(value.as_bytes().eq_ignore_ascii_case(b"true"))
    }

    fn write(&self, field: &'static str, ext: &mut ExtFields) {
        ext.push_static(field, if *self { "true" } else { "false" });
    }
}

impl<T: Field> Field for Option<T> {
    fn read(field: &'static str, value: Value<'_>) -> Result<Self, HeaderError> {
        match T::read(field, value) {
            Err(HeaderError::Missing { .. }) => Ok(None),
            read => read.map(Some),
        }
    }

    fn absent(_: &'static str) -> Result<Self, HeaderError> {
        Ok(None)
    }

    fn write(&self, field: &'static str, ext: &mut ExtFields) {
        if let Some(value) = self {
            value.write(field, ext);
        }
    }
}

/// Declares header types: `name: kind = "wireName"`, with `or default` for a field that has one.
macro_rules! headers {
    ($(
        $(#[$doc:meta])*
        $type:ident {
            $($(#[$field_doc:meta])* $field:ident: $kind:ty = $wire:literal $(or $default:expr)?),* $(,)?
        }
    )*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct $type {
            $($(#[$field_doc])* #[doc = concat!("`", $wire, "`")] pub $field: $kind,)*
        }

        impl $crate::header::Header for $type {
            fn from_ext(
                ext: &$crate::ExtFields,
            ) -> Result<Self, $crate::header::HeaderError> {
                $(let mut $field = None;)*
                for (key, value) in ext.values() {
                    $(
                        if key == $wire.as_bytes() {
                            $field = Some(value);
                            continue;
                        }
                    )*
                }
                Ok(Self {
                    $($field: $crate::header::fields::finish!($kind, $wire, $field $(, $default)?),)*
                })
            }

            fn to_ext(&self, ext: &mut $crate::ExtFields) {
                $($crate::header::Field::write(&self.$field, $wire, ext);)*
            }
        }
    )*};
}

macro_rules! finish {
    ($kind:ty, $wire:literal, $found:ident) => {
        match $found {
            Some(value) => <$kind as $crate::header::Field>::read($wire, value)?,
            None => <$kind as $crate::header::Field>::absent($wire)?,
        }
    };
    ($kind:ty, $wire:literal, $found:ident, $default:expr) => {
        match $found {
            Some(value) => {
                <Option<$kind> as $crate::header::Field>::read($wire, value)?.unwrap_or($default)
            }
            None => $default,
        }
    };
}

pub(crate) use finish;
pub(crate) use headers;
