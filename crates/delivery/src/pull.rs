//! Pulling: may this client read this queue, and what is it told.
//!
//! [`decide`] is the table of conditions in the order of the reference; [`conclude`] turns what
//! the store found into the answer.
//!
//! Source: RocketMQ 5.3 `PullMessageProcessor`, `DefaultPullMessageResultHandler`.

#[cfg(test)]
mod tests;

use crate::clients::ConsumerGroup;
use crate::filter::{self, FilterError, Matcher, PropertyFilter};
pub use rmq_model::ReadStatus;
use rmq_model::client::MessageModel;
use rmq_model::group::SubscriptionGroupConfig;
use rmq_model::topic::TopicConfig;
use rmq_model::{Millis, Permission, sysflag};
use std::sync::Arc;

/// Longest time a pull may wait. Clients ask for 15 to 20 s; a connection that is silent for
/// longer than this is closed.
pub const SUSPEND_MS_MAX: Millis = 110_000;
/// Time a pull may wait while `longPollingEnable` is off (`shortPollingTimeMills`).
pub const SHORT_POLLING_MS: Millis = 1_000;
/// Broker id of a master.
pub const MASTER_ID: i64 = 0;

/// Bits of a pull request's `sysFlag`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PullFlags(pub i32);

impl PullFlags {
    /// `commitOffset` is valid.
    pub fn commits(self) -> bool {
        self.0 & sysflag::PULL_COMMIT_OFFSET != 0
    }

    /// The pull may wait.
    pub fn suspends(self) -> bool {
        self.0 & sysflag::PULL_SUSPEND != 0
    }

    /// The request carries its subscription.
    pub fn subscribes(self) -> bool {
        self.0 & sysflag::PULL_SUBSCRIPTION != 0
    }

    /// The obsolete class filter is wanted.
    pub fn class_filter(self) -> bool {
        self.0 & sysflag::PULL_CLASS_FILTER != 0
    }
}

/// What a pull asks for (requests 11 and 361).
#[derive(Clone, Copy, Debug)]
pub struct PullRequest<'a> {
    /// `consumerGroup`
    pub group: &'a str,
    /// `topic`
    pub topic: &'a str,
    /// `queueId`
    pub queue: i32,
    /// `sysFlag`
    pub flags: PullFlags,
    /// `subscription`; counts only with its flag.
    pub subscription: Option<&'a str>,
    /// `expressionType`
    pub expression_type: Option<&'a str>,
    /// `subVersion`
    pub sub_version: i64,
    /// Request 361.
    pub lite: bool,
}

/// What the broker knows about it.
#[derive(Clone, Copy, Debug)]
pub struct PullFacts<'a> {
    /// `brokerPermission`
    pub broker: Permission,
    /// `litePullMessageEnable`
    pub lite_pull: bool,
    /// `enablePropertyFilter`
    pub property_filter: PropertyFilter,
    /// Configuration of the group, made on demand where that is allowed.
    pub group: Option<&'a SubscriptionGroupConfig>,
    /// The topic.
    pub topic: Option<&'a TopicConfig>,
    /// The group's clients; only looked at when the request does not carry its subscription.
    pub registered: Option<&'a ConsumerGroup>,
    /// The group must not read the topic (request 353).
    pub read_forbidden: bool,
    /// Offset set by an administrator and not taken up yet.
    pub pending_reset: Option<i64>,
}

/// Why a request with response code 16 is refused: the header field `forbiddenType`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forbidden {
    /// 1
    Broker,
    /// 2
    Group,
    /// 3
    Topic,
    /// 4
    Broadcast,
    /// 5
    Subscription,
}

impl Forbidden {
    /// As in the header.
    pub fn code(self) -> i32 {
        match self {
            Self::Broker => 1,
            Self::Group => 2,
            Self::Topic => 3,
            Self::Broadcast => 4,
            Self::Subscription => 5,
        }
    }
}

