//! Reader for the JSON that brokers and name servers write: ordinary JSON, and the dialect of the
//! Java servers, which has numbers and whole objects in key position.
//!
//! An object key becomes its own text, so that the caller can read it as JSON again.

use serde_json::{Map, Number, Value};

/// Deepest nesting.
const DEPTH_MAX: usize = 64;

/// Why a text is not JSON, and at which byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{rule} at byte {at}")]
pub(crate) struct JsonError {
    rule: &'static str,
    at: usize,
}

/// Reads one value that fills `bytes`.
pub(crate) fn to_value(bytes: &[u8]) -> Result<Value, JsonError> {
    let text = std::str::from_utf8(bytes)
        .map_err(|error| JsonError { rule: "not UTF-8", at: error.valid_up_to() })?;
    let mut reader = Reader { text, at: 0 };
    let value = reader.value(0)?;
    reader.blanks();
    match reader.peek() {
        None => Ok(value),
        Some(_) => Err(reader.error("something follows the value")),
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl Reader<'_> {
    fn error(&self, rule: &'static str) -> JsonError {
        JsonError { rule, at: self.at }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn blanks(&mut self) {
        while self.peek().is_some_and(|byte| byte.is_ascii_whitespace()) {
            self.at += 1;
        }
    }

    /// Takes `byte`, if it comes next.
    fn take(&mut self, byte: u8) -> bool {
        self.blanks();
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn value(&mut self, depth: usize) -> Result<Value, JsonError> {
        if DEPTH_MAX <= depth {
            return Err(self.error("nested too deeply"));
        }
        self.blanks();
        match self.peek() {
            None => Err(self.error("a value is missing")),
            Some(b'{') => self.object(depth),
            Some(b'[') => self.array(depth),
            Some(quote @ (b'"' | b'\'')) => self.string(quote).map(Value::String),
            Some(_) => self.word(),
        }
    }

    fn object(&mut self, depth: usize) -> Result<Value, JsonError> {
        self.at += 1;
        let mut members = Map::new();
        while !self.take(b'}') {
            let key = self.key(depth)?;
            if !self.take(b':') {
                return Err(self.error("a colon is missing"));
            }
            let value = self.value(depth + 1)?;
            members.insert(key, value);
            if !self.take(b',') && self.peek() != Some(b'}') {
                return Err(self.error("a comma or brace is missing"));
            }
        }
        Ok(Value::Object(members))
    }

    fn key(&mut self, depth: usize) -> Result<String, JsonError> {
        self.blanks();
        let start = self.at;
        if let Some(quote @ (b'"' | b'\'')) = self.peek() {
            return self.string(quote);
        }
        if matches!(self.peek(), Some(b'{' | b'[')) {
            self.value(depth + 1)?;
        } else {
            self.bare();
        }
        match self.text.get(start..self.at) {
            Some(key) if !key.is_empty() => Ok(key.to_owned()),
            _ => Err(self.error("a key is missing")),
        }
    }

    fn array(&mut self, depth: usize) -> Result<Value, JsonError> {
        self.at += 1;
        let mut elements = Vec::new();
        while !self.take(b']') {
            elements.push(self.value(depth + 1)?);
            if !self.take(b',') && self.peek() != Some(b']') {
                return Err(self.error("a comma or bracket is missing"));
            }
        }
        Ok(Value::Array(elements))
    }

    /// Passes letters, digits and what may stand in numbers and names.
    fn bare(&mut self) {
        let is_bare = |byte: u8| byte.is_ascii_alphanumeric() || b"+-._$".contains(&byte);
        while self.peek().is_some_and(is_bare) {
            self.at += 1;
        }
    }

    /// A literal or a number.
    fn word(&mut self) -> Result<Value, JsonError> {
        let start = self.at;
        self.bare();
        let word = self.text.get(start..self.at).unwrap_or_default();
        match word {
            "null" => return Ok(Value::Null),
            "true" => return Ok(Value::Bool(true)),
            "false" => return Ok(Value::Bool(false)),
            _ => {}
        }
        let number = word.parse::<i64>().map(Number::from).ok();
        let number = number.or_else(|| word.parse::<u64>().map(Number::from).ok());
        let number = number.or_else(|| word.parse::<f64>().ok().and_then(Number::from_f64));
        number.map(Value::Number).ok_or(JsonError { rule: "neither value nor number", at: start })
    }

    fn string(&mut self, quote: u8) -> Result<String, JsonError> {
        self.at += 1;
        let mut out = String::new();
        let mut run = self.at;
        loop {
            let Some(byte) = self.peek() else { return Err(self.error("a quote is missing")) };
            if byte != quote && byte != b'\\' {
                self.at += 1;
                continue;
            }
            // Both are ASCII, so the run ends at a character boundary.
            out.push_str(self.text.get(run..self.at).unwrap_or_default());
            self.at += 1;
            if byte == quote {
                return Ok(out);
            }
            out.push(self.escape()?);
            run = self.at;
        }
    }

    fn escape(&mut self) -> Result<char, JsonError> {
        let Some(byte) = self.peek() else { return Err(self.error("an escape is cut short")) };
        self.at += 1;
        Ok(match byte {
            b'n' => '\n',
            b't' => '\t',
            b'r' => '\r',
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'"' | b'\'' | b'\\' | b'/' => char::from(byte),
            b'u' => return self.unicode(),
            _ => return Err(self.error("an escape is unknown")),
        })
    }

    fn unicode(&mut self) -> Result<char, JsonError> {
        let high = self.hex()?;
        if !(0xD800..0xDC00).contains(&high) {
            return Ok(char::from_u32(high).unwrap_or(char::REPLACEMENT_CHARACTER));
        }
        if self.text.as_bytes().get(self.at..self.at + 2) != Some(b"\\u") {
            return Ok(char::REPLACEMENT_CHARACTER);
        }
        self.at += 2;
        let low = self.hex()?;
        let pair = (0xDC00..0xE000)
            .contains(&low)
            .then(|| 0x1_0000 + ((high - 0xD800) << 10) + (low - 0xDC00));
        Ok(pair.and_then(char::from_u32).unwrap_or(char::REPLACEMENT_CHARACTER))
    }

    fn hex(&mut self) -> Result<u32, JsonError> {
        let digits = self.text.get(self.at..self.at + 4);
        let code = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok());
        let code = code.ok_or_else(|| self.error("an escape is cut short"))?;
        self.at += 4;
        Ok(code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn the_java_dialect() {
        let cases = [
            ("{}", json!({})),
            ("[1,2,]", json!([1, 2])),
            ("{0:\"a\",1:'b'}", json!({"0": "a", "1": "b"})),
            ("{name:null}", json!({"name": null})),
            (r#"{{"q":1,"t":"x"}:{"o":5}}"#, json!({r#"{"q":1,"t":"x"}"#: {"o": 5}})),
            (r#"{"{\"q\":1}":2}"#, json!({r#"{"q":1}"#: 2})),
            (" [ true , -1.5 ] ", json!([true, -1.5])),
            ("9223372036854775807", json!(i64::MAX)),
            (r#""\u4e2d\ud83d\ude00\n\/""#, json!("中😀\n/")),
        ];
        for (text, want) in cases {
            assert_eq!(to_value(text.as_bytes()), Ok(want), "{text}");
        }
    }

    #[test]
    fn what_is_no_json() {
        for text in [
            "",
            "{",
            "[",
            "{\"a\"}",
            "{:1}",
            "\"x",
            "{1:2}x",
            "nul",
            "[1 2]",
            "\"\\u12\"",
            "\"\\q\"",
        ] {
            assert!(to_value(text.as_bytes()).is_err(), "{text}");
        }
        assert!(to_value(&[b'"', 0xFF, b'"']).is_err());
        assert!(to_value("[".repeat(100_000).as_bytes()).is_err());
        assert!(to_value("{".repeat(100_000).as_bytes()).is_err());
    }

    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            ".*".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::hash_map(".*", inner, 0..6)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn ordinary_json_is_read_as_it_is(value in values()) {
            prop_assert_eq!(to_value(value.to_string().as_bytes()), Ok(value));
        }

        #[test]
        fn noise_never_panics(noise in "[\\[\\]{}:,\"'\\\\u0-9a-f é]{0,60}") {
            to_value(noise.as_bytes()).ok();
        }
    }
}
