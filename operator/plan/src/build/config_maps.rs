//! ConfigMaps: the files of the pods, and how applications reach the cluster.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ConfigMap;
use rmq_operator_api::Replication;
use rmq_pod::files::{self, ReplicationConf};

use super::labels::{Of, metadata};
use crate::intent::Intent;
use crate::object::Object;
use crate::stage::{GroupStage, Stage};

/// Annotation of the ConfigMap of a group that is new: its brokers start without write permission
/// until they have the topics of the others. It stands beside the setting, so that both go at once.
pub const JOINING: &str = "rocketmq.rs/joining";

pub(super) fn build(intent: &Intent<'_>, stage: &Stage, objects: &mut Vec<Object>) {
    if stage.name_servers.replicas.is_some() {
        let text = files::settings_text(&intent.name_server_settings());
        let data = [(files::NAMESRV_CONF.to_owned(), text)].into();
        objects.push(config_map(intent, intent.names.name_servers(), Of::NameServers, data));
    }
    for group in &stage.groups {
        objects.push(of_group(intent, stage, group));
    }
    objects.push(client(intent));
}

/// The files of a group. They may change while its brokers run.
pub(crate) fn of_group(intent: &Intent<'_>, stage: &Stage, group: &GroupStage) -> Object {
    let settings = intent.broker_settings(&group.name, group.joining);
    let addresses = intent.name_server_list(stage.name_servers.listed);
    let data = [
        (files::BROKER_CONF, files::settings_text(&settings)),
        (files::NAMESRV_ADDRS, files::name_servers_text(&addresses)),
        (files::REPLICATION_CONF, replication(intent, group).text()),
    ]
    .map(|(name, text)| (name.to_owned(), text))
    .into();
    let name = intent.names.group(&group.name);
    let mut object = config_map(intent, name, Of::Group(&group.name), data);
    if group.joining
        && let Object::ConfigMap(map) = &mut object
    {
        let annotations = map.metadata.annotations.get_or_insert_default();
        annotations.insert(JOINING.to_owned(), "true".to_owned());
    }
    object
}

fn replication(intent: &Intent<'_>, group: &GroupStage) -> ReplicationConf {
    let replicas = group.shape.replicas_per_group;
    let how = match group.shape.replication {
        Replication::Async => rmq_pod::Replication::Async,
        Replication::Sync => rmq_pod::Replication::Sync,
    };
    ReplicationConf::of(replicas, how, intent.cluster.spec.brokers.sync.min_in_sync)
}

/// For applications: mounted as environment, it is all a client needs.
fn client(intent: &Intent<'_>) -> Object {
    let data = [
        ("CLUSTER_NAME", intent.cluster.cluster_name().to_owned()),
        ("NAMESRV_ADDR", client_address(intent)),
        ("TLS_ENABLE", "false".to_owned()),
    ]
    .map(|(name, text)| (name.to_owned(), text))
    .into();
    config_map(intent, intent.names.client(), Of::Cluster, data)
}

/// What clients inside of the Kubernetes cluster connect to first.
pub(crate) fn client_address(intent: &Intent<'_>) -> String {
    let name_servers = &intent.cluster.spec.nameserver;
    if name_servers.external_addresses.is_empty() {
        let service = intent.names.name_servers();
        format!("{service}.{}.svc:{}", intent.namespace, name_servers.port)
    } else {
        name_servers.external_addresses.join(";")
    }
}

fn config_map(
    intent: &Intent<'_>,
    name: String,
    of: Of<'_>,
    data: BTreeMap<String, String>,
) -> Object {
    Object::ConfigMap(Box::new(ConfigMap {
        metadata: metadata(intent, name, of),
        data: Some(data),
        ..ConfigMap::default()
    }))
}
