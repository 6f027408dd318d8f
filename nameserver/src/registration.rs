//! The body of a registration, straight into what the route tables need.
//!
//! Three forms exist: JSON of the topic table alone (before 3.0.11), JSON with filter servers, and
//! a zlib stream of length-prefixed parts. Which one it is shows in the first byte: the header
//! field that should say so is wrong in current brokers.

use crate::routes::{QueueEntry, Table};
use flate2::read::ZlibDecoder;
use rmq_model::peer::ProtocolVersion;
use rmq_model::{DataVersion, Permission};
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;
use std::fmt;
use std::io::{self, Read as _};
use std::sync::Arc;

/// Bytes that a compressed body may grow to.
const INFLATED_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Bytes of one part of a compressed body.
const PART_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Why a registration body cannot be used. The broker is answered with code 1 and this text.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// It was damaged on the way.
    #[error("crc32 not match")]
    Crc,
    /// Not JSON, or not the JSON of a registration.
    #[error("register broker failed: the body is no topic table: {0}")]
    Json(#[from] serde_json::Error),
    /// Not a zlib stream, or one that ends too early or grows too large.
    #[error("register broker failed: the compressed body is malformed: {0}")]
    Inflate(#[from] io::Error),
    /// A part of it breaks its rule.
    #[error("register broker failed: the body is malformed: {0}")]
    Part(&'static str),
}

/// Checks the CRC (31 bits; 0: unchecked) over the body as it was sent.
///
/// # Errors
/// [`BodyError::Crc`] when it is another.
pub fn check_crc(body: &[u8], crc: i32) -> Result<(), BodyError> {
    let actual = i32::try_from(crc32fast::hash(body) & 0x7FFF_FFFF).unwrap_or_default();
    if crc == 0 || crc == actual { Ok(()) } else { Err(BodyError::Crc) }
}

/// Reads a body; an empty one is an empty table of version 0.
///
/// # Errors
/// When it is malformed.
pub fn decode(body: &[u8], version: ProtocolVersion) -> Result<Table, BodyError> {
    match body.first() {
        None => Ok(Table::default()),
        Some(0x78) => inflate(body, version, INFLATED_BYTES_MAX),
        Some(_) if version < ProtocolVersion::V3_0_11 => Ok(json::<Wrapper>(body)?.into_table()),
        Some(_) => Ok(json::<Body>(body)?.into_table()),
    }
}

/// Broker and queues of each element of `queueDatas` of a `TopicRouteData`.
///
/// # Errors
/// When it is malformed.
pub fn decode_queue_datas(body: &[u8]) -> Result<Vec<(Arc<str>, QueueEntry)>, BodyError> {
    #[derive(Default, Deserialize)]
    #[serde(default, rename_all = "camelCase")]
    struct Route {
        queue_datas: Option<Vec<Topic>>,
    }
    let topics = json::<Route>(body)?.queue_datas.unwrap_or_default();
    Ok(topics.iter().filter_map(|t| Some((t.broker_name.clone()?, t.entry()))).collect())
}

/// An object; serde alone would take a list for one.
fn json<'de, T: Deserialize<'de>>(text: &'de [u8]) -> Result<T, BodyError> {
    if text.trim_ascii_start().first() == Some(&b'{') {
        Ok(serde_json::from_slice(text)?)
    } else {
        Err(BodyError::Part("no JSON object"))
    }
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Body {
    filter_server_list: Option<Vec<String>>,
    topic_config_serialize_wrapper: Option<Wrapper>,
}

impl Body {
    fn into_table(self) -> Table {
        let table = self.topic_config_serialize_wrapper.unwrap_or_default().into_table();
        Table { filter_servers: self.filter_server_list, ..table }
    }
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Wrapper {
    data_version: Option<DataVersion>,
    topic_config_table: Option<Topics>,
    topic_queue_mapping_info_map: Option<Mappings>,
}

impl Wrapper {
    fn into_table(self) -> Table {
        Table {
            version: self.data_version.unwrap_or_default(),
            topics: self.topic_config_table.unwrap_or_default().0,
            mappings: self.topic_queue_mapping_info_map.unwrap_or_default().0,
            filter_servers: None,
        }
    }
}

/// `{name: TopicConfig}`; of a topic only what routes show.
#[derive(Default)]
struct Topics(Vec<(Arc<str>, QueueEntry)>);

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Topic {
    broker_name: Option<Arc<str>>,
    topic_name: Option<Arc<str>>,
    #[serde(deserialize_with = "number")]
    perm: Option<i64>,
    #[serde(deserialize_with = "number")]
    read_queue_nums: Option<i64>,
    #[serde(deserialize_with = "number")]
    topic_sys_flag: Option<i64>,
    #[serde(deserialize_with = "number")]
    write_queue_nums: Option<i64>,
}

impl Topic {
    fn entry(&self) -> QueueEntry {
        let queues = |n: Option<i64>| n.and_then(|n| u32::try_from(n).ok()).unwrap_or(16);
        QueueEntry {
            perm: self
                .perm
                .and_then(|bits| u32::try_from(bits).ok())
                .map_or(Permission::READ_WRITE, Permission),
            read_queue_nums: queues(self.read_queue_nums),
            topic_sys_flag: self.topic_sys_flag.and_then(|n| i32::try_from(n).ok()).unwrap_or(0),
            write_queue_nums: queues(self.write_queue_nums),
        }
    }
}

impl<'de> Deserialize<'de> for Topics {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = Topics;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("topics by name")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Topics, A::Error> {
                let mut topics = Vec::new();
                while let Some((key, topic)) = map.next_entry::<Arc<str>, Option<Topic>>()? {
                    let Some(topic) = topic else { continue };
                    let entry = topic.entry();
                    topics.push((topic.topic_name.unwrap_or(key), entry));
                }
                Ok(Topics(topics))
            }
        }
        deserializer.deserialize_map(Entries)
    }
}

/// `{topic: TopicQueueMappingInfo}`; the info is passed on as it came.
#[derive(Default)]
struct Mappings(Vec<(Arc<str>, Arc<str>, Arc<Value>)>);

impl<'de> Deserialize<'de> for Mappings {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = Mappings;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("queue mappings by topic")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Mappings, A::Error> {
                let mut mappings = Vec::new();
                while let Some((topic, info)) = map.next_entry::<Arc<str>, Value>()? {
                    mappings.extend(mapping(Some(topic), info));
                }
                Ok(Mappings(mappings))
            }
        }
        deserializer.deserialize_map(Entries)
    }
}

