//! Two systems' facts side by side, and the differences that are known and meant.

use std::collections::BTreeSet;

use anyhow::{Context as _, bail};

use crate::cases::Facts;

/// Heading of the table of known differences.
const HEADING: &str = "## Known differences";

/// A difference that is meant. Columns of the table: case, java, rmq, why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// Name of the case; one `*` at its end stands for anything.
    pub case: String,
    /// Facts of the left side that differ; `*` for any, `-` when the case is missing there.
    pub left: String,
    /// Facts of the right side.
    pub right: String,
    /// The reason, for people.
    pub why: String,
}

/// Reads the table of known differences out of a page. No such heading: none are known.
///
/// # Errors
/// When a row has not four cells.
pub fn known_differences(page: &str) -> anyhow::Result<Vec<Known>> {
    let Some((_, section)) = page.split_once(HEADING) else { return Ok(Vec::new()) };
    let rows = section
        .lines()
        .skip(1)
        .take_while(|line| !line.starts_with("## "))
        .filter(|line| line.starts_with('|'))
        .filter(|line| !line.contains("---") && !line.starts_with("| case"));
    rows.map(|row| {
        let cells: Vec<String> =
            row.trim_matches('|').split('|').map(|cell| cell.trim().replace('`', "")).collect();
        let [case, left, right, why] = cells.as_slice() else {
            bail!("a known difference has four cells: {row}");
        };
        Ok(Known { case: case.clone(), left: left.clone(), right: right.clone(), why: why.clone() })
    })
    .collect()
}

/// How one case compares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Both saw the same.
    Equal,
    /// They differ as row `usize` of the known differences says.
    Explained(usize),
    /// They differ.
    Different,
    /// They differed once and agreed when the case was repeated.
    Unsteady,
}

/// One case of a comparison.
#[derive(Clone, Debug)]
pub struct Row {
    /// Name of the case.
    pub case: String,
    /// What only the left side saw of it; `-` if it lacks the case.
    pub left: String,
    /// What only the right side saw.
    pub right: String,
    /// How they compare.
    pub verdict: Verdict,
}

/// Compares case by case, in the order of their names.
pub fn compare(left: &Facts, right: &Facts, known: &[Known]) -> Vec<Row> {
    let names: BTreeSet<&String> = left.keys().chain(right.keys()).collect();
    names
        .into_iter()
        .map(|case| {
            let (only_left, only_right) = differing(left.get(case), right.get(case));
            let verdict = if only_left.is_empty() && only_right.is_empty() {
                Verdict::Equal
            } else {
                known
                    .iter()
                    .position(|known| explains(known, case, &only_left, &only_right))
                    .map_or(Verdict::Different, Verdict::Explained)
            };
            Row { case: case.clone(), left: only_left, right: only_right, verdict }
        })
        .collect()
}

/// The facts that one side has and the other has not.
fn differing(left: Option<&String>, right: Option<&String>) -> (String, String) {
    match (left, right) {
        (Some(left), Some(right)) => (without(left, right), without(right, left)),
        (Some(left), None) => (left.clone(), "-".to_owned()),
        (None, Some(right)) => ("-".to_owned(), right.clone()),
        (None, None) => (String::new(), String::new()),
    }
}

fn without(facts: &str, others: &str) -> String {
    let others: BTreeSet<&str> = others.split(' ').collect();
    let rest: Vec<&str> = facts.split(' ').filter(|fact| !others.contains(fact)).collect();
    rest.join(" ")
}

fn explains(known: &Known, case: &str, left: &str, right: &str) -> bool {
    let named = match known.case.strip_suffix('*') {
        Some(beginning) => case.starts_with(beginning),
        None => case == known.case,
    };
    named && covers(&known.left, left) && covers(&known.right, right)
}

/// Every fact that differs must be in the row: a row never hides a second difference.
fn covers(cell: &str, facts: &str) -> bool {
    let cell: BTreeSet<&str> = cell.split_whitespace().collect();
    cell.contains("*") || facts.split_whitespace().all(|fact| cell.contains(fact))
}

