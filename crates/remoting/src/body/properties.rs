//! Properties text: bodies of 25, 26, 318, 319, 2001.
//!
//! Source: `java.util.Properties#load` for reading, RocketMQ 5.x `MixAll#properties2String` for writing.

use crate::json::escape;

/// Why a text is not used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PropertiesTextError {
    /// Not UTF-8.
    #[error("properties text is not UTF-8 at byte {at}")]
    Utf8 {
        /// Bytes before it are good.
        at: usize,
    },
}

/// Names and values in the order of the text. `#` and `!` begin comments; `=`, `:` or blanks end a name; a
/// backslash escapes, also the end of a line.
///
/// # Errors
/// [`PropertiesTextError`].
pub fn parse_properties(text: &[u8]) -> Result<Vec<(String, String)>, PropertiesTextError> {
    let text = std::str::from_utf8(text)
        .map_err(|error| PropertiesTextError::Utf8 { at: error.valid_up_to() })?;
    let mut found = Vec::new();
    let mut lines = text.split(['\n', '\r']);
    while let Some(line) = lines.next() {
        let line = line.trim_start();
        if line.is_empty() || line.starts_with(['#', '!']) {
            continue;
        }
        let mut logical = line.to_owned();
        while logical.bytes().rev().take_while(|byte| *byte == b'\\').count() % 2 == 1 {
            logical.pop();
            let Some(next) = lines.next() else { break };
            logical.push_str(next.trim_start());
        }
        found.push(split(&logical));
    }
    Ok(found)
}

fn split(line: &str) -> (String, String) {
    let mut escaped = false;
    let end = line.find(|c: char| {
        let ends = !escaped && (c.is_whitespace() || matches!(c, '=' | ':'));
        escaped = c == '\\' && !escaped;
        ends
    });
    let (name, rest) = line.split_at(end.unwrap_or(line.len()));
    let rest = rest.trim_start();
    let value = rest.strip_prefix(['=', ':']).unwrap_or(rest).trim_start();
    (unescape(name), unescape(value.trim_end()))
}

fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while let Some(rest) = text.get(at..) {
        let Some(len) = rest.find('\\') else {
            out.push_str(rest);
            break;
        };
        out.push_str(rest.get(..len).unwrap_or_default());
        at += len + 1;
        let known =
            text.as_bytes().get(at).is_some_and(|b| matches!(b, b'n' | b'r' | b't' | b'f' | b'u'));
        match escape(text, at).filter(|_| known) {
            Some((c, len)) => {
                out.push(c);
                at += len;
            }
            // Before any other character a backslash only goes away.
            None => {
                let Some(c) = text.get(at..).and_then(|rest| rest.chars().next()) else { break };
                out.push(c);
                at += c.len_utf8();
            }
        }
    }
    out
}

/// One `name=value` line each, values as they are but for line breaks.
pub fn write_properties<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Vec<u8> {
    let mut out = String::new();
    for (name, value) in pairs {
        out.push_str(name);
        out.push('=');
        out.extend(value.chars().map(|c| if matches!(c, '\n' | '\r') { ' ' } else { c }));
        out.push('\n');
    }
    out.into_bytes()
}
