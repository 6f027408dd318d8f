//! What a request and its answer cost the server: CPU time, wake-ups and messages per second on loopback.
//!
//! ```text
//! cargo run --release -p rmq-net --example echo_rate -- [inline|thread] [connections] [in flight] [seconds]
//! ```
//! The server decodes a send of 1 KiB (JSON, one-letter names) and answers as a broker does: at once, or from
//! another thread that completes in batches, as a log does. The load comes from a child process, so that the CPU
//! time printed is the server's alone.
#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a measuring program reads the real clock and prints"
)]

use bytes::{Buf, Bytes, BytesMut};
use parking_lot::{Condvar, Mutex};
use rmq_net::{Connection, Reply, Request, Server, ServerConfig, Service};
use rmq_remoting::header::SendMessage;
use rmq_remoting::{Command, code};
use std::error::Error;
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

type Failure = Box<dyn Error + Send + Sync>;

fn main() -> Result<(), Failure> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize, default: usize| {
        args.get(at).and_then(|text| text.parse().ok()).unwrap_or(default)
    };
    match args.first().map(String::as_str) {
        Some("load") => {
            let addr = args.get(1).ok_or("which server")?.parse()?;
            load(addr, number(2, 2), number(3, 32), number(4, 5))
        }
        mode => serve(mode == Some("thread"), number(1, 2), number(2, 32), number(3, 5)),
    }
}

/// Answers waiting for the other thread.
#[derive(Default)]
struct Queue {
    waiting: Mutex<Vec<(Reply, i32)>>,
    some: Condvar,
}

struct Echo {
    queue: Option<Arc<Queue>>,
}

impl Service for Echo {
    fn requests(&self, _: &Arc<Connection>, batch: &mut Vec<Request>) {
        let decoded = batch.drain(..).map(|Request { command, reply }| {
            let header = SendMessage::from_code(command.code, &command.ext);
            (reply, header.map_or(-1, |header| header.queue_id))
        });
        match &self.queue {
            None => decoded.for_each(|(reply, queue)| reply.send(answer(queue))),
            Some(shared) => {
                let mut waiting = shared.waiting.lock();
                let first = waiting.is_empty();
                waiting.extend(decoded);
                drop(waiting);
                if first {
                    shared.some.notify_one();
                }
            }
        }
    }
}

fn answer(queue: i32) -> Command {
    let mut answer = Command::response(code::response::SUCCESS);
    answer.ext.push_static("MSG_REGION", "DefaultRegion");
    answer.ext.push_static("TRACE_ON", "true");
    answer.ext.push_str("msgId", "7F00000100002A9F0000000000000001");
    answer.ext.push_number("queueId", i64::from(queue));
    answer.ext.push_number("queueOffset", 123_456_789);
    answer
}

fn complete(queue: &Queue) {
    let mut batch = Vec::new();
    loop {
        {
            let mut waiting = queue.waiting.lock();
            while waiting.is_empty() {
                queue.some.wait(&mut waiting);
            }
            std::mem::swap(&mut *waiting, &mut batch);
        }
        for (reply, queue) in batch.drain(..) {
            reply.send(answer(queue));
        }
    }
}

fn serve(by_thread: bool, conns: usize, in_flight: usize, seconds: usize) -> Result<(), Failure> {
    let queue = by_thread.then(|| Arc::new(Queue::default()));
    if let Some(queue) = queue.clone() {
        thread::spawn(move || complete(&queue));
    }
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let _inside = runtime.enter();
    let config = ServerConfig::new(vec!["127.0.0.1:0".parse()?]);
    let server = Server::bind(config, Arc::new(Echo { queue }))?;
    let addr = *server.local_addrs().first().ok_or("no address")?;
    let before = usage()?;
    let child = std::process::Command::new(std::env::current_exe()?)
        .args(["load".to_owned(), addr.to_string()])
        .args([conns, in_flight, seconds].map(|n| n.to_string()))
        .output()?;
    let after = usage()?;
    let done: f64 = String::from_utf8(child.stdout)?.trim().parse()?;
    let (cpu, switches) = (after.0 - before.0, after.1 - before.1);
    println!(
        "{}: {:.0} msg/s, {:.2} us CPU/msg, {:.3} switches/msg",
        if by_thread { "thread" } else { "inline" },
        done / f64::from(u32::try_from(seconds)?),
        cpu * 1e6 / done,
        switches / done,
    );
    Ok(())
}

