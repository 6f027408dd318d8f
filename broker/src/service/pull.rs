//! Pulling: decide, read, answer or wait.

use crate::service::traffic::Delivery;
use crate::service::{Broker, Peer};
use bytes::Bytes;
use rmq_delivery::filter::Matcher;
use rmq_delivery::hold::Park;
use rmq_delivery::pull::{
    self, PullAnswer, PullCode, PullDecision, PullFacts, PullFlags, PullRefusal, PullRequest,
    ReadFacts, ReadStatus,
};
use rmq_model::Millis;
use rmq_model::group::SubscriptionGroupConfig;
use rmq_model::topic::TopicConfig;
use rmq_store::ReadLimits;
use std::sync::Arc;

/// A pull as it arrives.
#[derive(Clone, Copy, Debug)]
pub struct Pull<'a> {
    /// Who, what and how.
    pub request: PullRequest<'a>,
    /// First offset wanted.
    pub offset: i64,
    /// Most messages wanted.
    pub count: i32,
    /// Most bytes wanted.
    pub bytes_max: Option<i32>,
    /// Offset to commit, if its flag is set.
    pub commit_offset: i64,
    /// How long it may wait, ms.
    pub suspend_ms: Millis,
}

/// The answer to a pull that was allowed.
#[derive(Debug)]
pub struct Pulled {
    /// What the client is told.
    pub answer: PullAnswer,
    /// Bits of the topic.
    pub topic_sys_flag: i32,
    /// Bits of the group.
    pub group_sys_flag: i32,
    /// Records as stored, one after the other.
    pub records: Bytes,
}

/// Why a pull has no answer of its own.
#[derive(Clone, Debug, thiserror::Error)]
pub enum PullError {
    /// It is not allowed.
    #[error(transparent)]
    Refused(#[from] PullRefusal),
    /// Too many reads wait for the disk.
    #[error("too many reads from disk are waiting, try again later")]
    Busy,
    /// The store cannot be read.
    #[error("the queue cannot be read: {0}")]
    Store(String),
}

/// The way back to who pulled.
pub trait PullTo: Send + 'static {
    /// Gives the answer. `waited`: the pull was parked before.
    fn pulled(self: Box<Self>, result: Result<Pulled, PullError>, waited: bool);
}

/// What is needed to read for a pull, once or again.
#[derive(Debug)]
struct Plan {
    topic: Arc<TopicConfig>,
    group: Arc<SubscriptionGroupConfig>,
    queue: u32,
    matcher: Arc<Matcher>,
    offset: i64,
    count: u32,
    bytes_max: u32,
    flags: PullFlags,
    suspend_ms: Millis,
}

/// A pull that waits for messages, or for the disk.
pub struct Parked {
    plan: Plan,
    conn: rmq_delivery::ConnId,
    /// Queue it waits on.
    pub queue: u32,
    /// Offset it waits for.
    pub offset: i64,
    to: Box<dyn PullTo>,
}

impl std::fmt::Debug for Parked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Parked").field("plan", &self.plan).finish_non_exhaustive()
    }
}

impl Parked {
    /// Topic it waits on.
    pub fn topic_name(&self) -> &Arc<str> {
        &self.plan.topic.topic_name
    }
}

/// What one read gave; shared by all who want the same.
#[derive(Clone, Debug)]
struct Read {
    facts: ReadFacts,
    records: Bytes,
    count: u64,
    from_disk: bool,
}

/// Reads of one wake-up that others in it may share: fan-out reads each message once.
#[derive(Default)]
struct Shared {
    key: Option<(Arc<str>, u32, i64, u32, u32)>,
    read: Option<Read>,
}

impl Broker {
    /// Serves a pull: at once, after a read from disk, or when messages arrive.
    pub fn pull(self: &Arc<Self>, peer: &Peer, pull: &Pull<'_>, to: impl PullTo) {
        match self.plan(pull) {
            Err(refused) => Box::new(to).pulled(Err(refused.into()), false),
            Ok(Planned::Reset(pulled)) => Box::new(to).pulled(Ok(pulled), false),
            Ok(Planned::Read(plan)) => {
                let (queue, offset) = (plan.queue, plan.offset);
                let parked = Parked { plan, conn: peer.conn, queue, offset, to: Box::new(to) };
                self.serve(parked, true);
            }
        }
    }

