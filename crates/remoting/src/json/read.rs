//! The lenient reader.

use super::{DEPTH_MAX, JsonError, VALUES_MAX};
use serde_json::{Map, Number, Value};

type Result<T> = std::result::Result<T, JsonError>;

pub(super) fn parse(text: &[u8]) -> Result<Value> {
    let text =
        std::str::from_utf8(text).map_err(|error| JsonError::Utf8 { at: error.valid_up_to() })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut parser = Parser { text, bytes: text.as_bytes(), at: 0, values: 0 };
    let value = parser.value(0)?;
    parser.blanks();
    while parser.peek() == Some(0) {
        parser.at += 1; // C strings
    }
    if parser.at < parser.bytes.len() { parser.fail("text after the end") } else { Ok(value) }
}

struct Parser<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    values: usize,
}

impl<'a> Parser<'a> {
    fn fail<T>(&self, what: &'static str) -> Result<T> {
        Err(JsonError::Syntax { at: self.at, what })
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn blanks(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t' | 0xc) = self.peek() {
            self.at += 1;
        }
    }

    /// The source from `start` to here.
    fn since(&self, start: usize) -> &'a str {
        self.text.get(start..self.at).unwrap_or_default()
    }

    fn value(&mut self, depth: usize) -> Result<Value> {
        self.values += 1;
        if VALUES_MAX < self.values {
            return Err(JsonError::TooLarge { at: self.at, what: "too many values" });
        }
        if DEPTH_MAX < depth {
            return Err(JsonError::TooLarge { at: self.at, what: "nested too deeply" });
        }
        self.blanks();
        match self.peek() {
            Some(b'{') => self.object(depth).map(Value::Object),
            Some(b'[') => self.array(depth).map(Value::Array),
            Some(quote @ (b'"' | b'\'')) => self.quoted(quote).map(Value::String),
            Some(b'-' | b'+' | b'.' | b'0'..=b'9') => self.number(),
            Some(_) => self.word(),
            None => self.fail("a value was expected"),
        }
    }

    fn object(&mut self, depth: usize) -> Result<Map<String, Value>> {
        self.at += 1;
        let mut members = Map::new();
        loop {
            self.blanks();
            match self.peek() {
                Some(b'}') => {
                    self.at += 1;
                    return Ok(members);
                }
                Some(b',') => {
                    self.at += 1;
                    continue;
                }
                _ => {}
            }
            let key = self.key(depth)?;
            self.blanks();
            if self.peek() != Some(b':') {
                return self.fail("a colon was expected");
            }
            self.at += 1;
            let value = self.value(depth + 1)?;
            members.insert(key, value);
            self.blanks();
            if !matches!(self.peek(), Some(b',' | b'}')) {
                return self.fail("a comma or the end of the object was expected");
            }
        }
    }

    fn key(&mut self, depth: usize) -> Result<String> {
        match self.peek() {
            Some(quote @ (b'"' | b'\'')) => self.quoted(quote),
            Some(b'{' | b'[') => {
                let start = self.at;
                self.value(depth + 1)?;
                Ok(self.since(start).to_owned())
            }
            _ => {
                let start = self.at;
                while self.peek().is_some_and(is_bare) {
                    self.at += 1;
                }
                if start == self.at {
                    return self.fail("a key was expected");
                }
                Ok(self.since(start).to_owned())
            }
        }
    }

    fn array(&mut self, depth: usize) -> Result<Vec<Value>> {
        self.at += 1;
        let mut items = Vec::new();
        loop {
            self.blanks();
            match self.peek() {
                Some(b']') => {
                    self.at += 1;
                    return Ok(items);
                }
                Some(b',') => {
                    self.at += 1;
                    continue;
                }
                _ => {}
            }
            items.push(self.value(depth + 1)?);
            self.blanks();
            if !matches!(self.peek(), Some(b',' | b']')) {
                return self.fail("a comma or the end of the array was expected");
            }
        }
    }

    fn number(&mut self) -> Result<Value> {
        let start = self.at;
        while let Some(b'-' | b'+' | b'.' | b'0'..=b'9' | b'e' | b'E') = self.peek() {
            self.at += 1;
        }
        let text = self.since(start);
        let number = text
            .parse::<i64>()
            .map(Number::from)
            .or_else(|_| text.parse::<u64>().map(Number::from))
            .ok()
            .or_else(|| text.parse().ok().and_then(Number::from_f64));
        match number {
            Some(number) => Ok(Value::Number(number)),
            None => Err(JsonError::Syntax { at: start, what: "a number was expected" }),
        }
    }

    fn word(&mut self) -> Result<Value> {
        let start = self.at;
        while self.peek().is_some_and(is_bare) {
            self.at += 1;
        }
        match self.since(start) {
            "null" | "undefined" | "NaN" => Ok(Value::Null),
            "true" => Ok(Value::Bool(true)),
            "false" => Ok(Value::Bool(false)),
            _ => Err(JsonError::Syntax { at: start, what: "a value was expected" }),
        }
    }

    fn quoted(&mut self, quote: u8) -> Result<String> {
        self.at += 1;
        let start = self.at;
        let mut text = String::new();
        let mut from = start;
        loop {
            let rest = self.bytes.get(self.at..).unwrap_or_default();
            let Some(len) = rest.iter().position(|b| *b == quote || *b == b'\\') else {
                return self.fail("the string is not closed");
            };
            self.at += len;
            text.push_str(self.since(from));
            self.at += 1;
            if rest.get(len) == Some(&quote) {
                return Ok(text);
            }
            let (c, len) = escape(self.text, self.at)
                .ok_or(JsonError::Syntax { at: self.at, what: "an unknown escape" })?;
            text.push(c);
            self.at += len;
            from = self.at;
        }
    }
}

