//! How far consumer groups are.
//!
//! Offsets are kept per group, topic and queue. Lookups and commits on the pull path allocate
//! nothing. A commit may go down: clients do that on purpose.
//!
//! Source: RocketMQ 5.3 `ConsumerOffsetManager`, `ConsumerManageProcessor#queryConsumerOffset`.

#[cfg(test)]
mod tests;

use rmq_model::limits::TOPIC_QUEUES_MAX;
use rmq_model::{DataVersion, Millis};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

/// Most queues with an offset, over all groups and topics.
pub const OFFSETS_MAX: usize = 4_000_000;
/// The version rises with every so many commits, as `consumerOffsetUpdateVersionStep` has it by default.
pub const VERSION_STEP: u64 = 500;
/// Between topic and group in the keys of `consumerOffset.json`.
pub const SEPARATOR: char = '@';

/// `topic@group` → queue → next offset to consume: the content of `consumerOffset.json`.
pub type OffsetTable = BTreeMap<String, BTreeMap<i32, i64>>;

/// What became of a commit (request 15, or the commit part of a pull).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Commit {
    /// It is stored. `previous` is what was there; it may be larger.
    Stored {
        /// The offset before.
        previous: Option<i64>,
    },
    /// Not stored: the group has yet to take up an offset set by an administrator. Request 15
    /// answers 0 with a remark.
    ResetPending {
        /// The offset it must take up.
        offset: i64,
    },
    /// Not stored: negative offset or impossible queue (response code 29).
    Invalid,
    /// Not stored: the table is full (response code 1).
    Full,
}

/// Answer to a query of an offset (request 14).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OffsetAnswer {
    /// Consume from here.
    At(i64),
    /// Nothing is known (response code 22): the client applies its own rule.
    NotFound,
}

/// The rule of request 14 for a group without offset: a queue that was never trimmed and is still
/// in memory is consumed from its beginning.
pub fn answer(
    known: Option<i64>,
    set_zero_if_not_found: Option<bool>,
    min_offset: i64,
    first_in_memory: bool,
) -> OffsetAnswer {
    match known {
        Some(offset) => OffsetAnswer::At(offset),
        None if set_zero_if_not_found == Some(false) => OffsetAnswer::NotFound,
        None if min_offset <= 0 && first_in_memory => OffsetAnswer::At(0),
        None => OffsetAnswer::NotFound,
    }
}

/// One queue of a group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Cell {
    committed: Option<i64>,
    /// End of the newest answered pull; never stored in a file.
    pulled: Option<i64>,
    /// Set by an administrator, not taken up yet; never stored in a file.
    reset: Option<i64>,
}

impl Cell {
    /// Where the consumer must go on.
    fn next(&self) -> Option<i64> {
        self.reset.or(self.committed)
    }

    /// Where the newest pull ended, at least the committed offset.
    fn pull_end(&self) -> Option<i64> {
        self.pulled.max(self.committed)
    }
}

type Queues = BTreeMap<i32, Cell>;

/// The offsets of one group on one topic as they were at a moment: for who has to read the log to
/// make something of them, which must not be done while the table is locked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupOffsets(Queues);

impl GroupOffsets {
    /// As [`Offsets::query`].
    pub fn query(&self, queue: i32) -> Option<i64> {
        self.0.get(&queue)?.next()
    }

    /// Where the newest pull ended, at least the committed offset.
    pub fn pull_end(&self, queue: i32) -> Option<i64> {
        self.0.get(&queue)?.pull_end()
    }
}

/// Offsets of all groups.
#[derive(Debug, Default)]
pub struct Offsets {
    groups: HashMap<Arc<str>, HashMap<Arc<str>, Queues>>,
    cells: usize,
    resets: usize,
    commits: u64,
    version: DataVersion,
    state_version: i64,
    dirty: bool,
}

impl Offsets {
    /// Offsets as stored. Keys that are not `topic@group`, and negative queues and offsets, are
    /// left out; their number is the second value.
    pub fn from_table(table: &OffsetTable, version: DataVersion) -> (Self, usize) {
        let mut offsets = Self { version, ..Self::default() };
        let mut skipped = 0;
        for (key, queues) in table {
            let Some((topic, group)) = key.split_once(SEPARATOR) else {
                skipped += queues.len().max(1);
                continue;
            };
            for (queue, offset) in queues {
                match offsets.cell(group, topic, *queue) {
                    Some(cell) if 0 <= *offset => cell.committed = Some(*offset),
                    _ => skipped += 1,
                }
            }
        }
        (offsets, skipped)
    }

