use super::*;
use crate::properties;
use bytes::Bytes;
use proptest::prelude::*;

const UNIQ: &str = "7F000001ABCD18B4AAC27F5C6E8A0000";

/// Record A of the reference: computed from the layout by an independent program.
const RECORD_A: &str = "
    00 00 00 a7 da a3 20 a7 36 10 a6 86 00 00 00 01
    00 00 00 00 00 00 00 00 00 00 00 07 00 00 00 00
    00 00 10 00 00 00 00 00 00 00 01 8b cf e5 68 00
    7f 00 00 01 00 00 c3 50 00 00 01 8b cf e5 68 7b
    7f 00 00 01 00 00 2a 9f 00 00 00 00 00 00 00 00
    00 00 00 00 00 00 00 05 68 65 6c 6c 6f 09 54 6f
    70 69 63 54 65 73 74 00 3e 54 41 47 53 01 54 61
    67 41 02 4b 45 59 53 01 4b 65 79 41 02 55 4e 49
    51 5f 4b 45 59 01 37 46 30 30 30 30 30 31 41 42
    43 44 31 38 42 34 41 41 43 32 37 46 35 43 36 45
    38 41 30 30 30 30 02";

fn hex(text: &str) -> Vec<u8> {
    text.split_whitespace().map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect()
}

fn message_a() -> Message {
    Message {
        topic: "TopicTest".into(),
        queue_id: 1,
        flag: 0,
        sys_flag: 0,
        born_timestamp: 1_700_000_000_000,
        born_host: ([127, 0, 0, 1], 50000).into(),
        store_host: ([127, 0, 0, 1], 10911).into(),
        reconsume_times: 0,
        prepared_transaction_offset: 0,
        body: Bytes::from_static(b"hello"),
        properties: properties::text([("TAGS", "TagA"), ("KEYS", "KeyA"), ("UNIQ_KEY", UNIQ)]),
    }
}

fn stored(message: &Message, property_crc: bool) -> Vec<u8> {
    let mut out = Vec::new();
    let bytes = encode(message, property_crc, &mut out).unwrap();
    assert_eq!(bytes, out.len());
    place(&mut out, 7, LogOffset(4096), 1_700_000_000_123);
    if property_crc {
        property_crc::seal(&mut out);
    }
    out
}

#[test]
fn record_a_has_the_bytes_of_the_reference() {
    let record = stored(&message_a(), false);
    assert_eq!(record, hex(RECORD_A));
    assert_eq!(crc32fast::hash(&record), 2_192_708_057);
}

