//! `rmq bench`.

mod args;
mod consume;
mod engine;
mod histogram;
mod link;
mod pipeline;
mod produce;
mod report;
mod server;
mod tally;
mod template;

pub(super) use args::Bench;

use std::net::{SocketAddr, ToSocketAddrs as _};
use std::process::ExitCode;

use anyhow::{Context as _, bail, ensure};
use args::{Common, ConsumeArgs, Load, PipelineArgs, ProduceArgs, SendArgs};
use consume::{Consume, PullLane};
use engine::{Driven, Window, drive};
use link::Link;
use pipeline::Pipeline;
use produce::Produce;
use report::{Latency, ReadReport, Report, SendReport, first_refusal, processes};
use rmq_client::admin::TopicSpec;
use rmq_client::{CallError, Client};
use rmq_host::SystemClock;
use rmq_model::topic::TopicConfig;
use rmq_model::{Clock, MessageQueue, Permission};
use tally::{Pace, Tally};
use template::{PullShape, PullTemplate, STAMPED_BYTES_MIN, SendShape, SendTemplate};

use super::connect::Format;
use super::topic::wait_for_route;
use crate::output::{Output, table};

/// Producer group and beginning of the consumer groups of a run.
const GROUP: &str = "rmq-bench";
/// How long a broker may keep a pull of a pipeline, ms.
const SUSPEND_MS: i64 = 15_000;

pub(crate) fn run(command: &Bench, output: &mut Output) -> anyhow::Result<ExitCode> {
    let target = command.connect.run(async |client| Target::find(&client, &command.load).await)?;
    let clock = SystemClock::new();
    let report = match &command.load {
        Load::Produce(args) => produce(args, &target, &clock)?,
        Load::Consume(args) => consume(args, &target, &clock)?,
        Load::Pipeline(args) => pipeline(args, &target, &clock)?,
    };
    match command.connect.format() {
        Format::Json => output.line(serde_json::to_string_pretty(&report)?)?,
        Format::Table => {
            let mut rows = table(["figure", "value"]);
            for (name, value) in report.rows() {
                rows.add_row([name, &value]);
            }
            output.table(&rows)?;
        }
    }
    let sent = report.send.as_ref().is_none_or(|send| 0 < send.messages);
    let read = report.read.as_ref().is_none_or(|read| 0 < read.messages);
    ensure!(sent && read, "the broker did not do any of the work");
    Ok(ExitCode::SUCCESS)
}

/// The broker under test and what is known of it.
struct Target {
    addr: SocketAddr,
    pid: Option<u32>,
    queues: Vec<QueueSpan>,
}

struct QueueSpan {
    queue: MessageQueue,
    min: i64,
    max: i64,
}

impl Target {
    async fn find(client: &Client, load: &Load) -> anyhow::Result<Self> {
        let common = load.common();
        make_topic(client, common).await?;
        let route = client.fetch_route(&common.topic).await?;
        let masters = route.masters();
        let found = masters
            .iter()
            .find(|(name, _)| common.broker.as_deref().is_none_or(|wanted| wanted == *name));
        let Some(&(name, addr)) = found else {
            let names: Vec<_> = masters.iter().map(|(name, _)| *name).collect();
            bail!("topic {} is on {}, not on the wanted broker", common.topic, names.join(", "));
        };
        let is_wanted = |queue: &MessageQueue| *queue.broker_name == *name;
        let mut queues = Vec::new();
        let wanted = match load {
            Load::Produce(_) => route.write_queues(),
            Load::Consume(_) | Load::Pipeline(_) => route.read_queues(),
        };
        for queue in wanted.into_iter().filter(is_wanted) {
            let (min, max) = match load {
                Load::Produce(_) => (0, 0),
                Load::Consume(_) | Load::Pipeline(_) => {
                    (client.min_offset(&queue).await?, client.max_offset(&queue).await?)
                }
            };
            queues.push(QueueSpan { queue, min, max });
        }
        ensure!(!queues.is_empty(), "topic {} has no queue on {name}", common.topic);
        let addr = addr.to_socket_addrs().ok().and_then(|mut addrs| addrs.next());
        let addr = addr.with_context(|| format!("broker {name} has no usable address"))?;
        let pid = match common.server_pid {
            Some(pid) => Some(pid),
            None if server::is_local(addr.ip()) => server::listener(addr).ok(),
            None => None,
        };
        Ok(Self { addr, pid, queues })
    }