/// Why a pull is refused. The text is the remark of the answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PullRefusal {
    /// Response code 16; `forbiddenType` 1.
    #[error("the broker pulling message is forbidden")]
    BrokerNotReadable,
    /// Response code 16.
    #[error("the broker for lite pull consumer is forbidden")]
    LitePullDisabled,
    /// Response code 26.
    #[error("subscription group [{group}] does not exist")]
    GroupNotExist {
        /// As asked.
        group: String,
    },
    /// Response code 16; `forbiddenType` 2.
    #[error("subscription group no permission, {group}")]
    GroupDisabled {
        /// As asked.
        group: String,
    },
    /// Response code 17.
    #[error("topic[{topic}] not exist, apply first please!")]
    TopicNotExist {
        /// As asked.
        topic: String,
    },
    /// Response code 16; `forbiddenType` 3.
    #[error("the topic[{topic}] pulling message is forbidden")]
    TopicNotReadable {
        /// As asked.
        topic: String,
    },
    /// Response code 29.
    #[error("queueId[{queue}] is illegal, topic:[{topic}] topicConfig.readQueueNums:[{queues}]")]
    Queue {
        /// As asked.
        topic: String,
        /// As asked.
        queue: i32,
        /// Queues the topic has.
        queues: u32,
    },
    /// Response code 23, or 1 for an expression type that is switched off.
    #[error(transparent)]
    Filter(#[from] FilterError),
    /// Response code 24.
    #[error("the consumer's group info not exist: {group}")]
    NotRegistered {
        /// As asked.
        group: String,
    },
    /// Response code 16; `forbiddenType` 4.
    #[error("the consumer group[{group}] can not consume by broadcast way")]
    BroadcastDisabled {
        /// As asked.
        group: String,
    },
    /// Response code 16; `forbiddenType` 5.
    #[error("the consumer group[{group}] is forbidden for topic[{topic}]")]
    SubscriptionForbidden {
        /// As asked.
        group: String,
        /// As asked.
        topic: String,
    },
    /// Response code 24.
    #[error("the consumer's subscription not exist, group: {group}, topic: {topic}")]
    NotSubscribed {
        /// As asked.
        group: String,
        /// As asked.
        topic: String,
    },
    /// Response code 25.
    #[error("the consumer's subscription not latest, group: {group}, topic: {topic}")]
    SubscriptionNotLatest {
        /// As asked.
        group: String,
        /// As asked.
        topic: String,
    },
}

impl PullRefusal {
    /// The header field `forbiddenType`, where there is one.
    pub fn forbidden(&self) -> Option<Forbidden> {
        match self {
            Self::BrokerNotReadable => Some(Forbidden::Broker),
            Self::GroupDisabled { .. } => Some(Forbidden::Group),
            Self::TopicNotReadable { .. } => Some(Forbidden::Topic),
            Self::BroadcastDisabled { .. } => Some(Forbidden::Broadcast),
            Self::SubscriptionForbidden { .. } => Some(Forbidden::Subscription),
            Self::LitePullDisabled
            | Self::GroupNotExist { .. }
            | Self::TopicNotExist { .. }
            | Self::Queue { .. }
            | Self::Filter(_)
            | Self::NotRegistered { .. }
            | Self::NotSubscribed { .. }
            | Self::SubscriptionNotLatest { .. } => None,
        }
    }
}

/// What to do with a pull that is allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PullDecision {
    /// Read the queue.
    Read {
        /// Number of the queue, below the topic's number of read queues.
        queue: u32,
        /// What to select.
        matcher: Arc<Matcher>,
    },
    /// Answer [`ReadStatus::OffsetReset`] at once, and take the reset from the offsets.
    Reset {
        /// `nextBeginOffset`
        offset: i64,
    },
}

