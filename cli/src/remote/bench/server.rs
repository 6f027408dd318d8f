//! What a process on this machine uses, from /proc.

use anyhow::{Context, bail};
use std::fs;
use std::net::{IpAddr, SocketAddr};

/// CPU time and memory of a process at one moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Usage {
    /// User and system time of all threads since the process began, µs; resolution 10 ms.
    pub(crate) cpu_us: u64,
    /// Resident memory, bytes.
    pub(crate) rss_bytes: u64,
    /// Greatest resident memory so far, bytes.
    pub(crate) rss_peak_bytes: u64,
}

/// Reads what process `pid` uses.
///
/// # Errors
/// If there is no such process or /proc is not readable.
pub(crate) fn usage(pid: u32) -> anyhow::Result<Usage> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))
        .with_context(|| format!("cannot read what process {pid} uses"))?;
    let status = fs::read_to_string(format!("/proc/{pid}/status"))
        .with_context(|| format!("cannot read what process {pid} uses"))?;
    let ticks = cpu_ticks(&stat).with_context(|| format!("/proc/{pid}/stat is not understood"))?;
    let per_second = rustix::param::clock_ticks_per_second().max(1);
    Ok(Usage {
        cpu_us: ticks.saturating_mul(1_000_000) / per_second,
        rss_bytes: kib_field(&status, "VmRSS:").unwrap_or(0) * 1024,
        rss_peak_bytes: kib_field(&status, "VmHWM:").unwrap_or(0) * 1024,
    })
}

/// `utime` + `stime`, fields 14 and 15. The name in field 2 may hold blanks and parentheses.
fn cpu_ticks(stat: &str) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

fn kib_field(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

/// Finds the process of this machine that listens on `addr`.
///
/// # Errors
/// If `addr` is not an address of this machine, nobody listens there, or the owner's file
/// descriptors may not be read.
pub(crate) fn listener(addr: SocketAddr) -> anyhow::Result<u32> {
    let inodes = listening_inodes(addr);
    if inodes.is_empty() {
        bail!("nobody on this machine listens on {addr}");
    }
    for entry in fs::read_dir("/proc").context("cannot list /proc")?.flatten() {
        let name = entry.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        let Ok(descriptors) = fs::read_dir(entry.path().join("fd")) else { continue };
        for descriptor in descriptors.flatten() {
            let Ok(target) = fs::read_link(descriptor.path()) else { continue };
            let inode = target
                .to_str()
                .and_then(|t| t.strip_prefix("socket:["))
                .and_then(|t| t.strip_suffix(']'));
            if inode.is_some_and(|inode| inodes.iter().any(|i| i == inode)) {
                return Ok(pid);
            }
        }
    }
    bail!("cannot see which process listens on {addr}: say --server-pid")
}

/// Whether `ip` belongs to this machine: one can bind to it.
pub(crate) fn is_local(ip: IpAddr) -> bool {
    std::net::UdpSocket::bind((ip, 0)).is_ok()
}

fn listening_inodes(addr: SocketAddr) -> Vec<String> {
    let mut inodes = Vec::new();
    for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
        let Ok(text) = fs::read_to_string(table) else { continue };
        inodes.extend(text.lines().skip(1).filter_map(|line| listening_inode(line, addr)));
    }
    inodes
}

/// Column 2 is the local address in hex, column 4 the state (0A: listening), column 10 the inode.
fn listening_inode(line: &str, addr: SocketAddr) -> Option<String> {
    let mut columns = line.split_ascii_whitespace();
    let (ip, port) = columns.nth(1)?.split_once(':')?;
    let listening = columns.nth(1)? == "0A";
    let inode = columns.nth(5)?;
    let ip = table_ip(ip)?;
    let same = u16::from_str_radix(port, 16).ok()? == addr.port()
        && (ip.is_unspecified() || ip == addr.ip());
    (listening && same).then(|| inode.to_owned())
}

/// The kernel prints the address as 32-bit words in the machine's byte order.
fn table_ip(hex: &str) -> Option<IpAddr> {
    let word = |at: usize| {
        hex.get(at..at + 8).and_then(|w| u32::from_str_radix(w, 16).ok()).map(u32::to_ne_bytes)
    };
    if hex.len() == 8 {
        return Some(IpAddr::from(word(0)?));
    }
    let mut bytes = [0; 16];
    for (chunk, at) in bytes.chunks_exact_mut(4).zip([0, 8, 16, 24]) {
        chunk.copy_from_slice(&word(at)?);
    }
    Some(std::net::Ipv6Addr::from(bytes).to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_fields_behind_an_odd_name() {
        let stat = "42 (a b) c) S 1 2 3 4 5 6 7 8 9 10 700 30 0 0 20 0 5 0 1 1 1";
        assert_eq!(cpu_ticks(stat), Some(730));
        assert_eq!(cpu_ticks("42 (x"), None);
        let status = "Name:\tx\nVmHWM:\t  200 kB\nVmRSS:\t     100 kB\n";
        assert_eq!(kib_field(status, "VmRSS:"), Some(100));
        assert_eq!(kib_field(status, "VmSwap:"), None);
    }

    #[test]
    fn finds_this_process_by_its_listener() {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = socket.local_addr().unwrap();
        assert_eq!(listener(addr).unwrap(), std::process::id());
        assert!(usage(std::process::id()).unwrap().rss_bytes > 0);
        drop(socket);
        assert!(listener(addr).is_err());
    }

    #[test]
    fn reads_a_listening_line() {
        let line = |ip: &str| {
            format!(
                "   0: {ip}:2A9F 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0 \
                 0 777 1 0 100 0 0 10 0"
            )
        };
        let cases = [
            ("0100007F", "127.0.0.1:10911", true),
            ("0100007F", "127.0.0.1:10912", false),
            ("0100007F", "127.0.0.2:10911", false),
            ("00000000", "127.0.0.2:10911", true),
            ("00000000000000000000000000000000", "127.0.0.2:10911", true),
            ("0000000000000000FFFF00000100007F", "127.0.0.1:10911", true),
            ("00000000000000000000000001000000", "[::1]:10911", true),
            ("zz", "127.0.0.1:10911", false),
        ];
        for (ip, addr, found) in cases {
            let inode = listening_inode(&line(ip), addr.parse().unwrap());
            assert_eq!(inode.as_deref(), found.then_some("777"), "{ip} {addr}");
        }
    }
}
