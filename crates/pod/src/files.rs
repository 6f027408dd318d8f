//! The files of a pod's configuration directory. They may change while the pod runs.

use crate::broker::Replication;
use crate::properties::{self, Properties, PropertiesError};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Settings of a broker that the user decides.
pub const BROKER_CONF: &str = "broker.conf";
/// Settings of a name server that the user decides.
pub const NAMESRV_CONF: &str = "namesrv.conf";
/// Every name server of the cluster.
pub const NAMESRV_ADDRS: &str = "namesrv.addrs";
/// How many replicas confirm a message.
pub const REPLICATION_CONF: &str = "replication.conf";

/// Most name servers of one list.
pub const NAME_SERVERS_MAX: usize = 64;

/// Why a mounted file cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// No properties text.
    #[error("{file}, {source}")]
    Properties {
        /// Name of the file.
        file: &'static str,
        /// Line and rule.
        source: PropertiesError,
    },
    /// A value breaks its rule, or is missing.
    #[error("{file}: {key} = {value:?}: must be {rule}")]
    Value {
        /// Name of the file.
        file: &'static str,
        /// Key, or the part that is wrong.
        key: String,
        /// As given, at most 128 characters.
        value: String,
        /// What it should be.
        rule: &'static str,
    },
}

/// Settings as they stand in [`BROKER_CONF`] or [`NAMESRV_CONF`].
pub fn settings_text(settings: &BTreeMap<String, String>) -> String {
    properties::write(settings.iter().map(|(key, value)| (key.as_str(), value.as_str())))
}

/// The settings of a properties text; of a key that is there twice the last one counts.
pub fn settings_of(properties: &Properties) -> BTreeMap<String, String> {
    let entries = properties.entries().iter();
    entries.map(|entry| (entry.key.clone(), entry.value.clone())).collect()
}

/// Content of [`NAMESRV_ADDRS`].
pub fn name_servers_text(addresses: &[String]) -> String {
    let mut text = addresses.join(";");
    text.push('\n');
    text
}

/// Reads [`NAMESRV_ADDRS`]: `host:port`, separated by `;` or in lines of their own.
///
/// # Errors
/// The first part that is no `host:port`, or a list that is too long.
pub fn name_servers(text: &str) -> Result<Vec<String>, FileError> {
    let refuse = |value: &str, rule| FileError::Value {
        file: NAMESRV_ADDRS,
        key: "address".to_owned(),
        value: value.chars().take(128).collect(),
        rule,
    };
    let mut all: Vec<String> = Vec::new();
    for part in text.split([';', '\n', '\r']).map(str::trim).filter(|part| !part.is_empty()) {
        if !is_address(part) {
            return Err(refuse(part, "host:port"));
        }
        if !all.iter().any(|known| known == part) {
            all.push(part.to_owned());
        }
        if NAME_SERVERS_MAX < all.len() {
            return Err(refuse(part, "one of at most 64 addresses"));
        }
    }
    Ok(all)
}

/// Whether `text` is `host:port` with a port above 0; split at the last colon.
pub fn is_address(text: &str) -> bool {
    text.rsplit_once(':').is_some_and(|(host, port)| {
        let plain = !host.is_empty() && !host.contains([' ', '\t', '/', ',', ';', '=']);
        plain && port.parse::<u16>().is_ok_and(|port| 0 < port)
    })
}

/// Content of [`REPLICATION_CONF`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplicationConf {
    /// `totalReplicas`: of the group, the master included.
    pub total: u32,
    /// `inSyncReplicas`: how many must have a message before it is confirmed.
    pub in_sync: u32,
    /// `minInSyncReplicas`: fewest in-sync replicas with which sends are accepted.
    pub min_in_sync: u32,
    /// `allAckInSyncStateSet`: whether all in-sync replicas confirm.
    pub all_in_sync: bool,
}

impl ReplicationConf {
    /// For a group of `replicas`. A synchronous master that is not told so would confirm alone:
    /// the default of `inSyncReplicas` is 1.
    pub fn of(replicas: u32, replication: Replication, min_in_sync: u32) -> Self {
        match replication {
            Replication::Async => {
                Self { total: replicas, in_sync: 1, min_in_sync: 1, all_in_sync: false }
            }
            Replication::Sync => {
                Self { total: replicas, in_sync: replicas, min_in_sync, all_in_sync: true }
            }
        }
    }

    /// As settings of a broker.
    pub fn settings(&self) -> [(&'static str, String); 4] {
        [
            ("totalReplicas", self.total.to_string()),
            ("inSyncReplicas", self.in_sync.to_string()),
            ("minInSyncReplicas", self.min_in_sync.to_string()),
            ("allAckInSyncStateSet", self.all_in_sync.to_string()),
        ]
    }

    /// As text of the file.
    pub fn text(&self) -> String {
        let settings = self.settings();
        properties::write(settings.iter().map(|(key, value)| (*key, value.as_str())))
    }

    /// Reads the file.
    ///
    /// # Errors
    /// What is malformed, missing or out of range.
    pub fn parse(bytes: &[u8]) -> Result<Self, FileError> {
        let properties = match properties::parse(bytes) {
            Ok(properties) => properties,
            Err(source) => return Err(FileError::Properties { file: REPLICATION_CONF, source }),
        };
        let text = |key: &str| properties.get(key).map_or("", |entry| entry.value.as_str());
        let refuse = |key: &str, rule| FileError::Value {
            file: REPLICATION_CONF,
            key: key.to_owned(),
            value: text(key).chars().take(128).collect(),
            rule,
        };
        let number = |key| {
            let number = text(key).parse().ok().filter(|number| (1..=100).contains(number));
            number.ok_or_else(|| refuse(key, "a whole number from 1 to 100"))
        };
        let total = number("totalReplicas")?;
        let within = |key| {
            let value: u32 = number(key)?;
            if value <= total { Ok(value) } else { Err(refuse(key, "at most totalReplicas")) }
        };
        let all_in_sync = match text("allAckInSyncStateSet") {
            "true" => true,
            "false" | "" => false,
            _ => return Err(refuse("allAckInSyncStateSet", "true or false")),
        };
        let (in_sync, min_in_sync) = (within("inSyncReplicas")?, within("minInSyncReplicas")?);
        Ok(Self { total, in_sync, min_in_sync, all_in_sync })
    }
}

/// Hash of settings, whatever their order, comments and spelling in a file: 16 hexadecimal digits.
pub fn settings_hash<'a>(settings: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let sorted: BTreeMap<&str, &str> = settings.into_iter().collect();
    hash(properties::write(sorted).as_bytes())
}

