//! Files that somebody else replaces while the process runs, as mounted configuration is.

use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// Tells one state of a file from another without reading it.
///
/// A mounted directory is replaced as a whole by swapping a symbolic link, so that its files
/// become other ones; an editor may write into the same one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    device: u64,
    inode: u64,
    bytes: u64,
    modified: (i64, i64),
}

impl Stamp {
    /// Of the file that `path` leads to; `None` while there is none.
    pub fn of(path: &Path) -> Option<Self> {
        let meta = std::fs::metadata(path).ok()?;
        Some(Self {
            device: meta.dev(),
            inode: meta.ino(),
            bytes: meta.size(),
            modified: (meta.mtime(), meta.mtime_nsec()),
        })
    }
}

/// The content of a file of at most `bytes_max` bytes; `None` if there is none.
///
/// # Errors
/// Those of the file system, and a file that is longer.
pub fn read_if_there(path: &Path, bytes_max: u64) -> io::Result<Option<Vec<u8>>> {
    use std::io::Read as _;
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut bytes = Vec::new();
    file.take(bytes_max.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes_max < u64::try_from(bytes.len()).unwrap_or(u64::MAX) {
        let text = format!("the file has more than {bytes_max} bytes");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, text));
    }
    Ok(Some(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_swapped_link_is_another_file() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let at = |name: &str| folder.path().join(name);
        assert_eq!(Stamp::of(&at("conf")), None);
        for (dir, text) in [("1", "old"), ("2", "new")] {
            crate::durable::replace(&at(dir).join("conf"), text.as_bytes()).expect("writable");
        }
        symlink("1", at("..data")).expect("writable");
        symlink("..data/conf", at("conf")).expect("writable");
        let before = Stamp::of(&at("conf"));
        assert!(before.is_some());
        assert_eq!(Stamp::of(&at("conf")), before);
        std::fs::remove_file(at("..data")).expect("there");
        symlink("2", at("..data")).expect("writable");
        assert_ne!(Stamp::of(&at("conf")), before);
    }

    #[test]
    fn files_are_read_up_to_their_bound() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("file");
        assert_eq!(read_if_there(&path, 3).expect("no error"), None);
        crate::durable::replace(&path, b"abc").expect("writable");
        assert_eq!(read_if_there(&path, 3).expect("short enough").as_deref(), Some(&b"abc"[..]));
        let error = read_if_there(&path, 2).expect_err("too long");
        assert_eq!(error.to_string(), "the file has more than 2 bytes");
    }
}
