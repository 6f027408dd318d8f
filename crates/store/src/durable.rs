//! Small files that are replaced whole: offsets, topics, epochs.

use crate::disk::{Disk, OpenMode, OsDisk};
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

/// Replaces the file at `path` by one that holds `bytes`, keeping the old one as `PATH.bak`.
///
/// At every moment, also of a power cut, `path` or its backup is complete. When this returns the
/// new content is durable.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    replace_on(&OsDisk, path, bytes)
}

/// [`replace`] on any disk.
pub fn replace_on(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let dir = path.parent().ok_or_else(|| io::Error::other("a file needs a directory"))?;
    let (temporary, backup) = (with_suffix(path, ".tmp"), with_suffix(path, ".bak"));
    remove_if_there(disk, &temporary)?;
    let file = disk.open(&temporary, OpenMode::Create)?;
    file.write_all_at(0, bytes)?;
    file.sync_data()?;
    drop(file);
    // The backup is a second name of the old file: between the two steps it is the old backup that
    // is missing, never the file itself.
    remove_if_there(disk, &backup)?;
    match disk.hard_link(path, &backup) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    disk.rename(&temporary, path)?;
    disk.sync_dir(dir)
}

/// Content of the file at `path`, or of its backup when `is_good` refuses the first or it is
/// missing or empty. `None` when neither is there.
///
/// # Errors
/// When a file exists but cannot be read, or both were refused.
pub fn load_or_backup<T>(
    path: &Path,
    mut decode: impl FnMut(&[u8]) -> Option<T>,
) -> io::Result<Option<T>> {
    let mut refused = None;
    for candidate in [path.to_owned(), with_suffix(path, ".bak")] {
        match std::fs::read(&candidate) {
            Ok(bytes) if bytes.is_empty() => {}
            Ok(bytes) => match decode(&bytes) {
                Some(value) => return Ok(Some(value)),
                None => refused = refused.or(Some(candidate)),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    match refused {
        Some(path) => {
            let text = format!("cannot read {} nor its backup", path.display());
            Err(io::Error::new(io::ErrorKind::InvalidData, text))
        }
        None => Ok(None),
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name: OsString = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// [`create_dirs_on`] the operating system's file system.
pub fn create_dirs(dir: &Path) -> io::Result<()> {
    create_dirs_on(&OsDisk, dir)
}

/// Makes a directory and those above it that are missing, durably: a file in it would be gone after
/// a power cut if the directory's own name was.
///
/// Each level is durable before the next is made, so that of those found only the lowest may not
/// be: whoever made it may have been killed.
pub fn create_dirs_on(disk: &dyn Disk, dir: &Path) -> io::Result<()> {
    let mut missing = Vec::new();
    for level in dir.ancestors().filter(|level| !level.as_os_str().is_empty()) {
        match disk.list(level) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => missing.push(level),
            _ => {
                sync_above(disk, level)?;
                break;
            }
        }
    }
    for level in missing.into_iter().rev() {
        disk.create_dir_all(level)?;
        sync_above(disk, level)?;
    }
    Ok(())
}

/// Makes a directory's own name durable.
fn sync_above(disk: &dyn Disk, dir: &Path) -> io::Result<()> {
    let above = match dir.parent() {
        None => return Ok(()),
        Some(above) if above.as_os_str().is_empty() => Path::new("."),
        Some(above) => above,
    };
    match disk.sync_dir(above) {
        // Somebody else's directory that may be entered but not read: nothing more can be done.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        synced => synced,
    }
}

pub(crate) fn remove_if_there(disk: &dyn Disk, path: &Path) -> io::Result<()> {
    match disk.remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(path: &Path) -> String {
        std::fs::read_to_string(path).unwrap()
    }

    fn utf8(bytes: &[u8]) -> Option<String> {
        String::from_utf8(bytes.to_vec()).ok()
    }

    #[test]
    fn the_previous_content_stays_as_backup() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("topics.json");
        for (round, want_backup) in [("one", None), ("two", Some("one")), ("three", Some("two"))] {
            replace(&path, round.as_bytes()).unwrap();
            assert_eq!(text(&path), round);
            assert_eq!(
                std::fs::read_to_string(with_suffix(&path, ".bak")).ok().as_deref(),
                want_backup
            );
        }
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2);
    }

    #[test]
    fn a_shorter_content_leaves_nothing_of_the_longer() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        replace(&path, b"a long one").unwrap();
        replace(&path, b"x").unwrap();
        assert_eq!(text(&path), "x");
    }

    #[test]
    fn a_bad_file_is_read_from_its_backup() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        assert_eq!(load_or_backup(&path, utf8).unwrap(), None);
        replace(&path, b"good").unwrap();
        replace(&path, b"\xff").unwrap();
        assert_eq!(load_or_backup(&path, utf8).unwrap().as_deref(), Some("good"));
        replace(&path, b"\xfe").unwrap();
        assert!(load_or_backup(&path, utf8).is_err());
    }

    #[test]
    fn an_empty_file_counts_as_missing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        replace(&path, b"").unwrap();
        assert_eq!(load_or_backup(&path, utf8).unwrap(), None);
        replace(&path, b"x").unwrap();
        replace(&path, b"").unwrap();
        assert_eq!(load_or_backup(&path, utf8).unwrap().as_deref(), Some("x"));
    }
}
