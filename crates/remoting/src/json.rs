//! JSON bodies: reading what fastjson and the clients in other languages write, writing what all of them read.
//!
//! Reading is lenient in syntax (bare and single-quoted keys, numbers and whole objects as keys, trailing
//! commas) and in types ([`from_slice`]: `"5"` for 5, 5 for `"5"`, an enum's ordinal for its name, `null`
//! for absent). Writing is compact; [`to_vec`] writes keys that are objects or numbers as they are, as
//! fastjson does, [`to_vec_standard`] quotes them and escapes all that is not ASCII.
//!
//! Source: remoting bodies of RocketMQ 5.x (fastjson 1.2), Go client 2.x, C++ client 2.x.

mod lenient;
mod read;
mod write;

pub use lenient::or_default;
pub(crate) use read::escape;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Deepest nesting of objects and arrays.
pub const DEPTH_MAX: usize = 64;
/// Most values in one text: each takes some 100 bytes of memory, whatever it takes on the wire.
pub const VALUES_MAX: usize = 2_000_000;

/// Why a text is not used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JsonError {
    /// Not JSON, not even leniently.
    #[error("not JSON at byte {at}: {what}")]
    Syntax {
        /// Position in the text.
        at: usize,
        /// What was expected.
        what: &'static str,
    },
    /// Not UTF-8.
    #[error("not UTF-8 at byte {at}")]
    Utf8 {
        /// Bytes before it are good.
        at: usize,
    },
    /// More than [`DEPTH_MAX`] or [`VALUES_MAX`].
    #[error("too large: {what} at byte {at}")]
    TooLarge {
        /// Position in the text.
        at: usize,
        /// Which bound.
        what: &'static str,
    },
    /// JSON, but not of what was asked for.
    #[error("not as expected: {0}")]
    Shape(String),
}

impl serde::de::Error for JsonError {
    fn custom<T: std::fmt::Display>(message: T) -> Self {
        Self::Shape(message.to_string())
    }
}

/// Reads any text. Of equal keys the last one wins. A key that is an object or array becomes the text it
/// has in the source.
///
/// # Errors
/// [`JsonError`] but for `Shape`. An empty text is one.
pub fn to_value(text: &[u8]) -> Result<Value, JsonError> {
    read::parse(text)
}

/// Reads a `T`, turning values into the types it wants where that is what their sender meant. Members that
/// are null count as absent.
///
/// # Errors
/// [`JsonError`].
pub fn from_slice<T: DeserializeOwned>(text: &[u8]) -> Result<T, JsonError> {
    from_value(to_value(text)?)
}

/// As [`from_slice`], from a value.
///
/// # Errors
/// [`JsonError::Shape`].
pub fn from_value<T: DeserializeOwned>(value: Value) -> Result<T, JsonError> {
    T::deserialize(lenient::Lenient(value))
}

/// Writes `value` as fastjson does: compact, members that are null left out, keys that are numbers or
/// objects unquoted. Members are in the order of `T`; types of this crate have them sorted.
///
/// # Panics
/// If a hand-written `Serialize` of `T` fails; derived ones do not.
pub fn to_vec<T: Serialize + ?Sized>(value: &T) -> Vec<u8> {
    write::to_vec(value, write::Form::Fastjson)
}

/// As [`to_vec`], but standard JSON in ASCII: keys quoted, other characters as `\uXXXX`.
///
/// # Panics
/// As [`to_vec`].
pub fn to_vec_standard<T: Serialize + ?Sized>(value: &T) -> Vec<u8> {
    write::to_vec(value, write::Form::Standard)
}

#[cfg(test)]
mod tests;
