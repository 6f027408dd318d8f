//! Frames, as official clients sent them.

use anyhow::Context as _;
use bytes::BytesMut;
use rmq_remoting::code::response;
use rmq_remoting::header::{PullMessage, SendMessage};
use rmq_remoting::{Command, take_frame};
use std::hint::black_box;

const FRAME_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Decodes `frame`, and its header by `header`.
fn decode<H>(
    times: u32,
    frame: &[u8],
    header: impl Fn(&Command) -> anyhow::Result<H>,
) -> anyhow::Result<()> {
    let mut buffer = BytesMut::new();
    for _ in 0..times {
        buffer.extend_from_slice(black_box(frame));
        let command = take_frame(&mut buffer, FRAME_BYTES_MAX)?.context("half a frame")?;
        black_box(header(&command)?);
    }
    Ok(())
}

fn send_header(command: &Command) -> anyhow::Result<SendMessage> {
    Ok(SendMessage::from_code(command.code, &command.ext)?)
}

pub(crate) fn send_request_json(times: u32) -> anyhow::Result<()> {
    let frame =
        include_bytes!("../../crates/remoting/tests/vectors/0310-request-json-java-5.3.bin");
    decode(times, frame, send_header)
}

pub(crate) fn send_request_binary(times: u32) -> anyhow::Result<()> {
    let frame =
        include_bytes!("../../crates/remoting/tests/vectors/0010-request-binary-java-5.3.bin");
    decode(times, frame, send_header)
}

pub(crate) fn pull_request_json(times: u32) -> anyhow::Result<()> {
    let frame =
        include_bytes!("../../crates/remoting/tests/vectors/0011-request-json-java-5.3.bin");
    decode(times, frame, |command| Ok(command.decode::<PullMessage>()?))
}

/// The answer to a send, as the broker makes it.
pub(crate) fn send_answer_json(times: u32) -> anyhow::Result<()> {
    let mut out = BytesMut::new();
    for n in 0..times {
        let mut answer = Command::response(response::SUCCESS);
        answer.ext.push_str("msgId", black_box("7F00000100002A9F000000000000ABCD"));
        answer.ext.push_number("queueId", 3);
        answer.ext.push_number("queueOffset", i64::from(n));
        answer.ext.push_str("transactionId", black_box("7F000001ABCD18B4AAC2000000000001"));
        answer.ext.push_str("MSG_REGION", "DefaultRegion");
        answer.ext.push_static("TRACE_ON", "true");
        answer.encode(&mut out);
        black_box(&out);
        out.clear();
    }
    Ok(())
}
