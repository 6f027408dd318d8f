//! How long a put and a read take: `cargo run --release -p rmq-store --example put_rate -- [SYNC]`.
//!
//! Puts 1 KiB messages of eight queues in groups of 32, four groups in flight, then reads them all.
//! CPU time is that of the whole process, preparation on the caller's thread included.
#![expect(clippy::print_stdout, reason = "a program for a person at a terminal")]
#![expect(clippy::disallowed_methods, reason = "a benchmark reads the real clock")]

use parking_lot::{Condvar, Mutex};
use rmq_model::{Clock, Millis};
use rmq_record::{Message, properties};
use rmq_store::{
    FlushMode, Observers, OneOrMany, OsDisk, Put, PutDone, PutGroup, PutResult, ReadLimits, Store,
    StoreConfig,
};
use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

struct RealClock(Instant);

impl Clock for RealClock {
    fn now(&self) -> Millis {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Millis::try_from(since.as_millis()).unwrap_or(Millis::MAX)
    }

    fn monotonic(&self) -> Duration {
        self.0.elapsed()
    }
}

#[derive(Default)]
struct InFlight {
    puts: Mutex<usize>,
    less: Condvar,
    failed: Mutex<Option<String>>,
}

impl PutDone for InFlight {
    fn done(&self, results: &mut Vec<PutResult>) {
        *self.puts.lock() -= results.len();
        for (_, result) in results.drain(..) {
            if let Err(error) = result {
                *self.failed.lock() = Some(error.to_string());
            }
        }
        self.less.notify_one();
    }
}

const GROUP: usize = 32;
const IN_FLIGHT_MAX: usize = 4 * GROUP;

fn main() -> Result<(), Box<dyn Error>> {
    let sync = std::env::args().nth(1).is_some_and(|mode| mode.eq_ignore_ascii_case("sync"));
    let messages = if sync { 200_000 } else { 2_000_000 };
    let dir = tempfile::tempdir_in(".")?;
    let mut config = StoreConfig::new(dir.path());
    config.flush = if sync { FlushMode::SYNC } else { FlushMode::ASYNC };
    let started = Instant::now();
    let clock = Arc::new(RealClock(started));
    let store = Store::open(config, OsDisk, clock, Observers::none())?;
    println!("open: {:?}, {} KiB resident", started.elapsed(), resident_kib());

    let body = bytes::Bytes::from(vec![b'x'; 1024]);
    let in_flight = Arc::new(InFlight::default());
    let (begin, cpu) = (Instant::now(), cpu_time());
    for group in 0..messages / GROUP {
        let puts = (0..GROUP)
            .map(|n| {
                let serial = group * GROUP + n;
                let key = format!("7F000001ABCD18B4AAC2{serial:012X}");
                let message = Message {
                    topic: "TopicTest".into(),
                    queue_id: u32::try_from(serial % 8)?,
                    flag: 0,
                    sys_flag: 0,
                    born_timestamp: 1,
                    born_host: ([127, 0, 0, 1], 50_000).into(),
                    store_host: ([127, 0, 0, 1], 10_911).into(),
                    reconsume_times: 0,
                    prepared_transaction_offset: 0,
                    body: body.clone(),
                    properties: properties::text([
                        ("UNIQ_KEY", &*key),
                        ("WAIT", "true"),
                        ("TAGS", "TagA"),
                        ("CLUSTER", "DefaultCluster"),
                    ]),
                };
                let messages = OneOrMany::One(store.prepare(&message)?);
                Ok(Put { token: 0, messages, wait: true })
            })
            .collect::<Result<Vec<_>, Box<dyn Error>>>()?;
        let mut puts_in_flight = in_flight.puts.lock();
        in_flight.less.wait_while(&mut puts_in_flight, |n| IN_FLIGHT_MAX <= *n);
        *puts_in_flight += GROUP;
        drop(puts_in_flight);
        let done: Arc<dyn PutDone> = in_flight.clone();
        store.put(PutGroup { puts, done }).map_err(|_group| "busy")?;
    }
    in_flight.less.wait_while(&mut in_flight.puts.lock(), |n| 0 < *n);
    report("put", messages, begin.elapsed(), cpu_time() - cpu);
    if let Some(error) = in_flight.failed.lock().take() {
        return Err(error.into());
    }

    let (begin, cpu, mut read) = (Instant::now(), cpu_time(), 0);
    for queue in 0..8 {
        let mut from = 0;
        while from < store.max_offset("TopicTest", queue) {
            let result =
                store.read("TopicTest", queue, from, ReadLimits::default(), &mut |_| true)?;
            read += result.count;
            from = result.next_offset;
        }
    }
    report("read", read, begin.elapsed(), cpu_time() - cpu);
    println!("{} KiB resident", resident_kib());
    let begin = Instant::now();
    store.close()?;
    println!("close: {:?}", begin.elapsed());
    Ok(())
}

fn report(what: &str, count: usize, wall: Duration, cpu: Duration) {
    let per = |time: Duration| time.as_secs_f64() * 1e6 / count.max(1) as f64;
    println!(
        "{what}: {count} messages in {wall:?}, {:.2} us wall and {:.2} us CPU each",
        per(wall),
        per(cpu)
    );
}

/// User and system time of this process.
fn cpu_time() -> Duration {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = text.rsplit(')').next().unwrap_or_default();
    let ticks: u64 =
        fields.split_whitespace().skip(11).take(2).filter_map(|n| n.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 10)
}

fn resident_kib() -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    line.split_whitespace().next().and_then(|n| n.parse().ok()).unwrap_or(0)
}
