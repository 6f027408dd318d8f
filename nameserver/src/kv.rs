//! The key-value store: a small table that administrators fill, kept in one file.

use rmq_host::durable;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use tracing::error;

/// Namespace of the order configuration of topics: topic to `broker:queues;broker:queues`.
pub const ORDER_TOPIC_CONFIG: &str = "ORDER_TOPIC_CONFIG";

/// Bytes of all namespaces, keys and values together.
const BYTES_MAX: usize = 8 * 1024 * 1024;

/// Namespace, key, value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KvTable {
    namespaces: BTreeMap<String, BTreeMap<String, String>>,
}

/// The table would be larger than 8 MiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the KV table is full: it holds at most {BYTES_MAX} bytes")]
pub struct TableFull;

impl KvTable {
    /// One value.
    pub fn get(&self, namespace: &str, key: &str) -> Option<&str> {
        self.namespaces.get(namespace)?.get(key).map(String::as_str)
    }

    /// All keys and values of a namespace; `None` when there never was one of that name.
    pub fn namespace(&self, namespace: &str) -> Option<&BTreeMap<String, String>> {
        self.namespaces.get(namespace)
    }

    /// The table with one more value, or another one.
    ///
    /// # Errors
    /// When it would get too large.
    pub fn with(mut self, namespace: &str, key: &str, value: &str) -> Result<Self, TableFull> {
        let of = self.namespaces.entry(namespace.to_owned()).or_default();
        of.insert(key.to_owned(), value.to_owned());
        let bytes = |(name, of): (&String, &BTreeMap<String, String>)| {
            name.len() + of.iter().map(|(key, value)| key.len() + value.len()).sum::<usize>()
        };
        if BYTES_MAX < self.namespaces.iter().map(bytes).sum() {
            return Err(TableFull);
        }
        Ok(self)
    }

    /// The table without a key. The namespace stays, as it does in the reference implementation.
    #[must_use]
    pub fn without(mut self, namespace: &str, key: &str) -> Self {
        if let Some(of) = self.namespaces.get_mut(namespace) {
            of.remove(key);
        }
        self
    }

    /// `{"configTable":{namespace:{key:value}}}`
    pub fn to_json(&self) -> Vec<u8> {
        json!({ "configTable": self.namespaces }).to_string().into_bytes()
    }

    /// Reads what [`KvTable::to_json`] or the reference implementation wrote. Numbers and booleans
    /// become text, other values are passed over.
    ///
    /// # Errors
    /// When it is no JSON object.
    pub fn from_json(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        let file: Map<String, Value> = serde_json::from_slice(bytes)?;
        let mut table = Self::default();
        let namespaces = file.get("configTable").and_then(Value::as_object);
        for (namespace, pairs) in namespaces.into_iter().flatten() {
            let of = table.namespaces.entry(namespace.clone()).or_default();
            for (key, value) in pairs.as_object().into_iter().flatten() {
                let text = match value {
                    Value::String(text) => text.clone(),
                    Value::Number(number) => number.to_string(),
                    Value::Bool(truth) => truth.to_string(),
                    Value::Null | Value::Array(_) | Value::Object(_) => continue,
                };
                of.insert(key.clone(), text);
            }
        }
        Ok(table)
    }
}

/// Reads the file; a missing or empty one is an empty table.
///
/// A file that cannot be understood is kept beside as `<path>.broken` and an empty table is used:
/// clients need routes more than the order configuration.
///
/// # Errors
/// When the file is there but cannot be read, or cannot be put aside.
pub fn load(path: &Path) -> io::Result<KvTable> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(KvTable::default()),
        Err(error) => return Err(error),
    };
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Ok(KvTable::default());
    }
    match KvTable::from_json(&bytes) {
        Ok(table) => Ok(table),
        Err(reason) => {
            let mut aside = path.as_os_str().to_owned();
            aside.push(".broken");
            let aside = PathBuf::from(aside);
            durable::replace(&aside, &bytes)?;
            let (path, aside) = (path.display(), aside.display());
            error!(%path, %aside, error = %reason, "KV file is no JSON, it was put aside");
            Ok(KvTable::default())
        }
    }
}

/// Replaces the file.
///
/// # Errors
/// Those of the file system; the old content is then still there.
pub fn store(path: &Path, table: &KvTable) -> io::Result<()> {
    durable::replace(path, &table.to_json())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_come_and_go() {
        let table = KvTable::default();
        let table = table.with("N", "k", "v").expect("small").with("N", "k", "w").expect("small");
        assert_eq!(table.get("N", "k"), Some("w"));
        assert_eq!((table.get("N", "x"), table.get("X", "k")), (None, None));
        let table = table.without("N", "k").without("X", "k");
        assert_eq!(table.get("N", "k"), None);
        assert!(table.namespace("N").is_some_and(BTreeMap::is_empty));
        assert_eq!(table.namespace("X"), None);
        assert_eq!(table.with("N", "k", &"x".repeat(BYTES_MAX)), Err(TableFull));
    }

    #[test]
    fn the_file_is_the_one_of_the_reference() {
        let text = r#"{"configTable":{"ORDER_TOPIC_CONFIG":{"T":"broker-a:8;broker-b:8"}}}"#;
        let table = KvTable::from_json(text.as_bytes()).expect("well-formed");
        assert_eq!(table.get(ORDER_TOPIC_CONFIG, "T"), Some("broker-a:8;broker-b:8"));
        assert_eq!(table.to_json(), text.as_bytes());
        let odd = br#"{"configTable":{"N":{"a":1,"b":true,"c":null,"d":[]},"M":5},"x":1}"#;
        let table = KvTable::from_json(odd).expect("well-formed");
        let pairs: Vec<_> = table.namespace("N").into_iter().flatten().collect();
        assert_eq!(
            pairs,
            [(&"a".to_owned(), &"1".to_owned()), (&"b".to_owned(), &"true".to_owned())]
        );
        assert_eq!(KvTable::from_json(b"{}").expect("well-formed"), KvTable::default());
        assert!(KvTable::from_json(b"[]").is_err());
    }

    #[test]
    fn a_broken_file_is_put_aside() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("kvConfig.json");
        assert_eq!(load(&path).expect("missing is empty"), KvTable::default());
        durable::replace(&path, b" \n").expect("writable");
        assert_eq!(load(&path).expect("blank is empty"), KvTable::default());
        durable::replace(&path, b"{\"configTab").expect("writable");
        assert_eq!(load(&path).expect("broken is empty"), KvTable::default());
        let aside = std::fs::read(folder.path().join("kvConfig.json.broken"));
        assert_eq!(aside.expect("it was kept"), b"{\"configTab");
        let table = KvTable::default().with("N", "订", "单\"").expect("small");
        store(&path, &table).expect("writable");
        assert_eq!(load(&path).expect("written"), table);
    }
}
