use super::*;
use proptest::prelude::*;
use rmq_model::limits::FRAME_BYTES_MAX;
use rmq_model::peer::{Language, ProtocolVersion};

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

#[test]
fn binary_as_a_java_peer_writes_it() {
    // Seen from 5.3.x up to the first entry of the map; the rest of the 45 bytes follows its layout.
    let header = hex("001e 00 0000 00000102 00000000 00000002 6162 0000002d
         0007 71756575654964 00000001 33
         0005 746f706963 00000001 54
         0009 636f6d6d6974746564 00000000");
    let mut header = header;
    let map = u32::try_from(header.len() - 21 - 2).unwrap();
    header[19..23].copy_from_slice(&map.to_be_bytes());
    let command = take(with_prefix(1, &header, b"body"));
    assert_eq!((command.code, command.language), (30, Language::Java));
    assert_eq!((command.opaque, command.flag), (0x102, 0));
    assert_eq!(command.remark.as_deref(), Some("ab"));
    let fields: Vec<_> = command.ext.iter().collect();
    assert_eq!(fields, [("queueId", "3"), ("topic", "T"), ("committed", "")]);
    assert_eq!(command.encoding, Encoding::Binary);
    let mut out = BytesMut::new();
    command.encode(&mut out);
    assert_eq!(out, with_prefix(1, &header, b"body"));
}

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u32> = text.chars().filter_map(|c| c.to_digit(16)).collect();
    digits.chunks(2).map(|two| u8::try_from(two[0] * 16 + two[1]).unwrap()).collect()
}

#[test]
fn codes_of_more_than_16_bits_wrap_in_binary_as_in_java() {
    let mut command = Command::request(200_050);
    command.encoding = Encoding::Binary;
    let mut out = BytesMut::new();
    command.encode(&mut out);
    assert_eq!(take(out).code, 3442);
}

