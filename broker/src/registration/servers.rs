//! What each name server still has to be told: a plain value without sockets.

use std::collections::{BTreeSet, HashMap};
use std::net::SocketAddr;
use std::sync::Arc;

/// Changed topics beyond this many are told as the whole table.
const CHANGED_MAX: usize = 200;

/// What one name server does not know yet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Due {
    /// It is up to date.
    #[default]
    Nothing,
    /// Only these topics changed since it was told everything.
    Topics(BTreeSet<Arc<str>>),
    /// Everything.
    All,
}

impl Due {
    fn add(&mut self, topics: &[Arc<str>]) {
        match self {
            Self::All => {}
            Self::Topics(known) if known.len() + topics.len() <= CHANGED_MAX => {
                known.extend(topics.iter().cloned());
            }
            Self::Nothing if topics.len() <= CHANGED_MAX => {
                *self = Self::Topics(topics.iter().cloned().collect());
            }
            Self::Topics(_) | Self::Nothing => *self = Self::All,
        }
    }
}

/// What taking over a list of addresses changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resolved {
    /// New ones.
    pub fresh: Vec<SocketAddr>,
    /// Some are name servers no more.
    pub gone: bool,
}

/// The name servers by address and what is due to each.
#[derive(Debug, Default)]
pub struct Servers {
    due: HashMap<SocketAddr, Due>,
}

impl Servers {
    /// Takes over the addresses that the configured names stand for now: new ones are due
    /// everything, gone ones are forgotten.
    ///
    /// An empty list changes nothing: a resolver that is down is no reason to forget anybody.
    pub fn resolved(&mut self, now: &BTreeSet<SocketAddr>) -> Resolved {
        if now.is_empty() {
            return Resolved::default();
        }
        let before = self.due.len();
        self.due.retain(|address, _| now.contains(address));
        let gone = self.due.len() < before;
        let fresh: Vec<_> = now.iter().filter(|a| !self.due.contains_key(a)).copied().collect();
        for address in &fresh {
            self.due.insert(*address, Due::All);
        }
        Resolved { fresh, gone }
    }

    /// Topics were made or changed.
    pub fn changed(&mut self, topics: &[Arc<str>]) {
        for due in self.due.values_mut() {
            due.add(topics);
        }
    }

    /// Everything is to be told again: the period is over, or the broker's permission changed.
    pub fn all_due(&mut self) {
        for due in self.due.values_mut() {
            *due = Due::All;
        }
    }

    /// What `address` is to be told now; `None` when it is no name server any more.
    pub fn take(&mut self, address: SocketAddr) -> Option<Due> {
        self.due.get_mut(&address).map(std::mem::take)
    }

    /// Telling `address` failed, or its connection was lost: it may have forgotten everything.
    pub fn lost(&mut self, address: SocketAddr) {
        if let Some(due) = self.due.get_mut(&address) {
            *due = Due::All;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(last: u8) -> SocketAddr {
        SocketAddr::from(([10, 0, 0, last], 9_876))
    }

    fn names(names: &[&str]) -> Vec<Arc<str>> {
        names.iter().map(|name| Arc::from(*name)).collect()
    }

    #[test]
    fn new_servers_are_told_everything_and_then_only_changes() {
        let mut servers = Servers::default();
        assert_eq!(servers.resolved(&BTreeSet::from([at(1)])).fresh, [at(1)]);
        servers.changed(&names(&["T"]));
        assert_eq!(servers.take(at(1)), Some(Due::All));
        assert_eq!(servers.take(at(1)), Some(Due::Nothing));
        servers.changed(&names(&["T", "U"]));
        servers.changed(&names(&["T", "V"]));
        let want = Due::Topics(names(&["T", "U", "V"]).into_iter().collect());
        assert_eq!(servers.take(at(1)), Some(want));
        servers.lost(at(1));
        assert_eq!(servers.take(at(1)), Some(Due::All));
    }

    #[test]
    fn servers_come_and_go_with_the_names() {
        let mut servers = Servers::default();
        servers.resolved(&BTreeSet::from([at(1), at(2)]));
        servers.take(at(1));
        let want = Resolved { fresh: vec![at(3)], gone: true };
        assert_eq!(servers.resolved(&BTreeSet::from([at(1), at(3)])), want);
        assert_eq!(servers.take(at(2)), None);
        assert_eq!(servers.take(at(1)), Some(Due::Nothing));
        assert_eq!(servers.resolved(&BTreeSet::new()), Resolved::default());
        assert_eq!(servers.take(at(3)), Some(Due::All));
    }

    #[test]
    fn many_changes_become_the_whole_table() {
        let mut servers = Servers::default();
        servers.resolved(&BTreeSet::from([at(1)]));
        servers.take(at(1));
        let many: Vec<Arc<str>> = (0..=CHANGED_MAX).map(|n| format!("T{n}").into()).collect();
        servers.changed(&many);
        assert_eq!(servers.take(at(1)), Some(Due::All));
        servers.all_due();
        assert_eq!(servers.take(at(1)), Some(Due::All));
    }
}
