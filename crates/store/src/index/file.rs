//! One index file.
//!
//! | offset | width | field |
//! | --- | --- | --- |
//! | 0 | 8 | begin store time |
//! | 8 | 8 | end store time |
//! | 16 | 8 | begin physical offset |
//! | 24 | 8 | end physical offset |
//! | 32 | 4 | used slots |
//! | 36 | 4 | number of the next entry, at least 1 |
//! | 40 | 4 × S | slots: number of the newest entry of a chain, 0 = none |
//! | 40 + 4 × S | 20 × E | entries |
//!
//! Entry: key hash i32, physical offset i64, seconds since begin store time i32, previous entry i32.

use super::{Entry, Found, Query, Trust};
use crate::config::IndexConfig;
use crate::disk::{Disk, DiskFile, OpenMode};
use rmq_model::Millis;
use std::io;
use std::path::{Path, PathBuf};

const HEADER_BYTES: u64 = 40;
const ENTRY_BYTES: u64 = 20;
/// Slots that are read and written together.
const SLOTS_PER_PAGE: u32 = 4096;

/// Length of an index file.
pub(crate) fn bytes(config: IndexConfig) -> u64 {
    HEADER_BYTES + 4 * u64::from(config.slots) + ENTRY_BYTES * u64::from(config.entries)
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) begin_time: Millis,
    pub(crate) end_time: Millis,
    pub(crate) begin_offset: u64,
    pub(crate) end_offset: u64,
    pub(crate) used_slots: u32,
    pub(crate) count: u32,
}

impl Header {
    fn encode(self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(40);
        for value in [self.begin_time, self.end_time] {
            bytes.extend_from_slice(&value.to_be_bytes());
        }
        for value in [self.begin_offset, self.end_offset] {
            bytes.extend_from_slice(&value.to_be_bytes());
        }
        for value in [self.used_slots, self.count] {
            bytes.extend_from_slice(&value.to_be_bytes());
        }
        bytes
    }

    fn decode(bytes: &[u8; 40]) -> Option<Self> {
        let long = |at: usize| Some(i64::from_be_bytes(*bytes.get(at..)?.first_chunk()?));
        let int = |at: usize| Some(i32::from_be_bytes(*bytes.get(at..)?.first_chunk()?));
        Some(Self {
            begin_time: long(0)?,
            end_time: long(8)?,
            begin_offset: u64::try_from(long(16)?).ok()?,
            end_offset: u64::try_from(long(24)?).ok()?,
            used_slots: u32::try_from(int(32)?).ok()?,
            count: u32::try_from(int(36)?).ok()?.max(1),
        })
    }
}

#[derive(Clone, Copy, Debug)]
struct Stored {
    hash: i32,
    offset: u64,
    seconds: i32,
    previous: u32,
}

impl Stored {
    fn encode(self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.hash.to_be_bytes());
        out.extend_from_slice(&self.offset.to_be_bytes());
        out.extend_from_slice(&self.seconds.to_be_bytes());
        out.extend_from_slice(&self.previous.to_be_bytes());
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let int = |at: usize| Some(i32::from_be_bytes(*bytes.get(at..)?.first_chunk()?));
        let offset = i64::from_be_bytes(*bytes.get(4..)?.first_chunk()?);
        Some(Self {
            hash: int(0)?,
            offset: u64::try_from(offset).ok()?,
            seconds: int(12)?,
            previous: u32::try_from(int(16)?).unwrap_or(0),
        })
    }
}

/// A file's entries in their order, and whether a search would come to each.
pub(crate) struct Entries {
    file: Box<dyn DiskFile>,
    config: IndexConfig,
    header: Header,
    next: u32,
    buffer: std::vec::IntoIter<u8>,
    /// Newest entry of each slot among those that were given.
    heads: Vec<u32>,
    pub(crate) broken_links: u64,
}

impl Entries {
    /// `None` if the header makes no sense.
    pub(crate) fn open(
        disk: &dyn Disk,
        path: &Path,
        config: IndexConfig,
    ) -> io::Result<Option<Self>> {
        let file = disk.open(path, OpenMode::ReadOnly)?;
        let mut bytes = [0; 40];
        file.read_exact_at(0, &mut bytes)?;
        let header = Header::decode(&bytes).filter(|header| header.count <= config.entries);
        let slots = usize::try_from(config.slots).unwrap_or(0);
        Ok(header.map(|header| Self {
            file,
            config,
            header,
            next: 1,
            buffer: Vec::new().into_iter(),
            heads: vec![0; slots],
            broken_links: 0,
        }))
    }

