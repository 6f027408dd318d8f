//! The topics of a broker.
//!
//! [`Topics`] has one owner and is changed through `&mut self`; readers on the send and pull paths
//! hold a [`TopicSnapshot`] and get an `Arc` of a topic's configuration without any lock. Every
//! change makes a new snapshot and a new [`DataVersion`], and says what must be registered at the
//! name servers.
//!
//! Source: RocketMQ 5.3 `TopicConfigManager`, `TopicValidator`.

mod built_in;
#[cfg(test)]
mod tests;

pub use built_in::BuiltIn;

use crate::attributes::{self, Attribute, AttributeError, Values};
use rmq_model::limits::TOPIC_QUEUES_MAX;
use rmq_model::name::{self, AUTO_CREATE_TOPIC, is_retry_topic};
use rmq_model::topic::{TopicConfig, TopicFilterType};
use rmq_model::{DataVersion, Millis, NameError, Permission, TopicName, sysflag};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

/// Most topics of a broker.
pub const TOPICS_MAX: usize = 200_000;

const ATTRIBUTES: [Attribute; 4] = [
    Attribute {
        name: "queue.type",
        values: Values::OneOf(&["SimpleCQ", "BatchCQ"]),
        changeable: false,
    },
    Attribute {
        name: "cleanup.policy",
        values: Values::OneOf(&["DELETE", "COMPACTION"]),
        changeable: false,
    },
    Attribute {
        name: "message.type",
        values: Values::OneOf(&["UNSPECIFIED", "NORMAL", "FIFO", "DELAY", "TRANSACTION", "MIXED"]),
        changeable: true,
    },
    Attribute { name: "reserve.time", values: Values::Range(-1, i64::MAX), changeable: true },
];

/// The topics at one moment.
#[derive(Clone, Debug, Default)]
pub struct TopicSnapshot {
    table: HashMap<Arc<str>, Arc<TopicConfig>>,
    version: DataVersion,
}

impl TopicSnapshot {
    /// A topic.
    pub fn get(&self, topic: &str) -> Option<&Arc<TopicConfig>> {
        self.table.get(topic)
    }

    /// All topics, in no order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Arc<TopicConfig>> {
        self.table.values()
    }

    /// Version of the table.
    pub fn version(&self) -> DataVersion {
        self.version
    }
}

/// What a call did to a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TopicChange {
    /// Nothing: it is as it was.
    Unchanged(Arc<TopicConfig>),
    /// It is new: persist and register it.
    Created(Arc<TopicConfig>),
    /// It is different: persist and register it.
    Updated(Arc<TopicConfig>),
}

impl TopicChange {
    /// The topic as it is now.
    pub fn config(&self) -> &Arc<TopicConfig> {
        match self {
            Self::Unchanged(config) | Self::Created(config) | Self::Updated(config) => config,
        }
    }

    /// The topic, if it must be persisted and registered.
    pub fn changed(&self) -> Option<&Arc<TopicConfig>> {
        match self {
            Self::Unchanged(_) => None,
            Self::Created(config) | Self::Updated(config) => Some(config),
        }
    }
}

/// Why a topic is not made or changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TopicError {
    /// The name breaks a rule (response code 29).
    #[error(transparent)]
    Name(#[from] NameError),
    /// Belongs to the system (response code 29).
    #[error("the topic[{topic}] is conflict with system topic")]
    System {
        /// As given.
        topic: String,
    },
    /// Queue number or permission out of range (response code 29).
    #[error("{what} {value} of topic {topic} is out of range, at most {max}")]
    OutOfRange {
        /// As given.
        topic: String,
        /// Which number.
        what: &'static str,
        /// As given.
        value: u32,
        /// Largest allowed.
        max: u32,
    },
    /// An attribute is refused (response code 1).
    #[error(transparent)]
    Attribute(#[from] AttributeError),
    /// The table is full (response code 1).
    #[error("the broker has {max} topics already")]
    Full {
        /// The bound.
        max: usize,
    },
}

/// Why a topic is not made by a send.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AutoCreateError {
    /// The template is missing or must not be used (response code 17).
    #[error("not exist, apply first please!")]
    NoTemplate,
    /// The table is full (response code 1).
    #[error("the broker has {max} topics already")]
    Full {
        /// The bound.
        max: usize,
    },
}

