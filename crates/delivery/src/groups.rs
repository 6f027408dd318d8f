//! Subscription groups: what a consumer group may do on this broker.
//!
//! Like [`crate::topics`]: one owner, snapshots for readers.
//!
//! Source: RocketMQ 5.3 `SubscriptionGroupManager`.

use crate::attributes::{self, Attribute, AttributeError, Values};
use rmq_model::group::SubscriptionGroupConfig;
use rmq_model::limits::TOPIC_QUEUES_MAX;
use rmq_model::name::{BUILT_IN_GROUPS, is_system_group};
use rmq_model::{DataVersion, GroupName, Millis, NameError};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// Most groups of a broker.
pub const GROUPS_MAX: usize = 200_000;
/// Most topics whose use is restricted for one group.
pub const FORBIDDEN_TOPICS_MAX: usize = 10_000;

/// Bit of the forbidden table that stands for reading.
const FORBIDDEN_READ: i32 = 1 << 2;

const ATTRIBUTES: [Attribute; 1] =
    [Attribute { name: "priority.factor", values: Values::Range(0, 100), changeable: true }];

type Forbidden = HashMap<Arc<str>, BTreeMap<Arc<str>, i32>>;

/// The groups at one moment.
#[derive(Clone, Debug, Default)]
pub struct GroupSnapshot {
    table: HashMap<Arc<str>, Arc<SubscriptionGroupConfig>>,
    forbidden: Forbidden,
    version: DataVersion,
}

impl GroupSnapshot {
    /// A group.
    pub fn get(&self, group: &str) -> Option<&Arc<SubscriptionGroupConfig>> {
        self.table.get(group)
    }

    /// All groups, in no order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Arc<SubscriptionGroupConfig>> {
        self.table.values()
    }

    /// Whether the group must not read the topic (request 353).
    pub fn read_forbidden(&self, group: &str, topic: &str) -> bool {
        !self.forbidden.is_empty()
            && self
                .forbidden
                .get(group)
                .and_then(|topics| topics.get(topic))
                .is_some_and(|bits| bits & FORBIDDEN_READ != 0)
    }

    /// Group, topic and bits of the forbidden table, for the file and request 201.
    pub fn forbidden(&self) -> impl Iterator<Item = (&Arc<str>, &BTreeMap<Arc<str>, i32>)> {
        self.forbidden.iter()
    }

    /// Version of the table.
    pub fn version(&self) -> DataVersion {
        self.version
    }
}

/// What a call did to a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GroupChange {
    /// Nothing: it is as it was.
    Unchanged(Arc<SubscriptionGroupConfig>),
    /// It is new or different: persist the table.
    Changed(Arc<SubscriptionGroupConfig>),
}

impl GroupChange {
    /// The group as it is now.
    pub fn config(&self) -> &Arc<SubscriptionGroupConfig> {
        match self {
            Self::Unchanged(config) | Self::Changed(config) => config,
        }
    }
}

