//! PodDisruptionBudgets, where there is a second pod to serve meanwhile.

use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use rmq_operator_api::Pdb;

use super::labels::{Of, metadata};
use crate::intent::Intent;
use crate::object::Object;
use crate::plan::Component;
use crate::stage::Stage;

pub(super) fn build(intent: &Intent<'_>, stage: &Stage, objects: &mut Vec<Object>) {
    let spec = &intent.cluster.spec;
    if spec.nameserver.pdb.enabled && 2 <= intent.name_servers {
        let name = intent.names.name_servers();
        objects.push(budget(intent, name, Of::NameServers, &spec.nameserver.pdb));
    }
    for group in &stage.groups {
        if spec.brokers.pdb.enabled && 2 <= group.shape.replicas_per_group && !group.removing {
            let name = intent.names.group(&group.name);
            objects.push(budget(intent, name, Of::Group(&group.name), &spec.brokers.pdb));
        }
    }
}

fn budget(intent: &Intent<'_>, name: String, of: Of<'_>, pdb: &Pdb) -> Object {
    let component = of.component().unwrap_or(Component::Broker);
    Object::PodDisruptionBudget(Box::new(PodDisruptionBudget {
        metadata: metadata(intent, name, of),
        spec: Some(PodDisruptionBudgetSpec {
            max_unavailable: Some(IntOrString::Int(
                i32::try_from(pdb.max_unavailable).unwrap_or(i32::MAX),
            )),
            selector: Some(LabelSelector {
                match_labels: Some(intent.selector(component, of.group())),
                ..LabelSelector::default()
            }),
            // Else a pod that never becomes ready would keep its node from being drained.
            unhealthy_pod_eviction_policy: Some("AlwaysAllow".to_owned()),
            ..PodDisruptionBudgetSpec::default()
        }),
        ..PodDisruptionBudget::default()
    }))
}
