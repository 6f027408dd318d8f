//! Bodies of requests and answers, one decoder after the other: errors, never panics, never more than the caps.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rmq_model::peer::ProtocolVersion;
use rmq_remoting::body::{
    CheckClientConfig, ClusterInfo, ConsumeStats, ConsumerConnection, HeartbeatData, LockBatch,
    QueryAssignment, RegisterBody, SubscriptionGroupList, TopicConfigList, TopicRouteData, inflate,
    parse_properties,
};
use rmq_remoting::json;

fuzz_target!(|data: &[u8]| {
    for version in [ProtocolVersion(26), ProtocolVersion::V3_0_11, ProtocolVersion::CURRENT] {
        let _ = RegisterBody::decode(data, version);
    }
    if let Ok(value) = json::to_value(data) {
        let _ = json::from_value::<HeartbeatData>(value.clone());
        let _ = json::from_value::<LockBatch>(value.clone());
        let _ = json::from_value::<CheckClientConfig>(value.clone());
        let _ = json::from_value::<QueryAssignment>(value.clone());
        let _ = json::from_value::<TopicConfigList>(value.clone());
        let _ = json::from_value::<SubscriptionGroupList>(value.clone());
        let _ = json::from_value::<TopicRouteData>(value.clone());
        let _ = json::from_value::<ClusterInfo>(value.clone());
        let _ = json::from_value::<ConsumeStats>(value.clone());
        let _ = json::from_value::<ConsumerConnection>(value);
    }
    let _ = parse_properties(data);
    if let Ok(bytes) = inflate(data, 1 << 16) {
        assert!(bytes.len() <= 1 << 16);
    }
});
