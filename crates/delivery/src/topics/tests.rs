//! Built-in topics, automatic creation, administration.

use super::*;
use rmq_model::name::TRACE_TOPIC;

const NOW: Millis = 1_700_000_000_000;

fn built_in() -> BuiltIn {
    BuiltIn::new("DefaultCluster", "broker-a")
}

fn topics() -> Topics {
    Topics::new(built_in(), [], DataVersion::default())
}

fn name(topic: &str) -> TopicName {
    TopicName::parse(topic).unwrap()
}

fn request(topic: &str) -> TopicRequest<'_> {
    TopicRequest {
        topic,
        read_queues: 8,
        write_queues: 8,
        perm: Permission::READ_WRITE,
        filter_type: TopicFilterType::SingleTag,
        sys_flag: 0,
        order: false,
        attributes: BTreeMap::new(),
    }
}

fn with_attributes<'a>(topic: &'a str, text: &str) -> TopicRequest<'a> {
    TopicRequest { attributes: TopicRequest::attributes_of(text).unwrap(), ..request(topic) }
}

#[test]
fn built_in_topics_with_their_queues_and_permissions() {
    let topics = topics();
    for (topic, queues, perm) in [
        ("TBW102", 8, 7),
        ("SELF_TEST_TOPIC", 1, 6),
        ("BenchmarkTest", 1_024, 6),
        ("DefaultCluster", 16, 7),
        ("broker-a", 1, 7),
        ("OFFSET_MOVED_EVENT", 1, 6),
        ("SCHEDULE_TOPIC_XXXX", 18, 6),
        ("DefaultCluster_REPLY_TOPIC", 1, 6),
        ("rmq_sys_REVIVE_LOG_DefaultCluster", 8, 6),
        ("rmq_sys_SYNC_BROKER_MEMBER_broker-a", 1, 1),
        ("RMQ_SYS_TRANS_HALF_TOPIC", 1, 6),
        ("RMQ_SYS_TRANS_OP_HALF_TOPIC", 1, 6),
        ("rmq_sys_wheel_timer", 1, 6),
    ] {
        let config = topics.get(topic).unwrap_or_else(|| panic!("{topic} is missing"));
        assert_eq!(config.read_queue_nums, queues, "{topic}");
        assert_eq!(config.write_queue_nums, queues, "{topic}");
        assert_eq!(config.perm.0, perm, "{topic}");
        assert!(topics.is_system(topic), "{topic}");
    }
    assert_eq!(topics.snapshot().iter().len(), 13);
    assert_eq!(topics.system_topics().count(), 13);
    assert!(topics.get("RMQ_SYS_TRACE_TOPIC").is_none());
}

#[test]
fn options_change_the_built_in_topics() {
    let options = BuiltIn {
        auto_create: false,
        cluster_topic: false,
        broker_topic: false,
        trace_topic: Some(TRACE_TOPIC.into()),
        default_queues: 4,
        revive_queues: 2,
        delay_levels: 20,
        ..built_in()
    };
    let topics = Topics::new(options.clone(), [], DataVersion::default());
    assert!(topics.get("TBW102").is_none());
    assert_eq!(topics.get("DefaultCluster").unwrap().perm.0, 1);
    assert_eq!(topics.get("broker-a").unwrap().perm.0, 1);
    assert_eq!(topics.get("RMQ_SYS_TRACE_TOPIC").unwrap().read_queue_nums, 1);
    assert_eq!(topics.get("rmq_sys_REVIVE_LOG_DefaultCluster").unwrap().read_queue_nums, 2);
    assert_eq!(topics.get("SCHEDULE_TOPIC_XXXX").unwrap().read_queue_nums, 20);

    let template = TopicConfig::new("TBW102", 8, Permission::READ_WRITE_INHERIT);
    let stored = [template, TopicConfig::new("", 1, Permission::READ_WRITE)];
    let topics = Topics::new(options, stored, DataVersion::default());
    let perm = topics.get("TBW102").unwrap().perm;
    assert_eq!(perm, Permission::READ_WRITE, "no template any more");
}

#[test]
fn stored_topics_win_over_built_in_ones() {
    let version = DataVersion { counter: 9, state_version: 2, timestamp: 5 };
    let stored = [
        TopicConfig::new("BenchmarkTest", 3, Permission::READ_WRITE),
        TopicConfig::new("T", u32::MAX, Permission::READ_WRITE),
    ];
    let topics = Topics::new(built_in(), stored, version);
    assert_eq!(topics.get("BenchmarkTest").unwrap().read_queue_nums, 3);
    assert_eq!(topics.get("T").unwrap().read_queue_nums, TOPIC_QUEUES_MAX);
    assert_eq!(topics.version(), version);
}

