//! Registration, notices and expiry.

use super::*;
use rmq_model::client::{ConsumeFromWhere, ConsumeType, MessageModel, SubscriptionData};

const LIMITS: ClientLimits = ClientLimits {
    groups_max: 3,
    members_max: 3,
    subscriptions_max: 3,
    groups_per_connection_max: 2,
    expire_ms: 120_000,
};

fn client(id: &str) -> Arc<ClientInfo> {
    Arc::new(ClientInfo {
        client_id: id.into(),
        language: Language::Java,
        version: ProtocolVersion::CURRENT,
        addr: ([10, 0, 0, 1], 4_000).into(),
    })
}

fn wants(topic: &str, version: i64) -> SubscriptionData {
    SubscriptionData { topic: topic.into(), sub_version: version, ..SubscriptionData::default() }
}

fn entry(group: &str, subscriptions: Vec<SubscriptionData>) -> ConsumerEntry {
    ConsumerEntry {
        group: group.into(),
        consume_type: ConsumeType::Passively,
        model: MessageModel::Clustering,
        from_where: ConsumeFromWhere::ConsumeFromLastOffset,
        subscriptions,
    }
}

/// A table of clients, and what was announced since it was last looked at.
struct World {
    clients: Clients,
    notices: Vec<Notice>,
}

impl World {
    fn new() -> Self {
        Self { clients: Clients::default(), notices: Vec::new() }
    }

    fn beat(&mut self, now: Millis, conn: u64, id: &str, entry: &ConsumerEntry) {
        self.beat_as(now, conn, id, entry, HeartbeatForm::V1, true).unwrap();
    }

    fn beat_as(
        &mut self,
        now: Millis,
        conn: u64,
        id: &str,
        entry: &ConsumerEntry,
        form: HeartbeatForm,
        notify: bool,
    ) -> Result<bool, RegisterError> {
        self.clients.register_consumer(
            now,
            ConnId(conn),
            &client(id),
            entry,
            form,
            notify,
            PropertyFilter::Off,
            &mut self.notices,
        )
    }

    /// Group and connections of the notices so far.
    fn told(&mut self) -> Vec<(String, Vec<u64>)> {
        let notices = std::mem::take(&mut self.notices).into_iter();
        notices
            .map(|n| (n.group.to_string(), n.conns.iter().map(|conn| conn.0).collect()))
            .collect()
    }
}

#[test]
fn a_group_hears_of_new_members_and_topics_only() {
    let mut world = World::new();
    let all = |conns: &[u64]| vec![("G".to_owned(), conns.to_vec())];
    world.beat(0, 1, "a", &entry("G", vec![wants("T", 1)]));
    assert_eq!(world.told(), all(&[1]), "first member");
    world.beat(1, 1, "a", &entry("G", vec![wants("T", 1)]));
    assert_eq!(world.told(), [], "nothing new");
    world.beat(2, 2, "b", &entry("G", vec![wants("T", 1)]));
    assert_eq!(world.told(), all(&[1, 2]), "second member");
    world.beat(3, 2, "b", &entry("G", vec![wants("T", 2)]));
    assert_eq!(world.told(), [], "a newer version alone");
    world.beat(4, 2, "b", &entry("G", vec![wants("T", 2), wants("U", 2)]));
    assert_eq!(world.told(), all(&[1, 2]), "a topic more");
    world.beat(5, 1, "a", &entry("G", vec![wants("T", 2)]));
    assert_eq!(world.told(), all(&[1, 2]), "a topic less");
    world.beat(6, 1, "c", &entry("G", vec![wants("T", 2)]));
    assert_eq!(world.told(), all(&[1, 2]), "another client id on the connection");
}

