//! What goes in and out, counted once per batch: the items of request 315, the rates of request
//! 28, and the metrics.

use crate::config::{Settings, labels};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use parking_lot::Mutex;
use rmq_delivery::stats::{Count, Rates, Stats};
use rmq_host::metrics::{Counter, Describe, Family, Histogram, Registry};
use rmq_model::Millis;
use rmq_model::name::{is_dlq_topic, is_retry_topic, is_system_group, is_system_topic};
use rmq_remoting::code::request;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

const SIZE_BOUNDS: &[f64] = &[1_024.0, 4_096.0, 524_288.0, 1_048_576.0, 2_097_152.0, 4_194_304.0];
const LATENCY_BOUNDS: &[f64] = &[1.0, 3.0, 5.0, 7.0, 10.0, 100.0, 1_000.0, 2_000.0, 3_000.0];
const CREATE_BOUNDS: &[f64] = &[10.0, 100.0, 1_000.0, 3_000.0, 5_000.0];

/// Kind of a message, as metrics tell them apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum MessageKind {
    /// No property of its own.
    #[default]
    Normal,
    /// In a topic of ordered messages.
    Fifo,
    /// Waits first.
    Delay,
}

impl MessageKind {
    fn label(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::Fifo => "fifo",
            Self::Delay => "delay",
        }
    }
}

/// Messages stored in one queue.
#[derive(Clone, Debug)]
pub struct Arrived {
    /// Topic they were sent to.
    pub topic: Arc<str>,
    /// Queue.
    pub queue: u32,
    /// Kind.
    pub kind: MessageKind,
    /// How many.
    pub messages: u64,
    /// Bytes of all of them.
    pub bytes: u64,
}

/// Messages given to a group.
#[derive(Clone, Copy, Debug)]
pub struct Delivery<'a> {
    /// Topic.
    pub topic: &'a Arc<str>,
    /// Group.
    pub group: &'a Arc<str>,
    /// Queue.
    pub queue: u32,
    /// How many.
    pub messages: u64,
    /// Bytes of all of them.
    pub bytes: u64,
    /// Some of them had to be read from disk.
    pub from_disk: bool,
}

struct In {
    messages: Counter,
    bytes: Counter,
    size: Histogram,
}

struct Out {
    messages: Counter,
    bytes: Counter,
}

#[derive(Default)]
struct Handles {
    incoming: HashMap<(Arc<str>, MessageKind), In>,
    outgoing: HashMap<(Arc<str>, Arc<str>), Out>,
    latency: HashMap<(i32, i32, bool), Histogram>,
}

/// All counters of a broker.
pub struct Traffic {
    /// The metrics, with labels that every series has.
    pub registry: Registry,
    stats: Mutex<Stats>,
    rates: Mutex<Rates>,
    handles: Mutex<Handles>,
    messages_in: Family<Counter>,
    bytes_in: Family<Counter>,
    sizes: Family<Histogram>,
    messages_out: Family<Counter>,
    bytes_out: Family<Counter>,
    dead: Family<Counter>,
    latency: Family<Histogram>,
    topics_made: Family<Histogram>,
    groups_made: Family<Histogram>,
    put_failures: AtomicU64,
    put_bytes: AtomicU64,
    /// When the latest message of a client was stored; 0 before the first.
    last_put: AtomicI64,
    put_latency: Mutex<Latencies>,
}

/// Longest time of each class of [`Latencies`], ms; the last has no end.
const CLASSES: [u64; 12] = [0, 10, 50, 100, 200, 500, 1_000, 2_000, 3_000, 4_000, 5_000, 10_000];
const CLASS_NAMES: [&str; 13] = [
    "<=0ms",
    "0~10ms",
    "10~50ms",
    "50~100ms",
    "100~200ms",
    "200~500ms",
    "500ms~1s",
    "1~2s",
    "2~3s",
    "3~4s",
    "4~5s",
    "5~10s",
    "10s~",
];

/// How long sends took: in the classes that tools show, and finer for percentiles.
#[derive(Clone, Debug)]
pub struct Latencies {
    classes: [u64; 13],
    /// Number of sends by milliseconds; the last is that and above.
    by_ms: Vec<u64>,
}

impl Default for Latencies {
    fn default() -> Self {
        Self { classes: [0; 13], by_ms: vec![0; 1_001] }
    }
}

