//! `cargo xtask test`: everything that must hold before a change is taken, quickest failure first.

mod background;
mod kernels;
mod steps;
mod summary;

use std::time::Duration;

use anyhow::ensure;

use steps::{STEPS, Step};
use summary::{Outcome, Ran};

pub(crate) use steps::is_installed;
pub(crate) use summary::say;

/// A step cannot be shown on this machine, and why.
#[derive(Debug)]
pub(crate) struct NotHere(pub(crate) String);

impl std::fmt::Display for NotHere {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for NotHere {}

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Run these steps only (names as in --list, or their beginnings)
    #[arg(long, value_delimiter = ',', value_name = "STEP")]
    only: Vec<String>,
    /// Leave these steps out
    #[arg(long, value_delimiter = ',', value_name = "STEP")]
    skip: Vec<String>,
    /// Stop at the first step that fails
    #[arg(long)]
    fail_fast: bool,
    /// Name the steps and what they show
    #[arg(long)]
    list: bool,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    if args.list {
        for step in STEPS {
            summary::say(&format!("{:<10} {}", step.name, step.shows));
        }
        return Ok(());
    }
    for name in args.only.iter().chain(&args.skip) {
        let known = STEPS.iter().any(|step| step.name.starts_with(name.as_str()));
        ensure!(known, "there is no step {name}: see --list");
    }
    if STEPS.iter().any(|step| step.name == background::STEP && chosen(step, args)) {
        background::start();
    }
    let mut ran: Vec<Ran> = Vec::new();
    for step in STEPS {
        if !chosen(step, args) {
            continue;
        }
        summary::say(&format!("\n== {}: {}", step.name, step.shows));
        let began = clock();
        let outcome = attempt(step, &ran);
        let took = clock().saturating_sub(began);
        summary::say(&format!("== {}: {outcome} ({:.1} s)", step.name, took.as_secs_f64()));
        let failed = matches!(outcome, Outcome::Failed(_));
        ran.push(Ran { name: step.name, took, outcome });
        if failed && args.fail_fast {
            break;
        }
    }
    summary::table(&ran);
    let failed: Vec<&str> = ran
        .iter()
        .filter(|ran| matches!(ran.outcome, Outcome::Failed(_)))
        .map(|ran| ran.name)
        .collect();
    ensure!(failed.is_empty(), "failed: {}", failed.join(", "));
    Ok(())
}

fn chosen(step: &Step, args: &Args) -> bool {
    let named = |names: &[String]| names.iter().any(|name| step.name.starts_with(name.as_str()));
    (args.only.is_empty() || named(&args.only)) && !named(&args.skip)
}

fn attempt(step: &Step, ran: &[Ran]) -> Outcome {
    let not_passed = |need: &&str| {
        ran.iter().any(|ran| ran.name == *need && !matches!(ran.outcome, Outcome::Passed))
    };
    if let Some(need) = step.needs.iter().copied().find(not_passed) {
        return Outcome::Skipped(format!("{need} did not pass"));
    }
    if let Some(tool) = step.tools.iter().find(|tool| !steps::is_installed(tool)) {
        return Outcome::Skipped(format!("{tool} is not installed"));
    }
    match (step.work)() {
        Ok(()) => Outcome::Passed,
        Err(error) => match error.downcast_ref::<NotHere>() {
            Some(why) => Outcome::Skipped(why.to_string()),
            None => Outcome::Failed(format!("{error:#}")),
        },
    }
}

/// Time since the first call.
#[expect(clippy::disallowed_methods, reason = "a chore measures itself and decides nothing by it")]
fn clock() -> Duration {
    use std::sync::OnceLock;
    use std::time::Instant;
    static BEGAN: OnceLock<Instant> = OnceLock::new();
    BEGAN.get_or_init(Instant::now).elapsed()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(only: &[&str], skip: &[&str]) -> Args {
        let texts = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        Args { only: texts(only), skip: texts(skip), fail_fast: false, list: false }
    }

    fn names(args: &Args) -> Vec<&'static str> {
        STEPS.iter().filter(|step| chosen(step, args)).map(|step| step.name).collect()
    }

    #[test]
    fn steps_are_chosen_by_name_or_beginning() {
        assert_eq!(names(&args(&[], &[])).len(), STEPS.len());
        assert_eq!(names(&args(&["fmt", "clip"], &[])), ["fmt", "clippy"]);
        assert_eq!(names(&args(&["fmt", "clippy"], &["fmt"])), ["clippy"]);
        assert!(!names(&args(&[], &["oracle"])).contains(&"oracle"));
    }

    #[test]
    fn a_step_comes_after_what_it_needs() {
        for (index, step) in STEPS.iter().enumerate() {
            for need in step.needs {
                let earlier = STEPS.iter().take(index).any(|other| other.name == *need);
                assert!(earlier, "{} needs {need}", step.name);
            }
        }
    }

    #[test]
    fn a_step_is_skipped_when_what_it_needs_failed() {
        let step = Step {
            name: "later",
            shows: "",
            needs: &["earlier"],
            tools: &[],
            work: || anyhow::bail!("must not run"),
        };
        let earlier = |outcome| [Ran { name: "earlier", took: Duration::ZERO, outcome }];
        let failed = earlier(Outcome::Failed(String::new()));
        assert!(matches!(attempt(&step, &failed), Outcome::Skipped(_)));
        assert!(matches!(attempt(&step, &earlier(Outcome::Passed)), Outcome::Failed(_)));
        // Not chosen in this run: the caller knows that it is there.
        assert!(matches!(attempt(&step, &[]), Outcome::Failed(_)));
    }

    #[test]
    fn a_step_may_say_that_it_cannot_be_run_here() {
        let work = || Err(NotHere("only root may".to_owned()).into());
        let step = Step { name: "x", shows: "", needs: &[], tools: &[], work };
        assert!(matches!(attempt(&step, &[]), Outcome::Skipped(why) if why == "only root may"));
    }

    #[test]
    fn a_missing_tool_is_a_reason_to_skip() {
        let tools = &["no-such-tool-anywhere"];
        let step = Step { name: "x", shows: "", needs: &[], tools, work: || Ok(()) };
        assert!(matches!(attempt(&step, &[]), Outcome::Skipped(_)));
    }
}