#[test]
fn sends_create_topics_after_a_template() {
    let unit = sysflag::TOPIC_UNIT;
    let unit_sub = sysflag::TOPIC_UNIT_SUB;
    for (topic, template, queues, is_unit, want) in [
        ("T", "TBW102", 4, false, Some((4, 6, 0))),
        ("T", "TBW102", 100, false, Some((8, 6, 0))),
        ("T", "TBW102", 0, false, Some((0, 6, 0))),
        ("T", "TBW102", -3, false, Some((0, 6, 0))),
        ("T", "TBW102", 4, true, Some((4, 6, unit))),
        ("T", "DefaultCluster", 32, false, Some((16, 6, 0))),
        ("T", "BenchmarkTest", 4, false, None),
        ("T", "absent", 4, false, None),
        ("%RETRY%G", "TBW102", 4, false, Some((4, 6, 0))),
        ("%RETRY%G", "absent", 4, false, Some((1, 6, 0))),
        ("%RETRY%G", "BenchmarkTest", 4, true, Some((1, 6, unit_sub))),
        ("%DLQ%G", "absent", 4, false, None),
    ] {
        let mut topics = topics();
        let made = topics.for_send(NOW, &name(topic), template, queues, is_unit);
        let case = format!("{topic} {template} {queues} {is_unit}");
        let Some((queues, perm, sys_flag)) = want else {
            assert_eq!(made, Err(AutoCreateError::NoTemplate), "{case}");
            assert_eq!(topics.version().counter, 0, "{case}");
            continue;
        };
        let made = made.unwrap();
        assert!(matches!(made, TopicChange::Created(_)), "{case}");
        let config = made.changed().unwrap();
        assert_eq!(&*config.topic_name, topic, "{case}");
        assert_eq!(config.read_queue_nums, queues, "{case}");
        assert_eq!(config.write_queue_nums, queues, "{case}");
        assert_eq!((config.perm.0, config.topic_sys_flag), (perm, sys_flag), "{case}");
        assert!(!config.order, "{case}");
        assert_eq!(topics.version().counter, 1, "{case}");
        let again = topics.for_send(NOW, &name(topic), template, 1, false).unwrap();
        assert_eq!(again, TopicChange::Unchanged(Arc::clone(config)), "{case}");
        assert_eq!(topics.version().counter, 1, "{case}");
    }
}

#[test]
fn without_automatic_creation_only_retry_topics_come_into_being() {
    let options = BuiltIn { auto_create: false, ..built_in() };
    let mut topics = Topics::new(options, [], DataVersion::default());
    let mut make = |topic| topics.for_send(NOW, &name(topic), "TBW102", 4, false).is_ok();
    assert!(!make("T"));
    assert!(make("%RETRY%G"));
}

#[test]
fn send_back_topics() {
    let mut topics = topics();
    let made = topics.for_send_back(NOW, "%RETRY%G", 3, false, 2).unwrap();
    assert!(matches!(made, TopicChange::Created(_)));
    let config = Arc::clone(made.config());
    assert_eq!((config.read_queue_nums, config.write_queue_nums), (3, 3));
    assert_eq!((config.perm, config.topic_sys_flag), (Permission::READ_WRITE, 2));
    let again = topics.for_send_back(NOW, "%RETRY%G", 9, false, 0).unwrap();
    assert_eq!(again, TopicChange::Unchanged(config), "queues stay as they were");
    let ordered = topics.for_send_back(NOW, "%RETRY%G", 9, true, 0).unwrap();
    assert!(matches!(&ordered, TopicChange::Updated(config) if config.order));
    assert_eq!(topics.version().counter, 2);
    let long = format!("%DLQ%{}", "g".repeat(255));
    let refused = topics.for_send_back(NOW, &long, 1, false, 0);
    assert!(matches!(refused, Err(TopicError::Name(_))));
}

#[test]
fn administrators_make_and_change_topics() {
    let mut topics = topics();
    let made = topics.update(NOW, &request("T")).unwrap();
    assert!(matches!(made, TopicChange::Created(_)));
    assert_eq!(topics.version(), DataVersion { counter: 1, state_version: 0, timestamp: NOW });
    let same = topics.update(NOW + 1, &request("T")).unwrap();
    assert!(matches!(same, TopicChange::Unchanged(_)) && same.changed().is_none());
    assert_eq!(topics.version().timestamp, NOW, "nothing changed");
    topics.set_state_version(4);
    let read_only = TopicRequest { perm: Permission(4), order: true, ..request("T") };
    let changed = topics.update(NOW + 2, &read_only).unwrap();
    assert!(matches!(&changed, TopicChange::Updated(c) if c.perm == Permission(4) && c.order));
    let version = DataVersion { counter: 2, state_version: 4, timestamp: NOW + 2 };
    assert_eq!(topics.version(), version);
}

