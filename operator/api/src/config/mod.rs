//! Maps of settings (`spec.brokers.config`, `spec.nameserver.config`).

use std::collections::BTreeMap;
use std::fmt;

use schemars::{Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor};

mod keys;

pub use keys::KEYS;

/// Most settings in one map.
pub const SETTINGS_MAX: usize = 128;
/// Longest name of a setting, in characters.
pub const NAME_CHARS_MAX: usize = 64;
/// Longest value of a setting, in characters.
pub const VALUE_CHARS_MAX: usize = 2048;

/// Settings that say who a process is and where its data lives. They are derived from the rest of
/// the manifest; letting users set them would let a pod take another one's place. Besides these, all
/// that begin with `storePath`.
pub const IDENTITY: [&str; 21] = [
    "brokerClusterName",
    "brokerName",
    "brokerId",
    "brokerRole",
    "brokerIP1",
    "brokerIP2",
    "namesrvAddr",
    "listenPort",
    "fastListenPort",
    "haListenPort",
    "rocketmqHome",
    "haMasterAddress",
    "enableControllerMode",
    "controllerAddr",
    "totalReplicas",
    "inSyncReplicas",
    "minInSyncReplicas",
    "storeCheckpoint",
    "abortFile",
    "kvConfigPath",
    "configStorePath",
];

/// Whether users may not set `name` because it is derived.
pub fn is_identity(name: &str) -> bool {
    IDENTITY.contains(&name) || name.starts_with("storePath")
}

/// One setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConfigKey {
    /// As users write it.
    pub name: &'static str,
    /// Whose it is.
    pub component: Component,
    /// How a change reaches a running process.
    pub class: Class,
    /// What the value must be.
    pub kind: Kind,
}

/// Whose setting it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Component {
    /// Name servers'.
    NameServer,
    /// Brokers'.
    Broker,
}

/// How a change of a setting reaches a running process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Not at all: it is derived, and refused where users set it.
    Identity,
    /// At once.
    Hot,
    /// With a restart.
    Restart,
}

/// What the text of a value must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Any text; may be empty.
    Text,
    /// Characters of a topic's name.
    Name,
    /// `true` or `false`.
    Flag,
    /// A whole number between the two, both included.
    Whole(i64, i64),
    /// One of the words, in either case.
    OneOf(&'static [&'static str]),
    /// `1s 5s 1m 2h 1d`, separated by blanks.
    DelayLevels,
    /// Hours `0` to `23`, separated by `;`.
    Hours,
    /// An IP address, or nothing.
    Address,
    /// `host:port` separated by `;`, or nothing.
    NameServers,
    /// `key:value` separated by `,`, or nothing.
    Labels,
}

impl Kind {
    /// The rule, worded to follow "must be".
    pub fn rule(&self) -> String {
        match self {
            Self::Text => "text".to_owned(),
            Self::Name => "letters, digits, `_`, `-`, `%` and `|`".to_owned(),
            Self::Flag => "true or false".to_owned(),
            Self::Whole(min, i64::MAX) => format!("a whole number of at least {min}"),
            Self::Whole(min, max) => format!("a whole number, {min} to {max}"),
            Self::OneOf(words) => words.join(" or "),
            Self::DelayLevels => "durations with unit s, m, h or d, separated by blanks".to_owned(),
            Self::Hours => "hours 0 to 23, separated by `;`".to_owned(),
            Self::Address => "an IP address".to_owned(),
            Self::NameServers => "host:port, several separated by `;`".to_owned(),
            Self::Labels => "key:value, several separated by `,`".to_owned(),
        }
    }

