//! Frames that official programs exchanged: each is read whole, means what its name says, and
//! survives being written again.

#![expect(clippy::panic, reason = "a vector that cannot be read fails the test")]

use std::path::PathBuf;

use bytes::{Bytes, BytesMut};
use proptest::prelude::*;
use rmq_remoting::header::{
    ConsumerGroup, ConsumerSendMsgBack, CreateTopic, GetMaxOffset, GetRoute, Header,
    OfTopicAndGroup, OffsetResponse, PullMessage, PullMessageResponse, PushReplyMessage,
    QueryConsumerOffset, QueryMessage, QueryMessageResponse, RegisterBroker,
    RegisterBrokerResponse, SearchOffset, SendMessage, SendMessageResponse, UnregisterClient,
    UpdateConsumerOffset,
};
use rmq_remoting::{Command, Encoding, take_frame};

const FRAME_BYTES_MAX: usize = 16 * 1024 * 1024;

/// A recorded frame and what its name says.
#[derive(Debug)]
struct Recorded {
    name: String,
    bytes: Vec<u8>,
    /// Code of the request, which an answer does not carry itself.
    asked: i32,
    /// Code of an answer; `None` for a request.
    answer: Option<i32>,
    encoding: Encoding,
}

impl Recorded {
    fn read(path: PathBuf) -> Self {
        let name = path.file_name().expect("a file").to_string_lossy().into_owned();
        let mut parts = name.splitn(4, '-');
        let asked = parts.next().expect("a code").parse().expect("a number");
        let kind = parts.next().expect("request or answer");
        let answer = kind.strip_prefix("answer").map(|code| code.parse().expect("a number"));
        let encoding = match parts.next().expect("an encoding") {
            "json" => Encoding::Json,
            "binary" => Encoding::Binary,
            other => panic!("{name}: {other}"),
        };
        let bytes = std::fs::read(path).expect("a readable file");
        Self { name, bytes, asked, answer, encoding }
    }

    fn command(&self) -> Command {
        let mut buffer = BytesMut::from(self.bytes.as_slice());
        let command = take_frame(&mut buffer, FRAME_BYTES_MAX)
            .unwrap_or_else(|error| panic!("{}: {error}", self.name))
            .unwrap_or_else(|| panic!("{}: incomplete", self.name));
        assert!(buffer.is_empty(), "{}: bytes left over", self.name);
        command
    }
}

fn recorded() -> Vec<Recorded> {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors");
    let mut all: Vec<Recorded> = std::fs::read_dir(directory)
        .expect("the vectors")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "bin"))
        .map(Recorded::read)
        .collect();
    all.sort_by(|a, b| a.name.cmp(&b.name));
    assert!(80 <= all.len(), "only {} vectors", all.len());
    all
}

#[test]
fn every_frame_means_what_its_name_says() {
    for frame in recorded() {
        let command = frame.command();
        assert_eq!(command.code, frame.answer.unwrap_or(frame.asked), "{}", frame.name);
        assert_eq!(command.is_response(), frame.answer.is_some(), "{}", frame.name);
        assert_eq!(command.encoding, frame.encoding, "{}", frame.name);
    }
}

#[test]
fn every_frame_survives_being_written_again() {
    for frame in recorded() {
        let command = frame.command();
        let mut out = BytesMut::new();
        command.encode(&mut out);
        let again = take_frame(&mut out, FRAME_BYTES_MAX).expect("ours").expect("whole");
        assert!(out.is_empty(), "{}", frame.name);
        assert_eq!(again, command, "{}", frame.name);
    }
}

