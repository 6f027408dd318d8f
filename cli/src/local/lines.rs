//! Cutting a stream of bytes into lines.

/// Longest line; a longer one goes on in the next.
pub(super) const LINE_BYTES_MAX: usize = 16 * 1024;

/// The bytes of a line that has not ended yet.
#[derive(Debug, Default)]
pub(super) struct Lines {
    rest: Vec<u8>,
}

impl Lines {
    /// Adds what has arrived and hands out each line that is complete, without its end.
    pub(super) fn push(&mut self, mut bytes: &[u8], mut line: impl FnMut(&[u8])) {
        while !bytes.is_empty() {
            let room = LINE_BYTES_MAX - self.rest.len();
            let (window, _) = bytes.split_at(room.min(bytes.len()));
            if let Some(end) = window.iter().position(|byte| *byte == b'\n') {
                let (head, tail) = bytes.split_at(end);
                self.rest.extend_from_slice(head);
                bytes = tail.split_first().map_or(&[], |(_, after)| after);
            } else {
                self.rest.extend_from_slice(window);
                bytes = bytes.split_at(window.len()).1;
                if self.rest.len() < LINE_BYTES_MAX {
                    return;
                }
            }
            line(self.rest.strip_suffix(b"\r").unwrap_or(&self.rest));
            self.rest.clear();
        }
    }

    /// The stream has ended: hands out what is left.
    pub(super) fn finish(&mut self, mut line: impl FnMut(&[u8])) {
        if !self.rest.is_empty() {
            line(&self.rest);
            self.rest.clear();
        }
    }
}

/// A line as text that a terminal shows and does not obey.
pub(super) fn printable(line: &[u8]) -> String {
    String::from_utf8_lossy(line)
        .chars()
        .map(|char| if char.is_control() && char != '\t' { '\u{fffd}' } else { char })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(parts: &[&[u8]]) -> Vec<Vec<u8>> {
        let mut lines = Lines::default();
        let mut found = Vec::new();
        for part in parts {
            lines.push(part, |line| found.push(line.to_vec()));
        }
        lines.finish(|line| found.push(line.to_vec()));
        found
    }

    #[test]
    fn any_split_gives_the_same_lines() {
        let text = b"one\n\ntwo\r\nthree";
        let wanted = [b"one".to_vec(), b"".to_vec(), b"two".to_vec(), b"three".to_vec()];
        for at in 0..=text.len() {
            let (head, tail) = text.split_at(at);
            assert_eq!(cut(&[head, tail]), wanted, "split at {at}");
        }
    }

    #[test]
    fn long_lines_are_cut() {
        let long = vec![b'x'; LINE_BYTES_MAX * 2 + 5];
        let lengths: Vec<usize> = cut(&[&long, b"\nend\n"]).iter().map(Vec::len).collect();
        assert_eq!(lengths, [LINE_BYTES_MAX, LINE_BYTES_MAX, 5, 3]);
    }

    #[test]
    fn terminals_are_not_commanded() {
        assert_eq!(printable(b"a\x1b[2Jb\tc\xff"), "a\u{fffd}[2Jb\tc\u{fffd}");
    }
}
