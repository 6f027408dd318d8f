//! Ids of messages: where they lie, and who sent them.

use rmq_model::{LogOffset, Millis};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::Deref;
use std::str::FromStr;
use std::sync::atomic::{AtomicU16, Ordering};

/// Names a stored message by broker and log position.
///
/// As text upper-case hex of address (4 or 16 bytes), port (i32) and physical offset (i64): 32 or
/// 56 digits. Clients take the broker's address out of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct OffsetId {
    /// The broker's address as stored with the message.
    pub host: SocketAddr,
    /// Where the record begins.
    pub offset: LogOffset,
}

/// A text that is no [`OffsetId`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an offset id has 32 or 56 hex digits")]
pub struct OffsetIdError;

impl fmt::Display for OffsetId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.ip() {
            IpAddr::V4(ip) => write!(f, "{:08X}", ip.to_bits())?,
            IpAddr::V6(ip) => write!(f, "{:032X}", ip.to_bits())?,
        }
        write!(f, "{:08X}{:016X}", self.host.port(), self.offset.0)
    }
}

impl FromStr for OffsetId {
    type Err = OffsetIdError;

    fn from_str(text: &str) -> Result<Self, OffsetIdError> {
        let hex = |from: usize, to: usize| -> Result<u128, OffsetIdError> {
            let digits = text.get(from..to).ok_or(OffsetIdError)?;
            if !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
                return Err(OffsetIdError);
            }
            u128::from_str_radix(digits, 16).map_err(|_not_hex| OffsetIdError)
        };
        let (ip, after_ip): (IpAddr, usize) = match text.len() {
            32 => {
                let bits = u32::try_from(hex(0, 8)?).map_err(|_long| OffsetIdError)?;
                (Ipv4Addr::from_bits(bits).into(), 8)
            }
            56 => (Ipv6Addr::from_bits(hex(0, 32)?).into(), 32),
            _ => return Err(OffsetIdError),
        };
        let port =
            u16::try_from(hex(after_ip, after_ip + 8)?).map_err(|_not_a_port| OffsetIdError)?;
        let offset = u64::try_from(hex(after_ip + 8, after_ip + 24)?)
            .map_err(|_cannot_be_longer| OffsetIdError)?;
        if i64::try_from(offset).is_err() {
            return Err(OffsetIdError);
        }
        Ok(Self { host: SocketAddr::new(ip, port), offset: LogOffset(offset) })
    }
}

/// Text of a unique id, on the stack.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct UniqueId {
    digits: [u8; 56],
    len: usize,
}

impl Deref for UniqueId {
    type Target = str;

    fn deref(&self) -> &str {
        self.digits.get(..self.len).and_then(|d| std::str::from_utf8(d).ok()).unwrap_or_default()
    }
}

impl fmt::Display for UniqueId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}

impl fmt::Debug for UniqueId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

/// Makes unique ids: upper-case hex of address (4 or 16 bytes), process id (u16), a number that
/// tells processes apart (i32), milliseconds since the month began (i32) and a counter (u16).
#[derive(Debug)]
pub struct UniqueIds {
    prefix: Vec<u8>,
    counter: AtomicU16,
}

impl UniqueIds {
    /// `salt` distinguishes generators that share address and process id.
    pub fn new(ip: IpAddr, pid: u32, salt: u32) -> Self {
        let mut prefix = match ip.to_canonical() {
            IpAddr::V4(ip) => ip.octets().to_vec(),
            IpAddr::V6(ip) => ip.octets().to_vec(),
        };
        let [_, _, high, low] = pid.to_be_bytes();
        prefix.extend_from_slice(&[high, low]);
        prefix.extend_from_slice(&salt.to_be_bytes());
        Self { prefix, counter: AtomicU16::new(0) }
    }

