//! Times up to which files are complete (`checkpoint`), and our own finer marks (`rmq/progress`).

use crate::disk::{Disk, DiskFile, OpenMode};
use crate::index::IndexMark;
use rmq_model::Millis;
use std::io;
use std::path::Path;

const CHECKPOINT_BYTES: u64 = 4096;

/// The five numbers of Java's checkpoint file, big-endian from its start; the rest is zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Checkpoint {
    /// Store time up to which the log is durable.
    pub(crate) physic: Millis,
    /// Store time up to which queues are durable.
    pub(crate) logics: Millis,
    /// End time of the last full index file.
    pub(crate) index: Millis,
    /// Of replicas.
    pub(crate) master_flushed: i64,
    /// Of replicas.
    pub(crate) confirm: i64,
}

impl Checkpoint {
    fn fields(self) -> [i64; 5] {
        [self.physic, self.logics, self.index, self.master_flushed, self.confirm]
    }

    fn encode(self) -> Vec<u8> {
        self.fields().into_iter().flat_map(i64::to_be_bytes).collect()
    }

    fn decode(bytes: &[u8; 40]) -> Self {
        let mut fields =
            bytes.chunks_exact(8).filter_map(|f| f.first_chunk()).map(|f| i64::from_be_bytes(*f));
        let mut next = || fields.next().unwrap_or(0);
        Self {
            physic: next(),
            logics: next(),
            index: next(),
            master_flushed: next(),
            confirm: next(),
        }
    }
}

/// The numbers as they are on disk; all zero without a file, or with one that is too short.
pub(crate) fn read(disk: &dyn Disk, path: &Path) -> io::Result<Checkpoint> {
    let file = match disk.open(path, OpenMode::ReadOnly) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Checkpoint::default()),
        file => file?,
    };
    let mut bytes = [0; 40];
    if file.size()? >= 40 {
        file.read_exact_at(0, &mut bytes)?;
    }
    Ok(Checkpoint::decode(&bytes))
}

/// The open checkpoint file.
pub(crate) struct CheckpointFile {
    file: Box<dyn DiskFile>,
    pub(crate) value: Checkpoint,
}

impl CheckpointFile {
    /// Opens or makes the file. One that is too short counts as all zero.
    pub(crate) fn open(disk: &dyn Disk, path: &Path) -> io::Result<Self> {
        let file = disk.open(path, OpenMode::Create)?;
        let mut bytes = [0; 40];
        if file.size()? >= 40 {
            file.read_exact_at(0, &mut bytes)?;
        }
        if file.size()? != CHECKPOINT_BYTES {
            file.set_len(CHECKPOINT_BYTES)?;
        }
        Ok(Self { file, value: Checkpoint::decode(&bytes) })
    }

    /// Writes the numbers in one sector and makes them durable. What they describe must be durable
    /// already.
    pub(crate) fn write(&mut self, value: Checkpoint) -> io::Result<()> {
        self.file.write_all_at(0, &value.encode())?;
        self.file.sync_data()?;
        self.value = value;
        Ok(())
    }
}

/// How far what follows the log has come, in positions instead of times. Java does not know this
/// file; it counts only if Java's checkpoint is still the one it was written with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Progress {
    /// Kernel that ran when it was written.
    pub(crate) boot_id: String,
    /// Records below are in queue and index files, perhaps only in the page cache.
    pub(crate) written: u64,
    /// Records below are in queue and index files and durable, and so is the log.
    pub(crate) synced: u64,
    /// Stop was clean and the log ended here.
    pub(crate) clean_end: Option<u64>,
    pub(crate) checkpoint: Checkpoint,
    /// Newest index file when it was last synced.
    pub(crate) index: Option<IndexMark>,
}

