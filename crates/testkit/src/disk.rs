//! A disk in memory that loses power, fills up and fails on command.
//!
//! It keeps what a file system promises and nothing more: bytes and the length of a file are
//! durable once the file was synced, names once their directory was. [`FaultDisk::power_cut`] gives
//! the disk as it would be found after a power cut: what was durable, plus any mixture of what was
//! not. Of every 512 bytes written since the last sync any state that they went through may be
//! found, so writes are torn and reordered.
//!
//! What changes the disk is counted. [`FaultDisk::power_off_at`] lets the power fail in the middle
//! of the n-th of these operations, [`Faults::fail_at`] lets that one fail alone.

use parking_lot::{Condvar, Mutex, MutexGuard};
use rmq_model::Millis;
use rmq_store::disk::{Disk, DiskFile, Entry, Map, OpenMode, Space};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::ops::Range;
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
    /// The operation with this number fails.
    pub fail_at: Option<(u64, Failure)>,
    /// Nothing can be changed, as after the file system was remounted read-only.
    pub read_only: bool,
    /// What [`Disk::space`] says is used, in percent.
    pub used_percent: u8,
}

/// How an operation fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Nothing of it happens. Of a sync: what it should have made durable is lost, and a later sync
    /// does not know.
    Io,
    /// A write stops half way. Other operations as [`Failure::Io`].
    Short,
    /// A write stops half way since there is no more space. Other operations fail with that too,
    /// but for syncs, which are [`Failure::Io`].
    NoSpace,
}

/// Content of a file: what is durable, and what was written since.
#[derive(Clone, Debug, Default)]
struct Node {
    /// As reads see it.
    now: Vec<u8>,
    durable: Vec<u8>,
    /// States of each page written since the last sync, oldest first.
    pending: BTreeMap<u64, Vec<Vec<u8>>>,
    /// Bytes that cannot be read.
    unreadable: Vec<Range<u64>>,
    modified: Millis,
}

type NodeRef = Arc<Mutex<Node>>;

#[derive(Default)]
struct State {
    files: BTreeMap<PathBuf, Arc<Mutex<Node>>>,
    /// Names as they would survive a power cut.
    durable_names: BTreeMap<PathBuf, Arc<Mutex<Node>>>,
    dirs: BTreeSet<PathBuf>,
    durable_dirs: BTreeSet<PathBuf>,
    locked: BTreeMap<PathBuf, Arc<AtomicBool>>,
    faults: Faults,
    syncs: u64,
    operations: u64,
    off_at: Option<u64>,
    off: bool,
    now: Millis,
    boot: u64,
}

/// What becomes of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Done,
    /// The power fails while it is under way: it may or may not be found done.
    PowerFails,
    Fails(Failure),
}

impl State {
    /// Counts an operation that changes the disk.
    fn operation(&mut self) -> io::Result<Fate> {
        if self.off {
            return Err(power_is_off());
        }
        if self.faults.read_only {
            return Err(io::Error::from(io::ErrorKind::ReadOnlyFilesystem));
        }
        let number = self.operations;
        self.operations += 1;
        if self.off_at == Some(number) {
            self.off = true;
            return Ok(Fate::PowerFails);
        }
        match self.faults.fail_at {
            Some((at, failure)) if at == number => Ok(Fate::Fails(failure)),
            _ => Ok(Fate::Done),
        }
    }

    /// Does something to names or lengths, unless that fails.
    fn change(&mut self, change: impl FnOnce(&mut Self) -> io::Result<()>) -> io::Result<()> {
        match self.operation()? {
            Fate::Done => change(self),
            Fate::PowerFails => change(self).and(Err(power_is_off())),
            Fate::Fails(failure) => Err(failure.error()),
        }
    }
}

impl Failure {
    fn error(self) -> io::Error {
        match self {
            Self::Io | Self::Short => io::Error::other("injected failure"),
            Self::NoSpace => io::Error::from(io::ErrorKind::StorageFull),
        }
    }
}

