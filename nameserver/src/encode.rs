//! Answer bodies, byte for byte as the reference implementation writes them.
//!
//! Compact, members in alphabetical order. One client cuts `brokerAddrs` out of the text by hand:
//! no blanks anywhere, and `brokerAddrs` is always there.

use crate::cache::Form;
use crate::routes::{BrokerView, RouteView};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// `TopicRouteData`
pub fn route(view: &RouteView, order_config: Option<&str>, form: Form) -> Vec<u8> {
    let mut json = Writer::new(form);
    json.raw("{\"brokerDatas\":[");
    json.list(&view.brokers, Writer::broker);
    json.raw("],\"filterServerTable\":{");
    json.list(&view.filter_servers, |json, (addr, servers)| {
        json.text(addr);
        json.raw(":[");
        json.list(servers, |json, server| json.text(server));
        json.raw("]");
    });
    json.raw("}");
    if let Some(order_config) = order_config {
        json.raw(",\"orderTopicConf\":");
        json.text(order_config);
    }
    json.raw(",\"queueDatas\":[");
    json.list(&view.queues, |json, (broker, entry)| {
        json.raw("{\"brokerName\":");
        json.text(broker);
        json.number(",\"perm\":", entry.perm.0);
        json.number(",\"readQueueNums\":", entry.read_queue_nums);
        json.number(",\"topicSysFlag\":", entry.topic_sys_flag);
        json.number(",\"writeQueueNums\":", entry.write_queue_nums);
        json.raw("}");
    });
    json.raw("]");
    if !view.mappings.is_empty() {
        json.raw(",\"topicQueueMappingByBroker\":{");
        json.list(&view.mappings, |json, (broker, mapping)| {
            json.text(broker);
            json.raw(":");
            json.value(mapping);
        });
        json.raw("}");
    }
    json.raw("}");
    json.out
}

/// `ClusterInfo`, always with bare ids.
pub fn cluster_info(
    brokers: &BTreeMap<Arc<str>, BrokerView>,
    clusters: &BTreeMap<Arc<str>, BTreeSet<Arc<str>>>,
) -> Vec<u8> {
    let mut json = Writer::new(Form::Fastjson);
    json.raw("{\"brokerAddrTable\":{");
    json.list(brokers, |json, (name, view)| {
        json.text(name);
        json.raw(":");
        json.broker(view);
    });
    json.raw("},\"clusterAddrTable\":{");
    json.list(clusters, |json, (cluster, names)| {
        json.text(cluster);
        json.raw(":[");
        json.list(names, |json, name| json.text(name));
        json.raw("]");
    });
    json.raw("}}");
    json.out
}

/// `{"brokerMemberGroup":{…}}`
pub fn member_group(cluster: &str, name: &str, addrs: &BTreeMap<i64, Arc<str>>) -> Vec<u8> {
    let mut json = Writer::new(Form::Fastjson);
    json.raw("{\"brokerMemberGroup\":{\"brokerAddrs\":{");
    json.addrs(addrs);
    json.raw("},\"brokerName\":");
    json.text(name);
    json.raw(",\"cluster\":");
    json.text(cluster);
    json.raw("}}");
    json.out
}

/// `TopicList`
pub fn topic_list(topics: &[Arc<str>], broker_addr: Option<&str>) -> Vec<u8> {
    let mut json = Writer::new(Form::Fastjson);
    json.raw("{");
    if let Some(addr) = broker_addr {
        json.raw("\"brokerAddr\":");
        json.text(addr);
        json.raw(",");
    }
    json.raw("\"topicList\":[");
    json.list(topics, |json, topic| json.text(topic));
    json.raw("]}");
    json.out
}

/// `KVTable`
pub fn kv_table(pairs: &BTreeMap<String, String>) -> Vec<u8> {
    let mut json = Writer::new(Form::Fastjson);
    json.raw("{\"table\":{");
    json.list(pairs, |json, (key, value)| {
        json.text(key);
        json.raw(":");
        json.text(value);
    });
    json.raw("}}");
    json.out
}

struct Writer {
    form: Form,
    out: Vec<u8>,
}

impl Writer {
    fn new(form: Form) -> Self {
        Self { form, out: Vec::with_capacity(512) }
    }

    fn raw(&mut self, text: &str) {
        self.out.extend_from_slice(text.as_bytes());
    }

