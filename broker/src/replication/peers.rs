//! Who may copy the log.

use std::net::IpAddr;

/// Addresses that may connect; none named is all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Allowed(Vec<(IpAddr, u8)>);

impl Allowed {
    /// From `10.0.0.7,10.1.0.0/16`; `None` if an entry is neither address nor network.
    pub fn parse(text: &str) -> Option<Self> {
        let entries = text.split([',', ';']).map(str::trim).filter(|entry| !entry.is_empty());
        let parse = |entry: &str| {
            let (ip, bits) = match entry.split_once('/') {
                Some((ip, bits)) => (ip.parse::<IpAddr>().ok()?, Some(bits.parse::<u8>().ok()?)),
                None => (entry.parse::<IpAddr>().ok()?, None),
            };
            let most = if ip.is_ipv4() { 32 } else { 128 };
            let bits = bits.unwrap_or(most);
            (bits <= most).then_some((ip, bits))
        };
        entries.map(parse).collect::<Option<Vec<_>>>().map(Self)
    }

    /// Whether `ip` may connect.
    pub fn contains(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        self.0.is_empty() || self.0.iter().any(|(network, bits)| is_in(ip, *network, *bits))
    }
}

fn is_in(ip: IpAddr, network: IpAddr, bits: u8) -> bool {
    let (ip, network, width) = match (ip, network) {
        (IpAddr::V4(ip), IpAddr::V4(network)) => {
            (u128::from(ip.to_bits()), u128::from(network.to_bits()), 32)
        }
        (IpAddr::V6(ip), IpAddr::V6(network)) => (ip.to_bits(), network.to_bits(), 128),
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => return false,
    };
    // A whole shift leaves nothing to compare.
    let shift = width - u32::from(bits);
    ip.checked_shr(shift).unwrap_or(0) == network.checked_shr(shift).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_networks() {
        let cases = [
            ("", "1.2.3.4", true),
            ("1.2.3.4", "1.2.3.4", true),
            ("1.2.3.4", "1.2.3.5", false),
            ("1.2.3.4, 10.0.0.0/8", "10.9.8.7", true),
            ("10.0.0.0/8", "11.0.0.1", false),
            ("0.0.0.0/0", "11.0.0.1", true),
            ("10.0.0.0/8", "::ffff:10.1.1.1", true),
            ("fd00::/8", "fd12::1", true),
            ("fd00::/8", "10.0.0.1", false),
            ("::/0", "fd12::1", true),
        ];
        for (list, ip, want) in cases {
            let allowed = Allowed::parse(list).expect("a list");
            assert_eq!(allowed.contains(ip.parse().expect("an address")), want, "{list} {ip}");
        }
        for list in ["x", "1.2.3.4/33", "1.2.3.4/", "fd00::/129"] {
            assert_eq!(Allowed::parse(list), None, "{list}");
        }
    }
}
