//! What administrators change and see; bounds.

use super::*;

#[test]
fn permissions_are_wiped_and_given_back() {
    let mut r = routes(Rules::default());
    let mut with_template = table(1, &["A", "B"]);
    let template = QueueEntry::new(8, Permission::READ_WRITE_INHERIT);
    with_template.topics.push(("TBW102".into(), template));
    register(&mut r, head("b", "1:1", 0), with_template);
    let mut out = Effects::default();
    assert_eq!(r.wipe_write("b", &mut out), 3);
    assert_eq!((perm(&r, "A", "b"), perm(&r, "TBW102", "b")), (4, 5));
    assert_eq!(out.routes.len(), 3);
    assert_eq!(r.add_write("b", &mut out), 3);
    assert_eq!((perm(&r, "A", "b"), perm(&r, "TBW102", "b")), (6, 6), "inherit goes as well");
    assert_eq!((r.wipe_write("x", &mut out), r.add_write("x", &mut out)), (0, 0));
}

#[test]
fn a_topic_can_be_put_on_known_brokers() {
    let mut r = routes(Rules::default());
    register(&mut r, head("b", "1:1", 0), table(1, &["A", "B"]));
    let entry = QueueEntry::new(4, Permission(4));
    let mut out = Effects::default();
    assert_eq!(r.put_topic("N", [("x".into(), entry)], &mut out), 0);
    assert_eq!((r.route("N"), &out), (None, &Effects::default()));
    assert_eq!(r.put_topic("N", [("x".into(), entry), ("b".into(), entry)], &mut out), 1);
    r.check();
    assert_eq!(names(&out.routes), ["N"]);
    assert_eq!(perm(&r, "N", "b"), 4);
    r.put_topic("A", [("b".into(), entry)], &mut out);
    r.check();
    assert_eq!(perm(&r, "A", "b"), 4);
}

#[test]
fn filter_servers_are_kept_replaced_or_removed() {
    let with = |servers: Option<&[&str]>| Table {
        filter_servers: servers.map(|s| s.iter().map(|s| (*s).to_owned()).collect()),
        ..table(1, &["A", "B"])
    };
    let mut r = routes(Rules::default());
    for (sent, expected) in [
        (None, vec![]),
        (Some(&["f:1"][..]), vec!["f:1"]),
        (None, vec!["f:1"]),
        (Some(&["f:2", "f:3"]), vec!["f:2", "f:3"]),
        (Some(&[]), vec![]),
    ] {
        register(&mut r, head("b", "1:1", 0), with(sent));
        let view = r.route("A").expect("a route");
        let shown: Vec<&str> =
            view.filter_servers.get("1:1").into_iter().flatten().map(String::as_str).collect();
        assert_eq!(shown, expected, "{sent:?}");
    }
}

#[test]
fn static_mappings_are_shown_and_go_with_their_broker() {
    let mut r = routes(Rules::default());
    let mapping = Arc::new(serde_json::json!({"bname": "b", "epoch": 3}));
    let mapped = Table {
        mappings: vec![("A".into(), "b".into(), Arc::clone(&mapping))],
        ..table(1, &["A", "B"])
    };
    register(&mut r, head("b", "1:1", 0), mapped);
    let view = r.route("A").expect("a route");
    assert_eq!(view.mappings.get("b"), Some(&mapping));
    assert!(r.route("B").expect("a route").mappings.is_empty());
    leave(&mut r, "b", "1:1");
    register(&mut r, head("b", "1:1", 0), table(1, &["A", "B"]));
    assert!(r.route("A").expect("a route").mappings.is_empty());
}