/// A topic as an administrator wants it (requests 17 and 18).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicRequest<'a> {
    /// Name.
    pub topic: &'a str,
    /// Queues that consumers see.
    pub read_queues: u32,
    /// Queues that producers see.
    pub write_queues: u32,
    /// Who may do what.
    pub perm: Permission,
    /// Tag matching.
    pub filter_type: TopicFilterType,
    /// Unit bits.
    pub sys_flag: i32,
    /// Order topic.
    pub order: bool,
    /// Changes of attributes: names with their sign, see [`TopicRequest::attributes_of`].
    pub attributes: BTreeMap<String, String>,
}

impl TopicRequest<'_> {
    /// Parses the header field `attributes`, `+k=v,-k`.
    ///
    /// # Errors
    /// [`AttributeError::Format`] or [`AttributeError::Duplicate`].
    pub fn attributes_of(text: &str) -> Result<BTreeMap<String, String>, AttributeError> {
        attributes::parse(text)
    }
}

/// The topics of a broker.
#[derive(Debug)]
pub struct Topics {
    built_in: BuiltIn,
    system: HashSet<Arc<str>>,
    snapshot: Arc<TopicSnapshot>,
    state_version: i64,
}

impl Topics {
    /// The built-in topics, overlaid by the stored ones.
    pub fn new(
        built_in: BuiltIn,
        stored: impl IntoIterator<Item = TopicConfig>,
        version: DataVersion,
    ) -> Self {
        let mut table = HashMap::new();
        let mut system = HashSet::new();
        for config in built_in.topics() {
            system.insert(Arc::clone(&config.topic_name));
            table.insert(Arc::clone(&config.topic_name), Arc::new(config));
        }
        for mut config in stored {
            if config.topic_name.is_empty() || TOPICS_MAX <= table.len() {
                continue;
            }
            if &*config.topic_name == AUTO_CREATE_TOPIC && !built_in.auto_create {
                config.perm = config.perm.without_inherit();
            }
            config.read_queue_nums = config.read_queue_nums.min(TOPIC_QUEUES_MAX);
            config.write_queue_nums = config.write_queue_nums.min(TOPIC_QUEUES_MAX);
            table.insert(Arc::clone(&config.topic_name), Arc::new(config));
        }
        let snapshot = Arc::new(TopicSnapshot { table, version });
        Self { built_in, system, snapshot, state_version: 0 }
    }

    /// For readers; taken anew after every change.
    pub fn snapshot(&self) -> Arc<TopicSnapshot> {
        Arc::clone(&self.snapshot)
    }

    /// A topic.
    pub fn get(&self, topic: &str) -> Option<&Arc<TopicConfig>> {
        self.snapshot.get(topic)
    }

    /// Version of the table.
    pub fn version(&self) -> DataVersion {
        self.snapshot.version
    }

    /// Topics of the system: administrators cannot change them (request 305 lists them).
    pub fn is_system(&self, topic: &str) -> bool {
        name::is_system_topic(topic) || self.system.contains(topic)
    }

    /// The topics of the system that exist here, in no order.
    pub fn system_topics(&self) -> impl Iterator<Item = &Arc<str>> {
        self.snapshot.table.keys().filter(|topic| self.is_system(topic))
    }

    /// `defaultTopicQueueNums` was changed: the template of new topics has that many queues.
    /// `None` when that changes nothing.
    pub fn set_default_queues(&mut self, now: Millis, queues: u32) -> Option<TopicChange> {
        let queues = queues.min(TOPIC_QUEUES_MAX);
        let template = self.get(AUTO_CREATE_TOPIC)?;
        let wanted = TopicConfig {
            read_queue_nums: queues,
            write_queue_nums: queues,
            ..TopicConfig::clone(template)
        };
        (**template != wanted).then(|| self.put(now, wanted))
    }

    /// Counts a change of what all topics are told to be, though none of them changed: name servers
    /// look at topics only under a version that they have not seen.
    ///
    /// Source: RocketMQ 5.3 `AdminBrokerProcessor#updateBrokerConfig`, key `brokerPermission`.
    pub fn announce_anew(&mut self, now: Millis) {
        self.change(now, |_table| ());
    }

