//! What brokers ask.

use super::{Answer, NameServer, Refusal, success};
use crate::registration;
use crate::routes::{ConnId, Head, Leaving, Registered};
use crate::{encode, kv};
use rmq_model::DataVersion;
use rmq_model::peer::ProtocolVersion;
use rmq_remoting::body::check_crc;
use rmq_remoting::header::{
    BrokerHeartbeat, GetBrokerMemberGroup, OfBroker, QueryDataVersionResponse, RegisterBroker,
    RegisterBrokerResponse,
};
use rmq_remoting::json;
use rmq_remoting::text::ByteStr;
use rmq_remoting::{Command, HeaderError};
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::Duration;
use tracing::info;

/// Longest time an address may ask to live without news.
const TIMEOUT_MAX: Duration = Duration::from_secs(86_400);

impl NameServer {
    /// 103
    pub(super) fn register_broker(&self, conn: ConnId, command: &Command) -> Answer {
        let header: RegisterBroker = command.decode()?;
        check_crc(&command.body, header.body_crc32).map_err(Refusal::error)?;
        let head = head(&header, conn);
        let print = fingerprint(command);
        let now = self.clock.monotonic();
        // Most registrations say what the last one said: they cost no decoding.
        let repeated = self.tables.write().repeat(now, head, print);
        let done = match repeated {
            Some(done) => {
                self.metrics.repeated.increment();
                done
            }
            None => self.register_anew(now, head, command, print)?,
        };
        Ok(self.registered_answer(done))
    }

    fn register_anew(
        &self,
        now: Duration,
        head: Head<'_>,
        command: &Command,
        print: u64,
    ) -> Result<Registered, Refusal> {
        let table = registration::decode(&command.body, command.version).map_err(Refusal::error)?;
        let topics = table.topics.len();
        let (known, done) = self.change_tables(|tables, out| {
            let known = tables.version(head.cluster, head.addr).is_some();
            (known, tables.register(now, head, table, Some(print), out))
        });
        let done = done.map_err(Refusal::error)?;
        if !known {
            let (broker, id, address) = (head.broker, head.id, head.addr);
            info!(cluster = head.cluster, broker, id, address, topics, "broker registered");
        }
        Ok(done)
    }

    fn registered_answer(&self, done: Registered) -> Command {
        let mut header = RegisterBrokerResponse { ha_server_addr: None, master_addr: None };
        if let Some((addr, ha_addr)) = done.master {
            header.master_addr = Some(ByteStr::copy(&addr));
            header.ha_server_addr = Some(ByteStr::copy(&ha_addr));
        }
        let answer = success().with_header(&header);
        if !self.switches().return_order_config {
            return answer;
        }
        match self.kv().namespace(kv::ORDER_TOPIC_CONFIG) {
            Some(pairs) => answer.with_body(encode::kv_table(pairs)),
            None => answer,
        }
    }

    /// 104
    pub(super) fn unregister_broker(&self, command: &Command) -> Answer {
        let header: OfBroker = command.decode()?;
        let one = Leaving {
            cluster: header.cluster_name.to_arc(),
            broker: header.broker_name.to_arc(),
            addr: header.broker_addr.to_arc(),
        };
        info!(broker = &*one.broker, address = &*one.addr, "broker unregisters");
        self.change_tables(|tables, out| tables.leave(&[one], out));
        Ok(success())
    }

    /// 322: also a sign of life, from old brokers every second.
    pub(super) fn query_data_version(&self, command: &Command) -> Answer {
        let header: OfBroker = command.decode()?;
        let now = self.clock.monotonic();
        let known = {
            let mut tables = self.tables.write();
            tables.refresh(now, &header.cluster_name, &header.broker_addr);
            tables.version(&header.cluster_name, &header.broker_addr)
        };
        if command.is_oneway() {
            return Ok(success());
        }
        let sent: Option<DataVersion> = json::from_slice(&command.body).ok();
        let changed = known.is_none() || known != sent;
        let answer = success().with_header(&QueryDataVersionResponse { changed });
        Ok(match known {
            Some(known) => answer.with_body(json::to_vec(&known)),
            None => answer,
        })
    }

