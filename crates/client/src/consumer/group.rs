//! What a member tells the brokers, and what it asks about the group.

use super::config::{ConsumerConfig, StartFrom};
use crate::balance::average;
use crate::client::{Client, chain};
use crate::error::CallError;
use crate::message::Delivered;
use rmq_model::MessageQueue;
use rmq_model::client::{ConsumeFromWhere, ConsumeType, MessageModel, SubscriptionData};
use rmq_model::name::retry_topic;
use rmq_remoting::body::{
    ConsumerData, ConsumerIdList, HeartbeatData, LockBatch, LockBatchResponse,
};
use rmq_remoting::header::{ConsumerGroup, ConsumerSendMsgBack, UnregisterClient};
use rmq_remoting::{ByteStr, Command, code, json};
use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

/// A client's place in a group.
#[derive(Debug)]
pub(super) struct Membership {
    config: Arc<ConsumerConfig>,
    client_id: Arc<str>,
    sub_version: i64,
}

impl Membership {
    /// Sends the first heartbeat.
    pub(super) async fn join(
        client: &Client,
        config: &Arc<ConsumerConfig>,
    ) -> Result<Self, CallError> {
        let route = client.fetch_route(&config.topic).await?;
        let no_queue = || CallError::NoQueue { topic: config.topic.clone(), what: "readable" };
        let addr = *route.addresses().first().ok_or_else(no_queue)?;
        let connection = client.connection(addr).await?;
        let member = Self {
            config: config.clone(),
            client_id: client.client_id(&connection),
            sub_version: client.clock().now(),
        };
        member.heartbeat(client).await?;
        Ok(member)
    }

    pub(super) fn sub_version(&self) -> i64 {
        self.sub_version
    }

    fn is_clustering(&self) -> bool {
        self.config.model == MessageModel::Clustering
    }

