//! Masters and slaves that are killed and stopped under load: what was acknowledged is read, in
//! order, from whoever is left, and is there when the master is back.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use clap::ValueEnum;
use rmq_host::SystemClock;
use rmq_host::runtime::{self, RuntimeConfig};
use rmq_model::clock::Clock as _;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::kube::load::Load;
use crate::local::{Local, of_pod, pid, pods, text};
use crate::{probe, report, wait};

/// Of a segment of the log.
const SEGMENT_BYTES: usize = 16 << 20;
/// Queues that [`Load`] gives its topics on each broker.
const QUEUES: i32 = 4;
/// For everything that comes about by itself.
const LIMIT: Duration = Duration::from_secs(60);
/// How long a process is held that must not notice.
const HELD: Duration = Duration::from_secs(3);
/// Acknowledgements that show that sending goes on.
const FLOW: usize = 100;
/// A consumer stores its offsets every 5 s and a broker its table as often; half as much for a busy
/// machine.
const REWOUND_MAX: Duration = Duration::from_secs(15);

/// What is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Layout {
    /// A send is confirmed by master and slave.
    #[value(name = "2m-2s-sync")]
    Sync,
    /// A send is confirmed by the master.
    #[value(name = "2m-2s-async")]
    Async,
}

impl Layout {
    /// Writes the sample manifest to `directory`, with segments so small that they change all the
    /// time and fit on any disk.
    fn manifest(self, directory: &Path) -> anyhow::Result<PathBuf> {
        let name = match self {
            Self::Sync => "2m-2s-sync.yaml",
            Self::Async => "2m-2s-async.yaml",
        };
        let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/clusters");
        let text = std::fs::read_to_string(samples.join(name)).context(name)?;
        let mut manifest: Value = serde_yaml::from_str(&text).context(name)?;
        let brokers = manifest.pointer_mut("/spec/brokers").and_then(Value::as_object_mut);
        let config = serde_json::json!({"mappedFileSizeCommitLog": SEGMENT_BYTES.to_string()});
        brokers.context("a manifest without brokers")?.insert("config".to_owned(), config);
        let path = directory.join("cluster.json");
        std::fs::File::create(&path)?.write_all(manifest.to_string().as_bytes())?;
        Ok(path)
    }
}

/// What is done to a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// The master is killed and stays away until its slave has handed out what it has.
    MasterAway,
    /// The slave is killed.
    SlaveKilled,
    /// The master stands still for a while.
    MasterHeld,
    /// The master is killed and started at once.
    MasterKilled,
    /// The slave stands still for a while.
    SlaveHeld,
    /// Both are killed.
    BothKilled,
}

const FAULTS: [Fault; 6] = [
    // First: clients find a group that was gone for a moment within half a minute.
    Fault::BothKilled,
    Fault::MasterAway,
    Fault::SlaveKilled,
    Fault::MasterHeld,
    Fault::MasterKilled,
    Fault::SlaveHeld,
];
const GROUPS: [&str; 2] = ["broker-a", "broker-b"];

/// Topic that is sent to as fast as a master answers, before it is killed.
const BURST: &str = "burst";
/// How long, and how many sends are under way.
const BURST_TIME: Duration = Duration::from_millis(700);
const BURST_WINDOW: usize = 64;

/// What a slave had not got when its master died.
#[derive(Clone, Copy, Debug, Default)]
struct Window {
    deaths: u32,
    acknowledged: usize,
    messages_max: usize,
    messages: usize,
    time_max: Duration,
}

/// Runs `rounds` faults, one after the other, and judges the history.
///
/// # Errors
/// When something acknowledged is missing, comes again too late or out of order, or the cluster
/// does not recover.
pub fn run(layout: Layout, rounds: u32, directory: &Path) -> anyhow::Result<()> {
    let config = RuntimeConfig { stack_bytes: 2 * 1024 * 1024, ..RuntimeConfig::default() };
    let runtime = runtime::build(&config)?;
    let local = Local::up(&layout.manifest(directory)?, directory)?;
    let played = {
        let mut field =
            Field { layout, local: &local, loads: Vec::new(), window: Window::default() };
        let played = field.play(rounds, &runtime);
        played.map_err(|error| match local.rmq(&["status"]) {
            Ok(status) => error.context(format!("the cluster is\n{status}")),
            Err(_) => error,
        })
    };
    drop(runtime);
    // Whatever happened, nothing is left running.
    let stopped = local.remove();
    played?;
    stopped
}

