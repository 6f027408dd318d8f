//! What opening finds in a queue's directory, and what it cuts off.

use super::{Queue, Unit};
use crate::config::{UNIT_BYTES, file_at, position_of};
use std::io;
use std::path::PathBuf;
use std::sync::atomic::Ordering;

impl Queue {
    /// Reads the directory and finds the end of the queue: the first place without a unit.
    ///
    /// `trusted`: units were written in order and nothing was lost since, so the end can be found by
    /// bisection. Otherwise the last three files are read through, and the result holds the log end
    /// of the last unit before a hole, if units follow one.
    pub(crate) fn load(&self, trusted: bool) -> Result<Loaded, LoadError> {
        let per_file = self.context.units_per_file;
        let file_bytes = per_file * UNIT_BYTES;
        let mut bases = Vec::new();
        let mut entries: Vec<_> =
            self.context.disk.list(&self.dir)?.into_iter().filter(|e| !e.is_dir).collect();
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        let count = entries.len();
        for (at, entry) in entries.into_iter().enumerate() {
            let path = self.dir.join(&entry.name);
            // A file that was being made; after a power cut others may follow whose lengths survived.
            if entry.len == 0 && (at + 1 == count || !trusted) {
                self.context.disk.remove_file(&path)?;
                continue;
            }
            let position = position_of(&entry.name).filter(|p| p.is_multiple_of(file_bytes));
            match position {
                Some(position) if entry.len == file_bytes => bases.push(position / UNIT_BYTES),
                _ => {
                    return Err(LoadError::Foreign { path, len: entry.len, want: file_bytes });
                }
            }
        }
        self.files.lock().bases.clone_from(&bases);
        let Some(first) = bases.first().copied() else {
            self.start_at(0);
            return Ok(Loaded { last_end: 0, hole: None });
        };
        let mut hole = None;
        let end = if trusted {
            self.end_by_bisection(&bases)?
        } else {
            let from = bases.iter().rev().nth(2).copied().unwrap_or(first);
            let (end, follows) = self.end_by_scan(&bases, from)?;
            if follows {
                hole = Some(self.last_unit_before(first, end)?.map_or(0, Unit::end));
            }
            end
        };
        self.start_at(end);
        self.set_min(first);
        let last_end = self.last_unit_before(first, end)?.map_or(0, Unit::end);
        Ok(Loaded { last_end, hole })
    }

    fn raw_unit(&self, offset: u64) -> io::Result<Option<Unit>> {
        let mut one = Vec::with_capacity(1);
        self.units_from_file(offset, 1, &mut one)?;
        Ok(one.first().copied())
    }

    /// The last unit before `end` that stands for a message.
    fn last_unit_before(&self, first: u64, end: u64) -> io::Result<Option<Unit>> {
        if end <= first {
            return Ok(None);
        }
        Ok(self.raw_unit(end - 1)?.filter(|unit| !unit.is_pre_blank()))
    }

    fn end_by_bisection(&self, bases: &[u64]) -> io::Result<u64> {
        for base in bases.iter().rev() {
            if self.raw_unit(*base)?.is_none() {
                continue;
            }
            let (mut low, mut high) = (*base, base + self.context.units_per_file);
            while high - low > 1 {
                let middle = low + (high - low) / 2;
                match self.raw_unit(middle)? {
                    Some(_) => low = middle,
                    None => high = middle,
                }
            }
            return Ok(high);
        }
        Ok(bases.first().copied().unwrap_or(0))
    }

