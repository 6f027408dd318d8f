//! Bodies of requests, one decoder after the other: errors, never panics, never more than the caps.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rmq_model::peer::ProtocolVersion;
use rmq_remoting::body::{HeartbeatData, LockBatch, RegisterBody, inflate, parse_properties};
use rmq_remoting::json;

fuzz_target!(|data: &[u8]| {
    for version in [ProtocolVersion(26), ProtocolVersion::V3_0_11, ProtocolVersion::CURRENT] {
        let _ = RegisterBody::decode(data, version);
    }
    let _ = json::from_slice::<HeartbeatData>(data);
    let _ = json::from_slice::<LockBatch>(data);
    let _ = parse_properties(data);
    if let Ok(bytes) = inflate(data, 1 << 16) {
        assert!(bytes.len() <= 1 << 16);
    }
});
