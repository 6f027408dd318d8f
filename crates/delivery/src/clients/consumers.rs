//! Consumer groups and their subscription tables.

use super::{ClientInfo, ClientLimits, ConnId, HeartbeatForm, Member, Notice, RegisterError};
use crate::filter::{FilterError, Matcher, PropertyFilter};
use rmq_model::Millis;
use rmq_model::client::{ConsumeFromWhere, ConsumeType, MessageModel, SubscriptionData};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

/// One consumer group of a heartbeat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumerEntry {
    /// The group.
    pub group: Arc<str>,
    /// How the client takes messages.
    pub consume_type: ConsumeType,
    /// Who of the group gets a message.
    pub model: MessageModel,
    /// Where the client begins without offset.
    pub from_where: ConsumeFromWhere,
    /// What the client wants; not looked at when the heartbeat is without subscriptions.
    pub subscriptions: Vec<SubscriptionData>,
}

/// What a group wants of a topic, compiled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    /// As the client sent it.
    pub data: SubscriptionData,
    /// Ready to be asked, or why pulls will be refused.
    pub matcher: Result<Arc<Matcher>, FilterError>,
}

/// Connected consumers of one group. Who registered last decides for all.
#[derive(Debug)]
pub struct ConsumerGroup {
    members: BTreeMap<ConnId, Member>,
    subscriptions: HashMap<Arc<str>, Arc<Subscription>>,
    fingerprint: Option<i32>,
    notify: bool,
    /// How the group takes messages.
    pub consume_type: ConsumeType,
    /// Who of the group gets a message.
    pub model: MessageModel,
    /// Where clients begin without offset.
    pub from_where: ConsumeFromWhere,
}

impl ConsumerGroup {
    /// All members, oldest connection first (requests 203, 220).
    pub fn members(&self) -> impl ExactSizeIterator<Item = &Member> + DoubleEndedIterator {
        self.members.values()
    }

    /// The client ids of all members, each once (request 38).
    pub fn client_ids(&self) -> Vec<Arc<str>> {
        let mut seen = HashSet::new();
        let ids = self.members.values().map(|member| &member.client.client_id);
        ids.filter(|id| seen.insert(Arc::clone(id))).cloned().collect()
    }

    /// What the group wants of a topic.
    pub fn subscription(&self, topic: &str) -> Option<&Arc<Subscription>> {
        self.subscriptions.get(topic)
    }

    /// What the group wants, in no order.
    pub fn subscriptions(&self) -> impl ExactSizeIterator<Item = &Arc<Subscription>> {
        self.subscriptions.values()
    }

    fn notice(&self, group: &Arc<str>) -> Option<Notice> {
        let told = self.notify && self.model != MessageModel::Broadcasting;
        (told && !self.members.is_empty()).then(|| Notice {
            group: Arc::clone(group),
            conns: self.members.keys().copied().collect(),
        })
    }

    /// Newer versions replace, missing topics go. Says whether the set of topics changed: a newer
    /// version alone is not announced, as clients answer announcements with newer versions.
    fn subscribe(&mut self, wanted: &[SubscriptionData], property: PropertyFilter) -> bool {
        let mut changed = false;
        for data in wanted {
            match self.subscriptions.get(&data.topic) {
                Some(old) if data.sub_version <= old.data.sub_version => continue,
                Some(_) => {}
                None => changed = true,
            }
            let matcher = Matcher::compile(data, property).map(Arc::new);
            let compiled = Arc::new(Subscription { data: data.clone(), matcher });
            self.subscriptions.insert(Arc::clone(&data.topic), compiled);
        }
        let topics: HashSet<&str> = wanted.iter().map(|data| &*data.topic).collect();
        let before = self.subscriptions.len();
        self.subscriptions.retain(|topic, _| topics.contains(&**topic));
        changed || self.subscriptions.len() != before
    }
}

/// Everything of a registration but the entry.
#[derive(Clone, Copy)]
pub(super) struct Registration<'a> {
    pub(super) now: Millis,
    pub(super) conn: ConnId,
    pub(super) client: &'a Arc<ClientInfo>,
    pub(super) form: HeartbeatForm,
    pub(super) notify: bool,
    pub(super) property: PropertyFilter,
}

#[derive(Debug, Default)]
pub(super) struct Consumers {
    groups: HashMap<Arc<str>, ConsumerGroup>,
    conns: HashMap<ConnId, Vec<Arc<str>>>,
}

