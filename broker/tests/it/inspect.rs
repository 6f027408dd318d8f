use crate::clients::heartbeat;
use crate::wire::{Wire, bodies, number, properties, pull, records, remark, send_v2};
use crate::world::World;
use rmq_remoting::{Command, json};
use serde_json::{Value, json as value};

fn body(answer: &Command) -> Value {
    json::to_value(&answer.body).expect("JSON as fastjson writes it")
}

fn text(answer: &Command) -> String {
    String::from_utf8(answer.body.to_vec()).expect("JSON is UTF-8")
}

const QUEUE_KEY: &str = r#"{"brokerName":"broker-a","queueId":0,"topic":"T"}"#;

/// Three messages in queue 0 of T, one of them committed by the online group G.
fn populated() -> (World, Wire) {
    let world = World::new();
    let mut wire = world.wire();
    for n in 0..3 {
        let key = format!("key{n}");
        let sent = properties(&[("UNIQ_KEY", &format!("U{n}")), ("KEYS", &key)]);
        wire.ok(310, &send_v2("T", "0", &sent), format!("m{n}").as_bytes());
    }
    wire.ok(34, &[], &heartbeat("a@1", "G", "T", 1));
    wire.ok(11, &pull("G", "T", "0", "0", "4", "*"), b"");
    let commit = [("consumerGroup", "G"), ("topic", "T"), ("queueId", "0"), ("commitOffset", "1")];
    wire.ok(15, &commit, b"");
    (world, wire)
}