    /// Key hash and log offset of the next one; `None` behind the last, when the slots have been
    /// compared too.
    pub(crate) fn next(&mut self) -> io::Result<Option<(i32, u64)>> {
        const ENTRIES_PER_READ: u32 = 4096;
        if self.header.count <= self.next {
            self.compare_slots()?;
            return Ok(None);
        }
        if self.buffer.len() == 0 {
            let count = (self.header.count - self.next).min(ENTRIES_PER_READ);
            let mut bytes = vec![0; usize::try_from(count).unwrap_or(0) * 20];
            let at = entry_at(self.config, self.next);
            self.file.read_exact_at(at, &mut bytes)?;
            self.buffer = bytes.into_iter();
        }
        let entry = Stored::decode(self.buffer.as_slice());
        self.buffer.by_ref().take(20).for_each(drop);
        let number = self.next;
        self.next += 1;
        let Some(entry) = entry else {
            self.broken_links += 1;
            // An impossible place: it belongs to no record.
            return Ok(Some((0, u64::MAX)));
        };
        let slot = usize::try_from(entry.hash.unsigned_abs() % self.config.slots).unwrap_or(0);
        if let Some(head) = self.heads.get_mut(slot) {
            self.broken_links += u64::from(*head != entry.previous);
            *head = number;
        }
        Ok(Some((entry.hash, entry.offset)))
    }

    fn compare_slots(&mut self) -> io::Result<()> {
        let heads = std::mem::take(&mut self.heads);
        let per_page = usize::try_from(SLOTS_PER_PAGE).unwrap_or(1);
        let mut bytes = vec![0; per_page * 4];
        for (page, at) in heads.chunks(per_page).zip((0_u64..).step_by(per_page * 4)) {
            let Some(part) = bytes.get_mut(..page.len() * 4) else { break };
            self.file.read_exact_at(HEADER_BYTES + at, part)?;
            let stored = part.chunks_exact(4).filter_map(|word| word.first_chunk());
            let differ = stored.zip(page).filter(|(word, head)| {
                let word = u32::from_be_bytes(**word);
                // A number that was never given out counts as none.
                let word = if self.header.count <= word { 0 } else { word };
                word != **head
            });
            self.broken_links += u64::try_from(differ.count()).unwrap_or(0);
        }
        Ok(())
    }
}

fn entry_at(config: IndexConfig, number: u32) -> u64 {
    HEADER_BYTES + 4 * u64::from(config.slots) + ENTRY_BYTES * u64::from(number)
}

pub(super) struct IndexFile {
    pub(super) number: u64,
    pub(super) path: PathBuf,
    config: IndexConfig,
    file: Box<dyn DiskFile>,
    header: Header,
    /// A batch failed half way: slots may name entries that were never written.
    torn: bool,
}

impl IndexFile {
    /// `None` if the header makes no sense.
    pub(super) fn open(
        disk: &dyn Disk,
        number: u64,
        path: PathBuf,
        config: IndexConfig,
    ) -> io::Result<Option<Self>> {
        let file = disk.open(&path, OpenMode::Existing)?;
        let mut bytes = [0; 40];
        file.read_exact_at(0, &mut bytes)?;
        let header = Header::decode(&bytes).filter(|header| header.count <= config.entries);
        Ok(header.map(|header| Self { number, path, config, file, header, torn: false }))
    }

    pub(super) fn create(
        disk: &dyn Disk,
        number: u64,
        path: PathBuf,
        config: IndexConfig,
        before: Option<Header>,
    ) -> io::Result<Self> {
        let file = disk.open(&path, OpenMode::Create)?;
        file.set_len(bytes(config))?;
        // Java starts a file with the end values of the one before.
        let (time, offset) = before.map_or((0, 0), |header| (header.end_time, header.end_offset));
        let header = Header {
            begin_time: time,
            end_time: time,
            begin_offset: offset,
            end_offset: offset,
            used_slots: 0,
            count: 1,
        };
        file.write_all_at(0, &header.encode())?;
        Ok(Self { number, path, config, file, header, torn: false })
    }

    pub(super) fn header(&self) -> Header {
        self.header
    }

