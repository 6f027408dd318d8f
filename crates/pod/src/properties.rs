//! Java `.properties` text.
//!
//! Follows `java.util.Properties#load`, with three deliberate differences: text that is valid
//! UTF-8 is taken as such (Java takes every byte as ISO-8859-1), trailing blanks of a value are
//! dropped, and an error names its line.

use std::fmt::Write as _;

/// Longest text that is taken, in bytes.
pub const BYTES_MAX: usize = 1024 * 1024;

/// One `key = value`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Never empty.
    pub key: String,
    /// Without blanks around it; may be empty.
    pub value: String,
    /// Line on which the entry begins, from 1.
    pub line: usize,
}

/// The entries in the order of the text. A key may be there several times.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Properties {
    entries: Vec<Entry>,
}

/// Why a text is not a properties text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {rule}")]
pub struct PropertiesError {
    /// From 1.
    pub line: usize,
    /// What should have been there.
    pub rule: &'static str,
}

impl Properties {
    /// All entries, those that later ones replace too.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The last value of `key`.
    pub fn get(&self, key: &str) -> Option<&Entry> {
        self.entries.iter().rev().find(|entry| entry.key == key)
    }

    /// Entries that a later one of the same key replaces, with the line of that later one.
    pub fn replaced(&self) -> impl Iterator<Item = (&Entry, usize)> {
        self.entries.iter().enumerate().filter_map(|(at, entry)| {
            let later = self.entries.iter().skip(at + 1).find(|e| e.key == entry.key)?;
            Some((entry, later.line))
        })
    }
}

/// Reads a properties text.
///
/// `#` and `!` begin comment lines; the key ends at the first `=`, `:` or blank that is not
/// escaped; a line that ends in an odd number of backslashes goes on in the next one;
/// `\t \n \r \f` and `\uXXXX` are escapes, before any other character a backslash is dropped.
/// Lines without a key (`= x`) are skipped.
///
/// # Errors
/// An escape `\u` without four hexadecimal digits, or a text longer than [`BYTES_MAX`].
pub fn parse(bytes: &[u8]) -> Result<Properties, PropertiesError> {
    let text = text_of(bytes)?;
    let lines: Vec<&str> = natural_lines(&text).collect();
    let mut properties = Properties::default();
    for logical in logical_lines(&lines) {
        let line = logical.from + 1;
        let (key, value) = split(&logical.text);
        let key = unescape(key, line)?;
        if key.is_empty() {
            continue;
        }
        let value = unescape(value, line)?;
        properties.entries.push(Entry { key, value: value.trim().to_owned(), line });
    }
    Ok(properties)
}

/// Sets keys in a properties text and leaves everything else as it is: the last line of a key is
/// replaced, a key that is not there is added at the end. Comments and order stay.
///
/// # Errors
/// As [`parse`].
pub fn edit(bytes: &[u8], changes: &[(&str, &str)]) -> Result<String, PropertiesError> {
    let text = text_of(bytes)?;
    let mut lines: Vec<&str> = natural_lines(&text).collect();
    if lines.last() == Some(&"") {
        lines.pop();
    }
    let mut replaced: Vec<(std::ops::Range<usize>, String)> = Vec::new();
    let mut added = String::new();
    let logical = logical_lines(&lines);
    for (key, value) in changes {
        let new = write([(*key, *value)]);
        let mut last = None;
        for one in &logical {
            if unescape(split(&one.text).0, one.from + 1)? == *key {
                last = Some(one.from..one.to);
            }
        }
        match last {
            Some(range) => replaced.push((range, new)),
            None => added.push_str(&new),
        }
    }
    let mut out = String::with_capacity(text.len() + added.len());
    for (at, line) in lines.iter().enumerate() {
        match replaced.iter().find(|(range, _)| range.contains(&at)) {
            Some((range, new)) if range.start == at => out.push_str(new),
            Some(_) => {}
            None => {
                out.push_str(line);
                out.push('\n');
            }
        }
    }
    if !added.is_empty() && logical.last().is_some_and(|last| last.open) {
        out.push('\n'); // else the first added line would be taken for more of the last one
    }
    out.push_str(&added);
    Ok(out)
}

