//! Bytes that no client sends.

use crate::support::*;
use rmq_remoting::Command;
use std::sync::atomic::Ordering;
use tokio::io::AsyncWriteExt;

#[tokio::test]
async fn broken_streams_are_closed_and_others_are_served() {
    let (_server, echo, addr) = start(|_| {});
    let other = client(addr).await;
    other.request(Command::request(ECHO), DEADLINE).await.unwrap();
    let header = |len: u32, word: u32| [len.to_be_bytes(), word.to_be_bytes()].concat();
    let cases: [(&str, Vec<u8>); 9] = [
        ("too long", header(16 * 1024 * 1024 + 1, 0)),
        ("negative", header(0xFFFF_FFFF, 0)),
        ("no header word", header(3, 0)),
        ("header overrun", [header(8, 100), vec![0; 4]].concat()),
        ("unknown encoding", [header(6, 0x7F00_0002), b"{}".to_vec()].concat()),
        ("not JSON", [header(8, 4), b"{{{{".to_vec()].concat()),
        ("text", b"\0\0\0\x20GET / HTTP/1.1\r\nHost: a.example.org\r\n\r\n".to_vec()),
        ("TLS", vec![0x16, 3, 1, 0, 1, 0]),
        ("PROXY although not enabled", b"PROXY UNKNOWN\r\n".to_vec()),
    ];
    for (what, bytes) in cases {
        let mut raw = Raw::connect(addr).await;
        raw.send(&bytes).await;
        assert!(raw.frame().await.is_none(), "{what} was not closed");
        assert_eq!(other.request(Command::request(ECHO), DEADLINE).await.unwrap().code, 0);
    }
    assert_eq!(echo.requests.load(Ordering::SeqCst), 10);
}

#[tokio::test]
async fn what_came_before_the_broken_frame_is_answered() {
    let (_server, _echo, addr) = start(|_| {});
    let mut raw = Raw::connect(addr).await;
    let mut bytes = frame(ECHO, 5, b"good").to_vec();
    bytes.extend_from_slice(&[0xFF; 8]);
    raw.send(&bytes).await;
    assert_eq!(raw.frame().await.expect("answered").body, "good");
    assert!(raw.frame().await.is_none());
}

#[tokio::test]
async fn a_frame_that_breaks_off_harms_nobody() {
    let (_server, echo, addr) = start(|_| {});
    let bytes = frame(ECHO, 1, &[9; 1000]);
    for cut in [1, 4, 7, 8, 20, bytes.len() - 1] {
        let mut raw = Raw::connect(addr).await;
        raw.send(&bytes[..cut]).await;
        raw.stream.shutdown().await.unwrap();
        assert!(raw.frame().await.is_none());
    }
    until("all are closed", || echo.closed.load(Ordering::SeqCst) == 6).await;
    assert_eq!(echo.requests.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn ten_thousand_small_frames_byte_by_byte_or_at_once_are_all_answered() {
    let (_server, _echo, addr) = start(|_| {});
    let mut raw = Raw::connect(addr).await;
    for byte in frame(ECHO, -7, b"slow") {
        raw.send(&[byte]).await;
    }
    assert_eq!(raw.frame().await.unwrap().opaque, -7);
    let mut flood = Vec::new();
    (0..10_000).for_each(|opaque| flood.extend_from_slice(&frame(ECHO, opaque, b"")));
    raw.send(&flood).await;
    for opaque in 0..10_000 {
        assert_eq!(raw.frame().await.unwrap().opaque, opaque);
    }
}

#[tokio::test]
async fn a_proxy_header_names_the_peer_where_it_is_enabled() {
    let (_server, echo, addr) = start(|config| config.proxy_protocol = true);
    let mut raw = Raw::connect(addr).await;
    raw.send(b"PROXY TCP4 10.9.8.7 127.0.0.1 4321 9876\r\n").await;
    raw.send(&frame(ECHO, 1, b"")).await;
    assert_eq!(raw.frame().await.unwrap().opaque, 1);
    assert_eq!(echo.connections.lock()[0].peer(), "10.9.8.7:4321".parse().unwrap());
}
