//! Directories: one for all clusters, one for each, one for each of its pods.
//!
//! ```text
//! <data dir>/<cluster>/lock             held by the supervisor; its pid as text
//!                      cluster.json     the manifest in force, addresses and plan
//!                      state.json       what the supervisor sees, replaced at each change
//!                      supervisor.log   starts, exits and restarts
//!                      pods/<pod>/config/ its files, written at each start
//!                                 store/ messages (brokers)
//!                                 kvConfig.json (name servers)
//!                                 log    what the pod logs, and log.1, log.2, ... before it
//! ```

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use rmq_operator_api::validate::is_cluster_name;

use super::process::wait_until;

/// Longest time that somebody who only looks at the lock holds it.
const MOMENT: Duration = Duration::from_millis(100);

/// The directory of all clusters.
#[derive(Clone, Debug)]
pub struct DataDir {
    path: PathBuf,
}

impl DataDir {
    /// The one given, else the user's.
    ///
    /// # Errors
    /// When none is given and the environment names no home either.
    pub fn locate(given: Option<&Path>) -> anyhow::Result<Self> {
        let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|p| p.is_absolute());
        let path = match given {
            Some(path) => std::path::absolute(path).context("cannot use the data directory")?,
            None => absolute("XDG_DATA_HOME")
                .or_else(|| absolute("HOME").map(|home| home.join(".local/share")))
                .context("neither XDG_DATA_HOME nor HOME is set: use --data-dir")?
                .join("rmq"),
        };
        if path.to_str().is_none() {
            bail!("the data directory {} is not valid UTF-8", path.display());
        }
        Ok(Self { path })
    }

    /// The directory of one cluster, which need not exist.
    ///
    /// # Errors
    /// When `name` cannot be the name of a cluster.
    pub fn cluster(&self, name: &str) -> anyhow::Result<ClusterDir> {
        if !is_cluster_name(name) {
            bail!("`{name}` cannot be the name of a cluster");
        }
        Ok(ClusterDir { name: name.to_owned(), path: self.path.join(name) })
    }

    /// Every cluster that has been started once and not been removed, by name.
    ///
    /// # Errors
    /// When the directory cannot be read; that it does not exist is no error.
    pub fn clusters(&self) -> anyhow::Result<Vec<ClusterDir>> {
        let context = || format!("cannot read the data directory {}", self.path.display());
        let entries = match std::fs::read_dir(&self.path) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error).with_context(context),
        };
        let mut found = Vec::new();
        for entry in entries {
            let entry = entry.with_context(context)?;
            let name = entry.file_name();
            let Some(cluster) = name.to_str().and_then(|name| self.cluster(name).ok()) else {
                continue;
            };
            if cluster.identity().exists() {
                found.push(cluster);
            }
        }
        found.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(found)
    }

    /// The cluster called `name`, or the only one there is.
    ///
    /// # Errors
    /// When there is none, or several to choose from.
    pub fn choose(&self, name: Option<&str>) -> anyhow::Result<ClusterDir> {
        let all = self.clusters()?;
        let names =
            || all.iter().map(|cluster| cluster.name.as_str()).collect::<Vec<_>>().join(", ");
        match (name, all.as_slice()) {
            (Some(name), _) => {
                let cluster = self.cluster(name)?;
                if !all.iter().any(|other| other.name == cluster.name) {
                    let known = if all.is_empty() { "none".to_owned() } else { names() };
                    bail!("there is no cluster {name} in {} (known: {known})", self.path.display());
                }
                Ok(cluster)
            }
            (None, [only]) => Ok(only.clone()),
            (None, []) => bail!("there is no cluster in {}", self.path.display()),
            (None, _) => bail!("there are several clusters, name one of them: {}", names()),
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// The directory of one cluster.
#[derive(Clone, Debug)]
pub struct ClusterDir {
    name: String,
    path: PathBuf,
}

impl ClusterDir {
    /// One that is known to exist, by its path.
    ///
    /// # Errors
    /// When the last part of the path is no name of a cluster.
    pub fn at(path: &Path) -> anyhow::Result<Self> {
        let parent = path.parent().context("not the directory of a cluster")?;
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        DataDir { path: parent.to_owned() }.cluster(name)
    }

    /// Name of the cluster.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The manifest in force, addresses and plan.
    pub fn identity(&self) -> PathBuf {
        self.path.join("cluster.json")
    }

    /// What the supervisor sees.
    pub fn state(&self) -> PathBuf {
        self.path.join("state.json")
    }

    /// What the supervisor did.
    pub fn supervisor_log(&self) -> PathBuf {
        self.path.join("supervisor.log")
    }

    /// The directory of a pod.
    pub fn pod(&self, name: &str) -> PathBuf {
        self.path.join("pods").join(name)
    }

    /// Configuration files of a pod.
    pub fn config(&self, pod: &str) -> PathBuf {
        self.pod(pod).join("config")
    }

    /// Log of a pod.
    pub fn log(&self, pod: &str) -> PathBuf {
        self.pod(pod).join("log")
    }

    /// Makes it.
    ///
    /// # Errors
    /// When it cannot be made or not be written to.
    pub fn create(&self) -> anyhow::Result<()> {
        let context = || format!("cannot write to the data directory {}", self.path.display());
        std::fs::create_dir_all(self.path.join("pods")).with_context(context)?;
        rustix::fs::access(&self.path, rustix::fs::Access::WRITE_OK).with_context(context)
    }

    /// Takes the lock that the cluster's supervisor holds; `None` while it is held.
    fn try_lock(&self) -> anyhow::Result<Option<Lock>> {
        let path = self.path.join("lock");
        let context = || format!("cannot open {}", path.display());
        loop {
            let file = OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .open(&path)
                .with_context(context)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Ok(None),
                Err(TryLockError::Error(error)) => return Err(error).with_context(context),
            }
            // `down --volumes` may have removed the file between opening and locking it.
            let held = file.metadata().with_context(context)?.ino();
            if std::fs::metadata(&path).is_ok_and(|there| there.ino() == held) {
                return Ok(Some(Lock { file }));
            }
        }
    }

    /// Takes the lock unless somebody holds it for longer than a moment: whoever looks whether
    /// the cluster runs holds it that long as well.
    ///
    /// # Errors
    /// When the lock file cannot be opened.
    pub fn lock(&self) -> anyhow::Result<Option<Lock>> {
        let mut taken = Ok(None);
        wait_until(MOMENT, || {
            taken = self.try_lock();
            !matches!(taken, Ok(None))
        });
        taken
    }

    /// Whether somebody holds the lock, that is whether the cluster runs.
    ///
    /// # Errors
    /// When the lock file cannot be opened.
    pub fn is_locked(&self) -> anyhow::Result<bool> {
        let path = self.path.join("lock");
        let context = || format!("cannot open {}", path.display());
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error).with_context(context),
        };
        match file.try_lock_shared() {
            Ok(()) => Ok(false),
            Err(TryLockError::WouldBlock) => Ok(true),
            Err(TryLockError::Error(error)) => Err(error).with_context(context),
        }
    }

    /// Process that said it holds the lock. Only a hint while the lock is free.
    pub fn lock_holder(&self) -> Option<u32> {
        let mut text = String::new();
        File::open(self.path.join("lock")).ok()?.take(32).read_to_string(&mut text).ok()?;
        text.trim().parse().ok()
    }
}