    pub(super) fn end_offset(&self) -> Option<u64> {
        (self.header.count > 1).then_some(self.header.end_offset)
    }

    /// Entries that still fit.
    pub(super) fn room(&self) -> usize {
        usize::try_from(self.config.entries - self.header.count).unwrap_or(0)
    }

    pub(super) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn slot_of(&self, hash: i32) -> u32 {
        hash.unsigned_abs() % self.config.slots
    }

    fn entry_at(&self, number: u32) -> u64 {
        entry_at(self.config, number)
    }

    /// Adds entries, which fit. The header goes last: until then a reader sees the old state, but
    /// for slots, which recovery makes again from the entries.
    pub(super) fn append(&mut self, entries: &[Entry]) -> io::Result<()> {
        let Some(last) = entries.last() else { return Ok(()) };
        if self.torn {
            self.rebuild_slots()?;
        }
        self.torn = true;
        let mut header = self.header;
        let first_number = header.count;
        let mut stored = Vec::with_capacity(entries.len());
        let mut order = Vec::with_capacity(entries.len());
        for (entry, number) in entries.iter().zip(first_number..) {
            let seconds = if header.begin_time <= 0 {
                0
            } else {
                let seconds = entry.store_time.saturating_sub(header.begin_time) / 1000;
                i32::try_from(seconds.max(0)).unwrap_or(i32::MAX)
            };
            if number <= 1 {
                header.begin_time = entry.store_time;
                header.begin_offset = entry.log_offset;
            }
            stored.push(Stored {
                hash: entry.hash,
                offset: entry.log_offset,
                seconds,
                previous: 0,
            });
            order.push((self.slot_of(entry.hash), number));
        }
        header.count = first_number.saturating_add(u32::try_from(entries.len()).unwrap_or(0));
        header.end_time = last.store_time;
        header.end_offset = last.log_offset;
        order.sort_unstable();
        for page in order.chunk_by(|a, b| a.0 / SLOTS_PER_PAGE == b.0 / SLOTS_PER_PAGE) {
            header.used_slots += self.link(page, first_number, &mut stored)?;
        }
        let mut bytes = Vec::with_capacity(stored.len() * 20);
        stored.iter().for_each(|entry| entry.encode(&mut bytes));
        self.file.write_all_at(self.entry_at(first_number), &bytes)?;
        self.file.write_all_at(0, &header.encode())?;
        self.header = header;
        self.torn = false;
        Ok(())
    }

    /// Puts entries of one page of slots at the heads of their chains; returns how many slots were
    /// empty before.
    fn link(
        &self,
        page: &[(u32, u32)],
        first_number: u32,
        stored: &mut [Stored],
    ) -> io::Result<u32> {
        let (Some((first, _)), Some((last, _))) = (page.first(), page.last()) else { return Ok(0) };
        let at = HEADER_BYTES + 4 * u64::from(*first);
        let mut bytes = vec![0; usize::try_from(last - first + 1).unwrap_or(0) * 4];
        self.file.read_exact_at(at, &mut bytes)?;
        let mut used = 0;
        for (slot, number) in page {
            let within = usize::try_from(slot - first).unwrap_or(0) * 4;
            let Some(word) = bytes.get_mut(within..).and_then(|b| b.first_chunk_mut::<4>()) else {
                continue;
            };
            let head = u32::from_be_bytes(*word);
            // A number that was not given out yet is the trace of a batch that was not completed.
            let previous = if head < *number { head } else { 0 };
            used += u32::from(previous == 0);
            let place = usize::try_from(number - first_number).unwrap_or(usize::MAX);
            if let Some(entry) = stored.get_mut(place) {
                entry.previous = previous;
            }
            *word = number.to_be_bytes();
        }
        self.file.write_all_at(at, &bytes)?;
        Ok(used)
    }

    fn read_entry(&self, number: u32) -> io::Result<Option<Stored>> {
        let mut bytes = [0; 20];
        self.file.read_exact_at(self.entry_at(number), &mut bytes)?;
        Ok(Stored::decode(&bytes))
    }

