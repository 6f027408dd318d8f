//! ServiceAccounts. Nothing in a pod speaks to the API server, so that they have no role and no
//! token; they are there for policies and registries.

use k8s_openapi::api::core::v1::ServiceAccount;
use rmq_operator_api::Pod;

use super::labels::{Of, metadata, some_map};
use crate::intent::Intent;
use crate::object::Object;
use crate::plan::Component;
use crate::stage::Stage;

pub(super) fn build(intent: &Intent<'_>, stage: &Stage, objects: &mut Vec<Object>) {
    if stage.name_servers.replicas.is_some() {
        add(intent, Component::Namesrv, objects);
    }
    add(intent, Component::Broker, objects);
}

fn add(intent: &Intent<'_>, component: Component, objects: &mut Vec<Object>) {
    let pod = pod(intent, component);
    let account = pod.service_account.as_ref();
    if account.is_some_and(|account| !account.create) {
        return;
    }
    let name = name(intent, component, &pod);
    let duplicate =
        objects.iter().any(|one| matches!(one, Object::ServiceAccount(_)) && one.name() == name);
    if duplicate {
        return;
    }
    let of = match component {
        Component::Namesrv => Of::NameServers,
        Component::Broker => Of::Brokers,
    };
    let mut metadata = metadata(intent, name, of);
    metadata.annotations = account.and_then(|account| some_map(&account.annotations));
    objects.push(Object::ServiceAccount(Box::new(ServiceAccount {
        metadata,
        automount_service_account_token: Some(false),
        ..ServiceAccount::default()
    })));
}

/// What the manifest says about a component's pods.
pub(super) fn pod(intent: &Intent<'_>, component: Component) -> Pod {
    let spec = &intent.cluster.spec;
    match component {
        Component::Namesrv => spec.nameserver.pod.over(&spec.pod_defaults),
        Component::Broker => spec.brokers.pod.common().over(&spec.pod_defaults),
    }
}

/// Name of the account of a component's pods.
pub(super) fn name(intent: &Intent<'_>, component: Component, pod: &Pod) -> String {
    let given = pod.service_account.as_ref();
    match given {
        Some(account) if account.name.is_some() => account.name.clone().unwrap_or_default(),
        // Not ours to make and not named: what every namespace has.
        Some(account) if !account.create => "default".to_owned(),
        _ => match component {
            Component::Namesrv => intent.names.name_servers(),
            Component::Broker => intent.names.brokers(),
        },
    }
}