#[test]
fn record_b_ends_with_the_check_value_of_the_reference() {
    let mut message = message_a();
    message.properties = properties::text([("TAGS", "TagA")]);
    let record = stored(&message, true);
    assert_eq!(record.len(), 135);
    let tail = hex("00 1e 54 41 47 53 01 54 61 67 41 02 5f 5f 43 52
                    43 33 32 23 01 36 36 34 37 30 39 35 33 38 30 02");
    assert_eq!(record.get(0x67..), Some(&*tail));
    assert_eq!(property_crc::verify(&record), Some(true));
    assert_eq!(property_crc::verify(&stored(&message, false)), None);
    let mut damaged = record;
    damaged[16] ^= 1;
    assert_eq!(property_crc::verify(&damaged), Some(false));
}

#[test]
fn record_a_reads_as_what_was_stored() {
    let bytes = hex(RECORD_A);
    let Ok(Parsed::Record(view)) = RecordView::parse(&bytes, Check::full(LogOffset(4096))) else {
        panic!("record A is valid");
    };
    assert_eq!((view.topic, view.queue_id, view.queue_offset), ("TopicTest", 1, 7));
    assert_eq!(view.body, b"hello");
    assert_eq!(view.store_timestamp, 1_700_000_000_123);
    assert_eq!(store_time_of(&bytes), Some(1_700_000_000_123));
    assert_eq!(view.store_host, ([127, 0, 0, 1], 10911).into());
    assert_eq!(properties::get(view.properties, "UNIQ_KEY"), Some(UNIQ));
    assert!(view.is_queued());
}

#[test]
fn a_record_for_another_place_is_none() {
    let bytes = hex(RECORD_A);
    let fault = RecordView::parse(&bytes, Check::full(LogOffset(8192))).unwrap_err();
    assert_eq!(fault, Fault::Place { stored: 4096 });
}

#[test]
fn fillers_and_zeros_are_told_apart() {
    let mut bytes = blank(100).to_vec();
    assert_eq!(bytes, [0, 0, 0, 100, 0xcb, 0xd4, 0x31, 0x94]);
    bytes.resize(100, 0);
    assert!(matches!(RecordView::parse(&bytes, Check::default()), Ok(Parsed::Blank(100))));
    assert_eq!(
        RecordView::parse(&[0; 64], Check::default()).unwrap_err(),
        Fault::Magic { magic: 0 }
    );
    assert_eq!(RecordView::parse(&[0; 4], Check::default()).unwrap_err(), Fault::Short);
}

#[test]
fn any_flipped_byte_of_the_body_is_found() {
    let bytes = hex(RECORD_A);
    for at in 88..93 {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x10;
        let fault = RecordView::parse(&damaged, Check::full(LogOffset(4096))).unwrap_err();
        assert_eq!(fault, Fault::BodyCrc, "byte {at}");
    }
}

#[test]
fn long_topics_take_the_second_magic() {
    for (bytes, magic) in [(127, MAGIC_V1), (128, MAGIC_V2), (255, MAGIC_V2)] {
        let mut message = message_a();
        message.topic = "t".repeat(bytes).into();
        let record = stored(&message, false);
        assert_eq!(record.get(4..8), Some(&magic.to_be_bytes()[..]));
        let view = RecordView::decode(&record, Check::full(LogOffset(4096))).unwrap();
        assert_eq!(view.topic.len(), bytes);
    }
}

#[test]
fn what_does_not_fit_a_length_field_is_refused() {
    let mut message = message_a();
    message.topic = "".into();
    let mut out = Vec::new();
    assert_eq!(encode(&message, false, &mut out), Err(EncodeError::TopicLength { bytes: 0 }));
    message = message_a();
    for (bytes, crc, want) in [
        (32_767, false, None),
        (32_768, false, Some(32_768)),
        (32_746, true, None),
        (32_748, true, Some(32_769)),
    ] {
        message.properties = vec![b'x'; bytes].into();
        let got = encode(&message, crc, &mut out).err();
        assert_eq!(got, want.map(|bytes| EncodeError::PropertiesTooLong { bytes }), "{bytes}");
    }
}

#[test]
fn a_row_of_records_is_split() {
    let one = hex(RECORD_A);
    let row = [&one[..], &one[..], &one[..]].concat();
    assert_eq!(records(&row).filter(Result::is_ok).count(), 3);
    let cut = row.get(..row.len() - 1).unwrap();
    let all: Vec<_> = records(cut).collect();
    assert_eq!(all.len(), 3);
    assert_eq!(all.last(), Some(&Err(Fault::Short)));
}

prop_compose! {
    fn messages()(
        topic in "[a-zA-Z%_-]{1,140}",
        queue_id in 0..=0x7FFF_FFFFu32,
        flag: i32,
        sys_flag in any::<i32>(),
        born_timestamp: i64,
        born_host: (std::net::IpAddr, u16),
        store_host: (std::net::IpAddr, u16),
        reconsume_times: i32,
        prepared_transaction_offset: i64,
        body in prop::collection::vec(any::<u8>(), 0..300),
        properties in prop::collection::vec(any::<u8>(), 0..100),
    ) -> Message {
        Message {
            topic: topic.into(), queue_id, flag, sys_flag, born_timestamp,
            born_host: (born_host.0.to_canonical(), born_host.1).into(),
            store_host: (store_host.0.to_canonical(), store_host.1).into(),
            reconsume_times, prepared_transaction_offset,
            body: body.into(), properties: properties.into(),
        }
    }
}

proptest! {
    #[test]
    fn what_was_encoded_is_decoded(message in messages(), at in 0..=i64::MAX, time: i64) {
        let at = LogOffset::from_wire(at).unwrap();
        let mut bytes = Vec::new();
        encode(&message, false, &mut bytes).unwrap();
        place(&mut bytes, at.0, at, time);
        bytes.push(0);
        let view = RecordView::decode(&bytes, Check::full(at)).unwrap();
        prop_assert_eq!(view.bytes.len(), bytes.len() - 1);
        prop_assert_eq!(view.topic, &*message.topic);
        prop_assert_eq!(view.queue_id, message.queue_id);
        prop_assert_eq!(view.queue_offset, at.0);
        prop_assert_eq!(view.flag, message.flag);
        let hosts = sysflag::BORN_HOST_V6 | sysflag::STORE_HOST_V6;
        prop_assert_eq!(view.sys_flag & !hosts, message.sys_flag & !hosts);
        prop_assert_eq!(view.born_timestamp, message.born_timestamp);
        prop_assert_eq!(view.born_host, message.born_host);
        prop_assert_eq!(view.store_timestamp, time);
        prop_assert_eq!(view.store_host, message.store_host);
        prop_assert_eq!(view.reconsume_times, message.reconsume_times);
        prop_assert_eq!(view.prepared_transaction_offset, message.prepared_transaction_offset);
        prop_assert_eq!(view.body, &message.body[..]);
        prop_assert_eq!(view.properties, &message.properties[..]);
    }

    #[test]
    fn noise_never_panics(
        noise in prop::collection::vec(any::<u8>(), 0..200),
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
    ) {
        RecordView::parse(&noise, Check::full(LogOffset(0))).ok();
        let mut near = hex(RECORD_A);
        for (at, byte) in flips {
            let at = at.index(near.len());
            near[at] = byte;
        }
        let _ = records(&near).count();
        let _ = property_crc::verify(&near);
        place(&mut near, 1, LogOffset(2), 3);
        property_crc::seal(&mut near);
    }
}