struct Field<'a> {
    layout: Layout,
    local: &'a Local,
    loads: Vec<Load>,
    window: Window,
}

impl Field<'_> {
    fn play(&mut self, rounds: u32, runtime: &tokio::runtime::Runtime) -> anyhow::Result<()> {
        self.all_in_sync()?;
        let names = self.local.name_servers();
        self.loads.push(runtime.block_on(Load::start(names, "orders"))?);
        self.loads.push(runtime.block_on(Load::start_in_order(names, "ledger"))?);
        let clock = SystemClock::new();
        for round in 0..rounds {
            let number = usize::try_from(round)?;
            let fault = *FAULTS.get(number % FAULTS.len()).context("no fault")?;
            let turn = number / FAULTS.len() + number;
            let group = *GROUPS.get(turn % GROUPS.len()).context("no group")?;
            let began = clock.monotonic();
            self.round(fault, group, runtime)
                .with_context(|| format!("round {}: {fault:?} {group}", round + 1))?;
            let took = clock.monotonic().saturating_sub(began).as_secs_f64();
            report::note(&format!("round {}: {fault:?} {group}: {took:.1} s", round + 1));
        }
        for load in self.loads.drain(..) {
            let topic = load.topic().to_owned();
            let verdict = runtime.block_on(load.finish(LIMIT))?;
            report::note(&format!("{topic}: {verdict}"));
            ensure!(verdict.rewound <= REWOUND_MAX, "{topic}: old messages came again");
        }
        let Window { deaths, acknowledged, messages_max, messages, time_max } = self.window;
        report::note(&format!(
            "{deaths} masters died for a while, under full load: of {acknowledged} messages that \
             they had acknowledged {messages} were not at their slaves, at most {messages_max} at a \
             time, acknowledged in the last {:.1} ms",
            time_max.as_secs_f64() * 1_000.0
        ));
        Ok(())
    }

    fn round(
        &mut self,
        fault: Fault,
        group: &str,
        runtime: &tokio::runtime::Runtime,
    ) -> anyhow::Result<()> {
        let (master, slave) = (self.pod(group, 0)?, self.pod(group, 1)?);
        match fault {
            Fault::MasterAway => self.master_away(group, &master, &slave, runtime)?,
            Fault::SlaveKilled => self.kill(&slave, "KILL")?,
            Fault::MasterKilled => self.kill(&master, "KILL")?,
            Fault::MasterHeld => self.hold(&master)?,
            Fault::SlaveHeld => self.hold(&slave)?,
            Fault::BothKilled => {
                self.kill(&master, "KILL")?;
                self.kill(&slave, "KILL")?;
            }
        }
        self.all_in_sync()?;
        self.flows(runtime)?;
        // And to this very group.
        let before: Vec<usize> = self.acknowledged_by(group);
        wait::until(LIMIT, || {
            self.loads.iter().for_each(Load::look_again);
            let now = self.acknowledged_by(group);
            now.iter().zip(&before).all(|(now, before)| before + FLOW / 4 <= *now).then_some(())
        })
        .with_context(|| format!("nothing is sent to {group} any more"))
    }

    /// Kills the master and keeps it from being started again until its slave has handed out what
    /// it has, and producers go on with the other group.
    fn master_away(
        &mut self,
        group: &str,
        master: &str,
        slave: &str,
        runtime: &tokio::runtime::Runtime,
    ) -> anyhow::Result<()> {
        let status = self.local.status()?;
        let supervisor = status.get("supervisor").and_then(Value::as_u64);
        let supervisor = Stopped::new(supervisor.context("no supervisor")?)?;
        let dead = pid(&status, master)?;
        let address = |pod| -> anyhow::Result<SocketAddr> {
            let address = text(of_pod(&status, pod).context("no such pod")?, "address")?;
            address.parse().context("address of a pod")
        };
        let (master_at, slave_at) = (address(master)?, address(slave)?);
        let clock = SystemClock::new();
        let burst = std::thread::scope(|scope| {
            let burst = scope.spawn(|| burst(master_at, &clock));
            wait::pause(BURST_TIME);
            self.kill(master, "KILL")?;
            burst.join().unwrap_or_else(|_panic| bail!("the burst broke"))
        })?;
        wait::until(LIMIT, || has_ended(dead).then_some(())).context("it does not die")?;
        // When it has noticed, it has taken all that came.
        wait::until(LIMIT, || {
            let status = self.local.status().ok()?;
            let following = of_pod(&status, slave)?.pointer("/replication/following")?;
            (following.as_bool() == Some(false)).then_some(())
        })
        .context("the slave does not notice")?;
        let lacked = self.lacked(group, slave_at, &burst)?;
        // What the slave has is read from it.
        wait::until(LIMIT, || {
            let left: usize = self.loads.iter().map(|load| unread(load, group)).sum();
            (left <= lacked).then_some(())
        })
        .with_context(|| {
            let left: Vec<usize> = self.loads.iter().map(|load| unread(load, group)).collect();
            format!("messages are not read from the slave: {left:?} are left, it lacks {lacked}")
        })?;
        // Nobody answers for the group, and the other one takes everything.
        self.flows(runtime)?;
        drop(supervisor);
        wait::until(LIMIT, || {
            let status = self.local.status().ok()?;
            let pod = of_pod(&status, master)?;
            let ready = pod.get("state").and_then(Value::as_str) == Some("ready");
            (ready && pid(&status, master).ok()? != dead).then_some(())
        })
        .context("the master does not come back")
    }

    /// Messages of `group` that were acknowledged and are not at `slave`, which nobody feeds any
    /// more; those of the `burst` are only counted. None with two copies of each.
    fn lacked(
        &mut self,
        group: &str,
        slave: SocketAddr,
        burst: &[Acknowledged],
    ) -> anyhow::Result<usize> {
        let mut last = None;
        let ends = wait::until(LIMIT, || {
            // The same twice: what came last is in the queues.
            let ends = self.ends(slave)?;
            let settled = last.as_ref() == Some(&ends);
            last = Some(ends);
            settled.then(|| last.take()).flatten()
        })
        .context("the slave does not answer")?;
        let is_there = |topic: &str, queue: i32, offset: i64| {
            offset < ends.get(&(topic.to_owned(), queue)).copied().unwrap_or(0)
        };
        let mut lacked = 0;
        for load in &self.loads {
            let history = load.history();
            let all = history.acknowledged_by(group);
            lacked += all.filter(|(at, ..)| !is_there(load.topic(), at.1, at.2)).count();
        }
        let missing: Vec<&Acknowledged> =
            burst.iter().filter(|one| !is_there(BURST, one.queue, one.offset)).collect();
        let died = burst.iter().map(|one| one.at).max().unwrap_or_default();
        let first = missing.iter().map(|one| one.at).min().unwrap_or(died);
        let window = &mut self.window;
        window.deaths += 1;
        window.acknowledged += burst.len();
        window.messages += missing.len();
        window.messages_max = window.messages_max.max(missing.len());
        window.time_max = window.time_max.max(died.saturating_sub(first));
        ensure!(
            self.layout == Layout::Async || lacked + missing.len() == 0,
            "{lacked} and {} of the burst were acknowledged for two copies and are not at the slave",
            missing.len()
        );
        Ok(lacked)
    }

    /// Ends of the queues of all topics at `broker`; `None` while it does not answer.
    fn ends(&self, broker: SocketAddr) -> Option<BTreeMap<(String, i32), i64>> {
        let mut ends = BTreeMap::new();
        for topic in self.loads.iter().map(Load::topic).chain([BURST]) {
            for queue in 0..QUEUES {
                let ext = [("topic", topic), ("queueId", &*queue.to_string())];
                let answer = probe::call(broker, 30, &ext).ok()?;
                ends.insert((topic.to_owned(), queue), answer.ext("offset").parse().ok()?);
            }
        }
        Some(ends)
    }

    fn acknowledged_by(&self, group: &str) -> Vec<usize> {
        self.loads.iter().map(|load| load.history().acknowledged_by(group).count()).collect()
    }

    fn flows(&self, runtime: &tokio::runtime::Runtime) -> anyhow::Result<()> {
        self.loads.iter().try_for_each(|load| runtime.block_on(load.flows(FLOW, LIMIT)))
    }

    fn kill(&self, pod: &str, signal: &str) -> anyhow::Result<()> {
        self.local.rmq(&["kill", "--signal", signal, pod]).map(drop)
    }

    fn hold(&self, pod: &str) -> anyhow::Result<()> {
        self.kill(pod, "STOP")?;
        wait::pause(HELD);
        self.kill(pod, "CONT")
    }

    fn pod(&self, group: &str, id: u64) -> anyhow::Result<String> {
        let status = self.local.status()?;
        let found = pods(&status).find(|pod| {
            let broker = pod.get("broker").unwrap_or(&Value::Null);
            broker.get("name").and_then(Value::as_str) == Some(group)
                && broker.get("id").and_then(Value::as_u64) == Some(id)
        });
        text(found.with_context(|| format!("no broker {id} of {group}"))?, "name")
    }

    /// Waits until every pod is ready, and every slave in sync.
    fn all_in_sync(&self) -> anyhow::Result<()> {
        wait::until(LIMIT, || {
            let status = self.local.status().ok()?;
            let well = |pod: &Value| {
                let ready = pod.get("state").and_then(Value::as_str) == Some("ready");
                let broker = pod.get("broker").is_some_and(|broker| !broker.is_null());
                let in_sync = pod.pointer("/replication/inSync").and_then(Value::as_bool);
                ready && (!broker || in_sync == Some(true))
            };
            pods(&status).all(well).then_some(())
        })
        .context("slaves do not get in sync")
    }
}

