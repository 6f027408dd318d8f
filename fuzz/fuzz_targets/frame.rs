//! A stream of frames, both header encodings: whatever decodes encodes to an equal frame.
#![no_main]

use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;
use rmq_remoting::take_frame;

fuzz_target!(|data: &[u8]| {
    let mut stream = BytesMut::from(data);
    while let Ok(Some(command)) = take_frame(&mut stream, 1 << 20) {
        let mut again = BytesMut::new();
        command.encode(&mut again);
        let Ok(Some(twice)) = take_frame(&mut again, 8 << 20) else {
            panic!("what was decoded cannot be decoded again: {command:?}");
        };
        assert_eq!(command.opaque, twice.opaque);
        assert_eq!(command.body, twice.body);
        assert!(again.is_empty());
    }
});
