//! Log files that do not grow for ever.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// Size at which a new file is begun, in bytes.
const FILE_BYTES_MAX: u64 = 8 * 1024 * 1024;
/// Files kept besides the one that is written.
pub(super) const OLD_FILES_MAX: u32 = 3;

/// A file and a few older ones of a bounded size: `log`, `log.1` before it, and so on.
#[derive(Debug)]
pub(super) struct RotatingFile {
    path: PathBuf,
    file: File,
    bytes: u64,
    bytes_max: u64,
}

impl RotatingFile {
    /// Opens it to go on where it ends.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        Self::with_limit(path, FILE_BYTES_MAX)
    }

    fn with_limit(path: &Path, bytes_max: u64) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        let bytes = file.metadata()?.len();
        Ok(Self { path: path.to_owned(), file, bytes, bytes_max })
    }

    /// Adds a line.
    pub(super) fn line(&mut self, line: &[u8]) -> io::Result<()> {
        if self.bytes_max <= self.bytes {
            self.turn()?;
        }
        let mut whole = Vec::with_capacity(line.len() + 1);
        whole.extend_from_slice(line);
        whole.push(b'\n');
        self.file.write_all(&whole)?;
        self.bytes += u64::try_from(whole.len()).unwrap_or(0);
        Ok(())
    }

    fn turn(&mut self) -> io::Result<()> {
        for age in (0..OLD_FILES_MAX).rev() {
            match rustix::fs::rename(old(&self.path, age), old(&self.path, age + 1)) {
                Ok(()) | Err(rustix::io::Errno::NOENT) => {}
                Err(error) => return Err(error.into()),
            }
        }
        *self = Self::with_limit(&self.path, self.bytes_max)?;
        Ok(())
    }
}

/// The file that is `age` turns old.
pub(super) fn old(path: &Path, age: u32) -> PathBuf {
    if age == 0 {
        return path.to_owned();
    }
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{age}"));
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_turn_and_the_oldest_goes() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("log");
        let mut log = RotatingFile::with_limit(&path, 10).expect("writable");
        for number in 0..13 {
            log.line(format!("line {number:02}").as_bytes()).expect("writable");
            if number == 4 {
                log = RotatingFile::with_limit(&path, 10).expect("writable");
            }
        }
        let read = |age| std::fs::read_to_string(old(&path, age)).expect("there");
        assert_eq!(read(0), "line 12\n");
        assert_eq!(read(1), "line 10\nline 11\n");
        assert_eq!(read(3), "line 06\nline 07\n");
        assert!(!old(&path, 4).exists());
    }
}
