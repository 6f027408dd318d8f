//! Offsets: those of groups, and the ends and times of queues.

use crate::service::Broker;
use rmq_delivery::offsets::{self, Commit, OffsetAnswer};
use rmq_model::{Millis, name};
use rmq_store::Boundary;
use std::io;

/// Why an offset is not stored (request 15).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommitError {
    /// Response code 26.
    #[error("group {group} not exist")]
    GroupNotExist {
        /// As asked.
        group: String,
    },
    /// Response code 17.
    #[error("topic {topic} not exist")]
    TopicNotExist {
        /// As asked.
        topic: String,
    },
    /// Response code 29.
    #[error("queueId or commitOffset is missing or negative")]
    Invalid,
    /// Response code 1.
    #[error("the offset table is full")]
    Full,
}

/// What became of a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Committed {
    /// Stored.
    Stored,
    /// An administrator set another offset that the group has to take up first.
    ResetPending,
}

impl Broker {
    /// The offset a group goes on from (request 14). May read the disk.
    pub fn query_offset(
        &self,
        group: &str,
        topic: &str,
        queue: i32,
        set_zero_if_not_found: Option<bool>,
    ) -> OffsetAnswer {
        let known = self.offsets.lock().query(group, topic, queue);
        let id = u32::try_from(queue).unwrap_or(u32::MAX);
        let (min, first_in_memory) = if known.is_some() {
            (0, false)
        } else {
            let min = self.min_offset(topic, id);
            (min, self.store.is_in_memory(topic, id, min))
        };
        offsets::answer(known, set_zero_if_not_found, min, first_in_memory)
    }

    /// Stores an offset (request 15).
    ///
    /// # Errors
    /// [`CommitError`] says which rule is broken.
    pub fn commit_offset(
        &self,
        group: &str,
        topic: &str,
        queue: Option<i32>,
        offset: Option<i64>,
    ) -> Result<Committed, CommitError> {
        let now = self.now();
        if self.groups.get(group).is_none() {
            return Err(CommitError::GroupNotExist { group: group.to_owned() });
        }
        if self.topics.get(topic).is_none() {
            return Err(CommitError::TopicNotExist { topic: topic.to_owned() });
        }
        let (Some(queue), Some(offset)) = (queue, offset) else { return Err(CommitError::Invalid) };
        match self.offsets.lock().commit(now, group, topic, queue, offset) {
            Commit::Stored { .. } => Ok(Committed::Stored),
            Commit::ResetPending { .. } => Ok(Committed::ResetPending),
            Commit::Invalid => Err(CommitError::Invalid),
            Commit::Full => Err(CommitError::Full),
        }
    }

    /// The offset at a time (request 29). Reads the log: may block.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn search_offset(
        &self,
        topic: &str,
        queue: i32,
        time: Millis,
        boundary: Boundary,
    ) -> io::Result<i64> {
        let Ok(queue) = u32::try_from(queue) else { return Ok(0) };
        self.store.offset_by_time(topic, queue, time, boundary)
    }

    /// The end of a queue (request 30); 0 for one that is not there.
    pub fn end_of(&self, topic: &str, queue: i32) -> i64 {
        u32::try_from(queue).map_or(0, |queue| self.max_offset(topic, queue)).max(0)
    }

    /// The beginning of a queue (request 31); 0 for one that is not there.
    pub fn beginning_of(&self, topic: &str, queue: i32) -> i64 {
        u32::try_from(queue).map_or(0, |queue| self.min_offset(topic, queue)).max(0)
    }

    /// Store time of the first message of a queue, -1 when it is empty (request 32). Reads the
    /// log: may block.
    pub fn earliest_time(&self, topic: &str, queue: i32) -> Millis {
        let Ok(queue) = u32::try_from(queue) else { return -1 };
        let min = self.min_offset(topic, queue);
        if self.max_offset(topic, queue) <= min {
            return -1;
        }
        self.store_time(topic, queue, min).unwrap_or(-1)
    }

    /// Store time of a message; `None` when it is not there or cannot be read.
    pub(crate) fn store_time(&self, topic: &str, queue: u32, offset: i64) -> Option<Millis> {
        self.store.store_time_at(topic, queue, offset).unwrap_or_else(|error| {
            tracing::warn!(topic, queue, offset, %error, "cannot read a store time");
            None
        })
    }

    /// Forgets everything about a deleted topic but its messages.
    pub(crate) fn forget_topic(&self, topic: &str) {
        let now = self.now();
        self.offsets.lock().delete_topic(now, topic);
        self.groups.change(|groups| groups.topic_deleted(now, topic));
        self.traffic.delete_topic(topic);
        if let Some(group) = topic.strip_prefix(name::RETRY_PREFIX) {
            tracing::info!(topic, group, "retry topic deleted");
        }
    }
}