    /// Tells every broker of the topic that this member is alive and what it wants.
    pub(super) async fn heartbeat(&self, client: &Client) -> Result<(), CallError> {
        let body = self.heartbeat_body();
        let mut failed = None;
        let mut reached = false;
        for addr in self.addresses(client).await? {
            let command = Command::request(code::request::HEART_BEAT).with_body(body.clone());
            match client.ask(&addr, command).await {
                Ok(_answer) => reached = true,
                Err(error) => failed = Some(error),
            }
        }
        match failed {
            Some(error) if !reached => Err(error),
            Some(error) => {
                tracing::warn!(reason = chain(&error), "a broker did not take the heartbeat");
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn heartbeat_body(&self) -> Vec<u8> {
        let mut subscriptions = vec![self.config.subscription(self.sub_version)];
        if self.is_clustering() {
            subscriptions.push(SubscriptionData {
                topic: retry_topic(&self.config.group).into(),
                sub_version: self.sub_version,
                ..SubscriptionData::default()
            });
        }
        let from = match self.config.from {
            StartFrom::First => ConsumeFromWhere::ConsumeFromFirstOffset,
            StartFrom::Last => ConsumeFromWhere::ConsumeFromLastOffset,
            StartFrom::Time(_) => ConsumeFromWhere::ConsumeFromTimestamp,
        };
        json::to_vec(&HeartbeatData {
            client_id: Arc::clone(&self.client_id),
            consumer_data_set: vec![ConsumerData {
                consume_from_where: from,
                consume_type: ConsumeType::Passively,
                group_name: self.config.group.as_str().into(),
                message_model: self.config.model,
                subscription_data_set: subscriptions,
                unit_mode: false,
            }],
            heartbeat_fingerprint: 0,
            producer_data_set: Vec::new(),
            without_sub: false,
        })
    }

    /// Every broker of the topic: all must agree on the group's members.
    async fn addresses(&self, client: &Client) -> Result<Vec<String>, CallError> {
        let route = client.route(&self.config.topic).await?;
        Ok(route.addresses().into_iter().map(str::to_owned).collect())
    }

    /// Queues that this member should read now.
    pub(super) async fn share(&self, client: &Client) -> Result<Vec<MessageQueue>, CallError> {
        let queues = client.route(&self.config.topic).await?.read_queues();
        if !self.is_clustering() {
            return Ok(queues);
        }
        let members = self.members(client).await?;
        let mut share = average(&queues, &members, &self.client_id);
        // The brokers make the retry topic at the first heartbeat; until they have registered it
        // there is no route.
        if let Ok(retry) = client.route(&retry_topic(&self.config.group)).await {
            share.extend(average(&retry.read_queues(), &members, &self.client_id));
        }
        Ok(share)
    }

    async fn members(&self, client: &Client) -> Result<Vec<Arc<str>>, CallError> {
        let mut last = CallError::NoRoute { topic: self.config.topic.clone() };
        for addr in self.addresses(client).await? {
            let command = Command::request(code::request::GET_CONSUMER_LIST_BY_GROUP).with_header(
                &ConsumerGroup { consumer_group: (&self.config.group).into(), broker_name: None },
            );
            match client.ask_body(&addr, command).await {
                Ok(ConsumerIdList { consumer_id_list }) => return Ok(consumer_id_list),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// Takes or renews the locks of `queues`; returns those that are held now.
    pub(super) async fn lock(
        &self,
        client: &Client,
        queues: &[MessageQueue],
    ) -> HashSet<MessageQueue> {
        let mut held = HashSet::new();
        for (addr, body) in self.lock_bodies(client, queues).await {
            let command = Command::request(code::request::LOCK_BATCH_MQ).with_body(body);
            match client.ask_body(&addr, command).await {
                Ok(LockBatchResponse { lock_ok_mq_set }) => held.extend(lock_ok_mq_set),
                Err(error) => tracing::warn!(reason = chain(&error), "no locks from a broker"),
            }
        }
        held
    }

    /// Gives the locks of `queues` back.
    pub(super) async fn unlock(&self, client: &Client, queues: &[MessageQueue]) {
        for (addr, body) in self.lock_bodies(client, queues).await {
            let command = Command::request(code::request::UNLOCK_BATCH_MQ).with_body(body);
            if let Err(error) = client.ask(&addr, command).await {
                tracing::warn!(reason = chain(&error), "locks run out by themselves");
            }
        }
    }

    async fn lock_bodies(
        &self,
        client: &Client,
        queues: &[MessageQueue],
    ) -> Vec<(String, Vec<u8>)> {
        let brokers: BTreeSet<&Arc<str>> = queues.iter().map(|q| &q.broker_name).collect();
        let mut bodies = Vec::new();
        for broker in brokers {
            let of_broker: Vec<_> = queues.iter().filter(|q| q.broker_name == *broker).collect();
            let Some(first) = of_broker.first() else { continue };
            let Ok(addr) = client.queue_address(first).await else { continue };
            let body = LockBatch {
                client_id: Arc::clone(&self.client_id),
                consumer_group: self.config.group.as_str().into(),
                mq_set: of_broker.into_iter().cloned().collect(),
                only_this_broker: false,
            };
            bodies.push((addr, json::to_vec(&body)));
        }
        bodies
    }

    /// Asks the broker to deliver `message` again after a delay that it chooses.
    pub(super) async fn send_back(
        &self,
        client: &Client,
        queue: &MessageQueue,
        message: &Delivered,
    ) -> Result<(), CallError> {
        let addr = client.queue_address(queue).await?;
        let command = Command::request(code::request::CONSUMER_SEND_MSG_BACK).with_header(
            &ConsumerSendMsgBack {
                offset: message.log_offset,
                group: (&self.config.group).into(),
                delay_level: 0,
                origin_msg_id: Some(ByteStr::copy(message.id())),
                origin_topic: Some((&message.topic).into()),
                unit_mode: false,
                max_reconsume_times: None,
                broker_name: Some((&queue.broker_name).into()),
            },
        );
        client.ask(&addr, command).await.map(|_answer| ())
    }

    /// Tells the brokers that this member is gone, so that the others take over at once.
    pub(super) async fn leave(&self, client: &Client) {
        for addr in self.addresses(client).await.unwrap_or_default() {
            let command =
                Command::request(code::request::UNREGISTER_CLIENT).with_header(&UnregisterClient {
                    client_id: (&self.client_id).into(),
                    producer_group: None,
                    consumer_group: Some((&self.config.group).into()),
                });
            if let Err(error) = client.ask(&addr, command).await {
                tracing::debug!(reason = chain(&error), "a broker will notice by itself");
            }
        }
    }
}
