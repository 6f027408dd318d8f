//! Moving a group to other offsets (requests 222 and 314).

use crate::service::Broker;
use crate::service::pull::queue_number;
use rmq_model::Millis;
use rmq_store::Boundary;
use std::collections::BTreeMap;
use std::io;

/// Where a group shall be moved to.
#[derive(Clone, Copy, Debug)]
pub struct ResetAsk<'a> {
    /// Topic.
    pub topic: &'a str,
    /// Group.
    pub group: &'a str,
    /// Time to go to; negative is the end.
    pub time: Millis,
    /// Only this queue; negative is all.
    pub queue: i32,
    /// To this offset; negative is by time.
    pub offset: i64,
    /// Forwards too: without it nobody is moved past what was consumed.
    pub force: bool,
}

/// Why a group is not moved.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ResetError {
    /// Response code 17.
    #[error("topic {topic} does not exist")]
    TopicNotExist {
        /// As asked.
        topic: String,
    },
    /// Response code 26.
    #[error("group {group} does not exist")]
    GroupNotExist {
        /// As asked.
        group: String,
    },
    /// Response code 1.
    #[error("queue id {queue} is not one of topic {topic}")]
    Queue {
        /// As asked.
        topic: String,
        /// As asked.
        queue: i32,
    },
    /// Response code 1.
    #[error("target offset {offset} not in consume queue range [{min}-{max}]")]
    Range {
        /// As asked.
        offset: i64,
        /// First offset of the queue.
        min: i64,
        /// Offset after the last.
        max: i64,
    },
    /// Response code 1.
    #[error("the offset of queue {queue} cannot be found")]
    Search {
        /// Queue.
        queue: i32,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl Broker {
    /// The offsets a group would be moved to. Reads the log: may block.
    ///
    /// # Errors
    /// [`ResetError`] says what is wrong with the request.
    pub fn reset_targets(&self, ask: &ResetAsk<'_>) -> Result<BTreeMap<i32, i64>, ResetError> {
        let Some(topic) = self.topics.get(ask.topic) else {
            return Err(ResetError::TopicNotExist { topic: ask.topic.to_owned() });
        };
        if self.groups.get(ask.group).is_none() {
            return Err(ResetError::GroupNotExist { group: ask.group.to_owned() });
        }
        let all = 0..topic.read_queue_nums;
        let queues: Vec<u32> = match u32::try_from(ask.queue) {
            Err(_negative) => all.collect(),
            Ok(one) if all.contains(&one) => vec![one],
            Ok(_) => {
                let (topic, queue) = (ask.topic.to_owned(), ask.queue);
                return Err(ResetError::Queue { topic, queue });
            }
        };
        let mut targets = BTreeMap::new();
        for queue in queues {
            let number = queue_number(queue);
            let offset = if 0 <= ask.queue && 0 <= ask.offset {
                let (min, max) =
                    (self.min_offset(ask.topic, queue), self.max_offset(ask.topic, queue));
                if !(min..=max).contains(&ask.offset) {
                    return Err(ResetError::Range { offset: ask.offset, min, max });
                }
                ask.offset
            } else if ask.time < 0 {
                self.max_offset(ask.topic, queue).max(0)
            } else {
                self.store
                    .offset_by_time(ask.topic, queue, ask.time, Boundary::Lower)
                    .map_err(|source| ResetError::Search { queue: number, source })?
            };
            targets.insert(number, offset);
        }
        Ok(targets)
    }

    /// Moves a group; it takes up the offsets at its next pulls.
    ///
    /// # Errors
    /// As [`Broker::reset_targets`].
    pub fn reset_on_broker(&self, ask: &ResetAsk<'_>) -> Result<BTreeMap<i32, i64>, ResetError> {
        let targets = self.reset_targets(ask)?;
        let now = self.now();
        let mut offsets = self.offsets.lock();
        for (queue, offset) in &targets {
            offsets.reset(now, ask.group, ask.topic, *queue, *offset);
        }
        Ok(targets)
    }

    /// Gives a group the offsets of another: on one topic, or on all it has (request 314).
    pub fn clone_offsets(&self, from: &str, to: &str, topic: Option<&str>) {
        let now = self.now();
        let mut offsets = self.offsets.lock();
        let topics: Vec<_> = match topic.filter(|topic| !topic.is_empty()) {
            Some(topic) => vec![topic.into()],
            None => offsets.topics_of_group(from).into_iter().collect(),
        };
        for topic in topics {
            offsets.clone_group(now, from, to, &topic);
        }
    }
}
