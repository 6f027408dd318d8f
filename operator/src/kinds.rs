//! Where the API server has the kinds that plans speak of.

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ConfigMap, Secret, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::{ApiResource, DynamicObject};
use kube::{Api, Client};
use rmq_operator_plan::Kind;

/// Objects of `kind` in `namespace`, of whatever content.
pub(crate) fn api(client: &Client, namespace: &str, kind: Kind) -> Api<DynamicObject> {
    Api::namespaced_with(client.clone(), namespace, &resource(kind))
}

fn resource(kind: Kind) -> ApiResource {
    match kind {
        Kind::ServiceAccount => ApiResource::erase::<ServiceAccount>(&()),
        Kind::Service => ApiResource::erase::<Service>(&()),
        Kind::ConfigMap => ApiResource::erase::<ConfigMap>(&()),
        Kind::Secret => ApiResource::erase::<Secret>(&()),
        Kind::PodDisruptionBudget => ApiResource::erase::<PodDisruptionBudget>(&()),
        Kind::NetworkPolicy => ApiResource::erase::<NetworkPolicy>(&()),
        Kind::StatefulSet => ApiResource::erase::<StatefulSet>(&()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_where_the_api_server_has_it() {
        let want = [
            (Kind::ServiceAccount, "v1 serviceaccounts"),
            (Kind::Service, "v1 services"),
            (Kind::ConfigMap, "v1 configmaps"),
            (Kind::Secret, "v1 secrets"),
            (Kind::PodDisruptionBudget, "policy/v1 poddisruptionbudgets"),
            (Kind::NetworkPolicy, "networking.k8s.io/v1 networkpolicies"),
            (Kind::StatefulSet, "apps/v1 statefulsets"),
        ];
        assert_eq!(want.map(|(kind, _)| kind), Kind::ALL);
        for (kind, place) in want {
            let resource = resource(kind);
            assert_eq!(format!("{} {}", resource.api_version, resource.plural), place);
            assert_eq!(resource.kind, kind.name());
        }
    }
}