#[test]
fn subscriptions_follow_the_newest_version_and_the_latest_set() {
    let mut world = World::new();
    let tagged = |version, expression: &str| SubscriptionData {
        sub_string: expression.into(),
        ..wants("T", version)
    };
    let expression = |world: &World| {
        world.clients.subscription("G", "T").map(|found| found.data.sub_string.to_string())
    };
    world.beat(0, 1, "a", &entry("G", vec![tagged(5, "five")]));
    for (version, text, want) in
        [(4, "four", "five"), (5, "other", "five"), (6, "six", "six"), (5, "back", "six")]
    {
        world.beat(0, 1, "a", &entry("G", vec![tagged(version, text)]));
        assert_eq!(expression(&world).as_deref(), Some(want), "version {version}");
    }
    let found = world.clients.subscription("G", "T").unwrap();
    assert!(found.matcher.as_ref().unwrap().accepts(rmq_record::tags_code("six")));
    world.beat(0, 2, "b", &entry("G", vec![wants("U", 1)]));
    assert_eq!(expression(&world), None, "consumers of one group overwrite each other");
    assert!(world.clients.subscription("G", "U").is_some());
    assert!(world.clients.subscription("H", "U").is_none());
}

#[test]
fn an_expression_that_is_not_supported_is_kept_with_its_refusal() {
    let mut world = World::new();
    let sql = SubscriptionData { expression_type: "SQL92".into(), ..wants("T", 1) };
    world.beat(0, 1, "a", &entry("G", vec![sql]));
    let found = world.clients.subscription("G", "T").unwrap();
    assert!(matches!(found.matcher, Err(crate::filter::FilterError::Unsupported { .. })));
}

#[test]
fn nobody_is_told_when_broadcasting_or_switched_off() {
    let mut world = World::new();
    let broadcast = ConsumerEntry { model: MessageModel::Broadcasting, ..entry("G", vec![]) };
    world.beat(0, 1, "a", &broadcast);
    world.beat(0, 2, "b", &broadcast);
    world.clients.closed(ConnId(1), &mut world.notices);
    assert_eq!(world.told(), []);
    let quiet = entry("H", vec![wants("T", 1)]);
    world.beat_as(0, 1, "a", &quiet, HeartbeatForm::V1, false).unwrap();
    world.beat_as(0, 2, "b", &quiet, HeartbeatForm::V1, false).unwrap();
    assert_eq!(world.told(), []);
}

#[test]
fn the_latest_heartbeat_decides_for_the_group() {
    let mut world = World::new();
    world.beat(0, 1, "a", &entry("G", vec![]));
    let pull = ConsumerEntry {
        consume_type: ConsumeType::Actively,
        model: MessageModel::Broadcasting,
        from_where: ConsumeFromWhere::ConsumeFromTimestamp,
        ..entry("G", vec![])
    };
    world.beat(0, 2, "b", &pull);
    let group = world.clients.consumer_group("G").unwrap();
    assert_eq!(
        (group.consume_type, group.model, group.from_where),
        (pull.consume_type, pull.model, pull.from_where)
    );
}

#[test]
fn a_heartbeat_without_subscriptions_asks_for_them_when_they_are_unknown() {
    let mut world = World::new();
    let full = |fingerprint| HeartbeatForm::Full { fingerprint };
    let short = |fingerprint| HeartbeatForm::WithoutSubscriptions { fingerprint };
    let with = entry("G", vec![wants("T", 1)]);
    let without = entry("G", vec![]);
    for (form, entry, again, why) in [
        (short(1), &without, true, "the broker was restarted"),
        (full(1), &with, false, "first full form"),
        (short(1), &without, false, "the same"),
        (short(2), &without, true, "changed at the client"),
        (full(2), &with, true, "as the reference: stored one differs"),
        (short(2), &without, false, "now known"),
        (HeartbeatForm::V1, &with, true, "always for the first form"),
    ] {
        assert_eq!(world.beat_as(0, 1, "a", entry, form, true), Ok(again), "{why}");
    }
    assert!(world.clients.subscription("G", "T").is_some(), "short forms keep the table");
}

#[test]
fn heartbeat_forms() {
    assert_eq!(HeartbeatForm::of(0, true), HeartbeatForm::V1);
    assert_eq!(HeartbeatForm::of(0, false), HeartbeatForm::V1);
    assert_eq!(HeartbeatForm::of(7, false), HeartbeatForm::Full { fingerprint: 7 });
    let short = HeartbeatForm::WithoutSubscriptions { fingerprint: 7 };
    assert_eq!(HeartbeatForm::of(7, true), short);
}

