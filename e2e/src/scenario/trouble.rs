//! A process that is stopped for a while, a disk that is full, a disk that can only be read.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use rmq_client::{Outgoing, Producer};
use rmq_host::runtime::{self, RuntimeConfig};
use rustix::process::Signal;

use super::rounds::check_files;
use crate::kube::load::{self, Load};
use crate::peers::Peers;
use crate::report;
use crate::system::{Maker, Makers, System};
use crate::wait;

/// The code of a refusal that clients repeat at another broker.
const TRY_ANOTHER: i32 = 14;
/// Longest time until the broker sees what became of its disk.
const SEEN: Duration = Duration::from_secs(20);
const LIMIT: Duration = Duration::from_secs(60);

type Scenario = fn(&Peers, &Path, Duration) -> anyhow::Result<()>;

const SCENARIOS: [(&str, Scenario); 3] =
    [("stopped", stopped), ("full-disk", full_disk), ("read-only", read_only)];

/// Runs those whose names begin so, all without names.
///
/// # Errors
/// The first promise that was broken.
pub fn run(
    peers: &Peers,
    directory: &Path,
    names: &[String],
    stopped: Duration,
) -> anyhow::Result<()> {
    let wanted = |name: &str| names.is_empty() || names.iter().any(|n| name.starts_with(n));
    for (name, scenario) in SCENARIOS.into_iter().filter(|(name, _)| wanted(name)) {
        report::heading(name);
        scenario(peers, &directory.join(name), stopped).with_context(|| name.to_owned())?;
    }
    Ok(())
}

const SETTINGS: [(&str, &str); 6] = [
    ("flushDiskType", "SYNC_FLUSH"),
    ("mappedFileSizeCommitLog", "1048576"),
    ("mappedFileSizeConsumeQueue", "20000"),
    ("maxHashSlotNum", "1000"),
    ("maxIndexNum", "5000"),
    // The oldest messages would make room.
    ("cleanFileForciblyEnable", "false"),
];

fn start(peers: &Peers, directory: &Path) -> anyhow::Result<System> {
    System::start(peers, Makers { namesrv: Maker::Rmq, broker: Maker::Rmq }, directory, &SETTINGS)
}

fn stopped(peers: &Peers, directory: &Path, time: Duration) -> anyhow::Result<()> {
    let system = start(peers, directory)?;
    let runtime = runtime::build(&RuntimeConfig::default())?;
    let load = runtime.block_on(Load::start(&system.namesrv().to_string(), "stopped"))?;
    runtime.block_on(load.flows(100, LIMIT))?;
    system.signal_broker(Signal::STOP)?;
    wait::pause(time);
    system.signal_broker(Signal::CONT)?;
    runtime.block_on(load.flows(200, LIMIT))?;
    let verdict = runtime.block_on(load.finish(LIMIT))?;
    report::note(&format!("stopped for {time:?}: {verdict}"));
    system.stop()?;
    check_files(directory)
}

fn full_disk(peers: &Peers, directory: &Path, _: Duration) -> anyhow::Result<()> {
    let store = directory.join("store");
    let _disk = Mount::tmpfs(&store, 48)?;
    let system = start(peers, directory)?;
    let before = system.broker_id();
    let runtime = runtime::build(&RuntimeConfig::default())?;
    let namesrv = system.namesrv().to_string();
    let load = runtime.block_on(Load::start(&namesrv, "full"))?;
    runtime.block_on(load.flows(100, LIMIT))?;
    let ballast = store.join("ballast");
    fill(&ballast)?;
    refused(&runtime, &namesrv, "full")?;
    reads_go_on(&runtime, &namesrv, "full")?;
    fs::remove_file(&ballast)?;
    runtime.block_on(load.flows(200, LIMIT)).context("after space came back")?;
    let verdict = runtime.block_on(load.finish(LIMIT))?;
    ensure!(system.broker_id() == before, "the broker was started again");
    report::note(&format!("full disk: {verdict}"));
    system.stop()?;
    check_files(directory)
}

