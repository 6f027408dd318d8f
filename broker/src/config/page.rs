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

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    const BEGIN: &str = "<!-- settings: generated, see broker/src/config/page.rs -->\n";
    const END: &str = "<!-- settings end -->";

    /// With `RMQ_WRITE_DOCS=1` it brings the page up to date.
    #[test]
    fn the_reference_page_is_current() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/operate/broker.md");
        let page = std::fs::read_to_string(&path).expect("the page is there");
        let (before, rest) = page.split_once(BEGIN).expect("the page has its first mark");
        let (found, after) = rest.split_once(END).expect("the page has its last mark");
        let want = format!("{}\n", reference_page());
        if std::env::var_os("RMQ_WRITE_DOCS").is_some() {
            let new = format!("{before}{BEGIN}{want}{END}{after}");
            rmq_host::durable::replace(&path, new.as_bytes()).expect("writable");
        } else {
            assert!(
                found == want,
                "docs/operate/broker.md is stale: run this with RMQ_WRITE_DOCS=1"
            );
        }
    }

    #[test]
    fn every_metric_has_a_row() {
        let page = include_str!("../../../docs/operate/broker.md");
        for source in [include_str!("../metrics.rs"), include_str!("../service/traffic.rs")] {
            let names = source.split('"').filter(|part| {
                let ours = part.starts_with("rocketmq_") || part.starts_with("rmq_");
                ours && part.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
            });
            for name in names {
                assert!(page.contains(&format!("| {name} |")), "{name} is not on the page");
            }
        }
    }
}
