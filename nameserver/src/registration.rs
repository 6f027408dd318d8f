//! The body of a registration, as the route tables take it.

use crate::routes::{QueueEntry, Table};
use rmq_model::Permission;
use rmq_model::peer::ProtocolVersion;
use rmq_model::topic::TopicConfig;
use rmq_remoting::body::{QueueData, RegisterBody, RegisterBodyError, TopicRouteData};
use rmq_remoting::json::{self, JsonError};
use serde_json::Value;
use std::sync::Arc;

/// Reads a body; an empty one is an empty table of version 0.
///
/// # Errors
/// When it is malformed.
pub fn decode(body: &[u8], version: ProtocolVersion) -> Result<Table, RegisterBodyError> {
    let body = RegisterBody::decode(body, version)?;
    let wrapper = body.topic_config_serialize_wrapper;
    let topics = wrapper.topic_config_table.into_iter();
    let mappings = wrapper.topic_queue_mapping_info_map.unwrap_or_default();
    Ok(Table {
        version: wrapper.data_version,
        topics: topics.map(|(key, topic)| named_entry(key, &topic)).collect(),
        mappings: mappings.into_iter().filter_map(|(topic, info)| mapping(topic, info)).collect(),
        filter_servers: body
            .filter_server_list
            .map(|list| list.iter().map(|server| server.to_string()).collect()),
    })
}

/// Broker and queues of each element of `queueDatas` of a `TopicRouteData`.
///
/// # Errors
/// When it is malformed.
pub fn decode_queue_datas(body: &[u8]) -> Result<Vec<(Arc<str>, QueueEntry)>, JsonError> {
    let route: TopicRouteData = json::from_slice(body)?;
    let named = route.queue_datas.into_iter().filter(|queues| !queues.broker_name.is_empty());
    Ok(named.map(|queues| (Arc::clone(&queues.broker_name), entry_of_route(&queues))).collect())
}

/// A topic counts under the name in its configuration, which is the key but for odd senders.
fn named_entry(key: Arc<str>, topic: &TopicConfig) -> (Arc<str>, QueueEntry) {
    let name = if topic.topic_name.is_empty() { key } else { Arc::clone(&topic.topic_name) };
    let entry = QueueEntry {
        perm: topic.perm,
        read_queue_nums: topic.read_queue_nums,
        topic_sys_flag: topic.topic_sys_flag,
        write_queue_nums: topic.write_queue_nums,
    };
    (name, entry)
}

fn entry_of_route(queues: &QueueData) -> QueueEntry {
    let number = |n: i32| u32::try_from(n).unwrap_or(0);
    QueueEntry {
        perm: Permission(number(queues.perm)),
        read_queue_nums: number(queues.read_queue_nums),
        topic_sys_flag: queues.topic_sys_flag,
        write_queue_nums: number(queues.write_queue_nums),
    }
}

/// Topic, broker and the mapping, which is passed on as it came; `None` without broker.
fn mapping(topic: Arc<str>, info: Value) -> Option<(Arc<str>, Arc<str>, Arc<Value>)> {
    let broker = info.get("bname").and_then(Value::as_str).map(Arc::from)?;
    Some((topic, broker, Arc::new(info)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rmq_model::DataVersion;
    use rmq_remoting::body::deflate;

    const NOW: ProtocolVersion = ProtocolVersion::CURRENT;
    const OLD: ProtocolVersion = ProtocolVersion(36);

    /// The body of the reference page.
    const PLAIN: &str = r#"{"filterServerList":[],"topicConfigSerializeWrapper":{"dataVersion":{"counter":5,"stateVersion":2,"timestamp":1700000000000},"mappingDataVersion":{"counter":0,"stateVersion":0,"timestamp":1700000000000},"topicConfigTable":{"T":{"attributes":{},"order":false,"perm":6,"readQueueNums":8,"topicFilterType":"SINGLE_TAG","topicName":"T","topicSysFlag":1,"writeQueueNums":4}},"topicQueueMappingDetailMap":{},"topicQueueMappingInfoMap":{"S":{"bname":"broker-a","currIdMap":{"0":0},"dirty":false,"epoch":3,"scope":"__global__","topic":"S","totalQueues":1}}}}"#;

    fn zlib(bytes: &[u8]) -> Vec<u8> {
        deflate(bytes).expect("a vector takes all")
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
        let text = r#"{"topicConfigSerializeWrapper":{"topicConfigTable":{"T":{"perm":"4","readQueueNums":null}}}}"#;
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
        assert_eq!(table.topics, [("%RETRY%g".into(), entry(1, 1)), ("T".into(), entry(8, 4))]);
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
            ("fewer than no queues", br#"{"topicConfigSerializeWrapper":{"topicConfigTable":{"T":{"readQueueNums":-3}}}}"#.to_vec()),
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

    proptest! {
        #[test]
        fn noise_never_panics(noise in proptest::collection::vec(any::<u8>(), 0..300), old: bool) {
            let version = if old { OLD } else { NOW };
            decode(&noise, version).ok();
            decode(&zlib(&noise), version).ok();
        }
    }
}