/// Decides whether and how a pull is served: rows 1 to 16 of the reference's order.
///
/// Groups and topics that could be refused are given as they are: nothing is looked up here.
///
/// # Errors
/// [`PullRefusal`] of the first condition that is not met.
pub fn decide(
    request: &PullRequest<'_>,
    facts: &PullFacts<'_>,
    all: &Arc<Matcher>,
) -> Result<PullDecision, PullRefusal> {
    let group_name = || request.group.to_owned();
    let topic_name = || request.topic.to_owned();
    if !facts.broker.readable() {
        return Err(PullRefusal::BrokerNotReadable);
    }
    if request.lite && !facts.lite_pull {
        return Err(PullRefusal::LitePullDisabled);
    }
    let Some(group) = facts.group else {
        return Err(PullRefusal::GroupNotExist { group: group_name() });
    };
    if !group.consume_enable {
        return Err(PullRefusal::GroupDisabled { group: group_name() });
    }
    let Some(topic) = facts.topic else {
        return Err(PullRefusal::TopicNotExist { topic: topic_name() });
    };
    if !topic.perm.readable() {
        return Err(PullRefusal::TopicNotReadable { topic: topic_name() });
    }
    let queues = topic.read_queue_nums;
    let Some(queue) = u32::try_from(request.queue).ok().filter(|queue| *queue < queues) else {
        return Err(PullRefusal::Queue { topic: topic_name(), queue: request.queue, queues });
    };
    let matcher = if request.flags.subscribes() {
        carried_subscription(request, facts, all)?
    } else {
        registered_subscription(request, facts, group)?
    };
    Ok(match facts.pending_reset {
        Some(offset) => PullDecision::Reset { offset },
        None => PullDecision::Read { queue, matcher },
    })
}

/// Rows 8 and 15. What the group registered does not matter.
fn carried_subscription(
    request: &PullRequest<'_>,
    facts: &PullFacts<'_>,
    all: &Arc<Matcher>,
) -> Result<Arc<Matcher>, PullRefusal> {
    if request.flags.class_filter() {
        return Ok(Arc::clone(all));
    }
    let kind = request.expression_type;
    let matcher = filter::compile_expression(request.subscription, kind, facts.property_filter)?;
    // Nearly always `*`: shared instead of allocated.
    Ok(if matcher == Matcher::All { Arc::clone(all) } else { Arc::new(matcher) })
}

/// Rows 9 to 15.
fn registered_subscription(
    request: &PullRequest<'_>,
    facts: &PullFacts<'_>,
    group: &SubscriptionGroupConfig,
) -> Result<Arc<Matcher>, PullRefusal> {
    let group_name = || request.group.to_owned();
    let topic_name = || request.topic.to_owned();
    let Some(registered) = facts.registered else {
        return Err(PullRefusal::NotRegistered { group: group_name() });
    };
    if registered.model == MessageModel::Broadcasting && !group.consume_broadcast_enable {
        return Err(PullRefusal::BroadcastDisabled { group: group_name() });
    }
    if facts.read_forbidden {
        return Err(PullRefusal::SubscriptionForbidden {
            group: group_name(),
            topic: topic_name(),
        });
    }
    let Some(subscription) = registered.subscription(request.topic) else {
        return Err(PullRefusal::NotSubscribed { group: group_name(), topic: topic_name() });
    };
    if subscription.data.sub_version < request.sub_version {
        return Err(PullRefusal::SubscriptionNotLatest {
            group: group_name(),
            topic: topic_name(),
        });
    }
    match &subscription.matcher {
        Ok(matcher) => Ok(Arc::clone(matcher)),
        Err(error) => Err(error.clone().into()),
    }
}

/// What a client is told about a pull.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PullCode {
    /// 0
    Found,
    /// 19
    NotFound,
    /// 20
    RetryImmediately,
    /// 21
    OffsetMoved,
}

/// A read, and the broker it happened on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadFacts {
    /// What the store found.
    pub status: ReadStatus,
    /// `queueOffset` of the request.
    pub requested: i64,
    /// Where the store stopped examining.
    pub next: i64,
    /// Beginning of the queue.
    pub min: i64,
    /// End of the queue.
    pub max: i64,
    /// The reader lags by more than fits into memory.
    pub lagging: bool,
}

/// How a broker serves reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadRole {
    /// Its own id; 0 is a master.
    pub broker_id: i64,
    /// The smallest id alive in its group of replicas.
    pub min_broker_id: i64,
    /// `slaveReadEnable`
    pub slave_read: bool,
    /// `offsetCheckInSlave`
    pub offset_check_in_slave: bool,
}

