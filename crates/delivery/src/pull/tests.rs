//! The table of conditions row by row, and the table of store statuses.

use super::*;
use crate::clients::{ClientInfo, Clients, ConnId, ConsumerEntry, HeartbeatForm};
use rmq_model::client::{ConsumeFromWhere, ConsumeType, SubscriptionData};
use rmq_model::peer::{Language, ProtocolVersion};

const SUBSCRIBES: PullFlags = PullFlags(sysflag::PULL_SUBSCRIPTION);
const PLAIN: PullFlags = PullFlags(0);

fn request(flags: PullFlags) -> PullRequest<'static> {
    PullRequest {
        group: "G",
        topic: "T",
        queue: 3,
        flags,
        subscription: None,
        expression_type: None,
        sub_version: 0,
        lite: false,
    }
}

/// The clients of a broker on which group `G` subscribes to `T` with the tag `a`, version 5.
fn clients(model: MessageModel) -> Clients {
    let client = Arc::new(ClientInfo {
        client_id: "c".into(),
        language: Language::Java,
        version: ProtocolVersion::CURRENT,
        addr: ([127, 0, 0, 1], 1).into(),
    });
    let sql = SubscriptionData {
        expression_type: "SQL92".into(),
        topic: "Sql".into(),
        ..SubscriptionData::default()
    };
    let entry = ConsumerEntry {
        group: "G".into(),
        consume_type: ConsumeType::Passively,
        model,
        from_where: ConsumeFromWhere::default(),
        subscriptions: vec![filter::subscription("T", Some("a"), None, 5).unwrap(), sql],
    };
    let mut clients = Clients::default();
    clients
        .register_consumer(
            0,
            ConnId(1),
            &client,
            &entry,
            HeartbeatForm::V1,
            true,
            PropertyFilter::Off,
            &mut Vec::new(),
        )
        .unwrap();
    clients
}

struct Scene {
    group: SubscriptionGroupConfig,
    topic: TopicConfig,
    clients: Clients,
}

impl Scene {
    fn new() -> Self {
        Self {
            group: SubscriptionGroupConfig::new("G"),
            topic: TopicConfig::new("T", 4, Permission::READ_WRITE),
            clients: clients(MessageModel::Clustering),
        }
    }

    fn facts(&self) -> PullFacts<'_> {
        PullFacts {
            broker: Permission::READ_WRITE,
            lite_pull: true,
            property_filter: PropertyFilter::Off,
            group: Some(&self.group),
            topic: Some(&self.topic),
            registered: self.clients.consumer_group("G"),
            read_forbidden: false,
            pending_reset: None,
        }
    }
}

fn ask(request: &PullRequest<'_>, facts: &PullFacts<'_>) -> Result<PullDecision, PullRefusal> {
    decide(request, facts, &Arc::new(Matcher::All))
}

