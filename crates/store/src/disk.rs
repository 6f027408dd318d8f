//! Storage as the store sees it. Blocking on purpose: the store's own threads do the writing.

use crate::sys;
use rmq_model::Millis;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::UNIX_EPOCH;

pub use crate::sys::Map;

/// How a file is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenMode {
    /// It must exist.
    Existing,
    /// Made if it does not exist.
    Create,
    /// It must exist, and nothing will be written: works on a read-only file system.
    ReadOnly,
}

/// One entry of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Name within the directory. Names that are not UTF-8 are given with replacement characters.
    pub name: String,
    /// A directory.
    pub is_dir: bool,
    /// Length of a file in bytes.
    pub len: u64,
    /// When a file was last written.
    pub modified: Millis,
}

/// Space of the file system that a directory is on, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// In use.
    pub used: u64,
    /// Free for an unprivileged process.
    pub available: u64,
}

impl Space {
    /// Used share of what can be used, rounded up to whole percent.
    pub fn used_percent(self) -> u8 {
        let all = u128::from(self.used) + u128::from(self.available);
        let percent = (u128::from(self.used) * 100).div_ceil(all.max(1));
        u8::try_from(percent).unwrap_or(100).min(100)
    }
}

/// A file system.
pub trait Disk: Send + Sync + 'static {
    /// Opens a file for reading and writing.
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Box<dyn DiskFile>>;
    /// Entries of a directory, in no order. A directory that does not exist is an error.
    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>>;
    /// Makes a directory and those above it.
    fn create_dir_all(&self, dir: &Path) -> io::Result<()>;
    /// Removes a file.
    fn remove_file(&self, path: &Path) -> io::Result<()>;
    /// Removes an empty directory.
    fn remove_dir(&self, path: &Path) -> io::Result<()>;
    /// Gives a file another name, replacing what had it.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Gives a file a second name, which must be free.
    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Returns once creations, removals and renames in `dir` would survive a power cut.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
    /// Space of the file system `dir` is on.
    fn space(&self, dir: &Path) -> io::Result<Space>;
    /// Names the running kernel: what was written since it started is still in its page cache.
    /// Empty when not known.
    fn boot_id(&self) -> String;
}

/// An open file.
pub trait DiskFile: Send + Sync {
    /// Writes all of `bytes` at `at`, counted from the start of the file.
    fn write_all_at(&self, at: u64, bytes: &[u8]) -> io::Result<()>;
    /// Fills `bytes` from `at`; an error if the file ends before.
    fn read_exact_at(&self, at: u64, bytes: &mut [u8]) -> io::Result<()>;
    /// Returns once all that was written before the call would survive a power cut.
    fn sync_data(&self) -> io::Result<()>;
    /// Length in bytes.
    fn size(&self) -> io::Result<u64>;
    /// Makes the file `len` bytes long without using space for it.
    fn set_len(&self, len: u64) -> io::Result<()>;
    /// Makes the file `len` bytes long and reserves the space.
    fn allocate(&self, len: u64) -> io::Result<()>;
    /// Makes bytes `from..to` read as zero; the length stays.
    fn zero(&self, from: u64, to: u64) -> io::Result<()>;
    /// Maps the file for reading; `None` where that is not possible.
    fn map(&self) -> io::Result<Option<Map>>;
    /// Takes the exclusive lock of the first byte; false if another has it.
    fn lock(&self) -> io::Result<bool>;
    /// Takes a lock of the first byte that others may share, and that keeps the exclusive one out;
    /// false if another has that.
    fn lock_shared(&self) -> io::Result<bool>;
}

/// Errors of a disk that is full.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// The operating system's file system.
#[derive(Clone, Copy, Debug, Default)]
pub struct OsDisk;

impl Disk for OsDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Box<dyn DiskFile>> {
        let file = OpenOptions::new()
            .read(true)
            .write(mode != OpenMode::ReadOnly)
            .create(mode == OpenMode::Create)
            .truncate(false)
            .open(path)?;
        Ok(Box::new(OsFile(file)))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>> {
        fs::read_dir(dir)?
            .map(|entry| {
                let entry = entry?;
                let meta = entry.metadata()?;
                let modified = meta.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
                Ok(Entry {
                    name: entry.file_name().to_string_lossy().into_owned(),
                    is_dir: meta.is_dir(),
                    len: meta.len(),
                    modified: Millis::try_from(modified.as_millis()).unwrap_or(Millis::MAX),
                })
            })
            .collect()
    }

    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        fs::create_dir_all(dir)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        fs::remove_dir(path)
    }

    #[expect(clippy::disallowed_methods, reason = "callers sync the directory after")]
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::hard_link(from, to)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        File::open(dir)?.sync_all()
    }

    fn space(&self, dir: &Path) -> io::Result<Space> {
        let stat = rustix::fs::statvfs(dir)?;
        let blocks = |n: u64| n.saturating_mul(stat.f_frsize);
        Ok(Space {
            used: blocks(stat.f_blocks.saturating_sub(stat.f_bfree)),
            available: blocks(stat.f_bavail),
        })
    }

    fn boot_id(&self) -> String {
        fs::read_to_string("/proc/sys/kernel/random/boot_id")
            .map(|id| id.trim().to_owned())
            .unwrap_or_default()
    }
}

