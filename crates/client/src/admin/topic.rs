//! Topics.

use super::Admin;
use crate::error::CallError;
use rmq_model::topic::TopicConfig;
use rmq_model::{MessageQueue, Millis, name};
use rmq_remoting::body::{TopicConfigWrapper, TopicList, TopicStatsTable};
use rmq_remoting::header::{CreateTopic, DeleteTopicInNameServer, GetTopicConfig, OfTopic};
use rmq_remoting::{ByteStr, Command, code};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

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
        Ok(names(self.client.ask_name_server_body(command).await?).collect())
    }

    /// Names of the topics that the system needs, as far as name server and brokers list them.
    ///
    /// # Errors
    /// As [`crate::Client::ask_name_server`].
    pub async fn system_topics(&self) -> Result<BTreeSet<String>, CallError> {
        let command = Command::request(code::request::GET_SYSTEM_TOPIC_LIST_FROM_NS);
        let mut topics: BTreeSet<_> =
            names(self.client.ask_name_server_body(command).await?).collect();
        for (_, addr) in self.cluster_info().await?.masters(None).unwrap_or_default() {
            let command = Command::request(code::request::GET_SYSTEM_TOPIC_LIST_FROM_BROKER);
            if let Ok(list) = self.client.ask_body(&addr, command).await {
                topics.extend(names(list));
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
        match self.client.ask_body(addr, command).await {
            Ok(config) => Ok(Some(TopicConfig { topic_name: topic.into(), ..config })),
            Err(error) if error.code() == Some(code::response::TOPIC_NOT_EXIST) => Ok(None),
            Err(error) => Err(error),
        }
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
        let body: TopicConfigWrapper = self.client.ask_body(addr, command).await?;
        let named = |(topic_name, config): (Arc<str>, TopicConfig)| {
            (topic_name.to_string(), TopicConfig { topic_name, ..config })
        };
        Ok(body.topic_config_table.into_iter().map(named).collect())
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
            let table: TopicStatsTable = self.client.ask_body(addr, command).await?;
            let queues = table.offset_table.into_iter().map(|(queue, offsets)| QueueStats {
                queue,
                min: offsets.min_offset,
                max: offsets.max_offset,
                last_update: offsets.last_update_timestamp,
            });
            stats.queues.extend(queues);
            if let Some(tps) = table.topic_put_tps {
                *stats.put_tps.get_or_insert(0.0) += tps;
            }
        }
        stats.queues.sort_by(|a, b| a.queue.cmp(&b.queue));
        Ok(stats)
    }
}

fn names(list: TopicList) -> impl Iterator<Item = String> {
    list.topic_list.into_iter().map(|topic| topic.to_string())
}
