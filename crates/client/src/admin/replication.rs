//! How masters and slaves stand, as they say themselves (request 907).

use super::Admin;
use crate::error::CallError;
use rmq_remoting::body::HaRuntimeInfo;
use rmq_remoting::{Command, code};
use std::time::Duration;

/// What one broker says of replication.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Replication {
    /// Others copy its log.
    Master {
        /// Copies in sync, its own included.
        in_sync: i64,
        /// Its slaves that are connected.
        slaves: Vec<SlaveSeen>,
    },
    /// It copies a log.
    Slave {
        /// Whether it does so at present; `None` if it does not say (Java).
        following: Option<bool>,
        /// Bytes it lacks of what it knows of its master.
        lag_bytes: i64,
    },
}

/// A slave as its master sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlaveSeen {
    /// Its `brokerId`; `None` when it does not say (Java).
    pub broker_id: Option<i64>,
    /// Whether it counts for acknowledgements.
    pub in_sync: bool,
    /// Bytes it lacks.
    pub lag_bytes: i64,
    /// Since when it has lacked something; `None` when the master does not say.
    pub lag: Option<Duration>,
}

/// One broker among the others of its group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Whether others copy its log.
    pub master: bool,
    /// Copies in sync, its own included; only of a master.
    pub in_sync_copies: Option<i64>,
    /// Whether it is in sync; `None` for a slave whose master does not say.
    pub in_sync: Option<bool>,
    /// Whether a slave copies at present; `None` if unknown.
    pub following: Option<bool>,
    /// Bytes it lacks.
    pub lag_bytes: i64,
    /// Since when it has lacked something.
    pub lag: Option<Duration>,
}

impl From<HaRuntimeInfo> for Replication {
    fn from(info: HaRuntimeInfo) -> Self {
        if !info.master {
            let own = info.ha_client_runtime_info;
            let end = info.master_commit_log_max_offset.max(own.master_flush_offset);
            let lag_bytes = end.saturating_sub(own.max_offset).max(0);
            return Self::Slave { following: own.following, lag_bytes };
        }
        let slaves = info.ha_connection_info.into_iter().map(|one| SlaveSeen {
            broker_id: one.broker_id,
            in_sync: one.in_sync,
            lag_bytes: one.diff.max(0),
            lag: one.lag_ms.and_then(|ms| u64::try_from(ms).ok()).map(Duration::from_millis),
        });
        let in_sync = i64::from(info.in_sync_slave_nums).saturating_add(1);
        Self::Master { in_sync, slaves: slaves.collect() }
    }
}

/// Puts together what the brokers of one group, each with its id, say of one another: how the one
/// with id `id` stands. `None` if it says nothing itself.
pub fn standing(group: &[(i64, Replication)], id: i64) -> Option<Standing> {
    let (_, own) = group.iter().find(|(known, _)| *known == id)?;
    match own {
        Replication::Master { in_sync, .. } => Some(Standing {
            master: true,
            in_sync_copies: Some(*in_sync),
            in_sync: Some(true),
            following: None,
            lag_bytes: 0,
            lag: None,
        }),
        Replication::Slave { following, lag_bytes } => {
            let seen = group.iter().find_map(|(_, other)| match other {
                Replication::Master { slaves, .. } => {
                    let of = |slave: &&SlaveSeen| slave.broker_id == Some(id);
                    // The only one is that one, whatever it says.
                    let only = || {
                        slaves.first().filter(|one| slaves.len() == 1 && one.broker_id.is_none())
                    };
                    Some(slaves.iter().find(of).or_else(only))
                }
                Replication::Slave { .. } => None,
            });
            Some(Standing {
                master: false,
                in_sync_copies: None,
                // A master that does not know it does not count it.
                in_sync: seen.map(|slave| slave.is_some_and(|slave| slave.in_sync)),
                following: *following,
                lag_bytes: seen.flatten().map_or(*lag_bytes, |slave| slave.lag_bytes),
                lag: seen.flatten().and_then(|slave| slave.lag),
            })
        }
    }
}

impl Admin {
    /// What the broker at `addr` says of replication.
    ///
    /// # Errors
    /// As [`crate::Client::ask`].
    pub async fn replication(&self, addr: &str) -> Result<Replication, CallError> {
        let command = Command::request(code::request::GET_BROKER_HA_STATUS);
        let info: HaRuntimeInfo = self.client.ask_body(addr, command).await?;
        Ok(info.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn says(value: Value) -> Replication {
        serde_json::from_value::<HaRuntimeInfo>(value).unwrap().into()
    }

    fn master() -> Replication {
        says(json!({
            "master": true, "masterCommitLogMaxOffset": 900, "inSyncSlaveNums": 1,
            "haConnectionInfo": [
                {"addr": "h:1", "diff": 0, "inSync": true, "brokerId": 1, "lagMs": 0},
                {"addr": "h:2", "diff": 70, "inSync": false, "brokerId": 2, "lagMs": 1500},
            ],
        }))
    }

    fn slave(own_end: i64) -> Replication {
        says(json!({
            "master": false, "masterCommitLogMaxOffset": 900, "haConnectionInfo": [],
            "haClientRuntimeInfo": {"maxOffset": own_end, "masterFlushOffset": 880, "following": true},
        }))
    }

    #[test]
    fn slaves_stand_as_their_master_sees_them() {
        let group = [(0, master()), (1, slave(900)), (2, slave(850)), (3, slave(0))];
        let facts = |id| {
            let of = standing(&group, id).unwrap();
            (of.in_sync_copies, of.in_sync, of.lag_bytes, of.lag.map(|lag| lag.as_millis()))
        };
        assert_eq!(facts(0), (Some(2), Some(true), 0, None));
        assert_eq!(facts(1), (None, Some(true), 0, Some(0)));
        assert_eq!(facts(2), (None, Some(false), 70, Some(1500)));
        assert_eq!(facts(3), (None, Some(false), 900, None), "the master does not know it");
        assert_eq!(standing(&group, 4), None);
    }

    #[test]
    fn without_a_master_a_slave_stands_as_it_says() {
        let group = [(1, slave(850))];
        let of = standing(&group, 1).unwrap();
        assert_eq!((of.in_sync, of.following, of.lag_bytes), (None, Some(true), 50));
    }

    #[test]
    fn a_java_master_does_not_name_its_only_slave() {
        let value = json!({"master": true, "inSyncSlaveNums": 1, "haConnectionInfo": [
            {"addr": "h:1", "diff": 5, "inSync": true, "slaveAckOffset": 9}]});
        let group = [(0, says(value)), (1, slave(900))];
        let of = standing(&group, 1).unwrap();
        assert_eq!((of.in_sync, of.lag_bytes, of.lag), (Some(true), 5, None));
    }
}