/// A line that is no comment, with those it goes on in.
struct Logical {
    /// First natural line, from 0.
    from: usize,
    /// Past the last one.
    to: usize,
    text: String,
    /// Would go on in a next line if there were one.
    open: bool,
}

fn logical_lines(lines: &[&str]) -> Vec<Logical> {
    let mut out = Vec::new();
    let mut at = 0;
    while let Some(first) = lines.get(at) {
        let from = at;
        at += 1;
        let first = first.trim_start_matches(is_blank);
        if first.is_empty() || first.starts_with(['#', '!']) {
            continue;
        }
        let mut text = first.to_owned();
        let mut open = false;
        while continues(&text) {
            text.pop();
            let Some(more) = lines.get(at) else {
                open = true;
                break;
            };
            at += 1;
            text.push_str(more.trim_start_matches(is_blank));
        }
        out.push(Logical { from, to: at, text, open });
    }
    out
}

fn text_of(bytes: &[u8]) -> Result<String, PropertiesError> {
    if BYTES_MAX < bytes.len() {
        return Err(PropertiesError { line: 1, rule: "a properties text has at most 1 MiB" });
    }
    Ok(decode(bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes)))
}

/// Writes `key=value` lines that [`parse`] and Java read back as they are.
pub fn write<'a>(entries: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let mut out = String::new();
    for (key, value) in entries {
        escape(key, true, &mut out);
        out.push('=');
        escape(value, false, &mut out);
        out.push('\n');
    }
    out
}

fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\x0C')
}

/// Line by line: UTF-8 where it is valid, else ISO-8859-1.
fn decode(bytes: &[u8]) -> String {
    if let Ok(text) = std::str::from_utf8(bytes) {
        return text.to_owned();
    }
    let mut out = String::with_capacity(bytes.len());
    for line in bytes.split_inclusive(|b| *b == b'\n') {
        match std::str::from_utf8(line) {
            Ok(text) => out.push_str(text),
            Err(_) => out.extend(line.iter().map(|b| char::from(*b))),
        }
    }
    out
}

/// Lines ended by `\n`, `\r` or `\r\n`.
fn natural_lines(text: &str) -> impl Iterator<Item = &str> {
    text.split('\n').flat_map(|line| line.strip_suffix('\r').unwrap_or(line).split('\r'))
}

fn continues(line: &str) -> bool {
    line.bytes().rev().take_while(|b| *b == b'\\').count() % 2 == 1
}

/// At the separator: blanks, then at most one `=` or `:`, then blanks.
fn split(line: &str) -> (&str, &str) {
    let mut escaped = false;
    let end = line
        .char_indices()
        .find(|(_, c)| {
            let ends = !escaped && (is_blank(*c) || matches!(c, '=' | ':'));
            escaped = !escaped && *c == '\\';
            ends
        })
        .map_or(line.len(), |(at, _)| at);
    let (key, rest) = line.split_at(end);
    let rest = rest.trim_start_matches(is_blank);
    let rest = rest.strip_prefix(['=', ':']).unwrap_or(rest);
    (key, rest.trim_start_matches(is_blank))
}

