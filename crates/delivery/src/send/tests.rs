//! The checks of a send one by one, kinds, resends and properties.

use super::*;
use bytes::Bytes;
use proptest::prelude::*;
use rmq_record::properties::{get, text};
use std::collections::BTreeMap;

const NOW: Millis = 1_000;

fn topic(read: u32, write: u32) -> TopicConfig {
    TopicConfig {
        read_queue_nums: read,
        write_queue_nums: write,
        ..TopicConfig::new("T", 1, Permission::READ_WRITE)
    }
}

#[test]
fn checks_before_the_topic_is_known() {
    let plain = SendFacts::default();
    let ordered = TopicConfig { order: true, ..topic(4, 4) };
    let unordered = topic(4, 4);
    let read_only = SendFacts { broker: Permission(4), ..plain };
    let long = "t".repeat(128);
    let refused = |facts: &SendFacts, topic: &str, known: Option<&TopicConfig>| {
        check_arrival(NOW, facts, topic, known).err()
    };
    let slave = SendFacts { slave: true, accept_from: NOW + 1, ..read_only };
    assert_eq!(refused(&slave, "a b", None), Some(SendRefusal::NotMaster), "the first decides");
    let later = SendFacts { accept_from: NOW + 1, ..plain };
    assert_eq!(refused(&later, "T", None), Some(SendRefusal::NotYet { until: NOW + 1 }));
    assert_eq!(refused(&SendFacts { accept_from: NOW, ..plain }, "T", None), None);
    assert_eq!(refused(&read_only, "T", Some(&ordered)), Some(SendRefusal::BrokerNotWritable));
    assert_eq!(refused(&read_only, "T", Some(&unordered)), None, "only ordered topics");
    assert_eq!(refused(&read_only, "T", None), None);
    for name in ["", " ", "a b", "订单", long.as_str()] {
        assert!(matches!(refused(&plain, name, None), Some(SendRefusal::Name(_))), "{name:?}");
    }
    for name in [
        "SCHEDULE_TOPIC_XXXX",
        "RMQ_SYS_TRANS_HALF_TOPIC",
        "RMQ_SYS_TRANS_OP_HALF_TOPIC",
        "TRANS_CHECK_MAX_TIME_TOPIC",
        "SELF_TEST_TOPIC",
        "OFFSET_MOVED_EVENT",
    ] {
        let want = Some(SendRefusal::NotSendable { topic: name.into() });
        assert_eq!(refused(&plain, name, Some(&unordered)), want, "{name}");
    }
    for name in ["T", "%RETRY%G", "%DLQ%G", "TBW102", "RMQ_SYS_TRACE_TOPIC"] {
        assert_eq!(refused(&plain, name, None), None, "{name}");
    }
}

fn parts(queue: i32) -> SendParts<'static> {
    SendParts { queue, body_bytes: 10, properties: b"", has_keys: false, batch: false }
}

#[test]
fn queues_of_a_send() {
    let facts = SendFacts::default();
    let illegal = |queue, queues| Err(SendRefusal::Queue { topic: "T".into(), queue, queues });
    for (read, write, queue, random, want) in [
        (4, 4, 0, 9, Ok(0)),
        (4, 4, 3, 9, Ok(3)),
        (4, 4, 4, 9, illegal(4, 4)),
        (8, 4, 7, 9, Ok(7)), // measured: only the larger of both counts
        (4, 8, 7, 9, Ok(7)),
        (8, 4, 8, 9, illegal(8, 8)),
        (8, 4, -1, 9, Ok(1)),
        (8, 4, i32::MIN, u32::MAX, Ok(3)),
        (8, 0, -1, 9, Err(SendRefusal::NoQueue { topic: "T".into() })),
        (0, 0, 0, 9, illegal(0, 0)),
    ] {
        let got = check_topic(&facts, &topic(read, write), &parts(queue), random);
        assert_eq!(got, want, "{read} {write} {queue}");
    }
}