#[test]
fn statistics_have_queues_as_keys() {
    let (_world, mut wire) = populated();
    let stats = wire.ok(202, &[("topic", "T")], b"");
    let entry = format!(r#"{{{QUEUE_KEY}:{{"lastUpdateTimestamp":"#);
    assert!(text(&stats).contains(&entry), "{}", text(&stats));
    let stats = body(&stats);
    let queue = &stats["offsetTable"][QUEUE_KEY];
    assert_eq!((&queue["minOffset"], &queue["maxOffset"]), (&value!(0), &value!(3)));
    assert_eq!(wire.call(202, &[("topic", "none")], b"").code, 17);

    let progress = body(&wire.ok(208, &[("consumerGroup", "G")], b""));
    let queue = &progress["offsetTable"][QUEUE_KEY];
    assert_eq!((&queue["brokerOffset"], &queue["consumerOffset"]), (&value!(3), &value!(1)));
    assert!(1_700_000_000_000 < queue["lastTimestamp"].as_i64().unwrap());

    let all = body(&wire.ok(317, &[("isOrder", "false")], b""));
    assert_eq!(all["totalDiff"], 2);
    assert_eq!(all["consumeStatsList"][0]["G"][0]["offsetTable"][QUEUE_KEY]["consumerOffset"], 1);

    let spans = body(&wire.ok(303, &[("topic", "T"), ("group", "G")], b""));
    assert_eq!(spans["consumeTimeSpanSet"][0]["messageQueue"]["topic"], "T");
    let item = body(&wire.ok(315, &[("statsName", "TOPIC_PUT_NUMS"), ("statsKey", "T")], b""));
    assert_eq!((&item["statsMinute"]["sum"], &item["statsDay"]["sum"]), (&value!(3), &value!(3)));
    let none = wire.call(315, &[("statsName", "TOPIC_PUT_NUMS"), ("statsKey", "U")], b"");
    assert_eq!(none.code, 1);
    let entries = body(&wire.ok(
        321,
        &[
            ("topic", "T"),
            ("queueId", "0"),
            ("index", "1"),
            ("count", "10"),
            ("consumerGroup", "G"),
        ],
        b"",
    ));
    assert_eq!(
        (&entries["maxQueueIndex"], entries["queueData"].as_array().unwrap().len()),
        (&value!(3), 2)
    );
    assert_eq!(entries["subscriptionData"]["topic"], "T");
}

#[test]
fn who_consumes_what() {
    let (_world, mut wire) = populated();
    let groups = body(&wire.ok(300, &[("topic", "T")], b""));
    assert_eq!(groups["groupList"], value!(["G"]));
    let topics = body(&wire.ok(343, &[("group", "G")], b""));
    assert_eq!(topics["topicList"], value!(["T"]));
    let subscription = body(&wire.ok(345, &[("group", "G"), ("topic", "T")], b""));
    assert_eq!(subscription["subscriptionData"]["subString"], "*");
    let system = body(&wire.ok(305, &[], b""));
    assert!(system["topicList"].as_array().unwrap().contains(&value!("TBW102")));
    let members = body(&wire.ok(203, &[("consumerGroup", "G")], b""));
    assert_eq!(members["connectionSet"][0]["clientId"], "a@1");
    assert_eq!(members["consumeType"], "CONSUME_PASSIVELY");
    assert_eq!(members["subscriptionTable"]["T"]["topic"], "T");
    assert_eq!(wire.call(203, &[("consumerGroup", "none")], b"").code, 206);
    let producers = body(&wire.ok(204, &[("producerGroup", "PG")], b""));
    assert_eq!(producers["connectionSet"][0]["version"], 479);
    assert_eq!(wire.call(204, &[("producerGroup", "none")], b"").code, 1);
    let all = body(&wire.ok(328, &[], b""));
    assert_eq!(all["data"]["PG"][0]["clientId"], "a@1");
}

#[test]
fn messages_are_found_by_key_and_by_place() {
    let (_world, mut wire) = populated();
    let query = |key: &'static str, unique: &'static str| {
        [
            ("topic", "T"),
            ("key", key),
            ("maxNum", "32"),
            ("beginTimestamp", "0"),
            ("endTimestamp", "9999999999999"),
            ("_UNIQUE_KEY_QUERY", unique),
        ]
    };
    let found = wire.ok(12, &query("key1", "false"), b"");
    assert_eq!(bodies(&found), ["m1"]);
    assert!(0 < number(&found, "indexLastUpdateTimestamp"));
    let found = wire.ok(12, &query("U2", "true"), b"");
    assert_eq!(bodies(&found), ["m2"]);
    let place = records(&found)[0].log_offset.to_string();
    assert_eq!(wire.call(12, &query("none", "false"), b"").code, 22);
    let viewed = wire.ok(33, &[("topic", "T"), ("offset", &place)], b"");
    assert_eq!(bodies(&viewed), ["m2"]);
    assert_eq!(wire.call(33, &[("offset", "7")], b"").code, 1);
}

#[test]
fn a_group_that_is_reset_goes_on_from_there() {
    let (_world, mut wire) = populated();
    let reset = |time: &'static str, queue: &'static str, offset: &'static str| {
        [
            ("topic", "T"),
            ("group", "G"),
            ("timestamp", time),
            ("isForce", "true"),
            ("queueId", queue),
            ("offset", offset),
        ]
    };
    let targets = body(&wire.ok(222, &reset("-1", "-1", "-1"), b""));
    assert_eq!(targets["offsetTable"][QUEUE_KEY], 3);
    let of = [("consumerGroup", "G"), ("topic", "T"), ("queueId", "0")];
    assert_eq!(number(&wire.ok(14, &of, b""), "offset"), 3);
    let commit = [of[0], of[1], of[2], ("commitOffset", "1")];
    assert_eq!(remark(&wire.ok(15, &commit, b"")), "Offset has been previously reset");
    let moved = wire.call(11, &pull("G", "T", "0", "1", "4", "*"), b"");
    assert_eq!((moved.code, number(&moved, "nextBeginOffset")), (21, 3));
    assert_eq!(remark(&moved), "OFFSET_RESET");
    assert_eq!(wire.call(11, &pull("G", "T", "0", "3", "4", "*"), b"").code, 19);
    let one = body(&wire.ok(222, &reset("0", "0", "2"), b""));
    assert_eq!(one["offsetTable"][QUEUE_KEY], 2);
    assert_eq!(wire.call(222, &reset("0", "99", "2"), b"").code, 1);
    assert_eq!(wire.call(222, &reset("0", "0", "2000"), b"").code, 1);

    wire.ok(314, &[("srcGroup", "G"), ("destGroup", "G2"), ("topic", "T")], b"");
    let cloned = [("consumerGroup", "G2"), of[1], of[2], ("setZeroIfNotFound", "false")];
    assert_eq!(number(&wire.ok(14, &cloned, b""), "offset"), 2);
    let corrected = [("filterGroups", "G"), ("compareGroup", "G"), ("topic", "T")];
    assert_eq!(body(&wire.ok(308, &corrected, b""))["correctionOffsets"]["0"], 2);
}

