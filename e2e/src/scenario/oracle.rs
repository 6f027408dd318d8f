//! The same clients against the original and against ours: every difference is explained or a
//! failure.

use std::path::Path;

use anyhow::Context as _;

use crate::cases::Facts;
use crate::compare::{Row, compare, known_in_repository, stale};
use crate::peers::Peers;
use crate::report;
use crate::scenario::drivers::Driver;
use crate::system::{Makers, System};

/// What to compare.
#[derive(Debug)]
pub struct Plan {
    /// Left and right side.
    pub sides: [Makers; 2],
    /// The clients.
    pub drivers: Vec<Driver>,
    /// Scenarios; none: all.
    pub patterns: Vec<String>,
    /// Whether equal cases are listed as well.
    pub verbose: bool,
}

/// Runs both sides at the same time, driver after driver, and prints what differs. Answers whether
/// nothing does that is not explained.
///
/// # Errors
/// When a system or a driver does not come up or ends early.
pub fn run(peers: &Peers, plan: &Plan, directory: &Path) -> anyhow::Result<bool> {
    let known = known_in_repository()?;
    let [left, right] = std::thread::scope(|scope| {
        let sides = [0, 1].map(|index| {
            let directory = directory
                .join(format!("{index}-{}", plan.sides[index].to_string().replace('/', "-")));
            scope.spawn(move || side(peers, plan, plan.sides[index], &directory))
        });
        sides.map(|side| side.join())
    });
    let ended = "a side's thread panicked";
    let left = left.map_err(|_panic| anyhow::anyhow!(ended))??;
    let right = right.map_err(|_panic| anyhow::anyhow!(ended))??;
    let mut fine = true;
    let mut all: Vec<Row> = Vec::new();
    for ((driver, left), (_, right)) in left.iter().zip(&right) {
        let sides = format!("{} against {}", plan.sides[0], plan.sides[1]);
        report::heading(&format!("{}: {sides}", driver.name()));
        // One client that crashes must not hide what the others saw.
        let (left, right) = match (left, right) {
            (Ok(left), Ok(right)) => (left, right),
            (Err(error), _) | (_, Err(error)) => {
                report::note(&format!("FAILED     {error:#}"));
                fine = false;
                continue;
            }
        };
        let rows = compare(left, right, &known);
        fine &= report::rows(&rows, &known, plan.verbose);
        all.extend(rows);
    }
    for row in stale(&known, &all) {
        report::note(&format!("known difference not seen: {} ({})", row.case, row.why));
    }
    Ok(fine)
}

/// What each client saw of one system, or why it ended early twice.
type Results = Vec<(Driver, anyhow::Result<Facts>)>;

fn side(peers: &Peers, plan: &Plan, makers: Makers, directory: &Path) -> anyhow::Result<Results> {
    let system = System::start(peers, makers, directory, &[])?;
    let mut seen = Vec::new();
    for driver in &plan.drivers {
        let attempt = || {
            driver
                .run(peers, &system, directory, &plan.patterns)
                .with_context(|| format!("{} with the {makers} system", driver.name()))
        };
        // The Go client crashes now and then when an answer is late, whoever's server it is. The
        // second try is told: a server that makes it frequent would show.
        let run = attempt().or_else(|error| {
            report::note(&format!("TRIED AGAIN {error:#}"));
            attempt()
        });
        seen.push((*driver, run.map(|run| run.facts)));
    }
    system.stop()?;
    Ok(seen)
}
