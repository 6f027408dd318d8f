//! Values that several commands print or read.

use rmq_client::Delivered;
use rmq_model::{Permission, message};
use serde::Serialize;
use std::collections::BTreeMap;

use super::time::stamp;

/// A message for programs.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct MessageShape {
    pub(crate) topic: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) broker: Option<String>,
    pub(crate) queue: i32,
    pub(crate) offset: i64,
    pub(crate) id: String,
    pub(crate) offset_id: String,
    pub(crate) tag: Option<String>,
    pub(crate) keys: Vec<String>,
    pub(crate) properties: BTreeMap<String, String>,
    pub(crate) born: String,
    pub(crate) born_host: String,
    pub(crate) stored: String,
    pub(crate) store_host: String,
    pub(crate) reconsume_times: i32,
    pub(crate) stored_bytes: usize,
    #[serde(flatten)]
    pub(crate) body: BodyShape,
}

/// A body: as text if it is text, else as hex digits.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum BodyShape {
    Body(String),
    BodyHex(String),
}

impl MessageShape {
    pub(crate) fn new(message: &Delivered, broker: Option<&str>) -> Self {
        let keys = message.property(message::KEYS).unwrap_or_default();
        Self {
            topic: message.topic.to_string(),
            broker: broker.map(str::to_owned),
            queue: message.queue_id,
            offset: message.queue_offset,
            id: message.id().to_owned(),
            offset_id: message.offset_id.clone(),
            tag: message.tag().map(str::to_owned),
            keys: keys.split_ascii_whitespace().map(str::to_owned).collect(),
            properties: message
                .properties()
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
            born: stamp(message.born_timestamp),
            born_host: message.born_host.to_string(),
            stored: stamp(message.store_timestamp),
            store_host: message.store_host.to_string(),
            reconsume_times: message.reconsume_times,
            stored_bytes: message.stored_bytes,
            body: BodyShape::new(message),
        }
    }
}

impl BodyShape {
    fn new(message: &Delivered) -> Self {
        Self::of(&message.body, message.compression.is_some())
    }

    /// Of a stored body.
    pub(crate) fn of(body: &[u8], is_compressed: bool) -> Self {
        let text = std::str::from_utf8(body).ok();
        match text.filter(|_| !is_compressed) {
            Some(text) => Self::Body(text.to_owned()),
            None => Self::BodyHex(hex(body)),
        }
    }

    /// For a terminal: control characters are escaped, so that no message can drive it.
    pub(crate) fn printable(&self) -> String {
        match self {
            Self::BodyHex(hex) => format!("(binary) {hex}"),
            Self::Body(text) => {
                let keep = |c: char| !c.is_control() || c == '\n' || c == '\t';
                let mut out = String::with_capacity(text.len());
                for c in text.chars() {
                    if keep(c) {
                        out.push(c);
                    } else {
                        out.extend(c.escape_default());
                    }
                }
                out
            }
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a string cannot fail.
        write!(text, "{byte:02x}").ok();
        text
    })
}

/// `rw`, `r-`, `-w` or `--`.
pub(crate) fn perm_text(perm: Permission) -> String {
    let read = if perm.readable() { 'r' } else { '-' };
    let write = if perm.writable() { 'w' } else { '-' };
    format!("{read}{write}")
}

/// Reads `rw`, `r`, `w` or the protocol's number.
///
/// # Errors
/// What is wrong with the text.
pub(crate) fn perm(text: &str) -> Result<Permission, String> {
    match text {
        "rw" | "6" => Ok(Permission::READ_WRITE),
        "r" | "r-" | "4" => Ok(Permission(4)),
        "w" | "-w" | "2" => Ok(Permission(2)),
        _ => Err(format!("{text:?} is no permission: say rw, r or w")),
    }
}

/// Reads `name=value`.
///
/// # Errors
/// What is wrong with the text.
pub(crate) fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err(format!("{text:?} is not NAME=VALUE")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permissions() {
        for (text, shown) in
            [("rw", "rw"), ("6", "rw"), ("r", "r-"), ("4", "r-"), ("w", "-w"), ("2", "-w")]
        {
            assert_eq!(perm(text).map(perm_text).as_deref(), Ok(shown), "{text}");
        }
        assert!(perm("7").is_err());
    }

    #[test]
    fn bodies_cannot_drive_a_terminal() {
        let body = BodyShape::Body("a\u{1b}[2J\nb".to_owned());
        assert_eq!(body.printable(), "a\\u{1b}[2J\nb");
        assert_eq!(hex(&[0, 0xAB]), "00ab");
    }

    #[test]
    fn pairs() {
        assert_eq!(pair("a=b=c"), Ok(("a".to_owned(), "b=c".to_owned())));
        assert!(pair("=b").is_err());
        assert!(pair("a").is_err());
    }
}
