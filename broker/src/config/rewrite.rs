//! Changing settings in a properties file and leaving everything else as it is.

use rmq_host::properties;
use std::io;
use std::path::Path;

/// Sets keys in the text of a properties file: where a key stands its line is replaced (the last
/// one, if there are several), else a line is added at the end. Comments and order stay.
pub fn rewritten(text: &str, changes: &[(&str, &str)]) -> String {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    for (key, value) in changes {
        let new = properties::write([(*key, *value)]).trim_end().to_owned();
        match find(&lines, key) {
            Some((from, to)) => {
                lines.splice(from..to, [new]);
            }
            None => lines.push(new),
        }
    }
    let mut out = lines.join("\n");
    out.push('\n');
    out
}

/// As [`rewritten`], for a file, which is replaced as a whole.
///
/// # Errors
/// When it cannot be read or replaced.
pub fn rewrite_file(path: &Path, changes: &[(&str, &str)]) -> io::Result<()> {
    let text = String::from_utf8_lossy(&std::fs::read(path)?).into_owned();
    rmq_host::durable::replace(path, rewritten(&text, changes).as_bytes())
}

/// First and past-the-last line of the last entry of `key`.
fn find(lines: &[String], key: &str) -> Option<(usize, usize)> {
    let mut found = None;
    let mut at = 0;
    while let Some(line) = lines.get(at) {
        let from = at;
        let comment = line.trim_start().starts_with(['#', '!']);
        while !comment && lines.get(at).is_some_and(|line| continues(line)) && at + 1 < lines.len()
        {
            at += 1;
        }
        at += 1;
        let logical = lines.get(from..at).unwrap_or_default().join("\n");
        let is_it = properties::parse(logical.as_bytes())
            .is_ok_and(|parsed| parsed.entries().first().is_some_and(|entry| entry.key == key));
        if is_it {
            found = Some((from, at));
        }
    }
    found
}

fn continues(line: &str) -> bool {
    line.bytes().rev().take_while(|b| *b == b'\\').count() % 2 == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_lines_of_the_keys_change() {
        let text = "# who\nbrokerName = a\n\nfileReservedTime=48\n  deleteWhen : 04\nlist=a,\\\n  b\nend=1";
        for (changes, want) in [
            (
                &[("fileReservedTime", "12")][..],
                "# who\nbrokerName = a\n\nfileReservedTime=12\n  deleteWhen : 04\nlist=a,\\\n  b\nend=1\n",
            ),
            (
                &[("list", "c"), ("deleteWhen", "4;5"), ("new", "x y")][..],
                "# who\nbrokerName = a\n\nfileReservedTime=48\ndeleteWhen=4;5\nlist=c\nend=1\nnew=x y\n",
            ),
        ] {
            assert_eq!(rewritten(text, changes), want);
        }
        assert_eq!(rewritten("", &[("a", "b")]), "a=b\n");
    }

    #[test]
    fn the_last_of_several_lines_is_the_one_in_force() {
        assert_eq!(rewritten("a=1\n#a=0\na=2\nb=3", &[("a", "9")]), "a=1\n#a=0\na=9\nb=3\n");
    }

    #[test]
    fn a_file_is_replaced_as_a_whole() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("b.conf");
        assert!(rewrite_file(&path, &[("a", "b")]).is_err());
        rmq_host::durable::replace(&path, b"# c\na=1\n").expect("writable");
        rewrite_file(&path, &[("a", "b")]).expect("readable and writable");
        assert_eq!(std::fs::read_to_string(&path).expect("there"), "# c\na=b\n");
    }
}
