//! Producers.

use crate::fake::{Fake, client, name_server, ok, refusal, route, with_json};
use rmq_client::producer::SendStatus;
use rmq_client::{Outgoing, Producer};
use rmq_record::{batch, properties};
use rmq_remoting::Command;
use std::time::Duration;

const LONG: Duration = Duration::from_secs(10);

fn stored(code: i32) -> Command {
    Command::response(code)
        .with_ext("msgId", "ID")
        .with_ext("queueId", "1")
        .with_ext("queueOffset", "42")
}

#[tokio::test]
async fn another_broker_takes_what_a_busy_one_refuses() {
    let busy = Fake::new(|_| Some(refusal(2, "busy")));
    let free = Fake::new(|_| Some(stored(0)));
    let names = name_server(route(&[("a", busy.addr()), ("b", free.addr())], 4));
    let (client, _) = client(&[names.addr()], LONG);
    let producer = Producer::new(client, "PG");
    for _ in 0..8 {
        let sent = producer.send(&Outgoing::new("T", "x")).await.unwrap();
        assert_eq!((&*sent.queue.broker_name, sent.queue_offset), ("b", 42));
    }
    assert_eq!(free.seen(310).len(), 8);
    assert!(!busy.seen(310).is_empty(), "its turn came too");
}

#[tokio::test]
async fn sends_end_after_three_tries_and_wrong_messages_at_once() {
    for (code, tries) in [(2, 3), (14, 3), (13, 1), (29, 1)] {
        let broker = Fake::new(move |_| Some(refusal(code, "no")));
        let names = name_server(route(&[("a", broker.addr())], 4));
        let (client, _) = client(&[names.addr()], LONG);
        let error = Producer::new(client, "PG").send(&Outgoing::new("T", "x")).await.unwrap_err();
        assert_eq!((error.code(), broker.seen(310).len()), (Some(code), tries));
    }
}

#[tokio::test]
async fn what_is_stored_less_safely_is_said() {
    for (code, status) in [
        (10, SendStatus::FlushDiskTimeout),
        (11, SendStatus::SlaveNotAvailable),
        (12, SendStatus::FlushSlaveTimeout),
    ] {
        let broker = Fake::new(move |_| Some(stored(code)));
        let names = name_server(route(&[("a", broker.addr())], 1));
        let (client, _) = client(&[names.addr()], LONG);
        let sent = Producer::new(client, "PG").send(&Outgoing::new("T", "x")).await.unwrap();
        assert_eq!(sent.status, status);
    }
}

#[tokio::test]
async fn a_new_topic_goes_to_the_brokers_that_may_make_it() {
    let broker = Fake::new(|_| Some(stored(0)));
    let known = route(&[("a", broker.addr())], 8);
    let names = Fake::new(move |command| {
        let template = command.ext.get("topic") == Some("TBW102");
        Some(if template { with_json(&known) } else { refusal(17, "no route") })
    });
    let (client, _) = client(&[names.addr()], LONG);
    let producer = Producer::new(client, "PG");
    for _ in 0..6 {
        producer.send(&Outgoing::new("New", "x")).await.unwrap();
    }
    let sent = broker.seen(310);
    let queues: Vec<_> = sent.iter().filter_map(|c| c.ext.get("e")).collect();
    assert_eq!(queues, ["0", "1", "2", "3", "0", "1"], "at most four queues are made");
    assert!(sent.iter().all(|c| c.ext.get("b") == Some("New")));
}

#[tokio::test]
async fn a_batch_is_one_request_with_an_id_for_each_message() {
    let broker = Fake::new(|_| Some(stored(0)));
    let names = name_server(route(&[("a", broker.addr())], 1));
    let (client, _) = client(&[names.addr()], LONG);
    let producer = Producer::new(client, "PG");
    let messages: Vec<_> = (0..3).map(|n| Outgoing::new("T", format!("m{n}"))).collect();
    producer.send_batch(&messages).await.unwrap();
    let sent = broker.seen(320);
    let elements: Vec<_> = batch::elements(&sent[0].body).map(Result::unwrap).collect();
    let bodies: Vec<_> = elements.iter().map(|e| e.body).collect();
    assert_eq!(bodies, [b"m0", b"m1", b"m2"]);
    let mut ids: Vec<_> =
        elements.iter().filter_map(|e| properties::get(e.properties, "UNIQ_KEY")).collect();
    ids.dedup();
    assert_eq!(ids.len(), 3);
    let delayed = Outgoing { delay_level: Some(1), ..Outgoing::new("T", "x") };
    assert!(producer.send_batch(&[delayed]).await.is_err());
    assert!(producer.send_batch(&[]).await.is_err());
    assert_eq!(broker.seen(320).len(), 1);
}

#[tokio::test]
async fn one_way_sends_do_not_wait() {
    let broker = Fake::new(|command| if command.is_oneway() { None } else { Some(ok()) });
    let names = name_server(route(&[("a", broker.addr())], 1));
    let (client, _) = client(&[names.addr()], LONG);
    Producer::new(client, "PG").send_oneway(&Outgoing::new("T", "x")).await.unwrap();
    crate::fake::until("the message arrives", || broker.seen(310).len() == 1).await;
}