    /// Repeats pulls that were woken, whose time is over, or whose queue has grown.
    pub fn repeat(self: &Arc<Self>, mut woken: Vec<Parked>) {
        // Those of one queue together, so that they can share what is read.
        woken.sort_by(|a, b| {
            let place = |p: &Parked| (Arc::clone(p.topic_name()), p.queue, p.offset);
            place(a).cmp(&place(b))
        });
        let mut shared = Shared::default();
        for parked in woken {
            let plan = &parked.plan;
            let reset = self.offsets.lock().take_reset(
                &plan.group.group_name,
                &plan.topic.topic_name,
                queue_number(plan.queue),
            );
            if let Some(offset) = reset {
                let pulled = self.moved(&plan.topic, &plan.group, plan.queue, offset);
                parked.to.pulled(Ok(pulled), true);
            } else if self.is_in_memory(plan) {
                let read = self.read_shared(&parked.plan, &mut shared);
                self.conclude(parked, read, false);
            } else {
                self.serve(parked, false);
            }
        }
    }

    /// Reads and answers, or waits. Reads from disk go to threads that may block.
    fn serve(self: &Arc<Self>, parked: Parked, first: bool) {
        if self.is_in_memory(&parked.plan) {
            let read = self.read(&parked.plan);
            self.conclude(parked, read, first);
            return;
        }
        let broker = Arc::clone(self);
        self.outside().run_blocking(Box::new(move |admitted| {
            if admitted {
                let read = broker.read(&parked.plan);
                broker.conclude(parked, read, first);
            } else {
                parked.to.pulled(Err(PullError::Busy), !first);
            }
        }));
    }

    fn plan(&self, pull: &Pull<'_>) -> Result<Planned, PullRefusal> {
        let now = self.now();
        let request = &pull.request;
        let settings = self.settings();
        let group = self.groups.find(now, request.group);
        let topic = self.topics.get(request.topic);
        let pending_reset = {
            let offsets = self.offsets.lock();
            offsets.pending_reset(request.group, request.topic, request.queue)
        };
        let decide = |registered| {
            let facts = PullFacts {
                broker: rmq_model::Permission(settings.broker_permission),
                lite_pull: settings.lite_pull_message_enable,
                property_filter: rmq_delivery::filter::PropertyFilter::Off,
                group: group.as_deref(),
                topic: topic.as_deref(),
                registered,
                read_forbidden: self.groups.read_forbidden(request.group, request.topic),
                pending_reset,
            };
            pull::decide(request, &facts, &self.match_all)
        };
        let decision = if request.flags.subscribes() {
            decide(None)?
        } else {
            let clients = self.clients.read();
            decide(clients.consumer_group(request.group))?
        };
        // `decide` has refused what has neither group nor topic.
        let (Some(group), Some(topic)) = (group, topic) else {
            return Err(PullRefusal::TopicNotExist { topic: request.topic.to_owned() });
        };
        match decision {
            PullDecision::Reset { offset } => {
                self.offsets.lock().take_reset(request.group, request.topic, request.queue);
                let queue = u32::try_from(request.queue).unwrap_or(0);
                Ok(Planned::Reset(self.moved(&topic, &group, queue, offset)))
            }
            PullDecision::Read { queue, matcher } => {
                let role = self.read_role();
                if let Some(offset) = pull::commit_of(request.flags, pull.commit_offset, true, role)
                {
                    let mut offsets = self.offsets.lock();
                    offsets.commit(now, request.group, request.topic, request.queue, offset);
                }
                let count = u32::try_from(pull.count).unwrap_or(0).max(1);
                let bytes = pull.bytes_max.and_then(|bytes| u32::try_from(bytes).ok());
                Ok(Planned::Read(Plan {
                    topic,
                    group,
                    queue,
                    matcher,
                    offset: pull.offset,
                    count: count.min(settings.pull_batch_max_message_count),
                    bytes_max: bytes.filter(|bytes| 0 < *bytes).unwrap_or(u32::MAX),
                    flags: request.flags,
                    suspend_ms: pull.suspend_ms,
                }))
            }
        }
    }

    /// The answer for an offset that an administrator set.
    fn moved(
        &self,
        topic: &Arc<TopicConfig>,
        group: &Arc<SubscriptionGroupConfig>,
        queue: u32,
        offset: i64,
    ) -> Pulled {
        let facts = ReadFacts {
            status: ReadStatus::OffsetReset,
            requested: offset,
            next: offset,
            min: self.min_offset(&topic.topic_name, queue),
            max: self.max_offset(&topic.topic_name, queue),
            lagging: false,
        };
        Pulled {
            answer: pull::conclude(&facts, self.read_role(), group),
            topic_sys_flag: topic.topic_sys_flag,
            group_sys_flag: group.group_sys_flag,
            records: Bytes::new(),
        }
    }

    fn is_in_memory(&self, plan: &Plan) -> bool {
        self.store.is_in_memory(&plan.topic.topic_name, plan.queue, plan.offset)
    }

