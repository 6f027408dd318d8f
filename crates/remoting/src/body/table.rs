//! Tables that nodes copy from each other: topics, groups, offsets.

use super::bodies;
use rmq_model::DataVersion;
use rmq_model::group::SubscriptionGroupConfig;
use rmq_model::topic::TopicConfig;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

bodies! {
    /// Answer to 21, and inside registrations. The mappings are of static topics; they are passed through.
    TopicConfigWrapper {
        /// Version of the table.
        data_version: DataVersion,
        /// Version of the mappings; older brokers have none.
        #[serde(skip_serializing_if = "Option::is_none")]
        mapping_data_version: Option<DataVersion>,
        /// Topics by name.
        topic_config_table: BTreeMap<Arc<str>, TopicConfig>,
        /// Mappings by topic, in full.
        #[serde(skip_serializing_if = "Option::is_none")]
        topic_queue_mapping_detail_map: Option<BTreeMap<Arc<str>, Value>>,
        /// Mappings by topic, for routes.
        #[serde(skip_serializing_if = "Option::is_none")]
        topic_queue_mapping_info_map: Option<BTreeMap<Arc<str>, Value>>,
    }

    /// 18.
    TopicConfigList {
        /// Topics.
        topic_config_list: Vec<TopicConfig>,
    }

    /// Answer to 201.
    SubscriptionGroupWrapper {
        /// Version of the table.
        data_version: DataVersion,
        /// Group to topic to bits: what the group must not do with the topic.
        forbidden_table: BTreeMap<Arc<str>, BTreeMap<Arc<str>, i32>>,
        /// Groups by name.
        subscription_group_table: BTreeMap<Arc<str>, SubscriptionGroupConfig>,
    }

    /// 225.
    SubscriptionGroupList {
        /// Groups.
        group_config_list: Vec<SubscriptionGroupConfig>,
    }

    /// `{"table":{k:v}}`: answers to 28, 103, 219.
    KvTable {
        /// Everything is text.
        table: BTreeMap<Arc<str>, String>,
    }

    /// Answer to 300.
    GroupList {
        /// Groups.
        group_list: Vec<Arc<str>>,
    }

    /// Answer to 206, 224, 304, 305, 311 to 313, 343.
    TopicList {
        /// Some broker to ask for more.
        #[serde(skip_serializing_if = "Option::is_none")]
        broker_addr: Option<Arc<str>>,
        /// Topics.
        topic_list: Vec<Arc<str>>,
    }
}
