//! What the person who runs the scenarios is told.

use std::io::{self, Write as _};

use crate::compare::{Known, Row, Verdict};

/// Longer facts are cut: the logs have all of them.
const FACTS_CHARS_MAX: usize = 1000;

/// Prints a line over what follows.
pub fn heading(text: &str) {
    note(&format!("\n{text}"));
}

/// Prints a line.
pub fn note(text: &str) {
    // Nobody is left to tell when the output is closed.
    writeln!(io::stdout().lock(), "{text}").ok();
}

/// Prints the cases that differ, or all of them, and a summary. Answers whether every difference
/// is explained.
pub fn rows(rows: &[Row], known: &[Known], verbose: bool) -> bool {
    let (mut equal, mut explained, mut unsteady, mut different) = (0_u32, 0_u32, 0_u32, 0_u32);
    for row in rows {
        match row.verdict {
            Verdict::Equal => {
                equal += 1;
                if verbose {
                    note(&format!("equal      {}", row.case));
                }
            }
            Verdict::Explained(index) => {
                explained += 1;
                let why = known.get(index).map_or("", |known| known.why.as_str());
                note(&format!("explained  {}: {why}", row.case));
            }
            Verdict::Unsteady => {
                unsteady += 1;
                note(&format!("unsteady   {}: differed once, agreed when repeated", row.case));
                sides(row);
            }
            Verdict::Different => {
                different += 1;
                note(&format!("DIFFERENT  {}", row.case));
                sides(row);
            }
        }
    }
    note(&format!(
        "{equal} equal, {explained} explained, {unsteady} unsteady, {different} different"
    ));
    different == 0
}

fn sides(row: &Row) {
    note(&format!("    left   {}", cut(&row.left)));
    note(&format!("    right  {}", cut(&row.right)));
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(FACTS_CHARS_MAX) {
        Some(_) => text.chars().take(FACTS_CHARS_MAX).chain("…".chars()).collect(),
        None => text.to_owned(),
    }
}
