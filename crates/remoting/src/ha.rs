//! Replication on the wire: Java's frames, and ours between two nodes of ours.
//!
//! The layout is in `docs/formats/ha.md`. A replica of ours begins with [`MAGIC`], which is no
//! position that a Java replica could begin with; what follows are frames of this form:
//!
//! | offset | width | field |
//! | --- | --- | --- |
//! | 0 | 4 | bytes that follow this field |
//! | 4 | 4 | CRC-32 of all that follows this field |
//! | 8 | 1 | kind |
//! | 9 | n | payload |

mod java;
#[cfg(test)]
mod tests;

pub use java::{
    JAVA_BODY_BYTES_MAX, JAVA_HEADER_BYTES, JavaFrame, encode_java_header, encode_java_report,
    take_java_frame, take_java_report,
};

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use rmq_model::LogOffset;

/// First bytes of a replica of ours. As Java's number this is negative.
pub const MAGIC: [u8; 8] = [0xF2, b'R', b'M', b'Q', b'-', b'H', b'A', 1];
/// Most bytes of the log in one frame.
pub const DATA_BYTES_MAX: usize = 1024 * 1024;
/// Most bytes of a frame of a replica.
pub const SLAVE_FRAME_BYTES_MAX: usize = 64 * 1024;
/// Most bytes of a frame of a master.
pub const MASTER_FRAME_BYTES_MAX: usize = DATA_BYTES_MAX + 64;
/// Most terms in a hello.
pub const EPOCHS_MAX: usize = 1000;

const HELLO: u8 = 1;
const REPORT: u8 = 2;
const WELCOME: u8 = 3;
const REFUSED: u8 = 4;
const DATA: u8 = 5;
const STATE: u8 = 6;
/// CRC and kind.
const PREFIX_BYTES: usize = 5;

/// Why bytes are no frame. The connection must be closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HaError {
    /// It is longer than any frame of its direction.
    #[error("a frame of {bytes} bytes, at most {max} are possible")]
    TooLong {
        /// Its length.
        bytes: usize,
        /// The bound.
        max: usize,
    },
    /// It is shorter than its kind, or longer.
    #[error("a frame of kind {kind} has the wrong length")]
    Length {
        /// Its kind.
        kind: u8,
    },
    /// The check value does not match.
    #[error("the check value of a frame does not match")]
    Crc,
    /// There is no such kind in this direction.
    #[error("kind {kind} is unknown")]
    Kind {
        /// Its kind.
        kind: u8,
    },
    /// A field has a value that cannot be.
    #[error("the field {field} is impossible")]
    Field {
        /// Which.
        field: &'static str,
    },
}

/// A term and its first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WireEpoch {
    /// Number.
    pub epoch: u32,
    /// First byte.
    pub start: LogOffset,
}

/// What a replica of ours says first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HelloFrame {
    /// Its copy.
    pub store: [u8; 16],
    /// `brokerId`
    pub broker_id: i64,
    /// First byte of its log.
    pub min: LogOffset,
    /// One past the last byte of its log.
    pub end: LogOffset,
    /// `brokerClusterName`
    pub cluster: String,
    /// `brokerName`
    pub broker: String,
    /// Its terms, oldest first.
    pub epochs: Vec<WireEpoch>,
}

/// What a replica of ours sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FromSlave {
    /// First of all.
    Hello(HelloFrame),
    /// Whenever it has more.
    Report {
        /// One past the last byte it has.
        received: LogOffset,
        /// One past the last byte that would survive a power cut there.
        synced: LogOffset,
    },
}

/// The answer to a hello.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WelcomeFrame {
    /// The master's copy.
    pub store: [u8; 16],
    /// The master's term.
    pub epoch: u32,
    /// Both logs are the same up to here.
    pub from: LogOffset,
    /// How many bytes before `from` were checked.
    pub tail_bytes: u32,
    /// Their CRC-32.
    pub tail_crc: u32,
}

/// A piece of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataFrame {
    /// First byte.
    pub offset: LogOffset,
    /// The term that all of it was written in.
    pub term: WireEpoch,
    /// Up to here there are the copies that the master wants.
    pub confirmed: LogOffset,
    /// The bytes.
    pub bytes: Bytes,
}

/// A sign of life, and what changed beside the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StateFrame {
    /// The byte that is sent next.
    pub next: LogOffset,
    /// Up to here there are the copies that the master wants.
    pub confirmed: LogOffset,
    /// End of the master's log.
    pub end: LogOffset,
    /// Another number whenever topics changed.
    pub topics: u64,
    /// Another number whenever groups changed.
    pub groups: u64,
    /// Another number whenever consumer offsets changed.
    pub offsets: u64,
    /// Another number whenever the progress of delay levels changed.
    pub delays: u64,
}

