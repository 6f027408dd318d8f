//! Requests that are encoded once and patched where they differ, so that the generator's own
//! cost stays small beside the server's.

use anyhow::{Context, ensure};
use bytes::{Bytes, BytesMut};
use rmq_record::batch;
use rmq_remoting::{Command, Encoding, code};

/// Where a fixed number of bytes is overwritten.
type Spot = usize;

/// Opaque of the placeholder and of the first slot; ten digits, so every slot's text is as long.
pub(crate) const OPAQUE_BASE: i32 = 1_000_000_000;
const OPAQUE_DIGITS: usize = 10;
/// Position of the opaque in a frame with a binary header: length, word, code, language, version.
const OPAQUE_IN_BINARY: Spot = 4 + 4 + 2 + 1 + 2;
/// Stand for the born time and the pull offset while a template is made.
const BORN_PLACEHOLDER: &str = "1010101010101";
const OFFSET_PLACEHOLDER: &str = "1010101010101010101";
/// Last part of a unique id that is counted up.
const COUNTER_DIGITS: usize = 12;
/// Begins a body that carries its send time, which follows as a big-endian u64 of nanoseconds.
pub(crate) const STAMP_MAGIC: &[u8; 8] = b"rmqbench";
/// Smallest body that has space for a stamp.
pub(crate) const STAMPED_BYTES_MIN: usize = 16;

/// How send headers are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum HeaderForm {
    /// Code 10, long field names, JSON: Go and C++ clients
    V1,
    /// Code 310, one-letter names, JSON: Java clients
    V2,
    /// Code 310 in the binary header
    Binary,
}

/// What a send request is to look like.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SendShape<'a> {
    pub(crate) topic: &'a str,
    pub(crate) group: &'a str,
    pub(crate) queue: i32,
    pub(crate) body_bytes: usize,
    /// Messages in a request; above 1 it is a batch request.
    pub(crate) batch: usize,
    pub(crate) header: HeaderForm,
    pub(crate) tag: Option<&'a str>,
    /// First 20 hex digits of every unique id of this run.
    pub(crate) id_prefix: &'a str,
}

/// A send request of one queue.
#[derive(Debug)]
pub(crate) struct SendTemplate {
    frame: Vec<u8>,
    opaque: Opaque,
    born: Vec<Spot>,
    counters: Vec<Spot>,
    stamps: Vec<Spot>,
}

#[derive(Clone, Copy, Debug)]
enum Opaque {
    Text(Spot),
    Binary(Spot),
}

impl SendTemplate {
    pub(crate) fn new(shape: &SendShape<'_>) -> anyhow::Result<Self> {
        let id = |n: usize| format!("{}{n:0COUNTER_DIGITS$X}", shape.id_prefix);
        let properties = |n: usize| {
            let tag = shape.tag.map(|tag| format!("\u{2}TAGS\u{1}{tag}")).unwrap_or_default();
            format!("UNIQ_KEY\u{1}{}\u{2}WAIT\u{1}true{tag}\u{2}", id(n))
        };
        let one = body(shape.body_bytes);
        let (whole, header_properties) = if 1 < shape.batch {
            let mut encoded = Vec::new();
            for n in 0..shape.batch {
                let properties = properties(n);
                let element =
                    batch::Element { flag: 0, body: &one, properties: properties.as_bytes() };
                ensure!(batch::encode(&mut encoded, &element), "a message is too long");
            }
            (Bytes::from(encoded), properties(0))
        } else {
            (Bytes::from(one), properties(0))
        };
        let mut command = send_command(shape, &header_properties).with_body(whole);
        command.opaque = OPAQUE_BASE;
        let mut frame = BytesMut::new();
        command.encode(&mut frame);
        let frame = frame.to_vec();
        let opaque = match shape.header {
            HeaderForm::Binary => Opaque::Binary(OPAQUE_IN_BINARY),
            HeaderForm::V1 | HeaderForm::V2 => Opaque::Text(opaque_text(&frame)?),
        };
        let at = |found: Vec<Spot>, skip: usize| found.into_iter().map(|s| s + skip).collect();
        let born: Vec<Spot> = find(&frame, BORN_PLACEHOLDER.as_bytes());
        ensure!(born.len() == 1, "the born time is not where it is looked for");
        let prefix = shape.id_prefix;
        let counters: Vec<Spot> = at(find(&frame, prefix.as_bytes()), prefix.len());
        ensure!(!counters.is_empty(), "the unique id is not where it is looked for");
        let stamps = at(find(&frame, STAMP_MAGIC), STAMP_MAGIC.len());
        Ok(Self { frame, opaque, born, counters, stamps })
    }

