//! One connection of the load generator: a socket that never blocks and two buffers.

use anyhow::{Context, bail};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
const READ_AT_ONCE: usize = 256 * 1024;
/// Longest frame the protocol allows.
const FRAME_BYTES_MAX: usize = 16 * 1024 * 1024;

/// A connection to the broker under test.
#[derive(Debug)]
pub(crate) struct Link {
    stream: TcpStream,
    peer: SocketAddr,
    output: Vec<u8>,
    written: usize,
    input: Vec<u8>,
    /// Bytes of `input` that hold data, and how many of these are taken.
    filled: usize,
    taken: usize,
}

/// What the generator looks at in an answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answer<'a> {
    pub(crate) code: i32,
    pub(crate) opaque: i32,
    pub(crate) header: &'a [u8],
    pub(crate) body: &'a [u8],
}

impl Link {
    /// Connects to `peer`.
    ///
    /// # Errors
    /// If nobody answers within 3 s.
    pub(crate) fn connect(peer: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect_timeout(&peer, CONNECT_TIMEOUT)
            .with_context(|| format!("cannot connect to {peer}"))?;
        stream.set_nodelay(true).context("cannot switch TCP_NODELAY on")?;
        stream.set_nonblocking(true).context("cannot make the socket non-blocking")?;
        Ok(Self {
            stream,
            peer,
            output: Vec::new(),
            written: 0,
            input: vec![0; READ_AT_ONCE],
            filled: 0,
            taken: 0,
        })
    }

    pub(crate) fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Frames that are appended here go out with the next [`Link::flush`].
    pub(crate) fn output(&mut self) -> &mut Vec<u8> {
        &mut self.output
    }

    /// Whether something waits to be written.
    pub(crate) fn is_behind(&self) -> bool {
        self.written < self.output.len()
    }

    /// Writes as much as the socket takes.
    pub(crate) fn flush(&mut self) -> anyhow::Result<()> {
        while let Some(rest) = self.output.get(self.written..).filter(|rest| !rest.is_empty()) {
            #[expect(clippy::disallowed_methods, reason = "the loop takes care of a short write")]
            match self.stream.write(rest) {
                Ok(0) => bail!("{} closed the connection", self.peer),
                Ok(n) => self.written += n,
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(e).with_context(|| format!("cannot send to {}", self.peer)),
            }
        }
        self.output.clear();
        self.written = 0;
        Ok(())
    }

    /// Reads once; call it when the socket is readable. References to answers end here.
    pub(crate) fn fill(&mut self) -> anyhow::Result<()> {
        if 0 < self.taken {
            self.input.copy_within(self.taken..self.filled, 0);
            self.filled -= self.taken;
            self.taken = 0;
        }
        if self.input.len() - self.filled < READ_AT_ONCE / 4 {
            self.input.resize(self.input.len() + READ_AT_ONCE, 0);
        }
        let Some(space) = self.input.get_mut(self.filled..) else { bail!("no space to read into") };
        match self.stream.read(space) {
            Ok(0) => bail!("{} closed the connection", self.peer),
            Ok(n) => self.filled += n,
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            Err(e) => return Err(e).with_context(|| format!("cannot read from {}", self.peer)),
        }
        Ok(())
    }

    /// Takes the next answer that has arrived wholly.
    pub(crate) fn next_answer(&mut self) -> anyhow::Result<Option<Answer<'_>>> {
        let waiting = self.input.get(self.taken..self.filled).unwrap_or_default();
        let Some((prefix, rest)) = waiting.split_first_chunk::<4>() else { return Ok(None) };
        let length = usize::try_from(u32::from_be_bytes(*prefix)).unwrap_or(usize::MAX);
        if FRAME_BYTES_MAX < length {
            bail!("{} sent a frame of {length} bytes", self.peer);
        }
        let Some(frame) = rest.get(..length) else { return Ok(None) };
        self.taken += prefix.len() + length;
        match split(frame) {
            Some(answer) => Ok(Some(answer)),
            None => bail!("{} sent a frame that is not understood", self.peer),
        }
    }
}

