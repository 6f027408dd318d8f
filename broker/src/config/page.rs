//! The printed configuration and the generated part of the reference page.

use super::settings::{Change, KEYS};
use std::fmt::Write as _;

/// All keys as Markdown tables, one per section. `docs/operate/broker.md` holds this text; a test
/// says when it is stale.
pub fn reference_page() -> String {
    let mut page = String::new();
    let mut section = "";
    for key in KEYS {
        if key.section != section {
            section = key.section;
            let head = "| key | default | value | change | meaning |\n|---|---|---|---|---|";
            writeln!(page, "\n### {section}\n\n{head}").ok();
        }
        let default = if key.default.is_empty() { "" } else { &format!("`{}`", key.default) };
        let change = match key.change {
            Change::Live => "live",
            Change::Restart => "restart",
        };
        let old: String = key.aliases.iter().map(|a| format!(" (older: `{a}`)")).collect();
        let words = key.rule.words().replace('|', "\\|");
        let about = key.about.trim().replace("  ", " ");
        writeln!(page, "| `{}`{old} | {default} | {words} | {change} | {about} |", key.name).ok();
    }
    page
}