/// Reads the header and checks that what it writes back is what was recorded.
fn header<H: Header>(frame: &Recorded, command: &Command) {
    let header: H = command.decode().unwrap_or_else(|error| panic!("{}: {error}", frame.name));
    let mut written = rmq_remoting::ExtFields::new();
    header.to_ext(&mut written);
    let mut common = 0;
    for (key, value) in written.iter() {
        if let Some(recorded) = command.ext.get(key) {
            assert_eq!(value, recorded, "{}: {key}", frame.name);
            common += 1;
        }
    }
    let sent = command.ext.iter().count();
    assert!(0 < common || sent == 0, "{}: no field in common", frame.name);
}

#[test]
fn typed_headers_agree_with_the_recorded_fields() {
    let mut read = 0;
    for frame in recorded() {
        let command = frame.command();
        let check: fn(&Recorded, &Command) = match (frame.asked, frame.answer) {
            (10 | 324, None) => header::<SendMessage>,
            (10 | 310 | 320, Some(0)) => header::<SendMessageResponse>,
            (11 | 361, None) => header::<PullMessage>,
            (11, Some(0 | 19 | 21)) => header::<PullMessageResponse>,
            (12, None) => header::<QueryMessage>,
            (12, Some(0)) => header::<QueryMessageResponse>,
            (14, None) => header::<QueryConsumerOffset>,
            (14 | 29 | 30, Some(0)) => header::<OffsetResponse>,
            (15, None) => header::<UpdateConsumerOffset>,
            (17, None) => header::<CreateTopic>,
            (29, None) => header::<SearchOffset>,
            (30, None) => header::<GetMaxOffset>,
            (35, None) => header::<UnregisterClient>,
            (36, None) => header::<ConsumerSendMsgBack>,
            (38 | 40, None) => header::<ConsumerGroup>,
            (103, None) => header::<RegisterBroker>,
            (103, Some(0)) => header::<RegisterBrokerResponse>,
            (105, None) => header::<GetRoute>,
            (303, None) => header::<OfTopicAndGroup>,
            (326, None) => header::<PushReplyMessage>,
            _ => continue,
        };
        check(&frame, &command);
        read += 1;
    }
    assert!(40 <= read, "only {read} headers");
}

#[test]
fn one_letter_send_headers_are_read() {
    let mut read = 0;
    for frame in recorded() {
        if !matches!(frame.asked, 310 | 320 | 325) || frame.answer.is_some() {
            continue;
        }
        let command = frame.command();
        let send = SendMessage::from_v2(&command.ext)
            .unwrap_or_else(|error| panic!("{}: {error}", frame.name));
        assert_eq!(Some(&*send.topic), command.ext.get("b"), "{}", frame.name);
        assert_eq!(send.batch, frame.asked == 320, "{}", frame.name);
        assert!(!command.body.is_empty(), "{}", frame.name);
        read += 1;
    }
    assert!(4 <= read, "only {read} headers");
}

#[test]
fn a_cut_frame_waits_for_the_rest() {
    for frame in recorded() {
        for length in [0, 1, 3, 4, 7, 8, frame.bytes.len() / 2, frame.bytes.len() - 1] {
            let mut buffer = BytesMut::from(&frame.bytes[..length]);
            let answer = take_frame(&mut buffer, FRAME_BYTES_MAX);
            assert!(matches!(answer, Ok(None)), "{} cut at {length}: {answer:?}", frame.name);
        }
    }
}

proptest! {
    /// A wrong byte in a real frame: any answer will do, a panic will not.
    #[test]
    fn damaged_frames_are_refused_or_read(
        which in any::<prop::sample::Index>(),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let all = recorded();
        let frame = which.get(&all);
        let mut bytes = frame.bytes.clone();
        // The length word is kept: a longer frame would only wait.
        let at = 4 + at.index(bytes.len() - 4);
        bytes[at] = byte;
        if let Ok(command) = rmq_remoting::frame::decode(Bytes::from(bytes).slice(4..)) {
            let mut out = BytesMut::new();
            command.encode(&mut out);
            let again = take_frame(&mut out, FRAME_BYTES_MAX);
            prop_assert!(matches!(again, Ok(Some(_))), "{again:?}");
        }
    }
}
