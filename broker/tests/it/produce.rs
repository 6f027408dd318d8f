use crate::wire::{bodies, number, properties, pull, records, remark, send_v2};
use crate::world::World;
use rmq_record::batch::{self, Element};
use rmq_record::properties as text;

#[test]
fn a_sent_message_comes_back_as_it_was_sent() {
    let world = World::new();
    let mut wire = world.wire();
    let sent = properties(&[("UNIQ_KEY", "U1"), ("TAGS", "a"), ("KEYS", "k")]);
    let answer = wire.ok(310, &send_v2("T", "0", &sent), b"hello");
    assert_eq!((number(&answer, "queueId"), number(&answer, "queueOffset")), (0, 0));
    assert_eq!(answer.ext.get("transactionId"), Some("U1"));
    assert_eq!(answer.ext.get("MSG_REGION"), Some("DefaultRegion"));
    assert_eq!(answer.ext.get("TRACE_ON"), Some("true"));
    let id = answer.ext.get("msgId").unwrap().to_owned();
    assert!(id.starts_with("7F000001") && id.len() == 32, "{id}");

    let answer = wire.ok(11, &pull("G", "T", "0", "0", "4", "*"), b"");
    assert_eq!(number(&answer, "nextBeginOffset"), 1);
    let records = records(&answer);
    let record = &records[0];
    assert_eq!((record.body, record.topic, record.queue_id), (&b"hello"[..], "T", 0));
    for (name, value) in [("UNIQ_KEY", "U1"), ("TAGS", "a"), ("CLUSTER", "DefaultCluster")] {
        assert_eq!(text::get(record.properties, name), Some(value), "{name}");
    }
    assert_eq!(record.store_host.port(), world.addr().port());
}

#[test]
fn many_sends_on_one_connection_are_all_answered() {
    let world = World::new();
    let mut wire = world.wire();
    let asked: Vec<i32> =
        (0..500).map(|n| wire.send(310, &send_v2("T", &(n % 4).to_string(), ""), b"x")).collect();
    for opaque in asked {
        assert_eq!(wire.answer(opaque).code, 0);
    }
    let ends: i64 = (0..4)
        .map(|queue| {
            let queue = queue.to_string();
            number(&wire.ok(30, &[("topic", "T"), ("queueId", &queue)], b""), "offset")
        })
        .sum();
    assert_eq!(ends, 500);
}

#[test]
fn sends_that_break_a_rule_are_refused_with_the_fields_clients_read() {
    let world = World::with(&[("maxMessageSize", "1000")]);
    let mut wire = world.wire();
    wire.ok(310, &send_v2("T", "0", ""), b"x");
    let half = properties(&[("TRAN_MSG", "true")]);
    let timer = properties(&[("TIMER_DELAY_SEC", "3")]);
    let long = "p".repeat(32_768);
    for (topic, queue, properties, body, code) in [
        ("a b", "0", "", &b"x"[..], 29),
        ("SCHEDULE_TOPIC_XXXX", "0", "", b"x", 16),
        ("T", "99", "", b"x", 29),
        ("T", "0", "", b"", 1),
        ("T", "0", "", &[0; 1_001], 13),
        ("T", "0", long.as_str(), b"x", 13),
        ("T", "0", half.as_str(), b"x", 16),
        ("T", "0", timer.as_str(), b"x", 1),
    ] {
        let answer = wire.call(310, &send_v2(topic, queue, properties), body);
        assert_eq!(answer.code, code, "{topic} {queue}: {}", remark(&answer));
        assert!(answer.ext.contains("MSG_REGION") && answer.ext.contains("TRACE_ON"));
    }
    let mut unknown = send_v2("U", "0", "");
    unknown[2] = ("c", "no-template");
    assert_eq!(wire.call(310, &unknown, b"x").code, 17);
    let missing = wire.call(310, &[("a", "PG")], b"x");
    assert_eq!(missing.code, 1);
    assert!(remark(&missing).contains("topic"), "{}", remark(&missing));
}

#[test]
fn a_batch_is_stored_as_separate_messages_with_their_own_ids() {
    let world = World::new();
    let mut wire = world.wire();
    let mut body = Vec::new();
    for n in 0..3 {
        let own = text::text([("UNIQ_KEY", format!("U{n}").as_str())]);
        assert!(batch::encode(
            &mut body,
            &Element { flag: n, body: format!("m{n}").as_bytes(), properties: &own }
        ));
    }
    let header = properties(&[("UNIQ_KEY", "BATCH"), ("WAIT", "true")]);
    let mut ext = send_v2("T", "1", &header);
    ext[11] = ("m", "true");
    let answer = wire.ok(320, &ext, &body);
    assert_eq!(answer.ext.get("msgId").unwrap().split(',').count(), 3);
    assert_eq!(number(&answer, "queueOffset"), 0);
    let answer = wire.ok(11, &pull("G", "T", "1", "0", "4", "*"), b"");
    assert_eq!(bodies(&answer), ["m0", "m1", "m2"]);
    for (n, record) in records(&answer).iter().enumerate() {
        let want = format!("U{n}");
        assert_eq!(text::get(record.properties, "UNIQ_KEY"), Some(want.as_str()));
    }
    let broken = wire.call(320, &ext, b"\0\0\0\x20too short");
    assert_eq!(broken.code, 13, "{}", remark(&broken));
}

#[test]
fn the_fast_port_takes_sends_and_refuses_pulls() {
    let world = World::new();
    let mut fast = crate::wire::Wire::connect(world.fast_addr());
    fast.ok(310, &send_v2("T", "0", ""), b"x");
    for code in [11, 361, 200_050] {
        let answer = fast.call(code, &pull("G", "T", "0", "0", "4", "*"), b"");
        assert_eq!(answer.code, 3);
        assert_eq!(remark(&answer), format!(" request type {code} not supported"));
    }
    fast.ok(14, &[("consumerGroup", "G"), ("topic", "T"), ("queueId", "0")], b"");
}

#[test]
fn unknown_codes_are_answered() {
    let world = World::new();
    let mut wire = world.wire();
    for code in [13, 37, 200_051, 3_001, 31_000] {
        let answer = wire.call(code, &[], b"");
        assert_eq!(
            (answer.code, remark(&answer)),
            (3, &*format!(" request type {code} not supported"))
        );
    }
}
