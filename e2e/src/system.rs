//! A name server and a broker under test, each the original or ours.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use clap::ValueEnum;
use rustix::process::Signal;

use crate::peers::{Peers, our_program};
use crate::process::Process;
use crate::{probe, wait};

const START: Duration = Duration::from_secs(60);
/// The original takes up to 22 s for a clean stop.
const STOP: Duration = Duration::from_secs(40);

/// Whose server it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Maker {
    /// The Java original.
    Java,
    /// Ours.
    Rmq,
}

impl Maker {
    /// Its name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Java => "java",
            Self::Rmq => "rmq",
        }
    }
}

/// Whose name server and whose broker: `java`, `rmq`, or `NAMESERVER/BROKER`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Makers {
    /// Of the name server.
    pub namesrv: Maker,
    /// Of the broker.
    pub broker: Maker,
}

impl std::str::FromStr for Makers {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (namesrv, broker) = text.split_once('/').unwrap_or((text, text));
        let maker = |text| Maker::from_str(text, false);
        Ok(Self { namesrv: maker(namesrv)?, broker: maker(broker)? })
    }
}

impl std::fmt::Display for Makers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.namesrv == self.broker {
            return f.write_str(self.broker.name());
        }
        write!(f, "{}/{}", self.namesrv.name(), self.broker.name())
    }
}

/// Addresses of proxies.
#[derive(Clone, Copy, Debug, Default)]
struct Fronts {
    namesrv: Option<SocketAddr>,
    broker: Option<SocketAddr>,
}

/// A running name server with one broker.
#[derive(Debug)]
pub struct System {
    peers: Peers,
    directory: PathBuf,
    namesrv_port: u16,
    broker_port: u16,
    broker_maker: Maker,
    /// Where others reach the two, if not where they listen.
    fronts: Fronts,
    settings: Vec<(String, String)>,
    replica_port: u16,
    replica: Option<Process>,
    broker: Option<Process>,
    namesrv: Option<Process>,
}

/// Folder of the replica.
const REPLICA: &str = "replica";

/// A broker of the group.
struct Role {
    maker: Maker,
    id: u32,
    address: SocketAddr,
    folder: &'static str,
}

impl System {
    /// Starts both in `directory` and waits until the broker is known to the name server.
    /// `settings` are added to the broker's file.
    ///
    /// # Errors
    /// When one of them does not come up; the message has the end of its log.
    pub fn start(
        peers: &Peers,
        makers: Makers,
        directory: &Path,
        settings: &[(&str, &str)],
    ) -> anyhow::Result<Self> {
        std::fs::create_dir_all(directory)?;
        let mut system = Self {
            peers: peers.clone(),
            directory: directory.canonicalize()?,
            namesrv_port: free_port()?,
            broker_port: free_port()?,
            broker_maker: makers.broker,
            fronts: Fronts::default(),
            settings: settings.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
            replica_port: 0,
            replica: None,
            broker: None,
            namesrv: None,
        };
        system.start_namesrv(makers.namesrv)?;
        system.start_broker()?;
        Ok(system)
    }

    /// Starts both behind proxies: `proxy_namesrv` makes `namesrv` lead to the given address, and
    /// `proxy_broker` does so for the first of its addresses; it is called for each of its ports.
    ///
    /// # Errors
    /// As [`System::start`].
    pub fn start_behind(
        peers: &Peers,
        maker: Maker,
        directory: &Path,
        namesrv: SocketAddr,
        proxy_namesrv: impl FnOnce(SocketAddr) -> anyhow::Result<()>,
        proxy_broker: impl Fn(SocketAddr, SocketAddr) -> anyhow::Result<()>,
    ) -> anyhow::Result<Self> {
        std::fs::create_dir_all(directory)?;
        let mut system = Self {
            peers: peers.clone(),
            directory: directory.canonicalize()?,
            namesrv_port: free_port()?,
            broker_port: free_port()?,
            broker_maker: maker,
            fronts: Fronts::default(),
            settings: Vec::new(),
            replica_port: 0,
            replica: None,
            broker: None,
            namesrv: None,
        };
        system.start_namesrv(maker)?;
        proxy_namesrv(system.namesrv())?;
        system.fronts.namesrv = Some(namesrv);
        // One port on two loopback addresses: what the broker registers cannot differ in its port.
        let front = SocketAddr::from((Ipv4Addr::new(127, 0, 0, 2), system.broker_port));
        let real = system.broker();
        for below in [0, 2] {
            let port = |addr: SocketAddr| SocketAddr::new(addr.ip(), addr.port() - below);
            proxy_broker(port(front), port(real))?;
        }
        let bound = ("bindAddress".to_owned(), Ipv4Addr::LOCALHOST.to_string());
        system.settings.push(bound);
        system.fronts.broker = Some(front);
        system.start_broker()?;
        Ok(system)
    }

