//! A disk in memory that loses power, fills up and fails on command.
//!
//! Every write is kept until the next sync of its file. [`FaultDisk::power_cut`] gives the disk as
//! it would be found after one: what was synced, plus any subset of the pages that were not.

use parking_lot::{Condvar, Mutex};
use rmq_model::Millis;
use rmq_store::disk::{Disk, DiskFile, Entry, Map, OpenMode, Space};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Power loss keeps or loses writes in pieces of this size.
const PAGE: u64 = 512;

/// What goes wrong next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// Writes whose file name contains digits only (log and queue files) fail with "no space" once
    /// this many more bytes were written to them.
    pub space_left: Option<u64>,
    /// Preallocation fails with "no space".
    pub no_new_files: bool,
    /// Syncs fail, and what they should have made durable counts as lost.
    pub sync_fails: bool,
    /// The next write stops half way and fails.
    pub short_write: bool,
    /// What [`Disk::space`] says is used, in percent.
    pub used_percent: u8,
}

/// Content of a file: what is durable, and writes since, in order.
#[derive(Clone, Debug, Default)]
struct Node {
    /// As reads see it.
    now: Vec<u8>,
    durable: Vec<u8>,
    /// Pages written since the last sync.
    dirty: BTreeSet<u64>,
    modified: Millis,
}

#[derive(Default)]
struct State {
    files: BTreeMap<PathBuf, Arc<Mutex<Node>>>,
    /// Names as they would survive a power cut.
    durable_names: BTreeMap<PathBuf, Arc<Mutex<Node>>>,
    dirs: BTreeSet<PathBuf>,
    locked: BTreeMap<PathBuf, Arc<AtomicBool>>,
    faults: Faults,
    syncs: u64,
    now: Millis,
    boot: u64,
}

/// See the module. Clones are the same disk.
#[derive(Clone, Default)]
pub struct FaultDisk {
    state: Arc<Mutex<State>>,
    gate: Arc<SyncGate>,
}

/// Holds syncs up.
#[derive(Default)]
struct SyncGate {
    shut: Mutex<bool>,
    opened: Condvar,
}

impl std::fmt::Debug for FaultDisk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FaultDisk").finish_non_exhaustive()
    }
}

impl FaultDisk {
    /// Sets what goes wrong from now on.
    pub fn set_faults(&self, faults: Faults) {
        self.state.lock().faults = faults;
    }

    /// Syncs of files that begin from now on do not return before this is called with `false`.
    pub fn hold_syncs(&self, hold: bool) {
        *self.gate.shut.lock() = hold;
        self.gate.opened.notify_all();
    }

    /// Syncs of files so far, failed ones not counted.
    pub fn syncs(&self) -> u64 {
        self.state.lock().syncs
    }

    /// Sets the time that files written from now on carry.
    pub fn set_time(&self, now: Millis) {
        self.state.lock().now = now;
    }

    /// The disk as found after a power cut at this moment. `keep` says of each page that was
    /// written but not synced whether it reached the disk; names not synced are kept likewise.
    pub fn power_cut(&self, mut keep: impl FnMut() -> bool) -> Self {
        let state = self.state.lock();
        let mut names = state.durable_names.clone();
        for (path, node) in &state.files {
            if !names.contains_key(path) && keep() {
                names.insert(path.clone(), Arc::clone(node));
            }
        }
        names.retain(|path, _| state.files.contains_key(path) || keep());
        let mut after =
            State { dirs: state.dirs.clone(), boot: state.boot + 1, ..State::default() };
        for (path, node) in names {
            let node = node.lock();
            let mut found = node.durable.clone();
            found.resize(node.now.len().max(found.len()), 0);
            for page in node.dirty.iter().filter(|_| keep()) {
                let from = usize::try_from(page * PAGE).unwrap_or(usize::MAX);
                let to =
                    from.saturating_add(usize::try_from(PAGE).unwrap_or(0)).min(node.now.len());
                if let (Some(to_page), Some(from_page)) =
                    (found.get_mut(from..to), node.now.get(from..to))
                {
                    to_page.copy_from_slice(from_page);
                }
            }
            let node = Node {
                now: found.clone(),
                durable: found,
                dirty: BTreeSet::new(),
                modified: node.modified,
            };
            after.files.insert(path, Arc::new(Mutex::new(node)));
        }
        after.durable_names = after.files.clone();
        Self { state: Arc::new(Mutex::new(after)), gate: Arc::default() }
    }