/// Proof that nobody else runs the cluster. Freed when the last copy of its file is closed.
#[derive(Debug)]
pub struct Lock {
    file: File,
}

impl Lock {
    /// Takes over the lock of `dir` that another process has handed on as an open file.
    ///
    /// # Errors
    /// When `file` is something else, or not locked.
    pub fn inherited(dir: &ClusterDir, file: File) -> anyhow::Result<Self> {
        let there = std::fs::metadata(dir.path.join("lock"));
        let is_it = there.is_ok_and(|there| {
            file.metadata().is_ok_and(|it| (it.dev(), it.ino()) == (there.dev(), there.ino()))
        });
        if !is_it || file.try_lock().is_err() {
            bail!("the lock of cluster {} was not handed on: use `rmq up`", dir.name);
        }
        Ok(Self { file })
    }

    /// Hands it on: to be the standard input of the process that holds it from then on.
    pub fn into_file(self) -> File {
        self.file
    }

    /// Writes who holds it.
    ///
    /// # Errors
    /// Those of the file.
    pub fn sign(&mut self) -> io::Result<()> {
        self.file.set_len(0)?;
        self.file.seek(SeekFrom::Start(0))?;
        writeln!(self.file, "{}", std::process::id())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> (tempfile::TempDir, DataDir) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let data = DataDir::locate(Some(folder.path())).expect("given");
        (folder, data)
    }

    fn make(data: &DataDir, name: &str) -> ClusterDir {
        let cluster = data.cluster(name).expect("a good name");
        cluster.create().expect("writable");
        rmq_host::durable::replace(&cluster.identity(), b"{}").expect("writable");
        cluster
    }

    #[test]
    fn one_process_holds_the_lock() {
        let (_folder, data) = place();
        let cluster = make(&data, "demo");
        assert!(!cluster.is_locked().expect("readable"));
        let mut lock = cluster.try_lock().expect("opened").expect("free");
        lock.sign().expect("writable");
        assert!(cluster.is_locked().expect("readable"));
        assert!(cluster.try_lock().expect("opened").is_none());
        assert_eq!(cluster.lock_holder(), Some(std::process::id()));
        let file = lock.into_file();
        let copy = Lock::inherited(&cluster, file.try_clone().expect("cloned")).expect("its lock");
        drop(file);
        assert!(cluster.is_locked().expect("readable"));
        drop(copy);
        assert!(!cluster.is_locked().expect("readable"));
        let other = File::open(cluster.identity()).expect("readable");
        assert!(Lock::inherited(&cluster, other).is_err());
    }

    #[test]
    fn the_only_cluster_needs_no_name() {
        let (_folder, data) = place();
        assert!(data.choose(None).is_err());
        make(&data, "a");
        assert_eq!(data.choose(None).expect("the only one").name(), "a");
        make(&data, "b");
        let error = data.choose(None).expect_err("two of them").to_string();
        assert!(error.ends_with("a, b"), "{error}");
        assert_eq!(data.choose(Some("b")).expect("there").name(), "b");
        let error = data.choose(Some("c")).expect_err("unknown").to_string();
        assert!(error.contains("known: a, b"), "{error}");
    }

    #[test]
    fn names_cannot_leave_the_directory() {
        let (_folder, data) = place();
        for name in ["..", ".", "", "a/b", "/etc", "A"] {
            assert!(data.cluster(name).is_err(), "{name}");
        }
    }

    #[test]
    fn a_file_in_the_way_is_one_clear_line() {
        let (folder, _) = place();
        let file = folder.path().join("file");
        rmq_host::durable::replace(&file, b"").expect("writable");
        let data = DataDir::locate(Some(&file)).expect("given");
        let error = data.cluster("demo").expect("a name").create().expect_err("not a directory");
        let text = format!("{error:#}");
        assert!(text.starts_with("cannot write to the data directory "), "{text}");
        assert!(!text.contains('\n'), "{text}");
    }
}