impl ReadRole {
    /// A master with everything else at its default.
    pub const MASTER: Self = Self {
        broker_id: MASTER_ID,
        min_broker_id: MASTER_ID,
        slave_read: false,
        offset_check_in_slave: false,
    };

    fn corrects_offsets(self) -> bool {
        self.broker_id == MASTER_ID || self.offset_check_in_slave
    }
}

/// The answer to a pull.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PullAnswer {
    /// Response code.
    pub code: PullCode,
    /// Remark.
    pub status: ReadStatus,
    /// `nextBeginOffset`
    pub next: i64,
    /// `minOffset`
    pub min: i64,
    /// `maxOffset`
    pub max: i64,
    /// `suggestWhichBrokerId`
    pub suggested_broker: i64,
}

/// Turns what was read into the answer. Whether it is given at once or after a wait says
/// [`park_until`].
pub fn conclude(read: &ReadFacts, role: ReadRole, group: &SubscriptionGroupConfig) -> PullAnswer {
    let empty_next = if role.corrects_offsets() { 0 } else { read.requested };
    let (mut code, mut next) = match read.status {
        ReadStatus::Found => (PullCode::Found, read.next),
        ReadStatus::NoMatchedMessage | ReadStatus::MessageWasRemoving => {
            (PullCode::RetryImmediately, read.next)
        }
        ReadStatus::NoMatchedLogicQueue | ReadStatus::NoMessageInQueue => {
            let code = if read.requested == 0 { PullCode::NotFound } else { PullCode::OffsetMoved };
            (code, empty_next)
        }
        ReadStatus::OffsetFoundNull => (PullCode::NotFound, read.next),
        ReadStatus::OffsetOverflowOne => (PullCode::NotFound, read.requested),
        ReadStatus::OffsetOverflowBadly => (PullCode::OffsetMoved, read.max),
        ReadStatus::OffsetTooSmall => (PullCode::OffsetMoved, read.min),
        ReadStatus::OffsetReset => (PullCode::OffsetMoved, read.next),
    };
    if code == PullCode::OffsetMoved
        && read.status != ReadStatus::OffsetReset
        && !role.corrects_offsets()
    {
        // A slave may be behind: the master knows better.
        (code, next) = (PullCode::RetryImmediately, read.requested);
    }
    let mut suggested_broker = match (role.slave_read, read.lagging) {
        (false, _) => MASTER_ID,
        (true, true) => group.which_broker_when_consume_slowly,
        (true, false) => group.broker_id,
    };
    if role.broker_id != MASTER_ID {
        if !role.slave_read {
            (code, suggested_broker) = (PullCode::RetryImmediately, MASTER_ID);
            next = if read.status == ReadStatus::Found { read.requested } else { next };
        } else if !read.lagging && role.min_broker_id == MASTER_ID {
            suggested_broker = MASTER_ID;
            if code != PullCode::Found {
                code = PullCode::RetryImmediately;
            }
        }
    }
    PullAnswer { code, status: read.status, next, min: read.min, max: read.max, suggested_broker }
}

/// Until when a pull with this answer waits instead; `None`: it is answered at once.
///
/// `first` is false for a pull that was woken up. `long_polling` is `longPollingEnable`.
pub fn park_until(
    answer: &PullAnswer,
    flags: PullFlags,
    suspend_ms: Millis,
    first: bool,
    long_polling: bool,
    now: Millis,
) -> Option<Millis> {
    if answer.code != PullCode::NotFound || !flags.suspends() || !first {
        return None;
    }
    let wait = if long_polling { suspend_ms } else { SHORT_POLLING_MS };
    (0 < wait).then(|| now.saturating_add(wait.min(SUSPEND_MS_MAX)))
}

/// The offset that a pull commits on the side: only on its first run and only on a master.
pub fn commit_of(flags: PullFlags, commit_offset: i64, first: bool, role: ReadRole) -> Option<i64> {
    (flags.commits() && first && role.broker_id == MASTER_ID && 0 <= commit_offset)
        .then_some(commit_offset)
}
