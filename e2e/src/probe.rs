//! The smallest remoting client: enough to see whether a server is there and serves.
//!
//! Written without our own codec on purpose: it must not fail, or pass, for that one's reasons.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, ensure};

const TIMEOUT: Duration = Duration::from_secs(3);
/// More than any answer that is asked for here.
const ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;

/// What a server answered.
#[derive(Debug)]
pub struct Answer {
    /// Response code.
    pub code: i64,
    /// Whether the header is JSON.
    pub is_json: bool,
    /// The JSON header; null if it is none.
    pub header: serde_json::Value,
    /// Body, may be empty.
    pub body: Vec<u8>,
}

impl Answer {
    /// A header field as text; `null` if it is not there.
    pub fn ext(&self, name: &str) -> String {
        match self.header.get("extFields").and_then(|fields| fields.get(name)) {
            Some(serde_json::Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
            None => "null".to_owned(),
        }
    }

    /// Whether every header field is a string, as some clients require.
    pub fn has_only_texts(&self) -> bool {
        let fields = self.header.get("extFields").and_then(serde_json::Value::as_object);
        fields.is_none_or(|fields| fields.values().all(serde_json::Value::is_string))
    }

    /// Whether it answers the request with this number; else it is a request itself.
    pub fn is_answer_to(&self, opaque: i32) -> bool {
        let number = |name| self.header.get(name).and_then(serde_json::Value::as_i64);
        number("opaque") == Some(opaque.into()) && number("flag").is_some_and(|flag| flag & 1 == 1)
    }
}

/// Sends one JSON request and reads its answer.
///
/// # Errors
/// When the server is not there, closes, or answers something else than a frame.
pub fn call(addr: SocketAddr, code: i32, ext: &[(&str, &str)]) -> anyhow::Result<Answer> {
    let mut stream = TcpStream::connect_timeout(&addr, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    let fields: serde_json::Map<String, serde_json::Value> =
        ext.iter().map(|(name, value)| ((*name).to_owned(), (*value).into())).collect();
    let header = serde_json::json!({
        "code": code, "language": "OTHER", "version": 479, "opaque": 7, "flag": 0,
        "extFields": fields, "serializeTypeCurrentRPC": "JSON",
    })
    .to_string();
    stream.write_all(&frame(header.as_bytes(), &[])?)?;
    read_answer(&mut stream)
}

/// Reads one frame.
///
/// # Errors
/// As [`call`].
pub fn read_answer(stream: &mut TcpStream) -> anyhow::Result<Answer> {
    let mut word = [0; 4];
    stream.read_exact(&mut word)?;
    let total = usize::try_from(u32::from_be_bytes(word))?;
    ensure!((4..ANSWER_BYTES_MAX).contains(&total), "an answer of {total} bytes");
    let mut all = vec![0; total];
    stream.read_exact(&mut all)?;
    let (&word, rest) = all.split_first_chunk::<4>().context("no header word")?;
    let header = usize::try_from(u32::from_be_bytes(word) & 0x00FF_FFFF)?;
    ensure!(header <= rest.len(), "a header longer than its frame");
    let (header, body) = rest.split_at(header);
    // A server that was told to writes binary headers whatever it is asked in.
    let is_json = word[0] == 0;
    let (code, header) = if is_json {
        let header: serde_json::Value = serde_json::from_slice(header)?;
        (header.get("code").and_then(serde_json::Value::as_i64).context("no code")?, header)
    } else {
        let code = header.first_chunk::<2>().context("a short binary header")?;
        (i64::from(i16::from_be_bytes(*code)), serde_json::Value::Null)
    };
    Ok(Answer { code, is_json, header, body: body.to_vec() })
}

/// A frame of a JSON header and a body.
///
/// # Errors
/// When it would be longer than a frame can be.
pub fn frame(header: &[u8], body: &[u8]) -> anyhow::Result<Vec<u8>> {
    let header_len = u32::try_from(header.len())?;
    ensure!(header_len < 1 << 24, "header too long");
    let total = u32::try_from(4 + header.len() + body.len())?;
    let mut out = Vec::with_capacity(4 + 4 + header.len() + body.len());
    out.extend_from_slice(&total.to_be_bytes());
    out.extend_from_slice(&header_len.to_be_bytes());
    out.extend_from_slice(header);
    out.extend_from_slice(body);
    Ok(out)
}

/// A request that sends one message of a test's own producer, in the short form (310).
///
/// # Errors
/// As [`frame`].
pub fn send_frame(
    topic: &str,
    [queue, queues]: [usize; 2],
    opaque: usize,
    properties: &str,
    body: &[u8],
) -> anyhow::Result<Vec<u8>> {
    let header = serde_json::json!({
        "code": 310, "language": "OTHER", "version": 479, "opaque": opaque, "flag": 0,
        "serializeTypeCurrentRPC": "JSON",
        "extFields": {
            "a": "PG", "b": topic, "c": "TBW102", "d": queues.to_string(),
            "e": queue.to_string(), "f": "0", "g": "1700000000000", "h": "0", "i": properties,
            "j": "0", "k": "false", "m": "false",
        },
    });
    frame(header.to_string().as_bytes(), body)
}

/// Whether the name server at `namesrv` lists a broker at `broker`.
pub fn is_registered(namesrv: SocketAddr, broker: SocketAddr) -> bool {
    call(namesrv, 106, &[]).is_ok_and(|answer| {
        answer.code == 0 && String::from_utf8_lossy(&answer.body).contains(&format!("\"{broker}\""))
    })
}
