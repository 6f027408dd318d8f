//! What can be said about pods: `podDefaults`, `nameserver.pod`, `brokers.pod`, `resources`.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    Affinity, Container, EnvVar, HostAlias, PodDNSConfig, PodSecurityContext, ResourceRequirements,
    SecurityContext, Toleration, TopologySpreadConstraint, Volume, VolumeMount,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as ApiQuantity;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::quantity::Quantity;
use crate::schema;

/// Environment variables that the operator sets, besides all that begin with `RMQ_`.
pub const RESERVED_ENV: [&str; 7] =
    ["POD_NAME", "POD_NAMESPACE", "POD_UID", "POD_IP", "POD_IPS", "NODE_NAME", "HOST_IP"];

/// Whether `name` may not be set through `env`.
pub fn is_reserved_env(name: &str) -> bool {
    name.starts_with("RMQ_") || RESERVED_ENV.contains(&name)
}

/// The fields every kind of pod has, and those of one kind.
macro_rules! pod {
    ($(#[$about:meta])* $name:ident { $($own:tt)* }) => {
        $(#[$about])*
        #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
        #[schemars(extend("x-kubernetes-validations" = [
        schema::rule(
            "!has(self.env) || self.env.all(e, !e.name.startsWith('RMQ_') && !(e.name in \
             ['POD_NAME', 'POD_NAMESPACE', 'POD_UID', 'POD_IP', 'POD_IPS', 'NODE_NAME', 'HOST_IP']))",
            "env cannot set the variables of the operator: RMQ_*, POD_NAME, POD_NAMESPACE, POD_UID, POD_IP, POD_IPS, NODE_NAME, HOST_IP",
        ),
    ]))]
        #[serde(rename_all = "camelCase")]
        pub struct $name {
            /// Labels; those of the operator cannot be replaced.
            #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
            #[schemars(extend("maxProperties" = 64))]
            pub labels: BTreeMap<String, String>,
            /// Annotations.
            #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
            #[schemars(extend("maxProperties" = 64))]
            pub annotations: BTreeMap<String, String>,
            /// Labels that a node must have.
            #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
            #[schemars(extend("maxProperties" = 64))]
            pub node_selector: BTreeMap<String, String>,
            /// Taints of nodes that do not keep pods away.
            #[serde(default, skip_serializing_if = "Vec::is_empty")]
            #[schemars(schema_with = "schema::embedded::<Vec<Toleration>>", extend("maxItems" = 64))]
            pub tolerations: Vec<Toleration>,
            /// Attraction to nodes and pods; replaces what `antiAffinity` makes.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            #[schemars(schema_with = "schema::embedded::<Affinity>")]
            pub affinity: Option<Affinity>,
            /// Spread over nodes and zones; replaces what `zoneSpread` makes.
            #[serde(default, skip_serializing_if = "Vec::is_empty")]
            #[schemars(
                schema_with = "schema::embedded::<Vec<TopologySpreadConstraint>>",
                extend("maxItems" = 16)
            )]
            pub topology_spread_constraints: Vec<TopologySpreadConstraint>,
            /// Priority.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub priority_class_name: Option<String>,
            /// Container runtime.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub runtime_class_name: Option<String>,
            /// Scheduler.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub scheduler_name: Option<String>,
            /// Lines of `/etc/hosts`.
            #[serde(default, skip_serializing_if = "Vec::is_empty")]
            #[schemars(schema_with = "schema::embedded::<Vec<HostAlias>>", extend("maxItems" = 64))]
            pub host_aliases: Vec<HostAlias>,
            /// Name servers and search domains of DNS.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            #[schemars(schema_with = "schema::embedded::<PodDNSConfig>")]
            pub dns_config: Option<PodDNSConfig>,
            /// Environment variables; names that begin with `RMQ_` are the operator's.
            #[serde(default, skip_serializing_if = "Vec::is_empty")]
            #[schemars(schema_with = "schema::embedded::<Vec<EnvVar>>", extend("maxItems" = 64))]
            pub env: Vec<EnvVar>,
            /// The account pods run under.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub service_account: Option<ServiceAccount>,
            /// Security of the pod; replaces the default, which passes the restricted level.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            #[schemars(schema_with = "schema::embedded::<PodSecurityContext>")]
            pub security_context: Option<PodSecurityContext>,
            /// Security of the container; replaces the default, which passes the restricted level.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            #[schemars(schema_with = "schema::embedded::<SecurityContext>")]
            pub container_security_context: Option<SecurityContext>,
            $($own)*
        }
    };
}

