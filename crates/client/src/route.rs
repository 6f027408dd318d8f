//! Where a topic is.

use crate::view;
use rmq_model::{MessageQueue, Millis, Permission};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Broker id of a master.
pub const MASTER_ID: i64 = 0;

/// Brokers and queues of a topic, as the name server knew them at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Route {
    /// The topic.
    pub topic: Arc<str>,
    /// Brokers by name.
    pub brokers: BTreeMap<Arc<str>, Broker>,
    /// What each broker has of the topic.
    pub queues: Vec<BrokerQueues>,
    /// `broker:count;…` of an ordered topic: replaces the queues for producers.
    pub order_conf: Option<String>,
    /// When it was fetched, monotonic ms.
    pub(crate) fetched_at: Millis,
}

/// A broker (group) of a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broker {
    /// Cluster it is in.
    pub cluster: String,
    /// Broker id to address; 0 is the master.
    pub addresses: BTreeMap<i64, String>,
}

/// Queues of a topic on one broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerQueues {
    /// The broker's name.
    pub broker: Arc<str>,
    /// Queues for consumers.
    pub read: i32,
    /// Queues for producers.
    pub write: i32,
    /// What the topic allows there.
    pub perm: Permission,
    /// Topic system flag.
    pub sys_flag: i32,
}

impl Broker {
    /// From an element of `brokerDatas` or `brokerAddrTable`.
    pub(crate) fn from_json(value: &Value) -> Self {
        let addresses = view::object(value, "brokerAddrs")
            .filter_map(|(id, addr)| Some((id.trim().parse().ok()?, addr.as_str()?.to_owned())))
            .collect();
        Self { cluster: view::text(value, "cluster"), addresses }
    }

    /// Address of the master, if there is one.
    pub fn master(&self) -> Option<&str> {
        self.addresses.get(&MASTER_ID).map(String::as_str)
    }
}

impl Route {
    /// From the body of a route answer.
    pub(crate) fn from_json(topic: &str, value: &Value, fetched_at: Millis) -> Self {
        let brokers = view::list(value, "brokerDatas")
            .iter()
            .map(|b| (view::text(b, "brokerName").into(), Broker::from_json(b)))
            .collect();
        let small = |value: &Value, name: &str| {
            i32::try_from(view::number(value, name)).unwrap_or(0).clamp(0, QUEUES_MAX)
        };
        let queues = view::list(value, "queueDatas")
            .iter()
            .map(|q| BrokerQueues {
                broker: view::text(q, "brokerName").into(),
                read: small(q, "readQueueNums"),
                write: small(q, "writeQueueNums"),
                perm: Permission(u32::try_from(view::number(q, "perm")).unwrap_or(0)),
                sys_flag: i32::try_from(view::number(q, "topicSysFlag")).unwrap_or(0),
            })
            .collect();
        let order_conf = Some(view::text(value, "orderTopicConf")).filter(|conf| !conf.is_empty());
        Self { topic: topic.into(), brokers, queues, order_conf, fetched_at }
    }

    /// Queues a producer may send to: writable, on brokers whose master is there.
    pub fn write_queues(&self) -> Vec<MessageQueue> {
        let has_master = |broker: &str| self.master(broker).is_some();
        if let Some(conf) = &self.order_conf {
            let pairs = conf.split(';').filter_map(|part| part.split_once(':'));
            return pairs
                .filter_map(|(broker, count)| Some((broker, count.trim().parse::<i32>().ok()?)))
                .filter(|(broker, _)| has_master(broker))
                .flat_map(|(broker, count)| self.numbered(broker, count.clamp(0, QUEUES_MAX)))
                .collect();
        }
        self.queues
            .iter()
            .filter(|q| q.perm.writable() && has_master(&q.broker))
            .flat_map(|q| self.numbered(&q.broker, q.write))
            .collect()
    }

    /// Queues a consumer may read.
    pub fn read_queues(&self) -> Vec<MessageQueue> {
        self.queues
            .iter()
            .filter(|q| q.perm.readable() && self.brokers.contains_key(&q.broker))
            .flat_map(|q| self.numbered(&q.broker, q.read))
            .collect()
    }

