//! Routes and cluster information of the name server.
//!
//! Write a route with [`crate::json::to_vec_standard`] for peers from version 401 on and for those that ask
//! for it, with [`crate::json::to_vec`] otherwise; cluster information always with the latter.

use super::bodies;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

bodies! {
    /// Answer to 105.
    TopicRouteData {
        /// Brokers of the queues below.
        broker_datas: Vec<BrokerData>,
        /// Address to filter servers; obsolete, but there.
        filter_server_table: BTreeMap<Arc<str>, Vec<Arc<str>>>,
        /// `broker:queues;…`
        #[serde(skip_serializing_if = "Option::is_none")]
        order_topic_conf: Option<Arc<str>>,
        /// One entry per broker that has the topic.
        queue_datas: Vec<QueueData>,
        /// Of static topics: broker to mapping, passed through.
        #[serde(skip_serializing_if = "Option::is_none")]
        topic_queue_mapping_by_broker: Option<BTreeMap<Arc<str>, Value>>,
    }

    /// A broker with its replicas. The Go client needs `brokerAddrs` in each.
    BrokerData {
        /// Id to `ip:port`; 0 is the master.
        broker_addrs: BTreeMap<i64, Arc<str>>,
        /// Name.
        broker_name: Arc<str>,
        /// Cluster.
        cluster: Arc<str>,
        /// A replica may stand in for the master.
        enable_acting_master: bool,
        /// Zone, if the broker registered one.
        #[serde(skip_serializing_if = "Option::is_none")]
        zone_name: Option<Arc<str>>,
    }

    /// Queues of a topic on a broker.
    QueueData {
        /// Broker.
        broker_name: Arc<str>,
        /// Permission bits.
        perm: i32,
        /// Queues that consumers see.
        read_queue_nums: i32,
        /// Unit bits.
        topic_sys_flag: i32,
        /// Queues that producers see.
        write_queue_nums: i32,
    }

    /// Answer to 106.
    ClusterInfo {
        /// Brokers by name.
        broker_addr_table: BTreeMap<Arc<str>, BrokerData>,
        /// Cluster to broker names.
        cluster_addr_table: BTreeMap<Arc<str>, BTreeSet<Arc<str>>>,
    }

    /// Answer to 901.
    BrokerMemberGroupBody {
        /// The broker.
        broker_member_group: BrokerMemberGroup,
    }

    /// Members of a broker.
    BrokerMemberGroup {
        /// Id to `ip:port`.
        broker_addrs: BTreeMap<i64, Arc<str>>,
        /// Name.
        broker_name: Arc<str>,
        /// Cluster.
        cluster: Arc<str>,
    }
}
