//! Settings by key, from several places: defaults < file < environment < flags.
//!
//! A program adds its places, takes every key it knows with a typed getter (which notes the value
//! in use, so that all of them can be printed) and then asks which keys nobody took.

use crate::properties::{self, Properties, PropertiesError};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::fmt::{self, Display};
use std::io;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

/// Where a value comes from. Later ones win.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// Line of a file.
    File(Arc<str>, usize),
    /// Environment variable.
    Environment(&'static str),
    /// Command line flag.
    Flag(&'static str),
    /// Worked out by the pod from what it was told.
    Derived,
    /// Changed over the network while running.
    Admin,
}

impl Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path, line) => write!(f, "{path}, line {line}"),
            Self::Environment(name) => write!(f, "environment variable {name}"),
            Self::Flag(name) => write!(f, "flag {name}"),
            Self::Derived => f.write_str("derived by the pod"),
            Self::Admin => f.write_str("admin request"),
        }
    }
}

/// A value that breaks the rule of its key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{origin}: {key} = {value:?}: {rule}")]
pub struct SettingError {
    /// Key.
    pub key: String,
    /// Value as given, at most 128 characters of it.
    pub value: String,
    /// Where it was given.
    pub origin: Origin,
    /// What it should have been.
    pub rule: String,
}

/// Why a settings file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// Not there, or not readable.
    #[error("cannot read {path}")]
    Read {
        /// As given.
        path: String,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// Not a properties text.
    #[error("{path}")]
    Parse {
        /// As given.
        path: String,
        /// Line and rule.
        #[source]
        source: PropertiesError,
    },
}

#[derive(Clone, Debug)]
struct Setting {
    value: String,
    origin: Origin,
}

/// All settings of a program.
#[derive(Debug, Default)]
pub struct Settings {
    given: BTreeMap<String, Setting>,
    used: Mutex<BTreeMap<&'static str, String>>,
    warnings: Vec<String>,
}

impl Clone for Settings {
    fn clone(&self) -> Self {
        Self {
            given: self.given.clone(),
            used: Mutex::new(self.used.lock().clone()),
            warnings: self.warnings.clone(),
        }
    }
}

impl Settings {
    /// No settings: every getter gives its default.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a properties file.
    ///
    /// # Errors
    /// When it cannot be read or parsed.
    pub fn add_file(&mut self, path: &Path) -> Result<(), FileError> {
        let name = path.display().to_string();
        let bytes = match std::fs::read(path) {
            Ok(bytes) => bytes,
            Err(source) => return Err(FileError::Read { path: name, source }),
        };
        match properties::parse(&bytes) {
            Ok(properties) => self.add_properties(&name, &properties),
            Err(source) => return Err(FileError::Parse { path: name, source }),
        }
        Ok(())
    }

    /// Adds a parsed file; a key that is there twice becomes a warning.
    pub fn add_properties(&mut self, name: &str, properties: &Properties) {
        let name: Arc<str> = name.into();
        for (entry, by) in properties.replaced() {
            self.warnings.push(format!(
                "{name}, line {}: {} is set again in line {by}, which wins",
                entry.line, entry.key
            ));
        }
        for entry in properties.entries() {
            self.set(&entry.key, &entry.value, Origin::File(Arc::clone(&name), entry.line));
        }
    }

    /// Adds an environment variable, when it is set to something.
    pub fn add_environment(&mut self, variable: &'static str, key: &str) {
        if let Ok(value) = std::env::var(variable)
            && !value.trim().is_empty()
        {
            self.set(key, &value, Origin::Environment(variable));
        }
    }

    /// Sets one key; a lower origin does not replace a higher one.
    pub fn set(&mut self, key: &str, value: &str, origin: Origin) {
        let rank = |origin: &Origin| match origin {
            Origin::File(..) => 0,
            Origin::Environment(_) => 1,
            Origin::Flag(_) => 2,
            Origin::Derived => 3,
            Origin::Admin => 4,
        };
        if self.given.get(key).is_some_and(|old| rank(&origin) < rank(&old.origin)) {
            return;
        }
        let value = value.trim().to_owned();
        self.given.insert(key.to_owned(), Setting { value, origin });
    }

    /// Keys that were given more than once in a file, as sentences.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Whether `key` was given at all, and where.
    pub fn origin(&self, key: &str) -> Option<&Origin> {
        self.given.get(key).map(|setting| &setting.origin)
    }

    /// Given keys that no getter asked for, with their origin.
    pub fn unknown(&self) -> Vec<(String, Origin)> {
        let used = self.used.lock();
        self.given
            .iter()
            .filter(|(key, _)| !used.contains_key(key.as_str()))
            .map(|(key, setting)| (key.clone(), setting.origin.clone()))
            .collect()
    }