    /// Address of the name server.
    pub fn namesrv(&self) -> SocketAddr {
        let own = SocketAddr::from((Ipv4Addr::LOCALHOST, self.namesrv_port));
        self.fronts.namesrv.unwrap_or(own)
    }

    /// Address of the broker.
    pub fn broker(&self) -> SocketAddr {
        let own = SocketAddr::from((Ipv4Addr::LOCALHOST, self.broker_port));
        self.fronts.broker.unwrap_or(own)
    }

    /// Starts the broker, on the store it has.
    ///
    /// # Errors
    /// As [`System::start`].
    pub fn start_broker(&mut self) -> anyhow::Result<()> {
        let role = Role { maker: self.broker_maker, id: 0, address: self.broker(), folder: "" };
        self.broker = Some(self.start_role(&role)?);
        Ok(())
    }

    /// Starts a replica of the broker, on the store it has, and answers where it serves.
    ///
    /// # Errors
    /// As [`System::start`].
    pub fn start_replica(&mut self, maker: Maker) -> anyhow::Result<SocketAddr> {
        if self.replica_port == 0 {
            self.replica_port = free_port()?;
        }
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.replica_port));
        let role = Role { maker, id: 1, address, folder: REPLICA };
        self.replica = Some(self.start_role(&role)?);
        Ok(address)
    }

    /// Ends the replica as `kill -9` does.
    ///
    /// # Errors
    /// When it is not running.
    pub fn kill_replica(&mut self) -> anyhow::Result<()> {
        self.replica.take().context("no replica runs")?.kill()
    }

    /// Directory of the broker's store.
    pub fn store(&self) -> PathBuf {
        self.directory.join("store")
    }

    /// Directory of the replica's store.
    pub fn replica_store(&self) -> PathBuf {
        self.directory.join(REPLICA).join("store")
    }

    fn start_role(&self, role: &Role) -> anyhow::Result<Process> {
        let directory = self.directory.join(role.folder);
        let home = directory.join("broker");
        std::fs::create_dir_all(&home)?;
        let store = directory.join("store");
        let mut text = String::new();
        let namesrv = self.namesrv();
        write!(
            text,
            "brokerClusterName=DefaultCluster\nbrokerName=broker-a\nbrokerId={id}\n\
             brokerIP1={ip}\nlistenPort={port}\nnamesrvAddr={namesrv}\n\
             storePathRootDir={store}\nstorePathCommitLog={store}/commitlog\n\
             mappedFileSizeCommitLog=67108864\n",
            id = role.id,
            ip = role.address.ip(),
            port = role.address.port(),
            store = store.display(),
        )?;
        if 0 < role.id {
            text.push_str("brokerRole=SLAVE\n");
        }
        if role.maker == Maker::Java {
            // On a busy machine the original refuses sends that wait: that is no fact to compare.
            text.push_str("osPageCacheBusyTimeOutMills=10000\nwaitTimeMillsInSendQueue=10000\n");
        }
        for (name, value) in &self.settings {
            writeln!(text, "{name}={value}")?;
        }
        let file = directory.join("broker.conf");
        put(&file, &text)?;
        let mut command = match role.maker {
            Maker::Java => {
                self.peers.java_server("org.apache.rocketmq.broker.BrokerStartup", &home)?
            }
            Maker::Rmq => {
                let mut command = std::process::Command::new(our_program("rmq")?);
                command.arg("broker").env("HOME", &home).current_dir(&home);
                command
            }
        };
        let log = directory.join("broker.log");
        let what = if role.id == 0 { "broker" } else { "replica" };
        let name = format!("{} {what}", role.maker.name());
        let mut process = Process::start(&name, command.arg("-c").arg(&file), &log)?;
        let broker = role.address;
        ready(&mut process, || probe::is_registered(namesrv, broker) && serves(broker))?;
        Ok(process)
    }

    fn start_namesrv(&mut self, maker: Maker) -> anyhow::Result<()> {
        let home = self.home("namesrv")?;
        let file = self.directory.join("namesrv.conf");
        let store = home.join("namesrv");
        put(
            &file,
            &format!(
                "listenPort={}\nkvConfigPath={store}/kvConfig.json\n\
                 configStorePath={store}/namesrv.properties\n",
                self.namesrv_port,
                store = store.display()
            ),
        )?;
        let mut command = match maker {
            Maker::Java => {
                self.peers.java_server("org.apache.rocketmq.namesrv.NamesrvStartup", &home)?
            }
            Maker::Rmq => {
                let mut command = std::process::Command::new(our_program("rmq")?);
                command.arg("nameserver").env("HOME", &home).current_dir(&home);
                command
            }
        };
        let log = self.directory.join("namesrv.log");
        let name = format!("{} name server", maker.name());
        let mut process = Process::start(&name, command.arg("-c").arg(&file), &log)?;
        let namesrv = self.namesrv();
        ready(&mut process, || serves(namesrv))?;
        self.namesrv = Some(process);
        Ok(())
    }

    /// The broker's process id.
    pub fn broker_id(&self) -> Option<u32> {
        self.broker.as_ref().map(Process::id)
    }

    /// Ends the broker as `kill -9` does.
    ///
    /// # Errors
    /// When it is not running.
    pub fn kill_broker(&mut self) -> anyhow::Result<()> {
        self.broker.take().context("no broker runs")?.kill()
    }

    /// Stops all in order.
    ///
    /// # Errors
    /// When one of them has to be killed: a clean stop is part of what is tested.
    pub fn stop(mut self) -> anyhow::Result<()> {
        let all = [self.replica.take(), self.broker.take(), self.namesrv.take()];
        for process in all.into_iter().flatten() {
            let name = process.name().to_owned();
            if !process.stop(STOP)? {
                bail!("{name} did not stop within {STOP:?}");
            }
        }
        Ok(())
    }

    /// Stops the broker in order.
    ///
    /// # Errors
    /// When it has to be killed.
    pub fn stop_broker(&mut self) -> anyhow::Result<()> {
        let process = self.broker.take().context("no broker runs")?;
        let name = process.name().to_owned();
        ensure!(process.stop(STOP)?, "{name} did not stop within {STOP:?}");
        Ok(())
    }

    /// Sends the broker a signal.
    ///
    /// # Errors
    /// When it is not running.
    pub fn signal_broker(&self, signal: Signal) -> anyhow::Result<()> {
        self.broker.as_ref().context("no broker runs")?.signal(signal)
    }

    /// The next start of the broker is of this one, on the store of the one before.
    pub fn change_broker(&mut self, maker: Maker) {
        self.broker_maker = maker;
    }

    /// The next start of the broker has this setting.
    pub fn set(&mut self, name: &str, value: &str) {
        self.settings.retain(|(other, _)| other != name);
        self.settings.push((name.to_owned(), value.to_owned()));
    }

    /// The end of the broker's log.
    pub fn broker_tail(&self) -> String {
        self.broker.as_ref().map(|broker| broker.tail(30)).unwrap_or_default()
    }

    fn home(&self, name: &str) -> anyhow::Result<PathBuf> {
        let home = self.directory.join(name);
        std::fs::create_dir_all(home.join("namesrv"))?;
        Ok(home)
    }
}

