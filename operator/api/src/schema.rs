//! Parts of schemas: the rules of our types, and types that are not ours.

use kube::core::{Reason, Rule};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::Value;

/// Extension that holds rules.
pub(crate) const RULES: &str = "x-kubernetes-validations";

/// A rule in the API server's expression language, and what people are told when it does not hold.
pub(crate) fn rule(expression: &str, message: &str) -> Rule {
    Rule::new(expression).message(message)
}

/// The rule that a field cannot be changed.
///
/// It stands on the field's parent: a rule on the field itself does not run when the field is
/// removed, nor when it is given anew after that.
pub(crate) fn kept(field: &str, path: &str) -> Rule {
    let expression = format!(
        "has(self.{field}) == has(oldSelf.{field}) && (!has(self.{field}) || self.{field} == \
         oldSelf.{field})"
    );
    rule(&expression, &format!("{path} cannot be changed")).reason(Reason::FieldValueForbidden)
}

/// The rule that a quantity cannot shrink.
pub(crate) fn grows(field: &str, path: &str) -> Rule {
    let expression = format!(
        "!has(self.{field}) || !has(oldSelf.{field}) || quantity(string(self.{field}))\
         .compareTo(quantity(string(oldSelf.{field}))) >= 0"
    );
    rule(&expression, &format!("{path} cannot shrink")).reason(Reason::FieldValueForbidden)
}

/// The schema of a type of Kubernetes' own, without its descriptions: those make a definition too
/// large to be applied by clients, and `kubectl explain pod.spec` has them.
pub(crate) fn embedded<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    let mut schema = generator.subschema_for::<T>();
    if let Some(object) = schema.as_object_mut() {
        without_descriptions(object);
    }
    schema
}

fn without_descriptions(schema: &mut serde_json::Map<String, Value>) {
    schema.remove("description");
    if let Some(Value::Object(properties)) = schema.get_mut("properties") {
        for property in properties.values_mut().filter_map(Value::as_object_mut) {
            without_descriptions(property);
        }
    }
    for inner in ["items", "additionalProperties"] {
        if let Some(Value::Object(inner)) = schema.get_mut(inner) {
            without_descriptions(inner);
        }
    }
}
