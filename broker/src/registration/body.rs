//! What a registration (request 103) and its opposite (104) carry.
//!
//! Source: RocketMQ 5.3 `BrokerOuterAPI#registerBrokerAll`, `RegisterBrokerBody`.

use rmq_model::topic::TopicConfig;
use rmq_model::{DataVersion, Permission};
use rmq_remoting::body::{RegisterBody, TopicConfigWrapper, body_crc};
use rmq_remoting::code::request;
use rmq_remoting::header::{OfBroker, RegisterBroker};
use rmq_remoting::{Command, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Who registers.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Cluster.
    pub cluster: Arc<str>,
    /// Broker.
    pub broker: Arc<str>,
    /// 0 for a master.
    pub broker_id: i64,
    /// `ip:port` that clients will use.
    pub address: Arc<str>,
    /// `ip:port` that replicas would use.
    pub ha_address: Arc<str>,
    /// `enableSlaveActingMaster`: a slave serves while there is no master.
    pub acting_master: bool,
}

/// What is registered: the whole table, or only changed topics.
#[derive(Clone, Debug)]
pub struct Announcement {
    /// Version of the whole table.
    pub version: DataVersion,
    /// Topics.
    pub topics: Vec<Arc<TopicConfig>>,
    /// Permission of the broker, taken from every topic.
    pub permission: Permission,
}

impl Identity {
    fn header(&self) -> OfBroker {
        OfBroker {
            broker_name: (&self.broker).into(),
            broker_addr: (&self.address).into(),
            cluster_name: (&self.cluster).into(),
            broker_id: self.broker_id,
        }
    }

    /// Request 103.
    pub fn register(&self, announcement: &Announcement) -> Command {
        let body = announcement.body().encode();
        let OfBroker { broker_name, broker_addr, cluster_name, broker_id } = self.header();
        let header = RegisterBroker {
            broker_name,
            broker_addr,
            cluster_name,
            ha_server_addr: (&self.ha_address).into(),
            broker_id,
            heartbeat_timeout_millis: None,
            enable_acting_master: self.acting_master.then_some(true),
            compressed: false,
            body_crc32: body_crc(&body),
            zone_name: None,
        };
        Command::request(request::REGISTER_BROKER).with_header(&header).with_body(body)
    }

    /// Request 322: whether the name server knows this version.
    pub fn query_version(&self, version: DataVersion) -> Command {
        Command::request(request::QUERY_DATA_VERSION)
            .with_header(&self.header())
            .with_body(json::to_vec(&version))
    }

    /// Request 104.
    pub fn unregister(&self) -> Command {
        Command::request(request::UNREGISTER_BROKER).with_header(&self.header())
    }
}

impl Announcement {
    /// The same in parts of at most `max` topics.
    pub fn portions(self, max: Option<usize>) -> Vec<Self> {
        let Some(max) = max.filter(|max| 0 < *max && *max < self.topics.len()) else {
            return vec![self];
        };
        let part = |topics: &[Arc<TopicConfig>]| Self { topics: topics.to_vec(), ..self };
        self.topics.chunks(max).map(part).collect()
    }

    fn body(&self) -> RegisterBody {
        let topics = self.topics.iter().map(|topic| {
            let perm = self.effective(topic.perm);
            (Arc::clone(&topic.topic_name), TopicConfig { perm, ..TopicConfig::clone(topic) })
        });
        RegisterBody {
            filter_server_list: Some(Vec::new()),
            topic_config_serialize_wrapper: TopicConfigWrapper {
                data_version: self.version,
                mapping_data_version: Some(DataVersion { counter: 0, ..self.version }),
                topic_config_table: topics.collect(),
                topic_queue_mapping_detail_map: Some(BTreeMap::new()),
                topic_queue_mapping_info_map: Some(BTreeMap::new()),
            },
        }
    }

    /// A broker that is not both readable and writable takes its missing bits from every topic.
    fn effective(&self, perm: Permission) -> Permission {
        if self.permission.readable() && self.permission.writable() {
            perm
        } else {
            perm.and(self.permission)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity() -> Identity {
        Identity {
            cluster: "C".into(),
            broker: "b-a".into(),
            broker_id: 0,
            address: "10.0.0.1:10911".into(),
            ha_address: "10.0.0.1:10912".into(),
            acting_master: false,
        }
    }

    fn announcement(permission: Permission) -> Announcement {
        let version = DataVersion { counter: 5, state_version: 0, timestamp: 1_700_000_000_000 };
        let topic = TopicConfig::new("T", 8, Permission::READ_WRITE_INHERIT);
        Announcement { version, topics: vec![Arc::new(topic)], permission }
    }

    #[test]
    fn a_registration_has_the_fields_and_the_body_of_the_reference() {
        let command = identity().register(&announcement(Permission::READ_WRITE));
        for (key, value) in [
            ("brokerName", "b-a"),
            ("brokerAddr", "10.0.0.1:10911"),
            ("clusterName", "C"),
            ("brokerId", "0"),
            ("haServerAddr", "10.0.0.1:10912"),
            ("compressed", "false"),
        ] {
            assert_eq!(command.ext.get(key), Some(value), "{key}");
        }
        let crc = body_crc(&command.body).to_string();
        assert_eq!(command.ext.get("bodyCrc32"), Some(crc.as_str()));
        let text = String::from_utf8(command.body.to_vec()).expect("JSON is UTF-8");
        assert_eq!(
            text,
            r#"{"filterServerList":[],"topicConfigSerializeWrapper":{"dataVersion":{"counter":5,"stateVersion":0,"timestamp":1700000000000},"mappingDataVersion":{"counter":0,"stateVersion":0,"timestamp":1700000000000},"topicConfigTable":{"T":{"attributes":{},"order":false,"perm":7,"readQueueNums":8,"topicFilterType":"SINGLE_TAG","topicName":"T","topicSysFlag":0,"writeQueueNums":8}},"topicQueueMappingDetailMap":{},"topicQueueMappingInfoMap":{}}}"#
        );
    }

    #[test]
    fn large_tables_go_in_portions() {
        let mut all = announcement(Permission::READ_WRITE);
        all.topics = (0..5)
            .map(|n| Arc::new(TopicConfig::new(&format!("T{n}"), 1, Permission::READ_WRITE)))
            .collect();
        for (max, want) in [(None, vec![5]), (Some(2), vec![2, 2, 1]), (Some(5), vec![5])] {
            let parts: Vec<usize> =
                all.clone().portions(max).iter().map(|part| part.topics.len()).collect();
            assert_eq!(parts, want);
        }
    }

    #[test]
    fn the_brokers_permission_is_taken_from_every_topic() {
        for (broker, topic) in [(6, 7), (7, 7), (4, 4), (2, 2), (0, 0)] {
            let body = announcement(Permission(broker)).body().encode();
            let text = String::from_utf8(body).expect("JSON is UTF-8");
            assert!(text.contains(&format!("\"perm\":{topic},")), "{broker}: {text}");
        }
    }
}
