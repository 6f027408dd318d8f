//! What the pods of every StatefulSet have in common.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    Capabilities, ConfigMapVolumeSource, Container, ContainerPort, EmptyDirVolumeSource, EnvVar,
    EnvVarSource, HTTPGetAction, LocalObjectReference, ObjectFieldSelector, PodSecurityContext,
    PodSpec, PodTemplateSpec, Probe, ResourceRequirements, SeccompProfile, SecretVolumeSource,
    SecurityContext, TCPSocketAction, Volume, VolumeMount,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use rmq_operator_api::operations::{self, Probes};
use rmq_operator_api::{Image, Pod, meta};
use rmq_pod::env;

use super::accounts;
use super::labels::{Of, labels, some_list, some_map};
use crate::intent::{Intent, reference};
use crate::names::STORE_VOLUME;
use crate::plan::Component;

/// User and group of the processes; images have no other.
const USER: i64 = 10_001;
/// Directory of the control token's Secret.
const CONTROL_DIR: &str = "/etc/rocketmq-control";
/// File of the control token.
pub(super) const CONTROL_TOKEN_FILE: &str = "/etc/rocketmq-control/token";

/// What differs between name servers and the groups of brokers.
#[derive(Debug)]
pub(super) struct Template<'a> {
    pub(super) of: Of<'a>,
    pub(super) component: Component,
    /// ConfigMap of its files.
    pub(super) config_map: String,
    /// What the manifest says about the pods.
    pub(super) pod: Pod,
    /// Environment besides the downward API.
    pub(super) variables: Vec<(&'static str, String)>,
    /// Ports by name, the one of requests first.
    pub(super) ports: Vec<(&'static str, u16)>,
    pub(super) resources: ResourceRequirements,
    pub(super) probes: &'a Probes,
    pub(super) grace_period_seconds: u32,
    /// Token of the latest restart that was asked for.
    pub(super) restart: Option<&'a String>,
    /// Hash of the settings that need a restart.
    pub(super) restart_hash: String,
    /// Claims it has, by volume; without one for the store that goes with the pod.
    pub(super) claims: BTreeMap<String, String>,
}

/// The template. Whatever is in it restarts pods when it changes.
pub(super) fn template(intent: &Intent<'_>, one: &Template<'_>) -> PodTemplateSpec {
    let image = intent.image(one.component);
    let mut annotations = one.pod.annotations.clone();
    annotations.insert(meta::RESTART_CONFIG_HASH.to_owned(), one.restart_hash.clone());
    if let Some(token) = one.restart {
        annotations.insert(meta::RESTART.to_owned(), token.clone());
    }
    let mut all = one.pod.labels.clone();
    all.extend(labels(intent, one.of));
    let pod = &one.pod;
    PodTemplateSpec {
        metadata: Some(ObjectMeta {
            annotations: Some(annotations),
            labels: Some(all),
            ..ObjectMeta::default()
        }),
        spec: Some(PodSpec {
            affinity: pod.affinity.clone(),
            automount_service_account_token: Some(false),
            dns_config: pod.dns_config.clone(),
            enable_service_links: Some(false),
            host_aliases: some_list(&pod.host_aliases),
            image_pull_secrets: pull_secrets(&image),
            node_selector: some_map(&pod.node_selector),
            priority_class_name: pod.priority_class_name.clone(),
            runtime_class_name: pod.runtime_class_name.clone(),
            scheduler_name: pod.scheduler_name.clone(),
            security_context: Some(pod.security_context.clone().unwrap_or_else(pod_security)),
            service_account_name: Some(accounts::name(intent, one.component, pod)),
            termination_grace_period_seconds: Some(i64::from(one.grace_period_seconds)),
            tolerations: some_list(&pod.tolerations),
            topology_spread_constraints: some_list(&pod.topology_spread_constraints),
            volumes: Some(volumes(intent, one)),
            containers: vec![container(intent, one, &image)],
            ..PodSpec::default()
        }),
    }
}

fn container(intent: &Intent<'_>, one: &Template<'_>, image: &Image) -> Container {
    let metrics = &intent.cluster.spec.metrics;
    let http = metrics.enabled.then_some(metrics.port);
    let requests = one.ports.first().map_or(0, |(_, port)| *port);
    let ports = one.ports.iter().copied().chain(http.map(|port| ("http", port)));
    let probe = |path: &str, given: Option<&operations::Probe>, period, failures| {
        let mut probe = probe(given, period, failures);
        match http {
            Some(_) => {
                probe.http_get = Some(HTTPGetAction {
                    path: Some(path.to_owned()),
                    port: IntOrString::String("http".to_owned()),
                    ..HTTPGetAction::default()
                });
            }
            // Without that port, "accepts connections" is all there is to ask.
            None => {
                probe.tcp_socket = Some(TCPSocketAction {
                    port: IntOrString::Int(i32::from(requests)),
                    ..TCPSocketAction::default()
                });
            }
        }
        Some(probe)
    };
    let security = one.pod.container_security_context.clone();
    Container {
        name: one.component.name().to_owned(),
        image: Some(reference(image)),
        image_pull_policy: image.pull_policy.map(|policy| policy.name().to_owned()),
        env: Some(environment(one)),
        ports: Some(
            ports
                .map(|(name, port)| ContainerPort {
                    name: Some(name.to_owned()),
                    container_port: i32::from(port),
                    protocol: Some("TCP".to_owned()),
                    ..ContainerPort::default()
                })
                .collect(),
        ),
        resources: Some(one.resources.clone()),
        security_context: Some(security.unwrap_or_else(container_security)),
        // Often, as the pod is not Ready before one succeeds; for an hour, as recovery may take long.
        startup_probe: probe("/startupz", one.probes.startup.as_ref(), 1, 3_600),
        liveness_probe: probe("/livez", one.probes.liveness.as_ref(), 10, 3),
        readiness_probe: probe("/readyz", one.probes.readiness.as_ref(), 5, 3),
        volume_mounts: Some(mounts(one)),
        ..Container::default()
    }
}

fn environment(one: &Template<'_>) -> Vec<EnvVar> {
    let downward = env::DOWNWARD.iter().map(|(name, field)| EnvVar {
        name: (*name).to_owned(),
        value_from: Some(EnvVarSource {
            field_ref: Some(ObjectFieldSelector {
                api_version: Some("v1".to_owned()),
                field_path: (*field).to_owned(),
            }),
            ..EnvVarSource::default()
        }),
        ..EnvVar::default()
    });
    let literal = one.variables.iter().map(|(name, value)| EnvVar {
        name: (*name).to_owned(),
        value: Some(value.clone()),
        ..EnvVar::default()
    });
    downward.chain(literal).chain(one.pod.env.iter().cloned()).collect()
}

fn volumes(intent: &Intent<'_>, one: &Template<'_>) -> Vec<Volume> {
    let named = |name: &str| Volume { name: name.to_owned(), ..Volume::default() };
    let mut volumes = vec![
        Volume {
            config_map: Some(ConfigMapVolumeSource {
                name: one.config_map.clone(),
                ..ConfigMapVolumeSource::default()
            }),
            ..named("config")
        },
        Volume {
            secret: Some(SecretVolumeSource {
                secret_name: Some(intent.names.control_token()),
                default_mode: Some(0o440),
                ..SecretVolumeSource::default()
            }),
            ..named("control")
        },
        Volume { empty_dir: Some(EmptyDirVolumeSource::default()), ..named("tmp") },
    ];
    if !one.claims.contains_key(STORE_VOLUME) {
        let empty = EmptyDirVolumeSource::default();
        volumes.push(Volume { empty_dir: Some(empty), ..named(STORE_VOLUME) });
    }
    volumes
}

fn mounts(one: &Template<'_>) -> Vec<VolumeMount> {
    let mount = |name: &str, path: &str, read_only: bool| VolumeMount {
        name: name.to_owned(),
        mount_path: path.to_owned(),
        read_only: read_only.then_some(true),
        ..VolumeMount::default()
    };
    // Directories, not single files: those would never see a change.
    let mut mounts = vec![
        mount("config", env::CONFIG_DIR_DEFAULT, true),
        mount("control", CONTROL_DIR, true),
        mount("tmp", "/tmp", false),
        mount(STORE_VOLUME, env::DATA_DIR_DEFAULT, false),
    ];
    for name in one.claims.keys().filter(|name| *name != STORE_VOLUME) {
        mounts.push(mount(name, &format!("{}/{name}", env::DATA_DIR_DEFAULT), false));
    }
    mounts
}

fn probe(given: Option<&operations::Probe>, period: u32, failures: u32) -> Probe {
    let whole = |number: u32| Some(i32::try_from(number).unwrap_or(i32::MAX));
    Probe {
        initial_delay_seconds: given.and_then(|one| one.initial_delay_seconds).and_then(whole),
        period_seconds: whole(given.and_then(|one| one.period_seconds).unwrap_or(period)),
        timeout_seconds: whole(given.and_then(|one| one.timeout_seconds).unwrap_or(3)),
        failure_threshold: whole(given.and_then(|one| one.failure_threshold).unwrap_or(failures)),
        ..Probe::default()
    }
}

fn pull_secrets(image: &Image) -> Option<Vec<LocalObjectReference>> {
    some_list(&image.pull_secrets)
        .map(|all| all.into_iter().map(|name| LocalObjectReference { name }).collect())
}

/// Passes the restricted pod security level.
fn pod_security() -> PodSecurityContext {
    PodSecurityContext {
        fs_group: Some(USER),
        // A large store would otherwise be walked through at each start.
        fs_group_change_policy: Some("OnRootMismatch".to_owned()),
        run_as_group: Some(USER),
        run_as_non_root: Some(true),
        run_as_user: Some(USER),
        seccomp_profile: Some(SeccompProfile {
            type_: "RuntimeDefault".to_owned(),
            ..SeccompProfile::default()
        }),
        ..PodSecurityContext::default()
    }
}

fn container_security() -> SecurityContext {
    SecurityContext {
        allow_privilege_escalation: Some(false),
        capabilities: Some(Capabilities {
            drop: Some(vec!["ALL".to_owned()]),
            ..Capabilities::default()
        }),
        read_only_root_filesystem: Some(true),
        ..SecurityContext::default()
    }
}
