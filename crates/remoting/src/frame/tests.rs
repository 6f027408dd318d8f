use super::*;
use rmq_model::limits::FRAME_BYTES_MAX;
use rmq_model::peer::Language;

fn with_prefix(kind: u8, header: &[u8], body: &[u8]) -> BytesMut {
    let mut out = BytesMut::new();
    out.put_u32(u32::try_from(4 + header.len() + body.len()).unwrap());
    out.put_u32(u32::from(kind) << 24 | u32::try_from(header.len()).unwrap());
    out.put_slice(header);
    out.put_slice(body);
    out
}

fn take(mut wire: BytesMut) -> Command {
    let command = take_frame(&mut wire, FRAME_BYTES_MAX).unwrap().unwrap();
    assert!(wire.is_empty());
    command
}

#[test]
fn json_as_a_java_peer_writes_it() {
    // Seen from 5.3.x, `serializeTypeCurrentRPC` and order of members included.
    let request = br#"{"code":30,"extFields":{"queueId":"3","committed":"true","bname":"b-a","topic":"T"},"flag":0,"language":"JAVA","opaque":0,"serializeTypeCurrentRPC":"JSON","version":0}"#;
    let answer = br#"{"code":0,"flag":1,"language":"JAVA","opaque":7,"serializeTypeCurrentRPC":"JSON","version":0}"#;
    let command = take(with_prefix(0, request, b""));
    assert_eq!((command.code, command.language, command.opaque), (30, Language::Java, 0));
    assert_eq!(command.ext.get("queueId"), Some("3"));
    assert!(!command.is_response() && command.body.is_empty());
    let mut out = BytesMut::new();
    command.encode(&mut out);
    assert_eq!(out, with_prefix(0, request, b""));

    let command = take(with_prefix(0, answer, b"body"));
    assert!(command.is_response() && command.opaque == 7 && command.body == "body");
    let mut out = BytesMut::new();
    command.encode(&mut out);
    assert_eq!(out, with_prefix(0, answer, b"body"));
}