    /// Whether a process would take `text`. Blanks around it do not count.
    pub fn accepts(&self, text: &str) -> bool {
        let text = text.trim();
        match self {
            Self::Text => true,
            Self::Name => {
                let plain = |byte: u8| {
                    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'%' | b'|')
                };
                (1..=127).contains(&text.len()) && text.bytes().all(plain)
            }
            Self::Flag => text.eq_ignore_ascii_case("true") || text.eq_ignore_ascii_case("false"),
            Self::Whole(min, max) => {
                text.parse::<i64>().is_ok_and(|number| (*min..=*max).contains(&number))
            }
            Self::OneOf(words) => words.iter().any(|word| word.eq_ignore_ascii_case(text)),
            Self::DelayLevels => {
                let levels: Vec<&str> = text.split_whitespace().collect();
                (1..=256).contains(&levels.len()) && levels.iter().all(|level| is_delay(level))
            }
            Self::Hours => parts(text, ';').all(|hour| hour.parse::<u8>().is_ok_and(|h| h < 24)),
            Self::Address => text.is_empty() || text.parse::<std::net::IpAddr>().is_ok(),
            Self::NameServers => parts(text, ';').all(|server| {
                server.rsplit_once(':').is_some_and(|(host, port)| {
                    !host.is_empty()
                        && !host.contains([' ', '/', ','])
                        && port.parse::<u16>().is_ok_and(|port| port != 0)
                })
            }),
            Self::Labels => parts(text, ',').all(|label| {
                label.split_once(':').is_some_and(|(key, _)| {
                    let key = key.trim();
                    key.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
                        && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
                })
            }),
        }
    }
}

fn parts(text: &str, separator: char) -> impl Iterator<Item = &str> {
    text.split(separator).map(str::trim).filter(|part| !part.is_empty())
}

/// A delay level: at most ten years.
fn is_delay(text: &str) -> bool {
    let unit_s: u64 = match text.chars().last() {
        Some('s') => 1,
        Some('m') => 60,
        Some('h') => 3_600,
        Some('d') => 86_400,
        Some(_) | None => return false,
    };
    let number = text.get(..text.len() - 1).and_then(|digits| digits.parse::<u64>().ok());
    number.and_then(|number| number.checked_mul(unit_s)).is_some_and(|s| s <= 3_650 * 86_400)
}

/// What is known about the setting `name` of a `component`; `None` for one that nobody knows, which
/// is handed on and counts as [`Class::Restart`].
pub fn key(component: Component, name: &str) -> Option<&'static ConfigKey> {
    KEYS.iter().find(|key| key.component == component && key.name == name)
}

/// How a change of the setting `name` reaches a running process.
pub fn class(component: Component, name: &str) -> Class {
    if is_identity(name) {
        return Class::Identity;
    }
    key(component, name).map_or(Class::Restart, |key| key.class)
}

/// The schema of a map of settings, with the rules that the API server checks.
pub(crate) fn schema(_: &mut SchemaGenerator) -> Schema {
    let derived: Vec<String> = IDENTITY.iter().map(|name| format!("'{name}'")).collect();
    json_schema!({
        "type": "object",
        "maxProperties": SETTINGS_MAX,
        "additionalProperties": {
            "type": "string",
            "maxLength": VALUE_CHARS_MAX,
            "pattern": r"^[^\p{Cc}]*$",
        },
        "x-kubernetes-validations": [
            {
                "rule": format!("self.all(k, k.matches('^[A-Za-z0-9._-]{{1,{NAME_CHARS_MAX}}}$'))"),
                "message": format!(
                    "names of settings must be 1 to {NAME_CHARS_MAX} letters, digits, `.`, `_` and `-`"
                ),
            },
            {
                "rule": format!(
                    "self.all(k, !k.startsWith('storePath') && !(k in [{}]))",
                    derived.join(", ")
                ),
                "message": "settings that say who a process is or where its data lives are derived \
                    and cannot be set",
                "reason": "FieldValueForbidden",
            },
        ],
    })
}

/// Whether `name` can be the name of a setting at all.
pub fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
}

/// Reads a map of settings; a value that is not text is refused with what to write instead.
pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<String, String>, D::Error> {
    struct Settings;
    impl<'de> Visitor<'de> for Settings {
        type Value = BTreeMap<String, String>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a map of settings")
        }
        fn visit_none<E: de::Error>(self) -> Result<Self::Value, E> {
            Ok(BTreeMap::new())
        }
        fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
            Ok(BTreeMap::new())
        }
        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut settings = BTreeMap::new();
            while let Some((name, Text(value))) = map.next_entry::<String, Text>()? {
                settings.insert(name, value);
            }
            Ok(settings)
        }
    }
    deserializer.deserialize_any(Settings)
}