    /// Content of a file, as reads see it.
    pub fn content(&self, path: &Path) -> Option<Vec<u8>> {
        self.state.lock().files.get(path).map(|node| node.lock().now.clone())
    }

    /// Changes bytes of a file behind everybody's back, durably.
    pub fn damage(&self, path: &Path, at: usize, bytes: &[u8]) {
        if let Some(node) = self.state.lock().files.get(path) {
            let mut node = node.lock();
            let node = &mut *node;
            for content in [&mut node.now, &mut node.durable] {
                if let Some(part) = content.get_mut(at..at + bytes.len()) {
                    part.copy_from_slice(bytes);
                }
            }
        }
    }

    fn not_found(path: &Path) -> io::Error {
        io::Error::new(io::ErrorKind::NotFound, path.display().to_string())
    }
}

impl Disk for FaultDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Box<dyn DiskFile>> {
        let mut state = self.state.lock();
        let now = state.now;
        let node = match state.files.get(path) {
            Some(node) => Arc::clone(node),
            None if mode == OpenMode::Existing => return Err(Self::not_found(path)),
            None => {
                let node = Arc::new(Mutex::new(Node { modified: now, ..Node::default() }));
                state.files.insert(path.to_owned(), Arc::clone(&node));
                node
            }
        };
        let lock = Arc::clone(state.locked.entry(path.to_owned()).or_default());
        let counted = path
            .file_name()
            .is_some_and(|name| name.as_encoded_bytes().iter().all(u8::is_ascii_digit));
        Ok(Box::new(FaultFile {
            node,
            state: Arc::clone(&self.state),
            gate: Arc::clone(&self.gate),
            counted,
            lock,
            holds_lock: AtomicBool::new(false),
        }))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>> {
        let state = self.state.lock();
        if !state.dirs.contains(dir) {
            return Err(Self::not_found(dir));
        }
        let name = |path: &Path| {
            path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
        };
        let files = state.files.iter().filter(|(path, _)| path.parent() == Some(dir)).map(
            |(path, node)| {
                let node = node.lock();
                Entry {
                    name: name(path),
                    is_dir: false,
                    len: node.now.len() as u64,
                    modified: node.modified,
                }
            },
        );
        let dirs = state.dirs.iter().filter(|path| path.parent() == Some(dir));
        let dirs = dirs.map(|path| Entry { name: name(path), is_dir: true, len: 0, modified: 0 });
        Ok(files.chain(dirs).collect())
    }

    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.state.lock();
        state.dirs.extend(dir.ancestors().map(Path::to_owned));
        Ok(())
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        let removed = self.state.lock().files.remove(path);
        removed.map(drop).ok_or_else(|| Self::not_found(path))
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state.lock();
        if !state.dirs.contains(path) {
            return Err(Self::not_found(path));
        }
        let inside = |other: &PathBuf| other != path && other.starts_with(path);
        if state.files.keys().any(inside) || state.dirs.iter().any(inside) {
            return Err(io::Error::from(io::ErrorKind::DirectoryNotEmpty));
        }
        state.dirs.remove(path);
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state.lock();
        let node = state.files.remove(from).ok_or_else(|| Self::not_found(from))?;
        state.files.insert(to.to_owned(), node);
        Ok(())
    }

    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state.lock();
        let node = state.files.get(from).cloned().ok_or_else(|| Self::not_found(from))?;
        if state.files.contains_key(to) {
            return Err(io::Error::from(io::ErrorKind::AlreadyExists));
        }
        state.files.insert(to.to_owned(), node);
        Ok(())
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.state.lock();
        if state.faults.sync_fails {
            return Err(io::Error::other("injected sync failure"));
        }
        let here = |path: &PathBuf| path.parent() == Some(dir);
        let now: Vec<_> = state
            .files
            .iter()
            .filter(|(path, _)| here(path))
            .map(|(path, node)| (path.clone(), Arc::clone(node)))
            .collect();
        state.durable_names.retain(|path, _| !here(path));
        state.durable_names.extend(now);
        Ok(())
    }

    fn space(&self, _dir: &Path) -> io::Result<Space> {
        let used = u64::from(self.state.lock().faults.used_percent.min(100));
        Ok(Space { used, available: 100 - used })
    }

    fn boot_id(&self) -> String {
        format!("boot-{}", self.state.lock().boot)
    }
}