#[test]
fn a_zone_sees_its_brokers_and_those_without_master() {
    let mut r = routes(Rules::default());
    let zoned = |broker, addr, id, zone| Head { zone, ..head(broker, addr, id) };
    register(&mut r, zoned("east", "1:1", 0, Some("East")), table(1, &["A", "B"]));
    register(&mut r, zoned("west", "2:1", 0, Some("west")), table(1, &["A", "B"]));
    register(&mut r, zoned("plain", "3:1", 0, None), table(1, &["A", "B"]));
    register(&mut r, zoned("lost", "4:1", 0, Some("west")), table(1, &["A", "B"]));
    register(&mut r, zoned("lost", "4:2", 1, Some("west")), table(1, &[]));
    leave(&mut r, "lost", "4:1");
    let view = r.route("A").expect("a route").in_zone("EAST");
    let brokers: Vec<&str> = view.brokers.iter().map(|broker| &*broker.name).collect();
    let queues: Vec<&str> = view.queues.iter().map(|(name, _)| &**name).collect();
    assert_eq!((brokers, queues), (vec!["east", "lost"], vec!["east", "lost"]));
}

#[test]
fn broker_names_are_global() {
    let mut r = routes(Rules::default());
    register(&mut r, head("b", "1:1", 0), table(1, &["A", "B"]));
    register(&mut r, Head { cluster: "Other", ..head("b", "2:1", 1) }, table(1, &[]));
    let view = r.members("b").expect("it is there");
    assert_eq!((&*view.cluster, view.addrs.len()), (C, 2), "the first cluster stays");
    let clusters: Vec<&str> = r.clusters().keys().map(|name| &**name).collect();
    assert_eq!(clusters, [C, "Other"]);
}

#[test]
fn lists_for_administrators() {
    let mut r = routes(Rules::default());
    assert_eq!(r.system_topics(), (vec![], None));
    let mut unit = table(1, &["plain", "unit", "sub", "both"]);
    for ((_, entry), flag) in unit.topics.iter_mut().zip([0, 1, 2, 3]) {
        entry.topic_sys_flag = flag;
    }
    register(&mut r, head("b", "2:1", 1), table(1, &[]));
    register(&mut r, head("a", "1:1", 0), unit);
    for (which, expected) in [
        (UnitTopics::Unit, vec!["both", "unit"]),
        (UnitTopics::UnitSub, vec!["both", "sub"]),
        (UnitTopics::UnitSubNotUnit, vec!["sub"]),
    ] {
        assert_eq!(names(&r.unit_topics(which)), expected, "{which:?}");
    }
    let (topics, addr) = r.system_topics();
    assert_eq!((names(&topics), addr.as_deref()), (vec![C, "a", "b"], Some("1:1")));
    assert_eq!(r.brokers().len(), 2);
}

#[test]
fn full_tables_and_bad_names_refuse_without_a_change() {
    let limits = Limits { brokers: 1, addresses: 2, topics: 2, name_bytes: 20 };
    let mut r = Routes::new(Rules::default(), limits);
    register(&mut r, head("b", "1:1", 0), table(1, &["A", "B"]));
    let before = format!("{r:?}");
    let long = "x".repeat(21);
    let cases = [
        (head("c", "1:1", 0), table(1, &[]), "brokers"),
        (head("b", "1:1", 0), table(2, &["C"]), "topics"),
        (head("", "1:1", 0), table(2, &[]), "brokerName"),
        (head("b", &long, 0), table(2, &[]), "brokerAddr"),
        (Head { cluster: "", ..head("b", "1:1", 0) }, table(2, &[]), "clusterName"),
        (Head { ha_addr: &long, ..head("b", "1:1", 0) }, table(2, &[]), "haServerAddr"),
    ];
    for (head, table, what) in cases {
        let refused = r.register(Duration::ZERO, head, table, None, &mut Effects::default());
        let error = refused.expect_err(what);
        assert!(error.to_string().contains(what), "{error}");
        assert_eq!(format!("{r:?}"), before, "{what}");
    }
    register(&mut r, head("b", "2:1", 1), table(1, &[]));
    let third = r.register(
        Duration::ZERO,
        head("b", "3:1", 2),
        table(1, &[]),
        None,
        &mut Effects::default(),
    );
    assert!(third.is_err_and(|error| error.to_string().contains("addresses")));
    // Topics with impossible names are passed over.
    let limits = Limits { topics: 9, ..limits };
    let mut r = Routes::new(Rules::default(), limits);
    register(&mut r, head("b", "1:1", 0), table(1, &["", &"t".repeat(256), "A"]));
    assert_eq!(names(&r.topics()), ["A"]);
}