    fn read_shared(&self, plan: &Plan, shared: &mut Shared) -> Result<Read, PullError> {
        if *plan.matcher != Matcher::All {
            return self.read(plan);
        }
        let key = (
            Arc::clone(&plan.topic.topic_name),
            plan.queue,
            plan.offset,
            plan.count,
            plan.bytes_max,
        );
        if shared.key.as_ref() == Some(&key)
            && let Some(read) = &shared.read
        {
            return Ok(read.clone());
        }
        let read = self.read(plan)?;
        *shared = Shared { key: Some(key), read: Some(read.clone()) };
        Ok(read)
    }

    fn read(&self, plan: &Plan) -> Result<Read, PullError> {
        let settings = self.settings();
        let wide = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
        let limits = ReadLimits {
            messages_max: wide(plan.count),
            bytes_max: wide(plan.bytes_max),
            memory_messages_max: wide(settings.max_transfer_count_on_message_in_memory),
            memory_bytes_max: wide(settings.max_transfer_bytes_on_message_in_memory),
            disk_messages_max: wide(settings.max_transfer_count_on_message_in_disk),
            disk_bytes_max: wide(settings.max_transfer_bytes_on_message_in_disk),
            scan_bytes_max: wide(
                settings.max_filter_message_size.max(plan.count.saturating_mul(20)),
            ),
        };
        let topic = &*plan.topic.topic_name;
        let matcher = &*plan.matcher;
        let result = self
            .store
            .read(topic, plan.queue, plan.offset, limits, &mut |code| matcher.accepts(code))
            .map_err(|error| PullError::Store(error.to_string()))?;
        Ok(Read {
            facts: ReadFacts {
                status: status_of(result.status),
                requested: plan.offset,
                next: result.next_offset,
                min: result.min_offset,
                max: result.max_offset,
                lagging: !result.in_memory,
            },
            count: u64::try_from(result.count).unwrap_or(u64::MAX),
            records: result.records,
            from_disk: !result.in_memory,
        })
    }

    fn conclude(self: &Arc<Self>, parked: Parked, read: Result<Read, PullError>, first: bool) {
        let read = match read {
            Ok(read) => read,
            Err(error) => return parked.to.pulled(Err(error), !first),
        };
        let plan = &parked.plan;
        let answer = pull::conclude(&read.facts, self.read_role(), &plan.group);
        let settings = self.settings();
        let now = self.now();
        let wait = pull::park_until(
            &answer,
            plan.flags,
            plan.suspend_ms,
            first,
            settings.long_polling_enable,
            now,
        );
        if let Some(deadline) = wait.filter(|_| !self.is_stopping()) {
            let matcher = Arc::clone(&plan.matcher);
            let topic = Arc::clone(&plan.topic.topic_name);
            let queue = plan.queue;
            let max = || self.max_offset(&topic, queue);
            match self.waiting.park(parked.conn, deadline, &matcher, parked, max) {
                Park::Parked => {}
                // A message came in between: read again, this time without waiting. Bounded, as the
                // second run never parks.
                Park::Ready(parked) => {
                    let read = self.read(&parked.plan);
                    self.conclude(parked, read, false);
                }
                Park::Full(parked) => self.finish(parked, answer, Bytes::new(), true),
            }
            return;
        }
        if answer.code == PullCode::Found {
            self.note_delivery(plan, &read, now);
        }
        self.finish(parked, answer, read.records, first);
    }

    fn finish(&self, parked: Parked, answer: PullAnswer, records: Bytes, first: bool) {
        let Parked { plan, to, .. } = parked;
        let pulled = Pulled {
            answer,
            topic_sys_flag: plan.topic.topic_sys_flag,
            group_sys_flag: plan.group.group_sys_flag,
            records,
        };
        to.pulled(Ok(pulled), !first);
    }

    fn note_delivery(&self, plan: &Plan, read: &Read, now: Millis) {
        let (group, topic) = (&plan.group.group_name, &plan.topic.topic_name);
        self.offsets.lock().pulled(group, topic, queue_number(plan.queue), read.facts.next);
        let bytes = u64::try_from(read.records.len()).unwrap_or(u64::MAX);
        let delivery = Delivery {
            topic,
            group,
            queue: plan.queue,
            messages: read.count,
            bytes,
            from_disk: read.from_disk,
        };
        self.traffic.delivered(now, &delivery);
    }
}

enum Planned {
    Reset(Pulled),
    Read(Plan),
}

/// Queue numbers of topics are below 65,536.
pub(crate) fn queue_number(queue: u32) -> i32 {
    i32::try_from(queue).unwrap_or(i32::MAX)
}

/// The topic has the queue, even if the store has never had a message of it.
fn status_of(status: ReadStatus) -> ReadStatus {
    if status == ReadStatus::NoMatchedLogicQueue { ReadStatus::NoMessageInQueue } else { status }
}
