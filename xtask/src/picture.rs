//! `cargo xtask picture`: a terminal's text on standard input becomes an SVG for the README.

use anyhow::Context as _;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{Read as _, Write as _, stdin};
use std::path::PathBuf;

const COLUMNS_MAX: usize = 152;
const COLUMN: f32 = 7.8;
const LINE: f32 = 18.0;
const MARGIN: f32 = 14.0;
/// Colours of `ESC [ 31..36 m`.
const COLOURS: [&str; 6] = ["#f38ba8", "#a6e3a1", "#f9e2af", "#89b4fa", "#cba6f7", "#94e2d5"];

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Where to write the picture
    #[arg(long, default_value = "docs/images/rmq-up.svg")]
    out: PathBuf,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let mut text = String::new();
    stdin().read_to_string(&mut text).context("cannot read standard input")?;
    let mut file =
        File::create(&args.out).with_context(|| format!("cannot write {}", args.out.display()))?;
    file.write_all(draw(&text)?.as_bytes())?;
    Ok(())
}

fn draw(text: &str) -> anyhow::Result<String> {
    let lines: Vec<Vec<(Option<&str>, String)>> = text.lines().map(spans).collect();
    let columns = lines.iter().map(|line| width(line)).max().unwrap_or(0);
    #[expect(clippy::cast_precision_loss, reason = "a picture has a few hundred lines at most")]
    let (width, height) =
        (columns as f32 * COLUMN + 2.0 * MARGIN, lines.len() as f32 * LINE + 2.0 * MARGIN);
    let mut svg = String::new();
    writeln!(
        svg,
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}">
<rect width="100%" height="100%" rx="8" fill="#1e1e2e"/>
<g font-family="ui-monospace,SFMono-Regular,Menlo,Consolas,monospace" font-size="13" fill="#cdd6f4" xml:space="preserve">"##
    )?;
    let mut y = MARGIN;
    for line in &lines {
        y += LINE;
        write!(svg, r#"<text x="{MARGIN}" y="{}">"#, y - 5.0)?;
        for (colour, text) in line {
            let text = escape(text);
            match colour {
                Some(colour) => write!(svg, r#"<tspan fill="{colour}">{text}</tspan>"#)?,
                None => svg.push_str(&text),
            }
        }
        svg.push_str("</text>\n");
    }
    svg.push_str("</g>\n</svg>\n");
    Ok(svg)
}

fn width(line: &[(Option<&str>, String)]) -> usize {
    line.iter().map(|(_, text)| text.chars().count()).sum()
}

/// The line in parts of one colour each, without control characters, cut at the last column.
fn spans(line: &str) -> Vec<(Option<&'static str>, String)> {
    let mut found = Vec::new();
    let mut left = COLUMNS_MAX;
    for (index, part) in line.split("\u{1b}[").enumerate() {
        let (colour, text) = match part.split_once('m') {
            Some((code, text)) if 0 < index => (colour(code), text),
            _ => (None, part),
        };
        let text: String = text.chars().filter(|c| !c.is_control()).take(left).collect();
        left -= text.chars().count();
        if !text.is_empty() {
            found.push((colour, text));
        }
    }
    found
}

fn colour(code: &str) -> Option<&'static str> {
    let number: usize = code.rsplit(';').next()?.parse().ok()?;
    COLOURS.get(number.checked_sub(31)?).copied()
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_become_spans_and_markup_is_escaped() {
        let svg = draw("\u{1b}[36mpod |\u{1b}[0m a < b\r\nplain").unwrap();
        assert!(svg.contains(r##"<tspan fill="#94e2d5">pod |</tspan> a &lt; b</text>"##), "{svg}");
        assert!(svg.contains(">plain</text>"));
    }

    #[test]
    fn long_lines_are_cut() {
        assert_eq!(width(&spans(&"x".repeat(500))), COLUMNS_MAX);
    }
}