impl Consumers {
    pub(super) fn register(
        &mut self,
        limits: &ClientLimits,
        registration: Registration<'_>,
        entry: &ConsumerEntry,
        notices: &mut Vec<Notice>,
    ) -> Result<bool, RegisterError> {
        let Registration { now, conn, client, form, notify, property } = registration;
        if limits.subscriptions_max < entry.subscriptions.len() {
            return Err(RegisterError::Subscriptions { max: limits.subscriptions_max });
        }
        let known = self.groups.get(&entry.group);
        if known.is_none() && limits.groups_max <= self.groups.len() {
            return Err(RegisterError::Groups { max: limits.groups_max });
        }
        let joins = known.is_none_or(|group| !group.members.contains_key(&conn));
        if joins {
            if known.is_some_and(|group| limits.members_max <= group.members.len()) {
                return Err(RegisterError::Members { max: limits.members_max });
            }
            let groups = self.conns.entry(conn).or_default();
            if limits.groups_per_connection_max <= groups.len() {
                let max = limits.groups_per_connection_max;
                return Err(RegisterError::GroupsPerConnection { max });
            }
            groups.push(Arc::clone(&entry.group));
        }
        let group = self.groups.entry(Arc::clone(&entry.group)).or_insert_with(|| ConsumerGroup {
            members: BTreeMap::new(),
            subscriptions: HashMap::new(),
            fingerprint: None,
            notify,
            consume_type: entry.consume_type,
            model: entry.model,
            from_where: entry.from_where,
        });
        group.notify = notify;
        group.consume_type = entry.consume_type;
        group.model = entry.model;
        group.from_where = entry.from_where;

        let member = Member { conn, client: Arc::clone(client), last_seen: now };
        let renamed = group
            .members
            .insert(conn, member)
            .is_some_and(|old| old.client.client_id != client.client_id);
        let resubscribed = match form {
            HeartbeatForm::WithoutSubscriptions { .. } => false,
            HeartbeatForm::V1 | HeartbeatForm::Full { .. } => {
                group.subscribe(&entry.subscriptions, property)
            }
        };
        if joins || renamed || resubscribed {
            notices.extend(group.notice(&entry.group));
        }
        Ok(group.wants_full_form(form))
    }

    pub(super) fn remove(&mut self, conn: ConnId, group: &str, notices: &mut Vec<Notice>) {
        if !self.remove_member(conn, group, notices) {
            return;
        }
        if let Some(groups) = self.conns.get_mut(&conn) {
            groups.retain(|name| &**name != group);
            if groups.is_empty() {
                self.conns.remove(&conn);
            }
        }
    }

    fn remove_member(&mut self, conn: ConnId, group: &str, notices: &mut Vec<Notice>) -> bool {
        let Some((name, state)) = self.groups.get_key_value(group) else { return false };
        if !state.members.contains_key(&conn) {
            return false;
        }
        let name = Arc::clone(name);
        if let Some(state) = self.groups.get_mut(group) {
            state.members.remove(&conn);
            notices.extend(state.notice(&name));
            if state.members.is_empty() {
                self.groups.remove(group);
            }
        }
        true
    }

    pub(super) fn closed(&mut self, conn: ConnId, notices: &mut Vec<Notice>) {
        for group in self.conns.remove(&conn).unwrap_or_default() {
            self.remove_member(conn, &group, notices);
        }
    }

    /// All members count as just seen.
    pub(super) fn seen(&mut self, now: Millis) {
        for member in self.groups.values_mut().flat_map(|group| group.members.values_mut()) {
            member.last_seen = now;
        }
    }

    pub(super) fn expire(
        &mut self,
        before: Millis,
        notices: &mut Vec<Notice>,
        stale: &mut Vec<ConnId>,
    ) {
        let mut gone = Vec::new();
        for (name, group) in &self.groups {
            let old = group.members.values().filter(|member| member.last_seen < before);
            gone.extend(old.map(|member| (member.conn, Arc::clone(name))));
        }
        let first = notices.len();
        for (conn, group) in gone {
            self.remove(conn, &group, notices);
            stale.push(conn);
        }
        // One notice per group is enough, and only the last one names only who is left.
        let mut told = HashSet::new();
        let mut fresh = notices.split_off(first);
        fresh.reverse();
        fresh.retain(|notice| {
            told.insert(Arc::clone(&notice.group)) && self.groups.contains_key(&notice.group)
        });
        notices.append(&mut fresh);
    }

    pub(super) fn get(&self, group: &str) -> Option<&ConsumerGroup> {
        self.groups.get(group)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&Arc<str>, &ConsumerGroup)> {
        self.groups.iter()
    }
}

impl ConsumerGroup {
    /// Whether the client must send its subscriptions again: its fingerprint is not the one of the
    /// table, or there is no table, as after a restart of the broker.
    fn wants_full_form(&mut self, form: HeartbeatForm) -> bool {
        match form {
            HeartbeatForm::V1 => true,
            HeartbeatForm::Full { fingerprint } => {
                let old = self.fingerprint.replace(fingerprint);
                old.is_some_and(|old| old != fingerprint)
            }
            HeartbeatForm::WithoutSubscriptions { fingerprint } => {
                let same = self.fingerprint == Some(fingerprint);
                !same || self.subscriptions.is_empty()
            }
        }
    }
}