    /// End of the units from `from` on, and whether units follow behind it.
    fn end_by_scan(&self, bases: &[u64], from: u64) -> io::Result<(u64, bool)> {
        let mut end = None;
        let mut last: Option<u64> = None;
        for base in bases.iter().filter(|base| **base >= from) {
            let Some(file) = self.file(*base)? else { continue };
            let mut bytes = vec![0; 20 * 4096];
            let mut at = 0;
            while at < self.context.units_per_file {
                let count = (self.context.units_per_file - at).min(4096);
                let len = usize::try_from(count * UNIT_BYTES).unwrap_or(0);
                let Some(part) = bytes.get_mut(..len) else { break };
                file.read_exact_at(at * UNIT_BYTES, part)?;
                for (unit, offset) in part.chunks_exact(20).zip(base + at..) {
                    let unit = Unit::decode(unit);
                    let ascends = unit.is_some_and(|unit| {
                        unit.is_pre_blank() || last.is_none_or(|last| last <= unit.log_offset)
                    });
                    match (unit, end) {
                        (Some(unit), None) if ascends => {
                            last = Some(unit.end()).filter(|_| !unit.is_pre_blank()).or(last);
                        }
                        (Some(_), Some(end)) => return Ok((end, true)),
                        (_, None) => end = Some(offset),
                        (None, Some(_)) => {}
                    }
                }
                at += count;
            }
            if end.is_none() {
                let full = base + self.context.units_per_file;
                let is_last = bases.last() == Some(base);
                if is_last || bases.binary_search(&full).is_err() {
                    return Ok((full, !is_last));
                }
            }
        }
        Ok((end.unwrap_or(from), false))
    }

    /// The last stop was not clean: with the first unit that is written names are synced too.
    pub(crate) fn doubt_names(&self) {
        self.files.lock().names_unsure = true;
    }

    /// The first place whose unit is of a record at or behind `log_offset`.
    fn first_unit_from(&self, log_offset: u64) -> io::Result<u64> {
        let first = self.files.lock().bases.first().copied();
        let (mut low, mut high) = (first.unwrap_or(self.max_offset()), self.max_offset());
        while low < high {
            let middle = low + (high - low) / 2;
            match self.raw_unit(middle)? {
                Some(unit) if unit.is_pre_blank() || unit.log_offset < log_offset => {
                    low = middle + 1;
                }
                _ => high = middle,
            }
        }
        Ok(low)
    }

    /// Drops all units at or behind `log_end` and clears the rest of the files, so that nothing old
    /// can come back; with `clear` even if no unit is dropped.
    pub(crate) fn cut(&self, log_end: u64, clear: bool) -> io::Result<()> {
        let bases = self.files.lock().bases.clone();
        if bases.is_empty() {
            return Ok(());
        }
        let end = self.first_unit_from(log_end)?;
        if end < self.max_offset() || clear { self.cut_units(&bases, end) } else { Ok(()) }
    }

    /// Drops all units from `end` on.
    pub(crate) fn cut_to(&self, end: u64) -> io::Result<()> {
        let bases = self.files.lock().bases.clone();
        self.cut_units(&bases, end)
    }

    fn cut_units(&self, bases: &[u64], end: u64) -> io::Result<()> {
        let per_file = self.context.units_per_file;
        let first = bases.first().copied().unwrap_or(end);
        for base in bases.iter().rev().filter(|base| **base + per_file > end) {
            if *base >= end {
                let mut files = self.files.lock();
                self.close_files(&mut files);
                files.bases.retain(|b| b != base);
                files.dir_unsynced = true;
                self.context.disk.remove_file(&file_at(&self.dir, base * UNIT_BYTES))?;
            } else if let Some(file) = self.file(*base)? {
                file.zero((end - base) * UNIT_BYTES, per_file * UNIT_BYTES)?;
                self.files.lock().unsynced.push(*base);
            }
        }
        let min = self.min.load(Ordering::Acquire).clamp(first.min(end), end);
        self.start_at(end);
        self.set_min(min);
        Ok(())
    }
}

/// What [`Queue::load`] found.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Loaded {
    /// One past the last record that a unit points to; 0 without units.
    pub(crate) last_end: u64,
    /// Units follow a gap: one past the last record before it.
    pub(crate) hole: Option<u64>,
}

/// Why a queue cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoadError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("{} has {len} bytes where queue files have {want}", path.display())]
    Foreign { path: PathBuf, len: u64, want: u64 },
}
