//! A bare client: blocking sockets, frames, and nothing that knows the broker's code.

use bytes::{Bytes, BytesMut};
use rmq_record::layout::{self, RecordView};
use rmq_remoting::{Command, take_frame};
use std::collections::VecDeque;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// One connection.
pub(crate) struct Wire {
    stream: TcpStream,
    read: BytesMut,
    next: i32,
    answers: VecDeque<Command>,
    requests: VecDeque<Command>,
}

impl Wire {
    pub(crate) fn connect(addr: SocketAddr) -> Self {
        let stream = TcpStream::connect(addr).expect("the broker listens");
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        let (answers, requests) = (VecDeque::new(), VecDeque::new());
        Self { stream, read: BytesMut::new(), next: 1, answers, requests }
    }

    /// Writes a request and gives its number.
    pub(crate) fn send(&mut self, code: i32, ext: &[(&str, &str)], body: &[u8]) -> i32 {
        let command = request(code, ext, body);
        self.send_command(command)
    }

    pub(crate) fn send_command(&mut self, mut command: Command) -> i32 {
        self.next += 1;
        command.opaque = self.next;
        let mut out = BytesMut::new();
        command.encode(&mut out);
        self.stream.write_all(&out).expect("the broker reads");
        self.next
    }

    /// Answers a request of the broker.
    pub(crate) fn reply(&mut self, to: &Command, answer: Command) {
        let mut answer = answer;
        answer.opaque = to.opaque;
        let mut out = BytesMut::new();
        answer.encode(&mut out);
        self.stream.write_all(&out).expect("the broker reads");
    }

    fn next_frame(&mut self) -> Command {
        loop {
            if let Some(command) = take_frame(&mut self.read, 16 << 20).expect("a good frame") {
                return command;
            }
            let mut chunk = [0; 65_536];
            let n = self.stream.read(&mut chunk).expect("an answer in time");
            assert!(0 < n, "the broker closed the connection");
            self.read.extend_from_slice(&chunk[..n]);
        }
    }

    /// The answer with this number, whatever comes before it.
    pub(crate) fn answer(&mut self, opaque: i32) -> Command {
        loop {
            if let Some(at) = self.answers.iter().position(|a| a.opaque == opaque) {
                return self.answers.remove(at).unwrap();
            }
            self.take_one();
        }
    }

    /// The next request of the broker with this code.
    pub(crate) fn pushed(&mut self, code: i32) -> Command {
        loop {
            if let Some(at) = self.requests.iter().position(|r| r.code == code) {
                return self.requests.remove(at).unwrap();
            }
            self.take_one();
        }
    }

    fn take_one(&mut self) {
        let command = self.next_frame();
        if command.is_response() {
            self.answers.push_back(command);
        } else {
            self.requests.push_back(command);
        }
    }

    pub(crate) fn call(&mut self, code: i32, ext: &[(&str, &str)], body: &[u8]) -> Command {
        let opaque = self.send(code, ext, body);
        self.answer(opaque)
    }

    /// As [`Wire::call`], wanting success.
    pub(crate) fn ok(&mut self, code: i32, ext: &[(&str, &str)], body: &[u8]) -> Command {
        let answer = self.call(code, ext, body);
        assert_eq!(answer.code, 0, "{code} {ext:?}: {:?}", answer.remark);
        answer
    }

    /// Whether the broker has closed the connection.
    pub(crate) fn is_closed(&mut self) -> bool {
        let mut chunk = [0; 65_536];
        loop {
            match self.stream.read(&mut chunk) {
                Ok(0) | Err(_) => return true,
                Ok(_) => {}
            }
        }
    }
}

pub(crate) fn request(code: i32, ext: &[(&str, &str)], body: &[u8]) -> Command {
    let mut command = Command::request(code).with_body(Bytes::copy_from_slice(body));
    for (key, value) in ext {
        command.ext.insert((*key).to_owned(), (*value).to_owned());
    }
    command
}

/// A number among the header fields of an answer.
pub(crate) fn number(answer: &Command, key: &str) -> i64 {
    let text = answer.ext.get(key);
    text.and_then(|text| text.parse().ok()).unwrap_or_else(|| panic!("{key} in {answer:?}"))
}

pub(crate) fn remark(answer: &Command) -> &str {
    answer.remark.as_deref().unwrap_or("")
}

/// Messages of a pull answer.
pub(crate) fn records(answer: &Command) -> Vec<RecordView<'_>> {
    layout::records(&answer.body).map(|record| record.expect("a whole record")).collect()
}

pub(crate) fn bodies(answer: &Command) -> Vec<String> {
    records(answer).iter().map(|r| String::from_utf8_lossy(r.body).into_owned()).collect()
}

/// Header of a send in the one-letter form, as Java clients write it.
pub(crate) fn send_v2<'a>(
    topic: &'a str,
    queue: &'a str,
    properties: &'a str,
) -> Vec<(&'a str, &'a str)> {
    vec![
        ("a", "PG"),
        ("b", topic),
        ("c", "TBW102"),
        ("d", "4"),
        ("e", queue),
        ("f", "0"),
        ("g", "1700000000000"),
        ("h", "0"),
        ("i", properties),
        ("j", "0"),
        ("k", "false"),
        ("m", "false"),
        ("n", "broker-a"),
    ]
}

/// Header of a pull that carries its own subscription.
pub(crate) fn pull<'a>(
    group: &'a str,
    topic: &'a str,
    queue: &'a str,
    offset: &'a str,
    sys_flag: &'a str,
    expression: &'a str,
) -> Vec<(&'a str, &'a str)> {
    vec![
        ("consumerGroup", group),
        ("topic", topic),
        ("queueId", queue),
        ("queueOffset", offset),
        ("maxMsgNums", "32"),
        ("sysFlag", sys_flag),
        ("commitOffset", "0"),
        ("suspendTimeoutMillis", "15000"),
        ("subscription", expression),
        ("subVersion", "0"),
        ("expressionType", "TAG"),
    ]
}

/// Properties text of the pairs.
pub(crate) fn properties(pairs: &[(&str, &str)]) -> String {
    let bytes = rmq_record::properties::text(pairs.iter().copied());
    String::from_utf8(bytes.to_vec()).unwrap()
}
