use super::*;
use proptest::prelude::*;
use proptest::sample::Index;

fn offset() -> impl Strategy<Value = LogOffset> {
    (0..=i64::MAX).prop_map(|at| LogOffset::from_wire(at).unwrap_or_default())
}

fn epoch() -> impl Strategy<Value = WireEpoch> {
    (any::<u32>(), offset()).prop_map(|(epoch, start)| WireEpoch { epoch, start })
}

fn from_slave() -> impl Strategy<Value = FromSlave> {
    let names = ("[a-zé]{0,20}", "[a-z-]{0,20}");
    let ends = (offset(), offset()).prop_map(|(a, b)| (a.min(b), a.max(b)));
    let epochs = prop::collection::vec(epoch(), 0..5);
    let hello = (any::<[u8; 16]>(), any::<i64>(), ends, names, epochs).prop_map(
        |(store, broker_id, (min, end), (cluster, broker), epochs)| {
            FromSlave::Hello(HelloFrame { store, broker_id, min, end, cluster, broker, epochs })
        },
    );
    let report =
        (offset(), offset()).prop_map(|(received, synced)| FromSlave::Report { received, synced });
    prop_oneof![hello, report]
}

fn from_master() -> impl Strategy<Value = FromMaster> {
    let welcome = (any::<[u8; 16]>(), any::<u32>(), offset(), any::<u32>(), any::<u32>()).prop_map(
        |(store, epoch, from, tail_bytes, tail_crc)| {
            FromMaster::Welcome(WelcomeFrame { store, epoch, from, tail_bytes, tail_crc })
        },
    );
    let bytes = prop::collection::vec(any::<u8>(), 1..50).prop_map(Bytes::from);
    let data = (offset(), epoch(), offset(), bytes).prop_map(|(offset, term, confirmed, bytes)| {
        FromMaster::Data(DataFrame { offset, term, confirmed, bytes })
    });
    let state = (offset(), offset(), offset(), any::<[u64; 4]>()).prop_map(
        |(next, confirmed, end, [topics, groups, offsets, delays])| {
            FromMaster::State(StateFrame { next, confirmed, end, topics, groups, offsets, delays })
        },
    );
    prop_oneof![welcome, "[ -~é]{0,50}".prop_map(FromMaster::Refused), data, state]
}

/// Takes all frames that are whole.
fn drain<T>(
    buf: &mut BytesMut,
    mut take: impl FnMut(&mut BytesMut) -> Result<Option<T>, HaError>,
) -> Vec<T> {
    std::iter::from_fn(|| take(buf).unwrap()).collect()
}

proptest! {
    #[test]
    fn splitting_the_stream_changes_nothing(
        slave in prop::collection::vec(from_slave(), 0..4),
        master in prop::collection::vec(from_master(), 0..4),
        cut in any::<Index>(),
    ) {
        let (mut up, mut down) = (BytesMut::new(), BytesMut::new());
        slave.iter().for_each(|frame| frame.encode(&mut up));
        master.iter().for_each(|frame| frame.encode(&mut down));
        let late = up.split_off(cut.index(up.len() + 1));
        let mut got = drain(&mut up, FromSlave::take);
        up.unsplit(late);
        got.extend(drain(&mut up, FromSlave::take));
        prop_assert_eq!(got, slave);
        let late = down.split_off(cut.index(down.len() + 1));
        let mut got = drain(&mut down, FromMaster::take);
        down.unsplit(late);
        got.extend(drain(&mut down, FromMaster::take));
        prop_assert_eq!(got, master);
    }

    #[test]
    fn a_changed_byte_is_noticed(frame in from_master(), at in any::<Index>(), bit in 0..8_u32) {
        let mut wire = BytesMut::new();
        frame.encode(&mut wire);
        let at = 4 + at.index(wire.len() - 4);
        wire[at] ^= 1_u8 << bit;
        prop_assert_eq!(FromMaster::take(&mut wire), Err(HaError::Crc));
    }

    #[test]
    fn noise_is_an_answer(noise in prop::collection::vec(any::<u8>(), 0..100)) {
        let bytes = || BytesMut::from(&noise[..]);
        let _answers = (
            FromSlave::take(&mut bytes()),
            FromMaster::take(&mut bytes()),
            take_java_frame(&mut bytes()),
            take_java_report(&mut bytes()),
        );
    }
}

#[test]
fn the_magic_is_no_position() {
    let mut magic = BytesMut::from(&MAGIC[..]);
    assert_eq!(take_java_report(&mut magic), Err(HaError::Field { field: "report" }));
}

#[test]
fn javas_frames() {
    let mut up = BytesMut::new();
    encode_java_report(LogOffset(1), &mut up);
    encode_java_report(LogOffset(0x0102), &mut up);
    up.put_u8(9);
    assert_eq!(&up[8..16], [0, 0, 0, 0, 0, 0, 1, 2]);
    // The last whole one counts, the rest waits.
    assert_eq!(take_java_report(&mut up), Ok(Some(LogOffset(0x0102))));
    assert_eq!((take_java_report(&mut up), up.len()), (Ok(None), 1));

    let mut down = BytesMut::new();
    encode_java_header(LogOffset(7), 3, &mut down);
    assert_eq!(&down[..], [0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 3]);
    down.put_slice(b"ab");
    assert_eq!(take_java_frame(&mut down), Ok(None));
    down.put_slice(b"c");
    encode_java_header(LogOffset(10), 0, &mut down);
    let frames = drain(&mut down, take_java_frame);
    let want = [(7, &b"abc"[..]), (10, b"")];
    let want = want
        .map(|(at, bytes)| JavaFrame { offset: LogOffset(at), bytes: Bytes::from_static(bytes) });
    assert_eq!(frames, want);
    for (len, error) in [
        (-1, HaError::Field { field: "length" }),
        (4 << 20, HaError::TooLong { bytes: 4 << 20, max: JAVA_BODY_BYTES_MAX }),
    ] {
        let mut down = BytesMut::new();
        down.put_i64(0);
        down.put_i32(len);
        assert_eq!(take_java_frame(&mut down), Err(error));
    }
}

#[test]
fn too_long_frames_are_refused_before_they_arrive() {
    for (max, take) in [
        (SLAVE_FRAME_BYTES_MAX, FromSlave::take(&mut BytesMut::from(&[0xFF; 4][..])).err()),
        (MASTER_FRAME_BYTES_MAX, FromMaster::take(&mut BytesMut::from(&[0xFF; 4][..])).err()),
    ] {
        assert_eq!(take, Some(HaError::TooLong { bytes: 0xFFFF_FFFF, max }));
    }
    let mut wire = BytesMut::new();
    let at = begin(&mut wire);
    wire.put_u8(77);
    end(&mut wire, at);
    assert_eq!(FromSlave::take(&mut wire.clone()), Err(HaError::Kind { kind: 77 }));
    assert_eq!(FromMaster::take(&mut wire), Err(HaError::Kind { kind: 77 }));
}
