//! Consumer groups and their offsets.

use super::Admin;
use crate::error::CallError;
use crate::route::Route;
use rmq_model::group::SubscriptionGroupConfig;
use rmq_model::{MessageQueue, Millis, name};
use rmq_remoting::body::{
    ConsumeStats, ConsumerConnection, ResetOffsetBody, SubscriptionGroupWrapper,
};
use rmq_remoting::header::{ConsumerGroup, DeleteGroup, GetConsumeStats, ResetOffset};
use rmq_remoting::{ByteStr, Command, code, json};
use std::collections::{BTreeMap, BTreeSet};

/// Where offsets are put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResetTo {
    /// Oldest message that is still there.
    First,
    /// Behind the last message.
    Last,
    /// First message stored at this time or later.
    Time(Millis),
}

/// A group's place in one queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueProgress {
    /// The queue.
    pub queue: MessageQueue,
    /// Offset that the next message of the queue will get.
    pub broker_offset: i64,
    /// Offset that the group has committed.
    pub consumer_offset: i64,
    /// Offset up to which messages were handed out.
    pub pull_offset: i64,
    /// When the last consumed message was stored; 0 if unknown.
    pub last_timestamp: Millis,
}

impl QueueProgress {
    /// Messages that the group has not consumed.
    pub fn lag(&self) -> i64 {
        self.broker_offset.saturating_sub(self.consumer_offset).max(0)
    }

    /// Messages that are handed out and not committed.
    pub fn in_flight(&self) -> i64 {
        self.pull_offset.saturating_sub(self.consumer_offset).max(0)
    }
}

/// Who consumes for a group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupClients {
    /// Members, sorted by client id.
    pub members: Vec<GroupMember>,
    /// `CONSUME_ACTIVELY`, `CONSUME_PASSIVELY`, `CONSUME_POP`.
    pub consume_type: String,
    /// `CLUSTERING`, `BROADCASTING`.
    pub message_model: String,
    /// Where the group begins without offset.
    pub from_where: String,
    /// Topic to expression.
    pub subscriptions: BTreeMap<String, String>,
}

/// A client that consumes for a group.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct GroupMember {
    /// Client id.
    pub client_id: String,
    /// Address the broker sees.
    pub address: String,
    /// Programming language.
    pub language: String,
    /// Ordinal of its release.
    pub version: i32,
}

impl Admin {
    /// Groups of all masters by name. Brokers may differ; the first one's configuration is shown.
    ///
    /// # Errors
    /// As [`crate::Client::ask`].
    pub async fn groups(
        &self,
        cluster: Option<&str>,
    ) -> Result<BTreeMap<String, SubscriptionGroupConfig>, CallError> {
        let mut groups = BTreeMap::new();
        for (_, addr) in self.cluster_info().await?.masters(cluster)? {
            for (name, config) in self.group_configs(&addr).await? {
                groups.entry(name).or_insert(config);
            }
        }
        Ok(groups)
    }

    /// Configurations of all groups on the broker at `addr`, by name, the system's included.
    ///
    /// # Errors
    /// As [`crate::Client::ask`].
    pub async fn group_configs(
        &self,
        addr: &str,
    ) -> Result<BTreeMap<String, SubscriptionGroupConfig>, CallError> {
        let command = Command::request(code::request::GET_ALL_SUBSCRIPTIONGROUP_CONFIG);
        let body: SubscriptionGroupWrapper = self.client.ask_body(addr, command).await?;
        let groups = body.subscription_group_table.into_iter();
        Ok(groups.map(|(name, config)| (name.to_string(), config)).collect())
    }

    /// Configuration of `group` on the broker at `addr`; `None` if it is not there.
    ///
    /// # Errors
    /// As [`crate::Client::ask`].
    pub async fn group(
        &self,
        addr: &str,
        group: &str,
    ) -> Result<Option<SubscriptionGroupConfig>, CallError> {
        Ok(self.group_configs(addr).await?.remove(group))
    }

    /// Makes or replaces a group on the broker at `addr`.
    ///
    /// # Errors
    /// As [`crate::Client::ask`].
    pub async fn put_group(
        &self,
        addr: &str,
        config: &SubscriptionGroupConfig,
    ) -> Result<(), CallError> {
        let command = Command::request(code::request::UPDATE_AND_CREATE_SUBSCRIPTIONGROUP);
        let command = command.with_body(json::to_vec(config));
        self.client.ask(addr, command).await.map(|_answer| ())
    }

    /// Deletes a group with its offsets and its retry and dead-letter topics from the masters of
    /// `cluster` (of all clusters). Returns the brokers.
    ///
    /// # Errors
    /// Of the first broker or name server that fails.
    pub async fn delete_group(
        &self,
        group: &str,
        cluster: Option<&str>,
    ) -> Result<Vec<String>, CallError> {
        let masters = self.cluster_info().await?.masters(cluster)?;
        for (_, addr) in &masters {
            let command = Command::request(code::request::DELETE_SUBSCRIPTIONGROUP)
                .with_header(&DeleteGroup { group_name: ByteStr::copy(group), clean_offset: true });
            self.client.ask(addr, command).await?;
        }
        for topic in [name::retry_topic(group), name::dlq_topic(group)] {
            self.delete_topic(&topic, cluster).await?;
        }
        Ok(masters.into_iter().map(|(name, _)| name).collect())
    }