    fn links(&self, count: usize) -> anyhow::Result<Vec<Link>> {
        (0..count).map(|_| Link::connect(self.addr)).collect()
    }
}

/// Makes the topic on all masters if there is none.
async fn make_topic(client: &Client, common: &Common) -> anyhow::Result<()> {
    match client.fetch_route(&common.topic).await {
        Ok(_) => return Ok(()),
        Err(CallError::NoRoute { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    let admin = client.admin();
    let masters = admin.cluster_info().await?.masters(None)?;
    let config = TopicConfig::new(&common.topic, common.queues, Permission::READ_WRITE);
    let spec = TopicSpec { config, attribute_changes: String::new() };
    for (_, addr) in &masters {
        admin.put_topic(addr, &spec).await?;
    }
    let names: Vec<String> = masters.into_iter().map(|(name, _)| name).collect();
    wait_for_route(client, &common.topic, &names).await
}

fn produce(args: &ProduceArgs, target: &Target, clock: &SystemClock) -> anyhow::Result<Report> {
    let window = Window::new(args.common.warmup, args.common.duration);
    let mut work = producer(&args.send, &args.common, target, clock, window)?;
    let mut links = target.links(work.links())?;
    let driven = drive(clock, window, &mut links, &mut work, target.pid)?;
    let messages = work.tally.messages;
    let mut report = base("produce", &args.common, target, &driven, messages, window);
    report.send = Some(send_report(&args.send, &mut work, window));
    Ok(report)
}

fn consume(args: &ConsumeArgs, target: &Target, clock: &SystemClock) -> anyhow::Result<Report> {
    let window = Window::new(args.common.warmup, args.common.duration);
    let connections = usize::from(args.connections);
    let filled = || target.queues.iter().filter(|span| span.min < span.max);
    let mut lanes = Vec::new();
    for (index, span) in filled().enumerate() {
        let shape = PullShape {
            topic: &args.common.topic,
            group: GROUP,
            queue: span.queue.queue_id,
            messages_max: args.pull_max,
            suspend_ms: 0,
        };
        lanes.push(PullLane {
            template: PullTemplate::new(&shape)?,
            link: index % connections,
            offset: span.min,
            again: Some((span.min, span.max)),
        });
    }
    ensure!(!lanes.is_empty(), "topic {} has no messages to read", args.common.topic);
    let mut links = target.links(connections)?;
    let mut work = Consume::new(lanes, window);
    let driven = drive(clock, window, &mut links, &mut work, target.pid)?;
    let messages = work.pulls.messages;
    let mut report = base("consume", &args.common, target, &driven, messages, window);
    let latency = Latency::of(&work.pulls.latency);
    report.read = Some(read_report(&work, connections, 1, latency, window));
    Ok(report)
}

fn pipeline(args: &PipelineArgs, target: &Target, clock: &SystemClock) -> anyhow::Result<Report> {
    ensure!(
        STAMPED_BYTES_MIN <= args.send.size,
        "bodies need {STAMPED_BYTES_MIN} bytes to carry their send time"
    );
    let window = Window::new(args.common.warmup, args.common.duration);
    let produce = producer(&args.send, &args.common, target, clock, window)?;
    let senders = produce.links();
    let mut lanes = Vec::new();
    for group in 0..usize::from(args.groups) {
        let name = format!("{GROUP}-{group}");
        for span in &target.queues {
            let shape = PullShape {
                topic: &args.common.topic,
                group: &name,
                queue: span.queue.queue_id,
                messages_max: args.pull_max,
                suspend_ms: SUSPEND_MS,
            };
            lanes.push(PullLane {
                template: PullTemplate::new(&shape)?,
                link: senders + group,
                offset: span.max,
                again: None,
            });
        }
    }
    let groups = usize::from(args.groups);
    let mut links = target.links(senders + groups)?;
    let mut work =
        Pipeline { produce, consume: Consume::new(lanes, window), groups: u64::from(args.groups) };
    let driven = drive(clock, window, &mut links, &mut work, target.pid)?;
    let messages = work.produce.tally.messages;
    let mut report = base("pipeline", &args.common, target, &driven, messages, window);
    let latency = Latency::of(&work.consume.delivery.latency);
    report.read = Some(read_report(&work.consume, groups, groups, latency, window));
    report.send = Some(send_report(&args.send, &mut work.produce, window));
    Ok(report)
}

fn producer(
    send: &SendArgs,
    common: &Common,
    target: &Target,
    clock: &SystemClock,
    window: Window,
) -> anyhow::Result<Produce> {
    let began_ms = clock.now();
    // Twenty digits that no other run on this machine has: address, process, start time.
    let salt = began_ms.unsigned_abs() & 0xFFFF_FFFF;
    let id_prefix = format!("7F000001{:04X}{salt:08X}", std::process::id() & 0xFFFF);
    let mut templates = Vec::new();
    for span in &target.queues {
        templates.push(SendTemplate::new(&SendShape {
            topic: &common.topic,
            group: GROUP,
            queue: span.queue.queue_id,
            body_bytes: send.size,
            batch: usize::from(send.batch),
            header: send.header,
            tag: send.tag.as_deref(),
            id_prefix: &id_prefix,
        })?);
    }
    let pace = send.rate.map(|rate| Pace::new(rate / f64::from(send.batch)));
    Ok(Produce::new(
        templates,
        usize::from(send.connections),
        usize::from(send.in_flight),
        pace,
        u64::from(send.batch),
        began_ms,
        Tally::new(window),
    ))
}

fn base(
    load: &'static str,
    common: &Common,
    target: &Target,
    driven: &Driven,
    messages: u64,
    window: Window,
) -> Report {
    let (server, generator_cores) = processes(driven, target.pid, messages, window);
    Report {
        load,
        broker: target.addr.to_string(),
        topic: common.topic.clone(),
        seconds: window.seconds(),
        send: None,
        read: None,
        server,
        generator_cores,
    }
}

fn send_report(args: &SendArgs, work: &mut Produce, window: Window) -> SendReport {
    let unsent = work.count_unsent(window.end);
    let tally = &work.tally;
    let per_second = tally.messages as f64 / window.seconds();
    SendReport {
        connections: work.links(),
        in_flight: usize::from(args.in_flight),
        body_bytes: args.size,
        batch: u64::from(args.batch),
        rate: args.rate,
        messages: tally.messages,
        messages_per_second: per_second,
        mib_per_second: per_second * args.size as f64 / 1024.0 / 1024.0,
        latency: Latency::of(&tally.latency),
        refused: tally.failed.clone(),
        first_refusal: first_refusal(tally),
        unanswered: work.unanswered(),
        unsent,
    }
}

fn read_report(
    work: &Consume,
    connections: usize,
    groups: usize,
    latency: Latency,
    window: Window,
) -> ReadReport {
    let seconds = window.seconds();
    ReadReport {
        connections,
        groups,
        messages: work.pulls.messages,
        messages_per_second: work.pulls.messages as f64 / seconds,
        pulls_per_second: work.pulls.requests as f64 / seconds,
        latency,
        refused: work.pulls.failed.clone(),
        first_refusal: first_refusal(&work.pulls),
    }
}
