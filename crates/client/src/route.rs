//! Where a topic is.

use rmq_model::{MessageQueue, Millis, Permission};
use rmq_remoting::body::{BrokerData, TopicRouteData};
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

impl From<BrokerData> for Broker {
    fn from(data: BrokerData) -> Self {
        let addresses = data.broker_addrs.into_iter();
        Self {
            cluster: data.cluster.to_string(),
            addresses: addresses.map(|(id, addr)| (id, addr.to_string())).collect(),
        }
    }
}

impl Broker {
    /// Address of the master, if there is one.
    pub fn master(&self) -> Option<&str> {
        self.addresses.get(&MASTER_ID).map(String::as_str)
    }
}

impl Route {
    /// From the body of a route answer.
    pub(crate) fn new(topic: &str, data: TopicRouteData, fetched_at: Millis) -> Self {
        let brokers = data.broker_datas.into_iter();
        let queues = data.queue_datas.into_iter().map(|data| BrokerQueues {
            broker: data.broker_name,
            read: data.read_queue_nums.clamp(0, QUEUES_MAX),
            write: data.write_queue_nums.clamp(0, QUEUES_MAX),
            perm: Permission(u32::try_from(data.perm).unwrap_or(0)),
            sys_flag: data.topic_sys_flag,
        });
        let order_conf = data.order_topic_conf.filter(|conf| !conf.is_empty());
        Self {
            topic: topic.into(),
            brokers: brokers.map(|data| (Arc::clone(&data.broker_name), data.into())).collect(),
            queues: queues.collect(),
            order_conf: order_conf.map(|conf| conf.to_string()),
            fetched_at,
        }
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
    use rmq_remoting::json;
    use serde_json::{Value, json};

    fn route(value: &Value) -> Route {
        Route::new("T", json::from_value(value.clone()).unwrap(), 0)
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
    fn queue_counts_are_bounded() {
        let huge = json!({
            "brokerDatas": [{"brokerName": "a", "brokerAddrs": {"0": "h:1"}}],
            "queueDatas": [{"brokerName": "a", "perm": 6, "writeQueueNums": 2_000_000_000}],
        });
        assert_eq!(route(&huge).write_queues().len(), 65_536);
    }
}
