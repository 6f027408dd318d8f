//! A store that no broker runs on: what is in it, what is wrong with it, and how to put it right.
//!
//! The log alone matters: queues and index can be made again from it. [`Offline::check`] and
//! [`Offline::dump`] change nothing, not even the lock file; [`Offline::repair`] makes queues and
//! index again, and cuts the log only when told to.

mod check;
mod dump;
mod index;
mod layout;
mod queues;
mod repair;
mod report;
mod walk;

use crate::config::StoreConfig;
use crate::disk::{Disk, DiskFile, OpenMode};
use crate::recovery::{self, OpenError};
use std::io::{self, ErrorKind};
use std::path::Path;
use std::sync::Arc;

pub use dump::{Dump, DumpFilter, Dumped};
pub use layout::sizes_from_files;
pub use repair::{LogChoice, RepairError, Repaired};
pub use report::{
    Foreign, IndexReport, LogDamage, LogReport, QueueReport, Report, SegmentReport, Tail, Verdict,
};

/// What is going to be done with the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Nothing is changed, and others may look at the same time.
    Look,
    /// Files are made, changed and removed.
    Change,
}

/// A store that nobody runs on as long as this value is there.
pub struct Offline {
    config: StoreConfig,
    disk: Arc<dyn Disk>,
    access: Access,
    /// None if there is no lock file: no broker ever ran here, or this is a copy.
    lock: Option<Box<dyn DiskFile>>,
}

impl std::fmt::Debug for Offline {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Offline").field("root", &self.config.root).finish_non_exhaustive()
    }
}

impl Offline {
    /// Takes the store's lock. `config` needs the paths and the sizes ([`sizes_from_files`]).
    ///
    /// # Errors
    /// [`OpenError::Locked`] when a broker, of ours or Java's, uses the store, or when it is to be
    /// changed and somebody looks at it; [`OpenError::Io`] when there is no store, and what
    /// [`crate::Store::open`] refuses as of another kind.
    pub fn open(config: StoreConfig, disk: impl Disk, access: Access) -> Result<Self, OpenError> {
        let config = config.checked().map_err(|reason| OpenError::Config { reason })?;
        let disk: Arc<dyn Disk> = Arc::new(disk);
        let at = |path: &Path| {
            let path = path.to_owned();
            move |source| OpenError::Io { path, source }
        };
        // Otherwise a wrong directory would be an empty store.
        disk.list(&config.commit_log).map_err(at(&config.commit_log))?;
        let path = config.lock_path();
        let mode = match access {
            Access::Look => OpenMode::ReadOnly,
            Access::Change => OpenMode::Existing,
        };
        let lock = match disk.open(&path, mode) {
            Ok(file) => Some(file),
            Err(error) if error.kind() == ErrorKind::NotFound => match access {
                Access::Look => None,
                Access::Change => Some(disk.open(&path, OpenMode::Create).map_err(at(&path))?),
            },
            Err(error) => return Err(at(&path)(error)),
        };
        if let Some(file) = &lock {
            let held = match access {
                Access::Look => file.lock_shared(),
                Access::Change => file.lock(),
            };
            if !held.map_err(at(&path))? {
                return Err(OpenError::Locked { path });
            }
        }
        recovery::refuse_other_kinds(&*disk, &config)?;
        Ok(Self { config, disk, access, lock })
    }

    /// Paths and sizes it was opened with.
    pub fn config(&self) -> &StoreConfig {
        &self.config
    }

    fn exists(&self, name: &str) -> io::Result<bool> {
        Ok(self.disk.list(&self.config.root)?.iter().any(|entry| entry.name == name))
    }
}
