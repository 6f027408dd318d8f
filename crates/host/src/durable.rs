//! Small files that are replaced whole.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// Replaces `path` by a file holding `bytes`.
///
/// A crash at any point leaves the old content or the new one, never a mixture; once the call
/// returned, the new one survives a power cut. Missing parent folders are made. The temporary
/// file is `<path>.tmp`: writers of one path must take turns.
///
/// # Errors
/// Those of the file system; the old content is then still there.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    std::fs::create_dir_all(folder)?;
    let temporary = beside(path, ".tmp");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).open(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    drop(file);
    rename(&temporary, path)?;
    // Without this the rename itself may be lost by a power cut.
    File::open(folder)?.sync_all()
}

/// `path` with `suffix` added to its last part.
fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

#[expect(clippy::disallowed_methods, reason = "the folder is synced by the caller")]
fn rename(from: &Path, to: &Path) -> io::Result<()> {
    std::fs::rename(from, to)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replaces_and_leaves_no_temporary_behind() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("deeper/file.json");
        for content in ["first, longer", "second"] {
            replace(&path, content.as_bytes()).expect("the folder is writable");
            assert_eq!(std::fs::read_to_string(&path).expect("it was written"), content);
        }
        let names: Vec<_> = std::fs::read_dir(folder.path().join("deeper"))
            .expect("the folder was made")
            .map(|entry| entry.expect("readable").file_name())
            .collect();
        assert_eq!(names, ["file.json"]);
    }

    #[test]
    fn a_left_over_temporary_does_not_matter() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("file");
        replace(&beside(&path, ".tmp"), b"torn and much longer").expect("writable");
        replace(&path, b"whole").expect("writable");
        assert_eq!(std::fs::read(&path).expect("written"), b"whole");
    }

    #[test]
    fn a_path_below_a_file_is_an_error_and_keeps_the_file() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("file");
        replace(&path, b"kept").expect("writable");
        assert!(replace(&path.join("below"), b"x").is_err());
        assert_eq!(std::fs::read(&path).expect("written"), b"kept");
    }
}