/// Asks with and without the subscription flag: both must be refused alike.
fn refused_both_ways(
    facts: &PullFacts<'_>,
    change: impl Fn(&mut PullRequest<'static>),
) -> PullRefusal {
    let refusals = [PLAIN, SUBSCRIBES].map(|flags| {
        let mut request = request(flags);
        change(&mut request);
        ask(&request, facts).unwrap_err()
    });
    let [plain, subscribes] = refusals;
    assert_eq!(plain, subscribes);
    plain
}

#[test]
fn rows_one_to_seven_hold_for_every_pull() {
    let scene = Scene::new();
    let facts = scene.facts();
    let (group, topic) = (|| "G".to_owned(), || "T".to_owned());
    let disabled = SubscriptionGroupConfig { consume_enable: false, ..scene.group.clone() };
    let write_only = TopicConfig::new("T", 4, Permission(2));
    for (facts, want, forbidden) in [
        (PullFacts { broker: Permission(2), ..facts }, PullRefusal::BrokerNotReadable, Some(1)),
        (PullFacts { group: None, ..facts }, PullRefusal::GroupNotExist { group: group() }, None),
        (
            PullFacts { group: Some(&disabled), ..facts },
            PullRefusal::GroupDisabled { group: group() },
            Some(2),
        ),
        (PullFacts { topic: None, ..facts }, PullRefusal::TopicNotExist { topic: topic() }, None),
        (
            PullFacts { topic: Some(&write_only), ..facts },
            PullRefusal::TopicNotReadable { topic: topic() },
            Some(3),
        ),
    ] {
        let refusal = refused_both_ways(&facts, |_| {});
        assert_eq!(refusal, want);
        assert_eq!(refusal.forbidden().map(Forbidden::code), forbidden, "{refusal}");
    }
    for queue in [4, -1, i32::MAX] {
        let refusal = refused_both_ways(&facts, |request| request.queue = queue);
        assert_eq!(refusal, PullRefusal::Queue { topic: topic(), queue, queues: 4 });
    }
    let no_lite = PullFacts { lite_pull: false, ..facts };
    let refusal = refused_both_ways(&no_lite, |request| request.lite = true);
    assert_eq!(refusal, PullRefusal::LitePullDisabled);
    assert!(ask(&request(PLAIN), &no_lite).is_ok(), "an ordinary pull");
}

#[test]
fn a_carried_subscription_stands_for_itself() {
    let scene = Scene::new();
    let all = Arc::new(Matcher::All);
    let facts = PullFacts { registered: None, read_forbidden: true, ..scene.facts() };
    let read =
        |matcher: &Arc<Matcher>| Ok(PullDecision::Read { queue: 3, matcher: Arc::clone(matcher) });
    let mut carried = PullRequest { sub_version: 99, ..request(SUBSCRIBES) };
    assert_eq!(decide(&carried, &facts, &all), read(&all), "no expression is everything");
    carried.subscription = Some("b");
    let tags = Arc::new(Matcher::Tags([98].into()));
    assert_eq!(decide(&carried, &facts, &all), read(&tags));
    carried.subscription = Some("||");
    assert!(matches!(
        decide(&carried, &facts, &all),
        Err(PullRefusal::Filter(FilterError::Parse { .. }))
    ));
    carried.expression_type = Some("SQL92");
    carried.subscription = Some("a > 1");
    assert!(matches!(
        decide(&carried, &facts, &all),
        Err(PullRefusal::Filter(FilterError::Unsupported { .. }))
    ));
    carried.flags = PullFlags(sysflag::PULL_SUBSCRIPTION | sysflag::PULL_CLASS_FILTER);
    assert_eq!(decide(&carried, &facts, &all), read(&all), "class filters match everything");
}

#[test]
fn rows_nine_to_fifteen_hold_for_registered_subscriptions() {
    let scene = Scene::new();
    let facts = scene.facts();
    let (group, topic) = (|| "G".to_owned(), || "T".to_owned());
    let tags = Arc::new(Matcher::Tags([97].into()));
    let read = Ok(PullDecision::Read { queue: 3, matcher: tags });
    for sub_version in [0, 4, 5] {
        assert_eq!(ask(&PullRequest { sub_version, ..request(PLAIN) }, &facts), read);
    }
    assert_eq!(
        ask(&PullRequest { sub_version: 6, ..request(PLAIN) }, &facts),
        Err(PullRefusal::SubscriptionNotLatest { group: group(), topic: topic() })
    );
    assert_eq!(
        ask(&request(PLAIN), &PullFacts { registered: None, ..facts }),
        Err(PullRefusal::NotRegistered { group: group() })
    );
    let forbidden = ask(&request(PLAIN), &PullFacts { read_forbidden: true, ..facts }).unwrap_err();
    assert_eq!(forbidden, PullRefusal::SubscriptionForbidden { group: group(), topic: topic() });
    assert_eq!(forbidden.forbidden().map(Forbidden::code), Some(5));
    assert_eq!(
        ask(&PullRequest { topic: "U", ..request(PLAIN) }, &facts),
        Err(PullRefusal::NotSubscribed { group: group(), topic: "U".into() })
    );
    assert_eq!(
        ask(&PullRequest { topic: "Sql", ..request(PLAIN) }, &facts),
        Err(PullRefusal::Filter(FilterError::Unsupported { kind: "SQL92".into() }))
    );
}

#[test]
fn row_ten_broadcasting_must_be_enabled() {
    let mut scene = Scene::new();
    scene.clients = clients(MessageModel::Broadcasting);
    assert!(ask(&request(PLAIN), &scene.facts()).is_ok());
    scene.group.consume_broadcast_enable = false;
    let refusal = ask(&request(PLAIN), &scene.facts()).unwrap_err();
    assert_eq!(refusal, PullRefusal::BroadcastDisabled { group: "G".into() });
    assert_eq!(refusal.forbidden().map(Forbidden::code), Some(4));
    assert!(ask(&request(SUBSCRIBES), &scene.facts()).is_ok(), "not looked at with the flag");
}

#[test]
fn the_first_condition_that_fails_decides() {
    let mut scene = Scene::new();
    scene.group.consume_enable = false;
    scene.topic.perm = Permission::NONE;
    let facts = PullFacts {
        broker: Permission::NONE,
        lite_pull: false,
        registered: None,
        read_forbidden: true,
        ..scene.facts()
    };
    let everything_wrong =
        PullRequest { queue: -1, lite: true, subscription: Some("||"), ..request(SUBSCRIBES) };
    assert_eq!(ask(&everything_wrong, &facts), Err(PullRefusal::BrokerNotReadable));
    let facts = PullFacts { broker: Permission::READ_WRITE, ..facts };
    assert_eq!(ask(&everything_wrong, &facts), Err(PullRefusal::LitePullDisabled));
    let facts = PullFacts { lite_pull: true, ..facts };
    assert_eq!(
        ask(&everything_wrong, &PullFacts { group: None, topic: None, ..facts }),
        Err(PullRefusal::GroupNotExist { group: "G".into() })
    );
    assert_eq!(
        ask(&everything_wrong, &facts),
        Err(PullRefusal::GroupDisabled { group: "G".into() })
    );
}

#[test]
fn row_sixteen_a_pending_reset_is_answered_first_of_all_reads() {
    let scene = Scene::new();
    let facts = PullFacts { pending_reset: Some(42), ..scene.facts() };
    for flags in [PLAIN, SUBSCRIBES] {
        assert_eq!(ask(&request(flags), &facts), Ok(PullDecision::Reset { offset: 42 }));
    }
    let refused = PullFacts { registered: None, ..facts };
    assert!(ask(&request(PLAIN), &refused).is_err(), "only for pulls that are allowed");
}

fn read(status: ReadStatus, requested: i64) -> ReadFacts {
    ReadFacts { status, requested, next: 77, min: 10, max: 90, lagging: false }
}

#[test]
fn store_statuses_become_codes_and_offsets() {
    use PullCode::{Found, NotFound, OffsetMoved, RetryImmediately};
    let group = SubscriptionGroupConfig::new("G");
    for (status, requested, code, next) in [
        (ReadStatus::Found, 50, Found, 77),
        (ReadStatus::NoMatchedMessage, 50, RetryImmediately, 77),
        (ReadStatus::MessageWasRemoving, 50, RetryImmediately, 77),
        (ReadStatus::NoMatchedLogicQueue, 0, NotFound, 0),
        (ReadStatus::NoMatchedLogicQueue, 5, OffsetMoved, 0),
        (ReadStatus::NoMessageInQueue, 0, NotFound, 0),
        (ReadStatus::NoMessageInQueue, 5, OffsetMoved, 0),
        (ReadStatus::OffsetFoundNull, 50, NotFound, 77),
        (ReadStatus::OffsetOverflowOne, 90, NotFound, 90),
        (ReadStatus::OffsetOverflowBadly, 95, OffsetMoved, 90),
        (ReadStatus::OffsetTooSmall, 3, OffsetMoved, 10),
        (ReadStatus::OffsetReset, 50, OffsetMoved, 77),
    ] {
        let answer = conclude(&read(status, requested), ReadRole::MASTER, &group);
        assert_eq!((answer.code, answer.next), (code, next), "{status:?} at {requested}");
        assert_eq!((answer.min, answer.max), (10, 90), "{status:?}");
        assert_eq!((answer.status, answer.suggested_broker), (status, MASTER_ID), "{status:?}");
    }
}

#[test]
fn remarks_are_the_names_of_the_reference() {
    for (status, name) in [
        (ReadStatus::Found, "FOUND"),
        (ReadStatus::NoMatchedMessage, "NO_MATCHED_MESSAGE"),
        (ReadStatus::MessageWasRemoving, "MESSAGE_WAS_REMOVING"),
        (ReadStatus::OffsetFoundNull, "OFFSET_FOUND_NULL"),
        (ReadStatus::OffsetOverflowBadly, "OFFSET_OVERFLOW_BADLY"),
        (ReadStatus::OffsetOverflowOne, "OFFSET_OVERFLOW_ONE"),
        (ReadStatus::OffsetTooSmall, "OFFSET_TOO_SMALL"),
        (ReadStatus::NoMatchedLogicQueue, "NO_MATCHED_LOGIC_QUEUE"),
        (ReadStatus::NoMessageInQueue, "NO_MESSAGE_IN_QUEUE"),
        (ReadStatus::OffsetReset, "OFFSET_RESET"),
    ] {
        assert_eq!(status.name(), name);
    }
}

#[test]
fn which_broker_is_suggested() {
    let mut group = SubscriptionGroupConfig::new("G");
    group.broker_id = 5;
    group.which_broker_when_consume_slowly = 7;
    let slave = ReadRole { broker_id: 2, ..ReadRole::MASTER };
    for (role, lagging, want) in [
        (ReadRole::MASTER, false, 0),
        (ReadRole::MASTER, true, 0),
        (ReadRole { slave_read: true, ..ReadRole::MASTER }, true, 7),
        (ReadRole { slave_read: true, ..ReadRole::MASTER }, false, 5),
        (slave, true, 0),
        (ReadRole { slave_read: true, ..slave }, true, 7),
        (ReadRole { slave_read: true, ..slave }, false, 0),
        (ReadRole { slave_read: true, min_broker_id: 2, ..slave }, false, 5),
    ] {
        let facts = ReadFacts { lagging, ..read(ReadStatus::Found, 50) };
        let answer = conclude(&facts, role, &group);
        assert_eq!(answer.suggested_broker, want, "{role:?} {lagging}");
    }
}

#[test]
fn a_slave_sends_readers_to_the_master_without_losing_messages() {
    let group = SubscriptionGroupConfig::new("G");
    let unread = ReadRole { broker_id: 2, ..ReadRole::MASTER };
    let reading = ReadRole { slave_read: true, ..unread };
    let acting = ReadRole { min_broker_id: 2, ..reading };
    let checking = ReadRole { offset_check_in_slave: true, ..acting };
    use PullCode::{Found, NotFound, OffsetMoved, RetryImmediately};
    for (role, status, requested, code, next) in [
        (unread, ReadStatus::Found, 50, RetryImmediately, 50),
        (unread, ReadStatus::OffsetOverflowOne, 90, RetryImmediately, 90),
        (reading, ReadStatus::Found, 50, Found, 77),
        (reading, ReadStatus::OffsetOverflowOne, 90, RetryImmediately, 90),
        (reading, ReadStatus::OffsetOverflowBadly, 95, RetryImmediately, 95),
        (acting, ReadStatus::OffsetOverflowOne, 90, NotFound, 90),
        (acting, ReadStatus::OffsetOverflowBadly, 95, RetryImmediately, 95),
        (acting, ReadStatus::NoMessageInQueue, 5, RetryImmediately, 5),
        (acting, ReadStatus::OffsetReset, 5, OffsetMoved, 77),
        (checking, ReadStatus::OffsetOverflowBadly, 95, OffsetMoved, 90),
        (checking, ReadStatus::NoMessageInQueue, 5, OffsetMoved, 0),
    ] {
        let answer = conclude(&read(status, requested), role, &group);
        assert_eq!((answer.code, answer.next), (code, next), "{role:?} {status:?}");
    }
}

#[test]
fn only_an_empty_first_read_waits() {
    let group = SubscriptionGroupConfig::new("G");
    let suspends = PullFlags(sysflag::PULL_SUSPEND);
    let at = |status, flags, suspend_ms, first, long_polling| {
        let answer = conclude(&read(status, 0), ReadRole::MASTER, &group);
        park_until(&answer, flags, suspend_ms, first, long_polling, 1_000)
    };
    let empty = ReadStatus::OffsetOverflowOne;
    for (status, flags, suspend_ms, first, long_polling, want) in [
        (empty, suspends, 15_000, true, true, Some(16_000)),
        (empty, suspends, 15_000, true, false, Some(2_000)),
        (empty, suspends, i64::MAX, true, true, Some(1_000 + SUSPEND_MS_MAX)),
        (empty, suspends, 0, true, true, None),
        (empty, suspends, -1, true, true, None),
        (empty, PLAIN, 15_000, true, true, None),
        (empty, suspends, 15_000, false, true, None),
        (ReadStatus::NoMessageInQueue, suspends, 15_000, true, true, Some(16_000)),
        (ReadStatus::OffsetFoundNull, suspends, 15_000, true, true, Some(16_000)),
        (ReadStatus::Found, suspends, 15_000, true, true, None),
        (ReadStatus::NoMatchedMessage, suspends, 15_000, true, true, None),
        (ReadStatus::OffsetTooSmall, suspends, 15_000, true, true, None),
        (ReadStatus::OffsetOverflowBadly, suspends, 15_000, true, true, None),
    ] {
        assert_eq!(
            at(status, flags, suspend_ms, first, long_polling),
            want,
            "{status:?} {flags:?}"
        );
    }
}

#[test]
fn offsets_are_committed_once_and_by_masters() {
    let commits = PullFlags(sysflag::PULL_COMMIT_OFFSET);
    let slave = ReadRole { broker_id: 1, ..ReadRole::MASTER };
    for (flags, offset, first, role, want) in [
        (commits, 7, true, ReadRole::MASTER, Some(7)),
        (commits, 0, true, ReadRole::MASTER, Some(0)),
        (PLAIN, 7, true, ReadRole::MASTER, None),
        (commits, 7, false, ReadRole::MASTER, None),
        (commits, 7, true, slave, None),
        (commits, -1, true, ReadRole::MASTER, None),
    ] {
        assert_eq!(commit_of(flags, offset, first, role), want, "{flags:?} {offset} {first}");
    }
}

#[test]
fn flags_of_pulls() {
    let all = PullFlags(0x1F);
    assert!(all.commits() && all.suspends() && all.subscribes() && all.class_filter());
    let lite = PullFlags(sysflag::PULL_LITE);
    assert!(!lite.commits() && !lite.suspends() && !lite.subscribes() && !lite.class_filter());
}