#[test]
fn contents_of_a_send() {
    let facts = SendFacts { body_bytes_max: 100, ..SendFacts::default() };
    let check =
        |topic: &TopicConfig, parts: SendParts<'_>| check_topic(&facts, topic, &parts, 0).err();
    let plain = topic(1, 1);
    assert_eq!(check(&plain, parts(0)), None);
    assert_eq!(check(&plain, SendParts { body_bytes: 100, ..parts(0) }), None);
    assert_eq!(
        check(&plain, SendParts { body_bytes: 101, ..parts(0) }),
        Some(SendRefusal::BodyTooLarge { bytes: 101, max: 100 })
    );
    assert_eq!(
        check(&plain, SendParts { body_bytes: 0, ..parts(0) }),
        Some(SendRefusal::BodyEmpty)
    );
    let long = vec![b'x'; PROPERTIES_BYTES_MAX + 1];
    let most = long.split_last().unwrap().1;
    assert_eq!(check(&plain, SendParts { properties: most, ..parts(0) }), None);
    assert_eq!(
        check(&plain, SendParts { properties: &long, ..parts(0) }),
        Some(SendRefusal::PropertiesTooLong { bytes: PROPERTIES_BYTES_MAX + 1 })
    );
    let policy = |value: &str| TopicConfig {
        attributes: BTreeMap::from([("cleanup.policy".to_owned(), value.to_owned())]),
        ..topic(1, 1)
    };
    assert_eq!(check(&policy("COMPACTION"), parts(0)), Some(SendRefusal::KeyMissing));
    assert_eq!(check(&policy("COMPACTION"), SendParts { has_keys: true, ..parts(0) }), None);
    assert_eq!(check(&policy("DELETE"), parts(0)), None);
}

#[test]
fn batches_do_not_go_to_retry_topics() {
    let facts = SendFacts::default();
    let batch = SendParts { batch: true, ..parts(0) };
    let named = |name: &str| TopicConfig::new(name, 1, Permission::READ_WRITE);
    let long = format!("%DLQ%{}", "g".repeat(123));
    for (name, refused) in [("T", false), ("%RETRY%G", true), (long.as_str(), true)] {
        let got = check_topic(&facts, &named(name), &batch, 0);
        let want = SendRefusal::BatchTopic { topic: name.to_owned() };
        assert_eq!(got, if refused { Err(want) } else { Ok(0) }, "{name}");
        assert_eq!(check_topic(&facts, &named(name), &parts(0), 0), Ok(0), "{name} alone");
    }
}

#[test]
fn what_is_not_supported_is_refused_and_never_stored_as_normal() {
    let delayed = |level| Ok(Kind::Delayed { level });
    for (properties, reconsume_times, want) in [
        (vec![("TAGS", "a")], 0, Ok(Kind::Normal)),
        (vec![("DELAY", "0")], 0, Ok(Kind::Normal)),
        (vec![("DELAY", "-1")], 0, Ok(Kind::Normal)),
        (vec![("DELAY", "x")], 0, Ok(Kind::Normal)),
        (vec![("DELAY", "3")], 0, delayed(3)),
        (vec![("DELAY", "99")], 0, delayed(99)),
        (vec![("TIMER_DELAY_SEC", "5")], 0, Err(SendRefusal::Timer)),
        (vec![("TIMER_DELAY_MS", "5")], 0, Err(SendRefusal::Timer)),
        (vec![("TIMER_DELIVER_MS", "5")], 0, Err(SendRefusal::Timer)),
        (vec![("TIMER_DELIVER_MS", "x")], 0, Err(SendRefusal::Timer)),
        (vec![("TIMER_DELAY_SEC", "5"), ("DELAY", "2")], 0, delayed(2)),
        (vec![("TIMER_DELAY_SEC", "5"), ("DELAY", "0")], 0, Err(SendRefusal::Timer)),
        (vec![("TRAN_MSG", "true")], 0, Err(SendRefusal::Transaction)),
        (vec![("TRAN_MSG", "TRUE")], 0, Err(SendRefusal::Transaction)),
        (vec![("TRAN_MSG", "false")], 0, Ok(Kind::Normal)),
        (vec![("TRAN_MSG", "true"), ("DELAY", "3")], 0, Err(SendRefusal::Transaction)),
        (vec![("TRAN_MSG", "true")], 2, Err(SendRefusal::Transaction)),
        (vec![("TRAN_MSG", "true"), ("DELAY", "3")], 2, delayed(3)), // a committed one, retried
    ] {
        let text = text(properties.clone());
        let facts = PropertyFacts::of(&text);
        assert_eq!(classify(&facts, reconsume_times, false), want, "{properties:?}");
        let batch = classify(&facts, reconsume_times, true);
        match want {
            Ok(Kind::Normal) => assert_eq!(batch, Ok(Kind::Normal), "{properties:?}"),
            Ok(Kind::Delayed { .. }) | Err(_) => {
                assert_eq!(batch, Err(SendRefusal::BatchKind), "{properties:?}");
            }
        }
    }
}

