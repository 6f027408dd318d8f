//! Topics that exist on every broker.

use rmq_model::Permission;
use rmq_model::name::{
    AUTO_CREATE_TOPIC, BENCHMARK_TOPIC, HALF_TOPIC, OFFSET_MOVED_TOPIC, OP_HALF_TOPIC,
    SCHEDULE_TOPIC, SELF_TEST_TOPIC, TIMER_TOPIC,
};
use rmq_model::topic::TopicConfig;
use std::sync::Arc;

/// Which topics exist from the start, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuiltIn {
    /// `brokerClusterName`
    pub cluster: Arc<str>,
    /// `brokerName`
    pub broker: Arc<str>,
    /// `autoCreateTopicEnable`
    pub auto_create: bool,
    /// `clusterTopicEnable`
    pub cluster_topic: bool,
    /// `brokerTopicEnable`
    pub broker_topic: bool,
    /// `traceTopicEnable`: the name of the trace topic (`msgTraceTopicName`) if on.
    pub trace_topic: Option<Arc<str>>,
    /// `defaultTopicQueueNums`
    pub default_queues: u32,
    /// `reviveQueueNum`
    pub revive_queues: u32,
    /// Levels of `messageDelayLevel`: each has its queue.
    pub delay_levels: u32,
}

impl BuiltIn {
    /// Everything at its default.
    pub fn new(cluster: &str, broker: &str) -> Self {
        Self {
            cluster: cluster.into(),
            broker: broker.into(),
            auto_create: true,
            cluster_topic: true,
            broker_topic: true,
            trace_topic: None,
            default_queues: 8,
            revive_queues: 8,
            delay_levels: 18,
        }
    }

    /// `<cluster>_REPLY_TOPIC`
    pub fn reply_topic(&self) -> String {
        format!("{}_REPLY_TOPIC", self.cluster)
    }

    pub(super) fn topics(&self) -> Vec<TopicConfig> {
        const INHERIT: Permission = Permission(1);
        let rw = Permission::READ_WRITE;
        let perm = |on| if on { Permission::READ_WRITE_INHERIT } else { INHERIT };
        let revive = format!("rmq_sys_REVIVE_LOG_{}", self.cluster);
        let member = format!("rmq_sys_SYNC_BROKER_MEMBER_{}", self.broker);
        let mut topics = vec![
            TopicConfig::new(SELF_TEST_TOPIC, 1, rw),
            TopicConfig::new(BENCHMARK_TOPIC, 1_024, rw),
            TopicConfig::new(&self.cluster, TopicConfig::QUEUES_DEFAULT, perm(self.cluster_topic)),
            TopicConfig::new(&self.broker, 1, perm(self.broker_topic)),
            TopicConfig::new(OFFSET_MOVED_TOPIC, 1, rw),
            // The reference always makes 18; with a longer level table that is too few.
            TopicConfig::new(SCHEDULE_TOPIC, self.delay_levels.max(18), rw),
            TopicConfig::new(&self.reply_topic(), 1, rw),
            TopicConfig::new(&revive, self.revive_queues, rw),
            TopicConfig::new(&member, 1, INHERIT),
            TopicConfig::new(HALF_TOPIC, 1, rw),
            TopicConfig::new(OP_HALF_TOPIC, 1, rw),
            TopicConfig::new(TIMER_TOPIC, 1, rw),
        ];
        if self.auto_create {
            let perm = Permission::READ_WRITE_INHERIT;
            topics.push(TopicConfig::new(AUTO_CREATE_TOPIC, self.default_queues, perm));
        }
        if let Some(trace) = &self.trace_topic {
            topics.push(TopicConfig::new(trace, 1, rw));
        }
        topics
    }
}
