//! One test per rule of the tables; every one ends with a check of the invariants.

use super::*;
use std::time::Duration;

const C: &str = "DefaultCluster";

fn rules(acting: bool, notify: bool) -> Rules {
    Rules {
        support_acting_master: acting,
        notify_min_broker_id_changed: notify,
        delete_topic_with_registration: false,
    }
}

fn routes(rules: Rules) -> Routes {
    Routes::new(rules, Limits::default())
}

fn head<'a>(broker: &'a str, addr: &'a str, id: i64) -> Head<'a> {
    Head {
        cluster: C,
        broker,
        addr,
        ha_addr: "ha",
        id,
        timeout: None,
        acting_master: None,
        zone: None,
        conn: 1,
    }
}

fn version(counter: i64, state_version: i64) -> DataVersion {
    DataVersion { counter, state_version, timestamp: 5 }
}

fn table(counter: i64, topics: &[&str]) -> Table {
    let entry = QueueEntry::new(8, Permission::READ_WRITE);
    Table {
        version: version(counter, 0),
        topics: topics.iter().map(|topic| (Arc::from(*topic), entry)).collect(),
        ..Table::default()
    }
}

/// Registers and checks the tables; what must happen outside.
fn register(routes: &mut Routes, head: Head<'_>, table: Table) -> (Registered, Effects) {
    register_at(routes, Duration::ZERO, head, table)
}

fn register_at(
    routes: &mut Routes,
    now: Duration,
    head: Head<'_>,
    table: Table,
) -> (Registered, Effects) {
    let mut out = Effects::default();
    let done = routes.register(now, head, table, Some(7), &mut out).expect("the tables have room");
    routes.check();
    (done, out)
}

fn leave(routes: &mut Routes, broker: &str, addr: &str) -> Effects {
    let mut out = Effects::default();
    let one = Leaving { cluster: C.into(), broker: broker.into(), addr: addr.into() };
    routes.leave(&[one], &mut out);
    routes.check();
    out
}

fn addrs(routes: &Routes, broker: &str) -> Vec<(i64, String)> {
    let members = routes.members(broker).map(|view| view.addrs).unwrap_or_default();
    members.iter().map(|(id, addr)| (*id, addr.to_string())).collect()
}

fn perm(routes: &Routes, topic: &str, broker: &str) -> u32 {
    let view = routes.route(topic).expect("the topic has a route");
    let entry = view.queues.iter().find(|(name, _)| **name == *broker);
    entry.map(|(_, entry)| entry.perm.0).expect("the broker has the topic")
}

fn names(topics: &[Arc<str>]) -> Vec<&str> {
    topics.iter().map(|topic| &**topic).collect()
}

#[test]
fn a_first_registration_is_taken_even_with_one_topic() {
    for topics in [&["T"][..], &["T", "U"], &[]] {
        let mut r = routes(Rules::default());
        let (done, out) = register(&mut r, head("b", "1:1", 0), table(1, topics));
        assert_eq!(done, Registered::default());
        assert!(out.all_routes);
        assert_eq!(names(&r.topics()), topics);
        assert_eq!(addrs(&r, "b"), [(0, "1:1".to_owned())]);
        assert_eq!(r.version(C, "1:1"), Some(version(1, 0)));
        assert_eq!(
            r.sizes(),
            Sizes { topics: topics.len(), brokers: 1, clusters: 1, addresses: 1 }
        );
    }
}

#[test]
fn an_incremental_registration_keeps_the_other_topics() {
    let mut r = routes(Rules::default());
    register(&mut r, head("b", "1:1", 0), table(1, &["A", "B"]));
    let (_, out) = register(&mut r, head("b", "1:1", 0), table(2, &["N"]));
    assert_eq!(names(&r.topics()), ["A", "B", "N"]);
    assert_eq!((out.all_routes, names(&out.routes)), (false, vec!["N"]));
}