impl Latencies {
    /// Whole milliseconds, as tools know them: less than one is none.
    fn add(&mut self, ms: u64, times: u64) {
        let class = CLASSES.partition_point(|longest| *longest < ms);
        if let Some(count) = self.classes.get_mut(class) {
            *count = count.saturating_add(times);
        }
        let last = self.by_ms.len().saturating_sub(1);
        let at = usize::try_from(ms).unwrap_or(last).min(last);
        if let Some(count) = self.by_ms.get_mut(at) {
            *count = count.saturating_add(times);
        }
    }

    /// Milliseconds within which `percent` of the sends were answered; 0 without any.
    pub fn percentile(&self, percent: f64) -> usize {
        let total: u64 = self.by_ms.iter().sum();
        let mut seen = 0u64;
        let wanted = |seen: u64| share(seen, total) >= percent / 100.0;
        let found = self.by_ms.iter().position(|count| {
            seen = seen.saturating_add(*count);
            wanted(seen)
        });
        if total == 0 { 0 } else { found.unwrap_or(0) }
    }
}

#[expect(clippy::cast_precision_loss, reason = "numbers to be looked at, far below 2^53")]
fn share(part: u64, whole: u64) -> f64 {
    part as f64 / whole as f64
}

/// `[<=0ms]:5 [0~10ms]:2 …`
impl std::fmt::Display for Latencies {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (name, count) in CLASS_NAMES.iter().zip(self.classes) {
            write!(f, "[{name}]:{count} ")?;
        }
        Ok(())
    }
}

impl std::fmt::Debug for Traffic {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Traffic").finish_non_exhaustive()
    }
}

fn status(well: bool) -> &'static str {
    if well { "success" } else { "failure" }
}

impl Traffic {
    /// Nothing has happened.
    pub fn new(settings: &Settings, now: Millis) -> Self {
        let mut common = vec![
            ("cluster".to_owned(), settings.broker_cluster_name.to_string()),
            ("node_type".to_owned(), "broker".to_owned()),
            ("node_id".to_owned(), settings.broker_name.to_string()),
        ];
        common.extend(labels(&settings.metrics_label).unwrap_or_default());
        let registry = Registry::new(common);
        let arrivals = &["topic", "message_type", "is_system"];
        let deliveries = &["topic", "consumer_group", "is_system", "is_retry"];
        let describe = |name, help, labels| Describe { name, help, labels };
        let mut rates = Rates::default();
        rates.sample(now, day_of(now));
        Self {
            messages_in: registry.counters(describe(
                "rocketmq_messages_in_total",
                "Messages stored.",
                arrivals,
            )),
            bytes_in: registry.counters(describe(
                "rocketmq_throughput_in_total",
                "Bytes stored.",
                arrivals,
            )),
            sizes: registry.histograms(
                describe("rocketmq_message_size", "Sizes of messages in bytes.", arrivals),
                SIZE_BOUNDS,
            ),
            messages_out: registry.counters(describe(
                "rocketmq_messages_out_total",
                "Messages delivered.",
                deliveries,
            )),
            bytes_out: registry.counters(describe(
                "rocketmq_throughput_out_total",
                "Bytes delivered.",
                deliveries,
            )),
            dead: registry.counters(describe(
                "rocketmq_send_to_dlq_messages_total",
                "Messages moved to a dead-letter topic.",
                &["consumer_group", "topic", "is_system"],
            )),
            latency: registry.histograms(
                describe(
                    "rocketmq_rpc_latency_milliseconds",
                    "Time from a request to its answer.",
                    &[
                        "protocol_type",
                        "request_code",
                        "response_code",
                        "is_long_polling",
                        "result",
                    ],
                ),
                LATENCY_BOUNDS,
            ),
            topics_made: registry.histograms(
                describe(
                    "rocketmq_topic_create_execution_time_milliseconds",
                    "Time to make or change a topic on request.",
                    &["invocation_status", "is_system"],
                ),
                CREATE_BOUNDS,
            ),
            groups_made: registry.histograms(
                describe(
                    "rocketmq_consumer_group_create_execution_time_milliseconds",
                    "Time to make or change a group on request.",
                    &["invocation_status"],
                ),
                CREATE_BOUNDS,
            ),
            stats: Mutex::new(Stats::new(&settings.broker_cluster_name)),
            rates: Mutex::new(rates),
            handles: Mutex::default(),
            put_failures: AtomicU64::new(0),
            put_bytes: AtomicU64::new(0),
            last_put: AtomicI64::new(0),
            put_latency: Mutex::default(),
            registry,
        }
    }

