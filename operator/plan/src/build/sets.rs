//! StatefulSets: one for the name servers, one for each group (docs/decisions, "one StatefulSet per
//! group").

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::{
    StatefulSet, StatefulSetPersistentVolumeClaimRetentionPolicy, StatefulSetSpec,
    StatefulSetUpdateStrategy,
};
use k8s_openapi::api::core::v1::{
    PersistentVolumeClaim, PersistentVolumeClaimSpec, PodTemplateSpec, VolumeResourceRequirements,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use rmq_operator_api::cluster::VolumePolicy;
use rmq_operator_api::operations::Probes;
use rmq_operator_api::{Advertise, ExternalType, Placement, Replication};
use rmq_pod::{AdvertisedHost, BrokerTemplate, NameServerTemplate, Shared, env};

use super::accounts;
use super::labels::{Of, REMOVING, metadata, some_list, some_map};
use super::placement::{ZONE, anti_affinity, zone_spread};
use super::pod::{CONTROL_TOKEN_FILE, Template, template};
use crate::intent::{Intent, restart_hash};
use crate::names::{self, COMMIT_LOG_VOLUME};
use crate::object::Object;
use crate::plan::Component;
use crate::stage::{GroupStage, Stage};

/// Seconds a name server has to stop: it has nothing to hand over.
const NAME_SERVER_GRACE_SECONDS: u32 = 30;

pub(super) fn build(intent: &Intent<'_>, stage: &Stage, objects: &mut Vec<Object>) {
    objects.extend(name_servers(intent, stage));
    for group in &stage.groups {
        objects.push(of_group(intent, stage, group));
    }
}

fn name_servers(intent: &Intent<'_>, stage: &Stage) -> Option<Object> {
    let replicas = stage.name_servers.replicas?;
    let spec = &intent.cluster.spec.nameserver;
    let labels = intent.selector(Component::Namesrv, None);
    let mut pod = accounts::pod(intent, Component::Namesrv);
    if pod.affinity.is_none() {
        pod.affinity = anti_affinity(Placement::Preferred, labels.clone());
    }
    let probes = Probes::default();
    let variables = NameServerTemplate { shared: shared(intent, spec.port) }.variables();
    let template = template(
        intent,
        &Template {
            of: Of::NameServers,
            component: Component::Namesrv,
            config_map: intent.names.name_servers(),
            pod,
            variables,
            ports: vec![("namesrv", spec.port), ("control", spec.port.saturating_add(2))],
            resources: spec.resources.requirements(),
            probes: &probes,
            grace_period_seconds: NAME_SERVER_GRACE_SECONDS,
            restart: stage.name_servers.restart.as_ref(),
            restart_hash: restart_hash(Component::Namesrv, &intent.name_server_settings()),
            claims: stage.name_servers.claims.clone(),
        },
    );
    let claims = claims(&stage.name_servers.claims, &labels, |_| Claim {
        class: spec.storage.class_name.clone(),
        access_mode: "ReadWriteOnce".to_owned(),
        ..Claim::default()
    });
    let set = set(replicas, labels, intent.names.name_servers_headless(), template);
    let policy = intent.cluster.spec.deletion_policy.volumes;
    let metadata = metadata(intent, intent.names.name_servers(), Of::NameServers);
    Some(object(metadata, set, claims, policy))
}

/// The StatefulSet of a group.
pub(crate) fn of_group(intent: &Intent<'_>, stage: &Stage, group: &GroupStage) -> Object {
    let spec = &intent.cluster.spec.brokers;
    let own = intent.group_override(&group.name);
    let labels = intent.selector(Component::Broker, Some(&group.name));
    let resources = match own {
        Some(own) if !own.resources.is_empty() => &own.resources,
        Some(_) | None => &spec.resources,
    };
    let listen = spec.listen_port;
    let mut template = template(
        intent,
        &Template {
            of: Of::Group(&group.name),
            component: Component::Broker,
            config_map: intent.names.group(&group.name),
            pod: pod(intent, group, &labels),
            variables: variables(intent, stage, group),
            ports: vec![
                ("remoting", listen),
                ("fast", listen.saturating_sub(2)),
                ("ha", listen.saturating_add(1)),
                ("control", listen.saturating_add(2)),
            ],
            resources: resources.requirements(),
            probes: &spec.probes,
            grace_period_seconds: spec.shutdown.grace_period_seconds,
            restart: group.restart.as_ref(),
            // Without the setting of a group that joins: it goes without a restart.
            restart_hash: restart_hash(
                Component::Broker,
                &intent.broker_settings(&group.name, false),
            ),
            claims: group.claims.clone(),
        },
    );
    extend(intent, &mut template);
    let claims = claims(&group.claims, &labels, |volume| {
        let storage = &spec.storage;
        let of_log = storage.commit_log.as_ref().filter(|_| volume == COMMIT_LOG_VOLUME);
        let of_group = own.and_then(|own| own.storage.as_ref()?.class_name.clone());
        let class = of_log.and_then(|log| log.class_name.clone());
        Claim {
            class: class.or(of_group).or_else(|| storage.class_name.clone()),
            access_mode: storage.access_mode.to_string(),
            labels: storage.labels.clone(),
            annotations: storage.annotations.clone(),
        }
    });
    let headless = intent.names.brokers_headless();
    let set = set(group.replicas, labels, headless, template);
    let mut metadata = metadata(intent, intent.names.group(&group.name), Of::Group(&group.name));
    if group.removing {
        metadata.annotations = Some([(REMOVING.to_owned(), "true".to_owned())].into());
    }
    // Long before the StatefulSet goes: its controller lets go of claims only while it has pods.
    let policy = if group.leaving {
        VolumePolicy::Retain
    } else {
        intent.cluster.spec.deletion_policy.volumes
    };
    object(metadata, set, claims, policy)
}

/// What the manifest says about the pods of a group, and where they may run.
fn pod(
    intent: &Intent<'_>,
    group: &GroupStage,
    labels: &BTreeMap<String, String>,
) -> rmq_operator_api::Pod {
    let spec = &intent.cluster.spec.brokers;
    let mut pod = accounts::pod(intent, Component::Broker);
    let own = intent.group_override(&group.name);
    let zone = own.and_then(|own| own.zone.as_ref());
    if let Some(own) = own {
        pod.node_selector.extend(own.node_selector.clone());
        pod.tolerations.extend(own.tolerations.iter().cloned());
    }
    if let Some(zone) = zone {
        pod.node_selector.insert(ZONE.to_owned(), zone.clone());
    }
    if pod.affinity.is_none() {
        pod.affinity = anti_affinity(spec.anti_affinity, labels.clone());
    }
    if pod.topology_spread_constraints.is_empty() && zone.is_none() {
        pod.topology_spread_constraints = zone_spread(spec.zone_spread, labels.clone());
    }
    pod
}

/// What only brokers' pods can have.
fn extend(intent: &Intent<'_>, template: &mut PodTemplateSpec) {
    let spec = &intent.cluster.spec.brokers;
    let Some(pod) = &mut template.spec else { return };
    if spec.addressing.host_network {
        pod.host_network = Some(true);
        pod.dns_policy = Some("ClusterFirstWithHostNet".to_owned());
    }
    pod.init_containers = some_list(&spec.pod.init_containers);
    if let Some(broker) = pod.containers.first_mut() {
        let mounts = broker.volume_mounts.get_or_insert_default();
        mounts.extend(spec.pod.extra_volume_mounts.iter().cloned());
    }
    pod.containers.extend(spec.pod.sidecars.iter().cloned());
    pod.volumes.get_or_insert_default().extend(spec.pod.extra_volumes.iter().cloned());
}

fn variables(
    intent: &Intent<'_>,
    stage: &Stage,
    group: &GroupStage,
) -> Vec<(&'static str, String)> {
    let spec = &intent.cluster.spec.brokers;
    let advertise = match spec.addressing.advertise {
        Advertise::ServiceIP => rmq_pod::Advertise::ServiceIp,
        Advertise::PodDNS => rmq_pod::Advertise::PodDns,
        Advertise::PodIP => rmq_pod::Advertise::PodIp,
        Advertise::HostIP => rmq_pod::Advertise::HostIp,
        Advertise::External => rmq_pod::Advertise::External,
    };
    let mut domain = intent.names.brokers_domain(intent.namespace);
    if spec.addressing.advertise == Advertise::PodDNS {
        domain = format!("{domain}.{}", spec.addressing.cluster_domain);
    }
    let template = BrokerTemplate {
        replication: match group.shape.replication {
            Replication::Async => rmq_pod::Replication::Async,
            Replication::Sync => rmq_pod::Replication::Sync,
        },
        advertise,
        advertised_host: advertised(intent, stage, group),
        service_domain: Some(domain),
        drain_seconds: spec.shutdown.drain_seconds,
        ..BrokerTemplate::new(shared(intent, spec.listen_port), &group.name)
    };
    let mut variables = template.variables();
    // In `replication.conf`, which may change while brokers run: a slave more restarts nobody.
    variables.retain(|(name, _)| *name != env::REPLICAS);
    variables
}

/// Where clients outside find each broker of the group.
fn advertised(intent: &Intent<'_>, stage: &Stage, group: &GroupStage) -> Option<AdvertisedHost> {
    let external = intent.cluster.spec.brokers.addressing.external.as_ref()?;
    let mut hosts = AdvertisedHost::default();
    for (ordinal, pod) in group.pods(intent) {
        let key = format!("{}/{ordinal}", group.name);
        let own = external.per_pod.iter().find(|one| one.ordinal_of == key);
        let seen = stage.external.get(&names::external(&pod));
        let host = own
            .and_then(|own| own.host.clone().or_else(|| own.load_balancer_ip.clone()))
            .or_else(|| external.host_template.clone())
            .or_else(|| match external.kind {
                ExternalType::NodePort => Some("{nodeIP}".to_owned()),
                ExternalType::LoadBalancer => seen.and_then(|seen| seen.host.clone()),
            });
        let node_port = match external.kind {
            ExternalType::NodePort => {
                own.and_then(|own| own.node_port).or_else(|| seen.and_then(|seen| seen.node_port))
            }
            ExternalType::LoadBalancer => None,
        };
        let port = own.and_then(|own| own.port).or(node_port);
        if let Some(host) = host {
            hosts = hosts.for_ordinal(ordinal, &host, port);
        }
    }
    Some(hosts)
}

fn shared(intent: &Intent<'_>, port: u16) -> Shared {
    let metrics = &intent.cluster.spec.metrics;
    Shared {
        http_port: metrics.enabled.then_some(metrics.port),
        control_token_file: Some(CONTROL_TOKEN_FILE.to_owned()),
        ..Shared::new(intent.cluster.cluster_name(), intent.uid, port)
    }
}

/// What claims of one volume are like.
#[derive(Debug, Default)]
struct Claim {
    class: Option<String>,
    access_mode: String,
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
}

fn claims(
    sizes: &BTreeMap<String, String>,
    labels: &BTreeMap<String, String>,
    of: impl Fn(&str) -> Claim,
) -> Vec<PersistentVolumeClaim> {
    sizes
        .iter()
        .map(|(volume, size)| {
            let claim = of(volume);
            let mut all = claim.labels;
            all.extend(labels.clone());
            let requests = [("storage".to_owned(), Quantity(size.clone()))].into();
            PersistentVolumeClaim {
                metadata: ObjectMeta {
                    name: Some(volume.clone()),
                    labels: Some(all),
                    annotations: some_map(&claim.annotations),
                    ..ObjectMeta::default()
                },
                spec: Some(PersistentVolumeClaimSpec {
                    access_modes: Some(vec![claim.access_mode]),
                    resources: Some(VolumeResourceRequirements {
                        requests: Some(requests),
                        ..VolumeResourceRequirements::default()
                    }),
                    storage_class_name: claim.class,
                    ..PersistentVolumeClaimSpec::default()
                }),
                ..PersistentVolumeClaim::default()
            }
        })
        .collect()
}

fn set(
    replicas: u32,
    selector: BTreeMap<String, String>,
    service: String,
    template: PodTemplateSpec,
) -> StatefulSetSpec {
    StatefulSetSpec {
        pod_management_policy: Some("Parallel".to_owned()),
        replicas: Some(i32::try_from(replicas).unwrap_or(i32::MAX)),
        selector: LabelSelector { match_labels: Some(selector), ..LabelSelector::default() },
        service_name: Some(service),
        template,
        update_strategy: Some(StatefulSetUpdateStrategy {
            type_: Some("OnDelete".to_owned()),
            ..StatefulSetUpdateStrategy::default()
        }),
        ..StatefulSetSpec::default()
    }
}

fn object(
    metadata: ObjectMeta,
    mut spec: StatefulSetSpec,
    claims: Vec<PersistentVolumeClaim>,
    policy: VolumePolicy,
) -> Object {
    if !claims.is_empty() {
        spec.volume_claim_templates = Some(claims);
        let deleted = match policy {
            VolumePolicy::Retain => "Retain",
            VolumePolicy::Delete => "Delete",
        };
        spec.persistent_volume_claim_retention_policy =
            Some(StatefulSetPersistentVolumeClaimRetentionPolicy {
                when_deleted: Some(deleted.to_owned()),
                when_scaled: Some("Retain".to_owned()),
            });
    }
    Object::StatefulSet(Box::new(StatefulSet {
        metadata,
        spec: Some(spec),
        ..StatefulSet::default()
    }))
}