    /// The next id. Different from all others of this generator unless 65,536 are made in one
    /// millisecond, or the clock stands at the same millisecond of another month.
    pub fn next(&self, now: Millis) -> UniqueId {
        let month = u32::try_from(now.saturating_sub(month_begin(now))).unwrap_or(0);
        let count = self.counter.fetch_add(1, Ordering::Relaxed);
        let mut id = UniqueId { digits: [0; 56], len: 0 };
        for byte in &self.prefix {
            id.push(*byte);
        }
        month.to_be_bytes().into_iter().chain(count.to_be_bytes()).for_each(|b| id.push(b));
        id
    }
}

impl UniqueId {
    fn push(&mut self, byte: u8) {
        const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
        for nibble in [byte >> 4, byte & 15] {
            let digit = DIGITS.get(usize::from(nibble));
            if let (Some(slot), Some(digit)) = (self.digits.get_mut(self.len), digit) {
                *slot = *digit;
                self.len += 1;
            }
        }
    }
}

/// First millisecond of the month that `now` is in, UTC.
fn month_begin(now: Millis) -> Millis {
    const DAY_MS: i64 = 86_400_000;
    let days = now.div_euclid(DAY_MS);
    // Days since 0000-03-01, in eras of 400 years; months counted from March.
    let shifted = days + 719_468;
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day_of_month = day_of_year - (153 * month_from_march + 2) / 5;
    (days - day_of_month) * DAY_MS
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    #[test]
    fn offset_ids_are_as_java_writes_them() {
        let id = OffsetId { host: ([127, 0, 0, 1], 10911).into(), offset: LogOffset(4096) };
        assert_eq!(id.to_string(), "7F00000100002A9F0000000000001000");
        assert_eq!("7f00000100002a9f0000000000001000".parse(), Ok(id));
    }

    #[test]
    fn texts_that_are_no_offset_id_are_refused() {
        for text in [
            "",
            "7F00000100002A9F000000000000100",
            "7F00000100012A9F0000000000001000",
            "7F00000100002A9FF000000000001000",
            "+F00000100002A9F0000000000001000",
            "7F00000100002A9F00000000000010é",
        ] {
            assert_eq!(text.parse::<OffsetId>(), Err(OffsetIdError), "{text}");
        }
    }

    #[test]
    fn months_begin_where_the_calendar_says() {
        for (now, begin) in [
            (1_700_000_000_000, 1_698_796_800_000), // 2023-11-14, 2023-11-01
            (1_709_251_199_999, 1_706_745_600_000), // 2024-02-29 end, 2024-02-01
            (1_709_251_200_000, 1_709_251_200_000), // 2024-03-01
            (0, 0),
            (2_678_400_000, 2_678_400_000), // 1970-02-01
        ] {
            assert_eq!(month_begin(now), begin, "{now}");
        }
    }

    #[test]
    fn unique_ids_differ_and_have_the_length_of_their_family() {
        let v4 = UniqueIds::new(Ipv4Addr::LOCALHOST.into(), 0x1_ABCD, 0x18B4_AAC2);
        let ids: HashSet<String> =
            (0..1000).map(|_| v4.next(1_700_000_000_000).to_string()).collect();
        assert_eq!(ids.len(), 1000);
        assert!(ids.iter().all(|id| id.len() == 32 && id.starts_with("7F000001ABCD18B4AAC2")));
        assert!(ids.contains("7F000001ABCD18B4AAC247B760000000"), "{ids:?}");
        let v6 = UniqueIds::new(Ipv6Addr::LOCALHOST.into(), 1, 2);
        assert_eq!(v6.next(0).len(), 56);
    }

    proptest! {
        #[test]
        fn offset_ids_round_trip(ip: IpAddr, port: u16, offset in 0..=i64::MAX) {
            let offset = LogOffset(u64::try_from(offset).unwrap());
            let id = OffsetId { host: SocketAddr::new(ip, port), offset };
            prop_assert_eq!(id.to_string().parse(), Ok(id));
        }

        #[test]
        fn noise_never_panics(text in ".{0,60}") {
            text.parse::<OffsetId>().ok();
        }
    }
}
