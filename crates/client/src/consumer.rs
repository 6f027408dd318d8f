//! Consuming as a member of a group.
//!
//! The consumer has no thread or task of its own besides its pulls: heartbeats, sharing of the
//! queues and storing of offsets happen inside [`Consumer::next`], so it must be called again
//! within a minute or so, or the group goes on without this member. What was pulled and is not
//! taken waits; a queue is not pulled again before its last batch is [`Consumer::done`].

mod config;
mod group;
mod progress;

pub use config::{ConsumerConfig, StartFrom};

use crate::client::{Client, chain};
use crate::error::CallError;
use crate::incoming::{Heard, Listener};
use crate::message::Delivered;
use crate::pull::{PullRequest, Pulled};
use group::Membership;
use progress::{Progress, Step};
use rmq_model::MessageQueue;
use rmq_model::client::MessageModel;
use rmq_model::peer::ProtocolVersion;
use rmq_remoting::body::ConsumerRunningInfo;
use rmq_remoting::code;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;

const HEARTBEAT_EVERY: Duration = Duration::from_secs(30);
const REBALANCE_EVERY: Duration = Duration::from_secs(20);
const PERSIST_EVERY: Duration = Duration::from_secs(5);
/// A queue whose pull failed, or whose batch is to come again, rests this long.
const PAUSE: Duration = Duration::from_secs(1);

/// Messages of one queue, in order.
#[derive(Clone, Debug)]
pub struct Batch {
    /// Where they come from. A retry queue has the retry topic here.
    pub queue: MessageQueue,
    /// The messages, at least one.
    pub messages: Vec<Delivered>,
    next: i64,
    generation: u64,
}

/// What became of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Consumed: the group's offset moves on.
    Consumed,
    /// Not consumed. In order: the batch comes again a second later. Else: its messages go back to
    /// the broker, which delivers them again after a growing delay.
    Later,
}

/// A member of a consumer group.
#[derive(Debug)]
pub struct Consumer {
    client: Client,
    config: Arc<ConsumerConfig>,
    member: Membership,
    listener: Arc<Listener>,
    queues: HashMap<MessageQueue, Progress>,
    pulls: JoinSet<(MessageQueue, u64, Result<Pulled, CallError>)>,
    generation: u64,
    heartbeat_at: Duration,
    rebalance_at: Duration,
    persist_at: Duration,
}

impl Consumer {
    /// Joins the group and gets a share of the queues.
    ///
    /// # Errors
    /// If the topic has no route or none of its brokers takes the heartbeat.
    pub async fn start(client: Client, config: ConsumerConfig) -> Result<Self, CallError> {
        let config = Arc::new(config);
        let listener = client.incoming().listen(&config.group, about(&client, &config));
        let listener = listener.ok_or_else(|| CallError::Argument("too many groups".to_owned()))?;
        let member = Membership::join(&client, &config).await?;
        let now = client.clock().monotonic();
        let mut consumer = Self {
            client,
            config,
            member,
            listener,
            queues: HashMap::new(),
            pulls: JoinSet::new(),
            generation: 0,
            heartbeat_at: now + HEARTBEAT_EVERY,
            rebalance_at: now,
            persist_at: now + PERSIST_EVERY,
        };
        consumer.rebalance().await?;
        Ok(consumer)
    }

    /// Queues that are this member's share at the moment.
    pub fn assigned(&self) -> Vec<MessageQueue> {
        let mut queues: Vec<_> = self.queues.keys().cloned().collect();
        queues.sort_unstable();
        queues
    }

    /// The next messages. May be dropped and called again without losing any.
    ///
    /// # Errors
    /// When a broker refuses a pull for good, such as for want of permission. Failures that may
    /// pass are tried again and logged.
    pub async fn next(&mut self) -> Result<Batch, CallError> {
        loop {
            self.keep_house().await?;
            self.start_pulls();
            let now = self.client.clock().monotonic();
            let patience = self.next_due().saturating_sub(now);
            tokio::select! {
                Some(pulled) = self.pulls.join_next(), if !self.pulls.is_empty() => {
                    let Ok((queue, generation, result)) = pulled else { continue };
                    if let Some(batch) = self.take(&queue, generation, result)? {
                        return Ok(batch);
                    }
                }
                () = self.listener.news.notified() => self.heed(now),
                () = tokio::time::sleep(patience) => {}
            }
        }
    }

    /// Does what brokers have asked for meanwhile.
    fn heed(&mut self, now: Duration) {
        let Heard { members_changed, resets } = self.listener.take();
        if members_changed {
            self.rebalance_at = now;
        }
        for (queue, offset) in resets {
            if let Some(progress) = self.queues.get_mut(&queue) {
                // What was pulled or handed out before does not count any more.
                self.generation += 1;
                let may_pull = progress.may_pull;
                *progress = Progress::new(self.generation, offset);
                progress.may_pull = may_pull;
                self.persist_at = now;
            }
        }
    }