#[test]
fn json_headers_are_read_leniently() {
    // (header, code, language, remark, fields)
    type Case<'a> = (&'a str, i32, Language, Option<&'a str>, &'a [(&'a str, &'a str)]);
    let cases: [Case<'_>; 9] = [
        ("{}", 0, Language::Other, None, &[]),
        (
            "{\"code\":10,\"language\":\"CPP\",\"extFields\":{\"a\":1,\"b\":true,\"c\":null,\"d\":-1.5}}\n",
            10,
            Language::Cpp,
            None,
            &[("a", "1"), ("b", "true"), ("d", "-1.5")],
        ),
        (" { 'code' : \"11\" , language : null, } \0", 11, Language::Other, None, &[]),
        (
            r#"{"language":"KLINGON","remark":"a\"b\\\u540d\ud83d\ude00\n","code":1}"#,
            1,
            Language::Other,
            Some("a\"b\\名😀\n"),
            &[],
        ),
        (r#"{"extFields":null,"remark":null,"code":2}"#, 2, Language::Other, None, &[]),
        (
            r#"{"unknown":{"x":[1,{"y":"}"}]},"code":3,"version":479}"#,
            3,
            Language::Other,
            None,
            &[],
        ),
        (
            r#"{"code":4,"extFields":{"k":{"a":[1]},"i":"KEYS\u0001x\u0002"}}"#,
            4,
            Language::Other,
            None,
            &[("k", "{\"a\":[1]}"), ("i", "KEYS\u{1}x\u{2}")],
        ),
        (
            r#"{"code":5,"extFields":{"a":"1","a":"2"}}"#,
            5,
            Language::Other,
            None,
            &[("a", "1"), ("a", "2")],
        ),
        (r#"{"code":6,"extFields":{"k\"":"名"}}"#, 6, Language::Other, None, &[("k\"", "名")]),
    ];
    for (header, code, language, remark, fields) in cases {
        let command = take(with_prefix(0, header.as_bytes(), b""));
        assert_eq!((command.code, command.language), (code, language), "{header}");
        assert_eq!(command.remark.as_deref(), remark, "{header}");
        assert_eq!(command.ext.iter().collect::<Vec<_>>(), fields, "{header}");
    }
}

#[test]
fn broken_frames_name_what_is_wrong() {
    let max = 100;
    let prefix = |len: i32| BytesMut::from(len.to_be_bytes().as_slice());
    for len in [-1, i32::MIN, 101, i32::MAX] {
        assert_eq!(take_frame(&mut prefix(len), max), Err(FrameError::Length { len, max }));
    }
    for len in [0, 3] {
        let error = take_frame(&mut prefix(len), max);
        assert_eq!(error, Err(FrameError::NoHeaderWord { len: usize::try_from(len).unwrap() }));
    }
    let mut overrun = with_prefix(0, b"", b"{}");
    overrun[7] = 3;
    assert_eq!(
        take_frame(&mut overrun, max),
        Err(FrameError::HeaderOverrun { header: 3, frame: 6 })
    );
    let unknown = take_frame(&mut with_prefix(2, b"{}", b""), max);
    assert_eq!(unknown, Err(FrameError::Encoding { found: 2 }));

    for (header, at) in [
        ("", 0),
        ("[]", 0),
        ("{", 1),
        ("{\"code\":", 8),
        ("{\"code\":1", 9),
        ("{\"code\":x}", 8),
        ("{\"code\":1.5}", 8),
        ("{\"code\":3000000000}", 8),
        ("{\"a\" 1}", 5),
        ("{\"a\":\"b}", 5),
        ("{\"a\":\"\\q\"}", 7),
        ("{\"a\":\"\\u12\"}", 7),
        ("{} x", 3),
        ("{\"extFields\":[]}", 13),
        ("{\"a\":[[}", 9),
    ] {
        let error = take_frame(&mut with_prefix(0, header.as_bytes(), b""), max).unwrap_err();
        assert!(
            matches!(error, FrameError::Json { at: found, .. } if found <= at),
            "{header}: {error}"
        );
    }
    let deep = format!("{{\"a\":{}", "[".repeat(90));
    let error = take_frame(&mut with_prefix(0, deep.as_bytes(), b""), 1000).unwrap_err();
    assert!(error.to_string().contains("nested too deeply"), "{error}");
    let error = take_frame(&mut with_prefix(0, b"{\"a\xff\":1}", b""), max);
    assert_eq!(error, Err(FrameError::Utf8 { at: 3 }));
}

#[test]
fn broken_binary_headers_are_refused() {
    let mut command = Command::request(10).with_remark("ab").with_ext("key", "value");
    command.encoding = Encoding::Binary;
    let mut wire = BytesMut::new();
    command.encode(&mut wire);
    let header = wire.split_off(8);
    for cut in 0..header.len() {
        let error = take_frame(&mut with_prefix(1, &header[..cut], b""), 1000).unwrap_err();
        assert!(matches!(error, FrameError::Binary { .. }), "{cut}: {error}");
    }
    // Every length in it, made negative or far too long.
    for at in [13, 19, 23, 28] {
        for byte in [0x7f, 0xff] {
            let mut broken = header.to_vec();
            broken[at] = byte;
            assert!(take_frame(&mut with_prefix(1, &broken, b""), 1000).is_err(), "byte {at}");
        }
    }
}

#[test]
fn the_flag_tells_answers_and_who_wants_none() {
    let answer = Command::response(17).with_remark("no");
    assert!(answer.is_response() && !answer.is_oneway());
    assert!(Command::oneway(40).is_oneway());
}

fn any_command() -> impl Strategy<Value = Command> {
    (
        (any::<i16>(), any::<i16>(), any::<i32>(), any::<i32>(), 0_u8..14, any::<bool>()),
        proptest::option::of(".{1,20}"),
        proptest::collection::vec((".{0,12}", ".{0,40}"), 0..20),
        proptest::collection::vec(any::<u8>(), 0..64),
    )
        .prop_map(|((code, version, opaque, flag, language, binary), remark, fields, body)| {
            Command {
                code: code.into(),
                language: Language::from_code(language),
                version: ProtocolVersion(version.into()),
                opaque,
                flag,
                remark: remark.map(Into::into),
                ext: fields.into_iter().collect(),
                body: body.into(),
                encoding: if binary { Encoding::Binary } else { Encoding::Json },
            }
        })
}

fn drain(wire: &mut BytesMut) -> Vec<Command> {
    std::iter::from_fn(|| take_frame(wire, FRAME_BYTES_MAX).unwrap()).collect()
}

proptest! {
    #[test]
    fn what_is_sent_arrives_however_it_is_split(
        sent in proptest::collection::vec(any_command(), 0..4),
        cut in any::<proptest::sample::Index>(),
    ) {
        let mut wire = BytesMut::new();
        sent.iter().for_each(|command| command.encode(&mut wire));
        let late = wire.split_off(cut.index(wire.len() + 1));
        let mut got = drain(&mut wire);
        wire.extend_from_slice(&late);
        got.extend(drain(&mut wire));
        prop_assert!(wire.is_empty());
        prop_assert_eq!(got, sent);
    }

    #[test]
    fn json_headers_are_standard_json(command in any_command()) {
        let command = Command { encoding: Encoding::Json, body: Bytes::new(), ..command };
        let mut wire = BytesMut::new();
        command.encode(&mut wire);
        let read: serde_json::Value = serde_json::from_slice(&wire[8..]).unwrap();
        prop_assert_eq!(&read["code"], &serde_json::json!(command.code));
        for (key, value) in command.ext.iter() {
            // Of equal keys the last one.
            prop_assert_eq!(read["extFields"][key].as_str(), command.ext.get(key), "{}", value);
        }
    }

    #[test]
    fn noise_never_panics(noise: Vec<u8>, header in "[\\[\\]{}:,\"'\\\\a0-9u-]*", kind in 0_u8..2) {
        drop(take_frame(&mut BytesMut::from(noise.as_slice()), 1 << 20));
        for header in [noise.as_slice(), header.as_bytes()] {
            drop(take_frame(&mut with_prefix(kind, header, b""), 1 << 20));
            let object = [b"{\"extFields\":{", header].concat();
            drop(take_frame(&mut with_prefix(0, &object, b""), 1 << 20));
        }
    }

    #[test]
    fn one_wrong_byte_never_panics(command in any_command(), at: proptest::sample::Index, byte: u8) {
        let mut wire = BytesMut::new();
        command.encode(&mut wire);
        let at = at.index(wire.len());
        wire[at] = byte;
        drop(take_frame(&mut wire, 1 << 20));
    }
}
