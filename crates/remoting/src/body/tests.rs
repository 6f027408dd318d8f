use super::*;
use crate::json::{from_slice, to_vec, to_vec_standard};
use proptest::prelude::*;
use rmq_model::client::{ConsumeFromWhere, ConsumeType, MessageModel};
use rmq_model::group::SubscriptionGroupConfig;
use rmq_model::peer::ProtocolVersion;
use rmq_model::topic::TopicConfig;
use rmq_model::{MessageQueue, Permission};
use std::collections::BTreeMap;
use std::sync::Arc;

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap()
}

fn queue() -> MessageQueue {
    MessageQueue { broker_name: "b".into(), queue_id: 0, topic: "t".into() }
}

const MQ: &str = r#"{"brokerName":"b","queueId":0,"topic":"t"}"#;

#[test]
fn heartbeats_of_three_clients() {
    let java = br#"{"clientID":"10.0.0.5@12345#987654321","heartbeatFingerprint":0,"withoutSub":false,
        "producerDataSet":[{"groupName":"PG"}],
        "consumerDataSet":[{"groupName":"CG","consumeType":"CONSUME_PASSIVELY","messageModel":"CLUSTERING",
        "consumeFromWhere":"CONSUME_FROM_LAST_OFFSET","unitMode":false,
        "subscriptionDataSet":[{"topic":"T","subString":"a||b","tagsSet":["a","b"],"codeSet":[97,98],
        "subVersion":1700000000000,"classFilterMode":false,"expressionType":"TAG"}]}]}"#;
    let cpp = br#"{"clientID":"c","consumerDataSet":[{"consumeFromWhere":0,"consumeType":1,"groupName":"CG",
        "messageModel":1,"subscriptionDataSet":[{"subString":"a||b","subVersion":"1700000000000","topic":"T",
        "tagsSet":["a","b"],"codeSet":["97","98"]}]}],"producerDataSet":[{"groupName":"PG"}]}"#;
    let go = br#"{"clientID":"c","producerDataSet":[{"groupName":"PG"}],"consumerDataSet":[{"groupName":"CG",
        "consumeType":"CONSUME_PASSIVELY","messageModel":"CLUSTERING","consumeFromWhere":"UNKNOWN","unitMode":false,
        "subscriptionDataSet":[{"classFilterMode":false,"topic":"T","subString":"a||b","tagsSet":["a","b"],
        "codeSet":["97","98"],"subVersion":1700000000000,"expressionType":"TAG"}]}],"heartbeatFingerprint":0}"#;
    for heartbeat in [java.as_slice(), cpp, go] {
        let read: HeartbeatData = from_slice(heartbeat).unwrap();
        assert_eq!(&*read.producer_data_set[0].group_name, "PG");
        let consumer = &read.consumer_data_set[0];
        assert_eq!(consumer.consume_type, ConsumeType::Passively);
        assert_eq!(consumer.message_model, MessageModel::Clustering);
        assert_eq!(consumer.consume_from_where, ConsumeFromWhere::ConsumeFromLastOffset);
        let subscription = &consumer.subscription_data_set[0];
        assert_eq!((&*subscription.topic, &*subscription.sub_string), ("T", "a||b"));
        assert_eq!(subscription.sub_version, 1_700_000_000_000);
        assert!(subscription.code_set.iter().eq(&[97, 98]) && subscription.is_tag());
        assert_eq!(from_slice::<HeartbeatData>(&to_vec(&read)).unwrap(), read);
    }
}

