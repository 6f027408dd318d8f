//! Clusters, brokers and their configuration.

use super::{Admin, Replication, Standing, standing, texts};
use crate::client::not_understood;
use crate::error::CallError;
use crate::route::Broker;
use rmq_remoting::{Command, body, code};
use std::collections::BTreeMap;

/// Every broker that the name server knows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClusterInfo {
    /// Brokers by name.
    pub brokers: BTreeMap<String, Broker>,
    /// Names of the brokers of each cluster.
    pub clusters: BTreeMap<String, Vec<String>>,
}

/// One broker process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerInfo {
    /// Cluster.
    pub cluster: String,
    /// Broker name.
    pub name: String,
    /// Broker id; 0 is the master.
    pub id: i64,
    /// Where it listens.
    pub address: String,
    /// Its runtime values, or why it did not tell them.
    pub runtime: Result<BTreeMap<String, String>, String>,
    /// How it stands in its group; `None` if it does not say.
    pub standing: Option<Standing>,
}

impl ClusterInfo {
    /// Name and address of the masters of `cluster`, or of all clusters.
    ///
    /// # Errors
    /// [`CallError::Unknown`] if there is no such cluster, [`CallError::NoBroker`] if there is none.
    pub fn masters(&self, cluster: Option<&str>) -> Result<Vec<(String, String)>, CallError> {
        let wanted = |broker: &Broker| cluster.is_none_or(|name| broker.cluster == name);
        let masters: Vec<_> = self
            .brokers
            .iter()
            .filter(|(_, broker)| wanted(broker))
            .filter_map(|(name, broker)| Some((name.clone(), broker.master()?.to_owned())))
            .collect();
        match cluster {
            _ if !masters.is_empty() => Ok(masters),
            None => Err(CallError::NoBroker),
            Some(name) => Err(CallError::Unknown {
                what: "cluster",
                name: name.to_owned(),
                known: self.clusters.keys().cloned().collect(),
            }),
        }
    }

    /// Address of the master of broker `name`; `host:port` stands for itself.
    ///
    /// # Errors
    /// [`CallError::Unknown`].
    pub fn broker_address(&self, name: &str) -> Result<String, CallError> {
        if name.contains(':') {
            return Ok(name.to_owned());
        }
        let master = self.brokers.get(name).and_then(Broker::master);
        master.map(str::to_owned).ok_or_else(|| CallError::Unknown {
            what: "broker",
            name: name.to_owned(),
            known: self.brokers.keys().cloned().collect(),
        })
    }
}

impl Admin {
    /// All clusters and brokers.
    ///
    /// # Errors
    /// As [`crate::Client::ask_name_server`].
    pub async fn cluster_info(&self) -> Result<ClusterInfo, CallError> {
        let command = Command::request(code::request::GET_BROKER_CLUSTER_INFO);
        let info: body::ClusterInfo = self.client.ask_name_server_body(command).await?;
        let brokers = info.broker_addr_table.into_iter();
        let clusters = info.cluster_addr_table.into_iter().map(|(name, brokers)| {
            (name.to_string(), brokers.iter().map(|broker| broker.to_string()).collect())
        });
        Ok(ClusterInfo {
            brokers: brokers.map(|(name, data)| (name.to_string(), data.into())).collect(),
            clusters: clusters.collect(),
        })
    }

    /// Every broker process with its runtime values. One that does not answer is in the list with
    /// the reason.
    ///
    /// # Errors
    /// As [`crate::Client::ask_name_server`].
    pub async fn brokers(&self, cluster: Option<&str>) -> Result<Vec<BrokerInfo>, CallError> {
        let info = self.cluster_info().await?;
        if let Some(name) = cluster {
            info.masters(Some(name)).map(|_masters| ())?;
        }
        let mut found = Vec::new();
        for (name, broker) in &info.brokers {
            if cluster.is_some_and(|wanted| wanted != broker.cluster) {
                continue;
            }
            let mut group: Vec<(i64, Replication)> = Vec::new();
            for (id, address) in &broker.addresses {
                if let Ok(says) = self.replication(address).await {
                    group.push((*id, says));
                }
            }
            for (id, address) in &broker.addresses {
                let runtime = self.runtime(address).await;
                found.push(BrokerInfo {
                    cluster: broker.cluster.clone(),
                    name: name.clone(),
                    id: *id,
                    address: address.clone(),
                    runtime: runtime.map_err(|error| crate::client::chain(&error)),
                    standing: standing(&group, *id),
                });
            }
        }
        found.sort_by(|a, b| (&a.cluster, &a.name, a.id).cmp(&(&b.cluster, &b.name, b.id)));
        Ok(found)
    }

