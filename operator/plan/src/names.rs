//! Names of the objects of a cluster, and addresses that follow from them.

use std::fmt::Display;

/// Volume of a broker's store and of a name server's settings: first part of its claims' names.
pub const STORE_VOLUME: &str = "store";
/// Volume of a broker's commit log where it has one of its own.
pub const COMMIT_LOG_VOLUME: &str = "commitlog";

/// Names of everything that belongs to one cluster resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Names<'a> {
    cluster: &'a str,
}

impl<'a> Names<'a> {
    /// For the resource called `cluster`.
    pub fn new(cluster: &'a str) -> Self {
        Self { cluster }
    }

    /// StatefulSet, Service for clients, ConfigMap, PodDisruptionBudget and ServiceAccount of the
    /// name servers.
    pub fn name_servers(self) -> String {
        format!("{}-namesrv", self.cluster)
    }

    /// Headless Service of the name servers.
    pub fn name_servers_headless(self) -> String {
        format!("{}-namesrv-hl", self.cluster)
    }

    /// ServiceAccount and NetworkPolicy of the brokers.
    pub fn brokers(self) -> String {
        format!("{}-broker", self.cluster)
    }

    /// Headless Service of all brokers.
    pub fn brokers_headless(self) -> String {
        format!("{}-broker-hl", self.cluster)
    }

    /// StatefulSet, ConfigMap and PodDisruptionBudget of the group called `broker_name`.
    pub fn group(self, broker_name: &str) -> String {
        format!("{}-{broker_name}", self.cluster)
    }

    /// ConfigMap that tells applications how to reach the cluster.
    pub fn client(self) -> String {
        format!("{}-client", self.cluster)
    }

    /// Secret with the token of the control API.
    pub fn control_token(self) -> String {
        format!("{}-control-token", self.cluster)
    }

    /// The name server with `ordinal`.
    pub fn name_server_pod(self, ordinal: u32) -> String {
        pod(&self.name_servers(), ordinal)
    }

    /// The broker with `ordinal` of the group called `broker_name`.
    pub fn broker_pod(self, broker_name: &str, ordinal: u32) -> String {
        pod(&self.group(broker_name), ordinal)
    }

    /// Domain below which the brokers' pods have their names, without the cluster's domain.
    pub fn brokers_domain(self, namespace: &str) -> String {
        format!("{}.{namespace}.svc", self.brokers_headless())
    }

    /// `host:port` of the first `count` name servers: the list brokers register with, in order.
    pub fn name_server_addresses(self, namespace: &str, port: u16, count: u32) -> Vec<String> {
        let domain = self.name_servers_headless();
        (0..count)
            .map(|ordinal| {
                format!("{}.{domain}.{namespace}.svc:{port}", self.name_server_pod(ordinal))
            })
            .collect()
    }
}

/// The pod with `ordinal` of the StatefulSet `set`.
pub fn pod(set: &str, ordinal: impl Display) -> String {
    format!("{set}-{ordinal}")
}

/// The claim that a StatefulSet makes for `volume` of `pod`.
pub fn claim(volume: &str, pod: &str) -> String {
    format!("{volume}-{pod}")
}

/// Service that makes `pod` reachable from outside.
pub fn external(pod: &str) -> String {
    format!("{pod}-ext")
}

/// The ordinal of `pod` in `set`; `None` if it is not a pod of that set.
pub fn ordinal(set: &str, pod: &str) -> Option<u32> {
    let digits = pod.strip_prefix(set)?.strip_prefix('-')?;
    let ordinal: u32 = digits.parse().ok()?;
    (ordinal.to_string() == digits).then_some(ordinal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinals_are_read_only_from_the_sets_own_pods() {
        for (set, name, wanted) in [
            ("c-broker-a", "c-broker-a-0", Some(0)),
            ("c-broker-a", "c-broker-a-12", Some(12)),
            ("c-broker-a", "c-broker-aa-0", None),
            ("c-broker", "c-broker-a-0", None),
            ("c-broker-a", "c-broker-a-01", None),
            ("c-broker-a", "c-broker-a-", None),
            ("c-broker-a", "c-broker-a", None),
            ("c-broker-a", "c-broker-a--1", None),
        ] {
            assert_eq!(ordinal(set, name), wanted, "{set} {name}");
        }
    }

    #[test]
    fn the_list_of_name_servers_uses_pod_names() {
        let list = Names::new("c").name_server_addresses("ns", 9876, 2);
        assert_eq!(
            list,
            ["c-namesrv-0.c-namesrv-hl.ns.svc:9876", "c-namesrv-1.c-namesrv-hl.ns.svc:9876"]
        );
    }

    #[test]
    fn claims_are_named_as_a_statefulset_names_them() {
        let pod = Names::new("c").broker_pod("broker-a", 1);
        assert_eq!(claim(STORE_VOLUME, &pod), "store-c-broker-a-1");
        assert_eq!(claim(COMMIT_LOG_VOLUME, &pod), "commitlog-c-broker-a-1");
        assert_eq!(external(&pod), "c-broker-a-1-ext");
    }
}
