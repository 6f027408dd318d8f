//! Pulls that wait for messages.
//!
//! A pull that found nothing is parked under its topic and queue until a message that it wants
//! arrives, its time is over, or its connection closes. An arrival costs as much as it wakes: the
//! waiting are kept apart by the tags code they want.
//!
//! The shell keeps a [`Hold`] behind one lock that both the pull path and the arrivals take. A
//! message may arrive between an empty read and the parking: [`Hold::park`] therefore wants the
//! end of the queue as read under that lock.
//!
//! Source: RocketMQ 5.3 `PullRequestHoldService`.

#[cfg(test)]
mod tests;

use crate::clients::ConnId;
use crate::filter::Matcher;
use rmq_model::Millis;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// How often the queues of all waiting are compared with their ends.
pub const RECHECK_MS: Millis = 5_000;

/// One waiting pull.
#[derive(Debug)]
pub struct Parked<P> {
    /// Where it came from.
    pub conn: ConnId,
    /// The offset it asked for: it waits for messages at or above it.
    pub offset: i64,
    /// When it must be answered.
    pub deadline: Millis,
    /// What it wants.
    pub matcher: Arc<Matcher>,
    /// What the shell needs to repeat the pull.
    pub payload: P,
}

/// What became of a pull that was to be parked.
#[derive(Debug)]
pub enum Park<P> {
    /// It waits.
    Parked,
    /// There is a message already: repeat the pull at once.
    Ready(P),
    /// Too many wait: answer at once as if its time were over.
    Full(P),
}

/// Place of a waiting pull in [`Hold::slots`].
type Ticket = usize;

#[derive(Debug)]
struct Slot<P> {
    parked: Parked<P>,
    topic: Arc<str>,
    queue: u32,
    /// Tells apart pulls with one deadline.
    turn: u64,
}

/// The waiting of one queue, each ticket in one list or, with several tags, in several.
#[derive(Debug, Default)]
struct QueueHold {
    /// Want everything.
    all: Vec<Ticket>,
    /// Want one of several tags codes.
    tagged: HashMap<i64, Vec<Ticket>>,
    /// Must be asked one by one.
    asked: Vec<Ticket>,
}

impl QueueHold {
    fn is_empty(&self) -> bool {
        self.all.is_empty() && self.tagged.is_empty() && self.asked.is_empty()
    }

    fn add(&mut self, matcher: &Matcher, ticket: Ticket) {
        match matcher.codes() {
            _ if matcher.needs_record() => self.asked.push(ticket),
            None => self.all.push(ticket),
            Some(codes) => {
                for code in codes {
                    self.tagged.entry(*code).or_default().push(ticket);
                }
            }
        }
    }

    fn remove(&mut self, matcher: &Matcher, ticket: Ticket) {
        fn from(list: &mut Vec<Ticket>, ticket: Ticket) {
            if let Some(at) = list.iter().position(|found| *found == ticket) {
                list.swap_remove(at);
            }
        }
        match matcher.codes() {
            _ if matcher.needs_record() => from(&mut self.asked, ticket),
            None => from(&mut self.all, ticket),
            Some(codes) => {
                for code in codes {
                    if let Some(list) = self.tagged.get_mut(code) {
                        from(list, ticket);
                        if list.is_empty() {
                            self.tagged.remove(code);
                        }
                    }
                }
            }
        }
    }
}

/// All waiting pulls of a broker.
#[derive(Debug)]
pub struct Hold<P> {
    max: usize,
    slots: Vec<Option<Slot<P>>>,
    free: Vec<Ticket>,
    topics: HashMap<Arc<str>, HashMap<u32, QueueHold>>,
    conns: HashMap<ConnId, Vec<Ticket>>,
    deadlines: BTreeSet<(Millis, u64, Ticket)>,
    turns: u64,
    /// Kept between calls, so that waking allocates nothing.
    scratch: Vec<Ticket>,
}

impl<P> Hold<P> {
    /// Nobody waits; at most `max` ever will.
    pub fn new(max: usize) -> Self {
        Self {
            max,
            slots: Vec::new(),
            free: Vec::new(),
            topics: HashMap::new(),
            conns: HashMap::new(),
            deadlines: BTreeSet::new(),
            turns: 0,
            scratch: Vec::new(),
        }
    }

