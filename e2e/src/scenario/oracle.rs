//! The same clients against the original and against ours: every difference is explained or a
//! failure.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::Context as _;

use crate::cases::Facts;
use crate::compare::{Row, Verdict, compare, known_in_repository, stale};
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

/// Cases of one driver that may differ once and agree when they are repeated. More than that is no
/// accident of a busy machine.
const UNSTEADY_MAX: usize = 3;

/// Runs both sides at the same time, driver after driver, and prints what differs. Answers whether
/// nothing does that is not explained.
///
/// Delivery is at least once: on a busy machine either system may deliver again where the other did
/// not. So what differs is done once more, on fresh systems, and told as unsteady if it then agrees.
///
/// # Errors
/// When a system or a driver does not come up or ends early.
pub fn run(peers: &Peers, plan: &Plan, directory: &Path) -> anyhow::Result<bool> {
    let known = known_in_repository()?;
    let [left, right] = both(peers, plan, &plan.drivers, &plan.patterns, directory)?;
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
        let mut rows = compare(left, right, &known);
        let patterns = scenarios_that_differ(&rows);
        if !patterns.is_empty() {
            let again = directory.join(format!("again-{}", driver.name()));
            let [left, right] = both(peers, plan, &[*driver], &patterns, &again)?;
            if let [(_, Ok(left))] = left.as_slice()
                && let [(_, Ok(right))] = right.as_slice()
            {
                settle(&mut rows, &compare(left, right, &known));
            }
        }
        fine &= report::rows(&rows, &known, plan.verbose);
        let unsteady = rows.iter().filter(|row| row.verdict == Verdict::Unsteady).count();
        if UNSTEADY_MAX < unsteady {
            report::note(&format!("FAILED     {unsteady} unsteady cases, at most {UNSTEADY_MAX}"));
            fine = false;
        }
        all.extend(rows);
    }
    for row in stale(&known, &all) {
        report::note(&format!("known difference not seen: {} ({})", row.case, row.why));
    }
    Ok(fine)
}

/// Patterns of the scenarios with a difference: the first two words of their cases.
fn scenarios_that_differ(rows: &[Row]) -> Vec<String> {
    let different = rows.iter().filter(|row| row.verdict == Verdict::Different);
    let names = different.map(|row| row.case.splitn(3, '.').take(2).collect::<Vec<_>>().join("."));
    names.collect::<BTreeSet<_>>().into_iter().collect()
}

/// Marks as unsteady what differed at first and does not in `again`.
fn settle(rows: &mut [Row], again: &[Row]) {
    for row in rows.iter_mut().filter(|row| row.verdict == Verdict::Different) {
        let agrees =
            again.iter().any(|other| other.case == row.case && other.verdict != Verdict::Different);
        if agrees {
            row.verdict = Verdict::Unsteady;
        }
    }
}

/// Both systems at the same time, under the same drivers.
fn both(
    peers: &Peers,
    plan: &Plan,
    drivers: &[Driver],
    patterns: &[String],
    directory: &Path,
) -> anyhow::Result<[Results; 2]> {
    let [left, right] = std::thread::scope(|scope| {
        let sides = [0, 1].map(|index| {
            let makers = plan.sides[index];
            let name = format!("{index}-{}", makers.to_string().replace('/', "-"));
            let directory = directory.join(name);
            scope.spawn(move || side(peers, makers, drivers, patterns, &directory))
        });
        sides.map(|side| side.join())
    });
    let ended = "a side's thread panicked";
    let left = left.map_err(|_panic| anyhow::anyhow!(ended))??;
    let right = right.map_err(|_panic| anyhow::anyhow!(ended))??;
    Ok([left, right])
}

/// What each client saw of one system, or why it ended early twice.
type Results = Vec<(Driver, anyhow::Result<Facts>)>;

fn side(
    peers: &Peers,
    makers: Makers,
    drivers: &[Driver],
    patterns: &[String],
    directory: &Path,
) -> anyhow::Result<Results> {
    let system = System::start(peers, makers, directory, &[])?;
    let mut seen = Vec::new();
    for driver in drivers {
        let attempt = || {
            driver
                .run(peers, &system, directory, patterns)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn row(case: &str, verdict: Verdict) -> Row {
        Row { case: case.to_owned(), left: "a=1".to_owned(), right: "a=2".to_owned(), verdict }
    }

    #[test]
    fn what_differs_is_repeated_by_scenario() {
        let rows = [
            row("go.restart.second", Verdict::Different),
            row("go.restart.first", Verdict::Different),
            row("lite.subscribe.next", Verdict::Equal),
            row("raw.send.noBody", Verdict::Different),
        ];
        assert_eq!(scenarios_that_differ(&rows), ["go.restart", "raw.send"]);
    }

    #[test]
    fn only_what_agrees_the_second_time_is_unsteady() {
        let mut rows = [
            row("agrees", Verdict::Different),
            row("differs", Verdict::Different),
            row("missing", Verdict::Different),
            row("equal", Verdict::Equal),
        ];
        let again = [
            row("agrees", Verdict::Explained(0)),
            row("differs", Verdict::Different),
            row("equal", Verdict::Different),
        ];
        settle(&mut rows, &again);
        let verdicts = rows.map(|row| row.verdict);
        let wanted = [Verdict::Unsteady, Verdict::Different, Verdict::Different, Verdict::Equal];
        assert_eq!(verdicts, wanted);
    }
}
