//! Who wrote which part of the log.
//!
//! Every term of a master has a number; the list says at which byte each began. Two logs agree up
//! to the end of the last term that both have, begun at the same byte.

use rmq_model::LogOffset;

/// Most entries that are kept; Java reads no more from the wire.
pub const ENTRIES_MAX: usize = 1000;

/// Number of a term of one master; grows with every term.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(u32);

impl Epoch {
    /// Bytes written before epochs were counted.
    pub const NONE: Self = Self(0);
    /// Terms of different writers differ modulo this.
    pub const SLOTS: u32 = 1024;

    /// `None` above what fits Java's signed number.
    pub fn new(number: u32) -> Option<Self> {
        i32::try_from(number).is_ok().then_some(Self(number))
    }

    /// Its number.
    pub fn number(self) -> u32 {
        self.0
    }

    /// The term that a writer with `slot` begins after this one. Two writers that begin one at the
    /// same time without knowing of each other get different numbers. `None` past the last number.
    pub fn next_of(self, slot: u32) -> Option<Self> {
        let slot = slot % Self::SLOTS;
        let base = self.0 - self.0 % Self::SLOTS;
        let same_round = base.checked_add(slot).filter(|number| self.0 < *number);
        let number = match same_round {
            Some(number) => number,
            None => base.checked_add(Self::SLOTS)?.checked_add(slot)?,
        };
        Self::new(number)
    }
}

impl std::fmt::Display for Epoch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// A term and where it began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The term.
    pub epoch: Epoch,
    /// First byte written in it.
    pub start: LogOffset,
}

/// Why a term cannot follow those that are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EpochError {
    /// Its writer was replaced.
    #[error("epoch {epoch} is older than epoch {known}")]
    Old {
        /// The term.
        epoch: Epoch,
        /// A later one that is known.
        known: Epoch,
    },
    /// The same number was known to begin elsewhere.
    #[error("epoch {epoch} begins at {start}, it was known to begin at {known}")]
    Moved {
        /// The term.
        epoch: Epoch,
        /// Its beginning.
        start: LogOffset,
        /// Its beginning as known.
        known: LogOffset,
    },
    /// Later terms begin at later bytes.
    #[error("epoch {epoch} begins at {start}, before the epoch before it at {known}")]
    Backwards {
        /// The term.
        epoch: Epoch,
        /// Its beginning.
        start: LogOffset,
        /// Where the term before begins.
        known: LogOffset,
    },
}

/// Why a file is no list of epochs.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EpochFileError {
    /// A line is not as it should be.
    #[error("line {line} is not as expected")]
    Line {
        /// Counted from 1.
        line: usize,
    },
    /// The check value does not match.
    #[error("the check value does not match the entries")]
    Crc,
    /// The entries contradict each other.
    #[error(transparent)]
    Entries(#[from] EpochError),
}

/// The terms of a log, oldest first; numbers and beginnings ascend.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Epochs {
    entries: Vec<Entry>,
}

impl Epochs {
    /// From entries, oldest first.
    ///
    /// # Errors
    /// [`EpochError`] of the first that cannot follow the one before.
    pub fn of(entries: impl IntoIterator<Item = Entry>) -> Result<Self, EpochError> {
        let mut epochs = Self::default();
        for entry in entries {
            epochs.begin(entry)?;
        }
        Ok(epochs)
    }

    /// All of them, oldest first.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The present one.
    pub fn last(&self) -> Option<Entry> {
        self.entries.last().copied()
    }

    /// Number of the present one.
    pub fn last_epoch(&self) -> Epoch {
        self.last().map_or(Epoch::NONE, |entry| entry.epoch)
    }

    /// Adds a term; false if it was the present one already. One that begins where the last did
    /// replaces it: nothing was written in between, and a log that has something written by the
    /// last one must not be taken for the same.
    ///
    /// # Errors
    /// [`EpochError`] if it cannot follow; nothing is changed then.
    pub fn begin(&mut self, entry: Entry) -> Result<bool, EpochError> {
        let Entry { epoch, start } = entry;
        if let Some(last) = self.last() {
            if epoch < last.epoch {
                return Err(EpochError::Old { epoch, known: last.epoch });
            }
            if epoch == last.epoch {
                return if start == last.start {
                    Ok(false)
                } else {
                    Err(EpochError::Moved { epoch, start, known: last.start })
                };
            }
            if start < last.start {
                return Err(EpochError::Backwards { epoch, start, known: last.start });
            }
            if start == last.start {
                self.entries.pop();
            }
        }
        if ENTRIES_MAX <= self.entries.len() {
            self.entries.remove(0);
        }
        self.entries.push(entry);
        Ok(true)
    }