fn put(file: &Path, text: &str) -> anyhow::Result<()> {
    use std::io::Write as _;
    let mut out = std::fs::File::create(file)?;
    out.write_all(text.as_bytes())?;
    Ok(())
}

/// Whether something answers there: any code will do, 3 included.
fn serves(addr: SocketAddr) -> bool {
    probe::call(addr, 9999, &[]).is_ok()
}

fn ready(process: &mut Process, up: impl Fn() -> bool) -> anyhow::Result<()> {
    let end = wait::until(START, || match process.ended() {
        Some(status) => Some(Err(status)),
        None => up().then_some(Ok(())),
    });
    match end {
        Some(Ok(())) => Ok(()),
        Some(Err(status)) => {
            bail!("{} ended with {status}:\n{}", process.name(), process.tail(20))
        }
        None => bail!("{} is not ready after {START:?}:\n{}", process.name(), process.tail(20)),
    }
}

/// A port that nobody listens at, nor at the two below it and the one above: below those that the
/// system gives to outgoing connections, which could take one of them before the server does.
fn free_port() -> anyhow::Result<u16> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    const FIRST: u16 = 20_000;
    const PLACES: u16 = 2_400;
    /// Ports that a broker takes, and one that is left free.
    const WIDTH: u16 = 5;
    // Scenarios that run at the same time begin at different places.
    let begin = u16::try_from(std::process::id() % u32::from(PLACES))?;
    for _ in 0..PLACES {
        let place = begin.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % PLACES;
        let lowest = FIRST + place * WIDTH;
        let is_free = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
        if (lowest..lowest + WIDTH).all(is_free) {
            return Ok(lowest + 2);
        }
    }
    bail!("found no free ports")
}