/// A message of a burst that was answered.
struct Acknowledged {
    queue: i32,
    offset: i64,
    at: Duration,
}

/// Sends until the broker is gone, and says what it had acknowledged.
fn burst(broker: SocketAddr, clock: &SystemClock) -> anyhow::Result<Vec<Acknowledged>> {
    let queues = usize::try_from(QUEUES)?;
    let mut stream = TcpStream::connect(broker)?;
    let body = [b'x'; 1024];
    let mut all = Vec::new();
    let (mut sent, mut answered) = (0, 0);
    let began = clock.monotonic();
    while clock.monotonic().saturating_sub(began) < LIMIT {
        let mut out = Vec::new();
        while sent - answered < BURST_WINDOW {
            out.extend(probe::send_frame(BURST, [sent % queues, queues], sent, "", &body)?);
            sent += 1;
        }
        // Either ends when the broker is killed.
        if stream.write_all(&out).is_err() {
            return Ok(all);
        }
        let Ok(answer) = probe::read_answer(&mut stream) else { return Ok(all) };
        answered += 1;
        if answer.code == 0 {
            let number = |name: &str| answer.ext(name).parse::<i64>();
            let queue = i32::try_from(number("queueId")?)?;
            all.push(Acknowledged { queue, offset: number("queueOffset")?, at: clock.monotonic() });
        }
    }
    bail!("the broker was not killed")
}

/// Acknowledged messages of `group` that were not read yet.
fn unread(load: &Load, group: &str) -> usize {
    load.history().acknowledged_by(group).filter(|(_, _, came)| !came).count()
}

/// Whether a process is gone, or only its parent does not know yet.
fn has_ended(pid: u64) -> bool {
    let Ok(stat) = std::fs::read_to_string(format!("/proc/{pid}/stat")) else { return true };
    // Behind the name, which may hold anything.
    stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('Z'))
}

/// A process that stands still until this is dropped.
struct Stopped(Pid);

impl Stopped {
    fn new(pid: u64) -> anyhow::Result<Self> {
        let pid = Pid::from_raw(i32::try_from(pid)?).context("process id 0")?;
        kill_process(pid, Signal::STOP).context("cannot stop the supervisor")?;
        Ok(Self(pid))
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        // It was there a moment ago; without it there is nothing to wake.
        kill_process(self.0, Signal::CONT).ok();
    }
}
