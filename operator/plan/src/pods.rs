//! What matters of a pod.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{ContainerStatus, Pod, PodCondition};

use crate::observed::{age_ms, name_of};

/// Reasons of a waiting container that do not go away by waiting.
const WAITING_IN_VAIN: [&str; 9] = [
    "CrashLoopBackOff",
    "CreateContainerConfigError",
    "CreateContainerError",
    "ErrImageNeverPull",
    "ErrImagePull",
    "ImageInspectError",
    "ImagePullBackOff",
    "InvalidImageName",
    "RunContainerError",
];

/// A pod is stuck once it has had such a trouble for this long.
pub const STUCK_AFTER_MS: u64 = 60_000;

/// What matters of a pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PodView {
    /// Its name.
    pub name: String,
    /// Its UID.
    pub uid: String,
    /// Name of the StatefulSet that controls it; `None` for others' pods.
    pub set: Option<String>,
    /// Revision of the template it was made from.
    pub revision: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its annotations.
    pub annotations: BTreeMap<String, String>,
    /// How long it has been ready; `None` if it is not.
    pub ready_for_ms: Option<u64>,
    /// How long it has not been ready, from its creation if it never was; `None` if it is.
    pub unready_for_ms: Option<u64>,
    /// Whether its containers run: a process could answer.
    pub running: bool,
    /// Since it is being deleted.
    pub deleting_for_ms: Option<u64>,
    /// Why it cannot start; `None` while nothing speaks against it.
    pub trouble: Option<Trouble>,
}

/// Why a pod cannot start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// As Kubernetes names it: `Unschedulable`, `CrashLoopBackOff`, ...
    pub reason: String,
    /// What Kubernetes says about it.
    pub message: String,
    /// How long the pod has not been ready for it.
    pub for_ms: u64,
}

impl PodView {
    /// What matters of `pod` at `now_ms`.
    pub fn of(pod: &Pod, now_ms: i64) -> Self {
        let metadata = &pod.metadata;
        let labels = metadata.labels.clone().unwrap_or_default();
        let owner = metadata
            .owner_references
            .iter()
            .flatten()
            .find(|owner| owner.controller == Some(true) && owner.kind == "StatefulSet");
        let status = pod.status.as_ref();
        let condition = |kind: &str| {
            let all = status.and_then(|status| status.conditions.as_ref());
            all.into_iter().flatten().find(|one| one.type_ == kind)
        };
        let created = metadata.creation_timestamp.as_ref().map_or(0, |time| age_ms(now_ms, time));
        let since = |condition: &PodCondition| {
            condition.last_transition_time.as_ref().map_or(created, |time| age_ms(now_ms, time))
        };
        let ready = condition("Ready");
        let is_ready = ready.is_some_and(|one| one.status == "True");
        let unready_for_ms = (!is_ready).then(|| ready.map_or(created, since));
        let containers = status.and_then(|status| status.container_statuses.as_ref());
        let running = containers.is_some_and(|all| {
            !all.is_empty() && all.iter().all(|one| state(one).is_some_and(|s| s.running.is_some()))
        });
        let unscheduled = condition("PodScheduled")
            .filter(|one| one.status == "False" && one.reason.as_deref() == Some("Unschedulable"));
        let trouble = match unscheduled {
            Some(one) => Some(Trouble {
                reason: "Unschedulable".to_owned(),
                message: one.message.clone().unwrap_or_default(),
                for_ms: since(one),
            }),
            None => waiting(pod).map(|(reason, message)| Trouble {
                reason,
                message,
                for_ms: unready_for_ms.unwrap_or(0),
            }),
        };
        Self {
            name: name_of(metadata),
            uid: metadata.uid.clone().unwrap_or_default(),
            set: owner.map(|owner| owner.name.clone()),
            revision: labels.get("controller-revision-hash").cloned().unwrap_or_default(),
            labels,
            annotations: metadata.annotations.clone().unwrap_or_default(),
            ready_for_ms: ready.filter(|_| is_ready).map(since),
            unready_for_ms,
            running,
            deleting_for_ms: metadata.deletion_timestamp.as_ref().map(|time| age_ms(now_ms, time)),
            trouble,
        }
    }

    /// Whether it serves and is not on its way out.
    pub fn is_ready(&self) -> bool {
        self.ready_for_ms.is_some() && self.deleting_for_ms.is_none()
    }

    /// The trouble that keeps it from starting, once it has lasted.
    pub fn stuck(&self) -> Option<&Trouble> {
        self.trouble
            .as_ref()
            .filter(|one| STUCK_AFTER_MS <= one.for_ms && self.deleting_for_ms.is_none())
    }
}

