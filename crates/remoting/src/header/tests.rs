use super::*;
use crate::code::request;
use crate::{ByteStr, Command, ExtFields};

fn ext(fields: &[(&'static str, &'static str)]) -> ExtFields {
    fields.iter().copied().collect()
}

/// As a Java producer sends them.
const V2: [(&str, &str); 13] = [
    ("a", "PG"),
    ("b", "T"),
    ("c", "TBW102"),
    ("d", "4"),
    ("e", "-1"),
    ("f", "0"),
    ("g", "1700000000000"),
    ("h", "7"),
    ("i", "UNIQ_KEY\u{1}x\u{2}"),
    ("j", "0"),
    ("k", "false"),
    ("m", "TRUE"),
    ("n", "b-a"),
];

#[test]
fn sends_in_both_spellings() {
    let short = SendMessage::from_code(request::SEND_MESSAGE_V2, &ext(&V2)).unwrap();
    assert_eq!(short.producer_group, "PG");
    assert_eq!((short.queue_id, short.born_timestamp, short.flag), (-1, 1_700_000_000_000, 7));
    assert_eq!(short.properties.as_deref(), Some("UNIQ_KEY\u{1}x\u{2}"));
    assert_eq!((short.reconsume_times, short.max_reconsume_times), (Some(0), None));
    assert!(short.batch && !short.unit_mode);

    let long = Command::request(request::SEND_MESSAGE).with_header(&short);
    assert_eq!(long.ext.get("defaultTopicQueueNums"), Some("4"));
    assert_eq!(SendMessage::from_code(long.code, &long.ext).unwrap(), short);
    let mut again = ExtFields::new();
    short.to_v2(&mut again);
    assert_eq!(SendMessage::from_v2(&again).unwrap(), short);
}

#[test]
fn errors_name_the_field() {
    let mut fields = ext(&V2);
    fields.remove("d");
    let missing = SendMessage::from_v2(&fields).unwrap_err();
    assert_eq!(missing.to_string(), "the custom field <defaultTopicQueueNums> is null");
    for (text, message) in [
        ("x", "the custom field <queueId> is not a number in range: \"x\""),
        ("2147483648", "the custom field <queueId> is not a number in range: \"2147483648\""),
        ("", "the custom field <queueId> is null"),
    ] {
        let mut fields = ext(&V2);
        fields.insert("e", text);
        assert_eq!(SendMessage::from_v2(&fields).unwrap_err().to_string(), message);
    }
    let endless = OfQueue::from_ext(
        &[("topic", "T".to_owned()), ("queueId", "9".repeat(1000))].into_iter().collect(),
    );
    assert!(endless.unwrap_err().to_string().len() < 120);
}

#[test]
fn absent_and_empty_fields() {
    let mut fields = ext(&[("topic", "T"), ("queueId", "0")]);
    assert!(GetMaxOffset::from_ext(&fields).unwrap().committed);
    fields.insert("committed", "false");
    fields.insert("bname", "");
    fields.insert("unknown", "x");
    let read = GetMaxOffset::from_ext(&fields).unwrap();
    assert!(!read.committed);
    assert_eq!(read.broker_name.as_deref(), Some(""));

    let reset = ext(&[
        ("topic", "T"),
        ("group", "G"),
        ("timestamp", "-1"),
        ("isForce", "true"),
        ("queueId", ""),
        ("offset", ""),
    ]);
    let read = ResetOffset::from_ext(&reset).unwrap();
    assert_eq!((read.queue_id, read.offset, read.timestamp), (-1, -1, -1));
}

#[test]
fn the_last_of_equal_fields_wins() {
    let fields = ext(&[("topic", "A"), ("queueId", "0"), ("topic", "B")]);
    assert_eq!(OfQueue::from_ext(&fields).unwrap().topic, "B");
}

#[test]
fn answers_say_what_clients_read() {
    let sent = SendMessageResponse {
        msg_id: "7F00000100002A9F0000000000000001".into(),
        queue_id: 3,
        queue_offset: i64::MAX,
        transaction_id: Some(ByteStr::from("x")),
        batch_uniq_id: None,
        recall_handle: None,
    };
    let answer = Command::response(0).with_header(&sent);
    let fields: Vec<_> = answer.ext.iter().collect();
    assert_eq!(
        fields,
        [
            ("msgId", "7F00000100002A9F0000000000000001"),
            ("queueId", "3"),
            ("queueOffset", "9223372036854775807"),
            ("transactionId", "x"),
        ]
    );
    assert_eq!(answer.decode::<SendMessageResponse>().unwrap(), sent);
    let heartbeat = HeartbeatResponse { support_v2: true, sub_change: false };
    let answer = Command::response(0).with_header(&heartbeat);
    assert_eq!(answer.ext.get("IS_SUPPORT_HEART_BEAT_V2"), Some("true"));
    assert_eq!(answer.ext.get("IS_SUB_CHANGE"), Some("false"));
}
