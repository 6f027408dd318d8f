//! A name server in a pod: its mounted settings, followed while it runs.

use crate::config::{Config, is_hot};
use parking_lot::Mutex;
use rmq_host::files::{Stamp, read_if_there};
use rmq_host::{Origin, Settings, properties};
use rmq_pod::files::{self, FileError};
use rmq_pod::properties::Properties;
use rmq_pod::{NameServerPod, Place};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How the mounted file and what is in force relate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// Hash of the settings in the file; the last one that could be read.
    pub file_hash: String,
    /// Hash of the settings that were accepted last.
    pub applied_hash: String,
    /// Hash of the settings that need a restart, as they were at the start.
    pub restart_hash: String,
    /// Settings that changed since the start and need a restart.
    pub pending: Vec<String>,
    /// Key and reason why the file is refused.
    pub rejected: Option<(String, String)>,
}

/// The pod and the directory of its mounted files. Clones share what is known of them.
#[derive(Clone, Debug)]
pub struct Mounts {
    pod: Arc<NameServerPod>,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    stamp: Option<Stamp>,
    /// Settings of the file at the start, and those in force.
    started: BTreeMap<String, String>,
    accepted: BTreeMap<String, String>,
    applied: Applied,
}

type Pairs = BTreeMap<String, String>;

fn hash<'a>(pairs: impl Iterator<Item = (&'a String, &'a String)>) -> String {
    files::settings_hash(pairs.map(|(key, value)| (key.as_str(), value.as_str())))
}

impl Mounts {
    /// Of this pod.
    pub fn new(pod: NameServerPod) -> Self {
        Self { pod: Arc::new(pod), state: Arc::default() }
    }

    /// Which pod it is.
    pub fn place(&self) -> &Place {
        &self.pod.place
    }

    /// UID of the cluster resource.
    pub fn cluster_uid(&self) -> &str {
        &self.pod.template.shared.cluster_uid
    }

    /// Name of the cluster.
    pub fn cluster_name(&self) -> &str {
        &self.pod.template.shared.cluster_name
    }

    fn path(&self, file: &str) -> PathBuf {
        Path::new(&self.pod.template.shared.config_dir).join(file)
    }

    /// How it stands.
    pub fn applied(&self) -> Applied {
        self.state.lock().applied.clone()
    }

    /// Whether the file is another one than when it was read last.
    pub fn is_other(&self) -> bool {
        self.state.lock().stamp != Stamp::of(&self.path(files::NAMESRV_CONF))
    }

    /// Reads the settings of the user; a missing file is empty. May block.
    fn read(&self) -> anyhow::Result<Properties> {
        let path = self.path(files::NAMESRV_CONF);
        let max = u64::try_from(properties::BYTES_MAX).unwrap_or(u64::MAX);
        let bytes = read_if_there(&path, max)?.unwrap_or_default();
        match properties::parse(&bytes) {
            Ok(properties) => Ok(properties),
            Err(source) => Err(FileError::Properties { file: files::NAMESRV_CONF, source }.into()),
        }
    }

    /// The other name servers of the cluster, and this one. May block.
    ///
    /// # Errors
    /// When the list cannot be read or is malformed.
    pub fn peers(&self) -> anyhow::Result<Vec<String>> {
        let bytes = read_if_there(&self.path(files::NAMESRV_ADDRS), 1024 * 1024)?;
        Ok(files::name_servers(&String::from_utf8_lossy(&bytes.unwrap_or_default()))?)
    }

    /// The settings of the start: those of the file under those that the pod decides. May block.
    ///
    /// # Errors
    /// When the file cannot be read or is malformed.
    pub fn settings(&self) -> anyhow::Result<Settings> {
        let stamp = Stamp::of(&self.path(files::NAMESRV_CONF));
        let given = self.read()?;
        let pairs = files::settings_of(&given);
        {
            let mut state = self.state.lock();
            let applied = hash(pairs.iter());
            state.applied = Applied {
                file_hash: applied.clone(),
                applied_hash: applied,
                restart_hash: hash(pairs.iter().filter(|(key, _)| !is_hot(key))),
                ..Applied::default()
            };
            state.stamp = stamp;
            state.started.clone_from(&pairs);
            state.accepted = pairs;
        }
        Ok(self.layers(&given))
    }

    fn layers(&self, given: &Properties) -> Settings {
        let mut settings = Settings::new();
        let name = self.path(files::NAMESRV_CONF).display().to_string();
        settings.add_properties(&name, given);
        for (key, value) in self.pod.derive() {
            settings.set(&key, &value, Origin::Derived);
        }
        settings
    }

