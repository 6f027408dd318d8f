//! Replication frames: a stream as it comes, and one frame of ours around the input, with the length and the
//! check value that no guess would hit. Whatever decodes encodes to an equal frame.
#![no_main]

use bytes::{BufMut as _, BytesMut};
use libfuzzer_sys::fuzz_target;
use rmq_remoting::ha::{FromMaster, FromSlave, take_java_frame, take_java_report};

fuzz_target!(|data: &[u8]| {
    ours(BytesMut::from(data));
    let mut framed = BytesMut::with_capacity(data.len() + 8);
    framed.put_u32(u32::try_from(data.len() + 4).expect("inputs are short"));
    framed.put_u32(crc32fast::hash(data));
    framed.put_slice(data);
    ours(framed);
    let mut stream = BytesMut::from(data);
    while let Ok(Some(_)) = take_java_frame(&mut stream) {}
    let mut stream = BytesMut::from(data);
    while let Ok(Some(_)) = take_java_report(&mut stream) {}
});

fn ours(mut stream: BytesMut) {
    let mut up = stream.clone();
    while let Ok(Some(frame)) = FromSlave::take(&mut up) {
        let mut again = BytesMut::new();
        frame.encode(&mut again);
        assert_eq!(FromSlave::take(&mut again), Ok(Some(frame)));
    }
    while let Ok(Some(frame)) = FromMaster::take(&mut stream) {
        let mut again = BytesMut::new();
        frame.encode(&mut again);
        let long = matches!(&frame, FromMaster::Refused(reason) if reason.chars().count() > 1000);
        assert!(long || FromMaster::take(&mut again) == Ok(Some(frame)));
    }
}
