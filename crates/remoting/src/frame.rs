//! Frames: length, header word, header, body.
//!
//! ```text
//! 0  i32  bytes that follow: 4 + header + body, at most 16 MiB
//! 4  u8   encoding of the header: 0 JSON, 1 binary
//! 5  u24  header length
//! 8       header, then the body
//! ```
//! All integers are big-endian. Source: RocketMQ 5.x `RemotingCommand`, `NettyDecoder`.

mod binary;
mod json;

use crate::command::{Command, Encoding};
use bytes::{Buf, BufMut, Bytes, BytesMut};

/// Why a stream cannot be read any further. The connection is to be closed: where the next frame
/// begins is unknown or its sender does not speak this protocol.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// The length word is negative or above the limit.
    #[error("frame of {len} bytes, the limit is {max}")]
    Length {
        /// As read, signed.
        len: i32,
        /// Limit.
        max: usize,
    },
    /// The frame is too short for the word that says how long its header is.
    #[error("frame of {len} bytes has no header word")]
    NoHeaderWord {
        /// Length of the frame.
        len: usize,
    },
    /// The header is longer than the frame.
    #[error("header of {header} bytes in a frame of {frame}")]
    HeaderOverrun {
        /// Length of the header.
        header: usize,
        /// Length of the frame.
        frame: usize,
    },
    /// The type byte is neither 0 nor 1.
    #[error("unknown header encoding {found}")]
    Encoding {
        /// As read.
        found: u8,
    },
    /// The header is not UTF-8.
    #[error("header is not UTF-8 at byte {at}")]
    Utf8 {
        /// Bytes before it are good.
        at: usize,
    },
    /// A JSON header is broken.
    #[error("header is not the JSON of a command at byte {at}: {what}")]
    Json {
        /// Position in the header.
        at: usize,
        /// What was expected or exceeded.
        what: &'static str,
    },
    /// A binary header is broken.
    #[error("binary header breaks off or overruns at byte {at}: {what}")]
    Binary {
        /// Position in the header.
        at: usize,
        /// What was being read.
        what: &'static str,
    },
}

/// Takes the next frame off `buf`; `None` until all of it has arrived. `max` bounds the length word.
///
/// Header and body share the memory of `buf`.
///
/// # Errors
/// [`FrameError`]: the stream is lost.
pub fn take_frame(buf: &mut BytesMut, max: usize) -> Result<Option<Command>, FrameError> {
    let Some(len) = frame_len(buf, max)? else { return Ok(None) };
    if buf.len() - 4 < len {
        return Ok(None);
    }
    buf.advance(4);
    decode(buf.split_to(len).freeze()).map(Some)
}

/// The length word of the frame at the start of `buf`: bytes that follow it. `None` while it has not
/// arrived. Lets a reader make room for the whole frame before it is there.
///
/// # Errors
/// [`FrameError::Length`], [`FrameError::NoHeaderWord`].
pub fn frame_len(buf: &[u8], max: usize) -> Result<Option<usize>, FrameError> {
    let Some(&prefix) = buf.first_chunk::<4>() else { return Ok(None) };
    let word = i32::from_be_bytes(prefix);
    match usize::try_from(word) {
        Ok(len) if max < len => Err(FrameError::Length { len: word, max }),
        Ok(len) if len < 4 => Err(FrameError::NoHeaderWord { len }),
        Ok(len) => Ok(Some(len)),
        Err(_) => Err(FrameError::Length { len: word, max }),
    }
}

/// Decodes a frame without its length word.
///
/// # Errors
/// [`FrameError`].
pub fn decode(mut frame: Bytes) -> Result<Command, FrameError> {
    let len = frame.len();
    let Ok(word) = frame.try_get_u32() else { return Err(FrameError::NoHeaderWord { len }) };
    let [encoding, a, b, c] = word.to_be_bytes();
    let header = usize::try_from(u32::from_be_bytes([0, a, b, c])).unwrap_or(usize::MAX);
    if frame.len() < header {
        return Err(FrameError::HeaderOverrun { header, frame: len });
    }
    let header = frame.split_to(header);
    let mut command = match encoding {
        0 => json::decode(&header)?,
        1 => binary::decode(&header)?,
        found => return Err(FrameError::Encoding { found }),
    };
    command.body = frame;
    Ok(command)
}

/// Appends length word, header word and header. A frame past the 2 GiB that a length word can say is
/// not a thing that senders here can make: bodies are bounded far below.
pub(crate) fn encode_head(command: &Command, body_len: usize, out: &mut BytesMut) {
    let start = out.len();
    out.put_u64(0);
    let kind = match command.encoding {
        Encoding::Json => {
            json::encode(command, out);
            0
        }
        Encoding::Binary => {
            binary::encode(command, out);
            1
        }
    };
    let header = out.len() - start - 8;
    let total = u32::try_from(4 + header + body_len).unwrap_or(u32::MAX).to_be_bytes();
    let [_, a, b, c] = u32::try_from(header).unwrap_or(u32::MAX).to_be_bytes();
    if let Some(words) = out.get_mut(start..start + 8) {
        words[..4].copy_from_slice(&total);
        words[4..].copy_from_slice(&[kind, a, b, c]);
    }
}

#[cfg(test)]
mod tests;
