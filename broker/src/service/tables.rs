//! The forms of the files under `config/`, written as RocketMQ reads them and read tolerantly.
//!
//! Source: RocketMQ 5.3 `TopicConfigManager`, `SubscriptionGroupManager`, `ConsumerOffsetManager`,
//! `ScheduleMessageService`, `MessageRequestModeManager`: `encode` and `decode`.

use rmq_delivery::groups::GroupSnapshot;
use rmq_delivery::offsets::OffsetTable;
use rmq_delivery::topics::TopicSnapshot;
use rmq_model::DataVersion;
use rmq_model::group::SubscriptionGroupConfig;
use rmq_model::topic::TopicConfig;
use rmq_remoting::json;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;

/// Why a table cannot be loaded. Neither the file nor its backup will do.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file system refuses.
    #[error("cannot read {path}")]
    Io {
        /// File.
        path: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Something is there that this broker cannot read.
    #[error("{path}: {reason}")]
    Content {
        /// File.
        path: String,
        /// What is wrong.
        reason: String,
    },
}

/// `topics.json`
#[derive(Clone, Debug, Default)]
pub struct StoredTopics {
    /// Topics.
    pub topics: Vec<TopicConfig>,
    /// Version of the table.
    pub version: DataVersion,
}

/// A group, and bits of what it must not do by topic.
pub type ForbiddenTopics = (Arc<str>, BTreeMap<Arc<str>, i32>);

/// `subscriptionGroup.json`
#[derive(Clone, Debug, Default)]
pub struct StoredGroups {
    /// Groups.
    pub groups: Vec<SubscriptionGroupConfig>,
    /// Group, topic and bits of what is forbidden.
    pub forbidden: Vec<ForbiddenTopics>,
    /// Version of the table.
    pub version: DataVersion,
}

/// `consumerOffset.json`
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct StoredOffsets {
    /// Version of the table.
    pub data_version: DataVersion,
    /// `topic@group` to queue to offset.
    pub offset_table: OffsetTable,
}

/// `delayOffset.json`
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct StoredDelays {
    /// Version of the table.
    pub data_version: DataVersion,
    /// Level to the next queue offset.
    pub offset_table: BTreeMap<u32, i64>,
}

/// One entry of `messageRequestMode.json`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RequestMode {
    /// Group.
    pub consumer_group: String,
    /// `PULL` or `POP`.
    pub mode: String,
    /// Queues shared between POP consumers.
    pub pop_share_queue_num: i32,
    /// Topic.
    pub topic: String,
}

/// `messageRequestMode.json`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RequestModes {
    /// Topic to group to mode.
    pub message_request_mode_map: BTreeMap<String, BTreeMap<String, RequestMode>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TopicsFile<'a> {
    data_version: DataVersion,
    topic_config_table: BTreeMap<&'a str, &'a TopicConfig>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct GroupsFile<'a> {
    data_version: DataVersion,
    forbidden_table: BTreeMap<&'a str, &'a BTreeMap<Arc<str>, i32>>,
    subscription_group_table: BTreeMap<&'a str, &'a SubscriptionGroupConfig>,
}

/// Content of `topics.json`.
pub fn topics_json(table: &TopicSnapshot) -> Vec<u8> {
    let topic_config_table = table.iter().map(|topic| (&*topic.topic_name, &**topic)).collect();
    pretty(&TopicsFile { data_version: table.version(), topic_config_table })
}

/// Content of `subscriptionGroup.json`.
pub fn groups_json(table: &GroupSnapshot) -> Vec<u8> {
    pretty(&GroupsFile {
        data_version: table.version(),
        forbidden_table: table.forbidden().map(|(group, topics)| (&**group, topics)).collect(),
        subscription_group_table: table.iter().map(|g| (&*g.group_name, &**g)).collect(),
    })
}

/// Any of the tables that serialise as they are.
pub fn pretty(table: &impl Serialize) -> Vec<u8> {
    // Maps with text or number keys and plain members always serialise.
    serde_json::to_vec_pretty(table).unwrap_or_default()
}

/// Reads a file or its backup; `None` when neither is there.
///
/// # Errors
/// [`LoadError`] when something is there that cannot be read: starting with an empty table would
/// overwrite it.
pub fn load<T>(
    path: &Path,
    read: impl Fn(&[u8]) -> Result<T, String>,
) -> Result<Option<T>, LoadError> {
    let mut wrong = None;
    let loaded = rmq_store::durable::load_or_backup(path, |bytes| match read(bytes) {
        Ok(table) => Some(table),
        Err(reason) => {
            wrong.get_or_insert(reason);
            None
        }
    });
    let name = path.display().to_string();
    match (loaded, wrong) {
        (Ok(Some(table)), Some(reason)) => {
            tracing::warn!(path = name, reason, "took the backup of a table");
            Ok(Some(table))
        }
        (Ok(table), None) => Ok(table),
        (Ok(None) | Err(_), Some(reason)) => Err(LoadError::Content { path: name, reason }),
        (Err(source), None) => Err(LoadError::Io { path: name, source }),
    }
}

/// Reads `topics.json`.
///
/// # Errors
/// What is wrong with it, in words.
pub fn read_topics(bytes: &[u8]) -> Result<StoredTopics, String> {
    let file = object(bytes)?;
    let mut topics = Vec::new();
    for (name, value) in members(&file, "topicConfigTable") {
        let mut topic: TopicConfig = typed(name, value)?;
        if topic.topic_name.is_empty() {
            topic.topic_name = name.into();
        }
        topics.push(topic);
    }
    Ok(StoredTopics { topics, version: version(&file)? })
}