#[test]
fn absent_topics_go_only_when_asked_for() {
    let on = Rules { delete_topic_with_registration: true, ..Rules::default() };
    let mut r = routes(on);
    register(&mut r, head("b", "1:1", 0), table(1, &["A", "B"]));
    register(&mut r, head("c", "2:1", 0), table(1, &["A", "B"]));
    let (_, out) = register(&mut r, head("b", "1:1", 0), table(2, &["B", "N"]));
    assert_eq!(names(&r.topics()), ["A", "B", "N"]);
    assert_eq!(names(&out.routes), ["A", "N"]);
    let of_a = r.route("A").expect("c still has it");
    assert_eq!(of_a.queues.len(), 1);
    // Static topics: nothing is removed.
    let mapped = Table {
        mappings: vec![("M".into(), "b".into(), Arc::new(serde_json::json!({"epoch": 1})))],
        ..table(3, &["N"])
    };
    register(&mut r, head("b", "1:1", 0), mapped);
    assert_eq!(names(&r.topics()), ["A", "B", "N"]);
}

#[test]
fn a_new_address_wins_unless_the_old_one_has_a_newer_state() {
    let with_state = |state| Table { version: version(1, state), ..table(1, &["A", "B"]) };
    for (old_state, new_state, winner) in [(0, 0, "2:1"), (1, 2, "2:1"), (3, 2, "1:1")] {
        let mut r = routes(Rules::default());
        register(&mut r, head("b", "1:1", 0), with_state(old_state));
        let (done, _) = register(&mut r, head("b", "2:1", 0), with_state(new_state));
        assert_eq!(done, Registered::default());
        assert_eq!(addrs(&r, "b"), [(0, winner.to_owned())], "{old_state} {new_state}");
        // The old live entry stays until it expires; a refused one is not kept.
        assert!(r.version(C, "1:1").is_some());
        assert_eq!(r.version(C, "2:1").is_some(), winner == "2:1");
    }
}

#[test]
fn a_newer_state_counts_only_while_it_lives() {
    let with_state = |state| Table { version: version(1, state), ..table(1, &["A", "B"]) };
    let mut r = routes(Rules::default());
    register(&mut r, head("b", "1:1", 0), with_state(9));
    register(&mut r, head("b", "3:1", 1), with_state(9));
    let mut out = Effects::default();
    r.refresh(Duration::from_secs(100), C, "3:1");
    r.expire(Duration::from_secs(121), &mut out);
    register(&mut r, head("b", "2:1", 0), with_state(1));
    assert_eq!(addrs(&r, "b"), [(0, "2:1".to_owned()), (1, "3:1".to_owned())]);
}

#[test]
fn a_process_that_changes_its_role_keeps_one_id() {
    let mut r = routes(Rules::default());
    register(&mut r, head("b", "1:1", 1), table(1, &["A", "B"]));
    assert_eq!(r.topics().len(), 0, "a slave of an old version brings no topics");
    register(&mut r, head("b", "1:1", 0), table(1, &["A", "B"]));
    assert_eq!(addrs(&r, "b"), [(0, "1:1".to_owned())]);
    assert_eq!(names(&r.topics()), ["A", "B"]);
}

#[test]
fn topics_come_from_the_master_or_the_smallest_slave_that_knows_acting_masters() {
    for (acting, topics, expected_perm) in [(None, 0, 0), (Some(false), 2, 6), (Some(true), 2, 4)] {
        let mut r = routes(Rules::default());
        let slave = Head { acting_master: acting, ..head("b", "2:1", 2) };
        register(&mut r, slave, table(1, &["A", "B"]));
        assert_eq!(r.topics().len(), topics, "{acting:?}");
        if expected_perm != 0 {
            assert_eq!(perm(&r, "A", "b"), expected_perm, "{acting:?}");
        }
        // Not the smallest: its topics do not count.
        let other = Head { acting_master: acting, ..head("b", "3:1", 3) };
        register(&mut r, other, table(1, &["X", "Y"]));
        assert_eq!(r.topics().len(), topics, "{acting:?}");
    }
}

#[test]
fn a_topic_is_updated_when_the_version_differs_or_it_is_missing() {
    let changed = |counter, perm| {
        let mut table = table(counter, &["A", "B"]);
        for (_, entry) in &mut table.topics {
            entry.perm = Permission(perm);
        }
        table
    };
    let mut r = routes(Rules::default());
    register(&mut r, head("b", "1:1", 0), changed(1, 6));
    register(&mut r, head("b", "1:1", 0), changed(1, 4));
    assert_eq!(perm(&r, "A", "b"), 6, "same version: nothing is looked at");
    register(&mut r, head("b", "1:1", 0), changed(2, 4));
    assert_eq!(perm(&r, "A", "b"), 4);
    let late = Duration::from_secs(60);
    r.delete_topic(Duration::ZERO, "A", None, &mut Effects::default());
    register_at(&mut r, late, head("b", "1:1", 0), changed(2, 2));
    assert_eq!((perm(&r, "A", "b"), perm(&r, "B", "b")), (2, 4), "only the missing one is added");
    // An older version is a different one.
    register_at(&mut r, late, head("b", "1:1", 0), changed(1, 7));
    assert_eq!(perm(&r, "B", "b"), 7);
    // Another address under the id counts as first.
    register_at(&mut r, late, head("b", "9:1", 0), changed(1, 6));
    assert_eq!(perm(&r, "B", "b"), 6);
}

