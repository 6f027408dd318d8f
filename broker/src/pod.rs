//! A broker in a pod: what it finds out at its start, and the settings that come of the mounted
//! files and of what the pod derives.

use crate::config::{Config, ConfigError, Surroundings};
use rmq_host::files::read_if_there;
use rmq_host::{Origin, Settings as Layers, properties};
use rmq_pod::files::{self, FileError, ReplicationConf};
use rmq_pod::properties::Properties;
use rmq_pod::{BrokerPod, Facts, PodError};
use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long the pod's own Service may take to be known to DNS.
pub const SERVICE_PATIENCE: Duration = Duration::from_secs(60);
/// Between the first looks for it; doubles up to [`LOOK_MAX`].
const LOOK_MIN: Duration = Duration::from_millis(100);
const LOOK_MAX: Duration = Duration::from_secs(5);
/// Longest wait for one answer of DNS.
const LOOK_TIMEOUT: Duration = Duration::from_secs(5);

/// Why mounted files or the environment cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MountError {
    /// A file is there and cannot be read.
    #[error("cannot read {path}")]
    Read {
        /// Its name.
        file: &'static str,
        /// Where it is.
        path: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file breaks its form.
    #[error(transparent)]
    File(#[from] FileError),
    /// What the pod is told does not suffice.
    #[error(transparent)]
    Pod(#[from] PodError),
    /// Values break their rules.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Config(Vec<ConfigError>),
}

impl MountError {
    /// The key to blame, or the file.
    pub fn key(&self) -> String {
        match self {
            Self::Read { file, .. } | Self::File(FileError::Properties { file, .. }) => {
                (*file).to_owned()
            }
            Self::File(FileError::Value { file, key, .. }) => format!("{file}: {key}"),
            Self::File(_) | Self::Pod(_) => files::BROKER_CONF.to_owned(),
            Self::Config(errors) => {
                let key = errors.first().and_then(ConfigError::key);
                key.unwrap_or(files::BROKER_CONF).to_owned()
            }
        }
    }
}

/// What the files of settings say.
#[derive(Clone, Debug, Default)]
pub struct Given {
    properties: Properties,
    replication: Option<ReplicationConf>,
}

impl Given {
    /// The settings of the user, of a key that is there twice the last.
    pub fn settings(&self) -> BTreeMap<String, String> {
        files::settings_of(&self.properties)
    }

    /// Their hash, as operators compute it.
    pub fn hash(&self) -> String {
        let settings = self.settings();
        files::settings_hash(settings.iter().map(|(key, value)| (key.as_str(), value.as_str())))
    }
}

/// The pod and the directory of its mounted files.
#[derive(Clone, Debug)]
pub struct Mounts {
    /// What the broker was told when it was started.
    pub pod: BrokerPod,
    service_ip: Option<IpAddr>,
    commit_log_volume: bool,
}

impl Mounts {
    /// With the address of the pod's own Service, if it advertises that.
    pub fn new(pod: BrokerPod, service_ip: Option<IpAddr>) -> Self {
        let commit_log_volume = Path::new(&pod.commit_log_volume()).is_dir();
        Self { pod, service_ip, commit_log_volume }
    }

    /// Where a mounted file is.
    pub fn path(&self, file: &str) -> PathBuf {
        Path::new(&self.pod.template.shared.config_dir).join(file)
    }

    /// Reads the files of settings; missing ones are empty. May block.
    ///
    /// # Errors
    /// [`MountError`] of the first that cannot be read or is malformed.
    pub fn read(&self) -> Result<Given, MountError> {
        let mut given = Given::default();
        if let Some(bytes) = self.bytes(files::BROKER_CONF)? {
            given.properties = match properties::parse(&bytes) {
                Ok(properties) => properties,
                Err(source) => {
                    let file = files::BROKER_CONF;
                    return Err(FileError::Properties { file, source }.into());
                }
            };
        }
        if let Some(bytes) = self.bytes(files::REPLICATION_CONF)? {
            given.replication = Some(ReplicationConf::parse(&bytes)?);
        }
        Ok(given)
    }

    /// Reads the list of name servers; a missing one is empty. May block.
    ///
    /// # Errors
    /// [`MountError`] when it cannot be read or is malformed.
    pub fn read_name_servers(&self) -> Result<Vec<String>, MountError> {
        let bytes = self.bytes(files::NAMESRV_ADDRS)?.unwrap_or_default();
        Ok(files::name_servers(&String::from_utf8_lossy(&bytes))?)
    }

    fn bytes(&self, file: &'static str) -> Result<Option<Vec<u8>>, MountError> {
        let path = self.path(file);
        let max = u64::try_from(properties::BYTES_MAX).unwrap_or(u64::MAX);
        match read_if_there(&path, max) {
            Ok(bytes) => Ok(bytes),
            Err(source) => Err(MountError::Read { file, path: path.display().to_string(), source }),
        }
    }

    /// The settings of the user, as they stand in the file.
    pub fn layers(&self, given: &Given) -> Layers {
        let mut layers = Layers::new();
        let name = self.path(files::BROKER_CONF).display().to_string();
        layers.add_properties(&name, &given.properties);
        layers
    }

    /// Checks everything and gives the configuration of a broker in this pod.
    ///
    /// # Errors
    /// [`MountError`] with all that is wrong.
    pub fn config(&self, given: &Given, name_servers: &[String]) -> Result<Config, MountError> {
        let facts = Facts {
            service_ip: self.service_ip,
            commit_log_volume: self.commit_log_volume,
            name_servers,
            replication: given.replication,
        };
        let derived = self.pod.derive(&facts)?;
        let mut layers = self.layers(given);
        let mut lost = Vec::new();
        for (key, value) in &derived {
            let wish = layers.given().find(|(given, _)| given == key);
            if let Some((_, wish)) = wish.filter(|(_, wish)| wish != value) {
                let place = layers.origin(key).map(ToString::to_string).unwrap_or_default();
                lost.push(format!("{place}: {key}={wish} is replaced by {value}: the pod decides"));
            }
            layers.set(key, value, Origin::Derived);
        }
        let machine = Surroundings::of_this_machine();
        let checked = Config::check(&layers, None, &machine);
        let mut config = checked.map_err(MountError::Config)?;
        config.warnings.extend(lost);
        Ok(config)
    }
}

/// The address of a Service, once DNS knows it. One of the family of `like` comes first.
///
/// # Errors
/// A sentence that names the Service, when DNS does not know it within `patience`.
pub async fn service_address(
    service: &str,
    like: Option<IpAddr>,
    patience: Duration,
) -> Result<IpAddr, String> {
    let mut wait = LOOK_MIN;
    let mut waited = Duration::ZERO;
    loop {
        let looked = tokio::time::timeout(LOOK_TIMEOUT, tokio::net::lookup_host((service, 0)));
        let why = match looked.await {
            Ok(Ok(found)) => {
                let found: Vec<IpAddr> = found.map(|address| address.ip()).collect();
                let same = |ip: &&IpAddr| like.is_none_or(|like| like.is_ipv4() == ip.is_ipv4());
                match found.iter().find(same).or(found.first()) {
                    Some(ip) => return Ok(*ip),
                    None => "it has no address".to_owned(),
                }
            }
            Ok(Err(error)) => error.to_string(),
            Err(_elapsed) => {
                waited = waited.saturating_add(LOOK_TIMEOUT);
                "DNS does not answer".to_owned()
            }
        };
        if patience <= waited {
            return Err(format!(
                "the pod's Service {service} is not known to DNS after {} s: {why}. It must exist \
                 before the pod",
                patience.as_secs()
            ));
        }
        if waited.is_zero() {
            tracing::info!(service, why, "waiting for the pod's Service to be known to DNS");
        }
        tokio::time::sleep(wait).await;
        waited = waited.saturating_add(wait);
        wait = (wait * 2).min(LOOK_MAX);
    }
}

#[cfg(test)]
mod tests;
