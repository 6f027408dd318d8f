//! The body of a broker's registration (103).
//!
//! ```text
//! JSON        {"filterServerList":[…],"topicConfigSerializeWrapper":{…}}, before version 37 the inner object alone
//! compressed  zlib stream of:
//!             i32 length + DataVersion JSON
//!             i32 count, of each topic: i32 length + "name read write perm filterType attributesJson"
//!             i32 length + filter server list JSON
//!             from version 413 on: i32 count, of each mapping: i32 length + JSON
//! ```
//! Which form it is shows the first byte: the header field that should say so is wrong in current brokers.
//!
//! Source: RocketMQ 5.x `RegisterBrokerBody`.

use super::inflate::{InflateError, deflate, inflate};
use super::{TopicConfigWrapper, bodies};
use crate::json::{self, JsonError};
use bytes::{Buf, BufMut};
use rmq_model::Permission;
use rmq_model::peer::ProtocolVersion;
use rmq_model::topic::{TopicConfig, TopicFilterType};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Most bytes a compressed body may inflate to.
const INFLATED_BYTES_MAX: usize = 64 * 1024 * 1024;
/// First byte of a zlib stream with the usual window.
const ZLIB: u8 = 0x78;

bodies! {
    /// 103.
    RegisterBody {
        /// `None` keeps what is registered, an empty list removes it.
        filter_server_list: Option<Vec<Arc<str>>>,
        /// All topics, or those that changed.
        topic_config_serialize_wrapper: TopicConfigWrapper,
    }
}

/// Why a body is not used; the request is answered with code 1 and this text.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RegisterBodyError {
    /// It was damaged on the way.
    #[error("crc32 not match")]
    Crc,
    /// Not the JSON it should be.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// Not a good zlib stream.
    #[error("registration body: {0}")]
    Inflate(#[from] InflateError),
    /// The parts of a compressed body do not fit.
    #[error("registration body: {what} is malformed")]
    Part {
        /// Which part.
        what: &'static str,
    },
}

/// CRC-32 with 31 bits, as headers carry it.
pub fn body_crc(body: &[u8]) -> i32 {
    i32::try_from(crc32fast::hash(body) & 0x7FFF_FFFF).unwrap_or(0)
}

/// Checks the CRC that a header states for a body; 0 is not checked.
///
/// # Errors
/// [`RegisterBodyError::Crc`] when it is another.
pub fn check_crc(body: &[u8], crc: i32) -> Result<(), RegisterBodyError> {
    if crc == 0 || crc == body_crc(body) { Ok(()) } else { Err(RegisterBodyError::Crc) }
}

impl RegisterBody {
    /// Reads a body as sent by `version`; [`check_crc`] is for the caller. An empty body is an empty table
    /// of version 0.
    ///
    /// # Errors
    /// [`RegisterBodyError`].
    pub fn decode(body: &[u8], version: ProtocolVersion) -> Result<Self, RegisterBodyError> {
        match body.first() {
            None => Ok(Self::default()),
            Some(&ZLIB) => decode_parts(&inflate(body, INFLATED_BYTES_MAX)?, version),
            Some(_) if version < ProtocolVersion::V3_0_11 => Ok(Self {
                filter_server_list: None,
                topic_config_serialize_wrapper: json::from_slice(body)?,
            }),
            Some(_) => Ok(json::from_slice(body)?),
        }
    }

    /// The JSON form.
    pub fn encode(&self) -> Vec<u8> {
        json::to_vec(self)
    }

    /// The compressed form of the current version.
    ///
    /// # Errors
    /// None that are known: it is all in memory.
    pub fn encode_compressed(&self) -> std::io::Result<Vec<u8>> {
        let wrapper = &self.topic_config_serialize_wrapper;
        let mut out = Vec::new();
        put(&mut out, &json::to_vec(&wrapper.data_version));
        put_count(&mut out, wrapper.topic_config_table.len());
        for topic in wrapper.topic_config_table.values() {
            put(&mut out, topic_text(topic).as_bytes());
        }
        put(&mut out, &json::to_vec(self.filter_server_list.as_deref().unwrap_or_default()));
        let mappings = wrapper.topic_queue_mapping_info_map.as_ref();
        put_count(&mut out, mappings.map_or(0, BTreeMap::len));
        for mapping in mappings.into_iter().flat_map(BTreeMap::values) {
            put(&mut out, &json::to_vec(mapping));
        }
        deflate(&out)
    }
}