#[test]
fn a_reset_through_clients_reaches_them() {
    let world = World::with(&[("useServerSideResetOffset", "false")]);
    let mut wire = world.wire();
    wire.ok(310, &send_v2("T", "0", ""), b"x");
    let ask = [("topic", "T"), ("group", "G"), ("timestamp", "-1"), ("isForce", "true")];
    assert_eq!(wire.call(222, &ask, b"").code, 26);
    wire.ok(200, &[], br#"{"groupName":"G"}"#);
    assert_eq!(wire.call(222, &ask, b"").code, 206);
    wire.ok(34, &[], &heartbeat("a@1", "G", "T", 1));
    wire.ok(222, &ask, b"");
    let pushed = wire.pushed(220);
    assert!(pushed.is_oneway());
    assert_eq!(body(&pushed)["offsetTable"][QUEUE_KEY], 1);
}

#[test]
fn questions_to_clients_are_passed_on_and_back() {
    let (world, mut client) = populated();
    let mut tool = world.wire();
    let ask = [("consumerGroup", "G"), ("clientId", "a@1"), ("jstackEnable", "false")];
    let opaque = tool.send(307, &ask, b"");
    let pushed = client.pushed(307);
    assert_eq!(pushed.ext.get("clientId"), Some("a@1"));
    client.reply(&pushed, Command::response(0).with_body(&b"{\"properties\":{}}"[..]));
    assert_eq!(&*tool.answer(opaque).body, b"{\"properties\":{}}");
    let absent = tool.call(307, &[ask[0], ("clientId", "b@2"), ask[2]], b"");
    assert_eq!((absent.code, remark(&absent)), (1, "The Consumer <G> <b@2> not online"));

    let id = {
        let pulled = tool.ok(11, &pull("G", "T", "0", "1", "4", "*"), b"");
        let record = &records(&pulled)[0];
        rmq_record::OffsetId { host: record.store_host, offset: record.log_offset }.to_string()
    };
    let opaque = tool.send(309, &[ask[0], ask[1], ("msgId", &id), ("topic", "T")], b"");
    let pushed = client.pushed(309);
    assert_eq!(bodies(&pushed), ["m1"]);
    assert_eq!(pushed.ext.get("brokerName"), Some("broker-a"));
    client
        .reply(&pushed, Command::response(0).with_body(&b"{\"consumeResult\":\"CR_SUCCESS\"}"[..]));
    assert!(text(&tool.answer(opaque)).contains("CR_SUCCESS"));

    let opaque = tool.send(223, &[("topic", "T"), ("group", "G")], b"");
    let pushed = client.pushed(221);
    let queues = format!(r#"{{"messageQueueTable":{{{QUEUE_KEY}:5}}}}"#);
    client.reply(&pushed, Command::response(0).with_body(queues.into_bytes()));
    let status = tool.answer(opaque);
    assert_eq!(body(&status)["consumerTable"]["a@1"][QUEUE_KEY], 5);
}

#[test]
fn a_stop_does_not_wait_for_clients_that_are_asked() {
    let (mut world, mut client) = populated();
    let mut tool = world.wire();
    let ask = [("consumerGroup", "G"), ("clientId", "a@1"), ("jstackEnable", "false")];
    let info = tool.send(307, &ask, b"");
    client.pushed(307);
    let status = tool.send(223, &[("topic", "T"), ("group", "G")], b"");
    client.pushed(221);
    world.stop();
    let answer = tool.answer(info);
    let want = (1, "the broker stops and does not wait for a@1");
    assert_eq!((answer.code, remark(&answer)), want);
    assert_eq!(body(&tool.answer(status))["consumerTable"], value!({}));
}

#[test]
fn the_broker_says_how_it_is() {
    let (world, mut wire) = populated();
    let table = body(&wire.ok(28, &[], b""))["table"].clone();
    for key in [
        "brokerVersionDesc",
        "brokerActive",
        "putTps",
        "getTransferredTps",
        "msgPutTotalTodayNow",
        "msgGetTotalYesterdayMorning",
        "sendThreadPoolQueueSize",
        "pullThreadPoolQueueHeadWaitTimeMills",
        "pageCacheLockTimeMills",
        "earliestMessageTimeStamp",
        "commitLogDiskRatio",
        "commitLogMaxOffset",
        "timerReadBehind",
        "timerEnqueueTps",
        "scheduleMessageOffset_18",
    ] {
        assert!(table[key].as_str().is_some_and(|text| !text.is_empty()), "{key}");
    }
    assert_eq!(
        (&table["brokerVersionDesc"], &table["brokerActive"]),
        (&value!("V5_3_3"), &value!("true"))
    );
    assert_eq!(table["msgPutTotalTodayNow"], "3");
    for code in [306, 316, 329] {
        wire.ok(code, &[], b"");
    }
    let offsets = body(&wire.ok(43, &[], b""));
    assert_eq!(offsets["offsetTable"]["T@G"]["0"], 1);
    let delays = body(&wire.ok(45, &[], b""));
    assert_eq!(delays["offsetTable"]["1"], 0);
    drop(world);
}

#[test]
fn metrics_and_health_are_served_over_http() {
    use std::io::{Read as _, Write as _};
    let world =
        World::with(&[("metricsPromExporterPort", "0"), ("metricsExporterType", "DISABLE")]);
    assert_eq!(world.metrics_addr(), None);
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let port = free.port().to_string();
    let world = World::with(&[("metricsPromExporterPort", &port), ("metricsLabel", "zone:z1")]);
    let mut wire = world.wire();
    wire.ok(310, &send_v2("T", "0", ""), b"hello");
    wire.ok(11, &pull("G", "T", "0", "0", "4", "*"), b"");
    wire.ok(
        17,
        &[("topic", "U"), ("readQueueNums", "1"), ("writeQueueNums", "1"), ("perm", "6")],
        b"",
    );
    let get = |path: &str| {
        let mut stream = std::net::TcpStream::connect(world.metrics_addr().unwrap()).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text
    };
    assert!(
        get("/livez").starts_with("HTTP/1.1 200") && get("/readyz").starts_with("HTTP/1.1 200")
    );
    let page = get("/metrics");
    let common = r#"cluster="DefaultCluster",node_type="broker",node_id="broker-a",zone="z1""#;
    for series in [
        format!(
            r#"rocketmq_messages_in_total{{{common},topic="T",message_type="normal",is_system="false"}} 1"#
        ),
        format!(
            r#"rocketmq_throughput_in_total{{{common},topic="T",message_type="normal",is_system="false"}} 5"#
        ),
        format!(
            r#"rocketmq_messages_out_total{{{common},topic="T",consumer_group="G",is_system="false",is_retry="false"}} 1"#
        ),
        format!(r#"rocketmq_broker_permission{{{common}}} 6"#),
        format!(
            r#"rocketmq_topic_create_execution_time_milliseconds_count{{{common},invocation_status="success",is_system="false"}} 1"#
        ),
        format!(r#"rocketmq_storage_size_bytes{{{common},storage_type="local","#),
    ] {
        assert!(page.contains(&series), "{series}\nin\n{page}");
    }
    assert!(page.contains("rocketmq_rpc_latency_milliseconds_bucket"));
}
