//! Which address clients are told.

use crate::env;
use crate::read::{PodError, broken};

/// Which address of a pod clients are told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Advertise {
    /// The address of the pod's own Service, which it keeps over restarts.
    #[default]
    ServiceIp,
    /// The pod's DNS name.
    PodDns,
    /// The pod's address, another one after each restart.
    PodIp,
    /// The node's address.
    HostIp,
    /// One that the environment says: [`AdvertisedHost`].
    External,
}

impl Advertise {
    pub(crate) const WORDS: [(&'static str, Self); 5] = [
        ("ServiceIP", Self::ServiceIp),
        ("PodDNS", Self::PodDns),
        ("PodIP", Self::PodIp),
        ("HostIP", Self::HostIp),
        ("External", Self::External),
    ];

    /// As it is written in the environment and in manifests.
    pub fn word(self) -> &'static str {
        match self {
            Self::ServiceIp => "ServiceIP",
            Self::PodDns => "PodDNS",
            Self::PodIp => "PodIP",
            Self::HostIp => "HostIP",
            Self::External => "External",
        }
    }
}

/// Addresses outside of the cluster, for one pod or for all.
///
/// As text, `[<ordinal>=]host[:port]` separated by `;`. A host may be a template with `{pod}`,
/// `{group}`, `{ordinal}` and `{nodeIP}`; an IPv6 address with a port stands in brackets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AdvertisedHost {
    entries: Vec<Entry>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    ordinal: Option<u32>,
    host: String,
    port: Option<u16>,
}

const RULE: &str = "`[<ordinal>=]host[:port]`, several separated by `;`";

impl AdvertisedHost {
    /// The same address for every pod: for templates, and for processes with one each.
    #[must_use]
    pub fn for_all(mut self, host: &str, port: Option<u16>) -> Self {
        self.entries.push(Entry { ordinal: None, host: host.to_owned(), port });
        self
    }

    /// The address of the pod with this ordinal.
    #[must_use]
    pub fn for_ordinal(mut self, ordinal: u32, host: &str, port: Option<u16>) -> Self {
        self.entries.push(Entry { ordinal: Some(ordinal), host: host.to_owned(), port });
        self
    }

    /// Reads the text of the variable.
    ///
    /// # Errors
    /// When a part is no `[<ordinal>=]host[:port]`.
    pub fn parse(text: &str) -> Result<Self, PodError> {
        let parts = text.split(';').map(str::trim).filter(|part| !part.is_empty());
        let entries: Option<Vec<Entry>> = parts.map(entry).collect();
        match entries {
            Some(entries) if !entries.is_empty() => Ok(Self { entries }),
            _ => Err(broken(env::ADVERTISED_HOST, text, RULE)),
        }
    }

    /// As the variable has it.
    pub fn text(&self) -> String {
        let one = |entry: &Entry| {
            let ordinal = entry.ordinal.map(|ordinal| format!("{ordinal}=")).unwrap_or_default();
            let host = match entry.port {
                Some(port) if entry.host.contains(':') => format!("[{}]:{port}", entry.host),
                Some(port) => format!("{}:{port}", entry.host),
                None => entry.host.clone(),
            };
            ordinal + &host
        };
        self.entries.iter().map(one).collect::<Vec<_>>().join(";")
    }

    /// Host and port of the pod with `ordinal`; its own entry comes before the one for all.
    /// `replace` gives the value of each placeholder.
    pub(crate) fn of(
        &self,
        ordinal: u32,
        replace: &[(&str, &str)],
    ) -> Option<(String, Option<u16>)> {
        let own = self.entries.iter().find(|entry| entry.ordinal == Some(ordinal));
        let entry = own.or_else(|| self.entries.iter().find(|entry| entry.ordinal.is_none()))?;
        let host = replace
            .iter()
            .fold(entry.host.clone(), |host, (name, value)| host.replace(name, value));
        Some((host, entry.port))
    }
}

fn entry(part: &str) -> Option<Entry> {
    let (ordinal, rest) = match part.split_once('=') {
        Some((ordinal, rest)) => (Some(ordinal.trim().parse().ok()?), rest.trim()),
        None => (None, part),
    };
    let (host, port) = match rest.strip_prefix('[') {
        Some(rest) => {
            let (host, after) = rest.split_once(']')?;
            let port = match after.strip_prefix(':') {
                Some(port) => Some(port),
                None if after.is_empty() => None,
                None => return None,
            };
            (host, port)
        }
        // Several colons: an IPv6 address without a port.
        None if 1 < rest.matches(':').count() => (rest, None),
        None => match rest.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (rest, None),
        },
    };
    let port = match port {
        Some(port) => Some(port.parse::<u16>().ok().filter(|port| 0 < *port)?),
        None => None,
    };
    let plain = !host.is_empty() && !host.contains([' ', '/', ',', '[', ']']);
    plain.then(|| Entry { ordinal, host: host.to_owned(), port })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_as_they_are_written() {
        for (word, meaning) in Advertise::WORDS {
            assert_eq!(meaning.word(), word);
        }
    }

    #[test]
    fn the_own_entry_comes_first_and_placeholders_are_filled() {
        let text = "1=b.example.org:30911;{pod}.example.org;2=[fd00::1]:30913;3=fd00::2";
        let hosts = AdvertisedHost::parse(text).expect("well-formed");
        assert_eq!(hosts.text(), text);
        let replace = [("{pod}", "demo-broker-a-0")];
        for (ordinal, host, port) in [
            (0, "demo-broker-a-0.example.org", None),
            (1, "b.example.org", Some(30_911)),
            (2, "fd00::1", Some(30_913)),
            (3, "fd00::2", None),
        ] {
            assert_eq!(hosts.of(ordinal, &replace), Some((host.to_owned(), port)));
        }
        let built = AdvertisedHost::default().for_ordinal(1, "b", Some(9)).for_all("x", None);
        assert_eq!(built.text(), "1=b:9;x");
        let one = AdvertisedHost::default().for_ordinal(1, "b", None);
        assert_eq!(one.of(0, &[]), None);
    }

    #[test]
    fn malformed_entries_are_refused() {
        for text in ["", ";", "a:0", "a:x", "x=a", "a b", "[::1", "[::1]x", ":1", "1="] {
            let error = AdvertisedHost::parse(text).expect_err(text).to_string();
            assert!(error.starts_with("RMQ_ADVERTISED_HOST = "), "{error}");
        }
    }
}