    /// How far `group` is in every queue that it has read, sorted by queue.
    ///
    /// # Errors
    /// As [`crate::Client::ask`].
    pub async fn progress(
        &self,
        group: &str,
        topic: Option<&str>,
    ) -> Result<Vec<QueueProgress>, CallError> {
        let mut rows = Vec::new();
        for (_, addr) in self.cluster_info().await?.masters(None)? {
            let command =
                Command::request(code::request::GET_CONSUME_STATS).with_header(&GetConsumeStats {
                    consumer_group: ByteStr::copy(group),
                    topic: topic.map(ByteStr::copy),
                    topic_list: None,
                });
            let stats: ConsumeStats = self.client.ask_body(&addr, command).await?;
            rows.extend(stats.offset_table.into_iter().map(|(queue, offset)| QueueProgress {
                queue,
                broker_offset: offset.broker_offset,
                consumer_offset: offset.consumer_offset,
                pull_offset: offset.pull_offset,
                last_timestamp: offset.last_timestamp,
            }));
        }
        rows.sort_by(|a, b| a.queue.cmp(&b.queue));
        rows.dedup_by(|a, b| a.queue == b.queue);
        Ok(rows)
    }

    /// Who consumes for `group`; `None` if nobody is connected.
    ///
    /// # Errors
    /// As [`crate::Client::ask`].
    pub async fn group_clients(&self, group: &str) -> Result<Option<GroupClients>, CallError> {
        let mut clients: Option<GroupClients> = None;
        let mut members = BTreeSet::new();
        for (_, addr) in self.cluster_info().await?.masters(None)? {
            let command =
                Command::request(code::request::GET_CONSUMER_CONNECTION_LIST).with_header(
                    &ConsumerGroup { consumer_group: ByteStr::copy(group), broker_name: None },
                );
            let found: ConsumerConnection = match self.client.ask_body(&addr, command).await {
                Err(error) if error.code() == Some(code::response::CONSUMER_NOT_ONLINE) => continue,
                result => result?,
            };
            let clients = clients.get_or_insert_with(|| GroupClients {
                consume_type: found.consume_type.name().to_owned(),
                message_model: found.message_model.name().to_owned(),
                from_where: found.consume_from_where.name().to_owned(),
                ..GroupClients::default()
            });
            let subscriptions = found.subscription_table.iter();
            clients.subscriptions.extend(
                subscriptions.map(|(topic, data)| (topic.to_string(), data.sub_string.to_string())),
            );
            members.extend(found.connection_set.iter().map(|client| GroupMember {
                client_id: client.client_id.to_string(),
                address: client.client_addr.to_string(),
                language: client.language.to_string(),
                version: client.version,
            }));
        }
        Ok(clients
            .map(|clients| GroupClients { members: members.into_iter().collect(), ..clients }))
    }

    /// Moves `group` in `topic`, whether its members are connected or not. Returns the new
    /// offsets.
    ///
    /// # Errors
    /// As [`crate::Client::route`] and [`crate::Client::ask`].
    pub async fn reset_offsets(
        &self,
        group: &str,
        topic: &str,
        to: ResetTo,
    ) -> Result<Vec<(MessageQueue, i64)>, CallError> {
        let route = self.client.fetch_route(topic).await?;
        let timestamp = match to {
            ResetTo::First => 0,
            ResetTo::Last => -1,
            ResetTo::Time(time) => time,
        };
        let mut moved = Vec::new();
        for (broker, addr) in route.masters() {
            let command = Command::request(code::request::INVOKE_BROKER_TO_RESET_OFFSET)
                .with_header(&ResetOffset {
                    topic: ByteStr::copy(topic),
                    group: ByteStr::copy(group),
                    timestamp,
                    is_force: true,
                    queue_id: -1,
                    offset: -1,
                });
            match self.client.ask_body(addr, command).await {
                Ok(ResetOffsetBody { offset_table }) => moved.extend(offset_table),
                Err(error) if error.code() == Some(code::response::CONSUMER_NOT_ONLINE) => {
                    moved.extend(self.commit_offsets(group, &route, broker, to).await?);
                }
                Err(error) => return Err(error),
            }
        }
        moved.sort();
        Ok(moved)
    }

    /// Stores the offsets directly: nobody is connected who could mind.
    async fn commit_offsets(
        &self,
        group: &str,
        route: &Route,
        broker: &str,
        to: ResetTo,
    ) -> Result<Vec<(MessageQueue, i64)>, CallError> {
        let mut moved = Vec::new();
        for queue in route.read_queues().into_iter().filter(|q| &*q.broker_name == broker) {
            let offset = match to {
                ResetTo::First => self.client.min_offset(&queue).await?,
                ResetTo::Last => self.client.max_offset(&queue).await?,
                ResetTo::Time(time) => self.client.offset_at(&queue, time).await?,
            };
            self.client.commit(group, &queue, offset).await?;
            moved.push((queue, offset));
        }
        Ok(moved)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lag_is_never_negative() {
        let queue = MessageQueue { broker_name: "b".into(), queue_id: 1, topic: "T".into() };
        for (broker_offset, consumer_offset, pull_offset, want) in
            [(9, 4, 6, (5, 2)), (3, 5, 0, (0, 0)), (i64::MAX, -1, -1, (i64::MAX, 0))]
        {
            let queue = queue.clone();
            let row = QueueProgress {
                queue,
                broker_offset,
                consumer_offset,
                pull_offset,
                last_timestamp: 0,
            };
            assert_eq!((row.lag(), row.in_flight()), want);
        }
    }
}
