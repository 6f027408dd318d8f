//! Who holds a port, for messages that help.

use std::fs;
use std::net::SocketAddr;

/// The program that listens on `addr` or on the same port of all addresses, as `name (pid N)`.
///
/// `None` where /proc does not tell: other systems, other users' processes, a port that is free.
pub fn port_owner(addr: SocketAddr) -> Option<String> {
    let inode = ["/proc/net/tcp", "/proc/net/tcp6"].iter().find_map(|table| {
        let table = fs::read_to_string(table).ok()?;
        table.lines().skip(1).find_map(|line| listening_inode(line, addr)).map(str::to_owned)
    })?;
    let wanted = format!("socket:[{inode}]");
    fs::read_dir("/proc").ok()?.flatten().find_map(|process| {
        let pid: u32 = process.file_name().to_str()?.parse().ok()?;
        let holds = fs::read_dir(process.path().join("fd")).ok()?.flatten().any(|fd| {
            fs::read_link(fd.path()).is_ok_and(|to| to.to_str() == Some(wanted.as_str()))
        });
        let name = fs::read_to_string(process.path().join("comm")).ok()?;
        holds.then(|| format!("{} (pid {pid})", name.trim()))
    })
}

/// Inode of a listening socket on the port and the address of `addr` or on all addresses.
fn listening_inode(line: &str, addr: SocketAddr) -> Option<&str> {
    const LISTEN: &str = "0A";
    let mut words = line.split_whitespace();
    let (ip, port) = words.nth(1)?.split_once(':')?;
    let state = words.nth(1)?;
    let inode = words.nth(5)?;
    let same_port = u16::from_str_radix(port, 16).ok()? == addr.port();
    let every = ip.bytes().all(|b| b == b'0');
    let same_ip = match addr {
        SocketAddr::V4(v4) => {
            // The kernel prints the address as a number in the machine's byte order.
            let octets = u32::from_str_radix(ip, 16).ok().map(u32::to_le_bytes);
            octets == Some(v4.ip().octets())
        }
        SocketAddr::V6(_) => !every,
    };
    let unspecified = addr.ip().is_unspecified();
    (state == LISTEN && same_port && (every || same_ip || unspecified)).then_some(inode)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listening_line_is_told_from_others() {
        let line = "   0: 0100007F:2694 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1 0000 100";
        let connected = line.replace(" 0A ", " 01 ");
        let at = |text: &str| text.parse().unwrap();
        assert_eq!(listening_inode(line, at("127.0.0.1:9876")), Some("4711"));
        assert_eq!(listening_inode(line, at("0.0.0.0:9876")), Some("4711"));
        assert_eq!(listening_inode(line, at("127.0.0.2:9876")), None);
        assert_eq!(listening_inode(line, at("127.0.0.1:9877")), None);
        assert_eq!(listening_inode(&connected, at("127.0.0.1:9876")), None);
    }
}