/// Why a group is not made or changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GroupError {
    /// The name breaks a rule (response code 29).
    #[error(transparent)]
    Name(#[from] NameError),
    /// Number of retry queues out of range (response code 29).
    #[error("retryQueueNums {value} of group {group} is out of range, at most {TOPIC_QUEUES_MAX}")]
    RetryQueues {
        /// As given.
        group: Arc<str>,
        /// As given.
        value: i32,
    },
    /// An attribute is refused (response code 1).
    #[error(transparent)]
    Attribute(#[from] AttributeError),
    /// A table is full (response code 1).
    #[error("the broker has {max} groups or restrictions already")]
    Full {
        /// The bound.
        max: usize,
    },
}

/// The subscription groups of a broker.
#[derive(Debug)]
pub struct Groups {
    auto_create: bool,
    snapshot: Arc<GroupSnapshot>,
    state_version: i64,
}

impl Groups {
    /// The built-in groups, overlaid by the stored ones. `auto_create` is
    /// `autoCreateSubscriptionGroup`.
    pub fn new(
        auto_create: bool,
        stored: impl IntoIterator<Item = SubscriptionGroupConfig>,
        forbidden: impl IntoIterator<Item = (Arc<str>, BTreeMap<Arc<str>, i32>)>,
        version: DataVersion,
    ) -> Self {
        let built_in = BUILT_IN_GROUPS.iter().map(|name| SubscriptionGroupConfig::new(name));
        let mut table = HashMap::new();
        for config in built_in.chain(stored) {
            if !config.group_name.is_empty() && table.len() < GROUPS_MAX {
                table.insert(Arc::clone(&config.group_name), Arc::new(config));
            }
        }
        let forbidden = forbidden.into_iter().take(GROUPS_MAX).collect();
        let snapshot = Arc::new(GroupSnapshot { table, forbidden, version });
        Self { auto_create, snapshot, state_version: 0 }
    }

    /// `autoCreateSubscriptionGroup` was changed.
    pub fn set_auto_create(&mut self, auto_create: bool) {
        self.auto_create = auto_create;
    }

    /// For readers; taken anew after every change.
    pub fn snapshot(&self) -> Arc<GroupSnapshot> {
        Arc::clone(&self.snapshot)
    }

    /// A group, if it exists.
    pub fn get(&self, group: &str) -> Option<&Arc<SubscriptionGroupConfig>> {
        self.snapshot.get(group)
    }

    /// Version of the table.
    pub fn version(&self) -> DataVersion {
        self.snapshot.version
    }

    /// From now on changes carry this epoch.
    pub fn set_state_version(&mut self, state_version: i64) {
        self.state_version = state_version;
    }

    /// Finds a group, or makes it with defaults where that is allowed; groups of the system always
    /// come into being. `None` is response code 26.
    pub fn find(&mut self, now: Millis, group: &str) -> Option<GroupChange> {
        if let Some(config) = self.get(group) {
            return Some(GroupChange::Unchanged(Arc::clone(config)));
        }
        if !self.may_create(group) {
            return None;
        }
        Some(self.put(now, SubscriptionGroupConfig::new(group)))
    }

    fn may_create(&self, group: &str) -> bool {
        (self.auto_create || is_system_group(group))
            && self.snapshot.table.len() < GROUPS_MAX
            && GroupName::parse(group).is_ok()
    }

    /// Makes or changes a group for an administrator (request 200).
    ///
    /// # Errors
    /// [`GroupError`] says which rule is broken.
    pub fn update(
        &mut self,
        now: Millis,
        config: SubscriptionGroupConfig,
    ) -> Result<GroupChange, GroupError> {
        let config = self.check(config)?;
        if let Some(old) = self.get(&config.group_name).filter(|old| ***old == config) {
            return Ok(GroupChange::Unchanged(Arc::clone(old)));
        }
        Ok(self.put(now, config))
    }

    /// Makes or changes several groups, all or none of them (request 225).
    ///
    /// # Errors
    /// [`GroupError`] of the first group that breaks a rule.
    pub fn update_all(
        &mut self,
        now: Millis,
        configs: Vec<SubscriptionGroupConfig>,
    ) -> Result<Vec<GroupChange>, GroupError> {
        let room = GROUPS_MAX.saturating_sub(self.snapshot.table.len());
        if configs.iter().filter(|config| self.get(&config.group_name).is_none()).count() > room {
            return Err(GroupError::Full { max: GROUPS_MAX });
        }
        for config in &configs {
            self.check(config.clone())?;
        }
        configs.into_iter().map(|config| self.update(now, config)).collect()
    }

    fn check(
        &self,
        mut config: SubscriptionGroupConfig,
    ) -> Result<SubscriptionGroupConfig, GroupError> {
        GroupName::parse(&config.group_name)?;
        if u32::try_from(config.retry_queue_nums).is_ok_and(|queues| TOPIC_QUEUES_MAX < queues) {
            return Err(GroupError::RetryQueues {
                group: config.group_name,
                value: config.retry_queue_nums,
            });
        }
        let old = self.get(&config.group_name);
        if old.is_none() && GROUPS_MAX <= self.snapshot.table.len() {
            return Err(GroupError::Full { max: GROUPS_MAX });
        }
        let current = old.map(|old| &old.attributes);
        // Tools read a group, change a member and send it back: attributes without sign that are
        // as they were mean no change.
        if current != Some(&config.attributes) {
            config.attributes = attributes::alter(&ATTRIBUTES, current, &config.attributes)?;
        }
        Ok(config)
    }

    /// Takes a group and its restrictions away; says whether there was one (request 207).
    pub fn delete(&mut self, now: Millis, group: &str) -> bool {
        if self.get(group).is_none() && !self.snapshot.forbidden.contains_key(group) {
            return false;
        }
        self.change(now, |snapshot| {
            snapshot.table.remove(group);
            snapshot.forbidden.remove(group);
        });
        true
    }

    /// Forgets the restrictions on a topic that is deleted.
    pub fn topic_deleted(&mut self, now: Millis, topic: &str) {
        if !self.snapshot.forbidden.values().any(|topics| topics.contains_key(topic)) {
            return;
        }
        self.change(now, |snapshot| {
            snapshot.forbidden.retain(|_, topics| {
                topics.remove(topic);
                !topics.is_empty()
            });
        });
    }

    /// Allows or forbids a group to read a topic (request 353).
    ///
    /// # Errors
    /// [`GroupError::Full`] if the group has too many restrictions.
    pub fn set_readable(
        &mut self,
        now: Millis,
        group: &str,
        topic: &str,
        readable: bool,
    ) -> Result<(), GroupError> {
        if self.snapshot.read_forbidden(group, topic) != readable {
            return Ok(());
        }
        let topics = self.snapshot.forbidden.get(group).map_or(0, BTreeMap::len);
        if !readable && FORBIDDEN_TOPICS_MAX <= topics {
            return Err(GroupError::Full { max: FORBIDDEN_TOPICS_MAX });
        }
        if !readable && topics == 0 && GROUPS_MAX <= self.snapshot.forbidden.len() {
            return Err(GroupError::Full { max: GROUPS_MAX });
        }
        self.change(now, |snapshot| {
            let topics = snapshot.forbidden.entry(group.into()).or_default();
            let bits = topics.entry(topic.into()).or_default();
            *bits = if readable { *bits & !FORBIDDEN_READ } else { *bits | FORBIDDEN_READ };
            topics.retain(|_, bits| *bits != 0);
            snapshot.forbidden.retain(|_, topics| !topics.is_empty());
        });
        Ok(())
    }

    /// Replaces the whole table by a master's.
    pub fn replace(
        &mut self,
        stored: impl IntoIterator<Item = SubscriptionGroupConfig>,
        forbidden: impl IntoIterator<Item = (Arc<str>, BTreeMap<Arc<str>, i32>)>,
        version: DataVersion,
    ) {
        let state_version = self.state_version;
        *self = Self::new(self.auto_create, stored, forbidden, version);
        self.state_version = state_version;
    }

    fn put(&mut self, now: Millis, config: SubscriptionGroupConfig) -> GroupChange {
        let config = Arc::new(config);
        self.change(now, |snapshot| {
            snapshot.table.insert(Arc::clone(&config.group_name), Arc::clone(&config));
        });
        GroupChange::Changed(config)
    }

    fn change(&mut self, now: Millis, change: impl FnOnce(&mut GroupSnapshot)) {
        let snapshot = Arc::make_mut(&mut self.snapshot); // copies only while readers hold it
        snapshot.version = snapshot.version.next(self.state_version, now);
        change(snapshot);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Millis = 1_700_000_000_000;

    fn groups(auto_create: bool) -> Groups {
        Groups::new(auto_create, [], [], DataVersion::default())
    }

    #[test]
    fn built_in_groups_exist_and_stored_ones_win() {
        let tools = SubscriptionGroupConfig {
            retry_max_times: 3,
            ..SubscriptionGroupConfig::new("TOOLS_CONSUMER")
        };
        let stored = [tools, SubscriptionGroupConfig::new("G"), SubscriptionGroupConfig::new("")];
        let groups = Groups::new(false, stored, [], DataVersion::default());
        assert_eq!(groups.snapshot().iter().len(), BUILT_IN_GROUPS.len() + 1);
        assert_eq!(groups.get("TOOLS_CONSUMER").unwrap().retry_max_times, 3);
        for name in BUILT_IN_GROUPS {
            assert!(groups.get(name).is_some(), "{name}");
        }
    }

    #[test]
    fn lookup_creates_what_may_be_created() {
        let long = "g".repeat(121);
        for (auto, group, made) in [
            (true, "G", true),
            (true, "a b", false),
            (true, "", false),
            (true, long.as_str(), false),
            (false, "G", false),
            (false, "CID_RMQ_SYS_OTHER", true),
        ] {
            let mut groups = groups(auto);
            let found = groups.find(NOW, group);
            assert_eq!(found.is_some(), made, "{auto} {group}");
            assert_eq!(groups.version().counter, i64::from(made), "{auto} {group}");
            if made {
                assert!(matches!(groups.find(NOW, group), Some(GroupChange::Unchanged(_))));
            }
        }
    }

    #[test]
    fn equal_configurations_change_nothing() {
        let mut groups = groups(true);
        let config =
            SubscriptionGroupConfig { retry_max_times: 5, ..SubscriptionGroupConfig::new("G") };
        assert!(matches!(groups.update(NOW, config.clone()), Ok(GroupChange::Changed(_))));
        assert_eq!(groups.version(), DataVersion { counter: 1, state_version: 0, timestamp: NOW });
        assert!(matches!(groups.update(NOW, config), Ok(GroupChange::Unchanged(_))));
        assert_eq!(groups.version().counter, 1);
    }

    #[test]
    fn administrators_are_held_to_the_rules() {
        let mut groups = groups(true);
        let named = SubscriptionGroupConfig::new;
        let bad = SubscriptionGroupConfig { retry_queue_nums: 65_537, ..named("G") };
        assert!(matches!(
            groups.update(NOW, bad),
            Err(GroupError::RetryQueues { value: 65_537, .. })
        ));
        assert!(matches!(groups.update(NOW, named("a b")), Err(GroupError::Name(_))));
        let attribute = |key: &str, value: &str| SubscriptionGroupConfig {
            attributes: [(key.to_owned(), value.to_owned())].into(),
            ..named("G")
        };
        assert!(groups.update(NOW, attribute("+other", "1")).is_err());
        assert!(groups.update(NOW, attribute("+priority.factor", "101")).is_err());
        let made = groups.update(NOW, attribute("+priority.factor", "7")).unwrap();
        assert_eq!(made.config().attributes.get("priority.factor").unwrap(), "7");
        assert!(groups.update(NOW, attribute("priority.factor", "7")).is_ok(), "as it was read");
        assert!(groups.update(NOW, attribute("-priority.factor", "")).is_ok());
        assert!(groups.get("G").unwrap().attributes.is_empty());
    }

    #[test]
    fn a_list_is_taken_wholly_or_not_at_all() {
        let mut groups = groups(true);
        let named = SubscriptionGroupConfig::new;
        assert!(groups.update_all(NOW, vec![named("A"), named("b b")]).is_err());
        assert!(groups.get("A").is_none());
        assert_eq!(groups.update_all(NOW, vec![named("A"), named("B")]).unwrap().len(), 2);
    }

    #[test]
    fn reading_can_be_forbidden_per_topic() {
        let mut groups = groups(true);
        groups.set_readable(NOW, "G", "T", false).unwrap();
        let snapshot = groups.snapshot();
        assert!(snapshot.read_forbidden("G", "T"));
        assert!(!snapshot.read_forbidden("G", "U") && !snapshot.read_forbidden("H", "T"));
        let (group, topics) = snapshot.forbidden().next().unwrap();
        assert_eq!((&**group, topics.get("T")), ("G", Some(&4)));
        let version = groups.version();
        groups.set_readable(NOW, "G", "T", false).unwrap();
        assert_eq!(groups.version(), version, "nothing changed");
        groups.set_readable(NOW, "G", "T", true).unwrap();
        assert!(!groups.snapshot().read_forbidden("G", "T"));
        assert!(snapshot.read_forbidden("G", "T"), "a snapshot stays as it is");
        assert_eq!(groups.snapshot().forbidden().count(), 0);
    }

    #[test]
    fn deletion_takes_restrictions_along() {
        let mut groups = groups(true);
        assert!(!groups.delete(NOW, "G"));
        groups.find(NOW, "G").unwrap();
        groups.set_readable(NOW, "G", "T", false).unwrap();
        groups.set_readable(NOW, "H", "T", false).unwrap();
        assert!(groups.delete(NOW, "G"));
        assert!(groups.get("G").is_none() && !groups.snapshot().read_forbidden("G", "T"));
        groups.topic_deleted(NOW, "T");
        assert_eq!(groups.snapshot().forbidden().count(), 0);
    }
}
