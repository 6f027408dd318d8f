//! What is wanted, after presets, merges and defaults.

use std::collections::BTreeMap;

use rmq_operator_api::cluster::LogFormat;
use rmq_operator_api::config::{self, Class};
use rmq_operator_api::{Cluster, GroupOverride, Image, Replication, Shape, StorageType, meta};
use rmq_pod::files;

use crate::context::Context;
use crate::group::group_name;
use crate::names::{COMMIT_LOG_VOLUME, Names, STORE_VOLUME};
use crate::object::Kind;
use crate::observed::Observed;
use crate::plan::Component;

/// What is wanted of one cluster.
#[derive(Clone, Debug)]
pub struct Intent<'a> {
    /// The resource.
    pub cluster: &'a Cluster,
    /// What the operator brings along.
    pub context: &'a Context,
    /// Names of the objects.
    pub names: Names<'a>,
    /// Namespace of all objects.
    pub namespace: &'a str,
    /// UID of the resource, for owner references.
    pub uid: &'a str,
    /// Release that runs, or is to run.
    pub version: String,
    /// Groups, replicas and replication as the manifest has them.
    pub shape: Shape,
    /// Name servers to run.
    pub name_servers: u32,
    /// Names of the groups, in order.
    pub groups: Vec<String>,
}

/// The operator cannot act on the spec; with what to do, for people.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidSpec(pub String);

/// Whether groups are started in the shape the manifest asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// They are.
    AsAsked,
    /// They would need replication, which this release does not have: new groups get all their
    /// objects but no pod, and groups that run already go on with the one replica they have.
    /// Starting the slaves would promise copies that nobody makes.
    WithoutReplication,
}

impl<'a> Intent<'a> {
    /// What `cluster`, as the API server has it, asks for.
    ///
    /// # Errors
    /// A spec that breaks a rule, which can be older than the rule.
    pub fn of(cluster: &'a Cluster, context: &'a Context) -> Result<Self, InvalidSpec> {
        let violations = rmq_operator_api::validate::validate(cluster);
        if !violations.is_empty() {
            let all: Vec<String> =
                violations.iter().map(|one| format!("{} {}", one.path, one.message())).collect();
            return Err(InvalidSpec(all.join("; ")));
        }
        let shape = cluster.shape();
        let prefix = &cluster.spec.brokers.name_prefix;
        let wanted = |what: &str| InvalidSpec(format!("the resource has no {what}"));
        Ok(Self {
            cluster,
            context,
            names: Names::new(cluster.name()),
            namespace: cluster.namespace().ok_or_else(|| wanted("namespace"))?,
            uid: cluster.metadata.uid.as_deref().ok_or_else(|| wanted("uid"))?,
            version: cluster.spec.version.clone().unwrap_or_else(|| context.version.clone()),
            shape,
            name_servers: cluster.name_server_replicas(),
            groups: (0..shape.groups).map(|index| group_name(prefix, index)).collect(),
        })
    }

    /// Whether groups are started in the shape the manifest asks for.
    pub fn start(&self) -> Start {
        if 1 < self.shape.replicas_per_group && !self.context.replicates {
            Start::WithoutReplication
        } else {
            Start::AsAsked
        }
    }

    /// The shape of a group that runs without the replication it should have.
    pub fn unreplicated(&self) -> Shape {
        Shape { replicas_per_group: 1, replication: Replication::Async, ..self.shape }
    }

    /// The same, with the release that runs where the manifest names none: an operator that is
    /// upgraded must not restart the clusters it finds.
    pub fn with_running(mut self, observed: &Observed) -> Self {
        let running = observed
            .objects
            .iter()
            .filter(|((kind, _), live)| *kind == Kind::StatefulSet && live.owned && !live.deleting)
            .find_map(|(_, live)| live.label(meta::VERSION));
        if self.cluster.spec.version.is_none()
            && let Some(version) = running
        {
            version.clone_into(&mut self.version);
        }
        self
    }