#[derive(Debug)]
struct OsFile(File);

impl DiskFile for OsFile {
    fn write_all_at(&self, at: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all_at(bytes, at)
    }

    fn read_exact_at(&self, at: u64, bytes: &mut [u8]) -> io::Result<()> {
        self.0.read_exact_at(bytes, at)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        use rustix::fs::{FallocateFlags, fallocate};
        match fallocate(&self.0, FallocateFlags::empty(), 0, len) {
            Ok(()) => Ok(()),
            // Some file systems cannot reserve; a sparse file is what Java makes.
            Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => self.0.set_len(len),
            Err(error) => Err(error.into()),
        }
    }

    fn zero(&self, from: u64, to: u64) -> io::Result<()> {
        use rustix::fs::{FallocateFlags, fallocate};
        let Some(len) = to.checked_sub(from).filter(|len| *len > 0) else { return Ok(()) };
        match fallocate(&self.0, FallocateFlags::ZERO_RANGE, from, len) {
            Ok(()) => Ok(()),
            Err(_) => write_zeros(self, from, to),
        }
    }

    fn map(&self) -> io::Result<Option<Map>> {
        Map::new(&self.0).map(Some)
    }

    fn lock(&self) -> io::Result<bool> {
        sys::lock_first_byte(&self.0, sys::LockKind::Exclusive)
    }

    fn lock_shared(&self) -> io::Result<bool> {
        sys::lock_first_byte(&self.0, sys::LockKind::Shared)
    }
}

/// Writes zeros over a range, for file systems that cannot do it themselves.
pub fn write_zeros(file: &dyn DiskFile, from: u64, to: u64) -> io::Result<()> {
    const CHUNK: u64 = 64 * 1024;
    let zeros = [0; 64 * 1024];
    let mut at = from;
    while at < to {
        let len = usize::try_from((to - at).min(CHUNK)).unwrap_or(zeros.len());
        file.write_all_at(at, zeros.get(..len).unwrap_or(&zeros))?;
        at += u64::try_from(len).unwrap_or(CHUNK);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_used_share_is_rounded_up() {
        for (used, available, percent) in [(0, 100, 0), (1, 999, 1), (90, 10, 90), (901, 99, 91)] {
            assert_eq!(Space { used, available }.used_percent(), percent, "{used}/{available}");
        }
        assert_eq!(Space { used: 0, available: 0 }.used_percent(), 0);
    }

    #[test]
    fn a_second_holder_of_the_lock_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let first = OsDisk.open(&path, OpenMode::Create).unwrap();
        assert!(first.lock().unwrap());
        let second = OsDisk.open(&path, OpenMode::Create).unwrap();
        assert!(!second.lock().unwrap());
        drop(first);
        assert!(second.lock().unwrap());
    }

    #[test]
    fn readers_share_a_lock_that_keeps_writers_out() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let writer = OsDisk.open(&path, OpenMode::Create).unwrap();
        let readers = [0, 1].map(|_| OsDisk.open(&path, OpenMode::ReadOnly).unwrap());
        assert!(readers.iter().all(|reader| reader.lock_shared().unwrap()));
        assert!(!writer.lock().unwrap());
        readers[0].write_all_at(0, b"x").unwrap_err();
        drop(readers);
        assert!(writer.lock().unwrap());
        let late = OsDisk.open(&path, OpenMode::ReadOnly).unwrap();
        assert!(!late.lock_shared().unwrap());
    }

    #[test]
    fn zeroing_keeps_the_rest_and_the_length() {
        let dir = tempfile::tempdir().unwrap();
        let file = OsDisk.open(&dir.path().join("f"), OpenMode::Create).unwrap();
        file.write_all_at(0, &[7; 10_000]).unwrap();
        file.zero(10, 9_990).unwrap();
        let mut all = vec![1; 10_000];
        file.read_exact_at(0, &mut all).unwrap();
        assert_eq!(file.size().unwrap(), 10_000);
        assert!(all[..10].iter().chain(&all[9_990..]).all(|b| *b == 7));
        assert!(all[10..9_990].iter().all(|b| *b == 0));
    }
}
