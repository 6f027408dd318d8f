//! The JSON header: one pass, no tree. Text without escapes is a range of the header's bytes.
//!
//! Source: RocketMQ 5.x `RemotingSerializable` (fastjson), with the leniency of its reader.

use super::FrameError;
use crate::command::Command;
use crate::digits;
use crate::ext::{ExtFields, Span};
use crate::json::escape;
use crate::swar;
use crate::text::ByteStr;
use bytes::{Bytes, BytesMut};
use rmq_model::peer::{Language, ProtocolVersion};
use std::ops::Range;

/// Deepest nesting that is skipped in members nobody reads.
const DEPTH_MAX: usize = 32;

type Result<T> = std::result::Result<T, FrameError>;

struct Scanner<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    /// All texts that had escapes, one behind the other.
    unescaped: String,
}

pub(super) fn decode(header: &Bytes) -> Result<Command> {
    let text = std::str::from_utf8(header)
        .map_err(|error| FrameError::Utf8 { at: error.valid_up_to() })?;
    let mut scanner = Scanner { text, bytes: header, at: 0, unescaped: String::new() };
    let mut command = Command::request(0);
    command.language = Language::Other;
    command.version = ProtocolVersion(0);
    let mut remark = None;
    let mut fields = Vec::new();
    scanner.object(|scanner, key| {
        match scanner.slice(key) {
            "code" => command.code = scanner.int()?,
            "opaque" => command.opaque = scanner.int()?,
            "flag" => command.flag = scanner.int()?,
            "version" => command.version = ProtocolVersion(scanner.int()?),
            "language" => {
                if let Some(name) = scanner.scalar()? {
                    command.language = Language::from_name(scanner.slice(name));
                }
            }
            "remark" => remark = scanner.scalar()?,
            "extFields" => fields = scanner.fields()?,
            _ => {
                scanner.scalar()?;
            }
        }
        Ok(())
    })?;
    // One version of the C++ client ends the header with a line break.
    scanner.blanks();
    while scanner.peek() == Some(0) {
        scanner.at += 1;
    }
    if scanner.at < scanner.bytes.len() {
        return scanner.fail("text after the end");
    }
    let unescaped = Bytes::from(scanner.unescaped);
    command.remark = remark.and_then(|span| {
        let all = if span.is_unescaped() { &unescaped } else { header };
        ByteStr::from_utf8(all.slice(span.range())).ok()
    });
    command.ext = ExtFields::decoded(header.clone(), unescaped, fields);
    Ok(command)
}

impl Scanner<'_> {
    #[cold]
    fn fail<T>(&self, what: &'static str) -> Result<T> {
        Err(FrameError::Json { at: self.at, what })
    }

    #[inline]
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    #[inline]
    fn blanks(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.peek() {
            self.at += 1;
        }
    }

    fn slice(&self, span: Span) -> &str {
        let text = if span.is_unescaped() { &self.unescaped } else { self.text };
        text.get(span.range()).unwrap_or_default()
    }

    /// Calls `member` at the value of each member, which it must consume.
    #[inline]
    fn object(&mut self, mut member: impl FnMut(&mut Self, Span) -> Result<()>) -> Result<()> {
        self.blanks();
        if self.peek() != Some(b'{') {
            return self.fail("an object was expected");
        }
        self.at += 1;
        loop {
            self.blanks();
            let key = match self.peek() {
                Some(quote @ (b'"' | b'\'')) => self.quoted(quote)?,
                Some(b'}') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b',') => {
                    self.at += 1;
                    continue;
                }
                Some(_) => Span::in_header(&self.bare()?),
                None => return self.fail("the object is not closed"),
            };
            self.blanks();
            if self.peek() != Some(b':') {
                return self.fail("a colon was expected");
            }
            self.at += 1;
            member(self, key)?;
            self.blanks();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => {}
                _ => return self.fail("a comma or the end of the object was expected"),
            }
        }
    }

    fn fields(&mut self) -> Result<Vec<(Span, Span)>> {
        self.blanks();
        if self.peek() == Some(b'n') {
            return match self.scalar()? {
                None => Ok(Vec::new()),
                Some(_) => self.fail("not an object"),
            };
        }
        let mut fields = ExtFields::span_list();
        self.object(|scanner, key| {
            if let Some(value) = scanner.scalar()? {
                fields.push((key, value));
            }
            Ok(())
        })?;
        Ok(fields)
    }

    /// A value as text: strings without their quotes, numbers and booleans as written, objects and
    /// arrays as their source text; `None` for null.
    #[inline]
    fn scalar(&mut self) -> Result<Option<Span>> {
        self.blanks();
        match self.peek() {
            Some(quote @ (b'"' | b'\'')) => self.quoted(quote).map(Some),
            Some(b'{' | b'[') => self.nested().map(|range| Some(Span::in_header(&range))),
            Some(_) => {
                let range = self.bare()?;
                let null = self.bytes.get(range.clone()) == Some(b"null");
                Ok((!null).then(|| Span::in_header(&range)))
            }
            None => self.fail("a value was expected"),
        }
    }

    fn int(&mut self) -> Result<i32> {
        let at = self.at;
        match self.scalar()? {
            None => Ok(0),
            Some(text) => match self.slice(text).parse() {
                Ok(number) => Ok(number),
                Err(_) => Err(FrameError::Json { at, what: "a 32-bit number was expected" }),
            },
        }
    }

    /// A number, a word or an unquoted key: everything up to the next structural character.
    fn bare(&mut self) -> Result<Range<usize>> {
        let start = self.at;
        while let Some(byte) = self.peek() {
            match byte {
                b',' | b'}' | b']' | b':' | b' ' | b'\n' | b'\r' | b'\t' => break,
                b'"' | b'\'' | b'{' | b'[' | b'\\' | 0..0x20 => {
                    return self.fail("a misplaced character");
                }
                _ => self.at += 1,
            }
        }
        if start == self.at { self.fail("a key or value was expected") } else { Ok(start..self.at) }
    }

    /// The content of the string that begins here, in `quote`s.
    #[inline]
    fn quoted(&mut self, quote: u8) -> Result<Span> {
        let start = self.at + 1;
        let rest = self.bytes.get(start..).unwrap_or_default();
        let Some(len) = swar::find_either(rest, quote, b'\\') else {
            return self.fail("the string is not closed");
        };
        self.at = start + len;
        if rest.get(len) == Some(&quote) {
            self.at += 1;
            return Ok(Span::in_header(&(start..start + len)));
        }
        self.unescape(start, quote)
    }

    /// The string from `start` on, whose first backslash is here.
    fn unescape(&mut self, start: usize, quote: u8) -> Result<Span> {
        let begin = self.unescaped.len();
        if begin == 0 {
            // One allocation for all: what is unescaped is shorter than its source.
            self.unescaped.reserve_exact(self.bytes.len() - start);
        }
        let mut from = start;
        loop {
            let rest = self.bytes.get(self.at..).unwrap_or_default();
            let Some(len) = swar::find_either(rest, quote, b'\\') else {
                return self.fail("the string is not closed");
            };
            self.at += len;
            self.unescaped.push_str(self.text.get(from..self.at).unwrap_or_default());
            self.at += 1;
            if rest.get(len) == Some(&quote) {
                return Ok(Span::unescaped(&(begin..self.unescaped.len())));
            }
            let Some((escaped, len)) = escape(self.text, self.at) else {
                return self.fail("an unknown escape");
            };
            self.unescaped.push(escaped);
            self.at += len;
            from = self.at;
        }
    }

    /// Skips an object or array; returns its source text.
    fn nested(&mut self) -> Result<Range<usize>> {
        let start = self.at;
        let mut depth = 0_usize;
        while let Some(byte) = self.peek() {
            match byte {
                b'"' | b'\'' => {
                    self.quoted(byte)?;
                    continue;
                }
                b'{' | b'[' => depth += 1,
                b'}' | b']' => depth -= 1,
                _ => {}
            }
            self.at += 1;
            if depth == 0 {
                return Ok(start..self.at);
            }
            if DEPTH_MAX < depth {
                return self.fail("nested too deeply");
            }
        }
        self.fail("a nested value is not closed")
    }
}