    /// Deviations of the group called `name`.
    pub fn group_override(&self, name: &str) -> Option<&'a GroupOverride> {
        self.cluster.spec.brokers.group_overrides.iter().find(|one| one.name == name)
    }

    /// The image of a component, complete.
    pub fn image(&self, component: Component) -> Image {
        let spec = &self.cluster.spec;
        let (own, default) = match component {
            Component::Namesrv => (&spec.nameserver.image, &self.context.name_server_image),
            Component::Broker => (&spec.brokers.image, &self.context.broker_image),
        };
        let asked = own.or(&spec.image);
        let mut image = asked.or(default);
        // The defaults are those of the operator's own release.
        let of_another = self.version != self.context.version;
        if asked.tag.is_none() && asked.digest.is_none() && of_another {
            image.tag = Some(self.version.clone());
            image.digest = None;
        }
        if image.tag.is_none() && image.digest.is_none() {
            image.tag = Some(self.version.clone());
        }
        image
    }

    /// Addresses brokers register with, while `listed` name servers of our own are in the list.
    pub fn name_server_list(&self, listed: u32) -> Vec<String> {
        let name_servers = &self.cluster.spec.nameserver;
        if !name_servers.external_addresses.is_empty() {
            return name_servers.external_addresses.clone();
        }
        self.names.name_server_addresses(self.namespace, name_servers.port, listed)
    }

    /// `broker.conf` of the group called `name`.
    pub fn broker_settings(&self, name: &str, joining: bool) -> BTreeMap<String, String> {
        let brokers = &self.cluster.spec.brokers;
        // As the example configurations of the original have them; users may change these.
        let mut settings: BTreeMap<String, String> =
            [("flushDiskType", "ASYNC_FLUSH"), ("deleteWhen", "04"), ("fileReservedTime", "48")]
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .into();
        settings.extend(brokers.config.clone());
        if let Some(group) = self.group_override(name) {
            settings.extend(group.config.clone());
        }
        if brokers.slave_read {
            settings.insert("slaveReadEnable".to_owned(), "true".to_owned());
        }
        if joining {
            settings.insert(PERMISSION.to_owned(), "4".to_owned());
        }
        self.add_logging(&mut settings);
        settings
    }

    /// `namesrv.conf`.
    pub fn name_server_settings(&self) -> BTreeMap<String, String> {
        let mut settings = self.cluster.spec.nameserver.config.clone();
        self.add_logging(&mut settings);
        settings
    }

    fn add_logging(&self, settings: &mut BTreeMap<String, String>) {
        let logging = &self.cluster.spec.logging;
        let format = match logging.format.unwrap_or(LogFormat::Json) {
            LogFormat::Json => "json",
            LogFormat::Text => "text",
        };
        settings.insert("logFormat".to_owned(), format.to_owned());
        settings.insert("logLevel".to_owned(), logging.directives());
    }

    /// What clients may do with the group called `name` when nothing speaks against it.
    pub fn permission(&self, name: &str) -> u32 {
        let settings = self.broker_settings(name, false);
        settings.get(PERMISSION).and_then(|text| text.trim().parse().ok()).unwrap_or(6)
    }

    /// Sizes of the volumes of a broker, by volume.
    pub fn broker_claims(&self) -> BTreeMap<String, String> {
        let storage = &self.cluster.spec.brokers.storage;
        let mut sizes = BTreeMap::new();
        if storage.kind == StorageType::PersistentVolumeClaim
            && let Some(size) = &storage.size
        {
            sizes.insert(STORE_VOLUME.to_owned(), size.as_str().to_owned());
            if let Some(log) = &storage.commit_log {
                sizes.insert(COMMIT_LOG_VOLUME.to_owned(), log.size.as_str().to_owned());
            }
        }
        sizes
    }

    /// Sizes of the volumes of a name server, by volume.
    pub fn name_server_claims(&self) -> BTreeMap<String, String> {
        let storage = &self.cluster.spec.nameserver.storage;
        match storage.kind {
            StorageType::PersistentVolumeClaim => {
                [(STORE_VOLUME.to_owned(), storage.size.as_str().to_owned())].into()
            }
            StorageType::Ephemeral => BTreeMap::new(),
        }
    }

    /// Labels that never change, by which the pods of a component are found. `group` tells the
    /// brokers of one group from the others.
    pub fn selector(&self, component: Component, group: Option<&str>) -> BTreeMap<String, String> {
        let mut labels: BTreeMap<String, String> = [
            (meta::NAME, meta::NAME_VALUE),
            (meta::INSTANCE, self.cluster.name()),
            (meta::COMPONENT, component.name()),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into();
        if let Some(group) = group {
            labels.insert(meta::BROKER_NAME.to_owned(), group.to_owned());
        }
        labels
    }
}

/// Setting that says what clients may do with a broker.
pub const PERMISSION: &str = "brokerPermission";

/// Hash of those of `settings` that reach a process only when it starts.
pub fn restart_hash(component: Component, settings: &BTreeMap<String, String>) -> String {
    let component = match component {
        Component::Namesrv => config::Component::NameServer,
        Component::Broker => config::Component::Broker,
    };
    let needed = settings.iter().filter(|(key, _)| match config::class(component, key) {
        Class::Restart | Class::Identity => true,
        Class::Hot => false,
    });
    files::settings_hash(needed.map(|(key, value)| (key.as_str(), value.as_str())))
}

/// Hash of all of `settings`, as a process reports it once it has taken them.
pub fn settings_hash(settings: &BTreeMap<String, String>) -> String {
    files::settings_hash(settings.iter().map(|(key, value)| (key.as_str(), value.as_str())))
}

/// An image as container runtimes write it.
pub fn reference(image: &Image) -> String {
    let registry = image.registry.as_ref().map(|host| format!("{host}/")).unwrap_or_default();
    let repository = image.repository.as_deref().unwrap_or_default();
    match (&image.digest, &image.tag) {
        (Some(digest), _) => format!("{registry}{repository}@{digest}"),
        (None, Some(tag)) => format!("{registry}{repository}:{tag}"),
        (None, None) => format!("{registry}{repository}"),
    }
}
