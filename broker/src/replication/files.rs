//! What a copy of the log remembers of itself: its id, and who wrote which part.

use rmq_replica::{Entry, Epoch, Epochs, LogEnds, StoreId};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

/// Why the files cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FilesError {
    /// The file system refuses, or neither the file nor its backup can be read.
    #[error("cannot use {path}")]
    Io {
        /// File.
        path: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The file holds something else than a store id.
    #[error("{path} holds no store id: remove it, and the store counts as a new copy")]
    StoreId {
        /// File.
        path: String,
    },
    /// The numbers of epochs are used up.
    #[error("{path} has the last epoch there can be: remove it and empty the replicas' stores")]
    LastEpoch {
        /// File.
        path: String,
    },
}

fn at(path: &Path) -> impl Fn(io::Error) -> FilesError {
    let path = path.display().to_string();
    move |source| FilesError::Io { path: path.clone(), source }
}

/// `epochFileCheckpoint` of a store.
pub(super) fn epochs_path(root: &Path) -> PathBuf {
    root.join("epochFileCheckpoint")
}

/// The id of the store, made on first use.
pub(super) fn store_id(root: &Path) -> Result<StoreId, FilesError> {
    let path = root.join("rmq").join("store-id");
    let parse = |bytes: &[u8]| {
        let text = std::str::from_utf8(bytes).ok()?.trim();
        let number = u128::from_str_radix(text, 16).ok().filter(|_| text.len() == 32)?;
        Some(StoreId(number.to_be_bytes()))
    };
    match std::fs::read(&path) {
        Ok(bytes) => {
            let unknown = || FilesError::StoreId { path: path.display().to_string() };
            return parse(&bytes).ok_or_else(unknown);
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(at(&path)(error)),
    }
    let mut random = [0; 16];
    let source = Path::new("/dev/urandom");
    let read = std::fs::File::open(source).and_then(|mut file| file.read_exact(&mut random));
    read.map_err(at(source))?;
    let id = StoreId(random);
    rmq_store::durable::replace(&path, format!("{id}\n").as_bytes()).map_err(at(&path))?;
    Ok(id)
}

/// The epochs of a store whose log is as `log` says.
pub(super) fn load_epochs(root: &Path, log: LogEnds) -> Result<Epochs, FilesError> {
    let path = epochs_path(root);
    let decode = |bytes: &[u8]| Epochs::decode(std::str::from_utf8(bytes).ok()?).ok();
    let found = rmq_store::durable::load_or_backup(&path, decode).map_err(at(&path))?;
    let mut epochs = found.unwrap_or_default();
    epochs.cut(log.end);
    epochs.trim(log.min);
    Ok(epochs)
}

/// Makes epochs durable.
pub(super) fn save_epochs(root: &Path, epochs: &Epochs) -> Result<(), FilesError> {
    let path = epochs_path(root);
    rmq_store::durable::replace(&path, epochs.encode().as_bytes()).map_err(at(&path))
}

/// Begins the next epoch of a master, durably: before it stores anything.
pub(super) fn begin_epoch(root: &Path, log: LogEnds, store: StoreId) -> Result<Epochs, FilesError> {
    let mut epochs = load_epochs(root, log)?;
    let path = || epochs_path(root).display().to_string();
    let epoch = epochs.last_epoch().next_of(store.slot());
    let epoch = epoch.ok_or_else(|| FilesError::LastEpoch { path: path() })?;
    if epochs.entries().is_empty() && log.min < log.end {
        // Written before epochs were counted: nothing is before it, so it fits.
        epochs.begin(Entry { epoch: Epoch::NONE, start: log.min }).ok();
    }
    // Later than all, and at the end: it fits too.
    epochs.begin(Entry { epoch, start: log.end }).ok();
    save_epochs(root, &epochs)?;
    Ok(epochs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rmq_model::LogOffset;

    #[test]
    fn a_store_keeps_its_id_and_begins_an_epoch_at_every_start() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let root = folder.path();
        std::fs::create_dir_all(root.join("rmq")).expect("a fresh folder");
        let id = store_id(root).expect("made");
        assert_eq!(store_id(root).expect("read"), id);
        let log = |end| LogEnds { end: LogOffset(end), ..LogEnds::default() };
        let first = begin_epoch(root, log(100), id).expect("begun");
        let starts = |epochs: &Epochs| {
            epochs.entries().iter().map(|entry| entry.start.0).collect::<Vec<_>>()
        };
        assert_eq!(starts(&first), [0, 100]);
        assert_eq!(first.entries()[0].epoch, Epoch::NONE);
        let second = begin_epoch(root, log(200), id).expect("begun");
        assert_eq!(starts(&second), [0, 100, 200]);
        // What was lost was written in no epoch.
        let third = begin_epoch(root, log(150), id).expect("begun");
        assert_eq!(starts(&third), [0, 100, 150]);
        assert!(first.last_epoch() < second.last_epoch());
        rmq_store::durable::replace(&root.join("rmq/store-id"), b"x").expect("writable");
        assert!(matches!(store_id(root), Err(FilesError::StoreId { .. })));
    }
}
