//! What a value must look like, and how the text of a properties file becomes a typed value.

use crate::replication::Allowed;
use std::net::IpAddr;
use std::sync::Arc;

/// What the text of a setting must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// Any text; may be empty.
    Text,
    /// Characters of a topic name; a topic of this name may be made.
    Name,
    /// `true` or `false`.
    Flag,
    /// A whole number between the two, both included.
    Whole(i64, i64),
    /// One of the words.
    OneOf(&'static [&'static str]),
    /// `1s 5s 1m 2h 1d`, separated by blanks.
    DelayLevels,
    /// Hours `0` to `23`, separated by `;`.
    Hours,
    /// An IP address, or nothing.
    Address,
    /// An IP address or a DNS name, or nothing.
    Host,
    /// `host:port` separated by `;`, or nothing.
    NameServers,
    /// `key:value` separated by `,`, or nothing.
    Labels,
    /// IP addresses and networks separated by `,`, or nothing.
    Peers,
    /// What is logged: a level, or levels by target.
    LogFilter,
}

impl Rule {
    /// The rule in words, as shown in errors and in the reference table.
    pub fn words(&self) -> String {
        match self {
            Self::Text => "text".into(),
            Self::Name => "name: letters, digits, `_`, `-`, `%`, `|`".into(),
            Self::Flag => "`true` or `false`".into(),
            Self::Whole(min, max) if *max == i64::MAX => format!("whole number, at least {min}"),
            Self::Whole(min, max) => format!("whole number, {min} to {max}"),
            Self::OneOf(words) => format!("one of {}", words.join(", ")),
            Self::DelayLevels => "durations with unit s, m, h or d, separated by blanks".into(),
            Self::Hours => "hours 0 to 23, separated by `;`".into(),
            Self::Address => "IP address".into(),
            Self::Host => "IP address or DNS name".into(),
            Self::NameServers => "`host:port`, several separated by `;`".into(),
            Self::Peers => "IP addresses or networks, several separated by `,`".into(),
            Self::Labels => "`key:value`, several separated by `,`".into(),
            Self::LogFilter => rmq_host::telemetry::FILTER_RULE.into(),
        }
    }

    /// Whether `text`, already trimmed, keeps the rule.
    pub fn accepts(&self, text: &str) -> bool {
        match self {
            Self::Text => true,
            Self::Name => rmq_model::TopicName::parse(text).is_ok(),
            Self::Flag => parse_flag(text).is_some(),
            Self::Whole(min, max) => {
                text.parse::<i64>().is_ok_and(|number| (*min..=*max).contains(&number))
            }
            Self::OneOf(words) => words.iter().any(|word| word.eq_ignore_ascii_case(text)),
            Self::DelayLevels => delay_levels(text).is_some(),
            Self::Hours => hours(text).is_some(),
            Self::Address => text.is_empty() || text.parse::<IpAddr>().is_ok(),
            Self::Host => text.is_empty() || text.parse::<IpAddr>().is_ok() || is_dns_name(text),
            Self::NameServers => name_servers(text).is_some(),
            Self::Labels => labels(text).is_some(),
            Self::Peers => Allowed::parse(text).is_some(),
            Self::LogFilter => rmq_host::telemetry::is_filter(text),
        }
    }
}

/// A typed value of a setting. Called with text its [`Rule`] accepts.
pub(super) trait Value: Sized {
    /// `None` when the text is not of this type, whatever the rule says.
    fn from_text(text: &str) -> Option<Self>;
    /// As it would stand in a properties file.
    fn to_text(&self) -> String;
}

impl Value for Arc<str> {
    fn from_text(text: &str) -> Option<Self> {
        Some(text.into())
    }
    fn to_text(&self) -> String {
        self.to_string()
    }
}

impl Value for bool {
    fn from_text(text: &str) -> Option<Self> {
        parse_flag(text)
    }
    fn to_text(&self) -> String {
        self.to_string()
    }
}

macro_rules! whole {
    ($($type:ty)*) => {$(
        impl Value for $type {
            fn from_text(text: &str) -> Option<Self> {
                text.parse().ok()
            }
            fn to_text(&self) -> String {
                self.to_string()
            }
        }
    )*};
}
whole!(u16 u32 u64 i64);

fn parse_flag(text: &str) -> Option<bool> {
    if text.eq_ignore_ascii_case("true") {
        Some(true)
    } else if text.eq_ignore_ascii_case("false") {
        Some(false)
    } else {
        None
    }
}

