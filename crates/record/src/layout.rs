//! One record of the commit log, which is also what pull answers carry.
//!
//! With `h1`, `h2` = 8 (IPv4) or 20 (IPv6) bytes of born and store host, `B`, `T`, `P` = lengths of
//! body, topic and properties:
//!
//! | offset | width | field |
//! | --- | --- | --- |
//! | 0 | 4 | size of the record |
//! | 4 | 4 | magic |
//! | 8 | 4 | body CRC |
//! | 12 | 4 | queue id |
//! | 16 | 4 | flag |
//! | 20 | 8 | queue offset |
//! | 28 | 8 | physical offset |
//! | 36 | 4 | sys flag |
//! | 40 | 8 | born timestamp |
//! | 48 | h1 | born host |
//! | 48+h1 | 8 | store timestamp |
//! | 56+h1 | h2 | store host |
//! | 56+h1+h2 | 4 | reconsume times |
//! | 60+h1+h2 | 8 | prepared transaction offset |
//! | 68+h1+h2 | 4+B | body |
//! | 72+h1+h2+B | 1 or 2, +T | topic |
//! | … | 2+P | properties |

use crate::body_crc;
use crate::bytes_at::{array, i16_at, i32_at, i64_at, len_at, u32_at};
use crate::message::Message;
use crate::property_crc;
use rmq_model::{LogOffset, Millis, sysflag};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Magic of a record with a one-byte topic length.
pub const MAGIC_V1: u32 = 0xDAA3_20A7;
/// Magic of a record with a two-byte topic length.
pub const MAGIC_V2: u32 = 0xDAA3_20AB;
/// Magic of the filler at the end of a segment file.
pub const MAGIC_BLANK: u32 = 0xCBD4_3194;
/// Bytes a segment keeps free behind its last record, so that a filler always fits.
pub const BLANK_BYTES_MIN: usize = 8;
/// Longest topic of a v1 record, in bytes.
pub const V1_TOPIC_BYTES_MAX: usize = 127;
/// Longest properties text, in bytes: its length is a signed 16-bit number.
pub const PROPERTIES_BYTES_MAX: usize = 32_767;

const QUEUE_OFFSET_AT: usize = 20;
const PHYSICAL_OFFSET_AT: usize = 28;
const SYS_FLAG_AT: usize = 36;
const BORN_HOST_AT: usize = 48;

/// Why a message has no record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// The topic's length does not fit its field.
    #[error("a topic has 1 to 32767 bytes, not {bytes}")]
    TopicLength {
        /// Length of the topic.
        bytes: usize,
    },
    /// The properties' length does not fit its field.
    #[error("properties have at most 32767 bytes, not {bytes}")]
    PropertiesTooLong {
        /// Length of the properties, with room for a check value if one was asked for.
        bytes: usize,
    },
    /// The record's length does not fit its field.
    #[error("a record cannot have {bytes} bytes")]
    TooLong {
        /// Length of the record.
        bytes: usize,
    },
}

