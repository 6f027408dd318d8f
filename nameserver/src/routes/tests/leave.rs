//! Brokers that go, and what the others are told.

use super::*;

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