    /// 904
    pub(super) fn broker_heartbeat(&self, command: &Command) -> Answer {
        let header: BrokerHeartbeat = command.decode()?;
        let now = self.clock.monotonic();
        self.tables.write().refresh(now, &header.cluster_name, &header.broker_addr);
        Ok(success())
    }

    /// 217
    pub(super) fn register_topic(&self, command: &Command) -> Answer {
        let topic = command.ext.text("topic").filter(|topic| !topic.is_empty());
        let topic = topic.ok_or(HeaderError::Missing { field: "topic" })?;
        let entries = registration::decode_queue_datas(&command.body).map_err(Refusal::error)?;
        self.change_tables(|tables, out| tables.put_topic(&topic, entries, out));
        Ok(success())
    }

    /// 901
    pub(super) fn member_group(&self, command: &Command) -> Answer {
        let header: GetBrokerMemberGroup = command.decode()?;
        let members = self.tables.read().members(&header.broker_name);
        let addrs = members.map_or_else(BTreeMap::new, |members| members.addrs);
        let body = encode::member_group(&header.cluster_name, &header.broker_name, addrs);
        Ok(success().with_body(body))
    }
}

fn head(header: &RegisterBroker, conn: ConnId) -> Head<'_> {
    let timeout = header.heartbeat_timeout_millis.and_then(|millis| u64::try_from(millis).ok());
    Head {
        cluster: &header.cluster_name,
        broker: &header.broker_name,
        addr: &header.broker_addr,
        ha_addr: &header.ha_server_addr,
        id: header.broker_id,
        timeout: timeout
            .filter(|millis| 0 < *millis)
            .map(|millis| Duration::from_millis(millis).min(TIMEOUT_MAX)),
        acting_master: header.enable_acting_master,
        zone: header.zone_name.as_deref().filter(|zone| !zone.is_empty()),
        conn,
    }
}

/// Member of a JSON body that a Java broker stamps anew each time although nothing has changed. The
/// tables do not use it.
const STAMPED: &[u8] = b"\"mappingDataVersion\":{";
/// Where it is looked for: it comes before the topics.
const STAMPED_WITHIN: usize = 1_024;

/// Stands for the body, without [`STAMPED`], and how it is to be read.
fn fingerprint(command: &Command) -> u64 {
    let mut hasher = DefaultHasher::new();
    let version = command.version;
    (version < ProtocolVersion::V3_0_11, version < ProtocolVersion::V5_0_0).hash(&mut hasher);
    let (before, after) = around_stamp(&command.body);
    hasher.write(before);
    hasher.write(after);
    hasher.finish()
}

/// What comes before the members of the stamp and what comes after them.
fn around_stamp(body: &[u8]) -> (&[u8], &[u8]) {
    let head = body.get(..STAMPED_WITHIN).unwrap_or(body);
    let start = head.windows(STAMPED.len()).position(|part| part == STAMPED);
    let split = start.and_then(|start| {
        let (before, rest) = body.split_at_checked(start + STAMPED.len())?;
        let end = rest.iter().position(|byte| *byte == b'}')?;
        Some((before, rest.get(end..)?))
    });
    split.unwrap_or((body, &[]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stamp_is_left_out() {
        for (body, before, after) in [
            ("{}", "{}", ""),
            (
                r#"{"mappingDataVersion":{"counter":0,"timestamp":17},"x":{}}"#,
                r#"{"mappingDataVersion":{"#,
                r#"},"x":{}}"#,
            ),
            (r#"{"mappingDataVersion":{"counter""#, r#"{"mappingDataVersion":{"counter""#, ""),
            (r#"{"mappingDataVersion":null}"#, r#"{"mappingDataVersion":null}"#, ""),
        ] {
            assert_eq!(around_stamp(body.as_bytes()), (before.as_bytes(), after.as_bytes()));
        }
        let late = format!("{}{}", " ".repeat(STAMPED_WITHIN), r#""mappingDataVersion":{}"#);
        assert_eq!(around_stamp(late.as_bytes()), (late.as_bytes(), &b""[..]));
    }
}
