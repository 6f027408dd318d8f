//! The list of name servers.

use std::fmt;
use std::str::FromStr;

/// Most name servers in a list.
const SERVERS_MAX: usize = 64;

/// Name servers of one cluster, `host:port` each, in the order they were given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameServers(Vec<String>);

/// Why a text is not a list of name servers.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameServersError {
    /// No address in it.
    #[error("no name server is given")]
    Empty,
    /// An address without port, or with one that is no number.
    #[error("{0:?} is not host:port")]
    Address(String),
    /// Too many addresses.
    #[error("more than {SERVERS_MAX} name servers are given")]
    TooMany,
}

impl NameServers {
    /// The addresses, at least one.
    pub fn addresses(&self) -> &[String] {
        &self.0
    }
}

impl FromStr for NameServers {
    type Err = NameServersError;

    /// Addresses are separated by `;` (as everywhere in RocketMQ) or `,`.
    fn from_str(text: &str) -> Result<Self, NameServersError> {
        let mut servers = Vec::new();
        for part in text.split([';', ',']).map(str::trim).filter(|part| !part.is_empty()) {
            let port = part.rsplit_once(':').filter(|(host, _)| !host.is_empty());
            if !port.is_some_and(|(_, port)| port.parse::<u16>().is_ok_and(|port| port != 0)) {
                return Err(NameServersError::Address(part.to_owned()));
            }
            if !servers.iter().any(|known| known == part) {
                servers.push(part.to_owned());
            }
        }
        match servers.len() {
            0 => Err(NameServersError::Empty),
            1..=SERVERS_MAX => Ok(Self(servers)),
            _ => Err(NameServersError::TooMany),
        }
    }
}

impl fmt::Display for NameServers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(";"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists() {
        let cases: [(&str, Result<&[&str], NameServersError>); 8] = [
            ("a:1", Ok(&["a:1"])),
            ("a:1;b:2", Ok(&["a:1", "b:2"])),
            (" a:1 , b:2;;", Ok(&["a:1", "b:2"])),
            ("a:1;a:1", Ok(&["a:1"])),
            ("[::1]:9876", Ok(&["[::1]:9876"])),
            ("", Err(NameServersError::Empty)),
            ("a", Err(NameServersError::Address("a".to_owned()))),
            ("a:1;:2", Err(NameServersError::Address(":2".to_owned()))),
        ];
        for (text, want) in cases {
            let want = want.map(|list| NameServers(list.iter().map(|s| (*s).to_owned()).collect()));
            assert_eq!(text.parse::<NameServers>(), want, "{text:?}");
        }
        let many: Vec<String> = (0..65).map(|n| format!("h{n}:1")).collect();
        assert_eq!(many.join(";").parse::<NameServers>(), Err(NameServersError::TooMany));
    }
}
