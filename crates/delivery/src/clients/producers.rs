//! Producer groups.

use super::{ClientInfo, ClientLimits, ConnId, Member, RegisterError};
use rmq_model::Millis;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// Connected producers of one group.
#[derive(Debug, Default)]
pub struct ProducerGroup {
    members: BTreeMap<ConnId, Member>,
}

impl ProducerGroup {
    /// All of them, oldest connection first.
    pub fn members(&self) -> impl ExactSizeIterator<Item = &Member> {
        self.members.values()
    }

    /// One of them; different `turn`s give different ones.
    pub fn pick(&self, turn: usize) -> Option<&Member> {
        let turn = turn.checked_rem(self.members.len())?;
        self.members.values().nth(turn)
    }
}

#[derive(Debug, Default)]
pub(super) struct Producers {
    groups: HashMap<Arc<str>, ProducerGroup>,
    conns: HashMap<ConnId, Vec<Arc<str>>>,
    /// The newest connection of a client id, and how many groups it is in with it.
    clients: HashMap<Arc<str>, ConnId>,
}

impl Producers {
    pub(super) fn register(
        &mut self,
        limits: &ClientLimits,
        now: Millis,
        conn: ConnId,
        client: &Arc<ClientInfo>,
        group: &str,
    ) -> Result<(), RegisterError> {
        if let Some(member) =
            self.groups.get_mut(group).and_then(|group| group.members.get_mut(&conn))
        {
            member.last_seen = now;
            if member.client.client_id == client.client_id {
                return Ok(());
            }
            let old = std::mem::replace(&mut member.client, Arc::clone(client));
            self.forget_client(&old.client_id, conn);
            self.clients.insert(Arc::clone(&client.client_id), conn);
            return Ok(());
        }
        let groups_of_conn = self.conns.get(&conn).map_or(0, Vec::len);
        if limits.groups_per_connection_max <= groups_of_conn {
            let max = limits.groups_per_connection_max;
            return Err(RegisterError::GroupsPerConnection { max });
        }
        let name: Arc<str> = match self.groups.get_key_value(group) {
            Some((_, known)) if limits.members_max <= known.members.len() => {
                return Err(RegisterError::Members { max: limits.members_max });
            }
            Some((name, _)) => Arc::clone(name),
            None if limits.groups_max <= self.groups.len() => {
                return Err(RegisterError::Groups { max: limits.groups_max });
            }
            None => group.into(),
        };
        let member = Member { conn, client: Arc::clone(client), last_seen: now };
        self.groups.entry(Arc::clone(&name)).or_default().members.insert(conn, member);
        self.conns.entry(conn).or_default().push(name);
        self.clients.insert(Arc::clone(&client.client_id), conn);
        Ok(())
    }

    pub(super) fn remove(&mut self, conn: ConnId, group: &str) {
        if self.remove_member(conn, group).is_none() {
            return;
        }
        if let Some(groups) = self.conns.get_mut(&conn) {
            groups.retain(|name| &**name != group);
            if groups.is_empty() {
                self.conns.remove(&conn);
            }
        }
    }

    fn remove_member(&mut self, conn: ConnId, group: &str) -> Option<Member> {
        let state = self.groups.get_mut(group)?;
        let member = state.members.remove(&conn)?;
        if state.members.is_empty() {
            self.groups.remove(group);
        }
        let elsewhere = self
            .conns
            .get(&conn)
            .into_iter()
            .flatten()
            .any(|name| self.groups.get(name).is_some_and(|g| g.members.contains_key(&conn)));
        if !elsewhere {
            self.forget_client(&member.client.client_id, conn);
        }
        Some(member)
    }

    fn forget_client(&mut self, client_id: &str, conn: ConnId) {
        if self.clients.get(client_id) == Some(&conn) {
            self.clients.remove(client_id);
        }
    }

    pub(super) fn closed(&mut self, conn: ConnId) {
        let Some(groups) = self.conns.remove(&conn) else { return };
        for group in groups {
            self.remove_member(conn, &group);
        }
    }

    /// All members count as just seen.
    pub(super) fn seen(&mut self, now: Millis) {
        for member in self.groups.values_mut().flat_map(|group| group.members.values_mut()) {
            member.last_seen = now;
        }
    }

    pub(super) fn expire(&mut self, before: Millis, stale: &mut Vec<ConnId>) {
        let mut gone = Vec::new();
        for (name, group) in &self.groups {
            let old = group.members.values().filter(|member| member.last_seen < before);
            gone.extend(old.map(|member| (member.conn, Arc::clone(name))));
        }
        for (conn, group) in gone {
            self.remove(conn, &group);
            stale.push(conn);
        }
    }

    pub(super) fn get(&self, group: &str) -> Option<&ProducerGroup> {
        self.groups.get(group)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&Arc<str>, &ProducerGroup)> {
        self.groups.iter()
    }

    pub(super) fn by_client_id(&self, client_id: &str) -> Option<ConnId> {
        self.clients.get(client_id).copied()
    }
}