    /// Says what became of `batch`. The offset is stored a little later.
    ///
    /// # Errors
    /// If a message could not be sent back; the batch then comes again.
    pub async fn done(&mut self, batch: &Batch, verdict: Verdict) -> Result<(), CallError> {
        let again_at = self.client.clock().monotonic() + PAUSE;
        let mut outcome = Ok(());
        let mut consumed = verdict == Verdict::Consumed;
        if !consumed && !self.config.in_order && self.is_clustering() {
            outcome = self.send_back(batch).await;
            consumed = outcome.is_ok();
        }
        if let Some(progress) = self.queues.get_mut(&batch.queue)
            && progress.generation == batch.generation
        {
            if consumed {
                progress.consumed(batch.next);
                self.listener.moved(&batch.queue, batch.next);
            } else if let Some(first) = batch.messages.first() {
                progress.again(first.queue_offset, again_at);
            }
        }
        outcome
    }

    /// Only the messages that are still in `batch` are consumed, its end was cut off: those behind
    /// them come again, to this member or another.
    pub fn done_until(&mut self, batch: &Batch) {
        let Some(last) = batch.messages.last() else { return };
        if let Some(progress) = self.queues.get_mut(&batch.queue)
            && progress.generation == batch.generation
        {
            let next = last.queue_offset.saturating_add(1);
            progress.consumed(next);
            self.listener.moved(&batch.queue, next);
            progress.again(next, self.client.clock().monotonic());
        }
    }

    /// Stores the offsets, gives the queues back and leaves the group.
    pub async fn close(mut self) {
        self.pulls.abort_all();
        self.persist().await;
        let queues = self.assigned();
        if self.config.in_order {
            self.member.unlock(&self.client, &queues).await;
        }
        self.member.leave(&self.client).await;
        self.client.incoming().forget(&self.config.group);
    }

    fn is_clustering(&self) -> bool {
        self.config.model == MessageModel::Clustering
    }

    fn next_due(&self) -> Duration {
        let paused = self.queues.values().filter_map(Progress::rests_until);
        let due = [self.heartbeat_at, self.rebalance_at, self.persist_at].into_iter().chain(paused);
        due.min().unwrap_or(self.persist_at)
    }

    async fn keep_house(&mut self) -> Result<(), CallError> {
        let now = self.client.clock().monotonic();
        if self.heartbeat_at <= now {
            self.heartbeat_at = now + HEARTBEAT_EVERY;
            if let Err(error) = self.member.heartbeat(&self.client).await {
                tracing::warn!(error = chain(&error), group = self.config.group, "no heartbeat");
            }
        }
        if self.persist_at <= now {
            self.persist_at = now + PERSIST_EVERY;
            self.persist().await;
        }
        if self.rebalance_at <= now {
            self.rebalance().await?;
        }
        Ok(())
    }

    /// Takes this member's share of the queues and gives up what is not in it any more.
    async fn rebalance(&mut self) -> Result<(), CallError> {
        self.rebalance_at = self.client.clock().monotonic() + REBALANCE_EVERY;
        let share = match self.member.share(&self.client).await {
            Ok(share) => share,
            Err(error) => {
                // Without the members' list the present share stays, as every client does.
                let reason = chain(&error);
                tracing::warn!(reason, group = self.config.group, "no new share of the queues");
                return Ok(());
            }
        };
        let lost: Vec<_> = self.queues.keys().filter(|q| !share.contains(q)).cloned().collect();
        for queue in &lost {
            if let Some(offset) = self.queues.get_mut(queue).and_then(Progress::take_unstored) {
                self.commit(queue, offset).await;
            }
            self.queues.remove(queue);
        }
        if self.config.in_order {
            self.member.unlock(&self.client, &lost).await;
        }
        for queue in &share {
            if !self.queues.contains_key(queue) {
                match self.first_offset(queue).await {
                    Ok(offset) => {
                        self.generation += 1;
                        self.queues.insert(queue.clone(), Progress::new(self.generation, offset));
                    }
                    Err(error) if error.code() == Some(code::response::NO_PERMISSION) => {
                        return Err(error);
                    }
                    Err(error) => {
                        let reason = chain(&error);
                        tracing::warn!(reason, ?queue, "no offset to begin at");
                    }
                }
            }
        }
        let stands = self.queues.iter().map(|(queue, at)| (queue.clone(), at.position()));
        self.listener.stands_at(stands);
        if self.config.in_order {
            let held = self.member.lock(&self.client, &share).await;
            for (queue, progress) in &mut self.queues {
                progress.may_pull = held.contains(queue);
            }
        }
        Ok(())
    }

