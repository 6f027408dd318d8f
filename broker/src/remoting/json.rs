//! Members of lenient JSON: numbers in texts, texts in numbers, enums by name or ordinal.

use super::refusal::Refusal;
use rmq_model::MessageQueue;
use rmq_model::client::SubscriptionData;
use rmq_remoting::json;
use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};
use serde_json::Value;
use std::collections::BTreeSet;
use std::sync::Arc;

/// A value whose keys may be queues, which fastjson writes as objects, not as texts of objects.
struct Keyed<'a>(&'a Value);

impl Serialize for Keyed<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Array(list) => serializer.collect_seq(list.iter().map(Keyed)),
            Value::Object(members) => {
                let mut map = serializer.serialize_map(Some(members.len()))?;
                for (key, member) in members {
                    match queue_key(key) {
                        Some(queue) => map.serialize_entry(&queue, &Keyed(member))?,
                        None => map.serialize_entry(key, &Keyed(member))?,
                    }
                }
                map.end()
            }
            plain @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) => {
                plain.serialize(serializer)
            }
        }
    }
}

fn queue_key(key: &str) -> Option<MessageQueue> {
    if key.starts_with('{') { serde_json::from_str(key).ok() } else { None }
}

/// The bytes of a body.
pub(super) fn to_vec(value: &Value) -> Vec<u8> {
    json::to_vec(&Keyed(value))
}

/// The object in a body.
pub(super) fn object(body: &[u8]) -> Result<Value, Refusal> {
    let value = json::to_value(body)?;
    if value.is_object() {
        Ok(value)
    } else {
        Err(Refusal::internal("the body is not as expected: no JSON object"))
    }
}

/// Text; numbers and booleans are turned into it. Empty when absent.
pub(super) fn text(value: &Value, name: &str) -> String {
    plain(value.get(name).unwrap_or(&Value::Null))
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Bool(flag) => flag.to_string(),
        Value::Null | Value::Array(_) | Value::Object(_) => String::new(),
    }
}

/// A text that must be there.
pub(super) fn required(value: &Value, name: &'static str) -> Result<String, Refusal> {
    let text = text(value, name);
    if text.is_empty() {
        return Err(Refusal::internal(format!("the body has no {name}")));
    }
    Ok(text)
}

/// A number, also as text; 0 when absent.
pub(super) fn number(value: &Value, name: &str) -> i64 {
    text(value, name).trim().parse().unwrap_or(0)
}

/// `true`, also as text; false when absent.
pub(super) fn flag(value: &Value, name: &str) -> bool {
    text(value, name).eq_ignore_ascii_case("true")
}

/// Elements of an array; none when absent.
pub(super) fn list<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value.get(name).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// An enum by its name, or by its ordinal as the C++ client sends it; `default` for others.
pub(super) fn choice<T: Copy + Default>(value: &Value, name: &str, names: &[(&str, T)]) -> T {
    let text = text(value, name);
    let by_name = names.iter().find(|(known, _)| *known == text);
    let by_ordinal = || text.parse::<usize>().ok().and_then(|at| names.get(at));
    by_name.or_else(by_ordinal).map_or_else(T::default, |(_, choice)| *choice)
}

/// Texts of an array; Go sends an empty one as the text `[]`.
fn texts(value: &Value, name: &str) -> BTreeSet<String> {
    list(value, name).iter().map(plain).filter(|text| !text.is_empty()).collect()
}

/// What one group wants of one topic.
pub(super) fn subscription(value: &Value) -> SubscriptionData {
    let expression_type = text(value, "expressionType");
    let codes = texts(value, "codeSet");
    SubscriptionData {
        class_filter_mode: flag(value, "classFilterMode"),
        code_set: codes.iter().filter_map(|code| code.parse().ok()).collect(),
        expression_type: if expression_type.is_empty() {
            SubscriptionData::TAG.into()
        } else {
            expression_type.into()
        },
        sub_string: text(value, "subString").into(),
        sub_version: number(value, "subVersion"),
        tags_set: texts(value, "tagsSet"),
        topic: text(value, "topic").into(),
    }
}

/// Queues of an array; those without topic or number are left out.
pub(super) fn queues(value: &Value, name: &str) -> Vec<MessageQueue> {
    let queue = |value: &Value| {
        let topic: Arc<str> = text(value, "topic").into();
        let queue_id = i32::try_from(number(value, "queueId")).ok()?;
        let broker_name = text(value, "brokerName").into();
        (!topic.is_empty()).then_some(MessageQueue { broker_name, queue_id, topic })
    };
    list(value, name).iter().filter_map(queue).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rmq_model::client::{ConsumeType, MessageModel};
    use serde_json::json;

    #[test]
    fn subscriptions_of_all_clients_are_read() {
        let java = json!({"topic": "T", "subString": "a||b", "tagsSet": ["a", "b"], "codeSet": [97, 98],
            "subVersion": 17, "classFilterMode": false, "expressionType": "TAG"});
        let go = json!({"topic": "T", "subString": "a||b", "tagsSet": ["a", "b"], "codeSet": ["97", "98"],
            "subVersion": 17, "classFilterMode": false, "expressionType": "TAG"});
        let cpp = json!({"topic": "T", "subString": "a||b", "tagsSet": ["a", "b"], "codeSet": ["97", "98"],
            "subVersion": "17"});
        for value in [java, go, cpp] {
            let data = subscription(&value);
            assert_eq!((&*data.topic, &*data.sub_string, data.sub_version), ("T", "a||b", 17));
            assert_eq!(data.code_set, BTreeSet::from([97, 98]));
            assert!(data.is_tag() && !data.class_filter_mode);
        }
        assert!(subscription(&json!({"topic": "T", "tagsSet": "[]"})).tags_set.is_empty());
    }

    #[test]
    fn enums_come_by_name_or_ordinal() {
        let names = [
            ("CONSUME_ACTIVELY", ConsumeType::Actively),
            ("CONSUME_PASSIVELY", ConsumeType::Passively),
        ];
        for (value, want) in [
            (json!({"t": "CONSUME_ACTIVELY"}), ConsumeType::Actively),
            (json!({"t": 0}), ConsumeType::Actively),
            (json!({"t": "1"}), ConsumeType::Passively),
            (json!({"t": "UNKNOWN"}), ConsumeType::Passively),
            (json!({}), ConsumeType::Passively),
        ] {
            assert_eq!(choice(&value, "t", &names), want, "{value}");
        }
        let none: [(&str, MessageModel); 0] = [];
        assert_eq!(choice(&json!({"t": 7}), "t", &none), MessageModel::Clustering);
    }

    #[test]
    fn queues_without_a_topic_are_left_out() {
        let value = json!({"mqSet": [{"brokerName": "b", "queueId": "3", "topic": "T"}, {"queueId": 1}, 7]});
        let queues = queues(&value, "mqSet");
        assert_eq!(queues.len(), 1);
        assert_eq!((&*queues[0].topic, queues[0].queue_id), ("T", 3));
    }
}