impl Progress {
    /// Lines `name=value` and a last one with the CRC-32 of what is before, padded with blanks so
    /// that a shorter text replaces a longer one.
    fn encode(&self) -> String {
        let mut text = format!(
            "boot={}\nwritten={}\nsynced={}\ncheckpoint={},{},{}\n",
            self.boot_id,
            self.written,
            self.synced,
            self.checkpoint.physic,
            self.checkpoint.logics,
            self.checkpoint.index,
        );
        if let Some(end) = self.clean_end {
            text.push_str(&format!("clean={end}\n"));
        }
        if let Some(mark) = &self.index {
            text.push_str(&format!(
                "index={},{},{},{}\n",
                mark.name, mark.count, mark.end_offset, mark.end_time
            ));
        }
        let crc = crc32fast::hash(text.as_bytes());
        format!("{:<511}\n", format!("{text}crc={crc}\n"))
    }

    fn decode(text: &str) -> Option<Self> {
        let (text, crc) = text.trim_end().rsplit_once("crc=")?;
        if crc.parse() != Ok(crc32fast::hash(text.as_bytes())) {
            return None;
        }
        let mut progress = Self::default();
        for line in text.lines() {
            let (name, value) = line.split_once('=')?;
            let mut numbers = value.split(',').map(|n| n.parse::<i64>().ok());
            let mut next = || numbers.next().flatten();
            match name {
                "boot" => progress.boot_id = value.to_owned(),
                "written" => progress.written = u64::try_from(next()?).ok()?,
                "synced" => progress.synced = u64::try_from(next()?).ok()?,
                "clean" => progress.clean_end = Some(u64::try_from(next()?).ok()?),
                "checkpoint" => {
                    progress.checkpoint.physic = next()?;
                    progress.checkpoint.logics = next()?;
                    progress.checkpoint.index = next()?;
                }
                "index" => {
                    progress.index = Some(IndexMark {
                        name: u64::try_from(next()?).ok()?,
                        count: u32::try_from(next()?).ok()?,
                        end_offset: u64::try_from(next()?).ok()?,
                        end_time: next()?,
                    });
                }
                _ => {}
            }
        }
        Some(progress)
    }
}

/// The open progress file.
pub(crate) struct ProgressFile {
    file: Box<dyn DiskFile>,
}

impl ProgressFile {
    pub(crate) fn open(disk: &dyn Disk, dir: &Path) -> io::Result<(Self, Option<Progress>)> {
        disk.create_dir_all(dir)?;
        let file = disk.open(&dir.join("progress"), OpenMode::Create)?;
        disk.sync_dir(dir)?;
        let len = usize::try_from(file.size()?.min(4096)).unwrap_or(0);
        let mut bytes = vec![0; len];
        file.read_exact_at(0, &mut bytes)?;
        let found = std::str::from_utf8(&bytes).ok().and_then(Progress::decode);
        Ok((Self { file }, found))
    }

    pub(crate) fn write(&self, progress: &Progress, durable: bool) -> io::Result<()> {
        self.file.write_all_at(0, progress.encode().as_bytes())?;
        if durable { self.file.sync_data() } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::OsDisk;

    #[test]
    fn the_checkpoint_has_javas_layout() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("checkpoint");
        let mut file = CheckpointFile::open(&OsDisk, &path).unwrap();
        let value = Checkpoint { physic: 1, logics: 2, index: 3, master_flushed: 4, confirm: 5 };
        file.write(value).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        assert_eq!(bytes.len(), 4096);
        for (at, want) in [(7, 1), (15, 2), (23, 3), (31, 4), (39, 5)] {
            assert_eq!(bytes[at], want);
        }
        assert!(bytes[40..].iter().all(|b| *b == 0));
        assert_eq!(CheckpointFile::open(&OsDisk, &path).unwrap().value, value);
    }

    #[test]
    fn a_damaged_progress_file_does_not_count() {
        let progress = Progress {
            boot_id: "b".into(),
            written: 7,
            synced: 5,
            clean_end: Some(9),
            checkpoint: Checkpoint { physic: 1, logics: 2, index: 3, ..Checkpoint::default() },
            index: Some(IndexMark { name: 20_240_101, count: 3, end_offset: 4, end_time: 5 }),
        };
        let text = progress.encode();
        assert_eq!(Progress::decode(&text), Some(progress));
        assert_eq!(Progress::decode(&text.replace("written=7", "written=8")), None);
        assert_eq!(Progress::decode(""), None);
    }
}