#[test]
fn resends_of_consumers() {
    let group =
        SubscriptionGroupConfig { retry_max_times: 16, ..SubscriptionGroupConfig::new("G") };
    let dead = Ok(Resend::DeadLetter { topic: "%DLQ%G".into() });
    let new = ProtocolVersion::CURRENT;
    let old = ProtocolVersion(120);
    for (times, header, version, locks, want) in [
        (0, None, new, false, Ok(Resend::Retry)),
        (16, None, new, false, Ok(Resend::Retry)),
        (17, None, new, false, dead.clone()),
        (3, Some(2), new, false, dead.clone()),
        (2, Some(2), new, false, Ok(Resend::Retry)),
        (0, Some(-1), new, false, dead.clone()),
        (3, Some(2), old, false, Ok(Resend::Retry)),
        (0, None, new, true, dead),
    ] {
        let got = check_retry("G", Some(&group), times, header, version, locks);
        assert_eq!(got, want, "{times} {header:?} {version:?} {locks}");
    }
    assert_eq!(
        check_retry("G", None, 0, None, new, false),
        Err(SendRefusal::GroupNotExist { group: "G".into() })
    );
    assert_eq!(retry_group("%RETRY%G"), Some("G"));
    assert_eq!(retry_group("%DLQ%G"), None);
    assert_eq!(retry_group("T"), None);
}

#[test]
fn system_flag_tells_of_several_tags() {
    let multi = TopicConfig { topic_filter_type: TopicFilterType::MultiTag, ..topic(1, 1) };
    assert_eq!(sys_flag(1, &topic(1, 1)), 1);
    assert_eq!(sys_flag(1, &multi), 3);
}

const BROKER: BrokerProperties<'static> =
    BrokerProperties { region: "DefaultRegion", trace_on: true, cluster: "C" };

fn stored(properties: &[(&str, &str)], new: NewProperties<'_>) -> Bytes {
    let sent = text(properties.iter().copied());
    BROKER.apply(&sent, &PropertyFacts::of(&sent), new)
}

#[test]
fn the_broker_adds_its_own_properties() {
    let text = stored(&[("TAGS", "a"), ("UNIQ_KEY", "U")], NewProperties::default());
    let want = "TAGS\u{1}a\u{2}UNIQ_KEY\u{1}U\u{2}MSG_REGION\u{1}DefaultRegion\u{2}\
                TRACE_ON\u{1}true\u{2}CLUSTER\u{1}C\u{2}";
    assert_eq!(text, want);
}

