//! A whole name server over real sockets.

mod world;

use rmq_host::Origin;
use rmq_remoting::Command;
use rmq_remoting::code::request;
use std::time::Duration;
use world::{World, body, register, route, run};

#[test]
fn what_is_registered_can_be_asked_for() {
    run(async {
        let world = World::start(&[]).await;
        let broker = world.connect().await;
        let client = world.connect().await;
        assert_eq!(world.ask(&client, route("T")).await.code, 17);
        assert_eq!(world.ask(&broker, register("broker-a", "10.0.0.1:10911")).await.code, 0);
        let answer = world.ask(&client, route("T")).await;
        assert_eq!(answer.code, 0);
        let text = String::from_utf8(answer.body.to_vec()).expect("JSON");
        assert!(text.contains(r#""brokerAddrs":{"0":"10.0.0.1:10911"}"#), "{text}");
        let answer = world.ask(&client, Command::request(4711)).await;
        assert_eq!(answer.code, 3);
        assert_eq!(answer.remark.as_deref(), Some(" request type 4711 not supported"));
        assert!(world.stop().await, "nothing was cut off");
    });
}

#[test]
fn a_silent_broker_goes_and_its_connection_is_closed() {
    run(async {
        let world = World::start(&[("scanNotActiveBrokerInterval", "10")]).await;
        let broker = world.connect().await;
        let client = world.connect().await;
        world.ask(&broker, register("broker-a", "10.0.0.1:10911")).await;
        world.clock.advance(Duration::from_secs(119));
        assert_eq!(world.ask(&client, route("T")).await.code, 0);
        world.clock.advance(Duration::from_secs(2));
        world.until_gone(&client, "T").await;
        world::until(|| broker.is_closed()).await;
        assert!(!client.is_closed());
        world.stop().await;
    });
}

#[test]
fn a_broker_goes_with_its_connection_and_stays_with_a_newer_one() {
    run(async {
        let world = World::start(&[]).await;
        let client = world.connect().await;
        let first = world.connect().await;
        world.ask(&first, register("broker-a", "10.0.0.1:10911")).await;
        let second = world.connect().await;
        world.ask(&second, register("broker-a", "10.0.0.1:10911")).await;
        let other = world.connect().await;
        world.ask(&other, register("broker-b", "10.0.0.2:10911")).await;
        first.close();
        other.close();
        let members = || {
            let mut ask = Command::request(request::GET_BROKER_MEMBER_GROUP);
            ask.ext.push_static("clusterName", "c");
            ask.ext.push_static("brokerName", "broker-b");
            ask
        };
        world
            .until_answer(&client, members, |answer| {
                !String::from_utf8_lossy(&answer.body).contains("10.0.0.2")
            })
            .await;
        // By now the older close was seen as well, and did nothing.
        assert_eq!(world.ask(&client, route("T")).await.code, 0);
        second.close();
        world.until_gone(&client, "T").await;
        world.stop().await;
    });
}

#[test]
fn kv_values_survive_a_restart() {
    run(async {
        let world = World::start(&[]).await;
        let admin = world.connect().await;
        let kv = |code, key: &'static str, value: &'static str| {
            let mut command = Command::request(code);
            command.ext.push_static("namespace", "ORDER_TOPIC_CONFIG");
            command.ext.push_static("key", key);
            command.ext.push_static("value", value);
            command
        };
        for (key, value) in [("T", "broker-a:8"), ("U", "broker-a:4"), ("T", "broker-a:16")] {
            let put = kv(request::PUT_KV_CONFIG, key, value);
            assert_eq!(world.ask(&admin, put).await.code, 0);
        }
        let delete = kv(request::DELETE_KV_CONFIG, "U", "");
        assert_eq!(world.ask(&admin, delete.clone()).await.code, 0);
        assert_eq!(world.ask(&admin, delete).await.code, 0, "once more is no error");
        let text = std::fs::read_to_string(world.folder().join("kvConfig.json"));
        let want = r#"{"configTable":{"ORDER_TOPIC_CONFIG":{"T":"broker-a:16"}}}"#;
        assert_eq!(text.expect("it was written"), want);

        let world = world.restart(&[]).await;
        let admin = world.connect().await;
        let answer = world.ask(&admin, kv(request::GET_KV_CONFIG, "T", "")).await;
        assert_eq!(answer.ext.get("value"), Some("broker-a:16"));
        world.stop().await;
    });
}

#[test]
fn a_kv_file_that_cannot_be_written_changes_nothing() {
    run(async {
        let world = World::start(&[]).await;
        // A folder is in the way of the file.
        std::fs::create_dir_all(world.folder().join("kvConfig.json/x")).expect("writable");
        let admin = world.connect().await;
        let mut put = Command::request(request::PUT_KV_CONFIG);
        put.ext.push_static("namespace", "N");
        put.ext.push_static("key", "k");
        put.ext.push_static("value", "v");
        let answer = world.ask(&admin, put.clone()).await;
        assert_eq!(answer.code, 1);
        let remark = answer.remark.expect("a reason");
        assert!(remark.starts_with("nothing was changed: cannot write "), "{}", &*remark);
        put.code = request::GET_KV_CONFIG;
        assert_eq!(world.ask(&admin, put).await.code, 22);
        world.stop().await;
    });
}

#[test]
fn settings_can_be_changed_and_are_written_down() {
    run(async {
        let world = World::start(&[]).await;
        let path = world.folder().join("namesrv.properties");
        rmq_host::durable::replace(&path, b"# ours\nenableTopicList = true\n").expect("writable");
        let admin = world.connect().await;
        let update = |text: &'static str| {
            Command::request(request::UPDATE_NAMESRV_CONFIG).with_body(text.as_bytes())
        };
        let answer = world
            .ask(&admin, update("enableTopicList=false\nnoSuchKey=1\norderMessageEnable=true\n"))
            .await;
        assert_eq!((answer.code, answer.remark), (0, None));
        let text = std::fs::read_to_string(&path).expect("it is there");
        assert_eq!(text, "# ours\nenableTopicList=false\norderMessageEnable=true\n");
        let list = world.ask(&admin, Command::request(request::GET_UNIT_TOPIC_LIST)).await;
        assert_eq!(list.remark.as_deref(), Some("disable"));
        let shown = world.ask(&admin, Command::request(request::GET_NAMESRV_CONFIG)).await;
        let shown = String::from_utf8(shown.body.to_vec()).expect("text");
        assert!(shown.contains("\norderMessageEnable=true\n"), "{shown}");
        for (text, code, remark) in [
            ("kvConfigPath=/x", 16, "Can not update config in black list."),
            ("configBlackList=", 16, "Can not update config in black list."),
            ("rocketmqHome=/x", 16, "Can not update config in black list."),
            ("enableTopicList=maybe", 1, "must be true or false"),
            ("a=\\u1", 1, "four hexadecimal digits"),
        ] {
            let answer = world.ask(&admin, update(text)).await;
            assert_eq!(answer.code, code, "{text}");
            assert!(answer.remark.is_some_and(|given| given.contains(remark)), "{text}");
        }
        assert_eq!(std::fs::read_to_string(&path).expect("it is there"), text);
        world.stop().await;
    });
}

#[test]
fn malformed_bodies_are_answered_and_the_connection_goes_on() {
    run(async {
        let world = World::start(&[]).await;
        let broker = world.connect().await;
        for body in world::malformed_bodies() {
            let bad = register("broker-a", "10.0.0.1:10911").with_body(body);
            let answer = world.ask(&broker, bad).await;
            assert_eq!(answer.code, 1, "{:?}", answer.remark);
        }
        let mut crc = register("broker-a", "10.0.0.1:10911");
        crc.ext.insert("bodyCrc32", "12345");
        let answer = world.ask(&broker, crc).await;
        assert_eq!((answer.code, answer.remark.as_deref()), (1, Some("crc32 not match")));
        assert_eq!(world.ask(&broker, route("T")).await.code, 17);
        assert_eq!(world.ask(&broker, register("broker-a", "10.0.0.1:10911")).await.code, 0);
        assert_eq!(world.ask(&broker, route("T")).await.code, 0);
        world.stop().await;
    });
}

#[test]
fn members_are_told_of_a_new_smallest_id() {
    run(async {
        let world = World::start(&[("notifyMinBrokerIdChanged", "true")]).await;
        let (slave_addr, mut told) = world::listener();
        let conn = world.connect().await;
        let mut slave = register("broker-a", &slave_addr);
        slave.ext.insert("brokerId", "1");
        world.ask(&conn, slave).await;
        world.ask(&conn, register("broker-a", "10.0.0.1:10911")).await;
        let notice = told.recv().await.expect("the slave is told");
        assert_eq!(notice.code, request::NOTIFY_MIN_BROKER_ID_CHANGE);
        assert!(notice.is_oneway());
        assert_eq!(notice.ext.get("minBrokerId"), Some("0"));
        assert_eq!(notice.ext.get("minBrokerAddr"), Some("10.0.0.1:10911"));
        assert_eq!(notice.ext.get("haBrokerAddr"), Some("10.0.0.1:10912"));
        assert!(!notice.ext.contains("offlineBrokerAddr"));
        world.stop().await;
    });
}

#[test]
fn health_and_metrics_are_served() {
    run(async {
        let world = World::start(&[("needWaitForService", "true")]).await;
        let client = world.connect().await;
        world.ask(&client, register("broker-a", "10.0.0.1:10911")).await;
        let health = world.http("/readyz").await;
        assert!(health.contains(" 503 ") && health.contains("waits 45s"), "{health}");
        world.clock.advance(Duration::from_secs(46));
        assert!(world.http("/readyz").await.contains(" 200 "));
        assert!(world.http("/livez").await.contains(" 200 "));
        let metrics = world.http("/metrics").await;
        for line in [
            r#"rmq_nameserver_requests_total{node_type="nameserver",request_code="register_broker",response_code="success"} 1"#,
            r#"rmq_nameserver_topics{node_type="nameserver"} 2"#,
            r#"rmq_nameserver_addresses{node_type="nameserver"} 1"#,
        ] {
            assert!(metrics.lines().any(|given| given == line), "{line}\n{metrics}");
        }
        world.stop().await;
    });
}

#[test]
fn a_port_in_use_is_named() {
    run(async {
        let world = World::start(&[]).await;
        let mut settings = world::settings(&[]);
        let port = world.addr().port().to_string();
        settings.set("listenPort", &port, Origin::Flag("test"));
        settings.set("bindAddress", "127.0.0.1", Origin::Flag("test"));
        let config = rmq_nameserver::Config::from_settings(&settings).expect("good settings");
        let error = rmq_nameserver::start(config).await.expect_err("it is in use");
        let text = format!("{error:#}");
        assert!(text.contains(&port) && text.contains("in use"), "{text}");
        world.stop().await;
    });
}

#[test]
fn an_old_client_gets_bare_ids() {
    run(async {
        let world = World::start(&[]).await;
        let conn = world.connect().await;
        world.ask(&conn, register("broker-a", "10.0.0.1:10911")).await;
        let mut ask = route("T");
        ask.version = rmq_model::peer::ProtocolVersion(333);
        let text = body(&world.ask(&conn, ask).await);
        assert!(text.contains(r#""brokerAddrs":{0:"10.0.0.1:10911"}"#), "{text}");
        world.stop().await;
    });
}