/// May be part of an unquoted key or a word.
fn is_bare(byte: u8) -> bool {
    !matches!(byte, b' ' | 0..0x20 | b'"' | b'\'' | b'{' | b'}' | b'[' | b']' | b':' | b',' | b'\\')
}

/// What the escape means whose backslash is before `at`, and its length. Half of a surrogate pair alone
/// becomes the replacement character.
pub(crate) fn escape(text: &str, at: usize) -> Option<(char, usize)> {
    let rest = text.as_bytes().get(at..)?;
    if let Some(&[b'u', b'0', b'0', b'0', low @ b'0'..=b'9']) = rest.first_chunk::<5>() {
        return Some((char::from(low - b'0'), 5)); // the separators of message properties
    }
    let hex = |from: usize, len: usize| {
        let digits = rest.get(from..from + len)?;
        digits
            .iter()
            .try_fold(0, |value, digit| Some(value * 16 + char::from(*digit).to_digit(16)?))
    };
    Some(match *rest.first()? {
        b'n' => ('\n', 1),
        b'r' => ('\r', 1),
        b't' => ('\t', 1),
        b'b' => ('\u{8}', 1),
        b'f' | b'F' => ('\u{c}', 1),
        b'v' => ('\u{b}', 1),
        b'x' => (char::from_u32(hex(1, 2)?)?, 3),
        b'u' => {
            let unit = hex(1, 4)?;
            let low = match rest.get(5..7) {
                Some(b"\\u") if (0xD800..0xDC00).contains(&unit) => hex(7, 4),
                _ => None,
            };
            match low {
                Some(low) if (0xDC00..0xE000).contains(&low) => {
                    let code = 0x1_0000 + ((unit - 0xD800) << 10) + (low - 0xDC00);
                    (char::from_u32(code)?, 11)
                }
                _ => (char::from_u32(unit).unwrap_or(char::REPLACEMENT_CHARACTER), 5),
            }
        }
        digit @ b'0'..=b'7' => (char::from(digit - b'0'), 1),
        plain @ (b'"' | b'\'' | b'\\' | b'/') => (char::from(plain), 1),
        _ => return None,
    })
}