struct FaultFile {
    node: Arc<Mutex<Node>>,
    state: Arc<Mutex<State>>,
    gate: Arc<SyncGate>,
    /// A log or queue file.
    counted: bool,
    lock: Arc<AtomicBool>,
    holds_lock: AtomicBool,
}

impl Drop for FaultFile {
    fn drop(&mut self) {
        if self.holds_lock.load(Ordering::Acquire) {
            self.lock.store(false, Ordering::Release);
        }
    }
}

impl FaultFile {
    fn store(&self, at: u64, bytes: &[u8], now: Millis) {
        let mut node = self.node.lock();
        let from = usize::try_from(at).unwrap_or(usize::MAX);
        let to = from.saturating_add(bytes.len());
        if node.now.len() < to {
            node.now.resize(to, 0);
        }
        if let Some(part) = node.now.get_mut(from..to) {
            part.copy_from_slice(bytes);
        }
        if !bytes.is_empty() {
            let last = at + bytes.len() as u64 - 1;
            node.dirty.extend(at / PAGE..=last / PAGE);
        }
        node.modified = now;
    }
}

impl DiskFile for FaultFile {
    fn write_all_at(&self, at: u64, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.state.lock();
        let now = state.now;
        if std::mem::take(&mut state.faults.short_write) {
            let half = bytes.get(..bytes.len() / 2).unwrap_or_default();
            self.store(at, half, now);
            return Err(io::Error::other("injected short write"));
        }
        if self.counted
            && let Some(left) = &mut state.faults.space_left
        {
            let len = bytes.len() as u64;
            if *left < len {
                let fits = usize::try_from(*left).unwrap_or(0);
                *left = 0;
                self.store(at, bytes.get(..fits).unwrap_or_default(), now);
                return Err(io::Error::from(io::ErrorKind::StorageFull));
            }
            *left -= len;
        }
        drop(state);
        self.store(at, bytes, now);
        Ok(())
    }

    fn read_exact_at(&self, at: u64, bytes: &mut [u8]) -> io::Result<()> {
        let node = self.node.lock();
        let from = usize::try_from(at).unwrap_or(usize::MAX);
        let part = node.now.get(from..from.saturating_add(bytes.len()));
        let part = part.ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof))?;
        bytes.copy_from_slice(part);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.gate.opened.wait_while(&mut self.gate.shut.lock(), |shut| *shut);
        let mut state = self.state.lock();
        let mut node = self.node.lock();
        if state.faults.sync_fails {
            // As Linux does: the pages are clean now, but never reached the disk.
            node.dirty.clear();
            return Err(io::Error::other("injected sync failure"));
        }
        state.syncs += 1;
        node.durable = node.now.clone();
        node.dirty.clear();
        Ok(())
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.node.lock().now.len() as u64)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut node = self.node.lock();
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        node.now.resize(len, 0);
        // A journalled file system keeps lengths together with names.
        node.durable.resize(len, 0);
        Ok(())
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        if self.state.lock().faults.no_new_files {
            return Err(io::Error::from(io::ErrorKind::StorageFull));
        }
        self.set_len(len)
    }

    fn zero(&self, from: u64, to: u64) -> io::Result<()> {
        let now = self.state.lock().now;
        let len = usize::try_from(to.saturating_sub(from)).unwrap_or(0);
        self.store(from, &vec![0; len], now);
        Ok(())
    }

    fn map(&self) -> io::Result<Option<Map>> {
        Ok(None)
    }

    fn lock(&self) -> io::Result<bool> {
        let free = !self.lock.swap(true, Ordering::AcqRel);
        if free {
            self.holds_lock.store(true, Ordering::Release);
        }
        Ok(free)
    }
}