fn put_count(out: &mut Vec<u8>, count: usize) {
    out.put_i32(i32::try_from(count).unwrap_or(i32::MAX));
}

fn put(out: &mut Vec<u8>, part: &[u8]) {
    put_count(out, part.len());
    out.extend_from_slice(part);
}

fn take<'a>(rest: &mut &'a [u8], what: &'static str) -> Result<&'a [u8], RegisterBodyError> {
    let malformed = RegisterBodyError::Part { what };
    let Some(len) = rest.try_get_i32().ok().and_then(|len| usize::try_from(len).ok()) else {
        return Err(malformed);
    };
    let Some((part, after)) = rest.split_at_checked(len) else { return Err(malformed) };
    *rest = after;
    Ok(part)
}

fn take_count(rest: &mut &[u8], what: &'static str) -> Result<usize, RegisterBodyError> {
    // Each element has a length word: a larger count would end early anyway.
    let count = rest.try_get_i32().ok().and_then(|count| usize::try_from(count).ok());
    count.filter(|count| *count <= rest.len() / 4).ok_or(RegisterBodyError::Part { what })
}

fn decode_parts(
    mut rest: &[u8],
    version: ProtocolVersion,
) -> Result<RegisterBody, RegisterBodyError> {
    let mut wrapper = TopicConfigWrapper {
        data_version: json::from_slice(take(&mut rest, "data version")?)?,
        ..TopicConfigWrapper::default()
    };
    for _ in 0..take_count(&mut rest, "topic count")? {
        let topic = topic_of(take(&mut rest, "topic")?)
            .ok_or(RegisterBodyError::Part { what: "text of a topic" })?;
        wrapper.topic_config_table.insert(Arc::clone(&topic.topic_name), topic);
    }
    let filter_server_list = match take(&mut rest, "filter server list")? {
        b"" => None,
        list => json::from_slice(list)?,
    };
    if ProtocolVersion::V5_0_0 <= version && !rest.is_empty() {
        let mut mappings = BTreeMap::new();
        for _ in 0..take_count(&mut rest, "mapping count")? {
            let mapping = json::to_value(take(&mut rest, "mapping")?)?;
            let topic = mapping.get("topic").and_then(Value::as_str).map(Arc::from);
            let topic = topic.ok_or(RegisterBodyError::Part { what: "topic of a mapping" })?;
            mappings.insert(topic, mapping);
        }
        wrapper.topic_queue_mapping_info_map = Some(mappings);
    }
    Ok(RegisterBody { filter_server_list, topic_config_serialize_wrapper: wrapper })
}

/// The text form of a topic, six words.
fn topic_text(topic: &TopicConfig) -> String {
    format!(
        "{} {} {} {} {} {}",
        topic.topic_name,
        topic.read_queue_nums,
        topic.write_queue_nums,
        topic.perm.0,
        topic.topic_filter_type.name(),
        String::from_utf8_lossy(&json::to_vec(&topic.attributes)),
    )
}

/// Five words, or six.
fn topic_of(text: &[u8]) -> Option<TopicConfig> {
    let text = std::str::from_utf8(text).ok()?;
    let mut words = text.splitn(6, ' ');
    let name = words.next().filter(|name| !name.is_empty())?;
    let read_queue_nums = words.next()?.parse().ok()?;
    let write_queue_nums = words.next()?.parse().ok()?;
    let perm = Permission(words.next()?.parse().ok()?);
    let topic_filter_type = match words.next()? {
        "MULTI_TAG" => TopicFilterType::MultiTag,
        "SINGLE_TAG" => TopicFilterType::SingleTag,
        _ => return None,
    };
    let attributes = match words.next() {
        None | Some("" | "null") => BTreeMap::new(),
        Some(attributes) => json::from_slice(attributes.as_bytes()).ok()?,
    };
    Some(TopicConfig {
        attributes,
        perm,
        topic_filter_type,
        read_queue_nums,
        write_queue_nums,
        ..TopicConfig::new(name, 0, perm)
    })
}