    async fn first_offset(&self, queue: &MessageQueue) -> Result<i64, CallError> {
        if self.is_clustering()
            && let Some(committed) = self.client.committed(&self.config.group, queue).await?
        {
            return Ok(committed);
        }
        match self.config.from {
            _ if rmq_model::name::is_retry_topic(&queue.topic) => {
                self.client.min_offset(queue).await
            }
            StartFrom::First => self.client.min_offset(queue).await,
            StartFrom::Last => self.client.max_offset(queue).await,
            StartFrom::Time(time) => self.client.offset_at(queue, time).await,
        }
    }

    fn start_pulls(&mut self) {
        let now = self.client.clock().monotonic();
        for (queue, progress) in &mut self.queues {
            let Some(offset) = progress.start_pull(now) else { continue };
            let retry = rmq_model::name::is_retry_topic(&queue.topic);
            let everything = PullRequest::new(self.config.group.clone());
            let pull = PullRequest {
                expression_type: match retry {
                    true => everything.expression_type.clone(),
                    false => self.config.expression_type.clone(),
                },
                expression: match retry {
                    true => everything.expression.clone(),
                    false => self.config.expression.clone(),
                },
                messages_max: self.config.messages_max,
                suspend: self.config.suspend,
                sub_version: self.member.sub_version(),
                broker_id: progress.broker_id,
                ..everything
            };
            let (client, queue, generation) =
                (self.client.clone(), queue.clone(), progress.generation);
            self.pulls.spawn(async move {
                let result = client.pull(&queue, offset, &pull).await;
                (queue, generation, result)
            });
        }
    }

    /// Notes the result of a pull; hands its messages out if there are any.
    fn take(
        &mut self,
        queue: &MessageQueue,
        generation: u64,
        result: Result<Pulled, CallError>,
    ) -> Result<Option<Batch>, CallError> {
        let again_at = self.client.clock().monotonic() + PAUSE;
        let Some(progress) = self.queues.get_mut(queue) else { return Ok(None) };
        if progress.generation != generation {
            return Ok(None);
        }
        let mut pulled = match result {
            Ok(pulled) => pulled,
            Err(error) => {
                progress.pull_failed(again_at);
                self.client.forget_route(&queue.topic);
                if is_for_good(&error) {
                    return Err(error);
                }
                tracing::warn!(reason = chain(&error), ?queue, "pull failed, trying again");
                return Ok(None);
            }
        };
        progress.broker_id = pulled.suggested_broker;
        if !rmq_model::name::is_retry_topic(&queue.topic) {
            self.config.keep_wanted(&mut pulled.messages);
        }
        match progress.pulled(pulled.status, pulled.next, !pulled.messages.is_empty()) {
            Step::Deliver => Ok(Some(Batch {
                queue: queue.clone(),
                messages: pulled.messages,
                next: pulled.next,
                generation,
            })),
            Step::GoOn => Ok(None),
        }
    }

    async fn send_back(&self, batch: &Batch) -> Result<(), CallError> {
        for message in &batch.messages {
            self.member.send_back(&self.client, &batch.queue, message).await?;
        }
        Ok(())
    }

    async fn persist(&mut self) {
        let due: Vec<_> = self
            .queues
            .iter_mut()
            .filter_map(|(queue, progress)| Some((queue.clone(), progress.take_unstored()?)))
            .collect();
        for (queue, offset) in due {
            self.commit(&queue, offset).await;
        }
    }

    async fn commit(&self, queue: &MessageQueue, offset: i64) {
        if !self.is_clustering() {
            return;
        }
        if let Err(error) = self.client.commit(&self.config.group, queue, offset).await {
            // The next batch brings a later offset; until then messages may come twice.
            tracing::warn!(reason = chain(&error), ?queue, offset, "offset not stored");
        }
    }
}

/// What the consumer shows of itself to administrators; names are the Java client's.
fn about(client: &Client, config: &ConsumerConfig) -> ConsumerRunningInfo {
    let now = client.clock().now();
    let properties = [
        ("PROP_CLIENT_VERSION", ProtocolVersion::CURRENT_NAME.to_owned()),
        ("PROP_CONSUMEORDERLY", config.in_order.to_string()),
        ("PROP_CONSUMER_START_TIMESTAMP", now.to_string()),
        ("PROP_CONSUME_TYPE", "CONSUME_PASSIVELY".to_owned()),
        ("PROP_NAMESERVER_ADDR", client.name_servers().to_string()),
    ];
    ConsumerRunningInfo {
        properties: properties.map(|(name, value)| (name.to_owned(), value)).into(),
        subscription_set: vec![config.subscription(now)],
        ..ConsumerRunningInfo::default()
    }
}

/// Refusals that do not pass by themselves.
fn is_for_good(error: &CallError) -> bool {
    const CODES: [i32; 5] = [
        code::response::NO_PERMISSION,
        code::response::SUBSCRIPTION_PARSE_FAILED,
        code::response::SUBSCRIPTION_GROUP_NOT_EXIST,
        code::response::INVALID_PARAMETER,
        code::response::REQUEST_CODE_NOT_SUPPORTED,
    ];
    error.code().is_some_and(|code| CODES.contains(&code))
}
