//! NetworkPolicies: clients reach the client ports, only the cluster itself the rest.

use std::collections::BTreeMap;

use k8s_openapi::api::networking::v1::{
    NetworkPolicy, NetworkPolicyEgressRule, NetworkPolicyIngressRule, NetworkPolicyPeer,
    NetworkPolicyPort, NetworkPolicySpec,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::labels::{Of, metadata, some_list};
use crate::intent::Intent;
use crate::object::Object;
use crate::plan::Component;
use crate::stage::Stage;

pub(super) fn build(intent: &Intent<'_>, stage: &Stage, objects: &mut Vec<Object>) {
    if !intent.cluster.spec.security.network_policy.enabled {
        return;
    }
    if stage.name_servers.replicas.is_some() {
        objects.push(name_servers(intent));
    }
    objects.push(brokers(intent));
}

fn name_servers(intent: &Intent<'_>) -> Object {
    let port = intent.cluster.spec.nameserver.port;
    let mut ingress = vec![from_clients(intent, &[port])];
    // The cluster's own pods, where clients are limited.
    ingress.push(from(vec![members(intent, None)], &[port]));
    ingress.push(from(operator(intent), &[port.saturating_add(2)]));
    ingress.extend(metrics(intent));
    policy(intent, Component::Namesrv, ingress, vec![dns()])
}

fn brokers(intent: &Intent<'_>) -> Object {
    let listen = intent.cluster.spec.brokers.listen_port;
    let (fast, ha, control) =
        (listen.saturating_sub(2), listen.saturating_add(1), listen.saturating_add(2));
    let mut ingress = vec![from_clients(intent, &[listen, fast])];
    let own = vec![members(intent, Some(Component::Broker))];
    ingress.push(from(own, &[listen, fast, ha, control]));
    // Control for its state, the client port for metadata of new groups.
    ingress.push(from(operator(intent), &[listen, control]));
    ingress.extend(metrics(intent));
    let mut egress = vec![dns()];
    egress.push(NetworkPolicyEgressRule { to: Some(vec![members(intent, None)]), ports: None });
    let outside: Vec<NetworkPolicyPort> = external_ports(intent);
    if !outside.is_empty() {
        egress.push(NetworkPolicyEgressRule { to: None, ports: Some(outside) });
    }
    policy(intent, Component::Broker, ingress, egress)
}

/// Ports of name servers that are not ours; where they are is for DNS to say.
fn external_ports(intent: &Intent<'_>) -> Vec<NetworkPolicyPort> {
    let addresses = &intent.cluster.spec.nameserver.external_addresses;
    let mut ports: Vec<u16> =
        addresses.iter().filter_map(|address| address.rsplit_once(':')?.1.parse().ok()).collect();
    ports.sort_unstable();
    ports.dedup();
    ports.into_iter().map(tcp).collect()
}

fn policy(
    intent: &Intent<'_>,
    component: Component,
    ingress: Vec<NetworkPolicyIngressRule>,
    egress: Vec<NetworkPolicyEgressRule>,
) -> Object {
    let (name, of) = match component {
        Component::Namesrv => (intent.names.name_servers(), Of::NameServers),
        Component::Broker => (intent.names.brokers(), Of::Brokers),
    };
    Object::NetworkPolicy(Box::new(NetworkPolicy {
        metadata: metadata(intent, name, of),
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(selector(intent.selector(component, None))),
            ingress: Some(ingress),
            egress: Some(egress),
            policy_types: Some(vec!["Ingress".to_owned(), "Egress".to_owned()]),
        }),
    }))
}

fn from_clients(intent: &Intent<'_>, ports: &[u16]) -> NetworkPolicyIngressRule {
    let clients = &intent.cluster.spec.security.network_policy.clients;
    from(some_list(clients).unwrap_or_default(), ports)
}

/// From `peers`, or from everywhere if there are none, to `ports`.
fn from(peers: Vec<NetworkPolicyPeer>, ports: &[u16]) -> NetworkPolicyIngressRule {
    NetworkPolicyIngressRule {
        from: (!peers.is_empty()).then_some(peers),
        ports: Some(ports.iter().copied().map(tcp).collect()),
    }
}

fn metrics(intent: &Intent<'_>) -> Option<NetworkPolicyIngressRule> {
    let metrics = &intent.cluster.spec.metrics;
    let namespaces = &intent.context.metrics_namespaces;
    let peers = namespaces.iter().map(|name| namespace(name)).collect();
    metrics.enabled.then(|| from(peers, &[metrics.port]))
}

fn operator(intent: &Intent<'_>) -> Vec<NetworkPolicyPeer> {
    let own = intent.context.operator_namespace.as_deref();
    vec![own.map_or_else(
        || NetworkPolicyPeer {
            namespace_selector: Some(LabelSelector::default()),
            ..NetworkPolicyPeer::default()
        },
        namespace,
    )]
}

fn namespace(name: &str) -> NetworkPolicyPeer {
    let label = ("kubernetes.io/metadata.name".to_owned(), name.to_owned());
    NetworkPolicyPeer {
        namespace_selector: Some(selector([label].into())),
        ..NetworkPolicyPeer::default()
    }
}

/// Pods of this cluster, of one component or of both.
fn members(intent: &Intent<'_>, component: Option<Component>) -> NetworkPolicyPeer {
    let mut labels = intent.selector(component.unwrap_or(Component::Broker), None);
    if component.is_none() {
        labels.remove(rmq_operator_api::meta::COMPONENT);
    }
    NetworkPolicyPeer { pod_selector: Some(selector(labels)), ..NetworkPolicyPeer::default() }
}

fn dns() -> NetworkPolicyEgressRule {
    let port = |protocol: &str| NetworkPolicyPort {
        port: Some(IntOrString::Int(53)),
        protocol: Some(protocol.to_owned()),
        ..NetworkPolicyPort::default()
    };
    NetworkPolicyEgressRule { to: None, ports: Some(vec![port("UDP"), port("TCP")]) }
}

fn tcp(port: u16) -> NetworkPolicyPort {
    NetworkPolicyPort {
        port: Some(IntOrString::Int(i32::from(port))),
        protocol: Some("TCP".to_owned()),
        ..NetworkPolicyPort::default()
    }
}

fn selector(labels: BTreeMap<String, String>) -> LabelSelector {
    LabelSelector { match_labels: Some(labels), ..LabelSelector::default() }
}
