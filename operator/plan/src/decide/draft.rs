//! A decision in the making.

use std::collections::BTreeMap;

use rmq_operator_api::status::GroupPhase;

use super::{BLOCKED_REQUEUE_MS, BUSY_REQUEUE_MS};
use crate::object::{Kind, Object};
use crate::steps::{Event, Reason, Step};

/// What the deciders find, for the steps and for the status.
#[derive(Debug, Default)]
pub(crate) struct Draft {
    pub(crate) steps: Vec<Step>,
    /// The one step that takes something away.
    last: Option<Step>,
    pub(crate) events: Vec<Event>,
    /// Pods being replaced.
    pub(crate) rollout: Progress,
    /// Groups, replicas or name servers being added.
    pub(crate) scale_out: Vec<String>,
    /// The same being removed.
    pub(crate) scale_in: Vec<String>,
    /// Why groups that should go have to stay.
    pub(crate) blocked: Vec<String>,
    /// Pods that people hold.
    pub(crate) held: Vec<String>,
    /// Volumes that grow.
    pub(crate) storage: Option<StorageState>,
    /// Of groups that are not simply active.
    pub(crate) phases: BTreeMap<String, GroupPhase>,
    /// What would be done next if the cluster were not paused.
    pub(crate) withheld: Option<String>,
    requeue_ms: Option<u64>,
}

/// How a rollout gets on.
#[derive(Debug, Default)]
pub(crate) enum Progress {
    /// There is none.
    #[default]
    Settled,
    /// With what it does or waits for.
    Going(String),
    /// All pods have the right form, but one starts or comes back.
    Recovering(String),
    /// With the pod and why it does not get on.
    Stuck(String),
}

/// How the growth of volumes gets on.
#[derive(Debug)]
pub(crate) enum StorageState {
    /// With what it waits for.
    Growing(String),
    /// With what to do.
    NotSupported(String),
}

impl Draft {
    pub(crate) fn push(&mut self, step: Step) {
        debug_assert!(!step.is_disruptive(), "{step}");
        self.steps.push(step);
        self.busy();
    }

    /// Adds a step that takes something away, unless there is one already: then this one has to
    /// wait for the next decision. Says whether it was added.
    pub(crate) fn disrupt(&mut self, step: Step) -> bool {
        self.busy();
        if self.last.is_some() {
            return false;
        }
        self.last = Some(step);
        true
    }

    /// Whether something is taken away in this decision.
    pub(crate) fn disrupts(&self) -> bool {
        self.last.is_some()
    }

    /// Whether the StatefulSet called `name` is about to change: its status says nothing yet.
    pub(crate) fn changes_set(&self, name: &str) -> bool {
        let of_set = |object: &Object| object.kind() == Kind::StatefulSet && object.name() == name;
        self.steps.iter().chain(&self.last).any(|step| match step {
            Step::Apply(object)
            | Step::RecreateStatefulSet { object, .. }
            | Step::ScaleDown { object, .. } => of_set(object),
            Step::CreateToken { .. }
            | Step::Delete { .. }
            | Step::ResizeClaim { .. }
            | Step::MarkClaim { .. }
            | Step::LabelPod { .. }
            | Step::Reload { .. }
            | Step::CopyMetadata { .. }
            | Step::SetPermission { .. }
            | Step::ClearAnnotation { .. }
            | Step::DeletePod { .. } => false,
        })
    }

    /// The same without doing anything: what is known of groups stays, and what would come first.
    pub(crate) fn withhold(self) -> Self {
        let first = self.steps.first().or(self.last.as_ref()).map(ToString::to_string);
        Self { phases: self.phases, held: self.held, withheld: first, ..Self::default() }
    }

    /// Something is under way.
    pub(crate) fn busy(&mut self) {
        self.within(BUSY_REQUEUE_MS);
    }

    /// Something waits for people or clients.
    pub(crate) fn waiting(&mut self) {
        self.within(BLOCKED_REQUEUE_MS);
    }

    fn within(&mut self, ms: u64) {
        self.requeue_ms = Some(self.requeue_ms.map_or(ms, |now| now.min(ms)));
    }

    pub(crate) fn event(&mut self, reason: Reason, pod: Option<&str>, note: String) {
        self.events.push(Event { reason, note, pod: pod.map(ToOwned::to_owned) });
    }

    /// A step of a rollout or what it waits for; the first one counts.
    pub(crate) fn going(&mut self, what: String) {
        self.busy();
        if matches!(self.rollout, Progress::Settled) {
            self.rollout = Progress::Going(what);
        }
    }

    /// All steps, the disruptive one last, and when to look again.
    pub(crate) fn finish(&mut self, settled_ms: u64) -> (Vec<Step>, u64) {
        let mut steps = std::mem::take(&mut self.steps);
        steps.extend(self.last.take());
        (steps, self.requeue_ms.unwrap_or(settled_ms))
    }
}
