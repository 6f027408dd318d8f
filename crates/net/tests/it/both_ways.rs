//! Requests and answers in both directions.

use crate::support::*;
use rmq_net::{BindError, RequestError, Server, ServerConfig};
use rmq_remoting::{Command, Encoding};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

#[tokio::test]
async fn a_request_gets_its_own_answer_in_its_own_encoding() {
    let (_server, _echo, addr) = start(|_| {});
    let conn = client(addr).await;
    let ask = |encoding, body: String| {
        let mut request = Command::request(ECHO).with_body(body.clone());
        request.encoding = encoding;
        let conn = conn.clone();
        async move { (conn.request(request, DEADLINE).await.unwrap(), body) }
    };
    let all = (0..200).map(|i| {
        ask(if i % 2 == 0 { Encoding::Json } else { Encoding::Binary }, format!("body {i}"))
    });
    let mut running = tokio::task::JoinSet::new();
    all.for_each(|one| drop(running.spawn(one)));
    while let Some(done) = running.join_next().await {
        let (answer, body) = done.unwrap();
        assert!(answer.is_response() && answer.code == 0);
        assert_eq!(answer.body, body.as_bytes());
    }
}

#[tokio::test]
async fn the_server_asks_its_client_and_is_answered() {
    let (_server, echo, addr) = start(|_| {});
    let _conn = client(addr).await;
    // The server knows the connection once the client has said something.
    let conn = client(addr).await;
    conn.request(Command::request(ECHO), DEADLINE).await.unwrap();
    let back = echo.connections.lock()[0].clone();
    let answer = back.request(Command::request(ECHO).with_body("hi"), DEADLINE).await.unwrap();
    assert_eq!(answer.body, "hi");
    back.oneway(Command::request(ECHO));
    assert_eq!(conn.request(Command::request(ECHO), DEADLINE).await.unwrap().code, 0);
}

#[tokio::test]
async fn a_dropped_request_is_answered_with_an_error_and_one_way_ones_with_nothing() {
    let (_server, echo, addr) = start(|_| {});
    let conn = client(addr).await;
    conn.oneway(Command::request(DROP));
    conn.oneway(Command::request(ECHO));
    let answer = conn.request(Command::request(DROP), DEADLINE).await.unwrap();
    assert_eq!(answer.code, 1);
    assert!(answer.remark.unwrap().contains("dropped"));
    assert_eq!(echo.requests.load(Ordering::SeqCst), 3);
    assert_eq!(echo.connections.lock()[0].in_flight(), 0);
}

#[tokio::test]
async fn waiting_ends_with_the_timeout_or_with_the_connection() {
    let (server, echo, addr) = start(|_| {});
    let conn = client(addr).await;
    let short = Duration::from_millis(20);
    let late = conn.request(Command::request(HOLD), short).await;
    assert!(matches!(late, Err(RequestError::Timeout { after, .. }) if after == short));

    let waiting = tokio::spawn({
        let conn = conn.clone();
        async move { conn.request(Command::request(HOLD), DEADLINE).await }
    });
    until("the second request arrives", || echo.held.lock().len() == 2).await;
    drop(server);
    assert!(matches!(waiting.await.unwrap(), Err(RequestError::Closed { .. })));
    until("the client notices", || conn.is_closed()).await;
    let after = conn.request(Command::request(ECHO), DEADLINE).await;
    assert!(matches!(after, Err(RequestError::Closed { .. })));
}

#[tokio::test]
async fn a_drained_server_answers_what_it_has_taken_on() {
    let (server, echo, addr) = start(|_| {});
    let conn = client(addr).await;
    let waiting = tokio::spawn({
        let conn = conn.clone();
        async move { conn.request(Command::request(HOLD), DEADLINE).await }
    });
    until("the request arrives", || echo.held.lock().len() == 1).await;
    let stopping = tokio::spawn(async move { server.shutdown(DEADLINE).await });
    until("nobody is accepted any more", || std::net::TcpStream::connect(addr).is_err()).await;
    echo.held.lock().drain(..).for_each(|reply| reply.send(Command::response(0)));
    assert_eq!(waiting.await.unwrap().unwrap().code, 0);
    assert!(stopping.await.unwrap(), "nothing was cut off");
    assert_eq!(echo.closed.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn shutdown_ends_when_its_grace_is_over() {
    let (server, echo, addr) = start(|_| {});
    let conn = client(addr).await;
    let waiting = tokio::spawn({
        let conn = conn.clone();
        async move { conn.request(Command::request(HOLD), DEADLINE).await }
    });
    until("the request arrives", || echo.held.lock().len() == 1).await;
    assert!(!server.shutdown(Duration::from_millis(50)).await);
    assert!(waiting.await.unwrap().is_err());
}

#[tokio::test]
async fn pokes_before_the_task_runs_count_as_one() {
    let (_server, echo, addr) = start(|_| {});
    let conn = client(addr).await;
    conn.request(Command::request(ECHO), DEADLINE).await.unwrap();
    let back = echo.connections.lock()[0].clone();
    (0..100).for_each(|_| back.poke());
    until("it is poked", || 0 < echo.poked.load(Ordering::SeqCst)).await;
    assert_eq!(echo.poked.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_taken_port_is_named_with_its_owner() {
    let (server, echo, addr) = start(|_| {});
    let error = Server::bind(ServerConfig::new(vec![addr]), echo as Arc<_>).unwrap_err();
    let BindError::InUse { addr: named, owner } = &error else { panic!("{error:?}") };
    assert_eq!(*named, addr);
    if let Some(owner) = owner {
        assert!(owner.contains(&format!("(pid {})", std::process::id())), "{owner}");
    }
    drop(server);
}

#[tokio::test]
async fn what_was_answered_before_a_close_arrives() {
    let (_server, echo, addr) = start(|_| {});
    let conn = client(addr).await;
    let asked: Vec<_> = (0..32)
        .map(|_| {
            let conn = conn.clone();
            tokio::spawn(async move { conn.request(Command::request(HOLD), DEADLINE).await })
        })
        .collect();
    until("all requests arrive", || echo.held.lock().len() == 32).await;
    // Far more than the socket takes at once.
    let body = vec![7; BIG_BYTES];
    for reply in echo.held.lock().drain(..) {
        reply.send(Command::response(0).with_body(body.clone()));
    }
    echo.connections.lock()[0].close();
    for answer in asked {
        assert_eq!(answer.await.unwrap().unwrap().body.len(), BIG_BYTES);
    }
    until("the client notices", || conn.is_closed()).await;
}

#[tokio::test]
async fn a_connector_closes_what_it_opened() {
    let (_server, echo, addr) = start(|_| {});
    let (stopped, dropped) = (client(addr).await, client(addr).await);
    for conn in [&stopped, &dropped] {
        conn.request(Command::request(ECHO), DEADLINE).await.unwrap();
    }
    assert_eq!(echo.connections.lock().len(), 2);
    assert!(stopped.connector.shutdown(DEADLINE).await);
    assert!(stopped.is_closed());
    let conn = dropped.clone();
    assert!(!conn.is_closed());
    drop(dropped);
    until("the server notices", || echo.closed.load(Ordering::SeqCst) == 2).await;
    assert!(conn.is_closed());
}
