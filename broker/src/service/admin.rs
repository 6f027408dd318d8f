//! Topics, groups and settings, as administrators change them.

use crate::config::{self, Change, ConfigError, Settings};
use crate::service::Broker;
use rmq_delivery::delay::Levels;
use rmq_delivery::groups::GroupError;
use rmq_delivery::topics::{BuiltIn, TopicChange, TopicError, TopicRequest};
use rmq_host::properties;
use rmq_model::group::SubscriptionGroupConfig;
use rmq_model::name::{self, DLQ_PREFIX, RETRY_PREFIX};
use rmq_model::topic::TopicConfig;
use std::io;
use std::path::Path;
use std::sync::Arc;

/// Why a topic is not made, changed or deleted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AdminTopicError {
    /// A rule is broken.
    #[error(transparent)]
    Rule(#[from] TopicError),
    /// Inner batches are not stored here.
    #[error("queue.type=BatchCQ is not available")]
    BatchQueues,
    /// It is done, but the table could not be written.
    #[error("the topic table cannot be written: {0}")]
    Save(#[from] io::Error),
}

/// Why a group is not made, changed or deleted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AdminGroupError {
    /// A rule is broken.
    #[error(transparent)]
    Rule(#[from] GroupError),
    /// It is done, but the table could not be written.
    #[error("the group table cannot be written: {0}")]
    Save(#[from] io::Error),
}

/// Why settings are not changed. Nothing was changed then.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SettingChangeError {
    /// Response code 16.
    #[error("{key} cannot be changed while the broker runs")]
    NotLive {
        /// As asked.
        key: String,
    },
    /// Response code 16.
    #[error("{key} is not a setting of this broker")]
    Unknown {
        /// As asked.
        key: String,
    },
    /// Response code 1.
    #[error(transparent)]
    Value(#[from] ConfigError),
    /// Response code 1.
    #[error("the configuration file cannot be written: {0}")]
    Save(#[from] io::Error),
}

pub(super) fn built_in(settings: &Settings, levels: &Levels) -> BuiltIn {
    BuiltIn {
        auto_create: settings.auto_create_topic_enable,
        cluster_topic: settings.cluster_topic_enable,
        broker_topic: settings.broker_topic_enable,
        trace_topic: settings
            .trace_topic_enable
            .then(|| Arc::clone(&settings.msg_trace_topic_name)),
        default_queues: settings.default_topic_queue_nums,
        revive_queues: settings.revive_queue_num,
        delay_levels: levels.count(),
        ..BuiltIn::new(&settings.broker_cluster_name, &settings.broker_name)
    }
}

/// Sets keys in a properties file and leaves everything else in it as it is.
fn rewrite(path: &Path, changes: &[(&str, &str)]) -> io::Result<()> {
    let new = properties::edit(&std::fs::read(path)?, changes).map_err(io::Error::other)?;
    rmq_host::durable::replace(path, new.as_bytes())
}

fn refuse_inner_batches(request: &TopicRequest<'_>) -> Result<(), AdminTopicError> {
    let asked = |name: &str| request.attributes.get(name).is_some_and(|kind| kind == "BatchCQ");
    if asked("+queue.type") || asked("queue.type") {
        return Err(AdminTopicError::BatchQueues);
    }
    Ok(())
}

impl Broker {
    /// Makes or changes a topic (request 17). Writes the table: may block.
    ///
    /// # Errors
    /// [`AdminTopicError`] says which rule is broken.
    pub fn update_topic(&self, request: &TopicRequest<'_>) -> Result<(), AdminTopicError> {
        let begun = self.clock.monotonic();
        let made = self.try_update_topic(request);
        let took = self.clock.monotonic().saturating_sub(begun);
        self.traffic.topic_made(request.topic, made.is_ok(), took);
        made
    }

    fn try_update_topic(&self, request: &TopicRequest<'_>) -> Result<(), AdminTopicError> {
        refuse_inner_batches(request)?;
        let now = self.now();
        self.topics.change_one(self.outside(), |topics| topics.update(now, request))?;
        self.topics.save()?;
        Ok(())
    }

    /// Makes or changes several topics, all or none (request 18). Writes the table: may block.
    ///
    /// # Errors
    /// [`AdminTopicError`] of the first that breaks a rule.
    pub fn update_topics(&self, requests: &[TopicRequest<'_>]) -> Result<(), AdminTopicError> {
        for request in requests {
            refuse_inner_batches(request)?;
        }
        let now = self.now();
        let names = |result: &Result<Vec<TopicChange>, TopicError>| {
            let changed = result.iter().flatten().filter_map(TopicChange::changed);
            changed.map(|config| Arc::clone(&config.topic_name)).collect()
        };
        self.topics.change(self.outside(), |topics| topics.update_all(now, requests), names)?;
        self.topics.save()?;
        Ok(())
    }

    /// Deletes a topic with its messages, offsets and restrictions (request 215), and the retry
    /// topics that POP consumers made for it. May block.
    ///
    /// # Errors
    /// [`AdminTopicError`] for topics of the system.
    pub fn delete_topic(&self, topic: &str) -> Result<(), AdminTopicError> {
        let now = self.now();
        let mut doomed: Vec<Arc<str>> = vec![topic.into()];
        for group in self.offsets.lock().groups_of_topic(topic) {
            for separator in ['_', '+'] {
                doomed.push(format!("{RETRY_PREFIX}{group}{separator}{topic}").into());
            }
        }
        for (at, name) in doomed.iter().enumerate() {
            let is_pop_retry = 0 < at;
            if is_pop_retry && self.topics.get(name).is_none() {
                continue;
            }
            let none = |_: &Result<Option<Arc<TopicConfig>>, TopicError>| Vec::new();
            self.topics.change(self.outside(), |topics| topics.delete(now, name), none)?;
            self.forget_topic(name);
            self.store.delete_topic(name)?;
        }
        self.topics.save()?;
        Ok(())
    }

    /// Marks topics that name servers have an order configuration for.
    pub(crate) fn mark_ordered(&self, topics: &[String]) {
        let now = self.now();
        let names = |changed: &Vec<Arc<TopicConfig>>| {
            changed.iter().map(|config| Arc::clone(&config.topic_name)).collect()
        };
        let ordered = topics.iter().map(String::as_str);
        self.topics.change(self.outside(), |table| table.mark_ordered(now, ordered), names);
    }

    /// Deletes the queues of topics that are not in the table (request 316). May block.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn clean_unused_topics(&self) -> io::Result<()> {
        let topics = self.topics.all();
        for topic in self.store.topics() {
            let belongs_to_group = topic.starts_with(RETRY_PREFIX) || topic.starts_with(DLQ_PREFIX);
            if topics.get(&topic).is_none() && !name::is_system_topic(&topic) && !belongs_to_group {
                tracing::info!(topic = &*topic, "deleting the queues of a topic that is not there");
                self.store.delete_topic(&topic)?;
            }
        }
        Ok(())
    }

    /// Makes or changes a group (request 200). Writes the table: may block.
    ///
    /// # Errors
    /// [`AdminGroupError`] says which rule is broken.
    pub fn update_group(&self, config: SubscriptionGroupConfig) -> Result<(), AdminGroupError> {
        let begun = self.clock.monotonic();
        let made = self.try_update_group(config);
        self.traffic.group_made(made.is_ok(), self.clock.monotonic().saturating_sub(begun));
        made
    }

    fn try_update_group(&self, config: SubscriptionGroupConfig) -> Result<(), AdminGroupError> {
        let now = self.now();
        self.groups.change(|groups| groups.update(now, config))?;
        self.groups.save()?;
        Ok(())
    }

    /// Makes or changes several groups, all or none (request 225). Writes the table: may block.
    ///
    /// # Errors
    /// [`AdminGroupError`] of the first that breaks a rule.
    pub fn update_groups(&self, all: Vec<SubscriptionGroupConfig>) -> Result<(), AdminGroupError> {
        let now = self.now();
        self.groups.change(|groups| groups.update_all(now, all))?;
        self.groups.save()?;
        Ok(())
    }

    /// Deletes a group, and its offsets if asked to (request 207). Writes the table: may block.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn delete_group(&self, group: &str, with_offsets: bool) -> Result<(), AdminGroupError> {
        let now = self.now();
        self.groups.change(|groups| groups.delete(now, group));
        if with_offsets {
            self.offsets.lock().delete_group(now, group);
        }
        self.traffic.delete_group(group);
        self.groups.save()?;
        Ok(())
    }

    /// Allows or forbids a group to read a topic, or only asks; gives the state (request 353).
    ///
    /// # Errors
    /// [`AdminGroupError`] when there are too many restrictions.
    pub fn group_readable(
        &self,
        group: &str,
        topic: &str,
        readable: Option<bool>,
    ) -> Result<bool, AdminGroupError> {
        if let Some(readable) = readable {
            let now = self.now();
            self.groups.change(|groups| groups.set_readable(now, group, topic, readable))?;
            self.groups.save()?;
        }
        Ok(!self.groups.read_forbidden(group, topic))
    }

    /// Changes settings while running, all or none (request 25). Writes the file the broker was
    /// started with: may block.
    ///
    /// # Errors
    /// [`SettingChangeError`] of the first that cannot be changed.
    pub fn change_settings(&self, changes: &[(&str, &str)]) -> Result<(), SettingChangeError> {
        let _others_wait = self.changing.lock();
        let before = self.settings.load_full();
        let mut settings = Settings::clone(&before);
        let mut written = Vec::new();
        for (name, value) in changes {
            let Some(key) = config::key(name) else {
                return Err(SettingChangeError::Unknown { key: (*name).to_owned() });
            };
            let listed = before.config_black_list.split(';').any(|item| item.trim() == key.name);
            if key.change != Change::Live || listed {
                return Err(SettingChangeError::NotLive { key: (*name).to_owned() });
            }
            settings = settings.with(key, value)?;
            written.push((key.name, value.trim()));
        }
        if let Some(file) = &self.config.file {
            rewrite(file, &written)?;
        }
        tracing::info!(changes = ?written, "settings changed");
        if settings.broker_permission != before.broker_permission {
            self.permission_is("changed by an administrator", true);
        }
        self.put_in_force(settings);
        Ok(())
    }
}
