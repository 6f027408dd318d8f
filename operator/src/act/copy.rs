//! Gives a new broker the topics and groups of another.
//!
//! Both sides are read and compared first, so that doing it again writes nothing. What the system
//! makes for itself is left out, retry and dead-letter topics included: consumers make these.

use super::{Actor, Flow};
use crate::error::Error;
use rmq_client::admin::TopicSpec;
use rmq_client::{Admin, CallError, Client, Config, NameServers};
use rmq_model::group::SubscriptionGroupConfig;
use rmq_model::name;
use rmq_model::topic::TopicConfig;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use tracing::info;

impl Actor<'_> {
    pub(super) async fn copy_metadata(&self, from: &str, to: &str) -> Result<Flow, Error> {
        let source = self.admin_address(from)?.to_string();
        let target = self.admin_address(to)?.to_string();
        let failed = |error: CallError| Error::Broker {
            tried: format!("copy topics and groups from {from} to {to}"),
            reason: format!("{:#}", anyhow::Error::from(error)),
        };
        // Every call names its broker; the list is only there because a client needs one.
        let servers: NameServers = source
            .parse()
            .map_err(|error| Error::Bug(format!("{source} is no address: {error}")))?;
        let client = Client::new(Config::new(servers, Arc::clone(&self.context.clock)));
        let admin = client.admin();
        let topics = lacking_topics(
            admin.topic_configs(&source).await.map_err(failed)?,
            &admin.topic_configs(&target).await.map_err(failed)?,
        );
        let groups = lacking_groups(
            admin.group_configs(&source).await.map_err(failed)?,
            &admin.group_configs(&target).await.map_err(failed)?,
        );
        if !topics.is_empty() || !groups.is_empty() {
            let (topics, groups) = (topics.len(), groups.len());
            info!(cluster = %self.key, from, to, topics, groups, "copying topics and groups");
        }
        write(&admin, &target, topics, groups).await.map_err(failed)?;
        Ok(Flow::Next)
    }

    /// Where a broker's administrators call: two below its control port.
    fn admin_address(&self, pod: &str) -> Result<SocketAddr, Error> {
        let (peer, _) = self.reach(pod)?;
        let mut address = peer.address;
        address.set_port(address.port().saturating_sub(2));
        Ok(address)
    }
}

async fn write(
    admin: &Admin,
    target: &str,
    topics: Vec<TopicSpec>,
    groups: Vec<SubscriptionGroupConfig>,
) -> Result<(), CallError> {
    for topic in topics {
        admin.put_topic(target, &topic).await?;
    }
    for group in groups {
        admin.put_group(target, &group).await?;
    }
    Ok(())
}

/// Topics of applications that the target lacks or has otherwise.
fn lacking_topics(
    source: BTreeMap<String, TopicConfig>,
    target: &BTreeMap<String, TopicConfig>,
) -> Vec<TopicSpec> {
    let wanted = source.into_iter().filter(|(topic, config)| {
        !name::is_system_topic(topic)
            && !name::is_retry_topic(topic)
            && !name::is_dlq_topic(topic)
            && target.get(topic) != Some(config)
    });
    wanted
        .map(|(topic, config)| {
            let has = target.get(&topic).map(|known| &known.attributes);
            let attribute_changes = attribute_changes(&config.attributes, has);
            TopicSpec { config, attribute_changes }
        })
        .collect()
}

/// Groups of applications that the target lacks or has otherwise.
fn lacking_groups(
    source: BTreeMap<String, SubscriptionGroupConfig>,
    target: &BTreeMap<String, SubscriptionGroupConfig>,
) -> Vec<SubscriptionGroupConfig> {
    let wanted = source.into_iter().filter(|(group, config)| {
        !name::is_system_group(group) && target.get(group) != Some(config)
    });
    wanted.map(|(_, config)| config).collect()
}

/// What turns the attributes `has` into `wanted`, as the call writes it.
fn attribute_changes(
    wanted: &BTreeMap<String, String>,
    has: Option<&BTreeMap<String, String>>,
) -> String {
    let value_there = |key: &String| has.and_then(|has| has.get(key));
    let set = wanted
        .iter()
        .filter(|(key, value)| value_there(key) != Some(*value))
        .map(|(key, value)| format!("+{key}={value}"));
    let removed = has
        .into_iter()
        .flat_map(BTreeMap::keys)
        .filter(|key| !wanted.contains_key(*key))
        .map(|key| format!("-{key}"));
    set.chain(removed).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;
    use rmq_model::Permission;

    fn topic(name: &str, queues: u32) -> (String, TopicConfig) {
        (name.to_owned(), TopicConfig::new(name, queues, Permission::READ_WRITE))
    }

    #[test]
    fn only_what_is_missing_or_differs_is_written() {
        let source: BTreeMap<_, _> = [
            topic("Same", 4),
            topic("Differs", 8),
            topic("New", 2),
            topic("%RETRY%g", 1),
            topic("%DLQ%g", 1),
            topic("TBW102", 8),
            topic("rmq_sys_wheel_timer", 1),
        ]
        .into();
        let target: BTreeMap<_, _> = [topic("Same", 4), topic("Differs", 4)].into();
        let lacking = lacking_topics(source.clone(), &target);
        let names: Vec<&str> = lacking.iter().map(|spec| &*spec.config.topic_name).collect();
        assert_eq!(names, ["Differs", "New"]);
        assert!(lacking_topics(source.clone(), &source).is_empty(), "a copy lacks nothing");
    }

    #[test]
    fn built_in_groups_are_left_out() {
        let group = |name: &str| (name.to_owned(), SubscriptionGroupConfig::new(name));
        let source: BTreeMap<_, _> =
            [group("orders"), group("TOOLS_CONSUMER"), group("CID_RMQ_SYS_TRANS")].into();
        let lacking = lacking_groups(source.clone(), &BTreeMap::new());
        assert_eq!(lacking.iter().map(|one| &*one.group_name).collect::<Vec<_>>(), ["orders"]);
        assert!(lacking_groups(source.clone(), &source).is_empty());
    }

    #[test]
    fn attributes_are_changed_into_those_of_the_source() {
        let map = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
            pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
        };
        let wanted = map(&[("message.type", "FIFO"), ("queue.type", "SimpleCQ")]);
        assert_eq!(attribute_changes(&wanted, None), "+message.type=FIFO,+queue.type=SimpleCQ");
        let has = map(&[("message.type", "NORMAL"), ("queue.type", "SimpleCQ"), ("x", "1")]);
        assert_eq!(attribute_changes(&wanted, Some(&has)), "+message.type=FIFO,-x");
        assert_eq!(attribute_changes(&wanted, Some(&wanted)), "");
    }
}