    /// Follows the chain of the wanted hash.
    pub(super) fn query(&self, query: &Query, found: &mut Found) -> io::Result<()> {
        let header = self.header;
        if header.count <= 1 || header.end_time < query.begin || query.end < header.begin_time {
            return Ok(());
        }
        let mut slot = [0; 4];
        let at = HEADER_BYTES + 4 * u64::from(self.slot_of(query.hash));
        self.file.read_exact_at(at, &mut slot)?;
        let mut number = u32::from_be_bytes(slot);
        while (1..header.count).contains(&number) && found.offsets.len() < query.max {
            let Some(entry) = self.read_entry(number)? else { break };
            let time = header.begin_time.saturating_add(i64::from(entry.seconds) * 1000);
            // Seconds were rounded down: a message of the window's last second must not be missed
            // at its start.
            let in_window = query.begin <= time.saturating_add(999) && time <= query.end;
            if entry.hash == query.hash && in_window {
                found.add(entry.offset);
            }
            if number <= entry.previous {
                break;
            }
            number = entry.previous;
        }
        Ok(())
    }

    /// The file if it can be used, repaired where needed.
    pub(super) fn recover(mut self, trust: &Trust) -> io::Result<Option<Self>> {
        match trust {
            Trust::All => Ok(Some(self)),
            Trust::Synced { full_until, mark } => {
                let marked = mark.as_ref().filter(|mark| mark.name == self.number);
                if let Some(mark) = marked.filter(|mark| mark.count <= self.config.entries) {
                    self.header.count = mark.count;
                    self.header.end_offset = mark.end_offset;
                    self.header.end_time = mark.end_time;
                    self.rebuild_slots()?;
                    return Ok(Some(self));
                }
                let full = self.room() == 0 && self.header.end_time <= *full_until;
                // With a mark, files older than the marked one were synced when they became full.
                let before_mark = mark.as_ref().is_some_and(|mark| self.number < mark.name);
                Ok((full || (before_mark && self.room() == 0)).then_some(self))
            }
        }
    }

    /// Makes the slots again from the entries, which are only ever added to.
    fn rebuild_slots(&mut self) -> io::Result<()> {
        const ENTRIES_PER_READ: u32 = 8192;
        let slots = usize::try_from(self.config.slots).unwrap_or(0);
        let mut heads = vec![0_u32; slots];
        let mut used = 0;
        let mut number = 1;
        let mut bytes = vec![0; 20 * 8192];
        while number < self.header.count {
            let count = (self.header.count - number).min(ENTRIES_PER_READ);
            let len = usize::try_from(count).unwrap_or(0) * 20;
            let Some(part) = bytes.get_mut(..len) else { break };
            self.file.read_exact_at(self.entry_at(number), part)?;
            for (entry, number) in part.chunks_exact(20).zip(number..) {
                let Some(entry) = Stored::decode(entry) else { continue };
                let slot = usize::try_from(self.slot_of(entry.hash)).unwrap_or(0);
                if let Some(head) = heads.get_mut(slot) {
                    used += u32::from(*head == 0);
                    *head = number;
                }
            }
            number += count;
        }
        let per_page = usize::try_from(SLOTS_PER_PAGE).unwrap_or(1);
        for (page, at) in heads.chunks(per_page).zip((0_u64..).step_by(per_page * 4)) {
            let bytes: Vec<u8> = page.iter().flat_map(|head| head.to_be_bytes()).collect();
            let mut before = vec![0; bytes.len()];
            self.file.read_exact_at(HEADER_BYTES + at, &mut before)?;
            if before != bytes {
                self.file.write_all_at(HEADER_BYTES + at, &bytes)?;
            }
        }
        self.header.used_slots = used;
        self.file.write_all_at(0, &self.header.encode())
    }

    /// Drops entries of records at or behind `log_end`; false if none is left.
    pub(super) fn cut(&mut self, log_end: u64) -> io::Result<bool> {
        if self.header.end_offset < log_end && self.header.count > 1 {
            return Ok(true);
        }
        let (mut low, mut high) = (1, self.header.count);
        while low < high {
            let middle = low + (high - low) / 2;
            match self.read_entry(middle)? {
                Some(entry) if entry.offset < log_end => low = middle + 1,
                _ => high = middle,
            }
        }
        if low <= 1 {
            return Ok(false);
        }
        self.header.count = low;
        if let Some(last) = self.read_entry(low - 1)? {
            self.header.end_offset = last.offset;
            let time = self.header.begin_time.saturating_add(i64::from(last.seconds) * 1000);
            self.header.end_time = time;
        }
        self.rebuild_slots()?;
        Ok(true)
    }
}