fn power_is_off() -> io::Error {
    io::Error::other("the power is off")
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

    /// Operations so far that changed something or made it durable: writes, syncs, and changes of
    /// names and lengths.
    pub fn operations(&self) -> u64 {
        self.state.lock().operations
    }

    /// The power fails in the middle of the operation with this number. It and all later ones are
    /// errors, and so are reads.
    pub fn power_off_at(&self, operation: u64) {
        self.state.lock().off_at = Some(operation);
    }

    /// Whether the power has failed.
    pub fn is_off(&self) -> bool {
        self.state.lock().off
    }

    /// Sets the time that files written from now on carry.
    pub fn set_time(&self, now: Millis) {
        self.state.lock().now = now;
    }

    /// The disk as found after a power cut at this moment. `keep` is asked, for everything that was
    /// not durable, whether it reached the disk: for each state of a page, the latest first, until
    /// one did; for lengths, names and directories.
    pub fn power_cut(&self, mut keep: impl FnMut() -> bool) -> Self {
        let state = self.state.lock();
        let mut dirs = BTreeSet::new();
        for dir in state.dirs.union(&state.durable_dirs) {
            let both = state.dirs.contains(dir) && state.durable_dirs.contains(dir);
            if dir.parent().is_none_or(|parent| dirs.contains(parent) && (both || keep())) {
                dirs.insert(dir.clone());
            }
        }
        let mut names = state.durable_names.clone();
        for (path, node) in &state.files {
            let known = names.get(path).is_some_and(|durable| Arc::ptr_eq(durable, node));
            if !known && keep() {
                names.insert(path.clone(), Arc::clone(node));
            }
        }
        names.retain(|path, _| state.files.contains_key(path) || keep());
        names.retain(|path, _| path.parent().is_some_and(|dir| dirs.contains(dir)));
        let mut after = State { boot: state.boot + 1, now: state.now, ..State::default() };
        for (path, node) in names {
            let node = node.lock().after_power_cut(&mut keep);
            after.files.insert(path, Arc::new(Mutex::new(node)));
        }
        after.durable_names = after.files.clone();
        after.durable_dirs = dirs.clone();
        after.dirs = dirs;
        Self { state: Arc::new(Mutex::new(after)), gate: Arc::default() }
    }

    /// The disk as a new process finds it after the old one was killed: all that was written, with
    /// the kernel that ran before. What the old process still does is not seen.
    pub fn process_kill(&self) -> Self {
        let state = self.state.lock();
        // One file may have several names, durable ones and others.
        let mut copies: Vec<(NodeRef, NodeRef)> = Vec::new();
        let mut copied = |files: &BTreeMap<PathBuf, NodeRef>| {
            let mut copy = |node: &NodeRef| {
                if let Some((_, copy)) = copies.iter().find(|(of, _)| Arc::ptr_eq(of, node)) {
                    return Arc::clone(copy);
                }
                let copy = Arc::new(Mutex::new(node.lock().clone()));
                copies.push((Arc::clone(node), Arc::clone(&copy)));
                copy
            };
            files.iter().map(|(path, node)| (path.clone(), copy(node))).collect()
        };
        let after = State {
            files: copied(&state.files),
            durable_names: copied(&state.durable_names),
            dirs: state.dirs.clone(),
            durable_dirs: state.durable_dirs.clone(),
            now: state.now,
            boot: state.boot,
            ..State::default()
        };
        Self { state: Arc::new(Mutex::new(after)), gate: Arc::default() }
    }

    /// Content of a file, as reads see it.
    pub fn content(&self, path: &Path) -> Option<Vec<u8>> {
        self.state.lock().files.get(path).map(|node| node.lock().now.clone())
    }

    /// Names and contents of all files.
    pub fn contents(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let state = self.state.lock();
        state.files.iter().map(|(path, node)| (path.clone(), node.lock().now.clone())).collect()
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

    /// From now on these bytes of a file cannot be read.
    pub fn make_unreadable(&self, path: &Path, bytes: Range<u64>) {
        if let Some(node) = self.state.lock().files.get(path) {
            node.lock().unreadable.push(bytes);
        }
    }

    fn not_found(path: &Path) -> io::Error {
        io::Error::new(io::ErrorKind::NotFound, path.display().to_string())
    }

    /// For calls that read: an error once the power has failed.
    fn powered(&self) -> io::Result<MutexGuard<'_, State>> {
        let state = self.state.lock();
        if state.off { Err(power_is_off()) } else { Ok(state) }
    }
}