    /// Appends the request to `out`. `counter` is counted up for every unique id.
    pub(crate) fn write(
        &mut self,
        slot: i32,
        born_ms: i64,
        stamp_ns: u64,
        counter: &mut u64,
        out: &mut Vec<u8>,
    ) {
        self.opaque.patch(&mut self.frame, slot);
        for &spot in &self.born {
            digits(&mut self.frame, spot, BORN_PLACEHOLDER.len(), 10, born_ms.unsigned_abs());
        }
        for &spot in &self.counters {
            digits(&mut self.frame, spot, COUNTER_DIGITS, 16, *counter);
            *counter += 1;
        }
        for &spot in &self.stamps {
            if let Some(bytes) = self.frame.get_mut(spot..spot + 8) {
                bytes.copy_from_slice(&stamp_ns.to_be_bytes());
            }
        }
        out.extend_from_slice(&self.frame);
    }
}

/// A pull request of one queue.
#[derive(Debug)]
pub(crate) struct PullTemplate {
    frame: Vec<u8>,
    opaque: Opaque,
    offset: Spot,
}

/// What a pull request is to look like.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PullShape<'a> {
    pub(crate) topic: &'a str,
    pub(crate) group: &'a str,
    pub(crate) queue: i32,
    pub(crate) messages_max: i32,
    /// How long the broker may keep the request if there is nothing; 0 is not at all.
    pub(crate) suspend_ms: i64,
}

impl PullTemplate {
    pub(crate) fn new(shape: &PullShape<'_>) -> anyhow::Result<Self> {
        const SUSPEND: i32 = 2;
        const SUBSCRIPTION: i32 = 4;
        let sys_flag = SUBSCRIPTION + if 0 < shape.suspend_ms { SUSPEND } else { 0 };
        let mut command = Command::request(code::request::PULL_MESSAGE);
        for (name, value) in [
            ("consumerGroup", shape.group.to_owned()),
            ("topic", shape.topic.to_owned()),
            ("queueId", shape.queue.to_string()),
            ("queueOffset", OFFSET_PLACEHOLDER.to_owned()),
            ("maxMsgNums", shape.messages_max.to_string()),
            ("sysFlag", sys_flag.to_string()),
            ("commitOffset", "0".to_owned()),
            ("suspendTimeoutMillis", shape.suspend_ms.to_string()),
            ("subscription", "*".to_owned()),
            ("subVersion", "0".to_owned()),
            ("expressionType", "TAG".to_owned()),
        ] {
            command = command.with_ext(name, value);
        }
        command.opaque = OPAQUE_BASE;
        let mut frame = BytesMut::new();
        command.encode(&mut frame);
        let frame = frame.to_vec();
        let offset = *find(&frame, OFFSET_PLACEHOLDER.as_bytes())
            .first()
            .context("the offset is not where it is looked for")?;
        Ok(Self { opaque: Opaque::Text(opaque_text(&frame)?), frame, offset })
    }

    /// Appends the request to `out`.
    pub(crate) fn write(&mut self, slot: i32, offset: i64, out: &mut Vec<u8>) {
        self.opaque.patch(&mut self.frame, slot);
        let offset = offset.unsigned_abs();
        digits(&mut self.frame, self.offset, OFFSET_PLACEHOLDER.len(), 10, offset);
        out.extend_from_slice(&self.frame);
    }
}

impl Opaque {
    fn patch(self, frame: &mut [u8], slot: i32) {
        let opaque = OPAQUE_BASE.saturating_add(slot);
        match self {
            Self::Text(spot) => {
                digits(frame, spot, OPAQUE_DIGITS, 10, u64::from(opaque.unsigned_abs()));
            }
            Self::Binary(spot) => {
                if let Some(bytes) = frame.get_mut(spot..spot + 4) {
                    bytes.copy_from_slice(&opaque.to_be_bytes());
                }
            }
        }
    }
}

/// The fields of a send request, under the names of the wanted form.
fn send_command(shape: &SendShape<'_>, properties: &str) -> Command {
    let batch = 1 < shape.batch;
    let request = match shape.header {
        _ if batch => code::request::SEND_BATCH_MESSAGE,
        HeaderForm::V1 => code::request::SEND_MESSAGE,
        HeaderForm::V2 | HeaderForm::Binary => code::request::SEND_MESSAGE_V2,
    };
    let long_names = shape.header == HeaderForm::V1 && !batch;
    let mut command = Command::request(request);
    if shape.header == HeaderForm::Binary {
        command.encoding = Encoding::Binary;
    }
    for (short, long, value) in [
        ("a", "producerGroup", shape.group.to_owned()),
        ("b", "topic", shape.topic.to_owned()),
        ("c", "defaultTopic", "TBW102".to_owned()),
        ("d", "defaultTopicQueueNums", "4".to_owned()),
        ("e", "queueId", shape.queue.to_string()),
        ("f", "sysFlag", "0".to_owned()),
        ("g", "bornTimestamp", BORN_PLACEHOLDER.to_owned()),
        ("h", "flag", "0".to_owned()),
        ("i", "properties", properties.to_owned()),
        ("j", "reconsumeTimes", "0".to_owned()),
        ("k", "unitMode", "false".to_owned()),
        ("m", "batch", batch.to_string()),
    ] {
        command = command.with_ext(if long_names { long } else { short }, value);
    }
    command
}

