//! Messages as applications see them.

use bytes::Bytes;
use flate2::read::ZlibDecoder;
use rmq_model::{MessageQueue, Millis, message, sysflag};
use rmq_record::layout::{Check, RecordView};
use rmq_record::{OffsetId, properties};
use std::io::Read;
use std::net::SocketAddr;
use std::sync::Arc;

/// Largest body that is inflated.
const INFLATED_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// A message to send.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outgoing {
    /// Topic.
    pub topic: String,
    /// Body, sent as it is.
    pub body: Bytes,
    /// One tag.
    pub tag: Option<String>,
    /// Keys it can be found by.
    pub keys: Vec<String>,
    /// Further properties; names and values must not hold the bytes 1 and 2.
    pub properties: Vec<(String, String)>,
    /// The application's own flag.
    pub flag: i32,
    /// Delay level 1 to 18; `None` is at once.
    pub delay_level: Option<u32>,
    /// Answered as soon as it is in memory, whatever the broker's flush setting.
    pub no_wait: bool,
}

impl Outgoing {
    /// A message with nothing but a body.
    pub fn new(topic: impl Into<String>, body: impl Into<Bytes>) -> Self {
        Self { topic: topic.into(), body: body.into(), ..Self::default() }
    }

    /// Properties text with `unique_id` in it; `None` if a name or value cannot be written.
    pub(crate) fn properties_text(&self, unique_id: &str) -> Option<String> {
        let mut text = properties::TextBuilder::with_capacity(128);
        let mut put = |name: &str, value: &str| value.is_empty() || text.set(name, value);
        let mut fine = true;
        for (name, value) in &self.properties {
            fine &= !name.is_empty() && put(name, value);
        }
        fine &= put(message::UNIQ_KEY, unique_id);
        fine &= put(message::WAIT, if self.no_wait { "false" } else { "true" });
        fine &= put(message::TAGS, self.tag.as_deref().unwrap_or_default());
        fine &= put(message::KEYS, &self.keys.join(" "));
        if let Some(level) = self.delay_level {
            fine &= put(message::DELAY, &level.to_string());
        }
        let text = fine.then(|| text.as_bytes().to_vec())?;
        String::from_utf8(text).ok()
    }
}

/// A message that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivered {
    /// Topic; for a retried message the one it was sent to first.
    pub topic: Arc<str>,
    /// Queue of the broker it was read from.
    pub queue_id: i32,
    /// Place in the queue.
    pub queue_offset: i64,
    /// Place in the broker's log.
    pub log_offset: i64,
    /// The application's own flag.
    pub flag: i32,
    /// Bits of [`rmq_model::sysflag`].
    pub sys_flag: i32,
    /// When it was made, by the sender's clock.
    pub born_timestamp: Millis,
    /// Who sent it.
    pub born_host: SocketAddr,
    /// When it was stored, by the broker's clock.
    pub store_timestamp: Millis,
    /// Broker that stored it.
    pub store_host: SocketAddr,
    /// Deliveries that failed before.
    pub reconsume_times: i32,
    /// Names the stored copy.
    pub offset_id: String,
    /// Bytes of the record in the log.
    pub stored_bytes: usize,
    /// Body, inflated if it was sent compressed with zlib.
    pub body: Bytes,
    /// How the body is still compressed, if it is.
    pub compression: Option<&'static str>,
    properties: Bytes,
}

impl Delivered {
    /// Reads the records that make up the body of a pull or query answer.
    ///
    /// # Errors
    /// What is wrong with the first record that is not one.
    pub fn decode_all(body: &Bytes) -> Result<Vec<Self>, String> {
        let mut messages = Vec::new();
        let mut rest = body.clone();
        while !rest.is_empty() {
            let record = RecordView::decode(&rest, Check::default());
            let record = record.map_err(|fault| fault.to_string())?;
            let length = record.bytes.len();
            messages.push(Self::from_record(&record, &rest)?);
            if length == 0 {
                return Err("a record without length".to_owned());
            }
            rest = rest.slice(length..);
        }
        Ok(messages)
    }

