//! Making queues and index again from the log.
//!
//! The order survives a kill at any moment: first the store is marked as stopped uncleanly and the
//! marks that would shorten recovery go, so that whoever opens it next reads the whole log; only
//! then files are moved and removed.

use super::layout::{self, list};
use super::report::{LogDamage, Tail};
use super::walk::{End, Seen, walk};
use super::{Access, Offline};
use crate::config::{OnDamage, position_name};
use crate::disk::{Disk, OpenMode};
use crate::durable::remove_if_there;
use crate::put::Observers;
use crate::recovery::OpenError;
use crate::store::{CloseError, Locked, Store};
use rmq_model::{Clock, LogOffset};
use std::collections::BTreeSet;
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What is done about a damaged log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogChoice {
    /// Nothing: the repair is refused.
    Keep,
    /// It ends before the first damaged place; messages behind it are lost.
    CutAtDamage,
}

/// What a repair did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repaired {
    /// One past the log's last byte.
    pub end: LogOffset,
    /// Records in the log.
    pub records: u64,
    /// Queues there are now.
    pub queues: usize,
    /// The place at which the log was cut, and valid records that were behind it.
    pub cut: Option<(LogOffset, u64)>,
    /// Files that no broker would accept, by their new places.
    pub set_aside: Vec<PathBuf>,
}