/// Topic, broker and the info itself; `None` without either name.
fn mapping(topic: Option<Arc<str>>, info: Value) -> Option<(Arc<str>, Arc<str>, Arc<Value>)> {
    let text = |key| info.get(key).and_then(Value::as_str).map(Arc::from);
    let topic = topic.or_else(|| text("topic"))?;
    let broker = text("bname")?;
    Some((topic, broker, Arc::new(info)))
}

/// A number, one in quotes, or null.
fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    struct Number;
    impl<'de> Visitor<'de> for Number {
        type Value = Option<i64>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a whole number")
        }
        fn visit_i64<E>(self, number: i64) -> Result<Option<i64>, E> {
            Ok(Some(number))
        }
        fn visit_u64<E>(self, number: u64) -> Result<Option<i64>, E> {
            Ok(i64::try_from(number).ok())
        }
        fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Option<i64>, E> {
            text.trim().parse().map(Some).map_err(E::custom)
        }
        fn visit_unit<E>(self) -> Result<Option<i64>, E> {
            Ok(None)
        }
        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Option<i64>, A::Error> {
            while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            Ok(None)
        }
    }
    deserializer.deserialize_any(Number)
}

fn inflate(body: &[u8], version: ProtocolVersion, max: u64) -> Result<Table, BodyError> {
    let mut parts = Parts(ZlibDecoder::new(body).take(max));
    let data_version = parts.part()?;
    let mut table = Table::default();
    if !data_version.is_empty() {
        table.version = json(&data_version)?;
    }
    for _ in 0..parts.count()? {
        let part = parts.part()?;
        let text = std::str::from_utf8(&part).or(Err(BodyError::Part("a topic is not UTF-8")))?;
        table.topics.push(topic_of_text(text)?);
    }
    let filter_servers = parts.part()?;
    if !filter_servers.is_empty() {
        table.filter_servers = serde_json::from_slice(&filter_servers)?;
    }
    if version < ProtocolVersion::V5_0_0 {
        return Ok(table);
    }
    for _ in 0..parts.count()? {
        table.mappings.extend(mapping(None, json(&parts.part()?)?));
    }
    Ok(table)
}

