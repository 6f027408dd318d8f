//! Bounds hold and nobody else suffers.

use crate::support::*;
use rmq_remoting::Command;
use std::sync::atomic::Ordering;
use std::time::Duration;

#[tokio::test]
async fn nothing_is_read_beyond_the_requests_in_flight_and_all_are_answered_in_the_end() {
    let (_server, echo, addr) = start(limits(|l| l.in_flight_max = 10));
    let mut raw = Raw::connect(addr).await;
    let mut flood = Vec::new();
    (0..1000).for_each(|opaque| flood.extend_from_slice(&frame(HOLD, opaque, b"x")));
    raw.send(&flood).await;
    let other = client(addr).await;
    let mut answered = 0;
    while answered < 1000 {
        until("some are taken on", || !echo.held.lock().is_empty()).await;
        assert_eq!(other.request(Command::request(ECHO), DEADLINE).await.unwrap().code, 0);
        let held: Vec<_> = echo.held.lock().drain(..).collect();
        assert!(held.len() <= 10, "{} in flight", held.len());
        for reply in held {
            reply.send(Command::response(0));
            assert_eq!(raw.frame().await.unwrap().opaque, answered);
            answered += 1;
        }
    }
}

#[tokio::test]
async fn a_peer_that_never_reads_is_cut_and_others_are_served() {
    let (_server, echo, addr) = start(limits(|l| l.outbox_bytes_max = 2 << 20));
    let mut raw = Raw::connect(addr).await;
    let other = client(addr).await;
    other.request(Command::request(ECHO), DEADLINE).await.unwrap();
    for opaque in 0..64 {
        raw.send(&frame(HOLD, opaque, b"")).await;
    }
    until("all are held", || echo.held.lock().len() == 64).await;
    let part = bytes::Bytes::from(vec![7u8; 1 << 20]);
    for reply in echo.held.lock().drain(..) {
        reply.send_parts(Command::response(0), std::slice::from_ref(&part));
    }
    until("the peer is cut", || echo.closed.load(Ordering::SeqCst) == 1).await;
    assert_eq!(other.request(Command::request(ECHO), DEADLINE).await.unwrap().code, 0);
}

#[tokio::test]
async fn a_slow_reader_gets_everything_and_slows_its_own_requests() {
    let (_server, echo, addr) = start(limits(|l| l.outbox_bytes_max = 256 * BIG_BYTES));
    let mut raw = Raw::connect(addr).await;
    let mut flood = Vec::new();
    (0..2000).for_each(|opaque| flood.extend_from_slice(&frame(BIG, opaque, b"")));
    raw.send(&flood).await;
    for opaque in 0..2000 {
        let answer = raw.frame().await.expect("not cut");
        assert_eq!((answer.opaque, answer.body.len()), (opaque, BIG_BYTES));
    }
    assert_eq!(echo.closed.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn one_connection_too_many_is_closed_and_there_is_room_again_when_one_leaves() {
    let (_server, echo, addr) = start(|config| config.connections_max = 2);
    let first = client(addr).await;
    let second = client(addr).await;
    for conn in [&first, &second] {
        conn.request(Command::request(ECHO), DEADLINE).await.unwrap();
    }
    let third = client(addr).await;
    assert!(third.request(Command::request(ECHO), DEADLINE).await.is_err());
    first.close();
    until("it is gone", || echo.closed.load(Ordering::SeqCst) == 1).await;
    let mut answered = false;
    for _ in 0..100 {
        let fourth = client(addr).await;
        answered = fourth.request(Command::request(ECHO), DEADLINE).await.is_ok();
        if answered {
            break;
        }
    }
    assert!(answered);
}

#[tokio::test]
async fn idle_connections_are_closed_and_busy_ones_are_not() {
    let idle = Duration::from_millis(1500);
    let (_server, echo, addr) = start(limits(|l| l.idle = idle));
    let silent = Raw::connect(addr).await;
    let mut raw = Raw::connect(addr).await;
    for opaque in 0..10 {
        raw.send(&frame(ECHO, opaque, b"")).await;
        assert_eq!(raw.frame().await.expect("kept open").opaque, opaque);
        tokio::time::sleep(idle / 5).await;
    }
    until("it is closed at last", || echo.closed.load(Ordering::SeqCst) == 1).await;
    assert!(raw.frame().await.is_none());
    drop(silent);
}

#[tokio::test]
async fn a_connection_reads_on_once_others_have_freed_the_common_budget() {
    let (_server, echo, addr) = start(|config| config.in_flight_bytes_total_max = 10_000);
    let mut patient = Raw::connect(addr).await;
    patient.send(&frame(HOLD, 1, b"")).await;
    until("its first is held", || echo.held.lock().len() == 1).await;
    let mut greedy = Raw::connect(addr).await;
    greedy.send(&frame(HOLD, 2, &[0; 20_000])).await;
    until("the budget is used up", || echo.held.lock().len() == 2).await;
    patient.send(&frame(ECHO, 3, b"")).await;
    // Nothing of its own ends: only the other connection's answer makes room.
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(echo.requests.load(Ordering::SeqCst), 2, "read in spite of the budget");
    let other = echo.held.lock().pop();
    other.unwrap().send(Command::response(0));
    assert_eq!(patient.frame().await.unwrap().opaque, 3);
}

#[tokio::test]
async fn a_service_that_panics_loses_the_connection_and_hears_of_it() {
    let (_server, echo, addr) = start(|_| {});
    let conn = client(addr).await;
    assert!(conn.request(Command::request(PANIC), DEADLINE).await.is_err());
    until("it is closed", || echo.closed.load(Ordering::SeqCst) == 1).await;
    let other = client(addr).await;
    assert_eq!(other.request(Command::request(ECHO), DEADLINE).await.unwrap().code, 0);
}
