use super::*;
use proptest::prelude::*;
use rmq_model::MessageQueue;
use rmq_model::client::{ConsumeFromWhere, MessageModel, SubscriptionData};
use rmq_model::topic::TopicConfig;
use serde::Deserialize;
use serde_json::json;
use std::collections::BTreeMap;

#[test]
fn what_fastjson_accepts_is_read() {
    for (text, expected) in [
        (r#"{a:1,'b':"x",}"#, json!({"a": 1, "b": "x"})),
        (r#"{0:"h:1",1:"h:2"}"#, json!({"0": "h:1", "1": "h:2"})),
        ("[1,,2,]", json!([1, 2])),
        (" {\"a\" : null}\n\0", json!({"a": null})),
        (r#"{"a":1,"a":2}"#, json!({"a": 2})),
        (r#"{{"q":0}:{"o":5}}"#, json!({"{\"q\":0}": {"o": 5}})),
        (r#""\u0001\ud83d\ude00\ud83d\n\x41\/""#, json!("\u{1}😀\u{fffd}\nA/")),
        ("9223372036854775807", json!(i64::MAX)),
        ("18446744073709551615", json!(u64::MAX)),
        ("-1.5e3", json!(-1500.0)),
        ("\u{feff}{}", json!({})),
    ] {
        assert_eq!(to_value(text.as_bytes()), Ok(expected), "{text}");
    }
}

#[test]
fn what_is_broken_is_refused() {
    let deep = "[".repeat(100_000);
    let deep_keys = "{".repeat(100_000);
    for text in [
        "", "{", "[1", "\"a", "{a}", "{a:}", "{:1}", "1 2", "tru", "--1", "\"\\q\"", &deep,
        &deep_keys,
    ] {
        assert!(to_value(text.as_bytes()).is_err(), "{:.20}", text);
    }
    assert_eq!(to_value(b"{\"a\xff\":1}"), Err(JsonError::Utf8 { at: 3 }));
    let many = format!("[{}]", "1,".repeat(VALUES_MAX));
    assert!(matches!(to_value(many.as_bytes()), Err(JsonError::TooLarge { .. })));
}

#[test]
fn values_become_what_their_sender_meant() {
    let text = br#"{"topic":5,"subString":"*","tagsSet":"[]","codeSet":["97",-3],"subVersion":"17",
        "classFilterMode":"false","expressionType":null,"unknown":{}}"#;
    let data: SubscriptionData = from_slice(text).unwrap();
    assert_eq!(&*data.topic, "5");
    assert_eq!(data.code_set.iter().copied().collect::<Vec<_>>(), [-3, 97]);
    assert_eq!((data.sub_version, data.is_tag(), data.tags_set.len()), (17, true, 0));

    let topic: TopicConfig =
        from_slice(br#"{"perm":"6","readQueueNums":8.0,"order":1,"topicFilterType":1}"#).unwrap();
    assert_eq!((topic.perm.0, topic.read_queue_nums, topic.order), (6, 8, true));
    assert_eq!(topic.topic_filter_type.name(), "MULTI_TAG");

    for (text, expected) in
        [("0", Some("BROADCASTING")), ("\"1\"", Some("CLUSTERING")), ("7", None), ("\"X\"", None)]
    {
        let found = from_slice::<MessageModel>(text.as_bytes()).ok().map(MessageModel::name);
        assert_eq!(found, expected, "{text}");
    }

    #[derive(Deserialize)]
    struct Where {
        #[serde(deserialize_with = "or_default", default)]
        at: ConsumeFromWhere,
    }
    for (text, expected) in [
        (r#"{"at":"UNKNOWN"}"#, ConsumeFromWhere::ConsumeFromLastOffset),
        (r#"{"at":4}"#, ConsumeFromWhere::ConsumeFromFirstOffset),
        ("{}", ConsumeFromWhere::ConsumeFromLastOffset),
    ] {
        assert_eq!(from_slice::<Where>(text.as_bytes()).unwrap().at, expected, "{text}");
    }
    assert!(from_slice::<BTreeMap<String, i32>>(br#"{"a":"x"}"#).is_err());
    assert!(from_slice::<BTreeMap<String, i32>>(br#"{"a":1.5}"#).is_err());
    assert!(from_slice::<BTreeMap<String, i32>>(br#"{"a":3000000000}"#).is_err());
    assert!(from_slice::<TopicConfig>(b"[]").is_err());
}

fn queue(id: i32) -> MessageQueue {
    MessageQueue { broker_name: "b".into(), queue_id: id, topic: "t".into() }
}

#[test]
fn keys_that_are_objects_or_numbers() {
    let offsets = BTreeMap::from([(queue(0), 5_i64), (queue(1), i64::MAX)]);
    let raw = r#"{{"brokerName":"b","queueId":0,"topic":"t"}:5,{"brokerName":"b","queueId":1,"topic":"t"}:9223372036854775807}"#;
    assert_eq!(String::from_utf8(to_vec(&offsets)).unwrap(), raw);
    let quoted = r#"{"{\"brokerName\":\"b\",\"queueId\":0,\"topic\":\"t\"}":5}"#;
    let one = BTreeMap::from([(queue(0), 5_i64)]);
    assert_eq!(String::from_utf8(to_vec_standard(&one)).unwrap(), quoted);
    for text in [raw.as_bytes(), &to_vec_standard(&offsets)] {
        assert_eq!(from_slice::<BTreeMap<MessageQueue, i64>>(text).unwrap(), offsets);
    }

    let addrs = BTreeMap::from([(0_i64, "h:1"), (1, "名\u{1}\u{7f}")]);
    let raw = to_vec(&addrs);
    assert_eq!(String::from_utf8(raw.clone()).unwrap(), r#"{0:"h:1",1:"名\u0001\u007F"}"#);
    let standard = to_vec_standard(&addrs);
    assert_eq!(
        String::from_utf8(standard.clone()).unwrap(),
        r#"{"0":"h:1","1":"\u540D\u0001\u007F"}"#
    );
    for text in [raw, standard] {
        let read: BTreeMap<i64, String> = from_slice(&text).unwrap();
        assert!(read.iter().map(|(k, v)| (*k, v.as_str())).eq(addrs.clone()));
    }
}

#[test]
fn members_that_are_null_are_left_out() {
    let value = json!({"a": null, "b": [null], "c": {"d": null}, "e": f64::NAN, "f": 0.0});
    assert_eq!(String::from_utf8(to_vec(&value)).unwrap(), r#"{"b":[null],"c":{},"f":0.0}"#);
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        // Eighths are exact: the standard reader rounds long fractions otherwise.
        any::<i32>().prop_map(|n| Value::from(f64::from(n) / 8.0)),
        ".*".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 8, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..8).prop_map(Value::from),
            prop::collection::btree_map(".*", inner, 0..8)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn both_writers_are_read_back(value in any_json()) {
        prop_assert_eq!(&to_value(&to_vec(&value)).unwrap(), &value);
        let standard = to_vec_standard(&value);
        prop_assert!(standard.is_ascii());
        prop_assert_eq!(&to_value(&standard).unwrap(), &value);
        prop_assert_eq!(&serde_json::from_slice::<Value>(&standard).unwrap(), &value);
    }

    #[test]
    fn noise_never_panics(noise: Vec<u8>, text in "[\\[\\]{}:,\"'\\\\a0-9.eu-]*") {
        for bytes in [noise.as_slice(), text.as_bytes()] {
            drop(to_value(bytes));
            drop(from_slice::<TopicConfig>(bytes));
            drop(from_slice::<BTreeMap<MessageQueue, i64>>(bytes));
        }
    }
}