    fn from_record(record: &RecordView<'_>, whole: &Bytes) -> Result<Self, String> {
        let retried = properties::get(record.properties, message::RETRY_TOPIC);
        let (body, compression) = match compression(record.sys_flag) {
            Some("zlib") => (inflate(record.body)?, None),
            other => (whole.slice_ref(record.body), other),
        };
        let offset_id = OffsetId { host: record.store_host, offset: record.log_offset };
        Ok(Self {
            topic: retried.unwrap_or(record.topic).into(),
            queue_id: i32::try_from(record.queue_id).unwrap_or(i32::MAX),
            queue_offset: i64::try_from(record.queue_offset).unwrap_or(i64::MAX),
            log_offset: record.log_offset.to_wire(),
            flag: record.flag,
            sys_flag: record.sys_flag,
            born_timestamp: record.born_timestamp,
            born_host: record.born_host,
            store_timestamp: record.store_timestamp,
            store_host: record.store_host,
            reconsume_times: record.reconsume_times,
            offset_id: offset_id.to_string(),
            stored_bytes: record.bytes.len(),
            body,
            compression,
            properties: whole.slice_ref(record.properties),
        })
    }

    /// Value of a property.
    pub fn property(&self, name: &str) -> Option<&str> {
        properties::get(&self.properties, name)
    }

    /// All properties.
    pub fn properties(&self) -> impl Iterator<Item = (&str, &str)> {
        let text = std::str::from_utf8(&self.properties).unwrap_or_default();
        properties::parse(text)
    }

    /// Tag, if it has one.
    pub fn tag(&self) -> Option<&str> {
        self.property(message::TAGS)
    }

    /// The sender's id, or the broker's if the sender gave none.
    pub fn id(&self) -> &str {
        self.property(message::UNIQ_KEY).unwrap_or(&self.offset_id)
    }

    /// The queue it was read from.
    pub fn queue(&self, broker: &Arc<str>) -> MessageQueue {
        MessageQueue {
            broker_name: broker.clone(),
            queue_id: self.queue_id,
            topic: self.topic.clone(),
        }
    }
}

/// How a stored body is compressed.
fn compression(sys_flag: i32) -> Option<&'static str> {
    if sys_flag & sysflag::COMPRESSED == 0 {
        return None;
    }
    match sys_flag & sysflag::COMPRESSION_MASK {
        0x100 => Some("lz4"),
        0x200 => Some("zstd"),
        0 | 0x300 => Some("zlib"),
        _ => Some("unknown"),
    }
}

fn inflate(body: &[u8]) -> Result<Bytes, String> {
    let mut inflated = Vec::new();
    let mut reader = ZlibDecoder::new(body).take(INFLATED_BYTES_MAX + 1);
    reader.read_to_end(&mut inflated).map_err(|error| format!("a body is not zlib: {error}"))?;
    if INFLATED_BYTES_MAX < u64::try_from(inflated.len()).unwrap_or(u64::MAX) {
        return Err(format!("a body inflates to more than {INFLATED_BYTES_MAX} bytes"));
    }
    Ok(inflated.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Write;

    #[test]
    fn properties_hold_what_was_said() {
        let message = Outgoing {
            tag: Some("t".to_owned()),
            keys: vec!["k1".to_owned(), "k2".to_owned()],
            properties: vec![("a".to_owned(), "1".to_owned()), ("e".to_owned(), String::new())],
            delay_level: Some(3),
            no_wait: true,
            ..Outgoing::new("T", "b")
        };
        let text = message.properties_text("ID").unwrap();
        let get = |name| properties::get(text.as_bytes(), name);
        assert_eq!(get("UNIQ_KEY"), Some("ID"));
        assert_eq!((get("TAGS"), get("KEYS")), (Some("t"), Some("k1 k2")));
        assert_eq!((get("a"), get("e"), get("DELAY")), (Some("1"), None, Some("3")));
        assert_eq!(get("WAIT"), Some("false"));
        let bad = vec![("a".to_owned(), "x\u{1}y".to_owned())];
        assert_eq!(Outgoing { properties: bad, ..message }.properties_text("ID"), None);
    }

    #[test]
    fn zlib_bodies_are_inflated() {
        let mut packed = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
        packed.write_all(&[7; 100_000]).unwrap();
        let packed = packed.finish().unwrap();
        assert_eq!(inflate(&packed).unwrap().len(), 100_000);
        assert!(inflate(b"no zlib").is_err());
        assert_eq!(compression(0), None);
        assert_eq!(compression(1), Some("zlib"));
        assert_eq!(compression(0x301), Some("zlib"));
        assert_eq!(compression(0x201), Some("zstd"));
    }

    proptest! {
        #[test]
        fn noise_never_panics(noise in prop::collection::vec(any::<u8>(), 0..200)) {
            Delivered::decode_all(&noise.into()).ok();
        }
    }
}