#[test]
fn bodies_as_a_java_peer_writes_them() {
    let mq: Arc<str> = MQ.into();
    let lock = LockBatchResponse { lock_ok_mq_set: vec![queue()] };
    assert_eq!(text(to_vec(&lock)), format!(r#"{{"lockOKMQSet":[{mq}]}}"#));

    let stats = ConsumeStats {
        consume_tps: 0.0,
        offset_table: BTreeMap::from([(queue(), OffsetWrapper::default())]),
    };
    let expected = format!(
        r#"{{"consumeTps":0.0,"offsetTable":{{{mq}:{{"brokerOffset":0,"consumerOffset":0,"lastTimestamp":0,"pullOffset":0}}}}}}"#
    );
    assert_eq!(text(to_vec(&stats)), expected);
    assert_eq!(from_slice::<ConsumeStats>(expected.as_bytes()).unwrap(), stats);

    let reset = ResetOffsetBody { offset_table: BTreeMap::from([(queue(), 5)]) };
    assert_eq!(text(to_vec(&reset)), format!(r#"{{"offsetTable":{{{mq}:5}}}}"#));

    let status = ConsumerStatus {
        consumer_table: BTreeMap::from([("c".into(), BTreeMap::from([(queue(), 7)]))]),
    };
    assert_eq!(text(to_vec(&status)), format!(r#"{{"consumerTable":{{"c":{{{mq}:7}}}}}}"#));

    assert_eq!(
        text(to_vec(&BrokerStatsData::default())),
        r#"{"statsDay":{"avgpt":0.0,"sum":0,"tps":0.0},"statsHour":{"avgpt":0.0,"sum":0,"tps":0.0},"statsMinute":{"avgpt":0.0,"sum":0,"tps":0.0}}"#
    );
    assert_eq!(text(to_vec(&QueryAssignmentResponse::default())), "{}");

    let topic = TopicConfig::new("T", 8, Permission::READ_WRITE);
    assert_eq!(
        text(to_vec(&topic)),
        r#"{"attributes":{},"order":false,"perm":6,"readQueueNums":8,"topicFilterType":"SINGLE_TAG","topicName":"T","topicSysFlag":0,"writeQueueNums":8}"#
    );
    assert_eq!(from_slice::<TopicConfig>(&to_vec(&topic)).unwrap(), topic);

    assert_eq!(
        text(to_vec(&SubscriptionGroupConfig::new("CG"))),
        r#"{"attributes":{},"brokerId":0,"consumeBroadcastEnable":true,"consumeEnable":true,"consumeFromMinEnable":true,"consumeMessageOrderly":false,"consumeTimeoutMinute":15,"groupName":"CG","groupRetryPolicy":{"type":"CUSTOMIZED"},"groupSysFlag":0,"notifyConsumerIdsChangedEnable":true,"retryMaxTimes":16,"retryQueueNums":1,"whichBrokerWhenConsumeSlowly":1}"#
    );
}

#[test]
fn routes_in_both_forms() {
    let route = TopicRouteData {
        broker_datas: vec![BrokerData {
            broker_addrs: BTreeMap::from([
                (0, "10.0.0.1:10911".into()),
                (1, "10.0.0.2:10911".into()),
            ]),
            broker_name: "broker-a".into(),
            cluster: "DefaultCluster".into(),
            enable_acting_master: false,
            zone_name: None,
        }],
        queue_datas: vec![QueueData {
            broker_name: "broker-a".into(),
            perm: 6,
            read_queue_nums: 8,
            topic_sys_flag: 0,
            write_queue_nums: 8,
        }],
        ..TopicRouteData::default()
    };
    let bare = r#"{"brokerDatas":[{"brokerAddrs":{0:"10.0.0.1:10911",1:"10.0.0.2:10911"},"brokerName":"broker-a","cluster":"DefaultCluster","enableActingMaster":false}],"filterServerTable":{},"queueDatas":[{"brokerName":"broker-a","perm":6,"readQueueNums":8,"topicSysFlag":0,"writeQueueNums":8}]}"#;
    assert_eq!(text(to_vec(&route)), bare);
    let standard = bare.replace("{0:", "{\"0\":").replace(",1:", ",\"1\":");
    assert_eq!(text(to_vec_standard(&route)), standard);
    for form in [bare, &standard] {
        assert_eq!(from_slice::<TopicRouteData>(form.as_bytes()).unwrap(), route);
    }
}

#[test]
fn answers_of_clients() {
    for (sent, result) in [
        (r#"{"consumeResult":"CR_LATER","spentTimeMills":3}"#, Some(ConsumeResult::CrLater)),
        (r#"{"consumeResult":0,"order":false}"#, Some(ConsumeResult::CrSuccess)),
        ("{}", None),
    ] {
        let read: ConsumeMessageDirectlyResult = from_slice(sent.as_bytes()).unwrap();
        assert_eq!(read.consume_result, result, "{sent}");
    }
    let info = format!(
        r#"{{"mqTable":{{{MQ}:{{"commitOffset":3,"dropped":false}}}},"properties":{{"PROP_CONSUMEORDERLY":true}}}}"#
    );
    let info: ConsumerRunningInfo = from_slice(info.as_bytes()).unwrap();
    assert_eq!(info.mq_table[&queue()]["commitOffset"], 3);
    assert_eq!(info.properties["PROP_CONSUMEORDERLY"], "true");
    assert!(text(to_vec(&info)).contains(&format!(r#""mqTable":{{{MQ}:{{"#)));
}

fn registration() -> RegisterBody {
    let mut topic = TopicConfig::new("T", 8, Permission::READ_WRITE);
    topic.attributes.insert("message.type".into(), "FIFO x".into());
    let mut body = RegisterBody { filter_server_list: Some(vec![]), ..RegisterBody::default() };
    let wrapper = &mut body.topic_config_serialize_wrapper;
    wrapper.data_version.counter = 5;
    wrapper.topic_config_table.insert("T".into(), topic);
    let mapping = serde_json::json!({"topic": "T", "bname": "b"});
    wrapper.topic_queue_mapping_info_map = Some(BTreeMap::from([("T".into(), mapping)]));
    body
}

#[test]
fn registrations_in_every_form() {
    let body = registration();
    let current = ProtocolVersion::CURRENT;
    for wire in [body.encode(), body.encode_compressed().unwrap()] {
        assert_eq!(RegisterBody::decode(&wire, current).unwrap(), body);
    }
    let old = to_vec(&body.topic_config_serialize_wrapper);
    let old = RegisterBody::decode(&old, ProtocolVersion(36)).unwrap();
    assert_eq!(old.topic_config_serialize_wrapper, body.topic_config_serialize_wrapper);
    assert_eq!(RegisterBody::decode(b"", current).unwrap(), RegisterBody::default());
}

#[test]
fn the_crc_of_a_registration_has_31_bits() {
    let crc = body_crc(b"body");
    for (sent, good) in [(0, true), (crc, true), (crc ^ 1, false), (-1, false)] {
        assert_eq!(check_crc(b"body", sent).is_ok(), good, "{sent}");
    }
    assert_eq!(check_crc(b"x", 1).unwrap_err().to_string(), "crc32 not match");
}

#[test]
fn a_bomb_does_not_go_off() {
    let bomb = deflate(&vec![0; 1 << 20]).unwrap();
    assert!(bomb.len() * 50 < 1 << 20, "{}", bomb.len());
    assert!(matches!(inflate(&bomb, 1000), Err(InflateError::TooLarge { max: 1000 })));
    assert_eq!(inflate(&bomb, 1 << 20).unwrap().len(), 1 << 20);
    assert!(matches!(inflate(&bomb[..bomb.len() / 2], 1 << 20), Err(InflateError::Broken(_))));
}

#[test]
fn properties_are_read_as_java_does() {
    let text =
        "# c\n! c\n\na=1\nb : 2 \n c 3\nd\ne\\=f=g=h\nlong=x\\\n   y\nu=\\u540d\\:\\\\\r\nno\\q=";
    let pairs = parse_properties(text.as_bytes()).unwrap();
    let pairs: Vec<(&str, &str)> = pairs.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    let expected = [
        ("a", "1"),
        ("b", "2"),
        ("c", "3"),
        ("d", ""),
        ("e=f", "g=h"),
        ("long", "xy"),
        ("u", "名:\\"),
        ("noq", ""),
    ];
    assert_eq!(pairs, expected);
    assert_eq!(write_properties([("a", "1"), ("b", "x\ny")]), b"a=1\nb=x y\n");
    assert!(parse_properties(b"a=\xff").is_err());
}

proptest! {
    #[test]
    fn noise_never_panics(noise: Vec<u8>, version in 0..500) {
        let zipped = deflate(&noise).unwrap();
        let version = ProtocolVersion(version);
        drop(RegisterBody::decode(&noise, version));
        drop(RegisterBody::decode(&zipped, version));
        drop(parse_properties(&noise));
        drop(parse_properties(String::from_utf8_lossy(&noise).as_bytes()));
    }

    #[test]
    fn a_damaged_registration_never_panics(at: prop::sample::Index, byte: u8, cut: prop::sample::Index) {
        let mut parts = inflate(&registration().encode_compressed().unwrap(), 1 << 20).unwrap();
        let at = at.index(parts.len());
        parts[at] = byte;
        parts.truncate(cut.index(parts.len() + 1));
        drop(RegisterBody::decode(&deflate(&parts).unwrap(), ProtocolVersion::CURRENT));
    }
}