    /// Offsets as they go to the file and to slaves.
    pub fn table(&self) -> OffsetTable {
        let mut table = OffsetTable::new();
        for (group, topics) in &self.groups {
            for (topic, queues) in topics {
                let committed: BTreeMap<i32, i64> = queues
                    .iter()
                    .filter_map(|(queue, cell)| Some((*queue, cell.committed?)))
                    .collect();
                if !committed.is_empty() {
                    table.insert(format!("{topic}{SEPARATOR}{group}"), committed);
                }
            }
        }
        table
    }

    /// Replaces all committed offsets by a master's. Returns the number of entries left out.
    pub fn replace(&mut self, table: &OffsetTable, version: DataVersion) -> usize {
        let (new, skipped) = Self::from_table(table, version);
        *self = Self { state_version: self.state_version, dirty: true, ..new };
        skipped
    }

    /// Version of the table.
    pub fn version(&self) -> DataVersion {
        self.version
    }

    /// From now on changes carry this epoch.
    pub fn set_state_version(&mut self, state_version: i64) {
        self.state_version = state_version;
    }

    /// Whether anything changed since the last call: then the file must be written.
    pub fn take_dirty(&mut self) -> bool {
        std::mem::take(&mut self.dirty)
    }

    fn get(&self, group: &str, topic: &str, queue: i32) -> Option<&Cell> {
        self.groups.get(group)?.get(topic)?.get(&queue)
    }

    /// Finds or makes the place of a queue; `None` if it is impossible or there is no room.
    fn cell(&mut self, group: &str, topic: &str, queue: i32) -> Option<&mut Cell> {
        if !u32::try_from(queue).is_ok_and(|queue| queue < TOPIC_QUEUES_MAX) {
            return None;
        }
        if group.is_empty() || topic.is_empty() {
            return None;
        }
        // Looked up twice so that names are copied only for what is new.
        if self.get(group, topic, queue).is_none() {
            if OFFSETS_MAX <= self.cells {
                return None;
            }
            if !self.groups.contains_key(group) {
                self.groups.insert(group.into(), HashMap::new());
            }
            let topics = self.groups.get_mut(group)?;
            if !topics.contains_key(topic) {
                topics.insert(topic.into(), Queues::new());
            }
            topics.get_mut(topic)?.insert(queue, Cell::default());
            self.cells += 1;
        }
        self.groups.get_mut(group)?.get_mut(topic)?.get_mut(&queue)
    }

    /// Stores an offset.
    pub fn commit(
        &mut self,
        now: Millis,
        group: &str,
        topic: &str,
        queue: i32,
        offset: i64,
    ) -> Commit {
        if offset < 0 || !u32::try_from(queue).is_ok_and(|queue| queue < TOPIC_QUEUES_MAX) {
            return Commit::Invalid;
        }
        let known = self.groups.get_mut(group).and_then(|topics| topics.get_mut(topic));
        let cell = match known.and_then(|queues| queues.get_mut(&queue)) {
            Some(cell) => cell,
            None => match self.cell(group, topic, queue) {
                Some(cell) => cell,
                None => return Commit::Full,
            },
        };
        if let Some(offset) = cell.reset {
            return Commit::ResetPending { offset };
        }
        let previous = cell.committed.replace(offset);
        if previous != Some(offset) {
            self.dirty = true;
        }
        self.commits += 1;
        if self.commits.is_multiple_of(VERSION_STEP) {
            self.version = self.version.next(self.state_version, now);
        }
        Commit::Stored { previous }
    }

    /// The offset a consumer must go on from: the one set by an administrator if it is not taken
    /// up yet, else the committed one.
    pub fn query(&self, group: &str, topic: &str, queue: i32) -> Option<i64> {
        self.get(group, topic, queue)?.next()
    }

    /// All of a group on a topic.
    pub fn of(&self, group: &str, topic: &str) -> GroupOffsets {
        let queues = self.groups.get(group).and_then(|topics| topics.get(topic));
        GroupOffsets(queues.cloned().unwrap_or_default())
    }

    /// The committed offset.
    pub fn committed(&self, group: &str, topic: &str, queue: i32) -> Option<i64> {
        self.get(group, topic, queue)?.committed
    }

    /// Notes where a pull ended, for the number of messages in flight. Does nothing for queues
    /// that the group never committed.
    pub fn pulled(&mut self, group: &str, topic: &str, queue: i32, next: i64) {
        let topics = self.groups.get_mut(group).and_then(|topics| topics.get_mut(topic));
        if let Some(cell) = topics.and_then(|queues| queues.get_mut(&queue)) {
            cell.pulled = Some(next);
        }
    }

    /// Sets the offset that the group must take up next (request 222). Until then commits are
    /// ignored. It counts as committed at once, so that it outlives a restart of the broker.
    ///
    /// Returns false for an impossible queue or offset, or if the table is full.
    pub fn reset(
        &mut self,
        now: Millis,
        group: &str,
        topic: &str,
        queue: i32,
        offset: i64,
    ) -> bool {
        if offset < 0 {
            return false;
        }
        let Some(cell) = self.cell(group, topic, queue) else { return false };
        cell.committed = Some(offset);
        cell.pulled = None;
        let first = cell.reset.replace(offset).is_none();
        self.resets += usize::from(first);
        self.bump(now);
        true
    }