/// Adds the record of `message` to `out` and returns its length in bytes.
///
/// Queue offset, physical offset and store timestamp are 0 until [`place`] fills them in. With
/// `property_crc` the properties end with room for a check value, which
/// [`property_crc::seal`] fills in after that.
pub fn encode(
    message: &Message,
    property_crc: bool,
    out: &mut Vec<u8>,
) -> Result<usize, EncodeError> {
    let stripped;
    let properties: &[u8] = if property_crc {
        stripped = property_crc::make_room(&message.properties);
        &stripped
    } else {
        &message.properties
    };
    let bytes = properties.len();
    let properties_len = i16::try_from(bytes)
        .map_err(|_long: std::num::TryFromIntError| EncodeError::PropertiesTooLong { bytes })?;
    let topic = message.topic.as_bytes();
    let topic_len = i16::try_from(topic.len()).unwrap_or(0);
    if topic_len == 0 {
        return Err(EncodeError::TopicLength { bytes: topic.len() });
    }
    let v1_len = u8::try_from(topic.len()).ok().filter(|_| topic.len() <= V1_TOPIC_BYTES_MAX);
    let born_ip = message.born_host.ip().to_canonical();
    let store_ip = message.store_host.ip().to_canonical();
    let mut sys_flag = message.sys_flag & !(sysflag::BORN_HOST_V6 | sysflag::STORE_HOST_V6);
    if born_ip.is_ipv6() {
        sys_flag |= sysflag::BORN_HOST_V6;
    }
    if store_ip.is_ipv6() {
        sys_flag |= sysflag::STORE_HOST_V6;
    }
    let bytes = 72
        + host_bytes(born_ip.is_ipv6())
        + host_bytes(store_ip.is_ipv6())
        + message.body.len()
        + (if v1_len.is_some() { 1 } else { 2 })
        + topic.len()
        + 2
        + properties.len();
    let (Ok(total), Ok(body_len)) = (i32::try_from(bytes), i32::try_from(message.body.len()))
    else {
        return Err(EncodeError::TooLong { bytes });
    };

    out.reserve(bytes);
    out.extend_from_slice(&total.to_be_bytes());
    out.extend_from_slice(&(if v1_len.is_some() { MAGIC_V1 } else { MAGIC_V2 }).to_be_bytes());
    out.extend_from_slice(&body_crc(&message.body).to_be_bytes());
    out.extend_from_slice(&message.queue_id.to_be_bytes());
    out.extend_from_slice(&message.flag.to_be_bytes());
    out.extend_from_slice(&[0; 16]); // queue offset, physical offset
    out.extend_from_slice(&sys_flag.to_be_bytes());
    out.extend_from_slice(&message.born_timestamp.to_be_bytes());
    encode_host(born_ip, message.born_host.port(), out);
    out.extend_from_slice(&[0; 8]); // store timestamp
    encode_host(store_ip, message.store_host.port(), out);
    out.extend_from_slice(&message.reconsume_times.to_be_bytes());
    out.extend_from_slice(&message.prepared_transaction_offset.to_be_bytes());
    out.extend_from_slice(&body_len.to_be_bytes());
    out.extend_from_slice(&message.body);
    match v1_len {
        Some(len) => out.push(len),
        None => out.extend_from_slice(&topic_len.to_be_bytes()),
    }
    out.extend_from_slice(topic);
    out.extend_from_slice(&properties_len.to_be_bytes());
    out.extend_from_slice(properties);
    Ok(bytes)
}

fn host_bytes(v6: bool) -> usize {
    if v6 { 20 } else { 8 }
}

fn encode_host(ip: IpAddr, port: u16, out: &mut Vec<u8>) {
    match ip {
        IpAddr::V4(ip) => out.extend_from_slice(&ip.octets()),
        IpAddr::V6(ip) => out.extend_from_slice(&ip.octets()),
    }
    out.extend_from_slice(&u32::from(port).to_be_bytes());
}

/// Fills in what only the log knows. `record` must begin with a record that [`encode`] made; of
/// shorter slices nothing is changed.
pub fn place(record: &mut [u8], queue_offset: u64, at: LogOffset, store_time: Millis) {
    let Some(sys_flag) = i32_at(record, SYS_FLAG_AT) else { return };
    let store_time_at = BORN_HOST_AT + host_bytes(sys_flag & sysflag::BORN_HOST_V6 != 0);
    for (field, value) in [
        (QUEUE_OFFSET_AT, queue_offset.to_be_bytes()),
        (PHYSICAL_OFFSET_AT, at.0.to_be_bytes()),
        (store_time_at, store_time.to_be_bytes()),
    ] {
        if let Some(slot) = record.get_mut(field..field + 8) {
            slot.copy_from_slice(&value);
        }
    }
}

/// The eight bytes that begin the filler of the last `left` bytes of a segment.
pub fn blank(left: u32) -> [u8; BLANK_BYTES_MIN] {
    let mut bytes = [0; BLANK_BYTES_MIN];
    let (size, magic) = bytes.split_at_mut(4);
    size.copy_from_slice(&left.to_be_bytes());
    magic.copy_from_slice(&MAGIC_BLANK.to_be_bytes());
    bytes
}

/// Size that the record or filler at the start of `buf` claims; `None` when there are fewer than
/// four bytes or the number is not positive.
pub fn next_size(buf: &[u8]) -> Option<usize> {
    len_at(buf, 0).filter(|size| *size > 0)
}

/// Why bytes are no valid record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The buffer, or the segment, ends before the record does.
    #[error("the record is cut short")]
    Short,
    /// Neither a record nor a filler. All-zero bytes, the end of the log, are this.
    #[error("no record begins with magic {magic:#010x}")]
    Magic {
        /// What stands where the magic belongs.
        magic: u32,
    },
    /// The lengths inside do not add up to the record's size.
    #[error("the record's parts do not add up to its size of {size} bytes")]
    Size {
        /// What the first word says.
        size: usize,
    },
    /// The body is damaged.
    #[error("the body's CRC does not match")]
    BodyCrc,
    /// The record was written for another place in the log.
    #[error("the record belongs to log offset {stored}")]
    Place {
        /// The place it was written for.
        stored: i64,
    },
    /// A field has a value that no writer writes.
    #[error("the record's {field} is impossible")]
    Field {
        /// Which field.
        field: &'static str,
    },
}

