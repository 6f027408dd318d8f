//! Topics.

use super::Admin;
use crate::error::CallError;
use crate::view;
use rmq_model::topic::TopicConfig;
use rmq_model::{MessageQueue, Millis, Permission, name};
use rmq_remoting::header::{CreateTopic, DeleteTopicInNameServer, GetTopicConfig, OfTopic};
use rmq_remoting::{ByteStr, Command, code};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Namespace of the queue counts of ordered topics on the name servers.
const ORDER_NAMESPACE: &str = "ORDER_TOPIC_CONFIG";

/// What a topic is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicSpec {
    /// Its configuration; `attributes` are those it already has.
    pub config: TopicConfig,
    /// Attributes to set and remove: `+name=value,-name`.
    pub attribute_changes: String,
}

/// What is in a topic.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TopicStats {
    /// Its queues, sorted.
    pub queues: Vec<QueueStats>,
    /// Messages that came in per second, lately; `None` if no broker tells.
    pub put_tps: Option<f64>,
}

/// What is in a queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueStats {
    /// The queue.
    pub queue: MessageQueue,
    /// Offset of the oldest message.
    pub min: i64,
    /// Offset that the next message will get.
    pub max: i64,
    /// When the last one came; 0 if none did.
    pub last_update: Millis,
}

impl Admin {
    /// Names of all topics, sorted.
    ///
    /// # Errors
    /// As [`crate::Client::ask_name_server`].
    pub async fn topics(&self) -> Result<BTreeSet<String>, CallError> {
        let command = Command::request(code::request::GET_ALL_TOPIC_LIST_FROM_NAMESERVER);
        let value = self.client.ask_name_server_json(command).await?;
        Ok(view::texts(&value, "topicList").into_iter().collect())
    }

    /// Names of the topics that the system needs, as far as name server and brokers list them.
    ///
    /// # Errors
    /// As [`crate::Client::ask_name_server`].
    pub async fn system_topics(&self) -> Result<BTreeSet<String>, CallError> {
        let command = Command::request(code::request::GET_SYSTEM_TOPIC_LIST_FROM_NS);
        let value = self.client.ask_name_server_json(command).await?;
        let mut topics: BTreeSet<_> = view::texts(&value, "topicList").into_iter().collect();
        for (_, addr) in self.cluster_info().await?.masters(None).unwrap_or_default() {
            let command = Command::request(code::request::GET_SYSTEM_TOPIC_LIST_FROM_BROKER);
            if let Ok(value) = self.client.ask_json(&addr, command).await {
                topics.extend(view::texts(&value, "topicList"));
            }
        }
        Ok(topics)
    }

    /// Makes or changes a topic on the broker at `addr`.
    ///
    /// # Errors
    /// As [`crate::Client::ask`]; code 29 for a bad name, 1 for a bad attribute.
    pub async fn put_topic(&self, addr: &str, spec: &TopicSpec) -> Result<(), CallError> {
        let config = &spec.config;
        let number = |name: &str, value: u32| {
            let reason = || CallError::Argument(format!("{name} {value} is out of range"));
            i32::try_from(value).map_err(|_large| reason())
        };
        let header = CreateTopic {
            topic: (&config.topic_name).into(),
            default_topic: Some(name::AUTO_CREATE_TOPIC.into()),
            read_queue_nums: number("read queues", config.read_queue_nums)?,
            write_queue_nums: number("write queues", config.write_queue_nums)?,
            perm: number("permission", config.perm.0)?,
            topic_filter_type: Some(config.topic_filter_type.name().into()),
            topic_sys_flag: Some(config.topic_sys_flag),
            order: config.order,
            attributes: Some((&spec.attribute_changes).into()),
            force: false,
        };
        let command = Command::request(code::request::UPDATE_AND_CREATE_TOPIC);
        self.client.ask(addr, command.with_header(&header)).await?;
        self.client.forget_route(&config.topic_name);
        Ok(())
    }

    /// Configuration of `topic` on the broker at `addr`; `None` if it is not there.
    ///
    /// # Errors
    /// As [`crate::Client::ask`].
    pub async fn topic_config(
        &self,
        addr: &str,
        topic: &str,
    ) -> Result<Option<TopicConfig>, CallError> {
        let command = Command::request(code::request::GET_TOPIC_CONFIG)
            .with_header(&GetTopicConfig { topic: ByteStr::copy(topic), logical: Some(true) });
        let value = match self.client.ask_json(addr, command).await {
            Err(error) if error.code() == Some(code::response::TOPIC_NOT_EXIST) => return Ok(None),
            result => result?,
        };
        Ok(Some(config_from_json(topic, &value)))
    }

