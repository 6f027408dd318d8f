//! Services: names for pods, one address per broker, one for all name servers.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use rmq_operator_api::nameserver::ServiceType;
use rmq_operator_api::{ExternalType, meta};

use super::labels::{Of, metadata, some_map};
use crate::intent::Intent;
use crate::names;
use crate::object::Object;
use crate::plan::Component;
use crate::stage::Stage;

pub(super) fn build(intent: &Intent<'_>, stage: &Stage, objects: &mut Vec<Object>) {
    if stage.name_servers.replicas.is_some() {
        objects.push(headless(intent, Component::Namesrv));
        objects.push(name_servers(intent, stage));
    }
    objects.push(headless(intent, Component::Broker));
    for group in &stage.groups {
        for (ordinal, pod) in group.pods(intent) {
            objects.push(broker(intent, stage, &group.name, &pod));
            objects.extend(external(intent, &group.name, ordinal, &pod));
        }
    }
}

/// Gives pods their names. Others must find a pod before it is ready: a slave its master, a broker
/// its name servers.
fn headless(intent: &Intent<'_>, component: Component) -> Object {
    let spec = &intent.cluster.spec;
    let (name, of, ports) = match component {
        Component::Namesrv => {
            let ports = vec![port("namesrv", spec.nameserver.port)];
            (intent.names.name_servers_headless(), Of::NameServers, ports)
        }
        Component::Broker => (intent.names.brokers_headless(), Of::Brokers, broker_ports(intent)),
    };
    service(
        metadata(intent, name, of),
        ServiceSpec {
            cluster_ip: Some("None".to_owned()),
            ports: Some(ports),
            selector: Some(intent.selector(component, None)),
            ..ServiceSpec::default()
        },
    )
}

/// For clients, which learn nothing from a name server that is not ready.
fn name_servers(intent: &Intent<'_>, stage: &Stage) -> Object {
    let spec = &intent.cluster.spec.nameserver;
    let name = intent.names.name_servers();
    let cluster_ip = stage.cluster_ips.get(&name).cloned();
    let mut metadata = metadata(intent, name, Of::NameServers);
    metadata.annotations = some_map(&spec.service.annotations);
    let mut port = port("namesrv", spec.port);
    let outside = spec.service.kind != ServiceType::ClusterIP;
    port.node_port = spec.service.node_port.filter(|_| outside).map(i32::from);
    Object::Service(Box::new(Service {
        metadata,
        spec: Some(ServiceSpec {
            cluster_ip,
            load_balancer_class: spec.service.load_balancer_class.clone(),
            ports: Some(vec![port]),
            selector: Some(intent.selector(Component::Namesrv, None)),
            type_: Some(spec.service.kind.name().to_owned()),
            ..ServiceSpec::default()
        }),
        ..Service::default()
    }))
}

/// The address clients are told, which stays while the pod comes and goes.
fn broker(intent: &Intent<'_>, stage: &Stage, group: &str, pod: &str) -> Object {
    service(
        metadata(intent, pod.to_owned(), Of::Group(group)),
        ServiceSpec {
            cluster_ip: stage.cluster_ips.get(pod).cloned(),
            ports: Some(broker_ports(intent)),
            selector: Some(one_pod(pod)),
            type_: Some("ClusterIP".to_owned()),
            ..ServiceSpec::default()
        },
    )
}

/// Makes one broker reachable from outside. Clients need every broker by itself: a route names
/// each, so that one Service for all would send them to the wrong one.
fn external(intent: &Intent<'_>, group: &str, ordinal: u32, pod: &str) -> Option<Object> {
    let brokers = &intent.cluster.spec.brokers;
    let external = brokers.addressing.external.as_ref()?;
    let key = format!("{group}/{ordinal}");
    let own = external.per_pod.iter().find(|one| one.ordinal_of == key);
    let mut metadata = metadata(intent, names::external(pod), Of::Group(group));
    metadata.annotations = own.and_then(|own| some_map(&own.annotations));
    let mut port = port("remoting", brokers.listen_port);
    port.node_port = own.and_then(|own| own.node_port).map(i32::from);
    let kind = match external.kind {
        ExternalType::NodePort => "NodePort",
        ExternalType::LoadBalancer => "LoadBalancer",
    };
    Some(service(
        metadata,
        ServiceSpec {
            load_balancer_ip: own.and_then(|own| own.load_balancer_ip.clone()),
            ports: Some(vec![port]),
            selector: Some(one_pod(pod)),
            type_: Some(kind.to_owned()),
            ..ServiceSpec::default()
        },
    ))
}

fn service(
    metadata: k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta,
    spec: ServiceSpec,
) -> Object {
    let spec = ServiceSpec { publish_not_ready_addresses: Some(true), ..spec };
    Object::Service(Box::new(Service { metadata, spec: Some(spec), ..Service::default() }))
}

fn one_pod(pod: &str) -> BTreeMap<String, String> {
    [(meta::POD_NAME.to_owned(), pod.to_owned())].into()
}

fn broker_ports(intent: &Intent<'_>) -> Vec<ServicePort> {
    let listen = intent.cluster.spec.brokers.listen_port;
    vec![
        port("remoting", listen),
        port("fast", listen.saturating_sub(2)),
        port("ha", listen.saturating_add(1)),
        port("control", listen.saturating_add(2)),
    ]
}

fn port(name: &str, port: u16) -> ServicePort {
    ServicePort {
        name: Some(name.to_owned()),
        port: i32::from(port),
        // Part of the key by which server-side apply tells ports apart.
        protocol: Some("TCP".to_owned()),
        target_port: Some(IntOrString::Int(i32::from(port))),
        ..ServicePort::default()
    }
}
