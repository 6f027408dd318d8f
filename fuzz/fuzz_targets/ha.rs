//! Streams of replication frames of all four kinds: whatever decodes encodes to an equal frame.
#![no_main]

use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;
use rmq_remoting::ha::{FromMaster, FromSlave, take_java_frame, take_java_report};

fuzz_target!(|data: &[u8]| {
    let mut stream = BytesMut::from(data);
    while let Ok(Some(frame)) = FromSlave::take(&mut stream) {
        let mut again = BytesMut::new();
        frame.encode(&mut again);
        assert_eq!(FromSlave::take(&mut again), Ok(Some(frame)));
    }
    let mut stream = BytesMut::from(data);
    while let Ok(Some(frame)) = FromMaster::take(&mut stream) {
        let mut again = BytesMut::new();
        frame.encode(&mut again);
        let long = matches!(&frame, FromMaster::Refused(reason) if reason.chars().count() > 1000);
        assert!(long || FromMaster::take(&mut again) == Ok(Some(frame)));
    }
    let mut stream = BytesMut::from(data);
    while let Ok(Some(_)) = take_java_frame(&mut stream) {}
    let mut stream = BytesMut::from(data);
    while let Ok(Some(_)) = take_java_report(&mut stream) {}
});
