//! Maps of settings (`spec.brokers.config`, `spec.nameserver.config`).

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor};

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
