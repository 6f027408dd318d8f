//! The JSON header: one pass, no tree. Text without escapes is a range of the header's bytes.
//!
//! Source: RocketMQ 5.x `RemotingSerializable` (fastjson), with the leniency of its reader.

use super::FrameError;
use crate::command::{Command, Encoding};
use crate::digits;
use crate::ext::{ExtFields, Scanned};
use crate::json::escape;
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
}

pub(super) fn decode(header: &Bytes) -> Result<Command> {
    let text = std::str::from_utf8(header)
        .map_err(|error| FrameError::Utf8 { at: error.valid_up_to() })?;
    let mut scanner = Scanner { text, bytes: header, at: 0 };
    let mut command = Command::request(0);
    command.language = Language::Other;
    command.version = ProtocolVersion(0);
    command.encoding = Encoding::Json;
    scanner.object(|scanner, key| {
        match scanner.slice(&key) {
            "code" => command.code = scanner.int()?,
            "opaque" => command.opaque = scanner.int()?,
            "flag" => command.flag = scanner.int()?,
            "version" => command.version = ProtocolVersion(scanner.int()?),
            "language" => {
                if let Some(name) = scanner.scalar()? {
                    command.language = Language::from_name(scanner.slice(&name));
                }
            }
            "remark" => {
                command.remark = match scanner.scalar()? {
                    None => None,
                    Some(Scanned::Unescaped(text)) => Some(ByteStr::from(text)),
                    Some(Scanned::At(range)) => ByteStr::from_utf8(header.slice(range)).ok(),
                }
            }
            "extFields" => command.ext = scanner.fields(header)?,
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
    Ok(command)
}

impl Scanner<'_> {
    fn fail<T>(&self, what: &'static str) -> Result<T> {
        Err(FrameError::Json { at: self.at, what })
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn blanks(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.peek() {
            self.at += 1;
        }
    }

    fn slice<'b>(&'b self, scanned: &'b Scanned) -> &'b str {
        match scanned {
            Scanned::At(range) => self.text.get(range.clone()).unwrap_or_default(),
            Scanned::Unescaped(text) => text,
        }
    }

    /// Calls `member` at the value of each member, which it must consume.
    fn object(&mut self, mut member: impl FnMut(&mut Self, Scanned) -> Result<()>) -> Result<()> {
        self.blanks();
        if self.peek() != Some(b'{') {
            return self.fail("an object was expected");
        }
        self.at += 1;
        loop {
            self.blanks();
            let key = match self.peek() {
                Some(b'}') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b',') => {
                    self.at += 1;
                    continue;
                }
                Some(b'"' | b'\'') => self.quoted()?,
                Some(_) => Scanned::At(self.bare()?),
                None => return self.fail("the object is not closed"),
            };
            self.blanks();
            if self.peek() != Some(b':') {
                return self.fail("a colon was expected");
            }
            self.at += 1;
            member(self, key)?;
            self.blanks();
            if !matches!(self.peek(), Some(b',' | b'}')) {
                return self.fail("a comma or the end of the object was expected");
            }
        }
    }

    fn fields(&mut self, header: &Bytes) -> Result<ExtFields> {
        let mut ext = ExtFields::over(header.clone());
        self.blanks();
        if self.peek() == Some(b'n') {
            return if self.scalar()?.is_none() { Ok(ext) } else { self.fail("not an object") };
        }
        self.object(|scanner, key| {
            if let Some(value) = scanner.scalar()? {
                ext.push_scanned(key, value);
            }
            Ok(())
        })?;
        Ok(ext)
    }

    /// A value as text: strings without their quotes, numbers and booleans as written, objects and
    /// arrays as their source text; `None` for null.
    fn scalar(&mut self) -> Result<Option<Scanned>> {
        self.blanks();
        match self.peek() {
            Some(b'"' | b'\'') => self.quoted().map(Some),
            Some(b'{' | b'[') => self.nested().map(|range| Some(Scanned::At(range))),
            Some(_) => {
                let range = self.bare()?;
                let null = self.bytes.get(range.clone()) == Some(b"null");
                Ok((!null).then_some(Scanned::At(range)))
            }
            None => self.fail("a value was expected"),
        }
    }

    fn int(&mut self) -> Result<i32> {
        let at = self.at;
        match self.scalar()? {
            None => Ok(0),
            Some(text) => match self.slice(&text).parse() {
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

    /// The content of the string that begins here, in either kind of quotes.
    fn quoted(&mut self) -> Result<Scanned> {
        let Some(quote) = self.peek() else { return self.fail("a string was expected") };
        let start = self.at + 1;
        let rest = self.bytes.get(start..).unwrap_or_default();
        match rest.iter().position(|b| *b == quote || *b == b'\\') {
            None => self.fail("the string is not closed"),
            Some(len) if rest.get(len) == Some(&quote) => {
                self.at = start + len + 1;
                Ok(Scanned::At(start..start + len))
            }
            Some(len) => {
                self.at = start + len;
                self.unescape(start, quote).map(Scanned::Unescaped)
            }
        }
    }

    /// The string from `start` on, whose first backslash is here.
    fn unescape(&mut self, start: usize, quote: u8) -> Result<String> {
        // Every escape is longer than what it stands for, and the text ends with the header; half
        // of the rest is a fair first guess that does not grow with a string nobody closes.
        let mut text = String::with_capacity(self.at - start + (self.bytes.len() - self.at) / 2);
        let mut from = start;
        loop {
            let rest = self.bytes.get(self.at..).unwrap_or_default();
            let Some(len) = rest.iter().position(|b| *b == quote || *b == b'\\') else {
                return self.fail("the string is not closed");
            };
            self.at += len;
            text.push_str(self.text.get(from..self.at).unwrap_or_default());
            self.at += 1;
            if rest.get(len) == Some(&quote) {
                return Ok(text);
            }
            let Some((escaped, len)) = escape(self.text, self.at) else {
                return self.fail("an unknown escape");
            };
            text.push(escaped);
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
                    self.quoted()?;
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
    let fields: usize = command.ext.iter().map(|(key, value)| key.len() + value.len() + 6).sum();
    let remark = command.remark.as_deref();
    out.reserve(160 + fields + fields / 4 + remark.map_or(0, str::len) + command.body.len());
    out.extend_from_slice(b"{\"code\":");
    number(command.code, out);
    if !command.ext.is_empty() {
        out.extend_from_slice(b",\"extFields\":{");
        for (index, (key, value)) in command.ext.iter().enumerate() {
            if index != 0 {
                out.extend_from_slice(b",");
            }
            string(key, out);
            out.extend_from_slice(b":");
            string(value, out);
        }
        out.extend_from_slice(b"}");
    }
    out.extend_from_slice(b",\"flag\":");
    number(command.flag, out);
    out.extend_from_slice(b",\"language\":\"");
    out.extend_from_slice(command.language.name().as_bytes());
    out.extend_from_slice(b"\",\"opaque\":");
    number(command.opaque, out);
    if let Some(remark) = remark {
        out.extend_from_slice(b",\"remark\":");
        string(remark, out);
    }
    out.extend_from_slice(b",\"serializeTypeCurrentRPC\":\"JSON\",\"version\":");
    number(command.version.0, out);
    out.extend_from_slice(b"}");
}

fn number(value: i32, out: &mut BytesMut) {
    digits::with(value.into(), |digits| out.extend_from_slice(digits));
}

/// Writes a JSON string, quotes included.
fn string(text: &str, out: &mut BytesMut) {
    out.extend_from_slice(b"\"");
    let mut rest = text.as_bytes();
    while let Some(at) = rest.iter().position(|b| matches!(b, b'"' | b'\\' | 0..0x20)) {
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
    out.extend_from_slice(b"\"");
}