/// What a master of ours sends to a replica of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FromMaster {
    /// It sends from where the welcome says.
    Welcome(WelcomeFrame),
    /// It does not, for this reason.
    Refused(String),
    /// A piece of the log.
    Data(DataFrame),
    /// A sign of life.
    State(StateFrame),
}

impl FromSlave {
    /// Adds the frame to `out`.
    pub fn encode(&self, out: &mut BytesMut) {
        let at = begin(out);
        match self {
            Self::Hello(hello) => {
                out.put_u8(HELLO);
                out.put_slice(&hello.store);
                out.put_i64(hello.broker_id);
                out.put_u64(hello.min.0);
                out.put_u64(hello.end.0);
                put_text(out, &hello.cluster);
                put_text(out, &hello.broker);
                let epochs = hello.epochs.iter().rev().take(EPOCHS_MAX).rev();
                out.put_u16(u16::try_from(epochs.len()).unwrap_or(0));
                for epoch in epochs {
                    out.put_u32(epoch.epoch);
                    out.put_u64(epoch.start.0);
                }
            }
            Self::Report { received, synced } => {
                out.put_u8(REPORT);
                out.put_u64(received.0);
                out.put_u64(synced.0);
            }
        }
        end(out, at);
    }

    /// Takes the next frame off `buf`; `None` until all of it has arrived.
    ///
    /// # Errors
    /// [`HaError`]: what follows cannot be understood any more.
    pub fn take(buf: &mut BytesMut) -> Result<Option<Self>, HaError> {
        let Some((kind, mut rest)) = take(buf, SLAVE_FRAME_BYTES_MAX)? else { return Ok(None) };
        let short = |_: bytes::TryGetError| HaError::Length { kind };
        let frame = match kind {
            HELLO => {
                let store = take_store(&mut rest, kind)?;
                let broker_id = rest.try_get_i64().map_err(short)?;
                let min = take_offset(&mut rest, kind, "min")?;
                let end = take_offset(&mut rest, kind, "end")?;
                let cluster = take_text(&mut rest, kind)?;
                let broker = take_text(&mut rest, kind)?;
                let count = usize::from(rest.try_get_u16().map_err(short)?);
                if EPOCHS_MAX < count {
                    return Err(HaError::Field { field: "epochs" });
                }
                let mut epochs = Vec::with_capacity(count);
                for _ in 0..count {
                    let epoch = rest.try_get_u32().map_err(short)?;
                    let start = take_offset(&mut rest, kind, "epoch start")?;
                    epochs.push(WireEpoch { epoch, start });
                }
                if end < min {
                    return Err(HaError::Field { field: "end" });
                }
                Self::Hello(HelloFrame { store, broker_id, min, end, cluster, broker, epochs })
            }
            REPORT => Self::Report {
                received: take_offset(&mut rest, kind, "received")?,
                synced: take_offset(&mut rest, kind, "synced")?,
            },
            _ => return Err(HaError::Kind { kind }),
        };
        if rest.is_empty() { Ok(Some(frame)) } else { Err(HaError::Length { kind }) }
    }
}

impl FromMaster {
    /// Adds the frame to `out`. A reason is cut to 1000 characters.
    pub fn encode(&self, out: &mut BytesMut) {
        let at = begin(out);
        match self {
            Self::Welcome(welcome) => {
                out.put_u8(WELCOME);
                out.put_slice(&welcome.store);
                out.put_u32(welcome.epoch);
                out.put_u64(welcome.from.0);
                out.put_u32(welcome.tail_bytes);
                out.put_u32(welcome.tail_crc);
            }
            Self::Refused(reason) => {
                out.put_u8(REFUSED);
                put_text(out, &reason.chars().take(1000).collect::<String>());
            }
            Self::Data(data) => {
                out.put_u8(DATA);
                out.put_u64(data.offset.0);
                out.put_u32(data.term.epoch);
                out.put_u64(data.term.start.0);
                out.put_u64(data.confirmed.0);
                out.put_slice(&data.bytes);
            }
            Self::State(state) => {
                out.put_u8(STATE);
                for offset in [state.next, state.confirmed, state.end] {
                    out.put_u64(offset.0);
                }
                for version in [state.topics, state.groups, state.offsets, state.delays] {
                    out.put_u64(version);
                }
            }
        }
        end(out, at);
    }