pod! {
    /// What the pods of a component are like.
    Pod {}
}

pod! {
    /// What brokers' pods are like.
    BrokerPod {
        /// Further containers.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        #[schemars(schema_with = "schema::embedded::<Vec<Container>>", extend("maxItems" = 16))]
        pub sidecars: Vec<Container>,
        /// Containers that run before the broker starts.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        #[schemars(schema_with = "schema::embedded::<Vec<Container>>", extend("maxItems" = 16))]
        pub init_containers: Vec<Container>,
        /// Further volumes.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        #[schemars(schema_with = "schema::embedded::<Vec<Volume>>", extend("maxItems" = 32))]
        pub extra_volumes: Vec<Volume>,
        /// Where the broker's container sees them.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        #[schemars(schema_with = "schema::embedded::<Vec<VolumeMount>>", extend("maxItems" = 32))]
        pub extra_volume_mounts: Vec<VolumeMount>,
    }
}

impl BrokerPod {
    /// The fields that every kind of pod has.
    pub fn common(&self) -> Pod {
        Pod {
            labels: self.labels.clone(),
            annotations: self.annotations.clone(),
            node_selector: self.node_selector.clone(),
            tolerations: self.tolerations.clone(),
            affinity: self.affinity.clone(),
            topology_spread_constraints: self.topology_spread_constraints.clone(),
            priority_class_name: self.priority_class_name.clone(),
            runtime_class_name: self.runtime_class_name.clone(),
            scheduler_name: self.scheduler_name.clone(),
            host_aliases: self.host_aliases.clone(),
            dns_config: self.dns_config.clone(),
            env: self.env.clone(),
            service_account: self.service_account.clone(),
            security_context: self.security_context.clone(),
            container_security_context: self.container_security_context.clone(),
        }
    }
}

impl Pod {
    /// `self` over `defaults`: maps are merged by key, environment variables by name, everything
    /// else that `self` gives replaces the default.
    pub fn over(&self, defaults: &Self) -> Self {
        fn maps(
            own: &BTreeMap<String, String>,
            defaults: &BTreeMap<String, String>,
        ) -> BTreeMap<String, String> {
            let mut merged = defaults.clone();
            merged.extend(own.clone());
            merged
        }
        fn list<T: Clone>(own: &[T], defaults: &[T]) -> Vec<T> {
            if own.is_empty() { defaults.to_vec() } else { own.to_vec() }
        }
        let mut env: Vec<EnvVar> = defaults.env.clone();
        env.retain(|inherited| self.env.iter().all(|own| own.name != inherited.name));
        env.extend(self.env.iter().cloned());
        let or = |own: &Option<String>, default: &Option<String>| own.clone().or(default.clone());
        Self {
            labels: maps(&self.labels, &defaults.labels),
            annotations: maps(&self.annotations, &defaults.annotations),
            node_selector: maps(&self.node_selector, &defaults.node_selector),
            tolerations: list(&self.tolerations, &defaults.tolerations),
            affinity: self.affinity.clone().or_else(|| defaults.affinity.clone()),
            topology_spread_constraints: list(
                &self.topology_spread_constraints,
                &defaults.topology_spread_constraints,
            ),
            priority_class_name: or(&self.priority_class_name, &defaults.priority_class_name),
            runtime_class_name: or(&self.runtime_class_name, &defaults.runtime_class_name),
            scheduler_name: or(&self.scheduler_name, &defaults.scheduler_name),
            host_aliases: list(&self.host_aliases, &defaults.host_aliases),
            dns_config: self.dns_config.clone().or_else(|| defaults.dns_config.clone()),
            env,
            service_account: self
                .service_account
                .clone()
                .or_else(|| defaults.service_account.clone()),
            security_context: self
                .security_context
                .clone()
                .or_else(|| defaults.security_context.clone()),
            container_security_context: self
                .container_security_context
                .clone()
                .or_else(|| defaults.container_security_context.clone()),
        }
    }
}