/// Reads `subscriptionGroup.json`.
///
/// # Errors
/// What is wrong with it, in words.
pub fn read_groups(bytes: &[u8]) -> Result<StoredGroups, String> {
    let file = object(bytes)?;
    let mut groups = Vec::new();
    for (name, value) in members(&file, "subscriptionGroupTable") {
        let mut group: SubscriptionGroupConfig = typed(name, value)?;
        if group.group_name.is_empty() {
            group.group_name = name.into();
        }
        groups.push(group);
    }
    let mut forbidden = Vec::new();
    for (name, value) in members(&file, "forbiddenTable") {
        forbidden.push((Arc::from(name), typed(name, value)?));
    }
    Ok(StoredGroups { groups, forbidden, version: version(&file)? })
}

/// Reads a table that deserialises as it is.
///
/// # Errors
/// What is wrong with it, in words.
pub fn read_plain<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    json::from_slice(bytes).map_err(|error| error.to_string())
}

fn object(bytes: &[u8]) -> Result<Value, String> {
    let value = json::to_value(bytes).map_err(|error| error.to_string())?;
    if value.is_object() { Ok(value) } else { Err("is no JSON object".into()) }
}

fn members<'a>(file: &'a Value, name: &str) -> impl Iterator<Item = (&'a str, &'a Value)> {
    let table = file.get(name).and_then(Value::as_object);
    table.into_iter().flatten().map(|(key, value)| (key.as_str(), value))
}

fn typed<T: DeserializeOwned>(name: &str, value: &Value) -> Result<T, String> {
    T::deserialize(value).map_err(|error| format!("{name}: {error}"))
}

fn version(file: &Value) -> Result<DataVersion, String> {
    file.get("dataVersion").map_or(Ok(DataVersion::default()), |value| typed("dataVersion", value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rmq_delivery::topics::BuiltIn;
    use rmq_delivery::{Groups, Topics};

    const TOPICS: &str = r#"{
	"dataVersion":{"counter":12,"stateVersion":0,"timestamp":1700000000000},
	"topicConfigTable":{
		"OrderTopic":{
			"attributes":{"message.type":"FIFO"},
			"order":false,
			"perm":6,
			"readQueueNums":8,
			"topicFilterType":"SINGLE_TAG",
			"topicName":"OrderTopic",
			"topicSysFlag":0,
			"writeQueueNums":8,
			"fromTheFuture":[1]
		}
	}
}"#;

    const GROUPS: &str = r#"{
	"dataVersion":{"counter":3,"stateVersion":0,"timestamp":1700000000000},
	"forbiddenTable":{"GroupA":{"OrderTopic":4}},
	"subscriptionGroupTable":{
		"GroupA":{"consumeEnable":false,"groupName":"GroupA","retryMaxTimes":3,
			"groupRetryPolicy":{"type":"CUSTOMIZED"}}
	}
}"#;

    #[test]
    fn topics_of_the_reference_are_read_and_written_back() {
        let stored = read_topics(TOPICS.as_bytes()).expect("well-formed");
        assert_eq!(stored.version.counter, 12);
        assert_eq!(stored.topics.len(), 1);
        let topics = Topics::new(BuiltIn::new("C", "b"), stored.topics.clone(), stored.version);
        let again = read_topics(&topics_json(&topics.snapshot())).expect("our own");
        assert_eq!(again.version, stored.version);
        assert!(again.topics.contains(&stored.topics[0]));
        assert_eq!(again.topics.len(), topics.snapshot().iter().len());
    }

    #[test]
    fn groups_of_the_reference_are_read_and_written_back() {
        let stored = read_groups(GROUPS.as_bytes()).expect("well-formed");
        assert!(!stored.groups[0].consume_enable);
        assert_eq!(stored.groups[0].retry_max_times, 3);
        let groups = Groups::new(true, stored.groups.clone(), stored.forbidden, stored.version);
        assert!(groups.snapshot().read_forbidden("GroupA", "OrderTopic"));
        let again = read_groups(&groups_json(&groups.snapshot())).expect("our own");
        assert!(again.groups.contains(&stored.groups[0]));
        assert_eq!(again.forbidden.len(), 1);
    }

    #[test]
    fn unquoted_number_keys_are_read() {
        let offsets: StoredOffsets = read_plain(
            br#"{"dataVersion":{"counter":1,"stateVersion":0,"timestamp":1},"groupTopicMap":{},
                "offsetTable":{"T@G":{0:120,1:118},"%RETRY%G@G":{0:4}}}"#,
        )
        .expect("well-formed");
        assert_eq!(offsets.offset_table["T@G"], BTreeMap::from([(0, 120), (1, 118)]));
        let delays: StoredDelays =
            read_plain(br#"{"dataVersion":{"counter":2},"offsetTable":{1:15,18:7}}"#).unwrap();
        assert_eq!(delays.offset_table, BTreeMap::from([(1, 15), (18, 7)]));
        let again: StoredDelays = read_plain(&pretty(&delays)).unwrap();
        assert_eq!(again.offset_table, delays.offset_table);
    }

    #[test]
    fn a_broken_file_gives_way_to_its_backup_but_never_to_nothing() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("topics.json");
        assert!(load(&path, read_topics).expect("nothing there").is_none());
        rmq_host::durable::replace(&path, b"{\"topicConfigTable\":").expect("writable");
        let error = load(&path, read_topics).expect_err("no backup");
        assert!(error.to_string().contains("topics.json"), "{error}");
        let backup = folder.path().join("topics.json.bak");
        rmq_host::durable::replace(&backup, TOPICS.as_bytes()).expect("writable");
        assert_eq!(load(&path, read_topics).expect("the backup").map(|t| t.topics.len()), Some(1));
    }
}