#[test]
fn what_clients_must_not_set_is_replaced() {
    let sent = [
        ("POP_CK", "receipt"),
        ("CLUSTER", "other"),
        ("TRACE_ON", "false"),
        ("MSG_REGION", "x"),
        ("KEYS", "k"),
    ];
    let text = stored(&sent, NewProperties::default());
    let want =
        [("KEYS", "k"), ("MSG_REGION", "DefaultRegion"), ("TRACE_ON", "true"), ("CLUSTER", "C")];
    assert_eq!(text, rmq_record::properties::text(want));
}

#[test]
fn a_unique_id_is_made_only_when_missing() {
    let new = NewProperties { uniq_key: Some("new"), delay: None };
    assert_eq!(get(&stored(&[], new), "UNIQ_KEY"), Some("new"));
    assert_eq!(get(&stored(&[("UNIQ_KEY", "own")], new), "UNIQ_KEY"), Some("own"));
}

#[test]
fn a_delay_level_takes_delivery_times_away() {
    let sent = [
        ("DELAY", "2"),
        ("TIMER_DELAY_SEC", "1"),
        ("TIMER_DELAY_MS", "1"),
        ("TIMER_DELIVER_MS", "1"),
    ];
    let text = stored(&sent, NewProperties::default());
    assert_eq!(get(&text, "DELAY"), Some("2"));
    for name in ["TIMER_DELAY_SEC", "TIMER_DELAY_MS", "TIMER_DELIVER_MS"] {
        assert_eq!(get(&text, name), None, "{name}");
    }
    let dead = stored(&[("DELAY", "5")], NewProperties { delay: Some("0"), uniq_key: None });
    assert_eq!(get(&dead, "DELAY"), Some("0"));
}

#[test]
fn facts_of_properties() {
    let text = text([
        ("KEYS", "k"),
        ("WAIT", "false"),
        ("UNIQ_KEY", "U"),
        ("DELAY", "3"),
        ("TRAN_MSG", "true"),
        ("TIMER_DELIVER_MS", "1"),
    ]);
    let facts = PropertyFacts::of(&text);
    assert!(facts.has_keys && facts.no_wait && facts.half && facts.timer);
    assert_eq!((facts.uniq_key, facts.delay, facts.delay_level()), (Some("U"), Some("3"), 3));
    let none = PropertyFacts::of(b"WAIT\x01true\x02");
    assert_eq!(none, PropertyFacts::default());
}

proptest! {
    #[test]
    fn noise_never_panics(noise in prop::collection::vec(0u8..90, 0..200)) {
        let facts = PropertyFacts::of(&noise);
        drop(classify(&facts, 0, false));
        let text = BROKER.apply(&noise, &facts, NewProperties { uniq_key: Some("U"), delay: None });
        prop_assert_eq!(get(&text, "CLUSTER"), Some("C"));
        prop_assert!(get(&text, "UNIQ_KEY").is_some());
    }
}

proptest! {
    /// Appending in one buffer, as nearly every send has it, is the same as editing the text.
    #[test]
    fn the_short_way_is_the_long_way(
        sent in prop::collection::vec(("[A-D]{1,2}", "[a-z]{1,3}"), 0..6),
        last_separator in any::<bool>(),
        uniq_key in prop::option::of("[a-z]{1,3}"),
    ) {
        let mut sent = text(sent.iter().map(|(n, v)| (n.as_str(), v.as_str()))).to_vec();
        if !last_separator {
            sent.pop();
        }
        let new = NewProperties { uniq_key: uniq_key.as_deref(), delay: None };
        let mut want = rmq_record::properties::TextBuilder::from_text(&sent);
        for (name, value) in [
            ("UNIQ_KEY", uniq_key.as_deref()),
            ("MSG_REGION", Some("DefaultRegion")),
            ("TRACE_ON", Some("true")),
            ("CLUSTER", Some("C")),
        ] {
            want.set(name, value.unwrap_or_default());
        }
        let got = BROKER.apply(&sent, &PropertyFacts::of(&sent), new);
        prop_assert_eq!(&got[..], want.as_bytes());
    }
}