    /// Every key that a getter asked for, with the value in use.
    pub fn in_use(&self) -> BTreeMap<String, String> {
        self.used.lock().iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect()
    }

    /// Every key that was given, known or not, with its value: what a rewritten file holds.
    pub fn given(&self) -> impl Iterator<Item = (&str, &str)> {
        self.given.iter().map(|(key, setting)| (key.as_str(), setting.value.as_str()))
    }

    /// Text; `default` when not given. An empty value counts as given.
    pub fn text(&self, key: &'static str, default: &str) -> String {
        let value = self.given.get(key).map_or(default, |setting| &setting.value).to_owned();
        self.note(key, &value);
        value
    }

    /// Text, `None` when not given or empty.
    pub fn optional_text(&self, key: &'static str) -> Option<String> {
        let value = self.text(key, "");
        (!value.is_empty()).then_some(value)
    }

    /// A path; `default` when not given or empty.
    pub fn path(&self, key: &'static str, default: &Path) -> PathBuf {
        let value = match self.given.get(key) {
            Some(setting) if !setting.value.is_empty() => PathBuf::from(&setting.value),
            _ => default.to_owned(),
        };
        self.note(key, value.display());
        value
    }

    /// A whole number within `range`.
    ///
    /// # Errors
    /// When the value is no whole number or outside of `range`.
    pub fn integer<T>(
        &self,
        key: &'static str,
        default: T,
        range: RangeInclusive<T>,
    ) -> Result<T, SettingError>
    where
        T: FromStr + Display + PartialOrd + Copy,
    {
        let rule = || format!("must be a whole number from {} to {}", range.start(), range.end());
        self.parsed(key, default, rule, |text| {
            text.parse().ok().filter(|value| range.contains(value))
        })
    }

    /// `true` or `false`, in any case of letters.
    ///
    /// # Errors
    /// When the value is neither.
    pub fn boolean(&self, key: &'static str, default: bool) -> Result<bool, SettingError> {
        let rule = || "must be true or false".to_owned();
        self.parsed(key, default, rule, |text| match text {
            _ if text.eq_ignore_ascii_case("true") => Some(true),
            _ if text.eq_ignore_ascii_case("false") => Some(false),
            _ => None,
        })
    }

    /// A decimal number within `range`.
    ///
    /// # Errors
    /// When the value is no number or outside of `range`.
    pub fn decimal(
        &self,
        key: &'static str,
        default: f64,
        range: RangeInclusive<f64>,
    ) -> Result<f64, SettingError> {
        let rule = || format!("must be a number from {} to {}", range.start(), range.end());
        self.parsed(key, default, rule, |text| {
            text.parse().ok().filter(|value| range.contains(value))
        })
    }

    /// A TCP port; 0 has its own meaning per key.
    ///
    /// # Errors
    /// When the value is not from 0 to 65535.
    pub fn port(&self, key: &'static str, default: u16) -> Result<u16, SettingError> {
        let rule = || "must be a port from 0 to 65535".to_owned();
        self.parsed(key, default, rule, |text| text.parse().ok())
    }

    /// An IP address.
    ///
    /// # Errors
    /// When the value is no address (names are not resolved).
    pub fn ip(&self, key: &'static str, default: IpAddr) -> Result<IpAddr, SettingError> {
        let rule = || "must be an IP address".to_owned();
        self.parsed(key, default, rule, |text| text.parse().ok())
    }

