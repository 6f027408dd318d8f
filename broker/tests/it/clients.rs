use crate::wire::{Wire, number, properties, pull, remark, send_v2};
use crate::world::World;
use rmq_remoting::Command;
use serde_json::{Value, json};

pub(crate) fn heartbeat(client: &str, group: &str, topic: &str, version: i64) -> Vec<u8> {
    json!({
        "clientID": client,
        "producerDataSet": [{"groupName": "PG"}],
        "consumerDataSet": [{
            "groupName": group, "consumeType": "CONSUME_PASSIVELY", "messageModel": "CLUSTERING",
            "consumeFromWhere": "CONSUME_FROM_LAST_OFFSET", "unitMode": false,
            "subscriptionDataSet": [{
                "topic": topic, "subString": "*", "tagsSet": [], "codeSet": [],
                "subVersion": version, "expressionType": "TAG",
            }],
        }],
    })
    .to_string()
    .into_bytes()
}

fn body(answer: &Command) -> Value {
    serde_json::from_slice(&answer.body).expect("JSON")
}

#[test]
fn members_of_a_group_hear_of_each_other() {
    let world = World::new();
    let (mut first, mut second) = (world.wire(), world.wire());
    first.ok(310, &send_v2("T", "0", ""), b"x");
    let answer = first.ok(34, &[], &heartbeat("a@1", "G", "T", 1));
    assert_eq!(answer.ext.get("IS_SUPPORT_HEART_BEAT_V2"), Some("true"));
    first.pushed(40);
    second.ok(34, &[], &heartbeat("b@2", "G", "T", 1));
    assert_eq!(first.pushed(40).ext.get("consumerGroup"), Some("G"));
    let ids = body(&first.ok(38, &[("consumerGroup", "G")], b""));
    assert_eq!(ids["consumerIdList"], json!(["a@1", "b@2"]));
    drop(second);
    first.pushed(40);
    let ids = body(&first.ok(38, &[("consumerGroup", "G")], b""));
    assert_eq!(ids["consumerIdList"], json!(["a@1"]));
    first.ok(35, &[("clientID", "a@1"), ("consumerGroup", "G"), ("producerGroup", "PG")], b"");
    let none = first.call(38, &[("consumerGroup", "G")], b"");
    assert_eq!((none.code, remark(&none)), (1, "no consumer for this group, G"));
    let retry = body(&first.ok(351, &[("topic", "%RETRY%G")], b""));
    assert_eq!((&retry["readQueueNums"], &retry["perm"]), (&json!(1), &json!(6)));
}

#[test]
fn a_registered_subscription_serves_pulls_without_their_own() {
    let world = World::new();
    let mut wire = world.wire();
    wire.ok(310, &send_v2("T", "0", ""), b"x");
    wire.ok(34, &[], &heartbeat("a@1", "G", "T", 5));
    let mut ext = pull("G", "T", "0", "0", "0", "");
    wire.ok(11, &ext, b"");
    ext[9] = ("subVersion", "6");
    assert_eq!(wire.call(11, &ext, b"").code, 25);
    // One that brings its own is served by that.
    ext[5] = ("sysFlag", "4");
    wire.ok(11, &ext, b"");
    wire.ok(353, &[("group", "G"), ("topic", "T"), ("readable", "false")], b"");
    let mut forbidden = pull("G", "T", "0", "0", "0", "");
    forbidden[9] = ("subVersion", "5");
    let answer = wire.call(11, &forbidden, b"");
    assert_eq!((answer.code, answer.ext.get("forbiddenType")), (16, Some("5")));
}