/// How much of a record is checked.
#[derive(Clone, Copy, Debug, Default)]
pub struct Check {
    /// The body's CRC must match.
    pub body_crc: bool,
    /// The stored physical offset must be this one.
    pub at: Option<LogOffset>,
}

impl Check {
    /// Everything, for a record read at `at`.
    pub fn full(at: LogOffset) -> Self {
        Self { body_crc: true, at: Some(at) }
    }
}

/// What stands at one place of the log.
#[derive(Clone, Copy, Debug)]
pub enum Parsed<'a> {
    /// A record.
    Record(RecordView<'a>),
    /// The filler: the log goes on in the next segment. Holds the filler's size by its own word.
    Blank(usize),
}

/// A record, borrowed from the buffer it was read into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordView<'a> {
    /// The whole record.
    pub bytes: &'a [u8],
    /// Two-byte topic length.
    pub v2: bool,
    /// CRC-32 of the stored body, top bit cleared.
    pub body_crc: u32,
    /// Queue of the topic.
    pub queue_id: u32,
    /// The application's flag.
    pub flag: i32,
    /// Place in the queue; 0 for prepared and rollback records.
    pub queue_offset: u64,
    /// Place in the log.
    pub log_offset: LogOffset,
    /// Bits of [`sysflag`].
    pub sys_flag: i32,
    /// The client's time.
    pub born_timestamp: Millis,
    /// The client's address.
    pub born_host: SocketAddr,
    /// The broker's time.
    pub store_timestamp: Millis,
    /// The broker's address.
    pub store_host: SocketAddr,
    /// Failed deliveries.
    pub reconsume_times: i32,
    /// Place of the half message.
    pub prepared_transaction_offset: i64,
    /// Body as stored.
    pub body: &'a [u8],
    /// Topic.
    pub topic: &'a str,
    /// Properties text.
    pub properties: &'a [u8],
}