/// The account that pods run under.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServiceAccount {
    /// Make it; otherwise it must be there.
    #[serde(default = "yes")]
    pub create: bool,
    /// Its name, if it is not the operator's choice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub name: Option<String>,
    /// Its annotations.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 64))]
    pub annotations: BTreeMap<String, String>,
}

fn yes() -> bool {
    true
}

/// Compute resources by name (`cpu`, `memory`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Resources {
    /// What is set aside.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16))]
    pub requests: BTreeMap<String, Quantity>,
    /// What may not be exceeded.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16))]
    pub limits: BTreeMap<String, Quantity>,
}

impl Resources {
    /// What a broker gets when nothing is said: half a processor and 1 GiB, at most 2 GiB.
    pub fn broker() -> Self {
        Self {
            requests: [("cpu", Quantity::millis(500)), ("memory", Quantity::gibibytes(1))]
                .map(|(name, amount)| (name.to_owned(), amount))
                .into(),
            limits: [("memory".to_owned(), Quantity::gibibytes(2))].into(),
        }
    }

    /// Whether nothing is given.
    pub fn is_empty(&self) -> bool {
        self.requests.is_empty() && self.limits.is_empty()
    }

    /// As Kubernetes has them.
    pub fn requirements(&self) -> ResourceRequirements {
        let amounts = |of: &BTreeMap<String, Quantity>| {
            let map = of.iter().map(|(name, amount)| (name.clone(), ApiQuantity::from(amount)));
            (!of.is_empty()).then(|| map.collect())
        };
        ResourceRequirements {
            requests: amounts(&self.requests),
            limits: amounts(&self.limits),
            ..ResourceRequirements::default()
        }
    }
}

impl From<&Quantity> for ApiQuantity {
    fn from(quantity: &Quantity) -> Self {
        Self(quantity.as_str().to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(yaml: &str) -> Pod {
        serde_yaml::from_str(yaml).expect("well formed")
    }

    #[test]
    fn a_component_wins_over_the_defaults() {
        let defaults =
            pod("{labels: {a: '1', b: '1'}, env: [{name: X, value: '1'}, {name: Y, value: '1'}], \
              tolerations: [{key: t}], schedulerName: s, priorityClassName: p}");
        let own = pod("{labels: {b: '2'}, env: [{name: X, value: '2'}], schedulerName: o}");
        let merged = own.over(&defaults);
        let wanted =
            pod("{labels: {a: '1', b: '2'}, env: [{name: Y, value: '1'}, {name: X, value: '2'}], \
              tolerations: [{key: t}], schedulerName: o, priorityClassName: p}");
        assert_eq!(merged, wanted);
        assert_eq!(Pod::default().over(&defaults), defaults);
    }

    #[test]
    fn brokers_pods_have_all_common_fields() {
        let yaml = "{labels: {a: b}, annotations: {a: b}, nodeSelector: {a: b}, \
            tolerations: [{key: t}], affinity: {nodeAffinity: {}}, \
            topologySpreadConstraints: [{maxSkew: 1, topologyKey: z, whenUnsatisfiable: x}], \
            priorityClassName: p, runtimeClassName: r, schedulerName: s, \
            hostAliases: [{ip: '1.2.3.4'}], dnsConfig: {nameservers: ['1.2.3.4']}, \
            env: [{name: X}], serviceAccount: {create: false, name: n}, \
            securityContext: {runAsUser: 1}, containerSecurityContext: {runAsUser: 1}}";
        let broker: BrokerPod = serde_yaml::from_str(yaml).expect("well formed");
        assert_eq!(broker.common(), pod(yaml));
        assert_eq!(broker.common().over(&Pod::default()), pod(yaml));
    }

    #[test]
    fn the_operators_variables_are_reserved() {
        for name in ["RMQ_", "RMQ_ORDINAL", "POD_IP"] {
            assert!(is_reserved_env(name), "{name}");
        }
        for name in ["rmq_x", "JAVA_OPT", "POD"] {
            assert!(!is_reserved_env(name), "{name}");
        }
    }
}