    /// Forgets terms that begin at or behind `end`, where the log was cut. Says whether any did.
    pub fn cut(&mut self, end: LogOffset) -> bool {
        let before = self.entries.len();
        self.entries.retain(|entry| entry.start < end);
        self.entries.len() < before
    }

    /// Forgets terms that end at or before `min`, the first byte still there. Says whether any did.
    pub fn trim(&mut self, min: LogOffset) -> bool {
        let gone = self
            .entries
            .windows(2)
            .take_while(|pair| matches!(pair, [_, next] if next.start <= min));
        let gone = gone.count();
        self.entries.drain(..gone);
        0 < gone
    }

    /// The term that byte `at` was, or is going to be, written in.
    pub fn at(&self, at: LogOffset) -> Option<Entry> {
        let after = self.entries.partition_point(|entry| entry.start <= at);
        self.entries.get(after.checked_sub(1)?).copied()
    }

    /// Where the term of byte `at` ends; `None` if it is the present one.
    pub fn end_of(&self, at: LogOffset) -> Option<LogOffset> {
        let after = self.entries.partition_point(|entry| entry.start <= at);
        self.entries.get(after).map(|next| next.start)
    }

    fn end_at(&self, index: usize, log_end: LogOffset) -> LogOffset {
        self.entries.get(index + 1).map_or(log_end, |next| next.start)
    }

    /// Up to which byte this log, which ends at `end`, is the same as another; `None` if they
    /// share no term.
    pub fn consistent_point(
        &self,
        end: LogOffset,
        other: &Self,
        other_end: LogOffset,
    ) -> Option<LogOffset> {
        for (index, entry) in self.entries.iter().enumerate().rev() {
            if let Some(same) = other.entries.iter().position(|other| other == entry) {
                return Some(self.end_at(index, end).min(other.end_at(same, other_end)));
            }
        }
        None
    }

    /// As text, in Java's format: count, check value, then a line per entry.
    pub fn encode(&self) -> String {
        let mut lines = String::new();
        for Entry { epoch, start } in &self.entries {
            lines.push_str(&format!("{epoch}-{start}\n"));
        }
        let crc = crc32fast::hash(lines.as_bytes()) & 0x7FFF_FFFF;
        format!("{}\n{crc}\n{lines}", self.entries.len())
    }