/// A value, refused with advice where YAML would read something else.
struct Text(String);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Quoted;
        fn advise<E: de::Error>(value: impl fmt::Display) -> E {
            E::custom(format_args!("{value} must be text: write \"{value}\" with quotes"))
        }
        impl Visitor<'_> for Quoted {
            type Value = Text;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("text")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Text, E> {
                Ok(Text(text.to_owned()))
            }
            fn visit_bool<E: de::Error>(self, value: bool) -> Result<Text, E> {
                Err(advise(value))
            }
            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Text, E> {
                Err(advise(value))
            }
            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Text, E> {
                Err(advise(value))
            }
            fn visit_f64<E: de::Error>(self, value: f64) -> Result<Text, E> {
                Err(advise(value))
            }
            fn visit_none<E: de::Error>(self) -> Result<Text, E> {
                self.visit_unit()
            }
            fn visit_unit<E: de::Error>(self) -> Result<Text, E> {
                Err(E::custom("a value is missing: write \"\" for an empty one"))
            }
        }
        deserializer.deserialize_any(Quoted)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_key_stands_in_the_table_once() {
        let mut seen = BTreeSet::new();
        for key in KEYS {
            let component = format!("{:?}", key.component);
            assert!(seen.insert((component, key.name)), "{}", key.name);
            assert!(is_name(key.name), "{}", key.name);
            assert_eq!(key.class == Class::Identity, is_identity(key.name), "{}", key.name);
            assert_eq!(class(key.component, key.name), key.class, "{}", key.name);
        }
        for name in IDENTITY {
            assert!(KEYS.iter().any(|key| key.name == name), "{name}");
        }
    }

    #[test]
    fn classes() {
        for (component, name, wanted) in [
            (Component::Broker, "brokerName", Class::Identity),
            (Component::Broker, "storePathAnything", Class::Identity),
            (Component::Broker, "fileReservedTime", Class::Hot),
            (Component::Broker, "traceOn", Class::Hot),
            (Component::Broker, "flushDiskType", Class::Restart),
            (Component::Broker, "nobodyKnows", Class::Restart),
            (Component::NameServer, "traceOn", Class::Restart),
            (Component::NameServer, "kvConfigPath", Class::Identity),
        ] {
            assert_eq!(class(component, name), wanted, "{name}");
        }
    }

    #[test]
    fn kinds_accept_what_they_say() {
        let cases: &[(Kind, &[&str], &[&str])] = &[
            (Kind::Text, &["", "x y"], &[]),
            (Kind::Name, &["a-b_c%|", " a "], &["", "a b", "a.b"]),
            (Kind::Flag, &["true", " FALSE"], &["", "yes", "1"]),
            (Kind::Whole(1, 10), &["1", "10"], &["0", "11", "", "1.5", "x"]),
            (Kind::OneOf(&["ASYNC_FLUSH"]), &["async_flush"], &["", "x"]),
            (Kind::DelayLevels, &["1s", "1s 5m  2h 1d"], &["", "1", "5x", "s", "-1s", "é"]),
            (Kind::Hours, &["04", "4;16", ""], &["24", "x", "4,5"]),
            (Kind::Address, &["", "10.0.0.1", "::1"], &["host", "10.0.0"]),
            (Kind::NameServers, &["", "a:9876;b:1", "[::1]:9876"], &["a", ":1", "a:0", "a:x"]),
            (Kind::Labels, &["", "zone:a,rack:7"], &["zone", "9x:1"]),
        ];
        for (kind, good, bad) in cases {
            assert!(!kind.rule().is_empty());
            for text in *good {
                assert!(kind.accepts(text), "{kind:?} {text:?}");
            }
            for text in *bad {
                assert!(!kind.accepts(text), "{kind:?} {text:?}");
            }
        }
    }
}