impl<'a> RecordView<'a> {
    /// Reads what stands at the start of `buf`, which may be longer.
    ///
    /// The order of the checks is that of recovery: size, magic, CRC, sum of the parts.
    pub fn parse(buf: &'a [u8], check: Check) -> Result<Parsed<'a>, Fault> {
        let size = i32_at(buf, 0).ok_or(Fault::Short)?;
        let magic = u32_at(buf, 4).ok_or(Fault::Short)?;
        let v2 = match magic {
            MAGIC_V1 => false,
            MAGIC_V2 => true,
            MAGIC_BLANK => {
                return usize::try_from(size)
                    .map(Parsed::Blank)
                    .map_err(|_negative| Fault::Size { size: 0 });
            }
            _ => return Err(Fault::Magic { magic }),
        };
        let size = usize::try_from(size).map_err(|_negative| Fault::Size { size: 0 })?;
        let bytes = buf.get(..size).ok_or(Fault::Short)?;
        let record = Self::parts(bytes, v2).ok_or(Fault::Size { size })??;
        if check.body_crc && !record.body.is_empty() && body_crc(record.body) != record.body_crc {
            return Err(Fault::BodyCrc);
        }
        if check.at.is_some_and(|at| at != record.log_offset) {
            return Err(Fault::Place { stored: record.log_offset.to_wire() });
        }
        Ok(Parsed::Record(record))
    }

    /// Reads a record that is known not to be a filler, such as one from a pull answer.
    pub fn decode(buf: &'a [u8], check: Check) -> Result<Self, Fault> {
        match Self::parse(buf, check)? {
            Parsed::Record(record) => Ok(record),
            Parsed::Blank(_) => Err(Fault::Magic { magic: MAGIC_BLANK }),
        }
    }

    /// `None` if the parts do not fill `bytes` exactly.
    fn parts(bytes: &'a [u8], v2: bool) -> Option<Result<Self, Fault>> {
        let sys_flag = i32_at(bytes, SYS_FLAG_AT)?;
        let born_v6 = sys_flag & sysflag::BORN_HOST_V6 != 0;
        let store_v6 = sys_flag & sysflag::STORE_HOST_V6 != 0;
        let store_time_at = BORN_HOST_AT + host_bytes(born_v6);
        let store_host_at = store_time_at + 8;
        let tail_at = store_host_at + host_bytes(store_v6);
        let body_at = tail_at + 16;
        let body_end = body_at.checked_add(len_at(bytes, tail_at + 12)?)?;
        let body = bytes.get(body_at..body_end)?;
        let (topic_len, topic_at) = if v2 {
            (usize::try_from(i16_at(bytes, body_end)?).ok()?, body_end + 2)
        } else {
            let len = usize::from(*bytes.get(body_end)?);
            (Some(len).filter(|len| *len <= V1_TOPIC_BYTES_MAX)?, body_end + 1)
        };
        let topic_end = topic_at + topic_len;
        let topic = bytes.get(topic_at..topic_end)?;
        let properties_len = usize::try_from(i16_at(bytes, topic_end)?).ok()?;
        let properties_at = topic_end + 2;
        let properties = bytes.get(properties_at..)?;
        if properties.len() != properties_len {
            return None;
        }
        let field = |field| Some(Err(Fault::Field { field }));
        let Ok(topic) = std::str::from_utf8(topic) else { return field("topic") };
        let Ok(queue_id) = u32::try_from(i32_at(bytes, 12)?) else { return field("queue id") };
        let Ok(queue_offset) = u64::try_from(i64_at(bytes, QUEUE_OFFSET_AT)?) else {
            return field("queue offset");
        };
        let Some(log_offset) = LogOffset::from_wire(i64_at(bytes, PHYSICAL_OFFSET_AT)?) else {
            return field("physical offset");
        };
        let Some(born_host) = decode_host(bytes, BORN_HOST_AT, born_v6) else {
            return field("born host");
        };
        let Some(store_host) = decode_host(bytes, store_host_at, store_v6) else {
            return field("store host");
        };
        Some(Ok(Self {
            bytes,
            v2,
            body_crc: u32_at(bytes, 8)?,
            queue_id,
            flag: i32_at(bytes, 16)?,
            queue_offset,
            log_offset,
            sys_flag,
            born_timestamp: i64_at(bytes, 40)?,
            born_host,
            store_timestamp: i64_at(bytes, store_time_at)?,
            store_host,
            reconsume_times: i32_at(bytes, tail_at)?,
            prepared_transaction_offset: i64_at(bytes, tail_at + 4)?,
            body,
            topic,
            properties,
        }))
    }

    /// The transaction bits of the sys flag.
    pub fn transaction(&self) -> i32 {
        self.sys_flag & sysflag::TRANSACTION_MASK
    }

    /// Whether consumers see it: prepared and rollback records get no place in a queue.
    pub fn is_queued(&self) -> bool {
        matches!(self.transaction(), 0 | sysflag::TRANSACTION_COMMIT)
    }
}

fn decode_host(bytes: &[u8], at: usize, v6: bool) -> Option<SocketAddr> {
    let (ip, port_at): (IpAddr, usize) = if v6 {
        (Ipv6Addr::from(array::<16>(bytes, at)?).into(), at + 16)
    } else {
        (Ipv4Addr::from(array::<4>(bytes, at)?).into(), at + 4)
    };
    // Java writes any int here; only the low half can be a port.
    let [_, _, high, low] = array::<4>(bytes, port_at)?;
    Some(SocketAddr::new(ip, u16::from_be_bytes([high, low])))
}

/// Length of the properties of a record that [`encode`] made of a topic and body of these lengths.
pub fn properties_bytes(record: &[u8], topic_bytes: usize, body_bytes: usize) -> usize {
    let v6 = |bit| i32_at(record, SYS_FLAG_AT).is_some_and(|flag| flag & bit != 0);
    let topic_len = if topic_bytes <= V1_TOPIC_BYTES_MAX { 1 } else { 2 };
    let before = 72
        + host_bytes(v6(sysflag::BORN_HOST_V6))
        + host_bytes(v6(sysflag::STORE_HOST_V6))
        + body_bytes
        + topic_len
        + topic_bytes
        + 2;
    record.len().saturating_sub(before)
}

/// Store timestamp of a record of which at least the header is in `buf`.
pub fn store_time_of(buf: &[u8]) -> Option<Millis> {
    let v6 = i32_at(buf, SYS_FLAG_AT)? & sysflag::BORN_HOST_V6 != 0;
    i64_at(buf, BORN_HOST_AT + host_bytes(v6))
}

/// Records that follow each other without anything between, as in a pull answer. Ends after the
/// first fault.
pub fn records(buf: &[u8]) -> impl Iterator<Item = Result<RecordView<'_>, Fault>> {
    let mut rest = buf;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let record = RecordView::decode(rest, Check { body_crc: true, at: None });
        let read = record.as_ref().map_or(rest.len(), |record| record.bytes.len());
        rest = rest.get(read..).unwrap_or_default();
        Some(record)
    })
}

#[cfg(test)]
#[path = "layout_tests.rs"]
mod tests;
