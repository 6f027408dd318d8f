//! The calls of administrators.

mod cluster;
mod group;
mod message;
mod replication;
mod topic;

pub use cluster::{BrokerInfo, ClusterInfo};
pub use group::{GroupClients, GroupMember, QueueProgress, ResetTo};
pub use replication::{Replication, SlaveSeen, Standing, standing};
pub use topic::{QueueStats, TopicSpec, TopicStats};

use crate::client::{Client, answer_header};
use crate::error::CallError;
use rmq_remoting::body::KvTable;
use rmq_remoting::header::{GetKvConfigResponse, GetKvList, KvKey, PutKvConfig};
use rmq_remoting::{ByteStr, Command, code};
use std::collections::BTreeMap;

/// What administrators do. Calls that change something go to every broker or name server
/// concerned, one after the other, and stop at the first that fails.
#[derive(Clone, Debug)]
pub struct Admin {
    client: Client,
}

impl Admin {
    pub(crate) fn new(client: Client) -> Self {
        Self { client }
    }

    /// The client these calls go through.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Entries of a namespace of the name servers' key-value store; none if it does not exist.
    ///
    /// # Errors
    /// As [`Client::ask_name_server`].
    pub async fn kv_list(&self, namespace: &str) -> Result<BTreeMap<String, String>, CallError> {
        let command = Command::request(code::request::GET_KVLIST_BY_NAMESPACE)
            .with_header(&GetKvList { namespace: ByteStr::copy(namespace) });
        match self.client.ask_name_server_body(command).await {
            Ok(table) => Ok(texts(table)),
            Err(error) if error.code() == Some(code::response::QUERY_NOT_FOUND) => {
                Ok(BTreeMap::new())
            }
            Err(error) => Err(error),
        }
    }

    /// One entry; `None` if it does not exist.
    ///
    /// # Errors
    /// As [`Client::ask_name_server`].
    pub async fn kv_get(&self, namespace: &str, key: &str) -> Result<Option<String>, CallError> {
        let command =
            Command::request(code::request::GET_KV_CONFIG).with_header(&kv_key(namespace, key));
        match self.client.ask_name_server(command).await {
            Ok((addr, answer)) => {
                let found: GetKvConfigResponse =
                    answer_header(&addr, code::request::GET_KV_CONFIG, &answer)?;
                Ok(found.value.map(|value| value.as_str().to_owned()))
            }
            Err(error) if error.code() == Some(code::response::QUERY_NOT_FOUND) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Sets one entry on every name server: they do not tell each other.
    ///
    /// # Errors
    /// Of the first name server that fails.
    pub async fn kv_put(&self, namespace: &str, key: &str, value: &str) -> Result<(), CallError> {
        let command = Command::request(code::request::PUT_KV_CONFIG).with_header(&PutKvConfig {
            namespace: ByteStr::copy(namespace),
            key: ByteStr::copy(key),
            value: ByteStr::copy(value),
        });
        self.every_name_server(&command).await
    }

    /// Removes one entry from every name server. A missing one is no error.
    ///
    /// # Errors
    /// Of the first name server that fails.
    pub async fn kv_delete(&self, namespace: &str, key: &str) -> Result<(), CallError> {
        let command =
            Command::request(code::request::DELETE_KV_CONFIG).with_header(&kv_key(namespace, key));
        self.every_name_server(&command).await
    }

    async fn every_name_server(&self, command: &Command) -> Result<(), CallError> {
        for addr in self.client.name_servers().addresses() {
            self.client.ask(addr, command.clone()).await?;
        }
        Ok(())
    }
}

fn kv_key(namespace: &str, key: &str) -> KvKey {
    KvKey { namespace: ByteStr::copy(namespace), key: ByteStr::copy(key) }
}

fn texts(body: KvTable) -> BTreeMap<String, String> {
    body.table.into_iter().map(|(key, value)| (key.to_string(), value)).collect()
}
