//! What administrators ask.

use super::{Answer, Change, NameServer, Refusal, success};
use crate::encode;
use rmq_host::properties;
use rmq_remoting::Command;
use rmq_remoting::code::{request, response};
use rmq_remoting::header::{
    AddWritePermResponse, BrokerName, DeleteTopicInNameServer, GetKvConfigResponse, GetKvList,
    KvKey, PutKvConfig, WipeWritePermResponse,
};
use rmq_remoting::text::ByteStr;
use tracing::info;

impl NameServer {
    /// 205
    pub(super) fn wipe_write_perm(&self, command: &Command) -> Answer {
        let header: BrokerName = command.decode()?;
        let count = self.change_tables(|tables, out| tables.wipe_write(&header.broker_name, out));
        info!(broker = &*header.broker_name, topics = count, "write permission wiped");
        let wipe_topic_count = i32::try_from(count).unwrap_or(i32::MAX);
        Ok(success().with_header(&WipeWritePermResponse { wipe_topic_count }))
    }

    /// 327
    pub(super) fn add_write_perm(&self, command: &Command) -> Answer {
        let header: BrokerName = command.decode()?;
        let count = self.change_tables(|tables, out| tables.add_write(&header.broker_name, out));
        info!(broker = &*header.broker_name, topics = count, "write permission added");
        let add_topic_count = i32::try_from(count).unwrap_or(i32::MAX);
        Ok(success().with_header(&AddWritePermResponse { add_topic_count }))
    }

    /// 216
    pub(super) fn delete_topic(&self, command: &Command) -> Answer {
        let header: DeleteTopicInNameServer = command.decode()?;
        let cluster = header.cluster_name.as_deref().filter(|cluster| !cluster.is_empty());
        let now = self.clock.monotonic();
        self.change_tables(|tables, out| tables.delete_topic(now, &header.topic, cluster, out));
        info!(topic = &*header.topic, cluster, "topic deleted");
        Ok(success())
    }

    /// 101
    pub(super) fn get_kv(&self, command: &Command) -> Answer {
        let KvKey { namespace, key } = command.decode()?;
        match self.kv().get(&namespace, &key) {
            Some(value) => {
                let value = Some(ByteStr::copy(value));
                Ok(success().with_header(&GetKvConfigResponse { value }))
            }
            None => Err(Refusal::new(
                response::QUERY_NOT_FOUND,
                format!("No config item, Namespace: {namespace} Key: {key}"),
            )),
        }
    }

    /// 219
    pub(super) fn list_kv(&self, command: &Command) -> Answer {
        let GetKvList { namespace } = command.decode()?;
        match self.kv().namespace(&namespace) {
            Some(pairs) => Ok(success().with_body(encode::kv_table(pairs))),
            None => Err(Refusal::new(
                response::QUERY_NOT_FOUND,
                format!("No config item, Namespace: {namespace}"),
            )),
        }
    }

    /// 319
    pub(super) fn get_config(&self) -> Answer {
        let in_use = self.in_use.load();
        let pairs = in_use.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        Ok(success().with_body(properties::write(pairs).into_bytes()))
    }

    /// 100, 102, 318; `None` when there is nothing to do.
    pub(super) fn change(&self, command: &Command) -> Result<Option<Change>, Refusal> {
        match command.code {
            request::PUT_KV_CONFIG => {
                let PutKvConfig { namespace, key, value } = command.decode()?;
                let [namespace, key, value] = [namespace, key, value].map(|t| t.to_string());
                Ok(Some(Change::Kv { namespace, key, value: Some(value) }))
            }
            request::DELETE_KV_CONFIG => {
                let KvKey { namespace, key } = command.decode()?;
                if self.kv().get(&namespace, &key).is_none() {
                    return Ok(None);
                }
                let [namespace, key] = [namespace, key].map(|t| t.to_string());
                Ok(Some(Change::Kv { namespace, key, value: None }))
            }
            _ => {
                let empty = command.body.is_empty();
                Ok((!empty).then(|| Change::Settings(command.body.clone())))
            }
        }
    }
}
