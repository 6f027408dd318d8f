//! The crate's only `unsafe`: read-only file mappings and the kind of file lock Java sees.
#![expect(unsafe_code, reason = "mmap and fcntl have no safe interface")]

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

/// A whole file, mapped read-only.
#[derive(Debug)]
pub struct Map(memmap2::Mmap);

impl Map {
    /// Maps `file` at its present length.
    pub(crate) fn new(file: &File) -> io::Result<Self> {
        // SAFETY: the store holds the lock of its directory, so no other process that keeps the
        // rules changes the file. We never truncate a file that may be mapped (recovery cuts before
        // anything is mapped, retention only unlinks), and readers are only given ranges below the
        // published end of the log, which are not written again.
        let map = unsafe { memmap2::Mmap::map(file) }?;
        Ok(Self(map))
    }

    /// Bytes `at..at + len`; `None` past the end.
    pub(crate) fn get(&self, at: u64, len: usize) -> Option<&[u8]> {
        let at = usize::try_from(at).ok()?;
        self.0.get(at..at.checked_add(len)?)
    }
}

/// Who else may have the lock.
#[derive(Clone, Copy, Debug)]
pub(crate) enum LockKind {
    /// Others that share it. The file may be open for reading only.
    Shared,
    /// Nobody. The file must be open for writing.
    Exclusive,
}

/// Takes an open-file-description lock on the first byte. False if someone else, a Java broker
/// included, has one that does not go with it. Goes away when the file is closed.
pub(crate) fn lock_first_byte(file: &File, kind: LockKind) -> io::Result<bool> {
    const READ_LOCK: i16 = 0;
    const WRITE_LOCK: i16 = 1;
    const _: () = assert!(
        libc::F_RDLCK == 0 && libc::F_WRLCK == 1,
        "the lock types above are F_RDLCK and F_WRLCK"
    );
    let range = libc::flock {
        l_type: match kind {
            LockKind::Shared => READ_LOCK,
            LockKind::Exclusive => WRITE_LOCK,
        },
        l_whence: 0, // from the start
        l_start: 0,
        l_len: 1,
        l_pid: 0, // required for this kind of lock
    };
    // SAFETY: the descriptor is open as long as `file` is borrowed, and the kernel only reads the
    // struct, which outlives the call.
    let result = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_SETLK, &raw const range) };
    if result == 0 {
        return Ok(true);
    }
    let error = io::Error::last_os_error();
    match error.raw_os_error() {
        Some(libc::EAGAIN | libc::EACCES) => Ok(false),
        _ => Err(error),
    }
}