#[test]
fn a_slave_learns_its_master_while_that_lives() {
    let mut r = routes(Rules::default());
    let (done, _) = register(&mut r, head("b", "2:1", 1), table(1, &[]));
    assert_eq!(done.master, None);
    let master = Head { ha_addr: "1:2", ..head("b", "1:1", 0) };
    let (done, _) = register(&mut r, master, table(1, &["A", "B"]));
    assert_eq!(done.master, None, "a master is told nothing");
    let (done, _) = register(&mut r, head("b", "2:1", 1), table(1, &[]));
    assert_eq!(done.master, Some(("1:1".into(), "1:2".into())));
}

#[test]
fn a_repeated_registration_only_refreshes() {
    let mut r = routes(Rules::default());
    let first = head("b", "1:1", 0);
    register(&mut r, first, table(1, &["A", "B"]));
    let late = Duration::from_secs(100);
    let again = Head { conn: 2, ..first };
    assert_eq!(r.repeat(late, again, 7), Some(Registered::default()));
    let mut out = Effects::default();
    r.expire(Duration::from_secs(219), &mut out);
    assert_eq!((r.sizes().addresses, &out), (1, &Effects::default()));
    assert!(r.closed(1, &mut out).is_empty(), "the new connection counts");

    for (what, head, print) in [
        ("another body", first, 8),
        ("another broker", head("c", "1:1", 0), 7),
        ("another address", head("b", "2:1", 0), 7),
        ("another id", head("b", "1:1", 1), 7),
        ("another cluster", Head { cluster: "X", ..first }, 7),
        ("another zone", Head { zone: Some("z"), ..first }, 7),
        ("acting master", Head { acting_master: Some(true), ..first }, 7),
        ("another replication address", Head { ha_addr: "x", ..first }, 7),
    ] {
        assert_eq!(r.repeat(late, head, print), None, "{what}");
    }
    r.delete_topic(late, "A", None, &mut out);
    assert_eq!(r.repeat(late, first, 7), None, "a topic was deleted meanwhile");
    // Left out because it was under way: the next one must be looked at again.
    register_at(&mut r, late, first, table(1, &["A", "B"]));
    assert_eq!(names(&r.topics()), ["B"]);
    assert_eq!(r.repeat(late, first, 7), None);
    register_at(&mut r, late + DELETED_FOR, first, table(1, &["A", "B"]));
    assert_eq!(names(&r.topics()), ["A", "B"]);
    assert!(r.repeat(late, first, 7).is_some());
    // Wiped permissions survive repetition.
    assert_eq!(r.wipe_write("b", &mut out), 2);
    assert!(r.repeat(late, first, 7).is_some());
    assert_eq!(perm(&r, "A", "b"), 4);
    // A member that joins changes who is who.
    register_at(&mut r, late, head("b", "2:1", 1), table(1, &[]));
    assert_eq!(r.repeat(late, first, 7), None);
}

#[test]
fn a_deleted_topic_is_not_brought_back_by_what_was_under_way() {
    let now = Duration::from_secs(50);
    let cases = [
        ("same version", table(5, &["A", "B"]), now, false),
        ("older version", table(4, &["A", "B"]), now, false),
        ("newer version", table(6, &["A", "B"]), now, true),
        ("the topic alone", table(5, &["A"]), now, true),
        ("later", table(5, &["A", "B"]), now + DELETED_FOR, true),
    ];
    for (what, again, at, back) in cases {
        let mut r = routes(Rules::default());
        register_at(&mut r, now, head("b", "1:1", 0), table(5, &["A", "B"]));
        r.delete_topic(now, "A", None, &mut Effects::default());
        register_at(&mut r, at, head("b", "1:1", 0), again);
        assert_eq!(r.route("A").is_some(), back, "{what}");
        assert!(r.route("B").is_some(), "{what}");
    }
}

