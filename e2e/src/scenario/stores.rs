//! A store that the original broker wrote opens with ours, and the other way round.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use futures_util::{StreamExt as _, TryStreamExt as _};
use parking_lot::Mutex;
use rmq_client::Client;
use rmq_host::SystemClock;
use rmq_host::runtime::{self, RuntimeConfig};

use super::rounds::{GRACE, SINGLE, begin, check_files, in_order, queues};
use crate::kube::load;
use crate::ledger::Ledger;
use crate::peers::{JavaClient, Peers};
use crate::report;
use crate::system::{Maker, Makers, System};
use crate::wait;

/// How long each broker is at work.
const LIFE: Duration = Duration::from_millis(1500);
/// Questions at a time.
const AT_ONCE: usize = 16;

const SETTINGS: [(&str, &str); 4] = [
    ("mappedFileSizeCommitLog", "1048576"),
    ("mappedFileSizeConsumeQueue", "20000"),
    ("maxHashSlotNum", "1000"),
    ("maxIndexNum", "5000"),
];

const SCENARIOS: [(&str, JavaClient, Ending); 4] = [
    ("java-5-stopped", JavaClient::New, Ending::Stop),
    ("java-5-killed", JavaClient::New, Ending::Kill),
    ("java-4-stopped", JavaClient::Old, Ending::Stop),
    ("java-4-killed", JavaClient::Old, Ending::Kill),
];

/// How each broker ends, with clients at work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    Stop,
    Kill,
}

/// Runs those whose names begin so, all without names.
///
/// # Errors
/// The first message that is missing, moved, or not found by its key.
pub fn run(peers: &Peers, directory: &Path, names: &[String]) -> anyhow::Result<()> {
    let wanted = |name: &str| names.is_empty() || names.iter().any(|n| name.starts_with(n));
    for (name, line, ending) in SCENARIOS.into_iter().filter(|(name, ..)| wanted(name)) {
        report::heading(name);
        visit(&peers.with_broker(line), &directory.join(name), ending)
            .with_context(|| name.to_owned())?;
    }
    Ok(())
}

fn visit(peers: &Peers, directory: &Path, ending: Ending) -> anyhow::Result<()> {
    let makers = Makers { namesrv: Maker::Rmq, broker: Maker::Java };
    let mut system = System::start(peers, makers, directory, &SETTINGS)?;
    let runtime = runtime::build(&RuntimeConfig::default())?;
    let ledger = Arc::new(Mutex::new(Ledger::default()));
    let clock = SystemClock::new();
    // Each finds what the one before left: Java, ours, Java, ours.
    let lives = [Maker::Java, Maker::Rmq, Maker::Java, Maker::Rmq];
    for (maker, life) in lives.into_iter().zip(0..) {
        let of_life = || format!("life {life}, of {}", maker.name());
        if 0 < life {
            system.change_broker(maker);
            system.start_broker().with_context(of_life)?;
            let client = load::client(&system.namesrv().to_string())?;
            let mut ledger = ledger.lock();
            runtime
                .block_on(ledger.look(&client, &queues(), true, in_order))
                .with_context(of_life)?;
            // After a kill the original forgets the keys of its newest index file.
            if maker == Maker::Rmq || ending == Ending::Stop {
                let count = runtime.block_on(by_key(&client, &ledger)).with_context(of_life)?;
                report::note(&format!("{}: all are there, {count} asked for by key", of_life()));
            }
        }
        let tasks = {
            let _inside = runtime.enter();
            begin(&system, &ledger, life, clock)?
        };
        wait::pause(LIFE);
        match ending {
            Ending::Stop => system.stop_broker()?,
            Ending::Kill => system.kill_broker()?,
        }
        runtime.block_on(tasks.shutdown(GRACE));
        check_files(directory).with_context(of_life)?;
    }
    system.start_broker()?;
    let client = load::client(&system.namesrv().to_string())?;
    let mut ledger = ledger.lock();
    runtime.block_on(ledger.look(&client, &queues(), true, in_order))?;
    let count = runtime.block_on(by_key(&client, &ledger))?;
    ensure!(0 < count, "nothing was sent");
    let (acknowledged, failed) = ledger.counts();
    report::note(&format!(
        "{acknowledged} acknowledged, {failed} failed, all in their places, {count} asked for by key"
    ));
    system.stop()
}

/// Asks for every message that was found and sent alone by its key.
async fn by_key(client: &Client, ledger: &Ledger) -> anyhow::Result<usize> {
    // To the messages of a batch the original gives the keys of the first one.
    let ids = ledger.found(SINGLE);
    let count = ids.len();
    let ask = |id: String| async move {
        let found = client.admin().messages_by_key(SINGLE, &id, 64, (0, i64::MAX)).await?;
        let is_it = |body: &[u8]| String::from_utf8_lossy(body).trim_start_matches('.') == id;
        let hit = found.iter().any(|message| is_it(&message.body));
        ensure!(hit, "key {id} finds {} messages, not the one", found.len());
        Ok::<(), anyhow::Error>(())
    };
    futures_util::stream::iter(ids.into_iter().map(ask))
        .buffer_unordered(AT_ONCE)
        .try_collect::<()>()
        .await?;
    Ok(count)
}