fn read_only(peers: &Peers, directory: &Path, _: Duration) -> anyhow::Result<()> {
    let store = directory.join("store");
    fs::create_dir_all(directory)?;
    let image = directory.join("disk.img");
    fs::File::create(&image)?.set_len(96 * 1024 * 1024)?;
    tool("mkfs.ext4", &["-q", "-F", &image.display().to_string()])?;
    let disk = Mount::image(&store, &image)?;
    let mut system = start(peers, directory)?;
    let runtime = runtime::build(&RuntimeConfig::default())?;
    let namesrv = system.namesrv().to_string();
    let load = runtime.block_on(Load::start(&namesrv, "readonly"))?;
    runtime.block_on(load.flows(100, LIMIT))?;
    disk.break_it()?;
    refused(&runtime, &namesrv, "readonly")?;
    reads_go_on(&runtime, &namesrv, "readonly")?;
    // What reached the disk is unknown: only recovery can tell.
    system.kill_broker()?;
    drop(disk);
    tool("e2fsck", &["-f", "-y", &image.display().to_string()]).ok();
    let _disk = Mount::image(&store, &image)?;
    check_files(directory)?;
    system.start_broker()?;
    runtime.block_on(load.flows(200, LIMIT)).context("after the restart")?;
    let verdict = runtime.block_on(load.finish(LIMIT))?;
    report::note(&format!("read-only disk: {verdict}"));
    system.stop()?;
    check_files(directory)
}

/// Sends are refused, with the code that clients repeat elsewhere.
fn refused(runtime: &tokio::runtime::Runtime, namesrv: &str, topic: &str) -> anyhow::Result<()> {
    let producer = Producer::new(load::client(namesrv)?, "troubled");
    let mut last = String::new();
    let code = wait::until(SEEN, || {
        // The load goes on; this one message shows the answer. Its id is nobody else's.
        let sent = runtime.block_on(producer.send(&Outgoing::new(topic, "probe")));
        match sent {
            Ok(_) => None,
            Err(error) => {
                last = error.to_string();
                error.code()
            }
        }
    });
    ensure!(code == Some(TRY_ANOTHER), "sends are answered with {code:?}: {last}");
    report::note(&format!("refused: {last}"));
    Ok(())
}

fn reads_go_on(
    runtime: &tokio::runtime::Runtime,
    namesrv: &str,
    topic: &str,
) -> anyhow::Result<()> {
    let client = load::client(namesrv)?;
    let route = runtime.block_on(client.fetch_route(topic))?;
    let mut count = 0;
    for queue in route.read_queues() {
        let ask = rmq_client::pull::PullRequest::new("troubled");
        count += runtime.block_on(client.pull(&queue, 0, &ask))?.messages.len();
    }
    ensure!(0 < count, "nothing can be read");
    Ok(())
}

/// Writes zeros until there is no space.
fn fill(path: &Path) -> anyhow::Result<()> {
    let mut file = fs::File::create(path)?;
    let zeros = vec![0; 64 * 1024];
    loop {
        match file.write_all(&zeros) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::StorageFull => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
}

fn tool(name: &str, args: &[&str]) -> anyhow::Result<()> {
    let done = Command::new(name).args(args).output().with_context(|| format!("no {name}"))?;
    let wrong = String::from_utf8_lossy(&done.stderr).into_owned();
    ensure!(done.status.success(), "{name} {args:?}: {}: {}", done.status, wrong.trim());
    Ok(())
}

/// A file system of its own, which is gone with this value.
struct Mount {
    at: PathBuf,
}

impl Mount {
    fn tmpfs(at: &Path, mebibytes: u32) -> anyhow::Result<Self> {
        fs::create_dir_all(at)?;
        let size = format!("size={mebibytes}m");
        tool("mount", &["-t", "tmpfs", "-o", &size, "rmq-e2e", &at.display().to_string()])?;
        Ok(Self { at: at.canonicalize()? })
    }

    fn image(at: &Path, image: &Path) -> anyhow::Result<Self> {
        fs::create_dir_all(at)?;
        let (image, to) = (image.display().to_string(), at.display().to_string());
        tool("mount", &["-o", "loop,errors=remount-ro", &image, &to])?;
        Ok(Self { at: at.canonicalize()? })
    }

    /// The file system meets an error and lets nobody write any more, as after a bad sector.
    fn break_it(&self) -> anyhow::Result<()> {
        let mounts = fs::read_to_string("/proc/self/mounts")?;
        let at = self.at.display().to_string();
        let device = mounts.lines().find_map(|line| {
            let (device, rest) = line.split_once(' ')?;
            (rest.split(' ').next() == Some(&at)).then_some(device)
        });
        let Some(name) = device.and_then(|device| device.strip_prefix("/dev/")) else {
            bail!("{at} is not mounted from a device")
        };
        let trigger = format!("/sys/fs/ext4/{name}/trigger_fs_error");
        let mut file = fs::File::options().write(true).open(&trigger)?;
        file.write_all(b"1").with_context(|| trigger.clone())
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let at = self.at.display().to_string();
        if tool("umount", &[&at]).is_err() {
            // Whoever still has files open keeps them; the name is free at once.
            tool("umount", &["-l", &at]).ok();
        }
    }
}