impl Node {
    fn after_power_cut(&self, keep: &mut impl FnMut() -> bool) -> Self {
        let mut found = self.durable.clone();
        if self.now.len() != self.durable.len() && keep() {
            found.resize(self.now.len(), 0);
        }
        for (page, states) in &self.pending {
            let Some(state) = states.iter().rev().find(|_| keep()) else { continue };
            let from = usize::try_from(page * PAGE).unwrap_or(usize::MAX);
            let to = from.saturating_add(state.len()).min(found.len());
            if let Some(part) = found.get_mut(from..to) {
                part.copy_from_slice(state.get(..part.len()).unwrap_or_default());
            }
        }
        let unreadable = self.unreadable.clone();
        let (durable, pending, modified) = (found.clone(), BTreeMap::new(), self.modified);
        Self { now: found, durable, pending, unreadable, modified }
    }

    fn write(&mut self, at: u64, bytes: &[u8], now: Millis) {
        let from = usize::try_from(at).unwrap_or(usize::MAX);
        let to = from.saturating_add(bytes.len());
        if self.now.len() < to {
            self.now.resize(to, 0);
        }
        if let Some(part) = self.now.get_mut(from..to) {
            part.copy_from_slice(bytes);
        }
        self.modified = now;
        if bytes.is_empty() {
            return;
        }
        let last = at + bytes.len() as u64 - 1;
        for page in at / PAGE..=last / PAGE {
            let from = usize::try_from(page * PAGE).unwrap_or(usize::MAX);
            let to = from.saturating_add(usize::try_from(PAGE).unwrap_or(0)).min(self.now.len());
            let state = self.now.get(from..to).unwrap_or_default().to_vec();
            self.pending.entry(page).or_default().push(state);
        }
    }

    fn set_len(&mut self, len: u64) {
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        self.now.resize(len, 0);
        self.pending.retain(|page, _| page * PAGE < len as u64);
    }

    /// Makes durable what is known to be written since the last sync: not what a failed one lost.
    fn sync(&mut self) {
        self.durable.resize(self.now.len(), 0);
        for (page, states) in std::mem::take(&mut self.pending) {
            let from = usize::try_from(page * PAGE).unwrap_or(usize::MAX);
            if let Some(state) = states.last()
                && let Some(part) = self.durable.get_mut(from..from.saturating_add(state.len()))
            {
                part.copy_from_slice(state);
            }
        }
    }
}

