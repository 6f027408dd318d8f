//! Java's frames: positions one way, positions and bytes the other. Big-endian, without a check.
//!
//! | replica to master | |
//! | --- | --- |
//! | 0, 8 | i64: one past the last byte it has; the first time where it wants to begin |
//!
//! | master to replica | |
//! | --- | --- |
//! | 0, 8 | i64: place of the first byte that follows |
//! | 8, 4 | i32: bytes that follow; none is a sign of life |
//! | 12, n | bytes of the log |
//!
//! Source: RocketMQ 5.3 `DefaultHAClient`, `DefaultHAConnection`.

use super::HaError;
use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use rmq_model::LogOffset;

/// Most bytes that a Java replica's buffer takes in one frame.
pub const JAVA_BODY_BYTES_MAX: usize = 4 * 1024 * 1024 - JAVA_HEADER_BYTES - 1;
/// Length of [`encode_java_header`]'s header.
pub const JAVA_HEADER_BYTES: usize = 12;

const REPORT_BYTES: usize = 8;

/// A frame of a Java master.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JavaFrame {
    /// First byte, or the byte that comes next.
    pub offset: LogOffset,
    /// Bytes of the log; none is a sign of life.
    pub bytes: Bytes,
}

/// Adds a report.
pub fn encode_java_report(end: LogOffset, out: &mut BytesMut) {
    out.put_i64(end.to_wire());
}

/// Takes all whole reports off `buf` and returns the last: it replaces those before.
///
/// # Errors
/// [`HaError::Field`] if it is negative.
pub fn take_java_report(buf: &mut BytesMut) -> Result<Option<LogOffset>, HaError> {
    let whole = buf.len() - buf.len() % REPORT_BYTES;
    let Some(skip) = whole.checked_sub(REPORT_BYTES) else { return Ok(None) };
    buf.advance(skip);
    let end = LogOffset::from_wire(buf.get_i64());
    end.map(Some).ok_or(HaError::Field { field: "report" })
}

/// Adds the header of a frame whose `bytes` bytes follow.
pub fn encode_java_header(offset: LogOffset, bytes: usize, out: &mut BytesMut) {
    out.put_i64(offset.to_wire());
    out.put_i32(i32::try_from(bytes).unwrap_or(i32::MAX));
}

/// Takes the next frame of a Java master off `buf`; `None` until all of it has arrived.
///
/// # Errors
/// [`HaError`]: what follows cannot be understood any more.
pub fn take_java_frame(buf: &mut BytesMut) -> Result<Option<JavaFrame>, HaError> {
    let Some(&header) = buf.first_chunk::<JAVA_HEADER_BYTES>() else { return Ok(None) };
    let mut header = &header[..];
    let offset =
        LogOffset::from_wire(header.get_i64()).ok_or(HaError::Field { field: "offset" })?;
    let len = usize::try_from(header.get_i32())
        .map_err(|_negative| HaError::Field { field: "length" })?;
    if JAVA_BODY_BYTES_MAX < len {
        return Err(HaError::TooLong { bytes: len, max: JAVA_BODY_BYTES_MAX });
    }
    if buf.len() - JAVA_HEADER_BYTES < len {
        return Ok(None);
    }
    buf.advance(JAVA_HEADER_BYTES);
    Ok(Some(JavaFrame { offset, bytes: buf.split_to(len).freeze() }))
}