/// Why a store was not repaired.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RepairError {
    /// The value was opened for looking only. Nothing was changed.
    #[error("the store was opened without the right to change it")]
    NotAllowed,
    /// The log is damaged. Nothing was changed. Restore the file from a replica or a backup, or cut
    /// the log there.
    #[error(
        "{} is damaged at byte {} (log offset {}): {}; {records} valid records follow from log \
         offset {} on",
        damage.path.display(), damage.at, damage.offset, damage.fault, damage.resumes
    )]
    Damaged {
        /// The first place.
        damage: LogDamage,
        /// Records that a cut would lose.
        records: u64,
    },
    /// A file of the log is missing or has a wrong length. Nothing was changed.
    #[error("{} is missing or of another length: the log has a gap", path.display())]
    Gap {
        /// The file.
        path: PathBuf,
    },
    /// A file cannot be read or changed. The next repair, or the next start, goes on from here.
    #[error("cannot repair {}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The store could not be opened after its queues were removed.
    #[error("cannot recover the store")]
    Open(#[from] OpenError),
    /// The queues were made, but not everything could be written.
    #[error("cannot complete the store")]
    Close(#[from] CloseError),
}

impl Offline {
    /// Makes queues and index again from the log, and leaves the store as after a clean stop. An
    /// index whose sizes are not known, or that is switched off, stays as it is.
    ///
    /// Units of records that retention deleted are kept: they tell where a queue goes on. Files
    /// that a broker would refuse are moved to `rmq/set-aside`. Queues of topics that have neither
    /// files now nor are known to `is_known` were deleted, and stay away.
    ///
    /// # Errors
    /// [`RepairError`] says whether anything was changed.
    pub fn repair(
        self,
        choice: LogChoice,
        clock: Arc<dyn Clock>,
        is_known: &dyn Fn(&str) -> bool,
    ) -> Result<Repaired, RepairError> {
        let Self { mut config, disk, access, lock } = self;
        let (Some(lock), Access::Change) = (lock, access) else {
            return Err(RepairError::NotAllowed);
        };
        let at = |path: &Path| {
            let path = path.to_owned();
            move |source| RepairError::Io { path, source }
        };
        let here = at(&config.root);
        let segments = layout::segments(&*disk, &config).map_err(at(&config.commit_log))?;
        let gap = segments.missing.into_iter().chain(segments.foreign.into_iter().map(|f| f.path));
        if let Some(path) = gap.into_iter().next() {
            return Err(RepairError::Gap { path });
        }
        let log = survey(&segments.good).map_err(at(&config.commit_log))?;
        let cut = match (log.damage, choice) {
            (None, _) => None,
            (Some(damage), LogChoice::Keep) => {
                return Err(RepairError::Damaged { damage, records: log.behind });
            }
            (Some(damage), LogChoice::CutAtDamage) => Some((damage.offset, log.behind)),
        };
        drop(segments.good);
        let with_files: BTreeSet<Arc<str>> = layout::queue_dirs(&*disk, &config)
            .map_err(at(&config.queues_dir()))?
            .into_iter()
            .map(|(topic, _, _)| topic)
            .collect();

        let abort = config.abort_path();
        mark_unclean(&*disk, &config).map_err(at(&abort))?;
        let set_aside = set_aside(&*disk, &config).map_err(here)?;
        if config.index.is_some() {
            let index = config.index_dir();
            remove_index(&*disk, &index).map_err(at(&index))?;
        }

        config.on_damage = OnDamage::Cut;
        let root = config.root.clone();
        let store = Store::open_locked(Locked { config, disk, lock }, clock, Observers::none())?;
        for topic in store.topics() {
            if !with_files.contains(&topic) && !is_known(&topic) {
                store.delete_topic(&topic).map_err(at(&root))?;
            }
        }
        let queues = store.topics().iter().map(|topic| store.queues(topic).len()).sum();
        let end = store.log_range().end;
        store.close()?;
        Ok(Repaired { end, records: log.records, queues, cut, set_aside })
    }
}

/// What a look at the log finds.
#[derive(Debug, Default)]
struct Survey {
    /// Records before the first damage.
    records: u64,
    damage: Option<LogDamage>,
    /// Records behind it.
    behind: u64,
}

fn survey(segments: &[Arc<crate::log::Segment>]) -> io::Result<Survey> {
    let mut log = Survey::default();
    let end: End = walk(segments, 0, &mut |seen| {
        match seen {
            Seen::Record(_) if log.damage.is_some() => log.behind += 1,
            Seen::Record(_) => log.records += 1,
            Seen::Damage(damage) => log.damage = log.damage.take().or(Some(damage)),
        }
        Ok(ControlFlow::Continue(()))
    })?;
    if let Tail::Torn { bytes } = end.tail {
        tracing::info!(end = end.at, bytes, "bytes behind the log's end are cleared");
    }
    Ok(log)
}

/// From here on whoever opens the store reads the whole log.
fn mark_unclean(disk: &dyn Disk, config: &crate::config::StoreConfig) -> io::Result<()> {
    let abort = disk.open(&config.abort_path(), OpenMode::Create)?;
    abort.sync_data()?;
    disk.sync_dir(&config.root)?;
    let checkpoint = disk.open(&config.checkpoint_path(), OpenMode::Create)?;
    checkpoint.write_all_at(0, &[0; 40])?;
    checkpoint.sync_data()?;
    remove_if_there(disk, &config.own_dir().join("progress"))?;
    if disk.list(&config.own_dir()).is_ok() {
        disk.sync_dir(&config.own_dir())?;
    }
    disk.sync_dir(&config.root)
}

/// Moves queue files that a broker would refuse out of its way.
fn set_aside(disk: &dyn Disk, config: &crate::config::StoreConfig) -> io::Result<Vec<PathBuf>> {
    let mut foreign = Vec::new();
    for (_, _, dir) in layout::queue_dirs(disk, config)? {
        layout::queue_files(disk, config, &dir, &mut foreign)?;
    }
    let dir = config.own_dir().join("set-aside");
    let mut moved = Vec::new();
    if foreign.is_empty() {
        return Ok(moved);
    }
    disk.create_dir_all(&dir)?;
    let taken = list(disk, &dir)?.len();
    for (number, file) in foreign.into_iter().enumerate() {
        let below = file.path.strip_prefix(&config.root).unwrap_or(&file.path);
        let name = below.to_string_lossy().replace('/', "+");
        let number = u64::try_from(taken + number).unwrap_or(u64::MAX);
        let to = dir.join(format!("{}-{name}", position_name(number)));
        disk.rename(&file.path, &to)?;
        if let Some(from) = file.path.parent() {
            disk.sync_dir(from)?;
        }
        moved.push(to);
    }
    disk.sync_dir(&dir)?;
    Ok(moved)
}

fn remove_index(disk: &dyn Disk, dir: &Path) -> io::Result<()> {
    let files = list(disk, dir)?;
    for entry in files.iter().filter(|entry| !entry.is_dir && entry.name.parse::<u64>().is_ok()) {
        disk.remove_file(&dir.join(&entry.name))?;
    }
    if files.is_empty() { Ok(()) } else { disk.sync_dir(dir) }
}