#[test]
fn deleting_can_be_limited_to_a_cluster() {
    let mut r = routes(Rules::default());
    register(&mut r, head("b", "1:1", 0), table(1, &["A", "B"]));
    let other = Head { cluster: "Other", ..head("o", "2:1", 0) };
    register(&mut r, other, table(1, &["A", "B"]));
    let mut out = Effects::default();
    r.delete_topic(Duration::ZERO, "A", Some("Nowhere"), &mut out);
    r.delete_topic(Duration::ZERO, "Unknown", None, &mut out);
    assert_eq!(out, Effects::default());
    r.delete_topic(Duration::ZERO, "A", Some("Other"), &mut out);
    r.check();
    assert_eq!(names(&out.routes), ["A"]);
    assert_eq!(r.route("A").expect("on b").queues.len(), 1);
    assert_eq!(names(&r.topics_of_cluster("Other")), ["B"]);
    assert_eq!(names(&r.topics_of_cluster(C)), ["A", "B"]);
    assert!(r.topics_of_cluster("Nowhere").is_empty());
    r.delete_topic(Duration::ZERO, "A", None, &mut out);
    r.check();
    assert_eq!(r.route("A"), None);
}

#[test]
fn silence_ends_an_address_after_its_time() {
    let mut r = routes(Rules::default());
    let short = Head { timeout: Some(Duration::from_secs(10)), conn: 5, ..head("s", "1:1", 0) };
    register(&mut r, short, table(1, &["A", "B"]));
    register(&mut r, Head { conn: 6, ..head("l", "2:1", 0) }, table(1, &["A", "B"]));
    for (at, left, closed) in
        [(10, 2, vec![]), (11, 1, vec![5]), (120, 1, vec![]), (121, 0, vec![6])]
    {
        let mut out = Effects::default();
        r.expire(Duration::from_secs(at), &mut out);
        r.check();
        assert_eq!((r.sizes().addresses, out.close), (left, closed), "at {at} s");
    }
    assert_eq!(r.sizes(), Sizes::default());
    assert!(r.topics().is_empty());
}

#[test]
fn a_refreshed_address_lives_on() {
    let mut r = routes(Rules::default());
    register(&mut r, head("b", "1:1", 0), table(1, &["A", "B"]));
    assert!(r.refresh(Duration::from_secs(100), C, "1:1"));
    assert!(!r.refresh(Duration::from_secs(100), C, "9:9"));
    assert!(!r.refresh(Duration::from_secs(100), "Nowhere", "1:1"));
    r.expire(Duration::from_secs(220), &mut Effects::default());
    assert_eq!(r.sizes().addresses, 1);
}

#[test]
fn a_closed_connection_takes_its_addresses_but_no_others() {
    let mut r = routes(Rules::default());
    register(&mut r, Head { conn: 1, ..head("b", "1:1", 0) }, table(1, &["A", "B"]));
    register(&mut r, Head { conn: 1, ..head("c", "1:2", 0) }, table(1, &["C", "D"]));
    register(&mut r, Head { conn: 1, ..head("d", "1:3", 0) }, table(1, &["E", "F"]));
    // It came back on a new connection before the old one was seen to close.
    register(&mut r, Head { conn: 2, ..head("d", "1:3", 0) }, table(1, &["E", "F"]));
    let mut out = Effects::default();
    let gone: Vec<String> =
        r.closed(1, &mut out).iter().map(|leaving| leaving.addr.to_string()).collect();
    r.check();
    assert_eq!((gone, out.all_routes), (vec!["1:1".to_owned(), "1:2".to_owned()], true));
    assert_eq!(names(&r.topics()), ["E", "F"]);
}

#[test]
fn an_address_that_lost_its_id_expires_alone() {
    let mut r = routes(Rules::default());
    register(&mut r, Head { conn: 1, ..head("b", "1:1", 0) }, table(1, &["A", "B"]));
    register(&mut r, Head { conn: 2, ..head("b", "2:1", 0) }, table(1, &["A", "B"]));
    r.closed(1, &mut Effects::default());
    r.check();
    assert_eq!(addrs(&r, "b"), [(0, "2:1".to_owned())]);
    assert_eq!(r.sizes().addresses, 1);
}