    /// Messages were stored.
    pub fn arrived(&self, now: Millis, all: &[Arrived]) {
        let mut messages = 0u64;
        {
            let mut stats = self.stats.lock();
            for arrived in all {
                let count =
                    Count { messages: arrived.messages, bytes: arrived.bytes, elapsed_ms: 0 };
                stats.put(now, &arrived.topic, arrived.queue, count);
                messages = messages.saturating_add(arrived.messages);
                self.put_bytes.fetch_add(arrived.bytes, Ordering::Relaxed);
            }
        }
        self.last_put.store(now, Ordering::Relaxed);
        self.rates.lock().put(messages);
        let mut handles = self.handles.lock();
        for arrived in all {
            if arrived.messages == 0
                || is_retry_topic(&arrived.topic)
                || is_dlq_topic(&arrived.topic)
            {
                continue;
            }
            let key = (Arc::clone(&arrived.topic), arrived.kind);
            let incoming = handles.incoming.entry(key).or_insert_with(|| {
                let system = flag(is_system_topic(&arrived.topic));
                let labels = [&*arrived.topic, arrived.kind.label(), system];
                In {
                    messages: self.messages_in.with(&labels),
                    bytes: self.bytes_in.with(&labels),
                    size: self.sizes.with(&labels),
                }
            });
            incoming.messages.add(arrived.messages);
            incoming.bytes.add(arrived.bytes);
            let each = arrived.bytes / arrived.messages;
            let times = u32::try_from(arrived.messages).unwrap_or(u32::MAX);
            incoming.size.observe_many(f64::from(u32::try_from(each).unwrap_or(u32::MAX)), times);
        }
    }

    /// A put was refused or failed.
    pub fn put_failed(&self) {
        self.put_failures.fetch_add(1, Ordering::Relaxed);
    }

    /// Messages were given to a group.
    pub fn delivered(&self, now: Millis, delivery: &Delivery<'_>) {
        let Delivery { topic, group, queue, messages, bytes, from_disk } = *delivery;
        let count = Count { messages, bytes, elapsed_ms: 0 };
        {
            let mut stats = self.stats.lock();
            stats.get(now, topic, queue, group, count);
            if from_disk {
                stats.get_from_disk(now, topic, group, count);
            }
        }
        self.rates.lock().read(messages);
        let mut handles = self.handles.lock();
        let key = (Arc::clone(topic), Arc::clone(group));
        let outgoing = handles.outgoing.entry(key).or_insert_with(|| {
            let system = flag(is_system_topic(topic) || is_system_group(group));
            let labels = [&**topic, &**group, system, flag(is_retry_topic(topic))];
            Out { messages: self.messages_out.with(&labels), bytes: self.bytes_out.with(&labels) }
        });
        outgoing.messages.add(messages);
        outgoing.bytes.add(bytes);
    }

    /// A read found nothing.
    pub fn missed(&self) {
        self.rates.lock().read(0);
    }

    /// A message came back from a group.
    pub fn sent_back(&self, now: Millis, topic: &str, group: &str) {
        self.stats.lock().sent_back(now, topic, group, 1);
    }

    /// A message of a group was given up.
    pub fn dead(&self, topic: &str, group: &str) {
        self.dead.with(&[group, topic, flag(is_system_group(group))]).increment();
    }

    /// Requests of one code were answered. Codes are those of the protocol, a bounded set.
    pub fn answered(
        &self,
        request: i32,
        response: i32,
        waited: bool,
        elapsed: Duration,
        times: u32,
    ) {
        if matches!(
            request,
            request::SEND_MESSAGE | request::SEND_MESSAGE_V2 | request::SEND_BATCH_MESSAGE
        ) {
            let ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
            self.put_latency.lock().add(ms, u64::from(times));
        }
        let mut handles = self.handles.lock();
        let histogram = handles.latency.entry((request, response, waited)).or_insert_with(|| {
            let request = rmq_remoting::code::request_name(request).unwrap_or("unknown");
            let response = rmq_remoting::code::response_name(response)
                .map_or_else(|| "unknown".to_owned(), str::to_ascii_lowercase);
            self.latency.with(&["remoting", request, &response, flag(waited), "success"])
        });
        histogram.observe_many(elapsed.as_secs_f64() * 1_000.0, times);
    }

    /// A topic was to be made or changed.
    pub fn topic_made(&self, topic: &str, well: bool, took: Duration) {
        let made = self.topics_made.with(&[status(well), flag(is_system_topic(topic))]);
        made.observe(took.as_secs_f64() * 1_000.0);
    }

    /// A group was to be made or changed.
    pub fn group_made(&self, well: bool, took: Duration) {
        self.groups_made.with(&[status(well)]).observe(took.as_secs_f64() * 1_000.0);
    }