#[test]
fn leaving_tells_those_who_stay() {
    let mut world = World::new();
    for (conn, id) in [(1, "a"), (2, "b"), (3, "c")] {
        world.beat(0, conn, id, &entry("G", vec![wants("T", 1)]));
    }
    world.told();
    world.clients.unregister(ConnId(1), None, Some("G"), &mut world.notices);
    assert_eq!(world.told(), [("G".to_owned(), vec![2, 3])]);
    world.clients.unregister(ConnId(1), Some("x"), Some("G"), &mut world.notices);
    world.clients.unregister(ConnId(2), Some(""), Some(""), &mut world.notices);
    assert_eq!(world.told(), [], "not a member, no group");
    world.clients.closed(ConnId(2), &mut world.notices);
    assert_eq!(world.told(), [("G".to_owned(), vec![3])]);
    world.clients.closed(ConnId(3), &mut world.notices);
    assert_eq!(world.told(), [], "nobody is left");
    assert!(world.clients.consumer_group("G").is_none());
    assert!(world.clients.subscription("G", "T").is_none(), "its table is gone with it");
}

#[test]
fn clients_without_heartbeat_expire() {
    let mut world = World::new();
    world.beat(0, 1, "a", &entry("G", vec![]));
    world.beat(0, 2, "b", &entry("G", vec![]));
    world.beat(10_000, 3, "c", &entry("G", vec![]));
    world.clients.register_producer(0, ConnId(1), &client("a"), "P").unwrap();
    world.clients.register_producer(20_000, ConnId(3), &client("c"), "P").unwrap();
    world.told();
    let mut stale = Vec::new();
    for now in [60_000, 120_000] {
        world.clients.expire(now, &mut world.notices, &mut stale);
        assert_eq!((world.told(), stale.len()), (vec![], 0), "120 s are not over");
    }
    world.clients.expire(120_001, &mut world.notices, &mut stale);
    assert_eq!(stale, [ConnId(1), ConnId(2)]);
    assert_eq!(world.told(), [("G".to_owned(), vec![3])], "one notice for both");
    assert_eq!(world.clients.producer_group("P").unwrap().members().len(), 1);
    world.clients.expire(140_000, &mut world.notices, &mut stale);
    world.clients.expire(200_000, &mut world.notices, &mut stale);
    assert_eq!(world.clients.consumer_groups().count(), 0);
    assert_eq!(world.clients.producer_groups().count(), 0);
    assert_eq!(world.told(), []);
}

#[test]
fn nobody_expires_because_the_clock_jumped() {
    let mut world = World::new();
    let mut stale = Vec::new();
    world.beat(0, 1, "a", &entry("G", vec![]));
    world.clients.register_producer(0, ConnId(1), &client("a"), "P").unwrap();
    world.told();
    for now in [10_000, 500_000, 1_000, 11_000, 61_000, 121_000] {
        world.clients.expire(now, &mut world.notices, &mut stale);
        assert_eq!((world.told(), stale.len()), (vec![], 0), "at {now}");
    }
    world.clients.expire(121_001, &mut world.notices, &mut stale);
    assert_eq!(stale, [ConnId(1)], "120 s after the last jump");
}

#[test]
fn members_are_found_by_group_and_client_id() {
    let mut world = World::new();
    world.beat(0, 1, "a", &entry("G", vec![wants("T", 1)]));
    world.beat(5, 2, "b", &entry("G", vec![wants("T", 1)]));
    world.beat(5, 3, "b", &entry("G", vec![wants("T", 1)]));
    world.beat(5, 2, "b", &entry("H", vec![wants("U", 1)]));
    let found = world.clients.consumer("G", "a").unwrap();
    assert_eq!((found.conn, found.last_seen), (ConnId(1), 0));
    assert_eq!(world.clients.consumer("G", "b").unwrap().conn, ConnId(3), "the newest");
    assert!(world.clients.consumer("G", "x").is_none());
    assert!(world.clients.consumer("H", "a").is_none());
    let group = world.clients.consumer_group("G").unwrap();
    assert_eq!(group.members().len(), 3);
    assert_eq!(group.client_ids(), ["a".into(), "b".into()], "an id twice counts once");
    let groups: Vec<_> = world.clients.groups_of_topic("U").map(|group| &**group).collect();
    assert_eq!(groups, ["H"]);
}

