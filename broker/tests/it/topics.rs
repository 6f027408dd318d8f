use crate::wire::{number, pull, remark, send_v2};
use crate::world::World;
use rmq_remoting::Command;
use serde_json::{Value, json};

fn body(answer: &Command) -> Value {
    serde_json::from_slice(&answer.body).expect("JSON")
}

fn create<'a>(topic: &'a str, queues: &'a str, attributes: &'a str) -> Vec<(&'a str, &'a str)> {
    vec![
        ("topic", topic),
        ("defaultTopic", "TBW102"),
        ("readQueueNums", queues),
        ("writeQueueNums", queues),
        ("perm", "6"),
        ("topicFilterType", "SINGLE_TAG"),
        ("topicSysFlag", "0"),
        ("order", "false"),
        ("attributes", attributes),
    ]
}

#[test]
fn topics_are_made_changed_shown_and_deleted() {
    let world = World::new();
    let mut wire = world.wire();
    wire.ok(17, &create("T", "3", "+message.type=FIFO"), b"");
    let topic = body(&wire.ok(351, &[("topic", "T")], b""));
    assert_eq!(
        (&topic["readQueueNums"], &topic["attributes"]["message.type"]),
        (&json!(3), &json!("FIFO"))
    );
    let on_disk = std::fs::read_to_string(world.root().join("config/topics.json")).unwrap();
    assert!(on_disk.contains("\"T\""), "an answered change is on disk");
    wire.ok(17, &create("T", "5", ""), b"");
    let all = wire.ok(21, &[], b"");
    assert_eq!(body(&all)["topicConfigTable"]["T"]["writeQueueNums"], 5);
    assert!(10 < number(&all, "totalTopicNum"));

    for (ext, code) in [
        (create("TBW102", "3", ""), 29),
        (create("a b", "3", ""), 29),
        (create("U", "-1", ""), 29),
        (create("U", "3", "+nonsense=1"), 1),
        (create("U", "3", "+queue.type=BatchCQ"), 1),
    ] {
        let answer = wire.call(17, &ext, b"");
        assert_eq!(answer.code, code, "{ext:?}: {}", remark(&answer));
    }
    let list = json!({"topicConfigList": [
        {"topicName": "L1", "readQueueNums": 1, "writeQueueNums": 1, "perm": 6},
        {"topicName": "L2", "readQueueNums": 2, "writeQueueNums": 2, "perm": 6}]});
    wire.ok(18, &[], list.to_string().as_bytes());
    wire.ok(351, &[("topic", "L2")], b"");

    wire.ok(200, &[], br#"{"groupName":"G"}"#);
    wire.ok(310, &send_v2("T", "0", ""), b"x");
    wire.ok(
        15,
        &[("consumerGroup", "G"), ("topic", "T"), ("queueId", "0"), ("commitOffset", "1")],
        b"",
    );
    wire.ok(215, &[("topic", "T")], b"");
    assert_eq!(wire.call(351, &[("topic", "T")], b"").code, 17);
    assert_eq!(wire.call(11, &pull("G", "T", "0", "0", "4", "*"), b"").code, 17);
    wire.ok(310, &send_v2("T", "0", ""), b"again");
    assert_eq!(number(&wire.ok(30, &[("topic", "T"), ("queueId", "0")], b""), "offset"), 1);
    assert_eq!(wire.call(215, &[("topic", "TBW102")], b"").code, 29);
}

#[test]
fn pages_of_topics_add_up() {
    let world = World::new();
    let mut wire = world.wire();
    let whole = body(&wire.ok(21, &[], b""));
    let version = whole["dataVersion"].to_string();
    let whole = whole["topicConfigTable"].as_object().unwrap().len();
    let mut seen = 0;
    while seen < whole {
        let seq = seen.to_string();
        let ext = [("topicSeq", &*seq), ("maxTopicNum", "4"), ("dataVersion", &*version)];
        let page = body(&wire.ok(21, &ext, b""));
        let count = page["topicConfigTable"].as_object().unwrap().len();
        assert!(0 < count && count <= 4);
        seen += count;
    }
    assert_eq!(seen, whole);
}

#[test]
fn groups_are_made_changed_shown_and_deleted() {
    let world = World::new();
    let mut wire = world.wire();
    let group = json!({"groupName": "G", "retryMaxTimes": 3, "consumeEnable": false});
    wire.ok(200, &[], group.to_string().as_bytes());
    let shown = body(&wire.ok(352, &[("group", "G")], b""));
    assert_eq!(
        (&shown["retryMaxTimes"], &shown["consumeBroadcastEnable"]),
        (&json!(3), &json!(true))
    );
    wire.ok(310, &send_v2("T", "0", ""), b"x");
    let refused = wire.call(11, &pull("G", "T", "0", "0", "4", "*"), b"");
    assert_eq!((refused.code, refused.ext.get("forbiddenType")), (16, Some("2")));
    let list = json!({"groupConfigList": [{"groupName": "G1"}, {"groupName": "G2"}]});
    wire.ok(225, &[], list.to_string().as_bytes());
    let all = wire.ok(201, &[], b"");
    assert!(body(&all)["subscriptionGroupTable"]["G2"].is_object());
    assert_eq!(wire.call(200, &[], br#"{"groupName":"a b"}"#).code, 29);
    wire.ok(207, &[("groupName", "G"), ("cleanOffset", "true")], b"");
    assert_eq!(wire.call(352, &[("group", "G")], b"").code, 26);
}

#[test]
fn live_settings_change_and_others_are_refused() {
    let world = World::new();
    let mut wire = world.wire();
    let before = wire.ok(26, &[], b"");
    let text = String::from_utf8(before.body.to_vec()).unwrap();
    assert!(text.contains("brokerName=broker-a\n") && text.contains("brokerPermission=6\n"));
    wire.ok(310, &send_v2("T", "0", ""), b"x");
    wire.ok(25, &[], b"brokerPermission=2\n");
    let refused = wire.call(11, &pull("G", "T", "0", "0", "4", "*"), b"");
    assert_eq!((refused.code, refused.ext.get("forbiddenType")), (16, Some("1")));
    let after = wire.ok(26, &[], b"");
    assert_ne!(after.ext.get("version"), before.ext.get("version"));
    for (change, code) in [
        ("listenPort=1", 16),
        ("noSuchKey=1", 16),
        ("brokerPermission=x", 1),
        ("", 1),
        ("brokerPermission=6\nlistenPort=1", 16),
    ] {
        assert_eq!(wire.call(25, &[], change.as_bytes()).code, code, "{change:?}");
    }
    assert_eq!(wire.call(11, &pull("G", "T", "0", "0", "4", "*"), b"").code, 16);
}