/// Frame without its length: a word with type and header length, header, body.
fn split(frame: &[u8]) -> Option<Answer<'_>> {
    let (word, rest) = frame.split_first_chunk::<4>()?;
    let word = u32::from_be_bytes(*word);
    let (header, body) = rest.split_at_checked(usize::try_from(word & 0x00FF_FFFF).ok()?)?;
    let (code, opaque) = match word >> 24 {
        0 => (
            i32::try_from(json_number(header, b"\"code\":")?).ok()?,
            i32::try_from(json_number(header, b"\"opaque\":")?).ok()?,
        ),
        // code i16, language u8, version i16, opaque i32.
        1 => (
            i32::from(i16::from_be_bytes(*header.first_chunk()?)),
            i32::from_be_bytes(*header.get(5..)?.first_chunk()?),
        ),
        _ => return None,
    };
    Some(Answer { code, opaque, header, body })
}

impl Answer<'_> {
    /// Numeric header field `name`, JSON headers only. Enough for what a pull needs.
    pub(crate) fn json_field(&self, name: &str) -> Option<i64> {
        let mut key = Vec::with_capacity(name.len() + 4);
        key.push(b'"');
        key.extend_from_slice(name.as_bytes());
        key.extend_from_slice(b"\":\"");
        json_number(self.header, &key)
    }
}

/// The number that follows the first `key` that has one behind it. Quotes within JSON strings are
/// escaped, so a remark cannot be taken for a key.
fn json_number(header: &[u8], key: &[u8]) -> Option<i64> {
    let mut from = 0;
    loop {
        let rest = header.get(from..)?;
        let at = rest.windows(key.len()).position(|w| w == key)?;
        from += at + key.len();
        let digits = header.get(from..)?;
        let (sign, digits) = match digits.split_first() {
            Some((b'-', digits)) => (-1, digits),
            _ => (1, digits),
        };
        let length = digits.iter().take_while(|b| b.is_ascii_digit()).count();
        if 0 < length && length < 20 {
            let text = std::str::from_utf8(digits.get(..length)?).ok()?;
            return text.parse::<i64>().ok().map(|n| n * sign);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(word: u32, header: &[u8], body: &[u8]) -> Vec<u8> {
        let mut out = (word | u32::try_from(header.len()).unwrap()).to_be_bytes().to_vec();
        out.extend_from_slice(header);
        out.extend_from_slice(body);
        out
    }

    #[test]
    fn json_answers() {
        let header = br#"{"code":0,"extFields":{"nextBeginOffset":"17","code":"x"},"flag":1,"opaque":-7,"remark":"\"opaque\":3"}"#;
        let bytes = frame(0, header, b"body");
        let answer = split(&bytes).unwrap();
        assert_eq!((answer.code, answer.opaque, answer.body), (0, -7, &b"body"[..]));
        assert_eq!(answer.json_field("nextBeginOffset"), Some(17));
        assert_eq!(answer.json_field("minOffset"), None);
    }

    #[test]
    fn binary_answers() {
        let header = [0, 19, 0, 1, 0xDF, 0, 0, 1, 2, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0];
        let bytes = frame(1 << 24, &header, b"");
        let answer = split(&bytes).unwrap();
        assert_eq!((answer.code, answer.opaque), (19, 0x102));
    }

    #[test]
    fn noise_is_refused() {
        assert!(split(b"").is_none());
        assert!(split(&frame(0, b"{}", b"")).is_none());
        assert!(split(&frame(1 << 24, b"ab", b"")).is_none());
        assert!(split(&frame(7 << 24, b"ab", b"")).is_none());
        assert!(split(&[0, 0, 0, 9, 1]).is_none());
    }

    #[test]
    fn answers_arrive_in_any_pieces() {
        use std::io::Write as _;
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let mut link = Link::connect(listener.local_addr().unwrap()).unwrap();
        let (mut peer, _) = listener.accept().unwrap();
        link.stream.set_nonblocking(false).unwrap();
        let mut wire = Vec::new();
        for opaque in 0..3 {
            let header = format!("{{\"code\":0,\"opaque\":{opaque}}}");
            let one = frame(0, header.as_bytes(), b"xyz");
            wire.extend_from_slice(&u32::try_from(one.len()).unwrap().to_be_bytes());
            wire.extend_from_slice(&one);
        }
        let mut seen = Vec::new();
        for byte in wire {
            peer.write_all(&[byte]).unwrap();
            link.fill().unwrap();
            while let Some(answer) = link.next_answer().unwrap() {
                assert_eq!(answer.body, b"xyz");
                seen.push(answer.opaque);
            }
        }
        assert_eq!(seen, [0, 1, 2]);
        drop(peer);
        assert!(link.fill().unwrap_err().to_string().contains("closed"));
    }
}
