//! Which fields a resource has.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use schemars::generate::SchemaSettings;
use serde_json::Value;

use crate::crd;

/// What may stand below a node.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Fields {
    /// The only keys that may; any if there is none.
    pub(crate) known: Option<BTreeMap<String, Fields>>,
    /// Every element of a list, every value of a map with free keys.
    pub(crate) each: Option<Box<Fields>>,
}

impl Fields {
    /// Those of a whole resource.
    pub(crate) fn of_resource() -> &'static Self {
        static FIELDS: LazyLock<Fields> = LazyLock::new(|| {
            let settings = SchemaSettings::openapi3().with(|settings| {
                settings.inline_subschemas = true;
            });
            let metadata = settings.into_generator().into_root_schema_for::<ObjectMeta>();
            let mut fields = Fields::of(crd::schema());
            let known = fields.known.get_or_insert_default();
            known.insert("apiVersion".to_owned(), Fields::default());
            known.insert("kind".to_owned(), Fields::default());
            known.insert("metadata".to_owned(), Fields::of(metadata.as_value()));
            // The API server takes no status from a manifest: whatever it says is passed over.
            known.insert("status".to_owned(), Fields::default());
            fields
        });
        &FIELDS
    }

    fn of(schema: &Value) -> Self {
        let known = schema.get("properties").and_then(Value::as_object).map(|properties| {
            properties.iter().map(|(name, schema)| (name.clone(), Self::of(schema))).collect()
        });
        let each = ["items", "additionalProperties"]
            .iter()
            .find_map(|inner| schema.get(inner))
            .map(|schema| Box::new(Self::of(schema)));
        Self { known, each }
    }

    /// What may stand below `key`; `None` if it may not be there.
    pub(crate) fn below(&self, key: &str) -> Option<&Self> {
        static FREE: Fields = Fields { known: None, each: None };
        match (&self.known, &self.each) {
            (Some(known), _) => known.get(key),
            (None, Some(each)) => Some(each),
            (None, None) => Some(&FREE),
        }
    }

    /// What may stand below each element of a list.
    pub(crate) fn element(&self) -> Option<&Self> {
        self.each.as_deref()
    }

    /// The known keys as errors list them.
    pub(crate) fn expected(&self) -> String {
        let names: Vec<String> =
            self.known.iter().flatten().map(|(name, _)| format!("`{name}`")).collect();
        match names.as_slice() {
            [] => "there are no fields".to_owned(),
            [one] => format!("expected {one}"),
            _ => format!("expected one of {}", names.join(", ")),
        }
    }
}