    /// Forgets a topic that was deleted.
    pub fn delete_topic(&self, topic: &str) {
        self.stats.lock().delete_topic(topic);
        let mut handles = self.handles.lock();
        for kind in [MessageKind::Normal, MessageKind::Fifo, MessageKind::Delay] {
            let labels = [topic, kind.label(), flag(is_system_topic(topic))];
            self.messages_in.remove(&labels);
            self.bytes_in.remove(&labels);
            self.sizes.remove(&labels);
        }
        handles.incoming.retain(|(known, _), _| &**known != topic);
        let gone = |known: &Arc<str>| &**known == topic;
        self.forget_outgoing(&mut handles, |topic, _| gone(topic));
    }

    /// Forgets a group that was deleted.
    pub fn delete_group(&self, group: &str) {
        self.stats.lock().delete_group(group);
        let mut handles = self.handles.lock();
        self.forget_outgoing(&mut handles, |_, known| &**known == group);
    }

    fn forget_outgoing(&self, handles: &mut Handles, gone: impl Fn(&Arc<str>, &Arc<str>) -> bool) {
        handles.outgoing.retain(|(topic, group), _| {
            let forget = gone(topic, group);
            if forget {
                let system = flag(is_system_topic(topic) || is_system_group(group));
                let labels = [&**topic, &**group, system, flag(is_retry_topic(topic))];
                self.messages_out.remove(&labels);
                self.bytes_out.remove(&labels);
            }
            !forget
        });
    }

    /// The items.
    pub fn stats(&self) -> parking_lot::MutexGuard<'_, Stats> {
        self.stats.lock()
    }

    /// The rates.
    pub fn rates(&self) -> parking_lot::MutexGuard<'_, Rates> {
        self.rates.lock()
    }

    /// Puts that were refused or failed.
    pub fn put_failures(&self) -> u64 {
        self.put_failures.load(Ordering::Relaxed)
    }

    /// Bytes stored.
    pub fn put_bytes(&self) -> u64 {
        self.put_bytes.load(Ordering::Relaxed)
    }

    /// When the latest message of a client was stored.
    pub fn last_put(&self) -> Option<Millis> {
        Some(self.last_put.load(Ordering::Relaxed)).filter(|at| *at != 0)
    }

    /// How long sends took since the broker started.
    pub fn put_latency(&self) -> Latencies {
        self.put_latency.lock().clone()
    }

    /// Once a second; `items` every ten seconds.
    pub fn sample(&self, now: Millis, items: bool) {
        self.rates.lock().sample(now, day_of(now));
        if items {
            self.stats.lock().sample(now);
        }
    }
}

/// `true` or `false` as a label.
pub fn flag(on: bool) -> &'static str {
    if on { "true" } else { "false" }
}

/// Number of the day. Days begin at midnight of the zone that the machine, or `TZ`, says.
fn day_of(now: Millis) -> i64 {
    day_in(now, &TimeZone::system())
}

fn day_in(now: Millis, zone: &TimeZone) -> i64 {
    let time = Timestamp::from_millisecond(now).unwrap_or(Timestamp::UNIX_EPOCH);
    let ahead = i64::from(zone.to_offset(time).seconds());
    now.saturating_add(ahead.saturating_mul(1_000)).div_euclid(86_400_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_begin_at_local_midnight() {
        const HOUR: Millis = 3_600_000;
        let east = TimeZone::fixed(jiff::tz::offset(2));
        for (hour, utc, local) in [(0, 0, 0), (21, 0, 0), (22, 0, 1), (24, 1, 1), (-1, -1, 0)] {
            assert_eq!(day_in(hour * HOUR, &TimeZone::UTC), utc, "{hour}");
            assert_eq!(day_in(hour * HOUR, &east), local, "{hour}");
        }
    }

    #[test]
    fn latencies_are_counted_in_classes_and_percentiles() {
        let mut latencies = Latencies::default();
        assert_eq!(latencies.percentile(99.0), 0);
        for (ms, times) in [(0, 97), (7, 2), (60, 1), (20_000, 1)] {
            latencies.add(ms, times);
        }
        let text = latencies.to_string();
        for part in ["[<=0ms]:97 ", "[0~10ms]:2 ", "[50~100ms]:1 ", "[10s~]:1 ", "[1~2s]:0 "] {
            assert!(text.contains(part), "{part} in {text}");
        }
        assert_eq!((latencies.percentile(50.0), latencies.percentile(99.0)), (0, 60));
        assert_eq!(latencies.percentile(100.0), 1_000);
    }
}
