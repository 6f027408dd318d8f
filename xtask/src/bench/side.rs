//! One of the two systems under test.

use super::cases::{self, Case};
use super::figures::{Figures, Sample};
use super::process::{self, Server};
use anyhow::{Context, bail, ensure};
use serde_json::Value;
use std::fmt;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

const START_PATIENCE: Duration = Duration::from_secs(60);
const STOP_PATIENCE: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Whose servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub(super) enum Kind {
    /// Apache RocketMQ
    Java,
    /// This project
    Rmq,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Java => "java",
            Self::Rmq => "rmq",
        })
    }
}

/// When a send is answered: once it is in memory, or once it is on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flush {
    Async,
    Sync,
}

impl fmt::Display for Flush {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Async => "async",
            Self::Sync => "sync",
        })
    }
}

/// A system, how it is set up and where.
#[derive(Clone, Copy, Debug)]
pub(super) struct Side<'a> {
    pub(super) kind: Kind,
    pub(super) flush: Flush,
    /// Data, settings and logs; wiped before and after.
    pub(super) work: &'a Path,
    /// Our programs.
    pub(super) programs: &'a Path,
    /// The jars.
    pub(super) java: &'a Path,
}

impl Side<'_> {
    fn ports(&self) -> (u16, u16) {
        match self.kind {
            Kind::Java => (19_876, 20_911),
            Kind::Rmq => (29_876, 30_911),
        }
    }

    fn namesrv(&self) -> String {
        format!("127.0.0.1:{}", self.ports().0)
    }

    /// Starts the servers, runs every case, stops the servers; adds what was found to `figures`.
    pub(super) fn measure(
        &self,
        cases: &[Case],
        quick: bool,
        figures: &mut Figures,
    ) -> anyhow::Result<()> {
        fs::create_dir_all(self.work).context("cannot make the work directory")?;
        let began = process::now();
        let mut name_server = self.start_name_server()?;
        self.wait_for("the name server", &mut name_server, &["topic", "list", "--all"])?;
        let began_broker = process::now();
        let mut broker = self.start_broker()?;
        self.wait_for("the broker", &mut broker, &["topic", "create", "first"])?;
        if self.flush == Flush::Async {
            figures.life(
                self.kind,
                "name server and broker: start until the first topic is made",
                "s",
                began.elapsed().as_secs_f64(),
            );
            figures.life(
                self.kind,
                "broker: start until the first topic is made",
                "s",
                began_broker.elapsed().as_secs_f64(),
            );
            self.idle(&name_server, &broker, quick, figures)?;
        }
        for args in cases::warm_up(quick) {
            self.bench(&args).context("warming up")?;
        }
        for case in cases {
            broker.check()?;
            let report = self.bench(&case.args).with_context(|| case.name.clone())?;
            let sample = Sample::from_report(&report, case.table.reads()).with_context(|| {
                format!("{}: the report is not understood: {report}", case.name)
            })?;
            process::say(&format!("  {:<44} {}", case.name, sample.plain()));
            figures.add(self.kind, case, sample);
        }
        let stopped = broker.stop(STOP_PATIENCE)?;
        name_server.stop(STOP_PATIENCE)?;
        if self.flush == Flush::Async {
            figures.life(self.kind, "broker: stop", "s", stopped.as_secs_f64());
        }
        Ok(())
    }

    /// Memory and CPU of servers that nobody uses.
    fn idle(
        &self,
        name_server: &Server,
        broker: &Server,
        quick: bool,
        figures: &mut Figures,
    ) -> anyhow::Result<()> {
        let settle = Duration::from_secs(if quick { 2 } else { 10 });
        process::pause(settle);
        for (name, server) in [("name server", name_server), ("broker", broker)] {
            let before = process::usage(server.pid())?;
            let began = process::now();
            process::pause(settle / 2);
            let after = process::usage(server.pid())?;
            let cores = (after.cpu_seconds - before.cpu_seconds) / began.elapsed().as_secs_f64();
            figures.life(self.kind, &format!("{name}: idle memory"), "MiB", after.rss_mib);
            figures.life(self.kind, &format!("{name}: idle CPU"), "% of a core", cores * 100.0);
        }
        Ok(())
    }

    fn start_name_server(&self) -> anyhow::Result<Server> {
        let (port, _) = self.ports();
        let home = self.work.join("namesrv");
        fs::create_dir_all(&home).context("cannot make the name server's directory")?;
        let conf = format!(
            "listenPort={port}\nkvConfigPath={home}/kvConfig.json\nconfigStorePath={home}/namesrv.properties\n",
            home = home.display()
        );
        let conf = self.write("namesrv.conf", &conf)?;
        let mut command = match self.kind {
            Kind::Java => {
                let heap = ["-Xms256m", "-Xmx256m"];
                self.java_command(&heap, "org.apache.rocketmq.namesrv.NamesrvStartup")
            }
            Kind::Rmq => Command::new(self.programs.join("rmq-nameserver")),
        };
        command.arg("-c").arg(conf);
        Server::start("name server", command, &self.work.join("namesrv.log"))
    }

    fn start_broker(&self) -> anyhow::Result<Server> {
        let (_, port) = self.ports();
        let flush = match self.flush {
            Flush::Async => "ASYNC_FLUSH",
            Flush::Sync => "SYNC_FLUSH",
        };
        let store = self.work.join("store");
        let conf = format!(
            "brokerClusterName=bench\nbrokerName=broker-a\nbrokerId=0\nbrokerRole=ASYNC_MASTER\n\
             brokerIP1=127.0.0.1\nlistenPort={port}\nhaListenPort={ha}\nnamesrvAddr={namesrv}\n\
             storePathRootDir={store}\nstorePathCommitLog={store}/commitlog\n\
             flushDiskType={flush}\nautoCreateTopicEnable=true\n",
            ha = port + 1,
            namesrv = self.namesrv(),
            store = store.display(),
        );
        let conf = self.write("broker.conf", &conf)?;
        let mut command = match self.kind {
            Kind::Java => {
                // The collector's settings are those of the distribution's start script.
                let options = [
                    "-Xms2g",
                    "-Xmx2g",
                    "-XX:+AlwaysPreTouch",
                    "-XX:+UseG1GC",
                    "-XX:G1HeapRegionSize=16m",
                    "-XX:G1ReservePercent=25",
                    "-XX:InitiatingHeapOccupancyPercent=30",
                    "-XX:SoftRefLRUPolicyMSPerMB=0",
                    "-XX:-UseLargePages",
                    "-XX:-OmitStackTraceInFastThrow",
                    "-XX:MaxDirectMemorySize=15g",
                ];
                self.java_command(&options, "org.apache.rocketmq.broker.BrokerStartup")
            }
            Kind::Rmq => Command::new(self.programs.join("rmq-broker")),
        };
        command.arg("-c").arg(conf);
        Server::start("broker", command, &self.work.join("broker.log"))
    }

    fn java_command(&self, options: &[&str], class: &str) -> Command {
        let mut command = Command::new("java");
        command
            .args(options)
            // Logs and settings of the Java programs go to the user's home otherwise.
            .arg(format!("-Duser.home={}", self.work.display()))
            .arg(format!("-Drocketmq.home.dir={}", self.work.display()))
            .arg("-cp")
            .arg(self.java.join("*"))
            .arg(class);
        command
    }

    fn write(&self, name: &str, text: &str) -> anyhow::Result<std::path::PathBuf> {
        let path = self.work.join(name);
        #[expect(clippy::disallowed_methods, reason = "settings of one run, wiped after it")]
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path)
    }

    /// Runs `rmq` with `args` until it succeeds.
    fn wait_for(&self, what: &str, server: &mut Server, args: &[&str]) -> anyhow::Result<()> {
        let began = process::now();
        loop {
            server.check()?;
            let output = self.rmq(args).output().context("cannot start rmq")?;
            if output.status.success() {
                return Ok(());
            }
            if START_PATIENCE < began.elapsed() {
                bail!("{what} does not serve: {}", String::from_utf8_lossy(&output.stderr).trim());
            }
            process::pause(LOOK_EVERY);
        }
    }

    fn bench(&self, args: &[String]) -> anyhow::Result<Value> {
        let mut command = self.rmq(&["bench"]);
        let output =
            command.args(args).args(["-o", "json"]).output().context("cannot start rmq")?;
        let errors = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "rmq bench {}: {}", args.join(" "), errors.trim());
        serde_json::from_slice(&output.stdout).context("rmq bench printed something else")
    }

    fn rmq(&self, args: &[&str]) -> Command {
        let mut command = Command::new(self.programs.join("rmq"));
        command.args(args).env("NAMESRV_ADDR", self.namesrv());
        command
    }
}