    /// Runtime values of the broker at `addr`.
    ///
    /// # Errors
    /// As [`crate::Client::ask`].
    pub async fn runtime(&self, addr: &str) -> Result<BTreeMap<String, String>, CallError> {
        let command = Command::request(code::request::GET_BROKER_RUNTIME_INFO);
        Ok(texts(self.client.ask_body(addr, command).await?))
    }

    /// Configuration of the broker at `addr`, by property name.
    ///
    /// # Errors
    /// As [`crate::Client::ask`].
    pub async fn broker_config(&self, addr: &str) -> Result<BTreeMap<String, String>, CallError> {
        const REQUEST: i32 = code::request::GET_BROKER_CONFIG;
        let answer = self.client.ask(addr, Command::request(REQUEST)).await?;
        let text = std::str::from_utf8(&answer.body)
            .map_err(|error| not_understood(addr, REQUEST, error.to_string()))?;
        Ok(properties(text))
    }

    /// Changes settings of the broker at `addr` while it runs.
    ///
    /// # Errors
    /// As [`crate::Client::ask`]; [`CallError::Argument`] for what a properties text cannot hold.
    pub async fn update_broker_config(
        &self,
        addr: &str,
        settings: &[(String, String)],
    ) -> Result<(), CallError> {
        let body = properties_text(settings)?;
        let command = Command::request(code::request::UPDATE_BROKER_CONFIG).with_body(body);
        self.client.ask(addr, command).await.map(|_answer| ())
    }
}

/// `key=value` lines as brokers print them, without escapes.
fn properties(text: &str) -> BTreeMap<String, String> {
    let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
    let pairs = lines.filter_map(|line| line.split_once('='));
    pairs.map(|(key, value)| (key.trim().to_owned(), value.trim().to_owned())).collect()
}

/// `key=value` lines as brokers read them: a backslash escapes.
fn properties_text(settings: &[(String, String)]) -> Result<Vec<u8>, CallError> {
    let mut text = String::new();
    for (key, value) in settings {
        let key_is_clean =
            !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c));
        if !key_is_clean || value.contains(['\n', '\r']) {
            let reason = format!("{key:?} = {value:?} is not a setting");
            return Err(CallError::Argument(reason));
        }
        text.push_str(key);
        text.push('=');
        text.push_str(&value.replace('\\', "\\\\"));
        text.push('\n');
    }
    Ok(text.into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties_texts() {
        let read = properties("a=1\n# no\n b = x=y \njunk\nempty=\n");
        let want = [("a", "1"), ("b", "x=y"), ("empty", "")];
        let want: BTreeMap<_, _> =
            want.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        assert_eq!(read, want);
        let pair = |k: &str, v: &str| [(k.to_owned(), v.to_owned())];
        assert_eq!(properties_text(&pair("k", r"c:\x")).unwrap(), b"k=c:\\\\x\n");
        assert!(properties_text(&pair("k", "a\nb=1")).is_err());
        assert!(properties_text(&pair("k=1\nx", "")).is_err());
        assert!(properties_text(&pair("", "1")).is_err());
    }

    #[test]
    fn masters_by_cluster() {
        let broker = |cluster: &str, id| Broker {
            cluster: cluster.to_owned(),
            addresses: [(id, "h:1".to_owned())].into(),
        };
        let info = ClusterInfo {
            brokers: [
                ("a".to_owned(), broker("C", 0)),
                ("b".to_owned(), broker("D", 0)),
                ("c".to_owned(), broker("D", 1)),
            ]
            .into(),
            clusters: [("C".to_owned(), vec![]), ("D".to_owned(), vec![])].into(),
        };
        let names = |cluster| {
            let masters = info.masters(cluster)?;
            Ok(masters.into_iter().map(|(name, _)| name).collect::<Vec<_>>())
        };
        let names = |cluster| names(cluster).map_err(|error: CallError| error.to_string());
        assert_eq!(names(None).unwrap(), ["a", "b"]);
        assert_eq!(names(Some("D")).unwrap(), ["b"]);
        assert_eq!(names(Some("X")).unwrap_err(), "no running cluster is named X (there is C, D)");
        assert_eq!(info.broker_address("b").unwrap(), "h:1");
        assert_eq!(info.broker_address("10.0.0.1:10911").unwrap(), "10.0.0.1:10911");
        assert!(info.broker_address("c").is_err());
    }
}
