//! Members of JSON answers, read without trusting their types.

use rmq_model::MessageQueue;
use rmq_remoting::json;
use serde_json::{Map, Value};

/// Text of member `name`; numbers and booleans as their text, absent as empty.
pub(crate) fn text(value: &Value, name: &str) -> String {
    match value.get(name) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(number)) => number.to_string(),
        Some(Value::Bool(flag)) => flag.to_string(),
        _ => String::new(),
    }
}

/// Number in member `name`, also from text; absent as 0.
pub(crate) fn number(value: &Value, name: &str) -> i64 {
    match value.get(name) {
        Some(Value::Number(number)) => number.as_i64().unwrap_or(0),
        Some(Value::String(text)) => text.trim().parse().unwrap_or(0),
        _ => 0,
    }
}

/// Float in member `name`; absent as 0.
pub(crate) fn float(value: &Value, name: &str) -> f64 {
    value.get(name).and_then(Value::as_f64).unwrap_or(0.0)
}

/// Elements of the list in member `name`; absent as none.
pub(crate) fn list<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value.get(name).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// Texts of the list in member `name`.
pub(crate) fn texts(value: &Value, name: &str) -> Vec<String> {
    list(value, name).iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// Members of the object in member `name`; absent as none.
pub(crate) fn object<'a>(
    value: &'a Value,
    name: &str,
) -> impl Iterator<Item = (&'a String, &'a Value)> {
    value.get(name).and_then(Value::as_object).into_iter().flat_map(Map::iter)
}

/// A queue that stands for itself.
pub(crate) fn queue(value: &Value) -> MessageQueue {
    MessageQueue {
        broker_name: text(value, "brokerName").into(),
        queue_id: i32::try_from(number(value, "queueId")).unwrap_or(-1),
        topic: text(value, "topic").into(),
    }
}

/// A queue in key position: the reader of tolerant JSON hands object keys over as their text.
pub(crate) fn queue_key(key: &str) -> Option<MessageQueue> {
    json::to_value(key.as_bytes()).ok().filter(Value::is_object).map(|value| queue(&value))
}
