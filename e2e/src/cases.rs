//! What a driver saw: lines `CASE scenario.step name=value …`.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail, ensure};

/// Facts by case: the words after its name.
pub type Facts = BTreeMap<String, String>;

/// Facts and times of one run of a driver.
#[derive(Debug, Default)]
pub struct Seen {
    /// What was seen.
    pub facts: Facts,
    /// Milliseconds by scenario.
    pub took_ms: BTreeMap<String, u64>,
    /// Whether every scenario came to its end.
    pub whole: bool,
}

impl Seen {
    /// Takes one line of a driver; anything else than its own lines is passed over.
    pub fn take(&mut self, line: &str) {
        let mut words = line.splitn(3, ' ');
        match (words.next(), words.next(), words.next()) {
            (Some("CASE"), Some(name), facts) => {
                self.facts.insert(name.to_owned(), facts.unwrap_or_default().to_owned());
            }
            (Some("TIME"), Some(name), Some(ms)) => {
                self.took_ms.insert(name.to_owned(), ms.parse().unwrap_or_default());
            }
            (Some("DONE"), _, _) => self.whole = true,
            _ => {}
        }
    }
}

/// Runs a driver to its end. Its standard error goes to the file `log`.
///
/// # Errors
/// When it cannot be run or printed no end. Scenarios that broke are facts, not errors.
pub fn run(command: &mut Command, log: &Path) -> anyhow::Result<Seen> {
    let errors = std::fs::File::create(log)?;
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(errors)
        .spawn()
        .with_context(|| format!("cannot start {command:?}"))?;
    let out = child.stdout.take().context("no output")?;
    let mut seen = Seen::default();
    for line in BufReader::new(out).lines() {
        seen.take(&line?);
    }
    let status = child.wait()?;
    if !seen.whole {
        bail!("the driver ended early ({status}), see {}", log.display());
    }
    ensure!(!seen.facts.is_empty(), "the driver saw nothing ({status}), see {}", log.display());
    Ok(seen)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_lines_of_the_driver_count() {
        let mut seen = Seen::default();
        for line in ["CASE a.b x=1 y=2", "noise", "CASE c.d", "TIME a 12", "CASEx y z", ""] {
            seen.take(line);
        }
        assert_eq!(seen.facts.get("a.b").map(String::as_str), Some("x=1 y=2"));
        assert_eq!(seen.facts.get("c.d").map(String::as_str), Some(""));
        assert_eq!(seen.facts.len(), 2);
        assert_eq!(seen.took_ms.get("a"), Some(&12));
        assert!(!seen.whole);
        seen.take("DONE scenarios=1");
        assert!(seen.whole);
    }
}