    /// From now on changes carry this epoch.
    pub fn set_state_version(&mut self, state_version: i64) {
        self.state_version = state_version;
    }

    /// Finds or makes the topic of a send, after `template`.
    ///
    /// `queues` is what the client wants, at most what the template has. A retry topic is made
    /// even without template, with one queue.
    ///
    /// # Errors
    /// [`AutoCreateError`] says which code the client gets.
    ///
    /// Source: `AbstractSendMessageProcessor#msgCheck`, `createTopicInSendMessageMethod`.
    pub fn for_send(
        &mut self,
        now: Millis,
        topic: &TopicName,
        template: &str,
        queues: i32,
        unit: bool,
    ) -> Result<TopicChange, AutoCreateError> {
        if let Some(config) = self.get(topic) {
            return Ok(TopicChange::Unchanged(Arc::clone(config)));
        }
        let sys_flag = match (unit, is_retry_topic(topic)) {
            (false, _) => 0,
            (true, true) => sysflag::TOPIC_UNIT_SUB,
            (true, false) => sysflag::TOPIC_UNIT,
        };
        let new = match self.get(template).filter(|template| template.perm.inherited()) {
            Some(template) => {
                let queues = u32::try_from(queues).unwrap_or(0).min(template.write_queue_nums);
                TopicConfig {
                    topic_filter_type: template.topic_filter_type,
                    topic_sys_flag: sys_flag,
                    ..TopicConfig::new(topic, queues, template.perm.without_inherit())
                }
            }
            None if is_retry_topic(topic) => TopicConfig {
                topic_sys_flag: sys_flag,
                ..TopicConfig::new(topic, 1, Permission::READ_WRITE)
            },
            None => return Err(AutoCreateError::NoTemplate),
        };
        if TOPICS_MAX <= self.snapshot.table.len() {
            return Err(AutoCreateError::Full { max: TOPICS_MAX });
        }
        Ok(self.put(now, TopicConfig { topic_name: topic.to_arc(), ..new }))
    }

    /// Finds or makes a retry or dead-letter topic. An existing one only gets the order flag.
    ///
    /// # Errors
    /// [`TopicError::Name`] if the group's name is too long for it, [`TopicError::Full`].
    ///
    /// Source: `createTopicInSendMessageBackMethod`.
    pub fn for_send_back(
        &mut self,
        now: Millis,
        topic: &str,
        queues: u32,
        order: bool,
        sys_flag: i32,
    ) -> Result<TopicChange, TopicError> {
        if let Some(config) = self.get(topic) {
            if config.order == order {
                return Ok(TopicChange::Unchanged(Arc::clone(config)));
            }
            let config = TopicConfig { order, ..TopicConfig::clone(config) };
            return Ok(self.put(now, config));
        }
        let topic = TopicName::parse(topic)?;
        self.check_room()?;
        let new = TopicConfig {
            order,
            topic_sys_flag: sys_flag,
            ..TopicConfig::new(&topic, queues.min(TOPIC_QUEUES_MAX), Permission::READ_WRITE)
        };
        Ok(self.put(now, new))
    }

    /// Makes or changes a topic for an administrator. Equal configurations change nothing.
    ///
    /// # Errors
    /// [`TopicError`] says which rule is broken.
    pub fn update(
        &mut self,
        now: Millis,
        request: &TopicRequest<'_>,
    ) -> Result<TopicChange, TopicError> {
        let config = self.check(request)?;
        if let Some(old) = self.get(&config.topic_name).filter(|old| ***old == config) {
            return Ok(TopicChange::Unchanged(Arc::clone(old)));
        }
        Ok(self.put(now, config))
    }

