//! Members of consumer groups.

use crate::fake::{Fake, client, name_server, ok, refusal, route, until};
use rmq_client::Consumer;
use rmq_client::consumer::{ConsumerConfig, StartFrom, Verdict};
use rmq_record::{Message, layout};
use rmq_remoting::Command;
use rmq_remoting::body::ConsumerRunningInfo;
use serde_json::{Value, json};
use std::time::Duration;

const LONG: Duration = Duration::from_secs(10);

/// Records of messages with these tags, from offset 0 on.
fn records(tags: &[&str]) -> Vec<u8> {
    let mut out = Vec::new();
    for (offset, tag) in tags.iter().enumerate() {
        let message = Message {
            topic: "T".into(),
            queue_id: 0,
            flag: 0,
            sys_flag: 0,
            born_timestamp: 1,
            born_host: ([127, 0, 0, 1], 1).into(),
            store_host: ([127, 0, 0, 1], 2).into(),
            reconsume_times: 0,
            prepared_transaction_offset: 0,
            body: format!("m{offset}").into(),
            properties: format!("TAGS\u{1}{tag}\u{2}").into_bytes().into(),
        };
        let mut record = Vec::new();
        layout::encode(&message, false, &mut record).unwrap();
        let offset = u64::try_from(offset).unwrap();
        layout::place(&mut record, offset, rmq_model::LogOffset(offset * 1000), 5);
        out.extend(record);
    }
    out
}

fn pulled(code: i32, next: i64) -> Command {
    Command::response(code)
        .with_ext("nextBeginOffset", next.to_string())
        .with_ext("minOffset", "0")
        .with_ext("maxOffset", next.to_string())
        .with_ext("suggestWhichBrokerId", "0")
}

fn client_id(heartbeat: &Command) -> String {
    let body: Value = serde_json::from_slice(&heartbeat.body).unwrap();
    body["clientID"].as_str().unwrap().to_owned()
}

/// A broker with one queue that holds messages with these tags; pulls at its end are parked.
fn broker(tags: &'static [&'static str]) -> Fake {
    let member = parking_lot::Mutex::new(String::new());
    let end = i64::try_from(tags.len()).unwrap();
    Fake::new(move |command| {
        Some(match command.code {
            34 => {
                *member.lock() = client_id(command);
                ok()
            }
            38 => {
                let list = json!({"consumerIdList": [&*member.lock()]});
                ok().with_body(list.to_string().into_bytes())
            }
            14 => refusal(22, "none"),
            31 => ok().with_ext("offset", "0"),
            30 => ok().with_ext("offset", end.to_string()),
            11 if command.ext.get("queueOffset") == Some("0") && 0 < end => {
                pulled(0, end).with_body(records(tags))
            }
            11 => return None,
            41 => ok().with_body(
                json!({"lockOKMQSet": [{"brokerName": "a", "queueId": 0, "topic": "T"}]})
                    .to_string()
                    .into_bytes(),
            ),
            _ => ok(),
        })
    })
}

async fn join(broker: &Fake, config: ConsumerConfig) -> (Consumer, Fake) {
    let names = name_server(route(&[("a", broker.addr())], 1));
    let (client, _) = client(&[names.addr()], LONG);
    (Consumer::start(client, config).await.unwrap(), names)
}

fn from_first() -> ConsumerConfig {
    ConsumerConfig { from: StartFrom::First, ..ConsumerConfig::new("G", "T") }
}

#[tokio::test]
async fn messages_are_handed_out_once_and_their_offset_is_stored() {
    let broker = broker(&["a", "b"]);
    let (mut consumer, _names) = join(&broker, from_first()).await;
    let batch = consumer.next().await.unwrap();
    let bodies: Vec<_> = batch.messages.iter().map(|m| m.body.to_vec()).collect();
    assert_eq!(bodies, [b"m0", b"m1"]);
    consumer.done(&batch, Verdict::Consumed).await.unwrap();
    tokio::select! {
        again = consumer.next() => panic!("came again: {again:?}"),
        () = until("the end is pulled", || broker.seen(11).len() == 2) => {}
    }
    consumer.close().await;
    let stored = broker.seen(15);
    let offset = stored.last().and_then(|c| c.ext.get("commitOffset")).map(str::to_owned);
    assert_eq!(offset.as_deref(), Some("2"));
    assert_eq!(broker.seen(35).len(), 1, "the member leaves");
}

#[tokio::test]
async fn what_is_not_done_is_not_stored() {
    let broker = broker(&["a"]);
    let (mut consumer, _names) = join(&broker, from_first()).await;
    consumer.next().await.unwrap();
    consumer.close().await;
    let stored = broker.seen(15);
    assert!(stored.iter().all(|c| c.ext.get("commitOffset") == Some("0")), "{stored:?}");
}

#[tokio::test]
async fn tags_that_only_have_the_same_hash_are_dropped() {
    let broker = broker(&["Aa", "BB"]);
    let config = ConsumerConfig { expression: "BB".to_owned(), ..from_first() };
    let (mut consumer, _names) = join(&broker, config).await;
    let batch = consumer.next().await.unwrap();
    let tags: Vec<_> = batch.messages.iter().filter_map(|m| m.tag()).collect();
    assert_eq!(tags, ["BB"]);
}

