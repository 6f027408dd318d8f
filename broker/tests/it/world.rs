//! A broker in this process, on free ports, in a folder of its own.

use crate::wire::Wire;
use rmq_broker::Running;
use rmq_broker::config::Config;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;
use tokio::runtime::Runtime;

pub(crate) struct World {
    runtime: Runtime,
    running: Option<Running>,
    folder: TempDir,
    settings: Vec<(String, String)>,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(&[])
    }

    pub(crate) fn with(settings: &[(&str, &str)]) -> Self {
        let runtime =
            rmq_host::runtime::build(&rmq_host::runtime::RuntimeConfig::default()).unwrap();
        let settings = settings.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let folder = tempfile::tempdir().unwrap();
        let mut world = Self { runtime, running: None, folder, settings };
        world.start();
        world
    }

    pub(crate) fn start(&mut self) {
        assert!(self.running.is_none(), "runs already");
        let root = self.folder.path().display().to_string();
        let mut pairs = vec![
            ("brokerName", "broker-a"),
            ("brokerIP1", "127.0.0.1"),
            ("bindAddress", "127.0.0.1"),
            ("listenPort", "0"),
            ("storePathRootDir", root.as_str()),
            ("mappedFileSizeCommitLog", "16777216"),
            ("maxHashSlotNum", "1000"),
            ("maxIndexNum", "10000"),
            ("flushConsumerOffsetInterval", "100"),
        ];
        pairs.extend(self.settings.iter().map(|(k, v)| (k.as_str(), v.as_str())));
        let config = Config::from_pairs(&pairs).expect("a good configuration");
        self.running = Some(self.runtime.block_on(rmq_broker::start(config)).expect("starts"));
    }

    fn running(&self) -> &Running {
        self.running.as_ref().expect("runs")
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.running().addr()
    }

    pub(crate) fn fast_addr(&self) -> SocketAddr {
        self.running().fast_addr()
    }

    pub(crate) fn metrics_addr(&self) -> Option<SocketAddr> {
        self.running().metrics_addr()
    }

    pub(crate) fn wire(&self) -> Wire {
        Wire::connect(self.addr())
    }

    pub(crate) fn root(&self) -> &Path {
        self.folder.path()
    }

    /// Stops in order.
    pub(crate) fn stop(&mut self) {
        let running = self.running.take().expect("runs");
        self.runtime.block_on(running.shutdown(Duration::from_secs(10))).expect("stops cleanly");
    }

    /// Stops in order and starts again on the same store.
    pub(crate) fn restart(&mut self) {
        self.stop();
        self.start();
    }

    /// Another broker on a copy of the store as it lies on disk now: what a kill would leave.
    pub(crate) fn as_after_a_kill(&self) -> Self {
        let runtime =
            rmq_host::runtime::build(&rmq_host::runtime::RuntimeConfig::default()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        copy(self.root(), folder.path());
        let mut world = Self { runtime, running: None, folder, settings: self.settings.clone() };
        world.start();
        world
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if let Some(running) = self.running.take() {
            drop(self.runtime.block_on(running.shutdown(Duration::from_secs(10))));
        }
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}