impl Disk for FaultDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Box<dyn DiskFile>> {
        let mut state = self.powered()?;
        if state.faults.read_only && mode != OpenMode::ReadOnly {
            return Err(io::Error::from(io::ErrorKind::ReadOnlyFilesystem));
        }
        let now = state.now;
        let node = match state.files.get(path) {
            Some(node) => Arc::clone(node),
            None if mode != OpenMode::Create => return Err(Self::not_found(path)),
            None => {
                let node = Arc::new(Mutex::new(Node { modified: now, ..Node::default() }));
                state.change(|state| {
                    state.files.insert(path.to_owned(), Arc::clone(&node));
                    Ok(())
                })?;
                node
            }
        };
        let lock = Arc::clone(state.locked.entry(path.to_owned()).or_default());
        let counted = path
            .file_name()
            .is_some_and(|name| name.as_encoded_bytes().iter().all(u8::is_ascii_digit));
        Ok(Box::new(FaultFile {
            node,
            disk: self.clone(),
            counted,
            lock,
            holds_lock: AtomicBool::new(false),
        }))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>> {
        let state = self.powered()?;
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
        let mut state = self.powered()?;
        if state.dirs.contains(dir) {
            return Ok(());
        }
        state.change(|state| {
            state.dirs.extend(dir.ancestors().map(Path::to_owned));
            Ok(())
        })
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        let mut state = self.powered()?;
        if !state.files.contains_key(path) {
            return Err(Self::not_found(path));
        }
        state.change(|state| {
            state.files.remove(path);
            Ok(())
        })
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        let mut state = self.powered()?;
        if !state.dirs.contains(path) {
            return Err(Self::not_found(path));
        }
        let inside = |other: &PathBuf| other != path && other.starts_with(path);
        if state.files.keys().any(inside) || state.dirs.iter().any(inside) {
            return Err(io::Error::from(io::ErrorKind::DirectoryNotEmpty));
        }
        state.change(|state| {
            state.dirs.remove(path);
            Ok(())
        })
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.powered()?;
        let node = state.files.get(from).cloned().ok_or_else(|| Self::not_found(from))?;
        state.change(|state| {
            state.files.remove(from);
            state.files.insert(to.to_owned(), node);
            Ok(())
        })
    }

    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.powered()?;
        let node = state.files.get(from).cloned().ok_or_else(|| Self::not_found(from))?;
        if state.files.contains_key(to) {
            return Err(io::Error::from(io::ErrorKind::AlreadyExists));
        }
        state.change(|state| {
            state.files.insert(to.to_owned(), node);
            Ok(())
        })
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.powered()?;
        match state.operation()? {
            Fate::Done => {}
            Fate::PowerFails => return Err(power_is_off()),
            Fate::Fails(_) => return Err(io::Error::other("injected sync failure")),
        }
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
        let dirs: Vec<_> = state.dirs.iter().filter(|dir| here(dir)).cloned().collect();
        state.durable_dirs.retain(|path| !here(path));
        state.durable_dirs.extend(dirs);
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
    disk: FaultDisk,
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

impl DiskFile for FaultFile {
    fn write_all_at(&self, at: u64, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.disk.powered()?;
        let fate = state.operation()?;
        let now = state.now;
        let mut node = self.node.lock();
        let half = bytes.get(..bytes.len() / 2).unwrap_or_default();
        match fate {
            Fate::Done => {}
            Fate::PowerFails => {
                node.write(at, bytes, now);
                return Err(power_is_off());
            }
            Fate::Fails(failure) => {
                if failure != Failure::Io {
                    node.write(at, half, now);
                }
                return Err(failure.error());
            }
        }
        if std::mem::take(&mut state.faults.short_write) {
            node.write(at, half, now);
            return Err(io::Error::other("injected short write"));
        }
        if self.counted
            && let Some(left) = &mut state.faults.space_left
        {
            let len = bytes.len() as u64;
            if *left < len {
                let fits = usize::try_from(*left).unwrap_or(0);
                *left = 0;
                node.write(at, bytes.get(..fits).unwrap_or_default(), now);
                return Err(io::Error::from(io::ErrorKind::StorageFull));
            }
            *left -= len;
        }
        node.write(at, bytes, now);
        Ok(())
    }

    fn read_exact_at(&self, at: u64, bytes: &mut [u8]) -> io::Result<()> {
        drop(self.disk.powered()?);
        let node = self.node.lock();
        let end = at.saturating_add(bytes.len() as u64);
        if node.unreadable.iter().any(|bad| at < bad.end && bad.start < end) {
            return Err(io::Error::other("injected read failure"));
        }
        let from = usize::try_from(at).unwrap_or(usize::MAX);
        let part = node.now.get(from..from.saturating_add(bytes.len()));
        let part = part.ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof))?;
        bytes.copy_from_slice(part);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.disk.gate.opened.wait_while(&mut self.disk.gate.shut.lock(), |shut| *shut);
        let mut state = self.disk.powered()?;
        let fate = state.operation()?;
        let mut node = self.node.lock();
        match fate {
            Fate::PowerFails => return Err(power_is_off()),
            Fate::Done if !state.faults.sync_fails => {}
            Fate::Done | Fate::Fails(_) => {
                // As Linux does: the pages are clean now, but never reached the disk.
                node.pending.clear();
                return Err(io::Error::other("injected sync failure"));
            }
        }
        state.syncs += 1;
        node.sync();
        Ok(())
    }

    fn size(&self) -> io::Result<u64> {
        drop(self.disk.powered()?);
        Ok(self.node.lock().now.len() as u64)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.disk.powered()?.change(|_| {
            self.node.lock().set_len(len);
            Ok(())
        })
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        if self.disk.powered()?.faults.no_new_files {
            return Err(io::Error::from(io::ErrorKind::StorageFull));
        }
        self.set_len(len)
    }

    fn zero(&self, from: u64, to: u64) -> io::Result<()> {
        let len = usize::try_from(to.saturating_sub(from)).unwrap_or(0);
        self.disk.powered()?.change(|state| {
            self.node.lock().write(from, &vec![0; len], state.now);
            Ok(())
        })
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

    /// One at a time here; that others may share it is the file system's to show.
    fn lock_shared(&self) -> io::Result<bool> {
        self.lock()
    }
}