/// Delay of each level in milliseconds, level 1 first. `None` when a part has no known unit, no
/// number, or when there is no level at all.
pub fn delay_levels(text: &str) -> Option<Vec<i64>> {
    let one = |part: &str| {
        let unit_ms: i64 = match part.chars().last()? {
            's' => 1_000,
            'm' => 60_000,
            'h' => 3_600_000,
            'd' => 86_400_000,
            _ => return None,
        };
        let number: i64 = part.get(..part.len().checked_sub(1)?)?.parse().ok()?;
        number.checked_mul(unit_ms).filter(|ms| (0..=3_650 * 86_400_000).contains(ms))
    };
    let levels: Option<Vec<i64>> = text.split_whitespace().map(one).collect();
    levels.filter(|levels| (1..=256).contains(&levels.len()))
}

/// Labels of letters, digits and `-`, separated by dots, with a letter somewhere: else it would be
/// a malformed address.
fn is_dns_name(text: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let text = text.strip_suffix('.').unwrap_or(text);
    text.len() <= 253 && text.split('.').all(label) && text.bytes().any(|b| b.is_ascii_alphabetic())
}

/// Hours of the day, each below 24. Empty text is no hour at all.
pub fn hours(text: &str) -> Option<Vec<u8>> {
    let parts = text.split(';').map(str::trim).filter(|part| !part.is_empty());
    parts.map(|part| part.parse::<u8>().ok().filter(|hour| *hour < 24)).collect()
}

/// The `host:port` parts of a name server list; empty text is an empty list.
pub fn name_servers(text: &str) -> Option<Vec<String>> {
    let parts = text.split(';').map(str::trim).filter(|part| !part.is_empty());
    let one = |part: &str| {
        let (host, port) = part.rsplit_once(':')?;
        let port: u16 = port.parse().ok()?;
        let plain = !host.is_empty() && !host.contains([' ', '/', ',']);
        (plain && 0 < port).then(|| part.to_owned())
    };
    parts.map(one).collect()
}

/// The `key:value` parts of a label list; empty text is an empty list.
pub fn labels(text: &str) -> Option<Vec<(String, String)>> {
    let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    let one = |part: &str| {
        let (key, value) = part.split_once(':')?;
        let key = key.trim();
        let legal = key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
            && key.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        legal.then(|| (key.to_owned(), value.trim().to_owned()))
    };
    parts.map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_accept_what_they_say() {
        let role = Rule::OneOf(&["ASYNC_MASTER", "SLAVE"]);
        for (rule, good, bad) in [
            (Rule::Flag, vec!["true", "FALSE"], vec!["", "yes", "1"]),
            (Rule::Whole(1, 10), vec!["1", "10"], vec!["0", "11", "", "1.5", "x"]),
            (role, vec!["SLAVE", "async_master"], vec!["MASTER", ""]),
            (Rule::Name, vec!["broker-a", "a_b"], vec!["", "a b", "a.b"]),
            (Rule::DelayLevels, vec!["1s", "1s 5m 2h 1d"], vec!["", "1", "5x", "s", "-1s"]),
            (Rule::Hours, vec!["04", "4;16", ""], vec!["24", "x", "4,5"]),
            (Rule::Address, vec!["", "10.0.0.1", "::1"], vec!["host", "10.0.0"]),
            (
                Rule::Host,
                vec!["", "10.0.0.1", "::1", "b-0.hl.ns.svc.cluster.local", "mq.example.org."],
                vec!["10.0.0", "10.0.0.256", "a b", "-a", "a..b", "a_b", "a:1", "."],
            ),
            (
                Rule::NameServers,
                vec!["", "a:9876;b:1", "[::1]:9876"],
                vec!["a", ":1", "a:0", "a:x"],
            ),
            (Rule::Labels, vec!["", "zone:a,rack:7"], vec!["zone", "9x:1"]),
        ] {
            for text in good {
                assert!(rule.accepts(text), "{rule:?} {text:?}");
            }
            for text in bad {
                assert!(!rule.accepts(text), "{rule:?} {text:?}");
            }
        }
    }

    #[test]
    fn delay_levels_become_milliseconds() {
        assert_eq!(
            delay_levels("1s 2m  3h 1d"),
            Some(vec![1_000, 120_000, 10_800_000, 86_400_000])
        );
    }
}
