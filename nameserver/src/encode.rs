//! What the tables show, as answer bodies.

use crate::cache::Form;
use crate::routes::{BrokerView, QueueEntry, RouteView};
use rmq_remoting::body::{
    BrokerData, BrokerMemberGroup, BrokerMemberGroupBody, ClusterInfo, KvTable, QueueData,
    TopicList, TopicRouteData,
};
use rmq_remoting::json;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Body of 105.
pub fn route(view: RouteView, order_config: Option<&str>, form: Form) -> Vec<u8> {
    let servers = |list: Vec<String>| list.into_iter().map(Arc::from).collect();
    let filter_servers = view.filter_servers.into_iter();
    let route = TopicRouteData {
        broker_datas: view.brokers.into_iter().map(broker).collect(),
        filter_server_table: filter_servers.map(|(addr, list)| (addr, servers(list))).collect(),
        order_topic_conf: order_config.map(Arc::from),
        queue_datas: view.queues.into_iter().map(|(name, entry)| queues(name, entry)).collect(),
        topic_queue_mapping_by_broker: (!view.mappings.is_empty()).then(|| {
            view.mappings.into_iter().map(|(name, mapping)| (name, (*mapping).clone())).collect()
        }),
    };
    match form {
        Form::Standard => json::to_vec_standard(&route),
        Form::Fastjson => json::to_vec(&route),
    }
}

/// Body of 106.
pub fn cluster_info(
    brokers: BTreeMap<Arc<str>, BrokerView>,
    clusters: &BTreeMap<Arc<str>, BTreeSet<Arc<str>>>,
) -> Vec<u8> {
    let broker_addr_table = brokers.into_iter().map(|(name, view)| (name, broker(view))).collect();
    json::to_vec(&ClusterInfo { broker_addr_table, cluster_addr_table: clusters.clone() })
}

/// Body of 901.
pub fn member_group(cluster: &str, name: &str, addrs: BTreeMap<i64, Arc<str>>) -> Vec<u8> {
    let broker_member_group = BrokerMemberGroup {
        broker_addrs: addrs,
        broker_name: name.into(),
        cluster: cluster.into(),
    };
    json::to_vec(&BrokerMemberGroupBody { broker_member_group })
}

/// Body of the lists of topics.
pub fn topic_list(topic_list: Vec<Arc<str>>, broker_addr: Option<Arc<str>>) -> Vec<u8> {
    json::to_vec(&TopicList { broker_addr, topic_list })
}

/// Body of 219.
pub fn kv_table(pairs: &BTreeMap<String, String>) -> Vec<u8> {
    let pairs = pairs.iter().map(|(key, value)| (Arc::from(key.as_str()), value.clone()));
    json::to_vec(&KvTable { table: pairs.collect() })
}

fn broker(view: BrokerView) -> BrokerData {
    BrokerData {
        broker_addrs: view.addrs,
        broker_name: view.name,
        cluster: view.cluster,
        enable_acting_master: view.acting_master,
        zone_name: view.zone,
    }
}