/// `name read write perm filterType attributesJson`; the attributes may be missing.
fn topic_of_text(text: &str) -> Result<(Arc<str>, QueueEntry), BodyError> {
    let mut words = text.splitn(6, ' ');
    let name = words.next().unwrap_or_default();
    let mut number = || words.next().and_then(|word| word.parse::<u32>().ok());
    match (number(), number(), number()) {
        (Some(read_queue_nums), Some(write_queue_nums), Some(perm)) if !name.is_empty() => {
            let perm = Permission(perm);
            let entry = QueueEntry { perm, read_queue_nums, topic_sys_flag: 0, write_queue_nums };
            Ok((name.into(), entry))
        }
        _ => Err(BodyError::Part("a topic is not `name read write perm type attributes`")),
    }
}

/// Length-prefixed parts of an inflated body. Nothing is allocated before it has arrived.
struct Parts<'a>(io::Take<ZlibDecoder<&'a [u8]>>);

impl Parts<'_> {
    fn count(&mut self) -> Result<u32, BodyError> {
        let mut word = [0; 4];
        self.0.read_exact(&mut word)?;
        u32::try_from(i32::from_be_bytes(word)).or(Err(BodyError::Part("a length is negative")))
    }

    fn part(&mut self) -> Result<Vec<u8>, BodyError> {
        let len = usize::try_from(self.count()?).unwrap_or(usize::MAX);
        if PART_BYTES_MAX < len {
            return Err(BodyError::Part("a part is longer than 4 MiB"));
        }
        let mut part = Vec::new();
        let wanted = u64::try_from(len).unwrap_or(u64::MAX);
        self.0.by_ref().take(wanted).read_to_end(&mut part)?;
        if part.len() < len {
            return Err(BodyError::Part("it ends within a part"));
        }
        Ok(part)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::ZlibEncoder;
    use proptest::prelude::*;
    use std::io::Write as _;

    const NOW: ProtocolVersion = ProtocolVersion::CURRENT;
    const OLD: ProtocolVersion = ProtocolVersion(36);

    /// The body of the reference page.
    const PLAIN: &str = r#"{"filterServerList":[],"topicConfigSerializeWrapper":{"dataVersion":{"counter":5,"stateVersion":2,"timestamp":1700000000000},"mappingDataVersion":{"counter":0,"stateVersion":0,"timestamp":1700000000000},"topicConfigTable":{"T":{"attributes":{},"order":false,"perm":6,"readQueueNums":8,"topicFilterType":"SINGLE_TAG","topicName":"T","topicSysFlag":1,"writeQueueNums":4}},"topicQueueMappingDetailMap":{},"topicQueueMappingInfoMap":{"S":{"bname":"broker-a","currIdMap":{"0":0},"dirty":false,"epoch":3,"scope":"__global__","topic":"S","totalQueues":1}}}}"#;

    fn zlib(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).expect("a vector takes all");
        encoder.finish().expect("a vector takes all")
    }

    fn parts(texts: &[&str], counts: &[(usize, i32)]) -> Vec<u8> {
        let mut out = Vec::new();
        for at in 0..=texts.len() {
            for (_, count) in counts.iter().filter(|(before, _)| *before == at) {
                out.extend_from_slice(&count.to_be_bytes());
            }
            let Some(text) = texts.get(at) else { break };
            out.extend_from_slice(&i32::try_from(text.len()).expect("short").to_be_bytes());
            out.extend_from_slice(text.as_bytes());
        }
        out
    }

    fn compressed() -> Vec<u8> {
        let texts = [
            r#"{"counter":5,"stateVersion":2,"timestamp":1700000000000}"#,
            r#"T 8 4 6 SINGLE_TAG {"+message.type":"NORMAL and more"}"#,
            "%RETRY%g 1 1 6 SINGLE_TAG",
            r#"["f:1"]"#,
            r#"{"bname":"broker-a","epoch":3,"topic":"S"}"#,
        ];
        parts(&texts, &[(1, 2), (4, 1)])
    }

    #[test]
    fn the_json_form() {
        let table = decode(PLAIN.as_bytes(), NOW).expect("well-formed");
        let version = DataVersion { counter: 5, state_version: 2, timestamp: 1_700_000_000_000 };
        assert_eq!(table.version, version);
        let entry = QueueEntry {
            perm: Permission(6),
            read_queue_nums: 8,
            topic_sys_flag: 1,
            write_queue_nums: 4,
        };
        assert_eq!(table.topics, [("T".into(), entry)]);
        assert_eq!(table.filter_servers, Some(vec![]));
        let (topic, broker, info) = table.mappings.first().expect("one mapping");
        assert_eq!((&**topic, &**broker), ("S", "broker-a"));
        assert_eq!(info.get("epoch"), Some(&Value::from(3)));
        // Before 3.0.11 the inner object is the body.
        let inner: Value = serde_json::from_str(PLAIN).expect("JSON");
        let inner = inner.get("topicConfigSerializeWrapper").expect("there").to_string();
        let table = decode(inner.as_bytes(), OLD).expect("well-formed");
        assert_eq!((table.version, table.topics.len()), (version, 1));
        assert_eq!(table.filter_servers, None);
    }

    #[test]
    fn absent_null_and_quoted_members_are_taken() {
        for text in [
            "{}",
            r#"{"filterServerList":null,"topicConfigSerializeWrapper":null}"#,
            r#"{"topicConfigSerializeWrapper":{"dataVersion":null,"topicConfigTable":null,"topicQueueMappingInfoMap":null}}"#,
            r#"{"topicConfigSerializeWrapper":{"topicConfigTable":{"T":null}},"other":[1]}"#,
        ] {
            let table = decode(text.as_bytes(), NOW).expect(text);
            assert_eq!((table.topics.len(), table.version), (0, DataVersion::default()), "{text}");
        }
        let text = r#"{"topicConfigSerializeWrapper":{"topicConfigTable":{"T":{"perm":"4","readQueueNums":null,"writeQueueNums":-3}}}}"#;
        let table = decode(text.as_bytes(), NOW).expect("well-formed");
        let entry = QueueEntry { perm: Permission(4), ..QueueEntry::new(16, Permission(4)) };
        assert_eq!(table.topics, [("T".into(), entry)]);
        assert_eq!(decode(b"", NOW).expect("empty is a table").topics.len(), 0);
    }

    #[test]
    fn the_compressed_form() {
        let body = zlib(&compressed());
        assert_eq!(body.first(), Some(&0x78));
        let table = decode(&body, NOW).expect("well-formed");
        assert_eq!(table.version.state_version, 2);
        let entry = |read, write| QueueEntry {
            perm: Permission(6),
            read_queue_nums: read,
            topic_sys_flag: 0,
            write_queue_nums: write,
        };
        assert_eq!(table.topics, [("T".into(), entry(8, 4)), ("%RETRY%g".into(), entry(1, 1))]);
        assert_eq!(table.filter_servers, Some(vec!["f:1".to_owned()]));
        assert_eq!(table.mappings.len(), 1);
        // Before 5.0.0 the stream ends with the filter servers.
        let table = decode(&body, ProtocolVersion(412)).expect("well-formed");
        assert_eq!((table.topics.len(), table.mappings.len()), (2, 0));
    }

    #[test]
    fn malformed_bodies_are_refused() {
        let cut = |bytes: &[u8], n: usize| bytes.get(..n).expect("longer").to_vec();
        let whole = zlib(&compressed());
        for (what, body) in [
            ("no JSON", b"garbage".to_vec()),
            ("half JSON", cut(PLAIN.as_bytes(), 100)),
            ("a list", b"[]".to_vec()),
            ("wrong types", br#"{"topicConfigSerializeWrapper":{"topicConfigTable":[]}}"#.to_vec()),
            ("deep", b"[".repeat(100_000)),
            ("cut stream", cut(&whole, whole.len() / 2)),
            ("no stream", b"xyz".to_vec()),
            ("short parts", zlib(b"\0\0\0")),
            ("negative length", zlib(&(-1i32).to_be_bytes())),
            ("long part", zlib(&i32::MAX.to_be_bytes())),
            ("bad topic", zlib(&parts(&["{}", "T 8 x 6 SINGLE_TAG", "[]"], &[(1, 1), (3, 0)]))),
            ("no name", zlib(&parts(&["{}", " 8 8 6 SINGLE_TAG", "[]"], &[(1, 1), (3, 0)]))),
            ("bad version", zlib(&parts(&["{", "[]"], &[(1, 0), (2, 0)]))),
        ] {
            assert!(decode(&body, NOW).is_err(), "{what}");
        }
    }

    #[test]
    fn a_body_that_inflates_without_end_is_cut_off() {
        let topic = "T 8 8 6 SINGLE_TAG";
        let mut texts = vec!["{}"];
        texts.resize(1 + 5_000, topic);
        texts.push("[]");
        let body = zlib(&parts(&texts, &[(1, 5_000), (5_002, 0)]));
        assert!(body.len() < 2_000, "it compresses well");
        assert_eq!(inflate(&body, NOW, 200_000).expect("within the bound").topics.len(), 5_000);
        assert!(inflate(&body, NOW, 50_000).is_err());
    }

    #[test]
    fn queue_datas_of_a_route() {
        let text = r#"{"queueDatas":[{"brokerName":"b","perm":4,"readQueueNums":2,"topicSysFlag":1,"writeQueueNums":3},{"perm":6}]}"#;
        let entry = QueueEntry {
            perm: Permission(4),
            read_queue_nums: 2,
            topic_sys_flag: 1,
            write_queue_nums: 3,
        };
        assert_eq!(decode_queue_datas(text.as_bytes()).expect("good"), [("b".into(), entry)]);
        assert!(decode_queue_datas(b"{}").expect("empty").is_empty());
        assert!(decode_queue_datas(b"").is_err());
    }

    #[test]
    fn the_crc_has_31_bits() {
        let crc = i32::try_from(crc32fast::hash(b"body") & 0x7FFF_FFFF).expect("31 bits");
        for (sent, good) in [(0, true), (crc, true), (crc ^ 1, false), (-1, false)] {
            assert_eq!(check_crc(b"body", sent).is_ok(), good, "{sent}");
        }
        assert_eq!(check_crc(b"x", 1).expect_err("wrong").to_string(), "crc32 not match");
    }

    proptest! {
        #[test]
        fn noise_never_panics(noise in proptest::collection::vec(any::<u8>(), 0..300), old: bool) {
            let version = if old { OLD } else { NOW };
            decode(&noise, version).ok();
            decode(&zlib(&noise), version).ok();
        }
    }
}
