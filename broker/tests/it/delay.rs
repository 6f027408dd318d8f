use crate::wire::{Wire, bodies, number, properties, pull, records, send_v2};
use crate::world::World;
use rmq_host::SystemClock;
use rmq_model::Clock as _;
use rmq_record::properties as text;
use std::time::Duration;

const LEVELS: (&str, &str) = ("messageDelayLevel", "1s 2s 1s 1s 1s");

/// Pulls from the start until something is there.
fn await_message(wire: &mut Wire, topic: &str, offset: &str) -> rmq_remoting::Command {
    let clock = SystemClock::new();
    let until = clock.monotonic() + Duration::from_secs(60);
    loop {
        assert!(clock.monotonic() < until, "{topic} {offset} was never delivered");
        let answer = wire.call(11, &pull("G", topic, "0", offset, "6", "*"), b"");
        match answer.code {
            0 => return answer,
            19 | 20 => {}
            code => panic!("{code}: {:?}", answer.remark),
        }
    }
}

#[test]
fn a_delayed_message_waits_and_keeps_its_properties() {
    let world = World::with(&[LEVELS]);
    let mut wire = world.wire();
    let delayed = properties(&[("DELAY", "1"), ("TAGS", "a"), ("UNIQ_KEY", "U")]);
    wire.ok(310, &send_v2("T", "0", &delayed), b"later");
    wire.ok(310, &send_v2("T", "0", ""), b"now");
    let answer = wire.ok(11, &pull("G", "T", "0", "0", "4", "*"), b"");
    assert_eq!(bodies(&answer), ["now"]);
    let answer = await_message(&mut wire, "T", "1");
    assert_eq!(bodies(&answer), ["later"]);
    let records = records(&answer);
    let record = &records[0];
    for (name, value) in [("DELAY", "1"), ("REAL_TOPIC", "T"), ("REAL_QID", "0"), ("UNIQ_KEY", "U")]
    {
        assert_eq!(text::get(record.properties, name), Some(value), "{name}");
    }
    let waited = record.store_timestamp - record.born_timestamp;
    assert!(0 < waited);
    let tagged = wire.call(11, &pull("G", "T", "0", "1", "4", "a"), b"");
    assert_eq!(tagged.code, 0, "its tags code is that of its tag again");
}

#[test]
fn a_message_sent_back_is_retried_and_at_last_given_up() {
    let world = World::with(&[LEVELS]);
    let mut wire = world.wire();
    let sent = properties(&[("UNIQ_KEY", "U")]);
    let answer = wire.ok(310, &send_v2("T", "0", &sent), b"difficult");
    let id = answer.ext.get("msgId").unwrap().to_owned();
    let pulled = wire.ok(11, &pull("G", "T", "0", "0", "4", "*"), b"");
    let place = records(&pulled)[0].log_offset.to_string();
    let back = |offset: &str, level: &str, max: &str, wire: &mut Wire| {
        wire.call(
            36,
            &[
                ("offset", offset),
                ("group", "G"),
                ("delayLevel", level),
                ("originMsgId", id.as_str()),
                ("originTopic", "T"),
                ("unitMode", "false"),
                ("maxReconsumeTimes", max),
            ],
            b"",
        )
    };
    assert_eq!(back(&place, "1", "2", &mut wire).code, 0);
    let retried = await_message(&mut wire, "%RETRY%G", "0");
    {
        let records = records(&retried);
        let record = &records[0];
        assert_eq!((record.body, record.reconsume_times), (&b"difficult"[..], 1));
        for (name, value) in [("RETRY_TOPIC", "T"), ("ORIGIN_MESSAGE_ID", &*id), ("UNIQ_KEY", "U")]
        {
            assert_eq!(text::get(record.properties, name), Some(value), "{name}");
        }
    }
    let place = records(&retried)[0].log_offset.to_string();
    assert_eq!(back(&place, "-1", "2", &mut wire).code, 0);
    let dead = await_message(&mut wire, "%DLQ%G", "0");
    assert_eq!(records(&dead)[0].reconsume_times, 2);
    assert_eq!(number(&wire.ok(30, &[("topic", "%RETRY%G"), ("queueId", "0")], b""), "offset"), 1);
    assert_eq!(back("999999999", "1", "2", &mut wire).code, 1);
}

#[test]
fn a_consumer_that_resends_too_often_reaches_the_dead_letters() {
    let world = World::with(&[LEVELS]);
    let mut wire = world.wire();
    let sent = properties(&[("RETRY_TOPIC", "T"), ("DELAY", "1")]);
    let mut ext = send_v2("%RETRY%G", "0", &sent);
    ext[9] = ("j", "17");
    ext.push(("l", "16"));
    wire.ok(310, &ext, b"x");
    let dead = await_message(&mut wire, "%DLQ%G", "0");
    assert_eq!(bodies(&dead), ["x"]);
}

#[test]
fn delayed_messages_outlive_restarts_and_kills() {
    let mut world = World::with(&[LEVELS]);
    let mut wire = world.wire();
    let delayed = properties(&[("DELAY", "2")]);
    wire.ok(310, &send_v2("T", "0", &delayed), b"late");
    let killed = world.as_after_a_kill();
    world.restart();
    for world in [&world, &killed] {
        let answer = await_message(&mut world.wire(), "T", "0");
        assert_eq!(bodies(&answer), ["late"]);
    }
}