    fn numbered(&self, broker: &str, count: i32) -> impl Iterator<Item = MessageQueue> {
        let (broker, topic): (Arc<str>, _) = (broker.into(), self.topic.clone());
        (0..count).map(move |queue_id| MessageQueue {
            broker_name: broker.clone(),
            queue_id,
            topic: topic.clone(),
        })
    }

    /// Address of a broker's master.
    pub fn master(&self, broker: &str) -> Option<&str> {
        self.brokers.get(broker)?.master()
    }

    /// Address to read from: that of broker id `preferred`, else the master, else any.
    pub fn reader(&self, broker: &str, preferred: i64) -> Option<&str> {
        let broker = self.brokers.get(broker)?;
        let found = broker.addresses.get(&preferred).map(String::as_str);
        found.or_else(|| broker.master()).or_else(|| broker.addresses.values().next().map(|a| &**a))
    }

    /// Every address of every broker.
    pub fn addresses(&self) -> Vec<&str> {
        self.brokers.values().flat_map(|b| b.addresses.values()).map(String::as_str).collect()
    }

    /// Name and address of every master that holds the topic.
    pub fn masters(&self) -> Vec<(&str, &str)> {
        self.brokers.iter().filter_map(|(name, b)| Some((&**name, b.master()?))).collect()
    }
}

/// Most queues of a topic on a broker that are believed.
const QUEUES_MAX: i32 = 65_536;

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn route(value: &Value) -> Route {
        Route::from_json("T", value, 0)
    }

    fn names(queues: &[MessageQueue]) -> Vec<String> {
        queues.iter().map(|q| format!("{}/{}", q.broker_name, q.queue_id)).collect()
    }

    #[test]
    fn queues_follow_permissions_and_masters() {
        let mut value = json!({
            "brokerDatas": [
                {"brokerName": "a", "cluster": "C", "brokerAddrs": {"0": "h:1", "1": "h:2"}},
                {"brokerName": "b", "cluster": "C", "brokerAddrs": {"1": "h:3"}},
                {"brokerName": "c", "cluster": "C", "brokerAddrs": {"0": "h:4"}},
            ],
            "queueDatas": [
                {"brokerName": "a", "perm": 6, "readQueueNums": 2, "writeQueueNums": 1},
                {"brokerName": "b", "perm": 6, "readQueueNums": 1, "writeQueueNums": 1},
                {"brokerName": "c", "perm": 4, "readQueueNums": 1, "writeQueueNums": 1},
                {"brokerName": "gone", "perm": 6, "readQueueNums": 1, "writeQueueNums": 1},
            ],
        });
        let found = route(&value);
        assert_eq!(names(&found.write_queues()), ["a/0"]);
        assert_eq!(names(&found.read_queues()), ["a/0", "a/1", "b/0", "c/0"]);
        assert_eq!(found.reader("a", 1), Some("h:2"));
        assert_eq!(found.reader("a", 7), Some("h:1"));
        assert_eq!(found.reader("b", 0), Some("h:3"));
        assert_eq!(found.masters(), [("a", "h:1"), ("c", "h:4")]);
        value["orderTopicConf"] = json!("a:2;b:3;junk");
        assert_eq!(names(&route(&value).write_queues()), ["a/0", "a/1"]);
    }

    #[test]
    fn nonsense_is_an_empty_route() {
        for value in [json!(null), json!([]), json!({"queueDatas": 3, "brokerDatas": [1, "x"]})] {
            assert!(route(&value).write_queues().is_empty());
        }
        let huge = json!({
            "brokerDatas": [{"brokerName": "a", "brokerAddrs": {"0": "h:1"}}],
            "queueDatas": [{"brokerName": "a", "perm": 6, "writeQueueNums": 2_000_000_000}],
        });
        assert_eq!(route(&huge).write_queues().len(), 65_536);
    }
}