    /// Configurations of all topics on the broker at `addr`, by name, the system's included.
    ///
    /// # Errors
    /// As [`crate::Client::ask`].
    pub async fn topic_configs(
        &self,
        addr: &str,
    ) -> Result<BTreeMap<String, TopicConfig>, CallError> {
        let command = Command::request(code::request::GET_ALL_TOPIC_CONFIG);
        let value = self.client.ask_json(addr, command).await?;
        let topics = view::object(&value, "topicConfigTable");
        Ok(topics.map(|(topic, value)| (topic.clone(), config_from_json(topic, value))).collect())
    }

    /// Sets the queue counts of an ordered topic: `broker:count` of each broker.
    ///
    /// # Errors
    /// Of the first name server that fails.
    pub async fn put_order(&self, topic: &str, conf: &str) -> Result<(), CallError> {
        self.kv_put(ORDER_NAMESPACE, topic, conf).await
    }

    /// Deletes `topic` with its messages from the masters of `cluster` (of all clusters that have
    /// it), and from the name servers. Returns the brokers that had to do it.
    ///
    /// # Errors
    /// Of the first broker or name server that fails.
    pub async fn delete_topic(
        &self,
        topic: &str,
        cluster: Option<&str>,
    ) -> Result<Vec<String>, CallError> {
        let info = self.cluster_info().await?;
        let masters = info.masters(cluster)?;
        for (_, addr) in &masters {
            let command = Command::request(code::request::DELETE_TOPIC_IN_BROKER)
                .with_header(&OfTopic { topic: ByteStr::copy(topic) });
            self.client.ask(addr, command).await?;
        }
        let clusters: BTreeSet<&str> = masters
            .iter()
            .filter_map(|(name, _)| info.brokers.get(name).map(|b| b.cluster.as_str()))
            .collect();
        for cluster in clusters {
            let command = Command::request(code::request::DELETE_TOPIC_IN_NAMESRV).with_header(
                &DeleteTopicInNameServer {
                    topic: ByteStr::copy(topic),
                    cluster_name: Some(ByteStr::copy(cluster)),
                },
            );
            self.every_name_server(&command).await?;
        }
        self.kv_delete(ORDER_NAMESPACE, topic).await?;
        self.client.forget_route(topic);
        Ok(masters.into_iter().map(|(name, _)| name).collect())
    }

    /// Offsets of every queue of `topic`.
    ///
    /// # Errors
    /// As [`crate::Client::route`] and [`crate::Client::ask`].
    pub async fn topic_stats(&self, topic: &str) -> Result<TopicStats, CallError> {
        let route = self.client.fetch_route(topic).await?;
        let mut stats = TopicStats::default();
        for (_, addr) in route.masters() {
            let command = Command::request(code::request::GET_TOPIC_STATS_INFO)
                .with_header(&OfTopic { topic: ByteStr::copy(topic) });
            let value = self.client.ask_json(addr, command).await?;
            for (key, entry) in view::object(&value, "offsetTable") {
                let Some(queue) = view::queue_key(key) else { continue };
                stats.queues.push(QueueStats {
                    queue,
                    min: view::number(entry, "minOffset"),
                    max: view::number(entry, "maxOffset"),
                    last_update: view::number(entry, "lastUpdateTimestamp"),
                });
            }
            if value.get("topicPutTps").is_some() {
                *stats.put_tps.get_or_insert(0.0) += view::float(&value, "topicPutTps");
            }
        }
        stats.queues.sort_by(|a, b| a.queue.cmp(&b.queue));
        Ok(stats)
    }
}

fn config_from_json(topic: &str, value: &Value) -> TopicConfig {
    let small = |name: &str| u32::try_from(view::number(value, name)).unwrap_or(0);
    let attributes: BTreeMap<String, String> = view::object(value, "attributes")
        .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
        .collect();
    TopicConfig {
        attributes,
        order: value.get("order").and_then(Value::as_bool).unwrap_or(false),
        perm: Permission(small("perm")),
        read_queue_nums: small("readQueueNums"),
        write_queue_nums: small("writeQueueNums"),
        topic_sys_flag: i32::try_from(view::number(value, "topicSysFlag")).unwrap_or(0),
        topic_name: topic.into(),
        ..TopicConfig::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn configurations_are_read() {
        let value = json!({
            "attributes": {"message.type": "FIFO"}, "order": true, "perm": 4, "topicName": "T",
            "readQueueNums": 3, "writeQueueNums": 2, "topicSysFlag": 1,
        });
        let config = config_from_json("T", &value);
        assert_eq!((config.read_queue_nums, config.write_queue_nums, config.perm.0), (3, 2, 4));
        assert!(config.order);
        assert_eq!(config.attributes.get("message.type").map(String::as_str), Some("FIFO"));
        assert_eq!(config_from_json("T", &json!(7)).read_queue_nums, 0);
    }
}
