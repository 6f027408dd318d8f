//! Registrations, and topics that are deleted.

use super::*;

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
