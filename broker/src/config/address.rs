//! The address of this machine that others can reach.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};

/// The first address that is not a loopback: that of the default route, else the first one the
/// kernel lists. IPv4 comes first, because older clients can read no other.
pub fn first_address() -> Option<IpAddr> {
    by_route().or_else(by_kernel_table)
}

/// Connecting a UDP socket sends nothing; it only makes the kernel choose a source address.
fn by_route() -> Option<IpAddr> {
    let far_away = SocketAddr::from((Ipv4Addr::new(203, 0, 113, 1), 9));
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    socket.connect(far_away).ok()?;
    let ip = socket.local_addr().ok()?.ip();
    usable(ip).then_some(ip)
}

fn by_kernel_table() -> Option<IpAddr> {
    local_addresses(&std::fs::read_to_string("/proc/net/fib_trie").ok()?).into_iter().next()
}

/// Addresses marked `host LOCAL`, loopback left out.
fn local_addresses(fib_trie: &str) -> Vec<IpAddr> {
    let mut last = None;
    let mut found = Vec::new();
    for line in fib_trie.lines().map(str::trim) {
        if let Some(address) = line.strip_prefix("|-- ") {
            last = address.parse::<IpAddr>().ok();
        } else if line.starts_with("/32 host LOCAL")
            && let Some(ip) = last
            && usable(ip)
            && !found.contains(&ip)
        {
            found.push(ip);
        }
    }
    found
}

fn usable(ip: IpAddr) -> bool {
    !ip.is_loopback() && !ip.is_unspecified()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_addresses_come_from_the_kernels_table() {
        let table = "\
Main:
  +-- 0.0.0.0/0 3 0 5
     |-- 0.0.0.0
        /0 universe UNICAST
     +-- 10.1.2.0/24 2 0 2
        |-- 10.1.2.0
           /24 link UNICAST
        |-- 10.1.2.7
           /32 host LOCAL
        |-- 10.1.2.255
           /32 link BROADCAST
     |-- 127.0.0.1
        /32 host LOCAL
Local:
        |-- 10.1.2.7
           /32 host LOCAL
";
        assert_eq!(local_addresses(table), [IpAddr::from([10, 1, 2, 7])]);
        assert!(local_addresses("nonsense").is_empty());
    }
}
