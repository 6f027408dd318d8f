//! Following the mounted files of a pod: what changed is checked as a whole and applied, or refused
//! as a whole and named.

use crate::config::{Change, Config, KEYS};
use crate::pod::{Given, Mounts};
use crate::registration::Registrar;
use crate::service::Broker;
use crate::service::live::known_names;
use parking_lot::Mutex;
use rmq_host::files::Stamp;
use rmq_pod::files;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Time between two looks at the files.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Why a file is not in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejected {
    /// Key, or name of the file.
    pub key: String,
    /// What is wrong with it.
    pub reason: String,
}

/// How the files and what is in force relate.
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
    /// Why the file of settings is refused.
    pub rejected: Option<Rejected>,
    /// Hash of the list of name servers in the file.
    pub name_servers_file_hash: String,
    /// Why the list of name servers is refused.
    pub name_servers_rejected: Option<Rejected>,
}

#[derive(Debug, Default)]
struct State {
    stamps: Vec<Option<Stamp>>,
    /// Settings of the file that are in force.
    settings: BTreeMap<String, String>,
    applied: Applied,
}

/// Keeps a broker to its mounted files.
#[derive(Debug)]
pub struct Follower {
    mounts: Arc<Mounts>,
    broker: Arc<Broker>,
    registrar: Arc<Registrar>,
    state: Mutex<State>,
}

/// Whether a change of this setting reaches a running broker.
fn is_hot(name: &str) -> bool {
    crate::config::key(name).is_some_and(|key| key.change == Change::Live)
}

/// Hash of the settings that need a restart, as operators compute it.
fn restart_hash(settings: &BTreeMap<String, String>) -> String {
    let cold = settings.iter().filter(|(name, _)| !is_hot(name));
    files::settings_hash(cold.map(|(name, value)| (name.as_str(), value.as_str())))
}

impl Follower {
    /// For a broker that was started with what `mounts` has at this moment, or had a moment ago.
    pub fn new(mounts: Arc<Mounts>, broker: Arc<Broker>, registrar: Arc<Registrar>) -> Self {
        let follower = Self { mounts, broker, registrar, state: Mutex::default() };
        let given = follower.mounts.read().unwrap_or_default();
        {
            let mut state = follower.state.lock();
            state.settings = given.settings();
            state.applied.restart_hash = restart_hash(&state.settings);
        }
        follower.reload();
        follower
    }

    /// How it stands.
    pub fn applied(&self) -> Applied {
        self.state.lock().applied.clone()
    }

    fn stamps(&self) -> Vec<Option<Stamp>> {
        let names = [files::BROKER_CONF, files::REPLICATION_CONF, files::NAMESRV_ADDRS];
        names.iter().map(|name| Stamp::of(&self.mounts.path(name))).collect()
    }

    /// Takes over what the files say now. May block.
    pub fn reload(&self) -> Applied {
        let mut state = self.state.lock();
        // Before reading: what changes meanwhile is seen by the next look.
        state.stamps = self.stamps();
        let before = state.applied.clone();
        self.name_servers(&mut state.applied);
        self.settings(&mut state);
        let applied = state.applied.clone();
        if applied != before {
            for rejected in
                [&applied.rejected, &applied.name_servers_rejected].into_iter().flatten()
            {
                let Rejected { key, reason } = rejected;
                tracing::error!(key, reason, "a mounted file is refused, the old values stay");
            }
            if !applied.pending.is_empty() && applied.pending != before.pending {
                tracing::warn!(keys = ?applied.pending, "changed settings wait for a restart");
            }
        }
        applied
    }

    fn name_servers(&self, applied: &mut Applied) {
        let names = match self.mounts.read_name_servers() {
            Ok(names) => names,
            Err(error) => {
                let key = error.key();
                let reason = format!("{:#}", anyhow::Error::from(error));
                applied.name_servers_rejected = Some(Rejected { key, reason });
                return;
            }
        };
        applied.name_servers_file_hash = files::name_servers_hash(&names);
        if names.is_empty() && !self.registrar.names().is_empty() {
            let reason =
                "the list is empty: the broker stays with the name servers it has".to_owned();
            let key = files::NAMESRV_ADDRS.to_owned();
            applied.name_servers_rejected = Some(Rejected { key, reason });
            return;
        }
        applied.name_servers_rejected = None;
        self.registrar.set_names(names);
    }

    fn settings(&self, state: &mut State) {
        let checked = self.mounts.read().and_then(|given| {
            let config = self.mounts.config(&given, &self.registrar.names());
            state.applied.file_hash = given.hash();
            Ok((given, config?))
        });
        let taken = match checked {
            Ok((given, config)) => self.take_over(state, &given, &config),
            Err(error) => {
                let key = error.key();
                Err(Rejected { key, reason: format!("{:#}", anyhow::Error::from(error)) })
            }
        };
        state.applied.rejected = taken.err();
    }

    fn take_over(&self, state: &mut State, given: &Given, new: &Config) -> Result<(), Rejected> {
        let settings = given.settings();
        // A key that left the file goes back to its default.
        let names = known_names(state.settings.keys().chain(settings.keys()));
        match self.broker.take_over(&new.settings, &names) {
            Ok(changed) if !changed.is_empty() => {
                tracing::info!(keys = ?changed, "settings changed")
            }
            Ok(_) => {}
            Err(error) => {
                let key = error.key().unwrap_or(files::BROKER_CONF).to_owned();
                return Err(Rejected { key, reason: error.to_string() });
            }
        }
        state.applied.pending = pending(&self.broker.config, new);
        state.applied.applied_hash = given.hash();
        state.settings = settings;
        Ok(())
    }

    /// Follows the files until `stop`.
    pub(crate) async fn run(self: Arc<Self>, stop: CancellationToken) -> anyhow::Result<()> {
        loop {
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
            // Looking costs three calls of the file system; only a change is read.
            if self.state.lock().stamps != self.stamps() {
                let follower = Arc::clone(&self);
                tokio::task::spawn_blocking(move || follower.reload()).await?;
            }
        }
    }
}

/// The settings of `new` that differ from those the broker was started with and need a restart.
fn pending(started: &Config, new: &Config) -> Vec<String> {
    let cold = KEYS.iter().filter(|key| key.change == Change::Restart && key.name != "namesrvAddr");
    let differ = |name: &str| started.settings.text(name) != new.settings.text(name);
    let known = cold.map(|key| key.name).filter(|name| differ(name)).map(str::to_owned);
    let others = |config: &Config| config.others.iter().cloned().collect::<BTreeMap<_, _>>();
    let (before, after) = (others(started), others(new));
    let names: std::collections::BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let unknown = names.into_iter().filter(|name| before.get(*name) != after.get(*name)).cloned();
    known.chain(unknown).collect()
}