#[test]
fn producers_are_found_by_client_id() {
    let mut clients = Clients::default();
    let register = |clients: &mut Clients, conn, id, group| {
        clients.register_producer(0, ConnId(conn), &client(id), group).unwrap();
    };
    register(&mut clients, 1, "a", "P");
    register(&mut clients, 1, "a", "Q");
    register(&mut clients, 2, "b", "P");
    assert_eq!(clients.producer("a"), Some(ConnId(1)));
    clients.unregister(ConnId(1), Some("P"), None, &mut Vec::new());
    assert_eq!(clients.producer("a"), Some(ConnId(1)), "still in the other group");
    assert_eq!(clients.producer_group("P").unwrap().members().len(), 1);
    clients.unregister(ConnId(1), Some("Q"), None, &mut Vec::new());
    assert_eq!(clients.producer("a"), None);
    assert!(clients.producer_group("Q").is_none());

    register(&mut clients, 3, "b", "P"); // a reconnect, before the old connection is closed
    clients.closed(ConnId(2), &mut Vec::new());
    assert_eq!(clients.producer("b"), Some(ConnId(3)));
    register(&mut clients, 3, "c", "P");
    assert_eq!((clients.producer("b"), clients.producer("c")), (None, Some(ConnId(3))));
}

#[test]
fn any_producer_of_a_group_can_be_picked() {
    let mut clients = Clients::default();
    assert!(ProducerGroup::default().pick(3).is_none());
    for conn in [1, 2] {
        clients.register_producer(0, ConnId(conn), &client("a"), "P").unwrap();
    }
    let group = clients.producer_group("P").unwrap();
    let picked: Vec<_> = (0..3).map(|turn| group.pick(turn).unwrap().conn.0).collect();
    assert_eq!(picked, [1, 2, 1]);
}

#[test]
fn every_table_has_a_bound() {
    let mut world = World { clients: Clients::new(LIMITS), notices: Vec::new() };
    let mut beat = |conn, group: &str, topics: usize| {
        let topics = (0..topics).map(|n| wants(&format!("T{n}"), 1)).collect();
        world.beat_as(0, conn, "a", &entry(group, topics), HeartbeatForm::V1, true).err()
    };
    assert_eq!(beat(1, "A", 4), Some(RegisterError::Subscriptions { max: 3 }));
    assert_eq!(beat(1, "A", 3), None);
    assert_eq!(beat(1, "B", 0), None);
    assert_eq!(beat(1, "C", 0), Some(RegisterError::GroupsPerConnection { max: 2 }));
    assert_eq!(beat(2, "C", 0), None);
    assert_eq!(beat(2, "D", 0), Some(RegisterError::Groups { max: 3 }));
    assert_eq!(beat(2, "A", 0), None);
    assert_eq!(beat(3, "A", 0), None);
    assert_eq!(beat(4, "A", 0), Some(RegisterError::Members { max: 3 }));
    assert_eq!(beat(3, "A", 0), None, "known members stay welcome");

    let mut produce =
        |conn, group| world.clients.register_producer(0, ConnId(conn), &client("a"), group).err();
    assert_eq!(produce(1, "A"), None);
    assert_eq!(produce(1, "B"), None);
    assert_eq!(produce(1, "C"), Some(RegisterError::GroupsPerConnection { max: 2 }));
    assert_eq!(produce(2, "C"), None);
    assert_eq!(produce(2, "D"), Some(RegisterError::Groups { max: 3 }));
    assert_eq!(produce(2, "A"), None);
    assert_eq!(produce(3, "A"), None);
    assert_eq!(produce(4, "A"), Some(RegisterError::Members { max: 3 }));
    assert_eq!(produce(3, "A"), None);
}