pub(super) fn encode(command: &Command, out: &mut BytesMut) {
    let fields = command.ext.text_len() + command.ext.len() * 6;
    let remark = command.remark.as_deref();
    out.reserve(160 + fields + fields / 4 + remark.map_or(0, str::len) + command.body.len());
    out.extend_from_slice(b"{\"code\":");
    number(command.code, out);
    if !command.ext.is_empty() {
        let mut before: &[u8] = b",\"extFields\":{\"";
        for (key, value) in command.ext.values() {
            out.extend_from_slice(before);
            escaped(key, out);
            out.extend_from_slice(b"\":\"");
            escaped(value.as_bytes(), out);
            before = b"\",\"";
        }
        out.extend_from_slice(b"\"}");
    }
    out.extend_from_slice(b",\"flag\":");
    number(command.flag, out);
    out.extend_from_slice(b",\"language\":\"");
    out.extend_from_slice(command.language.name().as_bytes());
    out.extend_from_slice(b"\",\"opaque\":");
    number(command.opaque, out);
    if let Some(remark) = remark {
        out.extend_from_slice(b",\"remark\":\"");
        escaped(remark.as_bytes(), out);
        out.extend_from_slice(b"\"");
    }
    out.extend_from_slice(b",\"serializeTypeCurrentRPC\":\"JSON\",\"version\":");
    number(command.version.0, out);
    out.extend_from_slice(b"}");
}

fn number(value: i32, out: &mut BytesMut) {
    digits::with(value.into(), |digits| out.extend_from_slice(digits));
}

/// Writes a text for between quotes.
fn escaped(text: &[u8], out: &mut BytesMut) {
    let mut rest = text;
    while let Some(at) = swar::find_escaped(rest) {
        let (plain, escaped) = rest.split_at(at);
        out.extend_from_slice(plain);
        match escaped.first() {
            Some(b'"') => out.extend_from_slice(b"\\\""),
            Some(b'\\') => out.extend_from_slice(b"\\\\"),
            Some(b'\n') => out.extend_from_slice(b"\\n"),
            Some(b'\r') => out.extend_from_slice(b"\\r"),
            Some(b'\t') => out.extend_from_slice(b"\\t"),
            Some(byte) => {
                let hex = b"0123456789ABCDEF";
                let (high, low) = (usize::from(byte >> 4), usize::from(byte & 15));
                out.extend_from_slice(&[b'\\', b'u', b'0', b'0', hex[high], hex[low]]);
            }
            None => {}
        }
        rest = escaped.get(1..).unwrap_or_default();
    }
    out.extend_from_slice(rest);
}
