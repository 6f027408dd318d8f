//! The runs of official clients: which client, how set, which scenarios.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use anyhow::bail;
use clap::ValueEnum;

use crate::cases::{self, Seen};
use crate::peers::{JavaClient, Peers};
use crate::scenario::cpp;
use crate::system::System;

/// One run of a driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Driver {
    /// Java 5.3 as it comes, all scenarios, the admin library's and the tool's too.
    Java5,
    /// Java 5.3 with binary headers, long-named send headers and the fast port.
    Java5Binary,
    /// Java 4.9.
    Java4,
    /// Go.
    Go,
    /// Frames as the C++ client writes them.
    Cpp,
}

/// Scenarios that show a difference in how frames are written.
const FRAMES: &[&str] =
    &["send.", "pull.", "query.", "consume.all", "consume.tags", "group.rebalance", "lite.assign"];
/// The slow ones of them show nothing more with an old client.
const OLD: &[&str] = &["send.", "pull.", "query.", "lite.", "consume.", "group."];

impl Driver {
    /// Its name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Java5 => "java-5.3",
            Self::Java5Binary => "java-5.3-binary",
            Self::Java4 => "java-4.9",
            Self::Go => "go-2.1",
            Self::Cpp => "c++-like",
        }
    }

    /// Runs it against `system`, with its files in `directory`. `patterns` choose scenarios; none
    /// given means the driver's own choice.
    ///
    /// # Errors
    /// When the driver is missing or ends early.
    pub fn run(
        self,
        peers: &Peers,
        system: &System,
        directory: &Path,
        patterns: &[String],
    ) -> anyhow::Result<Seen> {
        if self == Self::Cpp {
            return cpp::run(system);
        }
        self.run_at(peers, system.namesrv(), system.broker(), directory, patterns)
    }

    /// Runs it against servers at these addresses; the driver whose frames are made here needs a
    /// [`System`].
    ///
    /// # Errors
    /// When the driver is missing or ends early.
    pub fn run_at(
        self,
        peers: &Peers,
        namesrv: SocketAddr,
        broker: SocketAddr,
        directory: &Path,
        patterns: &[String],
    ) -> anyhow::Result<Seen> {
        let home = directory.join(self.name());
        std::fs::create_dir_all(&home)?;
        let home = home.canonicalize()?;
        let (mut command, own) = match self {
            Self::Cpp => bail!("{} is no program of its own", self.name()),
            Self::Java5 => (java(peers, JavaClient::New, &home, &[])?, &[][..]),
            Self::Java5Binary => {
                let properties = [
                    "rocketmq.serialize.type=ROCKETMQ",
                    "org.apache.rocketmq.client.sendSmartMsg=false",
                    "com.rocketmq.sendMessageWithVIPChannel=true",
                ];
                (java(peers, JavaClient::New, &home, &properties)?, FRAMES)
            }
            Self::Java4 => (java(peers, JavaClient::Old, &home, &[])?, OLD),
            Self::Go => {
                let mut command = Command::new(peers.go_driver()?);
                command.env("HOME", &home).current_dir(&home);
                (command, &[][..])
            }
        };
        command.args(["--namesrv", &namesrv.to_string()]);
        command.args(["--broker", &broker.to_string()]);
        command.args(["--threads", "12"]);
        if patterns.is_empty() {
            command.args(own);
        } else {
            command.args(patterns);
        }
        cases::run(&mut command, &directory.join(format!("{}.log", self.name())))
    }
}

fn java(
    peers: &Peers,
    client: JavaClient,
    home: &Path,
    properties: &[&str],
) -> anyhow::Result<Command> {
    peers.java_driver(client, "Interop", home, properties)
}