fn queues(broker_name: Arc<str>, entry: QueueEntry) -> QueueData {
    let number = |n: u32| i32::try_from(n).unwrap_or(i32::MAX);
    QueueData {
        broker_name,
        perm: number(entry.perm.0),
        read_queue_nums: number(entry.read_queue_nums),
        topic_sys_flag: entry.topic_sys_flag,
        write_queue_nums: number(entry.write_queue_nums),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rmq_model::Permission;
    use serde_json::Value;

    fn broker(name: &str, addrs: &[(i64, &str)]) -> BrokerView {
        BrokerView {
            name: name.into(),
            cluster: "DefaultCluster".into(),
            addrs: addrs.iter().map(|(id, addr)| (*id, Arc::from(*addr))).collect(),
            zone: None,
            acting_master: false,
        }
    }

    fn text(bytes: Vec<u8>) -> String {
        String::from_utf8(bytes).expect("JSON is UTF-8")
    }

    /// The route of the reference page, as a 5.3.3 name server writes it.
    #[test]
    fn a_route_in_both_forms() {
        let view = RouteView {
            brokers: vec![broker("broker-a", &[(0, "10.0.0.1:10911"), (1, "10.0.0.2:10911")])],
            queues: vec![("broker-a".into(), QueueEntry::new(8, Permission::READ_WRITE))],
            ..RouteView::default()
        };
        let bare = r#"{"brokerDatas":[{"brokerAddrs":{0:"10.0.0.1:10911",1:"10.0.0.2:10911"},"brokerName":"broker-a","cluster":"DefaultCluster","enableActingMaster":false}],"filterServerTable":{},"queueDatas":[{"brokerName":"broker-a","perm":6,"readQueueNums":8,"topicSysFlag":0,"writeQueueNums":8}]}"#;
        assert_eq!(text(route(view.clone(), None, Form::Fastjson)), bare);
        let quoted = bare.replace("{0:", "{\"0\":").replace(",1:", ",\"1\":");
        assert_eq!(text(route(view, None, Form::Standard)), quoted);
        serde_json::from_str::<Value>(&quoted).expect("the standard form is standard");
    }

    #[test]
    fn every_member_of_a_route() {
        let mapping = serde_json::json!({"bname": "b", "topic": "名"});
        let view = RouteView {
            brokers: vec![BrokerView {
                zone: Some("東\"1\"".into()),
                acting_master: true,
                ..broker("b", &[(2, "h:1")])
            }],
            queues: vec![],
            filter_servers: BTreeMap::from([("h:1".into(), vec!["f:1".into(), "f:2".into()])]),
            mappings: BTreeMap::from([("b".into(), Arc::new(mapping))]),
        };
        let bare = r#"{"brokerDatas":[{"brokerAddrs":{2:"h:1"},"brokerName":"b","cluster":"DefaultCluster","enableActingMaster":true,"zoneName":"東\"1\""}],"filterServerTable":{"h:1":["f:1","f:2"]},"orderTopicConf":"b:8","queueDatas":[],"topicQueueMappingByBroker":{"b":{"bname":"b","topic":"名"}}}"#;
        assert_eq!(text(route(view.clone(), Some("b:8"), Form::Fastjson)), bare);
        let standard = text(route(view, Some("b:8"), Form::Standard));
        assert_eq!(
            standard,
            bare.replace("{2:", "{\"2\":").replace('東', "\\u6771").replace('名', "\\u540D")
        );
    }

    #[test]
    fn lists_and_tables() {
        let brokers = BTreeMap::from([("b".into(), broker("b", &[(0, "h:1")]))]);
        let names = BTreeSet::from([Arc::from("b")]);
        let clusters = BTreeMap::from([(Arc::from("DefaultCluster"), names)]);
        assert_eq!(
            text(cluster_info(brokers, &clusters)),
            r#"{"brokerAddrTable":{"b":{"brokerAddrs":{0:"h:1"},"brokerName":"b","cluster":"DefaultCluster","enableActingMaster":false}},"clusterAddrTable":{"DefaultCluster":["b"]}}"#
        );
        assert_eq!(
            text(cluster_info(BTreeMap::new(), &BTreeMap::new())),
            r#"{"brokerAddrTable":{},"clusterAddrTable":{}}"#
        );
        assert_eq!(
            text(member_group("c", "b", BTreeMap::from([(0, "h:1".into()), (1, "h:2".into())]))),
            r#"{"brokerMemberGroup":{"brokerAddrs":{0:"h:1",1:"h:2"},"brokerName":"b","cluster":"c"}}"#
        );
        assert_eq!(text(topic_list(vec![], None)), r#"{"topicList":[]}"#);
        assert_eq!(
            text(topic_list(vec!["a".into(), "%RETRY%g".into()], Some("h:1".into()))),
            r#"{"brokerAddr":"h:1","topicList":["a","%RETRY%g"]}"#
        );
        let pairs = BTreeMap::from([("k\n".to_owned(), "v\u{1}\u{7f}\t\\".to_owned())]);
        assert_eq!(text(kv_table(&pairs)), "{\"table\":{\"k\\n\":\"v\\u0001\\u007F\\t\\\\\"}}");
    }
}
