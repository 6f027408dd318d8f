//! Name servers, refusals, and what brokers ask of clients.

use crate::fake::{Fake, client, name_server, ok, refusal, route, with_json};
use rmq_client::CallError;
use rmq_remoting::Command;
use serde_json::json;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const LONG: Duration = Duration::from_secs(10);
const SHORT: Duration = Duration::from_millis(100);

/// An address where nobody listens.
fn nobody() -> String {
    let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    socket.local_addr().unwrap().to_string()
}

#[tokio::test]
async fn the_next_name_server_is_asked_and_remembered() {
    let server = name_server(route(&[("a", "127.0.0.1:1".to_owned())], 2));
    let (client, _) = client(&[nobody(), server.addr()], LONG);
    assert_eq!(client.fetch_route("T").await.unwrap().write_queues().len(), 2);
    let (addr, _) =
        client.ask_name_server(Command::request(105).with_ext("topic", "T")).await.unwrap();
    assert_eq!(addr, server.addr());
    assert_eq!(server.seen(105).len(), 2);
}

#[tokio::test]
async fn without_name_server_the_old_route_is_used() {
    let server = name_server(route(&[("a", "127.0.0.1:1".to_owned())], 2));
    let (client, clock) = client(&[server.addr()], LONG);
    client.route("T").await.unwrap();
    client.route("T").await.unwrap();
    assert_eq!(server.seen(105).len(), 1, "a fresh route is not asked for again");
    clock.advance(Duration::from_secs(31));
    client.route("T").await.unwrap();
    assert_eq!(server.seen(105).len(), 2, "an old one is");
    drop(server);
    clock.advance(Duration::from_secs(31));
    assert_eq!(client.route("T").await.unwrap().write_queues().len(), 2);
    let error = client.route("U").await.unwrap_err();
    assert!(matches!(error, CallError::NoNameServer { .. }), "{error}");
}

#[tokio::test]
async fn refusals_name_peer_request_code_and_remark() {
    let server = Fake::new(|_| Some(refusal(29, "bad name")));
    let (client, _) = client(&[nobody()], LONG);
    let error = client.ask(&server.addr(), Command::request(17)).await.unwrap_err();
    assert_eq!(error.code(), Some(29));
    let text = error.to_string();
    for part in [&server.addr(), "code 29", "bad name"] {
        assert!(text.contains(part), "{part} in {text}");
    }
}

#[tokio::test]
async fn silence_ends_with_the_timeout() {
    let server = Fake::new(|_| None);
    let (client, _) = client(&[nobody()], SHORT);
    let error = client.ask(&server.addr(), Command::request(28)).await.unwrap_err();
    assert!(error.is_unreachable(), "{error}");
}

#[tokio::test]
async fn a_peer_that_goes_away_is_asked_again_on_a_new_connection() {
    let first = AtomicBool::new(true);
    let server = Fake::new(move |_| {
        Some(if first.swap(false, Ordering::Relaxed) { refusal(1500, "go away") } else { ok() })
    });
    let (client, _) = client(&[nobody()], LONG);
    client.ask(&server.addr(), Command::request(28)).await.unwrap();
    assert_eq!(server.seen(28).len(), 2);
}

#[tokio::test]
async fn requests_that_a_client_does_not_know_are_answered() {
    let server = Fake::new(|_| Some(ok()));
    let (client, _) = client(&[nobody()], LONG);
    client.ask(&server.addr(), Command::request(28)).await.unwrap();
    let group = |code| Command::request(code).with_ext("consumerGroup", "G");
    let of_topic = Command::request(221).with_ext("group", "G").with_ext("topic", "T");
    let no_group = "The Consumer Group <G> not exist in this consumer";
    for (request, want, remark) in [
        (Command::request(4711), 3, " request type 4711 not supported"),
        (group(307).with_ext("clientId", "c"), 1, no_group),
        (group(309), 1, no_group),
        (group(40), 0, ""),
        (Command::request(307), 1, "the custom field <consumerGroup> is null"),
        (of_topic, 0, ""),
    ] {
        let answer = server.connection().request(request, LONG).await.unwrap();
        assert_eq!((answer.code, answer.remark.as_deref().unwrap_or("")), (want, remark));
    }
}

#[tokio::test]
async fn administrators_see_lag_from_all_brokers() {
    let stats = |broker: &str, end: i64| {
        let body = format!(
            "{{\"consumeTps\":0.0,\"offsetTable\":{{{{\"brokerName\":\"{broker}\",\"queueId\":0,\
             \"topic\":\"T\"}}:{{\"brokerOffset\":{end},\"consumerOffset\":1,\"pullOffset\":2}}}}}}"
        );
        Fake::new(move |_| Some(ok().with_body(body.clone().into_bytes())))
    };
    let (a, b) = (stats("a", 4), stats("b", 7));
    let info = json!({
        "brokerAddrTable": {
            "a": {"brokerName": "a", "cluster": "C", "brokerAddrs": {"0": a.addr()}},
            "b": {"brokerName": "b", "cluster": "C", "brokerAddrs": {"0": b.addr()}},
        },
        "clusterAddrTable": {"C": ["a", "b"]},
    });
    let names = Fake::new(move |_| Some(with_json(&info)));
    let (client, _) = client(&[names.addr()], LONG);
    let rows = client.admin().progress("G", None).await.unwrap();
    let lags: Vec<_> = rows.iter().map(|r| (r.queue.broker_name.to_string(), r.lag())).collect();
    assert_eq!(lags, [("a".to_owned(), 3), ("b".to_owned(), 6)]);
}