    /// Reads [`Epochs::encode`]'s text, or Java's. A check value of 0 is not compared.
    ///
    /// # Errors
    /// [`EpochFileError`] says what is wrong.
    pub fn decode(text: &str) -> Result<Self, EpochFileError> {
        let mut lines = text.lines().zip(1..);
        let mut number = |line: usize| {
            let found = lines.next().and_then(|(text, _)| text.trim().parse::<u32>().ok());
            found.ok_or(EpochFileError::Line { line })
        };
        let count = usize::try_from(number(1)?).unwrap_or(usize::MAX);
        let crc = number(2)?;
        let mut epochs = Self::default();
        let mut body = String::new();
        let mut found = 0_usize;
        for (line, at) in lines {
            let entry = line.split_once('-').and_then(|(epoch, start)| {
                let epoch = Epoch::new(epoch.parse().ok()?)?;
                let start = LogOffset::from_wire(start.parse().ok()?)?;
                Some(Entry { epoch, start })
            });
            epochs.begin(entry.ok_or(EpochFileError::Line { line: at })?)?;
            body.push_str(line);
            body.push('\n');
            found += 1;
        }
        if found != count {
            return Err(EpochFileError::Line { line: 1 });
        }
        if crc != 0 && crc != crc32fast::hash(body.as_bytes()) & 0x7FFF_FFFF {
            return Err(EpochFileError::Crc);
        }
        Ok(epochs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn epochs(entries: &[(u32, u64)]) -> Epochs {
        let entry = |&(epoch, start): &(u32, u64)| Entry {
            epoch: Epoch::new(epoch).unwrap(),
            start: LogOffset(start),
        };
        Epochs::of(entries.iter().map(entry)).unwrap()
    }

    #[test]
    fn the_file_is_javas() {
        let known = epochs(&[(1, 0), (2, 1_073_741_824)]);
        let text = "2\n1895893516\n1-0\n2-1073741824\n";
        assert_eq!(known.encode(), text);
        assert_eq!(Epochs::decode(text), Ok(known.clone()));
        assert_eq!(Epochs::decode("2\n0\n1-0\n2-1073741824"), Ok(known));
        assert_eq!(Epochs::decode(&Epochs::default().encode()), Ok(Epochs::default()));
    }

    #[test]
    fn damaged_files_are_refused() {
        for (text, want) in [
            ("", EpochFileError::Line { line: 1 }),
            ("1\n", EpochFileError::Line { line: 2 }),
            ("2\n0\n1-0\n", EpochFileError::Line { line: 1 }),
            ("1\n0\n1-0-7\n", EpochFileError::Line { line: 3 }),
            ("1\n0\n-1-0\n", EpochFileError::Line { line: 3 }),
            ("1\n0\n2147483648-0\n", EpochFileError::Line { line: 3 }),
            ("2\n1895893516\n1-0\n2-1073741825\n", EpochFileError::Crc),
        ] {
            assert_eq!(Epochs::decode(text), Err(want), "{text:?}");
        }
        assert!(matches!(Epochs::decode("2\n0\n2-0\n1-5\n"), Err(EpochFileError::Entries(_))));
    }

    #[test]
    fn the_consistent_point_ends_the_last_common_term() {
        type Case<'a> = (&'a [(u32, u64)], u64, &'a [(u32, u64)], u64, Option<u64>);
        let cases: [Case<'_>; 6] = [
            (&[(1, 0), (2, 500)], 900, &[(1, 0), (2, 500), (3, 800)], 2000, Some(800)),
            (&[(1, 0), (4, 700)], 900, &[(1, 0), (5, 600)], 2000, Some(600)),
            (&[(1, 0)], 900, &[(1, 0)], 400, Some(400)),
            (&[(1, 0)], 300, &[(1, 0)], 400, Some(300)),
            (&[(1, 0)], 300, &[(2, 0)], 400, None),
            (&[], 300, &[(2, 0)], 400, None),
        ];
        for (own, end, other, other_end, want) in cases {
            let (own, other) = (epochs(own), epochs(other));
            let found = own.consistent_point(LogOffset(end), &other, LogOffset(other_end));
            assert_eq!(found, want.map(LogOffset));
        }
    }

    #[test]
    fn a_term_follows_later_and_further_on() {
        let mut known = epochs(&[(1, 0), (3, 100)]);
        let entry = |epoch, start| Entry { epoch: Epoch(epoch), start: LogOffset(start) };
        assert_eq!(known.begin(entry(3, 100)), Ok(false));
        assert!(matches!(known.begin(entry(2, 200)), Err(EpochError::Old { .. })));
        assert!(matches!(known.begin(entry(3, 200)), Err(EpochError::Moved { .. })));
        assert!(matches!(known.begin(entry(4, 99)), Err(EpochError::Backwards { .. })));
        // Nothing was written in epoch 3.
        assert_eq!(known.begin(entry(4, 100)), Ok(true));
        assert_eq!(known, epochs(&[(1, 0), (4, 100)]));
        assert!(known.cut(LogOffset(100)));
        assert_eq!(known, epochs(&[(1, 0)]));
        let mut known = epochs(&[(1, 0), (3, 100), (5, 200)]);
        assert!(!known.trim(LogOffset(99)));
        assert!(known.trim(LogOffset(100)));
        assert_eq!(known, epochs(&[(3, 100), (5, 200)]));
        assert_eq!(known.at(LogOffset(99)), None);
        assert_eq!(known.at(LogOffset(199)), Some(entry(3, 100)));
        assert_eq!(known.end_of(LogOffset(199)), Some(LogOffset(200)));
        assert_eq!(known.end_of(LogOffset(200)), None);
    }

    #[test]
    fn writers_never_begin_the_same_term() {
        let mut epoch = Epoch::NONE;
        for slot in [5, 5, 4, 1023, 0] {
            let next = epoch.next_of(slot).unwrap();
            assert!(epoch < next && next.number() % Epoch::SLOTS == slot, "{epoch} {next}");
            epoch = next;
        }
        assert_eq!(Epoch(u32::MAX / 2).next_of(3), None);
    }

    #[test]
    fn the_list_is_bounded() {
        let mut known = Epochs::default();
        for number in 0..2 * u32::try_from(ENTRIES_MAX).unwrap() {
            let entry = Entry { epoch: Epoch(number), start: LogOffset(number.into()) };
            known.begin(entry).unwrap();
        }
        assert_eq!(known.entries().len(), ENTRIES_MAX);
    }

    proptest! {
        #[test]
        fn text_keeps_what_it_is_given(steps in prop::collection::vec((1_u32..9, 1_u64..99), 0..20)) {
            let (mut epoch, mut start) = (0, 0);
            let entries = steps.into_iter().map(|(a, b)| {
                (epoch, start) = (epoch + a, start + b);
                (epoch, start)
            });
            let known = epochs(&entries.collect::<Vec<_>>());
            prop_assert_eq!(Epochs::decode(&known.encode()), Ok(known));
        }

        #[test]
        fn any_text_is_an_answer(text in "[0-9\n-]{0,60}") {
            let _either = Epochs::decode(&text);
        }
    }
}