    /// One of a few words, in any case of letters.
    ///
    /// # Errors
    /// When the value is none of them; the rule lists them.
    pub fn choice<T: Copy>(
        &self,
        key: &'static str,
        default: &'static str,
        words: &[(&'static str, T)],
    ) -> Result<T, SettingError> {
        let given = self.given.get(key);
        let word = given.map_or(default, |setting| &setting.value);
        let found = words.iter().find(|(name, _)| name.eq_ignore_ascii_case(word));
        match (found, given) {
            (Some((name, value)), _) => {
                self.note(key, name);
                Ok(*value)
            }
            (None, given) => {
                let names: Vec<&str> = words.iter().map(|(name, _)| *name).collect();
                let nothing =
                    Setting { value: default.to_owned(), origin: Origin::Flag("default") };
                let rule = format!("must be one of {}", names.join(", "));
                Err(error(key, given.unwrap_or(&nothing), rule))
            }
        }
    }

    /// Any type with its own rule.
    ///
    /// # Errors
    /// When `parse` gives `None` for the given value.
    pub fn parsed<T: Display>(
        &self,
        key: &'static str,
        default: T,
        rule: impl FnOnce() -> String,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<T, SettingError> {
        let value = match self.given.get(key) {
            None => default,
            Some(setting) => match parse(&setting.value) {
                Some(value) => value,
                None => return Err(error(key, setting, rule())),
            },
        };
        self.note(key, &value);
        Ok(value)
    }

    fn note(&self, key: &'static str, value: impl Display) {
        self.used.lock().insert(key, value.to_string());
    }
}

fn error(key: &str, setting: &Setting, rule: String) -> SettingError {
    let value = setting.value.chars().take(128).collect();
    SettingError { key: key.to_owned(), value, origin: setting.origin.clone(), rule }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(text: &str) -> Settings {
        let mut settings = Settings::new();
        let properties = properties::parse(text.as_bytes()).expect("well-formed");
        settings.add_properties("broker.conf", &properties);
        settings
    }

    #[test]
    fn later_places_win() {
        let mut s = settings("a=file\nb=file\nc=file");
        s.set("c", "flag", Origin::Flag("-c"));
        s.set("b", "environment", Origin::Environment("B"));
        s.set("c", "environment", Origin::Environment("C"));
        let all = ["a", "b", "c", "d"].map(|key| s.text(key, "default"));
        assert_eq!(all, ["file", "environment", "flag", "default"]);
        assert_eq!(s.origin("b"), Some(&Origin::Environment("B")));
        assert_eq!(s.origin("d"), None);
    }

    #[test]
    fn errors_name_place_key_value_and_rule() {
        let s = settings("port=70000\n\nnumber=4x\nflag=yes\nrole=KING\nip=localhost\nratio=1.5");
        let texts = [
            s.port("port", 1).expect_err("too large").to_string(),
            s.integer("number", 1, 0..=9).expect_err("no number").to_string(),
            s.boolean("flag", true).expect_err("neither").to_string(),
            s.choice("role", "A", &[("A", 1), ("B", 2)]).expect_err("none").to_string(),
            s.ip("ip", IpAddr::from([0, 0, 0, 0])).expect_err("a name").to_string(),
            s.decimal("ratio", 0.5, 0.0..=1.0).expect_err("too large").to_string(),
        ];
        assert_eq!(
            texts,
            [
                "broker.conf, line 1: port = \"70000\": must be a port from 0 to 65535",
                "broker.conf, line 3: number = \"4x\": must be a whole number from 0 to 9",
                "broker.conf, line 4: flag = \"yes\": must be true or false",
                "broker.conf, line 5: role = \"KING\": must be one of A, B",
                "broker.conf, line 6: ip = \"localhost\": must be an IP address",
                "broker.conf, line 7: ratio = \"1.5\": must be a number from 0 to 1",
            ]
        );
    }

    #[test]
    fn good_values_are_typed_and_noted() {
        let s = settings("port=9876\nflag=TRUE\nrole=slave\nsize=10\nempty=\nold=1");
        assert_eq!(s.port("port", 1), Ok(9876));
        assert_eq!(s.boolean("flag", false), Ok(true));
        assert_eq!(s.choice("role", "MASTER", &[("MASTER", 0), ("SLAVE", 1)]), Ok(1));
        assert_eq!(s.integer("size", 5u64, 1..=10), Ok(10));
        assert_eq!(s.integer("other", 5u64, 1..=10), Ok(5));
        assert_eq!(s.optional_text("empty"), None);
        assert_eq!(s.path("empty", Path::new("/x")), Path::new("/x"));
        let in_use = s.in_use();
        assert_eq!(in_use.get("role").map(String::as_str), Some("SLAVE"));
        assert_eq!(in_use.get("other").map(String::as_str), Some("5"));
        let unknown = s.unknown();
        assert_eq!(unknown, [("old".to_owned(), Origin::File("broker.conf".into(), 6))]);
    }

    #[test]
    fn a_key_given_twice_is_a_warning() {
        let s = settings("a=1\na=2");
        assert_eq!(s.text("a", ""), "2");
        let want = "broker.conf, line 1: a is set again in line 2, which wins";
        assert_eq!(s.warnings(), [want]);
    }

    #[test]
    fn a_missing_or_broken_file_is_named() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("no.conf");
        let error = Settings::new().add_file(&path).expect_err("missing");
        assert!(error.to_string().ends_with("no.conf"), "{error}");
        crate::durable::replace(&path, b"a=\\u1").expect("writable");
        let error = anyhow::Error::from(Settings::new().add_file(&path).expect_err("broken"));
        assert!(
            format!("{error:#}").ends_with("no.conf: line 1: \\u needs four hexadecimal digits")
        );
    }
}
