//! Whether an inner loop of the servers has become more expensive: instructions under valgrind do
//! not depend on what else the machine does, time does.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, bail, ensure};

use super::{NotHere, say};
use crate::shipped;

/// Turns of the shorter run; the longer one makes twice as many.
const TURNS: u64 = 200;

struct Budget<'a> {
    kernel: &'a str,
    /// Instructions of one turn.
    instructions: u64,
}

pub(super) fn run() -> anyhow::Result<()> {
    if cfg!(not(target_arch = "x86_64")) {
        return Err(NotHere("the budget is that of x86-64".to_owned()).into());
    }
    let file = shipped::root().join("kernels/budget.txt");
    let text = std::fs::read_to_string(&file)
        .with_context(|| format!("cannot read {}", file.display()))?;
    let program = shipped::directory()?.join("rmq-kernels");
    let mut above = Vec::new();
    for budget in read(&text)? {
        let short = count(&program, budget.kernel, TURNS)?;
        let long = count(&program, budget.kernel, TURNS * 2)?;
        let found = long.saturating_sub(short) / TURNS;
        let Budget { kernel, instructions } = budget;
        say(&format!("{kernel:<20} {found:>8} instructions a turn, budget {instructions}"));
        if instructions + instructions / 20 < found {
            above.push(kernel);
        }
    }
    ensure!(above.is_empty(), "above the budget in kernels/budget.txt: {}", above.join(", "));
    Ok(())
}

/// Lines of a name and a number; `#` begins a comment.
fn read(text: &str) -> anyhow::Result<Vec<Budget<'_>>> {
    let counts = |line: &str| !line.is_empty() && !line.starts_with('#');
    let mut budgets = Vec::new();
    for (line, number) in text.lines().zip(1..).filter(|(line, _)| counts(line)) {
        let parts = line.split_once(' ').and_then(|(kernel, n)| Some((kernel, n.parse().ok()?)));
        let Some((kernel, instructions)) = parts else {
            bail!("budget.txt, line {number}: {line:?} is not NAME INSTRUCTIONS");
        };
        budgets.push(Budget { kernel, instructions });
    }
    Ok(budgets)
}

/// Instructions of a whole run.
fn count(program: &Path, kernel: &str, turns: u64) -> anyhow::Result<u64> {
    let mut command = Command::new("valgrind");
    command
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(program)
        .args([kernel, &turns.to_string()]);
    let output = command.output().context("cannot start valgrind")?;
    let told = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{kernel} under valgrind: {}\n{told}", output.status);
    collected(&told).with_context(|| format!("valgrind tells no count of {kernel}:\n{told}"))
}

/// The number in `==123== Collected : 4567`.
fn collected(told: &str) -> Option<u64> {
    let line = told.lines().find_map(|line| line.split_once("Collected :"))?;
    line.1.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn budgets_are_read_and_mistakes_named() {
        let budgets = read("# a comment\n\na 12\nb 3\n").unwrap();
        let found: Vec<_> = budgets.iter().map(|b| (b.kernel, b.instructions)).collect();
        assert_eq!(found, [("a", 12), ("b", 3)]);
        let error = read("a 12\nb x\n").err().unwrap().to_string();
        assert!(error.contains("line 2"), "{error}");
    }

    #[test]
    fn the_count_is_found() {
        let told = "==7== Events    : Ir\n==7== Collected : 4567\n==7==\n";
        assert_eq!(collected(told), Some(4567));
        assert_eq!(collected("nothing"), None);
    }
}