    fn number(&mut self, before: &str, number: impl Into<i64>) {
        self.raw(before);
        self.raw(&number.into().to_string());
    }

    fn list<I: IntoIterator>(&mut self, items: I, mut write: impl FnMut(&mut Self, I::Item)) {
        for (at, item) in items.into_iter().enumerate() {
            if at != 0 {
                self.raw(",");
            }
            write(self, item);
        }
    }

    fn broker(&mut self, view: &BrokerView) {
        self.raw("{\"brokerAddrs\":{");
        self.addrs(&view.addrs);
        self.raw("},\"brokerName\":");
        self.text(&view.name);
        self.raw(",\"cluster\":");
        self.text(&view.cluster);
        self.raw(",\"enableActingMaster\":");
        self.raw(if view.acting_master { "true" } else { "false" });
        if let Some(zone) = &view.zone {
            self.raw(",\"zoneName\":");
            self.text(zone);
        }
        self.raw("}");
    }

    fn addrs(&mut self, addrs: &BTreeMap<i64, Arc<str>>) {
        let quote = if self.form == Form::Standard { "\"" } else { "" };
        self.list(addrs, |json, (id, addr)| {
            json.number(quote, *id);
            json.raw(quote);
            json.raw(":");
            json.text(addr);
        });
    }

    fn text(&mut self, text: &str) {
        self.raw("\"");
        for c in text.chars() {
            match c {
                '"' => self.raw("\\\""),
                '\\' => self.raw("\\\\"),
                '\n' => self.raw("\\n"),
                '\r' => self.raw("\\r"),
                '\t' => self.raw("\\t"),
                '\u{8}' => self.raw("\\b"),
                '\u{c}' => self.raw("\\f"),
                '\0'..='\u{1f}' | '\u{7f}' => self.escape(c),
                other => self.plain(other),
            }
        }
        self.raw("\"");
    }

    fn plain(&mut self, c: char) {
        if self.form == Form::Standard && !c.is_ascii() {
            self.escape(c);
        } else {
            self.raw(c.encode_utf8(&mut [0; 4]));
        }
    }

    fn escape(&mut self, c: char) {
        for unit in c.encode_utf16(&mut [0; 2]) {
            self.raw(&format!("\\u{unit:04X}"));
        }
    }

    /// A value passed through. Other than ASCII is only within its texts.
    fn value(&mut self, value: &Value) {
        for c in value.to_string().chars() {
            self.plain(c);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routes::QueueEntry;
    use rmq_model::Permission;

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
        assert_eq!(text(route(&view, None, Form::Fastjson)), bare);
        let quoted = bare.replace("{0:", "{\"0\":").replace(",1:", ",\"1\":");
        assert_eq!(text(route(&view, None, Form::Standard)), quoted);
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
        assert_eq!(text(route(&view, Some("b:8"), Form::Fastjson)), bare);
        let standard = text(route(&view, Some("b:8"), Form::Standard));
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
            text(cluster_info(&brokers, &clusters)),
            r#"{"brokerAddrTable":{"b":{"brokerAddrs":{0:"h:1"},"brokerName":"b","cluster":"DefaultCluster","enableActingMaster":false}},"clusterAddrTable":{"DefaultCluster":["b"]}}"#
        );
        let nothing = (BTreeMap::new(), BTreeMap::new());
        assert_eq!(
            text(cluster_info(&nothing.0, &nothing.1)),
            r#"{"brokerAddrTable":{},"clusterAddrTable":{}}"#
        );
        assert_eq!(
            text(member_group("c", "b", &BTreeMap::from([(0, "h:1".into()), (1, "h:2".into())]))),
            r#"{"brokerMemberGroup":{"brokerAddrs":{0:"h:1",1:"h:2"},"brokerName":"b","cluster":"c"}}"#
        );
        assert_eq!(text(topic_list(&[], None)), r#"{"topicList":[]}"#);
        assert_eq!(
            text(topic_list(&["a".into(), "%RETRY%g".into()], Some("h:1"))),
            r#"{"brokerAddr":"h:1","topicList":["a","%RETRY%g"]}"#
        );
        let pairs = BTreeMap::from([("k\n".to_owned(), "v\u{1}\u{7f}\t\\".to_owned())]);
        assert_eq!(text(kv_table(&pairs)), "{\"table\":{\"k\\n\":\"v\\u0001\\u007F\\t\\\\\"}}");
    }
}
