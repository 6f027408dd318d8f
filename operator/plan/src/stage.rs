//! How far a change has got: what objects must look like now, on the way to what is wanted.

use std::collections::BTreeMap;

use rmq_operator_api::{Shape, meta};

use crate::intent::{Intent, Start};
use crate::names;

/// What [`build()`](crate::build()) takes from what runs rather than from the manifest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stage {
    /// Name servers.
    pub name_servers: NameServerStage,
    /// Groups that have objects, wanted or on their way out.
    pub groups: Vec<GroupStage>,
    /// Addresses that Services had; one that is made anew gets its old one.
    pub cluster_ips: BTreeMap<String, String>,
    /// Where brokers are reached from outside, as far as the cluster's network says, by Service.
    pub external: BTreeMap<String, ExternalAddress>,
}

/// Name servers, on the way.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NameServerStage {
    /// Replicas of the StatefulSet; `None` if there is none.
    pub replicas: Option<u32>,
    /// How many of them brokers register with.
    pub listed: u32,
    /// Token of the latest restart that was asked for.
    pub restart: Option<String>,
    /// Sizes in the claim templates, by volume.
    pub claims: BTreeMap<String, String>,
}

/// A group, on the way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupStage {
    /// `brokerName`.
    pub name: String,
    /// Replicas of the StatefulSet.
    pub replicas: u32,
    /// Pods that have a Service of their own.
    pub services: u32,
    /// What the group is told about its shape.
    pub shape: Shape,
    /// It is new: it takes no writes until it has the topics of the others.
    pub joining: bool,
    /// The manifest no longer has it: its volumes stay, whatever becomes of the cluster.
    pub leaving: bool,
    /// Its pods are going for good.
    pub removing: bool,
    /// Token of the latest restart that was asked for.
    pub restart: Option<String>,
    /// Sizes in the claim templates, by volume.
    pub claims: BTreeMap<String, String>,
}

/// Where a broker is reached from outside, as far as the cluster's network says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExternalAddress {
    /// Host of the load balancer.
    pub host: Option<String>,
    /// Port of the nodes.
    pub node_port: Option<u16>,
}

impl Stage {
    /// Everything as wanted, as if nothing ran yet.
    pub fn fresh(intent: &Intent<'_>) -> Self {
        let group = |name: &String| {
            let replicas = match intent.start() {
                Start::AsAsked => intent.shape.replicas_per_group,
                Start::WithoutReplication => 0,
            };
            GroupStage {
                name: name.clone(),
                replicas: if intent.cluster.spec.hibernated { 0 } else { replicas },
                services: intent.shape.replicas_per_group,
                shape: intent.shape,
                joining: false,
                leaving: false,
                removing: false,
                restart: intent.cluster.annotation(meta::RESTART).map(ToOwned::to_owned),
                claims: intent.broker_claims(),
            }
        };
        let count = intent.name_servers;
        let replicas = if intent.cluster.spec.hibernated { 0 } else { count };
        Self {
            name_servers: NameServerStage {
                replicas: (0 < count).then_some(replicas),
                listed: count,
                restart: intent.cluster.annotation(meta::RESTART).map(ToOwned::to_owned),
                claims: intent.name_server_claims(),
            },
            groups: intent.groups.iter().map(group).collect(),
            cluster_ips: BTreeMap::new(),
            external: BTreeMap::new(),
        }
    }

    /// The group called `name`.
    pub fn group(&self, name: &str) -> Option<&GroupStage> {
        self.groups.iter().find(|group| group.name == name)
    }

    /// The group called `name`, to change it.
    pub fn group_mut(&mut self, name: &str) -> Option<&mut GroupStage> {
        self.groups.iter_mut().find(|group| group.name == name)
    }
}

impl GroupStage {
    /// Its pods' Services, by ordinal.
    pub fn pods<'a>(
        &'a self,
        intent: &'a Intent<'_>,
    ) -> impl Iterator<Item = (u32, String)> + use<'a> {
        let set = intent.names.group(&self.name);
        (0..self.services).map(move |ordinal| (ordinal, names::pod(&set, ordinal)))
    }
}