    /// Makes or changes several topics, all or none of them.
    ///
    /// # Errors
    /// [`TopicError`] of the first topic that breaks a rule.
    pub fn update_all(
        &mut self,
        now: Millis,
        requests: &[TopicRequest<'_>],
    ) -> Result<Vec<TopicChange>, TopicError> {
        for request in requests {
            self.check(request)?;
        }
        let room = TOPICS_MAX.saturating_sub(self.snapshot.table.len());
        if requests.iter().filter(|request| self.get(request.topic).is_none()).count() > room {
            return Err(TopicError::Full { max: TOPICS_MAX });
        }
        requests.iter().map(|request| self.update(now, request)).collect()
    }

    /// Takes a topic away; `None` if there was none (request 215 answers 0 all the same).
    ///
    /// # Errors
    /// [`TopicError::Name`] for a blank name, [`TopicError::System`] for a topic of the system.
    pub fn delete(
        &mut self,
        now: Millis,
        topic: &str,
    ) -> Result<Option<Arc<TopicConfig>>, TopicError> {
        if topic.trim().is_empty() {
            return Err(NameError::Blank { what: "topic" }.into());
        }
        if self.is_system(topic) {
            return Err(TopicError::System { topic: topic.to_owned() });
        }
        if self.get(topic).is_none() {
            return Ok(None);
        }
        let removed = self.change(now, |table| table.remove(topic));
        Ok(removed)
    }

    /// Marks the topics that the name server has an order configuration for. The mark is never
    /// taken away here, as that configuration may be incomplete. Returns those that changed.
    pub fn mark_ordered<'a>(
        &mut self,
        now: Millis,
        ordered: impl IntoIterator<Item = &'a str>,
    ) -> Vec<Arc<TopicConfig>> {
        let marked: Vec<Arc<TopicConfig>> = ordered
            .into_iter()
            .filter_map(|topic| self.get(topic).filter(|config| !config.order))
            .map(|config| Arc::new(TopicConfig { order: true, ..TopicConfig::clone(config) }))
            .collect();
        if !marked.is_empty() {
            self.change(now, |table| {
                for config in &marked {
                    table.insert(Arc::clone(&config.topic_name), Arc::clone(config));
                }
            });
        }
        marked
    }

    /// Replaces the whole table by a master's.
    pub fn replace(&mut self, stored: impl IntoIterator<Item = TopicConfig>, version: DataVersion) {
        let state_version = self.state_version;
        let mut new = Self::new(self.built_in.clone(), stored, version);
        new.state_version = state_version;
        *self = new;
    }

    fn check_room(&self) -> Result<(), TopicError> {
        if TOPICS_MAX <= self.snapshot.table.len() {
            return Err(TopicError::Full { max: TOPICS_MAX });
        }
        Ok(())
    }

    fn check(&self, request: &TopicRequest<'_>) -> Result<TopicConfig, TopicError> {
        const PERM_MAX: u32 = 15;
        let name = TopicName::parse(request.topic)?;
        let topic = || request.topic.to_owned();
        if self.is_system(&name) {
            return Err(TopicError::System { topic: topic() });
        }
        for (what, value, max) in [
            ("readQueueNums", request.read_queues, TOPIC_QUEUES_MAX),
            ("writeQueueNums", request.write_queues, TOPIC_QUEUES_MAX),
            ("perm", request.perm.0, PERM_MAX),
        ] {
            if max < value {
                return Err(TopicError::OutOfRange { topic: topic(), what, value, max });
            }
        }
        let old = self.get(&name);
        if old.is_none() {
            self.check_room()?;
        }
        let current = old.map(|old| &old.attributes);
        // Tools read a topic, change a member and send it back: attributes without sign that are
        // as they were mean no change.
        let attributes = match current {
            Some(current) if *current == request.attributes => current.clone(),
            _ => attributes::alter(&ATTRIBUTES, current, &request.attributes)?,
        };
        Ok(TopicConfig {
            attributes,
            order: request.order,
            perm: request.perm,
            read_queue_nums: request.read_queues,
            topic_filter_type: request.filter_type,
            topic_name: name.to_arc(),
            topic_sys_flag: request.sys_flag,
            write_queue_nums: request.write_queues,
        })
    }

    fn put(&mut self, now: Millis, config: TopicConfig) -> TopicChange {
        let config = Arc::new(config);
        let old = self
            .change(now, |table| table.insert(Arc::clone(&config.topic_name), Arc::clone(&config)));
        if old.is_some() { TopicChange::Updated(config) } else { TopicChange::Created(config) }
    }

    fn change<R>(
        &mut self,
        now: Millis,
        change: impl FnOnce(&mut HashMap<Arc<str>, Arc<TopicConfig>>) -> R,
    ) -> R {
        let snapshot = Arc::make_mut(&mut self.snapshot); // copies only while readers hold it
        snapshot.version = snapshot.version.next(self.state_version, now);
        change(&mut snapshot.table)
    }
}