/// The known differences that none of `rows` showed, among those that name a case of `rows`.
pub fn stale<'a>(known: &'a [Known], rows: &[Row]) -> Vec<&'a Known> {
    let used: BTreeSet<usize> = rows
        .iter()
        .filter_map(|row| match row.verdict {
            Verdict::Explained(index) => Some(index),
            Verdict::Equal | Verdict::Different | Verdict::Unsteady => None,
        })
        .collect();
    let asked = |known: &Known| {
        rows.iter().any(|row| match known.case.strip_suffix('*') {
            Some(beginning) => row.case.starts_with(beginning),
            None => row.case == known.case,
        })
    };
    known
        .iter()
        .enumerate()
        .filter(|(index, known)| !used.contains(index) && asked(known))
        .map(|(_, known)| known)
        .collect()
}

/// Reads the known differences of the repository that this package is part of.
///
/// # Errors
/// When the page is missing or its table malformed.
pub fn known_in_repository() -> anyhow::Result<Vec<Known>> {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/compatibility.md");
    known_differences(&std::fs::read_to_string(page).context(page)?).context(page)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(lines: &[(&str, &str)]) -> Facts {
        lines.iter().map(|(case, facts)| ((*case).to_owned(), (*facts).to_owned())).collect()
    }

    fn known(case: &str, left: &str, right: &str) -> Known {
        let why = "because".to_owned();
        Known { case: case.to_owned(), left: left.to_owned(), right: right.to_owned(), why }
    }

    fn verdicts(rows: &[Row]) -> Vec<(&str, &Verdict)> {
        rows.iter().map(|row| (row.case.as_str(), &row.verdict)).collect()
    }

    #[test]
    fn a_difference_is_excused_only_by_its_own_row() {
        let left =
            facts(&[("a", "x=1"), ("b", "x=1 y=1"), ("c", "z=1"), ("d", "q=1"), ("e", "q=1")]);
        let right = facts(&[("a", "x=1"), ("b", "x=2 y=1"), ("c", "z=2"), ("e", "q=1 r=2")]);
        let table = [known("b", "x=1", "x=2"), known("c", "z=1", "z=3"), known("d", "q=1", "-")];
        let rows = compare(&left, &right, &table);
        assert_eq!(
            verdicts(&rows),
            [
                ("a", &Verdict::Equal),
                ("b", &Verdict::Explained(0)),
                ("c", &Verdict::Different),
                ("d", &Verdict::Explained(2)),
                ("e", &Verdict::Different),
            ]
        );
        assert_eq!(stale(&table, &rows), [&table[1]]);
    }

    #[test]
    fn a_row_does_not_hide_a_second_difference() {
        let rows = compare(
            &facts(&[("a", "x=1 y=1")]),
            &facts(&[("a", "x=2 y=2")]),
            &[known("a", "x=1", "x=2")],
        );
        assert_eq!(rows[0].verdict, Verdict::Different);
    }

    #[test]
    fn a_star_ends_a_name_and_stands_for_any_facts() {
        let rows = compare(
            &facts(&[("group.one", "x=1"), ("other", "x=1")]),
            &facts(&[("group.one", "y=7"), ("other", "y=7")]),
            &[known("group.*", "*", "y=7")],
        );
        assert_eq!(rows[0].verdict, Verdict::Explained(0));
        assert_eq!(rows[1].verdict, Verdict::Different);
    }

    #[test]
    fn the_table_of_the_repository_can_be_read() {
        let known = known_in_repository().expect("a well-formed page");
        assert!(known.iter().all(|known| !known.why.is_empty()), "a difference without a reason");
    }

    #[test]
    fn the_table_is_read_from_its_section_only() {
        let page = "## Other\n| case | a | b | c |\n| no | 1 | 2 | 3 |\n\n## Known differences\n\ntext\n\n\
                    | case | java | rmq | why |\n|---|---|---|---|\n| `send.x` | `a=1` | `a=2` | better |\n\n## Next\n| n | 1 | 2 | 3 |\n";
        let known = known_differences(page).expect("a table");
        assert_eq!(known.len(), 1);
        assert_eq!((known[0].case.as_str(), known[0].left.as_str()), ("send.x", "a=1"));
        assert!(known_differences("## Known differences\n| a | b |\n").is_err());
        assert_eq!(known_differences("nothing").expect("no table"), []);
    }
}