    /// Takes over what the file says now; `now` is what is in force. `None` if that changes
    /// nothing, because it is refused or the same. May block.
    pub fn reload(&self, now: &Settings) -> Option<Config> {
        let mut state = self.state.lock();
        // Before reading: what changes meanwhile is seen by the next look.
        state.stamp = Stamp::of(&self.path(files::NAMESRV_CONF));
        let refuse = |state: &mut State, key: &str, reason: String| {
            tracing::error!(key, reason, "the mounted settings are refused, the old ones stay");
            state.applied.rejected = Some((key.to_owned(), reason));
        };
        let given = match self.read() {
            Ok(given) => given,
            Err(error) => {
                refuse(&mut state, files::NAMESRV_CONF, format!("{error:#}"));
                return None;
            }
        };
        let pairs = files::settings_of(&given);
        state.applied.file_hash = hash(pairs.iter());
        let mut settings = self.layers(&given);
        // What an administrator set stays, unless the file says something about it.
        for (key, value) in now.given() {
            let by_hand = now.origin(key) == Some(&Origin::Admin);
            if by_hand && !pairs.contains_key(key) && !state.accepted.contains_key(key) {
                settings.set(key, value, Origin::Admin);
            }
        }
        let config = match Config::from_settings(&settings) {
            Ok(config) => config,
            Err(error) => {
                refuse(&mut state, &error.key.clone(), error.to_string());
                return None;
            }
        };
        state.applied.rejected = None;
        state.applied.applied_hash = hash(pairs.iter());
        state.applied.pending = pending(&state.started, &pairs);
        if !state.applied.pending.is_empty() {
            tracing::warn!(keys = ?state.applied.pending, "changed settings wait for a restart");
        }
        let same = state.accepted == pairs;
        state.accepted = pairs;
        (!same).then_some(config)
    }
}

/// The settings that differ and need a restart.
fn pending(before: &Pairs, after: &Pairs) -> Vec<String> {
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let differs = |name: &&String| !is_hot(name) && before.get(*name) != after.get(*name);
    names.into_iter().filter(differs).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rmq_pod::{NameServerTemplate, Shared};
    use tempfile::TempDir;

    fn mounts(text: &str) -> (TempDir, Mounts) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let dir = folder.path().display().to_string();
        let shared = Shared { config_dir: dir, ..Shared::new("demo", "u", 9_876) };
        let place = Place { name: "demo-namesrv-0".into(), ..Place::default() };
        let pod = NameServerPod { place, template: NameServerTemplate { shared } };
        write(&folder, text);
        (folder, Mounts::new(pod))
    }

    fn write(folder: &TempDir, text: &str) {
        let path = folder.path().join(files::NAMESRV_CONF);
        rmq_host::durable::replace(&path, text.as_bytes()).expect("writable");
    }

    #[test]
    fn hot_settings_change_and_others_wait() {
        let (folder, mounts) = mounts("enableTopicList=false");
        let mut settings = mounts.settings().expect("well-formed");
        let config = Config::from_settings(&settings).expect("good");
        assert!(!config.switches.topic_list);
        assert_eq!(config.listen.port(), 9_876);
        assert!(!mounts.is_other());
        assert_eq!(mounts.reload(&settings).map(drop), None, "nothing changed");

        settings.set("enableAllTopicList", "false", Origin::Admin);
        write(&folder, "enableTopicList=true\nconnectionsMax=7\nlistenPort=1");
        assert!(mounts.is_other());
        let config = mounts.reload(&settings).expect("it is taken over");
        assert!(config.switches.topic_list && !config.switches.all_topic_list);
        assert_eq!(config.listen.port(), 9_876, "the pod decides");
        let applied = mounts.applied();
        assert_eq!(applied.pending, ["connectionsMax", "listenPort"]);
        assert_eq!(applied.applied_hash, applied.file_hash);

        write(&folder, "connectionsMax=0");
        assert!(mounts.reload(&settings).is_none());
        let refused = mounts.applied();
        let (key, reason) = refused.rejected.clone().expect("refused");
        assert_eq!(key, "connectionsMax");
        assert!(reason.contains("whole number"), "{reason}");
        assert_eq!(refused.applied_hash, applied.applied_hash);
        assert_ne!(refused.file_hash, applied.file_hash);

        write(&folder, "");
        assert!(mounts.reload(&settings).expect("taken over").switches.topic_list);
        assert_eq!(mounts.applied().rejected, None);
    }

    #[test]
    fn peers_come_from_their_file() {
        let (folder, mounts) = mounts("");
        assert!(mounts.peers().expect("none").is_empty());
        let path = folder.path().join(files::NAMESRV_ADDRS);
        rmq_host::durable::replace(&path, b"a:1;b:2\n").expect("writable");
        assert_eq!(mounts.peers().expect("two"), ["a:1", "b:2"]);
        rmq_host::durable::replace(&path, b"nowhere").expect("writable");
        assert!(mounts.peers().is_err());
    }
}
