//! Our servers in one cluster with the original ones: clients see no difference to a cluster of
//! one maker.

use std::path::Path;

use anyhow::ensure;

use crate::peers::Peers;
use crate::report;
use crate::scenario::drivers::Driver;
use crate::system::{Maker, Makers, System};

/// Scenarios that need route, registration of new topics, and both directions of the data path.
const PATTERNS: &[&str] = &[
    "send.sync",
    "send.autocreate",
    "consume.all",
    "consume.tags",
    "group.rebalance",
    "admin.topic",
    "admin.cluster",
    "admin.kv",
    "raw.namesrv",
];

/// Runs the Java client against both mixtures. A scenario that breaks fails.
///
/// # Errors
/// When a system or the driver does not come up, or a scenario breaks.
pub fn run(peers: &Peers, directory: &Path) -> anyhow::Result<()> {
    let patterns: Vec<String> = PATTERNS.iter().map(|&pattern| pattern.to_owned()).collect();
    for (namesrv, broker) in [(Maker::Java, Maker::Rmq), (Maker::Rmq, Maker::Java)] {
        let name = format!("{} broker at {} name server", broker.name(), namesrv.name());
        let directory = directory.join(name.replace(' ', "-"));
        let system = System::start(peers, Makers { namesrv, broker }, &directory, &[])?;
        let seen = Driver::Java5.run(peers, &system, &directory, &patterns)?;
        system.stop()?;
        let bad: Vec<String> = seen
            .facts
            .iter()
            .filter(|(case, facts)| case.ends_with(".broken") || facts.contains("came=false"))
            .map(|(case, facts)| format!("{case} {facts}"))
            .collect();
        ensure!(bad.is_empty(), "{name}: {}", bad.join("; "));
        report::note(&format!("{name}: {} facts, none broken", seen.facts.len()));
    }
    Ok(())
}