/// Hash of a name server list, whatever its order: 16 hexadecimal digits.
pub fn name_servers_hash(addresses: &[String]) -> String {
    let mut sorted: Vec<&str> = addresses.iter().map(String::as_str).collect();
    sorted.sort_unstable();
    hash(sorted.join(";").as_bytes())
}

fn hash(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    digest.iter().take(8).fold(String::with_capacity(16), |mut text, byte| {
        write!(text, "{byte:02x}").ok();
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strings(all: &[&str]) -> Vec<String> {
        all.iter().map(|one| (*one).to_owned()).collect()
    }

    #[test]
    fn name_servers_are_read_as_they_are_written() {
        let all = strings(&["c-namesrv-0.c-namesrv-hl.ns.svc:9876", "10.0.0.1:9876", "[::1]:1"]);
        assert_eq!(name_servers(&name_servers_text(&all)), Ok(all));
        let lines = name_servers("a:1\r\n\n b:2 ;a:1;\n");
        assert_eq!(lines, Ok(strings(&["a:1", "b:2"])));
        assert_eq!(name_servers(" \n"), Ok(Vec::new()));
        for (text, part) in [("a:1;b", "b"), ("a:0", "a:0"), (":1", ":1"), ("a b:1", "a b:1")] {
            let error = name_servers(text).expect_err(text).to_string();
            assert_eq!(error, format!("namesrv.addrs: address = {part:?}: must be host:port"));
        }
        let many: Vec<String> = (0..65).map(|n| format!("n-{n}:1")).collect();
        assert!(name_servers(&many.join(";")).is_err());
    }

    #[test]
    fn replication_is_read_as_it_is_written() {
        for conf in [
            ReplicationConf::of(1, Replication::Async, 1),
            ReplicationConf::of(2, Replication::Sync, 1),
            ReplicationConf::of(3, Replication::Sync, 2),
        ] {
            assert_eq!(ReplicationConf::parse(conf.text().as_bytes()), Ok(conf));
        }
        let sync = ReplicationConf::of(2, Replication::Sync, 1);
        assert_eq!((sync.total, sync.in_sync, sync.all_in_sync), (2, 2, true));
        for (text, want) in [
            ("", "totalReplicas = \"\": must be a whole number from 1 to 100"),
            ("totalReplicas=x", "totalReplicas = \"x\": must be a whole number from 1 to 100"),
            (
                "totalReplicas=2\ninSyncReplicas=3\nminInSyncReplicas=1",
                "inSyncReplicas = \"3\": must be at most totalReplicas",
            ),
            (
                "totalReplicas=1\nallAckInSyncStateSet=maybe",
                "allAckInSyncStateSet = \"maybe\": must be true or false",
            ),
        ] {
            let error = ReplicationConf::parse(text.as_bytes()).expect_err(text).to_string();
            assert_eq!(error, format!("replication.conf: {want}"));
        }
        let error = ReplicationConf::parse(b"a=\\u1").expect_err("malformed").to_string();
        let want = "replication.conf, line 1: \\u needs four hexadecimal digits";
        assert_eq!(error, want);
    }

    #[test]
    fn hashes_do_not_depend_on_order_and_stay_what_they_are() {
        let one = settings_hash([("a", "1"), ("b", "2")]);
        assert_eq!(one, settings_hash([("b", "2"), ("a", "1")]));
        assert_ne!(one, settings_hash([("a", "1")]));
        assert_ne!(settings_hash([("a", "1=b")]), settings_hash([("a=1", "b")]));
        // Brokers and operators of different versions compare them.
        assert_eq!(settings_hash([]), "e3b0c44298fc1c14");
        assert_eq!(one, hash(b"a=1\nb=2\n"));
        let list = |all: &[&str]| name_servers_hash(&strings(all));
        assert_eq!(list(&["a:1", "b:1"]), list(&["b:1", "a:1"]));
        assert_ne!(list(&["a:1"]), list(&["a:1", "b:1"]));
    }

    #[test]
    fn settings_keep_their_values_in_a_file() {
        let settings: BTreeMap<String, String> =
            [("a", "x = y"), ("b", " # no comment"), ("c", "ü\\n")]
                .into_iter()
                .map(|(key, value)| (key.to_owned(), value.trim().to_owned()))
                .collect();
        let parsed = properties::parse(settings_text(&settings).as_bytes()).expect("well-formed");
        assert_eq!(settings_of(&parsed), settings);
    }
}
