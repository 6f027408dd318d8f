//! What is told in the end.

use std::fmt;
use std::io::{self, Write as _};
use std::time::Duration;

/// How a step ended.
#[derive(Debug)]
pub(crate) enum Outcome {
    Passed,
    /// Why.
    Failed(String),
    /// Why it could not be run.
    Skipped(String),
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Passed => f.write_str("passed"),
            Self::Failed(why) => write!(f, "FAILED: {why}"),
            Self::Skipped(why) => write!(f, "skipped: {why}"),
        }
    }
}

/// A step that was run or skipped.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) name: &'static str,
    pub(crate) took: Duration,
    pub(crate) outcome: Outcome,
}

/// Prints a line.
pub(crate) fn say(text: &str) {
    // Nobody is left to tell when the output is closed.
    writeln!(io::stdout().lock(), "{text}").ok();
}

/// Prints every step with its time and outcome.
pub(crate) fn table(ran: &[Ran]) {
    say("");
    for ran in ran {
        say(&format!("{:<10} {:>7.1} s  {}", ran.name, ran.took.as_secs_f64(), ran.outcome));
    }
    let total: Duration = ran.iter().map(|ran| ran.took).sum();
    let count = |wanted: fn(&Outcome) -> bool| ran.iter().filter(|r| wanted(&r.outcome)).count();
    say(&format!(
        "{} passed, {} failed, {} skipped in {:.0} s",
        count(|outcome| matches!(outcome, Outcome::Passed)),
        count(|outcome| matches!(outcome, Outcome::Failed(_))),
        count(|outcome| matches!(outcome, Outcome::Skipped(_))),
        total.as_secs_f64()
    ));
}
