//! Every request code without a socket: fields, bodies, codes and remarks.

use super::*;
use crate::kv::ORDER_TOPIC_CONFIG;
use rmq_host::{Origin, Settings};
use rmq_model::peer::ProtocolVersion;
use rmq_testkit::clock::FakeClock;

struct World {
    server: NameServer,
    clock: Arc<FakeClock>,
    notices: mpsc::Receiver<MinIdNotice>,
    _work: mpsc::Receiver<Work>,
}

fn config(pairs: &[(&str, &str)]) -> Config {
    let mut settings = Settings::new();
    for (key, value) in pairs {
        settings.set(key, value, Origin::Flag("test"));
    }
    Config::from_settings(&settings).expect("good settings")
}

fn world(pairs: &[(&str, &str)]) -> World {
    let clock = Arc::new(FakeClock::default());
    let (work, work_queue) = mpsc::channel(1);
    let (notices, notice_queue) = mpsc::channel(4);
    let shared = Arc::clone(&clock) as Arc<dyn Clock>;
    let server = NameServer::new(&config(pairs), KvTable::default(), shared, work, notices);
    World { server, clock, notices: notice_queue, _work: work_queue }
}

impl World {
    fn ask(&self, command: &Command) -> Command {
        self.ask_on(1, command)
    }

    fn ask_on(&self, conn: ConnId, command: &Command) -> Command {
        match self.server.handle(conn, command) {
            Outcome::Answer(answer) => answer,
            Outcome::Later(change) => panic!("would change {change:?}"),
        }
    }

    /// Body of a successful answer.
    fn body(&self, command: &Command) -> String {
        let answer = self.ask(command);
        assert_eq!((answer.code, answer.remark.as_deref()), (0, None), "{command:?}");
        String::from_utf8(answer.body.to_vec()).expect("bodies are UTF-8")
    }

    fn refused(&self, command: &Command) -> (i32, String) {
        let answer = self.ask(command);
        (answer.code, answer.remark.map(|remark| remark.to_string()).unwrap_or_default())
    }
}

fn command(code: i32, fields: &[(&'static str, &'static str)]) -> Command {
    let mut command = Command::request(code);
    for (key, value) in fields {
        command.ext.push_static(key, value);
    }
    command
}

const BODY: &str = r#"{"filterServerList":[],"topicConfigSerializeWrapper":{"dataVersion":{"counter":5,"stateVersion":0,"timestamp":7},"topicConfigTable":{"T":{"perm":6,"readQueueNums":8,"topicName":"T","topicSysFlag":3,"writeQueueNums":8},"TBW102":{"perm":7,"readQueueNums":8,"topicName":"TBW102","topicSysFlag":0,"writeQueueNums":8}}}}"#;

fn register(fields: &[(&'static str, &'static str)]) -> Command {
    let mut all = vec![
        ("brokerName", "broker-a"),
        ("brokerAddr", "10.0.0.1:10911"),
        ("clusterName", "DefaultCluster"),
        ("haServerAddr", "10.0.0.1:10912"),
        ("brokerId", "0"),
    ];
    all.retain(|(key, _)| !fields.iter().any(|(other, _)| other == key));
    all.extend_from_slice(fields);
    command(request::REGISTER_BROKER, &all).with_body(BODY)
}

fn of_broker(code: i32, addr: &'static str) -> Command {
    let fields = [
        ("brokerName", "broker-a"),
        ("brokerAddr", addr),
        ("clusterName", "DefaultCluster"),
        ("brokerId", "0"),
    ];
    command(code, &fields)
}

fn route_of(topic: &'static str) -> Command {
    command(request::GET_ROUTEINFO_BY_TOPIC, &[("topic", topic)])
}

const ROUTE: &str = r#"{"brokerDatas":[{"brokerAddrs":{"0":"10.0.0.1:10911"},"brokerName":"broker-a","cluster":"DefaultCluster","enableActingMaster":false}],"filterServerTable":{},"queueDatas":[{"brokerName":"broker-a","perm":6,"readQueueNums":8,"topicSysFlag":3,"writeQueueNums":8}]}"#;

#[test]
fn a_registered_topic_has_a_route_in_the_form_of_the_asker() {
    let w = world(&[]);
    assert_eq!(w.ask(&register(&[])).code, 0);
    let bare = ROUTE.replace("\"0\":", "0:");
    for (version, flag, expected) in [
        (479, None, ROUTE),
        (401, None, ROUTE),
        (399, None, bare.as_str()),
        (0, Some("false"), &bare),
        (317, Some("true"), ROUTE),
    ] {
        let mut ask = route_of("T");
        ask.version = ProtocolVersion(version);
        ask.ext.push("acceptStandardJsonOnly", flag.unwrap_or("false"));
        // The second answer comes from the cache.
        assert_eq!(w.body(&ask), expected, "{version}");
        assert_eq!(w.body(&ask), expected, "{version}");
    }
    assert_eq!((w.server.cache.hits.value(), w.server.cache.misses.value()), (8, 2));
}