fn state(container: &ContainerStatus) -> Option<&k8s_openapi::api::core::v1::ContainerState> {
    container.state.as_ref()
}

/// Reason and message of the first container that waits in vain.
fn waiting(pod: &Pod) -> Option<(String, String)> {
    let status = pod.status.as_ref()?;
    let starting = status.init_container_statuses.iter().flatten();
    let waiting = starting
        .chain(status.container_statuses.iter().flatten())
        .filter_map(|container| state(container)?.waiting.as_ref());
    waiting
        .filter_map(|one| Some((one.reason.clone()?, one.message.clone().unwrap_or_default())))
        .find(|(reason, _)| WAITING_IN_VAIN.contains(&reason.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const NOW_MS: i64 = 1_800_000_000_000;

    /// `status` with times written as `-<seconds>s`, for a pod made ten minutes ago.
    fn view(status: &str) -> PodView {
        let mut text = status.to_owned();
        for seconds in [5, 59, 60, 90, 600] {
            let time = k8s_openapi::jiff::Timestamp::from_millisecond(NOW_MS - seconds * 1000)
                .expect("in range");
            text = text.replace(&format!("\"-{seconds}s\""), &format!("\"{time}\""));
        }
        let status: serde_json::Value = serde_json::from_str(&text).expect(&text);
        let created = k8s_openapi::jiff::Timestamp::from_millisecond(NOW_MS - 600_000)
            .expect("in range")
            .to_string();
        let pod: Pod = serde_json::from_value(json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": "p-0", "uid": "u", "creationTimestamp": created,
                "labels": {"controller-revision-hash": "p-1"},
                "ownerReferences": [{"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "p",
                    "uid": "s", "controller": true}]},
            "status": status,
        }))
        .expect("a pod");
        PodView::of(&pod, NOW_MS)
    }

    #[test]
    fn a_ready_pod_says_for_how_long() {
        let pod = view(
            r#"{"conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": "-90s"}],
                "containerStatuses": [{"name": "c", "image": "i", "imageID": "", "ready": true,
                    "restartCount": 0, "state": {"running": {}}}]}"#,
        );
        assert_eq!((pod.ready_for_ms, pod.unready_for_ms), (Some(90_000), None));
        assert!(pod.is_ready() && pod.running && pod.stuck().is_none());
        assert_eq!((pod.set.as_deref(), pod.revision.as_str()), (Some("p"), "p-1"));
    }

    #[test]
    fn trouble_must_last_a_minute_to_count_as_stuck() {
        for (reason, since, stuck) in [
            ("ImagePullBackOff", "-60s", true),
            ("ImagePullBackOff", "-59s", false),
            ("CrashLoopBackOff", "-90s", true),
            ("CreateContainerConfigError", "-90s", true),
            ("ContainerCreating", "-600s", false),
            ("PodInitializing", "-600s", false),
        ] {
            let pod = view(&format!(
                r#"{{"conditions": [{{"type": "Ready", "status": "False",
                        "lastTransitionTime": "{since}"}}],
                    "containerStatuses": [{{"name": "c", "image": "i", "imageID": "",
                        "ready": false, "restartCount": 0,
                        "state": {{"waiting": {{"reason": "{reason}"}}}}}}]}}"#
            ));
            assert_eq!(pod.stuck().is_some(), stuck, "{reason} {since}");
        }
    }

    #[test]
    fn a_pod_that_fits_nowhere_is_stuck() {
        let pod = view(
            r#"{"conditions": [{"type": "PodScheduled", "status": "False",
                "reason": "Unschedulable", "message": "0/3 nodes", "lastTransitionTime": "-90s"}]}"#,
        );
        let trouble = pod.stuck().expect("stuck");
        assert_eq!(
            (trouble.reason.as_str(), trouble.message.as_str()),
            ("Unschedulable", "0/3 nodes")
        );
        assert_eq!(pod.unready_for_ms, Some(600_000), "it was never ready");
    }

    #[test]
    fn a_running_pod_that_is_not_ready_is_not_stuck() {
        let pod = view(
            r#"{"conditions": [{"type": "Ready", "status": "False", "lastTransitionTime": "-600s"}],
                "containerStatuses": [{"name": "c", "image": "i", "imageID": "", "ready": false,
                    "restartCount": 0, "state": {"running": {}}}]}"#,
        );
        assert!(pod.stuck().is_none() && pod.running && !pod.is_ready());
    }
}
