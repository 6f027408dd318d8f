//! Whether an object must be applied.

use rmq_operator_api::Quantity;
use serde_json::Value;

use crate::object::Object;
use crate::observed::Live;

/// Whether applying `object` would change `live`: its body is not the one applied last, or somebody
/// has changed a field since.
pub(crate) fn differs(object: &Object, live: &Live) -> bool {
    object.applied_hash() != live.applied_hash || !covers(&live.body, &object.to_json())
}

/// Whether the claim templates of a StatefulSet, which cannot be changed, are as wanted.
pub(crate) fn covers_claim_templates(object: &Object, live: &Live) -> bool {
    const TEMPLATES: &str = "/spec/volumeClaimTemplates";
    let wanted = object.to_json();
    match (live.body.pointer(TEMPLATES), wanted.pointer(TEMPLATES)) {
        (Some(live), Some(wanted)) => covers(live, wanted),
        (live, wanted) => live.is_none() && wanted.is_none(),
    }
}

/// Whether `live` has everything `wanted` has. It may have more: defaults and others' fields.
fn covers(live: &Value, wanted: &Value) -> bool {
    match (live, wanted) {
        (Value::Object(live), Value::Object(wanted)) => {
            wanted.iter().all(|(key, wanted)| match live.get(key) {
                Some(live) => covers(live, wanted),
                // The API server leaves out what is empty.
                None => is_empty(wanted),
            })
        }
        (Value::Array(live), Value::Array(wanted)) => {
            live.len() == wanted.len()
                && live.iter().zip(wanted).all(|(live, wanted)| covers(live, wanted))
        }
        (live, wanted) => live == wanted || same_amount(live, wanted),
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(flag) => !flag,
        Value::Number(number) => number.as_i64() == Some(0),
        Value::String(text) => text.is_empty(),
        Value::Array(all) => all.is_empty(),
        Value::Object(all) => all.is_empty(),
    }
}

/// Whether both are the same quantity: the API server has its own way of writing one.
fn same_amount(live: &Value, wanted: &Value) -> bool {
    let amount = |value: &Value| value.as_str()?.parse::<Quantity>().ok();
    match (amount(live), amount(wanted)) {
        (Some(live), Some(wanted)) => live.milli() == wanted.milli(),
        (_, _) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_the_api_server_adds_is_no_difference() {
        for (live, wanted, same) in [
            (json!({"a": 1, "b": 2}), json!({"a": 1}), true),
            (json!({"a": 1}), json!({"a": 2}), false),
            (json!({"a": 1}), json!({"b": 1}), false),
            (json!({}), json!({"a": {}, "b": [], "c": "", "d": false, "e": 0}), true),
            (json!({}), json!({"a": {"b": 1}}), false),
            (json!([{"a": 1, "b": 2}]), json!([{"a": 1}]), true),
            (json!([1, 2]), json!([1]), false),
            (json!("1"), json!("1000m"), true),
            (json!("1Gi"), json!("1024Mi"), true),
            (json!("1Gi"), json!("1G"), false),
            (json!("x"), json!("y"), false),
        ] {
            assert_eq!(covers(&live, &wanted), same, "{live} {wanted}");
        }
    }
}
