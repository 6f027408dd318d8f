//! PROXY protocol headers, versions 1 and 2: who the peer of a load balancer's connection is.
//!
//! Source: HAProxy "The PROXY protocol", versions 1 and 2.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

const V1: &[u8] = b"PROXY ";
const V2: &[u8] = &[0x0D, 0x0A, 0x0D, 0x0A, 0x00, 0x0D, 0x0A, 0x51, 0x55, 0x49, 0x54, 0x0A];
/// Longest v1 line, with its line end.
const V1_BYTES_MAX: usize = 107;
/// Longest v2 address part that is accepted; addresses need 36, the rest are extensions.
const V2_BYTES_MAX: usize = 4096;

/// What the first bytes of a connection are.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Proxied {
    /// No header.
    No,
    /// The header is not complete yet.
    Partial,
    /// `bytes` of header; the peer's address unless the header has none.
    Header { bytes: usize, peer: Option<SocketAddr> },
    /// Begins like a header and is none.
    Broken,
}

/// Looks at the first bytes of a connection.
pub(crate) fn parse(buf: &[u8]) -> Proxied {
    match buf.first() {
        Some(b'P') => v1(buf),
        Some(0x0D) => v2(buf),
        _ => Proxied::No,
    }
}

fn v1(buf: &[u8]) -> Proxied {
    let known = buf.len().min(V1.len());
    if buf[..known] != V1[..known] {
        return Proxied::Broken;
    }
    let Some(end) = buf.iter().take(V1_BYTES_MAX).position(|b| *b == b'\n') else {
        return if buf.len() < V1_BYTES_MAX { Proxied::Partial } else { Proxied::Broken };
    };
    let Ok(line) = std::str::from_utf8(&buf[..end]) else { return Proxied::Broken };
    let mut words = line.trim_end_matches('\r').split(' ').skip(1);
    let bytes = end + 1;
    match (words.next(), words.next(), words.next(), words.next()) {
        (Some("UNKNOWN"), ..) => Proxied::Header { bytes, peer: None },
        (Some("TCP4" | "TCP6"), Some(ip), Some(_), Some(port)) => {
            match (ip.parse::<IpAddr>(), port.parse()) {
                (Ok(ip), Ok(port)) => {
                    Proxied::Header { bytes, peer: Some(SocketAddr::new(ip, port)) }
                }
                _ => Proxied::Broken,
            }
        }
        _ => Proxied::Broken,
    }
}

fn v2(buf: &[u8]) -> Proxied {
    let known = buf.len().min(V2.len());
    if buf[..known] != V2[..known] {
        return Proxied::Broken;
    }
    let Some(&[command, family, high, low]) = buf.get(12..).and_then(|b| b.first_chunk::<4>())
    else {
        return Proxied::Partial;
    };
    let len = usize::from(u16::from_be_bytes([high, low]));
    if command >> 4 != 2 || 1 < command & 0xF || V2_BYTES_MAX < len {
        return Proxied::Broken;
    }
    let Some(addresses) = buf.get(16..16 + len) else { return Proxied::Partial };
    let bytes = 16 + len;
    if command & 0xF == 0 {
        return Proxied::Header { bytes, peer: None };
    }
    let peer = match family >> 4 {
        1 => addresses.first_chunk::<12>().map(|a| {
            let ip = Ipv4Addr::new(a[0], a[1], a[2], a[3]);
            SocketAddr::new(ip.into(), u16::from_be_bytes([a[8], a[9]]))
        }),
        2 => addresses.first_chunk::<36>().and_then(|a| {
            let ip = Ipv6Addr::from(*a.first_chunk::<16>()?);
            Some(SocketAddr::new(ip.into(), u16::from_be_bytes([a[32], a[33]])))
        }),
        _ => return Proxied::Header { bytes, peer: None },
    };
    peer.map_or(Proxied::Broken, |peer| Proxied::Header { bytes, peer: Some(peer) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn v2_header(command: u8, family: u8, addresses: &[u8]) -> Vec<u8> {
        let len = u16::try_from(addresses.len()).unwrap().to_be_bytes();
        [V2, &[command, family], &len, addresses].concat()
    }

    #[test]
    fn headers_are_told_from_frames_and_from_noise() {
        let peer = |text: &str| Some(text.parse().unwrap());
        let v4 = v2_header(0x21, 0x11, &[10, 0, 0, 1, 10, 0, 0, 2, 0x04, 0xD2, 0x2A, 0x9F]);
        let local = v2_header(0x20, 0x00, &[]);
        let short = v2_header(0x21, 0x11, &[10, 0, 0, 1]);
        for (bytes, expected) in [
            (&[0, 0, 0, 9][..], Proxied::No),
            (b"PRO", Proxied::Partial),
            (b"PUT / HTTP/1.1\r\n", Proxied::Broken),
            (b"PROXY TCP4 1.2.3.4 5.6.7.8 99 10911\r\nx", {
                Proxied::Header { bytes: 37, peer: peer("1.2.3.4:99") }
            }),
            (b"PROXY TCP6 ::1 ::2 99 10911\r\n", {
                Proxied::Header { bytes: 29, peer: peer("[::1]:99") }
            }),
            (b"PROXY UNKNOWN\r\n", Proxied::Header { bytes: 15, peer: None }),
            (b"PROXY TCP4 1.2.3 5.6.7.8 99 10911\r\n", Proxied::Broken),
            (&v4, Proxied::Header { bytes: 28, peer: peer("10.0.0.1:1234") }),
            (&v4[..20], Proxied::Partial),
            (&local, Proxied::Header { bytes: 16, peer: None }),
            (&short, Proxied::Broken),
        ] {
            assert_eq!(parse(bytes), expected, "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn noise_never_panics(start in 0usize..3, noise in proptest::collection::vec(any::<u8>(), 0..200)) {
            let bytes = [[&[][..], V1, V2][start], &noise].concat();
            if let Proxied::Header { bytes: len, .. } = parse(&bytes) {
                prop_assert!(len <= bytes.len());
            }
        }
    }
}