    /// Number of waiting pulls.
    pub fn len(&self) -> usize {
        self.deadlines.len()
    }

    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.deadlines.is_empty()
    }

    /// Whether anybody waits for a queue.
    pub fn waits_for(&self, topic: &str, queue: u32) -> bool {
        self.topics
            .get(topic)
            .and_then(|queues| queues.get(&queue))
            .is_some_and(|queue| !queue.is_empty())
    }

    /// Lets a pull wait. `max_offset` is the end of the queue, read while the lock around this
    /// value was held: a message that came before is seen here, one that comes later wakes.
    pub fn park(
        &mut self,
        topic: &Arc<str>,
        queue: u32,
        max_offset: i64,
        parked: Parked<P>,
    ) -> Park<P> {
        if parked.offset < max_offset {
            return Park::Ready(parked.payload);
        }
        if self.max <= self.len() {
            return Park::Full(parked.payload);
        }
        let ticket = self.free.pop().unwrap_or(self.slots.len());
        self.turns += 1;
        self.deadlines.insert((parked.deadline, self.turns, ticket));
        self.conns.entry(parked.conn).or_default().push(ticket);
        if !self.topics.contains_key(topic) {
            self.topics.insert(Arc::clone(topic), HashMap::new());
        }
        if let Some(queues) = self.topics.get_mut(topic) {
            queues.entry(queue).or_default().add(&parked.matcher, ticket);
        }
        let slot = Slot { parked, topic: Arc::clone(topic), queue, turn: self.turns };
        match self.slots.get_mut(ticket) {
            Some(place) => *place = Some(slot),
            None => self.slots.push(Some(slot)),
        }
        Park::Parked
    }

    /// A message arrived: adds those who want it to `woken`.
    ///
    /// `max_offset` is the end of the queue with the message in it, `properties` the text that
    /// only some filters look at.
    pub fn arrived(
        &mut self,
        topic: &str,
        queue: u32,
        max_offset: i64,
        tags_code: i64,
        properties: &[u8],
        woken: &mut Vec<P>,
    ) {
        if self.deadlines.is_empty() {
            return;
        }
        let Some(held) = self.topics.get(topic).and_then(|queues| queues.get(&queue)) else {
            return;
        };
        let mut tickets = std::mem::take(&mut self.scratch);
        tickets.extend_from_slice(&held.all);
        tickets.extend(held.tagged.get(&tags_code).into_iter().flatten());
        tickets.extend(held.asked.iter().copied().filter(|ticket| {
            self.slots.get(*ticket).and_then(Option::as_ref).is_some_and(|slot| {
                slot.parked.matcher.accepts(tags_code)
                    && slot.parked.matcher.accepts_record(properties)
            })
        }));
        for ticket in tickets.drain(..) {
            if self.offset_of(ticket).is_some_and(|offset| offset < max_offset) {
                woken.extend(self.take(ticket));
            }
        }
        self.scratch = tickets;
    }

    /// Adds to `over` those whose time is over.
    pub fn expire(&mut self, now: Millis, over: &mut Vec<P>) {
        while let Some((deadline, _, ticket)) = self.deadlines.first().copied() {
            if now < deadline {
                break;
            }
            over.extend(self.take(ticket));
        }
    }

    /// When [`Hold::expire`] has something to do next.
    pub fn next_deadline(&self) -> Option<Millis> {
        self.deadlines.first().map(|(deadline, _, _)| *deadline)
    }

    /// Adds to `woken` those whose queue has grown, whether or not they want the new messages:
    /// they are told how far the queue was searched. Call every [`RECHECK_MS`]. Also forgets
    /// queues that nobody waits for.
    pub fn recheck(&mut self, mut max_offset: impl FnMut(&str, u32) -> i64, woken: &mut Vec<P>) {
        let mut grown = std::mem::take(&mut self.scratch);
        for (topic, queues) in &mut self.topics {
            queues.retain(|queue, held| {
                if held.is_empty() {
                    return false;
                }
                let max = max_offset(topic, *queue);
                let first = grown.len();
                grown.extend_from_slice(&held.all);
                grown.extend_from_slice(&held.asked);
                grown.extend(held.tagged.values().flatten());
                let behind = |ticket: &Ticket| {
                    let slot = self.slots.get(*ticket).and_then(Option::as_ref);
                    slot.is_some_and(|slot| slot.parked.offset < max)
                };
                let mut at = 0;
                grown.retain(|ticket| {
                    at += 1;
                    at <= first || behind(ticket)
                });
                true
            });
        }
        self.topics.retain(|_, queues| !queues.is_empty());
        for ticket in grown.drain(..) {
            woken.extend(self.take(ticket)); // once, though it may stand in several lists
        }
        self.scratch = grown;
    }

    /// Forgets the pulls of a closed connection and returns them: nobody waits for the answers.
    pub fn closed(&mut self, conn: ConnId) -> Vec<P> {
        let tickets = self.conns.get(&conn).cloned().unwrap_or_default();
        tickets.into_iter().filter_map(|ticket| self.take(ticket)).collect()
    }

    /// Ends all waiting, for shutdown.
    pub fn drain(&mut self) -> Vec<P> {
        let tickets: Vec<Ticket> = self.deadlines.iter().map(|(_, _, ticket)| *ticket).collect();
        tickets.into_iter().filter_map(|ticket| self.take(ticket)).collect()
    }

    fn offset_of(&self, ticket: Ticket) -> Option<i64> {
        Some(self.slots.get(ticket)?.as_ref()?.parked.offset)
    }

    fn take(&mut self, ticket: Ticket) -> Option<P> {
        let slot = self.slots.get_mut(ticket)?.take()?;
        self.free.push(ticket);
        self.deadlines.remove(&(slot.parked.deadline, slot.turn, ticket));
        if let Some(tickets) = self.conns.get_mut(&slot.parked.conn) {
            if let Some(at) = tickets.iter().position(|found| *found == ticket) {
                tickets.swap_remove(at);
            }
            if tickets.is_empty() {
                self.conns.remove(&slot.parked.conn);
            }
        }
        if let Some(held) =
            self.topics.get_mut(&slot.topic).and_then(|queues| queues.get_mut(&slot.queue))
        {
            held.remove(&slot.parked.matcher, ticket);
        }
        Some(slot.parked.payload)
    }
}