/// Seconds of CPU time and voluntary switches of all threads of this process so far.
fn usage() -> Result<(f64, f64), Failure> {
    let (mut cpu, mut switches) = (0.0, 0.0);
    for task in fs::read_dir("/proc/self/task")? {
        let path = task?.path();
        let run: f64 = fs::read_to_string(path.join("schedstat"))
            .ok()
            .and_then(|text| text.split(' ').next()?.parse().ok())
            .unwrap_or(0.0);
        cpu += run / 1e9;
        let status = fs::read_to_string(path.join("status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        switches += line.and_then(|text| text.trim().parse::<f64>().ok()).unwrap_or(0.0);
    }
    if cpu == 0.0 {
        // Where the scheduler keeps no account: ticks of 10 ms.
        let stat = fs::read_to_string("/proc/self/stat")?;
        let fields = stat.rsplit(')').next().unwrap_or("").split_whitespace();
        cpu = fields.skip(11).take(2).filter_map(|text| text.parse::<f64>().ok()).sum::<f64>()
            / 100.0;
    }
    Ok((cpu, switches))
}

/// Keeps `in_flight` requests open on each connection; prints how many were answered.
fn load(addr: SocketAddr, conns: usize, in_flight: usize, seconds: usize) -> Result<(), Failure> {
    let end = Instant::now() + Duration::from_secs(u64::try_from(seconds)?);
    let threads: Vec<_> =
        (0..conns).map(|_| thread::spawn(move || requests(addr, in_flight, end))).collect();
    let mut total = 0;
    for thread in threads {
        total += thread.join().map_err(|_panic| "a connection failed")??;
    }
    println!("{total}");
    Ok(())
}

fn requests(addr: SocketAddr, in_flight: usize, end: Instant) -> Result<u64, Failure> {
    let mut stream = TcpStream::connect(addr)?;
    stream.set_nodelay(true)?;
    let frame = request();
    let window = frame.repeat(in_flight);
    let mut unread = BytesMut::new();
    let mut chunk = vec![0; 64 * 1024];
    let mut done = 0;
    stream.write_all(&window)?;
    while Instant::now() < end {
        let n = stream.read(&mut chunk)?;
        unread.extend_from_slice(chunk.get(..n).unwrap_or_default());
        let mut answers = 0;
        while let Some(len) = rmq_remoting::frame::frame_len(&unread, 1 << 20)? {
            if unread.len() < 4 + len {
                break;
            }
            unread.advance(4 + len);
            answers += 1;
        }
        done += u64::try_from(answers)?;
        stream.write_all(window.get(..answers * frame.len()).unwrap_or_default())?;
    }
    Ok(done)
}

fn request() -> Vec<u8> {
    let header = SendMessage {
        producer_group: "bench_producer".into(),
        topic: "BenchmarkTest".into(),
        default_topic: "TBW102".into(),
        default_topic_queue_nums: 4,
        queue_id: 3,
        sys_flag: 0,
        born_timestamp: 1_700_000_000_000,
        flag: 0,
        properties: Some(
            "KEYS\u{1}k1\u{2}UNIQ_KEY\u{1}7F00000100002A9F18B4AAC27F5C0000\u{2}WAIT\u{1}true\u{2}"
                .into(),
        ),
        reconsume_times: Some(0),
        unit_mode: false,
        batch: false,
        max_reconsume_times: None,
        broker_name: Some("broker-a".into()),
    };
    let mut command =
        Command::request(code::request::SEND_MESSAGE_V2).with_body(Bytes::from(vec![b'x'; 1024]));
    header.to_v2(&mut command.ext);
    let mut out = BytesMut::new();
    command.encode(&mut out);
    out.to_vec()
}