#[tokio::test]
async fn failed_messages_go_back_to_the_broker() {
    let broker = broker(&["a", "b"]);
    let (mut consumer, _names) = join(&broker, from_first()).await;
    let batch = consumer.next().await.unwrap();
    consumer.done(&batch, Verdict::Later).await.unwrap();
    let back = broker.seen(36);
    let offsets: Vec<_> = back.iter().filter_map(|c| c.ext.get("offset")).collect();
    assert_eq!(offsets, ["0", "1000"]);
    consumer.close().await;
    let stored = broker.seen(15);
    let offset = stored.last().and_then(|c| c.ext.get("commitOffset")).map(str::to_owned);
    assert_eq!(offset.as_deref(), Some("2"), "the group goes on behind them");
}

#[tokio::test]
async fn in_order_a_failed_batch_comes_again_before_anything_later() {
    let broker = broker(&["a", "b"]);
    let names = name_server(route(&[("a", broker.addr())], 1));
    let (client, clock) = client(&[names.addr()], LONG);
    let config = ConsumerConfig { in_order: true, ..from_first() };
    let mut consumer = Consumer::start(client, config).await.unwrap();
    assert_eq!(broker.seen(41).len(), 1, "the queue is locked first");
    let first = consumer.next().await.unwrap();
    consumer.done(&first, Verdict::Later).await.unwrap();
    clock.advance(Duration::from_secs(2));
    let again = consumer.next().await.unwrap();
    assert_eq!(again.messages, first.messages);
    assert_eq!(broker.seen(36).len(), 0);
    consumer.close().await;
    assert_eq!(broker.seen(42).len(), 1, "and unlocked in the end");
}

#[tokio::test]
async fn a_new_group_at_the_end_sees_nothing_old() {
    let broker = broker(&["a", "b"]);
    let (mut consumer, _names) = join(&broker, ConsumerConfig::new("G", "T")).await;
    tokio::select! {
        old = consumer.next() => panic!("old: {old:?}"),
        () = until("the end is pulled", || !broker.seen(11).is_empty()) => {}
    }
    assert_eq!(broker.seen(11)[0].ext.get("queueOffset"), Some("2"));
    broker.release(|_| pulled(0, 3).with_body(records(&["c"])));
    assert_eq!(consumer.next().await.unwrap().messages[0].tag(), Some("c"));
}

#[tokio::test]
async fn a_change_of_members_is_noticed_at_once() {
    let broker = broker(&[]);
    let (mut consumer, _names) = join(&broker, from_first()).await;
    let before = broker.seen(38).len();
    let change = Command::oneway(40).with_ext("consumerGroup", "G");
    broker.connection().oneway(change);
    tokio::select! {
        batch = consumer.next() => panic!("nothing was sent: {batch:?}"),
        () = until("the members are asked for", || before < broker.seen(38).len()) => {}
    }
}

#[tokio::test]
async fn a_reset_moves_the_consumer_and_what_was_handed_out_before_does_not_count() {
    let broker = broker(&["a", "b"]);
    let (mut consumer, _names) = join(&broker, from_first()).await;
    let before = consumer.next().await.unwrap();
    let reset = |offset: i64| {
        let queue = r#"{"brokerName":"a","queueId":0,"topic":"T"}"#;
        let other = r#"{"brokerName":"a","queueId":9,"topic":"T"}"#;
        let body = format!(r#"{{"offsetTable":{{{queue}:{offset},{other}:5}}}}"#);
        let fields = [("topic", "T"), ("group", "G"), ("timestamp", "0"), ("isForce", "true")];
        let command = Command::oneway(220).with_body(body.into_bytes());
        fields.into_iter().fold(command, |command, (name, value)| command.with_ext(name, value))
    };
    broker.connection().oneway(reset(0));
    let again = consumer.next().await.unwrap();
    assert_eq!(again.messages.len(), 2, "read again from the new place");
    consumer.done(&before, Verdict::Consumed).await.unwrap();
    let status = Command::request(221).with_ext("topic", "T").with_ext("group", "G");
    let at = async |broker: &Fake| {
        let answer = broker.connection().request(status.clone(), LONG).await.unwrap();
        let body = String::from_utf8(answer.body.to_vec()).unwrap();
        body.trim_end_matches("}}").rsplit(':').next().unwrap().to_owned()
    };
    assert_eq!(at(&broker).await, "0");
    consumer.done(&again, Verdict::Consumed).await.unwrap();
    assert_eq!(at(&broker).await, "2");

    let info = Command::request(307).with_ext("consumerGroup", "G").with_ext("clientId", "c");
    let answer = broker.connection().request(info, LONG).await.unwrap();
    let info: ConsumerRunningInfo = rmq_remoting::json::from_slice(&answer.body).unwrap();
    assert_eq!((answer.code, info.mq_table.len()), (0, 1));
    assert_eq!(&*info.subscription_set[0].topic, "T");
    assert_eq!(info.properties["PROP_CONSUMEORDERLY"], "false");
}

#[tokio::test]
async fn a_refusal_for_good_is_reported() {
    let bad = Fake::new(move |command| {
        Some(match command.code {
            11 => refusal(16, "the group is not allowed to read"),
            _ => ok().with_ext("offset", "0"),
        })
    });
    let config =
        ConsumerConfig { model: rmq_model::client::MessageModel::Broadcasting, ..from_first() };
    let (mut consumer, _names) = join(&bad, config).await;
    let error = consumer.next().await.unwrap_err();
    assert_eq!(error.code(), Some(16));
}
