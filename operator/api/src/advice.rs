//! What is allowed but hardly meant.

use std::collections::BTreeMap;

use crate::cluster::Cluster;
use crate::config::{self, Component};
use crate::layout::Replication;
use crate::meta;
use crate::validate::Violation;

/// What the author of `cluster`, which is valid, should know.
pub fn advice(cluster: &Cluster) -> Vec<Violation> {
    let mut found = Vec::new();
    annotations(cluster, &mut found);
    let (name_server, brokers) = (&cluster.spec.nameserver, &cluster.spec.brokers);
    settings("spec.nameserver.config", Component::NameServer, &name_server.config, &mut found);
    settings("spec.brokers.config", Component::Broker, &brokers.config, &mut found);
    for (index, one) in brokers.group_overrides.iter().enumerate() {
        let path = format!("spec.brokers.groupOverrides[{index}].config");
        settings(&path, Component::Broker, &one.config, &mut found);
    }
    let shape = cluster.shape();
    if shape.replication == Replication::Sync
        && 1 < shape.replicas_per_group
        && brokers.sync.min_in_sync == shape.replicas_per_group
    {
        found.push(Violation::new(
            "spec.brokers.sync.minInSync",
            brokers.sync.min_in_sync,
            "is all replicas of a group: it refuses messages while one of them restarts",
        ));
    }
    found
}

/// The settings of `given` that nobody knows.
pub fn unknown_settings(
    component: Component,
    given: &BTreeMap<String, String>,
) -> impl Iterator<Item = &str> {
    given.keys().map(String::as_str).filter(move |name| config::key(component, name).is_none())
}

fn settings(
    path: &str,
    component: Component,
    given: &BTreeMap<String, String>,
    found: &mut Vec<Violation>,
) {
    for name in unknown_settings(component, given) {
        let near = config::KEYS
            .iter()
            .find(|key| key.component == component && key.name.eq_ignore_ascii_case(name));
        let rule = match near {
            Some(near) => format!("is not a known setting: did you mean {}?", near.name),
            None => {
                "is not a known setting: it is handed on, and changes of it restart pods".into()
            }
        };
        found.push(Violation::new(format!("{path}.{name}"), name, rule));
    }
}

fn annotations(cluster: &Cluster, found: &mut Vec<Violation>) {
    for name in cluster.metadata.annotations.iter().flatten().map(|(name, _)| name) {
        if name.split_once('/').is_none_or(|(prefix, _)| prefix != crate::GROUP) {
            continue;
        }
        let rule = if name == meta::HOLD {
            "is an annotation of pods and means nothing here".to_owned()
        } else if meta::ANNOTATIONS.contains(&name.as_str()) {
            continue;
        } else {
            format!("is not a known annotation; there are {}", meta::ANNOTATIONS.join(", "))
        };
        found.push(Violation::new("metadata.annotations", name, rule));
    }
}

#[cfg(test)]
mod tests {
    use crate::manifest;

    #[test]
    fn what_is_hardly_meant_is_told_with_its_place() {
        let text = "\
apiVersion: rocketmq.rs/v1alpha1
kind: RocketMQCluster
metadata:
  name: demo
  annotations:
    rocketmq.rs/puase: 'true'
    rocketmq.rs/hold: 'true'
    rocketmq.rs/restart: once
    example.org/x: y
spec:
  layout: 2m-2s-sync
  nameserver:
    config: {flushDiskType: SYNC_FLUSH}
  brokers:
    storage: {size: 20Gi}
    sync: {minInSync: 2}
    config:
      flushdisktype: SYNC_FLUSH
      traceOn: 'true'
    groupOverrides:
    - name: broker-a
      config: {nobodyKnows: '1'}
";
        let [described] = manifest::read_with_advice(text).expect("valid").try_into().expect("one");
        let found: Vec<String> = described.advice.iter().map(ToString::to_string).collect();
        assert_eq!(
            found,
            [
                "line 6, column 5: metadata.annotations: `rocketmq.rs/hold` is an annotation of pods \
                 and means nothing here",
                "line 6, column 5: metadata.annotations: `rocketmq.rs/puase` is not a known \
                 annotation; there are rocketmq.rs/pause, rocketmq.rs/hold, rocketmq.rs/restart, \
                 rocketmq.rs/force-scale-in, rocketmq.rs/accept-template",
                "line 13, column 29: spec.nameserver.config.flushDiskType: `flushDiskType` is not a \
                 known setting: it is handed on, and changes of it restart pods",
                "line 18, column 22: spec.brokers.config.flushdisktype: `flushdisktype` is not a \
                 known setting: did you mean flushDiskType?",
                "line 22, column 29: spec.brokers.groupOverrides[0].config.nobodyKnows: \
                 `nobodyKnows` is not a known setting: it is handed on, and changes of it restart \
                 pods",
                "line 16, column 23: spec.brokers.sync.minInSync: `2` is all replicas of a group: it \
                 refuses messages while one of them restarts",
            ]
        );
    }
}
