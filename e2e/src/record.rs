//! A proxy between official programs that keeps one example of each kind of frame it sees.
//!
//! The broker listens on one loopback address and tells the name server another one, where the
//! proxy is; both the broker and the clients are given the proxy's name server address. The frames
//! become test vectors of our codec.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use parking_lot::Mutex;

use crate::peers::Peers;
use crate::report;
use crate::scenario::drivers::Driver;
use crate::system::{Maker, System};

/// Longer frames show nothing that shorter ones do not.
const FRAME_BYTES_MAX: usize = 16 * 1024;
/// Requests of a connection that may wait for their answer.
const OPEN_MAX: usize = 10_000;
/// Codes that only a broker sends.
const BROKER_CODES: &[i64] = &[103, 104, 322, 904, 901, 21, 43, 45, 60, 61, 201, 304, 402];

/// What to record.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Directory for the frames
    out: PathBuf,
    /// Which clients
    #[arg(long, value_delimiter = ',', default_value = "java5,java5-binary,java4,go")]
    drivers: Vec<Driver>,
    /// Names of scenarios, or their beginnings; none: each client's own choice
    patterns: Vec<String>,
}

/// Runs original servers behind the proxy and the chosen clients against them.
///
/// # Errors
/// When a program does not come up or a frame cannot be written.
pub fn run(args: &Args, peers: &Peers, directory: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(&args.out)?;
    let keep = Arc::new(Keep::new(&args.out));
    let namesrv = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let seen_as = namesrv.local_addr()?;
    let system = System::start_behind(
        peers,
        Maker::Java,
        directory,
        seen_as,
        |real| {
            serve(namesrv, real, Arc::clone(&keep));
            Ok(())
        },
        |front, real| {
            let listener =
                TcpListener::bind(front).with_context(|| format!("cannot bind {front}"))?;
            serve(listener, real, Arc::clone(&keep));
            Ok(())
        },
    )?;
    for driver in &args.drivers {
        keep.start(driver.name());
        driver.run(peers, &system, directory, &args.patterns)?;
    }
    let failed = keep.failed();
    system.stop()?;
    report::note(&format!("{} frames in {}", keep.count(), args.out.display()));
    anyhow::ensure!(failed == 0, "{failed} frames could not be written");
    Ok(())
}

/// What has been kept so far.
#[derive(Debug)]
struct Keep {
    directory: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    client: String,
    names: BTreeSet<String>,
    failed: u32,
}

impl Keep {
    fn new(directory: &Path) -> Self {
        let state = State { client: "java-5.3".to_owned(), ..State::default() };
        Self { directory: directory.to_owned(), state: Mutex::new(state) }
    }

    fn start(&self, client: &str) {
        client.clone_into(&mut self.state.lock().client);
    }

    fn count(&self) -> usize {
        self.state.lock().names.len()
    }

    fn failed(&self) -> u32 {
        self.state.lock().failed
    }

    /// Keeps `frame` unless there is one like it. `asked` is the code of the request.
    fn offer(&self, frame: &[u8], head: &Head, asked: i64) {
        if FRAME_BYTES_MAX < frame.len() {
            return;
        }
        let mut state = self.state.lock();
        let peer = if BROKER_CODES.contains(&asked) { "java-broker-5.3" } else { &state.client };
        let kind =
            if head.is_answer { format!("answer{}", head.code) } else { "request".to_owned() };
        let encoding = if head.is_binary { "binary" } else { "json" };
        let name = format!("{asked:04}-{kind}-{encoding}-{peer}.bin");
        if state.names.contains(&name) {
            return;
        }
        let wrote = std::fs::File::create(self.directory.join(&name))
            .and_then(|mut file| file.write_all(frame));
        if wrote.is_err() {
            state.failed += 1;
        }
        state.names.insert(name);
    }
}

/// The part of a frame's header that names it.
#[derive(Debug, PartialEq, Eq)]
struct Head {
    code: i64,
    opaque: i64,
    is_answer: bool,
    is_binary: bool,
}

