//! Where pods may run.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    Affinity, PodAffinityTerm, PodAntiAffinity, TopologySpreadConstraint, WeightedPodAffinityTerm,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use rmq_operator_api::Placement;

/// Label of nodes: which one.
const NODE: &str = "kubernetes.io/hostname";
/// Label of nodes: in which zone.
pub(super) const ZONE: &str = "topology.kubernetes.io/zone";

/// Keeps pods with `labels` on different nodes.
pub(super) fn anti_affinity(how: Placement, labels: BTreeMap<String, String>) -> Option<Affinity> {
    let term = PodAffinityTerm {
        label_selector: Some(LabelSelector {
            match_labels: Some(labels),
            ..LabelSelector::default()
        }),
        topology_key: NODE.to_owned(),
        ..PodAffinityTerm::default()
    };
    let apart = match how {
        Placement::None => return None,
        Placement::Required => PodAntiAffinity {
            required_during_scheduling_ignored_during_execution: Some(vec![term]),
            ..PodAntiAffinity::default()
        },
        Placement::Preferred => PodAntiAffinity {
            preferred_during_scheduling_ignored_during_execution: Some(vec![
                WeightedPodAffinityTerm { pod_affinity_term: term, weight: 100 },
            ]),
            ..PodAntiAffinity::default()
        },
    };
    Some(Affinity { pod_anti_affinity: Some(apart), ..Affinity::default() })
}

/// Spreads pods with `labels` evenly over zones.
pub(super) fn zone_spread(
    how: Placement,
    labels: BTreeMap<String, String>,
) -> Vec<TopologySpreadConstraint> {
    let otherwise = match how {
        Placement::None => return Vec::new(),
        Placement::Required => "DoNotSchedule",
        Placement::Preferred => "ScheduleAnyway",
    };
    vec![TopologySpreadConstraint {
        label_selector: Some(LabelSelector {
            match_labels: Some(labels),
            ..LabelSelector::default()
        }),
        max_skew: 1,
        topology_key: ZONE.to_owned(),
        when_unsatisfiable: otherwise.to_owned(),
        ..TopologySpreadConstraint::default()
    }]
}