#[test]
fn administrators_are_held_to_the_rules() {
    let mut topics = topics();
    let long = "t".repeat(128);
    for topic in ["", " ", "a b", "名", long.as_str()] {
        assert!(matches!(topics.update(NOW, &request(topic)), Err(TopicError::Name(_))), "{topic}");
    }
    for topic in [
        "TBW102",
        "SCHEDULE_TOPIC_XXXX",
        "rmq_sys_x",
        "DefaultCluster",
        "DefaultCluster_REPLY_TOPIC",
    ] {
        let refused = topics.update(NOW, &request(topic));
        assert!(matches!(refused, Err(TopicError::System { .. })), "{topic}");
    }
    for bad in [
        TopicRequest { read_queues: 65_537, ..request("T") },
        TopicRequest { write_queues: 65_537, ..request("T") },
        TopicRequest { perm: Permission(16), ..request("T") },
    ] {
        assert!(matches!(topics.update(NOW, &bad), Err(TopicError::OutOfRange { .. })), "{bad:?}");
    }
    assert_eq!(topics.version().counter, 0);
}

#[test]
fn attributes_of_topics() {
    let mut topics = topics();
    for text in ["+other=1", "+queue.type=X", "+reserve.time=-2", "-message.type"] {
        let refused = topics.update(NOW, &with_attributes("T", text));
        assert!(matches!(refused, Err(TopicError::Attribute(_))), "{text}");
    }
    let text = "+queue.type=BatchCQ,+cleanup.policy=DELETE,+message.type=FIFO,+reserve.time=5";
    let made = topics.update(NOW, &with_attributes("T", text)).unwrap();
    let attributes = &made.config().attributes;
    assert_eq!(attributes.len(), 4);
    assert_eq!(attributes.get("message.type").map(String::as_str), Some("FIFO"));
    let same = topics.update(NOW, &with_attributes("T", text)).unwrap();
    assert!(same.changed().is_none(), "repeated");
    let plain = topics.update(NOW, &request("T")).unwrap();
    assert!(plain.changed().is_none(), "attributes stay unless they are changed");
    let read_back = TopicRequest { attributes: made.config().attributes.clone(), ..request("T") };
    assert!(topics.update(NOW, &read_back).unwrap().changed().is_none(), "as it was read");
    let fixed = topics.update(NOW, &with_attributes("T", "+cleanup.policy=COMPACTION"));
    assert!(matches!(fixed, Err(TopicError::Attribute(AttributeError::Fixed { .. }))));
    let change = with_attributes("T", "+message.type=DELAY,-reserve.time");
    let changed = topics.update(NOW, &change).unwrap();
    assert_eq!(changed.config().attributes.len(), 3);
}

#[test]
fn a_list_is_taken_wholly_or_not_at_all() {
    let mut topics = topics();
    assert!(topics.update_all(NOW, &[request("A"), request("b b")]).is_err());
    assert!(topics.get("A").is_none());
    let made = topics.update_all(NOW, &[request("A"), request("B"), request("A")]).unwrap();
    assert_eq!(made.iter().filter_map(TopicChange::changed).count(), 2);
}

#[test]
fn deletion() {
    let mut topics = topics();
    topics.update(NOW, &request("T")).unwrap();
    assert_eq!(&*topics.delete(NOW, "T").unwrap().unwrap().topic_name, "T");
    assert_eq!(topics.version().counter, 2);
    assert_eq!(topics.delete(NOW, "T"), Ok(None));
    assert_eq!(topics.version().counter, 2);
    assert!(matches!(topics.delete(NOW, " "), Err(TopicError::Name(_))));
    for topic in ["TBW102", "broker-a", "rmq_sys_wheel_timer"] {
        assert!(matches!(topics.delete(NOW, topic), Err(TopicError::System { .. })), "{topic}");
    }
}

#[test]
fn order_marks_are_set_and_never_taken_away() {
    let mut topics = topics();
    topics.update(NOW, &request("A")).unwrap();
    topics.update(NOW, &request("B")).unwrap();
    let marked = topics.mark_ordered(NOW, ["A", "absent"]);
    assert_eq!(marked.iter().map(|config| &*config.topic_name).collect::<Vec<_>>(), ["A"]);
    assert!(topics.get("A").unwrap().order && !topics.get("B").unwrap().order);
    assert_eq!(topics.version().counter, 3);
    assert!(topics.mark_ordered(NOW, ["A"]).is_empty());
    assert!(topics.mark_ordered(NOW, []).is_empty());
    assert!(topics.get("A").unwrap().order);
    assert_eq!(topics.version().counter, 3);
}

#[test]
fn a_snapshot_stays_as_it_is() {
    let mut topics = topics();
    let before = topics.snapshot();
    topics.update(NOW, &request("T")).unwrap();
    assert!(before.get("T").is_none());
    assert_eq!(before.version().counter, 0);
    assert!(topics.snapshot().get("T").is_some());
}

#[test]
fn a_slave_takes_over_its_masters_table() {
    let mut topics = topics();
    topics.update(NOW, &request("T")).unwrap();
    let version = DataVersion { counter: 77, state_version: 1, timestamp: 3 };
    topics.replace([TopicConfig::new("U", 4, Permission::READ_WRITE)], version);
    assert!(topics.get("T").is_none() && topics.get("U").is_some());
    assert_eq!(topics.version(), version);
}