/// Reads the head of a whole frame, its length prefix included.
fn head(frame: &[u8]) -> Option<Head> {
    let (_, rest) = frame.split_first_chunk::<4>()?;
    let (word, rest) = rest.split_first_chunk::<4>()?;
    let header_len = usize::try_from(u32::from_be_bytes(*word) & 0x00FF_FFFF).ok()?;
    let header = rest.get(..header_len)?;
    if word[0] == 1 {
        let number = |from: usize| {
            let bytes: [u8; 4] = header.get(from..from + 4)?.try_into().ok()?;
            Some(i64::from(i32::from_be_bytes(bytes)))
        };
        let code: [u8; 2] = header.get(..2)?.try_into().ok()?;
        let is_answer = number(9)? & 1 == 1;
        let code = i64::from(i16::from_be_bytes(code));
        return Some(Head { code, opaque: number(5)?, is_answer, is_binary: true });
    }
    let header: serde_json::Value = serde_json::from_slice(header).ok()?;
    let number = |name: &str| header.get(name).and_then(serde_json::Value::as_i64);
    let is_answer = number("flag")? & 1 == 1;
    Some(Head { code: number("code")?, opaque: number("opaque")?, is_answer, is_binary: false })
}

/// Accepts connections and joins each to one of its own to `real`.
fn serve(listener: TcpListener, real: SocketAddr, keep: Arc<Keep>) {
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let Ok(server) = TcpStream::connect(real) else { continue };
            let from_client: Open = Arc::default();
            let from_server: Open = Arc::default();
            let (Ok(client2), Ok(server2)) = (client.try_clone(), server.try_clone()) else {
                continue;
            };
            client.set_nodelay(true).ok();
            server.set_nodelay(true).ok();
            let (asked, answered) = (Arc::clone(&from_client), Arc::clone(&from_server));
            let kept = Arc::clone(&keep);
            std::thread::spawn(move || pass(client, server, &asked, &answered, &kept));
            let kept = Arc::clone(&keep);
            std::thread::spawn(move || pass(server2, client2, &from_server, &from_client, &kept));
        }
    });
}

/// Codes of requests that have no answer yet, by opaque.
type Open = Arc<Mutex<BTreeMap<i64, i64>>>;

/// Copies frames from one side to the other until one closes. `asked` takes the requests of this
/// direction, `answered` has those of the other.
fn pass(mut from: TcpStream, mut to: TcpStream, asked: &Open, answered: &Open, keep: &Keep) {
    let mut frame = Vec::new();
    loop {
        frame.resize(4, 0);
        if from.read_exact(&mut frame).is_err() {
            break;
        }
        let Some(&word) = frame.first_chunk::<4>() else { break };
        let Ok(length) = usize::try_from(u32::from_be_bytes(word)) else { break };
        frame.resize(4 + length, 0);
        let Some(rest) = frame.get_mut(4..) else { break };
        if from.read_exact(rest).is_err() {
            break;
        }
        if let Some(head) = head(&frame) {
            if head.is_answer {
                if let Some(code) = answered.lock().remove(&head.opaque) {
                    keep.offer(&frame, &head, code);
                }
            } else {
                let mut asked = asked.lock();
                if asked.len() < OPEN_MAX {
                    asked.insert(head.opaque, head.code);
                }
                drop(asked);
                keep.offer(&frame, &head, head.code);
            }
        }
        if to.write_all(&frame).is_err() {
            break;
        }
    }
    // The other direction ends with this one.
    from.shutdown(Shutdown::Both).ok();
    to.shutdown(Shutdown::Both).ok();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_of_both_encodings_are_read() {
        let json = br#"{"code":105,"opaque":-3,"flag":1,"language":"JAVA","version":1}"#;
        let frame = crate::probe::frame(json, b"body").expect("short");
        let expected = Head { code: 105, opaque: -3, is_answer: true, is_binary: false };
        assert_eq!(head(&frame), Some(expected));

        let mut header = vec![0, 34, 0, 1, 0xDF, 0, 0, 1, 2, 0, 0, 0, 0];
        header.extend_from_slice(&[0; 8]);
        let mut frame = crate::probe::frame(&header, b"").expect("short");
        frame[4] = 1;
        let expected = Head { code: 34, opaque: 258, is_answer: false, is_binary: true };
        assert_eq!(head(&frame), Some(expected));
    }

    #[test]
    fn what_is_no_frame_has_no_head() {
        for noise in [
            &b""[..],
            b"\0\0\0\x04\0\0\0\x09",
            b"\0\0\0\x05\x01\0\0\x01\0",
            b"\0\0\0\x06\0\0\0\x02{}",
        ] {
            assert_eq!(head(noise), None, "{noise:?}");
        }
    }
}