/// A body of printable noise, with a stamp in front where it fits.
fn body(bytes: usize) -> Vec<u8> {
    let mut state = 0x2545_F491_4F6C_DD1D_u64;
    let mut body: Vec<u8> = (0..bytes)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            let [low, ..] = state.to_le_bytes();
            b'a' + low % 26
        })
        .collect();
    if STAMPED_BYTES_MIN <= bytes
        && let Some(start) = body.first_chunk_mut::<8>()
    {
        *start = *STAMP_MAGIC;
    }
    body
}

fn opaque_text(frame: &[u8]) -> anyhow::Result<Spot> {
    let key = b"\"opaque\":";
    let spots = find(frame, key);
    let spot = spots.first().context("the opaque is not where it is looked for")?;
    Ok(spot + key.len())
}

fn find(haystack: &[u8], needle: &[u8]) -> Vec<Spot> {
    let windows = haystack.windows(needle.len()).enumerate();
    windows.filter(|(_, w)| *w == needle).map(|(at, _)| at).collect()
}

/// Writes `value` with exactly `width` digits of `base` (at most 16), upper case.
fn digits(frame: &mut [u8], spot: Spot, width: usize, base: u64, mut value: u64) {
    let Some(field) = frame.get_mut(spot..spot + width) else { return };
    for digit in field.iter_mut().rev() {
        let index = usize::try_from(value % base).unwrap_or(0);
        *digit = b"0123456789ABCDEF".get(index).copied().unwrap_or(b'0');
        value /= base;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rmq_remoting::frame::take_frame;

    const PREFIX: &str = "7F00000112345678ABCD";

    fn shape(header: HeaderForm, batch: usize) -> SendShape<'static> {
        SendShape {
            topic: "T",
            group: "PG",
            queue: 12,
            body_bytes: 100,
            batch,
            header,
            tag: None,
            id_prefix: PREFIX,
        }
    }

    #[test]
    fn every_form_decodes_to_what_was_patched() {
        for (header, batch, code) in [
            (HeaderForm::V1, 1, 10),
            (HeaderForm::V2, 1, 310),
            (HeaderForm::Binary, 1, 310),
            (HeaderForm::V1, 4, 320),
            (HeaderForm::V2, 4, 320),
        ] {
            let mut template = SendTemplate::new(&shape(header, batch)).unwrap();
            let (mut counter, mut out) = (0xABC, Vec::new());
            template.write(7, 1_700_000_000_123, 99, &mut counter, &mut out);
            template.write(8, 1_700_000_000_124, 99, &mut counter, &mut out);
            let mut wire = BytesMut::from(&out[..]);
            let first = take_frame(&mut wire, 1 << 20).unwrap().unwrap();
            let second = take_frame(&mut wire, 1 << 20).unwrap().unwrap();
            assert!(wire.is_empty());
            assert_eq!((first.code, first.opaque), (code, OPAQUE_BASE + 7), "{header:?}");
            assert_eq!(second.opaque, OPAQUE_BASE + 8);
            let long = code == 10;
            let field = |name: &str, short: &str| {
                second.ext.get(if long { name } else { short }).map(|v| v.to_string())
            };
            assert_eq!(field("bornTimestamp", "g").as_deref(), Some("1700000000124"));
            assert_eq!(field("queueId", "e").as_deref(), Some("12"));
            assert_eq!(
                field("batch", "m").as_deref(),
                Some(if batch > 1 { "true" } else { "false" })
            );
            let properties = field("properties", "i").unwrap();
            assert!(properties.contains(PREFIX), "{properties:?}");
            assert_eq!(find(&second.body, STAMP_MAGIC).len(), batch);
            if batch == 1 {
                assert_eq!(second.body.len(), 100);
                assert!(properties.contains("000000000ABD"), "{properties:?}");
            } else {
                assert_eq!(counter, 0xABC + 2 * (4 + 1));
            }
        }
    }

    #[test]
    fn pulls_decode_to_what_was_patched() {
        let shape =
            PullShape { topic: "T", group: "G", queue: 3, messages_max: 32, suspend_ms: 15_000 };
        let mut template = PullTemplate::new(&shape).unwrap();
        let mut out = Vec::new();
        template.write(5, 4711, &mut out);
        let mut wire = BytesMut::from(&out[..]);
        let command = take_frame(&mut wire, 1 << 20).unwrap().unwrap();
        assert_eq!((command.code, command.opaque), (11, OPAQUE_BASE + 5));
        let offset: i64 = command.ext.get("queueOffset").unwrap().parse().unwrap();
        assert_eq!(offset, 4711);
        assert_eq!(command.ext.get("sysFlag").map(|v| v.to_string()).as_deref(), Some("6"));
    }
}