    /// Takes the next frame off `buf`; `None` until all of it has arrived.
    ///
    /// # Errors
    /// [`HaError`]: what follows cannot be understood any more.
    pub fn take(buf: &mut BytesMut) -> Result<Option<Self>, HaError> {
        let Some((kind, mut rest)) = take(buf, MASTER_FRAME_BYTES_MAX)? else { return Ok(None) };
        let short = |_: bytes::TryGetError| HaError::Length { kind };
        let frame = match kind {
            WELCOME => Self::Welcome(WelcomeFrame {
                store: take_store(&mut rest, kind)?,
                epoch: rest.try_get_u32().map_err(short)?,
                from: take_offset(&mut rest, kind, "from")?,
                tail_bytes: rest.try_get_u32().map_err(short)?,
                tail_crc: rest.try_get_u32().map_err(short)?,
            }),
            REFUSED => Self::Refused(take_text(&mut rest, kind)?),
            DATA => {
                let offset = take_offset(&mut rest, kind, "offset")?;
                let epoch = rest.try_get_u32().map_err(short)?;
                let start = take_offset(&mut rest, kind, "epoch start")?;
                let confirmed = take_offset(&mut rest, kind, "confirmed")?;
                let bytes = std::mem::take(&mut rest);
                if bytes.is_empty() || DATA_BYTES_MAX < bytes.len() {
                    return Err(HaError::Length { kind });
                }
                let term = WireEpoch { epoch, start };
                Self::Data(DataFrame { offset, term, confirmed, bytes })
            }
            STATE => Self::State(StateFrame {
                next: take_offset(&mut rest, kind, "next")?,
                confirmed: take_offset(&mut rest, kind, "confirmed")?,
                end: take_offset(&mut rest, kind, "end")?,
                topics: rest.try_get_u64().map_err(short)?,
                groups: rest.try_get_u64().map_err(short)?,
                offsets: rest.try_get_u64().map_err(short)?,
                delays: rest.try_get_u64().map_err(short)?,
            }),
            _ => return Err(HaError::Kind { kind }),
        };
        if rest.is_empty() { Ok(Some(frame)) } else { Err(HaError::Length { kind }) }
    }
}

/// Room for length and check value; returns where the frame begins.
fn begin(out: &mut BytesMut) -> usize {
    let at = out.len();
    out.put_u64(0);
    at
}

fn end(out: &mut BytesMut, at: usize) {
    let Some((head, rest)) = out.get_mut(at..).and_then(|frame| frame.split_at_mut_checked(8))
    else {
        return;
    };
    let len = u32::try_from(rest.len() + 4).unwrap_or(u32::MAX);
    let (len_field, crc_field) = head.split_at_mut(4);
    len_field.copy_from_slice(&len.to_be_bytes());
    crc_field.copy_from_slice(&crc32fast::hash(rest).to_be_bytes());
}

fn take(buf: &mut BytesMut, max: usize) -> Result<Option<(u8, Bytes)>, HaError> {
    let Some(&prefix) = buf.first_chunk::<4>() else { return Ok(None) };
    let bytes = u32::from_be_bytes(prefix) as usize;
    if max < bytes {
        return Err(HaError::TooLong { bytes, max }); // before anything is allocated
    }
    if bytes < PREFIX_BYTES {
        return Err(HaError::Length { kind: 0 });
    }
    if buf.len() - prefix.len() < bytes {
        return Ok(None);
    }
    buf.advance(prefix.len());
    let mut rest = buf.split_to(bytes).freeze(); // shares the read buffer: no copy
    let crc = rest.get_u32();
    if crc != crc32fast::hash(&rest) {
        return Err(HaError::Crc);
    }
    let kind = rest.get_u8();
    Ok(Some((kind, rest)))
}

fn take_store(rest: &mut Bytes, kind: u8) -> Result<[u8; 16], HaError> {
    let store = rest.first_chunk::<16>().copied().ok_or(HaError::Length { kind })?;
    rest.advance(store.len());
    Ok(store)
}

fn take_offset(rest: &mut Bytes, kind: u8, field: &'static str) -> Result<LogOffset, HaError> {
    let offset = rest.try_get_i64().map_err(|_short| HaError::Length { kind })?;
    LogOffset::from_wire(offset).ok_or(HaError::Field { field })
}

fn put_text(out: &mut BytesMut, text: &str) {
    let bytes = text.as_bytes();
    match u16::try_from(bytes.len()) {
        Ok(len) => {
            out.put_u16(len);
            out.put_slice(bytes);
        }
        // Names and reasons are far shorter.
        Err(_too_long) => out.put_u16(0),
    }
}

fn take_text(rest: &mut Bytes, kind: u8) -> Result<String, HaError> {
    let len = usize::from(rest.try_get_u16().map_err(|_short| HaError::Length { kind })?);
    if rest.len() < len {
        return Err(HaError::Length { kind });
    }
    let text = rest.split_to(len);
    String::from_utf8(text.into()).map_err(|_not_utf8| HaError::Field { field: "text" })
}