#[test]
fn the_last_address_takes_the_topics_along() {
    let mut r = routes(Rules::default());
    register(&mut r, head("b", "1:1", 0), table(1, &["A", "B"]));
    register(&mut r, head("b", "2:1", 1), table(1, &[]));
    register(&mut r, head("c", "3:1", 0), table(1, &["B"]));
    let out = leave(&mut r, "b", "1:1");
    assert!(out.all_routes);
    assert_eq!(perm(&r, "A", "b"), 6, "a slave without acting master leaves topics as they are");
    let out = leave(&mut r, "b", "2:1");
    assert!(out.all_routes);
    assert_eq!(names(&r.topics()), ["B"]);
    assert_eq!(r.sizes(), Sizes { topics: 1, brokers: 1, clusters: 1, addresses: 1 });
    assert_eq!(leave(&mut r, "b", "2:1"), Effects::default(), "it has gone already");
    leave(&mut r, "c", "3:1");
    assert!(r.clusters().is_empty() && r.topics().is_empty());
}

#[test]
fn without_master_an_acting_group_is_read_only_until_it_registers_anew() {
    let mut r = routes(rules(true, false));
    let master = Head { acting_master: Some(true), ..head("b", "1:1", 0) };
    let slave = Head { acting_master: Some(true), ..head("b", "2:1", 2) };
    register(&mut r, master, table(1, &["A", "rmq_sys_SYNC_BROKER_MEMBER_b"]));
    register(&mut r, slave, table(1, &[]));
    leave(&mut r, "b", "1:1");
    assert_eq!(perm(&r, "A", "b"), 4);
    let shown = |r: &Routes, topic| -> Vec<i64> {
        let view = r.route(topic).expect("a route");
        view.brokers.iter().flat_map(|broker| broker.addrs.keys().copied()).collect()
    };
    assert_eq!(shown(&r, "A"), [0], "the slave is shown as master");
    assert_eq!(shown(&r, "rmq_sys_SYNC_BROKER_MEMBER_b"), [2], "but not to its own group");
    assert_eq!(addrs(&r, "b"), [(2, "2:1".to_owned())]);
    let mut out = Effects::default();
    r.add_write("b", &mut out);
    assert_eq!(shown(&r, "A"), [2], "writable: no stand-in");
    r.wipe_write("b", &mut out);
    r.set_rules(Rules::default(), &mut out);
    assert_eq!(shown(&r, "A"), [2], "switched off");
    register(&mut r, master, table(2, &["A"]));
    assert_eq!((shown(&r, "A"), perm(&r, "A", "b")), (vec![0, 2], 6));
}

#[test]
fn brokers_are_told_when_their_smallest_id_changes() {
    let acting = |id, addr| Head { acting_master: Some(true), ..head("b", addr, id) };
    let mut r = routes(rules(false, true));
    let none: Vec<MinIdNotice> = Vec::new();
    let (_, out) = register(&mut r, acting(2, "2:1"), table(1, &[]));
    assert_eq!(out.notices, none, "an empty group counts as 0, which is not higher");
    let (_, out) = register(&mut r, acting(3, "3:1"), table(1, &[]));
    assert_eq!(out.notices, none);
    let (_, out) = register(&mut r, acting(0, "1:1"), table(1, &["A", "B"]));
    let joined = MinIdNotice {
        min_id: 0,
        min_addr: "1:1".into(),
        offline_addr: None,
        ha_addr: Some("ha".into()),
        recipients: vec!["2:1".into(), "3:1".into()],
    };
    assert_eq!(out.notices, [joined]);
    assert_eq!(leave(&mut r, "b", "3:1").notices, none);
    register(&mut r, acting(3, "3:1"), table(1, &[]));
    let lost = MinIdNotice {
        min_id: 2,
        min_addr: "2:1".into(),
        offline_addr: Some("1:1".into()),
        ha_addr: None,
        recipients: vec!["2:1".into(), "3:1".into()],
    };
    assert_eq!(leave(&mut r, "b", "1:1").notices, [lost]);
    // Only groups that know of acting masters are told of a loss, and only when it is switched on.
    for (rules, acting) in [(rules(false, true), Some(false)), (rules(false, false), Some(true))] {
        let mut r = routes(rules);
        let head = |id, addr| Head { acting_master: acting, ..head("b", addr, id) };
        register(&mut r, head(0, "1:1"), table(1, &["A", "B"]));
        register(&mut r, head(1, "2:1"), table(1, &[]));
        assert_eq!(leave(&mut r, "b", "1:1").notices, none);
    }
}

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