    /// The offset that a pull of this queue must be sent to (response code 21).
    pub fn pending_reset(&self, group: &str, topic: &str, queue: i32) -> Option<i64> {
        if self.resets == 0 {
            return None; // nearly always: no lookup
        }
        self.get(group, topic, queue)?.reset
    }

    /// Like [`Offsets::pending_reset`]; afterwards the offset is taken up.
    pub fn take_reset(&mut self, group: &str, topic: &str, queue: i32) -> Option<i64> {
        if self.resets == 0 {
            return None;
        }
        let cell = self.groups.get_mut(group)?.get_mut(topic)?.get_mut(&queue)?;
        let offset = cell.reset.take()?;
        self.resets -= 1;
        Some(offset)
    }

    /// Gives `to` the offsets that `from` has on a topic, in place of its own (request 314). Says
    /// whether there were any.
    pub fn clone_group(&mut self, now: Millis, from: &str, to: &str, topic: &str) -> bool {
        let source = self.groups.get(from).and_then(|topics| topics.get(topic));
        let copied: Vec<(i32, i64)> = source
            .into_iter()
            .flatten()
            .filter_map(|(queue, cell)| Some((*queue, cell.committed?)))
            .collect();
        if copied.is_empty() || from == to {
            return false;
        }
        self.remove(to, topic);
        for (queue, offset) in copied {
            if let Some(cell) = self.cell(to, topic, queue) {
                cell.committed = Some(offset);
            }
        }
        self.bump(now);
        true
    }

    /// Forgets a topic for all groups.
    pub fn delete_topic(&mut self, now: Millis, topic: &str) {
        let groups: Vec<Arc<str>> = self
            .groups
            .iter()
            .filter(|(_, topics)| topics.contains_key(topic))
            .map(|(group, _)| Arc::clone(group))
            .collect();
        for group in &groups {
            self.remove(group, topic);
        }
        if !groups.is_empty() {
            self.bump(now);
        }
    }

    /// Forgets a group.
    pub fn delete_group(&mut self, now: Millis, group: &str) {
        let topics: Vec<Arc<str>> = self
            .groups
            .get(group)
            .into_iter()
            .flatten()
            .map(|(topic, _)| Arc::clone(topic))
            .collect();
        for topic in &topics {
            self.remove(group, topic);
        }
        if !topics.is_empty() {
            self.bump(now);
        }
    }

    /// Groups with a committed offset on the topic (request 300).
    pub fn groups_of_topic(&self, topic: &str) -> BTreeSet<Arc<str>> {
        let with =
            |topics: &HashMap<Arc<str>, Queues>| topics.get(topic).is_some_and(any_committed);
        self.groups.iter().filter(|(_, topics)| with(topics)).map(|(g, _)| Arc::clone(g)).collect()
    }

    /// Topics that the group has a committed offset on (request 343).
    pub fn topics_of_group(&self, group: &str) -> BTreeSet<Arc<str>> {
        let topics = self.groups.get(group).into_iter().flatten();
        topics.filter(|(_, queues)| any_committed(queues)).map(|(t, _)| Arc::clone(t)).collect()
    }

    /// Committed offsets of a group on a topic by queue (request 308).
    pub fn queues(&self, group: &str, topic: &str) -> impl Iterator<Item = (i32, i64)> {
        let queues = self.groups.get(group).and_then(|topics| topics.get(topic));
        queues.into_iter().flatten().filter_map(|(queue, cell)| Some((*queue, cell.committed?)))
    }

    /// Group and topic of every committed offset, each pair once.
    pub fn pairs(&self) -> impl Iterator<Item = (&Arc<str>, &Arc<str>)> {
        self.groups.iter().flat_map(|(group, topics)| {
            let topics = topics.iter().filter(|(_, queues)| any_committed(queues));
            topics.map(move |(topic, _)| (group, topic))
        })
    }

    fn remove(&mut self, group: &str, topic: &str) {
        let Some(topics) = self.groups.get_mut(group) else { return };
        if let Some(queues) = topics.remove(topic) {
            self.cells -= queues.len();
            self.resets -= queues.values().filter(|cell| cell.reset.is_some()).count();
        }
        if topics.is_empty() {
            self.groups.remove(group);
        }
    }

    fn bump(&mut self, now: Millis) {
        self.dirty = true;
        self.version = self.version.next(self.state_version, now);
    }
}

fn any_committed(queues: &Queues) -> bool {
    queues.values().any(|cell| cell.committed.is_some())
}
