//! The small files under `config/`: each is the picture of one table, replaced as a whole.
//!
//! A change only marks its file; whoever needs it durable saves at once, a task saves the rest.
//! Savers take turns, and a saver takes its picture after it got its turn: what was changed before
//! the call is in the file when it returns.

use parking_lot::Mutex;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// A file that follows a table.
pub struct TableFile {
    path: PathBuf,
    changes: AtomicU64,
    /// Number of changes that the file has.
    saved: Mutex<u64>,
}

impl fmt::Debug for TableFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TableFile").field("path", &self.path).finish_non_exhaustive()
    }
}

impl TableFile {
    /// Follows from now on; what is in the file already counts as saved.
    pub fn new(path: PathBuf) -> Self {
        Self { path, changes: AtomicU64::new(0), saved: Mutex::new(0) }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The table changed.
    pub fn touch(&self) {
        self.changes.fetch_add(1, Ordering::Release);
    }

    /// Brings the file up to date, if it is behind; says whether it was.
    ///
    /// # Errors
    /// Those of the file system; the file is then still behind.
    pub fn save(&self, picture: impl FnOnce() -> Vec<u8>) -> io::Result<bool> {
        let mut saved = self.saved.lock();
        let changes = self.changes.load(Ordering::Acquire);
        if changes == *saved {
            return Ok(false);
        }
        rmq_store::durable::replace(&self.path, &picture())?;
        *saved = changes;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_written_once_per_change_and_keeps_its_predecessor() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        std::fs::create_dir_all(folder.path().join("config")).expect("a fresh folder");
        let file = TableFile::new(folder.path().join("config/topics.json"));
        assert!(!file.save(|| b"0".to_vec()).expect("nothing to do"));
        assert!(!file.path().exists());
        for text in ["1", "2"] {
            file.touch();
            assert!(file.save(|| text.into()).expect("writable"));
            assert!(!file.save(|| b"x".to_vec()).expect("nothing to do"));
        }
        assert_eq!(std::fs::read(file.path()).expect("written"), b"2");
        assert_eq!(
            std::fs::read(folder.path().join("config/topics.json.bak")).expect("kept"),
            b"1"
        );
    }

    #[test]
    fn a_failure_leaves_the_file_behind() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        rmq_host::durable::replace(&folder.path().join("config"), b"a file").expect("writable");
        let file = TableFile::new(folder.path().join("config/topics.json"));
        file.touch();
        for _ in 0..2 {
            assert!(file.save(Vec::new).is_err(), "it is tried again");
        }
    }
}
