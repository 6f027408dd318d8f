//! `kill -9` under load: what was acknowledged is there afterwards.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::Stdio;

use anyhow::{Context as _, ensure};

use crate::cases::Seen;
use crate::peers::{JavaClient, Peers};
use crate::report;
use crate::system::{Makers, System};

/// Kills the broker while a Java client sends to it, starts it again, and has everything read.
///
/// # Errors
/// When an acknowledged message is missing, or the broker does not come back.
pub fn run(peers: &Peers, makers: Makers, directory: &Path) -> anyhow::Result<()> {
    let mut system = System::start(peers, makers, directory, &[])?;
    let home = directory.join("client");
    std::fs::create_dir_all(&home)?;
    let errors = std::fs::File::create(directory.join("client.log"))?;
    let mut child = peers
        .java_driver(JavaClient::New, "Crash", &home.canonicalize()?, &[])?
        .args([system.namesrv().to_string(), system.broker().to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(errors)
        .spawn()
        .context("cannot start the Java client")?;
    let out = child.stdout.take().context("no output")?;
    let mut seen = Seen::default();
    for line in BufReader::new(out).lines() {
        let line = line?;
        if line == "LOADED" {
            system.kill_broker()?;
            system.start_broker()?;
        }
        seen.take(&line);
    }
    child.wait()?;
    let case = |name: &str| seen.facts.get(name).cloned().unwrap_or_default();
    report::note(&format!("{}; {}", case("crash.sent"), case("crash.read")));
    ensure!(case("crash.sent") == "enough=true recovered=true", "sending: {:?}", seen.facts);
    ensure!(case("crash.read") == "missing=0", "reading: {:?}", seen.facts);
    system.stop()
}
