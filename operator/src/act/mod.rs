//! Carries out the steps of a plan, one by one.

mod brokers;
mod copy;
mod objects;

use crate::cache::ClusterKey;
use crate::context::Context;
use crate::error::Error;
use crate::observe::Sight;
use rmq_operator_plan::Step;

/// Whether the steps behind this one make sense now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flow {
    /// They do.
    Next,
    /// Something takes its time: the cluster is looked at again before more is done.
    Stop,
}

/// One cluster, as it was seen, and how to change it.
pub(crate) struct Actor<'a> {
    pub(crate) context: &'a Context,
    pub(crate) key: &'a ClusterKey,
    pub(crate) sight: &'a Sight,
}

impl Actor<'_> {
    /// Carries out `step`. Doing it twice is as good as once.
    ///
    /// # Errors
    /// When it was refused or its outcome is unknown.
    pub(crate) async fn step(&self, step: &Step) -> Result<Flow, Error> {
        let flow = match step {
            Step::Apply(object) | Step::ScaleDown { object, .. } => self.apply(object).await?,
            Step::CreateToken { secret, key } => self.create_token(secret, key).await?,
            Step::Delete { kind, name, uid } => self.delete(*kind, name, uid).await?,
            Step::RecreateStatefulSet { uid, object } => self.recreate(uid, object).await?,
            Step::ResizeClaim { name, uid, size } => self.resize(name, uid, size).await?,
            Step::MarkClaim { name, uid, labels, annotations } => {
                self.mark_claim(name, uid, labels, annotations).await?
            }
            Step::LabelPod { name, uid, labels } => self.label_pod(name, uid, labels).await?,
            Step::DeletePod { name, uid, .. } => self.delete_pod(name, uid).await?,
            Step::ClearAnnotation { name, value } => self.clear_annotation(name, value).await?,
            Step::Reload { pod, target } => self.reload(pod, target).await?,
            Step::SetPermission { pod, target, perm, reason } => {
                self.set_permission(pod, target, *perm, reason.text()).await?
            }
            Step::CopyMetadata { from, to } => self.copy_metadata(from, to).await?,
        };
        self.context.metrics.acted(step.name());
        Ok(flow)
    }
}

#[cfg(test)]
pub(crate) mod tests;