#[test]
fn an_unknown_topic_has_no_route() {
    let w = world(&[]);
    let remark = "No topic route info in name server for the topic: %RETRY%g".to_owned();
    assert_eq!(w.refused(&route_of("%RETRY%g")), (17, remark));
    let missing = command(request::GET_ROUTEINFO_BY_TOPIC, &[]);
    assert_eq!(w.refused(&missing), (1, "the custom field <topic> is null".to_owned()));
}

#[test]
fn routes_can_be_held_back_after_the_start() {
    let w = world(&[("needWaitForService", "true"), ("waitSecondsForService", "45")]);
    w.ask(&register(&[]));
    assert_eq!(w.refused(&route_of("T")), (1, "name server not ready".to_owned()));
    assert_eq!(w.server.not_ready(), ["routes: waits 45s before it gives out routes"]);
    w.clock.advance(Duration::from_secs(45));
    assert_eq!(w.body(&route_of("T")), ROUTE);
    assert!(w.server.not_ready().is_empty());
}

#[test]
fn changes_reach_encoded_routes_at_once() {
    let w = world(&[]);
    w.ask(&register(&[]));
    assert_eq!(w.body(&route_of("T")), ROUTE);
    let wipe = command(request::WIPE_WRITE_PERM_OF_BROKER, &[("brokerName", "broker-a")]);
    assert_eq!(w.ask(&wipe).ext.get("wipeTopicCount"), Some("2"));
    assert_eq!(w.body(&route_of("T")), ROUTE.replace("\"perm\":6", "\"perm\":4"));
    let add = command(request::ADD_WRITE_PERM_OF_BROKER, &[("brokerName", "broker-a")]);
    assert_eq!(w.ask(&add).ext.get("addTopicCount"), Some("2"));
    assert_eq!(w.body(&route_of("T")), ROUTE);
    let slave = register(&[("brokerId", "1"), ("brokerAddr", "10.0.0.2:10911")]);
    w.ask(&slave);
    assert!(w.body(&route_of("T")).contains(r#"{"0":"10.0.0.1:10911","1":"10.0.0.2:10911"}"#));
    w.ask(&of_broker(request::UNREGISTER_BROKER, "10.0.0.2:10911"));
    assert_eq!(w.body(&route_of("T")), ROUTE);
    let delete = command(request::DELETE_TOPIC_IN_NAMESRV, &[("topic", "T"), ("clusterName", "")]);
    assert_eq!(w.ask(&delete).code, 0);
    assert_eq!(w.ask(&route_of("T")).code, 17);
    w.ask(&of_broker(request::UNREGISTER_BROKER, "10.0.0.1:10911"));
    assert_eq!(w.ask(&route_of("TBW102")).code, 17);
}

#[test]
fn a_repeated_registration_is_not_decoded_again() {
    let w = world(&[]);
    for stamp in [7, 8, 9] {
        let dv =
            format!(r#""mappingDataVersion":{{"counter":0,"stateVersion":0,"timestamp":{stamp}}}"#);
        let body = BODY.replace("\"topicConfigTable\"", &format!("{dv},\"topicConfigTable\""));
        assert_eq!(w.ask(&register(&[]).with_body(body)).code, 0);
    }
    assert_eq!(w.server.metrics.repeated.value(), 2);
    let other = register(&[]).with_body(BODY.replace("\"counter\":5", "\"counter\":6"));
    w.ask(&other);
    assert_eq!(w.server.metrics.repeated.value(), 2);
}

#[test]
fn bad_registrations_are_refused_with_a_reason() {
    let w = world(&[]);
    let without = |field: &str| {
        let mut command = register(&[]);
        command.ext.remove(field);
        command
    };
    for (what, command, remark) in [
        ("crc", register(&[("bodyCrc32", "1")]), "crc32 not match"),
        ("garbage", register(&[]).with_body("{garbage"), "not JSON"),
        ("zlib", register(&[]).with_body(&b"\x78\x9c\xff\xff\xff"[..]), "zlib stream"),
        ("empty name", register(&[("brokerName", "")]), "brokerName"),
        ("no address", without("brokerAddr"), "<brokerAddr>"),
        ("no id", without("brokerId"), "<brokerId>"),
        ("bad id", register(&[("brokerId", "x")]), "<brokerId>"),
    ] {
        let (code, text) = w.refused(&command);
        assert_eq!(code, 1, "{what}");
        assert!(text.contains(remark), "{what}: {text}");
    }
    assert_eq!(w.server.sizes(), Sizes::default());
    let good = rmq_remoting::body::body_crc(BODY.as_bytes());
    let mut command = register(&[]);
    command.ext.push_number("bodyCrc32", i64::from(good));
    assert_eq!(w.ask(&command).code, 0);
}

#[test]
fn a_registration_tells_slaves_their_master_and_all_the_order_config() {
    let w = world(&[]);
    let slave = register(&[("brokerId", "1"), ("brokerAddr", "10.0.0.2:10911")]);
    let answer = w.ask(&slave);
    assert_eq!((answer.ext.get("masterAddr"), answer.ext.get("haServerAddr")), (None, None));
    assert!(answer.body.is_empty());
    w.ask(&register(&[]));
    let table = KvTable::default().with(ORDER_TOPIC_CONFIG, "T", "broker-a:8").expect("small");
    w.server.set_kv(table);
    let answer = w.ask(&slave);
    assert_eq!(answer.ext.get("masterAddr"), Some("10.0.0.1:10911"));
    assert_eq!(answer.ext.get("haServerAddr"), Some("10.0.0.1:10912"));
    assert_eq!(&answer.body[..], br#"{"table":{"T":"broker-a:8"}}"#);
    w.server.set_config(&config(&[("returnOrderTopicConfigToBroker", "false")]));
    assert!(w.ask(&slave).body.is_empty());
}

#[test]
fn routes_carry_the_order_config_when_switched_on() {
    let w = world(&[]);
    w.ask(&register(&[]));
    let table = KvTable::default().with(ORDER_TOPIC_CONFIG, "T", "broker-a:8").expect("small");
    w.server.set_kv(table);
    assert_eq!(w.body(&route_of("T")), ROUTE);
    w.server.set_config(&config(&[("orderMessageEnable", "true")]));
    let with_order =
        ROUTE.replace("},\"queueDatas", "},\"orderTopicConf\":\"broker-a:8\",\"queueDatas");
    assert_eq!(w.body(&route_of("T")), with_order);
    w.server.set_kv(KvTable::default());
    assert_eq!(w.body(&route_of("T")), ROUTE);
}

#[test]
fn a_route_can_be_limited_to_a_zone() {
    let w = world(&[]);
    w.ask(&register(&[("__ZONE_NAME", "east")]));
    w.ask(&register(&[
        ("__ZONE_NAME", "west"),
        ("brokerName", "broker-b"),
        ("brokerAddr", "10.0.0.9:1"),
    ]));
    let ask = |mode, zone| {
        w.body(&command(
            request::GET_ROUTEINFO_BY_TOPIC,
            &[("topic", "T"), ("__ZONE_MODE", mode), ("__ZONE_NAME", zone)],
        ))
    };
    let all = ask("false", "east");
    assert!(all.contains("broker-a") && all.contains("broker-b"));
    assert_eq!(ask("true", " "), all);
    let east = ask("true", "EAST");
    assert!(
        east.contains("broker-a")
            && !east.contains("broker-b")
            && east.contains("\"zoneName\":\"east\"")
    );
    let none = ask("true", "north");
    assert_eq!(none, r#"{"brokerDatas":[],"filterServerTable":{},"queueDatas":[]}"#);
}

#[test]
fn the_data_version_is_compared_and_counts_as_a_sign_of_life() {
    let w = world(&[]);
    let ask = |body: &'static str| {
        of_broker(request::QUERY_DATA_VERSION, "10.0.0.1:10911").with_body(body)
    };
    let same = r#"{"counter":5,"stateVersion":0,"timestamp":7}"#;
    let answer = w.ask(&ask(same));
    assert_eq!((answer.code, answer.ext.get("changed"), answer.body.len()), (0, Some("true"), 0));
    w.ask(&register(&[]));
    for (sent, changed) in [
        (same, "false"),
        (r#"{"counter":5,"stateVersion":0,"timestamp":8}"#, "true"),
        (r#"{"counter":6,"stateVersion":0,"timestamp":7}"#, "true"),
        (r#"{"counter":5,"stateVersion":1,"timestamp":7}"#, "true"),
        ("", "true"),
        ("garbage", "true"),
    ] {
        let answer = w.ask(&ask(sent));
        assert_eq!(answer.ext.get("changed"), Some(changed), "{sent}");
        assert_eq!(&answer.body[..], same.as_bytes(), "{sent}");
    }
    let mut oneway = ask(same);
    oneway.flag |= 2;
    let heartbeat = command(
        request::BROKER_HEARTBEAT,
        &[("clusterName", "DefaultCluster"), ("brokerAddr", "10.0.0.1:10911"), ("brokerName", "b")],
    );
    for alive in [&ask(same), &oneway, &heartbeat, &register(&[])] {
        w.clock.advance(Duration::from_secs(100));
        assert_eq!(w.ask(alive).code, 0);
        w.server.scan();
        assert_eq!(w.server.sizes().addresses, 1, "{}", alive.code);
    }
    w.clock.advance(Duration::from_secs(121));
    w.server.scan();
    assert_eq!(w.server.sizes().addresses, 0);
    assert_eq!(w.server.metrics.expired.value(), 1);
    assert_eq!(w.ask(&heartbeat).code, 0, "an unknown address is ignored");
}

#[test]
fn a_registration_may_ask_for_a_shorter_life() {
    let w = world(&[]);
    w.ask(&register(&[("heartbeatTimeoutMillis", "10000")]));
    w.clock.advance(Duration::from_millis(10_001));
    w.server.scan();
    assert_eq!(w.server.sizes().addresses, 0);
    w.ask(&register(&[("heartbeatTimeoutMillis", "-1")]));
    w.server.scan();
    assert_eq!(w.server.sizes().addresses, 1, "nonsense means the default");
}

#[test]
fn cluster_info_and_member_groups() {
    let w = world(&[]);
    w.ask(&register(&[("enableActingMaster", "true")]));
    assert_eq!(
        w.body(&command(request::GET_BROKER_CLUSTER_INFO, &[])),
        r#"{"brokerAddrTable":{"broker-a":{"brokerAddrs":{0:"10.0.0.1:10911"},"brokerName":"broker-a","cluster":"DefaultCluster","enableActingMaster":true}},"clusterAddrTable":{"DefaultCluster":["broker-a"]}}"#
    );
    let members = |broker| {
        let fields = [("clusterName", "Any"), ("brokerName", broker)];
        w.body(&command(request::GET_BROKER_MEMBER_GROUP, &fields))
    };
    assert_eq!(
        members("broker-a"),
        r#"{"brokerMemberGroup":{"brokerAddrs":{0:"10.0.0.1:10911"},"brokerName":"broker-a","cluster":"Any"}}"#
    );
    assert_eq!(
        members("nobody"),
        r#"{"brokerMemberGroup":{"brokerAddrs":{},"brokerName":"nobody","cluster":"Any"}}"#
    );
}

#[test]
fn topic_lists_and_their_switches() {
    let w = world(&[]);
    w.ask(&register(&[]));
    let all = command(request::GET_ALL_TOPIC_LIST_FROM_NAMESERVER, &[]);
    let cluster = command(request::GET_TOPICS_BY_CLUSTER, &[("cluster", "DefaultCluster")]);
    let other = command(request::GET_TOPICS_BY_CLUSTER, &[("cluster", "Other")]);
    let system = command(request::GET_SYSTEM_TOPIC_LIST_FROM_NS, &[]);
    let unit = [
        command(request::GET_UNIT_TOPIC_LIST, &[]),
        command(request::GET_HAS_UNIT_SUB_TOPIC_LIST, &[]),
        command(request::GET_HAS_UNIT_SUB_UNUNIT_TOPIC_LIST, &[]),
    ];
    assert_eq!(w.body(&all), r#"{"topicList":["T","TBW102"]}"#);
    assert_eq!(w.body(&cluster), r#"{"topicList":["T","TBW102"]}"#);
    assert_eq!(w.body(&other), r#"{"topicList":[]}"#);
    let names = r#"{"brokerAddr":"10.0.0.1:10911","topicList":["DefaultCluster","broker-a"]}"#;
    assert_eq!(w.body(&system), names);
    let lists = unit.each_ref().map(|ask| w.body(ask));
    assert_eq!(lists, [r#"{"topicList":["T"]}"#, r#"{"topicList":["T"]}"#, r#"{"topicList":[]}"#]);
    w.server.set_config(&config(&[("enableAllTopicList", "false"), ("enableTopicList", "false")]));
    for ask in [&all, &cluster, &unit[0], &unit[1], &unit[2]] {
        assert_eq!(w.refused(ask), (1, "disable".to_owned()), "{}", ask.code);
    }
    assert_eq!(w.body(&system), names, "this one has no switch");
}

#[test]
fn a_single_topic_can_be_registered() {
    let w = world(&[]);
    w.ask(&register(&[]));
    let body = r#"{"queueDatas":[{"brokerName":"broker-a","perm":4,"readQueueNums":2,"topicSysFlag":0,"writeQueueNums":3}]}"#;
    let ask = command(request::REGISTER_TOPIC_IN_NAMESRV, &[("topic", "N")]);
    assert_eq!(w.ask(&ask.clone().with_body(body)).code, 0);
    assert!(w.body(&route_of("N")).contains(r#""perm":4,"readQueueNums":2"#));
    assert_eq!(w.refused(&ask.with_body("x")).0, 1);
    let nameless = command(request::REGISTER_TOPIC_IN_NAMESRV, &[]).with_body(body);
    assert_eq!(w.refused(&nameless).0, 1);
}

#[test]
fn kv_values_are_read_at_once_and_written_later() {
    let w = world(&[]);
    let field = |code, key| command(code, &[("namespace", "N"), ("key", key), ("value", "v")]);
    let table = KvTable::default().with("N", "k", "v").expect("small");
    w.server.set_kv(table);
    assert_eq!(w.ask(&field(request::GET_KV_CONFIG, "k")).ext.get("value"), Some("v"));
    let remark = "No config item, Namespace: N Key: x".to_owned();
    assert_eq!(w.refused(&field(request::GET_KV_CONFIG, "x")), (22, remark));
    let list = |namespace| command(request::GET_KVLIST_BY_NAMESPACE, &[("namespace", namespace)]);
    assert_eq!(w.body(&list("N")), r#"{"table":{"k":"v"}}"#);
    assert_eq!(w.refused(&list("X")), (22, "No config item, Namespace: X".to_owned()));
    let later = |ask: &Command| match w.server.handle(1, ask) {
        Outcome::Later(change) => change,
        Outcome::Answer(answer) => panic!("answered {answer:?}"),
    };
    let change = |value: Option<&str>| Change::Kv {
        namespace: "N".to_owned(),
        key: "k".to_owned(),
        value: value.map(str::to_owned),
    };
    assert_eq!(later(&field(request::PUT_KV_CONFIG, "k")), change(Some("v")));
    assert_eq!(later(&field(request::DELETE_KV_CONFIG, "k")), change(None));
    assert_eq!(w.ask(&field(request::DELETE_KV_CONFIG, "x")).code, 0, "nothing to delete");
    for (code, keep) in [(request::PUT_KV_CONFIG, "key"), (request::GET_KV_CONFIG, "namespace")] {
        assert_eq!(w.refused(&command(code, &[(keep, "x")])).0, 1);
    }
}

#[test]
fn the_settings_in_use_are_shown() {
    let w = world(&[("listenPort", "19876")]);
    let text = w.body(&command(request::GET_NAMESRV_CONFIG, &[]));
    assert!(text.lines().any(|line| line == "listenPort=19876"), "{text}");
    assert!(text.lines().any(|line| line == "supportActingMaster=false"), "{text}");
    assert_eq!(w.ask(&command(request::UPDATE_NAMESRV_CONFIG, &[])).code, 0, "nothing to change");
}

#[test]
fn unknown_codes_are_named() {
    let w = world(&[]);
    for code in [0, -1, 10, 1001, 99_999] {
        let expected = (3, format!(" request type {code} not supported"));
        assert_eq!(w.refused(&command(code, &[])), expected);
    }
}

#[test]
fn only_connections_that_registered_something_matter_when_they_close() {
    let w = world(&[]);
    w.ask_on(7, &register(&[]));
    w.server.connection_closed(7);
    assert_eq!(w.server.sizes().addresses, 1, "it never came through the shell");
    w.server.registered.lock().insert(7, Weak::new());
    w.server.connection_closed(8);
    assert_eq!(w.server.sizes().addresses, 1);
    w.server.connection_closed(7);
    assert_eq!(w.server.sizes(), Sizes::default());
}

#[test]
fn notices_are_handed_on() {
    let mut w = world(&[("notifyMinBrokerIdChanged", "true")]);
    w.ask(&register(&[
        ("brokerId", "1"),
        ("brokerAddr", "10.0.0.2:1"),
        ("enableActingMaster", "true"),
    ]));
    w.ask(&register(&[("enableActingMaster", "true")]));
    let notice = w.notices.try_recv().expect("the smallest id was lowered");
    assert_eq!((notice.min_id, &*notice.recipients), (0, &["10.0.0.2:1".into()][..]));
    w.ask(&of_broker(request::UNREGISTER_BROKER, "10.0.0.1:10911"));
    let notice = w.notices.try_recv().expect("the smallest id was lost");
    assert_eq!((notice.min_id, notice.offline_addr.as_deref()), (1, Some("10.0.0.1:10911")));
}
