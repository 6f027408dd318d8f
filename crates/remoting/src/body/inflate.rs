//! zlib streams with a bound.

use flate2::Compression;
use flate2::read::{ZlibDecoder, ZlibEncoder};
use std::io::{self, Read};

/// Why a stream is not inflated.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InflateError {
    /// Not a zlib stream, or one that ends early.
    #[error("not a whole zlib stream")]
    Broken(#[source] io::Error),
    /// It holds more than was allowed.
    #[error("inflates to more than {max} bytes")]
    TooLarge {
        /// Bound.
        max: usize,
    },
}

/// Inflates a zlib stream to at most `max` bytes; memory grows with what comes out, not with what the
/// stream claims.
///
/// # Errors
/// [`InflateError`].
pub fn inflate(stream: &[u8], max: usize) -> Result<Vec<u8>, InflateError> {
    let mut out = Vec::new();
    let limit = u64::try_from(max).unwrap_or(u64::MAX).saturating_add(1);
    ZlibDecoder::new(stream).take(limit).read_to_end(&mut out).map_err(InflateError::Broken)?;
    if max < out.len() { Err(InflateError::TooLarge { max }) } else { Ok(out) }
}

/// Makes a zlib stream of `bytes`.
///
/// # Errors
/// None that are known: it is all in memory.
pub fn deflate(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut out = Vec::new();
    ZlibEncoder::new(bytes, Compression::fast()).read_to_end(&mut out)?;
    Ok(out)
}
