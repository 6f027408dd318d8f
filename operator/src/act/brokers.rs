//! Steps that ask brokers.

use super::{Actor, Flow};
use crate::control::Peer;
use crate::error::Error;
use rmq_control::Bearer;
use rmq_operator_plan::control::{Target, Unreachable};
use tracing::info;

impl Actor<'_> {
    pub(super) async fn reload(&self, pod: &str, target: &Target) -> Result<Flow, Error> {
        let (peer, bearer) = self.reach(pod)?;
        let result = self.context.controls.reload(peer, bearer, target).await;
        answered(&format!("make {pod} read its settings"), result)?;
        Ok(Flow::Next)
    }

    pub(super) async fn set_permission(
        &self,
        pod: &str,
        target: &Target,
        perm: u32,
        reason: &str,
    ) -> Result<Flow, Error> {
        let (peer, bearer) = self.reach(pod)?;
        info!(cluster = %self.key, pod, perm, reason, "setting what clients may do");
        let result = self.context.controls.set_permission(peer, bearer, target, perm, reason).await;
        answered(&format!("set the permission of {pod}"), result)?;
        Ok(Flow::Next)
    }

    pub(super) fn reach(&self, pod: &str) -> Result<(&Peer, &Bearer), Error> {
        let tried = || format!("call {pod}");
        let peer = self.sight.peers.get(pod).ok_or_else(|| Error::Broker {
            tried: tried(),
            reason: "it has no address".to_owned(),
        })?;
        let bearer = self.sight.bearer.as_ref().ok_or_else(|| Error::Broker {
            tried: tried(),
            reason: "the cluster has no control token".to_owned(),
        })?;
        Ok((peer, bearer))
    }
}

fn answered(tried: &str, result: Result<(), Unreachable>) -> Result<(), Error> {
    result.map_err(|Unreachable(reason)| Error::Broker { tried: tried.to_owned(), reason })
}
