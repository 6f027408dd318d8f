//! The `ROCKETMQ` binary header.
//!
//! ```text
//! i16 code  u8 language  i16 version  i32 opaque  i32 flag
//! i32 length + remark
//! i32 length of all entries + { i16 length + key, i32 length + value }*
//! ```
//! Source: RocketMQ 5.x `RocketMQSerializable`.

use super::FrameError;
use crate::command::{Command, Encoding};
use crate::ext::{ExtFields, Span};
use crate::text::ByteStr;
use bytes::{BufMut, Bytes, BytesMut};
use rmq_model::peer::{Language, ProtocolVersion};
use std::ops::Range;

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], FrameError> {
        let found = self.bytes.get(self.at..).and_then(|rest| rest.first_chunk::<N>());
        let Some(found) = found else { return Err(FrameError::Binary { at: self.at, what }) };
        self.at += N;
        Ok(*found)
    }

    fn i16(&mut self, what: &'static str) -> Result<i16, FrameError> {
        self.array(what).map(i16::from_be_bytes)
    }

    fn i32(&mut self, what: &'static str) -> Result<i32, FrameError> {
        self.array(what).map(i32::from_be_bytes)
    }

    /// The next `len` bytes: their range, within the header.
    fn take(&mut self, len: i32, what: &'static str) -> Result<Range<usize>, FrameError> {
        let start = self.at;
        let end = usize::try_from(len)
            .ok()
            .and_then(|len| start.checked_add(len))
            .filter(|end| *end <= self.bytes.len())
            .ok_or(FrameError::Binary { at: start, what })?;
        self.at = end;
        Ok(start..end)
    }

    /// As [`Reader::take`], and it is UTF-8.
    fn text(&mut self, len: i32, what: &'static str) -> Result<Range<usize>, FrameError> {
        let range = self.take(len, what)?;
        match std::str::from_utf8(&self.bytes[range.clone()]) {
            Ok(_) => Ok(range),
            Err(error) => Err(FrameError::Utf8 { at: range.start + error.valid_up_to() }),
        }
    }
}

pub(super) fn decode(header: &Bytes) -> Result<Command, FrameError> {
    let mut reader = Reader { bytes: header, at: 0 };
    let code = i32::from(reader.i16("code")?);
    let [language] = reader.array("language")?;
    let version = i32::from(reader.i16("version")?);
    let opaque = reader.i32("opaque")?;
    let flag = reader.i32("flag")?;
    let len = reader.i32("remark length")?;
    let remark = reader.text(len, "remark")?;
    let len = reader.i32("map length")?;
    let start = reader.at;
    let map = reader.take(len, "map")?;
    // The map's own end binds its entries; what follows it is not looked at.
    let mut reader = Reader { bytes: &header[..map.end], at: start };
    let mut spans = if map.is_empty() { Vec::new() } else { ExtFields::span_list() };
    while reader.at < map.end {
        let len = i32::from(reader.i16("key length")?);
        let key = reader.text(len, "key")?;
        let len = reader.i32("value length")?;
        let value = reader.text(len, "value")?;
        spans.push((Span::in_header(&key), Span::in_header(&value)));
    }
    let ext = ExtFields::decoded(header.clone(), Bytes::new(), spans);
    let remark =
        if remark.is_empty() { None } else { ByteStr::from_utf8(header.slice(remark)).ok() };
    Ok(Command {
        code,
        language: Language::from_code(language),
        version: ProtocolVersion(version),
        opaque,
        flag,
        remark,
        ext,
        body: Bytes::new(),
        encoding: Encoding::Binary,
    })
}

/// The low 16 bits, as the reference implementation's cast to `short`.
fn short(value: i32) -> [u8; 2] {
    let [_, _, a, b] = value.to_be_bytes();
    [a, b]
}

fn put_len(len: usize, out: &mut BytesMut) {
    out.put_i32(i32::try_from(len).unwrap_or(i32::MAX));
}

pub(super) fn encode(command: &Command, out: &mut BytesMut) {
    let remark = command.remark.as_deref().unwrap_or_default();
    // A key's length has 16 bits: longer ones cannot be said and are left out.
    let fields = || command.ext.iter().filter(|(key, _)| key.len() <= KEY_BYTES_MAX);
    let map: usize = fields().map(|(key, value)| 2 + key.len() + 4 + value.len()).sum();
    out.reserve(21 + remark.len() + map + command.body.len());
    out.put_slice(&short(command.code));
    out.put_u8(command.language.code());
    out.put_slice(&short(command.version.0));
    out.put_i32(command.opaque);
    out.put_i32(command.flag);
    put_len(remark.len(), out);
    out.put_slice(remark.as_bytes());
    put_len(map, out);
    for (key, value) in fields() {
        out.put_i16(i16::try_from(key.len()).unwrap_or(0));
        out.put_slice(key.as_bytes());
        put_len(value.len(), out);
        out.put_slice(value.as_bytes());
    }
}

const KEY_BYTES_MAX: usize = 32_767;