#[test]
fn queue_locks_belong_to_one_client() {
    let world = World::new();
    let mut wire = world.wire();
    let ask = |client: &str| {
        let queue = |id: i32| json!({"brokerName": "broker-a", "queueId": id, "topic": "T"});
        json!({"clientId": client, "consumerGroup": "G", "mqSet": [queue(0), queue(1)]})
            .to_string()
            .into_bytes()
    };
    let granted = |wire: &mut Wire, client| {
        let answer = body(&wire.ok(41, &[], &ask(client)));
        answer["lockOKMQSet"].as_array().expect("a list").len()
    };
    assert_eq!(granted(&mut wire, "a"), 2);
    assert_eq!(granted(&mut wire, "b"), 0);
    assert_eq!(granted(&mut wire, "a"), 2);
    wire.ok(42, &[], &ask("b"));
    assert_eq!(granted(&mut wire, "b"), 0);
    wire.ok(42, &[], &ask("a"));
    assert_eq!(granted(&mut wire, "b"), 2);
}

#[test]
fn a_reply_reaches_the_client_that_asked() {
    let world = World::new();
    let (mut asker, mut replier) = (world.wire(), world.wire());
    asker.ok(34, &[], &heartbeat("asker@1", "G", "T", 1));
    let reply = properties(&[
        ("REPLY_TO_CLIENT", "asker@1"),
        ("CORRELATION_ID", "c1"),
        ("MSG_TYPE", "reply"),
    ]);
    let opaque = replier.send(325, &send_v2("DefaultCluster_REPLY_TOPIC", "0", &reply), b"pong");
    let pushed = asker.pushed(326);
    assert_eq!(&*pushed.body, b"pong");
    assert!(pushed.ext.get("properties").is_some_and(|text| text.contains("PUSH_REPLY_TIME")));
    asker.reply(&pushed, Command::response(0));
    let answer = replier.answer(opaque);
    assert_eq!((answer.code, number(&answer, "queueOffset")), (0, 0));
    assert_eq!(answer.ext.get("msgId").map(str::len), Some(32));

    let nobody = properties(&[("REPLY_TO_CLIENT", "gone@1"), ("MSG_TYPE", "reply")]);
    let answer = replier.call(325, &send_v2("DefaultCluster_REPLY_TOPIC", "0", &nobody), b"pong");
    assert_eq!(answer.code, 1);
    assert!(remark(&answer).contains("not found"), "{}", remark(&answer));
}

#[test]
fn assignments_without_name_servers_divide_the_own_queues() {
    let world = World::new();
    let mut wire = world.wire();
    wire.ok(310, &send_v2("T", "0", ""), b"x");
    wire.ok(34, &[], &heartbeat("a@1", "G", "T", 1));
    let ask = json!({"topic": "T", "consumerGroup": "G", "clientId": "a@1", "strategyName": "AVG",
        "messageModel": "CLUSTERING"});
    let answer = body(&wire.ok(400, &[], ask.to_string().as_bytes()));
    let entries = answer["messageQueueAssignments"].as_array().expect("a list");
    assert_eq!((entries.len(), &entries[0]["mode"]), (4, &json!("PULL")));
    let pop = json!({"topic": "T", "consumerGroup": "G", "mode": "POP", "popShareQueueNum": 0});
    assert_eq!(wire.call(401, &[], pop.to_string().as_bytes()).code, 1);
    let plain = json!({"topic": "T", "consumerGroup": "G", "mode": "PULL", "popShareQueueNum": 0});
    wire.ok(401, &[], plain.to_string().as_bytes());
    let modes = body(&wire.ok(402, &[], b""));
    assert_eq!(modes["messageRequestModeMap"]["T"]["G"]["mode"], "PULL");
}

#[test]
fn expressions_are_checked() {
    let world = World::new();
    let mut wire = world.wire();
    for (kind, expression, code) in [("TAG", "a||b", 0), ("TAG", "||", 23), ("SQL92", "a > 1", 23)]
    {
        let ask = json!({"clientId": "a", "group": "G", "subscriptionData":
            {"topic": "T", "subString": expression, "expressionType": kind}});
        assert_eq!(wire.call(46, &[], ask.to_string().as_bytes()).code, code, "{expression}");
    }
}