fn unescape(text: &str, line: usize) -> Result<String, PropertiesError> {
    if !text.contains('\\') {
        return Ok(text.to_owned());
    }
    // Escapes are UTF-16 units: two of them may make one character.
    let mut units: Vec<u16> = Vec::with_capacity(text.len());
    let mut chars = text.chars();
    let mut pair = [0; 2];
    while let Some(c) = chars.next() {
        if c != '\\' {
            units.extend_from_slice(c.encode_utf16(&mut pair));
            continue;
        }
        let Some(escape) = chars.next() else { break };
        let plain = match escape {
            'u' => {
                let mut unit = 0u16;
                for _ in 0..4 {
                    let digit = chars.next().and_then(|c| c.to_digit(16));
                    let digit =
                        digit.and_then(|d| u16::try_from(d).ok()).ok_or(PropertiesError {
                            line,
                            rule: "\\u needs four hexadecimal digits",
                        })?;
                    unit = unit << 4 | digit;
                }
                units.push(unit);
                continue;
            }
            't' => '\t',
            'n' => '\n',
            'r' => '\r',
            'f' => '\x0C',
            other => other,
        };
        units.extend_from_slice(plain.encode_utf16(&mut pair));
    }
    Ok(String::from_utf16_lossy(&units))
}

fn escape(text: &str, key: bool, out: &mut String) {
    for (at, c) in text.chars().enumerate() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\t' => out.push_str("\\t"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\x0C' => out.push_str("\\f"),
            ' ' if key || at == 0 => out.push_str("\\ "),
            '=' | ':' | '#' | '!' if key => {
                out.push('\\');
                out.push(c);
            }
            ' '..='~' => out.push(c),
            other => {
                let mut pair = [0; 2];
                for unit in other.encode_utf16(&mut pair) {
                    write!(out, "\\u{unit:04X}").ok();
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pairs(bytes: &[u8]) -> Vec<(String, String, usize)> {
        let properties = parse(bytes).expect("the text is well-formed");
        properties.entries.into_iter().map(|e| (e.key, e.value, e.line)).collect()
    }

    #[test]
    fn every_form_of_a_line() {
        for (text, key, value) in [
            ("a=1", "a", "1"),
            ("a = 1 ", "a", "1"),
            ("a:1", "a", "1"),
            ("a 1", "a", "1"),
            ("a\t:\t1\t", "a", "1"),
            ("  a  =  b c  ", "a", "b c"),
            ("a", "a", ""),
            ("a=", "a", ""),
            ("a==b", "a", "=b"),
            ("a = :b", "a", ":b"),
            ("a=1s 2s 3s", "a", "1s 2s 3s"),
            ("addr=a:9876;b:9876", "addr", "a:9876;b:9876"),
            ("k\\=e\\:y\\ z=v", "k=e:y z", "v"),
            ("p=C:\\\\store", "p", "C:\\store"),
            ("p=C:\\store", "p", "C:store"),
            ("a=x\\ty\\nz\\rq\\f!", "a", "x\ty\nz\rq\x0C!"),
            ("a=\\u8ba2\\u5355", "a", "订单"),
            ("a=\\uD83D\\ude00", "a", "😀"),
            ("a=订单", "a", "订单"),
            ("a=b#c", "a", "b#c"),
            ("a=b\\", "a", "b"),
        ] {
            let want = vec![(key.to_owned(), value.to_owned(), 1)];
            assert_eq!(pairs(text.as_bytes()), want, "{text:?}");
        }
    }

    #[test]
    fn comments_blank_lines_and_line_numbers() {
        let text = b"# one\r\n ! two\n\n\t\na=1\rb=2\r\n= nothing\nc=3";
        let want = [("a", "1", 5), ("b", "2", 6), ("c", "3", 8)];
        assert_eq!(pairs(text), want.map(|(k, v, l)| (k.to_owned(), v.to_owned(), l)));
    }

    #[test]
    fn lines_go_on_after_an_odd_number_of_backslashes() {
        let text = b"a = 1,\\\n    2,\\\r\n    3\nb=x\\\\\nc=4\\\n# no comment";
        let want = [("a", "1,2,3", 1), ("b", "x\\", 4), ("c", "4# no comment", 5)];
        assert_eq!(pairs(text), want.map(|(k, v, l)| (k.to_owned(), v.to_owned(), l)));
    }

    #[test]
    fn latin_1_lines_and_byte_order_marks_are_taken() {
        assert_eq!(
            pairs(b"a=caf\xE9\nb=\xE8\xAE\xA2"),
            [("a".to_owned(), "café".to_owned(), 1), ("b".to_owned(), "订".to_owned(), 2)]
        );
        assert_eq!(pairs(b"\xEF\xBB\xBFa=1"), [("a".to_owned(), "1".to_owned(), 1)]);
    }

    #[test]
    fn a_bad_escape_names_its_line() {
        for text in ["\na=\\u12g4", "\na=\\u12", "\n\\u=1"] {
            let error = parse(text.as_bytes()).expect_err("the escape is broken");
            assert_eq!(error.to_string(), "line 2: \\u needs four hexadecimal digits", "{text:?}");
        }
        assert!(parse(&vec![b'#'; BYTES_MAX + 1]).is_err());
    }

    #[test]
    fn the_last_of_several_wins_and_the_others_are_known() {
        let properties = parse(b"a=1\nb=2\na=3\na=4").expect("well-formed");
        assert_eq!(properties.get("a").map(|e| (&*e.value, e.line)), Some(("4", 4)));
        assert_eq!(properties.get("c"), None);
        let replaced: Vec<_> = properties.replaced().map(|(e, by)| (e.line, by)).collect();
        assert_eq!(replaced, [(1, 3), (3, 4)]);
    }

    #[test]
    fn an_edit_leaves_the_rest_as_it_is() {
        let text = "# who\nname = a\n\nhours=48\n  when : 04\nlist=a,\\\n  b\nend=1";
        for (changes, want) in [
            (&[][..], format!("{text}\n")),
            (&[("hours", "12")], format!("{text}\n").replace("hours=48", "hours=12")),
            (
                &[("list", "c"), ("new", "x y"), ("when", "4;5")],
                "# who\nname = a\n\nhours=48\nwhen=4;5\nlist=c\nend=1\nnew=x y\n".to_owned(),
            ),
        ] {
            assert_eq!(edit(text.as_bytes(), changes), Ok(want), "{changes:?}");
        }
        assert_eq!(edit(b"", &[("a", "b")]), Ok("a=b\n".to_owned()));
        let last_counts = edit(b"a=1\n#a=0\na=2\nb=3\n", &[("a", "9")]);
        assert_eq!(last_counts, Ok("a=1\n#a=0\na=9\nb=3\n".to_owned()));
        assert_eq!(edit(b"a=1\\", &[("b", "2")]), Ok("a=1\\\n\nb=2\n".to_owned()));
        assert!(edit(b"a=1\n\\u12=1", &[("b", "9")]).is_err());
    }

    proptest! {
        #[test]
        fn an_edit_sets_what_it_says(noise in ".{0,40}(\n.{0,40}){0,5}", value in "\\PC*") {
            let before = parse(noise.as_bytes());
            prop_assume!(before.is_ok());
            let edited = edit(noise.as_bytes(), &[("the.key", &value)]).expect("it was parsed");
            let after = parse(edited.as_bytes()).expect("it still can be");
            prop_assert_eq!(after.get("the.key").map(|e| e.value.as_str()), Some(value.trim()));
        }

        #[test]
        fn what_is_written_is_read_back(pairs in proptest::collection::vec(("\\PC+", ".*"), 0..8)) {
            let pairs: Vec<(&str, &str)> =
                pairs.iter().map(|(k, v)| (k.as_str(), v.trim())).collect();
            let read = parse(write(pairs.iter().copied()).as_bytes()).expect("we wrote it");
            let read: Vec<_> =
                read.entries.iter().map(|e| (e.key.as_str(), e.value.as_str())).collect();
            prop_assert_eq!(read, pairs);
        }

        #[test]
        fn noise_never_panics(noise in proptest::collection::vec(any::<u8>(), 0..200)) {
            parse(&noise).ok();
        }
    }
}
